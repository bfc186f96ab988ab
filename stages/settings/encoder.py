"""The section `encoder` of a profile, except `encoder.base`: how the encoder is fine-tuned."""

from typing import Annotated, ClassVar

from pydantic import Field

from settings.section import Count, Number, Section, Whole


class EncoderTraining(Section):
    """How the encoder is fine-tuned. `max_length` is in tokens, `checkpoint_every` in steps.

    A change of an `UNTRACKED` setting does not retrain the encoder by itself. `base` is tracked by the
    stages that read `encoder.base`; the training depends on the model folder that these stages write.
    """

    UNTRACKED: ClassVar = ("base", "checkpoint_every")

    epochs: Annotated[Number, Field(gt=0)]
    learning_rate: Annotated[Number, Field(gt=0, lt=1)]
    batch_size: Count
    max_length: Annotated[Whole, Field(ge=8)]
    checkpoint_every: Count
