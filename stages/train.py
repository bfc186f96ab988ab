"""Fine-tune the base model on the rows of one tuned system: `train.py mixed`."""

import argparse
import shutil
from pathlib import Path
from typing import Any

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.files import place_folder, write_json, write_text, writing
from runtime.process import PROCESSES, RANK, run_stage
from runtime.progress import in_words

from lm.base import load_base, load_tokenizer, make_repeatable
from lm.checkpoints import hold_checkpoints
from lm.processes import is_sharded, launch
from lm.recipe import Recipe, training_key
from lm.training import fine_tune
from prompts.encode import Encoder, Example, require_lengths
from rows.instructions import INSTRUCTIONS
from rows.tables import read_table
from settings.read import read_settings
from systems import Trained, systems_of

BASE = Path("models/base")
VALIDATION_ROWS = Path("data/instructions/labelled/validation.parquet")


def main() -> None:
    settings = read_settings(
        "task", "training_seed", "prompt_format", "precision", "train", "launch"
    )
    system = _tuned_system(settings.task)
    name, folder = system.train_stage, system.folder
    launch(settings.launch)
    sharded = is_sharded(settings.launch)
    make_repeatable(settings.training_seed, settings.precision.deterministic)

    encoder = Encoder(load_tokenizer(BASE), settings.prompt_format)
    max_length = settings.train.max_length
    recipe = Recipe(
        train=_encode(system.rows, encoder, max_length),
        validation=_encode(VALIDATION_ROWS, encoder, max_length),
        settings=settings.train,
        precision=settings.precision,
        seed=settings.training_seed,
        sharded=sharded,
    )

    with hold_checkpoints(name, training_key(BASE, recipe)) as checkpoints:
        model = load_base(BASE, settings.precision, "cpu" if sharded else None)
        tuned, account = fine_tune(model, encoder, recipe, checkpoints, name)
        _save(tuned, folder)
        curves = Path("curves") / folder.name
        write_text(curves / "train.csv", _csv(account.train_losses))
        write_text(curves / "validation.csv", _csv(account.validation_losses))
        write_json(
            Path(f"metrics/{name}.json"),
            {
                "rows": len(recipe.train),
                "steps": account.steps,
                "tokens": account.tokens,
                "train_loss": account.train_losses[-1][1],
                "validation_loss": account.validation_losses[-1][1],
                "trainable_parameters": account.trainable_parameters,
                "total_parameters": account.total_parameters,
            },
        )
    computer = "GPU" if tuned.device.type == "cuda" else "processor"
    print(
        f"{name}: {len(recipe.train):,} rows, {account.tokens:,} tokens, {account.steps:,} steps in "
        f"{in_words(account.seconds)} ({PROCESSES * account.seconds / 3600:.3f} {computer} hours)"
    )
    write_log(
        name,
        training_seconds=account.seconds,
        rows_per_second=len(recipe.train) * settings.train.epochs / account.seconds,
        tokens_per_second=account.tokens / account.seconds,
    )


def _save(tuned: Any, folder: Path) -> None:
    """Write the adapter to `folder`, complete or not at all; the first process alone writes."""
    if RANK:
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _point_at(tuned, BASE)
    with writing(folder):
        try:
            tuned.save_pretrained(partial, safe_serialization=True)
            (partial / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
            place_folder(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _encode(path: Path, encoder: Encoder, max_length: int) -> list[Example]:
    """The token ids of a table's rows. Raises `StudyError` for no row and for a row that is too long."""
    rows = read_table(path, INSTRUCTIONS)
    if not len(rows):
        raise StudyError(f"{path}: contains no row to train on")
    prompts, completions = rows["prompt"].to_pylist(), rows["completion"].to_pylist()
    examples = [encoder.example(*pair) for pair in zip(prompts, completions, strict=True)]
    require_lengths(examples, rows["row_id"].to_pylist(), max_length)
    return examples


def _point_at(tuned: Any, base: Path) -> None:
    """Make the adapter's settings equal bytes on every machine: path of the base model, sorted modules."""
    for config in tuned.peft_config.values():
        config.base_model_name_or_path = str(base)
        config.target_modules = sorted(config.target_modules)  # the order of a set varies


def _csv(losses: list[tuple[int, float]]) -> str:
    return "step,loss\n" + "".join(f"{step},{loss:.6f}\n" for step, loss in losses)


def _tuned_system(task: str) -> Trained:
    """The tuned system that the command line names by its short name."""
    tuned = {system.short: system for system in systems_of(task).tuned}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=tuned)
    return tuned[parser.parse_args().system]


if __name__ == "__main__":
    run_stage(main)
