"""Decompress a file of rows: gzip, or a zip archive of one file."""

import gzip
import io
import zipfile
import zlib
from typing import IO

from runtime.errors import StudyError, shown

_GZIP, _ZIP = b"\x1f\x8b\x08", b"PK\x03\x04"
# A file may become 100 MiB in any case, and a larger file 200 times its size: rows in CSV or JSON
# become 3 to 30 times their size, a bomb more than 1000 times.
MAX_BYTES = 100 * 2**20
MAX_RATIO = 200
_OTHERS = (  # (first bytes of a compressed file, name of the compression)
    (_GZIP, "gzip, twice"),
    (_ZIP, "zip, twice"),
    (b"BZh91AY&SY", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
# What gzip and zipfile raise for a damaged file; RuntimeError: encrypted, NotImplementedError: a method
# of compression that zipfile does not know.
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, zlib.error, RuntimeError)


def unpacked(content: bytes, name: str) -> tuple[bytes, str]:
    """The decompressed content, and the name whose suffix is the content's format.

    A content that is not compressed is returned as it is. Raises `StudyError` for an archive of several
    files, a damaged or encrypted file, another compression, and a content that becomes larger than both
    `MAX_BYTES` and `MAX_RATIO` times its size.
    """
    inner_name = name
    try:
        if content.startswith(_GZIP):
            inner_name = name[:-3] if name.lower().endswith(".gz") else name
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                content = _read(file, len(content), name)
        elif content.startswith(_ZIP):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                inner_name = _only_member(archive, name)
                with archive.open(inner_name) as file:
                    content = _read(file, len(content), name)
    except _DAMAGED as error:
        compression = "gzip" if content.startswith(_GZIP) else "zip"
        raise StudyError(
            f"{name}: is compressed ({compression}), but cannot be decompressed: "
            f"{' '.join(str(error).split())}: load the file again, or decompress it by hand"
        ) from None
    for first_bytes, compression in _OTHERS:
        if content.startswith(first_bytes):
            raise StudyError(
                f"{name}: is compressed ({compression}): decompress it, and name the decompressed file"
            )
    return content, inner_name


def _only_member(archive: zipfile.ZipFile, name: str) -> str:
    """The name of the one file in a zip archive; folders and macOS's notes do not count."""
    members = [
        member.filename
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if "[Content_Types].xml" in members:
        raise StudyError(f"{name}: is a spreadsheet or a document: export its rows as CSV")
    if len(members) != 1:
        names = ", ".join(map(shown, members[:10])) + (", ..." if len(members) > 10 else "")
        raise StudyError(
            f"{name}: is a zip archive of {len(members)} files ({names}): unpack it, and name the file"
        )
    return members[0]


def _read(file: IO[bytes] | gzip.GzipFile, compressed_size: int, name: str) -> bytes:
    limit = max(MAX_BYTES, MAX_RATIO * compressed_size)
    content = file.read(limit + 1)
    if len(content) > limit:
        raise StudyError(
            f"{name}: its {compressed_size:,} bytes decompress to more than {limit:,}: if this is no "
            "mistake, decompress the file, and name the decompressed file"
        )
    return content
