"""How long work takes, told alike by every progress bar and every message."""

import os

BAR_SECONDS = 0.5 if os.isatty(2) else 15.0  # between two states of a progress bar; lines of a log


def in_words(seconds: float) -> str:
    """A time in the unit that a person would use."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
