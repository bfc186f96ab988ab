"""The section `sources` of a profile: where rows come from and what their columns mean."""

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from settings.section import (
    Commit,
    Count,
    Header,
    Number,
    Origin,
    Package,
    Scalar,
    Section,
    Sha256,
    Share,
    Split,
)


class Reading(Section):
    """How a text file of rows is read. Parquet needs none of this."""

    format: Literal["parquet", "csv", "jsonl"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quoting: bool = True
    encoding: str = "utf-8"
    header: Header | None = None

    @field_validator("delimiter")
    @classmethod
    def _parts_fields(cls, delimiter: str | None) -> str | None:
        if delimiter in ("\n", "\r", '"'):
            raise ValueError("parts no fields: a line end or a quotation mark means something else")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError("is no encoding that Python knows (utf-8, latin-1, ...)") from None
        return name


class Band(Section):
    """The ratings that make a label: min <= rating <= max, either end open where null."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min = {self.min:g} must not be above max = {self.max:g}")
        return self

    def holds(self, rating: float) -> bool:
        return (self.min is None or rating >= self.min) and (self.max is None or rating <= self.max)


class Ratings(Section):
    """A second file with every single rater's rating, joined by a column of both files."""

    member: Annotated[list[str], Field(min_length=1)]
    header: Header
    id: str
    column: str


class Sizes(Section):
    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class PackageSource(Section):
    kind: Literal["package"]
    package: Package
    splits: dict[Split, Annotated[list[str], Field(min_length=1)]]
    reading: Reading = Reading()
    ratings: Ratings | None = None


class FilesSource(Section):
    """A split is a path, a pattern of paths, or the URL of a file that never changes."""

    kind: Literal["files"]
    splits: dict[Split, Annotated[str, Field(min_length=1)]]
    sha256: dict[Split, Sha256] = {}
    reading: Reading = Reading()
    expected_rows: dict[Split, Count] = {}

    @model_validator(mode="after")
    def _fixed(self) -> Self:
        _only_given(self.splits, sha256=self.sha256, expected_rows=self.expected_rows)
        for split, place in self.splits.items():
            if "://" not in place:
                continue
            url = urlsplit(place)
            if url.scheme != "https" and (url.scheme, url.hostname) != ("http", "127.0.0.1"):
                raise ValueError(f"splits.{split} = {place!r}: a URL must begin with https://")
            if split not in self.sha256 and not re.search(r"/[0-9a-f]{40}/", url.path):
                raise ValueError(
                    f"splits.{split} = {place!r}: what stands there may change: name the file by a "
                    f"commit hash of 40 hex digits instead of a branch, or give sha256.{split}"
                )
        return self


class HubSource(Section):
    """A dataset repository on the Hub; a split is a file of it, or a pattern (`data/train-*`)."""

    kind: Literal["hub"]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    revision: Commit
    splits: dict[Split, Annotated[str, Field(min_length=1)]]
    reading: Reading = Reading()
    expected_rows: dict[Split, Count] = {}

    @model_validator(mode="after")
    def _counted(self) -> Self:
        _only_given(self.splits, expected_rows=self.expected_rows)
        return self


def _only_given(splits: Collection[Split], **held: Collection[Split]) -> None:
    """What is held of a split that is not there would be held of nothing."""
    for key, named in held.items():
        for split in named:
            if split not in splits:
                raise ValueError(f"{key} names {split}, splits does not")


def _splits_given(splits: dict[Split, Any]) -> None:
    if "train" not in splits:
        raise ValueError("splits must name train")


class LabelledColumns(Section):
    text: str
    label: str | None = None
    rating: str | None = None

    @model_validator(mode="after")
    def _label_or_rating(self) -> Self:
        if (self.label is None) == (self.rating is None):
            raise ValueError("give either label or rating")
        return self


class LabelledRows(Section):
    """What the rows of a labelled source mean, how many are taken, and how they are split."""

    columns: LabelledColumns
    label_values: dict[Scalar, str] = {}
    bands: dict[str, Band] = {}
    validation_share: Share | None = None
    test_share: Share | None = None
    take: Sizes = Sizes()

    @model_validator(mode="after")
    def _meaning(self) -> Self:
        if self.columns.label is not None and not self.label_values:
            raise ValueError("columns.label needs label_values, {value in the file: label}")
        if self.columns.rating is not None and not self.bands:
            raise ValueError("columns.rating needs bands, {label: {min: ..., max: ...}}")
        ordered = sorted(
            self.bands.values(), key=lambda band: float("-inf") if band.min is None else band.min
        )
        for low, high in pairwise(ordered):
            if low.max is None or high.min is None or low.max >= high.min:
                raise ValueError("bands must not overlap")
        return self


class _Labelled(LabelledRows):
    splits: dict[Split, Any]  # as its source has them

    @model_validator(mode="after")
    def _splittable(self) -> Self:
        splits = self.splits
        _splits_given(splits)
        for split in ("validation", "test"):
            if split not in splits and not getattr(self, f"{split}_share"):
                raise ValueError(f"splits has no {split}: say {split}_share, the share split off")
            if split in splits and getattr(self, f"{split}_share"):
                raise ValueError(f"splits has a {split}: {split}_share would split off nothing")
        if (self.validation_share or 0) + (self.test_share or 0) >= 1:
            raise ValueError("validation_share and test_share together leave no row to train on")
        return self


class LabelledPackage(PackageSource, _Labelled):
    pass


class LabelledFiles(FilesSource, _Labelled):
    pass


class LabelledHub(HubSource, _Labelled):
    pass


class GeneralColumns(Section):
    instruction: str = "instruction"
    input: str | None = "input"
    output: str = "output"


class GeneralRows(Section):
    splits: dict[Split, Any]  # as its source has them
    columns: GeneralColumns = GeneralColumns()
    test_share: Share | None = None
    take: Sizes = Sizes()

    @model_validator(mode="after")
    def _splittable(self) -> Self:
        splits = self.splits
        _splits_given(splits)
        if "validation" in splits or self.take.validation:
            raise ValueError("general instructions have the splits train and test alone")
        if "test" not in splits and not self.test_share:
            raise ValueError("splits has no test: say test_share, the share split off")
        if "test" in splits and self.test_share:
            raise ValueError("splits has a test: test_share would split off nothing")
        return self


class GeneralPackage(PackageSource, GeneralRows):
    pass


class GeneralFiles(FilesSource, GeneralRows):
    pass


class GeneralHub(HubSource, GeneralRows):
    pass


class TasksSource(Section):
    """Small tasks made by program, whose one right answer a program can check."""

    kind: Literal["tasks"]
    train: Count
    test_seen: Count
    test_held_out: Count


LabelledSource = Annotated[
    LabelledPackage | LabelledFiles | LabelledHub, Field(discriminator="kind")
]
GeneralTable = GeneralPackage | GeneralFiles | GeneralHub
GeneralSource = Annotated[GeneralTable | TasksSource, Field(discriminator="kind")]
TableSource = PackageSource | FilesSource | HubSource
SourceSettings = TableSource | TasksSource


class Sources(Section):
    labelled: LabelledSource
    general: Annotated[list[GeneralSource], Field(min_length=1)]


class Origins(Section):
    """Whose rows and models a study uses: what the model cards state, and no stage computes with.

    `general` has an entry for each entry of `sources.general`, in the same order.
    """

    labelled: Origin = Origin()
    general: list[Origin] = []
    base_model: Origin = Origin()
    encoder: Origin = Origin()
