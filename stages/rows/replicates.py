"""Predictions of models that other training seeds gave, as `make replicates` collects them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rows.tables import read_table, schema_of
from settings.section import Origin

REPLICATES = schema_of(  # of models from other training seeds
    recipe=pa.string(),
    training_seed=pa.int64(),
    system=pa.string(),
    row_id=pa.string(),
    scored=pa.string(),
)
REPLICATES_FILE = Path("data/replicates/predictions.parquet")
TRAINING_ROWS = (
    Path("data/instructions/labelled/train.parquet"),
    Path("data/mixed/train.parquet"),
)


def recipe_of(*sections: Any) -> str:
    """What else than its seed makes a training: a hash of its settings and of its rows' files.

    Whose the base model is, and how often a checkpoint is written, change no training.
    """
    aside = {*Origin.model_fields, "checkpoint_every"}
    settings = [section.model_dump(exclude=aside) for section in sections]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for path in TRAINING_ROWS:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_replicates(recipe: str, row_ids: Sequence[str]) -> dict[str, dict[int, list[str]]]:
    """{system: {training seed: the scored labels of the rows}} of replicates of this very recipe.

    Those of another recipe, or of other rows, are left out.
    """
    table = read_table(REPLICATES_FILE, REPLICATES)
    found: dict[str, dict[int, dict[str, str]]] = {}
    for row in table.filter(pa.compute.equal(table["recipe"], recipe)).to_pylist():
        of_seed = found.setdefault(row["system"], {}).setdefault(row["training_seed"], {})
        of_seed[row["row_id"]] = row["scored"]
    return {
        system: {
            seed: [scored[row_id] for row_id in row_ids]
            for seed, scored in sorted(seeds.items())
            if scored.keys() == set(row_ids)
        }
        for system, seeds in found.items()
    }
