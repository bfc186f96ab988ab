"""Predictions of models trained under further training seeds, as `make replicates` collects them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.hashing import sha256_of

import pyarrow as pa

from rows.tables import read_table, schema_of
from settings.model import Train

REPLICATES = schema_of(
    recipe=pa.string(),
    training_seed=pa.int64(),
    system=pa.string(),
    row_id=pa.string(),
    scored=pa.string(),
)
REPLICATES_FILE = Path("data/replicates/predictions.parquet")


def recipe_of(training_rows: Path, *sections: Any) -> str:
    """A hash of what decides a training besides its seed: settings sections, and the file of its rows.

    `Train.UNTRACKED` settings change no adapter and are left out.
    """
    settings = [section.model_dump(exclude=set(Train.UNTRACKED)) for section in sections]
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(bytes.fromhex(sha256_of(training_rows)))
    return digest.hexdigest()


def of_recipes(table: pa.Table, recipes: Mapping[str, str]) -> pa.Table:
    """The rows of `REPLICATES` whose recipe is the one that `recipes` has for their system."""
    systems, hashes = table["system"].to_pylist(), table["recipe"].to_pylist()
    is_current = [recipes.get(system) == own for system, own in zip(systems, hashes, strict=True)]
    return table.filter(pa.array(is_current, pa.bool_()))


def read_replicates(
    recipes: Mapping[str, str], row_ids: Sequence[str]
) -> dict[str, dict[int, list[str]]]:
    """{system: {training seed: the scored label of each row}} of the replicates of these recipes.

    `recipes`: the recipe of each system. Replicates of another recipe, or with predictions for other
    rows, are left out.
    """
    table = of_recipes(read_table(REPLICATES_FILE, REPLICATES), recipes)
    labels: dict[str, dict[int, dict[str, str]]] = {}
    for row in table.to_pylist():
        by_seed = labels.setdefault(row["system"], {})
        by_seed.setdefault(row["training_seed"], {})[row["row_id"]] = row["scored"]
    return {
        system: {
            seed: [scored[row_id] for row_id in row_ids]
            for seed, scored in sorted(by_seed.items())
            if scored.keys() == set(row_ids)
        }
        for system, by_seed in labels.items()
    }
