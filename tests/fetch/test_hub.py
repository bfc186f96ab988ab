"""A dataset on the Hub: its files at a commit, read as any other; every refusal with the way out."""

import io
from pathlib import Path

from runtime.errors import StudyError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants, snapshot_download

from hub import Hub
from rows.sources import row_source
from settings.sources import GeneralHub

ID = "tatsu-lab/alpaca"
COMMIT = "dce01c9b08f87459cf36a430d809084718273017"
FILE = "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"


def parquet(*texts: str) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({"instruction": texts, "output": texts}), content)
    return content.getvalue()


@pytest.fixture
def dataset(hub: Hub) -> None:
    """A dataset of three rows in two files, and a branch that has moved on from the commit."""
    files = {FILE: parquet("a", "b"), "data/train-2.parquet": parquet("c"), "README.md": b"Rows."}
    hub.add("datasets", ID, files, commit=COMMIT)
    hub.add("datasets", ID, {FILE: parquet("x")})


def source(pattern: str = "data/train-*.parquet", id: str = ID, **more: object) -> GeneralHub:
    content = {"kind": "hub", "id": id, "revision": COMMIT, "test_share": 0.1}
    return GeneralHub.model_validate({**content, "splits": {"train": pattern}, **more})


def texts(source: GeneralHub) -> list[str]:
    return [row.values["instruction"] for row in row_source(source).load(0)["train"]]


def test_the_files_of_a_split_are_read_at_the_commit(hub: Hub, dataset: None) -> None:
    rows = row_source(source()).load(0)["train"]
    assert [row.values["instruction"] for row in rows] == ["a", "b", "c"]
    assert [(row.source, row.number) for row in rows][::2] == [
        (f"{ID}@dce01c9b/{FILE}", 1),
        (f"{ID}@dce01c9b/data/train-2.parquet", 1),
    ]
    sent = hub.sent(".parquet")
    assert texts(source()) == ["a", "b", "c"]
    assert hub.sent(".parquet") == sent, "fetched once"


def test_a_file_of_text_is_read_as_reading_says(hub: Hub) -> None:
    hub.add("datasets", "some/rows", {"a.csv": b"instruction;output\nx;y\n"}, commit=COMMIT)
    assert texts(source("a.csv", "some/rows", reading={"delimiter": ";"})) == ["x"]


def test_the_warm_cache_is_enough_offline(
    hub: Hub, dataset: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts(source())
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert texts(source()) == ["a", "b", "c"]
    assert len(hub.requests) == asked


def test_another_revision_in_the_cache_does_not_stand_in(
    hub: Hub, dataset: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_download(ID, repo_type="dataset", revision="main")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match=rf"dataset {ID}@dce01c9b: not in the cache"):
        row_source(source()).load(0)


def test_a_cache_that_holds_a_part_of_the_files_is_not_enough(
    hub: Hub, dataset: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts(source())
    next(Path(constants.HF_HUB_CACHE).rglob("train-2.parquet")).unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match="not in the cache"):
        row_source(source()).load(0)


def test_a_loading_script_is_refused_with_the_way_out(hub: Hub) -> None:
    id = "carblacac/twitter-sentiment-analysis"
    files = {"twitter-sentiment-analysis.py": b"raise SystemExit", "README.md": b"Tweets."}
    hub.add("datasets", id, files, commit=COMMIT)
    with pytest.raises(
        StudyError,
        match=r"contains no file .*, but a loading script, which is not run.*URLs.*kind: files",
    ):
        row_source(source(id=id)).load(0)
    assert hub.sent(".py") == 0


def test_a_pattern_without_a_file_lists_the_files(hub: Hub, dataset: None) -> None:
    with pytest.raises(StudyError, match=rf"contains no file train; its files: README\.md, {FILE}"):
        row_source(source("train")).load(0)


def test_another_number_of_rows_is_another_dataset(hub: Hub, dataset: None) -> None:
    with pytest.raises(StudyError, match=r"train has 3 rows, but expected_rows\.train is 4"):
        row_source(source(expected_rows={"train": 4})).load(0)
    assert len(texts(source(expected_rows={"train": 3}))) == 3


def test_a_damaged_file_is_not_read_and_leaves_the_cache(hub: Hub, dataset: None) -> None:
    name = "train-2.parquet"
    hub.damages[name] = parquet("z")
    with pytest.raises(
        StudyError,
        match=rf"{name} was damaged in the download or in the cache.*run the stage again",
    ):
        row_source(source()).load(0)
    hub.damages.clear()
    assert texts(source()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("some/rows", "the repository does not exist"),
        (ID, "the revision dce01c9b[0-9a-f]* does not exist"),
    ],
)
def test_what_is_not_there_is_named(hub: Hub, id: str, message: str) -> None:
    hub.add("datasets", ID, {FILE: parquet("x")})
    with pytest.raises(StudyError, match=message):
        row_source(source(id=id)).load(0)


@pytest.mark.parametrize(
    ("token", "message"),
    [(None, "is gated, and no token was sent"), ("hf_other", "your token may not read it")],
)
def test_a_gated_dataset_opens_with_its_token_alone(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None, message: str
) -> None:
    hub.add("datasets", ID, {FILE: parquet("a")}, commit=COMMIT, tokens=frozenset({"hf_mine"}))
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(StudyError, match=message):
        row_source(source()).load(0)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert texts(source()) == ["a"]
