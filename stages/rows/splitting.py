"""From checked rows to splits: repeats, missing splits, leaks between splits, and draws of rows."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rows.leaks import near_duplicates
from rows.raw_row import RawRow
from rows.row import SPLITS, Check, Checked, Kind, Row, SetAside, set_aside


def check_splits(
    raw: Mapping[str, Sequence[RawRow]],
    check: Check,
    split_off: Mapping[str, float],
    seed: int,
) -> Checked:
    """Check every row of a source, set repeats aside, and split off the splits that the source lacks.

    A repeat is a row whose key occurs earlier in its split. `split_off`: {split: share of the good
    training rows}. Call `remove_leaks` and `take_rows` next. Then, for each split: in + moved_in =
    out + rejected + neutral + repeats + leaks + near_leaks + moved_out + not_taken.
    """
    checked = Checked()
    for split in SPLITS:
        if split not in raw and split not in split_off:
            continue
        results = [check(row) for row in raw.get(split, ())]
        good = [
            replace(row, row_id=f"{split}-{place:06d}")  # place: the row's position in its source
            for place, row in enumerate(results, start=1)
            if isinstance(row, Row)
        ]
        unusable = [row for row in results if isinstance(row, SetAside)]
        checked.rows[split], repeats = _without_repeats(good, split)
        checked.aside += unusable + repeats
        kinds = Counter(row.kind for row in unusable)
        checked.account[split] = {
            "in": len(results),
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
    """Set aside every row that a later split of any source contains too.

    The order of splits is train, validation, test. A leak has the key of a row in a later split. A
    near leak has a similarity of at least `similarity`, between 0 and 1, to a row in a later split.
    """
    later: dict[str, tuple[Row, str]] = {}
    for split in reversed(SPLITS):
        with_split = [checked for checked in sources if split in checked.rows]
        for checked in with_split:
            _without_leaks(checked, split, later, similarity)
        for checked in with_split:
            later |= {row.key: (row, split) for row in checked.rows[split]}


def take_rows(checked: Checked, take: Mapping[str, int | None], seed: int) -> None:
    """Draw `take[split]` rows of each split, or all rows if `take` has no number for the split."""
    for split, rows in checked.rows.items():
        count = take.get(split)
        if count is not None and count < len(rows):
            checked.rows[split] = draw(rows, count, f"{seed}:take:{split}")
            checked.account[split]["not_taken"] = len(rows) - count
        checked.account[split]["out"] = len(checked.rows[split])


def contradictions(checked: Checked) -> dict[str, dict[str, int]]:
    """{split or "all": {"texts": ..., "rows": ...}}: rows set aside that contradict the row that stays."""
    pairs = [row.contradicts for row in checked.aside if row.contradicts]
    keys = {split: [key for name, key in pairs if name == split] for split in checked.account}
    keys["all"] = [key for _, key in pairs]
    return {
        split: {"texts": len(set(of_split)), "rows": len(of_split)}
        for split, of_split in keys.items()
    }


def draw(rows: Sequence[Row], count: int, seed: str) -> list[Row]:
    """Draw `count` rows without replacement, in their own order.

    Each stratum gets its share, rounded down. The largest remainders get the rows that are left.
    """
    strata: dict[str, list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        strata[row.stratum].append(position)
    count = min(count, len(rows))
    generator = random.Random(seed)
    drawn: list[int] = []
    remainders: list[tuple[int, str, int]] = []
    for stratum in sorted(strata):
        positions = strata[stratum]
        generator.shuffle(positions)
        whole, remainder = divmod(count * len(positions), len(rows))
        drawn += positions[:whole]
        if remainder:
            remainders.append((-remainder, stratum, positions[whole]))
    drawn += [position for _, _, position in sorted(remainders)[: count - len(drawn)]]
    return [rows[position] for position in sorted(drawn)]


def _without_repeats(rows: Sequence[Row], split: str) -> tuple[list[Row], list[SetAside]]:
    first: dict[str, Row] = {}
    repeats = []
    for row in rows:
        earlier = first.setdefault(row.key, row)
        if earlier is not row:
            reason = f"repeats row {earlier.number} of its split"
            repeats.append(_duplicate("repeats", row, split, reason, earlier))
    return list(first.values()), repeats


def _split_off(checked: Checked, shares: Mapping[str, float], seed: int) -> None:
    train = checked.rows["train"]
    total = len(train)
    for split, share in shares.items():
        moved = draw(train, round(total * share), f"{seed}:split:{split}")
        moved_ids = {row.row_id for row in moved}
        train = [row for row in train if row.row_id not in moved_ids]
        checked.rows[split] += moved
        checked.account[split]["moved_in"] = len(moved)
        checked.account["train"]["moved_out"] += len(moved)
    checked.rows["train"] = train


def _without_leaks(
    checked: Checked, split: str, later: Mapping[str, tuple[Row, str]], similarity: float
) -> None:
    """Set aside the rows of a split that `later`, {key: (row, split)}, contains."""
    account, rows = checked.account[split], checked.rows[split]
    clean, later_keys = [], list(later)
    near = near_duplicates([row.key for row in rows], later_keys, similarity)
    for position, row in enumerate(rows):
        if row.key in later:
            match, later_split = later[row.key]
            reason = f"leaks: it also stands in {later_split}, row {match.number} of {match.source}"
            checked.aside.append(_duplicate("leaks", row, split, reason, match))
            account["leaks"] += 1
        elif position in near:
            later_position, likeness = near[position]
            match, later_split = later[later_keys[later_position]]
            place = f"row {match.number} of {match.source} in {later_split}"
            checked.aside.append(
                set_aside("near_leaks", row, f"near_leaks: {likeness:.2f} like {place}")
            )
            account["near_leaks"] += 1
        else:
            clean.append(row)
    checked.rows[split] = clean


def _duplicate(kind: Kind, row: Row, split: str, reason: str, match: Row) -> SetAside:
    """The row set aside from `split` for `match`, a row with the same key that stays."""
    label, match_label = row.values.get("label"), match.values.get("label")
    if label == match_label:
        return set_aside(kind, row, reason)
    reason += f", whose label is {match_label}, not {label}: contradicts it"
    return set_aside(kind, row, reason, (split, row.key))
