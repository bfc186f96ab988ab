"""Train and evaluate every tuned system with more training seeds: `replicates.py N`, N seeds in all.

Each additional seed is a DVC experiment in a temporary folder, named `training-seed-SEED-RECIPE`. Rows and
base model come from the study's cache. The script collects the predictions in data/replicates/. `compare`
reads them for the report's section on training seeds.
"""

import argparse
import hashlib
import io
import subprocess
from collections.abc import Mapping

from runtime.errors import StudyError
from runtime.process import run_stage

import dvc.api
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rows.answers import LABELLED_PREDICTIONS
from rows.replicates import REPLICATES, REPLICATES_FILE, of_recipes, recipe_of
from rows.tables import concat, read_table, write_table
from settings.read import read_settings
from systems import systems_of


def main() -> None:
    count = _arguments()
    settings = read_settings("task", "training_seed", "base_model", "precision", "train")
    tuned = systems_of(settings.task).tuned
    sections = (settings.base_model, settings.precision, settings.train)
    recipes = {system.name: recipe_of(system.rows, *sections) for system in tuned}
    name_of_recipes = hashlib.sha256("".join(recipes.values()).encode()).hexdigest()[:8]
    replicates = of_recipes(read_table(REPLICATES_FILE, REPLICATES), recipes)
    for number in range(2, count + 1):
        seed = settings.training_seed + number - 1
        collected = replicates.filter(pc.equal(replicates["training_seed"], seed))
        if set(collected["system"].to_pylist()) == recipes.keys():
            print(f"replicate {number} of {count}, training seed {seed}: already done")
            continue
        print(f"replicate {number} of {count}, training seed {seed}", flush=True)
        name = f"training-seed-{seed}-{name_of_recipes}"
        # The target is `compare`: it needs all predictions and writes the metrics that `make compare` shows.
        _dvc("exp", "run", "--temp", "--name", name, "-S", f"training_seed={seed}", "compare")
        others = replicates.filter(pc.not_equal(replicates["training_seed"], seed))
        replicates = concat([others, collect(recipes, name, seed)])
        write_table(REPLICATES_FILE, replicates)
    write_table(REPLICATES_FILE, replicates)
    _dvc("repro", "compare")


def collect(recipes: Mapping[str, str], name: str, seed: int) -> pa.Table:
    """The scored labels of the systems in the experiment `name`, as rows of `REPLICATES`."""
    tables = []
    for system, recipe in recipes.items():
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
