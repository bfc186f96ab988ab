"""How a model card names where rows or a base model come from."""

from dataclasses import dataclass

from settings.section import Package


@dataclass(frozen=True)
class Provenance:
    """`name` pins rows or a model for people: package and hash, files and hashes, id and revision.

    `hub_id` is the id on the Hub, where the kind of source has one. `licence` is the SPDX id, where
    the kind itself fixes the licence; other licences come from the profile's `origins`.
    """

    name: str
    hub_id: str | None = None
    licence: str | None = None


def package_name(package: Package) -> str:
    """A package with its version, form and hash."""
    return f"package {package.name} {package.version} ({package.form}, sha256 {package.sha256})"
