"""From checked rows to splits: repeats, missing splits, leaks between splits, and draws of rows."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rows.good_rows import GoodRows
from rows.leaks import near_duplicates
from rows.raw_row import RawRow
from rows.repeats import without_repeats
from rows.row import SPLITS, Check, Checked, Row, SetAside, set_aside
from settings.study import Contradictions

FATES = ("rejected", "neutral", "repeats", "contradictions", "leaks", "near_leaks")
SEARCHED_BEFORE_DRAW = 100_000  # rows among which all near leaks are removed before the draw


def check_splits(
    raw: Mapping[str, Sequence[RawRow]],
    check: Check,
    split_off: Mapping[str, float],
    seed: int,
    policy: Contradictions = "majority",
) -> Checked:
    """Check every row of a source, set repeats aside, and split off the splits that the source lacks.

    A repeat is a row whose key occurs in another row of its split. `split_off`: {split: share of the good
    training rows}. Call `draw_without_leaks` next. Then, for each split: in + moved_in = out +
    rejected + neutral + repeats + contradictions + leaks + near_leaks + moved_out + not_taken.
    """
    checked = Checked()
    for split in SPLITS:
        if split not in raw and split not in split_off:
            continue
        rows = raw.get(split, ())
        good = GoodRows(split, rows, check)
        checked.account[split] = {"in": len(rows), "moved_in": 0, **dict.fromkeys(FATES, 0)}
        checked.account[split] |= {"moved_out": 0, "not_taken": 0, "out": 0}
        for place, row in enumerate(rows):
            result = check(row)
            if isinstance(result, SetAside):
                checked.set_aside(split, result.kind, partial(_itself, result))
            else:
                good.add(place, result)
        checked.rows[split] = without_repeats(checked, split, good, policy)
    _split_off(checked, split_off, seed)
    return checked


def draw_without_leaks(
    sources: Sequence[Checked],
    takes: Sequence[Mapping[str, int | None]],
    similarity: float,
    seed: int,
) -> None:
    """Remove the leaks of all sources, and draw the rows that `takes` has for each source.

    Leaks are searched among all rows. Near leaks are searched among all rows before the draw if the
    sources have at most `SEARCHED_BEFORE_DRAW` good rows; otherwise among the drawn rows.
    """
    n_rows = sum(len(rows) for checked in sources for rows in checked.rows.values())
    if n_rows <= SEARCHED_BEFORE_DRAW:
        remove_leaks(sources, similarity)
        for checked, take in zip(sources, takes, strict=True):
            take_rows(checked, take, seed)
        return
    print(f"{n_rows} good rows: near-duplicates are searched among the rows that are drawn")
    remove_leaks(sources)
    later: list[tuple[str, Row]] = []
    for split in reversed(SPLITS):
        drawn: list[tuple[str, Row]] = []
        for checked, take in zip(sources, takes, strict=True):
            if split in checked.rows:
                _take_without_near_leaks(checked, split, take.get(split), later, similarity, seed)
                drawn += [(split, row) for row in checked.rows[split]]
        later += drawn


def remove_leaks(sources: Sequence[Checked], similarity: float | None = None) -> None:
    """Set aside every row that a later split of any source contains too.

    The order of splits is train, validation, test. A leak has the key of a row in a later split. A
    near leak has a similarity of at least `similarity`, between 0 and 1, to a row in a later split.
    Near leaks are not searched if `similarity` is None.
    """
    later: list[_Later] = []
    for split in reversed(SPLITS):
        with_split = [checked for checked in sources if split in checked.rows]
        for checked in with_split:
            _remove_leaks_of_split(checked, split, later, similarity)
        later += [_Later.of(split, _good(checked, split)) for checked in with_split]


def take_rows(checked: Checked, take: Mapping[str, int | None], seed: int) -> None:
    """Draw `take[split]` rows of each split, or all rows if `take` has no number for the split."""
    for split in checked.rows:
        rows = _good(checked, split)
        count = take.get(split)
        if count is not None and count < len(rows):
            checked.account[split]["not_taken"] = len(rows) - count
            rows = rows.select(draw_positions(rows.strata, count, f"{seed}:take:{split}"))
        checked.rows[split] = list(rows)
        checked.account[split]["out"] = len(rows)


def contradictions(checked: Checked) -> dict[str, dict[str, int]]:
    """{split or "all": {"texts": ..., "rows": ...}}: rows set aside that contradict another row."""
    counts = {
        split: {"texts": len(rows_by_key), "rows": rows_by_key.total()}
        for split in checked.account
        for rows_by_key in [checked.contradicting.get(split, Counter())]
    }
    keys = {key for rows_by_key in checked.contradicting.values() for key in rows_by_key}
    n_rows = sum(count["rows"] for count in counts.values())
    return {**counts, "all": {"texts": len(keys), "rows": n_rows}}


def draw(rows: Sequence[Row], count: int, seed: str) -> list[Row]:
    """Draw `count` rows without replacement, in their own order. Every stratum keeps its share."""
    return [
        rows[position] for position in draw_positions([row.stratum for row in rows], count, seed)
    ]


def draw_positions(row_strata: Sequence[str], count: int, seed: str) -> list[int]:
    """Draw `count` positions without replacement, in ascending order.

    Each stratum gets its share, rounded down. The largest remainders get the rows that are left.
    """
    strata: dict[str, list[int]] = defaultdict(list)
    for position, stratum in enumerate(row_strata):
        strata[stratum].append(position)
    count = min(count, len(row_strata))
    generator = random.Random(seed)
    drawn: list[int] = []
    remainders: list[tuple[int, str, int]] = []
    for stratum in sorted(strata):
        positions = strata[stratum]
        generator.shuffle(positions)
        whole, remainder = divmod(count * len(positions), len(row_strata))
        drawn += positions[:whole]
        if remainder:
            remainders.append((-remainder, stratum, positions[whole]))
    drawn += [position for _, _, position in sorted(remainders)[: count - len(drawn)]]
    return sorted(drawn)


def _itself(row: SetAside) -> SetAside:
    return row


def _split_off(checked: Checked, shares: Mapping[str, float], seed: int) -> None:
    train = _good(checked, "train")
    total = len(train)
    for split, share in shares.items():
        moved = draw_positions(train.strata, round(total * share), f"{seed}:split:{split}")
        checked.rows[split] = train.select(moved)
        train = train.select(_without(len(train), moved))
        checked.account[split]["moved_in"] = len(moved)
        checked.account["train"]["moved_out"] += len(moved)
    checked.rows["train"] = train


@dataclass
class _Later:
    """The rows of a later split, with the position of every key."""

    split: str
    rows: GoodRows
    positions: dict[bytes, int]

    @classmethod
    def of(cls, split: str, rows: GoodRows) -> "_Later":
        return cls(split, rows, {key: position for position, key in enumerate(rows.keys)})


def _remove_leaks_of_split(
    checked: Checked, split: str, later: Sequence[_Later], similarity: float | None
) -> None:
    rows = _good(checked, split)
    near: dict[int, tuple[int, float]] = {}
    places: list[tuple[_Later, int]] = []
    if similarity is not None and later:
        places = [(group, position) for group in later for position in range(len(group.rows))]
        texts = [row.key for group in later for row in group.rows]
        near = near_duplicates([row.key for row in rows], texts, similarity)
    clean = []
    for position, key in enumerate(rows.keys):
        group = next((group for group in reversed(later) if key in group.positions), None)
        if group is not None:
            _set_leak_aside(checked, split, rows, position, group)
        elif position in near:
            later_position, likeness = near[position]
            group, place = places[later_position]
            where = f"row {group.rows.numbers[place]} of {group.rows.files[place]} in {group.split}"
            _set_near_leak_aside(checked, split, rows, position, likeness, where)
        else:
            clean.append(position)
    if len(clean) < len(rows):
        checked.rows[split] = rows.select(clean)


def _set_leak_aside(
    checked: Checked, split: str, rows: GoodRows, position: int, later: _Later
) -> None:
    key, label = rows.keys[position], rows.labels[position]
    match = later.positions[key]
    match_label = later.rows.labels[match]
    reason = (
        f"leaks: it also stands in {later.split}, row {later.rows.numbers[match]} of "
        f"{later.rows.files[match]}"
    )
    if label != match_label:
        reason += f", whose label is {match_label}, not {label}: contradicts it"
        checked.contradicting.setdefault(split, Counter())[key] += 1
    checked.set_aside(
        split, "leaks", lambda: set_aside("leaks", rows[position], reason, label != match_label)
    )


def _set_near_leak_aside(
    checked: Checked, split: str, rows: GoodRows, position: int, likeness: float, where: str
) -> None:
    reason = f"near_leaks: {likeness:.2f} like {where}"
    checked.set_aside(split, "near_leaks", lambda: set_aside("near_leaks", rows[position], reason))


def _take_without_near_leaks(
    checked: Checked,
    split: str,
    count: int | None,
    later: Sequence[tuple[str, Row]],
    similarity: float,
    seed: int,
) -> None:
    """Draw rows of a split that are like no row of `later`, a list of (split, row).

    Near leaks are set aside and replaced by another draw, until `count` rows are drawn or no row is
    left. Each draw is four times as large as the rows that are missing, so that the draws are few.
    """
    rows = _good(checked, split)
    wanted = len(rows) if count is None else min(count, len(rows))
    later_keys = [row.key for _, row in later]
    remaining = list(range(len(rows)))
    taken: list[int] = []
    n_near_leaks = 0
    n_draws = 0
    while len(taken) < wanted and remaining:
        name = f"{seed}:take:{split}" + (f":{n_draws}" if n_draws else "")
        missing = wanted - len(taken)
        strata = [rows.strata[position] for position in remaining]
        chosen = draw_positions(strata, missing * 4**n_draws, name)
        drawn = [remaining[position] for position in chosen]
        near = near_duplicates([row.key for row in rows.select(drawn)], later_keys, similarity)
        clean = [position for place, position in enumerate(drawn) if place not in near]
        for place, (later_place, likeness) in sorted(near.items()):
            later_split, match = later[later_place]
            where = f"row {match.number} of {match.source} in {later_split}"
            _set_near_leak_aside(checked, split, rows, drawn[place], likeness, where)
        strata = [rows.strata[position] for position in clean]
        taken += [clean[place] for place in draw_positions(strata, missing, f"{name}:clean")]
        remaining = [remaining[place] for place in _without(len(remaining), chosen)]
        n_near_leaks += len(near)
        n_draws += 1
    checked.account[split]["not_taken"] = len(rows) - len(taken) - n_near_leaks
    checked.account[split]["out"] = len(taken)
    checked.rows[split] = list(rows.select(sorted(taken)))


def _without(count: int, positions: Sequence[int]) -> list[int]:
    """The positions below `count` that are not in `positions`."""
    excluded = set(positions)
    return [position for position in range(count) if position not in excluded]


def _good(checked: Checked, split: str) -> GoodRows:
    rows = checked.rows[split]
    assert isinstance(rows, GoodRows)
    return rows
