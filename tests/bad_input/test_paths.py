"""Files that are not there, not files, not to be read, or elsewhere."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROWS = "text,label\n" + "".join(f"Row {n},{4 * (n % 2)}\n" for n in range(20))
TRAIN = "sources.labelled.splits.train"
PROFILE = "profiles/small.yaml"
TEMPLATES = "templates/sentiment.yaml"


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Put something else in the place of a file; its old content stays beside the study."""

    def spoil(folder: Path) -> None:
        path = folder / name
        if path.exists():
            path.rename(folder.parent / "moved")
        make(path)

    return spoil


def linked(name: str, target: str) -> Callable[[Path], object]:
    return replaced(name, lambda path: path.symlink_to(target))


TWEETS = "data/raw/tweets.csv"
# name, stage, what was done, settings, what the message must say
STOPS: list[tuple[str, str, Callable[[Path], object], dict[str, object], list[str]]] = [
    (
        "missing",
        "prepare",
        replaced(TWEETS, lambda path: None),
        {},
        ["splits.train = 'data/raw/tweets.csv': no such file"],
    ),
    (
        "a pattern of nothing",
        "prepare",
        lambda _: None,
        {TRAIN: "data/raw/*.tsv"},
        ["no such file"],
    ),
    ("a long name", "prepare", lambda _: None, {TRAIN: "a" * 5000}, ["no such file"]),
    (
        "a dangling link",
        "prepare",
        linked(TWEETS, "gone.csv"),
        {},
        ["tweets.csv (a link to gone.csv): cannot be read: No such file or directory"],
    ),
    (
        "a link to itself",
        "prepare",
        linked(TWEETS, "tweets.csv"),
        {},
        ["tweets.csv (a link to tweets.csv): cannot be read: Too many levels of symbolic links"],
    ),
    (
        "a link to a folder",
        "prepare",
        linked(TWEETS, ".."),
        {},
        ["data/raw/tweets.csv: cannot be read: Is a directory"],
    ),
    (
        "a link to outside",
        "prepare",
        linked(TWEETS, "../../../moved"),
        {},
        ["'data/raw/tweets.csv' lies outside data/raw/", "put it there, or pin it with", "sha256:"],
    ),
    (
        "a device",
        "prepare",
        linked(TWEETS, "/dev/zero"),
        {},
        ["data/raw/tweets.csv: cannot be read: Is no file but a pipe or a device"],
    ),
    (
        "a pipe",
        "prepare",
        replaced(TWEETS, os.mkfifo),
        {},
        ["data/raw/tweets.csv: cannot be read: Is no file but a pipe or a device"],
    ),
    (
        "a folder",
        "prepare",
        replaced(TWEETS, Path.mkdir),
        {},
        ["data/raw/tweets.csv: cannot be read: Is a directory"],
    ),
    (
        "a folder in a pattern",
        "prepare",
        lambda folder: (folder / "data/raw/more.csv").mkdir(),
        {TRAIN: "data/raw/*.csv"},
        ["data/raw/more.csv: cannot be read: Is a directory"],
    ),
    (
        "all of a folder",
        "prepare",
        lambda _: None,
        {TRAIN: "data/raw/**"},
        ["data/raw: cannot be read: Is a directory"],
    ),
    (
        "outside",
        "prepare",
        lambda folder: (folder.parent / "a.csv").write_text(ROWS),
        {TRAIN: "../a.csv"},
        ["'../a.csv' lies outside data/raw/", hashlib.sha256(ROWS.encode()).hexdigest()],
    ),
    (
        "absolute",
        "prepare",
        lambda _: None,
        {TRAIN: os.devnull},
        ["/dev/null: cannot be read: Is no file but a pipe or a device"],
    ),
    (
        "a failing disk",  # where a read of this file begins there is nothing: the system says EIO
        "prepare",
        linked("data/raw/a.csv", "/proc/self/mem"),
        {TRAIN: "data/raw/a.csv"},
        ["data/raw/a.csv (a link to /proc/self/mem): cannot be read: Input/output error"],
    ),
    # settings and templates
    (
        "no settings",
        "mix",
        replaced("params.yaml", lambda path: None),
        {},
        ["params.yaml: no such"],
    ),
    (
        "settings in a folder",
        "mix",
        replaced("params.yaml", Path.mkdir),
        {},
        ["params.yaml: cannot be read: Is a directory"],
    ),
    (
        "settings in a loop",
        "mix",
        linked("params.yaml", "params.yaml"),
        {},
        ["params.yaml: cannot be read: Too many levels of symbolic links"],
    ),
    (
        "the profile a folder",
        "mix",
        replaced(PROFILE, Path.mkdir),
        {},
        ["params.yaml: profile = 'small': no file profiles/small.yaml"],
    ),
    (
        "the profile a dangling link",
        "mix",
        linked(PROFILE, "gone.yaml"),
        {},
        ["params.yaml: profile = 'small': no file profiles/small.yaml"],
    ),
    (
        "templates in a folder",
        "instructify",
        replaced(TEMPLATES, Path.mkdir),
        {},
        ["templates/sentiment.yaml: cannot be read: Is a directory"],
    ),
    (
        "templates a dangling link",
        "instructify",
        linked(TEMPLATES, "gone.yaml"),
        {},
        ["templates/sentiment.yaml: no such file"],
    ),
    (
        "templates outside",
        "instructify",
        lambda _: None,
        {"params.yaml:instructify.templates": "../moved"},
        ["params.yaml: instructify.templates = '../moved'", "inside the repository"],
    ),
    (
        "templates anywhere",
        "instructify",
        lambda _: None,
        {"params.yaml:instructify.templates": "/etc/passwd"},
        ["params.yaml: instructify.templates = '/etc/passwd'", "inside the repository"],
    ),
    # what an earlier stage should have left
    (
        "a table cut",
        "instructify",
        replaced("data/prepared/general/test.parquet", lambda path: path.write_bytes(b"PAR1PAR1")),
        {},
        ["data/prepared/general/test.parquet: cannot be read as Parquet", "`dvc repro` makes it"],
    ),
    (
        "a table gone",
        "instructify",
        replaced("data/prepared/general/test.parquet", lambda path: None),
        {},
        ["data/prepared/general/test.parquet: no such file; `dvc repro` makes it"],
    ),
]


@pytest.mark.parametrize(
    ("stage", "spoil", "settings", "parts"),
    [case[1:] for case in STOPS],
    ids=[case[0] for case in STOPS],
)
def test_a_path_that_gives_no_file_stops_and_is_told_of(
    ran: Any,
    stage: str,
    spoil: Callable[[Path], object],
    settings: dict[str, object],
    parts: list[str],
) -> None:
    ran.set(settings)
    spoil(ran.folder)
    ran.before = ran.made()
    message = ran.stopped(stage)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("name", "stage"), [(TWEETS, "prepare"), ("params.yaml", "mix"), (TEMPLATES, "instructify")]
)
def test_a_file_that_may_not_be_read_is_told_of(ran: Any, name: str, stage: str) -> None:
    ran.folder.chmod(0o755)
    (ran.folder / name).chmod(0)
    # Root may read everything: be somebody else, as far as files are concerned.
    own = os.geteuid()
    ran.before = ran.made()
    if own == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(Exception, match=f"^{name}: cannot be read: Permission denied"):
            ran.run(stage)
    finally:
        os.seteuid(own)
    assert ran.made() == ran.before


def test_a_pinned_file_elsewhere_that_cannot_be_read_is_told_of(ran: Any) -> None:
    ran.set({TRAIN: "/proc/self/mem", "sources.labelled.sha256": {"train": "ab" * 32}})
    assert "/proc/self/mem: cannot be read: Input/output error" in ran.stopped("prepare")


def test_a_file_name_of_any_bytes_is_read_and_named(ran: Any) -> None:
    name = os.fsencode(ran.folder) + b"/data/raw/caf\xe9-1.csv"
    with open(name, "wb") as file:
        file.write(ROWS.encode() + b"no label,x\n")
    ran.set({TRAIN: "data/raw/caf*.csv", "sources.labelled.take": {}})
    ran.run("prepare")
    assert len(ran.labelled()) == 20 + 30  # and the test rows
    (aside,) = ran.rows("rejected.parquet")
    assert (aside["source"], aside["row"]) == (r"data/raw/caf\xe9-1.csv", 21)


def test_links_inside_the_folder_are_followed(ran: Any) -> None:
    (ran.folder / "data/raw/a.csv").symlink_to("tweets.csv")
    ran.set({TRAIN: "data/raw/a.csv"})
    ran.run("prepare")
    assert len(ran.rows("labelled/train.parquet")) == 80
