"""`dvc repro` with kills, a second `dvc repro`, a full or read-only disk, and a damaged cache."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import cycle
from pathlib import Path

import pytest
import yaml

from faulty import HOOK, SEED, Stages, draw, left_over, outputs_of
from sitecustomize import Fault

pytestmark = pytest.mark.faults

Command = Callable[..., subprocess.CompletedProcess[str]]
REPRO = (sys.executable, "-m", "dvc", "repro")


@pytest.fixture(scope="module")
def finished(stages: Stages, run_in: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study after an undisturbed run, in DVC's cache and in git. No test changes it."""
    stages.make("compare")
    folder = tmp_path_factory.mktemp("finished") / "study"
    shutil.copytree(stages.folder, folder, symlinks=True)
    run_in(folder, "python", "-m", "dvc", "commit", "--force", "--quiet")
    run_in(folder, "git", "add", "--all")
    run_in(folder, "git", "commit", "--quiet", "--message", "The study, run")
    return folder


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "study", symlinks=True))


def start(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a new process group; DVC starts its stages with /bin/sh."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "SHELL": "/bin/sh", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait until the command and its children have ended; return exit code and output."""
    output, _ = process.communicate()
    return process.returncode, output


def disturbed(folder: Path, fault: Fault, *targets: str, **environment: str) -> tuple[int, str]:
    """Run `dvc repro` with a fault; return exit code and output."""
    hook = {"PYTHONPATH": str(HOOK), "FAULT": json.dumps(asdict(fault)), **environment}
    return end(start(folder, *REPRO, *targets, **hook))


def is_whole(folder: Path, finished: Path, stages: Stages) -> None:
    """Check that outputs and `dvc.lock` have the bytes of the undisturbed run, without other files."""
    for stage, outs in stages.outs.items():
        assert outputs_of(folder, outs) == stages.undisturbed[stage], stage
    assert (folder / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    assert left_over(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a stage cannot tell that DVC ended")
def test_dvc_repro_killed_in_stage_after_stage(
    make_faulty_study: Callable[[Path], None],
    stages: Stages,
    finished: Path,
    run_in: Command,
    tmp_path: Path,
) -> None:
    """Kill eight random stages, two in each of four ways."""
    make_faulty_study(tmp_path)
    ends = cycle(
        [
            ("dvc", signal.SIGKILL, {-signal.SIGKILL}),
            ("group", signal.SIGKILL, {-signal.SIGKILL}),
            ("self", signal.SIGKILL, {255}),
            ("group", signal.SIGINT, {130, 252, 255}),
        ]
    )
    numbers = sorted(random.Random(SEED).sample(range(len(stages.commands)), 8))
    drawn_stages = [list(stages.commands.items())[number] for number in numbers]
    for (stage, command), (to, how, codes) in zip(drawn_stages, ends, strict=False):
        events = len(stages.events[stage])
        (drawn, _) = draw(f"{stage} under dvc", events * 2 // 3, 2)
        fault = replace(drawn, command=f"stages/{command}", delay=0.0, to=to, signal=how)
        code, output = disturbed(tmp_path, fault)
        assert code in codes, (stage, fault, code, output)
        for name, content in outputs_of(tmp_path, stages.outs[stage]).items():
            assert content == stages.undisturbed[stage][name], name
        assert f"\n  {stage}:\n" not in _text(tmp_path / "dvc.lock")
    run_in(tmp_path, *REPRO)
    is_whole(tmp_path, finished, stages)
    run_in(tmp_path, sys.executable, "-m", "dvc", "status", "--quiet")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_dvc_killed_while_it_writes_its_own_files(
    stages: Stages, finished: Path, workspace: Path, run_in: Command
) -> None:
    """DVC writes `dvc.lock` in place: `make repro` repairs a file that `dvc repro` cannot read."""
    draws = random.Random(SEED)
    whole = (workspace / "dvc.lock").read_bytes()
    broken = 0
    for event in draws.sample(range(2, len(stages.commands)), 4):
        (workspace / "dvc.lock").unlink()
        code, _ = disturbed(workspace, Fault("dvc repro", event, draws.uniform(0, 0.1), "dvc.lock"))
        assert code == -signal.SIGKILL
        left = (workspace / "dvc.lock").read_bytes()
        broken += not whole.startswith(left) or left in whole
    assert broken
    for left in (whole[: len(whole) // 2 - 3], b"", b"stages: ["):
        (workspace / "dvc.lock").write_bytes(left)
        (workspace / ".dvc/tmp/rwlock").write_bytes(b"")
        output = run_in(workspace, "python", "scripts/mend.py").stdout
        assert ".dvc/tmp/rwlock: was half-written" in output
        output = run_in(workspace, *REPRO).stdout
        assert "Running stage" not in output
        is_whole(workspace, finished, stages)


def test_dvc_killed_at_any_of_its_writes(
    make_faulty_study: Callable[[Path], None], stages: Stages, run_in: Command, tmp_path: Path
) -> None:
    make_faulty_study(tmp_path)
    stages.make("prepare")
    events = tmp_path / ".dvc/tmp/events"
    never = Fault("dvc repro", 0)
    assert disturbed(tmp_path, never, "prepare", FAULT_EVENTS=str(events))[0] == 0
    count = len(events.read_text(encoding="utf-8").splitlines())
    cache = tmp_path / ".dvc/cache"
    for event in random.Random(SEED).sample(range(1, count * 9 // 10), 8):
        for folder in (cache, tmp_path / "data/prepared"):
            shutil.rmtree(folder, ignore_errors=True)
        (tmp_path / "dvc.lock").unlink(missing_ok=True)
        code, output = disturbed(tmp_path, Fault("dvc repro", event), "prepare")
        assert code == -signal.SIGKILL, output
        for path in cache.glob("files/md5/??/" + 30 * "?"):
            assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.name
        run_in(tmp_path, "python", "scripts/mend.py")
        run_in(tmp_path, *REPRO, "prepare")
        assert outputs_of(tmp_path, stages.outs["prepare"]) == stages.undisturbed["prepare"]
        assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("how", "out", "reruns"),
    [
        ("flipped", "data/mixed", {"mix"}),
        ("truncated", "models/mixed_fine_tuned", {"train_mixed"}),
        ("flipped", "reports", {"compare"}),
    ],
)
def test_a_damaged_object_of_the_cache_is_named_and_computed_again(
    stages: Stages,
    finished: Path,
    workspace: Path,
    run_in: Command,
    how: str,
    out: str,
    reruns: set[str],
) -> None:
    """The file keeps its time and mode, as if the disk had lost bits."""
    run_in(workspace, *REPRO)
    cache = workspace / ".dvc/cache/files/md5"
    lock = yaml.safe_load((workspace / "dvc.lock").read_text(encoding="utf-8"))
    (name,) = (
        locked["md5"]
        for stage in lock["stages"].values()
        for locked in stage["outs"]
        if locked["path"] == out
    )
    if out != "reports":  # for reports the folder's listing is damaged, else its longest-named file
        listing = json.loads((cache / name[:2] / name[2:]).read_bytes())
        name = max(listing, key=lambda entry: len(entry["relpath"]))["md5"]
    path = cache / name[:2] / name[2:]
    content, before = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 3] ^= 4
    path.chmod(0o644)
    path.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    output = run_in(workspace, "python", "scripts/mend.py").stdout
    assert f"{out}: damaged in DVC's cache" in output
    assert not path.exists()
    output = run_in(workspace, *REPRO).stdout
    assert set(re.findall(r"^Running stage '(.+)':$", output, re.MULTILINE)) == reruns
    is_whole(workspace, finished, stages)


def test_two_at_once_in_one_folder(
    make_faulty_study: Callable[[Path], None], stages: Stages, run_in: Command, tmp_path: Path
) -> None:
    make_faulty_study(tmp_path)
    both = [start(tmp_path, *REPRO, "mix", "baselines") for _ in range(2)]
    ended = [end(process) for process in both]
    assert 0 in [code for code, _ in ended], ended
    for code, output in ended:
        busy = "is busy, it is being blocked by" in output or "Unable to acquire lock" in output
        assert code == 0 or busy, output
    output = run_in(tmp_path, *REPRO, "mix", "baselines").stdout
    for stage in ("prepare", "instructify", "mix", "baselines"):
        assert outputs_of(tmp_path, stages.outs[stage]) == stages.undisturbed[stage]
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("stage", ["prepare", "base_model"])
def test_one_stage_by_hand_twice_at_once(stages: Stages, workspace: Path, stage: str) -> None:
    command = (sys.executable, f"stages/{stages.commands[stage]}")
    processes = [start(workspace, *command) for _ in range(3)]
    for code, output in [end(process) for process in processes]:
        assert code == 0, output
    assert outputs_of(workspace, stages.outs[stage]) == stages.undisturbed[stage]
    assert left_over(workspace) == []


@pytest.fixture(scope="module")
def mounts() -> tuple[str, ...]:
    """A prefix that runs a command with its own mounts; skips the test if mounting is not allowed."""
    for under in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        trial = [*under, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if shutil.which("unshare") and not subprocess.run(trial, capture_output=True).returncode:
            return under
    pytest.skip("nothing may be mounted here (unshare --map-root-user --mount)")


@pytest.mark.parametrize(
    ("mount", "why"),
    [
        ("mount -t tmpfs -o size=16k tmpfs {0}", "No space left on device: make room on its disk"),
        (
            "mount --bind {0} {0} && mount -o remount,bind,ro {0}",
            "Read-only file system: choose a writable disk",
        ),
    ],
)
@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        ("instructify", "data/instructions"),
        ("base_model", "models"),
        ("train_sentiment", "checkpoints"),
        ("evaluate@original_pretrained", "predictions"),
    ],
)
def test_a_full_or_read_only_disk(
    stages: Stages,
    workspace: Path,
    mounts: tuple[str, ...],
    stage: str,
    folder: str,
    mount: str,
    why: str,
) -> None:
    (workspace / folder).mkdir(exist_ok=True)
    command = f"{mount.format(folder)} && exec python stages/{stages.commands[stage]}"
    if stage == "base_model" or stage.startswith("evaluate"):
        command = command.replace("size=16k", "size=4k")
    code, output = end(start(workspace, *mounts, "sh", "-c", command))
    assert code == 1, output
    (message,) = re.findall(r"^error: .*", output, re.MULTILINE)
    assert re.fullmatch(
        rf"error: \S*{folder}\S*: cannot be written: {re.escape(why)}.*", message
    ), message
    assert "Traceback" not in output
    assert outputs_of(workspace, stages.outs[stage]) == stages.undisturbed[stage]
    assert left_over(workspace) == []
