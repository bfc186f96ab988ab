"""How well a row's raters support its label: who agrees, and whether other raters would change it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rows.prepared import RaterRow
from rows.row import Checked
from settings.sources import Band

PANELS = 1000  # drawn for each row


def rater_rows(checked: Checked, bands: Mapping[str, Band], seed: int) -> list[RaterRow]:
    """The raters' counts of every row that has ratings, in the order of the splits and rows."""
    generator = np.random.default_rng(seed)
    rows: list[RaterRow] = []
    for split, split_rows in checked.rows.items():
        for row in split_rows:
            if row.ratings:
                counts = count_raters(row.ratings, row.stratum, bands)
                rows.append(
                    {
                        "row_id": row.row_id,
                        "split": split,
                        "raters": counts["raters"],
                        "named": counts["named"],
                        "agreeing": counts["agreeing"],
                        "turned": turned_share(row.ratings, row.stratum, bands, generator),
                    }
                )
    return rows


def count_raters(ratings: Sequence[float], label: str, bands: Mapping[str, Band]) -> dict[str, int]:
    """Counts of raters: all, those whose rating is in the band of some label, those who name `label`."""
    named = [name for rating in ratings for name, band in bands.items() if band.holds(rating)]
    return {"raters": len(ratings), "named": len(named), "agreeing": named.count(label)}


def turned_share(
    ratings: Sequence[float],
    label: str,
    bands: Mapping[str, Band],
    generator: np.random.Generator,
) -> float:
    """The share of panels, drawn from the row's own raters with replacement, that change its label.

    A panel names the label whose band is nearest to the panel's mean rating. If k bands are equally
    near, the panel counts as 1/k for each of their labels.
    """
    panels = generator.choice(np.asarray(ratings, float), size=(PANELS, len(ratings)))
    means = panels.mean(1)
    names = list(bands)
    distances = np.stack([_distance(means, bands[name]) for name in names])
    nearest = distances == distances.min(0)
    return 1 - float((nearest[names.index(label)] / nearest.sum(0)).mean())


def _distance(means: NDArray[np.float64], band: Band) -> NDArray[np.float64]:
    """The distance of each mean from a band, 0 inside the band. Shape: that of `means`."""
    below = 0.0 if band.min is None else band.min - means
    above = 0.0 if band.max is None else means - band.max
    return np.maximum(np.maximum(below, above), np.zeros(len(means)))
