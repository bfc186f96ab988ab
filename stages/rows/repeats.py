"""Texts that occur more than once in a split: which of their rows stays."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rows.good_rows import GoodRows
from rows.row import Checked, SetAside, set_aside
from settings.study import Contradictions


@dataclass
class _Group:
    """The positions of the rows with one key. `stays`: the position of the row that stays, or None."""

    positions: list[int]
    stays: int | None = None
    label_counts: str = ""


def without_repeats(
    checked: Checked, split: str, rows: GoodRows, policy: Contradictions
) -> GoodRows:
    """One row of each key of `rows`. All other rows are set aside, as repeats or as contradictions.

    A repeat has the label of the row that stays. Rows with equal keys and several labels contradict each
    other; `policy` decides which row stays, or none.
    """
    group_of: dict[int, _Group] = {}
    for group in _groups(rows.keys):
        labels = [rows.labels[position] for position in group.positions]
        place = staying_row(labels, policy)
        group.stays = None if place is None else group.positions[place]
        counts = Counter(labels).most_common()
        group.label_counts = ", ".join(f"{count} {label}" for label, count in counts)
        group_of |= dict.fromkeys(group.positions, group)
    excluded = {position for position, group in group_of.items() if position != group.stays}
    for position in sorted(excluded):
        _set_repeat_aside(checked, split, rows, position, group_of[position], policy)
    if not excluded:
        return rows
    return rows.select(position for position in range(len(rows)) if position not in excluded)


def staying_row(labels: Sequence[str | None], policy: Contradictions) -> int | None:
    """The position of the row that stays of rows with the same text, or None if no row stays.

    One label: the first row stays. Several labels: the first row (`keep_first`), no row (`drop_all`), or
    the first row of the most frequent label (`majority`), none if two labels are equally frequent.
    """
    counts = Counter(labels).most_common(2)
    if len(counts) == 1 or policy == "keep_first":
        return 0
    (label, count), (_, second_count) = counts
    if policy == "drop_all" or count == second_count:
        return None
    return labels.index(label)


def _groups(keys: Sequence[bytes]) -> list[_Group]:
    """The rows of every key that occurs more than once."""
    first: dict[bytes, int] = {}
    groups: dict[bytes, _Group] = {}
    for position, key in enumerate(keys):
        earlier = first.setdefault(key, position)
        if earlier != position:
            groups.setdefault(key, _Group([earlier])).positions.append(position)
    return list(groups.values())


def _set_repeat_aside(
    checked: Checked,
    split: str,
    rows: GoodRows,
    position: int,
    group: _Group,
    policy: Contradictions,
) -> None:
    stays = group.stays
    if stays is not None and rows.labels[position] == rows.labels[stays]:

        def repeat() -> SetAside:
            reason = f"repeats row {rows.numbers[stays]} of its split"
            return set_aside("repeats", rows[position], reason)

        checked.set_aside(split, "repeats", repeat)
        return

    def contradiction() -> SetAside:
        if stays is not None:
            fate = f"row {rows.numbers[stays]} stays, whose label is {rows.labels[stays]}"
        elif policy == "drop_all":
            fate = "no row stays"
        else:
            fate = "no row stays, because two labels are equally frequent"
        reason = f"contradicts a row of its split with the same text ({group.label_counts}): {fate}"
        return set_aside("contradictions", rows[position], reason, contradicts=True)

    checked.contradicting.setdefault(split, Counter())[rows.keys[position]] += 1
    checked.set_aside(split, "contradictions", contradiction)
