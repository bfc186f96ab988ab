"""`scripts/mend.py` on a pipeline with one stage; tests/faults/ tests it on the study."""

import os
from collections.abc import Callable
from pathlib import Path

import mend
import pytest
from dvc.repo import Repo

PIPELINE = """
stages:
  copy:
    cmd: mkdir out && cp in out/one && cp in out/two && echo 2 >> out/two
    deps: [in]
    outs: [out]
"""


@pytest.fixture
def repro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """`dvc repro` in the working directory, where it has run once; returns what the stage wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    Path("in").write_text("1\n", encoding="utf-8")

    def repro() -> bytes:
        with Repo() as repo:
            repo.reproduce()
        return Path("out/one").read_bytes() + Path("out/two").read_bytes()

    assert repro() == b"1\n1\n2\n"
    return repro


# A file cut at half its size is still valid YAML: DVC itself completes it.
@pytest.mark.parametrize(("share", "readable"), [(0, False), (0.1, False), (0.5, True)])
def test_a_half_written_lock_file_is_taken_away(
    repro: Callable[[], bytes], capsys: pytest.CaptureFixture[str], share: float, readable: bool
) -> None:
    whole = Path("dvc.lock").read_bytes()
    Path("dvc.lock").write_bytes(whole[: int(share * len(whole))])
    Path(".dvc/tmp/rwlock").write_bytes(b"")
    mend.main()
    printed = capsys.readouterr().out
    assert ".dvc/tmp/rwlock: was half-written" in printed
    assert ("dvc.lock: was half-written" in printed) == (not readable)
    assert repro() == b"1\n1\n2\n"
    assert Path("dvc.lock").read_bytes() == whole


@pytest.mark.parametrize("of", ["a file", "the listing of a folder"])
def test_damage_that_only_the_hash_shows_is_named_and_repaired(
    repro: Callable[[], bytes], capsys: pytest.CaptureFixture[str], of: str
) -> None:
    suffix = ".dir" if of.endswith("folder") else ""
    objects = [path for path in Path(".dvc/cache/files/md5").glob("*/*") if path.suffix == suffix]
    damaged = sorted(objects)[-1]
    content, before = bytearray(damaged.read_bytes()), damaged.stat()
    content[1] ^= 4
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    damaged.chmod(0o444)
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    mend.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "out: damaged in DVC's cache; `dvc repro` writes it again"
    assert printed[1] == f"{damaged.absolute()}: is damaged and is removed"
    assert repro() == b"1\n1\n2\n"


def test_what_is_whole_or_a_persons_to_resolve_stays(
    repro: Callable[[], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    mend.main()
    conflict = "<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n"
    Path("dvc.lock").write_text(conflict, encoding="utf-8")
    mend.main()
    assert Path("dvc.lock").read_text(encoding="utf-8") == conflict
    assert capsys.readouterr().out == ""


def test_beside_a_dvc_at_work_nothing_is_touched(repro: Callable[[], bytes]) -> None:
    with Repo() as repo, repo.lock:
        Path("dvc.lock").write_bytes(b"stages: [")
        mend.main()
    assert Path("dvc.lock").read_bytes() == b"stages: ["
