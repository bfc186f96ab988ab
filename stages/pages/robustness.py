"""The report's sections on the instructions' wording and on the calibration of the probabilities."""

from collections.abc import Iterator, Mapping

from measure.results import Results
from measure.system_metrics import SystemMetrics
from pages.blocks import Block, Chart, Heading, Table, text
from pages.figures import TemplateAccuracy
from pages.numbers import decimals, with_interval


def wording_blocks(results: Results) -> Iterator[Block]:
    """How much the accuracy depends on the wording."""
    yield Heading("The wording")
    yield text(
        "Accuracy on the same test rows, asked in every wording. Wordings in training and wordings held "
        "out of training are in separate rows. Intervals treat the test rows as a random sample and the "
        "wordings as fixed."
    )
    yield wordings_table(results)
    yield Chart("Accuracy by wording", "figures/wordings.svg")


def calibration_blocks(results: Results) -> Iterator[Block]:
    """Whether the probabilities match the accuracy."""
    yield Heading("Are the probabilities true")
    yield text(
        "Expected calibration error: in each of 15 bins of equal width, the absolute difference between "
        "the mean probability of the most likely label and the accuracy. The bins are weighted by their "
        "rows."
    )
    yield calibration_table(results.metrics)
    yield Chart("Reliability", "figures/reliability.svg")


def wordings_table(results: Results) -> Table:
    """Accuracy over wordings (mean, worst, best, spread): one row a model for each group of wordings.

    The groups are wordings in training and wordings held out.
    """
    rows = [
        [
            f"{name}, {'held out' if held_out else 'in training'}",
            str(len(wordings.by_template)),
            str(wordings.rows),
            with_interval(wordings.mean),
            *map(decimals, (wordings.worst, wordings.best, wordings.spread)),
        ]
        for name, answering in results.language_models.items()
        for held_out, wordings in answering.wordings.items()
    ]
    return Table(("model, wordings", "wordings", "rows", "mean", "worst", "best", "spread"), rows)


def calibration_table(systems: Mapping[str, SystemMetrics]) -> Table:
    """Expected calibration error of the systems that have probabilities."""
    rows = [
        [name, decimals(metrics.labelled.calibration_error)]
        for name, metrics in systems.items()
        if metrics.labelled.bins
    ]
    return Table(("system", "expected calibration error"), rows)


def wording_accuracies(results: Results) -> list[TemplateAccuracy]:
    """The accuracies in `figures.template_figure`; accuracies without an interval are left out."""
    return [
        TemplateAccuracy(name, template, held_out, share.value, share.low, share.high)
        for name, answering in results.language_models.items()
        for held_out, wordings in answering.wordings.items()
        for template, share in wordings.by_template.items()
        if share.low is not None and share.high is not None
    ]
