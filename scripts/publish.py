"""Push a tuned model's adapter and its card to the Hub: `publish.py SYSTEM USER/NAME`.

A repository that is not there yet is made, private; one that is there keeps its visibility. The token is
that of `HF_TOKEN` or of `hf auth login`. Refused while `dvc status` finds anything out of date: a card
tells of the very model beside it.
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

from pages.cards import BaseSource, published
from pages.report import TUNED
from settings.model import HubBase, Precision
from settings.read import read_settings


def main() -> None:
    system, repo = _arguments()
    settings = read_settings("base_model", "precision")
    if get_token() is None:
        raise StudyError(
            "there is no token for the Hub: set HF_TOKEN to one that may write, or run `hf auth login`"
        )
    require_up_to_date()
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch), system, repo, settings.base_model, settings.precision)
        print(f"{system}: {push(Path(scratch), system, repo)}")
    if not isinstance(settings.base_model, HubBase):
        print(
            "Its base is in no repository of the Hub in just this form, so that others need a checkout of "
            f"the study to load it; `make export SYSTEM={system}` makes a model that stands by itself."
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


def fill(folder: Path, system: str, repo: str, base: BaseSource, precision: Precision) -> None:
    """Put what is pushed into `folder`: the adapter, pointing at its base on the Hub, and the card."""
    model = Path("models") / system
    for file in model.glob("*.safetensors"):
        shutil.copyfile(file, folder / file.name)
    config = json.loads((model / "adapter_config.json").read_text(encoding="utf-8"))
    if isinstance(base, HubBase):
        base = at_commit(base)
        config |= {"base_model_name_or_path": base.id, "revision": base.revision}
    write_json(folder / "adapter_config.json", config)
    card = Path(f"reports/cards/{system}.md").read_text(encoding="utf-8")
    write_text(folder / "README.md", published(card, repo, base, precision, known_commit()))


def at_commit(base: HubBase) -> HubBase:
    """The base at the commit that was fetched, where the profile names a branch or a tag."""
    record = Path("models/base/origin.json")
    if not record.is_file():
        return base
    commit = json.loads(record.read_text(encoding="utf-8"))["commit"]
    return base.model_copy(update={"revision": commit})


def known_commit() -> str | None:
    """The study's commit; None where the working tree is not just that commit's."""
    changed = _git("status", "--porcelain")
    return None if changed != "" else _git("rev-parse", "HEAD")


def push(folder: Path, system: str, repo: str) -> str:
    """Make the repository where there is none, commit the folder's files; the commit's address."""
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
        said = hints.get(error.response.status_code, error.server_message or str(error))
        raise StudyError(
            f"{constants.ENDPOINT} refuses ({error.response.status_code}): {said}"
        ) from None
    except (HTTPError, OSError) as error:
        raise StudyError(f"{constants.ENDPOINT} cannot be reached: {error}") from None
    except ValueError as error:  # the library's, where the Hub's check of the card finds a mistake
        said = " ".join(str(error).split())
        raise StudyError(f"{constants.ENDPOINT} does not take the card: {said}") from None
    return str(done.commit_url)


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()


def _arguments() -> tuple[str, str]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help=f"one of {', '.join(TUNED)}")
    parser.add_argument("repo", help="the repository on the Hub, as USER/NAME")
    given = parser.parse_args()
    if given.system not in TUNED:
        raise StudyError(f"{given.system}: no tuned model; there is {', '.join(TUNED)}")
    try:
        validate_repo_id(given.repo)
    except HFValidationError as error:
        raise StudyError(f"{given.repo!r} is no repository of the Hub: {error}") from None
    if "/" not in given.repo:
        raise StudyError(f"{given.repo!r} is no repository of the Hub: say USER/NAME")
    return given.system, given.repo


if __name__ == "__main__":
    run_stage(main)
