"""What the rows must fulfil before a study can begin; otherwise `prepare` stops."""

import re
from collections import Counter
from collections.abc import Sequence

from runtime.errors import StudyError

from rows.row import Checked

_ADVICE = (
    "check that the file is not sorted or cut, and that label_values or bands are right; raise take"
)


def require_few_rejected(sources: Sequence[Checked], max_share: float) -> None:
    """Raise `StudyError` if more than `max_share` of all rows were rejected.

    The message lists the first ten rejected rows and the ten commonest reasons.
    """
    rejected = [row for source in sources for row in source.aside if row.kind == "rejected"]
    accounts = [account for source in sources for account in source.account.values()]
    n_rejected = sum(account["rejected"] for account in accounts)
    total = sum(account["in"] for account in accounts)
    if total and n_rejected / total > max_share:
        rows = "\n".join(f"  {row.source} row {row.number}: {row.reason}" for row in rejected[:10])
        # Values and numbers differ from row to row: without them, equal reasons can be counted.
        reasons = Counter(re.sub(r"'.*?'|\".*?\"|\d+", "…", row.reason) for row in rejected)
        counts = "\n".join(f"  {count:>7} × {reason}" for reason, count in reasons.most_common(10))
        listed = f" (of the first {len(rejected)})" if len(rejected) < n_rejected else ""
        raise StudyError(
            f"{n_rejected} of {total} rows are bad, more than prepare.max_rejected_share = "
            f"{max_share}. The first:\n{rows}\nBy reason{listed}:\n{counts}"
        )


def require_rows(checked: Checked, name: str) -> None:
    """Raise `StudyError` if a split of `checked` has no row left. `name`: what the rows are."""
    for split, account in checked.account.items():
        if not account["out"]:
            counts = ", ".join(f"{kind} {count}" for kind, count in account.items() if count)
            message = f"{name}: no row is left in {split} ({counts or 'the split was empty'})"
            for row in checked.aside:
                if row.kind == "rejected":
                    message += f"; rejected first: {row.source} row {row.number}: {row.reason}"
                    break
            raise StudyError(message)


def require_labels(checked: Checked, labels: Sequence[str]) -> None:
    """Raise `StudyError` if a label has no training row, or if all test rows have one label."""
    train = Counter(row.stratum for row in checked.rows["train"])
    test = Counter(row.stratum for row in checked.rows["test"])
    if len(train) < len(labels):
        raise StudyError(
            f"labelled: train has no row of some label ({_counts(train, labels)}), so a model cannot "
            f"learn the label: {_ADVICE}, or remove the label"
        )
    if len(test) < 2:
        raise StudyError(
            f"labelled: all rows of test have one label ({_counts(test, labels)}), so accuracy would "
            f"measure nothing: {_ADVICE}"
        )


def _counts(counts: Counter[str], labels: Sequence[str]) -> str:
    return ", ".join(f"{label} {counts[label]}" for label in labels)
