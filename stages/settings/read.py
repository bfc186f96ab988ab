"""Every setting, typed: the only reader of `params.yaml` and `profiles/`.

A stage names the sections that it reads, `read_settings("seed", "mix")`, and can reach no other:
what stands in that call is what `dvc.yaml` must name under the stage's `params`.
"""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from runtime.errors import StudyError
from runtime.yaml_file import read_yaml

from pydantic import BaseModel, ValidationError, model_validator

from settings.labels import Labels
from settings.model import (
    BaseModelSource,
    Evaluate,
    HubBase,
    PackageBase,
    PathBase,
    Precision,
    Train,
)
from settings.problems import described
from settings.section import InRepository, Section
from settings.sources import Sources
from settings.study import Compare, Instructify, Mix, Params, Prepare

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")

_Model = TypeVar("_Model", bound=BaseModel)


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
        lines = [f"{path}: {described(model, problem)}" for problem in error.errors()]
        raise StudyError("\nerror: ".join(lines)) from None
