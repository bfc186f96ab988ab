"""What rows.unpacking promises: gzip and zip are read, but not without limits."""

import gzip
import io
import zipfile

from runtime.errors import StudyError

import pytest

from rows import unpacking
from rows.unpacking import unpacked


def zipped(*names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"text\na\n")
    return sink.getvalue()


def test_a_file_that_is_not_compressed_stays_as_it_is() -> None:
    assert unpacked(b"text\na\n", "a.csv.gz") == (b"text\na\n", "a.csv.gz")


@pytest.mark.parametrize(
    ("content", "name", "inner_name"),
    [
        (gzip.compress(b"text\na\n"), "a.csv.gz", "a.csv"),
        (gzip.compress(b"text\na\n"), "a.csv", "a.csv"),
        (gzip.compress(b"text\n") + gzip.compress(b"a\n"), "a.csv.gz", "a.csv"),
        (zipped("b.tsv"), "a.zip", "b.tsv"),
        (zipped("folder/", "folder/b.tsv", "__MACOSX/folder/._b.tsv"), "a.zip", "folder/b.tsv"),
    ],
    ids=["gzip", "gzip without its suffix", "two gzip members", "zip", "zip with a folder"],
)
def test_the_content_and_the_name_inside_are_returned(
    content: bytes, name: str, inner_name: str
) -> None:
    assert unpacked(content, name) == (b"text\na\n", inner_name)


def test_an_archive_of_several_files_stops_with_ten_names() -> None:
    content = zipped(*(f"{number}.csv" for number in range(12)))
    with pytest.raises(
        StudyError, match=r"a\.zip: is a zip archive of 12 files .*'9\.csv', \.\.\."
    ):
        unpacked(content, "a.zip")


def test_an_encrypted_archive_stops() -> None:
    content = bytearray(zipped("a.csv"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    with pytest.raises(StudyError, match=r"a\.zip: is compressed \(zip\), but .* encrypted"):
        unpacked(bytes(content), "a.zip")


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_bomb_stops_above_both_limits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress(bytes(100_000))
    if kind == "zip":
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", bytes(100_000))
        content = sink.getvalue()
    size = len(content)
    monkeypatch.setattr(unpacking, "MAX_BYTES", 100_000)
    monkeypatch.setattr(unpacking, "MAX_RATIO", 1)
    assert unpacked(content, "a.csv.gz")[0] == bytes(100_000)
    monkeypatch.setattr(unpacking, "MAX_BYTES", 99_999)
    monkeypatch.setattr(unpacking, "MAX_RATIO", 100_000 // size + 1)
    assert unpacked(content, "a.csv.gz")[0] == bytes(100_000)
    monkeypatch.setattr(unpacking, "MAX_RATIO", 1)
    with pytest.raises(StudyError, match=rf"its {size:,} bytes decompress to more than 99,999"):
        unpacked(content, "a.csv.gz")
