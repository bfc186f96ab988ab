"""General instructions made by program: small tasks with exactly one right answer.

Each family is one kind of task. Families with `held_out` false serve in training and in
evaluation; those with it true are kept for evaluation alone.
"""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from tasks.words import ANIMALS, COLOURS, WORDS

Make = Callable[[random.Random], tuple[str, str]]

# So many draws in a row without a new question say that a family has no more to give.
PATIENCE = 20_000


@dataclass(frozen=True)
class Task:
    """One row: an instruction, the input it speaks of ("" when none) and the right answer."""

    instruction: str
    input: str
    output: str
    family: str


@dataclass(frozen=True)
class Family:
    """One kind of task.

    `make` draws a question: its content, and the answer that the content alone decides. A wording
    with "{input}" takes the content into the instruction; any other leaves it as the row's input.
    """

    name: str
    wordings: tuple[str, ...]
    make: Make
    held_out: bool = False

    def phrasings(self, content: str) -> list[tuple[str, str]]:
        """Every (instruction, input) that asks about `content`, one per wording."""
        return [
            (wording.replace("{input}", content), "")
            if "{input}" in wording
            else (wording, content)
            for wording in self.wordings
        ]


def make_tasks(
    count: int, seed: int, families: Iterable[Family], exclude: Iterable[Task] = ()
) -> list[Task]:
    """Draw `count` tasks from `families`, in a shuffled order that the arguments fix.

    Families get equal shares, the first ones one more where `count` does not divide. No question
    comes twice, nor one that `exclude` asks in any of the family's wordings. A family's questions
    do not depend on which others are drawn from. Raises ValueError where a family has too few.
    """
    families = tuple(families)
    if count < 0 or not families:
        raise ValueError(f"cannot draw {count} tasks from {len(families)} families")
    each, more = divmod(count, len(families))
    taken = {(task.instruction, task.input) for task in exclude}
    tasks: list[Task] = []
    for place, family in enumerate(families):
        tasks += _draw(family, each + (place < more), seed, taken)
    random.Random(seed).shuffle(tasks)
    return tasks


def _draw(family: Family, share: int, seed: int, taken: set[tuple[str, str]]) -> list[Task]:
    """`share` tasks of one family, none in `taken`, which grows by all their phrasings."""
    # Seeded by text, which Python hashes the same way in every process.
    rng = random.Random(f"{seed}:{family.name}")
    tasks: list[Task] = []
    misses = 0
    while len(tasks) < share:
        content, answer = family.make(rng)
        phrasings = family.phrasings(content)
        if taken.isdisjoint(phrasings):
            taken.update(phrasings)
            tasks.append(Task(*rng.choice(phrasings), answer, family.name))
            misses = 0
        elif (misses := misses + 1) == PATIENCE:
            raise ValueError(
                f"family {family.name!r} gave only {len(tasks)} of the {share} questions asked "
                f"of it: {PATIENCE} draws in a row brought no new one"
            )
    return tasks


def is_exact(expected: str, generated: str) -> bool:
    """Whether `generated` is the expected answer.

    White space around the text, at the ends of its lines and in longer runs does not count, nor
    does one full stop at the end. Letter case and line breaks do.
    """
    return _plain(expected) == _plain(generated)


def _plain(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().removesuffix(".").strip().split("\n")]


def _words(
    answer: Callable[[list[str]], str],
    fewest: int,
    most: int,
    gap: str = " ",
    pool: Sequence[str] = WORDS,
) -> Make:
    """Questions about `fewest` to `most` different words of `pool`, with `gap` between them."""

    def make(rng: random.Random) -> tuple[str, str]:
        words = rng.sample(pool, rng.randint(fewest, most))
        return gap.join(words), answer(words)

    return make


def _numbers(choose: Callable[[int, int], int]) -> Make:
    """Questions of which of two different two-digit numbers to choose."""

    def make(rng: random.Random) -> tuple[str, str]:
        one, other = rng.sample(range(10, 100), 2)
        return f"{one} and {other}", str(choose(one, other))

    return make


def _find(kind: Sequence[str]) -> Make:
    """Questions of which word in a list is of a kind."""

    def make(rng: random.Random) -> tuple[str, str]:
        words = rng.sample(WORDS, 4)
        words[rng.randrange(4)] = answer = rng.choice(kind)
        return ", ".join(words), answer

    return make


def _has_animal(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        return _find(ANIMALS)(rng)[0], "yes"
    return ", ".join(rng.sample(WORDS, 4)), "no"


def _sort(rng: random.Random) -> tuple[str, str]:
    words = rng.sample(WORDS, 3)
    # Ties on the first letter would ask more of a small model than the order of the alphabet.
    while len({word[0] for word in words}) < len(words):
        words = rng.sample(WORDS, 3)
    return " ".join(words), " ".join(sorted(words))


def _add(rng: random.Random) -> tuple[str, str]:
    # Never the other way round, so that no question is another one turned about.
    tens, ones = rng.randint(10, 99), rng.randint(1, 9)
    return f"{tens} + {ones}", str(tens + ones)


FAMILIES: tuple[Family, ...] = (
    Family(
        "copy",
        (
            "Copy this text exactly as it is.",
            "Write the text again without changing anything.",
            "Give back the same words in the same order.",
            "Copy the following words: {input}",
            "Say exactly this and nothing more: {input}",
        ),
        _words(" ".join, 2, 4),
    ),
    Family(
        "first_word",
        (
            "Write only the first word of the text.",
            "What is the first word here? Answer with that word alone.",
            "Give the one word that the text begins with.",
            "Which word comes first in this text? Reply with one word.",
            "Find the first word of this line and write only that word: {input}",
        ),
        _words(lambda words: words[0], 2, 4),
    ),
    Family(
        "second_word",
        (
            "Write only the second word of the text.",
            "What is the second word here? Answer with that word alone.",
            "Give the one word that comes right after the first word.",
            "Which word is number two in this text? Reply with one word.",
            "Find the second word of this line and write only that word: {input}",
        ),
        _words(lambda words: words[1], 2, 4),
        held_out=True,
    ),
    Family(
        "last_word",
        (
            "Write only the last word of the text.",
            "What is the last word here? Answer with that word alone.",
            "Give the one word that the text ends with.",
            "Which word comes last in this text? Reply with one word.",
            "Find the final word of this line and write only that word: {input}",
        ),
        _words(lambda words: words[-1], 2, 4),
    ),
    Family(
        "repeat",
        (
            "Write this text twice, with a space in between.",
            "Say the whole text two times on one line, with only a space between.",
            "Write the text and then write it again on the same line.",
            "Give the text two times in a row, separated by a space.",
            "Write these words as a whole twice in a row on one line: {input}",
        ),
        _words(lambda words: " ".join(words * 2), 2, 2),
    ),
    Family(
        "upper_case",
        (
            "Write this in capital letters.",
            "Change the text to upper case.",
            "Turn every letter into a capital letter.",
            "Put these words in all caps.",
            "Write these words in upper case: {input}",
        ),
        _words(lambda words: " ".join(words).upper(), 2, 2),
    ),
    Family(
        "lower_case",
        (
            "Write this in small letters.",
            "Change the text to lower case.",
            "Turn every capital letter into a small letter.",
            "Put these words in lower case, with no capitals.",
            "Write these words in lower case: {input}",
        ),
        _words(lambda words: " ".join(words).lower(), 2, 2, pool=[word.upper() for word in WORDS]),
        held_out=True,
    ),
    Family(
        "reverse_words",
        (
            "Reverse the order of the words.",
            "Write these words in the opposite order, with the last word first.",
            "List the words from last to first on one line, separated by spaces.",
            "Turn the order of the words around, but leave each word as it is.",
            "Write these words starting from the last one and ending with the first: {input}",
        ),
        _words(lambda words: " ".join(reversed(words)), 3, 3),
        held_out=True,
    ),
    Family(
        "sort_words",
        (
            "Sort these words in alphabetical order, on one line.",
            "Put the words into alphabetical order, with spaces between them.",
            "Arrange the words from A to Z on one line.",
            "Order the words as a dictionary would, separated by spaces.",
            "Write these words in alphabetical order, separated by spaces: {input}",
        ),
        _sort,
        held_out=True,
    ),
    Family(
        "join_words",
        (
            "Join the words with hyphens, leaving no spaces.",
            "Replace every space with a hyphen.",
            "Put a hyphen (-) between the words instead of each space.",
            "Make one long word out of these by linking them with hyphens.",
            "Link these words with hyphens and no spaces: {input}",
        ),
        _words("-".join, 2, 3),
    ),
    Family(
        "json_list",
        (
            'Write the items as a JSON list such as ["a", "b"].',
            'Turn this list into a JSON array of strings, in the form ["x", "y"].',
            'Format the items as a JSON list, like ["one", "two"].',
            "Give the items as a JSON array of strings on one line, with a space after each comma.",
            'Make a JSON list, in the style of ["a", "b"], from these items: {input}',
        ),
        _words(json.dumps, 2, 3, gap=", "),
    ),
    Family(
        "bullet_lines",
        (
            'Turn the list into bullet points, one per line, each starting with "- ".',
            "Write each item on its own line, after a hyphen and a space.",
            'Make a bulleted list of the items, with "- " as the bullet.',
            'Put every item on a new line that begins with "- ".',
            'Write these items as separate lines that start with "- ": {input}',
        ),
        _words(lambda words: "\n".join(f"- {word}" for word in words), 2, 3, gap=", "),
    ),
    Family(
        "count_words",
        (
            "Count the words and answer with a digit.",
            "How many words are there? Give only the number, in digits.",
            "Write the number of words in the text as a digit.",
            "Tell me how many words this is. Reply with one digit.",
            "How many words are in this line? Answer with a digit: {input}",
        ),
        _words(lambda words: str(len(words)), 2, 5),
    ),
    Family(
        "count_letters",
        (
            "Count the letters and answer with a digit.",
            "How many letters are there? Give only the number, in digits.",
            "Write the number of letters in this row as a digit.",
            "Tell me how many letters you see. Reply with one digit.",
            "How many letters are in this row? Answer with a digit: {input}",
        ),
        _words(lambda letters: str(len(letters)), 3, 6, pool=ascii_lowercase),
        held_out=True,
    ),
    Family(
        "larger_number",
        (
            "Which of the two numbers is larger? Answer with that number alone.",
            "Write only the bigger number.",
            "Choose the greater of these two numbers and write it.",
            "Compare the numbers and give the higher one.",
            "Reply with the larger of {input}.",
        ),
        _numbers(max),
    ),
    Family(
        "smaller_number",
        (
            "Which of the two numbers is smaller? Answer with that number alone.",
            "Write only the lesser number.",
            "Choose the smaller of these two numbers and write it.",
            "Compare the numbers and give the lower one.",
            "Reply with the smaller of {input}.",
        ),
        _numbers(min),
        held_out=True,
    ),
    Family(
        "add",
        (
            "Work out the sum and write only the result.",
            "What does this add up to? Give only the number.",
            "Add the two numbers and write the total in digits.",
            "Calculate this. Answer with the number alone.",
            "What is {input}? Reply with a number.",
        ),
        _add,
    ),
    Family(
        "find_animal",
        (
            "Which of these words is an animal? Answer with that word.",
            "Find the animal in the list and write only its name.",
            "One of the words names an animal. Write that word.",
            "Pick out the animal. Reply with one word.",
            "Name the animal among these words: {input}",
        ),
        _find(ANIMALS),
    ),
    Family(
        "find_colour",
        (
            "Which of these words is a colour? Answer with that word.",
            "Find the colour in the list and write only its name.",
            "One of the words names a colour. Write that word.",
            "Pick out the colour. Reply with one word.",
            "Name the colour among these words: {input}",
        ),
        _find(COLOURS),
        held_out=True,
    ),
    Family(
        "has_animal",
        (
            'Is there an animal in this list? Answer "yes" or "no".',
            'Does any of these words name an animal? Write "yes" or "no".',
            'Check the list for an animal. Reply "yes" if there is one, otherwise "no".',
            'Write "yes" if one of the words is an animal and "no" if none is.',
            'Answer "yes" or "no": is there an animal among these words? {input}',
        ),
        _has_animal,
    ),
)
