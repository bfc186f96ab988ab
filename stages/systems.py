"""Every system of a study, declared once. A system is a row of the results table.

Stages, tables, report, cards, checks and scripts read this declaration. Names are looked up here and
never built from other names. This module imports nothing of the project.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

Kind = Literal["original", "prompted", "tuned", "encoder", "probe", "baseline", "reference"]

LANGUAGE_MODELS: tuple[Kind, ...] = ("original", "prompted", "tuned")  # they answer in free text
FREE: tuple[Kind, ...] = ("prompted", "probe", "baseline")  # they cost no fine-tuning


@dataclass(frozen=True, kw_only=True)
class System:
    """One system: `name` in paths and tables, `short` in stage names and narrow headings.

    `title` is what people read. `examples` says whether prompts hold examples from the training rows.
    """

    name: str
    short: str
    title: str
    kind: Kind
    examples: bool = False

    @property
    def answers(self) -> bool:
        """Whether the system is a language model, which answers any instruction in free text."""
        return self.kind in LANGUAGE_MODELS

    @property
    def is_free(self) -> bool:
        """Whether the system costs no fine-tuning and may be tested against the tuned systems."""
        return self.kind in FREE


@dataclass(frozen=True, kw_only=True)
class Trained(System):
    """A system with weights of its own: `rows` is the table it learns from, `folder` holds the weights."""

    rows: Path
    folder: Path

    @property
    def train_stage(self) -> str:
        """The DVC stage that trains the system."""
        return f"train_{self.short}"


def declared(task: str) -> tuple[System, ...]:
    """The systems of a task, in the order of every table.

    A third tuned system is one entry here and the recipe of its rows in `mix.py`. A new baseline is
    one entry here and its function in `baselines.py`.
    """
    return (
        System(
            name="original_pretrained",
            short="original",
            title="the original model",
            kind="original",
        ),
        System(
            name="original_few_shot",
            short="few-shot",
            title="the original model with examples in its prompt",
            kind="prompted",
            examples=True,
        ),
        Trained(
            name=f"{task}_fine_tuned",
            short=task,
            title=f"the model tuned on {task} alone",
            kind="tuned",
            rows=Path("data/instructions/labelled/train.parquet"),
            folder=Path(f"models/{task}_fine_tuned"),
        ),
        Trained(
            name="mixed_fine_tuned",
            short="mixed",
            title="the model tuned on the mix",
            kind="tuned",
            rows=Path("data/mixed/train.parquet"),
            folder=Path("models/mixed_fine_tuned"),
        ),
        Trained(
            name="encoder_fine_tuned",
            short="encoder",
            title="a small pretrained encoder with a classification head",
            kind="encoder",
            rows=Path("data/prepared/labelled/train.parquet"),
            folder=Path("models/encoder_fine_tuned"),
        ),
        System(
            name="original_probe",
            short="probe",
            title="a linear probe on the original model's hidden states",
            kind="probe",
        ),
        System(name="majority", short="majority", title="the commonest label", kind="baseline"),
        System(
            name="tfidf_logistic",
            short="tfidf",
            title="logistic regression on TF-IDF",
            kind="baseline",
        ),
        *(_LEXICON if task == "sentiment" else ()),
    )


# The authors of the default's tweets made the lexicon on these very tweets: no fair rival.
_LEXICON = (
    System(name="vader_lexicon", short="vader", title="the VADER lexicon", kind="reference"),
)


@dataclass(frozen=True)
class Systems:
    """The systems of one task, looked up by name or by kind."""

    task: str
    all: tuple[System, ...]

    def __iter__(self) -> Iterator[System]:
        return iter(self.all)

    def __getitem__(self, name: str) -> System:
        """The system called `name`. Raises `KeyError` for a name that is not declared."""
        for system in self.all:
            if system.name == name:
                return system
        raise KeyError(name)

    @property
    def original(self) -> System:
        """The untouched base model, which every tuned system is compared with."""
        (original,) = self.of_kind("original")
        return original

    @property
    def trained(self) -> tuple[Trained, ...]:
        """The systems with weights of their own: the tuned systems and the encoder."""
        return tuple(system for system in self.all if isinstance(system, Trained))

    @property
    def tuned(self) -> tuple[Trained, ...]:
        """The base model with an adapter, one system for each set of training rows."""
        return tuple(system for system in self.trained if system.kind == "tuned")

    @property
    def encoder(self) -> Trained:
        """The small pretrained encoder, trained on the labelled rows. It is no language model."""
        (encoder,) = (system for system in self.trained if system.kind == "encoder")
        return encoder

    @property
    def language_models(self) -> tuple[System, ...]:
        """The systems that answer any instruction in free text."""
        return tuple(system for system in self.all if system.answers)

    @property
    def free(self) -> tuple[System, ...]:
        """The systems that cost no fine-tuning and are tested against the tuned systems."""
        return tuple(system for system in self.all if system.is_free)

    def of_kind(self, *kinds: Kind) -> tuple[System, ...]:
        """The systems of these kinds, in their order."""
        return tuple(system for system in self.all if system.kind in kinds)

    @property
    def primary_pairs(self) -> tuple[tuple[Trained, System], ...]:
        """The comparisons fixed before the run: each tuned system with the original, and each pair.

        A third kind of primary comparison, each tuned system against all `free` systems together, has
        no second system (docs/statistics.md).
        """
        with_original = tuple((tuned, self.original) for tuned in self.tuned)
        return with_original + tuple(combinations(self.tuned, 2))


def systems_of(task: str) -> Systems:
    """The systems of a task. Raises `ValueError` for a task that has the name of another system."""
    systems = declared(task)
    for names in ([system.name for system in systems], [system.short for system in systems]):
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two systems would be called {name}: give the task another name")
    return Systems(task, systems)
