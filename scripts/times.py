"""Print what the trainings and the answers of each system took on this machine: `make repro` ends with it.

The stages write these times to `logs/`, which DVC does not track. A stage that DVC restored from its
cache has no time here.
"""

import json
from pathlib import Path
from typing import Any

from runtime.process import run_stage

from pages.blocks import Table
from pages.console import table_console
from pages.numbers import NOTHING
from settings.read import read_settings
from systems import System, Trained, systems_of

LOGS = Path("logs")


def main() -> None:
    systems = systems_of(read_settings("task").task)
    rows = [row for system in systems for row in times_of(system)]
    if rows:
        columns = ("system", "training, s", "ms/row", "memory, MiB")
        print(table_console(Table(columns, rows)))


def times_of(system: System) -> list[list[str]]:
    """The row of a system with a training or an evaluation in `logs/`; none for another system."""
    training = _log(system.train_stage) if isinstance(system, Trained) else {}
    logs = [training, _log(f"evaluate_{system.name}")]
    seconds = training.get("training_seconds")
    milliseconds = [log["milliseconds_per_test_row"] for log in logs if _answers(log)]
    if seconds is None and not milliseconds:
        return []
    return [
        [
            system.name,
            NOTHING if seconds is None else f"{seconds:.0f}",
            f"{milliseconds[-1]:.1f}" if milliseconds else NOTHING,
            str(max(log["peak_memory_mib"] for log in logs if log)),
        ]
    ]


def _answers(log: dict[str, Any]) -> bool:
    return "milliseconds_per_test_row" in log


def _log(stage: str) -> dict[str, Any]:
    path = LOGS / f"{stage}.json"
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    run_stage(main)
