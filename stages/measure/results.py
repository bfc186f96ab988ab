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
    """What the pages show. `systems` are the declared systems that have predictions of these labels.

    `comparisons`: every pair, in the systems' order. `verdicts`: of the primary comparisons. `accounts`:
    the content of `metrics/train_*.json` by trained system.
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
        """What was measured of the free answers of each language model."""
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
        """A system minus the baseline that always answers the commonest label; None without it."""
        return self.comparison(name, COMMONEST) if COMMONEST in self.metrics else None


@dataclass(frozen=True)
class Trainings:
    """The tuned systems under several training seeds: accuracies by seed, and verdicts over seeds."""

    seeds: Sequence[int]
    accuracy: Mapping[str, Sequence[float]]
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class Ceilings:
    """What people reach on these rows, and what share of the labels may be wrong.

    `noise`: by tuned system; `suspicious`: how many test rows are listed as suspicious.
    """

    one_rater: Estimate | None
    panel: float | None
    noise_bound: float
    noise: Mapping[str, Estimate | None]
    suspicious: int
