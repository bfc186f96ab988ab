"""What each kind of check accepts and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.checks import CHECKS, passes
from tasks.instructions import TEN, load_instructions

REPO = Path(__file__).resolve().parents[2]

FERRY = "The last ferry leaves at nine."
QUESTION = "When does the last ferry leave?"
# kind, arguments, answers that pass, answers that fail; the borderline ones are in both columns
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "keywords:existence",
        {"keywords": ["snow*", "ice|icy", "north wind"]},
        ["Snowflakes, ICY roads, a north\nwind.", "snow-white ice; the _north wind_"],
        ["", "Snow and ice.", "snow, price, north wind", "unsnow ice north wind"],
    ),
    ("keywords:existence", {"keywords": ["don't"]}, ["Don\u2019t go"], ["do not", "don"]),
    (
        "keywords:some_of",
        {"keywords": ["apple*", "pear|pears", "fig"], "num_keywords": 2},
        ["Apples and PEARS", "fig/pear", "**apple**, fig"],
        ["", "apple apple apples", "pear, pears", "pineapple and fig", "spear, figs, apple"],
    ),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["rain"]},
        ["It keeps you dry.", "a train", "rainy days", ""],  # '' is why content is checked too
        ["Rain falls.", "rain-soaked", "It was _rain_", "RAIN!"],
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "exactly"},
        [
            "One here. Two there.",
            "no capital. no final mark",
            "Really?! Yes!!",
            "Dr. Lee paid 3.50 at 5 p.m. on Monday. Then she left.",
            "J. Smith knew that he and I. Then he left.",
            'Well... maybe so. He said "Stop!" and left.',
            "Birds, e.g. Swifts, fly. See example.org for more.",
            "He waited… Then he left.",
            "We met at 5 p.m. She left.",
            "“It ends here.” He left.",
            "1. Apples are red.\n2. Pears are green.",
            "A heading\n\nA sentence.",
            "(One.) **Two.**",
            "How many? 42.",
            "How many? 42. Then go.",  # a known miss: 42 reads as a list number
            "He joined the U.S. Army.",  # a known miss
        ],
        [
            "",
            "...",
            "? ! .",
            "Only one.",
            "One\nline break is no end.",
            "One. Two. Three.",
            "Apples, pears, etc. are fruit.",
        ],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "exactly"},
        [
            "one two three",
            "Don\u2019t be well-known!",
            "3.5 or 1,000",
            "- a - b - c -",
            "été 日本 два",
        ],
        ["", "one two", "a b c d", "one,two", "3 . 5", "___ ... !!!"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at most"},
        ["", "one two three"],
        ["a b c d"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "less than"},
        ["", "one two"],
        ["a b c"],
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at least"},
        ["one two three", "a b c d"],
        ["", "one two"],
    ),
    (
        "length_constraints:number_lines",
        {"num_lines": 2, "relation": "exactly"},
        ["one\ntwo", "one\r\n\r\n  two  \n", "one\n---\ntwo"],
        ["", "one", "one\\ntwo", "a\nb\nc", "\n\n\n"],
    ),
    (
        "detectable_content:number_questions",
        {"num_questions": 2, "relation": "exactly"},
        [
            "Who came? Why?",
            "1. Who came?\n2. Why?",
            "Here are two:\n- Who came?\n- Why?!",
            'She left. "Who came?" Why? I know.',
        ],
        ["", "??", "Who came.", "Who? Who? WHO?", "1. Who came?\n2. Who came?", "Who? Why? When?"],
    ),
    (
        "detectable_content:json_fields",
        {"fields": {"name": "Mara", "age": 34}},
        [
            '{"name": "Mara", "age": 34}',
            '{"age": "34", "name": " MARA "}',
            '```json\n{"name": "Mara", "age": 34}\n```',
        ],
        [
            "",
            '{"name": "Mara"}',
            '{"name": "Mara", "age": 35}',
            '{"name": "Mara", "age": 34, "city": "Bergen"}',
            '{"name": "Mara", "age": [34]}',
            '{"Name": "Mara", "age": 34}',
            '[{"name": "Mara", "age": 34}]',
            'Here: {"name": "Mara", "age": 34}',
            '{"name": ' + "[" * 100_000,
        ],
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["- a\n- b", "Two of them:\n* a\n  • b", "- **a**\n\n-   b", "- a\n- b\n-\n---\n-5 c"],
        ["", "- a", "- a - b", "1. a\n2. b", "-a\n-b", "**a** b\n**c** d", "- a\n- b\n- c", "-\n-"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['{"a": [1, null]}', " [] ", '"positive"', "34", "```\n{}\n```", "```JSON\n{}```"],
        ["", "positive", "{'a': 1}", '{"a": 1,}', "{} done", "NaN", "```json\n```", "[" * 100_000],
    ),
    (
        "change_case:english_capital",
        {},
        ["STOP.", "GATE 9, ÉTÉ"],
        ["", "Stop", "STOP, please", "123 !", "STRAßE"],
    ),
    (
        "startend:quotation",
        {},
        ['"Yes."', ' "Yes."\n', "“Yes.”", '"Yes" and "no"'],
        ["", '"', '""', '" "', "Yes.", '"Yes', '"Yes".', "'Yes.'", 'He said "yes"', "”Yes“"],
    ),
    (
        "startend:first_word",
        {"words": ["Mammal", "bird"]},
        ["Mammal, as it has fur.", "**BIRD**: wings", "  bird"],
        ["", "Mammals", "A mammal", "mammal-like", "1. bird"],
    ),
    (
        "content:same_words_as_input",
        {},
        [FERRY, FERRY.upper(), "the last ferry\nleaves at nine"],
        ["", "The last ferry", f"Answer: {FERRY}", "Nine at leaves ferry last the.", FERRY * 2],
    ),
    (
        "content:not_an_echo",
        {},
        ["It leaves at nine, so do not be late.", "The very last one is at nine."],
        [
            "",
            "?!",
            FERRY,
            QUESTION,
            "THE LAST FERRY",
            f"{QUESTION} {FERRY}",
            f"{FERRY}\n{QUESTION}",
            f"Q: {QUESTION} A: {FERRY}",
            FERRY * 9,
            "At nine.",  # too short to tell an answer from a copy
        ],
    ),
    (
        "content:not_an_echo",
        {"max_copied": 0.3},
        ["Boats go until nine."],
        ["It says that the last ferry leaves at nine."],
    ),
    (
        "content:not_repetitive",
        {},
        ["two words", "the cat and the dog and the cow", "a a a b b"],
        ["", "one", "One one", "the the the the", "a a a a b b", "no. " * 50, "so it is. " * 9],
    ),
]


@pytest.mark.parametrize(("kind", "arguments", "good", "bad"), CASES)
def test_each_kind_tells_good_answers_from_bad(
    kind: str, arguments: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    check = {"kind": kind, **arguments}
    passed = {answer: passes(check, answer, QUESTION, FERRY) for answer in good + bad}
    assert passed == dict.fromkeys(good, True) | dict.fromkeys(bad, False)


def test_every_kind_is_tested_used_and_described() -> None:
    assert {kind for kind, *_ in CASES} == CHECKS.keys()
    entries = load_instructions(REPO / TEN)
    assert {check["kind"] for entry in entries for check in entry.checks} == CHECKS.keys()
    assert all(function.__doc__ for function in CHECKS.values())


@pytest.mark.parametrize("check", [{}, {"kind": "keywords:all"}, {"kind": ["a"]}])
def test_an_unknown_kind_is_an_error_and_not_a_failed_check(check: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown kind; allowed are .*keywords:existence"):
        passes(check, "an answer")


@given(st.text() | st.text("ab1 \t\r\n.?!…\"'“”\u2019`{}[]:,-*•_|\\#", max_size=200))
def test_no_check_raises_on_any_answer(answer: str) -> None:
    for kind, arguments, *_ in CASES:
        assert passes({"kind": kind, **arguments}, answer, answer, answer) in {True, False}


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_any_object_has_its_own_fields(fields: dict[str, str | int]) -> None:
    check = {"kind": "detectable_content:json_fields", "fields": fields}
    stripped = {k: v.strip() if isinstance(v, str) else v for k, v in fields.items()}
    assert passes({**check, "fields": stripped}, json.dumps(fields))
    assert not passes(check, json.dumps({**fields, "".join(fields) + "+": 1}))
