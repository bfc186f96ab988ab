"""What rows.sources promises: every kind of source read, named and counted, or a clear error."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

from runtime.errors import StudyError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from rows import sources
from rows.raw_row import RawRow, require_columns
from rows.sources import SOURCE_KINDS, row_source
from settings.provenance import Provenance
from settings.sources import (
    FilesSource,
    GeneralSource,
    HubSource,
    LabelledSource,
    PackageSource,
    SourceSettings,
    TasksSource,
)
from tasks.drawing import make_tasks
from tasks.families import FAMILIES

ROWS = [{"text": "I like it", "label": "1"}, {"text": "ça va, \u201cmerci\u201d 👍", "label": "0"}]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an empty data/raw/, which is given."""
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "data/raw"
    raw.mkdir(parents=True)
    return raw


def read(pattern: str, sha256: str | None = None, **reading: object) -> list[RawRow]:
    pins = {} if sha256 is None else {"train": sha256}
    source = TypeAdapter(FilesSource).validate_python(
        {"kind": "files", "splits": {"train": pattern}, "sha256": pins, "reading": reading}
    )
    return list(row_source(source).load(0)["train"])


def values(rows: list[RawRow]) -> list[dict[str, Any]]:
    assert [row.problem for row in rows] == [None] * len(rows)
    return [row.values for row in rows]


# --- every format gives the same rows ---------------------------------------------------------

CSV = 'text,label\nI like it,1\n"ça va, \u201cmerci\u201d 👍",0\n'
TSV = "text\tlabel\nI like it\t1\nça va, \u201cmerci\u201d 👍\t0\n"
JSONL = '{"text": "I like it", "label": "1"}\n\n{"text": "ça va, “merci” 👍", "label": "0"}\n'


@pytest.mark.parametrize(
    ("name", "text", "reading"),
    [
        ("a.csv", CSV, {}),
        ("a.CSV", CSV, {}),
        ("a.tsv", TSV, {}),
        ("a.txt", TSV, {}),
        ("a.jsonl", JSONL, {}),
        ("a.csv", CSV.replace("\n", "\r\n"), {}),
        ("a.tsv", TSV.replace("\n", "\r\n"), {"quoting": False}),
        ("a.jsonl", JSONL.replace("\n", "\r\n"), {}),
        ("a.csv", CSV.removesuffix("\n"), {}),
        ("a.tsv", TSV.removesuffix("\n"), {"quoting": False}),
        ("a.jsonl", JSONL.removesuffix("\n"), {}),
        ("a.csv", CSV.replace("\n", "\n\n"), {}),
        ("a.csv", TSV, {"delimiter": "\t"}),
        ("a.tsv", CSV, {"delimiter": ","}),
        ("a.rows", CSV, {"format": "csv", "delimiter": ","}),
        ("a.rows", JSONL, {"format": "jsonl"}),
        ("a.tsv", TSV.split("\n", 1)[1], {"header": ["text", "label"]}),
    ],
)
def test_a_text_file_gives_its_rows(
    folder: Path, name: str, text: str, reading: dict[str, Any]
) -> None:
    (folder / name).write_bytes(text.encode())
    rows = read(f"data/raw/{name}", **reading)
    assert values(rows) == ROWS
    assert [row.source for row in rows] == [f"data/raw/{name}"] * 2


def test_a_parquet_file_gives_its_rows_with_their_types(folder: Path) -> None:
    table = pa.table({"text": ["a", None], "label": [1, 2], "score": [0.5, 1.5]})
    pq.write_table(table, folder / "a.parquet")
    assert values(read("data/raw/a.parquet")) == table.to_pylist()


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "utf8", "utf-8-sig"])
@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.jsonl", JSONL)])
def test_a_byte_order_mark_is_no_text(folder: Path, name: str, text: str, encoding: str) -> None:
    (folder / name).write_bytes(text.encode("utf-8-sig"))
    assert values(read(f"data/raw/{name}", encoding=encoding)) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "utf-8"])
def test_an_encoding_is_read_where_it_is_named(folder: Path, encoding: str) -> None:
    (folder / "a.csv").write_bytes(CSV.encode(encoding))
    assert values(read("data/raw/a.csv", encoding=encoding)) == ROWS


def test_another_encoding_is_refused_with_its_line(folder: Path) -> None:
    (folder / "a.csv").write_bytes("text,label\nso so,0\nça va,1\n".encode("latin-1"))
    with pytest.raises(StudyError, match=r"a\.csv: line 3 is not utf-8 \(byte 0xe7\).*encoding"):
        read("data/raw/a.csv")
    assert values(read("data/raw/a.csv", encoding="latin-1"))[1]["text"] == "ça va"


# --- quotation marks, ragged rows, broken lines -----------------------------------------------


def test_a_quoted_field_holds_delimiters_quotes_and_line_ends(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b'text,label\n"a, ""b""\nc",1\nd,0\n')
    assert values(read("data/raw/a.csv")) == [
        {"text": 'a, "b"\nc', "label": "1"},
        {"text": "d", "label": "0"},
    ]


def test_without_quoting_a_line_is_a_row_whatever_stands_in_it(folder: Path) -> None:
    (folder / "a.tsv").write_bytes(b'text\tlabel\n"open\t1\nb\rc \x0b d"\t0\r\n""\t1\n')
    texts = [row["text"] for row in values(read("data/raw/a.tsv", quoting=False))]
    assert texts == ['"open', 'b\rc \x0b d"', '""']


def test_a_quotation_mark_that_never_closes_swallows_no_rows(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b'text,label\na,1\n"b,0\nc,1\nd,0\n')
    with pytest.raises(StudyError, match=r"a\.csv: row 2 opens a quotation mark.*quoting: false"):
        read("data/raw/a.csv")


def test_a_ragged_row_is_kept_as_a_problem_with_its_number(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"text,label\na,1\nb\nc,d,0\ne,1\n")
    rows = read("data/raw/a.csv")
    assert [(row.number, row.values, row.problem) for row in rows] == [
        (1, {"text": "a", "label": "1"}, None),
        (2, {"": "b"}, "has 1 fields, not 2"),
        (3, {"": "c,d,0"}, "has 3 fields, not 2"),
        (4, {"text": "e", "label": "1"}, None),
    ]


def test_a_broken_json_line_is_kept_as_a_problem_with_its_number(folder: Path) -> None:
    deep = "[" * 100_000
    lines = ['{"text": "a"}', '{"text": ', "[1]", "nothing", '{"text": "b"}', deep]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = read("data/raw/a.jsonl")
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.values for row in rows if row.problem is None] == [{"text": "a"}, {"text": "b"}]
    told = [str(row.problem) for row in rows if row.problem]
    assert told[1] == "is not a JSON object"
    assert all(problem.startswith("is not valid JSON") for problem in (told[0], *told[2:]))
    assert [row.values for row in rows[1:4]] == [{"": line} for line in lines[1:4]]


def test_a_line_separator_inside_a_json_text_ends_no_row(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"text": "a\u2028b\x85c"}\n', encoding="utf-8")
    assert values(read("data/raw/a.jsonl")) == [{"text": "a\u2028b\x85c"}]


def test_a_field_may_be_longer_than_csv_reads_by_itself(folder: Path) -> None:
    (folder / "a.csv").write_text(f"text,label\n{'a' * 200_000},1\n", encoding="utf-8")
    assert len(values(read("data/raw/a.csv"))[0]["text"]) == 200_000


# --- what stops it at once --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the split train is empty"),
        ("a.csv", b"text,label\n", "the split train is empty"),
        ("a.jsonl", b"\n\n", "the split train is empty"),
        ("a.parquet", b"PAR1 and no more", r"a\.parquet: cannot be read as Parquet"),
        ("a.parquet", b"", r"a\.parquet: cannot be read as Parquet"),
        ("a.xlsx", b"text", r"a\.xlsx: set reading\.format to parquet, csv or jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_stops(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(StudyError, match=message):
        read(f"data/raw/{name}")


def test_a_parquet_file_cut_in_the_middle_stops(folder: Path) -> None:
    pq.write_table(pa.table({"text": [str(n) for n in range(999)]}), folder / "whole.parquet")
    content = (folder / "whole.parquet").read_bytes()
    (folder / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(StudyError, match=r"data/raw/a\.parquet: cannot be read as Parquet"):
        read("data/raw/a.parquet")


def test_a_parquet_file_with_text_that_is_no_utf_8_stops(folder: Path) -> None:
    text = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": text}), folder / "a.parquet")
    with pytest.raises(StudyError, match=r"a\.parquet: column text: cannot be read as Parquet"):
        read("data/raw/a.parquet")


def test_a_missing_file_stops() -> None:
    with pytest.raises(StudyError, match=r"splits\.train = 'data/raw/b\.csv': no such file"):
        read("data/raw/b.csv")


def test_a_folder_is_no_file(folder: Path) -> None:
    (folder / "a.csv").mkdir()
    with pytest.raises(StudyError, match=r"data/raw/a\.csv: cannot be read: Is a directory"):
        read("data/raw/a.csv")


def test_a_missing_column_stops_and_says_what_there_is() -> None:
    rows = [RawRow("a.csv", 1, {"tweet": "x", "label": "1"})]
    require_columns(rows, ["tweet", "label"])
    with pytest.raises(StudyError, match=r"a\.csv: has no column text; it has tweet, label"):
        require_columns(rows, ["text", "label"])


def test_a_column_must_stand_in_every_file_though_not_in_every_row() -> None:
    rows = [
        RawRow("a.jsonl", 1, {"text": "x"}),
        RawRow("a.jsonl", 2, {"": "{"}, "is not valid JSON"),
        RawRow("a.jsonl", 3, {"text": "x", "label": 1}),
    ]
    require_columns(rows, ["text", "label"])
    with pytest.raises(StudyError, match=r"b\.jsonl: has no column label"):
        require_columns([*rows, RawRow("b.jsonl", 1, {"text": "x"})], ["text", "label"])


# --- several files, files elsewhere -----------------------------------------------------------


def test_a_pattern_reads_its_files_in_the_order_of_their_names(folder: Path) -> None:
    for name in ("b", "a", "c"):
        (folder / f"part-{name}.csv").write_text(f"text\n{name}1\n{name}2\n", encoding="utf-8")
    (folder / "other.csv").write_text("text\nno\n", encoding="utf-8")
    rows = read("data/raw/part-*.csv")
    assert [row.values["text"] for row in rows] == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert [row.number for row in rows] == [1, 2] * 3
    assert rows[4].source == "data/raw/part-c.csv"


def test_a_file_elsewhere_must_be_pinned_and_its_pin_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nx\n", encoding="utf-8")
    sha256 = hashlib.sha256(b"text\nx\n").hexdigest()
    with pytest.raises(StudyError, match=rf"'a\.csv' lies outside data/raw/.*\n.*\n.*: {sha256}"):
        read("a.csv")
    assert values(read("a.csv", sha256)) == [{"text": "x"}]
    assert values(read(str(tmp_path / "a.csv"), sha256)) == [{"text": "x"}]


def test_a_link_out_of_the_folder_is_a_file_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nx\n", encoding="utf-8")
    (folder / "a.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(StudyError, match="lies outside data/raw/"):
        read("data/raw/a.csv")


def test_a_file_that_is_not_the_pinned_one_stops(folder: Path) -> None:
    (folder / "a.csv").write_text("text\nx\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"'data/raw/a\.csv' has the sha256 [0-9a-f]{64}, not ab"):
        read("data/raw/a.csv", "ab" * 32)


# --- packages ---------------------------------------------------------------------------------


def package_source(**more: object) -> PackageSource:
    package = {"name": "rows", "version": "1", "sha256": "ab" * 32, "form": "sdist"}
    content = {"kind": "package", "package": package, "splits": {"train": ["rows.tsv"]}, **more}
    return TypeAdapter(PackageSource).validate_python(content)


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, bytes]], None]:
    """Put an archive with these members in the place of every package."""

    def put(content: dict[str, bytes]) -> None:
        monkeypatch.setattr(sources, "fetch_package", lambda package: Path("rows.tar.gz"))
        monkeypatch.setattr(sources, "read_member", lambda archive, names: content[names[-1]])

    return put


def test_the_ratings_of_a_second_file_are_joined_by_id(
    members: Callable[[dict[str, bytes]], None],
) -> None:
    # The rows' own column "ratings" stays what it is; a rater's ragged row belongs to nobody.
    rows = b"id\ttext\tratings\n1\ta\tmine\n2\tb\tmine\n3\tc\tmine\nragged\n"
    members({"rows.tsv": rows, "raters.tsv": b"2\t[1, 2]\n1\t[0, 4]\nragged\n"})
    ratings = {"member": ["raters.tsv"], "header": ["key", "all"], "id": "key", "column": "all"}
    with pytest.raises(StudyError, match=r"rows\.tsv: has no column key; it has id, text"):
        row_source(package_source(ratings=ratings)).load(0)
    ratings |= {"header": ["id", "all"], "id": "id"}
    train = row_source(package_source(ratings=ratings)).load(0)["train"]
    assert [row.ratings for row in train] == ["[0, 4]", "[1, 2]", None, None]
    assert train[0].values == {"id": "1", "text": "a", "ratings": "mine"}


def test_an_empty_split_of_a_package_names_the_package(
    members: Callable[[dict[str, bytes]], None],
) -> None:
    members({"rows.tsv": b"id\ttext\n"})
    with pytest.raises(StudyError, match="package rows==1: the split train is empty"):
        row_source(package_source()).load(0)


# --- tasks made by program ----------------------------------------------------------------------

TASKS = TasksSource(kind="tasks", train=24, test_seen=12, test_held_out=7)


def test_tasks_are_train_rows_of_seen_families_and_test_rows_of_all() -> None:
    splits = row_source(TASKS).load(42)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 24, "test": 19}
    seen = [family for family in FAMILIES if not family.held_out]
    held_out = {family.name for family in FAMILIES if family.held_out}
    assert [row.values["instruction"] for row in splits["train"]] == [
        task.instruction for task in make_tasks(24, 42, seen)
    ]
    assert [row.values["family"] in held_out for row in splits["test"]] == [False] * 12 + [True] * 7
    assert [row.number for row in splits["train"]] == list(range(1, 25))


def test_the_seed_decides_the_tasks() -> None:
    assert row_source(TASKS).load(1) == row_source(TASKS).load(1)
    assert row_source(TASKS).load(1) != row_source(TASKS).load(2)


# --- where rows come from -----------------------------------------------------------------------


def _sections(union: Any) -> list[type[SourceSettings]]:
    """The settings classes of an annotated union."""
    return list(get_args(get_args(union)[0]))


@pytest.mark.parametrize("section", [*_sections(LabelledSource), *_sections(GeneralSource)])
def test_every_kind_that_a_profile_may_name_has_a_class(section: type[SourceSettings]) -> None:
    (kind,) = get_args(section.model_fields["kind"].annotation)
    source = SOURCE_KINDS[kind](section.model_construct(kind=kind))
    assert callable(source.load)
    assert callable(source.provenance)


def test_only_tasks_are_called_made_by_the_studys_programs() -> None:
    made = row_source(TASKS).provenance()
    assert made == Provenance("tasks made by the study's own programs", licence="Apache-2.0")


def test_a_package_is_named_with_its_version_and_hash() -> None:
    assert row_source(package_source()).provenance() == Provenance(
        f"package rows 1 (sdist, sha256 {'ab' * 32})"
    )


def test_files_are_named_with_the_hashes_that_pin_them() -> None:
    section = {
        "kind": "files",
        "splits": {"train": "a.csv", "test": "data/raw/b.csv"},
        "sha256": {"train": "ab" * 32},
    }
    source = row_source(TypeAdapter(FilesSource).validate_python(section))
    assert source.provenance() == Provenance(f"a.csv (sha256 {'ab' * 32}), data/raw/b.csv")


def test_a_dataset_of_the_hub_is_named_at_its_commit() -> None:
    section = {"kind": "hub", "id": "a/b", "revision": "0" * 40, "splits": {"train": "x"}}
    source = row_source(TypeAdapter(HubSource).validate_python(section))
    assert source.provenance() == Provenance(f"a/b at {'0' * 40}", hub_id="a/b")


def test_an_unknown_kind_is_an_error_and_no_false_origin() -> None:
    unknown = cast("SourceSettings", SimpleNamespace(kind="survey", splits={}))
    with pytest.raises(ValueError, match="the kind of source 'survey' has no class"):
        row_source(unknown)
