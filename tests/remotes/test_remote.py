"""make remote: which file holds which setting, above all secrets; dead and refusing remotes in one line."""

import socket
import subprocess
from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path

from runtime.errors import StudyError

import pytest
import remote

from .conftest import Access, Machine, Place

pytestmark = pytest.mark.faults

Say = Callable[..., str]
SetUp = Callable[[Machine, Access], str]
DEAD = "127.0.0.1:1"


@pytest.fixture
def repository(
    tmp_path: Path,
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An empty DVC repository as the working directory."""
    folder = tmp_path / "study"
    folder.mkdir()
    run_in(folder, "git", "init", "--quiet")
    run_in(folder, "python", "-m", "dvc", "init", "--quiet")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return folder


@pytest.fixture
def say(repository: Path, call: Callable[..., str], tmp_path: Path) -> Say:
    """Run `make remote` in the repository."""
    machine = Machine(repository, tmp_path / "home")
    return lambda *arguments: call(machine, Access(""), "remote", *arguments)


def _config(path: Path) -> dict[str, dict[str, str]]:
    parser = ConfigParser()
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


SECTION = "'remote \"shared\"'"


@pytest.mark.parametrize(
    ("arguments", "public", "secret"),
    [
        (
            ["s3://models/study", "--endpoint", f"http://{DEAD}"],
            {
                "url": "s3://models/study",
                "endpointurl": f"http://{DEAD}",
                "connect_timeout": "5",
                "read_timeout": "60",
            },
            {},
        ),
        (
            ["s3://KEY:w%2F0rd@models/study", "--endpoint", f"http://{DEAD}"],
            {
                "url": "s3://models/study",
                "endpointurl": f"http://{DEAD}",
                "connect_timeout": "5",
                "read_timeout": "60",
            },
            {"access_key_id": "KEY", "secret_access_key": "w/0rd"},
        ),
        (
            [f"ssh://me@{DEAD}/srv/study"],
            {"url": f"ssh://{DEAD}/srv/study", "timeout": "15"},
            {"user": "me"},
        ),
        (
            [f"webdav://me:w%400rd@{DEAD}/study"],
            {"url": f"webdav://{DEAD}/study", "timeout": "30"},
            {"user": "me", "password": "w@0rd"},
        ),
    ],
)
def test_files_in_git_contain_no_user_and_no_password(
    repository: Path,
    say: Say,
    arguments: list[str],
    public: dict[str, str],
    secret: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-environment")
    output = say(*arguments)
    assert _config(repository / ".dvc/config") == {
        "core": {"remote": "shared"},
        SECTION: {"verify": "true", **public},
    }
    local = repository / ".dvc/config.local"
    assert _config(local) == ({SECTION: secret} if secret else {})
    if secret:
        assert local.stat().st_mode & 0o777 == 0o600
        ignored = subprocess.run(["git", "check-ignore", "-q", str(local)], cwd=repository)
        assert ignored.returncode == 0
        assert f"{' and '.join(secret)} are in .dvc/config.local" in output
    assert "0rd" not in output
    assert f"error: the remote {public['url']} cannot be reached: " in output  # the address is dead


def test_another_remote_replaces_the_one_before_with_its_secrets(
    repository: Path, say: Say, tmp_path: Path
) -> None:
    say(f"webdav://me:secret@{DEAD}/study")
    output = say("../folder")
    assert output.splitlines()[-1].startswith("the remote answers")
    expected = {"core": {"remote": "shared"}, SECTION: {"url": "../../folder", "verify": "true"}}
    assert _config(repository / ".dvc/config") == expected
    assert _config(repository / ".dvc/config.local") == {}
    assert say("../folder") == output
    assert _config(repository / ".dvc/config") == expected


def test_other_settings_stay(
    repository: Path, say: Say, run_in: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run_in(repository, "python", "-m", "dvc", "remote", "add", "mine", "s3://of-mine")
    run_in(repository, "python", "-m", "dvc", "config", "--local", "cache.dir", "../cache")
    say("../folder")
    assert _config(repository / ".dvc/config")["'remote \"mine\"'"] == {"url": "s3://of-mine"}
    assert _config(repository / ".dvc/config.local") == {"cache": {"dir": "../../cache"}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gs://models"], "gs://models: `make remote` supports s3://, ssh://"),
        (["ftp://me:secret@host/x"], "ftp://host/x: `make remote` supports s3://, ssh://"),
        (["s3:///study"], "s3:///study names no bucket"),
        (["ssh://me@/study"], "ssh:///study names no host"),
        (["../folder", "--endpoint", "http://a"], "ENDPOINT must be the address of an S3 server"),
        (
            ["s3://models", "--endpoint", "http://me:secret@a"],
            "ENDPOINT must be the address of an S3 server, without user and password",
        ),
        ([""], "make remote URL="),
    ],
)
def test_an_invalid_remote_changes_nothing(
    repository: Path, say: Say, arguments: list[str], message: str
) -> None:
    before = (repository / ".dvc/config").read_bytes()
    output = say(*arguments)
    assert output.startswith("error: ")
    assert message in output
    assert "secret" not in output
    assert (repository / ".dvc/config").read_bytes() == before
    assert not (repository / ".dvc/config.local").exists()


# --- servers that do not answer, or not to everyone -----------------------------------------------


COMMANDS = (("transfer", "pull"), ("check_remote",), ("transfer", "push"))


@pytest.mark.parametrize("place", ["s3", "ssh", "webdav"], indirect=True)
def test_a_dead_server_is_reported_in_one_line(
    repository: Path, place: Place, set_up: SetUp, call: Callable[..., str], tmp_path: Path
) -> None:
    machine = Machine(repository, tmp_path / "home")
    output = set_up(machine, place.dead).splitlines()[-1]
    assert output.startswith(
        f"error: the remote {remote.plain(place.dead.url)} cannot be reached: "
    )
    assert output.endswith("; check that it runs and that its address in .dvc/config is right")
    for command in COMMANDS:
        assert call(machine, place.dead, *command) == f"{output}\n"
    assert machine.run(place.dead, "transfer", "push") == (
        1,
        f"{output}\n",
    )  # as a process, too


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_missing_folder_is_reported(
    repository: Path, place: Place, set_up: SetUp, call: Callable[..., str], tmp_path: Path
) -> None:
    machine = Machine(repository, tmp_path / "home")
    set_up(machine, place.dead)
    for command in (("transfer", "pull"), ("check_remote",)):
        output = call(machine, place.dead, *command)
        assert output.startswith(f"error: the remote {place.dead.url} is empty or does not exist: ")


@pytest.mark.parametrize("place", ["s3", "ssh", "asyncssh", "webdav"], indirect=True)
def test_wrong_credentials_are_reported_in_one_line(
    repository: Path, place: Place, set_up: SetUp, call: Callable[..., str], tmp_path: Path
) -> None:
    assert place.stranger
    machine = Machine(repository, tmp_path / "home")
    output = set_up(machine, place.stranger).splitlines()[-1]
    assert output.startswith(
        f"error: the remote {remote.plain(place.stranger.url)} refuses access: "
    )
    assert "; credentials: " in output
    assert ".dvc/config.local" in output
    assert "not-hers" not in output
    for command in COMMANDS:
        assert call(machine, place.stranger, *command) == f"{output}\n"


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_missing_credentials_are_reported(
    repository: Path, place: Place, set_up: SetUp, tmp_path: Path
) -> None:
    nobody = Access(place.writer.url, place.writer.endpoint)
    output = set_up(Machine(repository, tmp_path / "home"), nobody)
    assert " refuses access: Unable to locate credentials; credentials: AWS_ACCESS_KEY_ID" in output


@pytest.mark.parametrize("url", ["s3://models/study", "ssh://{}/study", "webdav://{}/study"])
def test_a_server_that_never_answers_is_reported(
    say: Say, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(remote, "ANSWER_SECONDS", 1.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        endpoint = ["--endpoint", f"http://{address}"] if url.startswith("s3") else []
        output = say(url.format(address), *endpoint)
    assert "cannot be reached: no answer within 1 seconds; check that it runs" in output


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_missing_bucket_is_reported(
    repository: Path, place: Place, set_up: SetUp, tmp_path: Path
) -> None:
    other = replace(place.writer, url="s3://no-such-models/study")
    output = set_up(Machine(repository, tmp_path / "home"), other)
    assert output.endswith("error: the remote s3://no-such-models/study: there is no such bucket\n")


@pytest.mark.parametrize("place", ["webdav"], indirect=True)
def test_a_missing_webdav_folder_is_reported(
    repository: Path, place: Place, set_up: SetUp, tmp_path: Path
) -> None:
    other = replace(place.writer, url=place.writer.url.replace("/shared", "/other"))
    output = set_up(Machine(repository, tmp_path / "home"), other)
    assert output.endswith("/other does not exist: create this folder on the server\n")


def test_a_missing_key_is_reported(
    say: Say, repository: Path, run_in: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    say(f"ssh://me@{DEAD}/study")
    key = ("--local", "shared", "keyfile", "/no/key")
    run_in(repository, "python", "-m", "dvc", "remote", "modify", *key)
    with pytest.raises(
        StudyError, match=r"ssh://127\.0\.0\.1:1/study: No such file or directory: /no/key"
    ):
        remote.open_remote()


def test_a_study_without_a_remote_is_reported(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="the study has no remote; `make remote URL="):
        remote.open_remote()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="not a DVC repository"):
        remote.open_remote()
