"""Packages whose archive or ratings are not what the profile says."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rows import sources

ROWS = "".join(f"{n}\tRow {n} says {n * n}\t{2 * (n % 2) - 1}\n" for n in range(40))
RATERS = "".join(f"{n}\t[{2 * (n % 2) - 1}, 0, 1]\n" for n in range(40))
SOURCE = {
    "kind": "package",
    "package": {"name": "rows", "version": "1", "sha256": "ab" * 32, "form": "sdist"},
    "splits": {"train": ["rows.tsv"]},
    "reading": {"header": ["id", "text", "rating"], "quoting": False},
    "ratings": {"member": ["raters.tsv"], "header": ["id", "all"], "id": "id", "column": "all"},
    "columns": {"text": "text", "rating": "rating"},
    "bands": {"negative": {"max": -0.5}, "positive": {"min": 0.5}},
    "validation_share": 0.2,
    "test_share": 0.3,
}


def zipped(**members: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"rows": ROWS, "raters": RATERS, **members}.items():
            archive.writestr(f"{name}.tsv", text)
    return sink.getvalue()


def tarred(text: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        member = tarfile.TarInfo("rows.tsv")
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    return sink.getvalue()


def encrypted() -> bytes:
    """An archive whose members say that they are encrypted."""
    content = bytearray(zipped())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(start)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(start, at + 4)
    return bytes(content)


def damaged() -> bytes:
    """An archive with a changed byte in what its first member holds."""
    content = bytearray(zipped())
    content[60] ^= 0xFF
    return bytes(content)


LONG = tarred("".join(f"{n}\t{n**9}\t1\n" for n in range(9999)))

# name, the archive, what the message must say
STOPS: list[tuple[str, bytes, list[str]]] = [
    ("no archive", b"rows", ["rows.zip: is no readable zip or tar archive"]),
    ("empty", b"", ["rows.zip: is no readable zip or tar archive"]),
    ("cut", zipped()[:-30], ["rows.zip: is no readable zip or tar archive"]),
    ("a cut tar", LONG[: len(LONG) // 2], ["rows.zip: is no readable zip or tar archive"]),
    ("encrypted", encrypted(), ["rows.zip: is no readable zip or tar archive: ", "encrypted"]),
    ("damaged", damaged(), ["rows.zip: is no readable zip or tar archive"]),
    ("no rows", zipped(rows=""), ["package rows==1: the split train is empty: no row in rows.tsv"]),
    (
        "an id twice in the ratings",
        zipped(raters=RATERS + "7\t[1]\n"),
        ["raters.tsv: row 41: the id '7' occurs twice"],
    ),
    (
        "other ids",
        zipped(raters="".join(f"x{n}\t[1]\n" for n in range(40))),
        ["raters.tsv: has no id of rows.tsv: ratings.id or ratings.header names the wrong"],
    ),
]


def set_up(ran: Any, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    archive = Path(ran.folder / "rows.zip")
    archive.write_bytes(content)
    monkeypatch.setattr(sources, "fetch_package", lambda package: archive)
    ran.set({"sources.labelled": SOURCE})


@pytest.mark.parametrize(
    ("content", "parts"), [case[1:] for case in STOPS], ids=[case[0] for case in STOPS]
)
def test_a_package_of_something_else_stops_and_is_told_of(
    ran: Any, monkeypatch: pytest.MonkeyPatch, content: bytes, parts: list[str]
) -> None:
    set_up(ran, monkeypatch, content)
    message = ran.stopped("prepare")
    for part in parts:
        assert part in message


def test_ids_that_stand_twice_and_ratings_that_are_none_are_set_aside(
    ran: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {
        40: "[1, ",
        41: "[" * 100_000,
        42: '"12"',
        43: '{"1": 2}',
        44: "[NaN, 1]",
        45: "[1e999]",
        46: "5",
    }
    rows = ROWS + "".join(f"{n}\tMore {n}\t1\n" for n in bad) + "7\tAgain\t1\n99\tUnrated\t1\n"
    raters = RATERS + "".join(f"{n}\t{ratings}\n" for n, ratings in bad.items())
    set_up(ran, monkeypatch, zipped(rows=rows, raters=raters))
    ran.run("prepare")
    aside = {row["row"]: row["reason"] for row in ran.rows("rejected.parquet")}
    assert aside.pop(48) == "the id '7' occurs twice"
    assert aside.keys() == {n + 1 for n in bad}
    assert all(reason.endswith("is not a list of numbers") for reason in aside.values())
    assert "Unrated" in ran.labelled()
    assert len(ran.rows("raters.parquet")) == 40
