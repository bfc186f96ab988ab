"""The sections `sources` and `origins` of a profile: where rows come from, what their columns mean."""

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

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
    """How a text file of rows is read. Parquet files need none of these settings but `format`.

    `format` jsonl: one JSON object a line, or one JSON list of objects. `escape`: the character that takes
    the next character as text, such as the backslash in `"a \\"b\\" c"`. `quoting`: true, false, or not
    set: then a quoted field that seems to contain whole rows stops the stage.
    """

    format: Literal["parquet", "csv", "jsonl"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quoting: bool = True
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"
    header: Header | None = None

    @field_validator("delimiter", "escape")
    @classmethod
    def _no_line_end_or_mark(cls, character: str | None) -> str | None:
        if character in ("\n", "\r", '"'):
            raise ValueError("must not be a line end or a quotation mark")
        return character

    @model_validator(mode="after")
    def _escape_is_clear(self) -> Self:
        if self.escape is not None and not self.quoting:
            raise ValueError(
                "escape needs quoting: true, because without quoting all marks are text"
            )
        if self.escape is not None and self.escape in (self.delimiter, " "):
            raise ValueError("escape must not be the delimiter or a blank")
        return self

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError("is not an encoding that Python knows (utf-8, latin-1, ...)") from None
        return name


class Band(Section):
    """The ratings of a label: min <= rating <= max. An end that is null is open."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min = {self.min:g} must not be above max = {self.max:g}")
        return self

    def holds(self, rating: float) -> bool:
        """Whether the band contains `rating`."""
        return (self.min is None or rating >= self.min) and (self.max is None or rating <= self.max)


class Ratings(Section):
    """A second file with the rating of every single rater, joined by a column `id` of both files."""

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
    """Files. A split is a path, a pattern of paths, or the URL of a file that never changes."""

    kind: Literal["files"]
    splits: dict[Split, Annotated[str, Field(min_length=1)]]
    sha256: dict[Split, Sha256] = {}
    reading: Reading = Reading()
    expected_rows: dict[Split, Count] = {}

    @model_validator(mode="after")
    def _pinned_urls(self) -> Self:
        _require_known_splits(self.splits, sha256=self.sha256, expected_rows=self.expected_rows)
        for split, place in self.splits.items():
            if "://" not in place:
                continue
            url = urlsplit(place)
            if url.scheme != "https" and (url.scheme, url.hostname) != ("http", "127.0.0.1"):
                raise ValueError(f"splits.{split} = {place!r}: a URL must begin with https://")
            if split not in self.sha256 and not re.search(r"/[0-9a-f]{40}/", url.path):
                raise ValueError(
                    f"splits.{split} = {place!r}: the file at this URL may change: replace the branch by "
                    f"a commit hash of 40 hex digits, or set sha256.{split}"
                )
        return self


class HubSource(Section):
    """A dataset repository on the Hub. A split is a file or a pattern of files (`data/train-*`)."""

    kind: Literal["hub"]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    revision: Commit
    splits: dict[Split, Annotated[str, Field(min_length=1)]]
    reading: Reading = Reading()
    expected_rows: dict[Split, Count] = {}

    @model_validator(mode="after")
    def _counts_of_splits(self) -> Self:
        _require_known_splits(self.splits, expected_rows=self.expected_rows)
        return self


def _require_known_splits(
    splits: Collection[Split], **splits_by_setting: Collection[Split]
) -> None:
    """Raise `ValueError` if a setting names a split that `splits` does not contain."""
    for setting, setting_splits in splits_by_setting.items():
        for split in setting_splits:
            if split not in splits:
                raise ValueError(f"{setting} names {split}, but splits does not")


def _require_train(splits: dict[Split, Any]) -> None:
    if "train" not in splits:
        raise ValueError("splits must name train")


def _as_list(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


class LabelledColumns(Section):
    """The columns of a labelled source. `text`: one column, or a list of columns that are joined."""

    text: Annotated[Header, BeforeValidator(_as_list)]
    label: str | None = None
    rating: str | None = None

    @model_validator(mode="after")
    def _label_or_rating(self) -> Self:
        if (self.label is None) == (self.rating is None):
            raise ValueError("set either label or rating")
        return self


class LabelledRows(Section):
    """The labels of a labelled source's rows, the number of rows taken, and the shares of splits.

    `label_values`: {value in the file: label}, or auto: the values are the labels. Rows whose value is in
    `ignore_labels` are left out and counted as neutral.
    """

    columns: LabelledColumns
    label_values: dict[Scalar, str] | Literal["auto"] = {}
    ignore_labels: list[Scalar] = []
    bands: dict[str, Band] = {}
    validation_share: Share | None = None
    test_share: Share | None = None
    take: Sizes = Sizes()

    @model_validator(mode="after")
    def _labels_are_clear(self) -> Self:
        if self.columns.label is not None and not self.label_values:
            raise ValueError("columns.label needs label_values, {value in the file: label} or auto")
        if self.columns.rating is not None and not self.bands:
            raise ValueError("columns.rating needs bands, {label: {min: ..., max: ...}}")
        if self.columns.label is None and self.ignore_labels:
            raise ValueError("ignore_labels needs columns.label: bands leave ratings out")
        ordered = sorted(
            self.bands.values(), key=lambda band: float("-inf") if band.min is None else band.min
        )
        for low, high in pairwise(ordered):
            if low.max is None or high.min is None or low.max >= high.min:
                raise ValueError("bands must not overlap")
        return self


class _Labelled(LabelledRows):
    splits: dict[Split, Any]  # the source's class defines the type of values

    @model_validator(mode="after")
    def _every_split_once(self) -> Self:
        splits = self.splits
        _require_train(splits)
        for split in ("validation", "test"):
            _require_split_or_share(splits, split, getattr(self, f"{split}_share"))
        if (self.validation_share or 0) + (self.test_share or 0) >= 1:
            raise ValueError("validation_share and test_share together leave no row to train on")
        return self


def _require_split_or_share(splits: dict[Split, Any], split: Split, share: float | None) -> None:
    if split not in splits and not share:
        raise ValueError(
            f"splits has no {split}: set {split}_share, the share of rows to split off"
        )
    if split in splits and share:
        raise ValueError(f"splits has {split}: {split}_share must be null")


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
    splits: dict[Split, Any]  # the source's class defines the type of values
    columns: GeneralColumns = GeneralColumns()
    test_share: Share | None = None
    take: Sizes = Sizes()

    @model_validator(mode="after")
    def _every_split_once(self) -> Self:
        splits = self.splits
        _require_train(splits)
        if "validation" in splits or self.take.validation:
            raise ValueError("general instructions have only the splits train and test")
        _require_split_or_share(splits, "test", self.test_share)
        return self


class GeneralPackage(PackageSource, GeneralRows):
    pass


class GeneralFiles(FilesSource, GeneralRows):
    pass


class GeneralHub(HubSource, GeneralRows):
    pass


class TasksSource(Section):
    """Small tasks, written and checked by programs, with exactly one right answer."""

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
    """Licence, page and citation of a study's rows and models, which only the model cards state.

    `general` contains one entry for each entry of `sources.general`, in the same order. The last entries
    may be missing.
    """

    labelled: Origin = Origin()
    general: list[Origin] = []
    base_model: Origin = Origin()
    encoder: Origin = Origin()
