"""Other machines and experiments: a remote, settings that differ, additional training seeds."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dvc import api as dvc_api

from rows.replicates import REPLICATES

from .conftest import Command, answers_in, dvc, stages_run

REPO = Path(__file__).resolve().parents[2]


@pytest.mark.faults
def test_models_come_from_a_remote_and_need_no_run(
    workspace: Path, run_in: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = ("remote", "add", "--local", "--default", "folder", str(tmp_path / "remote"))
    clone = tmp_path / "clone"
    dvc(run_in, workspace, *remote)
    dvc(run_in, workspace, "push")
    run_in(tmp_path, "git", "clone", "--quiet", str(workspace), str(clone))
    assert not (clone / "models").exists()
    dvc(run_in, clone, *remote)
    dvc(run_in, clone, "pull")
    assert stages_run(run_in, clone) == set()
    assert json.loads(dvc(run_in, clone, "status", "--json")) == {}
    assert run_in(clone, "git", "status", "--short").stdout == ""
    monkeypatch.chdir(clone)
    answers_in(Path("models/sentiment_fine_tuned"))


def test_a_change_of_the_profile_is_a_difference(workspace: Path, run_in: Command) -> None:
    profile = workspace / "profiles/pocket.yaml"
    text = profile.read_text(encoding="utf-8")
    assert "    label_values:\n      0: negative" in text  # DVC cannot read such a file by sections
    changed = text.replace("learning_rate: 0.0015", "learning_rate: 0.25")
    profile.write_text(changed, encoding="utf-8")
    params = run_in(workspace, "python", "-m", "dvc", "params", "diff")
    assert params.stderr == ""
    assert [line.split() for line in params.stdout.splitlines()[1:]] == [
        ["profiles/pocket.yaml", "train.learning_rate", "0.0015", "0.25"]
    ]


def test_an_experiment_is_shown_and_compared(workspace: Path, run_in: Command) -> None:
    setting = "compare.confidence"
    dvc(run_in, workspace, "exp", "run", "--name", "narrow", "--set-param", f"{setting}=0.9")

    rows = list(csv.DictReader(io.StringIO(dvc(run_in, workspace, "exp", "show", "--csv"))))
    shown = {row["Experiment"] or row["rev"]: row for row in rows}
    assert {name: row[setting] for name, row in shown.items()} == {
        "workspace": "0.9",
        "main": "0.95",
        "narrow": "0.9",
    }

    # DVC lists only the headline, which contains no interval.
    metrics = json.loads(dvc(run_in, workspace, "metrics", "show", "--json"))
    (files,) = (revision["data"] for revision in metrics.values())
    assert files.keys() == {"metrics/headline.json"}
    headline = files["metrics/headline.json"]["data"]
    assert {"original_acc", "mixed_acc", "mixed_forgot"} <= headline.keys()
    assert len(headline) <= 12
    assert json.loads(dvc(run_in, workspace, "metrics", "diff", "--json")) == {}
    before = dvc_api.read("metrics/compare.json", repo=str(workspace), rev="main")
    low = [
        content["systems"]["majority"]["accuracy_low"]
        for content in (json.loads(before), _json(workspace / "metrics/compare.json"))
    ]
    assert low[1] > low[0]

    compare = ("python", "scripts/compare_experiments.py")
    comparison = run_in(workspace, *compare, PYTHONPATH="stages").stdout
    assert max(map(len, comparison.splitlines())) <= 100
    assert re.search(r"narrow +0\.9 ", comparison)
    assert re.search(r"main +0\.95 ", comparison)
    assert "learning_rate" not in comparison  # equal in all runs
    accuracy = _json(workspace / "metrics/evaluate/mixed_fine_tuned.json")["accuracy"]
    assert comparison.count(f"{accuracy:.3f}") >= 3


def test_exp_show_fits_120_columns_when_both_tuned_models_change(
    workspace: Path, run_in: Command
) -> None:
    (command,) = re.findall(
        "^dvc (exp show .*?)'(.*?)'", (REPO / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    path = workspace / "metrics/headline.json"
    headline = {
        key: value / 2 + 0.1234 if key.startswith(("sentiment", "mixed")) else value
        for key, value in _json(path).items()
    }
    path.write_text(json.dumps(headline), encoding="utf-8")
    profile = workspace / "profiles/pocket.yaml"
    text = profile.read_text(encoding="utf-8")
    changed = text.replace("learning_rate: 0.0015", "learning_rate: 0.25")
    profile.write_text(changed, encoding="utf-8")
    words = ("python", "-m", "dvc", *command[0].split(), command[1], "--no-pager")
    table = run_in(workspace, *words, COLUMNS="120").stdout
    assert max(map(len, table.splitlines())) <= 120
    assert "…" not in table
    for column in ("sentiment_acc", "sentiment_forgot", "mixed_acc", "mixed_forgot"):
        assert f" {column} " in table
    assert "train.learning_rate" in table
    assert "sentiment_macro" not in table


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.faults
def test_replicates_train_with_more_seeds_and_are_in_the_report(
    workspace: Path, run_in: Command
) -> None:
    report = workspace / "reports/results.md"
    assert "`make replicates N=3` trains the tuned models again" in report.read_text(
        encoding="utf-8"
    )
    command = ("python", "scripts/replicates.py", "2")
    run_in(workspace, *command, PYTHONPATH="stages")
    rows = pq.read_table(workspace / "data/replicates/predictions.parquet").to_pylist()
    assert {(row["system"], row["training_seed"]) for row in rows} == {
        ("sentiment_fine_tuned", 43),
        ("mixed_fine_tuned", 43),
    }
    assert len(rows) == 2 * 24
    text = report.read_text(encoding="utf-8")
    assert "| seed 42 | seed 43 | mean | standard deviation |" in text
    assert "The tuned models, trained under 2 seeds" in text
    # The study's models do not change; only compare ran again.
    changed = run_in(workspace, "git", "status", "--short").stdout.split()
    assert {name for name in changed if "/" in name or "." in name} == {
        "data/replicates/predictions.parquet",
        "dvc.lock",
    }
    assert "already done" in run_in(workspace, *command, PYTHONPATH="stages").stdout


def test_replicates_of_another_recipe_are_left_out(workspace: Path, run_in: Command) -> None:
    test = pq.read_table(workspace / "data/prepared/labelled/test.parquet")
    columns = {
        "recipe": ["of another"] * 48,
        "training_seed": [43] * 48,
        "system": ["sentiment_fine_tuned"] * 24 + ["mixed_fine_tuned"] * 24,
        "row_id": test["row_id"].to_pylist() * 2,
        "scored": test["label"].to_pylist() * 2,
    }
    path = workspace / "data/replicates/predictions.parquet"
    pq.write_table(pa.table(columns, schema=REPLICATES), path)
    assert stages_run(run_in, workspace) == {"compare"}
    text = (workspace / "reports/results.md").read_text(encoding="utf-8")
    assert "`make replicates N=3` trains the tuned models again" in text
