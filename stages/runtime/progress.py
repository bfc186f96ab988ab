"""How long work takes: one progress bar and one wording of a time for every stage and script."""

import os
from typing import Any

from runtime.process import RANK

from tqdm import tqdm

BAR_SECONDS = 0.5 if os.isatty(2) else 15.0  # between two states of a progress bar; lines of a log


def progress_bar(total: int | None, description: str, unit: str, done: int = 0) -> Any:
    """A progress bar on stderr with the time left: a context manager with `update(count)`.

    `done` of `total` units are done before the bar begins. Bytes (`unit` "B") are shown as kB, MB or GB.
    Of several processes that work as one, the first process alone shows the bar.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        unit_scale=unit == "B",
        mininterval=BAR_SECONDS,
        disable=RANK > 0,
    )


def in_words(seconds: float) -> str:
    """A time in the unit that a person would use."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
