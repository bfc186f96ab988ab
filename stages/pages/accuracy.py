"""The report on accuracy: results of every system, primary verdicts, exploratory comparisons."""

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
    """Every system's metrics."""
    yield results_table(results.metrics)
    yield text(
        f"{metrics_note(results.metrics, results.labels)} Each has its {results.confidence:.0%} interval "
        "over test rows: Wilson's for accuracy, bootstrap for the others. Invalid: the free answer "
        "contains no label, read strictly. Bare label: the answer to a general instruction is nothing "
        "but a label. Intervals and verdicts are about these trained models, not about the recipe: "
        "another training seed gives other models (see below)."
    )
    yield text("Further metrics of the most likely label:")
    yield further_table(results.metrics)


def verdict_blocks(results: Results, differences: Mapping[Pair, Differences]) -> Iterator[Block]:
    """The primary verdicts, and all other pairs folded away."""
    yield Heading("Which differences are real")
    yield text(
        "These comparisons are fixed before the run: each tuned model with the original, each pair of "
        "tuned models, and each tuned model with all systems without fine-tuning together. Each pair is "
        "compared on the same rows by McNemar's exact test. All systems together: the tuned model must "
        "be better than every one, so p is the largest of its p values (intersection-union test). Holm's "
        f'correction runs over these {len(results.verdicts)} tests. "Cannot tell" means just that: '
        "neither that two systems are equal nor that one failed."
    )
    yield bullets(f"{verdict.sentence}." for verdict in results.verdicts)
    if encoder := encoder_sentence(results):
        yield text(encoder)
    references = [system.name for system in results.systems.of_kind("reference")]
    if references:
        yield text(
            f"{', '.join(references)}: made with these very rows, therefore shown for reference and "
            "no rival in a primary comparison."
        )
    yield Heading("Exploratory: unadjusted", 3)
    yield Details(
        "All other pairs, and the differences of the other metrics",
        [
            text(
                "These p values and intervals are not adjusted for their number: some will look real by "
                "chance alone. They suggest what to test next and decide nothing."
            ),
            exploratory_table(results),
            text("Differences of the other metrics, by paired bootstrap, in points:"),
            differences_table(differences),
        ],
    )


def results_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """A row a system: metrics of the most likely label, and the share and cost of free answers."""
    headings = [metric.heading for metric in MAIN]
    rows = [
        [
            name,
            *(with_interval(metrics.labelled.metrics[metric.key]) for metric in MAIN),
            str(metrics.labelled.n),
            *_of_answers(metrics.answering),
        ]
        for name, metrics in systems.items()
    ]
    return Table(("system", *headings, "n", "invalid", "bare label", "tokens a row"), rows)


def further_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """The metrics that are no column of the results table, one row a system."""
    rows = [
        [name, *(with_interval(metrics.labelled.metrics[metric.key]) for metric in FURTHER)]
        for name, metrics in systems.items()
    ]
    return Table(("system", *(metric.heading for metric in FURTHER)), rows)


def metrics_note(systems: Mapping[str, SystemMetrics], labels: Labels) -> str:
    """What the metrics are of, and which labels no test row has."""
    averaged = f"of the label {labels.positive}" if len(labels.names) == 2 else "macro averages"
    note = f"Accuracy is that of the most likely label; F1, precision and recall are {averaged}."
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
            in_points(found.difference, found.low, found.high),
            p_value(found.p).removeprefix("= "),
        ]
        for (first, second), found in results.comparisons.items()
        if frozenset((first, second)) not in primary
    ]
    return Table(("first - second", "accuracy, points", "p, unadjusted"), rows)


def differences_table(differences: Mapping[Pair, Differences]) -> Table:
    """First minus second, in points, of the metrics besides accuracy."""
    others = [metric for metric in METRICS if metric.key != "accuracy"]
    rows = [
        [f"{first} - {second}", *(in_points(*of_pair[metric.key]) for metric in others)]
        for (first, second), of_pair in differences.items()
    ]
    return Table(("first - second", *(metric.heading for metric in others)), rows)


def _of_answers(answering: Answering | None) -> list[str]:
    if answering is None:
        return [NOTHING] * 3
    return [
        decimals(answering.invalid.value),
        with_interval(answering.bare_label),
        f"{answering.tokens_per_row:.0f}",
    ]
