"""Choices scored in one pass over the tree of their beginnings, against each choice computed plainly."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, MistralConfig, MistralForCausalLM

from lm import choices as module
from lm.answering import answer_prompts
from lm.choices import Choices, tree_of
from prompts.encode import Encoder

PROMPTS = ["Is it?", "Which of them is it, would you say, if you had to say?", "Tell me."]
INTENTS = [f"card {verb} {thing}" for verb in ("lost", "got", "to") for thing in "abcdefgh"]
LABELS = {
    "one token": ["yes", "no"],
    "common beginnings": INTENTS,
    "one begins another": ["order", "order status", "order status late"],
    "other scripts": ["积极", "消极", "सकारात्मक", "talk.politics.mideast", "not_entailment"],
}


@pytest.fixture(scope="module")
def encoder(mistral_tokenizer: Any) -> Encoder:
    return Encoder(mistral_tokenizer, "alpaca")


def _plain(model: Any, prompt: Sequence[int], choice: Sequence[int]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *choice]]), use_cache=False).logits[0]
    steps = torch.log_softmax(logits.float(), -1)
    return sum(float(steps[len(prompt) - 1 + at, id]) for at, id in enumerate(choice))


def _assert_scores(
    model: Any, encoder: Encoder, prompts: list[list[int]], choices: list[Choices]
) -> None:
    answers = answer_prompts(model, encoder, prompts, choices, 2, 3, "test")
    for prompt, row_choices, answer in zip(prompts, choices, answers, strict=True):
        expected = [_plain(model, prompt, choice) for choice in row_choices]
        assert answer.log_likelihoods == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("most", [2048, 9, 1])
def test_scores_are_those_of_each_choice_alone(
    toy_model: Any, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, kind: str, most: int
) -> None:
    monkeypatch.setattr(module, "MAX_NODES", most)
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    _assert_scores(toy_model, encoder, prompts, [encoder.choices(LABELS[kind])] * len(prompts))


def test_rows_of_a_batch_may_have_other_choices(toy_model: Any, encoder: Encoder) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    choices = [
        encoder.choices(answers)
        for answers in (["no", "yes it is"], ["It is no", "It is yes"], ["no", "no way"])
    ]
    _assert_scores(toy_model, encoder, prompts, choices)


def test_all_labels_of_many_cost_one_pass(toy_model: Any, encoder: Encoder) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    choices = [encoder.choices(INTENTS)] * len(prompts)
    passes: list[int] = []
    hook = toy_model.register_forward_hook(lambda *_: passes.append(1))
    answer_prompts(toy_model, encoder, prompts, choices, 0, len(prompts), "test")
    hook.remove()
    assert len(passes) == 3  # the beginning of all prompts, the prompts, the tree
    n_tokens = sum(map(len, choices[0]))
    assert len(tree_of(choices[0]).tokens) < n_tokens / 2


def test_a_tree_is_scored_without_flash_attention(
    toy_model: Any, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [encoder.prompt(prompt) for prompt in PROMPTS]
    expected = answer_prompts(
        toy_model, encoder, prompts, [encoder.choices(INTENTS)] * 3, 0, 3, "test"
    )
    # No FlashAttention here: the prompts run with SDPA, and the config claims FlashAttention for the tree.
    switched: list[str] = []
    choose = toy_model.set_attn_implementation

    def record(implementation: str) -> None:
        switched.append(implementation)
        choose(implementation)

    def claim(_: Any, __: Any, batch: dict[str, Any]) -> None:
        mask = batch.get("attention_mask")  # a tree's mask has four dimensions
        assert mask is None or mask.ndim == 2 or switched == ["sdpa"]

    monkeypatch.setattr(toy_model, "set_attn_implementation", record)
    node_logits = module._node_logits

    def with_flash(model: Any, *arguments: Any) -> Any:
        model.config._attn_implementation = "flash_attention_2"
        return node_logits(model, *arguments)

    monkeypatch.setattr(module, "_node_logits", with_flash)
    hook = toy_model.register_forward_pre_hook(claim, with_kwargs=True)
    answers = answer_prompts(
        toy_model, encoder, prompts, [encoder.choices(INTENTS)] * 3, 0, 3, "test"
    )
    hook.remove()
    assert switched == ["sdpa"]
    for answer, other in zip(answers, expected, strict=True):
        assert answer.log_likelihoods == other.log_likelihoods


def test_a_tree_has_a_node_for_every_beginning_that_a_token_follows() -> None:
    tree = tree_of([(1, 2, 3), (1, 2, 4), (5,), (1,)])
    assert (tree.tokens, tree.parents, tree.depths) == ([1, 2], [-1, 0], [1, 2])
    assert tree.steps == [
        [(-1, 1), (0, 2), (1, 3)],
        [(-1, 1), (0, 2), (1, 4)],
        [(-1, 5)],
        [(-1, 1)],
    ]
    assert tree.ancestors() == [[0], [0, 1]]


@pytest.mark.parametrize("kind", ["mistral", "gemma3"])
def test_layers_with_a_sliding_window_see_no_farther_than_it(encoder: Encoder, kind: str) -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": len(encoder.tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "sliding_window": 8,
    }
    model: Any
    if kind == "mistral":
        model = MistralForCausalLM(MistralConfig(**shape)).eval()
    else:
        layers = ["sliding_attention", "full_attention"]
        config = Gemma3TextConfig(**shape, head_dim=16, layer_types=layers)
        model = Gemma3ForCausalLM(config).eval()
    # Rows of one length: the window counts padding between the shared beginning and the rest of a row.
    prompts = [encoder.prompt(PROMPTS[1])] * 2
    assert len(prompts[0]) > 8
    _assert_scores(model, encoder, prompts, [encoder.choices(INTENTS)] * len(prompts))
