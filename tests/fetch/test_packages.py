"""What fetch.packages promises: the pinned file and no other, fetched once, or a clear end."""

import base64
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.hashing import sha256_of

import pytest

from fetch.packages import fetch_package, read_files, read_member
from settings.section import Package

CACHE = Path(".cache/packages")
WHEEL = "tiny_rows-1.0-py3-none-any.whl"
SDIST = "tiny_rows-1.0.tar.gz"
ROWS = "text\tlabel\nça va\t1\n".encode()


def tar(members: dict[str, bytes]) -> bytes:
    """The same bytes for the same members."""
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


def wheel() -> bytes:
    metadata = b"Metadata-Version: 2.1\nName: tiny-rows\nVersion: 1.0\n"
    members = {
        "tiny_rows/rows.tsv": ROWS,
        "tiny_rows/inner.tar.gz": tar({"inner/rows.tsv": ROWS}),
        "tiny_rows-1.0.dist-info/METADATA": metadata,
        "tiny_rows-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    name = "tiny_rows-1.0.dist-info/RECORD"
    return zipped(members | {name: f"{record}{name},,\n".encode()})


def sdist() -> bytes:
    # pip asks a source distribution's own build for its metadata; this one needs no setuptools.
    backend = """
from pathlib import Path
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = Path(folder, "tiny_rows-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny-rows\\nVersion: 1.0\\n")
    return info.name
def build_wheel(*ignored, **also_ignored):
    raise SystemExit("this package must never be built")
"""
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    return tar(
        {
            "tiny_rows-1.0/pyproject.toml": build.encode(),
            "tiny_rows-1.0/backend.py": backend.encode(),
            "tiny_rows-1.0/data/inner.zip": zipped({"inner/rows.tsv": ROWS}),
        }
    )


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only index that pip knows: a folder, here with a wheel and a source distribution."""
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / WHEEL).write_bytes(wheel())
    (folder / SDIST).write_bytes(sdist())
    study = tmp_path / "study"
    study.mkdir()
    monkeypatch.chdir(study)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, nothing more can be fetched."""

    def forbid(*command: Any, **_: Any) -> None:
        pytest.fail(f"runs {command}")

    return lambda: monkeypatch.setattr("fetch.packages.subprocess.run", forbid)


def package(form: str, **changes: str) -> Package:
    content = wheel() if form == "wheel" else sdist()
    sha256 = hashlib.sha256(content).hexdigest()
    fields = {"name": "tiny-rows", "version": "1.0", "sha256": sha256, "form": form}
    return Package.model_validate(fields | changes)


def files_left() -> list[Path]:
    """The files in the working directory, without the locks, which stay and hold nothing."""
    locks = Path(".cache/locks")
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert not any(path.stat().st_size for path in locks.glob("*"))
    return [path for path in files if path.parent != locks]


@pytest.mark.parametrize(
    ("form", "name", "members"),
    [
        ("wheel", WHEEL, ["tiny_rows/inner.tar.gz", "inner/rows.tsv"]),
        ("sdist", SDIST, ["tiny_rows-1.0/data/inner.zip", "inner/rows.tsv"]),
    ],
)
def test_a_package_is_fetched_once_and_read_without_unpacking(
    no_pip: Callable[[], None], form: str, name: str, members: list[str]
) -> None:
    archive = fetch_package(package(form))
    assert archive == CACHE / package(form).sha256 / name
    assert sha256_of(archive) == package(form).sha256
    assert read_member(archive, members) == ROWS
    no_pip()
    assert fetch_package(package(form)) == archive
    assert [path.name for path in files_left()] == [name], "nothing else is left behind"


def test_a_damaged_file_in_the_cache_is_fetched_anew(no_pip: Callable[[], None]) -> None:
    archive = fetch_package(package("wheel"))
    archive.write_bytes(archive.read_bytes()[:-9])
    assert fetch_package(package("wheel")) == archive
    assert archive.read_bytes() == wheel()
    no_pip()
    fetch_package(package("wheel"))


def test_studies_at_once_that_share_a_cache_fetch_a_package_once(
    tmp_path: Path, repo: Path
) -> None:
    left = CACHE / ".fetched.partial/archive"  # by one that was killed
    left.mkdir(parents=True)
    (left / WHEEL).write_bytes(wheel()[:100])
    code = (
        "import sys; from fetch.packages import fetch_package; from settings.section import Package; "
        "fetch_package(Package.model_validate_json(sys.argv[1]))"
    )
    processes = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".cache").symlink_to(Path(".cache").absolute())
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, package("wheel").model_dump_json()],
                cwd=tmp_path / name,
                env={**os.environ, "PYTHONPATH": str(repo / "stages")},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    told = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "".join(told).count("fetching tiny-rows==1.0") == 1
    assert {path.name: path.read_bytes() for path in files_left()} == {WHEEL: wheel()}
    assert not left.exists()


def test_another_file_under_the_same_name_is_refused(index: Path) -> None:
    (index / WHEEL).write_bytes(wheel() + b"and more")
    with pytest.raises(
        StudyError,
        match=r"tiny-rows==1\.0: the sha256 of the wheel on the index differs from the prof",
    ):
        fetch_package(package("wheel"))
    assert not list(CACHE.rglob("*.whl"))


def test_a_source_distribution_with_another_hash_runs_none_of_its_code(index: Path) -> None:
    pinned = package("sdist")
    code = f"open({str(index / 'ran')!r}, 'w')\n".encode()
    build = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    members = {"tiny_rows-1.0/pyproject.toml": build, "tiny_rows-1.0/backend.py": code}
    (index / SDIST).write_bytes(tar(members))
    with pytest.raises(
        StudyError, match=r"tiny-rows==1\.0: the sha256 of the sdist on the index differs"
    ):
        fetch_package(pinned)
    assert not (index / "ran").exists()


@pytest.mark.parametrize("changes", [{"version": "9.9"}, {"name": "tiny-row"}])
def test_a_package_that_is_not_there_is_named(changes: dict[str, str]) -> None:
    pinned = package("wheel", **changes)
    with pytest.raises(StudyError, match=rf"{pinned.name}=={pinned.version}: pip could not fetch"):
        fetch_package(pinned)
    assert not list(CACHE.glob("*")), "no half-fetched folder is left behind"


def test_a_form_that_is_not_there_is_named(index: Path) -> None:
    (index / SDIST).unlink()
    with pytest.raises(StudyError, match="pip could not fetch the sdist"):
        fetch_package(package("sdist"))


def test_an_unreachable_index_is_no_wrong_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(
        StudyError, match="could not fetch the wheel: check that the index is reachable"
    ):
        fetch_package(package("wheel"))


# --- reading a member -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["a/rows.tsv"], r"outer\.zip: contains no member a/rows\.tsv; did you mean b/rows\.tsv\?"),
        (["nowhere.csv"], r"outer\.zip: contains no member nowhere\.csv, but 3 members"),
        (["b/in.tar.gz", "x"], r"outer\.zip/b/in\.tar\.gz: contains no member x, but 1 members"),
        (["b/in.tar.gz", "x/rows.tsv"], r"did you mean in/rows\.tsv\?"),
        (["b/rows.tsv", "x"], r"outer\.zip/b/rows\.tsv: is no readable zip or tar archive"),
        (["b/cut.tar.gz", "in/rows.tsv"], r"b/cut\.tar\.gz: is no readable zip or tar archive"),
    ],
)
def test_a_member_that_is_not_there_is_named_with_a_hint(members: list[str], message: str) -> None:
    inner = tar({"in/rows.tsv": ROWS * 50})
    content = {"b/rows.tsv": ROWS, "b/in.tar.gz": inner, "b/cut.tar.gz": inner[: len(inner) // 2]}
    Path("outer.zip").write_bytes(zipped(content))
    with pytest.raises(StudyError, match=message):
        read_member(Path("outer.zip"), members)


def test_a_file_that_is_no_archive_is_named() -> None:
    Path("rows.zip").write_bytes(ROWS)
    with pytest.raises(StudyError, match=r"rows\.zip: is no readable zip or tar archive"):
        read_member(Path("rows.zip"), ["rows.tsv"])


def test_files_of_an_inner_archive_are_read_by_their_whole_names() -> None:
    wanted = re.compile(r"rows\.tsv|more\.tsv")
    members = {"rows.tsv": b"1", "in/more.tsv": b"2", "../rows.tsv": b"3", "rows.tsv.exe": b"4"}
    Path("outer.zip").write_bytes(zipped({"a/in.zip": zipped(members), "a/cut.zip": b"PK"}))
    assert read_files(Path("outer.zip"), ["a/in.zip"], wanted) == {"rows.tsv": b"1"}
    with pytest.raises(StudyError, match=r"outer\.zip/a/cut\.zip: is no readable zip or tar"):
        read_files(Path("outer.zip"), ["a/cut.zip"], wanted)
    with pytest.raises(
        StudyError, match=r"outer\.zip: contains no member b/in\.zip; did you mean a/in"
    ):
        read_files(Path("outer.zip"), ["b/in.zip"], wanted)
