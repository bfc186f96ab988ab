"""evaluate: few-shot examples cover the labels, and a free answer may be as long as the longest label."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import evaluate
from prompts.encode import Encoder
from prompts.templates import Template
from rows.instructions import INSTRUCTIONS
from rows.tables import table_of, write_table
from settings.labels import Labels
from settings.model import Evaluate

LIMITS = Evaluate(
    batch_size=8,
    max_new_tokens_labelled=3,
    max_new_tokens_general=8,
    max_new_tokens_ten=8,
    max_new_tokens_hundred=8,
    few_shot_examples=4,
)


def _write_training_rows(rows_by_label: dict[str, int]) -> None:
    """Labelled training rows, so many of each label, and five general ones."""
    blank = dict.fromkeys(INSTRUCTIONS.names)
    labelled = [
        {
            **blank,
            "row_id": f"{label}-{at}",
            "prompt": f"{label} {at}?",
            "completion": label,
            "label": label,
        }
        for label, count in rows_by_label.items()
        for at in range(count)
    ]
    general = [
        {**blank, "row_id": f"general-{at}", "prompt": f"Say {at}.", "completion": f"{at}"}
        for at in range(5)
    ]
    for task, rows in (("labelled", labelled), ("general", general)):
        path = Path("data/instructions") / task / "train.parquet"
        write_table(path, table_of(rows, INSTRUCTIONS))


def _labels(names: list[str]) -> Labels:
    return Labels(names=names, positive=names[0])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "count", "of_each"), [(["a", "b"], 4, 2), (["a", "b", "c"], 4, 1), (["a", "b"], 5, 2)]
)
def test_examples_are_balanced_over_the_labels(names: list[str], count: int, of_each: int) -> None:
    _write_training_rows(dict.fromkeys(names, 6))
    examples = evaluate.draw_examples(count, _labels(names), 42)
    assert Counter(example["label"] for example in examples["labelled"]) == dict.fromkeys(
        names, of_each
    )
    prompts = [example["prompt"] for example in examples["labelled"]]
    assert len(set(prompts)) == len(prompts)
    assert len(examples["general"]) == count
    assert all(example["label"] is None for example in examples["general"])


def test_with_more_labels_than_examples_the_seed_draws_the_labels() -> None:
    names = [f"intent_{number}" for number in range(77)]
    _write_training_rows(dict.fromkeys(names, 2))
    shown = [
        {
            example["label"]
            for example in evaluate.draw_examples(4, _labels(names), seed)["labelled"]
        }
        for seed in range(8)
    ]
    assert {len(labels) for labels in shown} == {4}
    assert len(set().union(*shown)) > 8
    again = evaluate.draw_examples(4, _labels(names), 0)["labelled"]
    assert {example["label"] for example in again} == shown[0]


def test_a_label_with_too_few_rows_is_named_and_has_fewer_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _write_training_rows({"common": 9, "rare": 1})
    examples = evaluate.draw_examples(4, _labels(["common", "rare"]), 42)["labelled"]
    assert Counter(example["label"] for example in examples) == {"common": 2, "rare": 1}
    assert "no further training row has the label rare" in capsys.readouterr().out


@pytest.mark.parametrize("n_fitting", [4, 3, 1, 0])
def test_examples_that_do_not_fit_into_the_context_are_left_out(
    mistral_tokenizer: Any, capsys: pytest.CaptureFixture[str], n_fitting: int
) -> None:
    _write_training_rows({"a": 6, "b": 6})
    examples = evaluate.draw_examples(4, _labels(["a", "b"]), 42)["labelled"]
    prompts, limit = ["Short?", "A longer prompt, which is it?"], 5
    needed = [
        max(
            len(evaluate.encoder_of(mistral_tokenizer, "alpaca", examples[:n]).prompt(prompt))
            for prompt in prompts
        )
        + limit
        for n in range(5)
    ]
    config = {"text_config": {"max_position_embeddings": needed[n_fitting]}}
    path = Path("models/base/config.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(config), encoding="utf-8")
    fitting = evaluate.fitting_examples(examples, mistral_tokenizer, "alpaca", prompts, limit)
    # At most a token less than counted: the longest prompt and the examples are counted apart.
    assert fitting in (examples[:n_fitting], examples[: max(0, n_fitting - 1)])
    assert ("fit into the" in capsys.readouterr().out) == (len(fitting) < 4)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["negative", "positive"], 3),
        (["talk.politics.mideast", "not_entailment"], None),
        (["积极", "消极"], None),
    ],
)
def test_a_free_answer_may_be_as_long_as_the_longest_label(
    mistral_tokenizer: Any,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    expected: int | None,
) -> None:
    encoder = Encoder(mistral_tokenizer, "alpaca")
    pool = [Template(id="plain", instruction="{{ text }}")]
    limit = evaluate.label_limit(encoder, pool, _labels(names), LIMITS)
    longest = max(len(encoder.answer(name)) for name in names) + 1
    assert limit == (expected or longest)
    assert ("the longest label needs" in capsys.readouterr().out) == (longest > 3)
    for name in names:
        ids = [*encoder.answer(name), encoder.eos]
        assert len(ids) <= limit
        assert pool[0].label_in(encoder.decode(ids), names) == name


def test_the_limit_can_be_raised(mistral_tokenizer: Any) -> None:
    limits = LIMITS.model_copy(update={"max_new_tokens_labelled": 40})
    pool = [Template(id="plain", instruction="{{ text }}")]
    encoder = Encoder(mistral_tokenizer, "alpaca")
    assert evaluate.label_limit(encoder, pool, _labels(["yes", "no"]), limits) == 40
