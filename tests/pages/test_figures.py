"""The figures: valid SVG that names every system and wording; the same bytes on every run."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from pages.figures import TemplateAccuracy, reliability_figure, template_figure
from stats.calibration import Bin

SYSTEMS = ("original_pretrained", "mixed_fine_tuned")
WORDINGS = (("classify", False), ("tone", True), ("question", False))


def reliability() -> str:
    bins = [Bin(0.55, 0.4, 12), Bin(0.81, 0.7, 100), Bin(0.97, 0.96, 400)]
    return reliability_figure({SYSTEMS[0]: bins[:2], SYSTEMS[1]: bins})


def templates() -> str:
    return template_figure(
        [
            TemplateAccuracy(system, template, held_out, 0.7, 0.62, 0.77)
            for system in SYSTEMS
            for template, held_out in WORDINGS
        ]
    )


def texts_of(svg: str) -> list[str]:
    return [
        "".join(element.itertext())
        for element in ElementTree.fromstring(svg).iter()
        if "text" in element.tag
    ]


def marks(svg: str, role: str) -> int:
    """The number of marks with this role description, which screen readers use."""
    return len(re.findall(rf'aria-roledescription="{role}"', svg))


@pytest.mark.parametrize("draw", [reliability, templates])
def test_a_figure_has_the_same_bytes_on_every_run(draw: Callable[[], str]) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", [reliability, templates])
def test_a_figure_names_its_systems_on_white_and_fits_the_page(draw: Callable[[], str]) -> None:
    svg = draw()
    root = ElementTree.fromstring(svg)
    assert [name for name in SYSTEMS if name not in texts_of(svg)] == []
    assert root[0].attrib["fill"] == "white"
    assert root[0].attrib["width"] == root.attrib["width"]
    assert 600 <= float(root.attrib["width"]) <= 720


def test_every_bin_is_a_dot() -> None:
    assert marks(reliability(), "circle") == 5


def test_every_wording_is_a_line_and_held_out_ones_come_last() -> None:
    svg = templates()
    assert [text for text in texts_of(svg) if text in dict(WORDINGS)] == [
        "classify",
        "question",
        "tone",
    ]
    assert {"in training", "held out"} <= set(texts_of(svg))
    assert marks(svg, "rule mark") == marks(svg, "point") == 6
