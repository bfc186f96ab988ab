"""An export is a complete model, checked on rows; a broken export fails the check and is not kept as good."""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_json

import export
import export_gguf
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lm.gguf_file import write_gguf
from lm.merging import load_merged, load_unmerged, write_merged
from pages.cards import LOADING
from prompts.format import write_prompt
from prompts.templates import POOL, read_templates
from rows.instructions import INSTRUCTIONS
from rows.tables import table_of, write_table
from settings.model import Precision
from settings.read import read_settings
from systems import systems_of

SYSTEM = "mixed_fine_tuned"
LABELS = ["negative", "positive"]
LLAMA_CPP = os.environ.get("LLAMA_CPP", "")
HAS_LLAMA_CPP = importlib.util.find_spec("llama_cpp") is not None
ROWS = 30
CARD = (
    "---\nbase_model: a/b\nbase_model_relation: adapter\nlibrary_name: peft\n---\n\n"
    f"# A model\n\nIt is.\n\n{LOADING}\n\n```python\nadapter\n```\n\nIt reads prompts.\n\n```\nPrompt\n```\n"
)


@pytest.fixture(scope="session")
def tied_base(mistral_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy Llama with tied embeddings and one token added to its tokenizer.

    It is 64 wide because 4-bit kernels use blocks of 64 weights.
    """
    folder = tmp_path_factory.mktemp("tied") / "llama"
    mistral_tokenizer.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.add_tokens(["<|added|>"]) == 1
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _write_adapter(base: Path, folder: Path) -> None:
    """Write an adapter that changes every linear layer, as after training."""
    torch.manual_seed(2)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", bias="none"
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    model.save_pretrained(folder)


def _prepare(folder: Path, base: Path) -> None:
    """Write what export reads: base, adapter, test rows, card."""
    (folder / "models").mkdir()
    shutil.copytree(base, folder / "models/base")
    _write_adapter(base, folder / "models" / SYSTEM)
    pool = read_templates(folder / "templates/sentiment.yaml", LABELS)
    write_json(folder / POOL, {"templates": [template.model_dump() for template in pool]})
    rows = [
        {
            "row_id": f"test-{at}",
            "task": "labelled",
            "template": pool[at % len(pool)].id,
            "prompt": write_prompt("alpaca", "Negative or positive?", f"It was day {at * at}."),
            "completion": "positive",
            "label": "positive",
            "family": None,
        }
        for at in range(ROWS)
    ]
    path = folder / "data/instructions/labelled/test.parquet"
    write_table(path, table_of(rows, INSTRUCTIONS))
    (folder / "reports/cards").mkdir(parents=True)
    (folder / f"reports/cards/{SYSTEM}.md").write_text(CARD, encoding="utf-8")


@pytest.fixture
def trained(study: Path, toy_base: Path) -> Path:
    _prepare(study, toy_base)
    return study


@pytest.fixture(autouse=True)
def restore_kernels() -> Iterator[None]:
    """Undo a script's choice of deterministic kernels, so that it does not affect other tests."""
    previous = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(previous)


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export.py", *arguments])
    export.main()


def _proof(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"exports/{SYSTEM}.json").read_text("utf-8"))
    return content


Change = Callable[[Path, str, object], None]


def test_an_export_is_a_complete_model_and_its_card_states_the_check(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _main(monkeypatch, SYSTEM)
    folder = trained / "exports" / SYSTEM
    assert (_proof(trained)["passed"], _proof(trained)["rows"]) == (True, ROWS)
    assert 0 < _proof(trained)["largest"] < 1e-3  # a merged model adds in a different order
    assert _proof(trained)["flips"] == []

    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "README.md"} <= names
    assert not [name for name in names if "adapter" in name or name.endswith(".bin")]
    for file in (trained / "models/base").glob("*token*"):
        assert (folder / file.name).read_bytes() == file.read_bytes()
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert not [name for name, _ in model.named_parameters() if "lora" in name]
    assert not hasattr(model, "peft_config")

    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "library_name: transformers" in card
    assert f'AutoModelForCausalLM.from_pretrained("exports/{SYSTEM}")' in card
    assert "on 30 test rows it passed: 0 rows change their most likely label" in card
    assert f"exports/{SYSTEM}/: the complete model" in capsys.readouterr().out


def test_a_merged_model_answers_as_the_adapter_beside_its_base(
    trained: Path, tmp_path: Path
) -> None:
    precision = Precision(dtype="float32", quantization="none")
    base, adapter = trained / "models/base", trained / "models" / SYSTEM
    write_merged(base, adapter, precision, tmp_path / "whole")
    ids = torch.arange(3, 60)[None]
    with torch.inference_mode():
        beside = load_unmerged(base, adapter, precision)(ids).logits
        whole = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")(ids).logits
        original = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    torch.testing.assert_close(whole, beside, atol=1e-5, rtol=0)
    assert (whole - original).abs().max() > 0.01


def test_tied_embeddings_and_added_tokens_survive(
    study: Path, tied_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _prepare(study, tied_base)
    _main(monkeypatch, SYSTEM, "--rows", "8")
    folder = study / "exports" / SYSTEM
    assert (_proof(study)["passed"], _proof(study)["rows"]) == (True, 8)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    model, tokenizer = (
        loader.from_pretrained(folder) for loader in (AutoModelForCausalLM, AutoTokenizer)
    )
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert tokenizer("<|added|>", add_special_tokens=False).input_ids == [len(tokenizer) - 1]
    assert len(tokenizer) == model.config.vocab_size


def test_an_adapter_over_four_bits_is_merged_into_what_it_was_evaluated_over(
    study: Path, tied_base: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    _prepare(study, tied_base)
    change(study / "profiles/small.yaml", "precision.quantization", "nf4")
    change(study / "profiles/small.yaml", "precision.dtype", "bfloat16")
    _main(monkeypatch, SYSTEM)
    folder = study / "exports" / SYSTEM
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    assert _proof(study)["passed"]
    # The export is closer to the evaluated model than a merge into unrounded weights.
    other = Precision(dtype="bfloat16", quantization="none")
    write_merged(study / "models/base", study / "models" / SYSTEM, other, study / "other")
    settings = read_settings("task", "prompt_format", "labels", "precision", "evaluate")
    rows = export.read_rows(ROWS)
    tuned = export.tuned_system(SYSTEM, settings.task, ROWS)
    expected = export.score_adapter(tuned, rows, settings)
    scores = export.score(load_merged(study / "other"), study / "other", "other", rows, settings)
    unrounded = export.compare(rows, expected, scores, settings, 1.0)
    assert unrounded.largest is not None
    assert unrounded.largest > 2 * _proof(study)["largest"]


@pytest.mark.parametrize(
    ("tensor", "factor", "flips"),
    [("model.norm.weight", -1.0, True), ("lm_head.weight", 1.1, False)],
)
def test_a_broken_tensor_is_found_and_the_export_not_left_as_good(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tensor: str,
    factor: float,
    flips: bool,
) -> None:
    good = trained / "exports" / SYSTEM
    good.mkdir(parents=True)  # an earlier export
    good.with_suffix(".gguf").touch()

    def write_broken(*arguments: Any) -> None:
        write_merged(*arguments)
        path = arguments[-1] / "model.safetensors"
        weights = load_file(path)
        weights[tensor] = weights[tensor] * factor
        save_file(weights, path, metadata={"format": "pt"})

    monkeypatch.setattr(export, "write_merged", write_broken)
    with pytest.raises(SystemExit, match="the export does not match the evaluated model"):
        _main(monkeypatch, SYSTEM)
    assert not good.exists()
    assert not good.with_suffix(".gguf").exists()
    assert (trained / f"exports/{SYSTEM}.failed/model.safetensors").exists()
    proof = _proof(trained)
    assert not proof["passed"]
    assert proof["largest"] > proof["tolerance"]
    printed = capsys.readouterr().out
    assert "it FAILED" in printed
    assert bool(proof["flips"]) == flips
    for flip in proof["flips"]:
        assert f"row {flip['row_id']}: {flip['adapter']} by the adapter" in printed
        before, after = flip["adapter_log_likelihoods"], flip["exported_log_likelihoods"]
        assert LABELS[before.index(max(before))] == flip["adapter"]
        assert LABELS[after.index(max(after))] == flip["exported"]
        assert flip["adapter"] != flip["exported"]


def test_weights_that_are_no_numbers_fail(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_broken(*arguments: Any) -> None:
        write_merged(*arguments)
        path = arguments[-1] / "model.safetensors"
        weights = load_file(path)
        weights["model.norm.weight"][0] = torch.nan
        save_file(weights, path, metadata={"format": "pt"})

    monkeypatch.setattr(export, "write_merged", write_broken)
    with pytest.raises(SystemExit):
        _main(monkeypatch, SYSTEM, "--rows", "2")
    assert (_proof(trained)["passed"], _proof(trained)["largest"]) == (False, None)


def test_a_tokenizer_that_reads_otherwise_fails(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_broken(*arguments: Any) -> None:
        write_merged(*arguments)
        tokenizer = AutoTokenizer.from_pretrained(arguments[-1])
        tokenizer.add_tokens(["day"])
        tokenizer.save_pretrained(arguments[-1])

    monkeypatch.setattr(export, "write_merged", write_broken)
    with pytest.raises(SystemExit):
        _main(monkeypatch, SYSTEM, "--rows", "3")
    assert _proof(trained)["other_tokens"] == ["test-0", "test-1", "test-2"]


def test_an_export_that_dies_leaves_nothing(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = trained / "exports" / SYSTEM
    good.mkdir(parents=True)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "load_merged", die)
    with pytest.raises(KeyboardInterrupt):
        _main(monkeypatch, SYSTEM)
    assert [path.name for path in (trained / "exports").iterdir()] == [SYSTEM]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["original_pretrained"],
            "not a tuned model; choose from sentiment_fine_tuned, mixed_fine_tuned",
        ),
        ([SYSTEM, "--rows", "0"], "--rows 0: must be 1 or more"),
        ([SYSTEM], "models/base: does not exist; `dvc repro` writes it"),
    ],
)
def test_a_wrong_argument_or_a_missing_model_is_named(
    study: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        _main(monkeypatch, *arguments)


def test_the_systems_are_those_of_the_profiles_task(
    study: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(study / "profiles/small.yaml", "task", "emotion")
    names = ", ".join(system.name for system in systems_of("emotion").tuned)
    assert names.startswith("emotion_fine_tuned, ")
    with pytest.raises(StudyError, match=f"not a tuned model; choose from {names}"):
        _main(monkeypatch, "sentiment_fine_tuned")
    with pytest.raises(StudyError, match="models/base: does not exist"):
        _main(monkeypatch, "emotion_fine_tuned")


# --- GGUF; one test needs llama-cpp-python, and LLAMA_CPP set to a checkout of llama.cpp -----------


def _gguf(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export_gguf.py", *arguments])
    export_gguf.main()


@pytest.mark.skipif(
    not (HAS_LLAMA_CPP and LLAMA_CPP), reason="no llama-cpp-python, or LLAMA_CPP not set"
)
@pytest.mark.parametrize("broken", [False, True])
def test_a_gguf_file_is_checked_as_the_folder_is(
    trained: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    _main(monkeypatch, SYSTEM)
    if broken:
        path = trained / "exports" / SYSTEM / "model.safetensors"
        weights = load_file(path)
        weights["model.norm.weight"] *= -1
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(SystemExit, match=r"llama.cpp's scores differ from the adapter's"):
            _gguf(monkeypatch, SYSTEM, LLAMA_CPP)
    else:
        _gguf(monkeypatch, SYSTEM, LLAMA_CPP)
    proof = json.loads((trained / f"exports/{SYSTEM}.gguf.json").read_text(encoding="utf-8"))
    assert proof["passed"] != broken
    assert proof["other_tokens"] == []
    assert bool(proof["flips"]) == broken
    assert (trained / f"exports/{SYSTEM}.gguf").exists() != broken
    assert (trained / f"exports/{SYSTEM}.failed.gguf").exists() == broken


def test_a_gguf_file_comes_after_the_folder(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match=f"`make export SYSTEM={SYSTEM}` writes it"):
        _gguf(monkeypatch, SYSTEM, "llama.cpp")


def test_a_folder_without_the_converter_is_named(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "exports" / SYSTEM).mkdir(parents=True)
    with pytest.raises(
        StudyError, match=r"^1: does not contain convert_hf_to_gguf\.py; name the folder of a"
    ):
        _gguf(monkeypatch, SYSTEM, "1")


def test_a_missing_llama_cpp_python_is_named(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)  # as if it were not installed
    (study / "exports" / SYSTEM).mkdir(parents=True)
    (study / "llama.cpp").mkdir()
    (study / "llama.cpp/convert_hf_to_gguf.py").touch()
    with pytest.raises(StudyError, match=r"llama-cpp-python is not installed; "):
        _gguf(monkeypatch, SYSTEM, "llama.cpp")


def test_a_converter_that_fails_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "convert_hf_to_gguf.py").write_text("raise SystemExit('much\\nno such model')")
    with pytest.raises(StudyError, match=r"convert_hf_to_gguf.py failed with status 1: no such mo"):
        write_gguf(tmp_path, tmp_path, "float32", tmp_path / "a.gguf")
