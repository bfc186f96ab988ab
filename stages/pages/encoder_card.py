"""The parts of a model card that only the card of a fine-tuned encoder contains."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from measure.results import Results
from pages.markdown import bullets_markdown, fenced, text_cell
from pages.parts import Part
from pages.sentences import ENCODER_LIMITS, encoder_sentence
from settings.read import Settings


@dataclass(frozen=True)
class EncoderCard:
    """The sentences and metadata of an encoder with a classification head."""

    settings: Settings
    parts: Sequence[Part]
    folder: str

    library = "transformers"
    pipeline = "text-classification"
    relation = "finetune"  # to the pretrained encoder, in the Hub's words
    tags = ("text-classification",)

    @staticmethod
    def base(settings: Settings) -> Part:
        """The pretrained encoder."""
        provenance = settings.encoder.base.provenance()
        return Part("pretrained encoder", provenance, settings.origins.encoder)

    def description(self) -> str:
        """What the model is, in a paragraph."""
        base, labelled, *_ = self.parts
        names = ", ".join(map(text_cell, self.settings.labels.names))
        return (
            f"A small encoder, {text_cell(base.provenance.name)}, with a classification head for the task "
            f"{text_cell(self.settings.task)}, fine-tuned on {labelled.rows:,} labelled rows ({names}). "
            "Made with instruct-uplift, which compares it with fine-tuned language models."
        )

    def headline(self, name: str, rivals: Sequence[str], results: Results) -> tuple[str, str]:
        """Title and text of the section on accuracy."""
        return "How good it is", encoder_sentence(results)

    def cost(self, name: str, systems: Sequence[str], results: Results) -> list[str]:
        """The section on what the encoder cannot do."""
        return ["## What it cannot do", ENCODER_LIMITS]

    def limits(self) -> str:
        """What the model is for and what it is not for, as a list."""
        names = ", ".join(map(text_cell, self.settings.labels.names))
        return bullets_markdown(
            [
                f"Meant for labelling texts like its training texts as one of {names}.",
                "The metrics are about test rows from the same source as the training rows. Other texts "
                "and other languages were not measured.",
                "It was not examined for bias. It inherits the bias of its pretrained encoder and its "
                "training rows. Do not use it for decisions about people.",
            ]
        )

    def loading(self) -> list[str]:
        """How to load the encoder from a checkout of the study."""
        return [encoder_code(self.folder)]

    def usage(self) -> list[str]:
        """The form of the model's input."""
        return [
            f"It reads a text without an instruction, cut at {self.settings.encoder.max_length} "
            "tokens, and returns the most likely label with its probability."
        ]

    def settings_used(self) -> dict[str, Any]:
        """The settings of the training."""
        training = self.settings.encoder.model_dump(exclude={"base"})
        return {f"encoder.{key}": value for key, value in training.items()}


def encoder_code(place: str) -> str:
    """A block of Python code that loads an encoder and labels a text."""
    return fenced(
        "from transformers import pipeline\n"
        f"classify = pipeline({json.dumps('text-classification')}, model={json.dumps(place)})\n"
        'classify("a text")',
        "python",
    )
