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

SYSTEMS = {
    "original": "original_pretrained",
    "few-shot": "original_few_shot",
    "sentiment": "sentiment_fine_tuned",
    "mixed": "mixed_fine_tuned",
}


@dataclass(frozen=True)
class Run:
    """The workspace, a commit or an experiment: its settings and metrics, each `file:key` -> value."""

    name: str
    settings: dict[str, Any]
    metrics: dict[str, Any]


def main() -> None:
    shown = subprocess.run(
        ["dvc", "exp", "show", "--json"], capture_output=True, text=True, check=False
    )
    if shown.returncode:
        sys.exit(f"error: dvc exp show: {shown.stderr.strip()}")
    Console(width=100).print(table_of(runs_in(json.loads(shown.stdout))))


def runs_in(shown: Sequence[Mapping[str, Any]]) -> list[Run]:
    """The runs in what `dvc exp show --json` prints, experiments below their commit."""
    return [run for entry in shown for run in _runs(entry)]


def table_of(runs: Sequence[Run]) -> Table:
    """A line a run: the settings with more than one value, accuracies, exact answers."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    differing = [key for key in keys if len({str(run.settings.get(key)) for run in runs}) > 1]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("experiment", overflow="fold")
    for key in differing:
        table.add_column(escape(key.split(":")[-1].replace(".", ".\n")), justify="right")
    for name in SYSTEMS:
        table.add_column(f"accuracy\n{name}", justify="right", no_wrap=True)
    for name in ("seen", "held out"):
        table.add_column(f"exact\n{name}", justify="right", no_wrap=True)
    for run in runs:
        cells = [run.name, *(str(run.settings.get(key, "")) for key in differing)]
        for system in SYSTEMS.values():
            cells.append(_figure(run, f"metrics/evaluate/{system}.json:accuracy"))
        for name in ("exact_seen", "exact_held_out"):
            cells.append(_figure(run, f"metrics/evaluate/mixed_fine_tuned.json:general.{name}"))
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
    flat: dict[str, Any] = {}
    for file, content in (files or {}).items():
        for key, value in _leaves(content.get("data") or {}, ""):
            flat[f"{file}:{key}"] = value
    return flat


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    else:
        yield key, content


def _figure(run: Run, key: str) -> str:
    value = run.metrics.get(key)
    return f"{value:.3f}" if isinstance(value, float) else "-"


if __name__ == "__main__":
    main()
