"""The whole pipeline at toy size: what it leaves, what each change reruns, remotes and experiments."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import vl_convert
from compare_experiments import MODELS as SHOWN
from compare_experiments import TUNED
from dvc import api as dvc_api
from plots_page import VEGA_LITE

from lm.fingerprint import differing
from pages.tables import WIDTH
from rows import tables

Command = Callable[..., subprocess.CompletedProcess[str]]

EVALUATE = {
    "evaluate@original_pretrained",
    "evaluate@original_few_shot",
    "evaluate@sentiment_fine_tuned",
    "evaluate@mixed_fine_tuned",
}
ANSWER = EVALUATE | {"probe"}
TRAIN = {"train_sentiment", "train_mixed"}
ALL = {"prepare", "instructify", "mix", "preflight", "base_model", "probe", "baselines", "compare"}
ALL |= TRAIN | EVALUATE
MODELS = [name.removeprefix("evaluate@") for name in sorted(EVALUATE)]
BASELINES = ["original_probe", "majority", "tfidf_logistic", "vader_lexicon"]


def dvc(run_in: Command, folder: Path, *arguments: str) -> str:
    return run_in(folder, "python", "-m", "dvc", *arguments).stdout


def stages_run(run_in: Command, folder: Path, under: tuple[str, ...] = ()) -> set[str]:
    """`dvc repro`, where that is said under another command: the stages whose command was really run."""
    told = run_in(folder, *under, "python", "-m", "dvc", "repro").stdout
    return set(re.findall(r"^Running stage '(.+)':$", told, re.MULTILINE))


@pytest.fixture(scope="module")
def finished(
    toy_study: Callable[[Path], None],
    run_in: Command,
    no_network: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The toy study, run once, without a network where that can be, and committed. No test changes it."""
    folder = tmp_path_factory.mktemp("pipeline") / "study"
    toy_study(folder)
    assert stages_run(run_in, folder, no_network) == ALL
    run_in(folder, "git", "add", "--all")
    run_in(folder, "git", "commit", "--quiet", "--message", "The study, run")
    return folder


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "study", symlinks=True))


@pytest.fixture(scope="module")
def status(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., set[str]]:
    """In a copy, replace `old` by `new` in a file; give the stages that DVC calls changed; undo it."""
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("changes") / "study"
    shutil.copytree(finished, folder, symlinks=True)
    shutil.copyfile(folder / "templates/sentiment.yaml", folder / "templates/other.yaml")

    def status(file: str, old: str, new: str) -> set[str]:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        try:
            with Repo(str(folder)) as repo:
                return {name.rsplit(":", 1)[-1] for name in repo.status()}
        finally:
            (folder / file).write_text(text, encoding="utf-8")

    return status


# --- what it leaves ---------------------------------------------------------------------------


def test_a_second_run_runs_nothing(finished: Path, run_in: Command) -> None:
    assert stages_run(run_in, finished) == set()


def test_it_needs_no_network(finished: Path, no_network: tuple[str, ...]) -> None:
    if not no_network:
        pytest.skip("no network namespace may be made here (unshare --map-root-user --net)")
    assert (finished / "reports/summary.txt").is_file()  # see `finished`; tests/test_no_network.py


def test_nothing_that_a_stage_writes_is_left_for_git_to_find(
    finished: Path, run_in: Command
) -> None:
    assert run_in(finished, "git", "status", "--short").stdout == ""
    tracked = run_in(finished, "git", "ls-files").stdout.split()
    stored = ("models/", "predictions/", "curves/", "reports/", "logs/", "data/prepared/")
    assert not [file for file in tracked if file.startswith(stored)]
    assert {"dvc.lock", "metrics/prepare.json", "metrics/compare.json"} <= set(tracked)


def test_it_gives_the_same_bytes_in_other_surroundings(
    finished: Path, toy_study: Callable[[Path], None], run_in: Command, tmp_path: Path
) -> None:
    """Another folder, home, locale, time zone, hash seed and umask, and other settings of arithmetic.

    Two threads for one as well, where the processor keeps its bits then: AMD's does not.
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
        "OMP_NUM_THREADS": "1" if differing() else "2",
    }
    was = os.umask(0o027)
    try:
        run_in(folder, "python", "-m", "dvc", "repro", **surroundings)
    finally:
        os.umask(was)
    assert (folder / "dvc.lock").read_text() == (finished / "dvc.lock").read_text()


def test_every_table_has_the_schema_of_its_contract(finished: Path) -> None:
    contract = {
        "data/prepared/rejected.parquet": tables.REJECTED,
        "data/prepared/raters.parquet": tables.RATERS,
        "data/instructions/labelled/wordings.parquet": tables.INSTRUCTIONS,
        "data/mixed/train.parquet": tables.INSTRUCTIONS,
    }
    for split in ("train", "validation", "test"):
        contract[f"data/prepared/labelled/{split}.parquet"] = tables.LABELLED
        contract[f"data/instructions/labelled/{split}.parquet"] = tables.INSTRUCTIONS
    for split in ("train", "test"):
        contract[f"data/prepared/general/{split}.parquet"] = tables.GENERAL
        contract[f"data/instructions/general/{split}.parquet"] = tables.INSTRUCTIONS
    for system in (*MODELS, *BASELINES):
        contract[f"predictions/{system}/labelled.parquet"] = tables.LABELLED_PREDICTIONS
    for system in MODELS:
        contract[f"predictions/{system}/general.parquet"] = tables.GENERAL_PREDICTIONS
        contract[f"predictions/{system}/ten.parquet"] = tables.TEN_PREDICTIONS
        contract[f"predictions/{system}/hundred.parquet"] = tables.TEN_PREDICTIONS
        contract[f"predictions/{system}/validation.parquet"] = tables.SCORES
        contract[f"predictions/{system}/wordings.parquet"] = tables.SCORES
        contract[f"predictions/{system}/likelihoods.parquet"] = tables.LIKELIHOODS
        contract[f"predictions/{system}/tokens.parquet"] = tables.TOKENS
    contract["predictions/original_pretrained/states.parquet"] = tables.STATES
    contract["data/replicates/predictions.parquet"] = tables.REPLICATES
    found = {str(path.relative_to(finished)) for path in finished.glob("*/**/*.parquet")}
    assert {path for path in found if not path.startswith(".dvc/")} == set(contract)
    for path, schema in contract.items():
        assert pq.read_schema(finished / path).equals(schema), path
    for system in (*MODELS, *BASELINES):
        table = pq.read_table(finished / f"predictions/{system}/labelled.parquet")
        test = pq.read_table(finished / "data/prepared/labelled/test.parquet")
        assert table["row_id"].to_pylist() == test["row_id"].to_pylist()


@pytest.mark.parametrize("system", [*MODELS, *BASELINES])
def test_metrics_of_every_system(finished: Path, system: str) -> None:
    metrics = _json(finished / f"metrics/evaluate/{system}.json")
    scores = {"accuracy", "f1", "precision", "recall", "macro_f1", "n"}
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
    told = {"labelled", "general", "tasks", "labels", "contradictions"}
    assert _json(metrics / "prepare.json").keys() == told | {"n_test", "smallest_difference"}
    compared = _json(metrics / "compare.json")
    assert compared["systems"].keys() == {*MODELS, *BASELINES}
    assert len(compared["pairs"]) == 28
    assert 0 <= _json(metrics / "label_noise.json")["upper_bound"] <= 1
    for which, rows in (("labelled", 24), ("mixed", 36)):
        account = _json(metrics / f"train_{which}.json")
        assert account["rows"] == rows
        assert account["trainable_parameters"] < account["total_parameters"]
        assert account["validation_loss"] < 12  # about ln 32000 at the start
        curves = finished / f"curves/{which}_fine_tuned"
        for name in ("train", "validation"):
            assert (curves / f"{name}.csv").read_text().startswith("step,loss\n")


def test_the_report_and_the_figures_of_clock_and_machine(finished: Path) -> None:
    summary = (finished / "reports/summary.txt").read_text(encoding="utf-8")
    table = (finished / "reports/results.md").read_text(encoding="utf-8")
    for system in (*MODELS, *BASELINES):
        assert system in table.replace("\\_", "_")
    assert max(map(len, summary.splitlines())) <= WIDTH
    reports = {str(path.relative_to(finished)) for path in (finished / "reports").rglob("*.*")}
    named = {f"reports/{name}" for name in re.findall(r"figures/\w+\.svg", table)}
    assert named | {"reports/ten-instructions.md", "reports/suspicious-rows.csv"} < reports
    for which in ("labelled", "mixed"):
        card = (finished / f"reports/cards/{which}_fine_tuned.md").read_text(encoding="utf-8")
        assert "labelled rows, 24 of them in training" in card
        assert ("general instructions, " in card) == (which == "mixed")
        assert f"dvc repro train_{which}" in card
    logs = {path.stem for path in (finished / "logs").glob("*.json")}
    assert logs == {name.replace("@", "_") for name in ALL}


class Page(HTMLParser):
    """What a page of `dvc plots` asks for, and its scripts."""

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
    assert len(charts) == 1 + len(MODELS) + len(BASELINES)
    for chart in charts:
        assert chart
        drawn = vl_convert.vegalite_to_svg(json.loads(chart[1]), vl_version=VEGA_LITE)
        assert "aria-roledescription" in drawn  # a mark, of a line or a cell
    for system in (*MODELS, *BASELINES):
        assert f"predictions/{system}/confusion.csv" in text
    assert "Loss on answers" in text


def test_every_model_loads_and_answers(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(finished)
    assert AutoModelForCausalLM.from_pretrained("models/base").config.model_type == "mistral"
    for name in ("labelled", "mixed"):
        _answers_in(Path(f"models/{name}_fine_tuned"))


@pytest.fixture(scope="module")
def by_hand(finished: Path, run_in: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training run as a plain script, without DVC."""
    folder = tmp_path_factory.mktemp("by-hand")
    for name in ("data/instructions", "models/base", "stages", "profiles"):
        shutil.copytree(finished / name, folder / name)
    shutil.copyfile(finished / "params.yaml", folder / "params.yaml")
    run_in(folder, "python", "stages/train.py", "labelled")
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


# --- one-line changes, and exactly the stages that each makes DVC rerun ---------------------------
# What comes after them reruns too, where their results differ.

POCKET = "profiles/pocket.yaml"
COMMENT = ("", "# a comment\n")  # put at the file's beginning
CHANGES: dict[str, tuple[str, str, str, set[str]]] = {
    "nothing": ("params.yaml", "\nseed: 42", "\nseed: 42", set()),
    "seed": (
        *("params.yaml", "\nseed: 42", "\nseed: 43"),
        ALL - {"preflight", "base_model"} - TRAIN,
    ),
    "prompt_format": (
        *("params.yaml", "prompt_format: alpaca", "prompt_format: chat"),
        {"instructify", "compare"} | TRAIN | ANSWER,
    ),
    "another profile": ("params.yaml", "profile: pocket", "profile: unused", ALL - {"mix"}),
    "max_rejected_share": ("params.yaml", "share: 0.01", "share: 0.02", {"prepare"}),
    "other templates": (
        *("params.yaml", "templates/sentiment.yaml", "templates/other.yaml"),
        {"instructify", "compare"} | EVALUATE,
    ),
    "general_rows": ("params.yaml", "general_rows: 12", "general_rows: 13", {"mix"}),
    "confidence": ("params.yaml", "confidence: 0.95", "confidence: 0.9", {"compare"}),
    "take": (POCKET, "train: 24", "train: 25", {"prepare", "compare"}),
    "positive": (
        *(POCKET, "\n  positive: positive", "\n  positive: negative"),
        {"prepare", "instructify", "baselines", "compare"} | ANSWER,
    ),
    "sha256 of the base": (
        *(POCKET, "kind: path", f"kind: path\n  sha256: {'0' * 64}"),
        {"preflight", "base_model", "compare"},
    ),
    "dtype": (
        *(POCKET, "dtype: float32", "dtype: bfloat16"),
        {"preflight", "compare"} | TRAIN | ANSWER,
    ),
    "learning_rate": (
        *(POCKET, "learning_rate: 0.001", "learning_rate: 0.002"),
        {"preflight", "compare"} | TRAIN,
    ),
    "licence of the base": (
        *(POCKET, "kind: path", "kind: path\n  licence: MIT"),
        {"preflight", "base_model", "compare"},
    ),
    "few_shot_examples": (POCKET, "few_shot_examples: 4", "few_shot_examples: 2", ANSWER),
    "an unused profile": ("profiles/unused.yaml", "epochs: 1", "epochs: 2", set()),
    "a wording": (
        *("templates/sentiment.yaml", "Label the text", "Name the text"),
        {"instructify", "compare"} | EVALUATE,
    ),
    "a row": ("data/raw/tweets.csv", "Tweet 7:", "Tweet seven:", {"prepare"}),
    "a general instruction": (
        *("data/raw/general_instructions.jsonl", '"output": "', '"output": "Well, '),
        {"prepare"},
    ),
    "a comment in ten_instructions.yaml": (
        *("data/raw/ten_instructions.yaml", *COMMENT),
        {"prepare", "compare"} | EVALUATE,  # prepare: it watches all of data/raw
    ),
    "a comment in hundred_instructions.yaml": (
        *("data/raw/hundred_instructions.yaml", *COMMENT),
        {"prepare", "compare"} | EVALUATE,  # prepare: it watches all of data/raw
    ),
    "settings.py": ("stages/settings.py", *COMMENT, ALL),
    "lm/source.py": ("stages/lm/source.py", *COMMENT, {"preflight", "base_model"}),
    "lm/budget.py": ("stages/lm/budget.py", *COMMENT, {"preflight"}),
    "lm/training.py": ("stages/lm/training.py", *COMMENT, TRAIN),
    "lm/trainer.py": ("stages/lm/trainer.py", *COMMENT, TRAIN),
    "lm/checkpoints.py": ("stages/lm/checkpoints.py", *COMMENT, TRAIN),
    "lm/answering.py": ("stages/lm/answering.py", *COMMENT, ANSWER),
    "lm/base.py": ("stages/lm/base.py", *COMMENT, TRAIN | ANSWER),
    "rows/cache.py": ("stages/rows/cache.py", *COMMENT, {"prepare", "preflight", "base_model"}),
    "rows/packages.py": (
        *("stages/rows/packages.py", *COMMENT),
        {"prepare", "preflight", "base_model"},
    ),
    "rows/tasks.py": ("stages/rows/tasks.py", *COMMENT, {"prepare", "compare"} | EVALUATE),
    "tasks/checks.py": ("stages/tasks/checks.py", *COMMENT, {"compare"} | EVALUATE),
    "tasks/instructions.py": ("stages/tasks/instructions.py", *COMMENT, {"compare"} | EVALUATE),
    "stats/classification.py": (
        *("stages/stats/classification.py", *COMMENT),
        {"baselines"} | ANSWER,
    ),
    "margin": ("params.yaml", "margin: 0.01", "margin: 0.02", {"compare"}),
    "training_seed": ("params.yaml", "training_seed: 42", "training_seed: 43", TRAIN | {"compare"}),
    "wording_rows": (
        "params.yaml",
        "wording_rows: 6",
        "wording_rows: 7",
        {"instructify", "compare"} | EVALUATE,
    ),
    "pages/cards.py": ("stages/pages/cards.py", *COMMENT, {"compare"}),
    "pages/report.py": ("stages/pages/report.py", *COMMENT, {"compare"}),
    "stats/paired.py": ("stages/stats/paired.py", *COMMENT, {"compare"}),
    "stats/power.py": ("stages/stats/power.py", *COMMENT, {"prepare", "compare"}),
    "baselines.py": ("stages/baselines.py", *COMMENT, {"baselines"}),
    "README.md": ("README.md", *COMMENT, set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reruns_exactly_what_depends_on_it(
    status: Callable[..., set[str]], name: str
) -> None:
    file, old, new, expected = CHANGES[name]
    assert status(file, old, new) == expected


def test_a_setting_changed_and_changed_back_comes_from_the_run_cache(
    workspace: Path, run_in: Command
) -> None:
    settings = (workspace / "params.yaml").read_text(encoding="utf-8")
    before = (workspace / "reports/results.md").read_bytes()
    changed = settings.replace("confidence: 0.95", "confidence: 0.8")
    (workspace / "params.yaml").write_text(changed, encoding="utf-8")
    assert stages_run(run_in, workspace) == {"compare"}
    assert (workspace / "reports/results.md").read_bytes() != before
    (workspace / "params.yaml").write_text(settings, encoding="utf-8")
    assert stages_run(run_in, workspace) == set()
    assert (workspace / "reports/results.md").read_bytes() == before
    assert run_in(workspace, "git", "status", "--short").stdout == ""


def test_a_stage_that_gives_the_same_results_reruns_nothing_after_it(
    workspace: Path, run_in: Command
) -> None:
    for name in ("prepare", "baselines"):
        script = workspace / f"stages/{name}.py"
        script.write_text(script.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    assert stages_run(run_in, workspace) == {"prepare", "baselines"}


# --- other machines, experiments ------------------------------------------------------------------


def test_models_come_from_a_remote_and_answer_at_once(
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
    _answers_in(Path("models/sentiment_fine_tuned"))


@pytest.fixture(scope="module")
def sweep(finished: Path, run_in: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the study after three queued experiments of two workers. No test changes it.

    Two mix other shares of general instructions; the third gives two settings that exclude each other.
    """
    folder = Path(
        shutil.copytree(finished, tmp_path_factory.mktemp("sweep") / "study", symlinks=True)
    )
    by_share = ("-S", "mix.general_rows=null", "-S")
    queue = ("exp", "run", "--queue", "--name")
    dvc(run_in, folder, *queue, "low", *by_share, "mix.general_share=0.2")
    dvc(run_in, folder, *queue, "high", *by_share, "mix.general_share=0.6")
    dvc(run_in, folder, *queue, "wrong", "-S", "mix.general_share=0.4")
    start = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", "2"]
    try:
        # The workers hold the pipe of its output until they end, some seconds after the last one.
        subprocess.run(start, cwd=folder, capture_output=True, check=True, timeout=500)
    finally:
        dvc(run_in, folder, "queue", "stop", "--kill")
    return folder


def test_a_sweep_over_the_mixing_share_is_shown_with_its_figures(
    sweep: Path, run_in: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep)
    text = run_in(sweep, "python", "scripts/compare_experiments.py").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    cells = [line.split() for line in lines if re.match(r"\S+ +(success|failed) ", line)]
    rows = {name: row for name, *row in cells}
    assert {name: row[:3] for name, row in rows.items()} == {
        "workspace": ["success", "12", "null"],
        "main": ["success", "12", "null"],
        "low": ["success", "null", "0.2"],
        "high": ["success", "null", "0.6"],
        "wrong": ["failed", "12", "0.4"],
    }
    for name in ("main", "low", "high"):
        systems = SHOWN.values()
        figures = [_of(name, f"evaluate/{system}")["accuracy"] for system in systems]
        compared = _of(name, "compare")["systems"]
        forgotten = [compared[system]["forgotten"] for system in TUNED.values()]
        assert list(map(float, rows[name][3:])) == [
            *(pytest.approx(figure, abs=0.0005) for figure in figures),
            *(pytest.approx(figure, abs=0.005) for figure in forgotten),
        ]
    assert rows["wrong"][3:] == ["-"] * 6
    assert _of("low", "train_mixed")["rows"] == 24 + 6
    assert _of("high", "train_mixed")["rows"] == 24 + 36


def test_a_failed_experiment_says_why(sweep: Path, run_in: Command) -> None:
    assert "error: params.yaml: mix: give either" in dvc(run_in, sweep, "queue", "logs", "wrong")


def test_an_experiment_is_applied_with_all_that_it_made(
    sweep: Path, run_in: Command, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sweep, tmp_path / "study", symlinks=True))
    before = _sha256(folder / "models/mixed_fine_tuned/adapter_model.safetensors")
    dvc(run_in, folder, "exp", "apply", "high")
    assert "general_share: 0.6" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert _sha256(folder / "models/mixed_fine_tuned/adapter_model.safetensors") != before
    assert stages_run(run_in, folder) == set()


def test_differences_are_readable(sweep: Path, run_in: Command) -> None:
    params = dvc(run_in, sweep, "params", "diff", "main", "low").splitlines()
    assert [line.split() for line in params[1:]] == [
        ["params.yaml", "mix.general_rows", "12", "-"],
        ["params.yaml", "mix.general_share", "-", "0.2"],
    ]
    figures = ("metrics", "diff", "main", "low", "--no-path", "--targets", "metrics/compare.json")
    text = dvc(run_in, sweep, *figures)
    assert re.search(r"^systems\.mixed_fine_tuned\.forgotten ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 100


def test_a_change_of_the_profile_is_a_difference(workspace: Path, run_in: Command) -> None:
    profile = workspace / "profiles/pocket.yaml"
    text = profile.read_text(encoding="utf-8")
    assert "    label_values:\n      0: negative" in text  # which DVC cannot read by sections
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

    differences = json.loads(dvc(run_in, workspace, "metrics", "diff", "--json"))
    assert differences.keys() == {"metrics/compare.json"}
    low = differences["metrics/compare.json"]["systems.majority.accuracy_low"]
    assert low["new"] > low["old"]

    comparison = run_in(workspace, "python", "scripts/compare_experiments.py").stdout
    assert max(map(len, comparison.splitlines())) <= 100
    assert re.search(r"narrow +0\.9 ", comparison)
    assert re.search(r"main +0\.95 ", comparison)
    assert "learning_rate" not in comparison  # it does not differ
    accuracy = _json(workspace / "metrics/evaluate/mixed_fine_tuned.json")["accuracy"]
    assert comparison.count(f"{accuracy:.3f}") >= 3


def _of(revision: str, metrics: str) -> dict[str, Any]:
    """A metrics file of the working directory's study as an experiment or a commit has it."""
    content: dict[str, Any] = json.loads(dvc_api.read(f"metrics/{metrics}.json", rev=revision))
    return content


def _answers_in(adapter: Path) -> None:
    """The adapter loads with its base and tokenizer, and generates a token."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(adapter)
    assert any("lora_" in name for name, _ in model.named_parameters())
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    prompt = tokenizer("Is it good?", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=1, do_sample=False, pad_token_id=2)
    assert answer.shape[1] == prompt["input_ids"].shape[1] + 1


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- training seeds -----------------------------------------------------------------------------


def test_replicates_train_under_further_seeds_and_enter_the_report(
    workspace: Path, run_in: Command
) -> None:
    report = workspace / "reports/results.md"
    assert "`make replicates N=3` trains both again" in report.read_text(encoding="utf-8")
    command = ("python", "scripts/replicates.py", "2")
    run_in(workspace, *command, PYTHONPATH="stages")
    rows = pq.read_table(workspace / "data/replicates/predictions.parquet").to_pylist()
    assert {(row["system"], row["training_seed"]) for row in rows} == {
        ("sentiment_fine_tuned", 43),
        ("mixed_fine_tuned", 43),
    }
    assert len(rows) == 2 * 24
    text = report.read_text(encoding="utf-8")
    assert "| model | seed 42 | seed 43 | mean | standard deviation |" in text
    assert "points over seeds" in text
    # The study's own models stay as they were, and only compare has run again.
    changed = run_in(workspace, "git", "status", "--short").stdout.split()
    assert {name for name in changed if "/" in name or "." in name} == {
        "data/replicates/predictions.parquet",
        "dvc.lock",
    }
    assert "already there" in run_in(workspace, *command, PYTHONPATH="stages").stdout


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
    pq.write_table(pa.table(columns, schema=tables.REPLICATES), path)
    assert stages_run(run_in, workspace) == {"compare"}
    text = (workspace / "reports/results.md").read_text(encoding="utf-8")
    assert "`make replicates N=3` trains both again" in text
