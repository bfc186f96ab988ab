"""Every shipped profile is valid, so that none of them rots."""

from pathlib import Path

from runtime.yaml_file import read_yaml

import pytest
import yaml

from settings.model import HubBase
from settings.read import Profile
from settings.study import Params

REPO = Path(__file__).parents[1]
PROFILES = sorted((REPO / "profiles").glob("*.yaml"))


def test_the_three_profiles_are_there() -> None:
    assert {path.stem for path in PROFILES} >= {"pocket", "laptop", "mistral-7b"}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_the_profile_is_valid(path: Path) -> None:
    Profile.model_validate(read_yaml(path))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_numeric_setting_is_read_alike_by_every_yaml_reader(path: Path) -> None:
    # 5e-4 is text to YAML 1.1 and a number to YAML 1.2: profiles write 0.0005.
    train = yaml.safe_load(path.read_text())["train"]
    if train["lora_layers"] is None:  # the one setting that may be null
        del train["lora_layers"]
    assert all(isinstance(value, int | float) for value in train.values())


def test_the_default_parameters_name_the_default_profile() -> None:
    assert Params.model_validate(read_yaml(REPO / "params.yaml")).profile == "pocket"


def test_the_study_names_mistral_at_its_commit() -> None:
    base = Profile.model_validate(read_yaml(REPO / "profiles/mistral-7b.yaml")).base_model
    assert isinstance(base, HubBase)
    assert base.revision == "27d67f1b5f57dc0953326b2601d68371d40ea8da"
