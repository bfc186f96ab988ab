"""The report on what people reach and which labels may be wrong."""

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
    """How near the systems are to people, and how many labels may be wrong."""
    yield Heading("How near to people")
    sentences = []
    if ceilings.one_rater is not None:
        sentences.append(
            "One human rater, neutral ones aside, would give these labels to "
            f"{with_interval(ceilings.one_rater)} of the rows."
        )
    if ceilings.panel is not None:
        sentences.append(
            f"Another panel of as many raters would give them to {decimals(ceilings.panel)}: the "
            "accuracy that the raters' disagreement allows at most."
        )
    sentences.append(
        f"Of the training labels at most {decimals(ceilings.noise_bound)} are wrong, an upper bound: "
        "cross-validated TF-IDF disagrees with so many, and its own mistakes are among them."
    )
    estimates = [
        f"{with_interval(estimate)} by {name}"
        for name, estimate in ceilings.noise.items()
        if estimate is not None
    ]
    if estimates:
        sentences.append(
            "Share of test labels that are wrong, from the tuned models' confident disagreements: "
            f"{', '.join(estimates)}."
        )
    else:
        sentences.append(
            "The tuned models disagree with too many test labels to tell how many are wrong."
        )
    yield text(
        *(f"{sentence} " for sentence in sentences),
        Code(SUSPICIOUS),
        f" lists the {ceilings.suspicious} test rows whose labels the tuned models believe least.",
    )
    agreement = agreement_table(results.metrics)
    if agreement is not None:
        yield agreement


def agreement_table(systems: Mapping[str, SystemMetrics]) -> Table | None:
    """Accuracy by band of human agreement; None where no row of the source has ratings."""
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
    """The test rows at `places`, with the tuned models' mean probabilities (each n, K)."""
    mean = np.mean(list(probabilities.values()), 0)
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(
        ("row_id", "label", "most_likely", "p_label", "p_most_likely", "agreement", "text")
    )
    for place in places:
        row, likely = test[place], int(mean[place].argmax())
        of_label = mean[place][labels.names.index(row["label"])]
        agreement = "" if row["agreement"] is None else f"{row['agreement']:.3f}"
        sure = (f"{of_label:.4f}", f"{mean[place][likely]:.4f}")
        table.writerow(
            (row["row_id"], row["label"], labels.names[likely], *sure, agreement, row["text"])
        )
    return written.getvalue()
