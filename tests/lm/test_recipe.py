"""The key of checkpoints: it changes with all that decides a training's result, and with nothing else."""

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from runtime.closure import affecting_files, module_name

import pytest

from lm import recipe as recipes
from lm.recipe import Recipe, training_key
from prompts.encode import Example
from settings.model import Precision

STAGES = Path(__file__).resolve().parents[2] / "stages"
MakeRecipe = Callable[..., Recipe]


def test_the_key_changes_with_every_part_of_the_recipe(
    toy_base: Path, recipe: MakeRecipe, rows: list[Example]
) -> None:
    plain = recipe()
    others: dict[str, list[Any]] = {
        "train": [
            rows[::-1],
            # The same ids, but the prompt ends one token earlier.
            [Example(rows[0].input_ids[:-1], [2]), *rows[1:]],
        ],
        "validation": [rows[:8]],
        "settings": [recipe(learning_rate=0.02).settings, recipe(lora_layers=1).settings],
        "precision": [Precision(dtype="bfloat16", quantization="none")],
        "seed": [8],
        "sharded": [True],
    }
    assert others.keys() == {field.name for field in fields(Recipe)}
    changed = [
        replace(plain, **{name: value}) for name, values in others.items() for value in values
    ]
    keys = {training_key(toy_base, other) for other in [plain, *changed]}
    assert len(keys) == 1 + len(changed)


def test_the_key_does_not_change_with_the_steps_between_checkpoints(
    toy_base: Path, recipe: MakeRecipe
) -> None:
    keys = {training_key(toy_base, recipe(checkpoint_every=every)) for every in (2, 3)}
    assert len(keys) == 1


def test_the_key_changes_with_a_byte_of_the_base(
    toy_base: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(toy_base, base)
    key = training_key(base, recipe())
    assert key == training_key(toy_base, recipe())
    weights = base / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert training_key(base, recipe()) != key


def test_the_key_changes_with_the_number_of_processes(
    toy_base: Path, recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = training_key(toy_base, recipe())
    monkeypatch.setattr(recipes, "PROCESSES", 2)
    assert training_key(toy_base, recipe()) != key


def test_the_key_changes_with_the_code_that_can_change_the_result(
    toy_base: Path, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = tmp_path / "stages"
    shutil.copytree(STAGES, stages, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(recipes, "_STAGES", stages)

    def changed(file: str) -> bool:
        path = stages / file
        text = path.read_bytes()
        before = training_key(toy_base, recipe())
        path.write_bytes(text + b"# a comment\n")
        after = training_key(toy_base, recipe())
        path.write_bytes(text)
        return after != before

    for file in ("lm/processes.py", "lm/trainer.py", "prompts/encode.py", "train.py"):
        assert changed(file), file
    for file in (
        "lm/progress.py",
        "runtime/errors.py",
        "systems.py",
        "lm/answering.py",
        "evaluate.py",
    ):
        assert not changed(file), file


def test_the_code_of_a_training_is_what_its_script_imports() -> None:
    modules = {module_name(path, STAGES) for path in affecting_files(STAGES / "train.py")}
    assert modules > {
        *("train", "lm", "lm.base", "lm.batches", "lm.checkpoints", "lm.processes", "lm.recipe"),
        *(
            "lm.trainer",
            "lm.training",
            "prompts.encode",
            "prompts.format",
            "rows.tables",
            "settings.model",
        ),
    }
    assert not modules & {"lm.progress", "lm.answering", "settings.read", "systems"}
