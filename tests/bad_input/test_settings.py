"""Settings that are no YAML, YAML that is a trap, and settings that do not mean what they seem to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.yaml_file import read_yaml

import pytest

from settings.read import read_settings

PARAMS = "params.yaml"
PROFILE = "profiles/small.yaml"

LISTS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

# name, what stands in params.yaml, what the message must say after "params.yaml: "
NO_SETTINGS: list[tuple[str, bytes, list[str]]] = [
    ("empty", b"", ["must be a mapping of settings"]),
    ("comments alone", b"# seed: 1\n", ["must be a mapping of settings"]),
    ("a list", b"- seed\n- 1\n", ["must be a mapping of settings"]),
    ("a word", b"seed\n", ["must be a mapping of settings"]),
    ("nothing but a mark", b"\xef\xbb\xbf", ["must be a mapping of settings"]),
    ("tabs", b"mix:\n\tgeneral_rows: 1\n", ["not valid YAML", "(line 2, column 1)", "with spaces"]),
    ("two documents", b"seed: 1\n---\nseed: 2\n", ["not valid YAML", "another document", "line 2"]),
    ("left open", b"mix: {general_rows: 1\nseed: 2\n", ["not valid YAML", "starting in line 1"]),
    (
        "a quotation mark open",
        b"profile: 'small\nseed: 1\n",
        ["not valid YAML", "starting in line 1"],
    ),
    ("a key twice", b"mix: {}\nseed: 1\nmix: {}\n", ["the key 'mix' occurs twice (line 3, column"]),
    ("deeper", b"mix:\n  a: 1\n  b: 2\n  a: 3\n", ["the key 'a' occurs twice (line 4, column 3)"]),
    ("yes and true", b"yes: 1\ntrue: 2\n", ["not valid YAML: the key True occurs twice (line 2"]),
    ("latin-1", b"seed: 1\n# caf\xe9\n", ["cannot be read: line 2 is not UTF-8 (byte 0xe9): save"]),
    ("utf-16", "seed: 1\n".encode("utf-16"), ["line 1 is not UTF-8 (byte 0xff): save the file as"]),
    ("a NUL", b"seed: \0\n", ["not valid YAML: line 1 contains the character '\\x00', which"]),
    (
        "a NUL escaped",
        b'profile: "a\\0"\n',
        ["not valid YAML: contains a NUL", "(line 1, column 10)"],
    ),
    ("half a character", b'profile: "\\ud83d"\n', ["not valid YAML", "lone surrogate", "(line 1"]),
    ("an unknown alias", b"seed: *a\n", ["not valid YAML", "undefined alias 'a' (line 1"]),
    (
        "a thousand million laughs",
        f"{LISTS}seed: *j\n".encode(),
        ["contains more than 100,000 values"],
    ),
    ("the same in keys", f"{LISTS}? *j\n: 1\n".encode(), ["contains more than 100,000 values"]),
    (
        "the same merged",
        MERGES.encode(),
        ["contains more than 100,000 values, aliases replaced (line"],
    ),
    (
        "an anchor in itself",
        b"seed: &a [*a]\n",
        ["an anchor contains its own alias (line 1, column"],
    ),
    ("the same mapped", b"mix: &a {b: {c: *a}}\n", ["an anchor contains its own alias (line 1"]),
    ("the same merged in", b"mix: &a\n  <<: *a\n", ["an anchor contains its own alias (line 1"]),
    ("deep nesting", b"seed: " + b"[" * 20_000, ["not valid YAML: is nested too deeply"]),
    ("closed again", b"seed: " + b"[" * 9000 + b"]" * 9000, ["nested too deeply"]),
    ("an unhashable key", b"? [a]\n: 1\n", ["not valid YAML", "unhashable key (line 1, column 3)"]),
    ("code", b"seed: !!python/object/apply:os.getcwd []\n", ["could not determine a constructor"]),
    ("a tag that fits not", b"seed: !!bool maybe\n", ["a value does not fit its tag (KeyError"]),
    ("no date", b"seed: !!timestamp today\n", ["a value does not fit its tag (AttributeError"]),
    ("no number", b"seed: !!int ''\n", ["a value does not fit its tag (IndexError"]),
    ("no day", b"seed: 2026-02-30\n", ["not valid YAML: day is out of range for month"]),
    ("not base64", b"seed: !!binary x\n", ["not valid YAML", "base64"]),
    (
        "a huge number",
        b"seed: 0x" + b"f" * 5000,
        ["params.yaml: seed = <an integer of 20000 bits>"],
    ),
    ("too many digits", b"seed: " + b"9" * 5000 + b"\n", ["not valid YAML: Exceeds the limit"]),
]


@pytest.mark.parametrize(
    ("content", "parts"), [case[1:] for case in NO_SETTINGS], ids=[case[0] for case in NO_SETTINGS]
)
def test_what_is_no_settings_is_told_of(ran: Any, content: bytes, parts: list[str]) -> None:
    (ran.folder / PARAMS).write_bytes(content)
    message = ran.stopped("mix")
    assert message.startswith(f"{PARAMS}: ")
    for part in parts:
        assert part in message


LABELLED = "sources.labelled"
# name, {setting: value}, what the message must say
MISTAKES: list[tuple[str, dict[str, object], list[str]]] = [
    ("a long text", {"params.yaml:seed": "x" * 10**5}, ["params.yaml: seed = 'xxxx", "integer"]),
    ("a long list", {"params.yaml:seed": list(range(10**4))}, ["params.yaml: seed = [0, 1, 2,"]),
    ("a date", {"params.yaml:profile": "2026-01-01\n"}, ["params.yaml: profile = "]),
    ("yes for a number", {"params.yaml:seed": True}, ["seed = True: must be a number (YAML takes"]),
    (
        "and in a mapping",
        {f"{LABELLED}.take": {"train": True}},
        ["take.train = True: must be a n"],
    ),
    (
        "yes for a share",
        {f"{LABELLED}.validation_share": False},
        ["validation_share = False: mus"],
    ),
    (
        "a number for yes",
        {"train.gradient_checkpointing": 7},
        ["gradient_checkpointing = 7", "bool"],
    ),
    (
        "a list for a mapping",
        {"sources": []},
        ["profiles/small.yaml: sources = []: Input should be a mapping"],
    ),
    ("a text for a list", {"labels.names": "negative"}, ["labels.names = 'negative'", "list"]),
    (
        "a mapping for a text",
        {f"{LABELLED}.columns.text": {}},
        ["columns.text: Input should be a"],
    ),
    ("a number as key", {"1": 2}, ["profiles/small.yaml: 1"]),
    (
        "a strange key",
        {"a\n\x1b": 2},
        ["profiles/small.yaml: 'a\\n\\x1b' is not a setting; allowed"],
    ),
    ("a label as yes", {"labels.names": [True, False]}, ["labels.names.0 = True", "string"]),
    ("a blank label", {"labels.names": ["", "positive"]}, ["labels.names.0 = ''", "at least 1"]),
    (
        "a column named twice",
        {f"{LABELLED}.reading": {"header": ["text", "label", "text"]}},
        ["reading.header = ['text', 'label', 'text']: names a column twice"],
    ),
    (
        "fields by lines",
        {f"{LABELLED}.reading": {"delimiter": "\n"}},
        ["delimiter = '\\n': must not be a line end"],
    ),
    (
        "fields by marks",
        {f"{LABELLED}.reading": {"delimiter": '"'}},
        ["delimiter = '\"': must not be a line end"],
    ),
    ("no fields", {f"{LABELLED}.reading": {"delimiter": ""}}, ["delimiter = ''", "at least 1"]),
    (
        "no encoding",
        {f"{LABELLED}.reading": {"encoding": "rot13"}},
        ["encoding = 'rot13'", "utf-8"],
    ),
    (
        "a hash of no split",
        {f"{LABELLED}.sha256": {"validation": "ab" * 32}},
        ["sources.labelled: sha256 names validation, but splits does not"],
    ),
    (
        "a count of no split",
        {f"{LABELLED}.expected_rows": {"validation": 5}},
        ["sources.labelled: expected_rows names validation, but splits does not"],
    ),
    (
        "a share of a split that is there",
        {f"{LABELLED}.test_share": 0.2},
        ["sources.labelled: splits has test: test_share must be null"],
    ),
    (
        "shares of more than all",
        {f"{LABELLED}.splits.test": ..., f"{LABELLED}.test_share": 0.8},
        ["sources.labelled: validation_share and test_share together leave no row to train on"],
    ),
    (
        "a share of instructions that is there",
        {"sources.general.0.splits.test": "data/raw/general.jsonl"},
        ["sources.general.0: splits has test: test_share must be null"],
    ),
]


@pytest.mark.parametrize(
    ("settings", "parts"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_wrong_setting_is_told_of(
    ran: Any, settings: dict[str, object], parts: list[str]
) -> None:
    ran.set(settings)
    message = ran.stopped("mix")
    for part in parts:
        assert part in message


def anchored(text: str) -> str:
    return text.replace("test_seen: 12\n", "test_seen: &dozen 12\n").replace(
        "general_rows: 20", "general_rows: &twenty 20"
    )


# name, how the files are written otherwise and mean the same
ALIKE: list[tuple[str, Callable[[str], bytes]]] = [
    ("a byte-order mark", lambda text: b"\xef\xbb\xbf" + text.encode()),
    ("Windows line ends", lambda text: text.replace("\n", "\r\n").encode()),
    ("an end mark", lambda text: f"---\n{text}...\n".encode()),
    ("anchors", lambda text: anchored(text).encode()),
    ("comments", lambda text: text.replace("\n", "  # \U0001f44d\n").encode()),
]


@pytest.mark.parametrize("write", [case[1] for case in ALIKE], ids=[case[0] for case in ALIKE])
def test_what_is_odd_and_right_is_read_as_it_stands(
    ran: Any, write: Callable[[str], bytes]
) -> None:
    sections = ("seed", "mix", "sources", "train")
    before = [getattr(read_settings(*sections), name) for name in sections]
    for name in (PARAMS, PROFILE):
        text = (ran.folder / name).read_text(encoding="utf-8")
        assert write(text) != text.encode()
        (ran.folder / name).write_bytes(write(text))
    assert [getattr(read_settings(*sections), name) for name in sections] == before


def test_aliases_that_stay_small_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: &b {c: *a, d: *a}\ne: {<<: *b, d: 3}\n", encoding="utf-8")
    twice = {"c": [1, 2], "d": [1, 2]}
    assert read_yaml(path) == {"a": [1, 2], "b": twice, "e": {"c": [1, 2], "d": 3}}
