"""What a model answers: the log-likelihood of given answers, and greedy generation, in one pass.

Also how likely it finds a whole answer that others wrote.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lm.batches import answer_losses, begin, collate, forward, grouped, shared_length
from prompts.encode import Encoder

_MAX_TOKENS = 2048  # of a batch whose answers are scored whole: logits of all of them at once


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text, how many tokens it took, and each choice's log-likelihood in nats.

    `state` (H) is the hidden state at the end of the prompt, which the LM head reads.
    """

    text: str
    tokens: int
    log_likelihoods: list[float]
    state: Tensor


@torch.inference_mode()
def answer_prompts(
    model: Any,
    encoder: Encoder,
    prompts: Sequence[list[int]],
    choices: Sequence[Sequence[list[int]]] | None,
    max_new_tokens: int,
    batch_size: int,
    name: str,
) -> list[Answer]:
    """Answer each prompt greedily and score its `choices`, prompt and keys computed once for both.

    `choices[i]` are the token ids of the possible answers to prompt i, the same number for all. A
    choice's log-likelihood is the sum over its tokens given the prompt, end of sequence left out
    (as lm-evaluation-harness defines it for `acc`). With `max_new_tokens` 0 the choices alone are
    scored. Answers come in the prompts' order.
    """
    answers: list[Answer | None] = [None] * len(prompts)
    with _bar(len(prompts), name) as bar, _states_read(model) as states:
        for group in grouped(prompts, batch_size, passes=max(1, max_new_tokens)):
            beginning = None
            for places in group.batches:
                rows = [prompts[at] for at in places]
                batch = _on_device(
                    model, collate(rows, [[]] * len(rows), encoder.pad, group.shared)
                )
                if beginning is None:
                    beginning = begin(model, batch["prefix"])
                logits, cache = forward(model, batch, keep=1, beginning=beginning)
                of_prompts = states[-1][:, -1].float().cpu()
                mask = batch["attention_mask"]
                first = logits[:, -1].float()
                scores: list[list[float]] = [[] for _ in places]
                if choices is not None:
                    of_rows = [choices[at] for at in places]
                    scores = _score(model, cache, mask, first, of_rows, encoder)
                said = _generate(model, cache, mask, first, max_new_tokens, encoder)
                for at, ids, score, state in zip(places, said, scores, of_prompts, strict=True):
                    answers[at] = Answer(encoder.decode(ids), len(ids), score, state)
                bar.update(len(places))
    return [answer for answer in answers if answer is not None]


@torch.inference_mode()
def answer_log_likelihoods(
    model: Any,
    encoder: Encoder,
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    batch_size: int,
    name: str,
) -> list[float]:
    """The log-likelihood in nats of a whole answer to each prompt: the sum over its tokens."""
    joined = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    found = [0.0] * len(joined)
    with _bar(len(joined), name) as bar:
        for group in grouped(joined, batch_size, max_tokens=_MAX_TOKENS):
            for places in group.batches:
                asked, given = [prompts[at] for at in places], [answers[at] for at in places]
                batch = collate(asked, given, encoder.pad, shared_length(asked))
                losses = answer_losses(model, _on_device(model, batch)).split(
                    [len(answer) for answer in given]
                )
                for at, of_row in zip(places, losses, strict=True):
                    found[at] = -float(of_row.double().sum())
                bar.update(len(places))
    return found


@contextmanager
def _states_read(model: Any) -> Iterator[Sequence[Tensor]]:
    """The hidden states (B, T, H) that the LM head reads, of the latest call alone."""
    states: deque[Tensor] = deque(maxlen=1)
    hook = model.get_output_embeddings().register_forward_pre_hook(
        lambda _, hidden: states.append(hidden[0])
    )
    try:
        yield states
    finally:
        hook.remove()


def _on_device(model: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.to(model.device) for key, value in batch.items()}


def _bar(total: int, name: str) -> Any:
    quiet = 0.5 if os.isatty(2) else 15.0  # seconds between lines of a log file
    return tqdm(total=total, desc=name, unit="row", mininterval=quiet)


def _score(
    model: Any,
    cache: Any,
    mask: Tensor,
    first: Tensor,
    choices: Sequence[Sequence[list[int]]],
    encoder: Encoder,
) -> list[list[float]]:
    """Log-likelihoods (B, number of choices); the cache is left as it was found."""
    rows = torch.arange(len(choices), device=first.device)
    start = torch.log_softmax(first, -1)
    columns = []
    length = mask.shape[1]
    for which in range(len(choices[0])):
        ids = [row[which] for row in choices]
        width = max(map(len, ids))
        tokens = torch.tensor(
            [each + [encoder.pad] * (width - len(each)) for each in ids], device=first.device
        )
        there = torch.tensor(
            [[1] * len(each) + [0] * (width - len(each)) for each in ids], device=first.device
        )
        score = start[rows, tokens[:, 0]]
        if width > 1:
            longer = torch.cat([mask, there[:, :-1]], 1)
            logits = model(
                input_ids=tokens[:, :-1],
                attention_mask=longer,
                position_ids=(longer.cumsum(1) - 1)[:, length:],
                past_key_values=cache,
                use_cache=True,
            ).logits
            steps = torch.log_softmax(logits.float(), -1)
            given = steps.gather(2, tokens[:, 1:, None])[..., 0]
            score = score + (given * there[:, 1:]).sum(1)
            cache.crop(1 - width)  # a negative count: that many positions off the end
        columns.append(score.tolist())
    return [list(row) for row in zip(*columns, strict=True)]


def _generate(
    model: Any, cache: Any, mask: Tensor, first: Tensor, max_new_tokens: int, encoder: Encoder
) -> list[list[int]]:
    """Greedy continuations' ids; a row that has ended leaves the batch once half of it has."""
    said: list[list[int]] = [[] for _ in range(len(first))]
    alive = list(range(len(first)))
    logits = first
    for step in range(max_new_tokens):
        tokens = logits.argmax(-1)
        going = []
        for place, (row, token) in enumerate(zip(alive, tokens.tolist(), strict=True)):
            if said[row] and encoder.has_stopped(said[row]):
                continue
            said[row].append(token)
            if not encoder.has_stopped(said[row]):
                going.append(place)
        if not going or step == max_new_tokens - 1:
            break
        if 2 * len(going) <= len(alive):
            keep = torch.tensor(going, device=tokens.device)
            alive = [alive[place] for place in going]
            tokens, mask = tokens[keep], mask[keep]
            cache.batch_select_indices(keep)
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], 1)
        logits = (
            model(
                input_ids=tokens[:, None],
                attention_mask=mask,
                position_ids=mask.sum(1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            .logits[:, -1]
            .float()
        )
    return said
