"""The encoder: it learns, the same bits come back after an interruption, others can load the folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    pipeline,
)

from lm import encoder_training
from lm.encoder import (
    EncoderModel,
    collate,
    encoder_log_probabilities,
    load_encoder,
    load_pretrained,
    save_encoder,
    token_ids,
)
from lm.encoder_training import EncoderAccount, encoder_key, train_encoder
from settings.encoder import EncoderTraining
from toy_encoder import letters_tokenizer, save_toy_encoder

STAGES = Path(__file__).resolve().parents[2] / "stages"
NAMES = ["bad", "good"]
TEXTS = [f"{'awful' if at % 2 else 'lovely'} {'day ' * (at % 5)}" for at in range(22)]
LABELS = [(at + 1) % 2 for at in range(22)]
SETTINGS = EncoderTraining(
    epochs=3, learning_rate=0.01, batch_size=4, max_length=24, checkpoint_every=100
)


def _changed(**changes: float) -> EncoderTraining:
    return SETTINGS.model_copy(update=changes)


STEPS = 18  # 22 rows in batches of 4, three times


@pytest.fixture(scope="module")
def toy_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a toy encoder: `toy_encoder("bert")`."""
    root = tmp_path_factory.mktemp("encoders")

    def folder(kind: str) -> Path:
        if not (root / kind).exists():
            save_toy_encoder(kind, root / kind)
        return root / kind

    return folder


@pytest.fixture
def bert(toy_encoder: Callable[[str], Path]) -> Path:
    return toy_encoder("bert")


def _train(
    folder: Path,
    checkpoints: Path,
    settings: EncoderTraining = SETTINGS,
    texts: list[str] = TEXTS,
    labels: list[int] = LABELS,
    names: list[str] = NAMES,
) -> tuple[EncoderModel, EncoderAccount]:
    validation = (texts[:6], labels[:6])
    checkpoints.mkdir(exist_ok=True)
    return train_encoder(
        folder, texts, labels, *validation, names, settings, 7, checkpoints, "test"
    )


def _weights(model: EncoderModel) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = model.classifier.state_dict()
    return weights


def _assert_same_bits(model: EncoderModel, other: EncoderModel) -> None:
    weights, expected = _weights(model), _weights(other)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_each_kind_of_encoder_learns_and_others_can_load_the_result(
    toy_encoder: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    folder = toy_encoder(kind)
    model, account = _train(folder, tmp_path / "checkpoints", _changed(epochs=8))
    scores = encoder_log_probabilities(model, TEXTS, 5).log_probabilities
    assert [row.index(max(row)) for row in scores] == LABELS
    assert account.validation_accuracy == 1
    assert account.train_losses[-1][1] < account.train_losses[0][1] / 2
    assert [step for step, _ in account.train_losses] == list(range(1, account.steps + 1))
    assert 0 < account.trainable_parameters < account.total_parameters

    saved = tmp_path / "saved"
    save_encoder(model, saved)
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in saved.iterdir()
    }
    assert not list(saved.glob("*.bin"))
    again = encoder_log_probabilities(load_encoder(saved), TEXTS, 5)
    assert again.log_probabilities == scores

    # Plain transformers, without a line of this project.
    classify = pipeline("text-classification", model=str(saved), device="cpu")
    assert [found["label"] for found in classify(TEXTS[:4])] == [NAMES[at] for at in LABELS[:4]]


def test_log_probabilities_are_those_of_plain_transformers(bert: Path, tmp_path: Path) -> None:
    model, _ = _train(bert, tmp_path / "checkpoints")
    save_encoder(model, tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    scores = encoder_log_probabilities(model, TEXTS, 3).log_probabilities
    for text, row in zip(TEXTS, scores, strict=True):
        with torch.no_grad():
            logits = plain(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0]
        assert row == pytest.approx(logits.log_softmax(-1).tolist(), abs=1e-4)
        assert sum(torch.tensor(row).exp().tolist()) == pytest.approx(1, abs=1e-6)


def test_the_first_loss_is_the_cross_entropy_of_its_rows(bert: Path, tmp_path: Path) -> None:
    # One batch of all rows, weights untouched; no dropout, so that plain code computes the same.
    folder = tmp_path / "still"
    config = BertConfig.from_pretrained(bert, hidden_dropout_prob=0.0)
    BertModel.from_pretrained(bert, config=config, add_pooling_layer=False).save_pretrained(folder)
    letters_tokenizer().save_pretrained(folder)
    one = _changed(epochs=1, batch_size=22)
    _, account = _train(folder, tmp_path / "checkpoints", one)
    torch.manual_seed(7)
    before = load_pretrained(folder, NAMES, 24)
    scores = encoder_log_probabilities(before, TEXTS, 22).log_probabilities
    expected = -sum(row[label] for row, label in zip(scores, LABELS, strict=True)) / 22
    ((step, loss),) = account.train_losses
    assert step == 1
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_training_interrupted_twice_ends_with_the_same_bits(
    toy_encoder: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    folder = toy_encoder(kind)
    undisturbed, account = _train(folder, tmp_path / "undisturbed")
    often = _changed(checkpoint_every=4)
    rate = encoder_training._rate
    for stop in (7, 13):  # in the second epoch, in the third

        def interrupted(step: int, steps: int, stop: int = stop) -> float:
            if step == stop:
                raise KeyboardInterrupt
            return rate(step, steps)

        monkeypatch.setattr(encoder_training, "_rate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _train(folder, tmp_path / "cut", often)
        monkeypatch.setattr(encoder_training, "_rate", rate)
    resumed, other = _train(folder, tmp_path / "cut", often)
    lines = [line for line in capsys.readouterr().out.splitlines() if "continues" in line]
    assert lines == [f"test: continues from step {step} of {STEPS}" for step in (4, 12)]
    _assert_same_bits(resumed, undisturbed)
    assert replace(other, seconds=0) == replace(account, seconds=0)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["checkpoint-16"]


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(written: Path, folder: Path) -> None:
        raise OSError(28, "No space left on device", str(written))

    monkeypatch.setattr(encoder_training, "place_checkpoint", fail)
    with pytest.raises(StudyError, match="checkpoint-4: cannot be written: No space left"):
        _train(bert, tmp_path / "full", _changed(checkpoint_every=4))
    assert list((tmp_path / "full").iterdir()) == []


CODE = """
import hashlib, sys
from pathlib import Path
from lm.base import make_repeatable
from lm.encoder import encoder_log_probabilities
from lm.encoder_training import train_encoder
from settings.encoder import EncoderTraining
make_repeatable(7)
texts = [("awful " if at % 2 else "lovely ") + "day " * (at % 40) for at in range(64)]
labels = [at % 2 for at in range(64)]
settings = EncoderTraining(
    epochs=2, learning_rate=0.001, batch_size=32, max_length=128, checkpoint_every=100
)
folder, scratch = map(Path, sys.argv[1:])
model, _ = train_encoder(
    folder, texts, labels, texts, labels, ["a", "b"], settings, 7, scratch, "test"
)
weights = b"".join(each.numpy().tobytes() for each in model.classifier.state_dict().values())
scores = repr(encoder_log_probabilities(model, texts, 7)).encode()
print(hashlib.sha256(weights).hexdigest(), hashlib.sha256(scores).hexdigest())
"""


@pytest.mark.faults
def test_one_thread_and_two_give_the_same_bits(tmp_path: Path) -> None:
    # Wide enough for torch to share the work out: narrower tensors stay on one thread anyway.
    folder, scratch = tmp_path / "wide", tmp_path / "scratch"
    scratch.mkdir()
    torch.manual_seed(0)
    shape = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 6}
    config = BertConfig(vocab_size=56, num_hidden_layers=2, pad_token_id=1, **shape)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    letters_tokenizer().save_pretrained(folder)
    digests = [
        subprocess.run(
            [sys.executable, "-c", CODE, str(folder), str(scratch)],
            env={**os.environ, "PYTHONPATH": str(STAGES), "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].split()) == 2


def test_truncated_rows_are_counted(bert: Path, tmp_path: Path) -> None:
    fits, too_long = "a" * 22, "a" * 23  # and two special tokens
    texts = [fits, too_long, *TEXTS[:4]]
    model, account = _train(bert, tmp_path / "checkpoints", texts=texts, labels=[0, 1] * 3)
    assert account.n_truncated == 1
    scores = encoder_log_probabilities(model, [too_long, fits, too_long + "b"], 2)
    assert scores.n_truncated == 2
    assert scores.log_probabilities[0] == pytest.approx(scores.log_probabilities[1], abs=1e-5)
    save_encoder(model, tmp_path / "saved")
    assert load_encoder(tmp_path / "saved").max_length == 24


def test_any_number_of_labels_some_of_which_never_occur(bert: Path, tmp_path: Path) -> None:
    names = ["bad", "fine", "good", "größer 🙂", "none"]
    labels = [2 * label for label in LABELS]
    longer = _changed(epochs=20)
    model, _ = _train(bert, tmp_path / "checkpoints", longer, labels=labels, names=names)
    scores = encoder_log_probabilities(model, TEXTS, 5).log_probabilities
    assert {len(row) for row in scores} == {5}
    assert {row.index(max(row)) for row in scores} == {0, 2}
    save_encoder(model, tmp_path / "saved")
    assert list(load_encoder(tmp_path / "saved").classifier.config.id2label.values()) == names


def test_odd_texts_and_few_rows(bert: Path, tmp_path: Path) -> None:
    odd = ["", " \n\t", "日本語 ñandú 👩‍👩‍👧", "\x00\ufffd", "a " * 5000]
    model, account = _train(bert, tmp_path / "odd", texts=odd, labels=[0, 1, 0, 1, 0])
    scores = encoder_log_probabilities(model, odd, 2).log_probabilities
    assert all(torch.tensor(scores).isfinite().flatten().tolist())
    assert account.n_truncated == 1
    _, account = _train(bert, tmp_path / "one", texts=["lovely"], labels=[1])
    assert account.steps == 3
    assert encoder_log_probabilities(model, [], 2).log_probabilities == []


def test_no_validation_row_gives_no_validation_loss(bert: Path, tmp_path: Path) -> None:
    _, account = train_encoder(bert, TEXTS, LABELS, [], [], NAMES, SETTINGS, 7, tmp_path, "test")
    assert account.validation_loss is None
    assert account.validation_accuracy is None


def test_a_base_with_another_head_gets_a_new_one(bert: Path, tmp_path: Path) -> None:
    model, _ = _train(bert, tmp_path / "first")
    save_encoder(model, tmp_path / "saved")
    names, labels = ["a", "b", "c"], [at % 3 for at in range(22)]
    other, _ = _train(tmp_path / "saved", tmp_path / "second", names=names, labels=labels)
    assert other.classifier.config.num_labels == 3


@pytest.mark.parametrize(("kind", "limit"), [("bert", 34), ("roberta", 32), ("modernbert", 34)])
def test_a_max_length_above_the_limit_is_refused(
    toy_encoder: Callable[[str], Path], tmp_path: Path, kind: str, limit: int
) -> None:
    folder = toy_encoder(kind)
    texts = ["a" * 60] * 4
    longest = _changed(max_length=limit, epochs=1)
    _, account = _train(folder, tmp_path / "fits", longest, texts, [0, 1, 0, 1])
    assert account.n_truncated == 4
    message = rf"encoder\.max_length = {limit + 1}: the encoder reads at most {limit} tokens"
    with pytest.raises(StudyError, match=message):
        _train(folder, tmp_path / "long", _changed(max_length=limit + 1))


def test_what_cannot_be_trained_is_named(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="test: there is no row to train on"):
        _train(bert, tmp_path / "none", texts=[], labels=[])
    with pytest.raises(StudyError, match="the loss is not finite: lower"):
        _train(bert, tmp_path / "wild", _changed(learning_rate=1e30))
    with pytest.raises(StudyError, match="nowhere: no such folder"):
        load_encoder(tmp_path / "nowhere")


def test_only_linear_layers_change(bert: Path, tmp_path: Path) -> None:
    model, account = _train(bert, tmp_path / "checkpoints")
    before = load_pretrained(bert, NAMES, 24).classifier.state_dict()
    changed = {name for name, value in _weights(model).items() if not value.equal(before[name])}
    assert any("query" in name for name in changed)
    assert any("classifier" in name for name in changed)
    assert not [name for name in changed if "embeddings" in name or "LayerNorm" in name]
    linear = [name for name in before if "embeddings" not in name and "LayerNorm" not in name]
    assert account.trainable_parameters == sum(before[name].numel() for name in linear)


def test_the_name_of_a_special_token_in_a_text_is_text(bert: Path) -> None:
    model = load_pretrained(bert, NAMES, 24)
    ((plain,), _), ((padded,), _) = token_ids(model, ["a [SEP] b"]), token_ids(model, ["a sep b"])
    assert plain.count(model.tokenizer.sep_token_id) == 1  # the end of the text alone
    assert len(plain) > len(padded) - 2


def test_padding_changes_no_prediction(bert: Path) -> None:
    model = load_pretrained(bert, NAMES, 24)
    batch = collate(model, [[2, 5, 3], [2, 5, 6, 7, 3]])
    assert batch["input_ids"].tolist() == [[2, 5, 3, 1, 1], [2, 5, 6, 7, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    alone = encoder_log_probabilities(model, ["b"], 1).log_probabilities[0]
    beside = encoder_log_probabilities(model, ["b", "bcdefgh"], 2).log_probabilities[0]
    assert beside == pytest.approx(alone, abs=1e-5)


def test_the_key_changes_with_all_that_decides_the_weights(bert: Path, tmp_path: Path) -> None:
    recipe: dict[str, Any] = {
        "folder": bert,
        "texts": TEXTS,
        "labels": LABELS,
        "label_names": NAMES,
        "settings": SETTINGS,
        "seed": 7,
    }
    key = encoder_key(**recipe)
    assert key == encoder_key(**recipe)
    assert key == encoder_key(**recipe | {"settings": _changed(checkpoint_every=3)})
    other = tmp_path / "other"
    save_toy_encoder("roberta", other)
    changes: list[dict[str, Any]] = [
        *({"texts": TEXTS[::-1]}, {"labels": LABELS[::-1]}, {"seed": 8}, {"folder": other}),
        {"settings": _changed(epochs=8)},
        {"settings": _changed(learning_rate=0.5)},
        {"settings": _changed(batch_size=8)},
        {"settings": _changed(max_length=8)},
        {"label_names": ["a", "b"]},
    ]
    assert len({key, *(encoder_key(**recipe | change) for change in changes)}) == 1 + len(changes)
