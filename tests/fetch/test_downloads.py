"""What fetch.downloads promises of a file at a URL: fetched once, resumed, the same bytes for ever."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import httpx2
import pytest
from pydantic import ValidationError

from fetch.downloads import CHECKSUMS, download, fetch_file, require_space
from hub import Hub
from rows.sources import row_source
from settings.sources import LabelledFiles

CACHE = Path(".cache/files")
COMMIT = "617cbd3a1e3c62da3aa84d215df55615f985ff0b"
PATH = f"/cblancac/SentimentAnalysisBert/{COMMIT}/data/train_150k.txt"
TWEETS = '0\tso "sad\n1\tI like it\n\n0\tça va "mal"\n'.encode()
SHA256 = hashlib.sha256(TWEETS).hexdigest()


@pytest.fixture(autouse=True)
def url(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a file of three tweets, by a commit; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    hub.plain[PATH] = TWEETS
    return hub.url + PATH


def source(url: str, **more: Any) -> LabelledFiles:
    content = {
        "kind": "files",
        "splits": {"train": url},
        "reading": {"delimiter": "\t", "quoting": False, "header": ["label", "text"]},
        "columns": {"text": "text", "label": "label"},
        "label_values": {0: "negative", 1: "positive"},
        "validation_share": 0.2,
        "test_share": 0.2,
    }
    return LabelledFiles.model_validate({**content, **more})


def test_a_file_at_a_url_gives_its_rows(url: str) -> None:
    rows = row_source(source(url, expected_rows={"train": 3})).load(0)["train"]
    assert [row.values for row in rows] == [
        {"label": "0", "text": 'so "sad'},
        {"label": "1", "text": "I like it"},
        {"label": "0", "text": 'ça va "mal"'},
    ]
    assert {row.source for row in rows} == {url}


def test_another_number_of_rows_is_another_file(url: str) -> None:
    with pytest.raises(StudyError, match=r"train has 3 rows, but expected_rows\.train is 149985"):
        row_source(source(url, expected_rows={"train": 149985})).load(0)


def test_a_file_is_fetched_once_and_recorded(
    hub: Hub, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fetch_file(url, None)
    assert file.read_bytes() == TWEETS
    assert json.loads(CHECKSUMS.read_text()) == {url: SHA256}
    assert "recorded in data/checksums.json and required from now on" in capsys.readouterr().out
    assert fetch_file(url, None) == file
    assert len(hub.requests) == 1
    assert [path for path in CACHE.rglob("*") if path.is_file()] == [file]


def test_the_recorded_checksum_is_held(hub: Hub, url: str) -> None:
    fetch_file(url, None)
    shutil.rmtree(CACHE)
    hub.plain[PATH] = TWEETS.replace(b"like", b"love")
    with pytest.raises(StudyError, match=rf"not {SHA256} as in data/checksums\.json"):
        fetch_file(url, None)
    assert not [path for path in CACHE.rglob("*") if path.is_file()]
    assert json.loads(CHECKSUMS.read_text()) == {url: SHA256}


def test_the_checksum_of_the_profile_is_held_and_not_recorded(hub: Hub, url: str) -> None:
    assert fetch_file(url, SHA256).read_bytes() == TWEETS
    assert not CHECKSUMS.exists()
    with pytest.raises(StudyError, match=rf"the sha256 is {SHA256}, not (ab)+ as in the profile"):
        fetch_file(url, "ab" * 32)


def test_a_damaged_file_in_the_cache_is_fetched_anew(url: str) -> None:
    file = fetch_file(url, None)
    file.write_bytes(TWEETS[:-3])
    assert fetch_file(url, None) == file
    assert file.read_bytes() == TWEETS


def test_a_broken_connection_goes_on_where_it_was(hub: Hub, url: str) -> None:
    hub.plain[PATH] = TWEETS * 50_000
    hub.cuts["train_150k.txt"] = 700_000
    assert fetch_file(url, None).read_bytes() == TWEETS * 50_000
    assert hub.sent("train_150k.txt") == len(TWEETS) * 50_000


def test_a_connection_that_breaks_at_once_is_reported_and_leaves_nothing(
    hub: Hub, url: str
) -> None:
    hub.cuts["train_150k.txt"] = 0
    with pytest.raises(
        StudyError,
        match=r"cannot be fetched \(RemoteProtocolError.*\): check the address and the network, then run",
    ):
        fetch_file(url, None)
    assert not CHECKSUMS.exists()
    assert fetch_file(url, None).read_bytes() == TWEETS


@pytest.mark.parametrize("left", [TWEETS[:10], TWEETS, TWEETS * 2])
def test_what_an_earlier_run_left_is_taken_up(
    hub: Hub, url: str, tmp_path: Path, left: bytes
) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(left)
    download(url, partial, len(TWEETS))
    assert partial.read_bytes() == TWEETS
    assert hub.sent(PATH) == (len(TWEETS) if len(left) > len(TWEETS) else len(TWEETS) - len(left))


def test_without_a_known_size_what_is_too_long_starts_anew(url: str, tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(TWEETS * 2)
    download(url, tmp_path / "partial")
    assert (tmp_path / "partial").read_bytes() == TWEETS


def test_a_missing_file_is_reported(hub: Hub) -> None:
    with pytest.raises(StudyError, match=r"/nothing\.txt: cannot be fetched \(status 404\)"):
        fetch_file(f"{hub.url}/nothing.txt", None)
    with pytest.raises(StudyError, match=r"cannot be fetched \(ConnectError"):
        fetch_file("http://127.0.0.1:9/rows.txt", None)


def test_a_connection_lost_for_good_keeps_what_came(
    hub: Hub, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fetch.downloads.time.sleep", lambda _: hub.cuts.update({"train_150k.txt": 0})
    )
    hub.cuts["train_150k.txt"] = 12
    with pytest.raises(httpx2.RemoteProtocolError):
        download(url, tmp_path / "partial")
    assert (tmp_path / "partial").read_bytes() == TWEETS[:12]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_from_https_to_http_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/rows.txt":
            address = f"{scheme}://mirror.example.org/tweets.txt"
            return httpx2.Response(302, headers={"Location": address})
        return httpx2.Response(200, content=TWEETS)

    client = httpx2.Client(transport=httpx2.MockTransport(respond))
    monkeypatch.setattr("fetch.downloads.httpx2.stream", client.stream)
    url, partial = "https://example.org/rows.txt", tmp_path / "partial"
    if scheme == "https":
        download(url, partial)
        assert partial.read_bytes() == TWEETS
        return
    with pytest.raises(StudyError, match=r"redirected to http://mirror\.example\.org/tweets\.txt"):
        fetch_file(url, None)
    with pytest.raises(httpx2.UnsupportedProtocol):
        download(url, partial)
    assert not partial.exists()


def test_the_record_must_be_readable(url: str) -> None:
    CHECKSUMS.parent.mkdir()
    CHECKSUMS.write_text("{")
    with pytest.raises(StudyError, match=r"data/checksums\.json: cannot be read"):
        fetch_file(url, None)


def test_too_small_a_disk_is_reported(tmp_path: Path) -> None:
    require_space(tmp_path, 1, "rows")
    with pytest.raises(
        StudyError,
        match=r"^model: needs 1000000000\.0 GB on the disk of .*, where .* GB are free: make",
    ):
        require_space(tmp_path, 10**18, "model")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (f"http://example.org{PATH}", "a URL must begin with https://"),
        (f"ftp://example.org{PATH}", "a URL must begin with https://"),
        ("https://example.org/main/rows.csv", r"may change.*commit hash.*or set sha256\.train"),
    ],
)
def test_a_url_must_be_safe_and_name_one_version(place: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        source(place)
    if place.startswith("https"):
        source(place, sha256={"train": SHA256})
