"""Real tweets and real Alpaca rows as `files` sources: the same pipeline, by settings alone."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from runtime.hashing import sha256_of

import pyarrow.parquet as pq
import pytest
import yaml

from rows.splitting import FATES

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("INSTRUCT_UPLIFT_SHARED_DATA", REPO.parent / "shared/data"))
TWEETS = {
    split: DATA / f"sentiment140/{split}.parquet" for split in ("train", "validation", "test")
}
ALPACA = DATA / "alpaca/train.parquet"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        not all(path.is_file() for path in (*TWEETS.values(), ALPACA)),
        reason=f"no shared data in {DATA} (INSTRUCT_UPLIFT_SHARED_DATA names another folder)",
    ),
]


def test_the_pipeline_runs_on_other_data_by_settings_alone(
    tmp_path: Path,
    toy_base: Path,
    run_stage: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    params = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    params["mix"] = {"general_rows": 16, "general_share": None}
    profile = yaml.safe_load((REPO / "profiles/pocket.yaml").read_text(encoding="utf-8"))
    profile["sources"] = {
        "labelled": {
            "kind": "files",
            "splits": {split: str(path) for split, path in TWEETS.items()},
            "sha256": {split: sha256_of(path) for split, path in TWEETS.items()},
            "columns": {"text": "text", "label": "feeling"},
            "label_values": {0: "negative", 1: "positive"},
            "take": {"train": 32, "validation": 8, "test": 24},
        },
        "general": [
            {
                "kind": "files",
                "splits": {"train": str(ALPACA)},
                "sha256": {"train": sha256_of(ALPACA)},
                "test_share": 0.01,
                "take": {"train": 64, "test": 8},
            }
        ],
    }
    profile["base_model"] = {"kind": "path", "path": str(toy_base)}
    profile["train"].update(
        lora_layers=None, max_length=2048, gradient_accumulation=1, validate_every=2
    )
    profile["evaluate"].update(
        max_new_tokens_labelled=3, max_new_tokens_general=4, max_new_tokens_ten=4
    )
    shutil.copytree(REPO / "templates", tmp_path / "templates")
    shutil.copytree(REPO / "data/raw", tmp_path / "data/raw")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / f"profiles/{params['profile']}.yaml").write_text(
        yaml.safe_dump(profile), encoding="utf-8"
    )

    for stage in (
        *("prepare", "instructify", "mix", "preflight", "base_model"),
        *("train sentiment", "evaluate sentiment_fine_tuned"),
    ):
        done = run_stage(tmp_path, *stage.split(), OMP_NUM_THREADS="1")
        assert done.returncode == 0, f"{stage}:\n{done.stderr}"

    account = json.loads((tmp_path / "metrics/prepare.json").read_text(encoding="utf-8"))
    for task, splits in (
        ("labelled", account["labelled"]),
        ("general", account["general"]["source_0"]),
    ):
        for split, told in splits.items():
            assert told["in"] + told["moved_in"] == sum(
                count for name, count in told.items() if name not in ("in", "moved_in")
            )
            table = pq.read_table(tmp_path / f"data/prepared/{task}/{split}.parquet")
            assert len(table) == told["out"] > 0
    assert {split: told["in"] for split, told in account["labelled"].items()} == {
        split: pq.read_metadata(path).num_rows for split, path in TWEETS.items()
    }
    assert (
        account["labelled"]["train"]["leaks"] >= 41
    )  # the loose twins that the data's own note counts
    assert account["general"]["source_0"]["train"]["in"] == pq.read_metadata(ALPACA).num_rows
    rejected = sum(told["rejected"] for told in account["general"]["source_0"].values())
    assert rejected == 4  # blank outputs
    aside = pq.read_table(tmp_path / "data/prepared/rejected.parquet")
    assert len(aside) == sum(
        told[kind]
        for splits in (account["labelled"], account["general"]["source_0"])
        for told in splits.values()
        for kind in FATES
    )
    metrics = json.loads(
        (tmp_path / "metrics/evaluate/sentiment_fine_tuned.json").read_text(encoding="utf-8")
    )
    assert (metrics["n"], metrics["general"]["n"]) == (24, 8)
