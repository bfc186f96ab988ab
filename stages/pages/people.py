"""The report's section on human raters' accuracy, and on labels that may be wrong."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.results import Ceilings, Results
from measure.system_metrics import SystemMetrics
from pages.blocks import Block, Code, Heading, Table, text
from pages.numbers import decimals, with_interval
from settings.labels import Labels

SUSPICIOUS = "suspicious-rows.csv"


def people_blocks(results: Results, ceilings: Ceilings) -> Iterator[Block]:
    """The accuracy of human raters, the share of wrong labels, and accuracy by human agreement."""
    yield Heading("How near to people")
    sentences = []
    if ceilings.one_rater is not None:
        sentences.append(
            "One human rater who is not neutral would give these labels to "
            f"{with_interval(ceilings.one_rater)} of the rows."
        )
    if ceilings.panel is not None:
        sentences.append(
            "Another panel of the same size would give these labels to "
            f"{decimals(ceilings.panel)} of the rows: the highest accuracy that the raters' "
            "disagreement allows."
        )
    sentences.append(
        f"At most {decimals(ceilings.noise_bound)} of the training labels are wrong. This is an upper "
        "bound: a cross-validated TF-IDF classifier disagrees with so many labels, and its own errors "
        "are included."
    )
    estimates = [
        f"{with_interval(estimate)} by {name}"
        for name, estimate in ceilings.noise.items()
        if estimate is not None
    ]
    if estimates:
        sentences.append(
            "Estimated share of wrong test labels, from the tuned models' confident disagreements: "
            f"{', '.join(estimates)}."
        )
    else:
        sentences.append(
            "The tuned models disagree with too many test labels to estimate how many are wrong."
        )
    yield text(
        *(f"{sentence} " for sentence in sentences),
        Code(SUSPICIOUS),
        f" lists the {ceilings.suspicious} test rows whose labels the tuned models find least probable.",
    )
    agreement = agreement_table(results.metrics)
    if agreement is not None:
        yield agreement


def agreement_table(systems: Mapping[str, SystemMetrics]) -> Table | None:
    """Accuracy by band of human agreement; None if no test row has ratings."""
    bands = next(iter(systems.values())).labelled.by_agreement
    if not any(n for _, n in bands.values()):
        return None
    columns = ("system", *(f"agreement {band} (n = {n})" for band, (_, n) in bands.items()))
    rows = [
        [name, *(with_interval(share) for share, _ in metrics.labelled.by_agreement.values())]
        for name, metrics in systems.items()
    ]
    return Table(columns, rows)


def suspicious_csv(
    places: Sequence[int],
    test: Sequence[Mapping[str, Any]],
    probabilities: Mapping[str, NDArray[np.float64]],
    labels: Labels,
) -> str:
    """The test rows at `places` as CSV, with the tuned models' mean probabilities.

    `probabilities`: one array (n, K) for each tuned model.
    """
    mean = np.mean(list(probabilities.values()), 0)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(
        ("row_id", "label", "most_likely", "p_label", "p_most_likely", "agreement", "text")
    )
    for place in places:
        row, most_likely = test[place], int(mean[place].argmax())
        p_label = mean[place][labels.names.index(row["label"])]
        p_most_likely = mean[place][most_likely]
        agreement = "" if row["agreement"] is None else f"{row['agreement']:.3f}"
        table.writerow(
            (
                *(row["row_id"], row["label"], labels.names[most_likely]),
                *(f"{p_label:.4f}", f"{p_most_likely:.4f}"),
                *(agreement, row["text"]),
            )
        )
    return file.getvalue()
