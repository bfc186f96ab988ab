"""The page on the ten instructions: the systems' answers side by side, and the checks they passed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table as RichTable

from pages.console import console_text
from pages.markdown import text_cell
from pages.numbers import with_interval
from stats.estimate import Estimate

Checked = Sequence[tuple[str, bool]]  # (kind of a check, whether the answer passes the check)


@dataclass(frozen=True)
class TenAnswers:
    """One instruction, with the answers and the check results by system."""

    instruction: str
    input: str
    answers: Mapping[str, str]
    checked: Mapping[str, Checked]


def ten_markdown(ten: Sequence[TenAnswers], hundred: Mapping[str, Estimate], n_hundred: int) -> str:
    """A Markdown page: one row an instruction, one column a system, the checks below each answer.

    `hundred`: by system, the share of the `n_hundred` further instructions that the system follows.
    """
    systems = list(ten[0].answers)
    too_few = ", too few to rank models" if len(ten) < n_hundred else ""
    lines = [
        f"# {len(ten)} instructions that no training row contains",
        "",
        "The checks are below each answer: passed (+) or failed (-). Checks that IFEval contains have "
        "IFEval's names. An answer follows its instruction if it passes all checks. Instructions on this "
        f"page: {len(ten)}{too_few}. Further instructions, checked in the same way: {n_hundred}; share "
        "followed: "
        + ", ".join(f"{with_interval(hundred[system])} by {system}" for system in systems)
        + ".",
        "",
        "| instruction | " + " | ".join(map(text_cell, systems)) + " |",
        "|" + "---|" * (len(systems) + 1),
    ]
    for entry in ten:
        cells = [text_cell(entry.instruction)]
        if entry.input:
            cells[0] += f"<br><br>*{text_cell(entry.input)}*"
        for system in systems:
            answer = text_cell(entry.answers[system]) or "(nothing)"
            checks = "<br>".join(
                f"{'+' if passed else '-'} {text_cell(kind)}"
                for kind, passed in entry.checked[system]
            )
            cells.append(f"{answer}<br><br>{checks}")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("| followed | " + " | ".join(_followed(ten, system) for system in systems) + " |")
    return "\n".join(lines) + "\n"


def ten_json(ten: Sequence[TenAnswers]) -> dict[str, Any]:
    """The content of the page as data: every answer in full, every check in order.

    A kind of check may occur twice.
    """
    return {
        "instructions": [
            {
                "instruction": entry.instruction,
                "input": entry.input,
                "systems": {
                    system: {
                        "answer": answer,
                        "checks": [
                            {"kind": kind, "passed": passed}
                            for kind, passed in entry.checked[system]
                        ],
                    }
                    for system, answer in entry.answers.items()
                },
            }
            for entry in ten
        ]
    }


def ten_console(ten: Sequence[TenAnswers]) -> str:
    """The content of the page, shortened, for a console."""
    systems = list(ten[0].answers)
    table = RichTable("instruction", *systems, box=box.SIMPLE_HEAD, show_lines=True)
    for entry in ten:
        prompt = entry.instruction + (f"\n({_short(entry.input, 120)})" if entry.input else "")
        cells = [
            f"{_short(entry.answers[system], 240)}\n[{_n_passed(entry.checked[system])}]"
            for system in systems
        ]
        table.add_row(*map(escape, [prompt, *cells]))
    table.add_row("followed", *(_followed(ten, system) for system in systems))
    return console_text(table)


def _followed(ten: Sequence[TenAnswers], system: str) -> str:
    n_followed = sum(all(passed for _, passed in entry.checked[system]) for entry in ten)
    return f"{n_followed} of {len(ten)}"


def _n_passed(checked: Checked) -> str:
    return f"{sum(passed for _, passed in checked)} of {len(checked)} checks"


def _short(text: str, length: int) -> str:
    one_line = " / ".join(line.strip() for line in text.splitlines() if line.strip())
    return one_line if len(one_line) <= length else one_line[: length - 1] + "…"
