"""Hashes of files."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 20  # bytes read at once


def sha256_of(*paths: Path) -> str:
    """The SHA-256, in hex digits, of the files' bytes one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
