"""Bare labels: an answer that is nothing but a label where a label is no plausible answer."""

import pytest

from prompts.bare_labels import bare_labels
from prompts.templates import Template

POOL = [
    Template(id="plain", instruction="Label {{ text }}."),
    Template(id="said", instruction="Label {{ text }}.", completion="It is {{ label }}."),
]


def _row(
    generated: str, expected: str = "A kettle.", family: str | None = None, prompt: str = "Say it."
) -> dict[str, str | None]:
    return {"generated": generated, "expected": expected, "family": family, "prompt": prompt}


@pytest.mark.parametrize(
    ("row", "labels", "is_bare"),
    [
        (_row("negative"), ["negative", "positive"], True),
        (_row(" Negative.\n"), ["negative", "positive"], True),
        (_row("It is negative."), ["negative", "positive"], True),
        (_row("It is rather negative, I fear."), ["negative", "positive"], False),
        (_row("positive", expected="Positive."), ["negative", "positive"], False),
        (_row("positive", prompt="Is it negative or positive?"), ["negative", "positive"], False),
        (_row("no", prompt="What do you know?"), ["no", "yes"], True),
        (_row("no", prompt="Answer yes or no."), ["no", "yes"], False),
        (_row("5", expected="17", family="count"), ["1", "5"], False),
        (_row("5", expected="the soup", family="name"), ["1", "5"], True),
        (_row("积极"), ["积极", "消极"], True),
        (_row("积极", prompt="这句话是积极还是消极？"), ["积极", "消极"], False),
    ],
)
def test_a_label_is_bare_where_it_is_no_plausible_answer(
    row: dict[str, str | None], labels: list[str], is_bare: bool
) -> None:
    assert bare_labels([row], POOL, labels) == [is_bare]


def test_an_expected_answer_of_the_same_family_is_plausible_even_if_wrong() -> None:
    rows = [
        _row("yes", expected="no", family="has_animal"),
        _row("no", expected="yes", family="has_animal"),
        _row("yes", expected="March", family="month"),
        _row("yes", expected="no", family=None),
    ]
    assert bare_labels(rows, POOL, ["no", "yes"]) == [False, False, True, True]
