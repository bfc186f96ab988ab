"""The comparison as a person reads it: first the answer, then every table that it rests on."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.system_metrics import Answering, Figures
from pages.figures import TemplateAccuracy
from pages.tables import (
    NOTHING,
    Table,
    bullets,
    console_text,
    figure,
    points,
    text_cell,
    with_interval,
)
from pages.ten import TenAnswers, ten_console
from settings.labels import Labels
from stats.estimate import Estimate
from stats.paired import Differences
from stats.seeds import OverSeeds
from stats.verdicts import Verdict

ORIGINAL, FEW_SHOT = "original_pretrained", "original_few_shot"
TUNED = ("sentiment_fine_tuned", "mixed_fine_tuned")
METRICS = ("accuracy", "f1", "precision", "recall")

Systems = Mapping[str, Figures]


@dataclass(frozen=True)
class Trainings:
    """Both tuned models under several training seeds: accuracies by seed, and verdicts over them."""

    seeds: Sequence[int]
    accuracy: Mapping[str, Sequence[float]]
    verdicts: Sequence[OverSeeds]


@dataclass(frozen=True)
class Ceilings:
    """What people reach on these rows, and what share of the labels may be wrong."""

    one_rater: Estimate | None
    panel: float | None
    noise_bound: float
    noise: Mapping[str, Estimate | None]


# --- the answer ---------------------------------------------------------------------------------


def answer_text(systems: Systems, verdicts: Sequence[Verdict], ceilings: Ceilings) -> str:
    """Did it help, by how much, at what cost, how near to people, and what is to be had for free?"""
    said = [gain_sentence(name, systems, verdict_of(verdicts, name, ORIGINAL)) for name in TUNED]
    said.append(f"Of the two tuned models: {verdict_of(verdicts, *TUNED).sentence}.")
    said.append("The cost: " + "; ".join(cost_clause(name, systems) for name in TUNED) + ".")
    accuracy = {name: each.labelled.accuracy.value for name, each in systems.items()}
    best = max(TUNED, key=accuracy.__getitem__)
    if ceilings.one_rater is not None:
        said.append(
            f"People: one human rater agrees with {points(ceilings.one_rater.value)}% of these labels, "
            f"{best} with {points(accuracy[best])}%."
        )
    free = [
        f"{name} {points(accuracy[name])}%" for name in systems if name not in (ORIGINAL, *TUNED)
    ]
    original = systems[ORIGINAL].answering
    if original is not None:
        free.append(f"the original with a moved threshold {points(original.shifted.value)}%")
    said.append("Without fine-tuning: " + ", ".join(free) + ".")
    return " ".join(said)


def gain_sentence(name: str, systems: Systems, verdict: Verdict) -> str:
    words = {
        "better": f"Fine-tuning helped {name}",
        "worse": f"Fine-tuning hurt {name}",
        "no difference larger": f"Fine-tuning changed nothing that matters for {name}",
        "cannot tell": f"Whether fine-tuning helped {name} cannot be told",
    }
    now, before = (systems[each].labelled.accuracy.value for each in (name, ORIGINAL))
    return (
        f"{words[verdict.kind]}: it is right on {points(now)}% of {verdict.n:,} test rows, {ORIGINAL} on "
        f"{points(before)}%, a difference of {points(verdict.difference)} points "
        f"[{points(verdict.low)}, {points(verdict.high)}]."
    )


def cost_clause(name: str, systems: Systems) -> str:
    """Bare labels first: a model that has collapsed to its labels must never look improved."""
    tuned, original = (_answering(systems[each]) for each in (name, ORIGINAL))
    told = (
        f"{name} answers {points(tuned.bare_label.value)}% of the general instructions with nothing but "
        f"a label (the original {points(original.bare_label.value)}%), follows "
        f"{round(tuned.n_hundred * tuned.hundred.value)} of {tuned.n_hundred} further ones "
        f"({round(original.n_hundred * original.hundred.value)})"
    )
    if tuned.forgotten is not None:
        change = tuned.forgotten.value
        more = "less" if change > 0 else "more"
        told += f" and finds the general rows' own answers {more} likely by {abs(change):.2f} nats a token"
    return told


# --- the report ---------------------------------------------------------------------------------


def results_markdown(
    systems: Systems,
    verdicts: Sequence[Verdict],
    differences: Mapping[tuple[str, str], Differences],
    trainings: Trainings,
    ceilings: Ceilings,
    labels: Labels,
    confidence: float,
) -> str:
    """The whole report."""
    averaged = f"of the label {labels.positive}" if len(labels.names) == 2 else "macro averages"
    models = {name: each for name, each in systems.items() if each.answering is not None}
    people = agreement_table(systems)
    parts = [
        "# Results",
        text_cell(answer_text(systems, verdicts, ceilings)),
        results_table(systems).markdown(),
        f"Accuracy is that of the most likely label, F1, precision and recall are {averaged}, each with "
        f"its {confidence:.0%} interval over test rows: Wilson's for accuracy, bootstrap for the others. "
        "Invalid are free answers that name no label, read strictly. Bare label are answers to general "
        "instructions that are nothing but a label. The intervals and verdicts are about these trained "
        "models, not about the recipe: another training seed gives others (see below).",
        "## Which differences are real",
        "Every pair on the same rows: exact McNemar test, p values after Holm's correction for all "
        "pairs. *Cannot tell* means just that: neither that two systems are equal nor that one failed.",
        bullets([text_cell(f"{each.sentence}.") for each in verdicts]),
        "The other figures' differences, by paired bootstrap:",
        differences_table(differences).markdown(),
        "## Over training seeds",
        *_over_seeds(trainings, systems),
        "## What it cost",
        "A checked instruction is followed if the answer passes all checks. "
        "Exact are right answers to checkable tasks, of families that are in training and held out of "
        "it. Nats a token: the negative log-likelihood of the answers that the free-form general test "
        "rows have, and its difference to the original's; more is forgotten.",
        cost_table(models).markdown(),
        "## Two readings of an answer, and a moved threshold",
        "The most likely label is fair to a model that never learnt to answer with a label alone; the "
        "free answer, read strictly, is what a user gets. The moved threshold adds one constant a label "
        "to the scores, chosen on the validation rows: what an untuned model gains by it was never a "
        "matter of reading the text.",
        readings_table(models, labels).markdown(),
        "The commonest free answers that name no label:",
        bullets(list(_invalid(models))),
        "## How near to people",
        _people(ceilings),
        *([people.markdown()] if people is not None else []),
        "## The wording",
        "Accuracy on the same test rows asked in every wording, those in training and those held out of "
        "it apart. Intervals take the rows as drawn and the wordings as given.",
        wordings_table(models).markdown(),
        "![Accuracy by wording](figures/wordings.svg)",
        "## Are the probabilities true",
        "Expected calibration error: how far the probability of the most likely label is from how often "
        "that label is right, over 15 bins of equal width.",
        calibration_table(systems).markdown(),
        "![Reliability](figures/reliability.svg)",
    ]
    return "\n\n".join(parts) + "\n"


def summary_text(
    systems: Systems,
    verdicts: Sequence[Verdict],
    ceilings: Ceilings,
    ten: Sequence[TenAnswers],
) -> str:
    """What the study ends with on a console: tables, verdicts of the models, the ten, the answer."""
    models = {name: each for name, each in systems.items() if each.answering is not None}
    between = [each for each in verdicts if {each.first, each.second} <= models.keys()]
    files = (
        "reports/results.md  reports/ten-instructions.md  the whole report, with figures\n"
        "reports/suspicious-rows.csv  rows whose labels the tuned models believe least\n"
        "predictions/SYSTEM/  every answer        metrics/  every figure\n"
        "models/sentiment_fine_tuned/  models/mixed_fine_tuned/  the adapters; reports/cards/  their cards"
    )
    return "\n".join(
        [
            ten_console(ten),
            results_table(systems).console(),
            cost_table(models).console(),
            console_text(*(f"{each.sentence}." for each in between)),
            console_text(answer_text(systems, verdicts, ceilings)),
            console_text(files),
        ]
    )


# --- its tables ---------------------------------------------------------------------------------


def results_table(systems: Systems) -> Table:
    """A row a system: the most likely label, and what its free answers are worth and cost."""
    return Table(
        (
            *("system", "accuracy", "F1", "precision", "recall", "n"),
            *("invalid", "bare label", "tokens a row"),
        ),
        [
            [
                name,
                *(with_interval(getattr(each.labelled, metric)) for metric in METRICS),
                str(each.labelled.n),
                *_of_answers(each.answering),
            ]
            for name, each in systems.items()
        ],
    )


def _of_answers(answering: Answering | None) -> list[str]:
    if answering is None:
        return [NOTHING] * 3
    return [
        figure(answering.invalid.value),
        with_interval(answering.bare_label),
        f"{answering.tokens_per_row:.0f}",
    ]


def differences_table(differences: Mapping[tuple[str, str], Differences]) -> Table:
    """First minus second, in points, of the figures besides accuracy."""
    metrics = (*METRICS[1:], "macro_f1")
    rows = [
        [f"{first} - {second}", *(_in_points(found[metric]) for metric in metrics)]
        for (first, second), found in differences.items()
    ]
    return Table(("first - second", "F1", "precision", "recall", "macro-F1"), rows)


def cost_table(models: Systems) -> Table:
    """What the general instructions tell of each model."""
    rows = [
        [
            name,
            with_interval(each.bare_label),
            with_interval(each.hundred),
            f"{each.ten} of {each.n_ten}",
            with_interval(each.exact_seen),
            with_interval(each.exact_held_out),
            NOTHING if each.nats is None else f"{each.nats:.2f}",
            _change(each.forgotten),
        ]
        for name, each in _all_answering(models)
    ]
    columns = ("hundred followed", "ten followed", "exact seen", "exact held out", "nats a token")
    return Table(("model", "bare label", *columns, "more nats than the original"), rows)


def readings_table(models: Systems, labels: Labels) -> Table:
    """The most likely label, the free answer, and the moved threshold."""
    rows = [
        [
            name,
            with_interval(models[name].labelled.accuracy),
            with_interval(each.free),
            with_interval(each.invalid),
            with_interval(each.shifted),
            ", ".join(f"{by:+.2f}" for by in each.shift[1:]),
        ]
        for name, each in _all_answering(models)
    ]
    moved = f"nats added to {', '.join(labels.names[1:])}"
    columns = ("most likely label", "free answer", "invalid", "moved threshold", moved)
    return Table(("model", *columns), rows)


def agreement_table(systems: Systems) -> Table | None:
    """Accuracy by band of human agreement; None where no row of the source has ratings."""
    some = next(iter(systems.values())).labelled.by_agreement
    if not any(n for _, n in some.values()):
        return None
    columns = ("system", *(f"agreement {band} (n = {n})" for band, (_, n) in some.items()))
    rows = [
        [name, *(with_interval(found) for found, _ in each.labelled.by_agreement.values())]
        for name, each in systems.items()
    ]
    return Table(columns, rows)


def wordings_table(models: Systems) -> Table:
    """Mean, worst, best and spread over wordings, in training and held out."""
    rows = [
        [
            f"{name}, {'held out' if held_out else 'in training'}",
            str(len(found.by_template)),
            str(found.rows),
            with_interval(found.mean),
            *map(figure, (found.worst, found.best, found.spread)),
        ]
        for name, each in _all_answering(models)
        for held_out, found in each.wordings.items()
    ]
    return Table(("model, wordings", "wordings", "rows", "mean", "worst", "best", "spread"), rows)


def calibration_table(systems: Systems) -> Table:
    """Expected calibration error of the systems that give probabilities."""
    rows = [
        [name, figure(each.labelled.calibration_error)]
        for name, each in systems.items()
        if each.labelled.bins
    ]
    return Table(("system", "expected calibration error"), rows)


def wording_accuracies(systems: Systems) -> list[TemplateAccuracy]:
    """What the figure of the wordings shows."""
    return [
        TemplateAccuracy(name, template, held_out, found.value, found.low, found.high)
        for name, each in _all_answering(systems)
        for held_out, wordings in each.wordings.items()
        for template, found in wordings.by_template.items()
        if found.low is not None and found.high is not None
    ]


# --- data beside the report ---------------------------------------------------------------------


def suspicious_csv(
    places: Sequence[int],
    test: Sequence[Mapping[str, Any]],
    believed: Mapping[str, NDArray[np.float64]],
    labels: Labels,
) -> str:
    """The rows to look at: the label, what the tuned models take it for, how sure they are of each."""
    mean = np.mean(list(believed.values()), 0)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ("row_id", "label", "most_likely", "p_label", "p_most_likely", "agreement", "text")
    )
    for at in places:
        row, likely = test[at], int(mean[at].argmax())
        given = mean[at][labels.names.index(row["label"])]
        agreement = "" if row["agreement"] is None else f"{row['agreement']:.3f}"
        sure = (f"{given:.4f}", f"{mean[at][likely]:.4f}")
        table.writerow(
            (row["row_id"], row["label"], labels.names[likely], *sure, agreement, row["text"])
        )
    return text.getvalue()


def headline(systems: Systems, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of `metrics/compare.json`: of each system and of each pair."""
    of_systems: dict[str, Any] = {}
    for name, each in systems.items():
        found: dict[str, Estimate | None] = {
            metric: getattr(each.labelled, metric) for metric in METRICS
        }
        if each.answering is not None:
            for key in ("free", "shifted", "bare_label", "hundred", "forgotten"):
                found[key] = getattr(each.answering, key)
        of_systems[name] = {
            key: value
            for metric, estimate in found.items()
            for key, value in zip(
                (metric, f"{metric}_low", f"{metric}_high"), estimate or (None,) * 3, strict=True
            )
        }
        if each.answering is not None:
            of_systems[name]["ten"] = each.answering.ten
            for held_out, wordings in each.answering.wordings.items():
                key = "held_out" if held_out else "seen"
                of_systems[name][f"wordings_{key}"] = wordings.mean.value
                of_systems[name][f"wordings_{key}_spread"] = wordings.spread
        if each.labelled.calibration_error is not None:
            of_systems[name]["calibration_error"] = each.labelled.calibration_error
    pairs = {
        f"{each.first} - {each.second}": {
            "difference": each.difference,
            "low": each.low,
            "high": each.high,
        }
        for each in verdicts
    }
    return {"systems": of_systems, "pairs": pairs}


# --- training seeds -----------------------------------------------------------------------------


def _over_seeds(trainings: Trainings, systems: Systems) -> list[str]:
    if len(trainings.seeds) < 2:
        return [
            "Training is a draw too, and these models are one draw: what is said above holds for them, "
            "not for the recipe. `make replicates N=3` trains both again under further seeds."
        ]
    return [
        f"Both tuned models trained under {len(trainings.seeds)} seeds, all else alike. The intervals take "
        "seeds and rows as drawn; the verdicts are about the recipe.",
        seeds_table(trainings, systems).markdown(),
        bullets([text_cell(f"{_seed_sentence(each)}.") for each in trainings.verdicts]),
    ]


def seeds_table(trainings: Trainings, systems: Systems) -> Table:
    """Accuracy under each training seed, their spread, and the test set's interval beside it."""
    rows = [
        [
            name,
            *map(figure, values),
            figure(float(np.mean(values))),
            figure(float(np.std(values, ddof=1))),
            with_interval(systems[name].labelled.accuracy),
        ]
        for name, values in trainings.accuracy.items()
    ]
    columns = (*(f"seed {seed}" for seed in trainings.seeds), "mean", "standard deviation")
    return Table(("model", *columns, "interval over test rows"), rows)


def _seed_sentence(each: OverSeeds) -> str:
    words = {
        "better": f"{each.first} is better than {each.second}",
        "worse": f"{each.first} is worse than {each.second}",
        "no difference larger": f"no difference that matters between {each.first} and {each.second}",
        "cannot tell": f"cannot tell {each.first} from {each.second}",
    }
    seeds = ", ".join(f"{100 * value:+.1f}" for value in each.by_seed)
    return f"{words[each.kind]}: {_in_points(each.difference)} points over seeds ({seeds})"


# --- small parts --------------------------------------------------------------------------------


def _people(ceilings: Ceilings) -> str:
    told = []
    if ceilings.one_rater is not None:
        told.append(
            "One human rater, neutral ones aside, would give these labels to "
            f"{with_interval(ceilings.one_rater)} of the rows."
        )
    if ceilings.panel is not None:
        told.append(
            f"Another panel of as many raters would give them to {figure(ceilings.panel)}: the accuracy "
            "that the raters' disagreement allows at most."
        )
    told.append(
        f"Of the training labels at most {figure(ceilings.noise_bound)} are wrong, an upper bound: so "
        "many does cross-validated TF-IDF disagree with, whose own mistakes are in it."
    )
    found = [
        f"{with_interval(estimate)} by {name}"
        for name, estimate in ceilings.noise.items()
        if estimate is not None
    ]
    if found:
        told.append(
            "Of the test labels, the tuned models' confident disagreements put the wrong ones at "
            + ", ".join(found)
            + "."
        )
    else:
        told.append(
            "The tuned models disagree with too many test labels to tell how many are wrong."
        )
    told.append("suspicious-rows.csv lists the fifty test rows whose labels they believe least.")
    return " ".join(told)


def _invalid(models: Systems) -> list[str]:
    return [
        f"{text_cell(name)}: "
        + (
            ", ".join(f"{text_cell(repr(said))} ({n})" for said, n in each.commonest_invalid)
            or "none"
        )
        for name, each in _all_answering(models)
    ]


def verdict_of(verdicts: Sequence[Verdict], first: str, second: str) -> Verdict:
    (found,) = [each for each in verdicts if {each.first, each.second} == {first, second}]
    return found if found.first == first else found.turned()


def _all_answering(systems: Systems) -> list[tuple[str, Answering]]:
    return [(name, each.answering) for name, each in systems.items() if each.answering is not None]


def _answering(figures: Figures) -> Answering:
    assert figures.answering is not None
    return figures.answering


def _in_points(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:+.1f} (no interval)"
    return f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def _change(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOTHING
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.2f}"
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
