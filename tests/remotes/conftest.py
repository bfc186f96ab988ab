"""A small study with one larger file, and remotes of every kind on real loopback servers."""

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import fsspec
import pytest
import yaml

import webdav
from proxy import Proxy
from s3 import BUCKET, S3
from ssh import SSHD, USER, AsyncSSH, OpenSSH
from webdav import WebDAV

REPO = Path(__file__).resolve().parents[2]
KINDS = ("folder", "s3", "ssh", "webdav")
LARGE = 8 << 20  # bytes; more than the buffers of a connection hold
WEIGHTS = f"import random\nopen('weights', 'wb').write(random.Random(1).randbytes({LARGE}))\n"

# Fast stages. Outputs: a directory (two equal files, one more file) and two single files.
STAGES: dict[str, dict[str, Any]] = {
    "rows": {
        "cmd": [
            "mkdir -p rows/more",
            "sort table.csv > rows/sorted.csv",
            "cp rows/sorted.csv rows/more/copy.csv",
            "head -3 table.csv > rows/more/head.csv",
            "wc -l < table.csv > rows.json",
        ],
        "deps": ["table.csv"],
        "outs": ["rows"],
        "metrics": [{"rows.json": {"cache": False}}],
    },
    "mixed": {"cmd": "cat rows/*/*.csv > mixed.csv", "deps": ["rows"], "outs": ["mixed.csv"]},
    "weights": {"cmd": "python weights.py", "deps": ["weights.py"], "outs": ["weights"]},
}


@dataclass(frozen=True)
class Access:
    """How a user reaches a remote: URL, endpoint, environment, and a command that wraps hers (`within`)."""

    url: str
    endpoint: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    within: tuple[str, ...] = ()


@dataclass
class Place:
    """A remote with its storage: access to write, to read only, without rights, and at a dead address."""

    writer: Access
    reader: Access
    stranger: Access | None  # None for a folder
    dead: Access
    objects: Callable[[], dict[str, bytes]]  # read from the storage, not through the server
    put: Callable[[str, bytes | None], None]  # write an object; None removes it
    proxy: Proxy | None = None


@dataclass
class Machine:
    """A clone of the study with its own home folder."""

    study: Path
    home: Path

    def environment(self, access: Access) -> dict[str, str]:
        own = {"HOME": str(self.home), "DVC_SITE_CACHE_DIR": str(self.home / "site")}
        return {**os.environ, "PYTHONPATH": str(REPO / "stages"), **own, **access.environment}

    def start(self, access: Access, *command: str, **more: str) -> subprocess.Popen[str]:
        """Start a script of `scripts/`, or `dvc`, on this machine in a new process."""
        program, *arguments = command
        words = ["-m", "dvc"] if program == "dvc" else [str(REPO / f"scripts/{program}.py")]
        return subprocess.Popen(
            [*access.within, sys.executable, *words, *arguments],
            cwd=self.study,
            env={**self.environment(access), **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, access: Access, *command: str, **more: str) -> tuple[int, str]:
        """The exit code and the whole output."""
        process = self.start(access, *command, **more)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def name(self, path: str) -> str:
        """The name of the object for an output, from `dvc.lock`."""
        return next(out["md5"] for out in self._outs() if out["path"] == path)

    def locked(self) -> dict[str, bytes]:
        """Every object that `dvc.lock` names, from the cache."""
        objects: dict[str, bytes] = {}
        for out in self._outs():
            if out["path"] != "rows.json":  # in git
                objects[out["md5"]] = self.object(out["md5"]).read_bytes()
        for listing in [objects[name] for name in objects if name.endswith(".dir")]:
            names = [entry["md5"] for entry in json.loads(listing)]
            objects |= {name: self.object(name).read_bytes() for name in names}
        return objects

    def cached(self) -> dict[str, bytes]:
        return objects_in(self.study / ".dvc/cache/files/md5")

    def object(self, name: str) -> Path:
        return self.study / ".dvc/cache/files/md5" / name[:2] / name[2:]

    def _outs(self) -> list[dict[str, Any]]:
        lock = yaml.safe_load((self.study / "dvc.lock").read_text(encoding="utf-8"))
        return [out for stage in lock["stages"].values() for out in stage["outs"]]


def objects_in(folder: Path) -> dict[str, bytes]:
    """{object name: content}; `.tmp` files of a killed transfer are skipped."""
    paths = [path for path in folder.glob("??/*") if path.suffix != ".tmp"]
    return {path.parent.name + path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        venv = str(Path(sys.executable).parent)
        patch.setenv("PATH", os.pathsep.join([venv, os.environ["PATH"]]))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no search for keys in a network
        for name in ("SSH_AUTH_SOCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Test")
            patch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
        yield


@pytest.fixture(scope="module")
def study(
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A study that has been run and committed."""
    folder = tmp_path_factory.mktemp("origin") / "study"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}), encoding="utf-8")
    (folder / "weights.py").write_text(WEIGHTS, encoding="utf-8")
    rows = "".join(f"tweet {number},{number % 2}\n" for number in range(40))
    (folder / "table.csv").write_text(rows, encoding="utf-8")
    (folder / ".gitignore").write_text("/rows\n/mixed.csv\n/weights\n", encoding="utf-8")
    run_in(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run_in(folder, "python", "-m", "dvc", "init", "--quiet")
    run_in(folder, "python", "-m", "dvc", "repro", "--quiet")
    run_in(folder, "git", "add", "--all")
    run_in(folder, "git", "commit", "--quiet", "--message", "The study")
    return folder


@pytest.fixture
def machine(study: Path, tmp_path: Path) -> Machine:
    """The machine where the study was run."""
    shutil.copytree(study, tmp_path / "study", symlinks=True)
    return Machine(tmp_path / "study", tmp_path / "home")


@pytest.fixture
def clone(
    tmp_path: Path, run_in: Callable[..., subprocess.CompletedProcess[str]]
) -> Callable[[Machine], Machine]:
    """Commit the machine's study and clone it onto a machine without a cache."""

    def clone(machine: Machine) -> Machine:
        run_in(machine.study, "git", "add", "--all")
        run_in(machine.study, "git", "commit", "--quiet", "--allow-empty", "--message", "A remote")
        other = Machine(tmp_path / "clone", tmp_path / "clone-home")
        run_in(tmp_path, "git", "clone", "--quiet", str(machine.study), str(other.study))
        local = machine.study / ".dvc/config.local"
        if local.exists():  # not in git: each user has her own
            shutil.copyfile(local, other.study / ".dvc/config.local")
        return other

    return clone


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Call a script of `scripts/` in this process; return its output, with an error as the last line."""

    def call(machine: Machine, access: Access, script: str, *arguments: str) -> str:
        fsspec.AbstractFileSystem.clear_instance_cache()  # they hold connections with other keys
        main = importlib.import_module(script).main
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(machine.study)
            for name, value in machine.environment(access).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", [f"{script}.py", *arguments])
            try:
                main()
            except StudyError as error:
                print(f"error: {error}")
        return capsys.readouterr().out

    yield call
    fsspec.AbstractFileSystem.clear_instance_cache()


@pytest.fixture
def set_up(call: Callable[..., str]) -> Callable[[Machine, Access], str]:
    """Run `make remote` with this access; return its output."""

    def set_up(machine: Machine, access: Access) -> str:
        endpoint = ("--endpoint", access.endpoint) if access.endpoint else ()
        return call(machine, access, "remote", access.url, *endpoint)

    return set_up


@pytest.fixture
def fill(set_up: Callable[[Machine, Access], str]) -> Callable[[Machine, Place], None]:
    """Set up a remote and write the objects of a push into its storage."""

    def fill(machine: Machine, place: Place) -> None:
        assert "the remote answers" in set_up(machine, place.writer)
        for name, content in machine.locked().items():
            place.put(name, content)

    return fill


# --- remotes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with S3() as server:
        yield server


@pytest.fixture
def place(request: Any, tmp_path: Path) -> Iterator[Place]:
    """A remote of the kind in the test's parameter."""
    makers = {"folder": _folder, "s3": _s3, "ssh": _ssh, "asyncssh": _ssh, "webdav": _webdav}
    with ExitStack() as stack:
        yield makers[request.param](request, tmp_path, stack)


def _stored(folder: Path) -> dict[str, Any]:
    def put(name: str, content: bytes | None) -> None:
        path = folder / "files/md5" / name[:2] / name[2:]
        path.unlink(missing_ok=True)
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return {"objects": lambda: objects_in(folder / "files/md5"), "put": put}


def _folder(request: Any, tmp_path: Path, stack: ExitStack) -> Place:
    folder = tmp_path / "shared"
    # Permissions do not stop root, so the folder is mounted read-only for one command.
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    within = ("unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
    return Place(
        Access(str(folder)),
        Access(str(folder), within=within),
        None,
        Access(str(tmp_path / "not-mounted")),
        **_stored(folder),
    )


def _s3(request: Any, tmp_path: Path, stack: ExitStack) -> Place:
    server: S3 = request.getfixturevalue("s3")
    proxy = stack.enter_context(Proxy(server.port))
    url, endpoint = f"s3://{BUCKET}/{tmp_path.name}", f"http://127.0.0.1:{proxy.port}"
    root = f"{tmp_path.name}/files/md5/"

    def objects() -> dict[str, bytes]:
        stored = server.objects(root)
        return {key.removeprefix(root).replace("/", ""): stored[key] for key in stored}

    def put(name: str, content: bytes | None) -> None:
        server.put(f"{root}{name[:2]}/{name[2:]}", content)

    return Place(
        Access(url, endpoint, server.writer),
        Access(url, endpoint, server.reader),
        Access(url, endpoint, {**server.writer, "AWS_SECRET_ACCESS_KEY": "not-hers"}),
        Access(url, f"http://127.0.0.1:{_dead_port()}", server.writer),
        objects,
        put,
        proxy,
    )


def _ssh(request: Any, tmp_path: Path, stack: ExitStack) -> Place:
    (tmp_path / "server").mkdir()
    kind = OpenSSH if request.param == "ssh" and SSHD else AsyncSSH
    server: Any = stack.enter_context(kind(tmp_path / "server"))
    proxy = stack.enter_context(Proxy(server.port))
    folder = tmp_path / "stored"
    folder.mkdir()

    def access(key: str, port: int) -> Access:
        home = tmp_path / f"home-{key}"
        (home / ".ssh").mkdir(parents=True, exist_ok=True)
        config = f"Host 127.0.0.1\n  IdentityFile {server.keys[key]}\n"
        (home / ".ssh/config").write_text(config, encoding="utf-8")
        return Access(f"ssh://{USER}@127.0.0.1:{port}{folder}", environment={"HOME": str(home)})

    return Place(
        access("writer", proxy.port),
        access("reader", proxy.port),
        access("stranger", proxy.port),
        access("writer", _dead_port()),
        **_stored(folder),
        proxy=proxy,
    )


def _webdav(request: Any, tmp_path: Path, stack: ExitStack) -> Place:
    folder = tmp_path / "stored/shared"
    folder.mkdir(parents=True)
    server = stack.enter_context(WebDAV(folder.parent))
    proxy = stack.enter_context(Proxy(server.port))

    def access(share: str, password: str, port: int) -> Access:
        return Access(f"webdav://{webdav.USER}:{password}@127.0.0.1:{port}/{share}/shared")

    return Place(
        access("study", webdav.PASSWORD, proxy.port),
        access("read", webdav.PASSWORD, proxy.port),
        access("study", "not-hers", proxy.port),
        access("study", webdav.PASSWORD, _dead_port()),
        **_stored(folder),
        proxy=proxy,
    )


def _dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
