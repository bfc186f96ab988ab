"""Check that this processor computes the same bits as the one that wrote `dvc.lock`; exit status 1 if not."""

import sys

from runtime.errors import StudyError
from runtime.process import run_stage

from lm.fingerprint import OPERATIONS, RECORD, differing, processor, read_record


def main() -> None:
    record = read_record()
    if not record:
        raise StudyError(
            f"{RECORD}: no such file, so there is nothing to compare with; `make repro` writes it"
        )
    names = differing(record)
    print(f"{processor()}: {len(OPERATIONS) - len(names)} of {len(OPERATIONS)} operations equal")
    for name in names:
        print(f"different last bits: {name}")
    sys.exit(bool(names))


if __name__ == "__main__":
    run_stage(main)
