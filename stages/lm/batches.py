"""Batches by length, with the beginning that all their rows share computed once.

Rows are padded on the left, so that the answers of a batch end in the same column and the LM head
runs on answer positions alone. What all prompts of a batch begin with (headings, the instruction,
the examples of a few-shot prompt) is run once, as a batch of one; its keys and values serve every
row, and in training their gradient flows back through it.
"""

import copy
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import DynamicCache

IGNORED = -100  # the label of a position that the loss leaves out
_BEGINNING = 8  # ids that tell one wording from another
_PASS = 50  # what a pass of the model costs beside its rows, in ids: the weights are read once more


def alike(rows: Sequence[Sequence[int]], batch_size: int) -> list[list[int]]:
    """Places grouped by how their ids begin: those of one wording share the most in a batch.

    A group's rows go on alike for some ids after what all rows share; rows whose beginning is rarer
    than a batch form the last group.
    """
    shared = shared_length(rows) if rows else 0
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(tuple(row[shared : shared + _BEGINNING]), []).append(at)
    common = [group for group in groups.values() if len(group) >= batch_size]
    rest = [at for group in groups.values() if len(group) < batch_size for at in group]
    return [*common, rest] if rest else common


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that begin with `shared` ids alike: their places in batches, the longest rows first."""

    shared: int
    batches: list[list[int]]


def grouped(
    rows: Sequence[Sequence[int]],
    batch_size: int,
    passes: int = 1,
    max_tokens: float = float("inf"),
) -> list[Group]:
    """All rows in groups that begin alike, each cut into batches of at most `batch_size` rows.

    `passes` is how often the model runs on a batch: once for each generated token, the first of which
    comes with the prompt. A batch of several rows has at most `max_tokens` ids, padding included.
    """
    groups = []
    for places in alike(rows, batch_size):
        shared = shared_length([rows[at] for at in places])
        order = sorted(places, key=lambda at: (-len(rows[at]), at))
        lengths = [len(rows[at]) - shared for at in order]
        cuts = _cheapest_cuts(lengths, batch_size, passes, max_tokens)
        groups.append(Group(shared, [order[start:end] for start, end in cuts]))
    return groups


def _cheapest_cuts(
    lengths: Sequence[int], batch_size: int, passes: int, max_tokens: float
) -> list[tuple[int, int]]:
    """Cut rows of falling lengths so that the least is computed, padding included.

    The best cut of the first n rows is the best of their last batch's starts (dynamic programming).
    """
    best: list[tuple[int, int]] = [
        (0, 0)
    ]  # of the first n rows: cost in ids, start of the last batch
    for end in range(1, len(lengths) + 1):
        best.append(
            min(
                (best[start][0] + passes * _PASS + (end - start) * lengths[start], start)
                for start in range(max(0, end - batch_size), end)
                if start == end - 1 or (end - start) * lengths[start] <= max_tokens
            )
        )
    cuts = []
    end = len(lengths)
    while end:
        start = best[end][1]
        cuts.append((start, end))
        end = start
    return cuts[::-1]


class LengthBatches(Sampler[list[int]]):
    """Batches of places in a seeded order, whose rows begin alike and have alike lengths.

    The rows of a group that begins alike are shuffled, cut into pools of 16 batches and sorted by
    length in each pool, so a batch wastes little padding and still holds rows drawn at random. The
    batches of each group are spread over the epoch, so that no stretch of it forgets the others.
    Another order each epoch. Batches without rows follow until `processes`, which take the batches in
    turn, have equally many.
    """

    def __init__(
        self, rows: Sequence[Sequence[int]], batch_size: int, seed: int, processes: int = 1
    ) -> None:
        self.lengths = [len(row) for row in rows]
        self.groups = alike(rows, batch_size)
        # Accelerate takes an attribute `batch_size` for the size of every batch.
        self.rows_per_batch, self.seed, self.epoch = batch_size, seed, 0
        self.n_padding = -math.ceil(len(rows) / batch_size) % processes

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.rows_per_batch) + self.n_padding

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = random.Random(f"{self.seed}:{self.epoch}")
        placed: list[tuple[float, list[int]]] = []
        left: list[int] = []
        for group in self.groups:
            order = generator.sample(group, len(group))
            whole = len(order) - len(order) % self.rows_per_batch
            left += order[whole:]
            placed += self._spread(order[:whole], generator)
        generator.shuffle(left)
        whole = len(left) - len(left) % self.rows_per_batch
        placed += self._spread(left[:whole], generator)
        yield from (batch for _, batch in sorted(placed))
        if left[whole:]:
            yield left[whole:]
        yield from ([] for _ in range(self.n_padding))

    def _spread(self, order: list[int], generator: random.Random) -> list[tuple[float, list[int]]]:
        """Batches of `order` in a random order, each with its place in the epoch, from 0 to 1."""
        batches = self._sorted_batches(order)
        generator.shuffle(batches)
        start = generator.random()
        return [((at + start) / len(batches), batch) for at, batch in enumerate(batches)]

    def _sorted_batches(self, order: list[int]) -> list[list[int]]:
        pool = 16 * self.rows_per_batch
        parts = [order[at : at + pool] for at in range(0, len(order), pool)]
        return [
            ordered[at : at + self.rows_per_batch]
            for ordered in (sorted(part, key=lambda at: -self.lengths[at]) for part in parts)
            for at in range(0, len(ordered), self.rows_per_batch)
        ]


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many ids all prompts begin with alike, at least one of each left over."""
    shortest = min(map(len, prompts)) - 1
    first = prompts[0]
    for at in range(shortest):
        if any(prompt[at] != first[at] for prompt in prompts):
            return at
    return shortest


def collate(
    prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int, shared: int
) -> dict[str, Tensor]:
    """Tensors of a batch of B rows: the P = `shared` first ids, N others a row, A answer positions.

    `prefix` (P), `input_ids` (B, N) padded on the left, `attention_mask` (B, P + N),
    `position_ids` (B, N), `labels` (B, 1 + A) of the last positions, `IGNORED` before the answer.
    """
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


def begin(model: Any, prefix: Tensor) -> DynamicCache:
    """Keys and values of the ids (P) that all rows of a batch, or of several, begin with."""
    cache = DynamicCache()
    if len(prefix):
        model(input_ids=prefix[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def forward(
    model: Any, batch: dict[str, Tensor], keep: int, beginning: DynamicCache | None
) -> tuple[Tensor, Any]:
    """Logits (B, keep, V) of the last `keep` positions, and the cache of the whole rows.

    `beginning` is left as it was; None where nothing is shared and no cache is wanted.
    """
    rows = {key: batch[key] for key in ("input_ids", "attention_mask", "position_ids")}
    if beginning is None:
        return model(**rows, use_cache=False, logits_to_keep=keep).logits, None
    cache = copy.copy(beginning)
    cache.layers = [copy.copy(layer) for layer in beginning.layers]
    for layer in cache.layers:
        layer.keys = layer.keys.expand(len(batch["input_ids"]), -1, -1, -1)
        layer.values = layer.values.expand(len(batch["input_ids"]), -1, -1, -1)
    logits = model(**rows, past_key_values=cache, use_cache=True, logits_to_keep=keep).logits
    return logits, cache


def answer_losses(
    model: Any, batch: dict[str, Tensor], beginning: DynamicCache | None = None
) -> Tensor:
    """The negative log-likelihood in nats of each answer token of a batch, row after row.

    Shape: (number of labels that are not `IGNORED`,). The prefix is run here, so that its gradient
    flows, where `beginning` does not hold its keys and values already.
    """
    labels = batch["labels"]
    if beginning is None and len(batch["prefix"]):
        beginning = begin(model, batch["prefix"])
    # The logits at one position predict the token at the next.
    predicts = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED) != IGNORED
    with _head_on(model, predicts):
        logits, _ = forward(model, batch, predicts.shape[1], beginning)
    targets = labels[labels != IGNORED]
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


@contextmanager
def _head_on(model: Any, positions: Tensor) -> Iterator[None]:
    """Let the LM head see the hidden states of the `positions` (B, T, bool) alone.

    Its logits are then (number of positions, V), row by row: rows with short answers cost what they
    hold, not what the longest answer of the batch holds.
    """

    def choose(_: torch.nn.Module, hidden: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = hidden[0]
        return (
            (states[positions.to(states.device)],)
            if states.shape[:2] == positions.shape
            else hidden
        )

    bare = getattr(model, "module", model)  # of a model in DistributedDataParallel
    hook = bare.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        hook.remove()
