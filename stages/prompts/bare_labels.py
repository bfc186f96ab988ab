"""Which answers to general instructions are nothing but a label of the task: a sign of a collapsed model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prompts.templates import Template


def bare_labels(
    rows: Sequence[Mapping[str, Any]], pool: Sequence[Template], labels: Sequence[str]
) -> list[bool]:
    """Whether each answer is a bare label. `rows` are those of `GeneralPrediction`.

    A bare label is an answer that is a label in some wording of the pool, unless a label is a plausible
    answer to the instruction. A label is plausible if one of these holds: the prompt names the label; the
    label is the expected answer of a test row of the same task family, or of the row itself; the label and
    the expected answer are both numbers.
    """
    expected_by_family: dict[str | None, set[str]] = {}
    for row in rows:
        expected_by_family.setdefault(row["family"], set()).add(_plain(row["expected"]))
    return [
        any(
            label is not None and not _is_plausible(label, row, expected_by_family)
            for label in (template.label_in(row["generated"], labels) for template in pool)
        )
        for row in rows
    ]


def _is_plausible(
    label: str, row: Mapping[str, Any], expected_by_family: Mapping[str | None, set[str]]
) -> bool:
    expected, answer = _plain(row["expected"]), _plain(row["generated"])
    is_known = answer == expected
    if row["family"] is not None:
        is_known = answer in expected_by_family[row["family"]]
    return is_known or (_is_number(answer) and _is_number(expected)) or _names(row["prompt"], label)


def _plain(text: str) -> str:
    """Without letter case, surrounding white space and quotation marks, and a final full stop."""
    return text.strip().strip("\"'").removesuffix(".").strip().casefold()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+([.,]\d+)*", text) is not None


def _names(prompt: str, label: str) -> bool:
    """Whether the prompt contains the label: as a whole word where its script writes blanks."""
    pattern = re.escape(label.casefold())
    if label.isascii():
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return re.search(pattern, prompt.casefold()) is not None
