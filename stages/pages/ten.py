"""The ten instructions side by side: what each system answered, which checks it passed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from pages.tables import console_text, text_cell, with_interval
from stats.estimate import Estimate

Checked = Sequence[tuple[str, bool]]  # each check's kind, and whether the answer passes it


@dataclass(frozen=True)
class TenAnswers:
    """One of the ten instructions with each system's answer and the checks that decide on it."""

    instruction: str
    input: str
    answers: Mapping[str, str]
    checked: Mapping[str, Checked]


def ten_markdown(ten: Sequence[TenAnswers], hundred: Mapping[str, Estimate]) -> str:
    """An instruction a row, the systems' answers in columns, the checks below each answer.

    `hundred` is the share of the further instructions that each system follows.
    """
    systems = list(ten[0].answers)
    lines = [
        "# Ten instructions that no training row contains",
        "",
        "Below each answer stand its checks, named as in IFEval where it has them: passed (+) or failed "
        "(-). An answer follows its instruction where it passes all. Ten are too few to rank models; of "
        "a hundred further instructions, made by program and checked alike, followed are "
        + ", ".join(f"{with_interval(hundred[system])} by {system}" for system in systems)
        + ".",
        "",
        "| instruction | " + " | ".join(map(text_cell, systems)) + " |",
        "|" + "---|" * (len(systems) + 1),
    ]
    for each in ten:
        cells = [text_cell(each.instruction)]
        if each.input:
            cells[0] += f"<br><br>*{text_cell(each.input)}*"
        for system in systems:
            said = text_cell(each.answers[system]) or "(nothing)"
            told = "<br>".join(
                f"{'+' if passed else '-'} {text_cell(kind)}"
                for kind, passed in each.checked[system]
            )
            cells.append(f"{said}<br><br>{told}")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("| followed | " + " | ".join(_followed(ten, system) for system in systems) + " |")
    return "\n".join(lines) + "\n"


def ten_json(ten: Sequence[TenAnswers]) -> dict[str, Any]:
    """The same as data: every answer whole, every check by name."""
    return {
        "instructions": [
            {
                "instruction": each.instruction,
                "input": each.input,
                "systems": {
                    system: {"answer": answer, "checks": dict(each.checked[system])}
                    for system, answer in each.answers.items()
                },
            }
            for each in ten
        ]
    }


def ten_console(ten: Sequence[TenAnswers]) -> str:
    """The same, shortened, for a console."""
    systems = list(ten[0].answers)
    table = RichTable("instruction", *systems, box=box.SIMPLE_HEAD, show_lines=True)
    for each in ten:
        asked = each.instruction + (f"\n({_short(each.input, 120)})" if each.input else "")
        cells = [
            f"{_short(each.answers[system], 240)}\n[{_count(each.checked[system])}]"
            for system in systems
        ]
        table.add_row(*map(escape, [asked, *cells]))
    table.add_row("followed", *(_followed(ten, system) for system in systems))
    return console_text(table)


def _followed(ten: Sequence[TenAnswers], system: str) -> str:
    whole = sum(all(passed for _, passed in each.checked[system]) for each in ten)
    return f"{whole} of {len(ten)}"


def _count(checked: Checked) -> str:
    return f"{sum(passed for _, passed in checked)} of {len(checked)} checks"


def _short(text: str, length: int) -> str:
    flat = " / ".join(line.strip() for line in text.splitlines() if line.strip())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
