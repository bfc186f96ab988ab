"""Where rows or a base model come from, as model cards state it."""

from dataclasses import dataclass

from settings.section import Package


@dataclass(frozen=True)
class Provenance:
    """The exact origin of rows or of a model.

    `name`: for people to read; package and hash, files and hashes, or id and revision. `hub_id`: the id
    on the Hub, None if the source is not on the Hub. `licence`: the SPDX id if the kind of source
    determines the licence; otherwise None, and the licence comes from the profile's `origins`.
    """

    name: str
    hub_id: str | None = None
    licence: str | None = None


def package_name(package: Package) -> str:
    """A package with its version, form and hash."""
    return f"package {package.name} {package.version} ({package.form}, sha256 {package.sha256})"
