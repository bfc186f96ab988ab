"""What the tasks promise: right answers, the same draws in every process, an exact match that is fair."""

import hashlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.drawing import Family, Task, make_tasks
from tasks.exact_match import is_exact
from tasks.families import FAMILIES
from tasks.words import ANIMALS, COLOURS, WORDS

BY_NAME = {family.name: family for family in FAMILIES}
SEEN = [family for family in FAMILIES if not family.held_out]
DIGITS = Family("digits", ("Say it.", "Say {input}."), lambda r: (d := str(r.randrange(10)), d))

# The answers computed again from the content alone, in another way than the family computes them.
ANSWERS: dict[str, Callable[[str], str]] = {
    "copy": lambda text: text,
    "first_word": lambda text: text[: text.index(" ")],
    "second_word": lambda text: re.sub(r"^\w+ (\w+).*", r"\1", text),
    "last_word": lambda text: text[text.rindex(" ") + 1 :],
    "repeat": lambda text: f"{text} {text}",
    "upper_case": lambda text: re.sub("[a-z]", lambda m: chr(ord(m[0]) - 32), text),
    "lower_case": lambda text: re.sub("[A-Z]", lambda m: chr(ord(m[0]) + 32), text),
    "reverse_words": lambda text: re.sub(r"^(\w+) (\w+) (\w+)$", r"\3 \2 \1", text),
    "sort_words": lambda text: next(
        " ".join(order)
        for order in itertools.permutations(text.split())
        if all(one < other for one, other in itertools.pairwise(order))
    ),
    "join_words": lambda text: text.replace(" ", "-"),
    "json_list": lambda text: '["' + text.replace(", ", '", "') + '"]',
    "bullet_lines": lambda text: "- " + text.replace(", ", "\n- "),
    "count_words": lambda text: str(text.count(" ") + 1),
    "count_letters": lambda text: str(len(re.findall("[a-z]", text))),
    "larger_number": lambda text: str(sorted(map(int, text.split(" and ")))[1]),
    "smaller_number": lambda text: str(sorted(map(int, text.split(" and ")))[0]),
    "add": lambda text: str(len(range(int(text[:2]))) + len(range(int(text[5:])))),
    "find_animal": lambda text: " ".join(word for word in text.split(", ") if word in ANIMALS),
    "find_colour": lambda text: " ".join(word for word in text.split(", ") if word in COLOURS),
    "has_animal": lambda text: ("no", "yes")[sum(word in ANIMALS for word in text.split(", "))],
}


def content_of(task: Task) -> str:
    """The content that a task asks about, in any wording."""
    if task.input:
        return task.input
    for wording in BY_NAME[task.family].wordings:
        before, slot, after = wording.partition("{input}")
        if slot and task.instruction.startswith(before) and task.instruction.endswith(after):
            return task.instruction[len(before) : len(task.instruction) - len(after)]
    raise AssertionError(f"no wording of {task.family} gives {task.instruction!r}")


def questions(drawn: list[Task]) -> set[tuple[str, str]]:
    return {(task.family, content_of(task)) for task in drawn}


def test_families_are_enough_and_told_apart() -> None:
    assert len(FAMILIES) >= 16
    assert sum(family.held_out for family in FAMILIES) >= 4
    assert len(BY_NAME) == len(FAMILIES)


def test_wordings_are_several_of_both_styles_and_all_distinct() -> None:
    wordings = [wording for family in FAMILIES for wording in family.wordings]
    assert len(set(wordings)) == len(wordings)
    for family in FAMILIES:
        assert len(family.wordings) >= 4
        assert {"{input}" in wording for wording in family.wordings} == {True, False}


def test_words_are_plain_and_in_one_list_only() -> None:
    all_words = WORDS + ANIMALS + COLOURS
    assert len(set(all_words)) == len(all_words)
    assert all(re.fullmatch("[a-z]{2,}", word) for word in all_words)
    assert len(WORDS) >= 150
    assert len(ANIMALS) >= 30


def test_every_family_has_an_independent_answer() -> None:
    assert ANSWERS.keys() == BY_NAME.keys()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_answers_are_right(family: Family) -> None:
    drawn = make_tasks(300, 7, [family])
    for task in drawn:
        assert task.output == ANSWERS[family.name](content_of(task))
        assert is_exact(task.output, task.output)
        assert task.output.strip() == task.output != ""
    assert len({task.instruction for task in drawn if task.input}) == sum(
        "{input}" not in wording for wording in family.wordings
    )


@pytest.mark.parametrize("name", ["json_list", "bullet_lines"])
def test_lists_hold_their_items(name: str) -> None:
    for task in make_tasks(50, 3, [BY_NAME[name]]):
        read = json.loads if name == "json_list" else lambda text: text[2:].split("\n- ")
        assert read(task.output) == content_of(task).split(", ")


def test_answers_vary() -> None:
    """No answer is right for most questions of a family; yes and no are about equally frequent."""
    for family in FAMILIES:
        answers = Counter(task.output for task in make_tasks(300, 5, [family]))
        assert answers.most_common(1)[0][1] < 180, family.name


def test_same_arguments_give_the_same_tasks_in_any_process(repo: Path) -> None:
    code = (
        "from tasks.drawing import make_tasks; from tasks.families import FAMILIES; "
        "print(make_tasks(60, 11, FAMILIES, make_tasks(40, 1, FAMILIES)))"
    )
    expected = str(make_tasks(60, 11, FAMILIES, make_tasks(40, 1, FAMILIES)))
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": str(repo / "stages"), "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_the_tasks_of_a_seed_do_not_change() -> None:
    """Other tasks would change every study's general rows: a change of the digest is a decision."""
    drawn = [(t.instruction, t.input, t.output, t.family) for t in make_tasks(2000, 42, FAMILIES)]
    digest = hashlib.sha256(repr(drawn).encode()).hexdigest()
    assert digest == "1f01dd49fdeca006d583c8f5aa61c3fcba2903b429afa37587d4043cdc19bc0f"


def test_another_seed_asks_other_questions() -> None:
    one, other = (questions(make_tasks(40, seed, [BY_NAME["copy"]])) for seed in (1, 2))
    assert not one & other


def test_families_alike_in_content_ask_different_questions() -> None:
    """First and last word draw in the same way, but not the same words."""
    names = ("first_word", "last_word")
    first, last = (set(map(content_of, make_tasks(40, 1, [BY_NAME[name]]))) for name in names)
    assert not first & last


def test_adding_a_family_leaves_the_questions_of_others() -> None:
    fewer = make_tasks(30, 4, FAMILIES[:3])
    more = make_tasks(40, 4, FAMILIES[:4])
    others = {family.name for family in FAMILIES[:3]}
    assert {task for task in more if task.family in others} == set(fewer)


def test_families_are_interleaved() -> None:
    drawn = make_tasks(200, 0, FAMILIES)
    runs = [family for family, _ in itertools.groupby(task.family for task in drawn)]
    assert len(runs) > 150


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 150), st.integers(), st.sets(st.sampled_from(FAMILIES), min_size=1))
def test_tasks_are_shared_equally_and_unlike(count: int, seed: int, chosen: set[Family]) -> None:
    families = sorted(chosen, key=lambda family: family.name)
    drawn = make_tasks(count, seed, families)
    assert drawn == make_tasks(count, seed, iter(families))
    assert len(drawn) == count
    assert len({(task.instruction, task.input) for task in drawn}) == count
    assert len(questions(drawn)) == count
    shares = Counter({family.name: 0 for family in families})
    shares.update(task.family for task in drawn)
    assert len(shares) == len(families)
    assert max(shares.values()) - min(shares.values()) <= 1
    for task in drawn:
        assert task.output == ANSWERS[task.family](content_of(task))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 9))
def test_excluded_questions_do_not_come_back(train: int, test: int, seed: int) -> None:
    """The same seed draws the same questions first, so some questions must be excluded."""
    trained = make_tasks(train, seed, SEEN)
    tested = make_tasks(test, seed, FAMILIES, exclude=iter(trained))
    assert len(tested) == test
    assert not questions(trained) & questions(tested)


def test_exclusion_sees_through_the_wording() -> None:
    one = make_tasks(5, 0, [DIGITS])
    other = make_tasks(5, 0, [DIGITS], exclude=one)
    assert sorted(task.output for task in one + other) == list("0123456789")


def test_a_family_that_runs_out_is_named() -> None:
    with pytest.raises(ValueError, match="'digits' has only 10 of the 11 different questions"):
        make_tasks(11, 0, [DIGITS])
    with pytest.raises(ValueError, match="'digits' has only 5 of the 6 different questions"):
        make_tasks(6, 0, [DIGITS], exclude=make_tasks(5, 1, [DIGITS]))


def test_every_family_has_hundreds_of_questions() -> None:
    drawn = make_tasks(500 * len(FAMILIES), 2, FAMILIES)
    assert len(questions(drawn)) == len(drawn)


@pytest.mark.parametrize(("count", "families"), [(1, []), (0, []), (-1, FAMILIES)])
def test_senseless_requests_are_refused(count: int, families: list[Family]) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        make_tasks(count, 0, families)


@given(st.text("{input}0%\\\"' \n<é漢\u2028", min_size=1))
def test_odd_characters_pass_unchanged(content: str) -> None:
    family = Family(
        "odd", ('Read {"a": {}} and %s: <{input}>', "Read {0} {input"), lambda _: ("", "")
    )
    inlined, beside = family.phrasings(content)
    assert inlined == ('Read {"a": {}} and %s: <' + content + ">", "")
    assert beside == ("Read {0} {input", content)


def test_braces_in_content_stay_data() -> None:
    def make(rng: random.Random) -> tuple[str, str]:
        content = f"{{input}} {{0}} \\1 {rng.randrange(1000)}"
        return content, content

    for task in make_tasks(20, 0, [Family("braces", ("Copy: {input}", "Copy."), make)]):
        assert (task.instruction, task.input) in {
            (f"Copy: {task.output}", ""),
            ("Copy.", task.output),
        }


WORD = st.text('abcXYZ019-"[],', min_size=1)
LINES = st.lists(st.lists(WORD, min_size=1), min_size=1)
SPACE = st.text(" \t", min_size=1)
ODD = st.text("aA. \t\n\r\f\xa0\u2028{é漢")


@given(ODD, ODD)
def test_scoring_is_reflexive_and_symmetric(one: str, other: str) -> None:
    assert is_exact(one, one)
    assert is_exact(one, other) == is_exact(other, one)


@given(LINES, SPACE, st.sampled_from(["", ".", " ."]), st.text(" \n\t\r"))
def test_scoring_overlooks_space_and_a_full_stop(
    lines: list[list[str]], space: str, stop: str, around: str
) -> None:
    expected = "\n".join(" ".join(words) for words in lines)
    spaced = "\n".join(space + space.join(words) + space for words in lines)
    assert is_exact(expected, around + spaced + stop + around)
    assert is_exact(expected, expected.replace("\n", "\r\n"))


@given(LINES, LINES)
def test_scoring_accepts_no_other_words(one: list[list[str]], other: list[list[str]]) -> None:
    texts = ["\n".join(" ".join(words) for words in lines) for lines in (one, other)]
    assert is_exact(*texts) == (one == other)


@pytest.mark.parametrize(
    ("expected", "generated"),
    [
        ("RIVER", "river"),
        ("yes", "no"),
        ("yes", "yes.."),
        ("yes", "yes!"),
        ("yes", ""),
        ("5", "five"),
        ("53", "5 3"),
        ("river", "river stone"),
        ("a-b", "a b"),
        ("- a\n- b", "- a - b"),
        ("- a\n- b", "- a\n\n- b"),
        ("river", "The first word is river."),
    ],
)
def test_scoring_refuses_wrong_answers(expected: str, generated: str) -> None:
    assert not is_exact(expected, generated)
