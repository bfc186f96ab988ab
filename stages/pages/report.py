"""The report and its summary, as lists of blocks."""

from collections.abc import Mapping

from measure.results import Ceilings, Results, Trainings
from pages.accuracy import confusion_blocks, results_blocks, results_table, verdict_blocks
from pages.answer import answer_text
from pages.blocks import Block, Heading, bullets, text
from pages.costs import cost_blocks, cost_table, reading_blocks, training_blocks
from pages.people import SUSPICIOUS, people_blocks
from pages.robustness import calibration_blocks, wording_blocks
from pages.training_seeds import seed_blocks
from stats.bootstrap import Differences
from stats.verdicts import Pair


def report_blocks(
    results: Results,
    differences: Mapping[Pair, Differences],
    trainings: Trainings,
    ceilings: Ceilings,
) -> list[Block]:
    """The blocks of `reports/results.md`: first the answer, then the evidence."""
    return [
        Heading("Results", 1),
        text(answer_text(results, ceilings)),
        *results_blocks(results),
        *confusion_blocks(results),
        *verdict_blocks(results, differences),
        *seed_blocks(results, trainings),
        *cost_blocks(results),
        *training_blocks(results),
        *reading_blocks(results),
        *people_blocks(results, ceilings),
        *wording_blocks(results),
        *calibration_blocks(results),
    ]


def summary_blocks(results: Results, ceilings: Ceilings) -> list[Block]:
    """The blocks of `reports/summary.txt`: tables, primary verdicts, the answer, the files.

    `make repro` prints this summary at its end.
    """
    models = "  ".join(f"{system.folder}/" for system in results.systems.trained)
    return [
        results_table(results.metrics),
        cost_table(results.metrics),
        bullets(f"{verdict.sentence}." for verdict in results.verdicts),
        text(answer_text(results, ceilings)),
        text(
            "reports/results.md  reports/ten-instructions.md  the whole report, with figures\n"
            f"reports/{SUSPICIOUS}  rows whose labels the tuned models find least probable\n"
            "predictions/SYSTEM/  every answer        metrics/  every metric\n"
            f"{models}  the models; reports/cards/  their cards"
        ),
    ]
