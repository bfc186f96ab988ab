"""Token ids of prompts and answers, in one place for training, scoring and generation.

Prompt and answer are tokenised separately and their ids joined. The ids before an answer are therefore
the same whether the answer is learnt, scored or generated. All text is plain text: a row that contains
`</s>` or `<|im_end|>` gets the ids of these characters, never the id of the special token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

from runtime.errors import StudyError

from jinja2 import TemplateError

from prompts.format import STOP, STOP_AFTER_SHOTS, PromptFormat

_MARK = "\ue000text\ue000"  # in place of a message while a chat template is rendered
# Before a chat template: a template that writes today's date then has the same ids every day.
_FIXED_DATE = "{% macro strftime_now(format) %}01 Jan 2025{% endmacro %}\n"


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of a prompt and of its answer; the answer includes the end-of-sequence token."""

    prompt: list[int]
    answer: list[int]

    @property
    def input_ids(self) -> list[int]:
        """The ids of the whole sequence."""
        return self.prompt + self.answer


class Encoder:
    """Encodes prompts and answers with a tokenizer in a prompt format.

    A prompt begins with exactly one beginning-of-sequence token if the tokenizer itself adds one
    (Mistral's does), else with none (SmolLM2's does not add one). `shots`: pairs (prompt, answer), the
    examples before every prompt; an answer then ends where the next example would begin. Raises
    `StudyError` for a tokenizer without an end-of-sequence token, or without a chat template if
    `prompt_format` is chat.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt_format: PromptFormat,
        shots: Sequence[tuple[str, str]] = (),
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise StudyError(
                "the base model's tokenizer has no end-of-sequence token, so a model cannot learn where "
                "an answer ends: choose another base model"
            )
        self.tokenizer = tokenizer
        self.eos: int = tokenizer.eos_token_id  # or, in the chat format, the end of a turn
        self.pad: int = self.eos if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.stop = (STOP_AFTER_SHOTS if shots else STOP)[prompt_format]
        self._start: list[int] = []
        self._before: list[int] = []
        self._after: list[int] = []
        if prompt_format == "chat":
            self._before, self._after = self._chat_template()
            self.eos = self._turn_end()
        elif tokenizer.bos_token_id is not None:
            ids = tokenizer("a").input_ids
            self._start = ids[:1] if ids[0] == tokenizer.bos_token_id else []
        # After an example the next one begins; every other answer ends with the end of the sequence.
        self.end = self.text("\n\n") if shots and not self._after else [self.eos]
        for shot, answer in shots:
            self._start += self._turn(shot) + self.text(answer)
            self._start += [self.eos, *self.text("\n")] if self._after else self.text("\n\n")

    @property
    def _stops(self) -> set[int]:
        """The ids that end an answer."""
        return {self.eos, self.tokenizer.eos_token_id}

    def prompt(self, text: str) -> list[int]:
        """The ids of the shots and of a prompt."""
        return self._start + self._turn(text)

    def answer(self, text: str) -> list[int]:
        """The ids of an answer, without the end-of-sequence token."""
        return self.text(text)

    def choices(self, answers: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """The ids of the possible answers to a prompt.

        Where the ids of an answer begin those of another one, the end of the answer is added to all:
        without the end, the shorter answer would always be at least as likely. Raises `StudyError` for
        two answers with the same ids.
        """
        ids = [tuple(self.answer(answer)) for answer in answers]
        for answer, own in zip(answers, ids, strict=True):
            if ids.count(own) > 1:
                raise StudyError(
                    f"the base model's tokenizer writes {answer!r} and another label as the same tokens, "
                    "so that no score can tell the two labels apart: rename a label"
                )
        return tuple((*own, *self.end) for own in ids) if self.ends_count(answers) else tuple(ids)

    def ends_count(self, answers: Sequence[str]) -> bool:
        """Whether the ids of one of the possible answers begin those of another one."""
        ids = sorted(self.answer(answer) for answer in answers)
        return any(longer[: len(shorter)] == shorter for shorter, longer in pairwise(ids))

    def example(self, prompt: str, completion: str) -> Example:
        """A training example, whose answer ends with the end-of-sequence token."""
        return Example(self.prompt(prompt), [*self.answer(completion), self.eos])

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text without special tokens, cut at their end or where the next prompt begins."""
        ids = list(takewhile(lambda id: id not in self._stops, ids))
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.split(self.stop)[0] if self.stop else text

    def has_stopped(self, ids: Sequence[int]) -> bool:
        """Whether an answer has ended: at the end of sequence or turn, or where the next prompt begins."""
        if ids[-1] in self._stops:
            return True
        return self.stop is not None and self.stop in self.tokenizer.decode(ids[-8:])

    def text(self, text: str) -> list[int]:
        """The ids of `text` as plain text."""
        if not text:
            return []
        ids: list[int] = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True
        ).input_ids
        return ids

    def _turn(self, prompt: str) -> list[int]:
        return self._before + self.text(prompt) + self._after

    def _chat_template(self) -> tuple[list[int], list[int]]:
        if not getattr(self.tokenizer, "chat_template", None):
            raise StudyError(
                "params.yaml: prompt_format = 'chat': the base model's tokenizer has no chat "
                "template; allowed for this base: alpaca"
            )
        before, _, after = self._rendered("user").partition(_MARK)
        # The template's own text may contain special tokens, unlike the text of a row.
        ids = [self.tokenizer(part, add_special_tokens=False).input_ids for part in (before, after)]
        return ids[0], ids[1]

    def _turn_end(self) -> int:
        """The id that the chat template writes after an answer; else the end of sequence."""
        try:
            _, _, after = self._rendered("user", "assistant").rpartition(_MARK)
        except TemplateError:  # a template that takes no answer
            after = ""
        ids = self.tokenizer(after, add_special_tokens=False).input_ids
        is_special = bool(ids) and ids[0] in self.tokenizer.added_tokens_decoder
        return ids[0] if is_special else self.eos

    def _rendered(self, *roles: str) -> str:
        """The chat template around a mark as the message of each role; the date is always the same."""
        rendered: str = self.tokenizer.apply_chat_template(
            [{"role": role, "content": _MARK} for role in roles],
            tokenize=False,
            add_generation_prompt=roles[-1] == "user",
            chat_template=_FIXED_DATE + self.tokenizer.get_chat_template(),
        )
        return rendered


def require_lengths(examples: Sequence[Example], row_ids: Sequence[str], max_length: int) -> None:
    """Raise `StudyError` if a row has more than `max_length` tokens or an answer without a token."""
    for example, row_id in zip(examples, row_ids, strict=True):
        length = len(example.input_ids)
        if length > max_length:
            raise StudyError(
                f"row {row_id} is {length} tokens long, more than train.max_length = {max_length}: "
                "a row cut to max_length would lose its answer: raise max_length or remove the row"
            )
        if len(example.answer) < 2:
            raise StudyError(
                f"row {row_id}: the answer has no token that a model could learn: write an answer"
            )
