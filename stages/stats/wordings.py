"""Template sensitivity: how right a system is on the same rows asked in each wording."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stats.estimate import Estimate, mean_share, share


@dataclass(frozen=True)
class Wordings:
    """Accuracy of one system by template, and of the wordings that are in training or held out.

    `mean` is over templates and rows; its interval takes the rows as drawn and the templates as
    given. `worst`, `best` and `spread` (best - worst) are of the templates' accuracies.
    """

    by_template: dict[str, Estimate]
    mean: Estimate
    worst: float
    best: float
    rows: int

    @property
    def spread(self) -> float:
        return self.best - self.worst


def by_wording(
    right: Mapping[str, Sequence[bool]], held_out: Collection[str], confidence: float
) -> dict[bool, Wordings]:
    """Whether each of the same rows was answered rightly, by template -> {held out or not: figures}."""
    groups = {
        is_held_out: {
            name: each for name, each in right.items() if (name in held_out) == is_held_out
        }
        for is_held_out in (False, True)
    }
    return {key: _figures(group, confidence) for key, group in groups.items() if group}


def _figures(right: Mapping[str, Sequence[bool]], confidence: float) -> Wordings:
    by_template = {}
    for name, each in right.items():
        estimate = share(each, confidence)
        assert estimate is not None
        by_template[name] = estimate
    of_rows = np.mean([list(each) for each in right.values()], axis=0)
    values = [each.value for each in by_template.values()]
    return Wordings(
        by_template, mean_share(of_rows, confidence), min(values), max(values), len(of_rows)
    )
