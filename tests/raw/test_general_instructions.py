"""What the project's own general instructions promise to whoever trains on them."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

RAW_FILE = Path(__file__).parents[2] / "data" / "raw" / "general_instructions.jsonl"
KEYS = ["instruction", "input", "output", "kind"]
KINDS = {
    "arithmetic",
    "classify",
    "comprehension",
    "creative",
    "explain",
    "extract",
    "format",
    "list",
    "question",
    "rewrite",
    "summarise",
}
SENTIMENT_LABELS = {"positive", "negative", "neutral", "mixed"}
SENTIMENT_WORDS = re.compile(r"(?i)\b(sentiments?|moods?|feelings?|positiv\w*|negativity)\b")
MOST_ALIKE = 0.6


@cache
def rows() -> tuple[dict[str, str], ...]:
    text = RAW_FILE.read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


def normalised(row: dict[str, str]) -> str:
    """Instruction and input as lower-case words alone."""
    return " ".join(re.findall(r"\w+", f"{row['instruction']} {row['input']}".lower()))


def closest_pair(texts: list[str]) -> tuple[float, str, str]:
    """The highest Jaccard similarity of two texts' character 5-grams, and the two texts."""
    grams = [{f" {text} "[i : i + 5] for i in range(len(text) - 2)} for text in texts]
    column = {gram: i for i, gram in enumerate(sorted(set().union(*grams)))}
    holds = np.zeros((len(texts), len(column)), dtype=np.float32)
    for row, found in enumerate(grams):
        holds[row, [column[gram] for gram in found]] = 1.0
    shared = holds @ holds.T
    sizes = holds.sum(axis=1)
    alike = shared / (sizes[:, None] + sizes[None, :] - shared)
    np.fill_diagonal(alike, 0.0)
    first, second = divmod(int(alike.argmax()), len(texts))
    return float(alike[first, second]), texts[first], texts[second]


def test_there_are_at_least_400_rows() -> None:
    assert len(rows()) >= 400


def test_every_row_has_exactly_the_four_keys_in_order_with_string_values() -> None:
    for row in rows():
        assert list(row) == KEYS, row
        assert all(isinstance(value, str) for value in row.values()), row


def test_the_file_ends_with_one_newline_and_holds_no_blank_line() -> None:
    text = RAW_FILE.read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert all(line.strip() for line in text.splitlines())


def test_no_field_but_the_input_is_blank() -> None:
    blank = [row for row in rows() for key in KEYS if key != "input" and not row[key].strip()]
    assert blank == []


def test_no_field_starts_or_ends_with_white_space() -> None:
    loose = [row for row in rows() for value in row.values() if value != value.strip()]
    assert loose == []


def test_about_two_rows_in_five_have_an_input() -> None:
    share = sum(row["input"] != "" for row in rows()) / len(rows())
    assert 0.36 <= share <= 0.44


def test_inputs_have_at_most_60_words() -> None:
    assert [row for row in rows() if len(row["input"].split()) > 60] == []


def test_outputs_have_1_to_85_words() -> None:
    assert [row for row in rows() if not 1 <= len(row["output"].split()) <= 85] == []


def test_most_outputs_are_short() -> None:
    assert np.median([len(row["output"].split()) for row in rows()]) <= 18


def test_the_kinds_are_the_known_ones() -> None:
    assert {row["kind"] for row in rows()} == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_has_its_fair_share(kind: str) -> None:
    share = sum(row["kind"] == kind for row in rows()) / len(rows())
    assert 0.05 <= share <= 0.13


def test_no_two_rows_ask_the_same() -> None:
    counts = Counter(normalised(row) for row in rows())
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_two_rows_ask_nearly_the_same() -> None:
    similarity, first, second = closest_pair([normalised(row) for row in rows()])
    assert similarity < MOST_ALIKE, (first, second)


def test_the_near_duplicate_check_sees_a_changed_number() -> None:
    texts = [
        "how many minutes are there in three and a half hours",
        "write a couplet that could go on a garden gate",
        "how many minutes are there in seven and a half hours",
    ]
    similarity, first, second = closest_pair(texts)
    assert similarity > MOST_ALIKE
    assert {first, second} == {texts[0], texts[2]}


def test_answers_to_requests_for_json_parse() -> None:
    asked = [row for row in rows() if "json" in row["instruction"].lower()]
    assert len(asked) >= 8
    for row in asked:
        assert row["kind"] == "format", row
        assert isinstance(json.loads(row["output"]), dict | list), row


def test_no_field_holds_the_prompt_template_marker() -> None:
    assert [row for row in rows() for value in row.values() if "###" in value] == []


def test_no_answer_is_a_sentiment_label() -> None:
    labels = [r for r in rows() if r["output"].strip(" .!\"'").lower() in SENTIMENT_LABELS]
    assert labels == []


def test_no_instruction_asks_about_sentiment() -> None:
    assert [row for row in rows() if SENTIMENT_WORDS.search(row["instruction"])] == []
