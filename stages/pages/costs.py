"""The report on what fine-tuning cost, and on the readings of a language model's answers."""

from collections.abc import Iterator, Mapping

from measure.results import Results
from measure.system_metrics import Answering, SystemMetrics
from pages.blocks import Block, Code, Heading, Table, bullets, text
from pages.numbers import NOTHING, in_nats, with_interval
from settings.labels import Labels

SIZES = {  # keys of metrics/train_*.json, with headings
    "rows": "training rows",
    "steps": "steps",
    "total_parameters": "parameters",
    "trainable_parameters": "trained parameters",
}


def cost_blocks(results: Results) -> Iterator[Block]:
    """What the answers to general instructions show."""
    yield Heading("What it cost")
    yield text(
        "A checked instruction is followed if the answer passes all checks. Exact: right answers to "
        "checkable tasks, of families that are in training and families held out of training. Nats a "
        "token: the negative log-likelihood of the answers that the free-form general test rows have, "
        "and its difference to the original's; more means more is forgotten."
    )
    yield cost_table(results.metrics)


def training_blocks(results: Results) -> Iterator[Block]:
    """The size of every training."""
    yield Heading("What was trained")
    yield text(
        "Parameters: those of the whole model, and those that the training changed. The time of every "
        "training and of an answer depends on the machine: ",
        Code("make repro"),
        " prints it at its end.",
    )
    rows = [
        [system.name, *(f"{results.accounts[system.name][key]:,}" for key in SIZES)]
        for system in results.systems.trained
    ]
    yield Table(("system", *SIZES.values()), rows)


def reading_blocks(results: Results) -> Iterator[Block]:
    """The most likely label, the free answer, and a moved threshold."""
    yield Heading("Two readings of an answer, and a moved threshold")
    yield text(
        "The most likely label is fair to a model that never learnt to answer with a label alone. The "
        "free answer, read strictly, is what a user gets. The moved threshold adds one constant a label "
        "to the scores, chosen on the validation rows: what an untuned model gains by it was never a "
        "matter of reading the text."
    )
    yield readings_table(results.metrics, results.labels)
    yield text("The commonest free answers that contain no label:")
    yield bullets(
        f"{name}: "
        + (
            ", ".join(f"{answer!r} ({count})" for answer, count in answering.commonest_invalid)
            or "none"
        )
        for name, answering in results.language_models.items()
    )


def cost_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """What the general instructions show of each language model among the systems."""
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
        for name, answering in _answering(systems)
    ]
    columns = ("hundred followed", "ten followed", "exact seen", "exact held out", "nats a token")
    return Table(("model", "bare label", *columns, "more nats than the original"), rows)


def readings_table(systems: Mapping[str, SystemMetrics], labels: Labels) -> Table:
    """Accuracy of the most likely label, of the free answer, and with a moved threshold."""
    rows = [
        [
            name,
            with_interval(systems[name].labelled.accuracy),
            with_interval(answering.free),
            with_interval(answering.invalid),
            with_interval(answering.shifted),
            ", ".join(f"{nats:+.2f}" for nats in answering.shift[1:]),
        ]
        for name, answering in _answering(systems)
    ]
    moved = f"nats added to {', '.join(labels.names[1:])}"
    columns = ("most likely label", "free answer", "invalid", "moved threshold", moved)
    return Table(("model", *columns), rows)


def _answering(systems: Mapping[str, SystemMetrics]) -> Iterator[tuple[str, Answering]]:
    for name, metrics in systems.items():
        if metrics.answering is not None:
            yield name, metrics.answering
