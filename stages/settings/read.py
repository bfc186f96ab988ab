"""Every setting, typed: the only reader of `params.yaml` and `profiles/`.

A stage names what it reads, `read_settings("seed", "mix", "evaluate.batch_size")`, and can reach
nothing else. `make pipeline` writes the same names under the stage's `params` in `dvc.yaml`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from runtime.errors import StudyError
from runtime.yaml_file import read_yaml

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from settings.base_model import BaseModelSection, BaseModelSource, EncoderSection
from settings.encoder import EncoderTraining
from settings.labels import Labels
from settings.model import Evaluate, Precision, Train
from settings.problems import described
from settings.section import InRepository, Section
from settings.sources import Origins, Sources
from settings.study import Compare, Instructify, Mix, Params, Prepare
from systems import systems_of

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")

_Model = TypeVar("_Model", bound=BaseModel)


def _names_systems(task: str) -> str:
    systems_of(task)
    return task


Task = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_names_systems)]


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

    @model_validator(mode="after")
    def _same_labels(self) -> Self:
        source = self.sources.labelled
        for key in ("label_values", "bands"):
            found = getattr(source, key)
            labels = set(found.values()) if key == "label_values" else set(found)
            if labels and labels != set(self.labels.names):
                raise ValueError(
                    f"sources.labelled.{key} names the labels {sorted(labels)}, "
                    f"labels.names has {sorted(self.labels.names)}"
                )
        return self

    @model_validator(mode="after")
    def _origins_of_sources(self) -> Self:
        if len(self.origins.general) > len(self.sources.general):
            raise ValueError(
                f"origins.general has {len(self.origins.general)} entries, sources.general has "
                f"{len(self.sources.general)}: give one entry for each source, in the same order"
            )
        return self


class Settings:
    """The sections that a stage asked for, as attributes, and no others."""

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
    """Check all of `params.yaml` and of the profile it names, and return `sections` of them.

    A section is a name ("train") or a single setting of one ("evaluate.batch_size"). Raises
    `StudyError` for a file that is missing or no YAML, and for an unknown, missing or wrong setting,
    with file, key, value and what is allowed.
    """
    params = _validated(PARAMS, Params)
    path = PROFILES / f"{params.profile}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.yaml") if each.is_file()))
        raise StudyError(
            f"{PARAMS}: profile = {params.profile!r}: no file {path}; there is {known}"
        )
    every = {**dict(params), **dict(_validated(path, Profile))}
    values: dict[str, Any] = {name: every[name] for name in sections if "." not in name}
    parts = dict.fromkeys(name.split(".")[0] for name in sections if "." in name)
    for section in parts.keys() - values.keys():
        keys = [name.split(".")[1] for name in sections if name.startswith(f"{section}.")]
        values[section] = _Part(section, {key: getattr(every[section], key) for key in keys})
    return Settings(values)


class _Part:
    """The settings of a section that a stage asked for one by one."""

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
        lines = [f"{path}: {described(model, problem)}" for problem in error.errors()]
        raise StudyError("\nerror: ".join(lines)) from None
