"""What prompts.format promises: one format, written out here letter by letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.format import STOP, PromptFormat, prompt_parts, write_prompt


@pytest.mark.parametrize(
    ("prompt_format", "input", "prompt"),
    [
        ("alpaca", "", "### Instruction:\nAdd.\n\n### Response:\n"),
        ("alpaca", "1 2", "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n"),
        ("chat", "", "Add."),
        ("chat", "1 2", "Add.\n\n1 2"),
    ],
)
def test_a_prompt_is_written_so(prompt_format: PromptFormat, input: str, prompt: str) -> None:
    assert write_prompt(prompt_format, "Add.", input) == prompt


@given(st.sampled_from(["alpaca", "chat"]), st.text(min_size=1), st.text())
def test_nothing_but_the_constant_parts_is_added(
    prompt_format: PromptFormat, instruction: str, input: str
) -> None:
    before, between, after = prompt_parts(prompt_format, bool(input))
    prompt = write_prompt(prompt_format, instruction, input)
    assert prompt == before + instruction + between + input + after


def test_an_answer_stops_where_it_would_write_the_next_heading() -> None:
    assert STOP["alpaca"] is not None
    following = write_prompt("alpaca", "Add.", "1 2")
    assert ("\n" + following).startswith(STOP["alpaca"])
