"""What a trained model is made of, and which licence follows from its parts."""

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
    """What a model was trained on: rows by source, and their file's hash.

    `general` has the training rows of each source of general instructions, by the source's place in
    `sources.general` (from 0). A source without training rows may be missing.
    """

    labelled: int
    general: Mapping[int, int]
    file: str
    sha256: str


@dataclass(frozen=True)
class Part:
    """One part of a trained model: its pretrained model, or a source with `rows` of its training rows."""

    role: str
    provenance: Provenance
    origin: Origin
    rows: int | None = None

    @property
    def licence(self) -> str | None:
        """The licence that the profile states, or that the kind of source fixes; None: not known."""
        return self.origin.licence or self.provenance.licence

    @property
    def hub_id(self) -> str | None:
        """The id on the Hub: the source's own, or the id in the url that the profile states."""
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
    stated = [*origins.general, *[Origin()] * len(sources.general)]  # the last ones may be missing
    for number, source in enumerate(sources.general):
        if rows := training.general.get(number):
            provenance = row_source(source).provenance()
            parts.append(Part("general instructions", provenance, stated[number], rows))
    return parts


def licence_of(parts: Sequence[Part]) -> str | None:
    """The licence of a model that is made of these parts, in lower case; None where none follows.

    A permissive licence asks only that its notice is kept. Where one single other licence occurs,
    that licence follows; where none does, the base model's licence does. Several other licences leave
    no answer, and neither does a part without a licence where nothing stricter is known.
    """
    stated = [part.licence and part.licence.lower() for part in parts]
    others = set(stated) - PERMISSIVE - {None}
    if len(others) > 1 or (None in stated and not others):
        return None
    return others.pop() if others else stated[0]


def licence_text(parts: Sequence[Part]) -> str:
    """The licence that follows from the parts, in words."""
    licence = licence_of(parts)
    unknown = any(part.licence is None for part in parts)
    if licence is not None:
        stated = [part.licence for part in parts if part.licence is not None]
        name = next(spelling for spelling in stated if spelling.lower() == licence)
        result = f"{name}, as it follows from the parts above"
    elif unknown:
        result = "Not known"
    else:
        result = "No single one: the parts above have several that ask for different things"
    look_up = "For a part above no licence is stated: look it up before you publish. "
    return (
        f"{result}. Each part's own licence holds for it, and its notice is to be kept. "
        f"{look_up if unknown else ''}"
        "(A permissive licence yields to the one other; this is a rule of thumb, no legal advice.)"
    )


def citations(parts: Sequence[Part]) -> list[str]:
    """Whom the parts ask to cite, without repeats."""
    cited = [part.origin.cite for part in parts if part.origin.cite is not None]
    return list(dict.fromkeys(cited))
