"""Put the original pretrained model in place as an ordinary Hugging Face folder."""

import shutil
from pathlib import Path

from command import run_stage, write_log
from lm.source import place_base
from settings import read_settings

BASE = Path("models/base")


def main() -> None:
    settings = read_settings("base_model")
    partial = BASE.with_name(".base.partial")  # outside of what DVC removes before a stage runs
    try:
        place_base(settings.base_model, partial)
        shutil.rmtree(BASE, ignore_errors=True)
        partial.replace(BASE)
    finally:
        if settings.base_model.kind != "hub":  # a download that was cut goes on in the next run
            shutil.rmtree(partial, ignore_errors=True)
    write_log("base_model")
    size = sum(file.stat().st_size for file in BASE.iterdir())
    print(f"{BASE}: {size / 1e6:.0f} MB from a {settings.base_model.kind}")


if __name__ == "__main__":
    run_stage(main)
