"""Bad rows and bad files of rows: told of, set aside with a reason, or read as they stand."""

import bz2
import codecs
import datetime
import gzip
import io
import json
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WORDS = ("awful", "lovely")
GOOD = [(f"Day {n}: the soup was {WORDS[n % 2]}, said no. {n * n}", 4 * (n % 2)) for n in range(40)]

LABELS = {0: "negative", 4: "positive"}


def csv(*lines: str, end: str = "\n") -> bytes:
    """The good rows and some more lines."""
    return end.join(["text,label", *(f'"{text}",{label}' for text, label in GOOD), *lines]).encode()


def jsonl(*lines: str) -> bytes:
    rows = [json.dumps({"text": text, "label": label}) for text, label in GOOD]
    return "\n".join([*rows, *lines]).encode("utf-8", "surrogatepass")


def parquet(**columns: Any) -> bytes:
    """Columns as Parquet; where one is shorter, after the good rows."""
    good: dict[str, list[Any]] = {
        "text": [text for text, _ in GOOD],
        "label": [label for _, label in GOOD],
    }
    more = {
        name: values if isinstance(values, pa.Array) else good.get(name, []) + list(values)
        for name, values in columns.items()
    }
    return written(pa.table(good | more))


def written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def json_list() -> bytes:
    """The good rows as one JSON list over many lines."""
    rows = [{"text": text, "label": label} for text, label in GOOD]
    return json.dumps(rows, indent=1).encode()


def zipped(**members: bytes) -> bytes:
    """A zip archive; a name without a suffix ends in .csv."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in members.items():
            archive.writestr(name if "." in name else f"{name}.csv", content)
    return sink.getvalue()


PLAIN = csv().decode()
WHOLE = parquet()
MANY = len(GOOD)
FLIPPED = WHOLE[:-8] + bytes([WHOLE[-8] ^ 1]) + WHOLE[-7:]
TWICE = pa.table([pa.array(["a"]), pa.array(["b"]), pa.array([0])], names=["text", "text", "label"])
FAR = pa.array([2**62] * MANY, pa.timestamp("us"))
PAIR = pa.StructArray.from_arrays([pa.array([1] * MANY)] * 2, names=["a", "a"])
NO_COLUMNS: dict[str, list[str]] = {}

# name, file, its content, settings of the source, what the message must say
STOPS: list[tuple[str, str, bytes, dict[str, object], list[str]]] = [
    # encodings
    ("utf-16", "a.csv", PLAIN.encode("utf-16"), {}, ["a.csv: line 1 is not utf-8", "utf-16"]),
    ("utf-16 without a mark", "a.csv", PLAIN.encode("utf-16-le"), {}, ["a.csv: ", "like utf-16"]),
    ("big-endian", "a.jsonl", jsonl().decode().encode("utf-16-be"), {}, ["a.jsonl", "like utf-16"]),
    (
        "latin-1",
        "a.csv",
        csv("fiancée,4").decode().encode("latin-1"),
        {},
        ["a.csv: line 42 is not utf-8 (byte 0xe9): set reading.encoding"],
    ),
    (
        "another encoding than said",
        "a.csv",
        csv(),
        {"reading": {"encoding": "utf-32"}},
        ["a.csv: line 1 is not utf-32", "reading.encoding"],
    ),
    (
        "an encoding of names",
        "a.csv",
        b"xn--99999999",
        {"reading": {"encoding": "idna"}},
        ["a.csv: is not idna", "reading.encoding"],
    ),
    (
        "a mark read as latin-1",
        "a.csv",
        codecs.BOM_UTF8 + csv(),
        {"reading": {"encoding": "latin-1"}},
        ["a.csv: has no column text; it has ï»¿text, label"],
    ),
    # nothing there
    ("empty", "a.csv", b"", {}, ["the split train is empty: no row in data/raw/a.csv"]),
    ("a mark alone", "a.csv", codecs.BOM_UTF8, {}, ["the split train is empty", "a.csv"]),
    ("blank lines", "a.csv", b"\r\n\r\n\n", {}, ["the split train is empty", "a.csv"]),
    ("header only", "a.csv", b"text,label\n", {}, ["the split train is empty", "a.csv"]),
    ("blank JSON", "a.jsonl", b"\n \n\t\n", {}, ["the split train is empty", "a.jsonl"]),
    ("no rows", "a.parquet", written(pa.table({"text": [], "label": []})), {}, ["is empty"]),
    ("no columns", "a.parquet", written(pa.table(NO_COLUMNS)), {}, ["the split train is empty"]),
    # columns
    (
        "semicolons",
        "a.csv",
        b"text;label\na;4\n",
        {},
        ["a.csv: has no column text; it has text;label", "set reading.delimiter"],
    ),
    ("tabs", "a.csv", b"text\tlabel\na\t4\n", {}, ["'text\\tlabel'", "set reading.delimiter"]),
    ("other case", "a.csv", b"Text,label\na,4\n", {}, ["no column text", "did you mean 'Text'?"]),
    ("blanks", "a.csv", b"text, label\na,4\n", {}, ["column label", "did you mean ' label'?"]),
    ("NUL in the header", "a.csv", b"te\0xt,label\na,4\n", {}, ["no column text", "'te\\x00xt'"]),
    ("escapes in the header", "a.csv", b"\x1b[2J,label\na,4\n", {}, ["no column", "'\\x1b[2J'"]),
    (
        "no header",
        "a.csv",
        b"a,4\nb,0\n",
        {},
        ["a.csv: has no column text; it has a, 4", "the profile names the columns"],
    ),
    ("a column twice", "a.csv", b"text,label,text\na,4,b\n", {}, ["header names text twice"]),
    ("no names", "a.csv", b",\na,4\n", {}, ["a.csv: has no column text; it has none"]),
    (
        "a wide file",
        "a.jsonl",
        json.dumps({f"column {n}": n for n in range(5000)}).encode(),
        {},
        ["a.jsonl: has no column text", "column 19, ..."],
    ),
    (
        "a column that the settings alone have",
        "a.csv",
        csv(),
        {"columns": {"text": "tweet", "label": "label"}},
        ["a.csv: has no column tweet; it has text, label"],
    ),
    (
        "a header of another width",
        "a.csv",
        csv(),
        {"reading": {"header": ["text", "label", "more"]}},
        ["41 of 65 rows are bad", "a.csv row 1: has 2 fields, not 3"],
    ),
    (
        "TSV of another width",
        "a.tsv",
        b"text\tlabel\n" + b"a\tb\t4\n" * 99,
        {},
        ["a.tsv row 1: has 3 fields, not 2", "99 × has"],
    ),
    # quotation marks
    (
        "a quotation mark never closed",
        "a.csv",
        csv('"open,4', "next,0"),
        {},
        ["a.csv: row 41 opens a quotation mark that is never closed: close it", "quoting: false"],
    ),
    (
        "the same in the header",
        "a.csv",
        b'"text,label\na,4\n',
        {},
        ["a.csv: the header opens a quotation mark", "quoting: false"],
    ),
    (
        "text after a closing one",
        "a.csv",
        csv('"Great" she said,4'),
        {},
        ["a.csv: row 41 has text after a closing quotation mark: double", "quoting: false"],
    ),
    (
        "escapes without the setting",
        "a.csv",
        csv('"say \\"a\\" b",4'),
        {},
        ["a.csv: row 41 has text after a closing quotation mark", "set reading.escape: '\\' where"],
    ),
    (
        "a quotation mark that swallows rows",
        "a.csv",
        csv('"open,4', "next,0", 'close",4'),
        {},
        [
            "a.csv: lines 42 to 44 (row 41): one quoted field contains several lines",
            "quoting: false",
        ],
    ),
    # another kind of file
    (
        "gzip, cut off",
        "a.csv.gz",
        gzip.compress(csv())[:-20],
        {},
        ["a.csv.gz: is compressed (gzip), but cannot be decompressed: ", "load the file again"],
    ),
    (
        "gzip, damaged",
        "a.csv.gz",
        gzip.compress(csv())[:-8] + bytes(8),
        {},
        ["a.csv.gz: is compressed (gzip), but cannot be decompressed: CRC check failed"],
    ),
    ("gzip twice", "a.csv.gz", gzip.compress(gzip.compress(csv())), {}, ["(gzip, twice): decomp"]),
    ("bzip2", "a.csv", bz2.compress(csv()), {}, ["a.csv: is compressed (bzip2): decompress it"]),
    (
        "a zip archive of two files",
        "a.zip",
        zipped(train=csv(), test=csv()),
        {},
        ["a.zip: is a zip archive of 2 files ('train.csv', 'test.csv'): unpack it"],
    ),
    ("an empty archive", "a.zip", zipped(), {}, ["a.zip: "]),
    (
        "a zip archive of another kind of file",
        "a.zip",
        zipped(**{"readme.md": b"text"}),
        {},
        ["a.zip (readme.md inside): set reading.format to parquet, csv or jsonl"],
    ),
    (
        "a zip archive, cut off",
        "a.zip",
        zipped(a=csv())[:-30],
        {},
        ["a.zip: is compressed (zip), b"],
    ),
    (
        "gz in name alone",
        "a.csv.gz",
        csv(),
        {},
        ["a.csv.gz: set reading.format to parquet, csv or"],
    ),
    (
        "a spreadsheet",
        "a.csv",
        zipped(**{"[Content_Types].xml": b"<Types/>", "xl/sheet.xml": b"<sheetData/>"}),
        {},
        ["a.csv: is a spreadsheet or a document: export its rows as CSV"],
    ),
    ("Parquet as CSV", "a.csv", WHOLE, {}, ["a.csv: is a Parquet file", "reading.format: parquet"]),
    ("CSV as Parquet", "a.parquet", csv(), {}, ["a.parquet: cannot be read as Parquet"]),
    (
        "a JSON list, cut off",
        "a.json",
        json_list()[:-50],
        {},
        ["a.json: begins as a JSON list, but cannot be read at object 40 (line 158)", "mend"],
    ),
    (
        "a JSON list with more behind it",
        "a.json",
        json_list() + b"[]",
        {},
        ["a.json: begins as a JSON list, but cannot", "at object 40", "Extra data after the list"],
    ),
    ("an empty JSON list", "a.json", b"[ ]", {}, ["the split train is empty", "a.json"]),
    (
        "a list under a key",
        "a.json",
        b'{"data": ' + json_list() + b"}",
        {},
        ["a.json: is one JSON object over several lines: write a list of objects"],
    ),
    (
        "a list of texts",
        "a.json",
        b'["a", "b"]',
        {},
        ["no row is left in train (in 2, rejected 2)", "a.json row 1: is not a JSON object"],
    ),
    # Parquet
    *(
        (f"cut at {part}", "a.parquet", WHOLE[:part], {}, ["a.parquet: cannot be read as Parquet"])
        for part in (0, 4, len(WHOLE) // 2, len(WHOLE) - 8, len(WHOLE) - 1)
    ),
    ("its footer damaged", "a.parquet", FLIPPED, {}, ["a.parquet: cannot be read as Parquet"]),
    ("another table", "a.parquet", written(pa.table({"x": [1]})), {}, ["no column text; it has x"]),
    ("a column twice", "a.parquet", written(TWICE), {}, ["a.parquet: column text", "occurs twice"]),
    ("dates far away", "a.parquet", parquet(when=FAR), {}, ["column when", "out of range"]),
    (
        "a field twice",
        "a.parquet",
        parquet(pair=PAIR),
        {},
        ["column pair", "duplicate field names"],
    ),
    (
        "bytes",
        "a.parquet",
        written(pa.table({"text": [b"a", b"b"], "label": [0, 4]})),
        {},
        ["no row is left in train (in 2, rejected 2)", "a.parquet row 1: text is not text but by"],
    ),
    # labels
    (
        "labels in other case",
        "a.csv",
        csv().replace(b",4", b",POS").replace(b",0", b",NEG"),
        {"label_values": {"neg": "negative", "pos": "positive"}},
        ["a.csv row 1: label 'NEG' is not one of neg, pos"],
    ),
    (
        "yes and no",
        "a.csv",
        csv().replace(b",4", b",yes").replace(b",0", b",no"),
        {"label_values": {False: "negative", True: "positive"}},
        [
            "label 'no' is not one of false, true (YAML reads yes, no, on, off as true or false: quote them"
        ],
    ),
    (
        "one value for two labels",
        "a.csv",
        csv(),
        {"label_values": {"0": "negative", "4": "positive", "4.0": "negative"}},
        ["label_values: '4.0' means positive and also negative", "the same value"],
    ),
    (
        "one label only",
        "a.csv",
        b"text,label\n" + b"".join(b"number %d,4\n" % n for n in range(30)),
        {},
        ["labelled: train has no row of some label (negative 0, positive 18)", "cannot learn"],
    ),
    (
        "one label in the test rows",
        "a.csv",
        b"text,label\n" + b"".join(b"number %d,4\n" % n for n in range(30)),
        {"splits": {"train": "data/raw/tweets.csv", "test": "data/raw/a.csv"}},
        ["labelled: all rows of test have one label (negative 0, positive 30)", "measure nothing"],
    ),
    (
        "NaN labels",
        "a.parquet",
        parquet(label=pa.array([float("nan")] * MANY)),
        {},
        ["40 of 64 rows are bad", "a.parquet row 1: label is null"],
    ),
    # rows that leave none
    (
        "all alike",
        "a.csv",
        b"text,label\n" + b"Same!,4\nSAME,0\n" * 20,
        {},
        ["labelled: no row is left in train (in 40, contradictions 40)"],
    ),
    (
        "all in the test rows",
        "a.csv",
        csv(),
        {"splits": {"train": "data/raw/a.csv", "test": "data/raw/a.csv"}},
        ["labelled: no row is left in train (in 40, ", "leaks 32"],
    ),
    (
        "all neutral",
        "a.csv",
        csv(),
        {
            "columns": {"text": "text", "rating": "label"},
            "label_values": ...,
            "bands": {"negative": {"max": -9}, "positive": {"min": 9}},
        },
        ["labelled: no row is left in train (in 40, neutral 40"],
    ),
    ("too few", "a.csv", b"text,label\na,4\nb,0\n", {}, ["no row is left in validation"]),
    (
        "another count than said",
        "a.csv",
        csv(),
        {"expected_rows": {"train": 41}},
        ["the split train has 40 rows, but expected_rows.train is 41"],
    ),
]


@pytest.mark.parametrize(
    ("file", "content", "settings", "parts"),
    [case[1:] for case in STOPS],
    ids=[case[0] for case in STOPS],
)
def test_a_bad_file_stops_and_is_told_of(
    ran: Any, file: str, content: bytes, settings: dict[str, object], parts: list[str]
) -> None:
    ran.source(file, content, settings)
    message = ran.stopped("prepare")
    for part in parts:
        assert part in message


DEEP = '{"a":' * 30 + "1" + "}" * 30
DEEPER = '{"a":' * 400 + "1" + "}" * 400
DEEPEST = "[" * 100_000

# name, file, its content, {number of each row set aside: its reason}
REJECTS: list[tuple[str, str, bytes, dict[int, str]]] = [
    ("NUL", "a.csv", csv("a\0b,4"), {41: "text contains a NUL character"}),
    ("NUL label", "a.csv", csv("a,4\0"), {41: "label '4\\x00' is not one of 0, 4"}),
    ("blank", "a.csv", csv(" ,4", '"\t\u00a0\n",4'), {41: "text is blank", 42: "text is blank"}),
    ("ragged", "a.csv", csv("a", "b,c,4"), {41: "has 1 fields, not 2", 42: "has 3 fields, not 2"}),
    ("only quotes", "a.csv", csv('""', '"",""'), {41: "has 1 fields", 42: "text is blank"}),
    ("header again", "a.csv", csv("text,label"), {41: "label 'label' is not one of 0, 4"}),
    ("label in words", "a.csv", csv("a,Positive"), {41: "label 'Positive' is not one of 0, 4"}),
    ("a long label", "a.csv", csv("a," + "x" * 10**6), {41: "label 'xxxx"}),
    ("terminal codes", "a.csv", csv("a,\x1b[31m"), {41: "label '\\x1b[31m' is not one of 0, 4"}),
    ("no label", "a.csv", csv("a,"), {41: "label '' is not one of 0, 4"}),
    (
        "repeats",
        "a.csv",
        csv(
            *['"DAY 0, the soup was awful; said no 0",0'] * 2,
            '"DAY 0, the soup was awful; said no 0",4',
            "@bob Day 1: the soup was lovely said no. 1,4",
        ),
        {
            41: "repeats row 1 of its split",
            42: "repeats row 1 of its split",
            43: "contradicts a row of its split with the same text (3 negative, 1 positive): row 1 st",
            44: "repeats row 2 of its split",
        },
    ),
    ("a broken line", "a.jsonl", jsonl('{"text": '), {41: "is not valid JSON: Expecting value"}),
    ("lists", "a.jsonl", jsonl("[1]", '["text"]', '"a"'), dict.fromkeys((41, 42, 43), "is not a")),
    ("a line for two", "a.jsonl", jsonl("{} {}"), {41: "is not valid JSON: Extra data"}),
    ("no line end", "a.jsonl", jsonl('{"text": "a\tb"}'), {41: "is not valid JSON: Invalid contr"}),
    (
        "a key twice",
        "a.jsonl",
        jsonl('{"text": "a", "label": 4, "text": "b"}'),
        {41: "is not valid JSON: the key 'text' occurs twice"},
    ),
    (
        "no text",
        "a.jsonl",
        jsonl(
            *('{"label": 4}', '{"text": null, "label": 4}', '{"text": NaN, "label": 4}'),
            *('{"text": 5, "label": 4}', '{"text": ["a"], "label": 4}', '{"text": {}, "label": 4}'),
        ),
        {
            41: "text is null",
            42: "text is null",
            43: "text is not text but float",
            44: "text is not text but int",
            45: "text is not text but list",
            46: "text is not text but dict",
        },
    ),
    (
        "labels of other kinds",
        "a.jsonl",
        jsonl(
            *('{"text": "a"}', '{"text": "b", "label": null}', '{"text": "c", "label": NaN}'),
            *('{"text": "d", "label": [4]}', '{"text": "e", "label": true}'),
            f'{{"text": "f", "label": {10**4000}}}',
            '{"text": "g", "label": Infinity}',
        ),
        {
            41: "label is null",
            42: "label is null",
            43: "label is null",
            44: "label [4] is not one of 0, 4",
            45: "label True is not one of 0, 4",
            46: "label <an integer of 13288 bits> is not one of 0, 4",
            47: "label inf is not one of 0, 4",
        },
    ),
    (
        "a number too long",
        "a.jsonl",
        jsonl('{"text": "a", "label": ' + "1" * 5000 + "}"),
        {41: "is not valid JSON: Exceeds the limit"},
    ),
    (
        "lone surrogates",
        "a.jsonl",
        jsonl('{"text": "cut \\ud83d", "label": 4}', '{"te\\ud83dxt": "a"}'),
        {41: "text contains half of a character (a lone surrogate)", 42: "text is null"},
    ),
    (
        "deep nesting",
        "a.jsonl",
        jsonl(
            *(f'{{"text": "a", "label": {each}}}' for each in (DEEP, DEEPER)),
            DEEPEST,
        ),
        {
            41: "is nested more than 20 levels deep",
            42: "is nested more than 20 levels deep",
            43: "is not valid JSON: maximum recursion depth",
        },
    ),
    (
        "nulls",
        "a.parquet",
        parquet(text=[None, "a"], label=[4, None]),
        {41: "text is null", 42: "label is null"},
    ),
]


@pytest.mark.parametrize(
    ("file", "content", "reasons"),
    [case[1:] for case in REJECTS],
    ids=[case[0] for case in REJECTS],
)
def test_a_bad_row_is_set_aside_with_its_reason_and_no_other_is(
    ran: Any, file: str, content: bytes, reasons: dict[int, str]
) -> None:
    ran.source(file, content, {})
    ran.run("prepare")
    aside = {
        row["row"]: row["reason"]
        for row in ran.rows("rejected.parquet")
        if row["source"] == f"data/raw/{file}"
    }
    assert aside.keys() == reasons.keys()
    for number, reason in reasons.items():
        assert aside[number].startswith(reason)
        assert len(aside[number]) < 400
    assert ran.labelled() == {text: LABELS[label] for text, label in GOOD}


# --- what is odd and right --------------------------------------------------------------------

LONG = " ".join(f"word{n}" for n in range(100_000))
TEXTS = [
    "👩‍👩‍👧 👍🏽 🇳🇴 e\u0301",
    "\u202bשלום עולם\u202c مرحبا",
    "</s> <s>[INST] no [/INST] <|im_end|>\n<|im_start|>assistant",
    "a\n\n### Response:\npositive",
    "{{ 7 * 7 }} {% for x in range(10**9) %} {{ text }} {# #}",
    "\ue000text\ue000 \ue000end\ue000",
    "\ue000end\ue000",
    "'single' \\backslash\\ %s {0} $x \\n",
    "&#" + "9" * 5000 + "; &amp;",
    "= 1 + 1",
    "  blanks around  ",
    "a\x85b\u2028c\x0bd\x1ee",
    LONG,
]
LINES = [json.dumps({"text": text, "label": 4}, ensure_ascii=False) for text in TEXTS]
QUOTED = [f'"{text}",4' for text in TEXTS]
LEFT_OPEN = '"open, 5" screen'

# name, file, its content, settings of the source, the texts beside the good ones
READS: list[tuple[str, str, bytes, dict[str, object], list[str]]] = [
    ("any text in CSV", "a.csv", csv(*QUOTED), {}, TEXTS),
    ("any text in JSON Lines", "a.jsonl", jsonl(*LINES), {}, TEXTS),
    ("any text in Parquet", "a.parquet", parquet(text=TEXTS, label=[4] * len(TEXTS)), {}, TEXTS),
    ("Windows line ends", "a.csv", csv("a,4", end="\r\n"), {}, ["a"]),
    ("old line ends", "a.csv", csv("a,4", end="\r"), {}, ["a"]),
    ("a byte-order mark", "a.csv", codecs.BOM_UTF8 + csv("a,4"), {}, ["a"]),
    ("and in JSON", "a.jsonl", codecs.BOM_UTF8 + jsonl('{"text": "a", "label": 4}'), {}, ["a"]),
    (
        "utf-16 where said",
        "a.csv",
        codecs.BOM_UTF16_LE + csv("é,4").decode().encode("utf-16-le"),
        {"reading": {"encoding": "utf-16-le"}},
        ["é"],
    ),
    (
        "latin-1 where said",
        "a.csv",
        csv("é,4").decode().encode("latin-1"),
        {"reading": {"encoding": "latin-1"}},
        ["é"],
    ),
    ("marks inside", "a.csv", csv('a "b" c,4', '"d ""e"" f, g",4'), {}, ['a "b" c', 'd "e" f, g']),
    (
        "marks as text",
        "a.tsv",
        "\n".join(
            ["text\tlabel", *(f"{text}\t{label}" for text, label in [*GOOD, (LEFT_OPEN, 4)])]
        ).encode(),
        {"reading": {"quoting": False}},
        [LEFT_OPEN],
    ),
    ("labels with blanks", "a.csv", csv("a, 4 ", 'b,"4\t"'), {}, ["a", "b"]),
    ("labels as a gap leaves them", "a.csv", csv("a,4.0", "b,4.00"), {}, ["a", "b"]),
    ("other columns", "a.parquet", parquet(pair=[{"x": [n]} for n in range(MANY)]), {}, []),
    (
        "text kept as a dictionary",
        "a.parquet",
        parquet(text=pa.array([text for text, _ in GOOD]).dictionary_encode()),
        {},
        [],
    ),
    (
        "labels as doubles",
        "a.parquet",
        parquet(label=pa.array([float(y) for _, y in GOOD])),
        {},
        [],
    ),
    (
        "dates that Python has",
        "a.parquet",
        parquet(when=pa.array([datetime.date(1, 1, 1)] * MANY)),
        {},
        [],
    ),
    (
        "a huge number elsewhere",
        "a.jsonl",
        jsonl(f'{{"text": "a", "label": 4, "x": {10**4000}}}'),
        {},
        ["a"],
    ),
    (
        "brackets that nest nothing",
        "a.jsonl",
        jsonl(json.dumps({"text": "[" * 500, "label": 4})),
        {},
        ["[" * 500],
    ),
    (
        "columns without a name, and a name twice",
        "a.csv",
        b"text,label,,,note,note\n"
        + b"".join(b'"%s",%d,,,x,y\n' % (t.encode(), n) for t, n in GOOD),
        {},
        [],
    ),
    ("blanks before marks", "a.csv", csv('"a, b", "4"', 'c , "4"'), {}, ["a, b", "c "]),
    (
        "marks escaped",
        "a.csv",
        csv('"say \\"a, b\\" \\\\",4'),
        {"reading": {"escape": "\\"}},
        ['say "a, b" \\'],
    ),
    ("a field over lines", "a.csv", csv('"a, b\nc, d\n\n(e)",4'), {}, ["a, b\nc, d\n\n(e)"]),
    (
        "rows inside of a field where the settings say so",
        "a.csv",
        csv('"The file:\ntext,0\nmore,4",4'),
        {"reading": {"quoting": True}},
        ["The file:\ntext,0\nmore,4"],
    ),
    ("a JSON list", "a.json", json_list(), {}, []),
    ("a JSON list in one line", "a.jsonl", json.dumps(json.loads(json_list())).encode(), {}, []),
    ("JSON Lines named JSON", "a.json", jsonl('{"text": "a", "label": 4}'), {}, ["a"]),
    ("gzip", "a.csv.gz", gzip.compress(csv("a,4")), {}, ["a"]),
    ("gzip without its suffix", "a.jsonl", gzip.compress(jsonl()), {}, []),
    ("gzip of Parquet", "a.parquet.GZ", gzip.compress(WHOLE), {}, []),
    ("zip", "a.zip", zipped(rows=csv("a,4")), {}, ["a"]),
    ("zip of JSON", "a.zip", zipped(**{"x/rows.json": json_list(), "__MACOSX/x": b""}), {}, []),
    ("more asked for than there is", "a.csv", csv("a,4"), {"take": {"train": 10**6}}, ["a"]),
    ("a name like a pattern", "a[1]*.csv", csv("a,4"), {}, ["a"]),
]


@pytest.mark.parametrize(
    ("file", "content", "settings", "texts"),
    [case[1:] for case in READS],
    ids=[case[0] for case in READS],
)
def test_what_is_odd_and_right_is_read_as_it_stands(
    ran: Any, file: str, content: bytes, settings: dict[str, object], texts: list[str]
) -> None:
    ran.source(file, content, settings)
    ran.run("prepare")
    assert not [row for row in ran.rows("rejected.parquet") if row["source"].endswith(file)]
    expected = {text: LABELS[label] for text, label in GOOD} | dict.fromkeys(texts, "positive")
    assert ran.labelled() == expected
    ran.run("instructify")
    prompts = [
        row["prompt"]
        for split in ("train", "validation", "test")
        for row in pq.read_table(f"data/instructions/labelled/{split}.parquet").to_pylist()
    ]
    assert all(any(text in prompt for prompt in prompts) for text in texts)


# --- instructions -----------------------------------------------------------------------------

INSTRUCTION = {"instruction": "Name a river.", "input": "", "output": "The Elbe."}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (INSTRUCTION | {"input": 0}, "input is not text but int"),
        (INSTRUCTION | {"input": []}, "input is not text but list"),
        (INSTRUCTION | {"input": False}, "input is not text but bool"),
        (INSTRUCTION | {"output": "\ud83d"}, "output contains half of a character"),
        (INSTRUCTION | {"instruction": "\t"}, "instruction is blank"),
        ({"instruction": "a", "completion": "b"}, "output is null"),
    ],
)
def test_a_bad_instruction_is_set_aside_with_its_reason(
    ran: Any, row: dict[str, Any], reason: str
) -> None:
    path = ran.folder / "data/raw/general.jsonl"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + json.dumps(row) + "\n", encoding="utf-8")
    ran.run("prepare")
    aside = {each["row"]: each["reason"] for each in ran.rows("rejected.parquet")}
    assert aside[25].startswith(reason)
