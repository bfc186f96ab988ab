"""One-line edits of the toy study, and exactly the stages that DVC reruns after each edit."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ALL, ANSWER, EVALUATE, TRAIN, TUNE, Command, stages_run


@pytest.fixture(scope="module")
def status(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., set[str]]:
    """Replace `old` with `new` in a file of a copy, return the stages that DVC reports as changed, undo.

    A missing file counts as empty.
    """
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("changes") / "study"
    shutil.copytree(finished, folder, symlinks=True)
    shutil.copyfile(folder / "templates/sentiment.yaml", folder / "templates/other.yaml")

    def status(file: str, old: str, new: str) -> set[str]:
        is_new = not (folder / file).exists()
        text = "" if is_new else (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        try:
            with Repo(str(folder)) as repo:
                return {name.rsplit(":", 1)[-1] for name in repo.status()}
        finally:
            (folder / file).write_text(text, encoding="utf-8")
            if is_new:
                (folder / file).unlink()

    return status


POCKET = "profiles/pocket.yaml"
ORDER = (
    "prepare",
    "instructify",
    "mix",
    "preflight",
    "base_model",
    "encoder",
    "train_encoder",
    "probe",
    "baselines",
    "compare",
)
COMMENT = ("", "# a comment\n")  # inserted at the beginning of a file
FETCH = {"prepare", "preflight", "base_model", "encoder"}
FETCH |= {"compare"}  # it names the origin of every source
# {name: (file, old text, new text, changed stages)}. Later stages rerun only if the results of these
# stages differ.
CHANGES: dict[str, tuple[str, str, str, set[str]]] = {
    # settings of the study
    "nothing": ("params.yaml", "\nseed: 42", "\nseed: 42", set()),
    "seed": (
        *("params.yaml", "\nseed: 42", "\nseed: 43"),
        ALL - {"preflight", "base_model", "encoder"} - TRAIN,
    ),
    "training_seed": ("params.yaml", "training_seed: 42", "training_seed: 43", TRAIN | {"compare"}),
    "prompt_format": (
        *("params.yaml", "prompt_format: alpaca", "prompt_format: chat"),
        {"instructify", "preflight", "compare"} | TUNE | ANSWER,
    ),
    "another profile": ("params.yaml", "profile: pocket", "profile: unused", ALL - {"mix"}),
    "max_rejected_share": ("params.yaml", "share: 0.01", "share: 0.02", {"prepare"}),
    "other templates": (
        *("params.yaml", "templates/sentiment.yaml", "templates/other.yaml"),
        {"instructify"},
    ),
    "wording_rows": ("params.yaml", "wording_rows: 6", "wording_rows: 7", {"instructify"}),
    "general_rows": ("params.yaml", "general_rows: 12", "general_rows: 13", {"mix"}),
    "confidence": ("params.yaml", "confidence: 0.95", "confidence: 0.9", {"compare"}),
    "margin": ("params.yaml", "margin: 0.01", "margin: 0.02", {"compare"}),
    # settings of the profile
    "an unused profile": ("profiles/unused.yaml", "epochs: 1", "epochs: 2", set()),
    "take": (POCKET, "train: 24", "train: 25", {"prepare", "compare"}),
    "positive": (
        *(POCKET, "\n  positive: positive", "\n  positive: negative"),
        {"prepare", "instructify", "train_encoder", "baselines", "compare"} | ANSWER,
    ),
    "sha256 of the base": (
        *(POCKET, "kind: path", f"kind: path\n  sha256: {'0' * 64}"),
        {"preflight", "base_model", "compare"},
    ),
    "a licence": (POCKET, "licence: MIT", "licence: CC0-1.0", {"compare"}),
    "dtype": (
        *(POCKET, "dtype: float32", "dtype: bfloat16"),
        {"preflight", "compare"} | TUNE | ANSWER,
    ),
    "learning_rate": (
        *(POCKET, "learning_rate: 0.001", "learning_rate: 0.002"),
        {"preflight", "compare"} | TUNE,
    ),
    "epochs of the encoder": (POCKET, "epochs: 4", "epochs: 5", {"train_encoder", "compare"}),
    "max_length of the encoder": (
        *(POCKET, "max_length: 32", "max_length: 16"),
        {"preflight", "train_encoder", "compare"},
    ),
    "sha256 of the encoder": (
        *(
            POCKET,
            "encoder:\n  base:\n    kind: path",
            f"encoder:\n  base:\n    sha256: {'0' * 64}\n    kind: path",
        ),
        {"preflight", "encoder", "compare"},
    ),
    "checkpoint_every of the encoder": (
        *(POCKET, "max_length: 32\n  checkpoint_every: ", "max_length: 32\n  checkpoint_every: 1"),
        set(),
    ),
    "validate_every": (POCKET, "validate_every: 2", "validate_every: 3", set()),
    "checkpoint_every": (POCKET, "checkpoint_every: ", "checkpoint_every: 1", set()),
    "few_shot_examples": (POCKET, "few_shot_examples: 4", "few_shot_examples: 2", EVALUATE),
    "max_new_tokens_ten": (POCKET, "tokens_ten: 4", "tokens_ten: 5", EVALUATE),
    "batch size of answers": (
        *(POCKET, "evaluate:\n  batch_size: ", "evaluate:\n  batch_size: 1"),
        ANSWER,
    ),
    # rows and templates
    "a row": ("data/raw/tweets.csv", "Tweet 7:", "Tweet seven:", {"prepare"}),
    "a general instruction": (
        *("data/raw/general_instructions.jsonl", '"output": "', '"output": "Well, '),
        {"prepare"},
    ),
    "a file of raw data that nothing reads": ("data/raw/more.csv", "", "text,feeling\n", set()),
    "a wording": ("templates/sentiment.yaml", "Label the text", "Name the text", {"instructify"}),
    "a comment in the templates": ("templates/sentiment.yaml", *COMMENT, {"instructify"}),
    "a comment in ten_instructions.yaml": (
        *("data/raw/ten_instructions.yaml", *COMMENT),
        {"compare"} | EVALUATE,
    ),
    "a comment in hundred_instructions.yaml": (
        *("data/raw/hundred_instructions.yaml", *COMMENT),
        {"compare"} | EVALUATE,
    ),
    # code that changes no result
    "an error message": ("stages/runtime/errors.py", *COMMENT, set()),
    "a progress bar": ("stages/runtime/progress.py", *COMMENT, set()),
    "the clock": ("stages/runtime/clock.py", *COMMENT, set()),
    "how files are written": ("stages/runtime/files.py", *COMMENT, set()),
    "how settings are read": ("stages/settings/read.py", *COMMENT, set()),
    "the list of systems": ("stages/systems.py", *COMMENT, set()),
    "the README": ("README.md", *COMMENT, set()),
    # code that trains nothing again
    "a source": ("stages/rows/sources.py", *COMMENT, {"prepare", "compare"}),
    "the settings of sources": ("stages/settings/sources.py", *COMMENT, {"prepare", "compare"}),
    "a check of rows": ("stages/rows/judging.py", *COMMENT, {"prepare"}),
    "leaks": ("stages/rows/leaks.py", *COMMENT, {"prepare"}),
    "fetch/cache.py": ("stages/fetch/cache.py", *COMMENT, FETCH),
    "fetch/packages.py": ("stages/fetch/packages.py", *COMMENT, FETCH),
    "a task family": ("stages/tasks/families.py", *COMMENT, {"prepare", "compare"} | EVALUATE),
    "tasks/checks.py": ("stages/tasks/checks.py", *COMMENT, {"compare"} | EVALUATE),
    "tasks/instructions.py": ("stages/tasks/instructions.py", *COMMENT, {"compare"} | EVALUATE),
    "lm/source.py": ("stages/lm/source.py", *COMMENT, {"preflight", "base_model", "encoder"}),
    "lm/model_files.py": (
        *("stages/lm/model_files.py", *COMMENT),
        {"preflight", "base_model", "encoder"},
    ),
    "lm/budget.py": ("stages/lm/budget.py", *COMMENT, {"preflight"}),
    "lm/answering.py": ("stages/lm/answering.py", *COMMENT, ANSWER),
    "a metric": (
        "stages/stats/confusion.py",
        *COMMENT,
        {"train_encoder", "baselines", "compare"} | ANSWER,
    ),
    "stats/bootstrap.py": ("stages/stats/bootstrap.py", *COMMENT, {"compare"}),
    "stats/paired.py": ("stages/stats/paired.py", *COMMENT, {"compare"}),
    "stats/power.py": ("stages/stats/power.py", *COMMENT, {"prepare", "compare"}),
    "a baseline": ("stages/baselines.py", *COMMENT, {"baselines"}),
    "the report": ("stages/pages/report.py", *COMMENT, {"compare"}),
    "a card": ("stages/pages/cards.py", *COMMENT, {"compare"}),
    # code that trains
    "lm/training.py": ("stages/lm/training.py", *COMMENT, TUNE),
    "lm/trainer.py": ("stages/lm/trainer.py", *COMMENT, TUNE),
    "lm/encoder_training.py": ("stages/lm/encoder_training.py", *COMMENT, {"train_encoder"}),
    "lm/checkpoints.py": ("stages/lm/checkpoints.py", *COMMENT, TRAIN),
    "lm/base.py": ("stages/lm/base.py", *COMMENT, TRAIN | ANSWER),
}


def in_words(stages: set[str]) -> str:
    """The stages in the words of the README's table."""
    groups = {
        "every training": TRAIN,
        "every adapter's training": TUNE,
        "every evaluation": EVALUATE,
    }
    named: list[str] = []
    for words, group in groups.items():
        if group <= stages and not any(group <= groups[other] for other in named):
            named.append(words)
    single = stages - {stage for words in named for stage in groups[words]}
    in_order = [f"`{stage}`" for stage in ORDER if stage in single]
    assert len(in_order) == len(single)
    return ", ".join(named + in_order) or "nothing"


def test_the_readme_shows_these_edits() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    _, table = readme.split("| edit | reruns |\n|---|---|\n")
    rows = [line.strip("| ").split(" | ") for line in table.partition("\n\n")[0].splitlines()]
    assert len(rows) >= 20
    for edit, reruns in rows:
        assert reruns == in_words(CHANGES[edit][3]), edit


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reruns_exactly_what_depends_on_it(
    status: Callable[..., set[str]], name: str
) -> None:
    file, old, new, expected = CHANGES[name]
    assert status(file, old, new) == expected


def test_a_setting_changed_and_changed_back_comes_from_the_run_cache(
    workspace: Path, run_in: Command
) -> None:
    settings = (workspace / "params.yaml").read_text(encoding="utf-8")
    before = (workspace / "reports/results.md").read_bytes()
    changed = settings.replace("confidence: 0.95", "confidence: 0.8")
    (workspace / "params.yaml").write_text(changed, encoding="utf-8")
    assert stages_run(run_in, workspace) == {"compare"}
    assert (workspace / "reports/results.md").read_bytes() != before
    (workspace / "params.yaml").write_text(settings, encoding="utf-8")
    assert stages_run(run_in, workspace) == set()
    assert (workspace / "reports/results.md").read_bytes() == before
    assert run_in(workspace, "git", "status", "--short").stdout == ""


def test_a_stage_that_gives_the_same_results_reruns_nothing_after_it(
    workspace: Path, run_in: Command
) -> None:
    for name in ("prepare", "baselines"):
        script = workspace / f"stages/{name}.py"
        script.write_text(script.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    assert stages_run(run_in, workspace) == {"prepare", "baselines"}
