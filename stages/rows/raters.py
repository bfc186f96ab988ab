"""How surely a row's label is its raters': those who agree, and whether other raters would turn it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from settings.sources import Band

PANELS = 1000  # drawn for each row


def count_raters(ratings: Sequence[float], label: str, bands: Mapping[str, Band]) -> dict[str, int]:
    """How many raters there are, how many name a label (neutral ones do not), how many this one."""
    named = [name for rating in ratings for name, band in bands.items() if band.holds(rating)]
    return {"raters": len(ratings), "named": len(named), "agreeing": named.count(label)}


def turned_share(
    ratings: Sequence[float],
    label: str,
    bands: Mapping[str, Band],
    generator: np.random.Generator,
) -> float:
    """The share of panels, drawn from the row's own raters with replacement, that turn its label.

    A panel names the label in whose band its mean rating falls, between bands that of the nearest;
    of k that are as near, each by a k-th.
    """
    drawn = generator.choice(np.asarray(ratings, float), size=(PANELS, len(ratings)))
    means = drawn.mean(1)
    names = list(bands)
    away = np.stack([_distance(means, bands[name]) for name in names])
    nearest = away == away.min(0)
    return 1 - float((nearest[names.index(label)] / nearest.sum(0)).mean())


def _distance(means: NDArray[np.float64], band: Band) -> NDArray[np.float64]:
    """How far outside of a band each mean lies, 0 inside."""
    below = 0.0 if band.min is None else band.min - means
    above = 0.0 if band.max is None else means - band.max
    return np.maximum(np.maximum(below, above), np.zeros(len(means)))
