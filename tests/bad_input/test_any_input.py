"""Whatever stands in a file: a stage reads it or says what is wrong, and no row goes missing.

What is generated here are bytes, texts and documents; what must hold is that nothing but a
`StudyError` is raised, that every row is accounted for, and that text stays as it is.
"""

import copy
import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.yaml_file import read_yaml

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from prompts.encode import Encoder
from prompts.format import write_prompt
from prompts.templates import read_templates
from rows.judging import labelled_check
from rows.prepared import LABELLED, REJECTED
from rows.raw_row import RawRow
from rows.row import labelled_row, rejected_row
from rows.sources import row_source
from rows.splitting import check_splits, remove_leaks, take_rows
from rows.tables import table_of
from settings.read import read_settings
from settings.sources import LabelledFiles

LABELS = ["negative", "positive"]
many = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(many, max_examples=40)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an empty data/raw/, which is given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    return tmp_path / "data/raw"


def refused(call: Callable[[], object]) -> str:
    """What a call is refused for, "" where it is not; anything but a `StudyError` fails the test."""
    try:
        call()
    except StudyError as error:
        return str(error)
    return ""


def source_of(name: str, **reading: Any) -> LabelledFiles:
    return TypeAdapter(LabelledFiles).validate_python(
        {
            "kind": "files",
            "splits": {"train": f"data/raw/{name}"},
            "reading": reading,
            "columns": {"text": "text", "label": "label"},
            "label_values": {0: "negative", 1: "positive"},
            "validation_share": 0.2,
            "test_share": 0.3,
        }
    )


def account_of(source: LabelledFiles) -> tuple[list[RawRow], dict[str, str]]:
    """Prepare a source; {text: label} of what goes on, once every row is accounted for."""
    raw = row_source(source).load(0)
    check = labelled_check(raw["train"], source)
    checked = check_splits(raw, check, {"validation": 0.2, "test": 0.3}, 1)
    remove_leaks([checked], 1)
    take_rows(checked, {"train": 9}, 1)
    told = Counter[str]()
    for account in checked.account.values():
        told.update(account)
    assert told["in"] + told["moved_in"] == told.total() - told["in"] - told["moved_in"]
    aside = {row.number for row in checked.aside}
    kept = [row for rows in checked.rows.values() for row in rows]
    numbers = {row.number for row in raw["train"]}
    assert len(kept) + len(aside) + told["not_taken"] == len(raw["train"])
    assert not aside & {row.number for row in kept}
    assert aside | {row.number for row in kept} <= numbers
    table_of([rejected_row(row) for row in checked.aside], REJECTED)  # all rows can be written
    table_of([labelled_row(row) for row in kept], LABELLED)
    return list(raw["train"]), {row.values["text"]: row.values["label"] for row in kept}


# --- bytes as files ---------------------------------------------------------------------------

PIECES = [
    *(b"text", b"label", b",", b"\t", b"\n", b"\r", b'"', b'""', b"0", b"1", b"1.0", b"{", b"}"),
    *(b"[", b"]", b":", b'"text"', b'"label"', b"null", b"NaN", b"\\ud83d", b"\\", b" ", b"\0"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", "é👍".encode(), b"\x1f\x8b\x08", b"PAR1", b"&#", b"9"),
]
HEADS = [b"", b"text,label\n", b"text\tlabel\n", b'{"text": "a", "label": 1}\n']
some_bytes = st.builds(
    lambda head, parts: head + b"".join(parts),
    st.sampled_from(HEADS),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=30),
)


@many
@given(
    some_bytes,
    st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet"]),
    st.booleans(),
    st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-7", "idna", "unicode_escape"]),
)
def test_any_bytes_are_read_or_refused(
    content: bytes, name: str, quoting: bool, encoding: str
) -> None:
    Path("data/raw", name).write_bytes(content)
    told = refused(lambda: account_of(source_of(name, quoting=quoting, encoding=encoding)))
    assert not told or name in told


TABLE = pa.table({"text": [f"Row {n}" for n in range(30)], "label": [n % 2 for n in range(30)]})
SINK = io.BytesIO()
pq.write_table(TABLE, SINK)
WHOLE = SINK.getvalue()


@many
@given(st.integers(0, len(WHOLE) - 1))
def test_a_parquet_file_cut_anywhere_is_refused(length: int) -> None:
    Path("data/raw/a.parquet").write_bytes(WHOLE[:length])
    with pytest.raises(StudyError, match=r"a\.parquet: cannot be read as Parquet"):
        account_of(source_of("a.parquet"))


@many
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), min_size=1))
def test_a_damaged_parquet_file_is_refused_or_gives_rows(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for place, difference in changes:
        damaged[place] ^= difference
    Path("data/raw/a.parquet").write_bytes(damaged)
    told = refused(lambda: account_of(source_of("a.parquet")))
    assert not told or "a.parquet" in told


# --- values as rows ---------------------------------------------------------------------------

any_text = st.one_of(st.text(), st.text(st.characters(categories=["Cs", "Cc", "Cf", "L", "S"])))
scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), any_text),
    *(st.sampled_from([0, 1, "0", "1", "1.0", 1.0, "Row"]),),
)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
some_rows = st.lists(
    st.fixed_dictionaries(
        {}, optional={"text": any_text | anything, "label": st.sampled_from([0, 1]) | anything}
    ),
    min_size=1,
    max_size=12,
)


def good_of(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(text, label) of every row with a text and a known label."""
    good = set()
    for row in rows:
        text, label = row.get("text"), row.get("label")
        named = not isinstance(label, bool) and str(label).strip() in ("0", "0.0", "1", "1.0")
        if isinstance(text, str) and named:
            good.add((text, LABELS[int(float(str(label)))]))
    return good


@many
@given(some_rows)
def test_any_values_in_json_lines_are_accounted_for(rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row) for row in rows]
    Path("data/raw/a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    if not all(any(name in row for row in rows) for name in ("text", "label")):
        assert "has no column" in refused(lambda: account_of(source_of("a.jsonl")))
        return
    raw, kept = account_of(source_of("a.jsonl"))
    assert [row.values for row in raw if row.problem is None] == [
        json.loads(line) for row, line in zip(raw, lines, strict=True) if row.problem is None
    ]
    assert all("levels deep" in row.problem for row in raw if row.problem)
    assert kept.items() <= good_of(rows)


plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@many
@given(
    st.lists(plain_text.filter(str.strip), min_size=1, max_size=12),
    st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
)
def test_text_is_read_as_it_was_written_in_every_format(texts: list[str], form: str) -> None:
    path = Path(f"data/raw/a.{form}")
    rows = [{"text": text, "label": at % 2} for at, text in enumerate(texts)]
    if form == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_bytes("\n".join(lines).encode())
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        sink = io.StringIO(newline="")
        writer = csv.DictWriter(
            sink, ["text", "label"], delimiter="," if form == "csv" else "\t", quoting=csv.QUOTE_ALL
        )
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(sink.getvalue().encode())
    raw, kept = account_of(source_of(f"a.{form}"))
    assert [row.values["text"] for row in raw] == texts
    assert set(kept) <= set(texts)


# --- documents as settings and templates ------------------------------------------------------

YAML_PIECES = [
    *("a: ", "seed: ", "- ", "? ", ": ", "\n", "\n  ", "\t", "[", "]", "{", "}", ",", "&a ", "*a"),
    *("<<: ", "!!bool ", "!!int ", "!!timestamp ", "!!set ", "!!omap ", "!!binary ", "!!python/x "),
    *("~", "yes", "1", "1e5", "0x", "2026-01-01", "'", '"', '"\\0"', '"\\ud83d"', "|", ">", "---"),
    *("#", "%TAG ", "@", "`", "é", "\x85", "\ufeff", "1:30", ".nan", ".inf", "=", "x" * 30),
]
documents = st.lists(st.sampled_from(YAML_PIECES) | st.text(max_size=3), max_size=25).map("".join)


@many
@given(documents | st.binary(max_size=40))
def test_any_document_is_yaml_or_refused(document: str | bytes) -> None:
    content = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    Path("params.yaml").write_bytes(content)
    told = refused(lambda: read_yaml(Path("params.yaml")))
    assert not told or told.startswith("params.yaml: ")


def places_in(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value of a document."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places_in(value, (*above, key))


REPO = Path(__file__).resolve().parents[2]
GOOD = {
    "params.yaml": yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8")),
    "profiles/pocket.yaml": yaml.safe_load((REPO / "profiles/pocket.yaml").read_text("utf-8")),
}
PLACES = [(name, place) for name, content in GOOD.items() for place in places_in(content)]
values = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        *(st.dates(), st.binary(max_size=3), st.sampled_from(["", "/x", "../x", "a.csv"])),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


@few
@given(st.sampled_from(PLACES), values)
def test_any_value_in_any_setting_is_taken_or_refused(
    place: tuple[str, tuple[Any, ...]], value: Any
) -> None:
    Path("profiles").mkdir(exist_ok=True)
    for name, content in GOOD.items():
        changed = copy.deepcopy(content)
        if name == place[0]:
            *above, last = place[1]
            at = changed
            for part in above:
                at = at[part]
            at[last] = value
        Path(name).write_text(yaml.safe_dump(changed), encoding="utf-8")
    told = refused(lambda: read_settings("seed", "sources", "labels"))
    # It says which file, and the setting or one above it.
    assert not told or place[1] == ("profile",) or told.startswith(place[0])
    assert not told or place[1][0] in told or ": not valid YAML" in told
    assert len(told) < 10_000


TEMPLATE_PIECES = [
    *("{{ text }}", "{{ labels }}", "{{ label }}", "{{", "}}", "{%", "%}", "{#", "#}", "{% raw %}"),
    *("{% endraw %}", "{%- for x in range(9) %}", "{% endfor %}", "text", "|upper", ".a", "(", ")"),
    *("[0]", "'", '"', "9", "**", "-", "\n", " ", "\\", "{% set a = 1 %}", "\ue000text\ue000", "é"),
]
templates = st.lists(st.sampled_from(TEMPLATE_PIECES) | plain_text, max_size=8).map("".join)


@many
@given(
    templates.map(lambda template: f"Say {template}") | templates,
    templates.map(lambda template: f"{{{{ text }}}}{template}") | templates,
    st.just("{{ label }}") | templates,
    st.lists(plain_text, min_size=1),
)
def test_any_template_is_refused_or_puts_the_rows_in_as_they_are(
    instruction: str, extra: str, completion: str, texts: list[str]
) -> None:
    pool = {"id": "a", "instruction": instruction, "input": extra, "completion": completion}
    path = Path("pool.yaml")
    path.write_text(yaml.safe_dump({"templates": [pool]}), encoding="utf-8")
    if told := refused(lambda: read_templates(path, LABELS)):
        assert told.startswith("pool.yaml: template a: ")
        return
    (template,) = read_templates(path, LABELS)
    answers = template.completions(LABELS)
    assert [template.label_in(answer, LABELS) for answer in answers] == LABELS
    mark = "A mark that stands nowhere else."
    (around,) = template.prompts(pa.array([mark]), LABELS, "alpaca").to_pylist()
    assert mark in around
    prompts = template.prompts(pa.array(texts), LABELS, "alpaca").to_pylist()
    assert prompts == [around.replace(mark, text) for text in texts]


# --- text as token ids ------------------------------------------------------------------------

SPECIAL = ["<s>", "</s>", "<unk>", "[INST]", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
hostile = st.lists(st.sampled_from(SPECIAL) | st.text(max_size=5), max_size=8).map("".join)


@many
@given(text=hostile)
def test_no_text_becomes_a_special_token(mistral_tokenizer: Any, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    encoder = Encoder(mistral_tokenizer, "alpaca")
    special = {mistral_tokenizer.bos_token_id, mistral_tokenizer.eos_token_id}
    example = encoder.example(write_prompt("alpaca", "Say it.", text), text)
    assert [id for id in example.input_ids if id in special] == [
        mistral_tokenizer.bos_token_id,
        mistral_tokenizer.eos_token_id,
    ]
    assert example.input_ids[0] == mistral_tokenizer.bos_token_id
