"""The outputs of the whole pipeline at toy size: tables, metrics, reports, charts, models, equal bytes."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import vl_convert
from plots_page import VEGA_LITE

from pages.console import WIDTH
from rows import answers, prepared
from rows.instructions import INSTRUCTIONS
from rows.replicates import REPLICATES
from stats.confusion import METRICS

from .conftest import ALL, CLASSIFIERS, MODELS, Command, answers_in, dvc, stages_run


def test_a_second_run_runs_nothing(finished: Path, run_in: Command) -> None:
    assert stages_run(run_in, finished) == set()


def test_it_needs_no_network(finished: Path, no_network: tuple[str, ...]) -> None:
    if not no_network:
        pytest.skip("no network namespace may be made here (unshare --map-root-user --net)")
    assert (finished / "reports/summary.txt").is_file()  # see `finished`; tests/test_no_network.py


def test_git_ignores_the_outputs_of_stages(finished: Path, run_in: Command) -> None:
    assert run_in(finished, "git", "status", "--short").stdout == ""
    tracked = run_in(finished, "git", "ls-files").stdout.split()
    stored = ("models/", "predictions/", "curves/", "reports/", "logs/", "data/prepared/")
    assert not [file for file in tracked if file.startswith(stored)]
    assert {"dvc.lock", "metrics/headline.json", "metrics/systems.json"} <= set(tracked)


@pytest.mark.faults
def test_it_gives_the_same_bytes_in_other_surroundings(
    finished: Path,
    toy_study: Callable[[Path], None],
    run_in: Command,
    tmp_path: Path,
    threads_change_bits: bool,
) -> None:
    """Another folder, home, locale, time zone, hash seed, umask and other arithmetic settings.

    Also two threads instead of one, if they do not change this processor's bits (they do on AMD).
    """
    folder = tmp_path / "andere Wörter" / "study"
    toy_study(folder)
    (tmp_path / "home").mkdir()
    surroundings = {
        "HOME": str(tmp_path / "home"),
        "USER": "somebody",
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
        "PYTHONHASHSEED": "7",
        "MKL_CBWR": "COMPATIBLE",
        "ATEN_CPU_CAPABILITY": "default",
        "OPENBLAS_CORETYPE": "Sandybridge",
        "OMP_NUM_THREADS": "1" if threads_change_bits else "2",
    }
    previous = os.umask(0o027)
    try:
        run_in(folder, "python", "-m", "dvc", "repro", **surroundings)
    finally:
        os.umask(previous)
    assert (folder / "dvc.lock").read_text() == (finished / "dvc.lock").read_text()


def test_every_table_has_the_schema_of_its_contract(finished: Path) -> None:
    contract = {
        "data/prepared/rejected.parquet": prepared.REJECTED,
        "data/prepared/raters.parquet": prepared.RATERS,
        "data/prepared/general_sources.parquet": prepared.GENERAL_SOURCES,
        "data/instructions/labelled/wordings.parquet": INSTRUCTIONS,
        "data/mixed/train.parquet": INSTRUCTIONS,
    }
    for split in ("train", "validation", "test"):
        contract[f"data/prepared/labelled/{split}.parquet"] = prepared.LABELLED
        contract[f"data/instructions/labelled/{split}.parquet"] = INSTRUCTIONS
    for split in ("train", "test"):
        contract[f"data/prepared/general/{split}.parquet"] = prepared.GENERAL
        contract[f"data/instructions/general/{split}.parquet"] = INSTRUCTIONS
    for system in (*MODELS, *CLASSIFIERS):
        contract[f"predictions/{system}/labelled.parquet"] = answers.LABELLED_PREDICTIONS
    for system in MODELS:
        contract[f"predictions/{system}/general.parquet"] = answers.GENERAL_PREDICTIONS
        contract[f"predictions/{system}/ten.parquet"] = answers.TEN_PREDICTIONS
        contract[f"predictions/{system}/hundred.parquet"] = answers.TEN_PREDICTIONS
        contract[f"predictions/{system}/validation.parquet"] = answers.SCORES
        contract[f"predictions/{system}/wordings.parquet"] = answers.SCORES
        contract[f"predictions/{system}/likelihoods.parquet"] = answers.LIKELIHOODS
        contract[f"predictions/{system}/tokens.parquet"] = answers.TOKENS
    contract["predictions/original_few_shot/examples.parquet"] = answers.EXAMPLES
    contract["predictions/original_pretrained/states.parquet"] = answers.STATES
    contract["data/replicates/predictions.parquet"] = REPLICATES
    tables = {str(path.relative_to(finished)) for path in finished.glob("*/**/*.parquet")}
    assert {path for path in tables if not path.startswith(".dvc/")} == set(contract)
    for path, schema in contract.items():
        assert pq.read_schema(finished / path).equals(schema), path
    for system in (*MODELS, *CLASSIFIERS):
        table = pq.read_table(finished / f"predictions/{system}/labelled.parquet")
        test = pq.read_table(finished / "data/prepared/labelled/test.parquet")
        assert table["row_id"].to_pylist() == test["row_id"].to_pylist()


@pytest.mark.parametrize("system", [*MODELS, *CLASSIFIERS])
def test_metrics_of_every_system(finished: Path, system: str) -> None:
    metrics = _json(finished / f"metrics/evaluate/{system}.json")
    scores = {metric.key for metric in METRICS} | {"n"}
    assert scores > {"accuracy", "f1", "precision", "recall", "macro_f1"}
    assert scores <= metrics.keys()
    assert metrics["n"] == 24
    rows = pq.read_table(finished / f"predictions/{system}/labelled.parquet").to_pylist()
    right = sum(row["scored"] == row["label"] for row in rows)
    assert metrics["accuracy"] == pytest.approx(right / len(rows))
    if system in MODELS:
        assert scores | {"invalid_rate"} <= metrics["generated"].keys()
        general = {"exact_seen", "n_seen", "exact_held_out", "n_held_out", "bare_label_rate"}
        assert general <= metrics["general"].keys()
        assert (metrics["general"]["n_seen"], metrics["general"]["n_held_out"]) == (6, 4)


def test_metrics_of_the_other_stages(finished: Path) -> None:
    metrics = finished / "metrics"
    expected = {"labelled", "general", "tasks", "labels", "contradictions"}
    assert _json(metrics / "prepare.json").keys() == expected | {"n_test", "smallest_difference"}
    compared = _json(metrics / "compare.json")
    assert compared["systems"].keys() == {*MODELS, *CLASSIFIERS}
    assert len(compared["pairs"]) == 36
    assert 0 <= _json(metrics / "label_noise.json")["upper_bound"] <= 1
    for which, rows in (("sentiment", 24), ("mixed", 36)):
        account = _json(metrics / f"train_{which}.json")
        assert account["rows"] == rows
        assert account["trainable_parameters"] < account["total_parameters"]
        assert account["validation_loss"] < 12  # about ln 32000 at the start
        curves = finished / f"curves/{which}_fine_tuned"
        for name in ("train", "validation"):
            assert (curves / f"{name}.csv").read_text().startswith("step,loss\n")
    account = _json(metrics / "train_encoder.json")
    assert (account["rows"], account["steps"]) == (24, 8)
    assert account["truncated_rows"] in range(25)
    assert account["trainable_parameters"] < account["total_parameters"]
    curve = (finished / "curves/encoder_fine_tuned/train.csv").read_text().splitlines()
    assert curve[0] == "step,loss"
    assert len(curve) == 1 + account["steps"]


def test_the_report_cards_and_logs(finished: Path) -> None:
    summary = (finished / "reports/summary.txt").read_text(encoding="utf-8")
    table = (finished / "reports/results.md").read_text(encoding="utf-8")
    for system in (*MODELS, *CLASSIFIERS):
        assert system in table.replace("\\_", "_")
    assert max(map(len, summary.splitlines())) <= WIDTH
    reports = {str(path.relative_to(finished)) for path in (finished / "reports").rglob("*.*")}
    named = {f"reports/{name}" for name in re.findall(r"figures/\w+\.svg", table)}
    assert named | {"reports/ten-instructions.md", "reports/suspicious-rows.csv"} < reports
    for which in ("sentiment", "mixed"):
        card = (finished / f"reports/cards/{which}_fine_tuned.md").read_text(encoding="utf-8")
        assert "labelled rows, 24 of them in training" in card
        assert ("general instructions, " in card) == (which == "mixed")
        assert f"dvc repro train_{which}" in card
    card = (finished / "reports/cards/encoder_fine_tuned.md").read_text(encoding="utf-8")
    assert "labelled rows, 24 of them in training" in card
    assert "dvc repro train_encoder" in card
    assert "LoRA" not in card
    logs = {path.stem for path in (finished / "logs").glob("*.json")}
    assert logs == {name.replace("@", "_") for name in ALL}


class Page(HTMLParser):
    """The addresses that a page of `dvc plots` refers to, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.scripts[-1] += data


@pytest.mark.parametrize("command", ["show", "diff"])
def test_charts_are_drawn_without_a_network(
    finished: Path, run_in: Command, tmp_path: Path, command: str
) -> None:
    run_in(finished, "python", "scripts/plots_page.py", ".dvc/plots.html")
    dvc(run_in, finished, "plots", command, "--out", str(tmp_path))
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses == []
    assert "window.vegaEmbed=" in page.scripts[0]
    charts = [re.search(r"var spec = (\{.*\});\n", script) for script in page.scripts[1:]]
    assert len(charts) == 2 + len(MODELS) + len(
        CLASSIFIERS
    )  # two charts of losses and accuracies come first
    for chart in charts:
        assert chart
        drawn = vl_convert.vegalite_to_svg(json.loads(chart[1]), vl_version=VEGA_LITE)
        assert "aria-roledescription" in drawn  # the chart contains a mark
    for system in (*MODELS, *CLASSIFIERS):
        assert f"predictions/{system}/confusion.csv" in text
    assert "Loss on answers" in text


def test_every_model_loads_and_answers(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, pipeline

    monkeypatch.chdir(finished)
    assert AutoModelForCausalLM.from_pretrained("models/base").config.model_type == "mistral"
    for name in ("sentiment", "mixed"):
        answers_in(Path(f"models/{name}_fine_tuned"))
    classify = pipeline("text-classification", model="models/encoder_fine_tuned", device="cpu")
    assert classify("It made my day")[0]["label"] in ("negative", "positive")


@pytest.fixture(scope="module")
def by_hand(finished: Path, run_in: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a training ran as a plain script, without DVC."""
    folder = tmp_path_factory.mktemp("by-hand")
    for name in ("data/instructions", "models/base", "stages", "profiles"):
        shutil.copytree(finished / name, folder / name)
    shutil.copyfile(finished / "params.yaml", folder / "params.yaml")
    run_in(folder, "python", "stages/train.py", "sentiment")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "models/sentiment_fine_tuned/adapter_model.safetensors",
        "models/sentiment_fine_tuned/adapter_config.json",
        "curves/sentiment_fine_tuned/train.csv",
        "curves/sentiment_fine_tuned/validation.csv",
        "metrics/train_sentiment.json",
    ],
)
def test_a_stage_run_by_hand_gives_the_same_bytes(finished: Path, by_hand: Path, name: str) -> None:
    assert _sha256(by_hand / name) == _sha256(finished / name)


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
