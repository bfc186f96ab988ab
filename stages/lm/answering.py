"""Answers of a language model: log-likelihoods of choices and greedy generation, in one pass.

`answer_log_likelihoods` scores one whole answer to each prompt. A batch that memory does not hold is halved.
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
from runtime.progress import progress_bar

import torch
from torch import Tensor

from lm.batches import Group, answer_losses, begin, collate, forward, grouped, shared_length
from lm.choices import Choices, choice_log_likelihoods
from lm.processes import gather
from prompts.encode import Encoder

_Result = TypeVar("_Result")
_MAX_TOKENS = (
    2048  # of a batch in `answer_log_likelihoods`, which holds the logits of all answer tokens
)
# In the message of a RuntimeError if memory ran out: on a GPU, in a GPU's matrix library, on a CPU.
_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one prompt.

    `text`: the generated text, of `tokens` tokens. `log_likelihoods`: of the choices, in nats.
    `state`: the hidden state at the end of the prompt, the LM head's input. Shape: (H,).
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
    choices: Sequence[Choices] | None,
    max_new_tokens: int,
    batch_size: int,
    name: str,
) -> list[Answer]:
    """Answer each prompt greedily and score its `choices`; the prompt is computed once for both.

    `choices[i]` are the token ids of the possible answers to prompt i; every prompt has the same number
    of choices. A choice's log-likelihood is the sum over the choice's tokens. With `max_new_tokens` 0 no
    text is generated. The answers are in the order of the prompts. Raises `StudyError` for a row that
    memory does not hold.
    """

    @lru_cache(maxsize=1)  # all batches of a group begin with the same ids
    def beginning(prefix: tuple[int, ...]) -> Any:
        return begin(model, torch.tensor(prefix, dtype=torch.long, device=model.device))

    def answer(places: list[int], shared: int) -> list[Answer]:
        rows = [prompts[place] for place in places]
        batch = _on_device(model, collate(rows, [[]] * len(rows), encoder.pad, shared))
        logits, cache = forward(model, batch, keep=1, beginning=beginning(tuple(rows[0][:shared])))
        prompt_states = states[-1].float().cpu()
        mask = batch["attention_mask"]
        first = logits[:, -1].float()
        scores: list[list[float]] = [[] for _ in places]
        if choices is not None:
            batch_choices = [choices[place] for place in places]
            scores = choice_log_likelihoods(model, cache, mask, first, batch_choices)
        generated = _generate(model, cache, mask, first, max_new_tokens, encoder)
        return [
            Answer(encoder.decode(ids), len(ids), score, state)
            for ids, score, state in zip(generated, scores, prompt_states, strict=True)
        ]

    groups = grouped(prompts, batch_size, passes=max(1, max_new_tokens))
    with _recorded_states(model) as states:
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
    """The log-likelihood of each prompt's answer in nats: the sum over the answer's tokens.

    Raises `StudyError` for a row that memory does not hold.
    """
    joined = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]

    def score(places: list[int], _: int) -> list[float]:
        batch_prompts = [prompts[place] for place in places]
        batch_answers = [answers[place] for place in places]
        batch = collate(batch_prompts, batch_answers, encoder.pad, shared_length(batch_prompts))
        losses = answer_losses(model, _on_device(model, batch))
        losses_by_row = losses.split([len(answer) for answer in batch_answers])
        return [-float(row_losses.double().sum()) for row_losses in losses_by_row]

    return _in_batches(grouped(joined, batch_size, max_tokens=_MAX_TOKENS), joined, score, name)


def _in_batches(
    groups: Sequence[Group],
    rows: Sequence[Sequence[int]],
    compute: Callable[[list[int], int], Sequence[_Result]],
    name: str,
) -> list[_Result]:
    """The results of `compute(places, shared)` for all batches, in the order of the rows.

    Several processes take the batches in turn; every process returns the results of all processes. A
    batch that memory does not hold is halved, and later batches have at most as many rows as a half.
    Raises `StudyError` for a row that memory does not hold even alone.
    """
    results: dict[int, _Result] = {}
    max_rows = len(rows)
    batches = [(places, group.shared) for group in groups for places in group.batches]
    waiting = batches[RANK::PROCESSES][::-1]
    with progress_bar(sum(len(places) for places, _ in waiting), name, "row") as bar:
        while waiting:
            places, shared = waiting.pop()
            half = (len(places) + 1) // 2
            if len(places) <= max_rows:
                batch_results = _if_it_fits(partial(compute, places, shared))
                if batch_results is not None:
                    results.update(zip(places, batch_results, strict=True))
                    bar.update(len(places))
                    continue
                if len(places) == 1:
                    raise StudyError(
                        f"{name}: row {places[0] + 1} of {len(rows)} does not fit into memory, even "
                        f"in a batch of its own: {len(rows[places[0]])} tokens; free memory, use a "
                        "larger device, lower evaluate.max_new_tokens_*, or leave the row out"
                    )
                max_rows = half
            waiting += [(places[half:], shared), (places[:half], shared)]
    if max_rows < len(rows):
        print(f"{name}: at most {max_rows} rows fit into memory, fewer than evaluate.batch_size")
    results = gather(results)
    return [results[place] for place in range(len(rows))]


def _if_it_fits(compute: Callable[[], _Result]) -> _Result | None:
    """The result of `compute`, or None if memory runs out; the memory of `compute` is then free again."""
    try:
        return compute()
    except RuntimeError as error:
        if not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
    gc.collect()  # the traceback holds the batch's tensors, and the error may refer to itself
    torch.cuda.empty_cache()
    return None


@contextmanager
def _recorded_states(model: Any) -> Iterator[Sequence[Tensor]]:
    """The hidden states at the last position of the latest forward pass, one item. Shape: (B, H)."""
    states: deque[Tensor] = deque(maxlen=1)

    def record(_: torch.nn.Module, hidden: tuple[Tensor, ...]) -> None:
        states.append(hidden[0][:, -1].clone())  # a view would keep all positions in memory

    hook = model.get_output_embeddings().register_forward_pre_hook(record)
    try:
        yield states
    finally:
        hook.remove()


def _on_device(model: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.to(model.device) for key, value in batch.items()}


def _generate(
    model: Any, cache: Any, mask: Tensor, first: Tensor, max_new_tokens: int, encoder: Encoder
) -> list[list[int]]:
    """The token ids of greedy answers. Once half of a batch has stopped, its stopped rows are removed.

    `cache`, `mask` and `first` as in `choice_log_likelihoods`; the cache grows.
    """
    generated: list[list[int]] = [[] for _ in range(len(first))]
    running = list(range(len(first)))
    logits = first
    for step in range(max_new_tokens):
        tokens = logits.argmax(-1)
        unfinished = []
        for place, (row, token) in enumerate(zip(running, tokens.tolist(), strict=True)):
            if generated[row] and encoder.has_stopped(generated[row]):
                continue
            generated[row].append(token)
            if not encoder.has_stopped(generated[row]):
                unfinished.append(place)
        if not unfinished or step == max_new_tokens - 1:
            break
        if 2 * len(unfinished) <= len(running):
            selected = torch.tensor(unfinished)  # on the CPU: layers may be on several GPUs
            running = [running[place] for place in unfinished]
            tokens, mask = tokens[selected], mask[selected]
            cache.batch_select_indices(selected)
        mask = torch.cat([mask, mask.new_ones(len(running), 1)], 1)
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
    return generated
