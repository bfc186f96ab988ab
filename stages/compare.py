"""Compare all systems on the same rows: what differs, how sure that is, what it cost; the report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from runtime.clock import write_log
from runtime.files import write_json, write_text
from runtime.hashing import sha256_of
from runtime.process import run_stage

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from measure.metrics_files import compare_metrics, headline_metrics, systems_table
from measure.results import Ceilings, Results, Trainings
from measure.system_metrics import SystemMetrics, measure_answering, measure_labelled, read_labelled
from pages.cards import card_markdown
from pages.console import console_of
from pages.figures import reliability_figure, template_figure
from pages.markdown import markdown_of
from pages.parts import Training
from pages.people import SUSPICIOUS, suspicious_csv
from pages.report import report_blocks, summary_blocks
from pages.robustness import wording_accuracies
from pages.ten import TenAnswers, ten_console, ten_json, ten_markdown
from prompts.templates import POOL, Template, read_templates
from rows.answers import TEN_PREDICTIONS
from rows.instructions import INSTRUCTIONS
from rows.predictions import PREDICTIONS
from rows.prepared import GENERAL_SOURCES, LABELLED, RATERS
from rows.replicates import read_replicates, recipe_of
from rows.tables import read_table
from settings.labels import Labels
from settings.read import Settings, read_settings
from stats.bootstrap import Values, metric_differences, resampled_metrics
from stats.noise import estimated_noise, most_suspicious, one_rater, panel_ceiling
from stats.seeds import compared_over_seeds
from stats.verdicts import compared, judge, primary_family
from systems import System, Systems, Trained, systems_of
from tasks.instructions import HUNDRED, TEN, CheckedInstruction, load_instructions
from tasks.instructions import results as checks_of

PREPARED = Path("data/prepared")
METRICS = Path("metrics")
REPORTS = Path("reports")

Rows = list[dict[str, Any]]


def main() -> None:
    # recipe_of reads base_model, precision and train: which replicates are of this very recipe. The
    # model cards show all settings.
    settings = read_settings(
        "profile",
        "task",
        "seed",
        "training_seed",
        "prompt_format",
        "compare",
        "sources",
        "origins",
        "labels",
        "base_model",
        "encoder",
        "encoder.base",
        "precision",
        "train",
    )
    confidence, margin = settings.compare.confidence, settings.compare.margin
    pool = read_templates(POOL, settings.labels.names)
    ten, hundred = load_instructions(TEN), load_instructions(HUNDRED)
    test = read_table(PREPARED / "labelled/test.parquet", LABELLED).to_pylist()
    expected = [row["label"] for row in test]

    # Each system by itself; a baseline that does not know these labels has no predictions.
    declared = systems_of(settings.task)
    rows_by_system = {system.name: read_labelled(system.name, test) for system in declared}
    scored = {
        name: [row["scored"] for row in rows]
        for name, rows in rows_by_system.items()
        if any(row["scored"] for row in rows)
    }
    systems = Systems(settings.task, tuple(system for system in declared if system.name in scored))
    resampled = resampled_metrics(expected, scored, settings.labels, settings.seed)
    metrics = {
        system.name: measured(
            system,
            declared.original,
            rows_by_system[system.name],
            test,
            resampled[system.name],
            pool,
            ten,
            hundred,
            settings,
        )
        for system in systems
    }

    # Every pair on the same rows; verdicts on the pairs that were chosen before the run.
    comparisons = compared(expected, scored, confidence)
    family = primary_family(systems)
    verdicts = judge(comparisons, family, confidence, margin)
    accounts = {system.name: account_of(system) for system in systems.trained}
    results = Results(
        systems, metrics, comparisons, verdicts, settings.labels, confidence, margin, accounts
    )
    differences = {
        (first, second): metric_differences(
            expected,
            scored[first],
            scored[second],
            resampled[first],
            resampled[second],
            confidence,
        )
        for first, second in combinations(scored, 2)
    }

    # The same verdicts over training seeds, where `make replicates` has trained under several.
    sections = (settings.base_model, settings.precision, settings.train)
    recipes = {system.name: recipe_of(system.rows, *sections) for system in systems.tuned}
    replicates = read_replicates(recipes, [row["row_id"] for row in test])
    seeds, right = over_trainings(scored, systems, settings.training_seed, replicates, expected)
    trainings = Trainings(
        seeds,
        {system.name: right[system.name].mean(1).tolist() for system in systems.tuned},
        judge(compared_over_seeds(right, confidence), family, confidence, margin),
    )

    # What people reach, and which labels may be wrong.
    probabilities = {
        system.name: of_labels
        for system in systems.tuned
        if (of_labels := metrics[system.name].labelled.probabilities) is not None
    }
    suspicious = most_suspicious(list(probabilities.values()), expected, settings.labels)
    ceilings = ceilings_of(test, probabilities, len(suspicious), settings.labels, confidence)

    answers = ten_answers(ten, systems)
    followed = {name: answering.hundred for name, answering in results.language_models.items()}
    bins = {name: each.labelled.bins for name, each in metrics.items() if each.labelled.bins}
    report = report_blocks(results, differences, trainings, ceilings)
    write_text(REPORTS / "results.md", markdown_of(report) + "\n")
    write_text(REPORTS / "figures/reliability.svg", reliability_figure(bins))
    write_text(REPORTS / "figures/wordings.svg", template_figure(wording_accuracies(results)))
    listed = suspicious_csv(suspicious, test, probabilities, settings.labels)
    write_text(REPORTS / SUSPICIOUS, listed)
    write_text(REPORTS / "ten-instructions.md", ten_markdown(answers, followed, len(hundred)))
    write_json(REPORTS / "ten-instructions.json", ten_json(answers))
    for trained in systems.trained:
        card = card_markdown(trained.name, settings, training_of(trained), results)
        write_text(REPORTS / f"cards/{trained.name}.md", card)
    write_json(METRICS / "compare.json", compare_metrics(results))
    write_json(METRICS / "systems.json", systems_table(results))
    write_json(METRICS / "headline.json", headline_metrics(results))
    summary = ten_console(answers) + "\n" + console_of(summary_blocks(results, ceilings))
    write_text(REPORTS / "summary.txt", summary)
    write_log("compare")
    print(summary)


def measured(
    system: System,
    original: System,
    rows: Rows,
    test: Rows,
    resampled: Mapping[str, Values],
    pool: Sequence[Template],
    ten: Sequence[CheckedInstruction],
    hundred: Sequence[CheckedInstruction],
    settings: Settings,
) -> SystemMetrics:
    """All metrics of one system, from its predictions `rows` of the test rows."""
    labels, confidence = settings.labels, settings.compare.confidence
    labelled = measure_labelled(rows, test, resampled, labels, confidence)
    if not system.answers:
        return SystemMetrics(labelled, None)
    answering = measure_answering(
        system.name, rows, pool, ten, hundred, original.name, labels, confidence
    )
    return SystemMetrics(labelled, answering)


def over_trainings(
    scored: Mapping[str, Sequence[str | None]],
    systems: Systems,
    own_seed: int,
    replicates: Mapping[str, Mapping[int, Sequence[str]]],
    expected: Sequence[str],
) -> tuple[list[int], dict[str, NDArray[np.bool_]]]:
    """The training seeds that all tuned systems have, and the correct rows (S, n) of each system.

    A system without replicates has the same predictions under every seed.
    """
    further = [set(replicates.get(system.name, {})) for system in systems.tuned]
    seeds = [own_seed, *sorted(set.intersection(*further) - {own_seed})]
    labels = np.array(expected)
    right = {}
    for name, own in scored.items():
        by_seed = replicates.get(name, {})
        trainings = [own, *(by_seed.get(seed, own) for seed in seeds[1:])]
        right[name] = np.array([np.array(guesses, object) == labels for guesses in trainings], bool)
    return seeds, right


def ceilings_of(
    test: Rows,
    probabilities: Mapping[str, NDArray[np.float64]],
    suspicious: int,
    labels: Labels,
    confidence: float,
) -> Ceilings:
    """What raters reach on the test rows, and what share of the labels may be wrong."""
    raters = read_table(PREPARED / "raters.parquet", RATERS)
    turned = raters.filter(pc.equal(raters["split"], "test"))["turned"].to_pylist()
    expected = [row["label"] for row in test]
    noise = json.loads((METRICS / "label_noise.json").read_text(encoding="utf-8"))
    return Ceilings(
        one_rater([row["agreement"] for row in test], confidence),
        panel_ceiling(turned),
        noise["upper_bound"],
        {
            name: estimated_noise(of_labels, expected, labels, confidence)
            for name, of_labels in probabilities.items()
        },
        suspicious,
    )


def account_of(system: Trained) -> dict[str, Any]:
    """What the training of a system wrote about itself."""
    path = METRICS / f"{system.train_stage}.json"
    account: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return account


def training_of(system: Trained) -> Training:
    """The rows that a system was trained on, by source."""
    general: Counter[int] = Counter()
    if system.kind == "encoder":
        labelled = len(read_table(system.rows, LABELLED))
    else:
        rows = read_table(system.rows, INSTRUCTIONS)
        sources = read_table(PREPARED / "general_sources.parquet", GENERAL_SOURCES).to_pydict()
        source_of = dict(zip(sources["row_id"], sources["source_number"], strict=True))
        ids = rows.filter(pc.equal(rows["task"], "general"))["row_id"].to_pylist()
        general.update(source_of[row_id] for row_id in ids)
        labelled = len(rows) - len(ids)
    return Training(labelled, general, str(system.rows), sha256_of(system.rows))


def ten_answers(ten: Sequence[CheckedInstruction], systems: Systems) -> list[TenAnswers]:
    """The instructions that are shown answer by answer, with every model's answer, checked."""
    answers_of = {
        system.name: read_table(PREDICTIONS / system.name / "ten.parquet", TEN_PREDICTIONS)[
            "generated"
        ].to_pylist()
        for system in systems.language_models
    }
    return [
        TenAnswers(
            entry.instruction,
            entry.input,
            {name: answers[place] for name, answers in answers_of.items()},
            {name: checks_of(entry, answers[place]) for name, answers in answers_of.items()},
        )
        for place, entry in enumerate(ten)
    ]


if __name__ == "__main__":
    run_stage(main)
