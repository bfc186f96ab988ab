"""Put the original pretrained model in place as an ordinary Hugging Face folder."""

import json
import shutil
from pathlib import Path

from runtime.clock import write_log
from runtime.errors import StudyError
from runtime.files import place_folder, writing
from runtime.process import run_stage

from fetch.cache import hold
from lm.source import IDENTITY, PARTIAL, place_base
from settings.read import read_settings

BASE = Path("models/base")


def main() -> None:
    settings = read_settings("base_model")
    if not IDENTITY.is_file():
        raise StudyError(
            f"{IDENTITY}: no such file; `python stages/preflight.py` or `dvc repro` writes it"
        )
    identity = json.loads(IDENTITY.read_text(encoding="utf-8"))
    with writing(BASE), hold(BASE.parent):
        try:
            place_base(settings.base_model, identity, PARTIAL)
            place_folder(PARTIAL, BASE)
        finally:
            if settings.base_model.kind != "hub":  # a download that was cut goes on in the next run
                shutil.rmtree(PARTIAL, ignore_errors=True)
    write_log("base_model")
    size = sum(file.stat().st_size for file in BASE.iterdir())
    print(f"{BASE}: {size / 1e6:.0f} MB from a {settings.base_model.kind}")


if __name__ == "__main__":
    run_stage(main)
