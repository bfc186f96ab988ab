"""Show the experiments readably at 100 columns: the settings that differ, and the headline figures."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

TUNED = {"sentiment": "sentiment_fine_tuned", "mixed": "mixed_fine_tuned"}
SYSTEMS = {"original": "original_pretrained", "few-shot": "original_few_shot", **TUNED}


@dataclass(frozen=True)
class Run:
    """The workspace, a commit or an experiment: its settings and metrics, each `file:key` -> value."""

    name: str
    settings: dict[str, Any]
    metrics: dict[str, Any]


def main() -> None:
    command = ["dvc", "exp", "show", "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    if shown.returncode:
        sys.exit(f"error: dvc exp show: {shown.stderr.strip()}")
    entries = json.loads(shown.stdout)
    Console(width=100).print(table_of(runs_in(entries)))
    if not any(entry.get("experiments") for entry in entries):
        print("No experiment of this commit yet: try  dvc exp run -S mix.general_rows=300")


def runs_in(shown: Sequence[Mapping[str, Any]]) -> list[Run]:
    """The runs in what `dvc exp show --json` prints, experiments below their commit."""
    return [run for entry in shown for run in _runs(entry)]


def table_of(runs: Sequence[Run]) -> Table:
    """A line a run: the settings with more than one value, accuracies, exact answers."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    # A run of another profile, or one that failed, lacks a setting: that is no difference in it.
    values = {key: {str(run.settings[key]) for run in runs if key in run.settings} for key in keys}
    differing = [key for key in keys if len(values[key]) > 1]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("experiment", no_wrap=True)
    for key in differing:
        name = key.split(":")[-1].replace(".", ".\n").replace("_", "_\n")
        table.add_column(escape(name), justify="right", overflow="fold")
    for name in SYSTEMS:
        table.add_column(f"accuracy\n{name}", justify="right", no_wrap=True)
    for name in ("seen", "held out"):
        table.add_column(f"exact\n{name}", justify="right", no_wrap=True)
    for run in runs:
        cells = [run.name, *(str(run.settings.get(key, "")) for key in differing)]
        cells += [_figure(run, system, "accuracy") for system in SYSTEMS.values()]
        for name in ("exact_seen", "exact_held_out"):
            cells.append(_figure(run, "mixed_fine_tuned", f"general.{name}"))
        table.add_row(*map(escape, cells))
    table.caption = "exact: right answers of mixed_fine_tuned to tasks of families trained, and not"
    return table


def _runs(entry: Mapping[str, Any]) -> Iterator[Run]:
    data = entry.get("data") or {}
    name = entry.get("name") or entry["rev"].removesuffix("-dirty")[:9]  # "workspace" has nine
    yield Run(name, _flat(data.get("params")), _flat(data.get("metrics")))
    for experiment in entry.get("experiments") or []:
        for revision in (experiment.get("revs") or [])[:1]:
            yield from _runs(revision)


def _flat(files: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        f"{file}:{key}": value
        for file, content in (files or {}).items()
        for key, value in _leaves(content.get("data") or {}, "")
    }


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    else:
        yield key, content


def _figure(run: Run, system: str, key: str) -> str:
    value = run.metrics.get(f"metrics/evaluate/{system}.json:{key}")
    return f"{value:.3f}" if isinstance(value, float) else "-"


if __name__ == "__main__":
    main()
