"""Measure how 4-bit weights change the validation loss: `PYTHONPATH=stages python benchmarks/qlora_cpu.py`.

The script trains the base in `models/base` for a few dozen steps on the same rows of `data/instructions`:
in full precision and twice with NF4 weights (QLoRA). One NF4 run computes in float32, where only the rounding
of weights differs; the other in bfloat16, as on a GPU. The pipeline must have run. `--tiny`: three steps.
"""

import argparse
import tempfile
from pathlib import Path

from lm.base import load_base, load_tokenizer, make_repeatable
from lm.recipe import Recipe
from lm.training import Trained, fine_tune
from prompts.encode import Encoder, Example
from rows.instructions import INSTRUCTIONS
from rows.tables import read_table
from settings.model import Precision
from settings.read import read_settings

BASE = Path("models/base")
ROWS = Path("data/instructions/labelled")
PATHS = {
    "float32": Precision(dtype="float32", quantization="none"),
    "nf4, float32": Precision(dtype="float32", quantization="nf4"),
    "nf4, bfloat16": Precision(dtype="bfloat16", quantization="nf4"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tiny", action="store_true", help="three steps, to check that the script runs"
    )
    steps, every, held_out = (3, 1, 4) if parser.parse_args().tiny else (48, 8, 60)

    settings = read_settings("training_seed", "prompt_format", "train")
    changed = {"epochs": 1, "validate_every": every, "checkpoint_every": steps}
    train_settings = settings.train.model_copy(update=changed)
    encoder = Encoder(load_tokenizer(BASE), settings.prompt_format)
    rows = steps * train_settings.batch_size * train_settings.gradient_accumulation
    train, validation = examples("train", encoder, rows), examples("validation", encoder, held_out)
    seed = settings.training_seed
    accounts = {
        name: trained(encoder, Recipe(train, validation, train_settings, precision, seed))
        for name, precision in PATHS.items()
    }
    print(f"\nvalidation loss in nats per token, over {len(validation)} rows")
    print("step".rjust(10), *(name.rjust(14) for name in accounts))
    curves = [account.validation_losses for account in accounts.values()]
    for losses in zip(*curves, strict=True):
        print(f"{losses[0][0]:10}", *(f"{loss:14.4f}" for _, loss in losses))
    print("seconds".rjust(10), *(f"{account.seconds:14.1f}" for account in accounts.values()))


def examples(split: str, encoder: Encoder, count: int) -> list[Example]:
    rows = read_table(ROWS / f"{split}.parquet", INSTRUCTIONS).slice(0, count).to_pylist()
    return [encoder.example(row["prompt"], row["completion"]) for row in rows]


def trained(encoder: Encoder, recipe: Recipe) -> Trained:
    make_repeatable(recipe.seed)
    model = load_base(BASE, recipe.precision)
    name = f"{recipe.precision.quantization}, {recipe.precision.dtype}"
    with tempfile.TemporaryDirectory() as scratch:
        return fine_tune(model, encoder, recipe, Path(scratch), name)[1]


if __name__ == "__main__":
    main()
