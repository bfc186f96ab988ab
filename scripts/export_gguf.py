"""An exported model as one GGUF file as well: `export_gguf.py SYSTEM LLAMA_CPP [--rows N]`.

`exports/SYSTEM/` is written as `exports/SYSTEM.gguf` by the converter in LLAMA_CPP, a checkout of
llama.cpp, and proved as the folder was: llama-cpp-python scores the rows that the adapter scores, and its
tokenizer must read their prompts alike. Where the proof fails, the exit status is 1 and the file stays
as `exports/SYSTEM.failed.gguf`. `exports/SYSTEM.gguf.json` tells either.
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
    ADAPTERS_OF,
    EXPORTS,
    ROWS,
    TOLERANCE,
    Scores,
    compare,
    described,
    flip_lines,
    read_rows,
    require_tuned,
    score_adapter,
)

from lm.base import make_repeatable
from lm.gguf_file import read_gguf, require_llama_cpp, score_gguf, write_gguf
from settings.read import read_settings


def main() -> None:
    system, checkout, count = _arguments()
    settings = read_settings(
        "seed", "prompt_format", "instructify", "labels", "precision", "evaluate"
    )
    folder, file = EXPORTS / system, EXPORTS / f"{system}.gguf"
    if not folder.is_dir():
        raise StudyError(f"{folder}: does not exist; `make export SYSTEM={system}` makes it")
    require_llama_cpp(checkout)
    make_repeatable(settings.seed)

    rows = read_rows(count)
    failed, partial = EXPORTS / f"{system}.failed.gguf", EXPORTS / f".{system}.gguf.partial"
    try:
        write_gguf(folder, checkout, settings.precision.dtype, partial)
        print(
            f"{system}: {len(rows)} rows are scored by the adapter, then by llama.cpp", flush=True
        )
        expected = score_adapter(system, rows, settings)
        prompts = expected.prompts
        if settings.prompt_format == "alpaca":  # the other is written by a template, token by token
            prompts = read_gguf(partial, [row["prompt"] for row in rows])
        scores = score_gguf(partial, expected.prompts, expected.choices)
        found = Scores(prompts, expected.choices, scores)
        proof = compare(rows, expected, found, settings, TOLERANCE[settings.precision.dtype])
        for old in (file, failed):
            old.unlink(missing_ok=True)
        os.replace(partial, file if proof.passed else failed)
    finally:
        partial.unlink(missing_ok=True)
    write_json(EXPORTS / f"{system}.gguf.json", {"passed": proof.passed, **asdict(proof)})
    print("\n".join([*flip_lines(proof), described(proof)]))
    if not proof.passed:
        sys.exit(f"error: llama.cpp does not answer as the adapter; the file stays as {failed}")
    print(f"{file}: for llama.cpp")


def _arguments() -> tuple[str, Path, int]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help=f"one of {', '.join(ADAPTERS_OF)}")
    parser.add_argument("llama_cpp", type=Path, help="the folder of a checkout of llama.cpp")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"to prove it on; {ROWS} by default")
    given = parser.parse_args()
    require_tuned(given.system, given.rows)
    return given.system, given.llama_cpp, given.rows


if __name__ == "__main__":
    run_stage(main)
