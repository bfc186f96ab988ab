"""Near-duplicates: small edits are found, unrelated rows are not, the same in every run."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rows.checks import normalised
from rows.leaks import near_duplicates
from tasks.words import ANIMALS, COLOURS, WORDS

SIMILARITY = 0.7  # the default's


def made_texts(count: int, seed: int) -> list[str]:
    """Different texts of 8 to 20 words drawn at random: nothing relates them but their words."""
    draws = random.Random(seed)
    pool = (*WORDS, *ANIMALS, *COLOURS)
    return [" ".join(draws.choices(pool, k=draws.randint(8, 20))) for _ in range(count)]


def edited(text: str, draws: random.Random) -> str:
    """The text with one small edit, as people and platforms make them."""
    words = text.split()
    at = draws.randrange(len(words))
    letter = draws.randrange(len(words[at]))
    kind = draws.randrange(5)
    if kind == 0:  # a typo
        words[at] = words[at][:letter] + draws.choice("xqz") + words[at][letter + 1 :]
    elif kind == 1:
        words.append(f"#{draws.choice(WORDS)}")
    elif kind == 2:
        words.insert(at, "really")
    elif kind == 3:
        del words[at]
    else:
        words = ["RT", "@someone", *words]
    return " ".join(words)


def test_planted_near_copies_are_found_among_20_000_rows_and_nothing_else() -> None:
    draws = random.Random(7)
    train, test = made_texts(14_900, 1), made_texts(5_000, 2)
    planted = {14_900 + at: place for at, place in enumerate(draws.sample(range(5_000), 100))}
    train += [edited(test[place], draws) for place in planted.values()]
    earlier, later = ([normalised(text) for text in texts] for texts in (train, test))
    found = near_duplicates(earlier, later, SIMILARITY)
    right = [at for at, (place, _) in found.items() if planted.get(at) == place]
    assert len(right) >= 95
    assert found.keys() <= planted.keys()


def test_the_likest_text_is_named_with_the_true_similarity() -> None:
    found = near_duplicates(["abcdefgh", "unlike"], ["abcdefxy", "abcdefgx", "zzz"], 0.5)
    assert found.keys() == {0}
    place, alike = found[0]
    assert place == 1
    assert alike == pytest.approx(5 / 7)


@given(st.lists(st.text(min_size=1, max_size=40), max_size=8), st.floats(0.3, 1))
@example(["one text", "another"], 1.0)
def test_equal_texts_are_found_whatever_their_length(texts: list[str], similarity: float) -> None:
    found = near_duplicates(texts, texts, similarity)
    assert found.keys() == set(range(len(texts)))
    assert all(alike == 1 for _, alike in found.values())


@given(
    st.lists(st.text(max_size=12), max_size=6),
    st.lists(st.text(max_size=12), max_size=6),
    st.floats(0.3, 1),
)
def test_nothing_below_the_threshold_is_ever_found(
    earlier: list[str], later: list[str], similarity: float
) -> None:
    for alike in near_duplicates(earlier, later, similarity).values():
        assert similarity <= alike[1] <= 1


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0.1, 1))
def test_two_texts_are_as_like_either_way(one: str, other: str, similarity: float) -> None:
    found = near_duplicates([one], [other], similarity)
    assert near_duplicates([other], [one], similarity) == found


def test_two_runs_find_the_same() -> None:
    earlier, later = ([normalised(text) for text in made_texts(300, 3)] for _ in range(2))
    later[5] = later[5][3:]
    first, second = (near_duplicates(earlier, later, 0.6) for _ in range(2))
    assert first == second
