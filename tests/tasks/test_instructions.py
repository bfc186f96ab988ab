"""The ten instructions and the hundred: right answers follow them, degenerate answers never do."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.normalise import normalised
from tasks.families import FAMILIES
from tasks.instructions import CheckedInstruction, followed, load_instructions, results

RAW = Path(__file__).resolve().parents[2] / "data/raw"
TEN = load_instructions(RAW / "ten_instructions.yaml")
HUNDRED = load_instructions(RAW / "hundred_instructions.yaml")
BY_ID = {entry.id: entry for entry in TEN}
each_of_ten = pytest.mark.parametrize("entry", TEN, ids=lambda entry: str(entry.id))
each_of_all = pytest.mark.parametrize("entry", [*TEN, *HUNDRED], ids=lambda entry: str(entry.id))


def test_there_are_ten_and_each_names_a_kind_once() -> None:
    assert len(TEN) == 10
    for entry in TEN:
        kinds = [check["kind"] for check in entry.checks]
        assert len(set(kinds)) == len(kinds)
        assert [kind for kind, _ in results(entry, "")] == kinds


@each_of_ten
def test_gold_follows_its_own_instruction_and_no_other_of_the_ten(
    entry: CheckedInstruction,
) -> None:
    assert results(entry, entry.gold) == [(check["kind"], True) for check in entry.checks]
    assert [other.id for other in TEN if followed(other, entry.gold)] == [entry.id]


def test_there_are_a_hundred_of_ten_groups_and_the_same_each_time() -> None:
    assert len(HUNDRED) == len({entry.id for entry in HUNDRED}) == 100
    assert len({(entry.instruction, entry.input) for entry in HUNDRED}) == 100
    assert load_instructions(RAW / "hundred_instructions.yaml") == HUNDRED
    kinds = Counter(
        (entry.group, tuple(check["kind"] for check in entry.checks)) for entry in HUNDRED
    )
    assert len(kinds) == len({group for group, _ in kinds}) == 10
    assert set(kinds.values()) == {10}
    assert all(entry.id.startswith(f"{entry.group}-") for entry in HUNDRED)


def test_the_hundred_are_those_that_earlier_results_were_measured_on() -> None:
    rows = [entry.model_dump(exclude={"group"}) for entry in HUNDRED]
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    assert digest == "e973cd8face859e0d0c79b7039fc3a2a2f50670bc6a8a51f6ce3ff34c50cfdeb"


@pytest.mark.parametrize("entry", HUNDRED, ids=lambda entry: str(entry.id))
def test_gold_of_the_hundred_is_short_and_follows(entry: CheckedInstruction) -> None:
    assert followed(entry, entry.gold)
    assert len(entry.gold.split()) <= 22


def test_the_right_answer_to_another_topic_seldom_follows() -> None:
    taken = [
        (entry.id, other.id)
        for entry in HUNDRED
        for other in HUNDRED
        if other is not entry and followed(entry, other.gold)
    ]
    assert len(taken) <= 15  # of 9,900: a bat is a mammal as a whale is


def test_no_instruction_of_the_hundred_stands_elsewhere() -> None:
    general = [json.loads(line) for line in (RAW / "general_instructions.jsonl").open()]
    elsewhere = {normalised(row["instruction"] + row.get("input", "")) for row in general}
    elsewhere |= {normalised(entry.instruction + entry.input) for entry in TEN}
    wordings = {normalised(each) for family in FAMILIES for each in family.wordings}
    for entry in HUNDRED:
        assert normalised(entry.instruction + entry.input) not in elsewhere
        assert normalised(entry.instruction) not in wordings
        assert not {"labelled", "tweet", "positive", "negative"} & set(entry.instruction.split())


def labels() -> list[str]:
    """What a model answers that has collapsed to its labels."""
    words = ["positive", "negative", "neutral"]
    frames = ["{}", "{}.", '"{}"', "“{}.”", "- {}", "Labelled: {}", "Label: {}\n", "**{}**"]
    frames += ["The labelled of this text is {}.", "```json\n{}\n```", '{{"labelled": "{}"}}']
    cased = [form for word in words for form in (word, word.title(), word.upper())]
    return [frame.format(word) for frame in frames for word in cased] + [" ".join(words)]


def echoes(entry: CheckedInstruction) -> list[str]:
    """The prompt given back: its parts, both in either order, and the frame around them."""
    asked, given_text = entry.instruction, entry.input
    pairs = [(asked, given_text), (given_text, asked)]
    joined = [f"{a}{space}{b}" for a, b in pairs for space in (" ", "\n", "\n\n", "\n\nInput: ")]
    framed = f"### Instruction:\n{asked}\n\n### Input:\n{given_text}\n\n### Response:\n"
    plain = [asked, given_text, *joined, framed]
    return [*plain, *(f'"{echo}"' for echo in plain), *(f"{echo} negative" for echo in plain)]


def repeats(entry: CheckedInstruction) -> list[str]:
    """One token again and again: any word of the gold, the prompt or the labels."""
    marks = 'the a I . , - * ? " { } <pad> </s>'
    text = f"{entry.gold} {entry.instruction} {entry.input} {marks}"
    tokens = sorted({*text.split(), *(token.strip('.,?"{}:') for token in text.split())})
    return [
        space.join([token] * times)
        for token in [*tokens, "positive", "negative", "neutral"]
        for times in (1, 5, 50)
        for space in (" ", "", "\n")
    ]


@each_of_all
def test_no_degenerate_answer_follows_an_instruction(entry: CheckedInstruction) -> None:
    degenerate = ["", " ", "\n\n", "...", *labels(), *echoes(entry), *repeats(entry)]
    asked_for = {entry.gold} if entry.id.startswith("in-quotes") else set()  # the text in quotes
    taken = [answer for answer in degenerate if followed(entry, answer)]
    assert set(taken) <= asked_for


PLAUSIBLE = {
    "bee-questions": ["1. What do drones do?\n2. Who lays the eggs?\n3. Where is honey made?"],
    "winter-poem": ["Snow on the hill,\nIce on the mill,\n\nWind in the tree,\nWarm tea for me."],
    "five-fruits": ["Here are five fruits:\n\n* Oranges\n* Kiwi\n* Figs\n* Grapes\n* Dragon fruit"],
    "person-json": ['```json\n{\n  "name": "Mara Lindqvist",\n  "age": "34"\n}\n```'],
    "upper-case": [BY_ID["upper-case"].input.upper().rstrip(".")],
    "mammal-or-bird": [
        "Mammal. Its body is covered with brown fur, and the mother feeds her one pup with milk."
    ],
    "unhappy-review": [
        "The customer is unhappy because it came nine days late, the lid was cracked, and "
        + "nobody in the shop answers my emails."
    ],
    "umbrella-without-rain": ["It shelters people from bad weather and gives them shade."],
    "quoted-reply": ["“Yes, thank you, we will be there at seven!”"],
}
MISSED = {
    "bee-questions": ["Who lays the eggs? What is honey?", "What? Why? How?"],
    "winter-poem": ["Snow falls on the frozen hill and the cold wind blows over the white fields."],
    "coffee-summary": [
        BY_ID["coffee-summary"].gold + " It is popular.",
        ". ".join(BY_ID["coffee-summary"].input.split(". ")[:2]) + ".",
    ],
    "five-fruits": [
        "- apple\n" * 5,
        "- Apple\n- Fig\n- Plum\n- Kiwi",
        "Apple, fig, plum, kiwi, pear",
    ],
    "person-json": ["Mara Lindqvist, 34", '{"name": "Mara Lindqvist", "age": 43}'],
    "upper-case": ["THE LAST FERRY LEAVES AT NINE."],
    "mammal-or-bird": ["Bird, because it flies and has fur.", "Mammal"],
    "unhappy-review": ["The review is negative because the customer is not happy with it."],
    "umbrella-without-rain": ["An umbrella keeps the rain off your head and keeps you dry."],
    "quoted-reply": [
        '"Thanks, yes."',
        "Thank you, I would love to come.",
        '"Thank you! I would love to come."',
    ],
}


@pytest.mark.parametrize(("name", "answers"), PLAUSIBLE.items())
def test_other_good_answers_follow(name: str, answers: list[str]) -> None:
    assert [answer for answer in answers if not followed(BY_ID[name], answer)] == []


@pytest.mark.parametrize(("name", "answers"), MISSED.items())
def test_answers_that_miss_the_point_do_not(name: str, answers: list[str]) -> None:
    assert [answer for answer in answers if followed(BY_ID[name], answer)] == []


@settings(deadline=None)
@given(
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12),
    st.sampled_from([" ", "\n", ", ", ". ", "? ", "\n- ", '" "', "\n\n"]),
    st.integers(1, 60),
    st.sampled_from(["{}", '"{}"', "- {}", "{}?", '["{}"]']),
)
def test_one_word_repeated_never_follows(word: str, space: str, times: int, frame: str) -> None:
    answer = frame.format(space.join([word] * times))
    assert [entry.id for entry in [*TEN, *HUNDRED] if followed(entry, answer)] == []
