"""Every setting, typed: the only reader of `params.yaml` and `profiles/`.

A stage names its settings, as in `read_settings("seed", "mix", "evaluate.batch_size")`, and can read no
other setting. `make pipeline` writes the same names under the stage's `params` in `dvc.yaml`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from runtime.errors import StudyError
from runtime.yaml_file import read_yaml

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from settings.base_model import BaseModelSection, BaseModelSource, EncoderSection
from settings.encoder import EncoderTraining
from settings.label_names import with_labels_in_nfc
from settings.labels import Labels
from settings.model import Evaluate, Precision, Train
from settings.problems import descriptions
from settings.section import InRepository, Section
from settings.sources import Origins, Sources
from settings.study import Compare, Instructify, Mix, Params, Prepare
from systems import systems_of

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")

_Model = TypeVar("_Model", bound=BaseModel)


def _valid_task(task: str) -> str:
    systems_of(task)  # raises for a task whose systems would have the same name twice
    return task


Task = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_valid_task)]


class EncoderSettings(EncoderTraining):
    """The pretrained encoder, and how it is fine-tuned."""

    base: EncoderSection


class Profile(Section):
    task: Task
    sources: Sources
    origins: Origins
    labels: Labels
    base_model: BaseModelSection
    encoder: EncoderSettings
    precision: Precision
    train: Train
    evaluate: Evaluate
    launch: InRepository | None

    @model_validator(mode="before")
    @classmethod
    def _labels_in_nfc(cls, content: Any) -> Any:
        return with_labels_in_nfc(content)

    @model_validator(mode="after")
    def _sortable_label_values(self) -> Self:
        values = self.sources.labelled.label_values
        texts = [value for value in values if isinstance(value, str)]
        if isinstance(values, dict) and 0 < len(texts) < len(values):
            other = next(value for value in values if not isinstance(value, str))
            raise ValueError(
                f"sources.labelled.label_values has texts and other values as keys ({texts[0]!r} and "
                f"{other!r}), which DVC cannot sort: write all keys in quotation marks ('1' and 1 are the "
                "same value)"
            )
        return self

    @model_validator(mode="after")
    def _same_labels(self) -> Self:
        source = self.sources.labelled
        values = source.label_values
        labels_by_key = {
            "label_values": set(values.values()) if isinstance(values, dict) else set(),
            "bands": set(source.bands),
        }
        for key, labels in labels_by_key.items():
            if labels and labels != set(self.labels.names):
                raise ValueError(
                    f"sources.labelled.{key} names the labels {sorted(labels)}, "
                    f"labels.names has {sorted(self.labels.names)}"
                )
        return self

    @model_validator(mode="after")
    def _one_origin_a_source(self) -> Self:
        if len(self.origins.general) > len(self.sources.general):
            raise ValueError(
                f"origins.general has {len(self.origins.general)} entries, sources.general has "
                f"{len(self.sources.general)}: write one entry for each source, in the same order"
            )
        return self


class Settings:
    """The sections that a stage asked `read_settings` for, as attributes, and no other sections."""

    profile: str
    task: str
    seed: int
    training_seed: int
    prompt_format: Literal["alpaca", "chat"]
    prepare: Prepare
    instructify: Instructify
    mix: Mix
    compare: Compare
    sources: Sources
    origins: Origins
    labels: Labels
    base_model: BaseModelSource
    encoder: EncoderSettings
    precision: Precision
    train: Train
    evaluate: Evaluate
    launch: str | None

    def __init__(self, sections: dict[str, Any]) -> None:
        self.__dict__.update(sections)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this stage did not ask read_settings for {name!r}")


def read_settings(*sections: str) -> Settings:
    """Check all settings in `params.yaml` and in its profile, and return the settings in `sections`.

    An entry is a whole section ("train") or a single setting of a section ("evaluate.batch_size").
    Raises `StudyError` for a file that is missing or is not YAML, and for a setting that is unknown,
    missing or wrong. The message contains the file, the key, the value, and what is allowed.
    """
    params = _validated(PARAMS, Params)
    path = PROFILES / f"{params.profile}.yaml"
    if not path.is_file():
        profiles = ", ".join(
            sorted(file.stem for file in PROFILES.glob("*.yaml") if file.is_file())
        )
        raise StudyError(
            f"{PARAMS}: profile = {params.profile!r}: no file {path}; existing profiles: {profiles}"
        )
    all_sections = {**dict(params), **dict(_validated(path, Profile))}
    values: dict[str, Any] = {name: all_sections[name] for name in sections if "." not in name}
    partial = dict.fromkeys(name.split(".")[0] for name in sections if "." in name)
    for section in partial.keys() - values.keys():
        keys = [name.split(".")[1] for name in sections if name.startswith(f"{section}.")]
        settings = {key: getattr(all_sections[section], key) for key in keys}
        values[section] = _PartialSection(section, settings)
    return Settings(values)


class _PartialSection:
    """The settings of a section that a stage asked for one by one, as attributes."""

    def __init__(self, section: str, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._section = section

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this stage did not ask read_settings for {self._section}.{name!r}")


def _validated(path: Path, model: type[_Model]) -> _Model:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}: must be a mapping of settings")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {line}" for line in descriptions(model, error.errors())]
        raise StudyError("\nerror: ".join(lines)) from None
