"""Every setting, typed: the only reader of `params.yaml` and `profiles/`.

A stage names the sections that it reads, `read_settings("seed", "mix")`, and can reach no other:
what stands in that call is what `dvc.yaml` must name under the stage's `params`.
"""

import difflib
import re
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

from command import StudyError, shown

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from yaml_file import read_yaml

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")


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

_Model = TypeVar("_Model", bound=BaseModel)


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


# --- params.yaml ------------------------------------------------------------------------------


class Prepare(Section):
    max_rejected_share: Share
    leak_similarity: Annotated[Number, Field(gt=0, le=1)]


class Instructify(Section):
    templates: InRepository
    wording_rows: Count


class Mix(Section):
    general_rows: Count | None = None
    general_share: Share | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.general_rows is None) == (self.general_share is None):
            raise ValueError("give either general_rows or general_share, and leave the other null")
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


# --- profiles/*.yaml: sources -----------------------------------------------------------------


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


class PackageSource(Origin):
    kind: Literal["package"]
    package: Package
    splits: dict[Split, Annotated[list[str], Field(min_length=1)]]
    reading: Reading = Reading()
    ratings: Ratings | None = None


class FilesSource(Origin):
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


class HubSource(Origin):
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


class SentimentColumns(Section):
    text: str
    label: str | None = None
    rating: str | None = None

    @model_validator(mode="after")
    def _label_or_rating(self) -> Self:
        if (self.label is None) == (self.rating is None):
            raise ValueError("give either label or rating")
        return self


class SentimentRows(Section):
    """What the rows of a labelled source mean, how many are taken, and how they are split."""

    columns: SentimentColumns
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


class _Sentiment(SentimentRows):
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


class SentimentPackage(PackageSource, _Sentiment):
    pass


class SentimentFiles(FilesSource, _Sentiment):
    pass


class SentimentHub(HubSource, _Sentiment):
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


SentimentSource = Annotated[
    SentimentPackage | SentimentFiles | SentimentHub, Field(discriminator="kind")
]
GeneralSource = Annotated[
    GeneralPackage | GeneralFiles | GeneralHub | TasksSource, Field(discriminator="kind")
]
TableSource = PackageSource | FilesSource | HubSource


class Sources(Section):
    sentiment: SentimentSource
    general: Annotated[list[GeneralSource], Field(min_length=1)]


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


# --- profiles/*.yaml: model -------------------------------------------------------------------


class PackageBase(Origin):
    kind: Literal["package"]
    package: Package
    gguf: str


class PathBase(Origin):
    kind: Literal["path"]
    path: str
    sha256: Sha256 | None = None


class HubBase(Origin):
    kind: Literal["hub"]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]  # or branch, or tag


BaseModelSource = Annotated[PackageBase | PathBase | HubBase, Field(discriminator="kind")]


class Precision(Section):
    dtype: Literal["float32", "bfloat16"]
    quantization: Literal["none", "nf4"]
    deterministic: bool = True


class Train(Section):
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
    max_new_tokens_sentiment: Count
    max_new_tokens_general: Count
    max_new_tokens_ten: Count
    max_new_tokens_hundred: Count
    few_shot_examples: Count


class Profile(Section):
    sources: Sources
    labels: Labels
    base_model: BaseModelSource
    precision: Precision
    train: Train
    evaluate: Evaluate
    launch: InRepository | None

    @model_validator(mode="after")
    def _same_labels(self) -> Self:
        source = self.sources.sentiment
        for key in ("label_values", "bands"):
            found = getattr(source, key)
            labels = set(found.values()) if key == "label_values" else set(found)
            if labels and labels != set(self.labels.names):
                raise ValueError(
                    f"sources.sentiment.{key} names the labels {sorted(labels)}, "
                    f"labels.names has {sorted(self.labels.names)}"
                )
        return self


# --- reading ----------------------------------------------------------------------------------


class Settings:
    """The sections that a stage asked for, as attributes, and no others."""

    profile: str
    seed: int
    training_seed: int
    prompt_format: Literal["alpaca", "chat"]
    prepare: Prepare
    instructify: Instructify
    mix: Mix
    compare: Compare
    sources: Sources
    labels: Labels
    base_model: PackageBase | PathBase | HubBase
    precision: Precision
    train: Train
    evaluate: Evaluate
    launch: str | None

    def __init__(self, sections: dict[str, Any]) -> None:
        self.__dict__.update(sections)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this stage did not ask read_settings for {name!r}")


def read_settings(*sections: str) -> Settings:
    """Check all of `params.yaml` and of the profile it names; give `sections` of them.

    Raises `StudyError` for a file that is missing or no YAML, and for an unknown, missing or wrong
    setting, with file, key, value and what is allowed.
    """
    params = _validated(PARAMS, Params)
    path = PROFILES / f"{params.profile}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.yaml") if each.is_file()))
        raise StudyError(
            f"{PARAMS}: profile = {params.profile!r}: no file {path}; there is {known}"
        )
    every = {**dict(params), **dict(_validated(path, Profile))}
    return Settings({name: every[name] for name in sections})


def _validated(path: Path, model: type[_Model]) -> _Model:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}: must be a mapping of settings")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {_described(model, problem)}" for problem in error.errors()]
        raise StudyError("\nerror: ".join(lines)) from None


def _described(model: type[BaseModel], problem: Any) -> str:
    # The kind of a source ("files") stands in pydantic's path, though not in the file.
    kinds = ("package", "files", "hub", "tasks", "path")
    path = [
        str(part)
        for at, part in enumerate(problem["loc"])
        if not (part in kinds and at and _is_kinded(problem["loc"][:at]))
    ]
    key = ".".join(part if part.isprintable() else shown(part) for part in path)
    key = key or "(the whole file)"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        allowed = _allowed(model, problem["loc"][:-1])
        near = difflib.get_close_matches(path[-1], allowed, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"{key} is no setting; allowed here: {', '.join(allowed)}{meant}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}.kind is missing; allowed: {', '.join(_kinds(model, problem['loc']))}"
    if problem["type"] in ("model_type", "dict_type"):
        problem["msg"] = "Input should be a mapping"
    text = " ".join(problem["msg"].removeprefix("Value error, ").split())
    value = problem["input"]
    told = "" if isinstance(value, dict | BaseModel) else f" = {shown(value)}"
    return f"{key}{told}: {text}"


def _is_kinded(path: tuple[Any, ...]) -> bool:
    return path[-1] in ("sentiment", "base_model") or (len(path) > 1 and path[-2] == "general")


def _allowed(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys that may stand below `path`, a path as pydantic gives it."""
    below = _models_below(model, path)
    return list(dict.fromkeys(name for each in below for name in each.model_fields))


def _kinds(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    return [_kind_of(each) for each in _models_below(model, path)]


def _kind_of(model: type[BaseModel]) -> str:
    (kind,) = get_args(model.model_fields["kind"].annotation)
    return str(kind)


def _models_below(model: type[BaseModel], path: tuple[Any, ...]) -> list[type[BaseModel]]:
    models = [model]
    for at, part in enumerate(path):
        if at and _is_kinded(path[:at]):
            models = [each for each in models if _kind_of(each) == part]
        elif any(part in each.model_fields for each in models):
            models = [
                found
                for each in models
                if part in each.model_fields
                for found in _models_in(each.model_fields[part].annotation)
            ]
        # Else a place in a list or a key of a mapping: what stands there is of the same models.
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
