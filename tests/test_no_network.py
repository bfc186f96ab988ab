"""The default needs no network once its packages are there: proved where the kernel gives none."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

REPO = Path(__file__).resolve().parents[1]
Command = Callable[..., subprocess.CompletedProcess[str]]

LOOK = """
import json, socket
def refused(address):
    with socket.socket() as connection:
        return connection.connect_ex((address, 443)) != 0
addresses = ("127.0.0.1", "192.0.2.1")
print(json.dumps([[name for _, name in socket.if_nameindex()], all(map(refused, addresses))]))
"""


@pytest.fixture(scope="module")
def isolated(no_network: tuple[str, ...], run_in: Command) -> tuple[str, ...]:
    """What takes the network away from a command; the test is skipped where nothing can."""
    if not no_network:
        pytest.skip("no network namespace may be made here (unshare --map-root-user --net)")
    interfaces, refuses = json.loads(run_in(REPO, *no_network, "python", "-c", LOOK).stdout)
    assert set(interfaces) <= {"lo"}  # which is down: nothing answers on it
    assert refuses
    return no_network


@pytest.fixture(scope="module")
def default(run_in: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default study, nothing of it run yet; its packages are there, fetched if need be."""
    fetch = [sys.executable, "scripts/fetch_packages.py"]
    environment = {**os.environ, "PYTHONPATH": "stages"}
    done = subprocess.run(
        fetch, cwd=REPO, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"the default's packages cannot be had: {done.stderr}")
    folder = tmp_path_factory.mktemp("default")
    for name in ("stages", "profiles", "templates", "data/raw", "launch"):
        shutil.copytree(REPO / name, folder / name)
    shutil.copyfile(REPO / "params.yaml", folder / "params.yaml")
    (folder / ".cache").symlink_to(REPO / ".cache")
    return folder


def test_rows_and_models_of_the_default_come_without_a_network(
    default: Path, isolated: tuple[str, ...], run_in: Command
) -> None:
    for stage in ("prepare", "instructify", "mix", "preflight", "base_model", "encoder"):
        run_in(default, *isolated, "python", f"stages/{stage}.py")
    rows = json.loads((default / "metrics/prepare.json").read_text(encoding="utf-8"))
    assert rows["n_test"] == 1000
    config = json.loads((default / "models/base/config.json").read_text(encoding="utf-8"))
    assert config["num_hidden_layers"] == 30
    assert (default / "models/base/model.safetensors").stat().st_size > 500e6
    assert (default / "models/encoder/model.safetensors").stat().st_size > 90e6


def test_a_package_that_is_not_there_is_missed_without_a_network(
    isolated: tuple[str, ...], tmp_path: Path
) -> None:
    """The test above could not pass with a network in secret: here the same stage asks for it."""
    for name in ("stages", "profiles", "templates", "data/raw"):
        shutil.copytree(REPO / name, tmp_path / name)
    shutil.copyfile(REPO / "params.yaml", tmp_path / "params.yaml")
    prepare = [*isolated, sys.executable, "stages/prepare.py"]
    environment = {**os.environ, "PIP_RETRIES": "0"}
    done = subprocess.run(
        prepare, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip could not fetch the sdist" in done.stderr
