"""The comparison as a person reads it: Markdown for `reports/`, plain text for the console."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLUMNS = (
    "system",
    "accuracy",
    "F1",
    "precision",
    "recall",
    "n",
    "invalid",
    "exact, seen",
    "exact, held out",
    "bare label",
)
WIDTH = 110


@dataclass(frozen=True)
class TenAnswers:
    """One of the ten instructions with each system's answer and how many of its checks it passes."""

    instruction: str
    input: str
    answers: dict[str, str]
    passed: dict[str, tuple[int, int]]


def result_cells(system: str, metrics: dict[str, Any], interval: tuple[float, float]) -> list[str]:
    """A row of the table; a figure that a system does not have is a dash."""
    general, generated = metrics.get("general", {}), metrics.get("generated", {})
    return [
        system,
        f"{_figure(metrics['accuracy'])} [{_figure(interval[0])}, {_figure(interval[1])}]",
        *(_figure(metrics[name]) for name in ("f1", "precision", "recall")),
        str(metrics["n"]),
        _figure(generated.get("invalid_rate")),
        _figure(general.get("exact_seen")),
        _figure(general.get("exact_held_out")),
        _figure(general.get("bare_label_rate")),
    ]


def results_markdown(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """The table of all systems, and what its columns mean."""
    lines = ["# Results", "", _line(COLUMNS), "|---|" + "---:|" * (len(COLUMNS) - 1)]
    lines += [_line(row) for row in rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def ten_markdown(ten: Sequence[TenAnswers]) -> str:
    """The ten instructions, a row each, the systems' answers in columns."""
    systems = list(ten[0].answers)
    lines = [
        "# Ten instructions that no training row contains",
        "",
        "Under each answer: how many of the instruction's checks it passes. Ten are too few to rank "
        "models.",
        "",
        _line(("instruction", *systems)),
        "|" + "---|" * (len(systems) + 1),
    ]
    for each in ten:
        asked = _cell(each.instruction) + (f"<br><br>*{_cell(each.input)}*" if each.input else "")
        answers = [
            f"{_cell(each.answers[system]) or '(nothing)'}<br><br>{_verdict(each.passed[system])}"
            for system in systems
        ]
        lines.append("| " + " | ".join([asked, *answers]) + " |")
    followed = [_followed(ten, system) for system in systems]
    lines.append(_line(("followed", *followed)))
    return "\n".join(lines) + "\n"


def summary_text(
    rows: Sequence[Sequence[str]], ten: Sequence[TenAnswers], notes: Sequence[str], files: str
) -> str:
    """Table, ten instructions side by side and where the files are, at 110 columns."""
    out = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in COLUMNS:
        left = column == "system"
        name = column.replace(", ", "\n").replace("bare ", "bare\n")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)
    for note in notes:
        out.print(escape(textwrap.fill(note, WIDTH - 2, initial_indent="  ")))
    systems = list(ten[0].answers)
    answers = Table("instruction", *systems, box=box.SIMPLE_HEAD, show_lines=True)
    for each in ten:
        asked = each.instruction + (f"\n({_short(each.input, 120)})" if each.input else "")
        cells = [
            f"{_short(each.answers[system], 240)}\n[{_verdict(each.passed[system])}]"
            for system in systems
        ]
        answers.add_row(*map(escape, [asked, *cells]))
    answers.add_row("followed", *(_followed(ten, system) for system in systems))
    out.print(answers)
    out.print(escape(files))
    assert isinstance(out.file, io.StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()) + "\n"


def _followed(ten: Sequence[TenAnswers], system: str) -> str:
    whole = sum(each.passed[system][0] == each.passed[system][1] for each in ten)
    return f"{whole} of {len(ten)}"


def _verdict(passed: tuple[int, int]) -> str:
    return f"{passed[0]} of {passed[1]} checks"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1) if value < 1 else "1.000"


def _short(text: str, length: int) -> str:
    flat = " / ".join(line.strip() for line in text.splitlines() if line.strip())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    """Text as text in a cell of a Markdown table: nothing in it is markup, line breaks are kept."""
    for mark in "\\`*_[]<>|#&":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>&" else f"&#{ord(mark)};")
    return "<br>".join(line for line in text.splitlines() if line.strip())
