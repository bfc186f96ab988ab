"""publish pushes adapter and card to a Hub, of a study that is up to date, and never a secret."""

import lm  # isort: skip  # before torch
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from pages.cards import LOADING, PROMPTS
from uploads import UploadHub

assert lm

REPO = Path(__file__).resolve().parents[2]
SYSTEM = "mixed_fine_tuned"
TOKEN = "hf_of_mine"
COMMIT = "c0" * 20
CARD = (
    "---\nlibrary_name: peft\nlicense: mit\n---\n\n# A model\n\n"
    f"{LOADING}\n\n```python\nadapter\n```\n\n{PROMPTS}\n\n```sh\ndvc repro train_mixed\n```\n"
)
PIPELINE = "stages:\n  copy:\n    cmd: cp params.yaml copied\n    deps: [params.yaml]\n    outs: [copied]\n"

Command = Callable[..., subprocess.CompletedProcess[str]]
Publish = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[UploadHub]:
    with UploadHub({TOKEN: "me"}) as running:
        yield running


@pytest.fixture(scope="module")
def trained(
    toy_study: Callable[[Path], None],
    make_study: Callable[[Path], None],
    toy_base: Path,
    run_in: Command,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A study up to date, as `dvc status` sees it: a pipeline of one stage; an adapter and its card."""
    assert toy_study  # for what it sets in the environment
    folder = tmp_path_factory.mktemp("publish") / "study"
    make_study(folder)
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(toy_base), config)
    model.peft_config["default"].base_model_name_or_path = "models/base"
    model.save_pretrained(folder / "models" / SYSTEM)
    card = folder / f"reports/cards/{SYSTEM}.md"
    card.parent.mkdir(parents=True)
    card.write_text(CARD, encoding="utf-8")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / ".gitignore").write_text("__pycache__/\n/models/\n/reports/\n/hf/\n/copied\n")
    run_in(folder, "git", "init", "--quiet")
    run_in(folder, "python", "-m", "dvc", "init", "--quiet")
    run_in(folder, "python", "-m", "dvc", "repro", "--quiet")
    run_in(folder, "git", "add", "--all")
    run_in(folder, "git", "commit", "--quiet", "--message", "The study")
    return folder


@pytest.fixture
def publish(trained: Path, server: UploadHub) -> Publish:
    """Run the script in the study, against the loopback Hub."""

    def run(
        *arguments: str, token: str | None = TOKEN, **more: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
        environment |= {"HF_ENDPOINT": server.url, "HF_HOME": str(trained / "hf")}
        environment |= {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}  # large files by LFS
        environment |= {"PYTHONPATH": str(REPO / "stages")}
        environment |= {} if token is None else {"HF_TOKEN": token}
        return subprocess.run(
            [sys.executable, str(REPO / "scripts/publish.py"), *arguments],
            cwd=trained,
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _files(server: UploadHub, id: str = "me/mine") -> dict[str, bytes]:
    repository = server.repositories["models", id]
    return repository.commits[repository.branches["main"]]


def test_adapter_and_card_are_pushed_to_a_private_repository(
    trained: Path, server: UploadHub, publish: Publish, run_in: Command
) -> None:
    done = publish(SYSTEM, "me/mine")
    assert done.returncode == 0, done.stderr
    assert server.made["me/mine"]["visibility"] == "private"
    files = _files(server)
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    model = trained / "models" / SYSTEM
    weights = model / "adapter_model.safetensors"
    assert files["adapter_model.safetensors"] == weights.read_bytes()
    assert json.loads(files["adapter_config.json"]) == json.loads(
        (model / "adapter_config.json").read_text(encoding="utf-8")
    )
    card = files["README.md"].decode()
    assert ModelCard(card).data.license == "mit"
    assert 'AutoPeftModelForCausalLM.from_pretrained("me/mine")' in card
    commit = run_in(trained, "git", "rev-parse", "HEAD").stdout.strip()
    assert f"git checkout {commit}\ndvc repro train_mixed" in card
    assert f"{server.url}/me/mine/commit/" in done.stdout
    assert f"make export SYSTEM={SYSTEM}" in done.stdout  # this base is on no Hub
    assert server.messages == [f"{SYSTEM}, tuned by instruct-uplift"]
    everywhere = [card, *(done.stdout, done.stderr), *map(repr, files.values())]
    assert not [text for text in everywhere if TOKEN in text]

    again = publish(SYSTEM, "me/mine")  # into the repository that is there now
    assert again.returncode == 0, again.stderr
    assert _files(server) == files


def test_what_was_pushed_loads_as_its_card_says_from_a_base_on_the_hub(
    trained: Path,
    server: UploadHub,
    publish: Publish,
    toy_base: Path,
    change: Callable[[Path, str, object], None],
    monkeypatch: pytest.MonkeyPatch,
    run_in: Command,
) -> None:
    server.add("models", "some/base", toy_base, commit=COMMIT)
    base = {"kind": "hub", "id": "some/base", "revision": COMMIT}
    change(trained / "profiles/small.yaml", "base_model", base)
    try:
        done = publish(SYSTEM, "me/mine")
    finally:
        run_in(trained, "git", "checkout", "--quiet", ".")
    assert done.returncode == 0, done.stderr
    card = _files(server)["README.md"].decode()
    assert "git checkout" not in card  # the working tree was not a commit's
    lines = card.split("```python\n")[1].split("```")[0]
    code = f"{lines}\nprint(model.peft_config['default'].revision, tokenizer('a').input_ids)"
    environment = {"HF_ENDPOINT": server.url, "HF_HOME": str(trained / "hf"), "HF_TOKEN": TOKEN}
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said = run_in(trained, "python", "-c", code, HF_HUB_DISABLE_XET="1", **environment).stdout
    assert said.startswith(f"{COMMIT} [1, ")


def test_a_study_out_of_date_is_not_published(
    trained: Path, server: UploadHub, publish: Publish, run_in: Command
) -> None:
    params = trained / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    done = publish(SYSTEM, "me/mine")
    run_in(trained, "git", "checkout", "--quiet", "params.yaml")
    assert done.returncode == 1
    assert done.stderr.startswith("error: out of date, says dvc status: copy; run `dvc repro`")
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        ([SYSTEM, "me/mine"], None, "no token for the Hub: set HF_TOKEN to one that may write, or"),
        ([SYSTEM, "me/mine"], "hf_wrong", "refuses (401): the token is not valid"),
        ([SYSTEM, "you/yours"], TOKEN, "refuses (403): the token may not write to you/yours"),
        ([SYSTEM, "mine"], TOKEN, "'mine' is no repository of the Hub: say USER/NAME"),
        ([SYSTEM, "me/mi ne"], TOKEN, "'me/mi ne' is no repository of the Hub"),
        (
            ["original_pretrained", "me/mine"],
            TOKEN,
            "no tuned model; there is sentiment_fine_tuned",
        ),
    ],
)
def test_a_refusal_says_why(
    publish: Publish, arguments: list[str], token: str | None, said: str
) -> None:
    done = publish(*arguments, token=token)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert TOKEN not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set: nothing can be pushed"),
    ],
)
def test_a_hub_out_of_reach_is_told(
    publish: Publish, environment: dict[str, str], said: str
) -> None:
    done = publish(SYSTEM, "me/mine", **environment)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
