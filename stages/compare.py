"""Compare all systems on the same rows: what differs, how sure that is, what it cost; the report."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from runtime.clock import write_log
from runtime.files import write_json, write_text
from runtime.process import run_stage

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from measure.system_metrics import Figures, measure_answering, measure_labelled, read_labelled
from pages.cards import Training, card_markdown
from pages.figures import reliability_figure, template_figure
from pages.report import (
    FEW_SHOT,
    ORIGINAL,
    TUNED,
    Ceilings,
    Trainings,
    headline,
    results_markdown,
    summary_text,
    suspicious_csv,
    wording_accuracies,
)
from pages.ten import TenAnswers, ten_json, ten_markdown
from prompts.templates import read_templates
from rows.answers import TEN_PREDICTIONS
from rows.instructions import INSTRUCTIONS
from rows.predictions import PREDICTIONS
from rows.prepared import LABELLED, RATERS
from rows.replicates import TRAINING_ROWS, read_replicates, recipe_of
from rows.tables import read_table
from settings.read import read_settings
from stats.noise import estimated_noise, most_suspicious, one_rater, panel_ceiling
from stats.paired import bootstrap_differences
from stats.seeds import judge_over_seeds
from stats.verdicts import judge
from tasks.instructions import HUNDRED, TEN, CheckedInstruction, load_instructions, results

MODELS = (ORIGINAL, FEW_SHOT, *TUNED)
RIVALS = ("original_probe", "majority", "tfidf_logistic", "vader_lexicon")
PREPARED = Path("data/prepared")
REPORTS = Path("reports")


def main() -> None:
    # The last three tell which replicates are of this very recipe; the model cards tell them all.
    settings = read_settings(
        "profile",
        "seed",
        "training_seed",
        "prompt_format",
        "compare",
        "instructify",
        "sources",
        "labels",
        "base_model",
        "precision",
        "train",
    )
    labels, confidence, seed = settings.labels, settings.compare.confidence, settings.seed
    pool = read_templates(Path(settings.instructify.templates), labels.names)
    ten, hundred = load_instructions(TEN), load_instructions(HUNDRED)
    test = read_table(PREPARED / "labelled/test.parquet", LABELLED).to_pylist()
    expected = [row["label"] for row in test]

    # Each system by itself.
    systems: dict[str, Figures] = {}
    for system in (*MODELS, *RIVALS):
        rows = read_labelled(system, test)
        if not any(row["scored"] for row in rows):
            continue  # a baseline that does not know these labels
        labelled = measure_labelled(rows, test, labels, confidence, seed)
        answering = None
        if system in MODELS:
            answering = measure_answering(
                system, rows, pool, ten, hundred, ORIGINAL, labels, confidence
            )
        systems[system] = Figures(labelled, answering)

    # Every pair, on the same rows.
    scored = {system: figures.labelled.scored for system, figures in systems.items()}
    verdicts = judge(expected, scored, confidence, settings.compare.margin)
    differences = {
        (first, second): bootstrap_differences(
            expected, scored[first], scored[second], labels, confidence, seed
        )
        for first, second in combinations(scored, 2)
    }

    # The same over training seeds, where `make replicates` has trained under several.
    recipe = recipe_of(settings.base_model, settings.precision, settings.train)
    row_ids = [row["row_id"] for row in test]
    seeds, by_seed = over_trainings(
        scored, settings.training_seed, read_replicates(recipe, row_ids), expected
    )
    trainings = Trainings(
        seeds,
        {system: by_seed[system].mean(1).tolist() for system in TUNED},
        judge_over_seeds(by_seed, TUNED, confidence, settings.compare.margin),
    )

    # What people reach, and which labels may be wrong.
    raters = read_table(PREPARED / "raters.parquet", RATERS)
    raters = raters.filter(pc.equal(raters["split"], "test"))
    believed = {
        system: found
        for system in TUNED
        if (found := systems[system].labelled.probabilities) is not None
    }
    ceilings = Ceilings(
        one_rater(([row["agreement"] for row in test]), confidence),
        panel_ceiling(raters["turned"].to_pylist()),
        json.loads(Path("metrics/label_noise.json").read_text(encoding="utf-8"))["upper_bound"],
        {
            system: estimated_noise(each, expected, labels, confidence)
            for system, each in believed.items()
        },
    )
    suspicious = most_suspicious(list(believed.values()), expected, labels)

    answers = ten_answers(ten)
    report = results_markdown(
        systems, verdicts, differences, trainings, ceilings, labels, confidence
    )
    write_text(REPORTS / "results.md", report)
    bins = {system: each.labelled.bins for system, each in systems.items() if each.labelled.bins}
    write_text(REPORTS / "figures/reliability.svg", reliability_figure(bins))
    write_text(REPORTS / "figures/wordings.svg", template_figure(wording_accuracies(systems)))
    write_text(REPORTS / "suspicious-rows.csv", suspicious_csv(suspicious, test, believed, labels))
    hundred_followed = {
        system: each.answering.hundred for system, each in systems.items() if each.answering
    }
    write_text(
        REPORTS / "ten-instructions.md", ten_markdown(answers, hundred_followed, len(hundred))
    )
    write_json(REPORTS / "ten-instructions.json", ten_json(answers))
    for system in TUNED:
        card = card_markdown(system, settings, training_of(system), systems, verdicts)
        write_text(REPORTS / f"cards/{system}.md", card)
    write_json(Path("metrics/compare.json"), headline(systems, verdicts))
    summary = summary_text(systems, verdicts, ceilings, answers)
    write_text(REPORTS / "summary.txt", summary)
    write_log("compare")
    print(summary)


def over_trainings(
    scored: Mapping[str, Sequence[str | None]],
    own_seed: int,
    replicates: Mapping[str, Mapping[int, Sequence[str]]],
    expected: Sequence[str],
) -> tuple[list[int], dict[str, NDArray[np.bool_]]]:
    """The training seeds of both tuned systems, and which rows each system got right (S, n)."""
    further = [set(replicates.get(system, {})) for system in TUNED]
    seeds = [own_seed, *sorted(set.intersection(*further) - {own_seed})]
    labels = np.array(expected)
    right = {}
    for system, own in scored.items():
        found = replicates.get(system, {})
        each = [own, *(found.get(seed, own) for seed in seeds[1:])]
        right[system] = np.array([np.array(guesses, object) == labels for guesses in each], bool)
    return seeds, right


def training_of(system: str) -> Training:
    """What a tuned system was trained on: its rows by source, and the account of its training."""
    path = TRAINING_ROWS[TUNED.index(system)]
    rows = read_table(path, INSTRUCTIONS)
    general = rows.filter(pc.equal(rows["task"], "general"))["row_id"].to_pylist()
    numbers = (row_id.split("-")[0].removeprefix("general") for row_id in general)
    account = Path(f"metrics/train_{system.removesuffix('_fine_tuned')}.json")
    return Training(
        labelled=len(rows) - len(general),
        general=Counter(map(int, numbers)),
        file=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        account=json.loads(account.read_text(encoding="utf-8")),
    )


def ten_answers(ten: list[CheckedInstruction]) -> list[TenAnswers]:
    """The instructions that are shown answer by answer, with every model's answer, checked."""
    said = {
        system: read_table(PREDICTIONS / system / "ten.parquet", TEN_PREDICTIONS)["generated"]
        for system in MODELS
    }
    return [
        TenAnswers(
            entry.instruction,
            entry.input,
            {system: said[system][at].as_py() for system in MODELS},
            {system: results(entry, said[system][at].as_py()) for system in MODELS},
        )
        for at, entry in enumerate(ten)
    ]


if __name__ == "__main__":
    run_stage(main)
