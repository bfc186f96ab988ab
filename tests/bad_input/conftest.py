"""A small study whose data stages have run, and what runs one of them again on bad input."""

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pyarrow.parquet as pq
import pytest
import yaml

SPLITS = ("train", "validation", "test")
STAGES = ("prepare", "instructify", "mix")
MADE = ("data/prepared", "data/instructions", "data/mixed", "metrics", "logs")

Change = Callable[[Path, str, object], None]


class Study:
    """The working directory: a study with a good run behind it."""

    def __init__(self, folder: Path, change: Change) -> None:
        self.folder = folder
        self._change = change
        self.before = self.made()

    def made(self) -> dict[str, bytes]:
        """Everything that the stages have written, to the byte."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for top in MADE
            for path in sorted((self.folder / top).rglob("*"))
            if path.is_file()
        }

    def set(self, settings: dict[str, object]) -> None:
        """Change settings: {"params.yaml:seed": 1} or, in the profile, {"sources.general": []}."""
        for key, value in settings.items():
            file, _, name = key.rpartition(":")
            self._change(self.folder / (file or "profiles/small.yaml"), name, value)

    def source(self, name: str, content: bytes, settings: dict[str, object]) -> None:
        """Write data/raw/NAME and make it all of the labelled source, but for `settings`."""
        (self.folder / "data/raw" / name).write_bytes(content)
        shares = {} if "splits" in settings else {"validation_share": 0.2, "test_share": 0.2}
        alone = {"splits": {"train": f"data/raw/{name}"}, "take": {}, **shares}
        self.set({f"sources.labelled.{key}": value for key, value in (alone | settings).items()})

    def run(self, stage: str) -> None:
        """Run a stage as its script does, in this process."""
        importlib.import_module(stage).main()

    def stopped(self, stage: str) -> str:
        """Run a stage that must stop; its message, once nothing made before has changed."""
        with pytest.raises(StudyError) as raised:
            self.run(stage)
        assert self.made() == self.before
        message = str(raised.value)
        # A person can read it: nothing that a terminal would act on, nothing without end.
        assert all(line.isprintable() for line in message.splitlines()), message
        assert 20 < len(message) < 4000
        return message

    def rows(self, *names: str) -> list[dict[str, Any]]:
        """The rows of tables under data/prepared/."""
        prepared = self.folder / "data/prepared"
        return [row for name in names for row in pq.read_table(prepared / name).to_pylist()]

    def labelled(self) -> dict[str, str]:
        """{text: label} of every labelled row that goes on."""
        rows = self.rows(*(f"labelled/{split}.parquet" for split in SPLITS))
        return {row["text"]: row["label"] for row in rows}


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory, make_study: Callable[[Path], None]) -> Path:
    """A study whose data stages have run, as they are by default but for few rows."""
    folder = tmp_path_factory.mktemp("good")
    make_study(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["prepare"]["max_rejected_share"] = 0.5
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in STAGES:
            importlib.import_module(stage).main()
    return folder


@pytest.fixture
def ran(good: Path, tmp_path: Path, change: Change, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of the study with its good run, which is the working directory."""
    folder = tmp_path / "study"
    shutil.copytree(good, folder)
    monkeypatch.chdir(folder)
    study = Study(folder, change)
    assert len(study.before) == 20
    return study
