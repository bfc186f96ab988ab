"""A study about another task, with a third tuned system, in one toy run."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from systems import systems_of

REPO = Path(__file__).resolve().parents[1]
Command = Callable[..., subprocess.CompletedProcess[str]]
DEFAULT_TASK = re.compile(r"sentiment|tweet", re.IGNORECASE)
EMOTIONS = ["joy", "anger", "fear", "sadness"]
TEMPLATES = [
    {
        "id": "name_it",
        "instruction": "Which emotion does the text express: {{ labels }}?",
        "input": "{{ text }}",
    },
    {"id": "feel_it", "instruction": "Answer {{ labels }}.\n{{ text }}"},
    {
        "id": "held_back",
        "instruction": "Name the emotion ({{ labels }}).",
        "input": "{{ text }}",
        "held_out": True,
    },
]
RAREST = """\
        System(name="rarest_label", short="rarest", title="the rarest label", kind="baseline"),
"""
RAREST_FUNCTION = """\
def rarest_label(data: Data) -> Predictions:
    label = Counter(data.train_labels).most_common()[-1][0]
    return Predictions([label] * len(data.test_texts))


"""
HALF = """\
        Trained(
            name="half_fine_tuned",
            short="half",
            title="the model tuned on half the general instructions",
            kind="tuned",
            rows=Path("data/mixed/half.parquet"),
            folder=Path("models/half_fine_tuned"),
        ),
"""


class Run(NamedTuple):
    """A study that ran once: its folder, what git tracked before the run, and all that it printed.

    `comparison` is the part of `console` that `make compare` printed.
    """

    folder: Path
    tracked: set[str]
    console: str
    comparison: str

    def json(self, path: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / path).read_text(encoding="utf-8"))
        return content

    def text(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8").replace("\\_", "_")


def _insert(path: Path, before: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1
    path.write_text(content.replace(before, text + before), encoding="utf-8")


def _write_emotion_study(folder: Path) -> None:
    """Turn a toy study into one about emotions, with a third tuned system and a new baseline."""
    for name in ("data/raw/tweets.csv", "templates/sentiment.yaml", "profiles/unused.yaml"):
        (folder / name).unlink()
    rows = [
        f"Letter {number}: the soup of day {number // 4} brought {EMOTIONS[number % 4]},{number % 4}"
        for number in range(120)
    ]
    (folder / "data/raw/letters.csv").write_text("\n".join(["text,feeling", *rows]) + "\n", "utf-8")
    (folder / "templates/emotion.yaml").write_text(
        yaml.safe_dump({"templates": TEMPLATES}), encoding="utf-8"
    )
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["profile"] = "letters"
    params["instructify"]["templates"] = "templates/emotion.yaml"
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    profile = yaml.safe_load((folder / "profiles/pocket.yaml").read_text(encoding="utf-8"))
    (folder / "profiles/pocket.yaml").unlink()
    profile["origins"] = {}  # nobody is named
    profile["task"] = "emotion"
    profile["labels"] = {"names": EMOTIONS, "positive": "joy"}
    profile["sources"]["labelled"]["splits"] = {"train": "data/raw/letters.csv"}
    profile["sources"]["labelled"]["label_values"] = dict(enumerate(EMOTIONS))
    (folder / "profiles/letters.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")

    # The third tuned system: one entry, and the recipe of its rows.
    _insert(
        folder / "stages/systems.py", '        System(\n            name="original_probe"', HALF
    )
    half = """\
    half = settings.mix.model_copy(update={"general_rows": 6})
    recipes["half"] = mixed_rows(labelled, general, half, settings.seed)
"""
    _insert(folder / "stages/mix.py", "    for name, rows in recipes.items():\n", half)

    # A new baseline: one entry, and its function.
    _insert(
        folder / "stages/systems.py", '        System(\n            name="original_probe"', RAREST
    )
    baselines = folder / "stages/baselines.py"
    _insert(baselines, "# The function of every system of kind baseline", RAREST_FUNCTION)
    _insert(baselines, '    "majority": majority,\n', '    "rarest_label": rarest_label,\n')


@pytest.fixture(scope="module")
def emotion(
    toy_study: Callable[[Path], None],
    run_in: Command,
    forked_repro: Command,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """The emotion study with a third tuned system, run once. No test changes it."""
    folder = tmp_path_factory.mktemp("any-task") / "study"
    toy_study(folder)
    _write_emotion_study(folder)
    printed = []

    def add(done: subprocess.CompletedProcess[str]) -> None:
        printed.append(done.stdout + done.stderr)

    def run(script: str) -> None:
        add(run_in(folder, "python", f"scripts/{script}", PYTHONPATH="stages"))

    run("pipeline.py")
    run_in(folder, "git", "add", "--all")
    run_in(folder, "git", "commit", "--quiet", "--message", "Emotions")
    tracked = set(run_in(folder, "git", "ls-files").stdout.split("\n"))
    add(forked_repro(folder))
    run("compare_experiments.py")
    return Run(folder, tracked, "\n".join(printed), comparison=printed[-1])


def _written(run: Run) -> list[Path]:
    """The files that the run wrote, without the base model, whose vocabulary holds any word."""
    files = (file.relative_to(run.folder) for file in run.folder.rglob("*") if file.is_file())
    aside = (".git/", ".dvc/tmp/", ".dvc/cache/", "models/base/")
    return [
        file
        for file in files
        if str(file) not in run.tracked - {"dvc.yaml"}
        and not str(file).startswith(aside)
        and "__pycache__" not in file.parts
    ]


def test_another_task_names_stages_models_and_systems(emotion: Run) -> None:
    stages = yaml.safe_load((emotion.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert {"train_emotion", "train_mixed", "evaluate@emotion_fine_tuned"} <= stages.keys()
    assert (emotion.folder / "models/emotion_fine_tuned/adapter_model.safetensors").is_file()
    assert "emotion_fine_tuned" in emotion.console
    for page in ("reports/results.md", "reports/cards/emotion_fine_tuned.md"):
        assert "emotion_fine_tuned" in emotion.text(page)


def test_another_task_never_speaks_of_the_default_one(emotion: Run) -> None:
    assert DEFAULT_TASK.findall(emotion.console) == []
    files = _written(emotion)
    assert len(files) > 60
    for file in files:
        assert not DEFAULT_TASK.search(str(file)), file
        content = (emotion.folder / file).read_bytes().decode("utf-8", "replace")
        if file.suffix == ".parquet":
            table = pq.read_table(emotion.folder / file)
            texts = [column for column in table.columns if pa.types.is_string(column.type)]
            content = "\n".join(str(text) for column in texts for text in column.to_pylist())
        match = DEFAULT_TASK.search(content)
        assert match is None, f"{file}: {content[match.start() - 60 : match.end() + 60]}"


def test_another_task_is_not_named_in_the_code_by_the_default_one() -> None:
    # The default's own data and the VADER lexicon, which is about the default task alone.
    lexicon = re.compile(
        r"vaderSentiment|SentimentIntensityAnalyzer|_LEXICON|VADER|on these very tweets"
    )
    for file in [*(REPO / "stages").rglob("*.py"), *(REPO / "scripts").glob("*.py")]:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if DEFAULT_TASK.search(line):
                assert lexicon.search(line), f"{file.relative_to(REPO)}, line {number}: {line}"


def test_a_third_tuned_model_is_in_every_table(emotion: Run) -> None:
    systems = emotion.json("metrics/compare.json")["systems"]
    assert {"emotion_fine_tuned", "mixed_fine_tuned", "half_fine_tuned"} <= systems.keys()
    assert "vader_lexicon" not in systems
    tables = [
        part for part in emotion.text("reports/results.md").split("\n\n") if part.startswith("| ")
    ]
    with_mixed = [table for table in tables if "mixed_fine_tuned" in table]
    assert len(with_mixed) >= 6
    for table in with_mixed:
        assert table.count("half_fine_tuned") == table.count("mixed_fine_tuned"), table
    for page in ("reports/ten-instructions.md", "reports/summary.txt"):
        assert "half_fine_tuned" in emotion.text(page)


def test_a_third_tuned_model_is_compared_with_the_original_and_with_each_other_one(
    emotion: Run,
) -> None:
    answer = emotion.text("reports/results.md").split("\n## ")[0]
    for system in ("emotion_fine_tuned", "mixed_fine_tuned", "half_fine_tuned"):
        assert answer.count(system) >= 2
    primary = {
        frozenset((first.name, second.name))
        for first, second in systems_of("emotion").primary_pairs
    }
    assert len(primary) == 3  # of the two systems that are declared here
    pairs = emotion.json("metrics/compare.json")["pairs"]
    named = {frozenset(pair.split(" - ")) for pair in pairs}
    assert {frozenset(("half_fine_tuned", other)) for other in systems_names(emotion)} <= named


def test_a_new_baseline_is_in_the_tables_and_among_the_free_systems(emotion: Run) -> None:
    assert "rarest_label" in emotion.json("metrics/compare.json")["systems"]
    assert emotion.json("metrics/evaluate/rarest_label.json")["n"] == 24
    for page in ("reports/results.md", "reports/summary.txt"):
        assert "rarest_label" in emotion.text(page)
    free = (
        emotion.text("reports/results.md").partition("Without fine-tuning: ")[2].partition(". ")[0]
    )
    assert "rarest_label" in free


def systems_names(run: Run) -> set[str]:
    """Every system of the run but the third tuned one."""
    return run.json("metrics/compare.json")["systems"].keys() - {"half_fine_tuned"}


def test_a_third_tuned_model_has_a_card_and_a_row_in_make_compare(emotion: Run) -> None:
    card = emotion.text("reports/cards/half_fine_tuned.md")
    assert "dvc repro train_half" in card
    drawn = re.findall(r"general instructions, (\d+) of them in training", card)
    assert sum(map(int, drawn)) == 6  # from the written ones and from the tasks
    for other in ("emotion_fine_tuned", "mixed_fine_tuned"):
        assert other in card
    for short in ("emotion", "mixed", "half"):
        assert re.search(rf"\b{short}\b", emotion.comparison)
    headline = emotion.json("metrics/headline.json")
    assert any("half" in key for key in headline)
