"""docs/data.md is true: its settings are valid, and its files are read or stop as it says."""

import json
import re
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import yaml

from rows.reading import read_rows
from settings.sources import LabelledFiles, Reading

TEXT = (Path(__file__).resolve().parents[1] / "docs/data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
YAML_BLOCKS = [content for language, content in BLOCKS if language == "yaml"]
FILES = [content for language, content in BLOCKS if not language]
SOURCE = {
    "kind": "files",
    "splits": {"train": "a.csv"},
    "columns": {"text": "text", "label": "label"},
    "label_values": "auto",
    "validation_share": 0.1,
    "test_share": 0.3,
}


@pytest.mark.parametrize("block", YAML_BLOCKS)
def test_the_settings_are_valid(block: str) -> None:
    assert LabelledFiles.model_validate(SOURCE | yaml.safe_load(block))


def values(content: str, name: str, **reading: Any) -> list[dict[str, Any]]:
    rows = list(read_rows(content.encode(), name, Reading(**reading)))
    assert not [row.problem for row in rows if row.problem]
    return [row.values for row in rows]


def test_the_files_are_read_or_stop_as_the_page_says() -> None:
    unnamed, stray, multi_line = FILES
    assert values(unnamed, "a.csv") == [{"v1": "ham", "v2": "See you at six, then"}]
    with pytest.raises(StudyError, match=r"a\.tsv: lines 2 to 4 \(row 1\)"):
        values(stray, "a.tsv")
    assert len(values(stray, "a.tsv", quoting=False)) == 6
    assert len(values(stray, "a.tsv", quoting=True)) == 4
    assert values(multi_line, "a.csv") == [
        {"text": "Great, he said,\nand then he left.", "label": "0"}
    ]
    ((_, rows),) = [block for block in BLOCKS if block[0] == "json"]
    assert values(rows, "a.json") == json.loads(rows)
