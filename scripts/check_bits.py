"""Report whether this processor gives the bits that `dvc.lock` was made with; exit status 1 where not."""

import sys

from runtime.errors import StudyError
from runtime.process import run_stage

from lm.fingerprint import OPERATIONS, RECORD, differing, processor, read_record


def main() -> None:
    record = read_record()
    if not record:
        raise StudyError(
            f"{RECORD}: no such file, so nothing to compare with: `make repro` writes it"
        )
    names = differing(record)
    print(f"{processor()}: {len(OPERATIONS) - len(names)} of {len(OPERATIONS)} operations alike")
    for name in names:
        print(f"other last bits: {name}")
    sys.exit(bool(names))


if __name__ == "__main__":
    run_stage(main)
