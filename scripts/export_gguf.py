"""Write an exported model as one GGUF file: `export_gguf.py SYSTEM LLAMA_CPP [--rows N]`.

LLAMA_CPP is a checkout of llama.cpp; its converter writes `exports/SYSTEM/` as `exports/SYSTEM.gguf`.
The check is the same as in export.py: llama-cpp-python scores the rows that the adapter scores, and its
tokenizer must return the same token ids. If the check fails, the exit status is 1 and the file's name is
`exports/SYSTEM.failed.gguf`. `exports/SYSTEM.gguf.json` contains the result of the check.
"""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

from runtime.errors import StudyError
from runtime.files import write_json
from runtime.process import run_stage

from export import (
    EXPORTS,
    TOLERANCE,
    Scores,
    add_arguments,
    compare,
    described,
    flip_lines,
    read_rows,
    score_adapter,
    tuned_system,
)

from lm.base import make_repeatable
from lm.gguf_file import read_gguf, require_llama_cpp, score_gguf, write_gguf
from settings.read import read_settings
from systems import Trained


def main() -> None:
    settings = read_settings("task", "seed", "prompt_format", "labels", "precision", "evaluate")
    system, checkout, count = _arguments(settings.task)
    name = system.name
    folder, file = EXPORTS / name, EXPORTS / f"{name}.gguf"
    if not folder.is_dir():
        raise StudyError(f"{folder}: does not exist; `make export SYSTEM={name}` writes it")
    require_llama_cpp(checkout)
    make_repeatable(settings.seed)

    rows = read_rows(count)
    failed, partial = EXPORTS / f"{name}.failed.gguf", EXPORTS / f".{name}.gguf.partial"
    try:
        write_gguf(folder, checkout, settings.precision.dtype, partial)
        print(f"{name}: scoring {len(rows)} rows with the adapter, then with llama.cpp", flush=True)
        expected = score_adapter(system, rows, settings)
        prompts = expected.prompts
        if settings.prompt_format == "alpaca":  # a chat prompt is a list of token ids, not text
            prompts = read_gguf(partial, [row["prompt"] for row in rows])
        scores = score_gguf(partial, expected.prompts, expected.choices)
        actual = Scores(prompts, expected.choices, scores)
        proof = compare(rows, expected, actual, settings, TOLERANCE[settings.precision.dtype])
        for old in (file, failed):
            old.unlink(missing_ok=True)
        os.replace(partial, file if proof.passed else failed)
    finally:
        partial.unlink(missing_ok=True)
    write_json(EXPORTS / f"{name}.gguf.json", {"passed": proof.passed, **asdict(proof)})
    print("\n".join([*flip_lines(proof), described(proof)]))
    if not proof.passed:
        sys.exit(f"error: llama.cpp's scores differ from the adapter's; the file is {failed}")
    print(f"{file}: the complete model for llama.cpp")


def _arguments(task: str) -> tuple[Trained, Path, int]:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, task)
    parser.add_argument("llama_cpp", type=Path, help="folder of a checkout of llama.cpp")
    arguments = parser.parse_args()
    system = tuned_system(arguments.system, task, arguments.rows)
    return system, arguments.llama_cpp, arguments.rows


if __name__ == "__main__":
    run_stage(main)
