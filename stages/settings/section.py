"""What every section of settings is built of: strict sections, numbers, paths, pinned hashes."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _no_truth(value: Any) -> Any:
    """`take: {train: yes}` is a slip, and not one row."""
    if isinstance(value, bool):
        raise ValueError("must be a number (YAML takes yes, no, on and off for true and false)")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth)]
Number = Annotated[float, BeforeValidator(_no_truth)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
Split = Literal["train", "validation", "test"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Scalar = str | int | float | bool


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("must be a path inside the repository")
    return path


InRepository = Annotated[str, AfterValidator(_inside)]


class Section(BaseModel):
    """Settings that know all their keys: an unknown one is an error, not a typo that does nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def _named_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names a column twice")
    return names


Header = Annotated[list[str], Field(min_length=1), AfterValidator(_named_once)]


class Origin(Section):
    """Whose rows or model these are: what the model cards say of them (`pages.cards`)."""

    licence: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")] | None = None  # SPDX's
    url: Annotated[str, Field(pattern=r"^https?://[^\s<>\"]+$")] | None = None
    cite: Annotated[str, Field(min_length=1)] | None = None


class Package(Section):
    """A file of a distribution on the package index, pinned by its hash."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!_-]+$")]
    sha256: Sha256
    form: Literal["wheel", "sdist"]
