"""What `runtime.hashing` promises."""

import hashlib
from pathlib import Path

from runtime.hashing import sha256_of


def test_the_hash_of_several_files_is_that_of_their_bytes_in_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab")
    two.write_bytes(b"c")
    assert sha256_of(one, two) == hashlib.sha256(b"abc").hexdigest() != sha256_of(two, one)
