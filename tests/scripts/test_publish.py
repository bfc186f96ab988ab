"""publish pushes a model and its card to a Hub if the study is up to date, and never pushes a secret."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from runtime.errors import StudyError

import publish
import pytest
import torch
from huggingface_hub import ModelCard, constants, snapshot_download
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, pipeline

from lm.encoder import load_pretrained, save_encoder
from pages.cards import LOADING
from uploads import UploadHub

SYSTEM = "mixed_fine_tuned"
ENCODER = "encoder_fine_tuned"
TOKEN = "hf_of_mine"
COMMIT = "c0" * 20
CARD = (
    "---\nlibrary_name: peft\nlicense: mit\n---\n\n# A model\n\n"
    f"{LOADING}\n\n```python\nadapter\n```\n\nIt reads prompts.\n\n```sh\ndvc repro train_mixed\n```\n"
)
PIPELINE = "stages:\n  copy:\n    cmd: cp params.yaml copied\n    deps: [params.yaml]\n    outs: [copied]\n"

Command = Callable[..., subprocess.CompletedProcess[str]]
Publish = Callable[..., None]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    """A Hub on loopback where "me" may write; the library uses this Hub and the token."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with UploadHub({TOKEN: "me"}) as running:
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # large files by LFS
        yield running


@pytest.fixture(scope="module")
def trained(
    toy_study: Callable[[Path], None],
    make_study: Callable[[Path], None],
    toy_base: Path,
    toy_bert: Path,
    run_in: Command,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A study that is up to date (a pipeline with one stage), with an adapter, an encoder and their cards."""
    del toy_study  # requested because it sets environment variables
    folder = tmp_path_factory.mktemp("publish") / "study"
    make_study(folder)
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(toy_base), config)
    model.peft_config["default"].base_model_name_or_path = "models/base"
    model.save_pretrained(folder / "models" / SYSTEM, save_embedding_layers=False)
    card = folder / f"reports/cards/{SYSTEM}.md"
    card.parent.mkdir(parents=True)
    card.write_text(CARD, encoding="utf-8")
    encoder = load_pretrained(toy_bert, ["negative", "positive"], 24)
    save_encoder(encoder, folder / "models" / ENCODER)
    (folder / f"reports/cards/{ENCODER}.md").write_text(CARD, encoding="utf-8")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / ".gitignore").write_text("/models/\n/reports/\n/copied\n", encoding="utf-8")
    run_in(folder, "git", "init", "--quiet")
    run_in(folder, "python", "-m", "dvc", "init", "--quiet")
    run_in(folder, "python", "-m", "dvc", "repro", "--quiet")
    run_in(folder, "git", "add", "--all")
    run_in(folder, "git", "commit", "--quiet", "--message", "The study")
    return folder


@pytest.fixture
def run(
    trained: Path, server: UploadHub, monkeypatch: pytest.MonkeyPatch, run_in: Command
) -> Iterator[Publish]:
    """Run the script in the study against the loopback Hub; restore the study's files afterwards."""
    monkeypatch.chdir(trained)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["publish.py", *arguments])
        publish.main()

    yield run
    run_in(trained, "git", "checkout", "--quiet", ".")


def _files(server: UploadHub) -> dict[str, bytes]:
    repository = server.repositories["models", "me/mine"]
    return repository.commits[repository.branches["main"]]


def test_adapter_and_card_are_pushed_to_a_private_repository(
    trained: Path,
    server: UploadHub,
    run: Publish,
    run_in: Command,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run(SYSTEM, "me/mine")
    printed = capfd.readouterr()
    assert server.made["me/mine"]["visibility"] == "private"
    assert server.messages == [f"{SYSTEM}, tuned by instruct-uplift"]
    files = _files(server)
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    model = trained / "models" / SYSTEM
    assert files["adapter_model.safetensors"] == (model / "adapter_model.safetensors").read_bytes()
    config = json.loads((model / "adapter_config.json").read_text(encoding="utf-8"))
    assert json.loads(files["adapter_config.json"]) == config
    card = files["README.md"].decode()
    assert ModelCard(card).data.license == "mit"
    assert 'AutoPeftModelForCausalLM.from_pretrained("me/mine")' in card
    commit = run_in(trained, "git", "rev-parse", "HEAD").stdout.strip()
    assert f"git checkout {commit}\ndvc repro train_mixed" in card
    assert f"{server.url}/me/mine/commit/" in printed.out
    assert f"`make export SYSTEM={SYSTEM}` writes a complete model" in printed.out
    assert not [text for text in (*printed, *map(repr, files.values())) if TOKEN in text]

    run(SYSTEM, "me/mine")  # the repository exists now
    assert _files(server) == files


def test_an_encoder_is_pushed_whole_and_loads_as_its_card_says(
    trained: Path,
    server: UploadHub,
    run: Publish,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    run(ENCODER, "me/mine")
    assert "make export" not in capsys.readouterr().out
    files = _files(server)
    folder = trained / "models" / ENCODER
    assert set(files) == {"README.md", *(file.name for file in folder.iterdir())}
    assert 'pipeline("text-classification", model="me/mine")' in files["README.md"].decode()
    pulled = Path(snapshot_download("me/mine", cache_dir=tmp_path / "pulled"))
    classify = pipeline("text-classification", model=str(pulled), device="cpu")
    expected = pipeline("text-classification", model=str(folder), device="cpu")
    assert classify("a lovely day") == expected("a lovely day")


def test_what_was_pushed_loads_as_its_card_says_from_a_base_on_the_hub(
    trained: Path,
    server: UploadHub,
    run: Publish,
    toy_base: Path,
    change: Callable[[Path, str, object], None],
    run_in: Command,
    tmp_path: Path,
) -> None:
    server.add("models", "some/base", toy_base, commit=COMMIT)
    base = {"kind": "hub", "id": "some/base", "revision": COMMIT}
    change(trained / "profiles/small.yaml", "base_model", base)
    run(SYSTEM, "me/mine")
    card = _files(server)["README.md"].decode()
    assert "git checkout" not in card  # the working tree differs from the commit
    lines = card.split("```python\n")[1].split("```")[0]
    code = f"{lines}\nprint(model.peft_config['default'].revision, tokenizer('a').input_ids)"
    environment = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    assert run_in(tmp_path, "python", "-c", code, **environment).stdout.startswith(f"{COMMIT} [1, ")


def test_a_base_named_by_a_branch_is_published_at_the_commit_that_was_fetched(
    trained: Path,
    server: UploadHub,
    run: Publish,
    change: Callable[[Path, str, object], None],
) -> None:
    base = {"kind": "hub", "id": "some/base", "revision": "main"}
    change(trained / "profiles/small.yaml", "base_model", base)
    record = trained / "models/base/origin.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"id": "some/base", "revision": "main", "commit": COMMIT}))
    run(SYSTEM, "me/mine")
    assert json.loads(_files(server)["adapter_config.json"])["revision"] == COMMIT
    assert f'"some/base", revision="{COMMIT}"' in _files(server)["README.md"].decode()


def test_a_study_out_of_date_is_not_published(
    trained: Path, server: UploadHub, run: Publish
) -> None:
    params = trained / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    with pytest.raises(
        StudyError, match="dvc status reports stages out of date: copy; run `dvc repro`"
    ):
        run(SYSTEM, "me/mine")
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        ([SYSTEM, "me/mine"], "", "no token for the Hub: set HF_TOKEN to a token with write"),
        ([SYSTEM, "me/mine"], "hf_wrong", r"refuses \(401\): the token is not valid"),
        ([SYSTEM, "you/a"], TOKEN, r"refuses \(403\): the token may not write to you/a"),
        ([SYSTEM, "mine"], TOKEN, "'mine' is not a repository name: write USER/NAME"),
        ([SYSTEM, "me/mi ne"], TOKEN, "'me/mi ne' is not a repository name"),
        (["original_pretrained", "me/a"], TOKEN, "not a trained model; choose from sentiment_f"),
    ],
)
def test_a_refusal_says_why(
    run: Publish,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    token: str,
    message: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(StudyError, match=message) as raised:
        run(*arguments)
    assert not token or token not in str(raised.value)


@pytest.mark.parametrize(
    ("constant", "value", "message"),
    [
        ("ENDPOINT", "http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"),
        ("HF_HUB_OFFLINE", True, "HF_HUB_OFFLINE is set: no push is possible"),
    ],
)
def test_an_unreachable_hub_is_reported(
    run: Publish, monkeypatch: pytest.MonkeyPatch, constant: str, value: object, message: str
) -> None:
    monkeypatch.setattr(constants, constant, value)
    with pytest.raises(StudyError, match=message):
        run(SYSTEM, "me/mine")


def test_a_card_that_the_hub_rejects_is_reported(server: UploadHub, run: Publish) -> None:
    server.mistakes = ['"license" must be one of apache-2.0, mit, other']
    with pytest.raises(StudyError, match=r'rejects the card: .* "license" must be one of'):
        run(SYSTEM, "me/mine")
