"""Supervised fine-tuning of an adapter with TRL, loss on the answers alone."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import writing
from runtime.process import PROCESSES, RANK
from runtime.progress import BAR_SECONDS, in_words

import torch
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler
from tqdm import tqdm
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
)
from transformers.pytorch_utils import Conv1D
from trl import SFTConfig, SFTTrainer

from lm.batches import LengthSampler, answer_losses, collate, grouped, shared_length
from lm.checkpoints import keep_checkpoint, newest_checkpoint
from lm.processes import local_device, shard
from prompts.encode import Encoder, Example
from settings.model import Precision, Train

_MEASURED = 5  # steps, after which the time ahead is told
_UNLOGGED = f"unlogged_{RANK}.pt"  # in a checkpoint, beside what the trainer itself writes


@dataclass(frozen=True)
class Trained:
    """What a training gave: loss curves as (step, loss) in nats a token, and its sizes."""

    train_losses: list[tuple[int, float]]
    validation_losses: list[tuple[int, float]]
    steps: int
    tokens: int
    trainable_parameters: int
    total_parameters: int
    seconds: float


class AnswerTrainer(SFTTrainer):
    """TRL's trainer with batches by length and the LM head on answer positions alone.

    The last of its training rows is none: it has no answer, and fills batches of several processes.
    Its checkpoints are whole or not there, and a training that goes on from one ends with the same
    bits as one that nothing disturbed.
    """

    started = 0.0  # on the clock of `perf_counter`, less the seconds before a checkpoint
    sharded = False  # whether several processes share out the base's weights

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        *_: Any,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The mean negative log-likelihood of the answers' tokens, end of sequence included."""
        total, tokens = self._summed_loss(model, inputs)
        loss = total / (tokens if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        return loss

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log the loss over the validation rows: the mean over their tokens, whatever the batches.

        Each of several processes runs all of them and finds the same.
        (The trainer's own mean over batches depends on how the rows are batched.)
        """
        self.model.eval()
        total, tokens = 0.0, 0
        for group in grouped(_joined(self.eval_dataset), self.args.eval_batch_size):
            for places in group.batches:
                batch = self.data_collator([self.eval_dataset[at] for at in places])
                with self.compute_loss_context_manager():
                    more = self._summed_loss(self.model, self._prepare_inputs(batch))
                total, tokens = total + float(more[0]), tokens + more[1]
        losses = {"eval_loss": total / tokens}
        self.log(losses)
        self.control: TrainerControl = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, losses
        )
        return losses

    def _summed_loss(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, int]:
        """The negative log-likelihood in nats of a batch's answers, and how many tokens they have."""
        losses = answer_losses(model, inputs)
        if PROCESSES == 1 and not len(losses):
            raise StudyError("a batch has no answer token to learn from: every label is masked")
        return losses.sum(), len(losses)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows = _joined(self.train_dataset)[:-1]
        return LengthSampler(rows, self.args.train_batch_size, self.args.seed, PROCESSES)

    def _move_model_to_device(self, model: Any, device: Any) -> None:
        """Leave it where `load_base` has put it, or `shard` will."""

    def _wrap_model(self, model: Any, training: bool = True, dataloader: Any = None) -> Any:
        """Average the gradients of an adapter whose base is shared out, which the trainer would refuse."""
        if not self.sharded:
            return super()._wrap_model(model, training, dataloader)
        model = self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        frozen = [name for name, each in model.named_parameters() if not each.requires_grad]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)
        return DistributedDataParallel(model, forward_sync_buffers=False)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write adapter, optimizer, scheduler, generators, losses and place in the data, all or nothing."""
        partial = Path(self.args.output_dir)
        written = partial / f"checkpoint-{self.state.global_step}"
        if not RANK:
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        unlogged = {
            "loss": self._tr_loss,
            "logged_at": self._globalstep_last_logged,
            "seconds": time.perf_counter() - self.started,
        }
        with writing(partial.parent / written.name):
            try:
                Trainer._save_checkpoint(self, model, trial)  # TRL's writes a model card besides
                torch.save(unlogged, written / _UNLOGGED)
                self.accelerator.wait_for_everyone()
                if not RANK:
                    keep_checkpoint(written, partial.parent)
            except Exception:  # such as a full disk, which it would keep full
                shutil.rmtree(partial, ignore_errors=True)
                raise

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """The adapter alone: tokenizer and settings are the stage's to know."""
        self.model.save_pretrained(output_dir, state_dict=state_dict)

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        """Load the adapter in the precision in which it trains, which PEFT's own loading would change."""
        weights = load_file(Path(checkpoint) / "adapter_model.safetensors")
        set_peft_model_state_dict(self.model, weights)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Load the generators, and the losses since the last log line, which the trainer would forget."""
        super()._load_rng_state(checkpoint)
        if checkpoint is not None:
            unlogged = torch.load(Path(checkpoint) / _UNLOGGED, "cpu", weights_only=True)
            self._tr_loss += unlogged["loss"].to(self._tr_loss.device)
            self._globalstep_last_logged = unlogged["logged_at"]
            self.started -= unlogged["seconds"]


class _Checkpoints(TrainerCallback):
    """A checkpoint every so many steps, but none after the last: the stage is nearly through."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_epoch_begin(
        self, args: Any, state: Any, control: Any, train_dataloader: Any, **_: Any
    ) -> None:
        """Tell the sampler its epoch, which it does not hear where several processes resume in one."""
        train_dataloader.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0 and state.global_step < state.max_steps:
            control.should_save = True


class _Progress(TrainerCallback):
    """A bar with time left, losses and tokens per second."""

    def __init__(self, name: str, tokens_per_row: float, rows_per_step: int) -> None:
        self.name, self.tokens_per_step = name, tokens_per_row * rows_per_step
        self.started, self.first_step = time.perf_counter(), 0
        self.losses: dict[str, str] = {}
        self.bar = tqdm(disable=True)  # until the training begins

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started, self.first_step = time.perf_counter(), state.global_step
        if first := state.global_step:
            print(f"{self.name}: goes on from step {first} of {state.max_steps}", flush=True)
        self.bar = tqdm(
            total=state.max_steps,
            initial=self.first_step,
            desc=self.name,
            unit="step",
            mininterval=BAR_SECONDS,
            disable=RANK > 0,
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        steps = state.global_step - self.first_step
        seconds = time.perf_counter() - self.started
        if steps == _MEASURED:
            ahead = seconds / steps * (state.max_steps - state.global_step)
            print(
                f"{self.name}: {steps} steps took {seconds:.1f} seconds: about {in_words(ahead)} to go",
                flush=True,
            )
        rate = self.tokens_per_step * steps / seconds
        self.bar.set_postfix({**self.losses, "tokens/s": f"{rate:.0f}"}, refresh=False)
        self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        for key, name in (("loss", "loss"), ("eval_loss", "validation")):
            if key in logs:
                self.losses[name] = f"{float(logs[key]):.3f}"


def fine_tune(
    model: Any,
    encoder: Encoder,
    train: Sequence[Example],
    validation: Sequence[Example],
    settings: Train,
    precision: Precision,
    seed: int,
    checkpoints: Path,
    name: str,
    sharded: bool = False,
) -> tuple[Any, Trained]:
    """Train a LoRA adapter on `model`; give the PEFT model and its account.

    LoRA (Hu et al. 2022) on all linear modules but the LM head, of all layers or of the last
    `settings.lora_layers`; AdamW, linear decay after a warm-up. An update has the batches of all
    processes. Goes on from the newest checkpoint in the folder `checkpoints`, which has those of this
    very training alone. With `sharded` the processes share out the weights of `model`, which is on the
    processor. Raises `StudyError` for more layers than the base has.
    """
    cuda = torch.cuda.is_available()
    # With checkpointing, activations are computed twice and a cache would be filled twice. A sharded
    # layer's weights are there for gradients of what it gives, not for those of its keys and values.
    share = not settings.gradient_checkpointing and not sharded

    def collate_rows(rows: list[dict[str, list[int]]]) -> dict[str, Tensor]:
        prompts = [row["prompt_ids"] for row in rows]
        shared = shared_length(prompts) if share else 0
        return collate(prompts, [row["answer_ids"] for row in rows], encoder.pad, shared)

    config = SFTConfig(
        output_dir=str(checkpoints / ".partial"),  # of a checkpoint that is being written
        optim=optimizer_name(precision, cuda),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=0.0,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        bf16=precision.dtype == "bfloat16",
        tf32=None,  # as load_base has set it
        logging_steps=5,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=settings.validate_every,
        save_strategy="no",  # but see _Checkpoints
        report_to="none",
        seed=seed,
        data_seed=seed,
        full_determinism=False,
        dataloader_pin_memory=cuda,
        accelerator_config={"even_batches": False},  # LengthSampler sees to that
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        disable_tqdm=True,
        use_cpu=not cuda,
    )
    # Without `launch` there is one process, and it computes on one GPU: no torch.nn.DataParallel.
    config._n_gpu = min(config.n_gpu, 1)
    lengths = [len(example.input_ids) for example in train]
    rows_per_step = settings.batch_size * settings.gradient_accumulation * PROCESSES
    progress = _Progress(name, sum(lengths) / len(lengths), rows_per_step)
    trainer = AnswerTrainer(
        model=model,
        args=config,
        data_collator=collate_rows,
        train_dataset=_dataset([*train, Example(train[0].prompt, [])]),
        eval_dataset=_dataset(validation),
        processing_class=encoder.tokenizer,
        peft_config=LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            **_targets(model, settings.lora_layers),
            task_type="CAUSAL_LM",
        ),
        callbacks=[progress, _Checkpoints(settings.checkpoint_every)],
    )
    # TRL rounds the adapter of a 4-bit base to bfloat16, where small updates are lost in rounding.
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    trainer.sharded = sharded
    if sharded:
        shard(trainer.model, local_device())
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.started = time.perf_counter()
    (newest,) = broadcast_object_list([newest_checkpoint(checkpoints)])  # as the first one sees it
    try:
        trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    finally:
        progress.bar.close()  # what is said next begins a line
    seconds = time.perf_counter() - trainer.started
    history = trainer.state.log_history
    if trainer.state.global_step not in [each["step"] for each in history if "eval_loss" in each]:
        trainer.evaluate()
    validations = {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}
    if not math.isfinite(validations[trainer.state.global_step]):
        raise StudyError(f"{name}: the loss is no number any more: lower train.learning_rate")

    parameters = list(trainer.model.parameters())
    return trainer.model, Trained(
        train_losses=[(entry["step"], entry["loss"]) for entry in history if "loss" in entry],
        validation_losses=list(validations.items()),
        steps=trainer.state.global_step,
        tokens=round(sum(lengths) * settings.epochs),
        trainable_parameters=sum(each.numel() for each in parameters if each.requires_grad),
        total_parameters=sum(each.numel() for each in parameters),
        seconds=seconds,
    )


def optimizer_name(precision: Precision, cuda: bool) -> str:
    """AdamW; under a 4-bit base on a GPU with states of 8 bits, paged out where memory is short."""
    return "paged_adamw_8bit" if cuda and precision.quantization == "nf4" else "adamw_torch_fused"


def _targets(model: Any, last: int | None) -> dict[str, Any]:
    """Which modules PEFT adapts: the linear ones of all layers, or of the `last` ones alone."""
    if last is None:
        return {"target_modules": "all-linear"}
    layers = model.config.num_hidden_layers
    if last > layers:
        raise StudyError(
            f"train.lora_layers = {last}: the base model has {layers} layers; allowed: 1 to {layers}, "
            "or null for all"
        )
    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    return {
        "target_modules": sorted(linear),
        "layers_to_transform": list(range(layers - last, layers)),
    }


def _dataset(examples: Sequence[Example]) -> Dataset:
    return Dataset.from_dict(
        {
            "prompt_ids": [example.prompt for example in examples],
            "answer_ids": [example.answer for example in examples],
        }
    )


def _joined(rows: Dataset) -> list[list[int]]:
    return [
        prompt + answer
        for prompt, answer in zip(rows["prompt_ids"], rows["answer_ids"], strict=True)
    ]
