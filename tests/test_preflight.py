"""Preflight: what a study will take is said, and what cannot work stops before a weight is fetched."""

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
from transformers import AutoTokenizer

import base_model
import preflight
from hub import Hub
from lm import budget
from prompts.encode import Encoder
from rows.instructions import INSTRUCTIONS, InstructionRow
from rows.tables import read_typed_rows, table_of, write_table

RunStage = Callable[..., subprocess.CompletedProcess[str]]
Change = Callable[[Path, str, object], None]


@pytest.fixture(scope="module")
def prepared(
    make_study: Callable[[Path], None],
    change: Change,
    toy_base: Path,
    toy_bert: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A small study with its instructions written. No test changes it."""
    folder = tmp_path_factory.mktemp("preflight") / "study"
    make_study(folder)
    change(folder / "profiles/small.yaml", "base_model.path", str(toy_base))
    change(folder / "profiles/small.yaml", "encoder.base.path", str(toy_bert))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in ("prepare", "instructify", "mix"):
            importlib.import_module(stage).main()
    return folder


@pytest.fixture
def study(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "study"))


def test_it_says_what_the_study_will_take(
    study: Path, run_stage: RunStage, toy_base: Path, toy_bert: Path
) -> None:
    done = run_stage(study, "preflight")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^base model: .+mistral, 2M parameters, 0\.00 GB", done.stdout, re.MULTILINE)
    assert re.search(
        r"^train_sentiment: 80 rows, about [\d,]+ tokens, 10 steps; about [\d.]+ (seconds|minutes)",
        done.stdout,
        re.MULTILINE,
    )
    assert "train_mixed: 100 rows" in done.stdout
    assert re.search(
        r"^device: .+, [\d,]+ GFLOP/s in matrix products; all trainings take about 0\.\d\d device hours$",
        done.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^memory: about [\d.]+ of [\d.]+ GiB \(weights", done.stdout, re.MULTILINE)
    found = json.loads((study / "data/preflight/base_model.json").read_text(encoding="utf-8"))
    assert found == {"path": str(toy_base)}
    assert re.search(r"^encoder: .+bert, 0\.00 GB to download", done.stdout, re.MULTILINE)
    found = json.loads((study / "data/preflight/encoder.json").read_text(encoding="utf-8"))
    assert found == {"path": str(toy_bert)}
    logged = json.loads((study / "logs/preflight.json").read_text(encoding="utf-8"))
    assert logged["train_sentiment_estimated_seconds"] <= logged["train_mixed_estimated_seconds"]


def test_tokens_are_those_of_the_tokenizer_in_any_script(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], toy_base: Path
) -> None:
    monkeypatch.chdir(study)
    path = Path("data/instructions/labelled/train.parquet")
    rows = read_typed_rows(path, InstructionRow)
    texts = ("यह फ़िल्म बहुत अच्छी है", "这部电影非常好看", "🙂🎉🎂👩‍👩‍👧")
    for at, row in enumerate(rows):
        row["prompt"] = f"{texts[at % 3]} {at}"
    write_table(path, table_of(rows, INSTRUCTIONS))
    preflight.main()
    (tokens,) = re.findall(r"train_sentiment: .* about ([\d,]+) tokens", capsys.readouterr().out)
    encoder = Encoder(AutoTokenizer.from_pretrained(toy_base), "alpaca")
    exact = sum(len(encoder.example(row["prompt"], row["completion"]).input_ids) for row in rows)
    assert int(tokens.replace(",", "")) == exact


def test_of_a_large_table_a_sample_is_counted(
    study: Path, monkeypatch: pytest.MonkeyPatch, toy_base: Path
) -> None:
    monkeypatch.chdir(study)
    path = Path("data/mixed/train.parquet")
    encoder = Encoder(AutoTokenizer.from_pretrained(toy_base), "alpaca")
    whole = preflight.token_lengths(path, encoder)
    monkeypatch.setattr(preflight, "MOST_COUNTED", 40)
    sample = preflight.token_lengths(path, encoder)
    assert (sample.n_rows, len(sample.rows)) == (whole.n_rows, 40)
    assert sample.mean == pytest.approx(whole.mean, rel=0.1)
    assert sample.rows.max() == whole.rows.max()


def test_rows_longer_than_max_length_stop_it_with_their_number(
    study: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    change(study / "profiles/small.yaml", "train.max_length", 20)
    monkeypatch.chdir(study)
    with pytest.raises(
        StudyError,
        match=r"^train_sentiment: 80 of 80 rows have more than train\.max_length = 20 tokens; the longest, "
        r"row \S+, has \d+: raise train\.max_length, or shorten",
    ):
        preflight.main()
    assert not (study / "data/preflight").exists()


def test_rows_beyond_the_context_window_stop_it(
    study: Path, monkeypatch: pytest.MonkeyPatch, toy_base: Path, change: Change, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(toy_base, tmp_path / "narrow"))
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 24}))
    change(study / "profiles/small.yaml", "base_model.path", str(base))
    monkeypatch.chdir(study)
    with pytest.raises(
        StudyError,
        match=r"labelled/validation\.parquet: \d+ of \d+ rows do not fit into the 24 tokens that .*narrow "
        r"reads; row \S+ needs \d+ with its answer",
    ):
        preflight.main()
    assert not (study / "data/preflight").exists()


def test_steps_too_large_for_the_memory_stop_it(
    study: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    change(study / "profiles/small.yaml", "train.batch_size", 10**7)
    monkeypatch.chdir(study)
    with pytest.raises(
        StudyError,
        match=r"^a training step needs about [\d.]+ GiB, the processor, \d+ threads has [\d.]+ GiB: set, in",
    ) as raised:
        preflight.main()
    assert "precision.quantization: nf4" in str(raised.value)
    assert "train.gradient_checkpointing: true" in str(raised.value)
    assert not (study / "data/preflight").exists()


def test_texts_longer_than_the_encoder_reads_stop_it(
    study: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    change(study / "profiles/small.yaml", "encoder.max_length", 35)
    monkeypatch.chdir(study)
    with pytest.raises(
        StudyError, match=r"^encoder\.max_length = 35: .+bert reads at most 34 tokens: lower"
    ):
        preflight.main()
    assert not (study / "data/preflight").exists()


@pytest.mark.parametrize(("kind", "sharers"), [("MULTI_GPU", 1), ("FSDP", 8)])
def test_weights_that_processes_share_out_count_in_part(
    study: Path, monkeypatch: pytest.MonkeyPatch, change: Change, kind: str, sharers: int
) -> None:
    change(study / "profiles/small.yaml", "launch", "launch/eight.yaml")
    (study / "launch").mkdir()
    text = f"{{distributed_type: {kind}, num_processes: 8}}"
    (study / "launch/eight.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(study)
    asked = []

    def training_memory(*arguments: Any) -> Any:
        asked.append(arguments[-1])
        return budget.training_memory(*arguments)

    monkeypatch.setattr(preflight, "training_memory", training_memory)
    preflight.main()
    assert asked == [sharers, sharers]


def test_days_without_a_gpu_stop_it(
    study: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    change(study / "profiles/small.yaml", "train.epochs", 10**9)
    monkeypatch.chdir(study)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(StudyError, match=r"^torch sees no GPU, and .* days without a GPU: "):
        preflight.main()


def test_a_base_on_the_hub_is_found_and_its_weights_left_there(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Change,
    hub: Hub,
    toy_shards: Path,
) -> None:
    commit = "a" * 40
    hub.add("models", "someone/mistral", toy_shards, commit=commit)
    source = {"kind": "hub", "id": "someone/mistral", "revision": "main"}
    change(study / "profiles/small.yaml", "base_model", source)
    monkeypatch.chdir(study)
    preflight.main()
    output = capsys.readouterr().out
    assert f"to pin it, set  revision: {commit}" in output
    size = sum(file.stat().st_size for file in toy_shards.glob("*.safetensors"))
    (gigabytes,) = re.findall(r"base model: .* ([\d.]+) GB to download", output)
    assert float(gigabytes) == pytest.approx(size / 1e9, abs=0.006)
    asked = [request.path for request in hub.requests if "/resolve/" in request.path]
    assert asked
    assert any(path.endswith("/config.json") for path in asked)
    assert not [path for path in asked if path.endswith(".safetensors")]

    # The branch moves: the base is the commit that was found.
    hub.add("models", "someone/mistral", {"config.json": b"{}"}, commit="b" * 40)
    base_model.main()
    origin = json.loads((study / "models/base/origin.json").read_text(encoding="utf-8"))
    assert origin == {"id": "someone/mistral", "revision": "main", "commit": commit}


def test_a_missing_revision_stops_it(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    hub: Hub,
    toy_shards: Path,
) -> None:
    hub.add("models", "someone/mistral", toy_shards, commit="a" * 40)
    source = {"kind": "hub", "id": "someone/mistral", "revision": "c" * 40}
    change(study / "profiles/small.yaml", "base_model", source)
    monkeypatch.chdir(study)
    with pytest.raises(StudyError, match="base_model someone/mistral@cccccccc: "):
        preflight.main()


def test_a_base_that_preflight_has_not_found_is_not_placed(
    study: Path, call_stage: RunStage
) -> None:
    done = call_stage(study, "base_model")
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/preflight/base_model.json: no such file; `python")
    assert len(done.stderr.splitlines()) == 1
    assert not (study / "models/base").exists()
