"""TRL's trainer with batches by length, loss on answers alone, and checkpoints that are whole or absent.

Only public methods, properties and callbacks of TRL and transformers are overridden.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.process import PROCESSES, RANK

import torch
from accelerate.utils import send_to_device
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl
from trl import SFTConfig, SFTTrainer

from lm.batches import LengthBatches, answer_losses, collate, grouped, shared_length
from lm.checkpoints import place_checkpoint
from prompts.encode import Example

_UNLOGGED = f"unlogged_{RANK}.pt"  # in a checkpoint, beside what the trainer itself writes
_Row = dict[str, list[int]]


class Arguments(SFTConfig):
    """TRL's arguments for a process that computes on one device, where its model already is."""

    @property
    def place_model_on_device(self) -> bool:
        """False: `load_base` has put the model there, or `shard` will."""
        return False

    @property
    def n_gpu(self) -> int:
        """At most 1: without `launch` one process trains on one GPU, without torch.nn.DataParallel."""
        return min(super().n_gpu, 1)


class AnswerTrainer(SFTTrainer):
    """TRL's trainer with batches by length and the LM head on answer positions alone.

    Its rows have the columns `prompt_ids` and `answer_ids`, see `dataset`; `collator` makes the batches.
    """

    train_batches: LengthBatches

    def get_train_dataloader(self) -> DataLoader:
        """Batches by length. Several processes take them in turn, each as many as the others."""
        rows = _input_ids(self.train_dataset)
        size = self.args.train_batch_size
        self.train_batches = LengthBatches(rows, size, self.args.seed, PROCESSES)
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self.train_batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        *_: Any,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The mean negative log-likelihood of the answers' tokens, end of sequence included.

        The mean is over `num_items_in_batch` tokens where it is not None: those of all batches of an
        update, of all processes. Raises `StudyError` as `_answer_losses` does.
        """
        losses = _answer_losses(model, inputs)
        loss = losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes
        return loss

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log the loss over the validation rows: the mean over their tokens, whatever the batches.

        Each of several processes computes it over all rows. (The trainer's own mean over batches
        depends on how the rows are batched.)
        """
        self.model.eval()
        total, tokens = 0.0, 0
        for group in grouped(_input_ids(self.eval_dataset), self.args.eval_batch_size):
            for places in group.batches:
                batch = self.data_collator([self.eval_dataset[at] for at in places])
                with self.compute_loss_context_manager():
                    losses = _answer_losses(self.model, send_to_device(batch, self.args.device))
                total, tokens = total + float(losses.sum()), tokens + len(losses)
        metrics = {"eval_loss": total / tokens}
        self.log(metrics)
        self.control: TrainerControl = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


class Checkpoints(TrainerCallback):
    """Whole checkpoints every so many steps, but none after the last: the stage is nearly through.

    The trainer writes a checkpoint into its `output_dir`; it is moved beside that folder once it is
    whole. A training that goes on from one ends with the same bits as one that nothing disturbed.
    """

    def __init__(self, trainer: SFTTrainer, every: int) -> None:
        self.trainer, self.every = trainer, every
        self.partial = Path(trainer.args.output_dir)
        self.resumed_from: Path | None = None
        self.started = time.perf_counter()

    def train(self, checkpoint: Path | None) -> None:
        """Run the training, from `checkpoint` on if there is one."""
        self.resumed_from, self.started = checkpoint, time.perf_counter()
        self.trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    @property
    def seconds(self) -> float:
        """How long the training has run, before the checkpoint that it goes on from too."""
        return time.perf_counter() - self.started

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Go on with the losses since the last logged step, which the trainer forgets."""
        if self.resumed_from is None:
            return
        unlogged = torch.load(self.resumed_from / _UNLOGGED, "cpu", weights_only=True)
        self.trainer._tr_loss += unlogged["loss"].to(self.trainer._tr_loss.device)
        self.trainer._globalstep_last_logged = unlogged["logged_at"]
        self.started -= unlogged["seconds"]

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set the epoch of the batches, which no loader does where several processes resume in one."""
        self.trainer.train_batches.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0 and state.global_step < state.max_steps:
            if not RANK:
                shutil.rmtree(self.partial, ignore_errors=True)
            self.trainer.accelerator.wait_for_everyone()
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        written = self.partial / f"checkpoint-{state.global_step}"
        unlogged = {
            "loss": self.trainer._tr_loss,
            "logged_at": self.trainer._globalstep_last_logged,
            "seconds": self.seconds,
        }
        torch.save(unlogged, written / _UNLOGGED)
        self.trainer.accelerator.wait_for_everyone()
        if not RANK:
            place_checkpoint(written, self.partial.parent)


def collator(pad: int, share: bool) -> Callable[[Sequence[_Row]], dict[str, Tensor]]:
    """What makes a batch of rows, with the beginning that all prompts share apart if `share`.

    A batch without rows is padding: one token, no label.
    """

    def collate_rows(rows: Sequence[_Row]) -> dict[str, Tensor]:
        if not rows:
            return collate([[pad]], [[]], pad, 0)
        prompts = [row["prompt_ids"] for row in rows]
        shared = shared_length(prompts) if share else 0
        return collate(prompts, [row["answer_ids"] for row in rows], pad, shared)

    return collate_rows


def dataset(examples: Sequence[Example]) -> Dataset:
    """The rows of an `AnswerTrainer`."""
    return Dataset.from_dict(
        {
            "prompt_ids": [example.prompt for example in examples],
            "answer_ids": [example.answer for example in examples],
        }
    )


def _answer_losses(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """The negative log-likelihood in nats of each answer token of a batch.

    Raises `StudyError` for a batch without one, which is padding only where several processes train.
    """
    losses = answer_losses(model, batch)
    if PROCESSES == 1 and not len(losses):
        raise StudyError("a batch has no answer token to learn from: every label is masked")
    return losses


def _input_ids(rows: Dataset) -> list[list[int]]:
    pairs = zip(rows["prompt_ids"], rows["answer_ids"], strict=True)
    return [prompt + answer for prompt, answer in pairs]
