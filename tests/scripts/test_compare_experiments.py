"""The table of experiments: the settings that differ and the headline figures, in 100 columns."""

import io
from typing import Any

import pytest
from compare_experiments import MODELS, RIVALS, notes_of, runs_in, tables_of
from rich.console import Console

ACCURACY = {"original_pretrained": 0.646, "original_few_shot": 0.695, "sentiment_fine_tuned": 0.944}
FORGOTTEN = {"sentiment_fine_tuned": 10.172817, "mixed_fine_tuned": -0.001}


def _entry(
    rev: str, name: str | None = None, accuracy: float = 0.9, **settings: Any
) -> dict[str, Any]:
    """What DVC shows of a revision with a learning rate, in which the mixed model is so accurate."""
    rate = settings.pop("rate", 0.001)
    accuracies = dict.fromkeys(RIVALS.values(), 0.7) | ACCURACY | {"mixed_fine_tuned": accuracy}
    metrics = {
        f"metrics/evaluate/{system}.json": {"data": {"accuracy": value}}
        for system, value in accuracies.items()
    }
    systems = {system: {"accuracy": 0.5, "forgotten": value} for system, value in FORGOTTEN.items()}
    answers = {f"predictions/{system}": {"hash": f"of {system}"} for system in accuracies}
    return {
        "rev": rev,
        "name": name,
        "data": {
            "params": {
                "params.yaml": {"data": {"seed": 42, **settings}},
                "profiles/pocket.yaml": {"data": {"train": {"learning_rate": rate}}},
            },
            "metrics": {**metrics, "metrics/compare.json": {"data": {"systems": systems}}},
            "deps": answers,
            "outs": dict(answers),
        },
        "experiments": None,
    }


def _below(*experiments: dict[str, Any], state: str | None = None) -> list[dict[str, Any]]:
    """The workspace and its commit, and the experiments, in that state, below the commit."""
    executor = state and {"state": state, "name": "dvc-task"}
    shown = [{"revs": [each], "executor": executor} for each in experiments]
    return [_entry("workspace"), {**_entry("0" * 40, "main"), "experiments": shown}]


SHOWN = _below(_entry("1" * 40, "windy-oak", 0.875, rate=0.0005))


def _printed(shown: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, highlight=False)
    runs = list(runs_in(shown))
    for table in tables_of(runs):
        console.print(table)
    for note in notes_of(runs):
        console.print(note)
    return out.getvalue()


def _line(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return line.split()


def test_each_run_has_a_line_with_its_figures() -> None:
    text = _printed(SHOWN)
    figures = ["0.646", "0.695", "0.944", "0.875", "10.17", "0.00"]
    assert _line(text, "windy-oak") == ["windy-oak", "0.0005", *figures]
    assert _line(text, "workspace")[-3] == _line(text, "main")[-3] == "0.900"
    assert "what a failed one" not in text
    assert "No experiment" not in text


def test_only_settings_that_differ_are_shown() -> None:
    text = _printed(SHOWN)
    assert "learning_" in text
    assert "seed" not in text
    assert "learning_" not in _printed(SHOWN[:1])


def test_a_setting_inside_a_list_and_one_that_is_null_are_shown() -> None:
    other = _entry("1" * 40, "windy-oak", share=0.2, parts=[{"take": 1}, {"take": 3}])
    default = _entry("workspace", share=None, parts=[{"take": 1}, {"take": 2}])
    text = _printed([default, other])
    assert _line(text, "workspace")[1:3] == ["null", "2"]
    assert _line(text, "windy-oak")[1:3] == ["0.2", "3"]
    assert "parts[1]." in text


def test_what_needs_no_tuning_is_told_once_or_where_it_differs_by_run() -> None:
    text = _printed(SHOWN)
    told = "original_probe 0.700, majority 0.700, tfidf_logistic 0.700, vader_lexicon 0.700"
    assert f"in all runs: {told}\n" in text
    other = _entry("1" * 40, "windy-oak")
    other["data"]["metrics"]["metrics/evaluate/majority.json"] = {"data": {"accuracy": 0.61}}
    text = _printed(_below(other))
    assert len(_line(text, "windy-oak")) == 1 + len(MODELS | RIVALS) + 2
    assert "0.610" in _line(text, "windy-oak")
    assert "in all runs" not in text


@pytest.mark.parametrize("state", ["failed", "queued", "running"])
def test_a_run_that_has_not_succeeded_shows_its_state_and_no_figures(state: str) -> None:
    # DVC gives such a run the metrics of its commit.
    text = _printed(_below(_entry("1" * 40, "windy-oak", rate=0.0005), state=state))
    assert _line(text, "windy-oak") == ["windy-oak", state, "0.0005", *["-"] * 6]
    assert _line(text, "main")[1] == "success"
    assert ("dvc queue logs windy-oak" in text) == (state == "failed")
    assert ("dvc queue start" in text) == (state == "queued")


def test_a_run_without_the_last_stage_shows_no_forgetting_of_another() -> None:
    other = _entry("1" * 40, "training-seed-43", 0.875)
    other["data"]["outs"]["predictions/mixed_fine_tuned"] = {"hash": "of other answers"}
    assert _line(_printed(_below(other)), "training-seed-43")[-3:] == ["0.875", "10.17", "-"]
    other["data"]["outs"]["predictions/original_pretrained"] = {"hash": "of other answers"}
    assert _line(_printed(_below(other)), "training-seed-43")[-3:] == ["0.875", "-", "-"]


def test_a_run_of_another_profile_shows_the_profile_alone() -> None:
    other = _entry("3" * 40, "large", profile="mistral-7b")
    profile = other["data"]["params"].pop("profiles/pocket.yaml")
    other["data"]["params"]["profiles/mistral-7b.yaml"] = profile
    text = _printed([_entry("workspace", profile="pocket"), other])
    assert "mistral-7b" in text
    assert "learning_" not in text


def test_without_an_experiment_it_says_how_to_make_one() -> None:
    assert "dvc exp run -S mix.general_rows=300" in _printed(_below())


def test_it_fits_a_hundred_columns_whatever_differs() -> None:
    names = ("mix", "seed", "prompt_format", "general_share", "margin")
    settings: dict[str, Any] = dict.fromkeys(names, 0.125)
    other = _entry("1" * 40, "unhandsome-firs", rate=0.0005, **settings)
    other["data"]["metrics"]["metrics/evaluate/majority.json"] = {"data": {"accuracy": 0.61}}
    empty = {"rev": "2" * 40, "name": "empty", "data": None, "experiments": None}
    others: dict[str, Any] = dict.fromkeys(names, 12)
    default = _entry("workspace", **others)
    text = _printed([default, *_below(other, state="success"), *_below(empty, state="failed")])
    assert max(map(len, text.splitlines())) <= 100
    # In two tables: so wide that no figure and no setting is cut or folded.
    rows = [line.split() for line in text.splitlines() if line.startswith("unhandsome-firs")]
    assert rows[0] == ["unhandsome-firs", "success", *["0.125"] * 5, "0.0005"]
    figures = ["0.646", "0.695", "0.944", "0.900", "0.700", "0.610", "0.700", "0.700"]
    assert rows[1] == ["unhandsome-firs", "success", *figures, "10.17", "0.00"]
