"""What makes a recipe another one, so that its replicates no longer count."""

from pathlib import Path

import pytest

from rows.replicates import TRAINING_ROWS, recipe_of
from settings.model import PathBase, Precision


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training rows in a working directory of their own."""
    monkeypatch.chdir(tmp_path)
    for path in TRAINING_ROWS:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"rows")
    return tmp_path


def test_whose_the_base_is_makes_no_other_recipe() -> None:
    base = PathBase(kind="path", path="models/toy")
    told = PathBase(kind="path", path="models/toy", licence="MIT", url="https://a.b", cite="A, B")
    assert recipe_of(told) == recipe_of(base)
    assert recipe_of(base) != recipe_of(PathBase(kind="path", path="models/other"))


def test_another_setting_or_other_rows_make_another_recipe() -> None:
    precision = Precision(dtype="float32", quantization="none")
    before = recipe_of(precision)
    assert recipe_of(precision.model_copy(update={"dtype": "bfloat16"})) != before
    TRAINING_ROWS[1].write_bytes(b"other rows")
    assert recipe_of(precision) != before
