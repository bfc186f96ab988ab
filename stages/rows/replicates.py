"""Predictions of models trained under further training seeds, as `make replicates` collects them."""

import hashlib
import json
from collections.abc import Sequence
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


def recipe_of(training_rows: Sequence[Path], *sections: Any) -> str:
    """A hash of what decides a training besides its seed: settings sections, and the files of its rows.

    `Train.UNTRACKED` settings change no adapter and are left out.
    """
    settings = [section.model_dump(exclude=set(Train.UNTRACKED)) for section in sections]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path in training_rows:
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


def read_replicates(recipe: str, row_ids: Sequence[str]) -> dict[str, dict[int, list[str]]]:
    """{system: {training seed: the scored label of each row}} of the replicates of this recipe.

    Replicates of another recipe, or with predictions for other rows, are left out.
    """
    table = read_table(REPLICATES_FILE, REPLICATES)
    labels: dict[str, dict[int, dict[str, str]]] = {}
    for row in table.filter(pa.compute.equal(table["recipe"], recipe)).to_pylist():
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
