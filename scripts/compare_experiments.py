"""Print a table of the experiments: settings that differ, accuracies, forgetting.

The table is split where it is wider than the terminal. Its rows are the workspace, the last commit and this
branch's experiments, each below the commit that it started from. An experiment therefore stays in the table
after `dvc exp apply` and a commit.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from systems import System, Systems, systems_of

# Suffix of a key in metrics/headline.json: (meaning, number of decimals to show).
MEASURES = {
    "acc": ("accuracy on the test rows", 3),
    "forgot": (
        "nats per token by which other answers are less likely than with the original model",
        2,
    ),
    "macro": ("macro-F1 on the test rows", 3),
    "invalid": ("share of free answers that contain no label", 3),
    "bare": ("share of general answers that are a bare label", 3),
}
ALWAYS = ("acc", "forgot")  # shown for every tuned system; other columns only if runs differ
HEADLINE = "metrics/headline.json"
PARAMS = "params.yaml"
WIDTH_WITHOUT_TERMINAL = 100
MOST_COMMITS = 10  # commits with experiments, newest first
DONE = "success"


@dataclass(frozen=True)
class Run:
    """The workspace, a commit or an experiment: its settings, `file:key` -> value, and its headline.

    `state` is DVC's: queued, running, failed or success. Only a run with `success` has a headline.
    `stale`: systems whose predictions are newer than the ones that `compare` read.
    """

    name: str
    state: str
    revision: str
    baseline: str | None  # the commit that an experiment started from
    settings: dict[str, Any]
    headline: dict[str, float]
    stale: frozenset[str]

    @property
    def label(self) -> str:
        """The name in the table; experiments are indented below their commit."""
        return self.name if self.baseline is None else f"  {self.name}"

    @property
    def profile(self) -> str:
        """The profile file that the run uses."""
        return f"profiles/{self.settings.get(f'{PARAMS}:profile')}.yaml"


@dataclass(frozen=True)
class Column:
    """One headline number for all runs. `measure` is a key of `MEASURES`; `cells` has one text per run."""

    system: System
    measure: str
    cells: list[str]
    differs: bool  # between runs that succeeded

    @property
    def heading(self) -> str:
        return f"{self.measure}\n{self.system.short}"

    @property
    def is_shown(self) -> bool:
        return self.differs or (self.system.kind == "tuned" and self.measure in ALWAYS)


def main() -> None:
    try:
        runs = list(runs_in(shown_experiments()))
    except DvcException as error:
        sys.exit(f"error: dvc exp show: {error}")
    width = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
    console = Console(width=width, highlight=False)
    columns = columns_of(runs)
    for table in tables_of(runs, columns, width):
        console.print(table)
    for note in [*notes_of(runs, columns), *unused_profiles(runs)]:
        console.print(escape(note))


def shown_experiments() -> list[dict[str, Any]]:
    """What `dvc exp show --json` prints, for the last commit and this branch's commits with experiments.

    The command itself shows only the last commit's experiments. Raises `DvcException`.
    """
    with Repo() as repo:
        revisions = ["HEAD", *baselines(repo)]
        return [entry.dumpd() for entry in repo.experiments.show(revs=revisions)]


def baselines(repo: Repo) -> list[str]:
    """The ancestors of HEAD that experiments started from, newest first."""
    queue = repo.experiments.celery_queue
    waiting = [*queue.iter_queued(), *queue.iter_active()]
    failed = [result.entry for result in queue.iter_failed()]
    with_experiments = {entry.baseline_rev for entry in [*waiting, *failed]}
    for reference in _git("for-each-ref", "--format=%(refname)", "refs/exps"):
        # refs/exps/ab/cdef...: the baseline's hash is split after two digits
        parts = reference.split("/")
        with_experiments.add("".join(parts[2:4]))
    history = _git("rev-list", "HEAD")
    return [commit for commit in history[1:] if commit in with_experiments][:MOST_COMMITS]


def runs_in(shown: Iterable[Mapping[str, Any]]) -> Iterator[Run]:
    """The runs in the output of `dvc exp show --json`; experiments follow their commit."""
    for entry in shown:
        yield _run(entry, DONE, None)
        for experiment in entry.get("experiments") or []:
            executor = experiment.get("executor") or {}
            for revision in (experiment.get("revs") or [])[:1]:
                yield _run(revision, executor.get("state") or DONE, entry["rev"])


def columns_of(runs: Sequence[Run]) -> list[Column]:
    """A column for each headline number that at least one run has."""
    columns = []
    for measure, (_, digits) in MEASURES.items():
        for systems in _systems_of(runs):
            for system in systems:
                key = f"{system.short.replace('-', '_')}_{measure}"
                sources = [system.name]
                if measure == "forgot":
                    sources.append(systems.original.name)
                if not any(key in run.headline for run in runs):
                    continue
                cells = [
                    "-"
                    if run.stale.intersection(sources)
                    else _number(run.headline.get(key), digits)
                    for run in runs
                ]
                distinct = {
                    cell for cell, run in zip(cells, runs, strict=True) if run.state == DONE
                }
                columns.append(Column(system, measure, cells, len(distinct) > 1))
    return list({(column.system.name, column.measure): column for column in columns}.values())


def tables_of(runs: Sequence[Run], columns: Sequence[Column], width: int) -> list[Table]:
    """Tables with a line per run: settings that differ, then numbers. Several if one is too wide."""
    settings = [(_heading(key), [_setting(run, key) for run in runs]) for key in _differing(runs)]
    numbers = [(column.heading, column.cells) for column in columns if column.is_shown]
    if _fits(_table(runs, settings + numbers), width):
        return [_table(runs, settings + numbers)]
    parts: list[list[tuple[str, list[str]]]] = [settings] if settings else []
    parts.append([])
    for number in numbers:
        if parts[-1] and not _fits(_table(runs, [*parts[-1], number]), width):
            parts.append([])
        parts[-1].append(number)
    return [_table(runs, part) for part in parts]


def _fits(table: Table, width: int) -> bool:
    """Whether the table fits without cutting or folding a cell."""
    unlimited = Console(width=1000)
    return Measurement.get(unlimited, unlimited.options, table).maximum <= width


def notes_of(runs: Sequence[Run], columns: Sequence[Column]) -> Iterator[str]:
    """The lines below the table: what its numbers mean, and what to do next."""
    for measure in dict.fromkeys(column.measure for column in columns):
        yield f"{measure}: {MEASURES[measure][0]}"
    constant = [
        f"{column.measure} {column.system.short} {next(_done(runs, column))}"
        for column in columns
        if not column.is_shown
    ]
    if constant:
        yield f"in all runs: {', '.join(constant)}"
    systems = {column.system.name for column in columns}
    if any(run.stale & systems for run in runs):
        yield "-: `compare` has not run since these predictions changed"
    failed = [run.name for run in runs if run.state == "failed"]
    if failed:
        yield f"to see why {failed[0]} failed:  dvc queue logs {failed[0]}"
    if any(run.state == "queued" for run in runs):
        yield "to start the queue:  dvc queue start --jobs 2"
    if not any(run.baseline for run in runs):
        for run in runs[:1]:
            if setting := another_setting(run.settings):
                yield f"No experiments in this branch yet: try  dvc exp run -S {setting}"


def another_setting(settings: Mapping[str, Any]) -> str | None:
    """A `-S` argument that halves the general rows or their share in the mix; None without either."""
    rows, share = (settings.get(f"{PARAMS}:mix.general_{name}") for name in ("rows", "share"))
    if isinstance(rows, int):
        return f"mix.general_rows={rows // 2 if rows > 1 else 2}"
    if isinstance(share, int | float):
        return f"mix.general_share={share / 2 if share else 0.5:.2g}"
    return None


def unused_profiles(runs: Sequence[Run]) -> Iterator[str]:
    """A line for each run that changes a profile without using it."""
    for run in runs:
        if run.baseline is not None:
            compared = [run.baseline, run.revision]
        elif run.revision == "workspace":
            compared = ["HEAD"]
        else:
            continue
        for path in _git("diff", "--name-only", *compared, "--", "profiles"):
            if path != run.profile:
                yield f"{run.name}: changes {path}, but uses {run.profile}"


def _run(entry: Mapping[str, Any], state: str, baseline: str | None) -> Run:
    data = entry.get("data") or {}
    name = entry.get("name") or entry["rev"].removesuffix("-dirty")[:9]  # "workspace" has 9 letters
    # Before a run succeeds, DVC shows its commit's metrics as the run's own.
    metrics = data.get("metrics") if state == DONE else None
    headline = ((metrics or {}).get(HEADLINE) or {}).get("data") or {}
    dependencies, outputs = data.get("deps") or {}, data.get("outs") or {}
    stale = [
        path.removeprefix("predictions/")
        for path in outputs
        if path.startswith("predictions/")
        and (dependencies.get(path) or {}).get("hash") != (outputs[path] or {}).get("hash")
    ]
    settings = _flat(data.get("params"))
    return Run(name, state, entry["rev"], baseline, settings, headline, frozenset(stale))


def _systems_of(runs: Sequence[Run]) -> list[Systems]:
    """The systems of each task that a run uses; the workspace's task comes first."""
    tasks = dict.fromkeys(run.settings.get(f"{run.profile}:task") for run in runs)
    declared = []
    for task in tasks:
        with suppress(ValueError):  # a failed experiment may name an unknown task
            declared.append(systems_of(str(task)))
    return declared


def _table(runs: Sequence[Run], columns: Sequence[tuple[str, list[str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("experiment", no_wrap=True)
    names = [[run.label] for run in runs]
    if any(run.state != DONE for run in runs):
        table.add_column("state", no_wrap=True)
        names = [[run.label, run.state] for run in runs]
    for heading, _ in columns:
        table.add_column(escape(heading), justify="right", overflow="fold")
    for name, *cells in zip(names, *(cells for _, cells in columns), strict=True):
        table.add_row(*map(escape, [*name, *cells]))
    return table


def _done(runs: Sequence[Run], column: Column) -> Iterator[str]:
    """The cells of the runs that succeeded."""
    return (cell for cell, run in zip(column.cells, runs, strict=True) if run.state == DONE)


def _heading(setting: str) -> str:
    return setting.split(":")[-1].replace(".", ".\n").replace("_", "_\n")


def _setting(run: Run, setting: str) -> str:
    value = run.settings.get(setting, "")
    return "null" if value is None else str(value)


def _differing(runs: Sequence[Run]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    # A run with another profile, or a failed run, may lack a setting: this is not a difference.
    values = {key: {str(run.settings[key]) for run in runs if key in run.settings} for key in keys}
    return [key for key in keys if len(values[key]) > 1]


def _flat(files: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        f"{file}:{key}": value
        for file, content in (files or {}).items()
        for key, value in _leaves(content.get("data") or {}, "")
    }


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    """(key, value) pairs; keys have the form that `-S` accepts: `sources.general[1].train`."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _leaves(value, f"{key}[{index}]")
    else:
        yield key, content


def _number(value: Any, digits: int) -> str:
    if not isinstance(value, int | float):
        return "-"
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no "-0.00"


def _git(*arguments: str) -> list[str]:
    """The lines that git prints; [] if git fails, for example without a commit."""
    process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return process.stdout.splitlines() if process.returncode == 0 else []


if __name__ == "__main__":
    main()
