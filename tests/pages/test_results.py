"""The pages: what a model said is shown as text, never as markup."""

from pages.results import TenAnswers, result_cells, results_markdown, summary_text, ten_markdown

HOSTILE = "<script>x</script> | [link](http://a) *bold*\n\nsecond [red]line[/red] `code`"
METRICS = {"accuracy": 0.5, "f1": 0.25, "precision": 1.0, "recall": 0.0, "n": 4}
TEN = [TenAnswers("Say | it.", "", {"a": HOSTILE, "b": ""}, {"a": (1, 2), "b": (2, 2)})]


def test_a_baseline_has_dashes_where_it_has_no_figure() -> None:
    cells = result_cells("majority", METRICS, (0.1, 0.9))
    assert cells[:6] == ["majority", ".500 [.100, .900]", ".250", "1.000", ".000", "4"]
    assert cells[6:] == ["-"] * 4


def test_the_markdown_table_has_a_line_a_system() -> None:
    rows = [result_cells(name, METRICS, (0.1, 0.9)) for name in ("a", "b_c")]
    text = results_markdown(rows, ["a note"])
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert "b\\_c" in text
    assert "- a note" in text


def test_answers_cannot_break_the_table() -> None:
    text = ten_markdown(TEN)
    (row,) = [line for line in text.splitlines() if "Say" in line]
    assert row.replace("\\|", "").count("|") == 4
    assert "<script>" not in row
    assert "(nothing)" in row
    assert "| 0 of 1 | 1 of 1 |" in text


def test_the_summary_shows_answers_side_by_side_within_its_width() -> None:
    text = summary_text([result_cells("a", METRICS, (0.1, 0.9))], TEN, ["a note"], "files here")
    assert "[red]line[/red]" in " ".join(text.split())
    assert "files here" in text
    assert max(map(len, text.splitlines())) <= 110
