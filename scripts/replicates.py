"""Train and evaluate both tuned models under further training seeds: `replicates.py N`, N in all.

Each further seed is an experiment of DVC's, in a folder of its own, named `training-seed-SEED-RECIPE`: what
it shares with the study (rows, base model) is not made again. Their predictions are collected in
data/replicates/, which `compare` reads: the report then tells what holds over training seeds.
"""

import argparse
import io
import subprocess

from runtime.errors import StudyError
from runtime.process import run_stage

import dvc.api
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rows.answers import LABELLED_PREDICTIONS
from rows.replicates import REPLICATES, REPLICATES_FILE, recipe_of
from rows.tables import concat, read_table, write_table
from settings.read import read_settings

SYSTEMS = ("sentiment_fine_tuned", "mixed_fine_tuned")


def main() -> None:
    count = _arguments()
    settings = read_settings("training_seed", "prompt_format", "base_model", "precision", "train")
    recipe = recipe_of(settings.base_model, settings.precision, settings.train)
    done = read_table(REPLICATES_FILE, REPLICATES)
    done = done.filter(pc.equal(done["recipe"], recipe))  # those of another recipe go
    seeds = [settings.training_seed + more for more in range(1, count)]
    for number, seed in enumerate(seeds, start=2):
        if seed in set(done["training_seed"].to_pylist()):
            print(f"replicate {number} of {count}, training seed {seed}: already there")
            continue
        print(f"replicate {number} of {count}, training seed {seed}", flush=True)
        name = f"training-seed-{seed}-{recipe[:8]}"
        train_and_evaluate(name, seed)
        done = concat([done, collect(name, seed, recipe)])
        write_table(REPLICATES_FILE, done)
    write_table(REPLICATES_FILE, done)
    _dvc("repro", "compare")


def train_and_evaluate(name: str, seed: int) -> None:
    """Run the stages of both tuned models under another training seed, as an experiment."""
    targets = [f"evaluate@{system}" for system in SYSTEMS]
    _dvc("exp", "run", "--temp", "--name", name, "-S", f"training_seed={seed}", *targets)


def collect(name: str, seed: int, recipe: str) -> pa.Table:
    """The scored labels of both tuned models of an experiment."""
    parts = []
    for system in SYSTEMS:
        path = f"predictions/{system}/labelled.parquet"
        content = dvc.api.read(path, rev=name, mode="rb")
        table = pq.read_table(io.BytesIO(content), schema=LABELLED_PREDICTIONS)
        rows = len(table)
        columns = {
            "recipe": [recipe] * rows,
            "training_seed": [seed] * rows,
            "system": [system] * rows,
            "row_id": table["row_id"],
            "scored": table["scored"],
        }
        parts.append(pa.table(columns, schema=REPLICATES))
    return concat(parts)


def _dvc(*arguments: str) -> None:
    if subprocess.run(["dvc", *arguments], check=False).returncode:
        raise StudyError(f"dvc {' '.join(arguments)} failed; what it says stands above")


def _arguments() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, metavar="N", help="trainings in all, 2 or more")
    count: int = parser.parse_args().count
    if count < 2:
        parser.error("N must be 2 or more: the study's own training is the first")
    return count


if __name__ == "__main__":
    run_stage(main)
