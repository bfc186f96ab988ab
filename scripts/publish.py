"""Push a trained system's model and its card to the Hub: `publish.py SYSTEM USER/NAME`.

A new repository is private; an existing repository keeps its visibility. The token comes from `HF_TOKEN`
or `hf auth login`. While `dvc status` reports anything out of date, nothing is pushed: a card describes
exactly the model beside it.
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
            "there is no token for the Hub: set HF_TOKEN to one that may write, or run `hf auth login`"
        )
    require_up_to_date()
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch), system, repo, settings.base_model, settings.precision)
        print(f"{system.name}: {push(Path(scratch), system.name, repo)}")
    if system.kind == "tuned" and not isinstance(settings.base_model, HubBase):
        print(
            "Its base is in no repository of the Hub in just this form, so that others need a checkout of "
            f"the study to load it; `make export SYSTEM={system.name}` makes a model that stands by itself."
        )


def require_up_to_date() -> None:
    """Raise `StudyError` where DVC finds anything changed, missing, or never run."""
    done = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise StudyError(f"dvc status failed: {last}")
    changed = json.loads(done.stdout)
    if changed:
        raise StudyError(
            f"out of date, says dvc status: {', '.join(changed)}; run `dvc repro` before you publish"
        )


def fill(
    folder: Path, system: Trained, repo: str, base: BaseModelSource, precision: Precision
) -> None:
    """Write the files to push into `folder`: the model and its card.

    An adapter points at its base on the Hub. An encoder is a whole model, tokenizer included.
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
    """The base at the commit that was fetched, where the profile names a branch or a tag."""
    record = Path("models/base/origin.json")
    if not record.is_file():
        return base
    commit = json.loads(record.read_text(encoding="utf-8"))["commit"]
    return base.model_copy(update={"revision": commit})


def known_commit() -> str | None:
    """The study's commit; None where the working tree differs from the commit."""
    changed = _git("status", "--porcelain")
    return None if changed != "" else _git("rev-parse", "HEAD")


def push(folder: Path, system: str, repo: str) -> str:
    """Commit the folder's files to the repository, new or existing; return the commit's URL."""
    api = HfApi()
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=f"{system}, tuned by instruct-uplift"
        )
    except OfflineModeIsEnabled:
        raise StudyError("HF_HUB_OFFLINE is set: nothing can be pushed") from None
    except HfHubHTTPError as error:
        hints = {
            401: "the token is not valid; make one under Settings, Access Tokens",
            403: f"the token may not write to {repo}; it needs the right to write, and the repository to "
            "be yours or your organisation's",
        }
        status = error.response.status_code
        reason = hints.get(status, error.server_message or str(error))
        raise StudyError(f"{constants.ENDPOINT} refuses ({status}): {reason}") from None
    except (HTTPError, OSError) as error:
        raise StudyError(f"{constants.ENDPOINT} cannot be reached: {error}") from None
    except ValueError as error:  # the Hub's check of the card has found a mistake
        reason = " ".join(str(error).split())
        raise StudyError(f"{constants.ENDPOINT} does not take the card: {reason}") from None
    return str(done.commit_url)


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()


def _arguments(task: str) -> tuple[Trained, str]:
    trained = {system.name: system for system in systems_of(task).trained}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help=f"one of {', '.join(trained)}")
    parser.add_argument("repo", help="the repository on the Hub, as USER/NAME")
    arguments = parser.parse_args()
    name, repo = arguments.system, arguments.repo
    if name not in trained:
        raise StudyError(f"{name}: no trained model; there is {', '.join(trained)}")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise StudyError(f"{repo!r} is no repository of the Hub: {error}") from None
    if "/" not in repo:
        raise StudyError(f"{repo!r} is no repository of the Hub: say USER/NAME")
    return trained[name], repo


if __name__ == "__main__":
    run_stage(main)
