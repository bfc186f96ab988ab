"""Batches by length, with the beginning that all their rows share computed once.

Rows are padded on the left, so that the answers of a batch end in the same column and the LM head
runs on answer positions alone. What all prompts of a batch begin with (headings, the instruction,
the examples of a few-shot prompt) is run once, as a batch of one; its keys and values serve every
row, and in training their gradient flows back through it.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import DynamicCache

from prompts.encode import IGNORED


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Places in order of length, longest first, cut into batches."""
    order = sorted(range(len(lengths)), key=lambda at: (-lengths[at], at))
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


class LengthSampler(Sampler[int]):
    """Places in a seeded order whose runs of `batch_size` have alike lengths.

    Shuffled, cut into pools of eight batches, each pool sorted by length, all batches shuffled: a
    batch wastes little padding and still holds rows of a random eighth. Another order each epoch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self.seed}:{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        batches: list[list[int]] = []
        pool = 8 * self.batch_size
        for start in range(0, len(order), pool):
            part = sorted(order[start : start + pool], key=lambda at: -self.lengths[at])
            batches += [
                part[at : at + self.batch_size] for at in range(0, len(part), self.batch_size)
            ]
        last = [batch for batch in batches if len(batch) < self.batch_size]
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        generator.shuffle(whole)
        yield from (at for batch in whole + last for at in batch)


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many ids all prompts begin with alike, at least one of each left over."""
    shortest = min(map(len, prompts)) - 1
    first = prompts[0]
    for at in range(shortest):
        if any(prompt[at] != first[at] for prompt in prompts):
            return at
    return shortest


def collate(
    prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int, share: bool
) -> dict[str, Tensor]:
    """Tensors of a batch of B rows: P shared ids, N others a row, A answer positions.

    `prefix` (P), `input_ids` (B, N) padded on the left, `attention_mask` (B, P + N),
    `position_ids` (B, N), `labels` (B, 1 + A) of the last positions, `IGNORED` before the answer.
    """
    shared = shared_length(prompts) if share else 0
    rows = [prompt[shared:] + answer for prompt, answer in zip(prompts, answers, strict=True)]
    width = max(map(len, rows))
    longest = max(map(len, answers))
    ids = [[pad] * (width - len(row)) + row for row in rows]
    mask = [[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rows]
    # As in any causal model, labels[:, 1:] are what logits[:, :-1] predict: the first is no target.
    labels = [[IGNORED] * (1 + longest - len(answer)) + answer for answer in answers]
    attention = torch.tensor(mask)
    return {
        "prefix": torch.tensor(prompts[0][:shared], dtype=torch.long),
        "input_ids": torch.tensor(ids),
        "attention_mask": attention,
        "position_ids": (attention.cumsum(1) - 1).clamp(min=0)[:, shared:],
        "labels": torch.tensor(labels, dtype=torch.long),
    }


def forward(model: Any, batch: dict[str, Tensor], keep: int, cached: bool) -> tuple[Tensor, Any]:
    """Logits (B, keep, V) of the last `keep` positions, and the cache where `cached` asks for it."""
    prefix = batch["prefix"]
    rows = {key: batch[key] for key in ("input_ids", "attention_mask", "position_ids")}
    if not cached and not len(prefix):
        return model(**rows, use_cache=False, logits_to_keep=keep).logits, None
    cache = DynamicCache()
    if len(prefix):
        model(input_ids=prefix[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        count = len(batch["input_ids"])
        for layer in cache.layers:
            layer.keys = layer.keys.expand(count, -1, -1, -1)
            layer.values = layer.values.expand(count, -1, -1, -1)
    logits = model(**rows, past_key_values=cache, use_cache=True, logits_to_keep=keep).logits
    return logits, cache
