"""What a model answers: the log-likelihood of given answers, and greedy generation, in one pass.

Also how likely it finds a whole answer that others wrote. Batches are as large as memory allows.
"""

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

from runtime.errors import StudyError
from runtime.process import PROCESSES, RANK
from runtime.progress import BAR_SECONDS

import torch
from torch import Tensor
from tqdm import tqdm

from lm.batches import Group, answer_losses, begin, collate, forward, grouped, shared_length
from lm.processes import gather
from prompts.encode import Encoder

_Found = TypeVar("_Found")
_MAX_TOKENS = 2048  # of a batch whose answers are scored whole: logits of all of them at once
# What a RuntimeError says where memory ran out: on a GPU, in its matrix library, on the CPU.
_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")


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

    @lru_cache(maxsize=1)  # the batches of a group share it
    def beginning(prefix: tuple[int, ...]) -> Any:
        return begin(model, torch.tensor(prefix, dtype=torch.long, device=model.device))

    def answer(places: list[int], shared: int) -> list[Answer]:
        rows = [prompts[at] for at in places]
        batch = _on_device(model, collate(rows, [[]] * len(rows), encoder.pad, shared))
        logits, cache = forward(model, batch, keep=1, beginning=beginning(tuple(rows[0][:shared])))
        of_prompts = states[-1].float().cpu()
        mask = batch["attention_mask"]
        first = logits[:, -1].float()
        scores: list[list[float]] = [[] for _ in places]
        if choices is not None:
            scores = _score(model, cache, mask, first, [choices[at] for at in places], encoder)
        said = _generate(model, cache, mask, first, max_new_tokens, encoder)
        return [
            Answer(encoder.decode(ids), len(ids), score, state)
            for ids, score, state in zip(said, scores, of_prompts, strict=True)
        ]

    groups = grouped(prompts, batch_size, passes=max(1, max_new_tokens))
    with _states_read(model) as states:
        return _in_batches(groups, prompts, answer, name)


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

    def score(places: list[int], _: int) -> list[float]:
        asked, given = [prompts[at] for at in places], [answers[at] for at in places]
        batch = collate(asked, given, encoder.pad, shared_length(asked))
        losses = answer_losses(model, _on_device(model, batch))
        of_rows = losses.split([len(answer) for answer in given])
        return [-float(of_row.double().sum()) for of_row in of_rows]

    return _in_batches(grouped(joined, batch_size, max_tokens=_MAX_TOKENS), joined, score, name)


def _in_batches(
    groups: Sequence[Group],
    rows: Sequence[Sequence[int]],
    find: Callable[[list[int], int], Sequence[_Found]],
    name: str,
) -> list[_Found]:
    """What `find(places, shared)` finds for the rows of each batch, in the rows' order.

    Several processes take the batches in turn, and each gives what all have found. A batch that memory
    does not hold is halved, and no later one has more rows than that. Raises `StudyError` for a row
    that it does not hold alone.
    """
    found: dict[int, _Found] = {}
    most = len(rows)
    batches = [(places, group.shared) for group in groups for places in group.batches]
    waiting = batches[RANK::PROCESSES][::-1]
    with _bar(sum(len(places) for places, _ in waiting), name) as bar:
        while waiting:
            places, shared = waiting.pop()
            half = (len(places) + 1) // 2
            if len(places) <= most:
                given = _if_it_fits(partial(find, places, shared))
                if given is not None:
                    found.update(zip(places, given, strict=True))
                    bar.update(len(places))
                    continue
                if len(places) == 1:
                    raise StudyError(
                        f"{name}: memory does not hold row {places[0] + 1} of {len(rows)} even "
                        f"alone: {len(rows[places[0]])} tokens; free memory, use a larger "
                        "device, lower evaluate.max_new_tokens_*, or leave the row out"
                    )
                most = half
            waiting += [(places[half:], shared), (places[:half], shared)]
    if most < len(rows):
        print(f"{name}: memory held {most} rows at once, not all of evaluate.batch_size")
    found = gather(found)
    return [found[at] for at in range(len(rows))]


def _if_it_fits(find: Callable[[], _Found]) -> _Found | None:
    """What `find` finds; None where memory runs out, all that it held there being let go."""
    try:
        return find()
    except RuntimeError as error:
        if not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
    gc.collect()  # the error's traceback, which holds the batch's tensors, may refer to itself
    torch.cuda.empty_cache()
    return None


@contextmanager
def _states_read(model: Any) -> Iterator[Sequence[Tensor]]:
    """The last hidden state (B, H) that the LM head reads of each row, of the latest call alone."""
    states: deque[Tensor] = deque(maxlen=1)

    def read(_: torch.nn.Module, hidden: tuple[Tensor, ...]) -> None:
        states.append(hidden[0][:, -1].clone())  # a view would hold all the others

    hook = model.get_output_embeddings().register_forward_pre_hook(read)
    try:
        yield states
    finally:
        hook.remove()


def _on_device(model: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.to(model.device) for key, value in batch.items()}


def _bar(total: int, name: str) -> Any:
    return tqdm(total=total, desc=name, unit="row", mininterval=BAR_SECONDS, disable=RANK > 0)


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
            keep = torch.tensor(going)  # on the processor: layers may be on several GPUs
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
