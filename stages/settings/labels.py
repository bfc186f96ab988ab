"""The labels of a study."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from settings.section import Section


class Labels(Section):
    """The labels in the order of every list of scores; `positive` is the one F1 is about."""

    names: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2)]
    positive: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({name.casefold().strip() for name in self.names}) < len(self.names):
            raise ValueError("names must differ, upper and lower case aside")
        if self.positive not in self.names:
            raise ValueError(
                f"positive = {self.positive!r} must be one of names: {', '.join(self.names)}"
            )
        return self
