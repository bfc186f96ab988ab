"""The parts of a model card that only the card of a LoRA adapter contains.

The card of another kind of system is one class with the same methods, listed in `pages.cards.KINDS`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from measure.results import Results
from pages.costs import cost_table
from pages.markdown import bullets_markdown, fenced, table_markdown, text_cell
from pages.parts import Part
from pages.sentences import cost_clause, gain_sentence
from prompts.format import PromptFormat, write_prompt
from settings.model import Precision
from settings.read import Settings


@dataclass(frozen=True)
class AdapterCard:
    """The sentences and metadata of an adapter that was trained on instructions."""

    settings: Settings
    parts: Sequence[Part]
    folder: str  # of the adapter

    library = "peft"
    pipeline = "text-generation"
    relation = "adapter"  # to the base model, in the Hub's words

    @staticmethod
    def base(settings: Settings) -> Part:
        """The base model."""
        return Part("base model", settings.base_model.provenance(), settings.origins.base_model)

    @property
    def tags(self) -> tuple[str, ...]:
        """The Hub's tags."""
        method = "qlora" if self.settings.precision.quantization == "nf4" else "lora"
        return method, "instruction-tuning", "text-classification"

    def description(self) -> str:
        """What the model is, in a paragraph."""
        base, labelled, *rest = self.parts
        general = sum(part.rows or 0 for part in rest)
        general_rows = f" and {general:,} general instructions" if general else " alone"
        names = ", ".join(map(text_cell, self.settings.labels.names))
        return (
            f"A LoRA adapter of {text_cell(base.provenance.name)} for the task "
            f"{text_cell(self.settings.task)}, fine-tuned on {labelled.rows:,} labelled rows ({names}) "
            f"written as instructions{general_rows}. Made with instruct-uplift, which measures whether "
            "fine-tuning helped and what it cost."
        )

    def headline(self, name: str, rivals: Sequence[str], results: Results) -> tuple[str, str]:
        """Title and text of the section on accuracy; `rivals` are the other tuned systems."""
        text = gain_sentence(name, results)
        if rivals:
            models = "model" if len(rivals) == 1 else "models"
            verdicts = "; ".join(results.verdict(name, rival).sentence for rival in rivals)
            text += f" Compared with the other tuned {models}: {verdicts}."
        return "Did fine-tuning help", text

    def cost(self, name: str, systems: Sequence[str], results: Results) -> list[str]:
        """The section on lost abilities; `systems` are this system, the original and the rivals."""
        return [
            "## What it lost",
            text_cell(f"{cost_clause(name, results)}."),
            table_markdown(cost_table({system: results.metrics[system] for system in systems})),
            "Bare label: answers to general instructions that contain nothing but a label. Nats a "
            "token: the negative log-likelihood of reference answers to general instructions.",
        ]

    def limits(self) -> str:
        """What the model is for and what it is not for, as a list."""
        names = ", ".join(map(text_cell, self.settings.labels.names))
        return bullets_markdown(
            [
                f"Meant for labelling texts like its training texts as one of {names}, and for "
                "studying what fine-tuning on instructions does.",
                "The metrics are about test rows from the same source as the training rows. Other texts "
                "and other languages were not measured.",
                "Its answers to other instructions may be worse than its base model's: see what it lost.",
                "It was not examined for bias or for harmful answers. It inherits both from its base "
                "model and its training rows. Do not use it for decisions about people.",
            ]
        )

    def loading(self) -> list[str]:
        """How to load the adapter from a checkout of the study."""
        return [
            adapter_code(self.folder, '"models/base"'),
            *four_bit_note(self.settings.precision),
        ]

    def usage(self) -> list[str]:
        """The form of the model's input."""
        return [
            "It reads prompts of this form and continues them with its answer:",
            fenced(_prompt(self.settings.prompt_format)),
        ]

    def settings_used(self) -> dict[str, Any]:
        """The settings of the training."""
        settings = self.settings
        return {
            "prompt_format": settings.prompt_format,
            **{f"precision.{key}": value for key, value in settings.precision.model_dump().items()},
            **{f"train.{key}": value for key, value in settings.train.model_dump().items()},
        }


def adapter_code(place: str, base: str) -> str:
    """A block of Python code that loads an adapter with its base model, and the base model's tokenizer.

    `base` is Python code: the arguments of `AutoTokenizer.from_pretrained`.
    """
    return fenced(
        "from peft import AutoPeftModelForCausalLM\n"
        "from transformers import AutoTokenizer\n"
        f"model = AutoPeftModelForCausalLM.from_pretrained({json.dumps(place)})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({base})",
        "python",
    )


def four_bit_note(precision: Precision) -> list[str]:
    """A paragraph for an adapter of a 4-bit base model; an empty list for another adapter."""
    if precision.quantization != "nf4":
        return []
    return [
        "It was trained and measured with its base model in 4 bits (NF4, double quantisation, computing "
        f"in {precision.dtype}). These lines load the base model in full precision, for which no metric "
        "was measured. For the same metrics, pass a `quantization_config` with these settings to "
        "`from_pretrained`."
    ]


def _prompt(prompt_format: PromptFormat) -> str:
    if prompt_format == "chat":
        return "the tokenizer's chat template around one message of the user"
    return write_prompt(prompt_format, "INSTRUCTION", "TEXT").rstrip("\n")
