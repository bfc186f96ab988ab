"""The one prompt format: what the model reads before it answers, alike for both tasks.

`alpaca` writes Alpaca's headings around the instruction. `chat` leaves the message bare; the
tokenizer's own chat template is put around it as token ids (`prompts.encode`), so that a row's text
can never write the template's special tokens.
"""

from typing import Literal

PromptFormat = Literal["alpaca", "chat"]

# Where an answer starts to write the next prompt, it has ended.
STOP = {"alpaca": "\n###", "chat": None}
# After examples, which stand a blank line apart, so does an answer that leaves one.
STOP_AFTER_SHOTS = {"alpaca": "\n\n", "chat": None}


def prompt_parts(prompt_format: PromptFormat, has_input: bool) -> tuple[str, str, str]:
    """The constant text before the instruction, between it and the input, and after."""
    if prompt_format == "chat":
        return ("", "\n\n", "") if has_input else ("", "", "")
    if has_input:
        return "### Instruction:\n", "\n\n### Input:\n", "\n\n### Response:\n"
    return "### Instruction:\n", "", "\n\n### Response:\n"


def write_prompt(prompt_format: PromptFormat, instruction: str, input: str) -> str:
    """Put an instruction, and an input where it is not blank, into the prompt format."""
    before, between, after = prompt_parts(prompt_format, bool(input))
    return f"{before}{instruction}{between}{input}{after}"
