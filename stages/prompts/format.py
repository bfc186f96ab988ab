"""The prompt format: the text before an answer, the same for labelled and general instructions.

`alpaca` writes Alpaca's headings around the instruction. `chat` adds nothing: `prompts.encode` puts the
tokenizer's chat template around the message as token ids, so that the text of a row can never become a
special token of the template.
"""

from typing import Literal

PromptFormat = Literal["alpaca", "chat"]

# An answer ends where the model starts to write the next prompt.
STOP = {"alpaca": "\n###", "chat": None}
# A blank line separates the examples of a few-shot prompt, so an answer ends at a blank line.
STOP_AFTER_SHOTS = {"alpaca": "\n\n", "chat": None}


def prompt_parts(prompt_format: PromptFormat, has_input: bool) -> tuple[str, str, str]:
    """The constant text before the instruction, between instruction and input, and after the input."""
    if prompt_format == "chat":
        return ("", "\n\n", "") if has_input else ("", "", "")
    if has_input:
        return "### Instruction:\n", "\n\n### Input:\n", "\n\n### Response:\n"
    return "### Instruction:\n", "", "\n\n### Response:\n"


def write_prompt(prompt_format: PromptFormat, instruction: str, input: str) -> str:
    """The prompt of an instruction and its input; `input` is "" if the instruction has no input."""
    before, between, after = prompt_parts(prompt_format, bool(input))
    return f"{before}{instruction}{between}{input}{after}"
