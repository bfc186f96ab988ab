"""A new run's metrics are compared with the committed metrics within stated tolerances."""

import json
from pathlib import Path

import pytest
import yaml
from check_metrics import DATA, compare, compare_data

EXACT = ["majority", "tfidf_logistic", "vader_lexicon"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    committed = {
        "headline.json": {"original_acc": 0.646, "mixed_acc": 0.9, "mixed_forgot": 2.0},
        "systems.json": {
            "systems": [
                {"system": "majority", "accuracy": 0.691, "matthews": 0.0},
                {
                    "system": "mixed_fine_tuned",
                    "accuracy": 0.9,
                    "matthews": 0.8,
                    "exact_seen": 0.7,
                    "forgotten": 2.0,
                    "wordings_seen": 0.9,
                    "hundred": 0.2,
                    "rows": 90,
                },
            ],
            "pairs": {"a - b": {"difference": 0.3}},
            "primary": {"a - b": {"verdict": "better", "difference": 0.3, "p": 0.01}},
        },
    }
    for folder in ("committed", "new"):
        for name, content in committed.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
    return tmp_path / "committed", tmp_path / "new"


def _change(folder: Path, name: str, key: str, value: float | str) -> None:
    content = json.loads((folder / name).read_text())
    inner = content
    *parents, last = key.split(".")
    for parent in parents:
        if isinstance(inner, list):
            (inner,) = (row for row in inner if row["system"] == parent)
        else:
            inner = inner[parent]
    inner[last] = value
    (folder / name).write_text(json.dumps(content))


def test_equal_metrics_pass(folders: tuple[Path, Path]) -> None:
    assert list(compare(*folders, EXACT)) == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("systems.json", "systems.mixed_fine_tuned.accuracy", 0.88),
        ("systems.json", "systems.mixed_fine_tuned.matthews", 0.75),
        ("systems.json", "systems.mixed_fine_tuned.exact_seen", 0.72),
        ("systems.json", "systems.mixed_fine_tuned.forgotten", 2.4),
        ("systems.json", "systems.mixed_fine_tuned.wordings_seen", 0.83),
        ("systems.json", "systems.mixed_fine_tuned.hundred", 0.3),
        ("systems.json", "pairs.a - b.difference", 0.34),
        ("systems.json", "primary.a - b.difference", 0.34),
        ("systems.json", "primary.a - b.p", 0.04),
        ("headline.json", "mixed_acc", 0.88),
        ("headline.json", "mixed_forgot", 2.4),
    ],
)
def test_a_difference_within_the_tolerance_passes(
    folders: tuple[Path, Path], name: str, key: str, value: float | str
) -> None:
    _change(folders[1], name, key, value)
    assert list(compare(*folders, EXACT)) == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("systems.json", "systems.mixed_fine_tuned.accuracy", 0.86),
        ("systems.json", "systems.mixed_fine_tuned.matthews", 0.7),
        ("systems.json", "systems.mixed_fine_tuned.exact_seen", 0.5),
        ("systems.json", "systems.majority.accuracy", 0.692),
        ("systems.json", "systems.majority.matthews", 0.01),
        ("systems.json", "systems.mixed_fine_tuned.forgotten", 2.6),
        ("systems.json", "systems.mixed_fine_tuned.wordings_seen", 0.81),
        ("systems.json", "systems.mixed_fine_tuned.hundred", 0.33),
        ("systems.json", "systems.mixed_fine_tuned.rows", 91),
        ("systems.json", "pairs.a - b.difference", 0.36),
        ("systems.json", "primary.a - b.difference", 0.36),
        ("systems.json", "primary.a - b.verdict", "worse"),
        ("headline.json", "original_acc", 0.68),
        ("headline.json", "mixed_forgot", 2.6),
    ],
)
def test_a_larger_difference_is_named(
    folders: tuple[Path, Path], name: str, key: str, value: float | str
) -> None:
    _change(folders[1], name, key, value)
    (line,) = compare(*folders, EXACT)
    assert line.startswith(f"{name}: {key}: ")


def test_a_missing_file_is_named(folders: tuple[Path, Path]) -> None:
    (folders[1] / "headline.json").unlink()
    assert list(compare(*folders, EXACT)) == ["headline.json: missing"]


@pytest.mark.parametrize(("now", "lines"), [(5, 0), (3, 1), (None, 1)])
def test_two_of_the_ten_instructions_may_change_and_a_missing_metric_is_named(
    folders: tuple[Path, Path], now: int | None, lines: int
) -> None:
    for folder, followed in zip(folders, (6, now), strict=True):
        content = {} if followed is None else {"ten": followed}
        text = json.dumps({"systems": [{"system": "mixed_fine_tuned", **content}]})
        (folder / "systems.json").write_text(text)
    assert len(list(compare(*folders, EXACT))) == lines


@pytest.fixture
def locks(tmp_path: Path) -> tuple[Path, Path]:
    lock = {stage: {"outs": [{"path": f"data/{stage}", "md5": "0" * 32}]} for stage in DATA}
    noise = {"path": "metrics/label_noise.json", "md5": "0" * 32}
    lock |= {"baselines": {"outs": [noise, {"path": "predictions/tfidf", "md5": "0" * 32}]}}
    lock |= {"train_mixed": {"outs": [{"path": "models/mixed_fine_tuned", "md5": "0" * 32}]}}
    for name in ("committed", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    return tmp_path / "committed", tmp_path / "new"


@pytest.mark.parametrize("stage", DATA)
def test_different_bytes_of_data_are_a_difference(locks: tuple[Path, Path], stage: str) -> None:
    assert list(compare_data(*locks)) == []
    path = locks[1] / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    lock["stages"][stage]["outs"][0]["md5"] = "1" * 32
    path.write_text(yaml.safe_dump(lock))
    assert list(compare_data(*locks)) == [f"data/{stage}: {'0' * 32} committed, {'1' * 32} now"]


@pytest.mark.parametrize(
    ("stage", "index", "differs"),
    [("train_mixed", 0, False), ("baselines", 1, False), ("baselines", 0, True)],
)
def test_different_bytes_of_label_noise_are_a_difference_but_not_of_a_model(
    locks: tuple[Path, Path], stage: str, index: int, differs: bool
) -> None:
    path = locks[1] / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    lock["stages"][stage]["outs"][index]["md5"] = "1" * 32
    path.write_text(yaml.safe_dump(lock))
    assert len(list(compare_data(*locks))) == differs
