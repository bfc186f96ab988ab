"""Put the original pretrained model in place as an ordinary Hugging Face folder."""

from runtime.clock import write_log
from runtime.process import run_stage

from lm.source import BASE, place_model
from settings.read import read_settings


def main() -> None:
    settings = read_settings("base_model")
    place_model(BASE, settings.base_model)
    write_log("base_model")


if __name__ == "__main__":
    run_stage(main)
