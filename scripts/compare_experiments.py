"""Show the experiments readably at 100 columns: the settings that differ, accuracies, forgetting."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

# The columns' headings, hyphenated so that all systems and some settings fit, and the systems.
ORIGINAL = "original_pretrained"
TUNED = {"senti-\nment": "sentiment_fine_tuned", "mixed": "mixed_fine_tuned"}
MODELS = {"origi-\nnal": ORIGINAL, "few-\nshot": "original_few_shot", **TUNED}
RIVALS = {
    "probe": "original_probe",
    "major-\nity": "majority",
    "tfidf": "tfidf_logistic",
    "vader": "vader_lexicon",
}
WIDTH = 100
DONE = "success"


@dataclass(frozen=True)
class Run:
    """The workspace, a commit or an experiment: its settings and metrics, each `file:key` -> value.

    `state` is DVC's: queued, running, failed or success; only a run that succeeded has metrics.
    `compared` are the tuned systems whose present answers `metrics/compare.json` is about.
    """

    name: str
    state: str
    is_experiment: bool
    settings: dict[str, Any]
    metrics: dict[str, Any]
    compared: set[str]

    def accuracy(self, system: str) -> str:
        return _figure(self.metrics.get(f"metrics/evaluate/{system}.json:accuracy"), 3)

    def forgotten(self, system: str) -> str:
        if system not in self.compared:
            return "-"
        return _figure(self.metrics.get(f"metrics/compare.json:systems.{system}.forgotten"), 2)


def main() -> None:
    command = ["dvc", "exp", "show", "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    if shown.returncode:
        sys.exit(f"error: dvc exp show: {shown.stderr.strip()}")
    runs = list(runs_in(json.loads(shown.stdout)))
    console = Console(width=WIDTH, highlight=False)
    for table in tables_of(runs):
        console.print(table)
    for note in notes_of(runs):
        console.print(escape(note))


def runs_in(shown: Iterable[Mapping[str, Any]]) -> Iterator[Run]:
    """The runs in what `dvc exp show --json` prints, experiments below their commit."""
    for entry in shown:
        yield _run(entry, DONE, is_experiment=False)
        for experiment in entry.get("experiments") or []:
            executor = experiment.get("executor") or {}
            for revision in (experiment.get("revs") or [])[:1]:
                yield _run(revision, executor.get("state") or DONE, is_experiment=True)


def tables_of(runs: Sequence[Run]) -> list[Table]:
    """A line a run: the settings that differ, then its figures; in two tables where one is too wide."""
    systems = MODELS if _rivals_are_constant(runs) else MODELS | RIVALS
    settings = [(_heading(key), [_setting(run, key) for run in runs]) for key in _differing(runs)]
    figures = [
        *(
            (f"acc.\n{name}", [run.accuracy(system) for run in runs])
            for name, system in systems.items()
        ),
        *(
            (f"forgot\n{name}", [run.forgotten(system) for run in runs])
            for name, system in TUNED.items()
        ),
    ]
    whole = _table(runs, settings + figures)
    unbound = Console(width=10 * WIDTH)
    if Measurement.get(unbound, unbound.options, whole).maximum <= WIDTH:
        return [whole]
    return [_table(runs, settings), _table(runs, figures)]


def notes_of(runs: Sequence[Run]) -> Iterator[str]:
    """What stands below the table: what its figures are, and what to do next."""
    yield "acc.: accuracy on the test rows"
    done = [run for run in runs if run.state == DONE]
    if done and _rivals_are_constant(runs):
        same = (f"{system} {done[0].accuracy(system)}" for system in RIVALS.values())
        yield f"and in all runs: {', '.join(same)}"
    yield "forgot: nats a token by which a tuned model finds other answers less likely than the original"
    if failed := [run.name for run in runs if run.state == "failed"]:
        yield f"what a failed one said:  dvc queue logs {failed[0]}"
    if any(run.state == "queued" for run in runs):
        yield "queued ones run with  dvc queue start --jobs 2"
    if not any(run.is_experiment for run in runs):
        yield "No experiment of this commit yet: try  dvc exp run -S mix.general_rows=300"


def _run(entry: Mapping[str, Any], state: str, is_experiment: bool) -> Run:
    data = entry.get("data") or {}
    name = entry.get("name") or entry["rev"].removesuffix("-dirty")[:9]  # "workspace" has nine
    return Run(
        name,
        state,
        is_experiment,
        settings=_flat(data.get("params")),
        # Until a run has succeeded, DVC shows its commit's metrics as if they were its own.
        metrics=_flat(data.get("metrics")) if state == DONE else {},
        compared={each for each in TUNED.values() if _is_compared(data, each)},
    )


def _is_compared(data: Mapping[str, Any], system: str) -> bool:
    """Whether `compare` has read the answers that are there: it does not run with every experiment."""
    reads, written = data.get("deps") or {}, data.get("outs") or {}
    return all(
        reads.get(path, {}).get("hash") == written.get(path, {}).get("hash")
        for path in (f"predictions/{system}", f"predictions/{ORIGINAL}")
    )


def _table(runs: Sequence[Run], columns: Sequence[tuple[str, list[str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("experiment", no_wrap=True)
    names = [[run.name] for run in runs]
    if any(run.state != DONE for run in runs):
        table.add_column("state", no_wrap=True)
        names = [[run.name, run.state] for run in runs]
    for heading, _ in columns:
        table.add_column(escape(heading), justify="right", overflow="fold")
    for name, *cells in zip(names, *(cells for _, cells in columns), strict=True):
        table.add_row(*map(escape, [*name, *cells]))
    return table


def _heading(setting: str) -> str:
    return setting.split(":")[-1].replace(".", ".\n").replace("_", "_\n")


def _setting(run: Run, setting: str) -> str:
    value = run.settings.get(setting, "")
    return "null" if value is None else str(value)


def _differing(runs: Sequence[Run]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    # A run of another profile, or one that failed, lacks a setting: that is no difference in it.
    values = {key: {str(run.settings[key]) for run in runs if key in run.settings} for key in keys}
    return [key for key in keys if len(values[key]) > 1]


def _rivals_are_constant(runs: Sequence[Run]) -> bool:
    """Whether what needs no tuning has the same accuracy in all runs, which is then told once."""
    done = [run for run in runs if run.state == DONE]
    return all(len({run.accuracy(system) for run in done}) <= 1 for system in RIVALS.values())


def _flat(files: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        f"{file}:{key}": value
        for file, content in (files or {}).items()
        for key, value in _leaves(content.get("data") or {}, "")
    }


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The single values under their keys, as `-S` takes them: `sources.general[1].train`."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from _leaves(value, f"{key}[{place}]")
    else:
        yield key, content


def _figure(value: Any, digits: int) -> str:
    if not isinstance(value, int | float):
        return "-"
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero


if __name__ == "__main__":
    main()
