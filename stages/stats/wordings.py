"""Template sensitivity: the accuracy of a system on the same rows, asked in every wording."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stats.estimate import Estimate, mean_share, share


@dataclass(frozen=True)
class Wordings:
    """Accuracy of one system over a group of templates: all in training, or all held out.

    `mean` is over templates and rows. Its interval treats rows as a random sample and templates as
    fixed. `worst` and `best` are the lowest and highest accuracy of a template, `spread` is best - worst.
    `rows` is the number of rows.
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
    """Metrics of the templates held out of training (True) and of the templates in training (False).

    `right`: by template, whether each row is predicted correctly (n); the rows are the same for every
    template. A group without a template is left out.
    """
    groups = {
        is_held_out: {
            name: is_right for name, is_right in right.items() if (name in held_out) == is_held_out
        }
        for is_held_out in (False, True)
    }
    return {key: _group_metrics(group, confidence) for key, group in groups.items() if group}


def _group_metrics(right: Mapping[str, Sequence[bool]], confidence: float) -> Wordings:
    by_template = {}
    for name, is_right in right.items():
        estimate = share(is_right, confidence)
        assert estimate is not None
        by_template[name] = estimate
    shares_of_rows = np.mean([list(is_right) for is_right in right.values()], axis=0)
    values = [estimate.value for estimate in by_template.values()]
    return Wordings(
        by_template,
        mean_share(shares_of_rows, confidence),
        min(values),
        max(values),
        len(shares_of_rows),
    )
