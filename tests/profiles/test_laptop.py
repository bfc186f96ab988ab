"""The profile `laptop` runs to the end: public rows, a base from the Hub."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hub import Hub

pytestmark = pytest.mark.faults


def test_the_profile_runs_to_the_end(run_profile: Callable[[str], Path], hub: Hub) -> None:
    folder = run_profile("laptop")
    base = yaml.safe_load((folder / "profiles/laptop.yaml").read_text())["base_model"]
    origin = json.loads((folder / "models/base/origin.json").read_text())
    assert origin == {"id": base["id"], "revision": base["revision"], "commit": base["revision"]}
    checksums = json.loads((folder / "data/checksums.json").read_text())
    assert [url.rsplit("/", 1)[-1] for url in checksums] == ["test_62k.txt", "train_150k.txt"]
    told = json.loads((folder / "metrics/prepare.json").read_text())
    assert (told["labelled"]["train"]["in"], told["labelled"]["test"]["in"]) == (600, 300)
    assert told["general"]["source_0"]["train"]["in"] == 200
    systems = json.loads((folder / "metrics/compare.json").read_text())["systems"]
    assert {"original_pretrained", "sentiment_fine_tuned", "mixed_fine_tuned"} <= systems.keys()
    names = [request.path.rsplit("/", 1)[-1] for request in hub.requests if request.method == "GET"]
    for name in ("train_150k.txt", "model-00001-of-00002.safetensors"):
        assert names.count(name) == 1
