"""Push a trained system's model and its card to the Hub: `publish.py SYSTEM USER/NAME`.

A new repository is private; an existing repository keeps its visibility. The token comes from `HF_TOKEN`
or `hf auth login`. The script pushes nothing while `dvc status` reports anything out of date, because a card
must describe exactly the model in its repository.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from runtime.errors import StudyError
from runtime.files import write_json, write_text
from runtime.process import run_stage

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import validate_repo_id

from pages.cards import published, published_encoder
from settings.base_model import BaseModelSource, HubBase
from settings.model import Precision
from settings.read import read_settings
from systems import Trained, systems_of


def main() -> None:
    settings = read_settings("task", "base_model", "precision")
    system, repo = _arguments(settings.task)
    if get_token() is None:
        raise StudyError(
            "no token for the Hub: set HF_TOKEN to a token with write permission, or run `hf auth login`"
        )
    require_up_to_date()
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch), system, repo, settings.base_model, settings.precision)
        print(f"{system.name}: {push(Path(scratch), system.name, repo)}")
    if system.kind == "tuned" and not isinstance(settings.base_model, HubBase):
        print(
            "The Hub has no repository with exactly its base model, so others need a checkout of the study "
            f"to load it; `make export SYSTEM={system.name}` writes a complete model."
        )


def require_up_to_date() -> None:
    """Raise `StudyError` if DVC reports anything changed, missing, or never run."""
    process = subprocess.run(
        ["dvc", "status", "--json"], capture_output=True, text=True, check=False
    )
    if process.returncode:
        last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise StudyError(f"dvc status failed: {last_line}")
    changed = json.loads(process.stdout)
    if changed:
        raise StudyError(
            f"dvc status reports stages out of date: {', '.join(changed)}; run `dvc repro` before you publish"
        )


def fill(
    folder: Path, system: Trained, repo: str, base: BaseModelSource, precision: Precision
) -> None:
    """Write the files to push into `folder`: the model and its card.

    An adapter's config names its base on the Hub. An encoder is a complete model with its tokenizer.
    """
    card = Path(f"reports/cards/{system.name}.md").read_text(encoding="utf-8")
    if system.kind == "encoder":
        shutil.copytree(system.folder, folder, dirs_exist_ok=True)
        write_text(folder / "README.md", published_encoder(card, repo, known_commit()))
        return
    for file in system.folder.glob("*.safetensors"):
        shutil.copyfile(file, folder / file.name)
    config = json.loads((system.folder / "adapter_config.json").read_text(encoding="utf-8"))
    if isinstance(base, HubBase):
        base = at_commit(base)
        config |= {"base_model_name_or_path": base.id, "revision": base.revision}
    write_json(folder / "adapter_config.json", config)
    write_text(folder / "README.md", published(card, repo, base, precision, known_commit()))


def at_commit(base: HubBase) -> HubBase:
    """The base with the downloaded commit as its revision, in place of a branch or a tag."""
    record = Path("models/base/origin.json")
    if not record.is_file():
        return base
    commit = json.loads(record.read_text(encoding="utf-8"))["commit"]
    return base.model_copy(update={"revision": commit})


def known_commit() -> str | None:
    """The study's commit; None if the working tree differs from it."""
    changed = _git("status", "--porcelain")
    return None if changed != "" else _git("rev-parse", "HEAD")


def push(folder: Path, system: str, repo: str) -> str:
    """Commit the folder's files to the new or existing repository; return the commit's URL."""
    api = HfApi()
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=f"{system}, tuned by instruct-uplift"
        )
    except OfflineModeIsEnabled:
        raise StudyError("HF_HUB_OFFLINE is set: no push is possible") from None
    except HfHubHTTPError as error:
        hints = {
            401: "the token is not valid; create one under Settings, Access Tokens",
            403: f"the token may not write to {repo}; it needs write permission, and the repository must "
            "be yours or your organisation's",
        }
        status = error.response.status_code
        reason = hints.get(status, error.server_message or str(error))
        raise StudyError(f"{constants.ENDPOINT} refuses ({status}): {reason}") from None
    except (HTTPError, OSError) as error:
        raise StudyError(f"{constants.ENDPOINT} cannot be reached: {error}") from None
    except ValueError as error:  # raised by the Hub's check of the card
        reason = " ".join(str(error).split())
        raise StudyError(f"{constants.ENDPOINT} rejects the card: {reason}") from None
    return str(commit.commit_url)


def _git(*arguments: str) -> str | None:
    process = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return None if process.returncode else process.stdout.strip()


def _arguments(task: str) -> tuple[Trained, str]:
    trained = {system.name: system for system in systems_of(task).trained}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help=f"one of {', '.join(trained)}")
    parser.add_argument("repo", help="the repository on the Hub, as USER/NAME")
    arguments = parser.parse_args()
    name, repo = arguments.system, arguments.repo
    if name not in trained:
        raise StudyError(f"{name}: not a trained model; choose from {', '.join(trained)}")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise StudyError(f"{repo!r} is not a repository name: {error}") from None
    if "/" not in repo:
        raise StudyError(f"{repo!r} is not a repository name: write USER/NAME")
    return trained[name], repo


if __name__ == "__main__":
    run_stage(main)
