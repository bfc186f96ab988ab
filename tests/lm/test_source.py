"""The base model put in place: from a folder, pinned by hash, safetensors alone."""

import lm  # isort: skip  # before torch
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from command import StudyError
from lm.source import place_base
from settings import HubBase, PathBase

assert lm


def test_a_folder_becomes_an_ordinary_model_folder(toy_base: Path, tmp_path: Path) -> None:
    place_base(PathBase(kind="path", path=str(toy_base)), tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert model.config.vocab_size == len(tokenizer)


def test_only_the_models_files_are_taken(toy_base: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(toy_base, origin)
    (origin / "modeling_evil.py").write_text("raise SystemExit")
    (origin / "pytorch_model.bin").write_bytes(b"pickle")
    place_base(PathBase(kind="path", path=str(origin)), tmp_path / "base")
    assert not {"modeling_evil.py", "pytorch_model.bin"} & {
        file.name for file in (tmp_path / "base").iterdir()
    }


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(StudyError, match=r"no \*\.safetensors weights"):
        place_base(PathBase(kind="path", path=str(tmp_path / "origin")), tmp_path / "base")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"base_model\.path = 'nowhere': no such folder"):
        place_base(PathBase(kind="path", path="nowhere"), tmp_path / "base")


def test_another_hash_is_refused(toy_base: Path, tmp_path: Path) -> None:
    source = PathBase(kind="path", path=str(toy_base), sha256="0" * 64)
    with pytest.raises(StudyError, match="the model changed"):
        place_base(source, tmp_path / "base")


def test_offline_without_a_cache_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    source = HubBase(kind="hub", id="someone/model", revision="0" * 40)
    with pytest.raises(StudyError, match="base_model someone/model@00000000: not in the cache"):
        place_base(source, tmp_path / "base")
