"""A study whose stages are disturbed, and helpers that compare its outputs afterwards."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from sitecustomize import Fault

HOOK = Path(__file__).parent
FORKS = HOOK.parents[1] / "forks"

SEED = 4  # for all random draws
OLD = b"the output of an older run"


class Stages:
    """A toy study whose stages start quickly, each in its own process; see `forked.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands, self.outs = _stages(folder)
        self.events: dict[str, list[str]] = {}
        self.undisturbed: dict[str, dict[str, bytes]] = {}
        paths = [str(folder / "stages"), str(HOOK), str(FORKS)]
        self._program = subprocess.Popen(
            [sys.executable, str(HOOK / "forked.py")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, stage: str, fault: Fault | None = None, **more: Any) -> tuple[int, str]:
        """Run a stage, with a fault if one is passed; return its exit code and output."""
        assert self._program.stdin
        assert self._program.stdout
        request = {
            "command": self.commands[stage].split(),
            "fault": None if fault is None else asdict(fault),
            "events": None,
            "file_size": None,
            **more,
        }
        self._program.stdin.write(json.dumps(request) + "\n")
        self._program.stdin.flush()
        while (line := self._program.stdout.readline()) == "ready\n":
            pass
        answer = json.loads(line)
        return answer["code"], answer["output"]

    def make(self, last: str) -> None:
        """Run the stages up to `last` that have not run yet, without faults; record outputs and events."""
        for stage in self.commands:
            if stage not in self.undisturbed:
                events = self.folder / ".dvc/tmp/events"
                # Record the second run: folders exist then, and an older output is replaced.
                for _ in range(2):
                    events.unlink(missing_ok=True)
                    code, output = self.run(stage, events=str(events))
                    assert code == 0, output
                self.undisturbed[stage] = self.outputs(stage)
                self.events[stage] = events.read_text(encoding="utf-8").splitlines()
                events.unlink()
            if stage == last:
                return

    def outputs(self, stage: str) -> dict[str, bytes]:
        """{path: content} of a stage's output files."""
        return outputs_of(self.folder, self.outs[stage])

    def close(self) -> None:
        self._program.communicate()


def _stages(folder: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """{stage: command} and {stage: output paths}, in the order of dvc.yaml, in which they can run."""
    commands, outs = {}, {}
    content = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))
    for name, stage in content["stages"].items():
        for key in stage.get("foreach", [None]):
            single = json.loads(json.dumps(stage.get("do", stage)).replace("${key}", str(key)))
            title = name if key is None else f"{name}@{key}"
            commands[title] = single["cmd"].removeprefix("python stages/")
            metrics = [path for metric in single.get("metrics", []) for path in metric]
            outs[title] = [*single["outs"], *metrics]
    return commands, outs


def outputs_of(folder: Path, outs: Sequence[str]) -> dict[str, bytes]:
    """{path: content} of the files at or below `outs`, without half-written files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for out in outs
        for path in [folder / out, *(folder / out).rglob("*")]
        if path.is_file() and not is_partial(path.relative_to(folder))
    }


def is_partial(path: Path) -> bool:
    return any(part.endswith((".partial", ".part")) for part in path.parts)


def left_over(folder: Path) -> list[str]:
    """Half-written files in the study, including temporary files of DVC and libraries."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if is_partial(path.relative_to(folder))
        or path.name.startswith((".tmp", ".gguf-", ".fetch-"))
    ]


def draw(stage: str, events: int, count: int) -> list[Fault]:
    """`count` random moments for a kill: at an event, and for the last one a short time after it."""
    draws = random.Random(f"{SEED}:{stage}")
    at = draws.sample(range(1, events + 1), min(count, events))
    # The last kill hits the stage while it computes, not while it writes.
    delays = [*[0.0] * (len(at) - 1), draws.uniform(0.01, 0.2)]
    return [Fault("", event, delay) for event, delay in zip(at, delays, strict=True)]
