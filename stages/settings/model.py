"""The sections of a profile about the model: base, precision, training, evaluation."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from settings.section import Count, Number, Package, Section, Sha256, Share, Whole


class PackageBase(Section):
    kind: Literal["package"]
    package: Package
    gguf: str


class PathBase(Section):
    kind: Literal["path"]
    path: str
    sha256: Sha256 | None = None


class HubBase(Section):
    kind: Literal["hub"]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]  # or branch, or tag


BaseModelSource = Annotated[PackageBase | PathBase | HubBase, Field(discriminator="kind")]


class Precision(Section):
    dtype: Literal["float32", "bfloat16"]
    quantization: Literal["none", "nf4"]
    deterministic: bool = True


class Train(Section):
    """How the tuned systems are trained. `UNTRACKED` settings change no adapter: they retrain nothing."""

    UNTRACKED: ClassVar = ("validate_every", "checkpoint_every")

    epochs: Annotated[Number, Field(gt=0)]
    learning_rate: Annotated[Number, Field(gt=0, lt=1)]
    warmup_steps: Annotated[Whole, Field(ge=0)]
    batch_size: Count
    gradient_accumulation: Count
    gradient_checkpointing: bool
    lora_layers: Count | None
    lora_rank: Count
    lora_alpha: Count
    lora_dropout: Share
    max_length: Annotated[Whole, Field(ge=8)]
    validate_every: Count
    checkpoint_every: Count


class Evaluate(Section):
    batch_size: Count
    max_new_tokens_labelled: Count
    max_new_tokens_general: Count
    max_new_tokens_ten: Count
    max_new_tokens_hundred: Count
    few_shot_examples: Count
