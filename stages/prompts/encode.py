"""Token ids of prompts and answers, in one place for training, scoring and generation.

Prompt and answer are tokenised separately and their ids joined. The ids before an answer are therefore
the same whether the answer is learnt, scored or generated. All text is plain text: a row that contains
`</s>` or `<|im_end|>` gets the ids of these characters, never the id of the special token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime.errors import StudyError

from prompts.format import STOP, STOP_AFTER_SHOTS, PromptFormat


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
        self.eos: int = tokenizer.eos_token_id
        self.pad: int = self.eos if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.stop = (STOP_AFTER_SHOTS if shots else STOP)[prompt_format]
        self._start: list[int] = []
        self._before: list[int] = []
        self._after: list[int] = []
        if prompt_format == "chat":
            self._before, self._after = self._chat_template()
        elif tokenizer.bos_token_id is not None:
            ids = tokenizer("a").input_ids
            self._start = ids[:1] if ids[0] == tokenizer.bos_token_id else []
        for shot, answer in shots:
            self._start += self._turn(shot) + self.text(answer)
            self._start += [self.eos, *self.text("\n")] if self._after else self.text("\n\n")

    def prompt(self, text: str) -> list[int]:
        """The ids of the shots and of a prompt."""
        return self._start + self._turn(text)

    def answer(self, text: str) -> list[int]:
        """The ids of an answer, without the end-of-sequence token."""
        return self.text(text)

    def example(self, prompt: str, completion: str) -> Example:
        """A training example, whose answer ends with the end-of-sequence token."""
        return Example(self.prompt(prompt), [*self.answer(completion), self.eos])

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text without special tokens, cut where the next prompt begins."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.split(self.stop)[0] if self.stop else text

    def has_stopped(self, ids: Sequence[int]) -> bool:
        """Whether an answer has ended: at the end-of-sequence token or where the next prompt begins."""
        if ids[-1] == self.eos:
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
        mark = "\ue000prompt\ue000"
        rendered: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True
        )
        before, _, after = rendered.partition(mark)
        # The template's own text may contain special tokens, unlike the text of a row.
        ids = [self.tokenizer(part, add_special_tokens=False).input_ids for part in (before, after)]
        return ids[0], ids[1]


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
