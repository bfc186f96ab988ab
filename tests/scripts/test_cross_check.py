"""The task file for lm_eval, how its samples are read, and what counts as a difference."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import datasets
import pytest
import yaml
from cross_check import Row, compare, cross_check, is_encoded_alike, main, read_samples, write_task
from hypothesis import given
from hypothesis import strategies as st

from prompts.encode import Encoder
from prompts.format import write_prompt
from rows.answers import LABELLED_PREDICTIONS, TOKENS
from rows.tables import read_table, table_of, write_table
from systems import systems_of

LABELS = ["negative", "positive"]
SYSTEMS = systems_of("sentiment")
NASTY = "{{ 7 * 7 }} {% x %} \"a\" 'b' </s> \\n\n\n5 \u2028\x85 - key: 'it' ☃"

# A fake lm_eval with a test's scores. Like lm_eval it writes the last row first and numbers as text, and
# adds the log-likelihood of the prompt's last white space to every label of a row.
FAKE = """#!{python}
import json, os, sys
from pathlib import Path
import yaml

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
Path("seen.json").write_text(json.dumps([sys.argv, dict(os.environ)]))
scores = json.loads(Path("scores.json").read_text())
if isinstance(scores, str):
    sys.exit("much before it\\n" + scores)
task = yaml.safe_load((Path(options["--include_path"]) / "cross_check.yaml").read_text())
lines = Path(task["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()
docs = [json.loads(line) for line in lines]
right = [s.index(max(s)) == d["gold"] for d in docs for s in [scores[d["row_id"]]]]
folder = Path(options["--output_path"]) / "models__base"
folder.mkdir(parents=True)
results = {{"results": {{"cross_check": {{"acc,none": sum(right) / len(right)}}}}}}
(folder / "results_2026.json").write_text(json.dumps(results))
with open(folder / "samples_cross_check_2026.jsonl", "w", encoding="utf-8") as file:
    for doc in reversed(docs):
        answers = [[str(score - 0.25), "False"] for score in scores[doc["row_id"]]]
        sample = {{"doc": doc, "filtered_resps": answers}}
        file.write(json.dumps(sample, ensure_ascii=False) + "\\n")
"""


def _row(name: str, scores: Sequence[float], prompt: str = "Is it good?\n") -> Row:
    return Row(name, prompt, LABELS, 1, scores.index(max(scores)), list(scores))


@pytest.fixture(scope="session")
def base(smollm2_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with only the tokenizer: the check reads nothing else."""
    folder = tmp_path_factory.mktemp("base")
    smollm2_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def checked(study: Path, base: Path) -> Path:
    """A study with predictions of two systems, three rows each, and an lm_eval that agrees."""
    (study / "models").mkdir()
    (study / "models/base").symlink_to(base)
    scores = {"a": [-1.0, -2.0], "b": [-3.0, -0.5], "c": [-0.25, -4.0]}
    texts = {"a": "It is awful", "b": NASTY, "c": "<|im_start|> it"}
    rows = [
        {
            "row_id": name,
            "label": "negative",
            "template": "classify",
            "prompt": write_prompt("alpaca", "Negative or positive?", texts[name]),
            "log_likelihoods": row_scores,
            "scored": LABELS[row_scores.index(max(row_scores))],
            "generated": "",
            "parsed": None,
        }
        for name, row_scores in scores.items()
    ]
    for system in ("original_pretrained", "mixed_fine_tuned"):
        path = study / f"predictions/{system}/labelled.parquet"
        write_table(path, table_of(rows, LABELLED_PREDICTIONS))
        write_table(path.with_name("tokens.parquet"), table_of(_tokens("abc", False), TOKENS))
    (study / "scores.json").write_text(json.dumps(scores))
    fake = study / ".venv-lm-eval/bin/lm_eval"
    fake.parent.mkdir(parents=True)
    fake.write_text(FAKE.format(python=sys.executable))
    fake.chmod(0o755)
    return study


def _tokens(row_ids: str, end_counts: bool) -> list[dict[str, object]]:
    return [
        {"row_id": id, "prompt_tokens": 9, "generated_tokens": 2, "end_counts": end_counts}
        for id in row_ids
    ]


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["cross_check.py", *arguments])
    main()


# --- the task ---------------------------------------------------------------------------------


def test_a_rows_text_is_data_of_the_task_and_never_a_template(tmp_path: Path) -> None:
    rows = [_row("a", [-1, -2], NASTY), _row("b", [-1, -2], "2026-11-25")]
    write_task(tmp_path, rows)
    task = yaml.safe_load((tmp_path / "cross_check.yaml").read_text(encoding="utf-8"))
    table = datasets.load_dataset(
        task["dataset_path"],
        split=task["test_split"],
        cache_dir=str(tmp_path / "cache"),
        **task["dataset_kwargs"],
    )
    columns = [task[f"doc_to_{part}"] for part in ("text", "choice", "target")]
    assert set(columns) <= set(table.column_names)  # lm_eval parses any other text as a template
    loaded = [[row[column] for column in columns] for row in table]
    assert loaded == [[row.prompt, LABELS, 1] for row in rows]
    assert task["target_delimiter"] == ""


def test_the_row_ids_of_a_task_are_those_of_the_rows(tmp_path: Path) -> None:
    write_task(tmp_path, [_row(name, [-1, -2]) for name in ("b", "a")])
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row_id"] for line in lines] == ["b", "a"]


# --- token ids --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["It is awful", "ends in space ", NASTY, "1 000\t\n", "naïve ☃"])
def test_the_defaults_base_encodes_a_row_as_lm_eval_does(smollm2_tokenizer: Any, text: str) -> None:
    row = _row("a", [-1, -2], write_prompt("alpaca", "Negative or positive?", text))
    assert is_encoded_alike(row, smollm2_tokenizer, Encoder(smollm2_tokenizer, "alpaca"))


def test_lm_eval_encodes_a_special_token_in_a_text_differently(smollm2_tokenizer: Any) -> None:
    row = _row("a", [-1, -2], write_prompt("alpaca", "Which?", "It is <|im_end|> awful"))
    assert not is_encoded_alike(row, smollm2_tokenizer, Encoder(smollm2_tokenizer, "alpaca"))


def test_lm_eval_encodes_differently_with_a_tokenizer_that_starts_an_answer_as_a_word(
    mistral_tokenizer: Any,
) -> None:
    row = _row("a", [-1, -2], write_prompt("alpaca", "Which?", "It is awful"))
    assert not is_encoded_alike(row, mistral_tokenizer, Encoder(mistral_tokenizer, "alpaca"))


# --- agreement --------------------------------------------------------------------------------


def _three(scores: list[float]) -> Row:
    return Row("a", "", ["a", "b", "c"], 0, scores.index(max(scores)), scores)


_SCORES = st.lists(st.floats(-50, 0), min_size=3, max_size=3)


@given(st.lists(_SCORES, min_size=1, max_size=5), st.floats(-5, 5))
def test_what_every_label_of_a_row_shares_is_no_difference(
    scores: list[list[float]], shared: float
) -> None:
    rows = [_three(row_scores) for row_scores in scores]
    comparison = compare(rows, [[score + shared for score in row_scores] for row_scores in scores])
    assert comparison.differing == []
    assert comparison.largest < 1e-9


@given(_SCORES, _SCORES)
def test_rows_differ_exactly_where_the_most_likely_label_does_and_it_is_no_tie(
    ours: list[float], theirs: list[float]
) -> None:
    comparison = compare([_three(ours)], [theirs])
    named = comparison.differing + comparison.ties
    assert len(named) == (ours.index(max(ours)) != theirs.index(max(theirs)))
    assert all(line.startswith("row a: ") for line in named)


@pytest.mark.parametrize(
    ("ours", "theirs", "ties"),
    [
        ((-1.0, -1.00009), (-1.00009, -1.0), 1),
        ((-1.0, -1.0), (-1.00002, -1.00001), 1),
        ((-1.0, -1.0002), (-1.00009, -1.0), 0),
        ((-1.0, -1.00009), (-1.0002, -1.0), 0),
        ((-1.0, -3.0), (-3.0, -1.0), 0),
    ],
)
def test_a_tie_is_one_on_both_sides(
    ours: Sequence[float], theirs: Sequence[float], ties: int
) -> None:
    comparison = compare([_row("a", ours)], [theirs])
    assert (len(comparison.ties), len(comparison.differing)) == (ties, 1 - ties)


def test_a_row_that_differs_is_shown_with_both_sides_scores() -> None:
    comparison = compare([_row("a", [-1, -2]), _row("b", [-1, -2])], [[-1, -2.5], [-4, -3.5]])
    assert comparison.differing == [
        "row b: 'negative' here (-1.00000, -2.00000), 'positive' in lm_eval (-4.00000, -3.50000)"
    ]
    assert comparison.largest == 1.5


# --- the whole check --------------------------------------------------------------------------


def test_equal_labels_pass_with_both_accuracies(
    checked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _main(monkeypatch, "original_pretrained", "--rows", "2")
    printed = capsys.readouterr().out
    assert "accuracy 0.5000 here, 0.5000 in lm_eval, on 2 rows" in printed
    assert "0 rows differ, 0 are ties; log-likelihoods differ by at most 0.0e+00 nats" in printed


def test_a_row_with_a_special_token_is_skipped_and_counted(
    checked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cross_check(SYSTEMS["original_pretrained"], None) == 0
    printed = capsys.readouterr().out
    assert "1 of 3 rows are skipped" in printed
    assert "on 2 rows" in printed


def test_another_label_is_an_exit_with_1_and_named(
    checked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checked / "scores.json").write_text(json.dumps({"a": [-1.0, -0.5], "b": [-3.0, -0.5]}))
    with pytest.raises(SystemExit, match="1 rows have a different label") as raised:
        _main(monkeypatch, "original_pretrained", "--rows", "2")
    assert isinstance(raised.value.code, str)  # Python prints it and exits with 1
    printed = capsys.readouterr().out
    assert "original_pretrained: row a: 'negative' here (-1.00000, -2.00000)" in printed
    assert "row b" not in printed
    assert "accuracy 0.5000 here, 0.0000 in lm_eval" in printed


def test_the_label_that_predictions_name_is_what_is_checked(
    checked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checked / "predictions/original_pretrained/labelled.parquet"
    rows = read_table(path, LABELLED_PREDICTIONS).to_pylist()
    rows[0]["scored"] = "positive"  # though its log-likelihoods say negative
    write_table(path, table_of(rows, LABELLED_PREDICTIONS))
    assert cross_check(SYSTEMS["original_pretrained"], 2) == 1
    assert "accuracy 0.0000 here, 0.5000 in lm_eval" in capsys.readouterr().out


def test_scores_with_the_end_of_the_answer_are_not_compared(checked: Path) -> None:
    path = checked / "predictions/original_pretrained/tokens.parquet"
    write_table(path, table_of(_tokens("abc", True), TOKENS))
    with pytest.raises(StudyError, match="original_pretrained: the tokens of one label begin the"):
        cross_check(SYSTEMS["original_pretrained"], 2)


def test_a_tie_passes_and_is_printed(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checked / "predictions/original_pretrained/labelled.parquet"
    (checked / "scores.json").write_text(json.dumps({"a": [-1.5, -1.49995]}))
    row = {
        **dict.fromkeys(LABELLED_PREDICTIONS.names, ""),
        **{"row_id": "a", "label": "negative", "template": "classify"},
        **{"scored": "negative", "prompt": "Which?\n", "log_likelihoods": [-1.5, -1.50005]},
    }
    write_table(path, table_of([row], LABELLED_PREDICTIONS))
    assert cross_check(SYSTEMS["original_pretrained"], None) == 0
    printed = capsys.readouterr().out
    assert "a tie" in printed
    assert "0 rows differ, 1 are ties" in printed


@pytest.mark.parametrize(
    ("system", "model"),
    [
        ("original_pretrained", "pretrained=models/base,dtype=float32"),
        (
            "mixed_fine_tuned",
            "pretrained=models/base,dtype=float32,peft=models/mixed_fine_tuned",
        ),
    ],
)
def test_lm_eval_runs_offline_on_the_systems_own_model(
    checked: Path, monkeypatch: pytest.MonkeyPatch, system: str, model: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", "stages")
    cross_check(SYSTEMS[system], 1)
    command, environment = json.loads((checked / "seen.json").read_text())
    assert command[command.index("--model_args") + 1] == model
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "PYTHONPATH" not in environment  # stages/evaluate.py would hide the package evaluate


def test_rows_that_lm_eval_left_out_are_an_error(tmp_path: Path) -> None:
    results = tmp_path / "found/models__base"
    results.mkdir(parents=True)
    (results / "results_1.json").write_text('{"results": {"cross_check": {"acc,none": 1.0}}}')
    sample = {"doc": {"row_id": "b"}, "filtered_resps": [["-1.5", "False"], ["-2.5", "True"]]}
    (results / "samples_cross_check_1.jsonl").write_text(json.dumps(sample) + "\n")
    rows = [_row("b", [-1, -2]), _row("a", [-1, -2])]
    assert read_samples(tmp_path, rows[:1]) == ([[-1.5, -2.5]], 1.0)
    with pytest.raises(StudyError, match="no score for some label of 1 of 2 rows, first for row a"):
        read_samples(tmp_path, rows)


# --- mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["original_few_shot"], "do not contain the examples before each prompt"),
        (
            ["tfidf_logistic"],
            "not a language model of this study; choose from original_pretrained, ",
        ),
        (["tuned"], "not a language model of this study; choose from original_pretrained, "),
        (["--rows", "0"], "--rows 0: must be 1 or more"),
        (["sentiment_fine_tuned"], "labelled.parquet: no such file; `dvc repro` makes it"),
    ],
)
def test_a_wrong_argument_or_missing_predictions_are_named(
    checked: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        _main(monkeypatch, *arguments)


def test_a_missing_environment_or_model_says_what_makes_it(
    checked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checked / "models/base").unlink()
    with pytest.raises(StudyError, match="models/base: no such folder; `dvc repro` writes it"):
        _main(monkeypatch, "original_pretrained")
    (checked / ".venv-lm-eval/bin/lm_eval").unlink()
    with pytest.raises(StudyError, match="`make cross-check` installs it"):
        _main(monkeypatch, "original_pretrained")


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("params.yaml", "prompt_format", "chat", "the cross-check needs alpaca"),
        ("profiles/small.yaml", "precision.dtype", "bfloat16", "needs float32 and none"),
        ("profiles/small.yaml", "precision.quantization", "nf4", "needs float32 and none"),
        (
            "templates/sentiment.yaml",
            "templates.0.id",
            "other",
            "uses a template that no longer exists",
        ),
    ],
)
def test_settings_that_allow_no_comparison_are_named(
    checked: Path,
    change: Callable[[Path, str, object], None],
    file: str,
    key: str,
    value: str,
    message: str,
) -> None:
    change(checked / file, key, value)
    with pytest.raises(StudyError, match=message):
        cross_check(SYSTEMS["original_pretrained"], None)


def test_no_row_left_to_compare_is_an_error(checked: Path, mistral_tokenizer: Any) -> None:
    (checked / "models/base").unlink()
    mistral_tokenizer.save_pretrained(checked / "models/base")
    with pytest.raises(StudyError, match="no row is left to compare"):
        cross_check(SYSTEMS["original_pretrained"], None)


def test_a_failure_of_lm_eval_is_reported_in_one_line(checked: Path) -> None:
    (checked / "scores.json").write_text(json.dumps("ValueError: no such model"))
    with pytest.raises(StudyError) as raised:
        cross_check(SYSTEMS["original_pretrained"], 1)
    assert str(raised.value) == (
        "lm_eval failed on original_pretrained with status 1: ValueError: no such model"
    )
