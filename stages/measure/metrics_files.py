"""The content of `metrics/compare.json`, `metrics/systems.json` and `metrics/headline.json`."""

from typing import Any, TypedDict

from measure.results import Results
from measure.system_metrics import SystemMetrics
from stats.confusion import METRICS
from stats.estimate import Estimate
from stats.verdicts import Kind

# Attributes of `Answering` that are written with an interval.
ANSWERING = (
    *("free", "shifted", "invalid", "bare_label", "hundred"),
    *("exact_seen", "exact_held_out", "forgotten"),
)

SystemNumbers = dict[str, float | int | None]


class PairNumbers(TypedDict):
    """Accuracy of the first system minus the second, with its interval."""

    difference: float
    low: float | None
    high: float | None


class PrimaryNumbers(PairNumbers):
    """A primary comparison: its verdict, and its p adjusted by Holm's method.

    For a system against all free systems, the difference is against the best free system.
    """

    verdict: Kind
    p: float


class CompareMetrics(TypedDict):
    """`metrics/compare.json`: systems by name, pairs and primary comparisons by "first - second"."""

    systems: dict[str, SystemNumbers]
    pairs: dict[str, PairNumbers]
    primary: dict[str, PrimaryNumbers]


def compare_metrics(results: Results) -> CompareMetrics:
    """Every metric of every system, and every pair."""
    primary: dict[str, PrimaryNumbers] = {}
    for verdict in results.verdicts:
        comparison = verdict.comparison
        second = "every free system" if verdict.rivals else comparison.second
        primary[f"{comparison.first} - {second}"] = {
            "verdict": verdict.kind,
            "difference": comparison.difference,
            "low": comparison.low,
            "high": comparison.high,
            "p": verdict.p,
        }
    return {
        "systems": {name: _numbers(metrics) for name, metrics in results.metrics.items()},
        "pairs": {
            f"{first} - {second}": {
                "difference": comparison.difference,
                "low": comparison.low,
                "high": comparison.high,
            }
            for (first, second), comparison in results.comparisons.items()
        },
        "primary": primary,
    }


def systems_table(results: Results) -> dict[str, Any]:
    """`compare_metrics` with `systems` as a list of rows, because DVC plots need rows.

    A row also contains n, the number of test rows, and for a language model `tokens_per_row`.
    """
    content = compare_metrics(results)
    rows = [
        {"system": name, "n": results.metrics[name].labelled.n, **numbers}
        for name, numbers in content["systems"].items()
    ]
    for row in rows:
        answering = results.metrics[str(row["system"])].answering
        if answering is not None:
            row["tokens_per_row"] = answering.tokens_per_row
    return {**content, "systems": rows}


def headline_metrics(results: Results) -> dict[str, float]:
    """The few numbers that `dvc metrics` lists, in a flat mapping such as `mixed_acc`, `mixed_macro`.

    Accuracy (acc) of the original, the encoders and the tuned systems. For each tuned system also:
    macro-F1 (macro), share of free answers that contain no label (invalid), share of general answers
    that are a bare label (bare), and nats a token more than the original (forgot). Numbers are rounded
    to 4 decimals; missing numbers are left out.
    """
    numbers: dict[str, float | None] = {}
    for system in results.systems:
        metrics, short = results.metrics[system.name], system.short.replace("-", "_")
        if system.kind in ("original", "encoder", "tuned"):
            numbers[f"{short}_acc"] = metrics.labelled.accuracy.value
        if system.kind == "tuned" and metrics.answering is not None:
            forgotten = metrics.answering.forgotten
            numbers[f"{short}_macro"] = metrics.labelled.metrics["macro_f1"].value
            numbers[f"{short}_invalid"] = metrics.answering.invalid.value
            numbers[f"{short}_bare"] = metrics.answering.bare_label.value
            numbers[f"{short}_forgot"] = None if forgotten is None else forgotten.value
    # + 0.0: no minus before a zero.
    return {key: round(value, 4) + 0.0 for key, value in numbers.items() if value is not None}


def _numbers(metrics: SystemMetrics) -> SystemNumbers:
    estimates: dict[str, Estimate | None] = {
        metric.key: metrics.labelled.metrics[metric.key] for metric in METRICS
    }
    answering = metrics.answering
    if answering is not None:
        estimates |= {key: getattr(answering, key) for key in ANSWERING}
    numbers: SystemNumbers = {
        key: value
        for name, estimate in estimates.items()
        for key, value in zip(
            (name, f"{name}_low", f"{name}_high"), estimate or (None,) * 3, strict=True
        )
    }
    if answering is not None:
        numbers["ten"] = answering.ten
        for held_out, wordings in answering.wordings.items():
            key = "held_out" if held_out else "seen"
            numbers[f"wordings_{key}"] = wordings.mean.value
            numbers[f"wordings_{key}_spread"] = wordings.spread
    if metrics.labelled.calibration_error is not None:
        numbers["calibration_error"] = metrics.labelled.calibration_error
    return numbers
