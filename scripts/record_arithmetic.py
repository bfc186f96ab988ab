"""Record beside `dvc.lock` the fingerprint of the arithmetic that made it: the end of `make repro`.

A stage whose outputs are as recorded stays with the arithmetic that made them; all other stages ran here.
Where nothing is new, nothing is written.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import write_json
from runtime.process import run_stage
from runtime.yaml_file import read_yaml

from lm.fingerprint import NUMPY, RECORD, Arithmetic, fingerprint, processor, read_record

LOCK = Path("dvc.lock")
MODELS = "models/"  # what a stage with a model reads


def main() -> None:
    lock = read_yaml(LOCK)
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise StudyError(f"{LOCK}: holds no stages: `make repro` writes it")
    old = read_record()
    new = arithmetics_of(lock["stages"], old)
    if new != old:
        write_json(RECORD, {"arithmetics": new})


def arithmetics_of(stages: dict[str, Any], record: list[Arithmetic]) -> list[Arithmetic]:
    """The arithmetics that made the locked stages: those of the record first, in its order."""
    arithmetics: list[Arithmetic] = [{**arithmetic, "stages": {}} for arithmetic in record]
    made_by = {
        (stage, outputs): arithmetic["operations"]
        for arithmetic in record
        for stage, outputs in arithmetic["stages"].items()
    }
    here: dict[str, str] = {}
    for stage, entry in stages.items():
        outputs = outputs_hash(entry)
        operations = made_by.get((stage, outputs))
        if operations is None:
            here = here or fingerprint()
            operations = used_by(entry, here)
        for arithmetic in arithmetics:
            if arithmetic["operations"] == operations:
                arithmetic["stages"][stage] = outputs
                break
        else:
            made = Arithmetic(processor=processor(), operations=operations, stages={stage: outputs})
            arithmetics.append(made)
    return [arithmetic for arithmetic in arithmetics if arithmetic["stages"]]


def used_by(entry: dict[str, Any], operations: dict[str, str]) -> dict[str, str]:
    """The operations that a locked stage can use: all where it reads a model, else numpy's alone."""
    reads_model = any(dep["path"].startswith(MODELS) for dep in entry.get("deps", ()))
    return {
        name: bits for name, bits in operations.items() if reads_model or name.startswith(NUMPY)
    }


def outputs_hash(entry: dict[str, Any]) -> str:
    """A hash of the paths and the hashes of a locked stage's outputs."""
    outputs = sorted((out["path"], out.get("md5")) for out in entry.get("outs", ()))
    return hashlib.md5(json.dumps(outputs).encode(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run_stage(main)
