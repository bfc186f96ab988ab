"""Files of checked instructions that hold a mistake: each message names the place and how to mend it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import yaml

from tasks.instructions import HUNDRED, TEN, load_instructions, results

GOOD: dict[str, Any] = {
    "id": "say-hello",
    "instruction": "Say hello.",
    "input": "",
    "checks": [{"kind": "keywords:existence", "keywords": ["hello"]}],
    "gold": "Hello!",
}
OTHER = {**GOOD, "id": "greet", "instruction": "Greet the reader of this page with one short word."}
WORDS = "length_constraints:number_words"
KEYS = "its keys are id, group, instruction, input, checks, gold"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ten.yaml"


def stopped(path: Path, content: object) -> str:
    """The message about a file with this text, or with these rows."""
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as raised:
        load_instructions(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 4000
    return message.removeprefix(f"{path}: ")


def checks(**check: object) -> dict[str, object]:
    return {"checks": [check]}


def test_load_instructions_returns_what_was_written(path: Path) -> None:
    path.write_text(yaml.safe_dump([OTHER, GOOD]), encoding="utf-8")
    other, entry = load_instructions(path)
    assert entry.model_dump(exclude={"group"}) == GOOD
    assert entry.group is other.group is None
    assert other.id == "greet"
    assert results(entry, "hello there") == [("keywords:existence", True)]
    name = "gold"
    with pytest.raises(ValueError, match="frozen"):
        setattr(entry, name, "Goodbye!")


# name, what differs in the second entry, what the message must contain after the entry
MISTAKES: list[tuple[str, dict[Any, Any], list[str]]] = [
    (
        "an unknown check",
        checks(kind="keywords:all"),
        ["checks: number 1: check 'keywords:all'", "allowed are change_case:"],
    ),
    (
        "a check without a kind",
        checks(keywords=["hello"]),
        ["check None: unknown kind", "allowed are change_case:"],
    ),
    (
        "a list as kind",
        checks(kind=["a"]),
        ["check ['a']: unknown kind", "allowed are change_case:"],
    ),
    (
        "an unknown argument and one missing",
        checks(kind=WORDS, words=3, relation="exactly"),
        [WORDS, "words = 3: Extra", "num_words: Field required", "are num_words, relation"],
    ),
    (
        "a text as number, an unknown relation",
        checks(kind=WORDS, num_words="3", relation="about"),
        ["num_words = '3': Input should be a valid integer", "= 'about'", "'exactly', 'at least'"],
    ),
    (
        "none asked for",
        checks(kind=WORDS, num_words=0, relation="exactly"),
        ["num_words = 0: Input should be greater than or equal to 1"],
    ),
    (
        "a huge number",
        checks(kind=WORDS, num_words=-(10**4000), relation="exactly"),
        ["num_words = <an integer of 13288 bits>: Input should be greater"],
    ),
    (
        "an argument of the program's own",
        checks(kind="startend:quotation", instruction="x"),
        ["instruction = 'x': Extra", "its arguments are none"],
    ),
    ("no keyword", checks(kind="keywords:existence", keywords=[]), ["keywords = []: List"]),
    (
        "yes, which YAML reads as true",
        checks(kind="keywords:existence", keywords=["no", True]),
        ["keywords.1 = True: Input should be a valid string"],
    ),
    (
        "an empty form of a keyword",
        checks(kind="keywords:existence", keywords=["a||b"]),
        ["keywords.0 = 'a||b': every form, with | between forms, must begin with"],
    ),
    (
        "a keyword that is only an ending",
        checks(kind="keywords:existence", keywords=["*"]),
        ["keywords.0 = '*': every form, with | between forms, must begin with"],
    ),
    (
        "keywords without end",
        checks(kind="keywords:existence", keywords=["*"] * 500),
        ["keywords.4 = '*'", "and 495 more; its arguments are keywords"],
    ),
    ("no check", {"checks": []}, ["checks = []: List should have at least 1", KEYS]),
    (
        "a check that is a text",
        {"checks": ["json"]},
        ["checks.0 = 'json': Input should be a valid d"],
    ),
    (
        "one check without a list",
        {"checks": {"kind": "startend:quotation"}},
        ["checks = {'kind': 'startend:quotation'}: Input should be a valid list"],
    ),
    (
        "a number as key of a check",
        {"checks": [{5: "x"}]},
        ["checks.0.5.[key] = 5: Input should be"],
    ),
    ("no gold", {"gold": None}, ["gold = None: Input should be a valid string", "checks, gold"]),
    ("an empty gold", {"gold": ""}, ["gold = '': is blank: write the text", KEYS]),
    ("a blank instruction", {"instruction": " \n"}, ["instruction = ' \\n': is blank: write the"]),
    (
        "a number as instruction",
        {"instruction": 5},
        ["instruction = 5: Input should be a valid st"],
    ),
    ("no input", {"input": None}, ["input = None: Input should be a valid string", KEYS]),
    ("an unknown key", {"hint": "wave"}, ["hint = 'wave': Extra inputs are not permitted", KEYS]),
    ("a number as key", {7: "wave"}, ["7 = 7: Keys should be strings", KEYS]),
    (
        "an id of two words",
        {"id": "Say hello"},
        ["'Say hello'", "id = 'Say hello': write small letters"],
    ),
    ("a number as id", {"id": 5}, ["2, 5 ('Say hello.'): id = 5: Input should be a valid string"]),
    (
        "a line break after an id",
        {"id": "say-hello\n"},
        ["id = 'say-hello\\n': write small letters"],
    ),
    ("a group of two words", {"group": "two words"}, ["group = 'two words': write small letters"]),
    (
        "gold that fails a check",
        {"gold": "Good day!"},
        ["gold = 'Good day!': fails keywords:existence: change the gold answer or the check"],
    ),
    (
        "an id that occurs twice",
        {"id": "greet"},
        ["id: the same as of instruction 1: change or remove one of the two"],
    ),
    (
        "an instruction that occurs twice",
        {"instruction": "greet the reader of  this page with one short WORD."},
        ["instruction and input: the same as of instruction 1: change or remove one of the two"],
    ),
]


@pytest.mark.parametrize(
    ("change", "parts"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_mistake_is_named_with_its_place_and_how_to_mend_it(
    path: Path, change: dict[Any, Any], parts: list[str]
) -> None:
    row = {**GOOD, **change}
    message = stopped(path, [OTHER, row])
    assert message.startswith(f"instruction 2, {row['id']!r}")
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize("key", GOOD)
def test_every_key_is_asked_for(path: Path, key: str) -> None:
    row = {name: value for name, value in GOOD.items() if name != key}
    message = stopped(path, [OTHER, row])
    assert f": {key}: Field required; {KEYS}" in message
    assert ("('Say hello.')" in message) == (key != "instruction")


def test_a_long_instruction_is_named_by_its_beginning(path: Path) -> None:
    message = stopped(path, [{**OTHER, "gold": "Bye."}])
    assert message.startswith(
        "instruction 1, 'greet' ('Greet the reader of this page with one s…'): gold = 'Bye.': "
    )


def test_all_entries_have_a_group_or_none_has(path: Path) -> None:
    grouped = {**OTHER, "group": "greetings"}
    message = stopped(path, [grouped, GOOD])
    assert message.startswith("instruction 2, 'say-hello' ('Say hello.'): group: missing")
    path.write_text(yaml.safe_dump([grouped, {**GOOD, "group": "a"}]), encoding="utf-8")
    assert [entry.group for entry in load_instructions(path)] == ["greetings", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write a list of instructions, each with the keys id, group, instruction, input"),
        ("[]", "write a list of instructions, each with the keys id, group, instruction, input"),
        ("id: say-hello", "write a list of instructions, each with the keys id, group, instru"),
        ("- hello", "instruction 1: 'hello' is no mapping: write the keys id, group, instruction"),
        ("- [", "not valid YAML: "),
        ("- {id: a, id: b}", "not valid YAML: the key 'id' occurs twice (line 1"),
        ('- {id: "\\0"}', "not valid YAML: contains a NUL"),
    ],
)
def test_another_file_is_refused(path: Path, text: str, message: str) -> None:
    assert stopped(path, text).startswith(message)


def test_a_file_that_is_missing_is_named(path: Path) -> None:
    with pytest.raises(StudyError, match=r"ten\.yaml: no such file"):
        load_instructions(path)


@pytest.mark.parametrize("name", [TEN, HUNDRED])
def test_a_typo_ends_a_stage_with_one_line(
    ran: Any,
    repo: Path,
    call_stage: Callable[..., subprocess.CompletedProcess[str]],
    name: Path,
) -> None:
    for path in (TEN, HUNDRED):
        text = (repo / path).read_text(encoding="utf-8")
        changed = text.replace("\n  gold:", "\n  glod:", 1) if path == name else text
        (ran.folder / path).write_text(changed, encoding="utf-8")
    done = call_stage(ran.folder, "compare")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {name}: instruction 1, ")
    assert "gold: Field required, glod = " in line
