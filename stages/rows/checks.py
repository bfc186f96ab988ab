"""Which rows go on: every row checked, split, freed of repeats and test leaks, and accounted for."""

import html
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runtime.errors import StudyError, shown

from rows.leaks import near_duplicates
from rows.raters import count_raters
from rows.sources import RawRow, require_columns
from settings.sources import GeneralRows, LabelledRows

SPLITS = ("train", "validation", "test")  # a text in two of them stays in the later one


@dataclass(frozen=True, slots=True)
class Row:
    """A checked row: where it came from, what it says, and the key by which repeats are found."""

    source: str
    number: int
    key: str
    stratum: str
    values: dict[str, Any]
    row_id: str = ""
    ratings: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that does not go on; `kind` is rejected, neutral, repeats, leaks or near_leaks.

    It `contradicts` the row that stays where that has the same text and another label: then this
    holds its split and its key.
    """

    kind: str
    source: str
    number: int
    reason: str
    content: str
    contradicts: tuple[str, str] | None = None


@dataclass
class Checked:
    """Rows by split, the rows set aside, and for each split the account of every row."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    account: dict[str, dict[str, int]] = field(default_factory=dict)


Check = Callable[[RawRow], "Row | SetAside"]


def check_splits(
    raw: Mapping[str, Sequence[RawRow]],
    check: Check,
    split_off: Mapping[str, float],
    seed: int,
) -> Checked:
    """Check every row of a source, set repeats aside, split off what the source lacks.

    A repeat is a row whose key stands earlier in its split. `split_off` gives the shares of train's
    good rows for the splits that the source lacks. `remove_leaks` and `take_rows` come next; then,
    for each split: in + moved_in = out + rejected + neutral + repeats + leaks + near_leaks +
    moved_out + not_taken.
    """
    checked = Checked()
    for split in SPLITS:
        if split not in raw and split not in split_off:
            continue
        judged = [check(row) for row in raw.get(split, ())]
        good = [
            replace(row, row_id=f"{split}-{place:06d}")  # the place in its source names a row
            for place, row in enumerate(judged, start=1)
            if isinstance(row, Row)
        ]
        aside = [row for row in judged if isinstance(row, SetAside)]
        good, repeats = _without_repeats(good, split)
        checked.rows[split] = good
        checked.aside += aside + repeats
        kinds = Counter(row.kind for row in aside)
        checked.account[split] = {
            "in": len(judged),
            "moved_in": 0,
            "rejected": kinds["rejected"],
            "neutral": kinds["neutral"],
            "repeats": len(repeats),
            "leaks": 0,
            "near_leaks": 0,
            "moved_out": 0,
            "not_taken": 0,
            "out": 0,
        }
    _split_off(checked, split_off, seed)
    return checked


def remove_leaks(sources: Sequence[Checked], similarity: float) -> None:
    """Set aside every row whose like stands in a later split of any of the sources.

    Train comes before validation before test. A leak has the key of a later row, a near leak is at
    least `similarity` like one.
    """
    later: dict[str, tuple[Row, str]] = {}
    for split in reversed(SPLITS):
        there = [checked for checked in sources if split in checked.rows]
        for checked in there:
            _without_leaks(checked, split, later, similarity)
        for checked in there:
            later |= {row.key: (row, split) for row in checked.rows[split]}


def take_rows(checked: Checked, take: Mapping[str, int | None], seed: int) -> None:
    """Draw as many rows of each split as `take` says, all where it says nothing; count what is out."""
    for split, rows in checked.rows.items():
        count = take.get(split)
        if count is not None and count < len(rows):
            checked.rows[split] = draw(rows, count, f"{seed}:take:{split}")
            checked.account[split]["not_taken"] = len(rows) - count
        checked.account[split]["out"] = len(checked.rows[split])


def contradictions(checked: Checked) -> dict[str, dict[str, int]]:
    """{split or "all": {"texts": ..., "rows": ...}} of rows set aside for another label than stays."""
    found = [row.contradicts for row in checked.aside if row.contradicts]
    keys = {split: [key for of, key in found if of == split] for split in checked.account}
    keys["all"] = [key for _, key in found]
    return {of: {"texts": len(set(told)), "rows": len(told)} for of, told in keys.items()}


def draw(rows: Sequence[Row], count: int, seed: str) -> list[Row]:
    """Draw `count` rows without replacement, kept in their own order.

    Each stratum gets its share, rounded down or up: what is left goes to the largest remainders.
    """
    strata: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        strata[row.stratum].append(at)
    count = min(count, len(rows))
    generator = random.Random(seed)
    drawn: list[int] = []
    remainders: list[tuple[int, str, int]] = []
    for stratum in sorted(strata):
        places = strata[stratum]
        generator.shuffle(places)
        whole, remainder = divmod(count * len(places), len(rows))
        drawn += places[:whole]
        if remainder:
            remainders.append((-remainder, stratum, places[whole]))
    drawn += [at for _, _, at in sorted(remainders)[: count - len(drawn)]]
    return [rows[at] for at in sorted(drawn)]


def _without_repeats(rows: Sequence[Row], split: str) -> tuple[list[Row], list[SetAside]]:
    first: dict[str, Row] = {}
    kept, repeats = [], []
    for row in rows:
        earlier = first.setdefault(row.key, row)
        if earlier is row:
            kept.append(row)
        else:
            reason = f"repeats row {earlier.number} of its split"
            repeats.append(_aside("repeats", row, split, reason, earlier))
    return kept, repeats


def _split_off(checked: Checked, shares: Mapping[str, float], seed: int) -> None:
    train = checked.rows["train"]
    total = len(train)
    for split, share in shares.items():
        moved = draw(train, round(total * share), f"{seed}:split:{split}")
        gone = {id(row) for row in moved}
        train = [row for row in train if id(row) not in gone]
        checked.rows[split] += moved
        checked.account[split]["moved_in"] = len(moved)
        checked.account["train"]["moved_out"] += len(moved)
    checked.rows["train"] = train


def _without_leaks(
    checked: Checked, split: str, later: Mapping[str, tuple[Row, str]], similarity: float
) -> None:
    account, rows = checked.account[split], checked.rows[split]
    kept, places = [], list(later)
    near = near_duplicates([row.key for row in rows], places, similarity)
    for at, row in enumerate(rows):
        if row.key in later:
            other, where = later[row.key]
            reason = f"leaks: it also stands in {where}, row {other.number} of {other.source}"
            checked.aside.append(_aside("leaks", row, split, reason, other))
            account["leaks"] += 1
        elif at in near:
            place, alike = near[at]
            other, where = later[places[place]]
            reason = f"near_leaks: {alike:.2f} like row {other.number} of {other.source} in {where}"
            checked.aside.append(_aside("near_leaks", row, split, reason))
            account["near_leaks"] += 1
        else:
            kept.append(row)
    checked.rows[split] = kept


# --- labelled rows ----------------------------------------------------------------------------


def labelled_check(raw: Iterable[RawRow], meaning: LabelledRows) -> Check:
    """The check of a labelled row: text and label there, text not blank, label one of the known."""
    columns = meaning.columns
    named = [columns.text, columns.label or str(columns.rating)]
    require_columns(list(raw), named)
    labels: dict[str, str] = {}
    for value, label in meaning.label_values.items():
        if labels.setdefault(_scalar(value), label) != label:
            raise StudyError(
                f"sources.labelled.label_values: {shown(value)} stands for {labels[_scalar(value)]} "
                f"and for {label}: 1, 1.0 and '1' are one value"
            )
    known = ", ".join(labels)
    truths = any(isinstance(value, bool) for value in meaning.label_values)

    def check(row: RawRow) -> Row | SetAside:
        text = row.values.get(columns.text)
        value = row.values.get(columns.label or str(columns.rating))
        problem = row.problem or _text_problem(columns.text, text)
        label: str | None = None
        agreement: float | None = None
        ratings: tuple[float, ...] = ()
        if problem is None and columns.label is not None:
            label = labels.get(_scalar(value))
            if value is None or value != value:  # NaN, as some Parquet files write null
                problem = f"{columns.label} is null"
            elif label is None:
                problem = f"{columns.label} {shown(value)} is not one of {known}"
                if (
                    truths
                    and isinstance(value, str)
                    and value.lower() in ("yes", "no", "on", "off")
                ):
                    problem += " (as YAML reads yes, no, on, off: quote them in label_values)"
        elif problem is None:
            rating = _number(value)
            label = next((name for name, b in meaning.bands.items() if b.holds(rating)), None)
            if math.isnan(rating):
                problem = f"{columns.rating} {shown(value)} is not a number"
            elif label is None:
                return _raw_aside("neutral", row, f"neutral: {columns.rating} {rating:g}")
        if problem is None and label is not None:
            try:
                ratings = _ratings(row.ratings)
            except (TypeError, ValueError, OverflowError, RecursionError):
                problem = f"ratings {shown(row.ratings)} is not a list of numbers"
            else:
                counts = count_raters(ratings, label, meaning.bands)
                agreement = counts["agreeing"] / counts["named"] if counts["named"] else None
        if problem is not None:
            return _raw_aside("rejected", row, problem)
        assert isinstance(text, str)
        assert label is not None
        values = {"text": text, "label": label, "agreement": agreement}
        key = normalised(text)
        return Row(row.source, row.number, key, label, values, ratings=ratings)

    return check


def _ratings(found: Any) -> tuple[float, ...]:
    """Every rater's rating, from a list or its JSON; none where the source has none."""
    if found is None:
        return ()
    numbers = json.loads(found) if isinstance(found, str) else found
    ratings = tuple(map(float, numbers)) if isinstance(numbers, list) else (math.nan,)
    if not all(map(math.isfinite, ratings)):
        raise ValueError("not a list of numbers")
    return ratings


# --- general instructions ---------------------------------------------------------------------


def general_check(raw: Iterable[RawRow], meaning: GeneralRows) -> Check:
    """The check of a general row: instruction and output not blank, an input only where there is."""
    columns = meaning.columns
    named = [columns.instruction, columns.output]
    if columns.input is not None and "input" in columns.model_fields_set:
        named.append(columns.input)
    require_columns(list(raw), named)

    def check(row: RawRow) -> Row | SetAside:
        instruction = row.values.get(columns.instruction)
        output = row.values.get(columns.output)
        extra = row.values.get(columns.input) if columns.input else None
        problem = (
            row.problem
            or _text_problem(columns.instruction, instruction)
            or _text_problem(columns.output, output)
            or (extra is not None and _text_problem(str(columns.input), extra, may_be_blank=True))
        )
        if problem:
            return _raw_aside("rejected", row, problem)
        extra = extra if extra and extra.strip() else ""
        values = {"instruction": instruction, "input": extra, "output": output, "family": None}
        key = normalised(f"{instruction}\n{extra}")
        return Row(row.source, row.number, key, str(row.values.get("kind")), values)

    return check


# --- what both need ---------------------------------------------------------------------------

_MENTION_OR_URL = re.compile(r"@\w+|https?://\S+|www\.\S+", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")
_WHOLE = re.compile(r"-?[0-9]+\.0+")  # as a file has whole numbers whose column once held a gap
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def normalised(text: str) -> str:
    """`text` as repeats and leaks are found: no case, space, punctuation, mentions, URLs, entities.

    A text of nothing else (an emoji, say) is its own key.
    """
    try:
        plain = html.unescape(html.unescape(text))
    except ValueError:  # "&#" and more digits than Python makes a number of
        plain = text
    plain = _MENTION_OR_URL.sub(" ", plain)
    return _NOT_WORD.sub("", plain).casefold() or text.strip()


def _text_problem(column: str, value: Any, may_be_blank: bool = False) -> str | None:
    if value is None:
        return f"{column} is null"
    if not isinstance(value, str):
        return f"{column} is not text but {type(value).__name__}"
    if not value.strip() and not may_be_blank:
        return f"{column} is blank"
    if "\x00" in value:
        return f"{column} holds a NUL character"
    if _LONE_SURROGATE.search(value):
        return f"{column} holds half of a character (a lone surrogate)"
    return None


def _scalar(value: Any) -> str:
    """A label as files and YAML both spell it: 1, 1.0, "1" and "1.0" are one, so are True and true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    spelt = str(value).strip()
    return spelt.partition(".")[0] if _WHOLE.fullmatch(spelt) else spelt


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _aside(kind: str, row: Row, split: str, reason: str, same: Row | None = None) -> SetAside:
    """The row set aside from `split`; `same` is the one of the same text that stays."""
    label, kept = (each.values.get("label") if each else None for each in (row, same))
    contradicts = None
    if same is not None and label != kept:
        contradicts = (split, row.key)
        reason += f", whose label is {kept}, not {label}: contradicts it"
    return SetAside(kind, row.source, row.number, reason, _content(row.values), contradicts)


def _raw_aside(kind: str, row: RawRow, reason: str) -> SetAside:
    return SetAside(kind, row.source, row.number, reason, _content(row.values))


def _content(values: Mapping[str, Any]) -> str:
    """The row as JSON that UTF-8 can hold: half a character is written as its escape."""
    text = json.dumps(values, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def stop_at_too_many(checked: Sequence[Checked], max_share: float) -> None:
    """Raise `StudyError` where more than `max_share` of the rows were rejected: ten, and a count."""
    bad = [row for part in checked for row in part.aside if row.kind == "rejected"]
    total = sum(account["in"] for part in checked for account in part.account.values())
    if total and len(bad) / total > max_share:
        first = "\n".join(f"  {row.source} row {row.number}: {row.reason}" for row in bad[:10])
        reasons = Counter(re.sub(r"'.*?'|\".*?\"|\d+", "…", row.reason) for row in bad)
        counts = "\n".join(f"  {count:>7} × {reason}" for reason, count in reasons.most_common(10))
        raise StudyError(
            f"{len(bad)} of {total} rows are bad, more than prepare.max_rejected_share = "
            f"{max_share}. The first:\n{first}\nBy reason:\n{counts}"
        )


def require_labels(checked: Checked, labels: Sequence[str]) -> None:
    """Raise `StudyError` where a label is in no training row, or the test rows have one label alone."""
    for split, needed in (("train", len(labels)), ("test", 2)):
        there = Counter(row.stratum for row in checked.rows[split])
        if len(there) < needed:
            told = ", ".join(f"{label} {there[label]}" for label in labels)
            raise StudyError(
                f"labelled: the rows of {split} lack a label ({told}): what is never "
                f"{'learnt' if split == 'train' else 'asked'} cannot be judged; is the file sorted or "
                "cut, do label_values or bands say what you mean? Raise take, or drop the label"
            )


def require_rows(checked: Checked, what: str) -> None:
    """Raise `StudyError` for a split that has no row left."""
    for split, account in checked.account.items():
        if not account["out"]:
            told = ", ".join(f"{name} {count}" for name, count in account.items() if count)
            bad = next((row for row in checked.aside if row.kind == "rejected"), None)
            first = f"; rejected first: {bad.source} row {bad.number}: {bad.reason}" if bad else ""
            raise StudyError(
                f"{what}: no row is left in {split} ({told or 'nothing was there'}){first}"
            )
