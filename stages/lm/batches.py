"""Batches by length. The prefix that all prompts of a batch share is computed once.

Rows are padded on the left: all answers of a batch end in the same column, so the LM head runs on answer
positions alone. The shared prefix (headings, the instruction, few-shot examples) runs as a batch of one
row. Every row uses the prefix's keys and values; in training, gradients flow back through them.
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
_BEGINNING = 8  # ids: enough to distinguish the wordings
_PASS = 50  # the cost of reading the weights in one forward pass, in ids


def alike(rows: Sequence[Sequence[int]], batch_size: int) -> list[list[int]]:
    """Places of rows, grouped by the first ids after the prefix that all rows share.

    Rows of one wording form one group, so that a batch shares a long prefix. Groups with fewer than
    `batch_size` rows are joined; the joined group is the last one.
    """
    shared = shared_length(rows) if rows else 0
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(tuple(row[shared : shared + _BEGINNING]), []).append(place)
    common = [group for group in groups.values() if len(group) >= batch_size]
    rest = [place for group in groups.values() if len(group) < batch_size for place in group]
    return [*common, rest] if rest else common


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with `shared` equal first ids: the places of the rows by batch, longest rows first."""

    shared: int
    batches: list[list[int]]


def grouped(
    rows: Sequence[Sequence[int]],
    batch_size: int,
    passes: int = 1,
    max_tokens: float = float("inf"),
) -> list[Group]:
    """Groups of rows with equal first ids, cut into batches of at most `batch_size` rows.

    `passes` is the number of forward passes on a batch: one for each generated token; the prompt's pass
    yields the first token. A batch of several rows has at most `max_tokens` ids, padding included.
    """
    groups = []
    for places in alike(rows, batch_size):
        shared = shared_length([rows[place] for place in places])
        order = sorted(places, key=lambda place: (-len(rows[place]), place))
        lengths = [len(rows[place]) - shared for place in order]
        cuts = _cheapest_cuts(lengths, batch_size, passes, max_tokens)
        groups.append(Group(shared, [order[start:end] for start, end in cuts]))
    return groups


def _cheapest_cuts(
    lengths: Sequence[int], batch_size: int, passes: int, max_tokens: float
) -> list[tuple[int, int]]:
    """The (start, end) of each batch, for rows of falling lengths, at the lowest cost in ids.

    Dynamic programming: the best cut of the first n rows is the best choice of their last batch.
    """
    # best[n]: the cost of the first n rows in ids, padding included, and the start of the last batch.
    best: list[tuple[int, int]] = [(0, 0)]
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
    """Batches of places in a seeded order; the rows of a batch have similar beginnings and lengths.

    The rows of a group (see `alike`) are shuffled, cut into pools of 16 batches, and sorted by length in
    every pool: a batch needs little padding and still contains random rows. The batches of every group
    are spread over the whole epoch. The order differs between epochs. Batches without rows are appended
    until all `processes`, which take the batches in turn, have the same number of batches.
    """

    def __init__(
        self, rows: Sequence[Sequence[int]], batch_size: int, seed: int, processes: int = 1
    ) -> None:
        self.lengths = [len(row) for row in rows]
        self.groups = alike(rows, batch_size)
        # Not `batch_size`: accelerate reads that attribute as the size of every batch.
        self.rows_per_batch, self.seed, self.epoch = batch_size, seed, 0
        self.n_padding = -math.ceil(len(rows) / batch_size) % processes

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.rows_per_batch) + self.n_padding

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = random.Random(f"{self.seed}:{self.epoch}")
        placed: list[tuple[float, list[int]]] = []
        leftover: list[int] = []
        for group in self.groups:
            order = generator.sample(group, len(group))
            whole = len(order) - len(order) % self.rows_per_batch
            leftover += order[whole:]
            placed += self._spread(order[:whole], generator)
        generator.shuffle(leftover)
        whole = len(leftover) - len(leftover) % self.rows_per_batch
        placed += self._spread(leftover[:whole], generator)
        yield from (batch for _, batch in sorted(placed))
        if leftover[whole:]:
            yield leftover[whole:]
        yield from ([] for _ in range(self.n_padding))

    def _spread(self, order: list[int], generator: random.Random) -> list[tuple[float, list[int]]]:
        """Batches of `order` in a random order, and the position of every batch in the epoch, 0 to 1."""
        batches = self._sorted_batches(order)
        generator.shuffle(batches)
        start = generator.random()
        return [((turn + start) / len(batches), batch) for turn, batch in enumerate(batches)]

    def _sorted_batches(self, order: list[int]) -> list[list[int]]:
        size = 16 * self.rows_per_batch
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        return [
            ordered[start : start + self.rows_per_batch]
            for ordered in (sorted(pool, key=lambda place: -self.lengths[place]) for pool in pools)
            for start in range(0, len(ordered), self.rows_per_batch)
        ]


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """The number of equal first ids of all prompts, at most the shortest prompt's length less 1."""
    limit = min(map(len, prompts)) - 1
    first = prompts[0]
    for length in range(limit):
        if any(prompt[length] != first[length] for prompt in prompts):
            return length
    return limit


def collate(
    prompts: Sequence[list[int]], answers: Sequence[list[int]], pad: int, shared: int
) -> dict[str, Tensor]:
    """The tensors of a batch of B rows.

    P = `shared`, N: the most other ids of a row, A: the most answer ids of a row. `prefix` (P),
    `input_ids` (B, N) padded on the left, `attention_mask` (B, P + N), `position_ids` (B, N),
    `labels` (B, 1 + A) of the last positions, `IGNORED` before the answer.
    """
    rows = [prompt[shared:] + answer for prompt, answer in zip(prompts, answers, strict=True)]
    width = max(map(len, rows))
    longest = max(map(len, answers))
    ids = [[pad] * (width - len(row)) + row for row in rows]
    mask = [[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rows]
    # logits[:, :-1] predict labels[:, 1:], as in any causal model: the first label is no target.
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
    """The keys and values of a shared prefix. Shape of `prefix`: (P,), token ids."""
    cache = DynamicCache()
    if len(prefix):
        model(input_ids=prefix[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def forward(
    model: Any, batch: dict[str, Tensor], keep: int, beginning: DynamicCache | None
) -> tuple[Tensor, Any]:
    """The logits of the last `keep` positions, and the cache of the whole rows.

    Shape of the logits: (B, keep, V). `beginning`: the cache of the prefix, not changed. Without
    `beginning` the rows have no prefix, and the returned cache is None.
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
    """The negative log-likelihood of every answer token of a batch in nats, row after row.

    Shape: (number of labels that are not `IGNORED`,). Without `beginning`, the cache of the prefix, the
    prefix runs here with its gradient.
    """
    labels = batch["labels"]
    if beginning is None and len(batch["prefix"]):
        beginning = begin(model, batch["prefix"])
    # The logits at a position predict the token at the next position.
    predicts = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED) != IGNORED
    with _head_on(model, predicts):
        logits, _ = forward(model, batch, predicts.shape[1], beginning)
    targets = labels[labels != IGNORED]
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


@contextmanager
def _head_on(model: Any, positions: Tensor) -> Iterator[None]:
    """Run the LM head on the true `positions` alone. Shape of `positions`: (B, T), bool.

    Shape of the logits: (number of true positions, V), row after row. The cost is that of the answer
    tokens, without the padding up to the longest answer of the batch.
    """

    def choose(_: torch.nn.Module, hidden: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = hidden[0]
        return (
            (states[positions.to(states.device)],)
            if states.shape[:2] == positions.shape
            else hidden
        )

    bare = getattr(model, "module", model)  # DistributedDataParallel wraps the model
    hook = bare.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        hook.remove()
