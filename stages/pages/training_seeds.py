"""The report's section on several training seeds."""

from collections.abc import Iterator

import numpy as np

from measure.results import Results, Trainings
from pages.blocks import Block, Code, Heading, Table, bullets, text
from pages.numbers import decimals, with_interval


def seed_blocks(results: Results, trainings: Trainings) -> Iterator[Block]:
    """Verdicts over training seeds; a hint at `make replicates` if there is only one training seed."""
    yield Heading("Over training seeds")
    if len(trainings.seeds) < 2:
        yield text(
            "Training is random too, and these models come from a single training seed. The verdicts "
            "above are about these models, not about the recipe. ",
            Code("make replicates N=3"),
            " trains the tuned models again under further seeds.",
        )
        return
    yield text(
        f"The tuned models, trained under {len(trainings.seeds)} seeds with all other settings equal. The "
        "intervals treat seeds and rows as random samples. The verdicts are about the recipe, on the "
        "same primary comparisons: Student's t test, p values after Holm's correction."
    )
    yield seeds_table(results, trainings)
    yield bullets(f"{verdict.sentence}." for verdict in trainings.verdicts)


def seeds_table(results: Results, trainings: Trainings) -> Table:
    """Accuracy under each training seed, mean and standard deviation over seeds, and the interval over
    test rows of the study's own training seed."""
    rows = [
        [
            name,
            *map(decimals, values),
            decimals(float(np.mean(values))),
            decimals(float(np.std(values, ddof=1))),
            with_interval(results.metrics[name].labelled.accuracy),
        ]
        for name, values in trainings.accuracy.items()
    ]
    columns = (*(f"seed {seed}" for seed in trainings.seeds), "mean", "standard deviation")
    return Table(("model", *columns, "interval over test rows"), rows)
