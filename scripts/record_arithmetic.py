"""Record the fingerprint of the arithmetic that computed `dvc.lock`; `make repro` ends with this script.

A stage whose outputs are already in the record keeps its recorded arithmetic. All other stages ran on this
machine. The script writes nothing if nothing changed.
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
MODELS = "models/"  # only stages that compute with a model depend on this folder


def main() -> None:
    lock = read_yaml(LOCK)
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise StudyError(f"{LOCK}: contains no stages; `make repro` writes it")
    old = read_record()
    new = arithmetics_of(lock["stages"], old)
    if new != old:
        write_json(RECORD, {"arithmetics": new})


def arithmetics_of(stages: dict[str, Any], record: list[Arithmetic]) -> list[Arithmetic]:
    """The arithmetics that computed the locked stages; recorded ones come first, in the record's order."""
    arithmetics: list[Arithmetic] = [{**arithmetic, "stages": {}} for arithmetic in record]
    recorded_operations = {
        (stage, outputs): arithmetic["operations"]
        for arithmetic in record
        for stage, outputs in arithmetic["stages"].items()
    }
    local_operations: dict[str, str] = {}
    for stage, entry in stages.items():
        outputs = outputs_hash(entry)
        operations = recorded_operations.get((stage, outputs))
        if operations is None:
            local_operations = local_operations or fingerprint()
            operations = used_by(entry, local_operations)
        for arithmetic in arithmetics:
            if arithmetic["operations"] == operations:
                arithmetic["stages"][stage] = outputs
                break
        else:
            arithmetics.append(
                Arithmetic(processor=processor(), operations=operations, stages={stage: outputs})
            )
    return [arithmetic for arithmetic in arithmetics if arithmetic["stages"]]


def used_by(entry: dict[str, Any], operations: dict[str, str]) -> dict[str, str]:
    """The operations that a locked stage can use: all if it reads a model, else only numpy's."""
    reads_model = any(dep["path"].startswith(MODELS) for dep in entry.get("deps", ()))
    return {
        name: bits for name, bits in operations.items() if reads_model or name.startswith(NUMPY)
    }


def outputs_hash(entry: dict[str, Any]) -> str:
    """One MD5 over the paths and hashes of a locked stage's outputs."""
    outputs = sorted((out["path"], out.get("md5")) for out in entry.get("outs", ()))
    return hashlib.md5(json.dumps(outputs).encode(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run_stage(main)
