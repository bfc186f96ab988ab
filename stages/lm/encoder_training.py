"""Fine-tuning of a small pretrained encoder on labelled texts, resumed with the same bits.

Only linear layers are trained: the gradients of layer norms depend on the number of threads, and
those of word embeddings cost time.
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import writing
from runtime.hashing import sha256_of
from runtime.progress import BAR_SECONDS

import torch
import transformers
from tqdm import tqdm

from lm.batches import LengthBatches
from lm.checkpoints import newest_checkpoint, place_checkpoint
from lm.encoder import EncoderModel, collate, encoder_log_probabilities, load_pretrained, token_ids
from settings.encoder import EncoderTraining

STATE = "state.pt"  # of a checkpoint
WARMUP_SHARE = 0.1  # of all steps; the learning rate then falls linearly to 0
WEIGHT_DECAY = 0.01
_LIBRARIES = ("tokenizers", "torch", "transformers")
_CODE = ("batches.py", "encoder.py", "encoder_training.py")


@dataclass(frozen=True)
class EncoderAccount:
    """What a training cost and ended with; losses are cross-entropies in nats a row.

    `train_losses` contains (step, loss of the step's batch). The validation figures are None without
    validation rows. `n_truncated` counts training rows.
    """

    train_losses: list[tuple[int, float]]
    validation_loss: float | None
    validation_accuracy: float | None
    steps: int
    n_truncated: int
    trainable_parameters: int
    total_parameters: int
    seconds: float


def encoder_key(
    folder: Path,
    texts: Sequence[str],
    labels: Sequence[int],
    label_names: Sequence[str],
    settings: EncoderTraining,
    seed: int,
) -> str:
    """A hash of everything that decides the trained weights, for `hold_checkpoints`."""
    code = [Path(__file__).with_name(name) for name in _CODE]
    decides = {
        "base": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
        "rows": [list(texts), list(labels), list(label_names)],
        "settings": settings.model_dump(exclude={"base", *settings.UNTRACKED}),
        "seed": seed,
        "code": [sha256_of(path) for path in code],
        "libraries": [version(name) for name in _LIBRARIES],
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def train_encoder(
    folder: Path,
    texts: Sequence[str],
    labels: Sequence[int],
    validation_texts: Sequence[str],
    validation_labels: Sequence[int],
    label_names: Sequence[str],
    settings: EncoderTraining,
    seed: int,
    checkpoints: Path,
    name: str,
) -> tuple[EncoderModel, EncoderAccount]:
    """Fine-tune the encoder in `folder` on texts whose labels are places in `label_names`.

    Cross-entropy, AdamW, linear decay after a warm-up. The training continues from the newest
    checkpoint in `checkpoints`, with the same bits as without an interruption; `checkpoints` must
    contain checkpoints of this `encoder_key` only. Raises `StudyError` for no rows, for a `max_length`
    above the encoder's limit, and for a loss that is not finite.
    """
    if not texts:
        raise StudyError(f"{name}: there is no row to train on")
    transformers.set_seed(seed)  # the classification head starts from random weights
    model = load_pretrained(folder, label_names, settings.max_length)
    classifier, device = model.classifier, model.classifier.device
    total = sum(parameter.numel() for parameter in classifier.parameters())
    trained = _linear_parameters(classifier)
    rows, n_truncated = token_ids(model, texts)
    steps = math.ceil(settings.epochs * math.ceil(len(rows) / settings.batch_size))
    optimizer = torch.optim.AdamW(
        trained, settings.learning_rate, weight_decay=WEIGHT_DECAY, fused=True
    )
    losses, seconds_before = _resume(newest_checkpoint(checkpoints), classifier, optimizer)
    if losses:
        print(f"{name}: continues from step {len(losses)} of {steps}", flush=True)
    classifier.train()
    started = time.perf_counter() - seconds_before
    bar = tqdm(total=steps, initial=len(losses), desc=name, unit="step", mininterval=BAR_SECONDS)
    with bar:
        for places in _batches(rows, settings.batch_size, seed, len(losses), steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(len(losses), steps)
            logits = classifier(**collate(model, [rows[at] for at in places])).logits
            targets = torch.tensor([labels[at] for at in places], device=device)
            loss = torch.nn.functional.cross_entropy(logits.float(), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
            bar.update()
            if len(losses) % settings.checkpoint_every == 0 and len(losses) < steps:
                seconds = time.perf_counter() - started
                _save_checkpoint(checkpoints, classifier, optimizer, losses, seconds)
    seconds = time.perf_counter() - started
    if not all(map(math.isfinite, losses)):
        raise StudyError(f"{name}: the loss is not finite: lower encoder.learning_rate")
    scores = encoder_log_probabilities(model, validation_texts, settings.batch_size)
    loss, accuracy = _validation(scores.log_probabilities, validation_labels)
    return model, EncoderAccount(
        train_losses=list(enumerate(losses, start=1)),
        validation_loss=loss,
        validation_accuracy=accuracy,
        steps=steps,
        n_truncated=n_truncated,
        trainable_parameters=sum(parameter.numel() for parameter in trained),
        total_parameters=total,
        seconds=seconds,
    )


def _linear_parameters(classifier: Any) -> list[Any]:
    """Weights and biases of the linear layers; all other parameters stop taking gradients."""
    classifier.requires_grad_(False)
    linear = [module for module in classifier.modules() if isinstance(module, torch.nn.Linear)]
    trained = [parameter for module in linear for parameter in module.parameters(recurse=False)]
    for parameter in trained:
        parameter.requires_grad_(True)
    return trained


def _batches(
    rows: list[list[int]], batch_size: int, seed: int, first: int, steps: int
) -> Iterator[list[int]]:
    """Places of the rows of the batches `first` to `steps` - 1, in another order each epoch."""
    batches = LengthBatches(rows, batch_size, seed)
    for epoch in range(first // len(batches), math.ceil(steps / len(batches))):
        batches.set_epoch(epoch)
        for step, places in enumerate(batches, start=epoch * len(batches)):
            if first <= step < steps:
                yield places


def _rate(step: int, steps: int) -> float:
    """The share of the full learning rate at a step: linear warm-up, then linear decay."""
    warmup = max(1, round(WARMUP_SHARE * steps))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))


def _save_checkpoint(
    folder: Path, classifier: Any, optimizer: Any, losses: list[float], seconds: float
) -> None:
    """Write weights, optimizer, random generators and losses of a step, all or nothing."""
    state = {
        "weights": classifier.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": torch.get_rng_state(),
        "cuda_generators": torch.cuda.get_rng_state_all(),
        "losses": losses,
        "seconds": seconds,
    }
    written = folder / ".partial" / f"checkpoint-{len(losses)}"
    shutil.rmtree(written.parent, ignore_errors=True)
    with writing(folder / written.name):
        try:
            written.mkdir(parents=True)
            torch.save(state, written / STATE)
            place_checkpoint(written, folder)
        finally:
            shutil.rmtree(written.parent, ignore_errors=True)


def _resume(checkpoint: Path | None, classifier: Any, optimizer: Any) -> tuple[list[float], float]:
    """Load a checkpoint, if there is one; return the losses of its steps and its seconds."""
    if checkpoint is None:
        return [], 0.0
    state = torch.load(checkpoint / STATE, "cpu", weights_only=True)
    classifier.load_state_dict(state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["generator"])
    torch.cuda.set_rng_state_all(state["cuda_generators"])
    return state["losses"], state["seconds"]


def _validation(
    scores: Sequence[list[float]], labels: Sequence[int]
) -> tuple[float | None, float | None]:
    """Mean cross-entropy in nats and accuracy; None without validation rows."""
    if not labels:
        return None, None
    loss = -sum(row[label] for row, label in zip(scores, labels, strict=True)) / len(labels)
    n_right = sum(row.index(max(row)) == label for row, label in zip(scores, labels, strict=True))
    return loss, n_right / len(labels)
