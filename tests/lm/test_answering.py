"""Log-likelihoods and greedy answers in batches equal those of a row alone, computed plainly."""

import lm  # isort: skip  # before torch
from typing import Any

import pytest
import torch

from lm.answering import answer_prompts
from prompts.encode import Encoder

assert lm

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
    choices = [[encoder.answer(choice) for choice in CHOICES]] * len(prompts)
    answers = answer_prompts(toy_model, encoder, prompts, choices, 6, batch_size, "test")
    for prompt, answer in zip(prompts, answers, strict=True):
        wanted = [_plain_log_likelihood(toy_model, prompt, choice) for choice in choices[0]]
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
