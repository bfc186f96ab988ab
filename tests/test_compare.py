"""compare on made predictions: every figure again by other means, three labels, few rows, no difference."""

import csv
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from prompts.templates import read_templates
from rows import tables
from rows.predictions import label_rows
from rows.tables import table_of, write_table
from settings.labels import Labels
from stats.noise import estimated_noise
from tasks.families import FAMILIES
from tasks.instructions import HUNDRED, TEN, load_instructions

REPO = Path(__file__).resolve().parents[1]
TWO = ["negative", "positive"]
THREE = ["negative", "neutral", "positive"]
RIGHT = {  # how often each system is right
    "original_pretrained": 0.6,
    "original_few_shot": 0.65,
    "sentiment_fine_tuned": 0.9,
    "mixed_fine_tuned": 0.9,
    "original_probe": 0.8,
    "majority": 0.4,
    "tfidf_logistic": 0.75,
    "vader_lexicon": 0.7,
}
MODELS = list(RIGHT)[:4]

RunStage = Callable[..., subprocess.CompletedProcess[str]]


def write_made_study(folder: Path, labels: list[str], n: int, right: dict[str, float]) -> None:
    """What compare reads: n test rows of these labels, every system right on that share of them."""
    profile_path = folder / "profiles/small.yaml"
    profile = yaml.safe_load(profile_path.read_text(encoding="utf-8"))
    profile["labels"] = {"names": labels, "positive": labels[-1]}
    profile["sources"]["labelled"]["label_values"] = dict(enumerate(labels))
    profile_path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    for path in (TEN, HUNDRED):
        shutil.copyfile(REPO / path, folder / path)
    draws = np.random.default_rng(n + len(labels))
    expected = [labels[at % len(labels)] for at in range(n)]
    ids = [f"test-{at:06d}" for at in range(n)]
    agreement = [None if at % 5 == 4 else (0.7, 0.9, 0.97, 1.0)[at % 4] for at in range(n)]
    prepared = folder / "data/prepared"
    test = [
        {"row_id": id, "text": f"Row, {id}", "label": label, "agreement": agreed}
        for id, label, agreed in zip(ids, expected, agreement, strict=True)
    ]
    write_table(prepared / "labelled/test.parquet", table_of(test, tables.LABELLED))
    raters = [
        {"row_id": id, "split": split, "raters": 9, "named": 8, "agreeing": 7, "turned": turned}
        for id in ids
        for split, turned in (("train", 0.5), ("test", 0.125))
    ]
    write_table(prepared / "raters.parquet", table_of(raters, tables.RATERS))
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "metrics/label_noise.json").write_text('{"upper_bound": 0.25, "n": 80}')
    losses = {"train_loss": 0.5, "validation_loss": 0.25}
    sizes = {"trainable_parameters": 1000, "total_parameters": 20000}
    for which in ("labelled", "mixed"):
        account = {"rows": 80, "steps": 10, "tokens": 4000, **losses, **sizes}
        (folder / f"metrics/train_{which}.json").write_text(json.dumps(account))
    write_table(folder / "data/replicates/predictions.parquet", tables.REPLICATES.empty_table())
    for name in ("data/instructions/labelled", "data/mixed"):
        write_table(folder / name / "train.parquet", tables.INSTRUCTIONS.empty_table())
    pool = read_templates(REPO / "templates/sentiment.yaml", labels)

    def scores(label: str, share: float) -> list[float]:
        """Log-likelihoods that are right that often, by a margin that is now small, now large."""
        guess = label if draws.random() < share else str(draws.choice(labels))
        return [float(draws.uniform(-1, 0)) if each == guess else -2.0 for each in labels]

    def scored(found: list[float]) -> str:
        return labels[int(np.argmax(found))]

    for system, share in right.items():
        to = folder / "predictions" / system
        found = [scores(label, share) for label in expected]
        if system not in MODELS:
            rows = label_rows(ids, expected, [scored(each) for each in found])
            write_table(to / "labelled.parquet", table_of(rows, tables.LABELLED_PREDICTIONS))
            continue
        said = [scored(each) if at % 7 else f"maybe {at % 3}" for at, each in enumerate(found)]
        rows = [
            {
                "row_id": id,
                "label": label,
                "template": pool[at % len(pool)].id,
                "prompt": f"Row, {id}?",
                "log_likelihoods": each,
                "scored": scored(each),
                "generated": given,
                "parsed": given if given in labels else None,
            }
            for at, (id, label, each, given) in enumerate(
                zip(ids, expected, found, said, strict=True)
            )
        ]
        write_table(to / "labelled.parquet", table_of(rows, tables.LABELLED_PREDICTIONS))
        tokens = [
            {"row_id": id, "prompt_tokens": 40 + at % 3, "generated_tokens": 2}
            for at, id in enumerate(ids)
        ]
        write_table(to / "tokens.parquet", table_of(tokens, tables.TOKENS))
        others = [
            {**row, "template": template.id, "log_likelihoods": each, "scored": scored(each)}
            for template in pool
            for row in rows[:20]
            if row["template"] != template.id
            for each in [scores(row["label"], share)]
        ]
        write_table(to / "wordings.parquet", table_of(others, tables.SCORES))
        write_table(to / "validation.parquet", table_of(rows[:15], tables.SCORES))
        general = [
            {
                "row_id": f"general-{at}",
                "family": None if at % 3 == 0 else FAMILIES[at % len(FAMILIES)].name,
                "prompt": "Do it.",
                "expected": "done",
                "generated": labels[0].title() + "." if at % 5 == 0 else "done",
                "exact": None if at % 3 == 0 else bool(draws.random() < share),
            }
            for at in range(60)
        ]
        write_table(to / "general.parquet", table_of(general, tables.GENERAL_PREDICTIONS))
        likelihoods = [
            {"row_id": f"general-{at}", "log_likelihood": -float(draws.gamma(9)), "tokens": 5 + at}
            for at in range(0, 60, 3)
        ]
        write_table(to / "likelihoods.parquet", table_of(likelihoods, tables.LIKELIHOODS))
        for name, path in (("ten", TEN), ("hundred", HUNDRED)):
            answers = [
                {
                    "instruction": entry.instruction,
                    "input": entry.input,
                    "generated": entry.gold if draws.random() < share else labels[0],
                }
                for entry in load_instructions(folder / path)
            ]
            write_table(to / f"{name}.parquet", table_of(answers, tables.TEN_PREDICTIONS))


@pytest.fixture(scope="module")
def compared(
    make_study: Callable[[Path], None],
    run_stage: RunStage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """Make predictions and compare them, once for each kind of study."""
    made: dict[Any, Path] = {}

    def compare(labels: list[str], n: int, right: dict[str, float] = RIGHT) -> Path:
        key = (len(labels), n, *right.values())
        if key not in made:
            made[key] = tmp_path_factory.mktemp("compared") / "study"
            make_study(made[key])
            write_made_study(made[key], labels, n, right)
            done = run_stage(made[key], "compare")
            assert done.returncode == 0, done.stderr
        return made[key]

    return compare


def _rows(folder: Path, system: str, name: str = "labelled") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        folder / f"predictions/{system}/{name}.parquet"
    ).to_pylist()
    return rows


def _figures(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics/compare.json").read_text("utf-8"))
    return content


def _report(folder: Path) -> str:
    return (folder / "reports/results.md").read_text(encoding="utf-8").replace("\\", "")


def _table(folder: Path, column: str) -> dict[str, list[str]]:
    """The report's table that has such a column: {system: cells}."""
    (text,) = [
        part for part in _report(folder).split("\n\n") if part[0] == "|" and f"| {column} |" in part
    ]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {cells[0]: cells for cells in rows}


@pytest.fixture(params=[TWO, THREE], ids=["two", "three"])
def study(request: pytest.FixtureRequest, compared: Callable[..., Path]) -> Path:
    return compared(request.param, 400)


# --- every figure again, from predictions/ ------------------------------------------------------


@pytest.mark.parametrize("system", RIGHT)
def test_the_table_again_by_scikit_learn_and_statsmodels(study: Path, system: str) -> None:
    rows, found = _rows(study, system), _figures(study)["systems"][system]
    labels = yaml.safe_load((study / "profiles/small.yaml").read_text())["labels"]["names"]
    expected, scored = ([row[key] for row in rows] for key in ("label", "scored"))
    right = sum(a == b for a, b in zip(expected, scored, strict=True))
    assert found["accuracy"] == pytest.approx(accuracy_score(expected, scored))
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(
        proportion_confint(right, len(rows), 0.05, "wilson")
    )
    how = (
        {"pos_label": labels[-1], "average": "binary"} if len(labels) == 2 else {"average": "macro"}
    )
    precision, recall, f1, _ = precision_recall_fscore_support(
        expected, scored, zero_division=0, **how
    )
    for name, value in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert found[name] == pytest.approx(value)
        assert found[f"{name}_low"] <= value <= found[f"{name}_high"]


def test_every_verdict_again_by_statsmodels(study: Path) -> None:
    found, report = _figures(study)["pairs"], _report(study)
    right = {
        system: np.array([row["scored"] == row["label"] for row in _rows(study, system)])
        for system in RIGHT
    }
    alone = {}
    for pair in found:
        first, second = pair.split(" - ")
        alone[pair] = ((right[first] & ~right[second]).sum(), (right[second] & ~right[first]).sum())
        assert found[pair]["difference"] == pytest.approx(
            right[first].mean() - right[second].mean()
        )
    p_values = [mcnemar([[0, b], [c, 0]], exact=True).pvalue for b, c in alone.values()]
    significant = multipletests(p_values, 0.05, "holm")[0]
    assert len(found) == 28
    for pair, is_found in zip(found, significant, strict=True):
        first, second = pair.split(" - ")
        words = "better" if found[pair]["difference"] > 0 else "worse"
        assert (f"{first} is {words} than {second}" in report) == is_found
        assert (f"cannot tell {first} from {second}" in report) == (not is_found)


@pytest.mark.parametrize("system", MODELS)
def test_the_general_figures_again(study: Path, system: str) -> None:
    found = _figures(study)["systems"][system]
    general = _rows(study, system, "general")
    bare = [row["generated"].strip(" .").lower() == "negative" for row in general]
    assert found["bare_label"] == pytest.approx(np.mean(bare))
    assert (found["bare_label_low"], found["bare_label_high"]) == pytest.approx(
        proportion_confint(sum(bare), len(bare), 0.05, "wilson")
    )
    own, original = (_rows(study, each, "likelihoods") for each in (system, MODELS[0]))
    tokens = sum(row["tokens"] for row in own)
    nats, before = (
        -sum(row["log_likelihood"] for row in rows) / tokens for rows in (own, original)
    )
    assert found["forgotten"] == pytest.approx(nats - before)
    assert f"{nats:.2f}" in _table(study, "nats a token")[system]
    gold = [entry.gold for entry in load_instructions(study / HUNDRED)]
    said = [row["generated"] for row in _rows(study, system, "hundred")]
    assert found["hundred"] == np.mean([a == b for a, b in zip(said, gold, strict=True)])
    for held_out, name in ((False, "exact seen"), (True, "exact held out")):
        families = {family.name for family in FAMILIES if family.held_out == held_out}
        exact = [row["exact"] for row in general if row["family"] in families]
        share = f"{np.mean(exact):.3f}".replace("0.", ".", 1)
        assert any(cell.startswith(f"{share} [") for cell in _table(study, name)[system])


@pytest.mark.parametrize("system", MODELS)
def test_both_readings_and_the_moved_threshold_again(study: Path, system: str) -> None:
    rows, found = _rows(study, system), _figures(study)["systems"][system]
    expected = [row["label"] for row in rows]
    assert found["free"] == pytest.approx(
        accuracy_score(expected, [row["parsed"] or "" for row in rows])
    )
    labels = yaml.safe_load((study / "profiles/small.yaml").read_text())["labels"]["names"]
    cells = _table(study, "moved threshold")[system]
    shift = np.array([0.0, *(float(by) for by in cells[-1].split(", "))])
    moved = [labels[int(np.argmax(row["log_likelihoods"] + shift))] for row in rows]
    assert found["shifted"] == pytest.approx(accuracy_score(expected, moved), abs=0.02)  # rounded
    chosen_on = _rows(study, system, "validation")
    of_chosen = [labels[int(np.argmax(row["log_likelihoods"] + shift))] for row in chosen_on]
    still = [row["scored"] for row in chosen_on]
    given = [row["label"] for row in chosen_on]
    assert accuracy_score(given, of_chosen) >= accuracy_score(given, still)
    invalid = Counter(row["generated"] for row in rows if row["parsed"] is None)
    for said, count in invalid.items():
        assert f"'{said}' ({count})" in _report(study)


@pytest.mark.parametrize("system", MODELS)
def test_the_wordings_again(study: Path, system: str) -> None:
    others = _rows(study, system, "wordings")
    chosen = {row["row_id"] for row in others}
    asked = [*others, *(row for row in _rows(study, system) if row["row_id"] in chosen)]
    pool = read_templates(REPO / "templates/sentiment.yaml", TWO)
    found = _figures(study)["systems"][system]
    for held_out, key in ((False, "seen"), (True, "held_out")):
        accuracy = [
            np.mean([row["scored"] == row["label"] for row in asked if row["template"] == each.id])
            for each in pool
            if each.held_out == held_out
        ]
        assert found[f"wordings_{key}"] == pytest.approx(np.mean(accuracy))
        assert found[f"wordings_{key}_spread"] == pytest.approx(max(accuracy) - min(accuracy))


def test_ceilings_and_suspicious_rows_again(study: Path) -> None:
    report = _report(study)
    test = pq.read_table(study / "data/prepared/labelled/test.parquet").to_pylist()
    known = [row["agreement"] for row in test if row["agreement"] is not None]
    assert f"{np.mean(known):.3f}".replace("0.", ".") + " [" in report
    assert "Another panel of as many raters would give them to .875" in report
    assert "at most .250 are wrong" in report
    with (study / "reports/suspicious-rows.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 50
    beliefs = [float(row["p_label"]) for row in listed]
    assert beliefs == sorted(beliefs)
    by_id = {row["row_id"]: row for row in test}
    assert all(by_id[row["row_id"]]["text"] == row["text"] for row in listed)


@pytest.mark.parametrize("system", MODELS)
def test_calibration_bands_and_noise_again(study: Path, system: str) -> None:
    rows = _rows(study, system)
    right = np.array([row["scored"] == row["label"] for row in rows])
    logs = np.array([row["log_likelihoods"] for row in rows])
    confidence = (np.exp(logs) / np.exp(logs).sum(1, keepdims=True)).max(1)
    places = np.digitize(confidence, np.arange(16) / 15, right=True)
    error = sum(abs((right - confidence)[places == place].sum()) for place in range(1, 16))
    told = _table(study, "expected calibration error")[system][1]
    assert told == f"{error / len(rows):.3f}".replace("0.", ".", 1)

    test = pq.read_table(study / "data/prepared/labelled/test.parquet").to_pylist()
    agreement = np.array([row["agreement"] or np.nan for row in test])
    bands = (agreement < 0.8, (agreement >= 0.8) & (agreement <= 0.95), agreement > 0.95)
    header = f"agreement below .8 (n = {bands[0].sum()})"
    for cell, band in zip(_table(study, header)[system][1:], bands, strict=True):
        low, high = proportion_confint(right[band].sum(), band.sum(), 0.05, "wilson")
        again = f"{right[band].mean():.3f} [{low:.3f}, {high:.3f}]"
        assert cell == again.replace(" 0.", " .").replace("[0.", "[.").removeprefix("0")

    if system in MODELS[2:]:
        labels = yaml.safe_load((study / "profiles/small.yaml").read_text())["labels"]
        found = estimated_noise(
            np.exp(logs), [row["label"] for row in rows], Labels(**labels), 0.95
        )
        assert found is not None
        values = (found.value, found.low, found.high)
        value, *ends = (f"{each:.3f}".replace("0.", ".", 1) for each in values)
        assert f"{value} [{', '.join(ends)}] by {system}" in _report(study)


def test_the_ten_are_told_with_every_check(study: Path) -> None:
    ten = json.loads((study / "reports/ten-instructions.json").read_text(encoding="utf-8"))
    followed = []
    for system in MODELS:
        passed = [
            all(check["passed"] for check in entry["systems"][system]["checks"])
            for entry in ten["instructions"]
        ]
        assert _figures(study)["systems"][system]["ten"] == sum(passed)
        followed.append(f"{sum(passed)} of 10")
    page = (study / "reports/ten-instructions.md").read_text(encoding="utf-8")
    assert f"| followed | {' | '.join(followed)} |" in page


def test_other_numbers_of_checked_instructions_are_counted_and_named(
    compared: Callable[..., Path], run_stage: RunStage, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(compared(TWO, 400), tmp_path / "study"))
    for name, path, count in (("ten", TEN, 3), ("hundred", HUNDRED, 40)):
        rows = yaml.safe_load((folder / path).read_text(encoding="utf-8"))[:count]
        (folder / path).write_text(yaml.safe_dump(rows), encoding="utf-8")
        for system in MODELS:
            answers = folder / f"predictions/{system}/{name}.parquet"
            pq.write_table(pq.read_table(answers).slice(0, count), answers)
    done = run_stage(folder, "compare")
    assert done.returncode == 0, done.stderr
    page = (folder / "reports/ten-instructions.md").read_text(encoding="utf-8")
    assert page.startswith("# 3 instructions ")
    assert "Further instructions, checked in the same way: 40;" in page
    for system in MODELS:
        figures = _figures(folder)["systems"][system]
        assert f"{figures['ten']} of 3" in _table(folder, "ten followed")[system]
        if system in MODELS[2:]:
            count = round(40 * figures["hundred"])
            assert f"follows {count} of 40 further ones" in _report(folder).split("\n\n")[1]


def test_the_answer_names_gain_and_cost_first(study: Path) -> None:
    answer, figures = _report(study).split("\n\n")[1], _figures(study)
    assert answer.startswith("Fine-tuning helped sentiment_fine_tuned: it is right on ")
    for system in MODELS[2:]:
        found = figures["systems"][system]
        assert f"{100 * found['accuracy']:.1f}% of 400 test rows" in answer
        bare = f"{system} answers {100 * found['bare_label']:.1f}% of the general instructions with"
        assert f"{bare} nothing but a label" in answer
    assert "tfidf_logistic " in answer
    assert "one human rater agrees with" in answer


# --- few rows, no difference --------------------------------------------------------------------


def test_fifty_rows_cannot_tell_the_tuned_models_apart(compared: Callable[..., Path]) -> None:
    report = _report(compared(TWO, 50))
    assert "cannot tell sentiment_fine_tuned from mixed_fine_tuned" in report
    assert "with 50 rows a difference under" in report


def test_identical_predictions_divide_by_nothing(compared: Callable[..., Path]) -> None:
    folder = compared(TWO, 60, dict.fromkeys(RIGHT, 1.0))
    figures = _figures(folder)
    assert all(pair["difference"] == 0 for pair in figures["pairs"].values())
    report = _report(folder)
    assert "is better than" not in report
    assert "nan" not in report.lower()
    assert "inf" not in report.lower().replace("information", "")


def test_predictions_of_other_rows_are_refused(
    compared: Callable[..., Path], run_stage: RunStage, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(compared(TWO, 50), tmp_path / "study"))
    path = folder / "predictions/majority/labelled.parquet"
    write_table(path, pq.read_table(path).slice(1))
    done = run_stage(folder, "compare")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {path.relative_to(folder)}: other rows than the test split"
    )
