"""The record of the arithmetic that computed `dvc.lock`: what is written and what stays unchanged."""

from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import record_arithmetic
import yaml
from record_arithmetic import main

from lm.fingerprint import RECORD, differing, read_record

INTEL = {"exponentials": "of Intel", "numpy's logarithms": "of both"}
AMD = {"exponentials": "of AMD", "numpy's logarithms": "of both"}
OUTPUTS = {"prepare": "data", "train": "adapter", "evaluate": "predictions", "compare": "reports"}
READS = {"prepare": "data/raw", "train": "models/base", "evaluate": "models/tuned"}


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a lock of four stages that an Intel processor computed and recorded."""
    monkeypatch.chdir(tmp_path)
    write_lock()
    compute_on(monkeypatch, "Intel", INTEL)
    main()


def write_lock(**outputs: str) -> None:
    """Write dvc.lock; `outputs`: {stage: hash} for stages whose outputs differ from the first lock."""
    stages: dict[str, Any] = {
        stage: {
            "deps": [{"path": READS.get(stage, "predictions"), "md5": "0"}],
            "outs": [{"path": path, "md5": outputs.get(stage, "1")}],
        }
        for stage, path in OUTPUTS.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")


def compute_on(monkeypatch: pytest.MonkeyPatch, processor: str, bits: dict[str, str]) -> None:
    monkeypatch.setattr(record_arithmetic, "fingerprint", lambda: bits)
    monkeypatch.setattr(record_arithmetic, "processor", lambda: processor)
    monkeypatch.setattr("lm.fingerprint.fingerprint", lambda: bits)


def recorded() -> dict[str, str]:
    """{stage: processor}."""
    record = read_record()
    return {stage: entry["processor"] for entry in record for stage in entry["stages"]}


def test_every_stage_is_recorded_with_the_operations_that_it_can_use() -> None:
    assert recorded() == dict.fromkeys(OUTPUTS, "Intel")
    record = read_record()
    operations = {stage: entry["operations"] for entry in record for stage in entry["stages"]}
    assert operations["train"] == operations["evaluate"] == INTEL
    assert operations["prepare"] == operations["compare"] == {"numpy's logarithms": "of both"}
    assert differing(read_record()) == []


def test_where_nothing_is_new_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    before = RECORD.read_bytes()
    RECORD.chmod(0o400)
    changed = RECORD.stat().st_mtime_ns
    main()
    compute_on(monkeypatch, "AMD", AMD)
    main()
    assert (RECORD.read_bytes(), RECORD.stat().st_mtime_ns) == (before, changed)
    assert differing(read_record()) == ["exponentials"]


def test_a_lock_recomputed_on_another_processor_must_match_to_the_byte_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute_on(monkeypatch, "AMD", AMD)
    write_lock(train="2", evaluate="2", compare="2")  # prepare wrote the same bytes
    main()
    assert recorded() == {"prepare": "Intel", "train": "AMD", "evaluate": "AMD", "compare": "Intel"}
    assert differing(read_record()) == []
    compute_on(monkeypatch, "Intel", INTEL)
    assert differing(read_record()) == ["exponentials"]


@pytest.mark.parametrize(("processor", "bits"), [("Intel", INTEL), ("AMD", AMD)])
def test_a_lock_of_two_arithmetics_must_match_to_the_byte_nowhere(
    monkeypatch: pytest.MonkeyPatch, processor: str, bits: dict[str, str]
) -> None:
    compute_on(monkeypatch, "AMD", AMD)
    write_lock(evaluate="2")
    main()
    assert recorded()["train"] == "Intel"
    assert recorded()["evaluate"] == "AMD"
    compute_on(monkeypatch, processor, bits)
    assert differing(read_record()) == ["exponentials"]


def test_a_removed_stage_leaves_the_record() -> None:
    lock = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))
    del lock["stages"]["train"], lock["stages"]["evaluate"]
    Path("dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    main()
    assert recorded() == {"prepare": "Intel", "compare": "Intel"}
    assert len(read_record()) == 1


def test_without_a_lock_the_error_names_it() -> None:
    Path("dvc.lock").unlink()
    with pytest.raises(StudyError, match=r"dvc\.lock: no such file"):
        main()
    Path("dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"dvc\.lock: contains no stages"):
        main()
