"""Supervised fine-tuning of an adapter with TRL, loss on the answers alone."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import StudyError
from runtime.files import writing
from runtime.process import PROCESSES

import torch
from accelerate.utils import broadcast_object_list
from peft import LoraConfig
from transformers import PrinterCallback
from transformers.pytorch_utils import Conv1D

from lm.checkpoints import newest_checkpoint
from lm.processes import average_gradients, local_device, shard
from lm.progress import Progress
from lm.recipe import Recipe
from lm.trainer import AnswerTrainer, Arguments, Checkpoints, collator, dataset
from prompts.encode import Encoder
from settings.model import Precision


@dataclass(frozen=True)
class Trained:
    """The account of a training: loss curves as (step, loss) in nats a token, its sizes, its seconds."""

    train_losses: list[tuple[int, float]]
    validation_losses: list[tuple[int, float]]
    steps: int
    tokens: int
    trainable_parameters: int
    total_parameters: int
    seconds: float


def fine_tune(
    model: Any, encoder: Encoder, recipe: Recipe, checkpoints: Path, name: str
) -> tuple[Any, Trained]:
    """Train a LoRA adapter on `model` by `recipe`; return the PEFT model and the account.

    LoRA (Hu et al. 2022) on all linear modules but the LM head, of all layers or of the last
    `lora_layers`; AdamW, linear decay after a warm-up. An update adds the batches of all processes.
    Goes on from the newest checkpoint in the folder `checkpoints`, which holds checkpoints of this
    recipe alone. A sharded recipe expects `model` on the processor. Raises `StudyError` for more
    layers than the base has, a refused write and a loss that is not finite.
    """
    settings, precision = recipe.settings, recipe.precision
    cuda = torch.cuda.is_available()
    config = Arguments(
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
        save_strategy="no",  # but see Checkpoints
        report_to="none",
        seed=recipe.seed,
        data_seed=recipe.seed,
        full_determinism=False,
        dataloader_pin_memory=cuda,
        accelerator_config={"even_batches": False},  # LengthBatches makes them even
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        disable_tqdm=True,
        use_cpu=not cuda,
    )
    # With gradient checkpointing, activations are computed twice and a cache would be filled twice.
    # A sharded layer's weights are gathered for gradients of its output, not of its keys and values.
    share = not settings.gradient_checkpointing and not recipe.sharded
    tokens = sum(len(example.input_ids) for example in recipe.train)
    rows_per_step = settings.batch_size * settings.gradient_accumulation * PROCESSES
    progress = Progress(name, tokens / len(recipe.train) * rows_per_step)
    trainer = AnswerTrainer(
        model=model,
        args=config,
        data_collator=collator(encoder.pad, share),
        train_dataset=dataset(recipe.train),
        eval_dataset=dataset(recipe.validation),
        processing_class=encoder.tokenizer,
        peft_config=LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            **_targets(model, settings.lora_layers),
            task_type="CAUSAL_LM",
        ),
        callbacks=[progress],
    )
    run = Checkpoints(trainer, settings.checkpoint_every)
    trainer.add_callback(run)
    trainer.remove_callback(PrinterCallback)
    trainer.processing_class = None  # a checkpoint needs no copy of the tokenizer
    # TRL rounds the adapter of a 4-bit base to bfloat16, where small updates are lost in rounding.
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if recipe.sharded:
        shard(trainer.model, local_device())
        trainer.model_wrapped = average_gradients(trainer.model, trainer.accelerator)
    # What the first process sees counts for all.
    (newest,) = broadcast_object_list([newest_checkpoint(checkpoints)])
    try:
        with writing(checkpoints):
            run.train(newest)
    except Exception:  # such as a full disk, which a partial checkpoint would keep full
        shutil.rmtree(config.output_dir, ignore_errors=True)
        raise
    finally:
        progress.bar.close()  # the next message begins a line
    seconds = run.seconds
    history = trainer.state.log_history
    validated = {entry["step"] for entry in history if "eval_loss" in entry}
    if trainer.state.global_step not in validated:
        trainer.evaluate()
    validations = {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}
    if not math.isfinite(validations[trainer.state.global_step]):
        raise StudyError(f"{name}: the loss is no number any more: lower train.learning_rate")

    parameters = list(trainer.model.parameters())
    return trainer.model, Trained(
        train_losses=[(entry["step"], entry["loss"]) for entry in history if "loss" in entry],
        validation_losses=list(validations.items()),
        steps=trainer.state.global_step,
        tokens=round(tokens * settings.epochs),
        trainable_parameters=sum(part.numel() for part in parameters if part.requires_grad),
        total_parameters=sum(part.numel() for part in parameters),
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
