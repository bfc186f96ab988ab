"""Bad input as a person meets it: the exit code, what stands on the screen, what `dvc repro` leaves."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Spoil = Callable[[Path], object]


def put(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def loop(folder: Path) -> None:
    (folder / "data/raw/tweets.csv").unlink()
    (folder / "data/raw/tweets.csv").symlink_to("tweets.csv")


TWEETS = "data/raw/tweets.csv"
# stage, what was done, what the message must begin with
STOPS: list[tuple[str, Spoil, str]] = [
    (
        "prepare",
        put(TWEETS, "text,label\na,4\n".encode("utf-16")),
        f"{TWEETS}: line 1 is not utf-8",
    ),
    ("prepare", put(TWEETS, b'text,label\n"a" b,4\n'), f"{TWEETS}: row 1 has text after"),
    ("prepare", put(TWEETS, b"text,label\n"), "files: the split train is empty"),
    ("prepare", put(TWEETS, b"\x1f\x8b\x08"), f"{TWEETS}: is compressed (gzip)"),
    ("prepare", loop, f"{TWEETS} (a link to tweets.csv): cannot be read"),
    ("instructify", put("params.yaml", b"seed: !!bool maybe"), "params.yaml: not valid YAML"),
    ("mix", put("params.yaml", b"seed: &a [*a]"), "params.yaml: not valid YAML"),
    ("instructify", put("templates/sentiment.yaml", b"\xff"), "templates/sentiment.yaml: cannot"),
]


@pytest.mark.parametrize(
    ("stage", "spoil", "beginning"),
    [STOPS[at] for at in sorted(random.Random(11).sample(range(len(STOPS)), 4))],
)
def test_a_stage_ends_with_one_message_and_exit_code_1(
    ran: Any, run_stage: Any, stage: str, spoil: Spoil, beginning: str
) -> None:
    spoil(ran.folder)
    done = run_stage(ran.folder, stage)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {beginning}")
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert ran.made() == ran.before


@pytest.mark.faults
def test_after_bad_input_dvc_repro_gives_the_good_run_back(
    ran: Any, repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copyfile(repo / ".dvcignore", ran.folder / ".dvcignore")
    shutil.copytree(
        repo / "stages", ran.folder / "stages", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=ran.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def made() -> dict[str, bytes]:
        return {name: data for name, data in ran.made().items() if not name.startswith("logs/")}

    assert dvc("init", "--no-scm", "--quiet").returncode == 0
    pipeline = [sys.executable, str(repo / "scripts/pipeline.py")]
    environment = {**os.environ, "PYTHONPATH": str(repo / "stages")}
    subprocess.run(pipeline, cwd=ran.folder, env=environment, check=True)
    done = dvc("repro", "mix")
    assert done.returncode == 0, done.stdout + done.stderr
    good = made()
    assert good == {name: ran.before[name] for name in good}
    lock = (ran.folder / "dvc.lock").read_bytes()

    tweets = (ran.folder / TWEETS).read_bytes()
    (ran.folder / TWEETS).write_bytes(b"\x1f\x8b\x08")
    done = dvc("repro", "mix")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said == [
        f"error: {TWEETS}: is compressed (gzip), but cannot be decompressed: Compressed file ended before "
        "the end-of-stream marker was reached: load the file again, or decompress it by hand"
    ]
    assert "Traceback" not in done.stdout + done.stderr
    assert (ran.folder / "dvc.lock").read_bytes() == lock

    (ran.folder / TWEETS).write_bytes(tweets)
    done = dvc("repro", "mix")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage" not in done.stdout
    assert made() == good
