"""Batches: nothing that a batch shares or pads changes what a row says on its own."""

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.batches import (
    IGNORED,
    LengthBatches,
    alike,
    begin,
    collate,
    forward,
    grouped,
    shared_length,
)
from prompts.encode import Encoder
from prompts.format import write_prompt

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), min_size=1, max_size=60)


@given(ROWS, st.integers(1, 9), st.integers(0, 5))
def test_every_place_comes_once(rows: list[list[int]], batch_size: int, seed: int) -> None:
    places = list(range(len(rows)))
    first = list(LengthBatches(rows, batch_size, seed))
    assert sorted(at for batch in first for at in batch) == places
    assert {len(batch) for batch in first[:-1]} <= {batch_size}
    assert 0 < len(first[-1]) <= batch_size
    assert first == list(LengthBatches(rows, batch_size, seed))
    assert sorted(at for group in alike(rows, batch_size) for at in group) == places
    groups = grouped(rows, batch_size)
    assert sorted(at for group in groups for batch in group.batches for at in batch) == places
    for group in groups:
        assert all(0 < len(batch) <= batch_size for batch in group.batches)
        order = [at for batch in group.batches for at in batch]
        assert all(len(rows[a]) >= len(rows[b]) for a, b in pairwise(order))
        assert group.shared == shared_length([rows[at] for at in order])


@given(ROWS, st.integers(1, 9), st.integers(1, 5))
def test_processes_that_take_batches_in_turn_have_equally_many(
    rows: list[list[int]], batch_size: int, processes: int
) -> None:
    batches = list(LengthBatches(rows, batch_size, 0, processes))
    assert len(batches) == len(LengthBatches(rows, batch_size, 0, processes))
    needed = -(-len(rows) // batch_size)
    assert batches[:needed] == list(LengthBatches(rows, batch_size, 0))
    assert all(batch == [] for batch in batches[needed:])  # padding
    assert len(batches) % processes == 0
    assert len(batches) - needed < processes


def test_another_epoch_has_another_order() -> None:
    sampler = LengthBatches([[0] * length for length in range(1, 65)], 4, 1)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_batches_of_the_sampler_have_alike_lengths_and_beginnings() -> None:
    generator = random.Random(0)
    wordings = [[generator.randrange(90) for _ in range(12)] for _ in range(5)]
    rows = [
        [1, 2, *generator.choice(wordings), *([3] * generator.randint(1, 100))] for _ in range(800)
    ]
    batches = [[rows[at] for at in batch] for batch in LengthBatches(rows, 8, 0)]
    assert len(batches) == 100
    padding = sum(8 * max(map(len, batch)) - sum(map(len, batch)) for batch in batches)
    assert padding < 0.2 * sum(map(len, rows))
    assert sum(shared_length(batch) >= 14 for batch in batches) > 0.9 * len(batches)


def test_every_stretch_of_the_epoch_holds_rows_of_each_wording() -> None:
    rows = [[1, *[2 + at % 3] * 9, at] for at in range(384)]
    order = [at for batch in LengthBatches(rows, 8, 0) for at in batch]
    for start in range(0, 384, 96):
        wordings = [rows[at][1] for at in order[start : start + 96]]
        assert all(24 <= wordings.count(wording) <= 40 for wording in (2, 3, 4))


def test_groups_to_answer_hold_one_wording_each() -> None:
    rows = [[1, *[2 + at % 3] * 9, *[at] * (at % 7)] for at in range(72)]
    groups = grouped(rows, 10)
    assert len(groups) == 3
    for group in groups:
        assert len({rows[at][1] for batch in group.batches for at in batch}) == 1
        assert group.shared == 9  # of ten ids alike one is left over, since some rows have no other


@given(st.lists(st.integers(1, 200), min_size=1, max_size=9), st.integers(1, 4), st.integers(1, 3))
def test_no_other_cut_costs_less(lengths: list[int], batch_size: int, passes: int) -> None:
    rows = [[at, *[7] * (length - 1)] for at, length in enumerate(lengths)]  # nothing shared

    def cost(sizes: list[int]) -> int:
        start, total = 0, 0
        for size in sizes:
            total += 50 * passes + size * ordered[start]
            start += size
        return total

    def all_cuts(left: int) -> Iterator[list[int]]:
        if not left:
            yield []
        for size in range(1, min(left, batch_size) + 1):
            yield from ([size, *rest] for rest in all_cuts(left - size))

    ordered = sorted(lengths, reverse=True)
    chosen = [
        [len(batch) for batch in group.batches] for group in grouped(rows, batch_size, passes)
    ]
    if batch_size == 1:
        assert all(sizes == [1] for sizes in chosen)
    else:
        assert cost(chosen[0]) == min(cost(sizes) for sizes in all_cuts(len(lengths)))


@given(st.lists(st.integers(1, 200), max_size=20), st.integers(1, 8), st.integers(1, 300))
def test_a_batch_of_several_rows_stays_below_the_most_tokens(
    lengths: list[int], batch_size: int, most: int
) -> None:
    rows = [[at, *[7] * (length - 1)] for at, length in enumerate(lengths)]  # nothing shared
    batches = [
        batch for group in grouped(rows, batch_size, max_tokens=most) for batch in group.batches
    ]
    assert sorted(at for batch in batches for at in batch) == list(range(len(rows)))
    for batch in batches:
        assert len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * max(lengths[at] for at in batch) <= most


def test_rare_beginnings_stay_together() -> None:
    rows = [[1, 2, 3, at] for at in range(4)] + [[1, at, at, at] for at in range(7, 12)]
    assert alike(rows, 4) == [list(range(9))]
    rows = [[1, *[2] * 9, at] for at in range(4)] + [[1, at, at, at] for at in range(7, 12)]
    assert alike(rows, 4) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_shared_beginning_leaves_each_prompt_an_id(prompts: list[list[int]]) -> None:
    shared = shared_length(prompts)
    assert 0 <= shared < min(map(len, prompts))
    assert len({tuple(prompt[:shared]) for prompt in prompts}) == 1


PROMPTS = [[5, 6, 7, 8, 9], [5, 6, 7, 3], [5, 6, 7, 8, 9, 10, 11, 12]]
ANSWERS = [[20, 2], [21, 22, 23, 2], [24, 2]]


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )


@pytest.mark.parametrize("share", [False, True])
def test_a_batch_says_what_each_row_says_alone(toy_model: Any, share: bool) -> None:
    batch = collate(PROMPTS, ANSWERS, pad=0, shared=3 if share else 0)
    assert (len(batch["prefix"]) == 3) == share
    with torch.no_grad():
        beginning = begin(toy_model, batch["prefix"]) if share else None
        logits, _ = forward(toy_model, batch, batch["labels"].shape[1], beginning)
        for row, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
            alone = toy_model(torch.tensor([prompt + answer]), use_cache=False).logits[0]
            wanted = alone[len(prompt) - 1 : -1]
            got = logits[row, -len(answer) - 1 : -1]
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_one_beginning_serves_several_batches(toy_model: Any) -> None:
    batch = collate(PROMPTS, ANSWERS, pad=0, shared=3)
    with torch.no_grad():
        beginning = begin(toy_model, batch["prefix"])
        first, second = (forward(toy_model, batch, 2, beginning)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_gradients_flow_through_the_shared_beginning(toy_model: Any) -> None:
    gradients = []
    for share in (False, True):
        toy_model.zero_grad()
        batch = collate(PROMPTS, ANSWERS, pad=0, shared=3 if share else 0)
        beginning = begin(toy_model, batch["prefix"]) if share else None
        logits, _ = forward(toy_model, batch, batch["labels"].shape[1], beginning)
        _loss(logits, batch["labels"]).backward()
        gradients.append([each.grad.clone() for each in toy_model.parameters()])
    toy_model.zero_grad()
    for apart, shared in zip(*gradients, strict=True):
        torch.testing.assert_close(shared, apart, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["mistral", "smollm2"])
@pytest.mark.parametrize("share", [False, True])
def test_the_loss_mask_covers_the_prompt_and_nothing_of_the_answer(
    request: pytest.FixtureRequest, name: str, share: bool
) -> None:
    encoder = Encoder(request.getfixturevalue(f"{name}_tokenizer"), "alpaca")
    prompt = write_prompt("alpaca", "Classify.", "what a day")
    said = ["negative", "It is positive, I think."]
    rows = [encoder.example(prompt, answer) for answer in said]
    prompts = [row.prompt for row in rows]
    shared = shared_length(prompts) if share else 0
    batch = collate(prompts, [row.answer for row in rows], encoder.pad, shared)
    for at, answer in enumerate(said):
        learnt = batch["labels"][at][batch["labels"][at] != IGNORED].tolist()
        assert learnt == [*encoder.answer(answer), encoder.eos]
        assert batch["input_ids"][at, -len(learnt) :].tolist() == learnt


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(3, 90), min_size=1, max_size=9),
            st.lists(st.integers(3, 90), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_labels_and_mask_fit_any_rows(rows: list[tuple[list[int], list[int]]]) -> None:
    prompts, answers = [row[0] for row in rows], [row[1] for row in rows]
    batch = collate(prompts, answers, pad=0, shared=shared_length(prompts))
    assert int((batch["labels"] != IGNORED).sum()) == sum(map(len, answers))
    shared = len(batch["prefix"])
    for row, (prompt, answer) in enumerate(rows):
        there = batch["attention_mask"][row, shared:].bool()
        assert batch["input_ids"][row][there].tolist() == (prompt + answer)[shared:]
        positions = batch["position_ids"][row][there].tolist()
        assert positions == list(range(shared, len(prompt) + len(answer)))
