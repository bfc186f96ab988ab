"""A toy training that the tests of training, checkpoints, trainer and budget share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm.recipe import Recipe
from lm.training import Trained
from prompts.encode import Encoder, Example
from settings.model import Precision, Train


@pytest.fixture(scope="session")
def full() -> Precision:
    return Precision(dtype="float32", quantization="none")


@pytest.fixture(scope="session")
def train_settings() -> Callable[..., Train]:
    """Settings of a toy training, with changes: `train_settings(epochs=4)`."""

    def change(**changes: Any) -> Train:
        settings = {
            "epochs": 3,
            "learning_rate": 0.01,
            "warmup_steps": 1,
            "batch_size": 4,
            "gradient_accumulation": 2,
            "gradient_checkpointing": False,
            "lora_layers": None,
            "lora_rank": 4,
            "lora_alpha": 8,
            "lora_dropout": 0.1,  # so that the generators matter
            "max_length": 64,
            "validate_every": 3,
            "checkpoint_every": 100,
        }
        return Train.model_validate(settings | changes)

    return change


@pytest.fixture(scope="session")
def encoder(mistral_tokenizer: Any) -> Encoder:
    return Encoder(mistral_tokenizer, "alpaca")


@pytest.fixture(scope="session")
def rows(encoder: Encoder) -> list[Example]:
    """22 rows whose answers have unequal lengths; the first 9 are the validation rows."""
    answers = ["positive", "negative", "It is both of them, or neither."]
    return [
        encoder.example(f"Row {at}: {'good ' * (at % 5)}?", answers[at % 3]) for at in range(22)
    ]


@pytest.fixture(scope="session")
def recipe(
    rows: list[Example], train_settings: Callable[..., Train], full: Precision
) -> Callable[..., Recipe]:
    """A toy recipe, with another precision or with changed settings: `recipe(epochs=4)`."""

    def change(precision: Precision = full, **changes: Any) -> Recipe:
        return Recipe(rows, rows[:9], train_settings(**changes), precision, seed=7)

    return change


@pytest.fixture(scope="session")
def tune(toy_base: Path, encoder: Encoder) -> Callable[[Path, Recipe], tuple[Any, Trained]]:
    """Train the toy base by a recipe, with checkpoints in a folder: the model and the account."""
    from lm.base import load_base, make_repeatable
    from lm.training import fine_tune

    def tune(folder: Path, recipe: Recipe) -> tuple[Any, Trained]:
        make_repeatable(recipe.seed)
        return fine_tune(load_base(toy_base, recipe.precision), encoder, recipe, folder, "test")

    return tune
