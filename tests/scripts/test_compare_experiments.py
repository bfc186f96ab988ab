"""The table of experiments: the settings that differ and the headline figures, in 100 columns."""

import io
from typing import Any

from compare_experiments import runs_in, table_of
from rich.console import Console


def _entry(rev: str, name: str | None, rate: float, accuracy: float) -> dict[str, Any]:
    metrics = {"accuracy": accuracy, "general": {"exact_seen": 0.7, "exact_held_out": 0.2}}
    return {
        "rev": rev,
        "name": name,
        "data": {
            "params": {
                "params.yaml": {"data": {"seed": 42}},
                "profiles/pocket.yaml": {"data": {"train": {"learning_rate": rate}}},
            },
            "metrics": {"metrics/evaluate/mixed_fine_tuned.json": {"data": metrics}},
        },
        "experiments": None,
    }


SHOWN = [
    _entry("workspace", None, 0.001, 0.9),
    {
        **_entry("0" * 40, "main", 0.001, 0.9),
        "experiments": [{"revs": [_entry("1" * 40, "windy-oak", 0.0005, 0.875)]}],
    },
]


def _printed(shown: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(table_of(runs_in(shown)))
    return out.getvalue()


def test_each_run_has_a_line_with_its_figures() -> None:
    text = _printed(SHOWN)
    (line,) = [line for line in text.splitlines() if "windy-oak" in line]
    assert line.split() == ["windy-oak", "0.0005", "-", "-", "-", "0.875", "0.700", "0.200"]
    assert "workspace" in text
    assert "main" in text


def test_only_settings_that_differ_are_shown() -> None:
    text = _printed(SHOWN)
    assert "learning_" in text
    assert "seed" not in text
    assert "learning_" not in _printed(SHOWN[:1])


def test_a_run_of_another_profile_shows_the_profile_alone() -> None:
    other = _entry("3" * 40, "large", 0.0002, 0.91)
    other["data"]["params"] = {
        "params.yaml": {"data": {"seed": 42, "profile": "mistral-7b"}},
        "profiles/mistral-7b.yaml": {"data": {"train": {"learning_rate": 0.0002}}},
    }
    default = _entry("workspace", None, 0.001, 0.9)
    default["data"]["params"]["params.yaml"]["data"]["profile"] = "pocket"
    text = _printed([default, other])
    assert "mistral-7b" in text
    assert "learning_" not in text


def test_it_fits_a_hundred_columns_and_a_failed_run_does_not_break_it() -> None:
    failed = {"rev": "2" * 40, "name": "failed", "data": None, "experiments": None}
    text = _printed([*SHOWN, failed])
    assert max(map(len, text.splitlines())) <= 100
    assert "failed" in text
    assert "seed" not in text
