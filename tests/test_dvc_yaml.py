"""dvc.yaml against the code: deps are what a stage imports, params what it reads, walls between rooms."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[1]
STAGES = REPO / "stages"
DVC = yaml.safe_load((REPO / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))

ROOMS = (
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
)  # each knows those before
NO_TORCH = ("prepare", "instructify", "mix", "baselines", "compare")
HEAVY = {"torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "lm"}
OF_PROFILE = {"sources", "labels", "base_model", "precision", "train", "evaluate", "launch"}


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
        return [_filled(each, values) for each in node]
    return (
        re.sub(r"\$\{(.+?)\}", lambda at: _value(at[1], values), node)
        if isinstance(node, str)
        else node
    )


def _value(name: str, values: dict[str, str]) -> str:
    if name in values:
        return values[name]
    found = PARAMS
    for key in name.split("."):
        found = found[key]
    return str(found)


def _module(file: Path) -> str:
    parts = file.relative_to(STAGES).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {_module(file): file for file in STAGES.rglob("*.py")}
SCRIPTS = {name for name in FILES if "." not in name} - set(ROOMS)
STAGE = _expanded()


def _tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def _imports(module: str) -> Iterator[str]:
    """The names that a module imports, anywhere in its text, the packages above them too."""
    for node in ast.walk(_tree(module)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            assert node.module, f"{module}: a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: end + 1]) for end in range(len(parts)))


def _closure(module: str) -> set[str]:
    found, ahead = {module}, [module]
    while ahead:
        for name in set(_imports(ahead.pop())) & FILES.keys() - found:
            found.add(name)
            ahead.append(name)
    return found


def _script(stage: str) -> str:
    return _module(REPO / STAGE[stage]["cmd"].split()[1])


def _read_sections(script: str) -> set[str]:
    """The sections that `read_settings("seed", "mix")` in a script names."""
    calls = [
        node
        for node in ast.walk(_tree(script))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "read_settings"
    ]
    (call,) = calls
    assert not call.keywords
    return {ast.literal_eval(argument) for argument in call.args}


def test_there_is_a_stage_for_every_script_and_the_other_way_round() -> None:
    assert {_script(name) for name in STAGE} == SCRIPTS
    assert {name.split("@")[0].split("_")[0] for name in STAGE} >= {"train", "evaluate"}


@pytest.mark.parametrize("stage", STAGE)
def test_deps_are_exactly_what_the_stage_imports(stage: str) -> None:
    named = [dep for dep in STAGE[stage]["deps"] if dep.startswith("stages/")]
    imported = {f"{FILES[name].relative_to(REPO)}" for name in _closure(_script(stage))}
    assert len(named) == len(set(named))
    assert set(named) == imported


@pytest.mark.parametrize("stage", STAGE)
def test_params_are_exactly_the_sections_that_the_stage_reads(stage: str) -> None:
    named: set[str] = set()
    for entry in STAGE[stage].get("params", []):
        if isinstance(entry, dict):
            assert entry.keys() == {f"profiles/{PARAMS['profile']}.yaml"}
            (sections,) = entry.values()
            assert set(sections) <= OF_PROFILE
            named |= set(sections)
        else:
            assert entry in PARAMS
            named.add(entry)
    assert named == _read_sections(_script(stage))


@pytest.mark.parametrize("stage", STAGE)
def test_what_a_stage_reads_is_made_by_a_stage_or_stands_in_git(stage: str) -> None:
    made = [out for each in STAGE.values() for out in _outs(each)]
    for dep in STAGE[stage]["deps"]:
        is_made = any(
            dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/") for out in made
        )
        assert is_made or (REPO / dep).exists(), dep


def _outs(stage: dict[str, Any]) -> list[str]:
    metrics = [path for entry in stage.get("metrics", []) for path in entry]
    return [*stage["outs"], *metrics]


@pytest.mark.parametrize("stage", STAGE)
def test_every_stage_says_what_it_does(stage: str) -> None:
    assert len(STAGE[stage]["desc"]) > 15


@pytest.mark.parametrize("stage", STAGE)
def test_outs_keep_the_run_cache_working_and_metrics_stand_in_git(stage: str) -> None:
    # `cache: false` or `persist` on an out would switch the run-cache off for the whole stage.
    assert all(isinstance(out, str) for out in STAGE[stage]["outs"])
    for entry in STAGE[stage].get("metrics", []):
        assert list(entry.values()) == [{"cache": False}]


def test_charts_and_artifacts_lie_in_outs() -> None:
    outs = [out for stage in STAGE.values() for out in stage["outs"]]
    files = [
        path
        for plot in DVC["plots"]
        for name, content in plot.items()
        for path in (content["y"] if isinstance(content.get("y"), dict) else [name])
    ]
    files += [artifact["path"] for artifact in DVC["artifacts"].values()]
    assert len(files) == 4 + 8 + 2
    for path in files:
        assert any(path == out or path.startswith(f"{out}/") for out in outs), path


@pytest.mark.parametrize("module", sorted(FILES))
def test_rooms_import_only_from_rooms_before_them(module: str) -> None:
    own = module.split(".")[0]
    imported = {name.split(".")[0] for name in set(_imports(module)) & FILES.keys()}
    if own in SCRIPTS:
        assert imported <= set(ROOMS)
    else:
        assert imported <= set(ROOMS[: ROOMS.index(own) + 1])


@pytest.mark.parametrize("script", NO_TORCH)
def test_data_stages_name_no_torch(script: str) -> None:
    named = {name.split(".")[0] for module in _closure(script) for name in _imports(module)}
    assert not named & HEAVY


def test_data_stages_load_no_torch() -> None:
    code = f"import sys, {', '.join(NO_TORCH)}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=STAGES, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
