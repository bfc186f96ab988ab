"""Say whether this processor gives the bits that `dvc.lock` was made with; exit status 1 where not."""

import sys

from lm.fingerprint import OPERATIONS, differing, processor


def main() -> None:
    names = differing()
    print(f"{processor()}: {len(OPERATIONS) - len(names)} of {len(OPERATIONS)} operations alike")
    for name in names:
        print(f"other last bits: {name}")
    sys.exit(bool(names))


if __name__ == "__main__":
    main()
