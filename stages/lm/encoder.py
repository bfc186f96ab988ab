"""A small pretrained encoder with a classification head: loaded, saved, and its predictions.

The saved folder is an ordinary one of `AutoModelForSequenceClassification`.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import place_folder, writing

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from lm.processes import local_device

_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")  # BERT's, ModernBERT's


@dataclass(frozen=True)
class EncoderModel:
    """A classifier and its tokenizer; texts are cut at `max_length` tokens, special tokens included."""

    classifier: Any
    tokenizer: Any
    max_length: int


@dataclass(frozen=True)
class EncoderScores:
    """Log-probabilities (n, K) in label order, and the number of texts that were truncated."""

    log_probabilities: list[list[float]]
    n_truncated: int


@torch.no_grad()
def encoder_log_probabilities(
    model: EncoderModel, texts: Sequence[str], batch_size: int
) -> EncoderScores:
    """Log-probabilities (n, K) of the labels of each text, in nats; rows of similar length form a batch."""
    model.classifier.eval()
    rows, n_truncated = token_ids(model, texts)
    order = sorted(range(len(rows)), key=lambda at: (-len(rows[at]), at))
    scores: dict[int, list[float]] = {}
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        logits = model.classifier(**collate(model, [rows[at] for at in places])).logits
        scores |= zip(places, logits.double().log_softmax(-1).tolist(), strict=True)
    return EncoderScores([scores[at] for at in range(len(rows))], n_truncated)


def save_encoder(model: EncoderModel, folder: Path) -> None:
    """Write an `AutoModelForSequenceClassification` folder with its tokenizer, all or nothing."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing(folder):
        try:
            model.classifier.save_pretrained(partial)
            model.tokenizer.save_pretrained(partial)
            place_folder(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def load_encoder(folder: Path) -> EncoderModel:
    """Load what `save_encoder` wrote, on this process's device. Raises `StudyError` for no folder."""
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; `dvc repro` makes it")
    classifier = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return EncoderModel(classifier.to(local_device()).eval(), tokenizer, tokenizer.model_max_length)


def load_pretrained(folder: Path, label_names: Sequence[str], max_length: int) -> EncoderModel:
    """The pretrained encoder under a new classification head, in float32."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: place for place, label in enumerate(label_names)}
    config.problem_type = "single_label_classification"
    for key in _ATTENTION_DROPOUT:
        # torch's attention with dropout gives bits that depend on the number of threads.
        if hasattr(config, key):
            setattr(config, key, 0.0)
    classifier = AutoModelForSequenceClassification.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # of a head with another number of labels
    )
    limit = _position_limit(classifier)
    if max_length > limit:
        raise StudyError(
            f"encoder.max_length = {max_length}: the encoder reads at most {limit} tokens: lower max_length"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.model_max_length = max_length  # saved with the tokenizer: others truncate alike
    return EncoderModel(classifier.to(local_device()), tokenizer, max_length)


def _position_limit(classifier: Any) -> int:
    """The most tokens the encoder has positions for. RoBERTa's positions start after the padding id."""
    for name, module in classifier.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - unused
    limit: int = classifier.config.max_position_embeddings
    return limit


def token_ids(model: EncoderModel, texts: Sequence[str]) -> tuple[list[list[int]], int]:
    """Token ids of each text, at most `max_length`, and the number of texts that were longer."""
    if not texts:
        return [], 0
    # Texts are data: "[SEP]" in a text gets the ids of these characters, never the special token's.
    plain = {"split_special_tokens": True, "verbose": False}
    full = model.tokenizer(list(texts), truncation=False, **plain)["input_ids"]
    n_truncated = sum(len(ids) > model.max_length for ids in full)
    encoded = model.tokenizer(list(texts), truncation=True, max_length=model.max_length, **plain)
    rows: list[list[int]] = encoded["input_ids"]
    return rows, n_truncated


def collate(model: EncoderModel, rows: Sequence[list[int]]) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, both (B, T), padded on the right to the longest row."""
    width, pad = max(map(len, rows)), model.tokenizer.pad_token_id
    device = model.classifier.device
    ids = [row + [pad] * (width - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }
