"""The table of experiments: its runs, the settings that differ and the headline, at any width."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compare_experiments import another_setting, columns_of, notes_of, runs_in, tables_of
from rich.console import Console

from systems import systems_of

SYSTEMS = systems_of("sentiment")
HEADLINE = {
    "original_acc": 0.646,
    "sentiment_acc": 0.944,
    "sentiment_macro": 0.934,
    "sentiment_invalid": 0.0,
    "sentiment_bare": 0.996,
    "sentiment_forgot": 10.1728,
    "mixed_macro": 0.93,
    "mixed_invalid": 0.0,
    "mixed_bare": 0.0,
    "mixed_forgot": -0.001,
}


def _entry(
    rev: str, name: str | None = None, accuracy: float = 0.9, **settings: Any
) -> dict[str, Any]:
    """What DVC shows of a revision; `accuracy` is the mixed model's, `settings` may contain `rate`."""
    rate = settings.pop("rate", 0.001)
    answers = {f"predictions/{system.name}": {"hash": f"of {system.name}"} for system in SYSTEMS}
    headline = {**HEADLINE, "mixed_acc": accuracy}
    return {
        "rev": rev,
        "name": name,
        "data": {
            "params": {
                "params.yaml": {"data": {"seed": 42, "profile": "pocket", **settings}},
                "profiles/pocket.yaml": {
                    "data": {"task": "sentiment", "train": {"learning_rate": rate}}
                },
            },
            "metrics": {"metrics/headline.json": {"data": headline}},
            "deps": answers,
            "outs": dict(answers),
        },
        "experiments": None,
    }


def _below(*experiments: dict[str, Any], state: str | None = None) -> list[dict[str, Any]]:
    """The workspace, its commit, and below the commit the experiments in the given state."""
    executor = state and {"state": state, "name": "dvc-task"}
    shown = [{"revs": [entry], "executor": executor} for entry in experiments]
    return [_entry("workspace"), {**_entry("0" * 40, "main"), "experiments": shown}]


SHOWN = _below(_entry("1" * 40, "windy-oak", 0.875, rate=0.0005))


def _printed(shown: list[dict[str, Any]], width: int = 100) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    runs = list(runs_in(shown))
    columns = columns_of(runs)
    for table in tables_of(runs, columns, width):
        console.print(table)
    for note in notes_of(runs, columns):
        console.print(note, soft_wrap=True)
    return out.getvalue()


def _line(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{name} ")]
    return line.split()


# --- settings and numbers ---------------------------------------------------------------------


def test_each_run_has_a_line_with_its_numbers() -> None:
    text = _printed(SHOWN)
    assert _line(text, "windy-oak") == ["windy-oak", "0.0005", "0.944", "0.875", "10.17", "0.00"]
    assert _line(text, "workspace")[-3] == _line(text, "main")[-3] == "0.900"
    assert " failed:" not in text
    assert "No experiment" not in text


def test_an_experiment_is_listed_below_the_commit_that_it_started_from() -> None:
    older = {**_entry("2" * 40), "experiments": [{"revs": [_entry("3" * 40, "tall-elm")]}]}
    lines = [line.rstrip() for line in _printed([*SHOWN, older]).splitlines()]
    names = [line[:13].rstrip() for line in lines if line.endswith("0.00")]
    assert names == ["workspace", "main", "  windy-oak", "222222222", "  tall-elm"]


def test_only_settings_that_differ_are_shown() -> None:
    text = _printed(SHOWN)
    assert "learning_" in text
    assert "seed" not in text
    assert "learning_" not in _printed(SHOWN[:1])


def test_a_setting_inside_a_list_and_one_that_is_null_are_shown() -> None:
    other = _entry("1" * 40, "windy-oak", share=0.2, parts=[{"take": 1}, {"take": 3}])
    default = _entry("workspace", share=None, parts=[{"take": 1}, {"take": 2}])
    text = _printed([default, other])
    assert _line(text, "workspace")[1:3] == ["null", "2"]
    assert _line(text, "windy-oak")[1:3] == ["0.2", "3"]
    assert "parts[1]." in text


def test_a_number_that_is_equal_in_all_runs_is_shown_once_and_otherwise_by_run() -> None:
    text = _printed(SHOWN)
    same = "acc original 0.646, macro sentiment 0.934, macro mixed 0.930, invalid sentiment 0.000"
    assert f"in all runs: {same}, " in text
    other = _entry("1" * 40, "windy-oak")
    other["data"]["metrics"]["metrics/headline.json"]["data"]["original_acc"] = 0.61
    text = _printed(_below(other))
    assert _line(text, "windy-oak")[1:] == ["0.610", "0.944", "0.900", "10.17", "0.00"]
    assert "acc original" not in text


def test_every_tuned_system_has_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    import systems

    third = systems.Trained(
        name="third_fine_tuned",
        short="few-general",
        title="the model tuned on a third set of rows",
        kind="tuned",
        rows=Path("data/third.parquet"),
        folder=Path("models/third_fine_tuned"),
    )
    declared = systems.declared
    monkeypatch.setattr(systems, "declared", lambda task: (*declared(task), third))
    shown = [_entry("workspace")]
    headline = shown[0]["data"]["metrics"]["metrics/headline.json"]["data"]
    headline |= {"few_general_acc": 0.123, "few_general_forgot": 4.56}
    text = _printed(shown)
    assert _line(text, "workspace")[1:] == ["0.944", "0.900", "0.123", "10.17", "0.00", "4.56"]
    assert text.count("few-general") == 2


def test_a_run_of_another_task_has_columns_of_its_own() -> None:
    other = _entry("3" * 40, "moods", profile="moods")
    del other["data"]["params"]["profiles/pocket.yaml"]
    other["data"]["params"]["profiles/moods.yaml"] = {"data": {"task": "emotion"}}
    headline = {"emotion_acc": 0.512, "emotion_forgot": 9.87, "mixed_acc": 0.501}
    other["data"]["metrics"]["metrics/headline.json"]["data"] = headline
    text = _printed([_entry("workspace"), other], width=200)
    assert _line(text, "moods")[1:7] == ["moods", "-", "-", "0.501", "0.512", "-"]
    assert "9.87" in _line(text, "moods")
    assert _line(text, "workspace")[1:7] == ["pocket", "0.646", "0.944", "0.900", "-", "10.17"]


@pytest.mark.parametrize("task", ["mixed", None])
def test_a_task_that_can_be_none_breaks_no_table(task: str | None) -> None:
    other = _entry("1" * 40, "windy-oak")
    other["data"]["params"]["profiles/pocket.yaml"]["data"]["task"] = task
    assert _line(_printed(_below(other, state="failed")), "windy-oak")[1] == "failed"


@pytest.mark.parametrize("state", ["failed", "queued", "running"])
def test_a_run_that_has_not_succeeded_shows_its_state_and_no_numbers(state: str) -> None:
    # DVC shows the commit's metrics for such a run.
    text = _printed(_below(_entry("1" * 40, "windy-oak", rate=0.0005), state=state))
    assert _line(text, "windy-oak") == ["windy-oak", state, "0.0005", *["-"] * 4]
    assert _line(text, "main")[1] == "success"
    assert ("dvc queue logs windy-oak" in text) == (state == "failed")
    assert ("dvc queue start" in text) == (state == "queued")


def test_a_run_without_the_last_stage_shows_no_numbers_of_another_run() -> None:
    other = _entry("1" * 40, "training-seed-43", 0.875)
    other["data"]["outs"]["predictions/mixed_fine_tuned"] = {"hash": "of other answers"}
    text = _printed(_below(other))
    assert _line(text, "training-seed-43")[1:5] == ["0.944", "-", "10.17", "-"]
    assert "-: `compare` has not run since" in text
    other["data"]["outs"]["predictions/original_pretrained"] = {"hash": "of other answers"}
    assert _line(_printed(_below(other)), "training-seed-43")[1:5] == ["-", "0.944", "-", "-"]
    assert "-: `compare` has not run" not in _printed(SHOWN)


def test_a_run_with_another_profile_shows_only_the_profile() -> None:
    other = _entry("3" * 40, "large", profile="mistral-7b")
    profile = other["data"]["params"].pop("profiles/pocket.yaml")
    other["data"]["params"]["profiles/mistral-7b.yaml"] = profile
    text = _printed([_entry("workspace", profile="pocket"), other])
    assert "mistral-7b" in text
    assert "learning_" not in text


# --- width and advice ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "share", "setting"),
    [
        (640, None, "mix.general_rows=320"),
        (300, None, "mix.general_rows=150"),
        (1, None, "mix.general_rows=2"),
        (None, 0.3, "mix.general_share=0.15"),
        (None, 0, "mix.general_share=0.5"),
    ],
)
def test_without_an_experiment_it_advises_a_value_that_is_not_set(
    rows: int | None, share: float | None, setting: str
) -> None:
    mix = {"general_rows": rows, "general_share": share}
    text = _printed([_entry("workspace", mix=mix), _entry("0" * 40, "main", mix=mix)])
    assert f"dvc exp run -S {setting}\n" in text
    assert another_setting({}) is None
    assert "dvc exp run" not in _printed(_below(_entry("1" * 40, "windy-oak", mix=mix)))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_it_fits_the_terminal_whatever_differs(width: int) -> None:
    names = ("mix", "seed", "prompt_format", "general_share", "margin")
    settings: dict[str, Any] = dict.fromkeys(names, 0.125)
    other = _entry("1" * 40, "unhandsome-firs", rate=0.0005, **settings)
    other["data"]["metrics"]["metrics/headline.json"]["data"]["original_acc"] = 0.61
    empty = {"rev": "2" * 40, "name": "empty", "data": None, "experiments": None}
    others: dict[str, Any] = dict.fromkeys(names, 12)
    default = _entry("workspace", **others)
    shown = [default, *_below(other, state="success"), *_below(empty, state="failed")]
    tables = _printed(shown, width).partition("acc: ")[0]
    assert max(map(len, tables.splitlines())) <= width
    # Two tables if one would cut or fold a number or a setting.
    rows = [line.split() for line in tables.splitlines() if line.startswith("  unhandsome-firs")]
    first = ["unhandsome-firs", "success", *["0.125"] * 5, "0.0005"]
    numbers = ["0.610", "0.944", "0.900", "10.17", "0.00"]
    if width == 140:
        assert rows == [first + numbers]
    else:
        assert rows == [first, ["unhandsome-firs", "success", *numbers]]


# --- a repository -------------------------------------------------------------------------------

STAGE = """\
import json, yaml
rows = yaml.safe_load(open("params.yaml"))["mix"]["general_rows"]
headline = {"sentiment_acc": 0.944, "mixed_acc": rows / 1000, "mixed_forgot": 1.5}
headline |= {"original_acc": 0.646, "mixed_macro": rows / 1001, "mixed_invalid": 0.0}
json.dump(headline, open("metrics/headline.json", "w"))
"""
PIPELINE = {
    "stages": {
        "compare": {
            "cmd": "python stage.py",
            "deps": ["stage.py"],
            "params": ["mix", {"profiles/${profile}.yaml": ["train.epochs"]}],
            "metrics": [{"metrics/headline.json": {"cache": False}}],
        }
    },
    "params": ["profiles/${profile}.yaml"],
}


@pytest.fixture(scope="module")
def experiments(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with four experiments.

    "half" was applied and committed, and "quarter" ran after it. "lost" changed a profile that is not in
    use. "later" waits in the queue.
    """
    folder = tmp_path_factory.mktemp("experiments")
    shutil.copytree(repo / "profiles", folder / "profiles")
    shutil.copyfile(repo / "params.yaml", folder / "params.yaml")
    (folder / "metrics").mkdir()
    (folder / "stage.py").write_text(STAGE, encoding="utf-8")
    (folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        patch.setenv("PATH", path)
        patch.setenv("PYTHONPATH", str(repo / "stages"))
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc-site")))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Test")
            patch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
        run(folder, "git init --quiet --initial-branch main")
        run(folder, "dvc init --quiet")
        run(folder, "dvc repro --quiet")
        commit(folder, "The study, run")
        run(folder, "dvc exp run --quiet --name lost -S profiles/laptop.yaml:train.epochs=2")
        run(folder, "git checkout --quiet .")
        run(folder, "dvc exp run --quiet --name half -S mix.general_rows=320")
        commit(folder, "Half of the general rows")
        run(folder, "dvc exp run --quiet --name quarter -S mix.general_rows=160")
        run(folder, "git checkout --quiet .")
        run(folder, "dvc exp run --quiet --queue --name later -S mix.general_rows=80")
        yield folder


def run(folder: Path, command: str) -> str:
    process = subprocess.run(
        command.split(), cwd=folder, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, f"{command}:\n{process.stdout}\n{process.stderr}"
    return process.stdout


def commit(folder: Path, message: str) -> None:
    run(folder, "git add --all")
    subprocess.run(["git", "commit", "--quiet", "-m", message], cwd=folder, check=True)


def show(folder: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    """What `make compare` prints in a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(width))
    return run(folder, f"{sys.executable} {repo}/scripts/compare_experiments.py")


def test_experiments_stay_in_the_table_after_one_is_applied_and_committed(
    experiments: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = show(experiments, repo, monkeypatch, 100)
    lines = [line for line in text.splitlines() if " success " in line or " queued " in line]
    older = run(experiments, "git rev-parse HEAD~1")[:9]
    table = [(line.split()[0], line.startswith("  "), line.split()[2]) for line in lines]
    assert table[:4] == [
        ("workspace", False, "320"),
        ("main", False, "320"),
        ("quarter", True, "160"),
        ("later", True, "80"),
    ]
    assert table[4] == (older, False, "640")
    assert sorted(table[5:]) == [("half", True, "320"), ("lost", True, "640")]
    assert "No experiment" not in text


def test_a_change_of_a_profile_that_is_not_in_use_is_reported(
    experiments: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = show(experiments, repo, monkeypatch, 200)
    note = "changes profiles/laptop.yaml, but uses profiles/pocket.yaml"
    assert [line for line in text.splitlines() if " changes " in line] == [f"lost: {note}"]


def test_it_is_as_wide_as_the_terminal_and_100_columns_without_one(
    experiments: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(map(len, show(experiments, repo, monkeypatch, 200).splitlines())) > 70
    assert max(map(len, show(experiments, repo, monkeypatch, 70).splitlines())) <= 70
    monkeypatch.delenv("COLUMNS")
    text = run(experiments, f"{sys.executable} {repo}/scripts/compare_experiments.py")
    assert 70 < max(map(len, text.splitlines())) <= 100


def test_dvcs_own_table_shows_a_sweep_at_120_columns(
    experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = run(experiments, "dvc exp show --only-changed --no-pager --hide-queued")
    assert max(map(len, text.splitlines())) <= 120
    heading = text.splitlines()[1].split()
    assert heading == ["Experiment", "Created", "mixed_acc", "mixed_macro", "mix.general_rows"]
    (line,) = [line for line in text.splitlines() if "[quarter]" in line]
    assert line.split()[-3:] == ["0.16", "0.15984", "160"]
    assert json.loads(run(experiments, "dvc metrics diff HEAD~1 HEAD --json")).keys() == {
        "metrics/headline.json"
    }
