"""What a model answers: the log-likelihood of given answers, and greedy generation, in one pass."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lm.batches import begin, collate, forward, grouped
from prompts.encode import Encoder


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text, and the log-likelihood in nats of each choice, in the choices' order."""

    text: str
    log_likelihoods: list[float]


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
    (as lm-evaluation-harness defines it for `acc`). Answers come in the prompts' order.
    """
    answers: list[Answer | None] = [None] * len(prompts)
    quiet = 0.5 if os.isatty(2) else 15.0
    with tqdm(total=len(prompts), desc=name, unit="row", mininterval=quiet) as bar:
        for group in grouped(prompts, batch_size, passes=max_new_tokens):
            prefix = torch.tensor(prompts[group.batches[0][0]][: group.shared], dtype=torch.long)
            beginning = begin(model, prefix.to(model.device))
            for places in group.batches:
                batch = collate(
                    [prompts[at] for at in places], [[]] * len(places), encoder.pad, group.shared
                )
                batch = {key: value.to(model.device) for key, value in batch.items()}
                logits, cache = forward(model, batch, keep=1, beginning=beginning)
                mask = batch["attention_mask"]
                first = logits[:, -1].float()
                scores: list[list[float]] = [[] for _ in places]
                if choices is not None:
                    of_rows = [choices[at] for at in places]
                    scores = _score(model, cache, mask, first, of_rows, encoder)
                texts = _generate(model, cache, mask, first, max_new_tokens, encoder)
                for at, text, score in zip(places, texts, scores, strict=True):
                    answers[at] = Answer(text, score)
                bar.update(len(places))
    return [answer for answer in answers if answer is not None]


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
) -> list[str]:
    """Greedy continuations; a row that has ended leaves the batch once half of it has."""
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
    return [encoder.decode(ids) for ids in said]
