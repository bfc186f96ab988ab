"""The report's sections on accuracy: every system, primary verdicts, exploratory comparisons."""

from collections.abc import Iterator, Mapping

from measure.results import Results
from measure.system_metrics import Answering, SystemMetrics
from pages.blocks import Block, Details, Heading, Table, bullets, text
from pages.numbers import NOTHING, decimals, in_points, with_interval
from pages.sentences import encoder_sentence
from settings.labels import Labels
from stats.bootstrap import Differences
from stats.confusion import METRICS
from stats.verdicts import Pair, p_value

MAIN = [metric for metric in METRICS if metric.is_main]
FURTHER = [metric for metric in METRICS if not metric.is_main]


def results_blocks(results: Results) -> Iterator[Block]:
    """The metrics of every system: two tables."""
    yield results_table(results.metrics)
    yield text(
        f"{metrics_note(results.metrics, results.labels)} Each metric has its {results.confidence:.0%} "
        "interval over test rows: Wilson's for accuracy, bootstrap for the others. Invalid: the free "
        "answer contains no label, read strictly. Bare label: the answer to a general instruction is "
        "nothing but a label. Intervals and verdicts are about these trained models, not about the "
        "recipe: another training seed gives other models (see below)."
    )
    yield text("Further metrics of the most likely label:")
    yield further_table(results.metrics)


def confusion_blocks(results: Results) -> Iterator[Block]:
    """The commonest wrong predictions of the trained systems; nothing for two labels."""
    if len(results.labels.names) == 2:
        return
    yield Heading("Which labels are confused")
    yield text("The commonest wrong predictions of each trained system, with their test rows:")
    yield bullets(
        f"{system.name}: "
        + (
            ", ".join(
                f"{label} taken for {prediction or 'no label'} ({rows})"
                for label, prediction, rows in results.metrics[system.name].labelled.confused
            )
            or "none"
        )
        for system in results.systems.trained
    )


def verdict_blocks(results: Results, differences: Mapping[Pair, Differences]) -> Iterator[Block]:
    """The primary verdicts, and all other pairs in a folded part of the page."""
    yield Heading("Which differences are real")
    yield text(
        "These comparisons are fixed before the run: each tuned model with the original, each pair of "
        "tuned models, and each tuned model with all systems without fine-tuning together. Each pair is "
        "compared on the same rows by McNemar's exact test. All systems together: the tuned model must "
        "be better than every system, so p is the largest of its p values (intersection-union test). "
        f'Holm\'s correction is over these {len(results.verdicts)} tests. "Cannot tell" does not mean '
        "that two systems are equal or that one system failed."
    )
    yield bullets(f"{verdict.sentence}." for verdict in results.verdicts)
    if encoder := encoder_sentence(results):
        yield text(encoder)
    references = [system.name for system in results.systems.of_kind("reference")]
    if references:
        yield text(
            f"{', '.join(references)}: made from these same rows, therefore only shown for reference and "
            "not compared in a primary comparison."
        )
    yield Heading("Exploratory: unadjusted", 3)
    yield Details(
        "All other pairs, and the differences of the other metrics",
        [
            text(
                "These p values and intervals are not adjusted for the number of comparisons: some "
                "differences look real by chance alone. They suggest what to test next and prove nothing."
            ),
            exploratory_table(results),
            text("Differences of the other metrics, by paired bootstrap, in points:"),
            differences_table(differences),
        ],
    )


def results_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """One row a system: metrics of the most likely label, shares of invalid answers and bare labels,
    and tokens a row."""
    headings = [metric.heading for metric in MAIN]
    rows = [
        [
            name,
            *(with_interval(metrics.labelled.metrics[metric.key]) for metric in MAIN),
            str(metrics.labelled.n),
            *_answer_cells(metrics.answering),
        ]
        for name, metrics in systems.items()
    ]
    return Table(("system", *headings, "n", "invalid", "bare label", "tokens a row"), rows)


def further_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """One row a system: the metrics that are not in the results table."""
    rows = [
        [name, *(with_interval(metrics.labelled.metrics[metric.key]) for metric in FURTHER)]
        for name, metrics in systems.items()
    ]
    return Table(("system", *(metric.heading for metric in FURTHER)), rows)


def metrics_note(systems: Mapping[str, SystemMetrics], labels: Labels) -> str:
    """A sentence on the meaning of the metrics, and a sentence on labels that no test row has."""
    averaged = f"of the label {labels.positive}" if len(labels.names) == 2 else "macro averages"
    note = (
        "Accuracy, F1, precision and recall use the most likely label. F1, precision and recall are "
        f"{averaged}."
    )
    absent = next(iter(systems.values())).labelled.absent_labels
    if absent:
        note += f" No test row has the label {', '.join(absent)}: macro averages leave it out."
    return note


def exploratory_table(results: Results) -> Table:
    """Accuracy, first minus second, of every pair that is not primary."""
    primary = {
        frozenset((verdict.comparison.first, verdict.comparison.second))
        for verdict in results.verdicts
        if not verdict.rivals
    }
    rows = [
        [
            f"{first} - {second}",
            in_points(comparison.difference, comparison.low, comparison.high),
            p_value(comparison.p).removeprefix("= "),
        ]
        for (first, second), comparison in results.comparisons.items()
        if frozenset((first, second)) not in primary
    ]
    return Table(("first - second", "accuracy, points", "p, unadjusted"), rows)


def differences_table(differences: Mapping[Pair, Differences]) -> Table:
    """First minus second, in percentage points, for all metrics but accuracy."""
    metrics = [metric for metric in METRICS if metric.key != "accuracy"]
    rows = [
        [f"{first} - {second}", *(in_points(*by_metric[metric.key]) for metric in metrics)]
        for (first, second), by_metric in differences.items()
    ]
    return Table(("first - second", *(metric.heading for metric in metrics)), rows)


def _answer_cells(answering: Answering | None) -> list[str]:
    if answering is None:
        return [NOTHING] * 3
    return [
        decimals(answering.invalid.value),
        with_interval(answering.bare_label),
        f"{answering.tokens_per_row:.0f}",
    ]
