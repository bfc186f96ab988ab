"""Near-duplicates: texts with small edits are found, unrelated texts are not, in every run alike."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rows.leaks import near_duplicates
from rows.normalise import normalised
from tasks.words import ANIMALS, COLOURS, WORDS

SIMILARITY = 0.7  # as in params.yaml


def random_texts(count: int, seed: int) -> list[str]:
    """Texts of 8 to 20 words, drawn at random."""
    draws = random.Random(seed)
    pool = (*WORDS, *ANIMALS, *COLOURS)
    return [" ".join(draws.choices(pool, k=draws.randint(8, 20))) for _ in range(count)]


def edited(text: str, draws: random.Random) -> str:
    """The text with one small edit of a kind that people and platforms make."""
    words = text.split()
    place = draws.randrange(len(words))
    letter = draws.randrange(len(words[place]))
    kind = draws.randrange(5)
    if kind == 0:  # a typo
        words[place] = words[place][:letter] + draws.choice("xqz") + words[place][letter + 1 :]
    elif kind == 1:
        words.append(f"#{draws.choice(WORDS)}")
    elif kind == 2:
        words.insert(place, "really")
    elif kind == 3:
        del words[place]
    else:
        words = ["RT", "@someone", *words]
    return " ".join(words)


def test_planted_near_copies_are_found_among_20_000_rows_and_nothing_else() -> None:
    draws = random.Random(7)
    train, test = random_texts(14_900, 1), random_texts(5_000, 2)
    planted = dict(enumerate(draws.sample(range(5_000), 100), start=14_900))
    train += [edited(test[place], draws) for place in planted.values()]
    earlier, later = ([normalised(text) for text in texts] for texts in (train, test))
    duplicates = near_duplicates(earlier, later, SIMILARITY)
    right = [copy for copy, (place, _) in duplicates.items() if planted.get(copy) == place]
    assert len(right) >= 95
    assert duplicates.keys() <= planted.keys()


def test_the_most_similar_text_is_returned_with_its_jaccard_similarity() -> None:
    duplicates = near_duplicates(["abcdefgh", "unlike"], ["abcdefxy", "abcdefgx", "zzz"], 0.5)
    assert duplicates.keys() == {0}
    place, similarity = duplicates[0]
    assert place == 1
    assert similarity == pytest.approx(5 / 7)


@given(st.lists(st.text(min_size=1, max_size=40), max_size=8), st.floats(0.3, 1))
@example(["one text", "another"], 1.0)
def test_equal_texts_are_found_whatever_their_length(texts: list[str], similarity: float) -> None:
    duplicates = near_duplicates(texts, texts, similarity)
    assert duplicates.keys() == set(range(len(texts)))
    assert all(likeness == 1 for _, likeness in duplicates.values())


@given(
    st.lists(st.text(max_size=12), max_size=6),
    st.lists(st.text(max_size=12), max_size=6),
    st.floats(0.3, 1),
)
def test_nothing_below_the_threshold_is_ever_found(
    earlier: list[str], later: list[str], similarity: float
) -> None:
    for _, likeness in near_duplicates(earlier, later, similarity).values():
        assert similarity <= likeness <= 1


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0.1, 1))
def test_similarity_is_the_same_in_both_directions(one: str, other: str, similarity: float) -> None:
    duplicates = near_duplicates([one], [other], similarity)
    assert near_duplicates([other], [one], similarity) == duplicates


def test_two_runs_find_the_same() -> None:
    earlier, later = ([normalised(text) for text in random_texts(300, 3)] for _ in range(2))
    later[5] = later[5][3:]
    first, second = (near_duplicates(earlier, later, 0.6) for _ in range(2))
    assert first == second


def test_the_size_of_a_batch_and_the_smaller_set_do_not_change_what_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draws = random.Random(9)
    later = [normalised(text) for text in random_texts(60, 4)]
    earlier = [normalised(edited(text, draws)) for text in random_texts(60, 4)[::3]]
    duplicates = near_duplicates(earlier, later, 0.6)
    assert len(duplicates) > 10
    monkeypatch.setattr("rows.leaks._BATCH", 7)
    assert near_duplicates(earlier, later, 0.6) == duplicates
    more = [*earlier, *(normalised(text) for text in random_texts(100, 5))]
    assert near_duplicates(more, later, 0.6) == duplicates
