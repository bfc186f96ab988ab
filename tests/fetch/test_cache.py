"""What fetch.cache promises: one cache for a study and its experiments, one process at a time in it."""

import fcntl
import os
from pathlib import Path

import pytest

from fetch.cache import hold, study_cache


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


def test_what_is_held_is_held_alone_and_nothing_stays_behind(tmp_path: Path) -> None:
    folder = tmp_path / "packages"

    def is_free() -> bool:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    with hold(folder):
        assert not is_free()
    assert is_free()
    with pytest.raises(KeyError), hold(folder):
        raise KeyError
    assert is_free()
    assert list(folder.iterdir()) == []
