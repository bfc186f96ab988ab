"""What makes a recipe another one, so that its replicates no longer count."""

from pathlib import Path

from runtime.yaml_file import read_yaml

import pytest

from rows.replicates import TRAINING_ROWS, recipe_of
from settings.base_model import PathBase
from settings.model import Precision, Train


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training rows in a working directory of their own."""
    monkeypatch.chdir(tmp_path)
    for path in TRAINING_ROWS:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"rows")
    return tmp_path


def test_another_base_makes_another_recipe() -> None:
    base = PathBase(kind="path", path="models/toy")
    assert recipe_of(base) == recipe_of(PathBase(kind="path", path="models/toy"))
    assert recipe_of(base) != recipe_of(PathBase(kind="path", path="models/other"))


def test_settings_that_change_no_adapter_make_no_other_recipe(repo: Path) -> None:
    content = read_yaml(repo / "profiles/pocket.yaml")
    assert isinstance(content, dict)
    train = Train.model_validate(content["train"])
    before = recipe_of(train)
    for key in Train.UNTRACKED:
        assert recipe_of(train.model_copy(update={key: 7})) == before
    assert recipe_of(train.model_copy(update={"epochs": 7})) != before


def test_another_setting_or_other_rows_make_another_recipe() -> None:
    precision = Precision(dtype="float32", quantization="none")
    before = recipe_of(precision)
    assert recipe_of(precision.model_copy(update={"dtype": "bfloat16"})) != before
    TRAINING_ROWS[1].write_bytes(b"other rows")
    assert recipe_of(precision) != before
