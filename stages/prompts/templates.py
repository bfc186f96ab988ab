"""The pool of templates: data in YAML, rendered in Jinja2's sandbox, checked when read.

A template may only put variables into text. It is rendered once with marks in place of the row,
and the rows are then filled in as columns: a row's text is never parsed as a template.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from runtime.errors import StudyError, shown
from runtime.yaml_file import read_yaml

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prompts.format import PromptFormat, write_prompt

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
)
POOL = Path("data/instructions/templates.json")  # the pool as `instructify` read it
_TEXT_MARK = "\0text\0"  # which no template and no label can hold: read_yaml refuses NUL


class Template(BaseModel):
    """One wording: instruction, optional input, and the completion that the model is to give."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    instruction: str
    input: str = ""
    completion: str = "{{ label }}"
    held_out: bool = False

    def completions(self, labels: Sequence[str]) -> list[str]:
        """The answer for each label, in the labels' order."""
        return [_render(self.completion, label=label) for label in labels]

    def prompts(
        self, texts: pa.Array, labels: Sequence[str], prompt_format: PromptFormat
    ) -> pa.Array:
        """The prompt for each text. Shape: one string a text."""
        spoken = _spoken(labels)
        instruction = _render(self.instruction, text=_TEXT_MARK, labels=spoken)
        extra = _render(self.input, text=_TEXT_MARK, labels=spoken)
        pieces = write_prompt(prompt_format, instruction, extra).split(_TEXT_MARK)
        columns: list[pa.Array | pa.Scalar] = [pa.scalar(pieces[0])]
        for piece in pieces[1:]:
            columns += [texts, pa.scalar(piece)]
        return pc.binary_join_element_wise(*columns, pa.scalar(""))

    def label_in(self, answer: str, labels: Sequence[str]) -> str | None:
        """The label that `answer` names, read strictly; None where it names none.

        Case, surrounding white space, quotation marks and a final full stop do not matter; anything
        else said makes the answer invalid.
        """
        said = _bare(answer)
        for label, completion in zip(labels, self.completions(labels), strict=True):
            if said == _bare(completion):
                return label
        return None


def _bare(answer: str) -> str:
    return answer.strip().strip("\"'").removesuffix(".").strip().casefold()


def read_templates(path: Path, labels: Sequence[str]) -> list[Template]:
    """Read and check a pool. Raises `StudyError` naming file, template and fault."""
    content = read_yaml(path)
    entries = content.get("templates") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise StudyError(f"{path}: must hold a list under templates:")
    pool = [_template(path, place, entry, labels) for place, entry in enumerate(entries, start=1)]
    ids = [template.id for template in pool]
    for id in ids:
        if ids.count(id) > 1:
            raise StudyError(f"{path}: the id {id} stands twice; an id names one template")
    if all(template.held_out for template in pool):
        raise StudyError(f"{path}: every template is held_out, none is left to train on")
    return pool


def _template(path: Path, place: int, entry: object, labels: Sequence[str]) -> Template:
    name = entry.get("id", place) if isinstance(entry, dict) else place
    where = f"{path}: template {name if isinstance(name, str) and name else shown(name)}"
    try:
        template = Template.model_validate(entry)
    except ValidationError as error:
        fault = error.errors()[0]
        allowed = ", ".join(Template.model_fields)
        key = ".".join(map(str, fault["loc"]))
        told = "" if fault["type"] == "missing" else f" = {shown(fault['input'])}"
        raise StudyError(f"{where}: {key}{told}: {fault['msg']} (the keys are {allowed})") from None
    for key, names in (
        ("instruction", {"text", "labels"}),
        ("input", {"text", "labels"}),
        ("completion", {"label"}),
    ):
        _check(f"{where}: {key}", getattr(template, key), names)
    spoken = _spoken(labels)
    prompt = [
        _render(part, text=_TEXT_MARK, labels=spoken)
        for part in (template.instruction, template.input)
    ]
    if not any(_TEXT_MARK in part for part in prompt):
        raise StudyError(f"{where}: drops the row: write {{{{ text }}}} in instruction or input")
    if not prompt[0].strip():
        raise StudyError(f"{where}: the instruction is blank")
    answers = template.completions(labels)
    for label, answer in zip(labels, answers, strict=True):
        if template.label_in(answer, labels) != label or not _bare(answer):
            raise StudyError(
                f"{where}: completion: {label} cannot be read back from {shown(answer)}; each label needs "
                "an answer of its own, with {{ label }} in it"
            )
        if answer != answer.strip():
            raise StudyError(
                f"{where}: completion: {shown(answer)} begins or ends with white space"
            )
    return template


def _check(where: str, source: str, names: set[str]) -> None:
    """A template is text with `{{ name }}`: with nothing else it can neither loop nor reach out."""
    try:
        tree = _ENVIRONMENT.parse(source)
    except RecursionError:
        raise StudyError(f"{where}: no valid template: is nested too deeply") from None
    except (TemplateError, ValueError) as error:  # ValueError: of a number too long
        raise StudyError(f"{where}: no valid template: {error}") from None
    for node in tree.body:
        parts = node.nodes if isinstance(node, nodes.Output) else [node]
        for part in parts:
            if isinstance(part, nodes.Name) and part.name in names:
                continue
            if not isinstance(part, nodes.TemplateData):
                allowed = ", ".join(f"{{{{ {name} }}}}" for name in sorted(names))
                raise StudyError(f"{where}: may hold text and {allowed} alone: {shown(source)}")


def _render(source: str, **variables: str) -> str:
    return _ENVIRONMENT.from_string(source).render(variables)


def _spoken(labels: Sequence[str]) -> str:
    return " or ".join(labels) if len(labels) < 3 else ", ".join(labels[:-1]) + f" or {labels[-1]}"
