"""Figures as SVG: reliability of the probabilities, and accuracy by wording of the instruction."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import altair as alt

from stats.calibration import Bin

WIDTH = 720  # pixels, about; of a whole figure
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]  # Okabe and Ito's
GREY = "#777777"
PERCENT = alt.Axis(format="%", tickCount=5)
WORDINGS = ("in training", "held out")


class TemplateAccuracy(NamedTuple):
    """A system's accuracy on rows asked in one template's wording, with its interval."""

    system: str
    template: str
    held_out: bool
    accuracy: float
    low: float
    high: float


def reliability_figure(bins_by_system: Mapping[str, Sequence[Bin]]) -> str:
    """Accuracy against confidence: one panel a system, one dot a bin; the dot's area shows its rows."""
    systems = list(bins_by_system)
    columns = min(2, len(systems))
    rows = [
        {"system": system, **bin_._asdict()}
        for system, bins in bins_by_system.items()
        for bin_ in bins
    ]
    lowest = min([0.5, *(bin_.confidence for bins in bins_by_system.values() for bin_ in bins)])
    scale = alt.Scale(domain=[lowest, 1], nice=False, zero=False)
    x = alt.X(
        "confidence:Q", title="probability of the most likely label", axis=PERCENT, scale=scale
    )
    y = alt.Y("accuracy:Q", title="accuracy", axis=PERCENT, scale=alt.Scale(domain=[0, 1]))
    size = alt.Size("n:Q", title="rows", scale=alt.Scale(domainMin=0, rangeMin=10, rangeMax=250))
    diagonal = alt.InlineData(values=[{"confidence": at, "accuracy": at} for at in (lowest, 1)])
    panel = alt.layer(
        alt.Chart(diagonal).mark_line(strokeDash=[4, 4], strokeWidth=1, color=GREY).encode(x, y),
        alt.Chart().mark_line(strokeWidth=1.5).encode(x, y, _colour(systems)),
        alt.Chart().mark_circle(opacity=1).encode(x, y, _colour(systems), size),
        data=alt.InlineData(values=rows),
    ).properties(width=(WIDTH - 160) // columns, height=170)
    chart = panel.facet(alt.Facet("system:N", title=None, sort=systems), columns=columns)
    return _svg(
        chart, "Do the probabilities match the accuracy?", "Dashed line: perfectly calibrated."
    )


def template_figure(rows: Sequence[TemplateAccuracy]) -> str:
    """Accuracy with its interval: one line a template, one column a system. Triangles: held out."""
    systems = list(dict.fromkeys(row.system for row in rows))
    trained_first = sorted(rows, key=lambda row: row.held_out)
    templates = list(dict.fromkeys(row.template for row in trained_first))
    values = [{**row._asdict(), "wording": WORDINGS[row.held_out]} for row in rows]
    y = alt.Y("template:N", title=None, sort=templates, axis=alt.Axis(grid=True))
    x = alt.X("accuracy:Q", title="accuracy", axis=PERCENT, scale=alt.Scale(zero=False))
    low = alt.X("low:Q", title="accuracy", axis=PERCENT, scale=alt.Scale(zero=False))
    shapes = alt.Scale(domain=list(WORDINGS), range=["circle", "triangle-up"])
    shape = alt.Shape("wording:N", title="wording", scale=shapes)
    panel = alt.layer(
        alt.Chart().mark_rule(strokeWidth=1.5).encode(low, y, _colour(systems), x2="high:Q"),
        alt.Chart()
        .mark_point(filled=True, size=60, opacity=1)
        .encode(x, y, _colour(systems), shape),
        data=alt.InlineData(values=values),
    ).properties(width=(WIDTH - 160) // len(systems) - 20, height=22 * len(templates))
    chart = panel.facet(column=alt.Column("system:N", title=None, sort=systems))
    return _svg(
        chart,
        "How much does the accuracy depend on the instruction's wording?",
        "The same rows in every wording. Lines: intervals over rows.",
    )


def _colour(systems: Sequence[str]) -> alt.Color:
    return alt.Color("system:N", legend=None, scale=alt.Scale(domain=list(systems), range=COLOURS))


def _svg(chart: alt.FacetChart, title: str, subtitle: str) -> str:
    """The chart as SVG, on a white background so that it can be read on a dark page too."""
    heading = alt.TitleParams(title, subtitle=subtitle, anchor="start")
    out = io.StringIO()
    chart.properties(title=heading, background="white", padding=10).save(out, format="svg")
    return out.getvalue()
