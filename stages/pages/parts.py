"""The parts of a trained model (pretrained model and sources of rows), and the licence they imply."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pages.markdown import text_cell
from rows.sources import row_source
from settings.provenance import Provenance
from settings.section import Origin
from settings.sources import Origins, Sources

PERMISSIVE = {"apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "isc", "mit"}


@dataclass(frozen=True)
class Training:
    """The training rows of a model: numbers of rows by source, and the file of rows with its hash.

    `general`: the number of training rows of each source of general instructions, by the source's place
    in `sources.general` (from 0). A source without training rows may be missing.
    """

    labelled: int
    general: Mapping[int, int]
    file: str
    sha256: str


@dataclass(frozen=True)
class Part:
    """One part of a trained model: its pretrained model, or a source of `rows` training rows."""

    role: str
    provenance: Provenance
    origin: Origin
    rows: int | None = None

    @property
    def licence(self) -> str | None:
        """The licence that the profile states, else the licence of the kind of source, else None."""
        return self.origin.licence or self.provenance.licence

    @property
    def hub_id(self) -> str | None:
        """The id on the Hub: the source's id, else the id in the profile's `url`, else None."""
        page = r"https://huggingface\.co/(?:datasets/)?([\w.-]+/[\w.-]+)/?"
        match = re.fullmatch(page, self.origin.url or "")
        return self.provenance.hub_id or (match and match[1])

    def markdown(self) -> str:
        """The part in one line: role, rows, provenance, licence, url."""
        line = self.role
        if self.rows is not None:
            line += f", {self.rows:,} of them in training"
        line += f": {text_cell(self.provenance.name)}; {self.licence or 'licence not stated'}"
        return line + (f"; <{self.origin.url}>" if self.origin.url is not None else "")


def parts_of(base: Part, sources: Sources, origins: Origins, training: Training) -> list[Part]:
    """The pretrained model, the labelled rows, and every general source that has training rows."""
    labelled = row_source(sources.labelled).provenance()
    parts = [
        base,
        Part("labelled rows", labelled, origins.labelled, training.labelled),
    ]
    # `origins.general` may be shorter than `sources.general`.
    general_origins = [*origins.general, *[Origin()] * len(sources.general)]
    for number, source in enumerate(sources.general):
        if rows := training.general.get(number):
            provenance = row_source(source).provenance()
            parts.append(Part("general instructions", provenance, general_origins[number], rows))
    return parts


def licence_of(parts: Sequence[Part]) -> str | None:
    """The licence of a model that is made of these parts, in lower case; None if it cannot be derived.

    A permissive licence only requires that its notice is kept. If exactly one licence is not permissive,
    the result is that licence. If all licences are permissive, the result is the base model's licence.
    The result is None for several licences that are not permissive. It is also None if some part has no
    licence and all known licences are permissive.
    """
    licences = [part.licence and part.licence.lower() for part in parts]
    not_permissive = set(licences) - PERMISSIVE - {None}
    if len(not_permissive) > 1 or (None in licences and not not_permissive):
        return None
    return not_permissive.pop() if not_permissive else licences[0]


def licence_text(parts: Sequence[Part]) -> str:
    """The licence that follows from the parts, as a paragraph."""
    licence = licence_of(parts)
    is_incomplete = any(part.licence is None for part in parts)
    if licence is not None:
        spellings = [part.licence for part in parts if part.licence is not None]
        name = next(spelling for spelling in spellings if spelling.lower() == licence)
        result = f"{name}, which follows from the licences of the parts above"
    elif is_incomplete:
        result = "Not known"
    else:
        result = (
            "No single licence: the parts above have several licences with different conditions"
        )
    look_up = "For a part above no licence is stated: look up its licence before you publish. "
    return (
        f"{result}. Each part's licence still applies to that part, and its notice must be kept. "
        f"{look_up if is_incomplete else ''}"
        "(Rule of thumb, not legal advice: a single licence that is not permissive applies to the whole.)"
    )


def citations(parts: Sequence[Part]) -> list[str]:
    """The citations that the parts ask for, without repeats."""
    requested = [part.origin.cite for part in parts if part.origin.cite is not None]
    return list(dict.fromkeys(requested))
