"""Labels that are left out or taken as they stand, and several text columns, through the data stages."""

import json
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from rows.prepared import LABELLED, TEXT_COLUMNS

NAMES = ("negative", "neutral", "positive")
LABELLED_TABLES = [f"labelled/{split}.parquet" for split in ("train", "validation", "test")]
WORDS = ("lamp", "soup", "film", "queue", "song", "market", "clerk", "garden", "kettle", "hotel")
SENTENCES = [
    f"The {WORDS[number % 10]} of house {number} met the {WORDS[number // 10 + 3]}"
    for number in range(60)
]


def three_labels() -> bytes:
    lines = [f'"{text}",{NAMES[at % 3]}' for at, text in enumerate(SENTENCES)]
    return "\n".join(["text,label", *lines, "broken"]).encode()


def pairs() -> bytes:
    rows = [
        {"premise": text, "hypothesis": f"It was\n\n{text[:9]}", "label": at % 2}
        for at, text in enumerate(SENTENCES)
    ]
    rows.append({"premise": "No hypothesis", "hypothesis": "", "label": 0})
    return "\n".join(map(json.dumps, rows)).encode()


PAIR = {
    "columns": {"text": ["premise", "hypothesis"], "label": "label"},
    "label_values": {0: "negative", 1: "positive"},
}


@pytest.mark.parametrize(
    "label_values",
    [{"negative": "negative", "positive": "positive"}, "auto"],
    ids=["mapped", "auto"],
)
def test_labels_that_are_ignored_are_counted_as_neutral(ran: Any, label_values: object) -> None:
    settings = {"label_values": label_values, "ignore_labels": ["neutral"]}
    ran.set({"params.yaml:prepare.max_rejected_share": 0.05})
    ran.source("a.csv", three_labels(), settings)
    ran.run("prepare")
    account = json.loads((ran.folder / "metrics/prepare.json").read_text(encoding="utf-8"))
    train = account["labelled"]["train"]
    assert (train["in"], train["neutral"], train["rejected"]) == (61, 20, 1)
    assert set(ran.labelled().values()) == {"negative", "positive"}
    reasons = [
        row["reason"] for row in ran.rows("rejected.parquet") if row["source"].endswith("a.csv")
    ]
    assert reasons.count("neutral: label 'neutral' is in ignore_labels") == 20


def test_a_label_that_the_names_lack_stops_with_its_count(ran: Any) -> None:
    ran.source("a.csv", three_labels(), {"label_values": "auto"})
    message = ran.stopped("prepare")
    assert "labels.names lacks values of the column label: 'neutral' (20 rows): add" in message


def test_several_text_columns_are_joined_and_named_in_templates(ran: Any) -> None:
    templates = ran.folder / "templates/sentiment.yaml"
    pool = yaml.safe_load(templates.read_text(encoding="utf-8"))
    pool["templates"].append(
        {"id": "pair", "instruction": "{{ labels }}? {{ hypothesis }}", "input": "{{ premise }}"}
    )
    templates.write_text(yaml.safe_dump(pool), encoding="utf-8")
    assert "template pair: instruction: may contain only" in ran.stopped("instructify")

    ran.source("a.jsonl", pairs(), PAIR)
    ran.run("prepare")
    ran.run("instructify")
    ran.run("mix")
    prepared = ran.folder / "data/prepared/labelled"
    assert pq.read_schema(prepared / "text_columns.parquet").equals(TEXT_COLUMNS)
    assert all(
        pq.read_schema(ran.folder / "data/prepared" / name).equals(LABELLED)
        for name in LABELLED_TABLES
    )
    expected = {f"{text}\n\nIt was\n\n{text[:9]}" for text in SENTENCES}
    assert set(ran.labelled()) <= expected
    reasons = [
        row["reason"] for row in ran.rows("rejected.parquet") if row["source"].endswith("a.jsonl")
    ]
    assert "hypothesis is blank" in reasons
    wordings = pq.read_table(ran.folder / "data/instructions/labelled/wordings.parquet").to_pylist()
    test = {row["row_id"]: row["text"] for row in ran.rows("labelled/test.parquet")}
    by_pair = [row for row in wordings if row["template"] == "pair"]
    assert by_pair
    for row in by_pair:
        premise, _, hypothesis = test[row["row_id"]].partition("\n\n")
        assert f"? {hypothesis}" in row["prompt"]
        assert premise in row["prompt"]
        assert f"{premise}\n\n{hypothesis}" not in row["prompt"]


def test_a_later_study_with_one_column_has_no_texts_of_columns(ran: Any) -> None:
    ran.source("a.jsonl", pairs(), PAIR)
    ran.run("prepare")
    place = ran.folder / "data/prepared/labelled/text_columns.parquet"
    assert place.is_file()
    ran.source(
        "a.csv",
        three_labels(),
        {
            "label_values": "auto",
            "ignore_labels": ["neutral"],
            "columns": {"text": "text", "label": "label"},
        },
    )
    ran.run("prepare")
    assert not place.exists()
    ran.run("instructify")


def test_a_pair_repeats_or_leaks_only_if_both_texts_do(ran: Any) -> None:
    rows = [
        {"premise": text, "hypothesis": "It was bad", "label": at % 2}
        for at, text in enumerate(SENTENCES)
    ]
    other = [
        row | {"hypothesis": f"Nobody in {at} would say so in such weather"}
        for at, row in enumerate(rows)
    ]
    for name, content in (("train", [*rows, rows[0]]), ("test", [*other[:20], rows[3]])):
        lines = "\n".join(map(json.dumps, content))
        (ran.folder / f"data/raw/pair_{name}.jsonl").write_text(lines, encoding="utf-8")
    ran.set({"params.yaml:prepare.leak_similarity": 1})
    splits = {split: f"data/raw/pair_{split}.jsonl" for split in ("train", "test")}
    ran.source(
        "unused.jsonl", b"", PAIR | {"splits": splits, "validation_share": 0.2, "test_share": None}
    )
    ran.run("prepare")
    account = json.loads((ran.folder / "metrics/prepare.json").read_text(encoding="utf-8"))
    train = account["labelled"]["train"]
    assert (
        train["in"],
        train["repeats"],
        train["leaks"] + account["labelled"]["validation"]["leaks"],
    ) == (61, 1, 1)
