"""The settings `base_model` and `encoder.base` of a profile: one class for each kind of source.

`lm.source` fetches the models.
"""

from typing import Annotated, Literal

from pydantic import Field

from settings.provenance import Provenance, package_name
from settings.section import Package, Section, Sha256


class PackageBase(Section):
    """A GGUF file inside a package of the package index."""

    kind: Literal["package"]
    package: Package
    gguf: str

    def provenance(self) -> Provenance:
        """The GGUF file and the package's version and hash."""
        return Provenance(f"{self.gguf} of {package_name(self.package)}")


class PackageEncoder(Section):
    """A model folder in an archive inside a package of the package index.

    `archive`: names of nested zip or tar files inside the package, outermost first. The last archive
    contains the model.
    """

    kind: Literal["package"]
    package: Package
    archive: Annotated[list[str], Field(min_length=1)]

    def provenance(self) -> Provenance:
        """The archive and the package's version and hash."""
        return Provenance(f"{'/'.join(self.archive)} of {package_name(self.package)}")


class PathBase(Section):
    """A Hugging Face folder on this computer."""

    kind: Literal["path"]
    path: str
    sha256: Sha256 | None = None

    def provenance(self) -> Provenance:
        """The folder, and the hash of its files if the profile states one."""
        return Provenance(self.path + (f" (sha256 {self.sha256})" if self.sha256 else ""))


class HubBase(Section):
    """A model repository on the Hub."""

    kind: Literal["hub"]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    # A commit, a branch or a tag.
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]

    def provenance(self) -> Provenance:
        """The id at its revision."""
        return Provenance(f"{self.id} at {self.revision}", hub_id=self.id)


BaseModelSource = PackageBase | PathBase | HubBase
BaseModelSection = Annotated[BaseModelSource, Field(discriminator="kind")]

EncoderSource = PackageEncoder | PathBase | HubBase
EncoderSection = Annotated[EncoderSource, Field(discriminator="kind")]
