"""dvc.yaml against the code: it is up to date, data comes from a stage or git, walls between rooms."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtime.closure import WITHOUT_EFFECT, affecting_files, imported_modules, module_name

import pipeline
import pytest
import yaml

from settings.encoder import EncoderTraining
from settings.model import Precision, Train
from systems import Trained, systems_of

REPO = Path(__file__).resolve().parents[1]
STAGES = REPO / "stages"
DVC = yaml.safe_load((REPO / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))

ROOMS = (  # each imports only from rooms before it
    "systems",
    "runtime",
    "settings",
    "fetch",
    "tasks",
    "rows",
    "prompts",
    "lm",
    "stats",
    "measure",
    "pages",
)
NO_TORCH = ("prepare", "instructify", "mix", "baselines", "compare")
HEAVY = {"torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "lm"}
MOST_LINES = 350


def _expanded() -> dict[str, dict[str, Any]]:
    """Every stage under its full name, `foreach` written out and `${...}` filled in."""
    stages: dict[str, dict[str, Any]] = {}
    for name, stage in DVC["stages"].items():
        if "foreach" not in stage:
            stages[name] = _filled(stage, {})
            continue
        for key, item in stage["foreach"].items():
            values = {"key": key, **{f"item.{name}": value for name, value in item.items()}}
            stages[f"{name}@{key}"] = _filled(stage["do"], values)
    return stages


def _filled(node: Any, values: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {_filled(key, values): _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(item, values) for item in node]
    return (
        re.sub(r"\$\{(.+?)\}", lambda match: _value(match[1], values), node)
        if isinstance(node, str)
        else node
    )


def _value(name: str, values: dict[str, str]) -> str:
    if name in values:
        return values[name]
    value = PARAMS
    for key in name.split("."):
        value = value[key]
    return str(value)


FILES = {module_name(file, STAGES): file for file in STAGES.rglob("*.py")}
SCRIPTS = {name for name in FILES if "." not in name} - set(ROOMS)
STAGE = _expanded()


def _script(stage: str) -> Path:
    return REPO / STAGE[stage]["cmd"].split()[1]


# --- what `make pipeline` writes ------------------------------------------------------------------


def test_dvc_yaml_is_what_make_pipeline_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    content = pipeline.pipeline(systems_of("sentiment"), pipeline.raw_files_of("sentiment"))
    text = (REPO / "dvc.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == content, "dvc.yaml is stale: run `make pipeline`"
    assert text.startswith("# Written by `make pipeline`")


def test_there_is_a_stage_for_every_script_and_the_other_way_round() -> None:
    assert {_script(name).stem for name in STAGE} == SCRIPTS


@pytest.mark.parametrize("stage", STAGE)
def test_a_stage_depends_on_its_script_and_on_the_modules_that_the_script_names(stage: str) -> None:
    named = {dep for dep in STAGE[stage]["deps"] if dep.startswith("stages/")}
    assert str(_script(stage).relative_to(REPO)) in named
    for module in imported_modules(_script(stage)) & FILES.keys() - set(WITHOUT_EFFECT):
        assert str(FILES[module].relative_to(REPO)) in named


def test_a_module_without_effect_exists_and_no_stage_depends_on_it() -> None:
    dependencies = {dep for stage in STAGE.values() for dep in stage["deps"]}
    for module in WITHOUT_EFFECT:
        assert str(FILES[module].relative_to(REPO)) not in dependencies


@pytest.mark.parametrize("system", systems_of("sentiment").tuned, ids=lambda system: system.name)
def test_a_training_depends_on_every_setting_that_can_change_its_model(system: Trained) -> None:
    *study, profile = STAGE[system.train_stage]["params"]
    (keys,) = profile.values()
    train = {key.removeprefix("train.") for key in keys if key.startswith("train.")}
    assert train | set(Train.UNTRACKED) == Train.model_fields.keys()
    assert not train & set(Train.UNTRACKED)
    assert "precision" in keys
    assert set(study) == {"training_seed", "prompt_format"}


def test_the_encoder_depends_on_every_setting_that_can_change_it() -> None:
    *study, profile = STAGE[systems_of("sentiment").encoder.train_stage]["params"]
    (keys,) = profile.values()
    tracked = {key.removeprefix("encoder.") for key in keys if key.startswith("encoder.")}
    assert tracked | set(EncoderTraining.UNTRACKED) == {*EncoderTraining.model_fields, "base"}
    assert not tracked & set(EncoderTraining.UNTRACKED)
    assert study == ["training_seed"]


def test_precision_and_training_say_every_value_in_the_profile() -> None:
    # A default in the code could change without any tracked setting changing.
    for path in (REPO / "profiles").glob("*.yaml"):
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert profile["precision"].keys() == Precision.model_fields.keys()
        assert profile["train"].keys() == Train.model_fields.keys()


@pytest.mark.parametrize("stage", STAGE)
def test_what_a_stage_reads_is_made_by_a_stage_or_stands_in_git(stage: str) -> None:
    outputs = [out for name in STAGE for out in _outputs(name)]
    for dep in STAGE[stage]["deps"]:
        is_output = any(
            dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/") for out in outputs
        )
        assert is_output or (REPO / dep).exists(), dep


def _outputs(stage: str) -> list[str]:
    uncached = [
        path
        for key in ("metrics", "plots")
        for entry in STAGE[stage].get(key, [])
        for path in entry
    ]
    return [*STAGE[stage]["outs"], *uncached]


@pytest.mark.parametrize("stage", STAGE)
def test_every_stage_says_what_it_does(stage: str) -> None:
    assert len(STAGE[stage]["desc"]) > 15


@pytest.mark.parametrize("stage", STAGE)
def test_outs_keep_the_run_cache_working(stage: str) -> None:
    # `cache: false` or `persist` on an out would switch the run-cache off for the whole stage.
    assert all(isinstance(out, str) for out in STAGE[stage]["outs"])
    for key in ("metrics", "plots"):
        for entry in STAGE[stage].get(key, []):
            assert all(options["cache"] is False for options in entry.values())


def test_dvc_lists_the_headline_and_no_other_metrics() -> None:
    listed = [
        path for stage in STAGE.values() for entry in stage.get("metrics", []) for path in entry
    ]
    assert listed == ["metrics/headline.json"]


def test_charts_and_artifacts_lie_in_outputs() -> None:
    outputs = [out for stage in STAGE for out in _outputs(stage)]
    files = [
        path
        for plot in DVC["plots"]
        for name, content in plot.items()
        for path in (content["y"] if isinstance(content.get("y"), dict) else [name])
    ]
    files += [artifact["path"] for artifact in DVC["artifacts"].values()]
    systems = systems_of("sentiment")
    # Two curves of each tuned system, every trained model, and a confusion matrix of every system.
    assert len(files) == 2 * len(systems.tuned) + len(systems.trained) + len(systems.all)
    for path in files:
        assert any(path == out or path.startswith(f"{out}/") for out in outputs), path


# --- walls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", sorted(FILES))
def test_rooms_import_only_from_rooms_before_them(module: str) -> None:
    own = module.split(".")[0]
    imported = {name.split(".")[0] for name in imported_modules(FILES[module]) & FILES.keys()}
    if own in SCRIPTS:
        assert imported <= set(ROOMS)
    else:
        assert imported <= set(ROOMS[: ROOMS.index(own) + 1])


@pytest.mark.parametrize("script", NO_TORCH)
def test_data_stages_name_no_torch(script: str) -> None:
    named = {
        name.split(".")[0]
        for file in affecting_files(FILES[script])
        for name in imported_modules(file)
    }
    assert not named & HEAVY


def test_data_stages_load_no_torch() -> None:
    code = f"import sys, {', '.join(NO_TORCH)}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=STAGES, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("folder", ["stages", "scripts"])
def test_no_file_needs_a_table_of_contents(folder: str) -> None:
    lines = {
        str(file.relative_to(REPO)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (REPO / folder).rglob("*.py")
    }
    assert {file: n for file, n in lines.items() if n > MOST_LINES} == {}
    assert folder == "stages" or lines["scripts/pipeline.py"] <= 200
