"""The sections of `params.yaml`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from settings.section import Count, InRepository, Number, Section, Seed, Share

Contradictions = Literal["drop_all", "majority", "keep_first"]


class Prepare(Section):
    max_rejected_share: Share
    leak_similarity: Annotated[Number, Field(gt=0, le=1)]
    contradictions: Contradictions = "majority"


class Instructify(Section):
    templates: InRepository
    wording_rows: Count


class Mix(Section):
    general_rows: Count | None = None
    general_share: Share | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.general_rows is None) == (self.general_share is None):
            raise ValueError(
                "set either general_rows or general_share to a number, and the other to null"
            )
        return self


class Compare(Section):
    confidence: Annotated[Number, Field(gt=0.5, lt=1)]
    margin: Annotated[Number, Field(gt=0, lt=1)]


class Params(Section):
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Seed
    training_seed: Seed
    prompt_format: Literal["alpaca", "chat"]
    prepare: Prepare
    instructify: Instructify
    mix: Mix
    compare: Compare
