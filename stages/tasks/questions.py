"""How the families draw their questions: the content and the one right answer."""

import random
from collections.abc import Callable, Sequence

from tasks.drawing import MakeQuestion, Question
from tasks.words import ANIMALS, WORDS


def about_words(
    answer: Callable[[list[str]], str],
    fewest: int,
    most: int,
    gap: str = " ",
    pool: Sequence[str] = WORDS,
) -> MakeQuestion:
    """Questions about `fewest` to `most` different words of `pool`, with `gap` between the words."""

    def make(generator: random.Random) -> Question:
        words = generator.sample(pool, generator.randint(fewest, most))
        return gap.join(words), answer(words)

    return make


def about_numbers(choose: Callable[[int, int], int]) -> MakeQuestion:
    """Questions about which of two different two-digit numbers `choose` returns."""

    def make(generator: random.Random) -> Question:
        first, second = generator.sample(range(10, 100), 2)
        return f"{first} and {second}", str(choose(first, second))

    return make


def find_word(kind: Sequence[str]) -> MakeQuestion:
    """Questions about which of four words is of a kind, such as an animal."""

    def make(generator: random.Random) -> Question:
        words = generator.sample(WORDS, 4)
        words[generator.randrange(4)] = answer = generator.choice(kind)
        return ", ".join(words), answer

    return make


def has_animal(generator: random.Random) -> Question:
    """Whether one of four words is an animal: yes in half of the questions."""
    if generator.random() < 0.5:
        return find_word(ANIMALS)(generator)[0], "yes"
    return ", ".join(generator.sample(WORDS, 4)), "no"


def sort_words(generator: random.Random) -> Question:
    """Three words in alphabetical order."""
    words = generator.sample(WORDS, 3)
    # Words with the same first letter would be harder for a small model than the alphabet itself.
    while len({word[0] for word in words}) < len(words):
        words = generator.sample(WORDS, 3)
    return " ".join(words), " ".join(sorted(words))


def add_numbers(generator: random.Random) -> Question:
    """The sum of a two-digit number and a digit."""
    # The two-digit number always comes first: no two questions differ in the order of numbers only.
    tens, ones = generator.randint(10, 99), generator.randint(1, 9)
    return f"{tens} + {ones}", str(tens + ones)
