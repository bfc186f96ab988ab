"""All results of a study: every system's metrics, every comparison, the primary verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from measure.system_metrics import Answering, SystemMetrics
from settings.labels import Labels
from stats.estimate import Estimate
from stats.verdicts import Comparison, Pair, Verdict, comparison_of
from systems import Systems

COMMONEST = "majority"  # the baseline that always answers the commonest label


@dataclass(frozen=True)
class Results:
    """The content of all pages. `systems`: the declared systems with predictions of these labels.

    `comparisons`: every pair, in the order of `systems`. `verdicts`: verdicts on the primary comparisons.
    `accounts`: the content of `metrics/train_*.json` by trained system.
    """

    systems: Systems
    metrics: Mapping[str, SystemMetrics]
    comparisons: Mapping[Pair, Comparison]
    verdicts: Sequence[Verdict]
    labels: Labels
    confidence: float
    margin: float
    accounts: Mapping[str, Mapping[str, Any]]

    @property
    def language_models(self) -> dict[str, Answering]:
        """The metrics of free answers, by language model."""
        return {
            name: metrics.answering
            for name, metrics in self.metrics.items()
            if metrics.answering is not None
        }

    def accuracy(self, name: str) -> float:
        return self.metrics[name].labelled.accuracy.value

    def comparison(self, first: str, second: str) -> Comparison:
        """The comparison of two systems, first minus second. Raises `KeyError` for an unknown pair."""
        return comparison_of(self.comparisons, first, second)

    def verdict(self, first: str, second: str) -> Verdict:
        """The verdict on a primary pair, first minus second. Raises `KeyError` for any other pair."""
        for verdict in self.verdicts:
            pair = (verdict.comparison.first, verdict.comparison.second)
            if not verdict.rivals and set(pair) == {first, second}:
                return verdict if pair == (first, second) else verdict.turned()
        raise KeyError((first, second))

    def against_commonest(self, name: str) -> Comparison | None:
        """A system minus the baseline that always answers the commonest label; None if it is missing."""
        return self.comparison(name, COMMONEST) if COMMONEST in self.metrics else None


@dataclass(frozen=True)
class Trainings:
    """The tuned systems under several training seeds.

    `accuracy`: by system, in the order of `seeds`. `verdicts`: over seeds, on primary comparisons.
    """

    seeds: Sequence[int]
    accuracy: Mapping[str, Sequence[float]]
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class Ceilings:
    """The accuracy of human raters on these rows, and the share of labels that may be wrong.

    `one_rater`, `panel`: see `stats.noise.one_rater` and `panel_ceiling`. `noise_bound`: upper bound for
    training labels. `noise`: estimate for test labels, by tuned system. `suspicious`: number of test
    rows that are listed as suspicious.
    """

    one_rater: Estimate | None
    panel: float | None
    noise_bound: float
    noise: Mapping[str, Estimate | None]
    suspicious: int
