"""Put the pretrained encoder in place as an ordinary Hugging Face folder."""

from runtime.clock import write_log
from runtime.process import run_stage

from lm.source import ENCODER, place_model
from settings.read import read_settings


def main() -> None:
    settings = read_settings("encoder.base")
    place_model(ENCODER, settings.encoder.base)
    write_log("encoder")


if __name__ == "__main__":
    run_stage(main)
