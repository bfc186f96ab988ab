"""Train and evaluate every tuned system with more training seeds: `replicates.py N`, N seeds in all.

Each additional seed is a DVC experiment in a temporary folder, named `training-seed-SEED-RECIPE`. Rows and
base model come from the study's cache. The script collects the predictions in data/replicates/. `compare`
reads them for the report's section on training seeds.
"""

import argparse
import io
import subprocess
from collections.abc import Sequence

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
from systems import System, systems_of


def main() -> None:
    count = _arguments()
    settings = read_settings("task", "training_seed", "base_model", "precision", "train")
    tuned = systems_of(settings.task).tuned
    training_rows = [system.rows for system in tuned]
    recipe = recipe_of(training_rows, settings.base_model, settings.precision, settings.train)
    replicates = read_table(REPLICATES_FILE, REPLICATES)
    # Replicates of another recipe are stale.
    replicates = replicates.filter(pc.equal(replicates["recipe"], recipe))
    for number in range(2, count + 1):
        seed = settings.training_seed + number - 1
        if seed in set(replicates["training_seed"].to_pylist()):
            print(f"replicate {number} of {count}, training seed {seed}: already done")
            continue
        print(f"replicate {number} of {count}, training seed {seed}", flush=True)
        name = f"training-seed-{seed}-{recipe[:8]}"
        # The target is `compare`: it needs all predictions and writes the metrics that `make compare` shows.
        _dvc("exp", "run", "--temp", "--name", name, "-S", f"training_seed={seed}", "compare")
        replicates = concat([replicates, collect(tuned, name, seed, recipe)])
        write_table(REPLICATES_FILE, replicates)
    write_table(REPLICATES_FILE, replicates)
    _dvc("repro", "compare")


def collect(systems: Sequence[System], name: str, seed: int, recipe: str) -> pa.Table:
    """The scored labels of these systems in the experiment `name`, as rows of `REPLICATES`."""
    tables = []
    for system in systems:
        path = f"predictions/{system.name}/labelled.parquet"
        content = dvc.api.read(path, rev=name, mode="rb")
        table = pq.read_table(io.BytesIO(content), schema=LABELLED_PREDICTIONS)
        rows = len(table)
        columns = {
            "recipe": [recipe] * rows,
            "training_seed": [seed] * rows,
            "system": [system.name] * rows,
            "row_id": table["row_id"],
            "scored": table["scored"],
        }
        tables.append(pa.table(columns, schema=REPLICATES))
    return concat(tables)


def _dvc(*arguments: str) -> None:
    if subprocess.run(["dvc", *arguments], check=False).returncode:
        raise StudyError(f"dvc {' '.join(arguments)} failed: see its message above")


def _arguments() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "count",
        type=int,
        metavar="N",
        help="number of seeds, the study's own included; 2 or more",
    )
    count: int = parser.parse_args().count
    if count < 2:
        parser.error("N must be 2 or more: the study's own training is the first")
    return count


if __name__ == "__main__":
    run_stage(main)
