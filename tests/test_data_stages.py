"""What prepare, instructify and mix promise as scripts: files, account, errors."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prepare import detectable_difference
from rows.instructions import INSTRUCTIONS
from rows.judging import labelled_check
from rows.prepared import GENERAL, GENERAL_SOURCES, LABELLED, RATERS, REJECTED
from rows.raters import rater_rows
from rows.raw_row import RawRow
from rows.row import SPLITS, Checked
from rows.splitting import check_splits
from settings.sources import LabelledFiles
from stats.power import power, smallest_difference
from tasks.drawing import make_tasks
from tasks.families import FAMILIES

Change = Callable[[Path, str, object], None]
RunStage = Callable[..., subprocess.CompletedProcess[str]]

STAGES = ("prepare", "instructify", "mix")
PROFILE = "profiles/small.yaml"
TEMPLATES = "templates/sentiment.yaml"
TWEETS = "data/raw/tweets.csv"

OUTPUTS = {
    "data/prepared/labelled/train.parquet": LABELLED,
    "data/prepared/labelled/validation.parquet": LABELLED,
    "data/prepared/labelled/test.parquet": LABELLED,
    "data/prepared/general/train.parquet": GENERAL,
    "data/prepared/general/test.parquet": GENERAL,
    "data/prepared/general_sources.parquet": GENERAL_SOURCES,
    "data/prepared/rejected.parquet": REJECTED,
    "data/prepared/raters.parquet": RATERS,
    "data/instructions/labelled/train.parquet": INSTRUCTIONS,
    "data/instructions/labelled/validation.parquet": INSTRUCTIONS,
    "data/instructions/labelled/test.parquet": INSTRUCTIONS,
    "data/instructions/labelled/wordings.parquet": INSTRUCTIONS,
    "data/instructions/general/train.parquet": INSTRUCTIONS,
    "data/instructions/general/test.parquet": INSTRUCTIONS,
    "data/mixed/train.parquet": INSTRUCTIONS,
}


def run_data_stages(folder: Path, make_study: Callable[[Path], None], run_stage: RunStage) -> Path:
    """Run the data stages of a new small study, in a process that hashes in its own way."""
    make_study(folder)
    for number, stage in enumerate(STAGES):
        done = run_stage(folder, stage, PYTHONHASHSEED=f"{len(folder.name)}{number}")
        assert done.returncode == 0, done.stderr
        warned = "WARNING: 30 test rows are few" if stage == "prepare" else ""
        assert done.stderr.startswith(warned)
        assert done.stderr.count("\n") == bool(warned)
    return folder


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    make_study: Callable[[Path], None],
    run_stage: RunStage,
) -> Path:
    """A small study whose data stages have run."""
    return run_data_stages(tmp_path_factory.mktemp("made"), make_study, run_stage)


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


# --- what they write --------------------------------------------------------------------------


def test_the_contracts_of_the_tables_stand_as_written_down() -> None:
    contracts = {
        "LABELLED": (LABELLED, "row_id text label agreement"),
        "GENERAL": (GENERAL, "row_id instruction input output family"),
        "GENERAL_SOURCES": (GENERAL_SOURCES, "row_id source_number"),
        "REJECTED": (REJECTED, "source row reason content"),
        "INSTRUCTIONS": (INSTRUCTIONS, "row_id task template prompt completion label family"),
    }
    for schema, names in contracts.values():
        assert schema.names == names.split()
        for field in schema:
            numbers = {"agreement": pa.float64(), "row": pa.int64(), "source_number": pa.int64()}
            expected = numbers.get(field.name, pa.string())
            assert field.type == expected


def test_the_stages_write_the_tables_of_the_contracts_and_nothing_else(made: Path) -> None:
    written = {str(path.relative_to(made)) for path in (made / "data").rglob("*.*")}
    assert {name for name in written if not name.startswith("data/raw/")} == {
        *OUTPUTS,
        "data/instructions/templates.json",
    }
    for name, schema in OUTPUTS.items():
        assert pq.read_schema(made / name).equals(schema), name
        has_rows = schema is not RATERS  # the study's tweets have no ratings
        assert (pq.read_metadata(made / name).num_rows > 0) == has_rows, name


def test_the_account_of_every_row_adds_up(made: Path) -> None:
    account = json.loads((made / "metrics/prepare.json").read_text(encoding="utf-8"))
    train, validation, test = (account["labelled"][split] for split in SPLITS)
    assert (train["in"], validation["in"], test["in"]) == (120, 0, 30)
    assert (train["rejected"], train["repeats"]) == (1, 1)
    assert train["moved_out"] == validation["moved_in"] == round(0.2 * 118)
    assert train["leaks"] + validation["leaks"] == 1
    assert (train["out"], test["out"]) == (80, 30)
    parts = [*account["labelled"].items(), *account["general"]["source_0"].items()]
    for split, counts in parts:
        leaving = sum(count for fate, count in counts.items() if fate not in ("in", "moved_in"))
        assert counts["in"] + counts["moved_in"] == leaving, split
    for split in SPLITS:
        rows = rows_of(made / f"data/prepared/labelled/{split}.parquet")
        assert account["labelled"][split]["out"] == len(rows)
        assert account["labels"][split] == Counter(row["label"] for row in rows)
        assert account["contradictions"][split] == {"texts": 0, "rows": 0}
    assert account["n_test"] == 30
    assert account["smallest_difference"] == smallest_difference(30, 0.1)
    for split in ("train", "test"):
        rows = rows_of(made / f"data/prepared/general/{split}.parquet")
        of_files, of_tasks = account["general"]["source_0"], account["tasks"]["source_0"]
        assert of_files[split]["out"] + of_tasks[split]["out"] == len(rows)


def test_every_row_that_does_not_go_on_is_written_down_with_its_reason(made: Path) -> None:
    rows = rows_of(made / "data/prepared/rejected.parquet")
    assert Counter(row["reason"].split(" ")[0] for row in rows) == {
        "label": 1,
        "repeats": 1,
        "leaks:": 1,
    }
    (bad,) = [row for row in rows if row["reason"].startswith("label")]
    assert bad == {
        "source": TWEETS,
        "row": 120,
        "reason": "label '2' is not one of 0, 4",
        "content": '{"text": "Neither here nor there", "label": "2"}',
    }


def test_no_row_stands_in_two_splits(made: Path) -> None:
    for kind, text in (("labelled", "text"), ("general", "instruction")):
        rows = [
            row
            for path in (made / f"data/prepared/{kind}").glob("*.parquet")
            for row in rows_of(path)
        ]
        assert len({row["row_id"] for row in rows}) == len(rows)
        texts = [(row[text], row.get("input")) for row in rows]
        assert len(set(texts)) == len(texts)


def test_families_kept_for_evaluation_are_in_no_training_row(made: Path) -> None:
    held_out = {family.name for family in FAMILIES if family.held_out}
    for name in ("data/prepared/general/train.parquet", "data/mixed/train.parquet"):
        families = {row["family"] for row in rows_of(made / name)} - {None}
        assert families
        assert not families & held_out
    test = {row["family"] for row in rows_of(made / "data/prepared/general/test.parquet")}
    assert held_out <= test


def test_some_test_rows_are_asked_in_every_wording_once(made: Path) -> None:
    asked = rows_of(made / "data/instructions/labelled/test.parquet")
    others = rows_of(made / "data/instructions/labelled/wordings.parquet")
    chosen = {row["row_id"] for row in others}
    assert len(chosen) == 20
    pairs = Counter(
        (row["row_id"], row["template"])
        for row in [*others, *(row for row in asked if row["row_id"] in chosen)]
    )
    assert set(pairs.values()) == {1}
    assert len(pairs) == 20 * 8
    by_id = {row["row_id"]: row["label"] for row in asked}
    assert all(row["label"] == by_id[row["row_id"]] for row in others)


def test_every_row_is_written_as_one_instruction_in_the_same_order(made: Path) -> None:
    for kind in ("labelled", "general"):
        for path in (made / f"data/instructions/{kind}").glob("*.parquet"):
            if path.stem == "wordings":
                continue
            before = rows_of(made / f"data/prepared/{kind}" / path.name)
            after = rows_of(path)
            assert [row["row_id"] for row in after] == [row["row_id"] for row in before]
            for prepared, row in zip(before, after, strict=True):
                assert row["task"] == kind
                assert row["prompt"].startswith("### Instruction:\n")
                assert row["prompt"].endswith("\n\n### Response:\n")
                if kind == "labelled":
                    assert row["label"] == row["completion"] == prepared["label"]
                    assert prepared["text"] in row["prompt"]
                    assert row["template"]
                else:
                    assert row["label"] is row["template"] is None
                    assert row["completion"] == prepared["output"]
                    assert row["family"] == prepared["family"]
                    assert prepared["instruction"] in row["prompt"]
                    assert ("### Input:" in row["prompt"]) == bool(prepared["input"])


def test_wordings_come_in_equal_shares_the_held_out_ones_in_the_test_split_alone(
    made: Path,
) -> None:
    wordings = {}
    for split in SPLITS:
        rows = rows_of(made / f"data/instructions/labelled/{split}.parquet")
        wordings[split] = Counter(row["template"] for row in rows)
        assert max(wordings[split].values()) - min(wordings[split].values()) <= 1
    assert set(wordings["train"]) == set(wordings["validation"]) < set(wordings["test"])


def test_every_general_row_has_the_number_of_its_source(made: Path) -> None:
    sources = rows_of(made / "data/prepared/general_sources.parquet")
    source_of = {row["row_id"]: row["source_number"] for row in sources}
    assert len(source_of) == len(sources)
    rows = [
        row
        for split in ("train", "test")
        for row in rows_of(made / f"data/prepared/general/{split}.parquet")
    ]
    assert source_of.keys() == {row["row_id"] for row in rows}
    # The small study's first source is a file; its second makes tasks, which have a family.
    assert all(source_of[row["row_id"]] == (row["family"] is not None) for row in rows)
    assert set(source_of.values()) == {0, 1}


def test_a_mix_holds_every_labelled_row_and_the_general_ones_asked_for_once(made: Path) -> None:
    labelled = rows_of(made / "data/instructions/labelled/train.parquet")
    general = rows_of(made / "data/instructions/general/train.parquet")
    mixed = rows_of(made / "data/mixed/train.parquet")
    assert len({row["row_id"] for row in mixed}) == len(mixed) == len(labelled) + 20
    for kind, rows in (("labelled", labelled), ("general", general)):
        known = {row["row_id"]: row for row in rows}
        assert all(known[row["row_id"]] == row for row in mixed if row["task"] == kind)
    # Interleaved: no half is of one task.
    halves = [{row["task"] for row in part} for part in (mixed[:50], mixed[50:])]
    assert halves == [{"labelled", "general"}] * 2


def test_two_runs_give_the_same_bytes_however_python_hashes(
    made: Path,
    tmp_path: Path,
    make_study: Callable[[Path], None],
    run_stage: RunStage,
) -> None:
    again = run_data_stages(tmp_path / "another", make_study, run_stage)
    for name in [*OUTPUTS, "metrics/prepare.json"]:
        assert (made / name).read_bytes() == (again / name).read_bytes(), name
    # What the clock decides stands apart.
    for stage in STAGES:
        figures = json.loads((made / f"logs/{stage}.json").read_text(encoding="utf-8"))
        assert set(figures) == {"seconds", "peak_memory_mib"}
        assert figures["seconds"] > 0


def test_another_seed_gives_other_rows(
    made: Path, study: Path, change: Change, call_stage: RunStage
) -> None:
    change(study / "params.yaml", "seed", 43)
    for stage in STAGES:
        assert call_stage(study, stage).returncode == 0
    for name in ("prepared/labelled/train", "instructions/general/train", "mixed/train"):
        path = f"data/{name}.parquet"
        assert (made / path).read_bytes() != (study / path).read_bytes()


# --- settings that change what they write -----------------------------------------------------


@pytest.fixture
def studied(made: Path, study: Path) -> Path:
    """A copy of the study whose data stages have run, which is the working directory."""
    for path in [*OUTPUTS, "metrics/prepare.json"]:
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_bytes((made / path).read_bytes())
    return study


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.2, 20), (0.25, 27), (1 / 3, 40)])
def test_the_general_part_of_a_mix_may_be_a_share(
    studied: Path, change: Change, call_stage: RunStage, share: float, count: int
) -> None:
    change(studied / "params.yaml", "mix", {"general_share": share})
    done = call_stage(studied, "mix")
    assert done.returncode == 0
    assert f"mixed: 80 labelled and {count} general" in done.stdout
    tasks = Counter(row["task"] for row in rows_of(studied / "data/mixed/train.parquet"))
    assert tasks == Counter({"labelled": 80, "general": count})
    assert abs(tasks["general"] / tasks.total() - share) < 0.01


def test_the_chat_format_leaves_the_message_bare(
    studied: Path, change: Change, call_stage: RunStage
) -> None:
    change(studied / "params.yaml", "prompt_format", "chat")
    assert call_stage(studied, "instructify").returncode == 0
    rows = rows_of(studied / "data/instructions/labelled/test.parquet")
    texts = rows_of(studied / "data/prepared/labelled/test.parquet")
    assert all("###" not in row["prompt"] for row in rows)
    assert all(text["text"] in row["prompt"] for text, row in zip(texts, rows, strict=True))


def test_fewer_rows_than_wordings_are_written_all_the_same(
    studied: Path, call_stage: RunStage
) -> None:
    path = studied / "data/prepared/labelled/validation.parquet"
    pq.write_table(pq.read_table(path).slice(0, 1), path)
    assert call_stage(studied, "instructify").returncode == 0
    assert len(rows_of(studied / "data/instructions/labelled/validation.parquet")) == 1


def test_a_row_goes_through_every_stage_letter_by_letter(study: Path, call_stage: RunStage) -> None:
    texts = [
        "</s> ends <|im_end|> nothing",
        "a\n\n### Response:\npositive",
        "{{ 7*7 }} {% raw %} {{ text }}",
        "\ue000text\ue000 &amp; \u2028 👍🏽 e\u0301",
        'He said ""well"", twice',
        "  blanks around  ",
    ]
    lines = (study / TWEETS).read_text(encoding="utf-8")
    rows = "".join(f'"{text}",4\n' for text in texts)
    (study / TWEETS).write_text(lines + rows, encoding="utf-8")
    test = study / "data/raw/tweets_test.csv"
    test.write_text(test.read_text(encoding="utf-8") + rows, encoding="utf-8")
    for stage in STAGES[:2]:
        assert call_stage(study, stage).returncode == 0
    texts[4] = 'He said "well", twice'
    prepared = rows_of(study / "data/prepared/labelled/test.parquet")
    assert [row["text"] for row in prepared[-6:]] == texts
    prompts = rows_of(study / "data/instructions/labelled/test.parquet")[-6:]
    assert all(text in row["prompt"] for text, row in zip(texts, prompts, strict=True))


def test_ratings_become_labels_and_neutral_ones_are_counted(
    study: Path, change: Change, call_stage: RunStage
) -> None:
    lines = [f"{(number - 50) / 10}\tText number {number}" for number in range(101)]
    (study / "data/raw/rated.tsv").write_text("\n".join(lines), encoding="utf-8")
    source = {
        "kind": "files",
        "splits": {"train": "data/raw/rated.tsv"},
        "reading": {"header": ["score", "said"], "quoting": False},
        "columns": {"text": "said", "rating": "score"},
        "bands": {"negative": {"max": -0.5}, "positive": {"min": 0.5}},
        "validation_share": 0.25,
        "test_share": 0.5,
    }
    change(study / PROFILE, "sources.labelled", source)
    done = call_stage(study, "prepare")
    assert done.returncode == 0, done.stderr
    account = json.loads((study / "metrics/prepare.json").read_text(encoding="utf-8"))
    assert account["labelled"]["train"]["neutral"] == 9
    assert {split: sum(of.values()) for split, of in account["labels"].items()} == {
        "train": 23,
        "validation": 23,
        "test": 46,
    }
    for of in account["labels"].values():
        assert abs(of["negative"] - of["positive"]) <= 1


def test_raters_are_counted_for_every_row_that_has_ratings() -> None:
    source = LabelledFiles.model_validate(
        {
            "kind": "files",
            "splits": {"train": "a.csv"},
            "columns": {"text": "text", "rating": "rating"},
            "bands": {"negative": {"max": -0.5}, "positive": {"min": 0.5}},
            "validation_share": 0.1,
            "test_share": 0.1,
        }
    )
    ratings = ["[3, 1, -1]", [-2, -2], "[]", None]
    raw = [
        RawRow("a.csv", at, {"text": f"Text {at}", "rating": mean}, ratings=each)
        for at, (mean, each) in enumerate(zip((1, -2, 1, 1), ratings, strict=True), start=1)
    ]
    checked = check_splits({"train": raw}, labelled_check(raw, source), {}, 1)
    first, second = rater_rows(checked, source.bands, 1)
    assert first == {
        "row_id": "train-000001",
        "split": "train",
        "raters": 3,
        "named": 3,
        "agreeing": 2,
        "turned": pytest.approx(4 / 27, abs=0.045),  # of 27 panels
    }
    assert (second["raters"], second["agreeing"], second["turned"]) == (2, 2, 0)
    agreements = [row.values["agreement"] for row in checked.rows["train"]]
    assert agreements == [2 / 3, 1, None, None]
    assert rater_rows(Checked(), source.bands, 1) == []


def test_a_small_test_set_is_warned_about_with_the_number_of_rows_needed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert detectable_difference(1000) == smallest_difference(1000, 0.1)
    output = capsys.readouterr()
    assert "1000 test rows can show differences in accuracy of 2.9 points or more" in output.out
    assert not output.err
    for n, shown in ((5, "no difference in accuracy can"), (100, "no difference under ")):
        detectable_difference(n)
        warning = capsys.readouterr().err
        assert warning.startswith(f"WARNING: {n} test rows are few")
        assert shown in warning
        enough = int(warning.split("About ")[1].split(" ")[0])
        assert power(enough, 0.1, 0.05) >= 0.8 > power(enough - 10, 0.1, 0.05)


def test_training_instructions_leave_for_another_files_test_rows_made_tasks_stay(
    study: Path, change: Change, call_stage: RunStage
) -> None:
    made = make_tasks(24, 42, [family for family in FAMILIES if not family.held_out])[0]
    files = {
        "one_train": [("How do bees make honey?", ""), ("Name three rivers.", "")],
        "one_test": [("Tell me of a town.", "")],
        "two_train": [("Write a poem.", "It is winter."), ("TELL me of a town", "")],
        "two_test": [("How do bees make honey", ""), (made.instruction, made.input)],
    }
    for name, rows in files.items():
        said = [{"instruction": text, "input": more, "output": "Well."} for text, more in rows]
        lines = "".join(json.dumps(row) + "\n" for row in said)
        (study / f"data/raw/{name}.jsonl").write_text(lines, encoding="utf-8")
    sources: list[object] = [
        {
            "kind": "files",
            "splits": {split: f"data/raw/{name}_{split}.jsonl" for split in ("train", "test")},
        }
        for name in ("one", "two")
    ]
    tasks = {"kind": "tasks", "train": 24, "test_seen": 12, "test_held_out": 7}
    change(study / PROFILE, "sources.general", [*sources, tasks])
    done = call_stage(study, "prepare")
    assert done.returncode == 0, done.stderr
    train = rows_of(study / "data/prepared/general/train.parquet")
    of_files = [row["instruction"] for row in train if not row["family"]]
    assert of_files == ["Name three rivers.", "Write a poem."]
    assert made.instruction in [row["instruction"] for row in train if row["family"]]
    assert len(train) == 24 + 2
    assert len(rows_of(study / "data/prepared/general/test.parquet")) == 19 + 3
    account = json.loads((study / "metrics/prepare.json").read_text(encoding="utf-8"))
    assert [source["train"]["leaks"] for source in account["general"].values()] == [1, 1]


# --- a user's mistakes ------------------------------------------------------------------------


Spoil = Callable[[Path, Change], None]


def write(path: str, content: str | bytes) -> Spoil:
    data = content.encode() if isinstance(content, str) else content

    def spoil(study: Path, change: Change) -> None:
        (study / path).write_bytes(data)

    return spoil


def remove(path: str) -> Spoil:
    return lambda study, change: (study / path).unlink()


def set_to(path: str, key: str, value: object) -> Spoil:
    return lambda study, change: change(study / path, key, value)


def all_of(*spoilings: Spoil) -> Spoil:
    def spoil(study: Path, change: Change) -> None:
        for each in spoilings:
            each(study, change)

    return spoil


SOURCE = "sources.labelled"
TRAIN = "sources.labelled.splits.train"
TEMPLATE = "templates.0"
# name, stage, what a person did, what the message must say
MISTAKES: list[tuple[str, str, Spoil, list[str]]] = [
    # settings
    ("no params", "prepare", remove("params.yaml"), ["params.yaml: no such file"]),
    ("broken params", "mix", write("params.yaml", "seed: ["), ["params.yaml: not valid YAML"]),
    ("no profile", "mix", set_to("params.yaml", "profile", "x"), ["no file profiles/x.yaml"]),
    ("typo", "prepare", set_to("params.yaml", "prepare.max_reject", 1), ["max_rejected_share?"]),
    ("type", "prepare", set_to(PROFILE, f"{SOURCE}.take.train", "a"), ["take.train = 'a'"]),
    ("labels", "prepare", set_to(PROFILE, "labels.positive", "x"), ["positive = 'x'", "one of"]),
    ("kind", "prepare", set_to(PROFILE, f"{SOURCE}.kind", "csv"), ["'csv'", "'files'"]),
    # sources
    ("no file", "prepare", remove(TWEETS), ["splits.train", f"'{TWEETS}'", "no such file"]),
    ("empty file", "prepare", write(TWEETS, ""), ["the split train is empty"]),
    ("no columns", "prepare", write(TWEETS, "tweet,y\na,0\n"), ["no column text", "tweet, y"]),
    ("encoding", "prepare", write(TWEETS, b"text,label\n\xff,0\n"), ["line 2 is not utf-8"]),
    ("open quote", "prepare", write(TWEETS, 'text,label\n"a,0\nb,4\n'), ["row 1 opens", "quoting"]),
    ("label values", "prepare", write(TWEETS, "text,label\na,no\n"), ["label 'no' is not one of"]),
    ("ragged", "prepare", write(TWEETS, "text,label\na\nb,1,2\n"), ["has 1 fields, not 2"]),
    (
        "json",
        "prepare",
        all_of(
            write("data/raw/a.jsonl", "{"),
            set_to(PROFILE, TRAIN, "data/raw/a.jsonl"),
        ),
        ["data/raw/a.jsonl row 1: is not valid JSON"],
    ),
    (
        "parquet",
        "prepare",
        all_of(
            write("data/raw/a.parquet", "PAR1"),
            set_to(PROFILE, TRAIN, "data/raw/a.parquet"),
        ),
        ["data/raw/a.parquet: cannot be read as Parquet"],
    ),
    (
        "elsewhere",
        "prepare",
        all_of(write("a.csv", "text,label\na,0\n"), set_to(PROFILE, TRAIN, "a.csv")),
        ["'a.csv' lies outside data/raw/", "sha256:"],
    ),
    (
        "wrong hash",
        "prepare",
        set_to(PROFILE, f"{SOURCE}.sha256", {"train": "ab" * 32}),
        [f"'{TWEETS}' has the sha256", "not abab"],
    ),
    (
        "empty split",
        "prepare",
        set_to(PROFILE, f"{SOURCE}.validation_share", 0.001),
        ["labelled: no row is left in validation"],
    ),
    (
        "all train leaks",
        "prepare",
        set_to(PROFILE, TRAIN, "data/raw/tweets_test.csv"),
        ["labelled: no row is left in"],
    ),
    (
        "general column",
        "prepare",
        set_to(PROFILE, "sources.general.0.columns", {"output": "answer"}),
        ["data/raw/general.jsonl: has no column answer", "instruction, input, output, kind"],
    ),
    (
        "too many tasks",
        "prepare",
        set_to(PROFILE, "sources.general.1.train", 20_000),
        ["sources.general: kind tasks", "ask for fewer rows"],
    ),
    # templates
    ("no templates", "instructify", remove(TEMPLATES), [f"{TEMPLATES}: no such file"]),
    ("no pool", "instructify", write(TEMPLATES, "a: 1"), ["must contain a list under templates:"]),
    (
        "the row's text is missing",
        "instructify",
        set_to(TEMPLATES, f"{TEMPLATE}.input", ""),
        [f"{TEMPLATES}: template classify: the row's text is missing"],
    ),
    (
        "loop",
        "instructify",
        set_to(TEMPLATES, f"{TEMPLATE}.input", "{% for a in text %}{{ a }}{% endfor %}"),
        ["template classify: input: may contain only text and {{ labels }}, {{ text }}"],
    ),
    (
        "label told",
        "instructify",
        set_to(TEMPLATES, f"{TEMPLATE}.instruction", "It is {{ label }}"),
        ["template classify: instruction: may contain only text and"],
    ),
    (
        "one answer",
        "instructify",
        set_to(TEMPLATES, f"{TEMPLATE}.completion", "yes"),
        ["template classify: completion: ", "cannot be read back from 'yes'"],
    ),
    (
        "same id",
        "instructify",
        set_to(TEMPLATES, f"{TEMPLATE}.id", "question"),
        ["the id question occurs twice"],
    ),
    # what an earlier stage should have left
    (
        "not prepared",
        "instructify",
        remove("data/prepared/labelled/train.parquet"),
        ["data/prepared/labelled/train.parquet: no such file; `dvc repro` makes it"],
    ),
    (
        "spoilt",
        "mix",
        write("data/instructions/general/train.parquet", "PAR1"),
        ["data/instructions/general/train.parquet: cannot be read as Parquet"],
    ),
    (
        "too few",
        "mix",
        set_to("params.yaml", "mix.general_rows", 9999),
        ["params.yaml: mix asks for 9999 general instructions, the sources have 42"],
    ),
]


@pytest.mark.parametrize(
    ("stage", "spoil", "parts"),
    [row[1:] for row in MISTAKES],
    ids=[row[0].replace(" ", "_") for row in MISTAKES],
)
def test_a_mistake_ends_the_stage_with_one_message(
    studied: Path,
    change: Change,
    call_stage: RunStage,
    stage: str,
    spoil: Spoil,
    parts: list[str],
) -> None:
    spoil(studied, change)
    before = {path: path.stat().st_mtime_ns for path in (studied / "data").rglob("*.*")}
    done = call_stage(studied, stage)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("error: ") == 1
    for part in parts:
        assert part in done.stderr
    # A stage that stops has written nothing, nor left a half-written file.
    assert before == {path: path.stat().st_mtime_ns for path in (studied / "data").rglob("*.*")}


def test_too_many_bad_rows_stop_with_ten_of_them_and_a_count(
    study: Path, call_stage: RunStage
) -> None:
    bad = "".join(f"Row {number},x{number}\n" for number in range(30))
    with (study / TWEETS).open("a", encoding="utf-8") as file:
        file.write(bad)
    done = call_stage(study, "prepare")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: 31 of 204 rows are bad, more than prepare.max_rejected_sh")
    assert sum(line.startswith(f"  {TWEETS} row ") for line in lines) == 10
    assert lines[1] == f"  {TWEETS} row 120: label '2' is not one of 0, 4"
    assert lines[-1].split() == ["31", "×", "label", "…", "is", "not", "one", "of", "…,", "…"]
    assert not (study / "data/prepared").exists()


# --- what they need ---------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_data_stage_imports_nothing_heavy(repo: Path, stage: str) -> None:
    heavy = ["torch", "transformers", "datasets", "sklearn", "pandas"]
    heavy += [] if stage == "prepare" else ["scipy"]  # prepare says what the test rows can show
    code = f"import sys, {stage}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repo / "stages",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
