"""The seconds and the memory that a stage took, outside of what DVC locks."""

import resource
import time
from pathlib import Path

from runtime.files import write_json

_STARTED = time.perf_counter()  # a stage imports this module before the slow libraries


def write_log(name: str, **figures: float) -> None:
    """Write what the clock and the machine decide to `logs/NAME.json`, outside of what DVC locks.

    Wall-clock seconds of the stage, its imports included, peak resident memory in MiB, and `figures`.
    """
    seconds = time.perf_counter() - _STARTED
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    rounded = {key: round(value, 3) for key, value in figures.items()}
    write_json(
        Path("logs") / f"{name}.json",
        {"seconds": round(seconds, 2), "peak_memory_mib": round(peak), **rounded},
    )
