"""The seconds and the memory of a stage, in a file that DVC does not track."""

import resource
import time
from pathlib import Path

from runtime.files import write_json

_STARTED = time.perf_counter()  # a stage imports this module before the slow libraries


def write_log(name: str, **measurements: float) -> None:
    """Write the measurements that differ between runs to `logs/NAME.json`, which DVC does not track.

    Wall-clock seconds of the stage, its imports included, peak resident memory in MiB, and
    `measurements`, rounded to three decimals.
    """
    seconds = time.perf_counter() - _STARTED
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    rounded = {key: round(value, 3) for key, value in measurements.items()}
    write_json(
        Path("logs") / f"{name}.json",
        {"seconds": round(seconds, 2), "peak_memory_mib": round(peak), **rounded},
    )
