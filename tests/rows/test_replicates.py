"""What makes a recipe another one, and which replicates count."""

from pathlib import Path

from runtime.yaml_file import read_yaml

import pytest

from rows.replicates import REPLICATES, REPLICATES_FILE, read_replicates, recipe_of
from rows.tables import table_of, write_table
from settings.base_model import PathBase
from settings.model import Precision, Train

ROWS = Path("mixed.parquet")


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training rows in a working directory of their own."""
    monkeypatch.chdir(tmp_path)
    ROWS.write_bytes(b"rows")
    return tmp_path


def replicate(
    recipe: str, system: str, seed: int, labels: dict[str, str]
) -> list[dict[str, str | int]]:
    """The rows of one replicate: `labels` are the scored labels by row id."""
    return [
        {
            "recipe": recipe,
            "training_seed": seed,
            "system": system,
            "row_id": row_id,
            "scored": label,
        }
        for row_id, label in labels.items()
    ]


def test_settings_that_change_no_adapter_make_no_other_recipe(repo: Path) -> None:
    content = read_yaml(repo / "profiles/pocket.yaml")
    assert isinstance(content, dict)
    train = Train.model_validate(content["train"])
    before = recipe_of(ROWS, train)
    for key in Train.UNTRACKED:
        assert recipe_of(ROWS, train.model_copy(update={key: 7})) == before
    assert recipe_of(ROWS, train.model_copy(update={"epochs": 7})) != before


def test_another_setting_makes_another_recipe() -> None:
    precision = Precision(dtype="float32", quantization="none")
    before = recipe_of(ROWS, precision)
    assert recipe_of(ROWS, precision.model_copy()) == before
    assert recipe_of(ROWS, precision.model_copy(update={"dtype": "bfloat16"})) != before
    base = PathBase(kind="path", path="models/toy")
    assert recipe_of(ROWS, base) != recipe_of(ROWS, PathBase(kind="path", path="models/other"))


def test_other_training_rows_make_another_recipe() -> None:
    precision = Precision(dtype="float32", quantization="none")
    before = recipe_of(ROWS, precision)
    ROWS.write_bytes(b"other rows")
    assert recipe_of(ROWS, precision) != before


def test_replicates_are_read_by_system_and_seed_in_the_order_of_the_rows() -> None:
    rows = [
        *replicate("this", "mixed", 44, {"b": "bad", "a": "good"}),
        *replicate("this", "mixed", 43, {"a": "bad", "b": "bad"}),
        *replicate("its own", "alone", 43, {"a": "good", "b": "bad"}),
        *replicate("another", "mixed", 45, {"a": "good", "b": "bad"}),
        *replicate("this", "of no system", 43, {"a": "good", "b": "bad"}),
    ]
    write_table(REPLICATES_FILE, table_of(rows, REPLICATES))
    replicates = read_replicates({"mixed": "this", "alone": "its own"}, ["a", "b"])
    assert replicates == {
        "mixed": {43: ["bad", "bad"], 44: ["good", "bad"]},
        "alone": {43: ["good", "bad"]},
    }
    assert list(replicates["mixed"]) == [43, 44]


@pytest.mark.parametrize("row_ids", ["a", "abc", "ac"])
def test_replicates_of_other_rows_are_left_out(row_ids: str) -> None:
    rows = [
        *replicate("this", "mixed", 43, {"a": "good", "b": "bad"}),
        *replicate("this", "mixed", 44, dict.fromkeys(row_ids, "good")),
    ]
    write_table(REPLICATES_FILE, table_of(rows, REPLICATES))
    assert read_replicates({"mixed": "this"}, ["b", "a"]) == {"mixed": {43: ["bad", "good"]}}
    assert read_replicates({"mixed": "this"}, list(row_ids)) == {
        "mixed": {44: ["good"] * len(row_ids)}
    }
