"""General instructions made by program: tasks drawn from families, each with exactly one right answer."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Question = tuple[str, str]  # the content and the right answer
MakeQuestion = Callable[[random.Random], Question]

# After this many draws in a row without a new question, a family counts as used up.
PATIENCE = 20_000


@dataclass(frozen=True)
class Task:
    """One row: an instruction, the input that the instruction is about or "", and the right answer."""

    instruction: str
    input: str
    output: str
    family: str


@dataclass(frozen=True)
class Family:
    """One kind of task.

    `make` draws the content of a question and the answer, which depends on the content only. A wording
    with "{input}" contains the content; for any other wording the content is the row's input.
    """

    name: str
    wordings: tuple[str, ...]
    make: MakeQuestion
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
    """Draw `count` tasks from `families`, in a shuffled order that depends on the arguments only.

    Families have equal shares. If `count` does not divide equally, the first families have one task
    more. No question occurs twice, and no question of `exclude` occurs in any wording. The questions
    of a family do not depend on the other families. Raises ValueError for a negative count, for no
    families, and if a family does not have enough questions.
    """
    families = tuple(families)
    if count < 0 or not families:
        raise ValueError(f"cannot draw {count} tasks from {len(families)} families")
    share, remainder = divmod(count, len(families))
    used = {(task.instruction, task.input) for task in exclude}
    tasks: list[Task] = []
    for place, family in enumerate(families):
        tasks += _draw(family, share + (place < remainder), seed, used)
    random.Random(seed).shuffle(tasks)
    return tasks


def _draw(family: Family, count: int, seed: int, used: set[tuple[str, str]]) -> list[Task]:
    """`count` tasks of one family that are not in `used`. All their phrasings are added to `used`."""
    # Seeded with text, which Python hashes the same way in every process.
    generator = random.Random(f"{seed}:{family.name}")
    tasks: list[Task] = []
    misses = 0
    while len(tasks) < count:
        content, answer = family.make(generator)
        phrasings = family.phrasings(content)
        if used.isdisjoint(phrasings):
            used.update(phrasings)
            tasks.append(Task(*generator.choice(phrasings), answer, family.name))
            misses = 0
        elif (misses := misses + 1) == PATIENCE:
            raise ValueError(
                f"family {family.name!r} has only {len(tasks)} of the {count} different questions "
                f"needed: {PATIENCE} draws in a row brought no new question"
            )
    return tasks
