"""What fetch.cache promises: one cache for a study and its experiments, one process at a time in it."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from fetch.cache import hold, lock_file, study_cache


def test_a_study_keeps_what_it_fetched_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert study_cache("packages").absolute() == tmp_path / ".cache/packages"


@pytest.mark.parametrize("below", ["", "inner/study"])
def test_an_experiment_in_a_folder_of_its_own_has_the_cache_of_its_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    experiment = tmp_path / ".dvc/tmp/exps/tmpabc" / below
    experiment.mkdir(parents=True)
    monkeypatch.chdir(experiment)
    assert study_cache("files") == tmp_path / ".cache/files"


def test_what_is_held_is_held_alone_and_nothing_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "packages"

    def is_free() -> bool:
        try:
            with FileLock(lock_file(folder), blocking=False):
                return True
        except Timeout:
            return False

    with hold(folder):
        assert not is_free()
    assert is_free()
    with pytest.raises(KeyError), hold(folder):
        raise KeyError
    assert is_free()
    assert list(folder.iterdir()) == []


def test_a_process_waits_for_another_one_and_outlives_one_that_was_killed(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(repo / "stages"))
    folder, seen = tmp_path / "packages", tmp_path / "seen"
    code = "import sys, time; from pathlib import Path; from fetch.cache import hold\n"
    code += "with hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        code = "import sys; from pathlib import Path; from fetch.cache import hold\n"
        code += "with hold(Path(sys.argv[1])):\n    Path(sys.argv[2]).touch()\n"
        with subprocess.Popen([sys.executable, "-c", code, str(folder), str(seen)]) as waiting:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(1.5)
            assert not seen.exists()
            holder.kill()
            assert waiting.wait(60) == 0
    assert seen.exists()
