"""The toy study, run once by DVC for all workers: names of stages and systems, copies to change."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
BuildOnce = Callable[[str, Callable[[Path], None]], Path]

EVALUATE = {
    "evaluate@original_pretrained",
    "evaluate@original_few_shot",
    "evaluate@sentiment_fine_tuned",
    "evaluate@mixed_fine_tuned",
}
ANSWER = EVALUATE | {"probe"}
TUNE = {"train_sentiment", "train_mixed"}
TRAIN = TUNE | {"train_encoder"}
ALL = {"prepare", "instructify", "mix", "preflight", "base_model", "encoder"}
ALL |= TRAIN | EVALUATE | {"probe", "baselines", "compare"}
MODELS = [name.removeprefix("evaluate@") for name in sorted(EVALUATE)]
CLASSIFIERS = [  # systems without prompts or free answers
    *("encoder_fine_tuned", "original_probe"),
    *("majority", "tfidf_logistic", "vader_lexicon"),
]


def dvc(run_in: Command, folder: Path, *arguments: str) -> str:
    return run_in(folder, "python", "-m", "dvc", *arguments).stdout


def stages_run(run_in: Command, folder: Path) -> set[str]:
    """Run `dvc repro` and return the stages whose commands ran."""
    return stages_named(dvc(run_in, folder, "repro"))


def stages_named(printed: str) -> set[str]:
    """The stages that `dvc repro` ran, from its output."""
    return set(re.findall(r"^Running stage '(.+)':$", printed, re.MULTILINE))


@pytest.fixture(scope="session")
def finished(
    build_once: BuildOnce,
    toy_study: Callable[[Path], None],
    run_in: Command,
    forked_repro: Command,
    no_network: tuple[str, ...],
) -> Path:
    """The toy study, run once (without a network if possible) and committed. No test changes it.

    `test_it_gives_the_same_bytes_in_other_surroundings` runs it with one process per stage.
    """

    def build(folder: Path) -> None:
        toy_study(folder)
        assert stages_named(forked_repro(folder, *no_network).stdout) == ALL
        run_in(folder, "git", "add", "--all")
        run_in(folder, "git", "commit", "--quiet", "--message", "The study, run")

    return build_once("finished/study", build)


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "study", symlinks=True))


def answers_in(adapter: Path) -> None:
    """Check that the adapter loads with base and tokenizer, and generates a token."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(adapter)
    assert any("lora_" in name for name, _ in model.named_parameters())
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    prompt = tokenizer("Is it good?", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=1, do_sample=False, pad_token_id=2)
    assert answer.shape[1] == prompt["input_ids"].shape[1] + 1
