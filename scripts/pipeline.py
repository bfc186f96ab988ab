"""Write dvc.yaml from the code: `make pipeline`.

A stage's `deps` are the files that its script imports and the data in the table below; its `params`
are the settings that its script reads; systems come from `stages/systems.py` and the profile's task.
"""

from pathlib import Path
from typing import Any

from runtime.closure import affecting_files, settings_read, summary_of
from runtime.files import write_text
from runtime.process import run_stage
from runtime.yaml_file import read_yaml

import yaml

from settings.read import PROFILES, Profile, read_settings
from settings.study import Params
from systems import System, Systems, Trained, systems_of

DVC = Path("dvc.yaml")
PROFILE = "profiles/${profile}.yaml"
HEAD = "# Written by `make pipeline` from stages/ and profiles/: edit those, not this file.\n"
LABELLED, GENERAL = "data/instructions/labelled", "data/instructions/general"
PREPARED = ["data/prepared/labelled", "data/prepared/general"]
RATERS, SOURCES = "data/prepared/raters.parquet", "data/prepared/general_sources.parquet"
POOL = "data/instructions/templates.json"
BASE, FOUND = "models/base", "data/preflight/base_model.json"
ENCODER, FOUND_ENCODER = "models/encoder", "data/preflight/encoder.json"
PREDICTED = ["predictions/{}", "metrics/evaluate/{}.json"]
PARTS = ("train", "validation")  # of a loss curve
TITLE = "Loss on answers, in nats a token"
ACCURACIES = {"cache": False, "template": "bar_horizontal", "x": "accuracy", "y": "system"}
CONFUSION = {"template": "confusion", "x": "actual", "y": "predicted"}
CHECKED = ["data/raw/ten_instructions.yaml", "data/raw/hundred_instructions.yaml"]


def pipeline(systems: Systems, raw_files: list[str]) -> dict[str, Any]:
    """The whole content of dvc.yaml."""
    losses = [f"curves/{system.name}/{part}.csv" for system in systems.tuned for part in PARTS]
    return {
        "stages": stages_of(systems, raw_files),
        # What `dvc exp show` reads: section by section, DVC 3.67 fails on keys that are numbers.
        "params": [PROFILE],
        "plots": [
            {"loss": {"title": TITLE, "x": "step", "y": dict.fromkeys(losses, "loss")}},
            *({f"predictions/{system.name}/confusion.csv": dict(CONFUSION)} for system in systems),
        ],
        "artifacts": {
            system.name.replace("_", "-"): artifact(system) for system in systems.trained
        },
    }


def stages_of(systems: Systems, raw_files: list[str]) -> dict[str, Any]:
    """Every stage under its name, in the order in which the stages run by hand."""
    rows = sorted({str(system.rows) for system in systems.tuned})
    launch = sorted(map(str, Path("launch").glob("*.yaml")))
    baselines = [system.name for system in systems.of_kind("baseline", "reference")]
    stages: dict[str, Any] = {
        "prepare": stage(
            "prepare",
            raw_files,
            [*PREPARED, RATERS, SOURCES, "data/prepared/rejected.parquet", "metrics/prepare.json"],
        ),
        "instructify": stage(
            "instructify", [*PREPARED, "${instructify.templates}"], [LABELLED, GENERAL, POOL]
        ),
        "mix": stage(
            "mix", [f"{GENERAL}/train.parquet", f"{LABELLED}/train.parquet"], ["data/mixed"]
        ),
        "preflight": stage(
            "preflight", [*rows, LABELLED, f"{GENERAL}/test.parquet", *launch], ["data/preflight"]
        ),
        "base_model": stage("base_model", [FOUND], [BASE]),
        "encoder": stage("encoder", [FOUND_ENCODER], [ENCODER]),
    }
    for system in systems.tuned:
        stages[system.train_stage] = stage(
            f"train {system.short}",
            # FOUND: a training that cannot work is stopped by preflight before it begins.
            [str(system.rows), f"{LABELLED}/validation.parquet", FOUND, *launch, BASE],
            trained(system),
        )
    encoder = systems.encoder
    stages[encoder.train_stage] = stage(
        encoder.train_stage,
        ["data/prepared/labelled", ENCODER],
        trained(encoder) + [path.format(encoder.name) for path in PREDICTED],
    )
    tests = [f"{LABELLED}/{name}.parquet" for name in ("test", "validation", "wordings")]
    evaluate = stage(
        "evaluate ${key}",
        [*tests, f"{GENERAL}/test.parquet", POOL, *CHECKED, *launch, BASE, "${item.reads}"],
        [path.format("${key}") for path in PREDICTED],
    )
    reads = {system.name: {"reads": read_by(system)} for system in systems.language_models}
    stages["evaluate"] = {"foreach": reads, "do": evaluate}
    original, (probe,) = f"predictions/{systems.original.name}", systems.of_kind("probe")
    stages["probe"] = stage(
        "probe",
        [f"{LABELLED}/test.parquet", f"{LABELLED}/train.parquet", *launch, BASE, original],
        [path.format(probe.name) for path in PREDICTED],
    )
    predictions = [path.format(name) for path in PREDICTED for name in baselines]
    stages["baselines"] = stage(
        "baselines",
        ["data/prepared/labelled/test.parquet", "data/prepared/labelled/train.parquet"],
        [*predictions, "metrics/label_noise.json"],
    )
    stages["compare"] = stage(
        "compare",
        [*rows, str(systems.encoder.rows), POOL, *CHECKED, "data/prepared/labelled/test.parquet"]
        + [RATERS, SOURCES, "data/replicates/predictions.parquet", "metrics/label_noise.json"]
        + [f"metrics/{system.train_stage}.json" for system in systems.trained]
        + [f"predictions/{system.name}" for system in systems],
        ["reports", "metrics/compare.json"],
    )
    # Both are in git: DVC lists the headline's few numbers and draws all accuracies.
    stages["compare"]["metrics"] = [{"metrics/headline.json": {"cache": False}}]
    stages["compare"]["plots"] = [{"metrics/systems.json": ACCURACIES}]
    return stages


def stage(command: str, reads: list[str], writes: list[str]) -> dict[str, Any]:
    """One stage: `reads` and `writes` besides what its script's imports and settings say."""
    name, *arguments = command.split()
    script = Path(f"stages/{name}.py")
    return {
        "desc": summary_of(script),
        "cmd": " ".join(["python", str(script), *arguments]),
        "deps": [*reads, *map(str, affecting_files(script))],
        "params": params_of(script),
        "outs": [*writes],
    }


def artifact(system: Trained) -> dict[str, str]:
    return {"path": str(system.folder), "type": "model", "desc": system.title}


def trained(system: Trained) -> list[str]:
    """What the training of a system writes."""
    return [str(system.folder), f"curves/{system.name}", f"metrics/{system.train_stage}.json"]


def read_by(system: System) -> str:
    """What a language model reads besides what all language models read."""
    if isinstance(system, Trained):
        return str(system.folder)
    return "data/instructions" if system.examples else f"{BASE}/config.json"


def params_of(script: Path) -> list[Any]:
    """The settings that a script reads, as DVC's params, without those that change no model."""
    names = settings_read(script)
    study = [name for name in names if name in Params.model_fields]
    profile = [param for name in names if name not in study for param in profile_params(name)]
    return [*study, *([{PROFILE: profile}] if profile else [])]


def profile_params(name: str) -> list[str]:
    section: Any = getattr(Profile.model_fields.get(name), "annotation", None)
    untracked = getattr(section, "UNTRACKED", None)
    tracked = [key for key in section.model_fields if key not in untracked] if untracked else []
    return [f"{name}.{key}" for key in tracked] or [name]


def raw_files_of(task: str) -> list[str]:
    """What the profiles of this task read in data/raw: files, and of a pattern the folder it starts in."""
    files: set[str] = set()
    for path in sorted(PROFILES.glob("*.yaml")):
        profile = read_yaml(path)
        if isinstance(profile, dict) and profile.get("task") == task:
            sources = profile.get("sources") or {}
            for source in [sources.get("labelled"), *(sources.get("general") or [])]:
                files |= set(map(watched_path, (source or {}).get("splits", {}).values()))
    return sorted(files - {""})


def watched_path(place: Any) -> str:
    """The path in data/raw that holds all files of a split; "" for a place outside of data/raw."""
    path = Path(place if isinstance(place, str) else "")
    while not path.exists():
        path = path.parent
    return str(path) if path.is_relative_to("data/raw") else ""


def main() -> None:
    task = read_settings("task").task
    content = pipeline(systems_of(task), raw_files_of(task))
    text = HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    if not DVC.is_file() or DVC.read_text(encoding="utf-8") != text:
        write_text(DVC, text)
        print(f"{DVC}: written for the task {task}")


if __name__ == "__main__":
    run_stage(main)
