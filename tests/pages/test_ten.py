"""The ten instructions' page: answers are shown as text, each check as passed or failed."""

import json

from pages.console import WIDTH
from pages.ten import TenAnswers, ten_console, ten_json, ten_markdown
from stats.estimate import Estimate

HOSTILE = "<script>x</script> | [link](http://a) *bold*\n\nsecond [red]line[/red] `code`"
CHECKED = {
    "a": [("startend:quotation", False), ("content:not_an_echo", True)],
    "b": [("startend:quotation", True), ("content:not_an_echo", True)],
}
TEN = [TenAnswers("Say | it.", "", {"a": HOSTILE, "b": ""}, CHECKED)]
HUNDRED = {"a": Estimate(0.25, 0.175, 0.343), "b": Estimate(0.0, 0.0, 0.037)}


def test_answers_cannot_break_the_table() -> None:
    text = ten_markdown(TEN, HUNDRED, 4)
    (row,) = [line for line in text.splitlines() if "Say" in line]
    assert row.replace("\\|", "").count("|") == 4
    assert "<script>" not in row
    assert "(nothing)" in row


def test_each_check_is_named_as_passed_or_failed_and_answers_that_pass_all_are_counted() -> None:
    text = ten_markdown(TEN, HUNDRED, 4)
    assert "- startend:quotation<br>+ content:not\\_an\\_echo" in text
    assert "+ startend:quotation<br>+ content:not\\_an\\_echo" in text
    assert "| followed | 0 of 1 | 1 of 1 |" in text


def test_the_page_states_that_few_cannot_rank_models_and_shows_the_interval_of_the_further_ones() -> (
    None
):
    text = ten_markdown(TEN, HUNDRED, 4)
    assert text.startswith("# 1 instructions that no training row contains\n")
    assert "Instructions on this page: 1, too few to rank models." in text
    assert "Further instructions, checked in the same way: 4; share followed: " in text
    assert ".250 [.175, .343] by a" in text
    assert "too few" not in ten_markdown(TEN * 5, HUNDRED, 4)


def test_the_data_hold_every_answer_whole_and_every_check() -> None:
    (entry,) = json.loads(json.dumps(ten_json(TEN)))["instructions"]
    assert entry["systems"]["a"]["answer"] == HOSTILE
    assert entry["systems"]["a"]["checks"] == [
        {"kind": "startend:quotation", "passed": False},
        {"kind": "content:not_an_echo", "passed": True},
    ]


def test_the_data_hold_both_checks_of_a_kind_that_occurs_twice() -> None:
    twice = [("length_constraints:number_words", False), ("length_constraints:number_words", True)]
    (entry,) = ten_json([TenAnswers("Say it.", "", {"a": "it"}, {"a": twice})])["instructions"]
    assert [check["passed"] for check in entry["systems"]["a"]["checks"]] == [False, True]


def test_the_console_shows_answers_side_by_side_within_its_width() -> None:
    text = ten_console(TEN)
    assert "[red]line[/red]" in " ".join(text.split())
    assert "[1 of 2 checks]" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= WIDTH
