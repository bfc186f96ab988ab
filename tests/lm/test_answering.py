"""Log-likelihoods and greedy answers in batches equal those of a row alone, computed plainly."""

import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lm.answering import answer_log_likelihoods, answer_prompts
from lm.base import load_base, load_system
from prompts.encode import Encoder
from settings.model import Precision

PROMPTS = [
    "Is it good or bad?",
    "Is it good or bad? Truly, a very long question about the weather in spring.",
    "Is it",
    "Tell me.",
]
CHOICES = ["positive", "negative", "somewhat in between"]


@pytest.fixture(scope="module")
def encoder(mistral_tokenizer: Any) -> Encoder:
    return Encoder(mistral_tokenizer, "alpaca")


def _plain_log_likelihood(model: Any, prompt: list[int], answer: list[int]) -> float:
    with torch.no_grad():
        steps = torch.log_softmax(model(torch.tensor([prompt + answer])).logits[0].float(), -1)
    return sum(float(steps[len(prompt) - 1 + at, id]) for at, id in enumerate(answer))


def _plain_greedy(model: Any, encoder: Encoder, prompt: list[int], limit: int) -> str:
    said: list[int] = []
    while len(said) < limit and not (said and encoder.has_stopped(said)):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + said]), use_cache=False).logits
        said.append(int(logits[0, -1].argmax()))
    return encoder.decode(said)


@pytest.mark.parametrize("batch_size", [1, 3, 4])
@pytest.mark.parametrize("shots", [(), (("Is it?", "yes"), ("And now?", "no, not really"))])
def test_batches_answer_as_single_rows_do(
    toy_model: Any, encoder: Encoder, batch_size: int, shots: tuple[tuple[str, str], ...]
) -> None:
    encoder = Encoder(encoder.tokenizer, "alpaca", shots)
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    choices = [encoder.choices(CHOICES)] * len(prompts)
    answers = answer_prompts(toy_model, encoder, prompts, choices, 6, batch_size, "test")
    for prompt, answer in zip(prompts, answers, strict=True):
        wanted = [_plain_log_likelihood(toy_model, prompt, list(choice)) for choice in choices[0]]
        assert answer.log_likelihoods == pytest.approx(wanted, abs=1e-4)
        assert answer.text == _plain_greedy(toy_model, encoder, prompt, 6)


@pytest.mark.parametrize(("limit", "passes"), [(1, 4), (20, 20)])
def test_long_answers_to_unequal_prompts_are_generated_together(
    toy_model: Any, encoder: Encoder, limit: int, passes: int
) -> None:
    prompts = [[*encoder.prompt("Is it?"), *[7] * (60 * at)] for at in range(4)]
    calls: list[int] = []
    hook = toy_model.register_forward_hook(lambda *_: calls.append(1))
    answer_prompts(toy_model, encoder, prompts, None, limit, 4, "test")
    hook.remove()
    assert len(calls) == 1 + passes  # what all share is run once before


def test_without_choices_there_are_no_scores(toy_model: Any, encoder: Encoder) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    answers = answer_prompts(toy_model, encoder, prompts, None, 3, 2, "test")
    assert [answer.log_likelihoods for answer in answers] == [[]] * len(prompts)


def test_rows_that_end_early_leave_the_others_as_they_were(
    toy_model: Any, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever token the toy model says first to one prompt is made its end of sequence: that row
    # stops at once, the batch shrinks, and the others must still say what they say alone.
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    with torch.no_grad():
        firsts = [int(toy_model(torch.tensor([ids])).logits[0, -1].argmax()) for ids in prompts]
    for eos in dict.fromkeys(firsts):
        monkeypatch.setattr(encoder, "eos", eos)
        answers = answer_prompts(toy_model, encoder, prompts, None, 8, 4, "test")
        for ids, answer in zip(prompts, answers, strict=True):
            assert answer.text == _plain_greedy(toy_model, encoder, ids, 8)


def test_choices_are_scored_alike_without_an_answer(toy_model: Any, encoder: Encoder) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    choices = [encoder.choices(CHOICES)] * len(prompts)
    scored, answered = (
        answer_prompts(toy_model, encoder, prompts, choices, limit, 2, "test") for limit in (0, 3)
    )
    assert [answer.text for answer in scored] == [""] * len(prompts)
    assert [answer.tokens for answer in scored] == [0] * len(prompts)
    for one, other in zip(scored, answered, strict=True):
        assert one.log_likelihoods == pytest.approx(other.log_likelihoods, abs=1e-5)


def test_the_tokens_of_an_answer_are_counted(toy_model: Any, encoder: Encoder) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    answers = answer_prompts(toy_model, encoder, prompts, None, 5, 4, "test")
    assert all(1 <= answer.tokens <= 5 for answer in answers)
    assert any(answer.tokens == 5 for answer in answers)


# --- whole answers ------------------------------------------------------------------------------

ANSWERS = ["Good.", "Neither, I should say; it is a day like any other.", "yes", "I can not."]


@pytest.mark.parametrize("batch_size", [1, 3, 4])
@pytest.mark.parametrize("shots", [(), (("Is it?", "yes"), ("And now?", "no, not really"))])
def test_whole_answers_have_the_likelihood_of_the_models_own_loss(
    toy_model: Any, encoder: Encoder, batch_size: int, shots: tuple[tuple[str, str], ...]
) -> None:
    encoder = Encoder(encoder.tokenizer, "alpaca", shots)
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    answers = [encoder.answer(answer) for answer in ANSWERS]
    found = answer_log_likelihoods(toy_model, encoder, prompts, answers, batch_size, "test")
    for prompt, answer, log_likelihood in zip(prompts, answers, found, strict=True):
        labels = torch.tensor([[-100] * len(prompt) + answer])
        with torch.no_grad():
            loss = toy_model(torch.tensor([prompt + answer]), labels=labels).loss
        assert -log_likelihood / len(answer) == pytest.approx(float(loss), abs=1e-4)


def test_an_adapter_before_training_forgets_exactly_nothing(
    toy_base: Path, encoder: Encoder, tmp_path: Path
) -> None:
    precision = Precision(dtype="float32", quantization="none")
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(load_base(toy_base, precision), config).save_pretrained(tmp_path)
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    answers = [encoder.answer(answer) for answer in ANSWERS]
    before, after = (
        answer_log_likelihoods(
            load_system(toy_base, adapter, precision), encoder, prompts, answers, 4, "test"
        )
        for adapter in (None, tmp_path)
    )
    assert before == after


# --- hidden states ------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "limit"), [(1, 0), (3, 2), (4, 0)])
def test_the_state_of_an_answer_is_that_at_the_end_of_its_prompt(
    toy_model: Any, encoder: Encoder, batch_size: int, limit: int
) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    choices = [encoder.choices(CHOICES)] * len(prompts)
    answers = answer_prompts(toy_model, encoder, prompts, choices, limit, batch_size, "test")
    for prompt, answer in zip(prompts, answers, strict=True):
        with torch.no_grad():
            plain = toy_model.model(torch.tensor([prompt])).last_hidden_state[0, -1]
        assert torch.allclose(answer.state, plain, atol=1e-4)


# --- memory -------------------------------------------------------------------------------------

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate "
        "memory: you tried to allocate 99 bytes."
    ),
]


@contextmanager
def _memory_for(
    model: Any, rows: int, error: Exception = OUT_OF_MEMORY[0], tokens: float = float("inf")
) -> Iterator[list[int]]:
    """Let the model run out of memory above so many rows, or tokens of a row; give what it is asked."""
    asked: list[int] = []

    def run_out(_: Any, __: Any, batch: dict[str, torch.Tensor]) -> None:
        asked.append(len(batch["input_ids"]))
        if asked[-1] > rows or batch["input_ids"].shape[1] > tokens:
            raise error

    hook = model.register_forward_pre_hook(run_out, with_kwargs=True)
    try:
        yield asked
    finally:
        hook.remove()


def _answer_all(model: Any, encoder: Encoder) -> list[Any]:
    """Eleven prompts of two wordings and unequal lengths, scored and answered in batches of eight."""
    prompts = [encoder.prompt(f"{PROMPTS[at % 2]} {'so ' * at}") for at in range(11)]
    choices = [encoder.choices(CHOICES)] * len(prompts)
    return answer_prompts(model, encoder, prompts, choices, 4, 8, "the rows")


def _score_all(model: Any, encoder: Encoder) -> list[Any]:
    prompts = [encoder.prompt(f"{PROMPTS[at % 2]} {'so ' * at}") for at in range(11)]
    answers = [encoder.answer(ANSWERS[at % 4]) for at in range(11)]
    return answer_log_likelihoods(model, encoder, prompts, answers, 8, "the rows")


@pytest.mark.parametrize(
    ("rows", "error"),
    [(1, OUT_OF_MEMORY[0]), (3, OUT_OF_MEMORY[0]), (5, OUT_OF_MEMORY[1]), (2, OUT_OF_MEMORY[2])],
)
def test_batches_too_large_for_memory_are_halved_and_answer_the_same(
    toy_model: Any, encoder: Encoder, rows: int, error: Exception, capsys: Any
) -> None:
    wanted = _answer_all(toy_model, encoder)
    likelihoods = _score_all(toy_model, encoder)
    assert capsys.readouterr().out == ""
    with _memory_for(toy_model, rows, error) as asked:
        found = _answer_all(toy_model, encoder)
    # Each size is tried once: what did not fit before is not asked for again.
    too_large = [size for size in asked if size > rows]
    assert too_large
    assert too_large == sorted(set(too_large), reverse=True)
    assert max(asked[asked.index(too_large[-1]) + 1 :]) == min(
        (size + 1) // 2 for size in too_large
    )
    for one, other in zip(wanted, found, strict=True):
        assert (other.text, other.tokens) == (one.text, one.tokens)
        assert other.log_likelihoods == pytest.approx(one.log_likelihoods, abs=1e-4)
        assert torch.allclose(other.state, one.state, atol=1e-4)
    (line,) = capsys.readouterr().out.splitlines()
    largest = max(asked[asked.index(too_large[-1]) + 1 :])
    assert (
        line == f"the rows: at most {largest} rows fit into memory, fewer than evaluate.batch_size"
    )
    with _memory_for(toy_model, rows, error):
        assert _score_all(toy_model, encoder) == pytest.approx(likelihoods, abs=1e-4)


@pytest.mark.parametrize("run", [_answer_all, _score_all])
def test_a_row_that_does_not_fit_alone_is_named(
    toy_model: Any, encoder: Encoder, run: Callable[[Any, Encoder], list[Any]]
) -> None:
    lengths = [len(encoder.prompt(f"{PROMPTS[at % 2]} {'so ' * at}")) for at in range(11)]
    if run is _score_all:
        lengths = [many + len(encoder.answer(ANSWERS[at % 4])) for at, many in enumerate(lengths)]
    longest = lengths.index(max(lengths))
    message = (
        f"the rows: row {longest + 1} of 11 does not fit into memory, even in a batch of its own: "
        f"{max(lengths)} tokens; free memory, use a larger device, lower evaluate.max_new_tokens_*, or "
        "leave the row out"
    )
    with _memory_for(toy_model, 8, tokens=20), pytest.raises(StudyError, match=re.escape(message)):
        run(toy_model, encoder)


def test_another_error_is_not_taken_for_memory(toy_model: Any, encoder: Encoder) -> None:
    broken = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with _memory_for(toy_model, 2, broken), pytest.raises(RuntimeError, match="cannot be mult"):
        _answer_all(toy_model, encoder)


def test_what_a_batch_held_is_let_go_before_its_halves_run(
    toy_model: Any, encoder: Encoder
) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def run_out(_: Any, __: Any, batch: dict[str, torch.Tensor]) -> None:
        assert all(tensor() is None for tensor in held)
        if len(batch["input_ids"]) > 2:
            held.append(weakref.ref(batch["input_ids"]))
            error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
            error.itself = error  # as a library's own may do
            raise error

    hook = toy_model.register_forward_pre_hook(run_out, with_kwargs=True)
    _answer_all(toy_model, encoder)
    hook.remove()
    assert len(held) >= 2
