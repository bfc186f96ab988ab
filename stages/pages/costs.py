"""The report's sections on the cost of fine-tuning, and on two readings of an answer."""

from collections.abc import Iterator, Mapping

from measure.results import Results
from measure.system_metrics import Answering, SystemMetrics
from pages.blocks import Block, Code, Heading, Table, bullets, text
from pages.numbers import NOTHING, in_nats, percent, with_interval
from settings.labels import Labels

MOST_CONSTANTS = (
    5  # labels; with more, the table does not show the constants of the moved threshold
)
SIZES = {  # key in metrics/train_*.json: heading
    "rows": "training rows",
    "steps": "steps",
    "total_parameters": "parameters",
    "trainable_parameters": "trained parameters",
}


def cost_blocks(results: Results) -> Iterator[Block]:
    """The metrics of answers to general instructions."""
    yield Heading("What it cost")
    yield text(
        "A checked instruction is followed if the answer passes all checks. Exact: share of exactly right "
        "answers to programmed tasks, of families in training (seen) and families held out of training. "
        "Nats a token: the negative log-likelihood of the reference answers to free-form general test "
        "rows. The more nats than the original, the more is forgotten."
    )
    yield cost_table(results.metrics)


def training_blocks(results: Results) -> Iterator[Block]:
    """The size of every training."""
    yield Heading("What was trained")
    yield text(
        "Parameters: all parameters of the model. Trained parameters: parameters that the training changed. "
        "Times depend on the machine: ",
        Code("make repro"),
        " ends with the time of every training and of an answer.",
    )
    rows = [
        [system.name, *(f"{results.accounts[system.name][key]:,}" for key in SIZES)]
        for system in results.systems.trained
    ]
    yield Table(("system", *SIZES.values()), rows)


def reading_blocks(results: Results) -> Iterator[Block]:
    """Accuracy by the most likely label, by the free answer, and with a moved threshold."""
    yield Heading("Two readings of an answer, and a moved threshold")
    yield text(
        "The most likely label is fair to a model that was not trained to answer with only a label. The "
        "free answer, read strictly, is what a user gets. The moved threshold adds one constant a label "
        "to the scores, chosen on the validation rows. If an untuned model gains by the constants, the "
        "gain does not come from a better understanding of the text."
    )
    yield readings_table(results.metrics, results.labels)
    yield text(" ".join(scoring_sentences(results)))
    yield text("The commonest free answers that contain no label:")
    yield bullets(
        f"{name}: "
        + (
            ", ".join(f"{answer!r} ({count})" for answer, count in answering.commonest_invalid)
            or "none"
        )
        for name, answering in results.language_models.items()
    )


def scoring_sentences(results: Results) -> Iterator[str]:
    """How labels were scored: the end of the answer, exact ties, the labels of few-shot examples."""
    n_labels = len(results.labels.names)
    with_end = max(answering.end_counts for answering in results.language_models.values())
    if with_end:
        yield (
            "The tokens of one label begin the tokens of another label. Therefore the end of the answer "
            f"counts in the score of every label ({percent(with_end)} of the rows)."
        )
    else:
        yield (
            "A label's score does not include the end of the answer: no label's tokens begin the tokens "
            "of another label."
        )
    ties = {name: metrics.labelled.n_ties for name, metrics in results.metrics.items()}
    if any(ties.values()):
        counts = ", ".join(f"{name} {count}" for name, count in ties.items() if count)
        yield (
            f"Rows on which several labels are equally likely: {counts}. Such a row counts as the label "
            "that is first in labels.names."
        )
    for name, answering in results.language_models.items():
        shown = list(dict.fromkeys(answering.example_labels))
        if shown:
            yield (
                f"The prompt of {name} has {len(answering.example_labels)} labelled examples, of "
                f"{len(shown)} of the {n_labels} labels: {', '.join(shown)}."
            )


def cost_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """One row a language model: the metrics of its answers to general instructions."""
    rows = [
        [
            name,
            with_interval(answering.bare_label),
            with_interval(answering.hundred),
            f"{answering.ten} of {answering.n_ten}",
            with_interval(answering.exact_seen),
            with_interval(answering.exact_held_out),
            NOTHING if answering.nats is None else f"{answering.nats:.2f}",
            in_nats(answering.forgotten),
        ]
        for name, answering in _language_models(systems)
    ]
    columns = ("hundred followed", "ten followed", "exact seen", "exact held out", "nats a token")
    return Table(("model", "bare label", *columns, "more nats than the original"), rows)


def readings_table(systems: Mapping[str, SystemMetrics], labels: Labels) -> Table:
    """One row a language model: accuracy of both readings and with a moved threshold, and the constants."""
    columns = ["most likely label", "free answer", "invalid", "moved threshold"]
    rows = [
        [
            name,
            with_interval(systems[name].labelled.accuracy),
            with_interval(answering.free),
            with_interval(answering.invalid),
            with_interval(answering.shifted),
        ]
        for name, answering in _language_models(systems)
    ]
    if len(labels.names) <= MOST_CONSTANTS:
        columns.append(f"nats added to {', '.join(labels.names[1:])}")
        for row, (_, answering) in zip(rows, _language_models(systems), strict=True):
            row.append(", ".join(f"{nats:+.2f}" for nats in answering.shift[1:]))
    return Table(("model", *columns), rows)


def _language_models(systems: Mapping[str, SystemMetrics]) -> Iterator[tuple[str, Answering]]:
    for name, metrics in systems.items():
        if metrics.answering is not None:
            yield name, metrics.answering
