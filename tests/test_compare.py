"""compare on synthetic predictions: every metric recomputed, three labels, few rows, no difference."""

import csv
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

import compare
import systems
from prompts.templates import POOL, read_templates
from rows.answers import (
    EXAMPLES,
    GENERAL_PREDICTIONS,
    LABELLED_PREDICTIONS,
    LIKELIHOODS,
    SCORES,
    TEN_PREDICTIONS,
    TOKENS,
)
from rows.instructions import INSTRUCTIONS
from rows.predictions import label_rows
from rows.prepared import GENERAL_SOURCES, LABELLED, RATERS
from rows.replicates import REPLICATES
from rows.tables import table_of, write_table
from settings.labels import Labels
from stats.noise import estimated_noise
from tasks.families import FAMILIES
from tasks.instructions import HUNDRED, TEN, load_instructions

REPO = Path(__file__).resolve().parents[1]
TWO = ["negative", "positive"]
THREE = ["negative", "neutral", "positive"]
RIGHT = {  # share of rows that each system knows; it guesses the others
    "original_pretrained": 0.6,
    "original_few_shot": 0.65,
    "sentiment_fine_tuned": 0.9,
    "mixed_fine_tuned": 0.9,
    "original_probe": 0.8,
    "majority": 0.4,
    "tfidf_logistic": 0.75,
    "vader_lexicon": 0.7,
    "encoder_fine_tuned": 0.85,
}
MODELS = list(RIGHT)[:4]
FREE = ["original_few_shot", "original_probe", "majority", "tfidf_logistic"]

RunStage = Callable[..., subprocess.CompletedProcess[str]]


def write_synthetic_study(
    folder: Path,
    labels: list[str],
    n: int,
    right: dict[str, float],
    *,
    commonest_share: float | None = None,
    always_commonest: Collection[str] = (),
    models: Collection[str] = MODELS,
) -> None:
    """Write what compare reads: n test rows with these labels. `right`: like `RIGHT`.

    Labels have equal shares, or the last label has `commonest_share`. Systems in `always_commonest` predict
    the last label for every row. `models`: the systems that are language models.
    """
    profile_path = folder / "profiles/small.yaml"
    profile = yaml.safe_load(profile_path.read_text(encoding="utf-8"))
    profile["labels"] = {"names": labels, "positive": labels[-1]}
    profile["sources"]["labelled"]["label_values"] = dict(enumerate(labels))
    profile_path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    for path in (TEN, HUNDRED):
        shutil.copyfile(REPO / path, folder / path)
    draws = np.random.default_rng(n + len(labels))
    expected = [labels[at % len(labels)] for at in range(n)]
    if commonest_share is not None:
        expected = [labels[-1] if at < n * commonest_share else labels[0] for at in range(n)]
    ids = [f"test-{at:06d}" for at in range(n)]
    agreement = [None if at % 5 == 4 else (0.7, 0.9, 0.97, 1.0)[at % 4] for at in range(n)]
    prepared = folder / "data/prepared"
    test = [
        {"row_id": id, "text": f"Row, {id}", "label": label, "agreement": agreed}
        for id, label, agreed in zip(ids, expected, agreement, strict=True)
    ]
    write_table(prepared / "labelled/test.parquet", table_of(test, LABELLED))
    raters = [
        {"row_id": id, "split": split, "raters": 9, "named": 8, "agreeing": 7, "turned": turned}
        for id in ids
        for split, turned in (("train", 0.5), ("test", 0.125))
    ]
    write_table(prepared / "raters.parquet", table_of(raters, RATERS))
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "metrics/label_noise.json").write_text('{"upper_bound": 0.25, "n": 80}')
    losses = {"train_loss": 0.5, "validation_loss": 0.25}
    sizes = {"trainable_parameters": 1000, "total_parameters": 20000}
    for which in ("sentiment", "mixed", "third"):
        account = {"rows": 80, "steps": 10, "tokens": 4000, **losses, **sizes}
        (folder / f"metrics/train_{which}.json").write_text(json.dumps(account))
    encoder = {"rows": 80, "truncated_rows": 2, "steps": 20, **losses, **sizes}
    (folder / "metrics/train_encoder.json").write_text(json.dumps(encoder))
    write_table(prepared / "labelled/train.parquet", LABELLED.empty_table())
    write_table(folder / "data/replicates/predictions.parquet", REPLICATES.empty_table())
    for name in ("data/instructions/labelled", "data/mixed"):
        write_table(folder / name / "train.parquet", INSTRUCTIONS.empty_table())
    write_table(prepared / "general_sources.parquet", GENERAL_SOURCES.empty_table())
    pool = read_templates(REPO / "templates/sentiment.yaml", labels)
    content = {"templates": [template.model_dump() for template in pool]}
    (folder / POOL).write_text(json.dumps(content), encoding="utf-8")

    def scores(label: str, share: float) -> list[float]:
        """Log-likelihoods that favour the right label at least with probability `share`."""
        guess = label if draws.random() < share else str(draws.choice(labels))
        return [float(draws.uniform(-1, 0)) if name == guess else -2.0 for name in labels]

    def scored(log_likelihoods: list[float]) -> str:
        return labels[int(np.argmax(log_likelihoods))]

    for system, share in right.items():
        to = folder / "predictions" / system
        row_scores = [scores(label, share) for label in expected]
        if system in always_commonest:
            row_scores = [scores(labels[-1], 1.0) for _ in expected]
        if system not in models:
            rows = label_rows(ids, expected, [scored(values) for values in row_scores])
            write_table(to / "labelled.parquet", table_of(rows, LABELLED_PREDICTIONS))
            continue
        generated = [
            scored(values) if at % 7 else f"maybe {at % 3}" for at, values in enumerate(row_scores)
        ]
        rows = [
            {
                "row_id": id,
                "label": label,
                "template": pool[at % len(pool)].id,
                "prompt": f"Row, {id}?",
                "log_likelihoods": values,
                "scored": scored(values),
                "generated": answer,
                "parsed": answer if answer in labels else None,
            }
            for at, (id, label, values, answer) in enumerate(
                zip(ids, expected, row_scores, generated, strict=True)
            )
        ]
        write_table(to / "labelled.parquet", table_of(rows, LABELLED_PREDICTIONS))
        tokens = [
            {"row_id": id, "prompt_tokens": 40 + at % 3, "generated_tokens": 2, "end_counts": False}
            for at, id in enumerate(ids)
        ]
        write_table(to / "tokens.parquet", table_of(tokens, TOKENS))
        others = [
            {**row, "template": template.id, "log_likelihoods": values, "scored": scored(values)}
            for template in pool
            for row in rows[:20]
            if row["template"] != template.id
            for values in [scores(row["label"], share)]
        ]
        write_table(to / "wordings.parquet", table_of(others, SCORES))
        write_table(to / "validation.parquet", table_of(rows[:15], SCORES))
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
        write_table(to / "general.parquet", table_of(general, GENERAL_PREDICTIONS))
        likelihoods = [
            {"row_id": f"general-{at}", "log_likelihood": -float(draws.gamma(9)), "tokens": 5 + at}
            for at in range(0, 60, 3)
        ]
        write_table(to / "likelihoods.parquet", table_of(likelihoods, LIKELIHOODS))
        for name, path in (("ten", TEN), ("hundred", HUNDRED)):
            answers = [
                {
                    "instruction": entry.instruction,
                    "input": entry.input,
                    "generated": entry.gold if draws.random() < share else labels[0],
                }
                for entry in load_instructions(folder / path)
            ]
            write_table(to / f"{name}.parquet", table_of(answers, TEN_PREDICTIONS))


@pytest.fixture(scope="module")
def compared(
    make_study: Callable[[Path], None],
    run_stage: RunStage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """A function that writes predictions and compares them, once for each kind of study."""
    studies: dict[Any, Path] = {}

    def compare_once(labels: list[str], n: int, right: dict[str, float] = RIGHT) -> Path:
        key = (len(labels), n, *right.values())
        if key not in studies:
            studies[key] = tmp_path_factory.mktemp("compared") / "study"
            make_study(studies[key])
            write_synthetic_study(studies[key], labels, n, right)
            done = run_stage(studies[key], "compare")
            assert done.returncode == 0, done.stderr
        return studies[key]

    return compare_once


def _rows(folder: Path, system: str, name: str = "labelled") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        folder / f"predictions/{system}/{name}.parquet"
    ).to_pylist()
    return rows


def _metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics/compare.json").read_text("utf-8"))
    return content


def _report(folder: Path) -> str:
    return (folder / "reports/results.md").read_text(encoding="utf-8").replace("\\", "")


def _bullets(folder: Path, heading: str) -> list[str]:
    """The items of the first list under a heading."""
    section = _report(folder).split(f"## {heading}\n\n")[1].split("\n## ")[0]
    (first, *_) = [part for part in section.split("\n\n") if part.startswith("- ")]
    return [line.removeprefix("- ") for line in first.splitlines()]


def _table(folder: Path, column: str) -> dict[str, list[str]]:
    """The report's table with this column: {system: cells}."""
    (text,) = [
        part for part in _report(folder).split("\n\n") if part[0] == "|" and f"| {column} |" in part
    ]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {cells[0]: cells for cells in rows}


@pytest.fixture(params=[TWO, THREE], ids=["two", "three"])
def study(request: pytest.FixtureRequest, compared: Callable[..., Path]) -> Path:
    return compared(request.param, 400)


# --- every metric recomputed from predictions/ --------------------------------------------------


@pytest.mark.parametrize("system", RIGHT)
def test_the_table_agrees_with_scikit_learn_and_statsmodels(study: Path, system: str) -> None:
    rows, metrics = _rows(study, system), _metrics(study)["systems"][system]
    labels = yaml.safe_load((study / "profiles/small.yaml").read_text())["labels"]["names"]
    expected, scored = ([row[key] for row in rows] for key in ("label", "scored"))
    right = sum(a == b for a, b in zip(expected, scored, strict=True))
    assert metrics["accuracy"] == pytest.approx(accuracy_score(expected, scored))
    assert (metrics["accuracy_low"], metrics["accuracy_high"]) == pytest.approx(
        proportion_confint(right, len(rows), 0.05, "wilson")
    )
    how = (
        {"pos_label": labels[-1], "average": "binary"} if len(labels) == 2 else {"average": "macro"}
    )
    macro_f1 = f1_score(expected, scored, average="macro", zero_division=0)
    precision, recall, f1, _ = precision_recall_fscore_support(
        expected, scored, zero_division=0, **how
    )
    values = {"precision": precision, "recall": recall, "f1": f1, "macro_f1": macro_f1}
    for name, value in values.items():
        assert metrics[name] == pytest.approx(value)
        assert metrics[f"{name}_low"] <= value <= metrics[f"{name}_high"]


def _right(folder: Path) -> dict[str, Any]:
    """{system: (n,) whether each row is predicted correctly}."""
    return {
        system: np.array([row["scored"] == row["label"] for row in _rows(folder, system)])
        for system in RIGHT
    }


def _mcnemar(first: Any, second: Any) -> float:
    alone = [[0, (first & ~second).sum()], [(second & ~first).sum(), 0]]
    return float(mcnemar(alone, exact=True).pvalue)


def test_every_primary_verdict_agrees_with_statsmodels(study: Path) -> None:
    right, primary = _right(study), _metrics(study)["primary"]
    original, _, *tuned = MODELS
    pairs = [*((name, original) for name in tuned), (tuned[0], tuned[1])]
    expected = {
        f"{first} - {second}": _mcnemar(right[first], right[second]) for first, second in pairs
    }
    for name in tuned:  # better than all free systems together: intersection-union
        ahead = [right[name].mean() > right[free].mean() for free in FREE]
        p_values = [_mcnemar(right[name], right[free]) for free in FREE]
        expected[f"{name} - every free system"] = max(p_values) if all(ahead) else 1.0
    assert list(primary) == list(expected)
    significant, adjusted, *_ = multipletests(list(expected.values()), 0.05, "holm")
    listed = _bullets(study, "Which differences are real")
    assert len(listed) == len(primary) == 5
    for line, key, is_significant, p in zip(listed, primary, significant, adjusted, strict=True):
        first, second = key.split(" - ")
        verdict = primary[key]
        assert verdict["p"] == pytest.approx(p, rel=1e-9)
        assert (verdict["verdict"] in ("better", "worse")) == is_significant
        if second == "every free system":
            gaps = {free: right[first].mean() - right[free].mean() for free in FREE}
            nearest = min(gaps, key=gaps.__getitem__)
            assert verdict["difference"] == pytest.approx(gaps[nearest])
            assert f"points [{100 * verdict['low']:.1f}, " in line
            assert f"] against the best such system, {nearest}, exact McNemar p " in line
            words = f"{first} is better than every system without fine-tuning: "
            assert line.startswith(words) == is_significant
            assert ("is not shown to be ahead of every system" in line) == (not is_significant)
            continue
        assert verdict["difference"] == pytest.approx(right[first].mean() - right[second].mean())
        words = "better" if verdict["difference"] > 0 else "worse"
        assert line.startswith(f"{first} is {words} than {second} by ") == is_significant
        assert line.startswith(f"cannot tell {first} from {second}: ") == (not is_significant)


def test_all_other_pairs_are_exploratory_and_not_adjusted(study: Path) -> None:
    right, numbers, report = _right(study), _metrics(study), _report(study)
    assert len(numbers["pairs"]) == len(RIGHT) * (len(RIGHT) - 1) // 2
    for pair, metrics in numbers["pairs"].items():
        first, second = pair.split(" - ")
        assert metrics["difference"] == pytest.approx(right[first].mean() - right[second].mean())
    rows = _table(study, "p, unadjusted")
    primary = {frozenset(pair.split(" - ")) for pair in numbers["primary"]}
    assert rows.keys() == {
        pair for pair in numbers["pairs"] if frozenset(pair.split(" - ")) not in primary
    }
    for pair, cells in rows.items():
        first, second = pair.split(" - ")
        p = _mcnemar(right[first], right[second])
        assert cells[2] == (f"{p:.2g}" if p >= 1e-30 else "&#60; 1e-30")
        assert cells[1].startswith(f"{100 * numbers['pairs'][pair]['difference']:+.1f} [")
    before, folded = report.split("### Exploratory: unadjusted\n\n<details>\n<summary>")
    assert "| p, unadjusted |" in folded.split("</details>")[0]
    assert "| p, unadjusted |" not in before
    # A reference made from these rows is shown but is never a rival.
    assert "vader_lexicon: made from these same rows" in before
    assert not any("vader" in line for line in _bullets(study, "Which differences are real"))


@pytest.mark.parametrize("system", MODELS)
def test_the_metrics_on_general_instructions_agree(study: Path, system: str) -> None:
    metrics = _metrics(study)["systems"][system]
    general = _rows(study, system, "general")
    bare = [row["generated"].strip(" .").lower() == "negative" for row in general]
    assert metrics["bare_label"] == pytest.approx(np.mean(bare))
    assert (metrics["bare_label_low"], metrics["bare_label_high"]) == pytest.approx(
        proportion_confint(sum(bare), len(bare), 0.05, "wilson")
    )
    own, original = (_rows(study, name, "likelihoods") for name in (system, MODELS[0]))
    tokens = sum(row["tokens"] for row in own)
    nats, before = (
        -sum(row["log_likelihood"] for row in rows) / tokens for rows in (own, original)
    )
    assert metrics["forgotten"] == pytest.approx(nats - before)
    assert f"{nats:.2f}" in _table(study, "nats a token")[system]
    gold = [entry.gold for entry in load_instructions(study / HUNDRED)]
    generated = [row["generated"] for row in _rows(study, system, "hundred")]
    assert metrics["hundred"] == np.mean([a == b for a, b in zip(generated, gold, strict=True)])
    for held_out, name in ((False, "exact seen"), (True, "exact held out")):
        families = {family.name for family in FAMILIES if family.held_out == held_out}
        exact = [row["exact"] for row in general if row["family"] in families]
        share = f"{np.mean(exact):.3f}".replace("0.", ".", 1)
        assert any(cell.startswith(f"{share} [") for cell in _table(study, name)[system])


@pytest.mark.parametrize("system", MODELS)
def test_both_readings_and_the_moved_threshold_agree(study: Path, system: str) -> None:
    rows, metrics = _rows(study, system), _metrics(study)["systems"][system]
    expected = [row["label"] for row in rows]
    assert metrics["free"] == pytest.approx(
        accuracy_score(expected, [row["parsed"] or "" for row in rows])
    )
    labels = yaml.safe_load((study / "profiles/small.yaml").read_text())["labels"]["names"]
    cells = _table(study, "moved threshold")[system]
    shift = np.array([0.0, *(float(by) for by in cells[-1].split(", "))])
    moved = [labels[int(np.argmax(row["log_likelihoods"] + shift))] for row in rows]
    assert metrics["shifted"] == pytest.approx(accuracy_score(expected, moved), abs=0.02)  # rounded
    validation = _rows(study, system, "validation")
    validation_labels = [row["label"] for row in validation]
    unmoved = [row["scored"] for row in validation]
    moved = [labels[int(np.argmax(row["log_likelihoods"] + shift))] for row in validation]
    assert accuracy_score(validation_labels, moved) >= accuracy_score(validation_labels, unmoved)
    invalid = Counter(row["generated"] for row in rows if row["parsed"] is None)
    for answer, count in invalid.items():
        assert f"'{answer}' ({count})" in _report(study)


@pytest.mark.parametrize("system", MODELS)
def test_the_wordings_agree(study: Path, system: str) -> None:
    others = _rows(study, system, "wordings")
    chosen = {row["row_id"] for row in others}
    asked = [*others, *(row for row in _rows(study, system) if row["row_id"] in chosen)]
    pool = read_templates(REPO / "templates/sentiment.yaml", TWO)
    metrics = _metrics(study)["systems"][system]
    for held_out, key in ((False, "seen"), (True, "held_out")):
        accuracy = [
            np.mean(
                [row["scored"] == row["label"] for row in asked if row["template"] == template.id]
            )
            for template in pool
            if template.held_out == held_out
        ]
        assert metrics[f"wordings_{key}"] == pytest.approx(np.mean(accuracy))
        assert metrics[f"wordings_{key}_spread"] == pytest.approx(max(accuracy) - min(accuracy))


def test_ceilings_and_suspicious_rows_agree(study: Path) -> None:
    report = _report(study)
    test = pq.read_table(study / "data/prepared/labelled/test.parquet").to_pylist()
    known = [row["agreement"] for row in test if row["agreement"] is not None]
    assert f"{np.mean(known):.3f}".replace("0.", ".") + " [" in report
    assert "Another panel of the same size would give these labels to .875" in report
    assert "At most .250 of the training labels are wrong" in report
    with (study / "reports/suspicious-rows.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 50
    beliefs = [float(row["p_label"]) for row in listed]
    assert beliefs == sorted(beliefs)
    by_id = {row["row_id"]: row for row in test}
    assert all(by_id[row["row_id"]]["text"] == row["text"] for row in listed)


@pytest.mark.parametrize("system", MODELS)
def test_calibration_bands_and_noise_agree(study: Path, system: str) -> None:
    rows = _rows(study, system)
    right = np.array([row["scored"] == row["label"] for row in rows])
    logs = np.array([row["log_likelihoods"] for row in rows])
    confidence = (np.exp(logs) / np.exp(logs).sum(1, keepdims=True)).max(1)
    bins = np.digitize(confidence, np.arange(16) / 15, right=True)
    error = sum(abs((right - confidence)[bins == number].sum()) for number in range(1, 16))
    cell = _table(study, "expected calibration error")[system][1]
    assert cell == f"{error / len(rows):.3f}".replace("0.", ".", 1)

    test = pq.read_table(study / "data/prepared/labelled/test.parquet").to_pylist()
    agreement = np.array([row["agreement"] or np.nan for row in test])
    bands = (agreement < 0.8, (agreement >= 0.8) & (agreement <= 0.95), agreement > 0.95)
    header = f"agreement below .8 (n = {bands[0].sum()})"
    for cell, band in zip(_table(study, header)[system][1:], bands, strict=True):
        low, high = proportion_confint(right[band].sum(), band.sum(), 0.05, "wilson")
        recomputed = f"{right[band].mean():.3f} [{low:.3f}, {high:.3f}]"
        assert cell == recomputed.replace(" 0.", " .").replace("[0.", "[.").removeprefix("0")

    if system in MODELS[2:]:
        labels = yaml.safe_load((study / "profiles/small.yaml").read_text())["labels"]
        noise = estimated_noise(
            np.exp(logs), [row["label"] for row in rows], Labels(**labels), 0.95
        )
        assert noise is not None
        numbers = (noise.value, noise.low, noise.high)
        value, *ends = (f"{number:.3f}".replace("0.", ".", 1) for number in numbers)
        assert f"{value} [{', '.join(ends)}] by {system}" in _report(study)


def test_the_ten_are_shown_with_every_check(study: Path) -> None:
    ten = json.loads((study / "reports/ten-instructions.json").read_text(encoding="utf-8"))
    followed = []
    for system in MODELS:
        passed = [
            all(check["passed"] for check in entry["systems"][system]["checks"])
            for entry in ten["instructions"]
        ]
        assert _metrics(study)["systems"][system]["ten"] == sum(passed)
        followed.append(f"{sum(passed)} of 10")
    page = (study / "reports/ten-instructions.md").read_text(encoding="utf-8")
    assert f"| followed | {' | '.join(followed)} |" in page


def test_other_numbers_of_checked_instructions_are_counted_and_named(
    compared: Callable[..., Path], call_stage: RunStage, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(compared(TWO, 400), tmp_path / "study"))
    for name, path, count in (("ten", TEN, 3), ("hundred", HUNDRED, 40)):
        rows = yaml.safe_load((folder / path).read_text(encoding="utf-8"))[:count]
        (folder / path).write_text(yaml.safe_dump(rows), encoding="utf-8")
        for system in MODELS:
            answers = folder / f"predictions/{system}/{name}.parquet"
            pq.write_table(pq.read_table(answers).slice(0, count), answers)
    done = call_stage(folder, "compare")
    assert done.returncode == 0, done.stderr
    page = (folder / "reports/ten-instructions.md").read_text(encoding="utf-8")
    assert page.startswith("# 3 instructions ")
    assert "Further instructions, checked in the same way: 40;" in page
    for system in MODELS:
        numbers = _metrics(folder)["systems"][system]
        assert f"{numbers['ten']} of 3" in _table(folder, "ten followed")[system]
        if system in MODELS[2:]:
            count = round(40 * numbers["hundred"])
            assert (
                f"follows {count} of 40 further instructions " in _report(folder).split("\n\n")[1]
            )


def test_the_answer_names_gain_and_cost_first(study: Path) -> None:
    answer, numbers = _report(study).split("\n\n")[1], _metrics(study)
    assert answer.startswith(
        "Fine-tuning helped sentiment_fine_tuned. sentiment_fine_tuned is right on "
    )
    for system in MODELS[2:]:
        metrics = numbers["systems"][system]
        assert f"{100 * metrics['accuracy']:.1f}% of 400 test rows" in answer
        bare = (
            f"{system} answers {100 * metrics['bare_label']:.1f}% of the general instructions with"
        )
        assert f"{bare} nothing but a label" in answer
    assert "tfidf_logistic " in answer
    assert "one human rater agrees with" in answer


def test_the_headline_has_a_dozen_numbers_at_most(study: Path) -> None:
    headline = json.loads((study / "metrics/headline.json").read_text(encoding="utf-8"))
    numbers = _metrics(study)["systems"]
    assert len(headline) == 12
    assert headline["original_acc"] == pytest.approx(numbers[MODELS[0]]["accuracy"], abs=1e-4)
    for short, name in zip(("sentiment", "mixed"), MODELS[2:], strict=True):
        keys = ("accuracy", "macro_f1", "invalid", "bare_label", "forgotten")
        for key, metric in zip(("acc", "macro", "invalid", "bare", "forgot"), keys, strict=True):
            assert headline[f"{short}_{key}"] == pytest.approx(numbers[name][metric], abs=1e-4)


def test_the_table_that_dvc_draws_has_a_row_a_system(study: Path) -> None:
    rows = json.loads((study / "metrics/systems.json").read_text(encoding="utf-8"))["systems"]
    assert [row["system"] for row in rows] == [
        system.name for system in systems.declared("sentiment")
    ]
    for row in rows:
        numbers = _metrics(study)["systems"][row["system"]]
        assert {key: row[key] for key in numbers} == numbers
        assert row["n"] == len(_rows(study, row["system"]))


# --- other systems --------------------------------------------------------------------------------


def _compare_here(
    study: Path, monkeypatch: pytest.MonkeyPatch, declared: list[systems.System]
) -> tuple[str, dict[str, Any]]:
    """Compare in this process with these systems; return the report and `metrics/compare.json`."""
    monkeypatch.setattr(systems, "declared", lambda task: tuple(declared))
    monkeypatch.chdir(study)
    compare.main()
    return _report(study), _metrics(study)


def _tuned(short: str) -> systems.Trained:
    return systems.Trained(
        name=f"{short}_fine_tuned",
        short=short,
        title=f"the model tuned on {short}",
        kind="tuned",
        rows=Path("data/mixed/train.parquet"),
        folder=Path(f"models/{short}_fine_tuned"),
    )


def _declared(*further: systems.System, without: Collection[str] = ()) -> list[systems.System]:
    default = [system for system in systems.declared("sentiment") if system.name not in without]
    return [*default, *further]


@pytest.fixture
def synthetic_study(make_study: Callable[[Path], None], tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a study with arguments of `write_synthetic_study`, not yet compared."""

    def write(*arguments: Any, **options: Any) -> Path:
        make_study(tmp_path / "study")
        write_synthetic_study(tmp_path / "study", *arguments, **options)
        return tmp_path / "study"

    return write


def test_a_third_tuned_model_is_in_every_table_and_primary_comparison(
    synthetic_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {**RIGHT, "third_fine_tuned": 0.8}
    folder = synthetic_study(TWO, 200, right, models=[*MODELS, "third_fine_tuned"])
    report, numbers = _compare_here(folder, monkeypatch, _declared(_tuned("third")))
    tuned = [*MODELS[2:], "third_fine_tuned"]
    assert list(numbers["primary"]) == [
        *(f"{name} - {MODELS[0]}" for name in tuned),
        *(f"{tuned[a]} - {tuned[b]}" for a, b in ((0, 1), (0, 2), (1, 2))),
        *(f"{name} - every free system" for name in tuned),
    ]
    assert "(Holm, 9 tests)" in report
    for column in ("tokens a row", "macro-F1", "ten followed", "moved threshold"):
        tables = [
            part for part in report.split("\n\n") if part[0] == "|" and f"| {column} |" in part
        ]
        assert "| third_fine_tuned |" in tables[0]
    answer = report.split("\n\n")[1]
    for name in tuned:
        assert re.search(rf"{name}[a-z ]*\. {name} is right on ", answer)
        assert f"{name} answers " in answer
    assert (folder / "reports/cards/third_fine_tuned.md").is_file()
    summary = (folder / "reports/summary.txt").read_text(encoding="utf-8")
    assert "models/third_fine_tuned/" in summary
    headline = json.loads((folder / "metrics/headline.json").read_text(encoding="utf-8"))
    assert headline["third_acc"] == pytest.approx(
        numbers["systems"]["third_fine_tuned"]["accuracy"], abs=1e-4
    )


def test_a_single_tuned_model_is_compared_with_no_other(
    synthetic_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = synthetic_study(TWO, 100, RIGHT)
    declared = _declared(without=["sentiment_fine_tuned"])
    report, numbers = _compare_here(folder, monkeypatch, declared)
    assert list(numbers["primary"]) == [
        f"mixed_fine_tuned - {MODELS[0]}",
        "mixed_fine_tuned - every free system",
    ]
    assert "Between the tuned models" not in report
    assert "sentiment_fine_tuned" not in report


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (None, "as good as"),  # the predictions of the best tuned model
        (0.95, "not clearly different from"),
        (0.999, "better than"),
        (0.4, "not as good as"),
    ],
)
def test_the_report_states_whether_the_encoder_is_as_good(
    synthetic_study: Callable[..., Path], call_stage: RunStage, share: float | None, words: str
) -> None:
    name = "encoder_fine_tuned"
    folder = synthetic_study(TWO, 400, {**RIGHT, "mixed_fine_tuned": 0.8, name: share or 0.5})
    if share is None:
        rows = [
            {**row, "template": None, "prompt": None, "generated": None, "parsed": None}
            for row in _rows(folder, "sentiment_fine_tuned")
        ]
        path = folder / f"predictions/{name}/labelled.parquet"
        write_table(path, table_of(rows, LABELLED_PREDICTIONS))
    done = call_stage(folder, "compare")
    assert done.returncode == 0, done.stderr
    sentence = (
        "encoder_fine_tuned, a small pretrained encoder with a classification head, is "
        f"{words} the best tuned language model. encoder_fine_tuned is right on "
    )
    report, numbers = _report(folder), _metrics(folder)
    assert sentence in report.split("\n\n")[1]
    assert "answers no other instruction, and a new label needs a new training" in report
    assert not [pair for pair in numbers["primary"] if "encoder" in pair]
    headline = json.loads((folder / "metrics/headline.json").read_text(encoding="utf-8"))
    accuracy = numbers["systems"][name]["accuracy"]
    assert headline["encoder_acc"] == pytest.approx(accuracy, abs=1e-4)


def test_the_report_and_a_card_state_the_size_of_every_training(study: Path) -> None:
    table = _table(study, "trained parameters")
    assert table["encoder_fine_tuned"][1:] == ["80", "20", "20,000", "1,000"]
    assert table.keys() == {*MODELS[2:], "encoder_fine_tuned"}
    card = (study / "reports/cards/encoder_fine_tuned.md").read_text(encoding="utf-8")
    assert "| 2 |" in card  # truncated rows
    assert 'pipeline("text-classification", model="models/encoder_fine_tuned")' in card


def test_a_model_that_always_answers_the_commonest_label_was_not_helped(
    synthetic_study: Callable[..., Path], call_stage: RunStage
) -> None:
    folder = synthetic_study(
        TWO,
        400,
        {**RIGHT, "original_pretrained": 0.0},
        commonest_share=0.8,
        always_commonest=["sentiment_fine_tuned", "majority"],
    )
    done = call_stage(folder, "compare")
    assert done.returncode == 0, done.stderr
    answer = _report(folder).split("\n\n")[1]
    assert _metrics(folder)["primary"][f"{MODELS[2]} - {MODELS[0]}"]["verdict"] == "better"
    assert "helped sentiment_fine_tuned" not in answer
    assert answer.startswith(
        "The accuracy of sentiment_fine_tuned rose with fine-tuning, but sentiment_fine_tuned is not "
        "shown to be better than always answering the commonest label. sentiment_fine_tuned is right on "
        "80.0% of 400 test rows (macro-F1 .444), original_pretrained on "
    )
    assert " Always answering the commonest label is right on 80.0% (macro-F1 .444)." in answer
    assert "Fine-tuning helped mixed_fine_tuned. " in answer


def test_systems_without_predictions_of_these_labels_are_left_out(
    synthetic_study: Callable[..., Path], call_stage: RunStage
) -> None:
    folder = synthetic_study(TWO, 60, RIGHT)
    path = folder / "predictions/vader_lexicon/labelled.parquet"
    table = pq.read_table(path)
    blank = pa.nulls(len(table), pa.string())
    write_table(path, table.set_column(table.column_names.index("scored"), "scored", blank))
    done = call_stage(folder, "compare")
    assert done.returncode == 0, done.stderr
    assert "vader" not in _report(folder)
    assert "vader_lexicon" not in _metrics(folder)["systems"]


def test_training_rows_are_counted_by_the_source_that_prepare_wrote(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(Path(shutil.copytree(study, tmp_path / "study")))
    (system,) = (tuned for tuned in systems.systems_of("sentiment").tuned if tuned.short == "mixed")
    general = {"a": 0, "b": 2, "c": 2, "in no training row": 1}
    sources = [{"row_id": row_id, "source_number": source} for row_id, source in general.items()]
    write_table(Path("data/prepared/general_sources.parquet"), table_of(sources, GENERAL_SOURCES))
    blank = dict.fromkeys(INSTRUCTIONS.names)
    rows = [
        {**blank, "row_id": row_id, "task": "labelled" if row_id == "row" else "general"}
        for row_id in ("a", "row", "b", "c")
    ]
    write_table(system.rows, table_of(rows, INSTRUCTIONS))
    training = compare.training_of(system)
    assert training.labelled == 1
    assert training.general == {0: 1, 2: 2}


# --- few rows, no difference --------------------------------------------------------------------


def test_fifty_rows_cannot_tell_the_tuned_models_apart(compared: Callable[..., Path]) -> None:
    report = _report(compared(TWO, 50))
    assert "cannot tell sentiment_fine_tuned from mixed_fine_tuned" in report
    assert "with 50 rows, only differences of at least" in report


def test_identical_predictions_divide_by_nothing(compared: Callable[..., Path]) -> None:
    folder = compared(TWO, 60, dict.fromkeys(RIGHT, 1.0))
    numbers = _metrics(folder)
    assert all(pair["difference"] == 0 for pair in numbers["pairs"].values())
    report = _report(folder)
    assert "is better than" not in report
    assert "nan" not in report.lower()
    assert "inf" not in report.lower().replace("information", "")


def test_predictions_of_other_rows_are_refused(
    compared: Callable[..., Path], call_stage: RunStage, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(compared(TWO, 50), tmp_path / "study"))
    path = folder / "predictions/majority/labelled.parquet"
    write_table(path, pq.read_table(path).slice(1))
    done = call_stage(folder, "compare")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {path.relative_to(folder)}: its rows differ from the test split"
    )


# --- how labels were scored -----------------------------------------------------------------------


def test_the_report_names_how_labels_were_scored_ties_and_examples(
    synthetic_study: Callable[..., Path], call_stage: RunStage
) -> None:
    folder = synthetic_study(THREE, 60, RIGHT)
    few_shot = folder / "predictions/original_few_shot"
    tokens = pq.read_table(few_shot / "tokens.parquet").to_pylist()
    rows = [{**row, "end_counts": at % 2 == 0} for at, row in enumerate(tokens)]
    write_table(few_shot / "tokens.parquet", table_of(rows, TOKENS))
    examples = [
        {"task": "labelled", "label": label, "prompt": "Row?", "completion": label}
        for label in ("negative", "positive", "negative")
    ]
    write_table(few_shot / "examples.parquet", table_of(examples, EXAMPLES))
    path = folder / "predictions/mixed_fine_tuned/labelled.parquet"
    tied = [
        {**row, "log_likelihoods": [-1.0, -1.0, -2.0], "scored": "negative"} if at < 3 else row
        for at, row in enumerate(_rows(folder, "mixed_fine_tuned"))
    ]
    write_table(path, table_of(tied, LABELLED_PREDICTIONS))
    done = call_stage(folder, "compare")
    assert done.returncode == 0, done.stderr
    report = _report(folder)
    assert "end of the answer counts in the score of every label (50.0% of the rows)" in report
    assert "mixed_fine_tuned 3" in report.partition("equally likely: ")[2].partition(". ")[0]
    assert "Such a row counts as the label that is first in labels.names" in report
    assert (
        "original_few_shot has 3 labelled examples, of 2 of the 3 labels: negative, positive"
        in report
    )


def test_without_labels_that_begin_one_another_the_end_does_not_count(study: Path) -> None:
    assert "A label's score does not include the end of the answer" in _report(study)


def test_the_commonest_confusions_are_listed_for_three_labels_and_more(
    compared: Callable[..., Path],
) -> None:
    assert "Which labels are confused" not in _report(compared(TWO, 400))
    report = _report(compared(THREE, 400))
    (line,) = re.findall(r"^- mixed_fine_tuned: (.* taken for .*)$", report, re.MULTILINE)
    rows = _rows(compared(THREE, 400), "mixed_fine_tuned")
    wrong = Counter((row["label"], row["scored"]) for row in rows if row["label"] != row["scored"])
    (label, prediction), count = max(wrong.items(), key=lambda item: item[1])
    assert f"{label} taken for {prediction} ({count})" in line
