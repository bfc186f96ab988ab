"""A public profile run to the end against a Hub on loopback: its stages, one after another."""

import io
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from hub import Hub

REPO = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("INSTRUCT_UPLIFT_SHARED_DATA", REPO.parent / "shared/data"))

# The amount of work, and nothing else of a profile or of params.yaml.
LESS: dict[str, Any] = {
    "sources.labelled.expected_rows": {"train": 600, "test": 300},
    "sources.labelled.take": {"train": 24, "validation": 8, "test": 16},
    "sources.general.0.expected_rows": {"train": 200},
    "sources.general.0.take": {"train": 16, "test": 4},
    "sources.general.1.train": 16,
    "sources.general.1.test_seen": 6,
    "sources.general.1.test_held_out": 4,
    "encoder.max_length": 32,
    "train.batch_size": 8,
    "train.warmup_steps": 1,
    "train.validate_every": 2,
    "evaluate.batch_size": 32,
    "evaluate.max_new_tokens_labelled": 3,
    "evaluate.max_new_tokens_general": 4,
    "evaluate.max_new_tokens_ten": 4,
    "evaluate.max_new_tokens_hundred": 4,
    "evaluate.few_shot_examples": 2,
}
LESS_PARAMS: dict[str, Any] = {"mix.general_rows": 12, "instructify.wording_rows": 6}


@pytest.fixture(scope="session")
def tweets() -> dict[str, bytes]:
    """600 and 300 tweets as the study's two files have them: label TAB text, no header, no quotes."""
    content = {}
    for split, count in (("train", 600), ("test", 300)):
        path = DATA / f"sentiment140/{split}.parquet"
        if path.is_file():
            rows = pq.read_table(path).slice(0, count).to_pylist()
        else:
            rows = [{"text": text, "feeling": at % 2} for at, text in enumerate(made(count, split))]
        lines = [f"{row['feeling']}\t{' '.join(row['text'].split())}\n" for row in rows]
        content[split] = "".join(lines).encode()
    return content


@pytest.fixture(scope="session")
def alpaca() -> bytes:
    """200 instructions in Alpaca's own columns."""
    path = DATA / "alpaca/train.parquet"
    if path.is_file():
        rows = pq.read_table(path).slice(0, 200).select(["instruction", "input", "output"])
    else:
        texts = {name: made(200, name) for name in ("instruction", "input", "output")}
        rows = pa.table(texts)
    rows = rows.append_column("text", pa.array(["the three as one text"] * len(rows)))
    content = io.BytesIO()
    pq.write_table(rows, content)
    return content.getvalue()


def made(count: int, seed: str) -> list[str]:
    """Where no shared data lies: texts of twelve words each, no two alike."""
    words = sorted(set((REPO / "data/raw/general_instructions.jsonl").read_text("utf-8").split()))
    draw = random.Random(seed)
    return [" ".join(draw.sample(words, 12)) for _ in range(count)]


STAGES = (
    *("prepare", "instructify", "mix", "preflight", "base_model", "encoder"),
    *("train sentiment", "train mixed", "train_encoder"),
    *("evaluate original_pretrained", "evaluate original_few_shot"),
    *(
        "evaluate sentiment_fine_tuned",
        "evaluate mixed_fine_tuned",
        "probe",
        "baselines",
        "compare",
    ),
)
# Each stage in a process of its own, as by hand; what they import is loaded once, before the forks.
RUN = """
import gc, importlib, os, sys, traceback
sys.path.insert(0, sys.argv[1])
import lm
import peft, transformers.models.mistral.modeling_mistral
stages = [stage.split() for stage in sys.argv[2:]]
for name, *_ in stages:
    importlib.import_module(name)
gc.freeze()
for name, *arguments in stages:
    child = os.fork()
    if not child:
        sys.argv = [f"stages/{name}.py", *arguments]
        status = 1
        try:
            sys.modules[name].run_stage(sys.modules[name].main)
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)  # without taking torch down, which costs more than most stages here
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} {arguments} failed")
"""


@pytest.fixture
def run_profile(
    hub: Hub,
    toy_shards: Path,
    toy_bert: Path,
    tweets: dict[str, bytes],
    alpaca: bytes,
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    change: Callable[[Path, str, object], None],
    tmp_path: Path,
) -> Callable[[str], Path]:
    """Run every stage of the profile of this name; give the study's folder."""

    def run(name: str) -> Path:
        folder = tmp_path / "study"
        for each in ("data/raw", "data/replicates", "templates"):
            if (REPO / each).exists():
                shutil.copytree(REPO / each, folder / each)
        (folder / "profiles").mkdir()
        shutil.copyfile(REPO / "params.yaml", folder / "params.yaml")
        for key, value in {"profile": name, **LESS_PARAMS}.items():
            change(folder / "params.yaml", key, value)
        path = folder / f"profiles/{name}.yaml"
        text = (REPO / path.relative_to(folder)).read_text(encoding="utf-8")
        text = text.replace("https://raw.githubusercontent.com", hub.url)
        path.write_text(text, encoding="utf-8")
        for key, value in LESS.items():
            change(path, key, value)

        profile = yaml.safe_load(text)
        base, general = profile["base_model"], profile["sources"]["general"][0]
        hub.add("models", base["id"], toy_shards, commit=base["revision"])
        encoder = profile["encoder"]["base"]
        hub.add("models", encoder["id"], toy_bert, commit=encoder["revision"])
        file = "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet"
        hub.add("datasets", general["id"], {file: alpaca}, commit=general["revision"])
        for split, url in profile["sources"]["labelled"]["splits"].items():
            hub.plain[urlsplit(url).path] = tweets[split]

        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
        command = ("python", "-c", RUN, str(REPO / "stages"), *STAGES)
        run_in(folder, *command, OMP_NUM_THREADS="1", **environment)
        return folder

    return run
