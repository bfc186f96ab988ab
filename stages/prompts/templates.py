"""The pool of templates: a YAML file, checked when read and rendered in Jinja2's sandbox.

A template may contain only text and variables. Each template is rendered once, with a mark in place of
a row's text. The texts then replace the mark, so that the text of a row is never parsed as a template.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from runtime.errors import StudyError, shown
from runtime.yaml_file import read_yaml

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2 import Template as CompiledTemplate
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prompts.format import PromptFormat, write_prompt

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
)
POOL = Path("data/instructions/templates.json")  # the copy of the pool that `instructify` writes
_MARK = re.compile("\0([^\0]*)\0")  # no template and no label contains NUL: read_yaml refuses it


class Template(BaseModel):
    """One wording of the task: instruction, input or "", and the completion that the model learns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    instruction: str
    input: str = ""
    completion: str = "{{ label }}"
    held_out: bool = False

    def completions(self, labels: Sequence[str]) -> list[str]:
        """The answer for each label, in the order of `labels`."""
        return [_render(self.completion, {"label": label}) for label in labels]

    def prompts(
        self,
        texts: pa.Array,
        labels: Sequence[str],
        prompt_format: PromptFormat,
        columns: Mapping[str, pa.Array] = {},
    ) -> pa.Array:
        """The prompt for each text. Shape: that of `texts`, strings.

        `columns`: {column: its texts}, the values of `{{ column }}`, each of the shape of `texts`.
        """
        instruction, input = self.rendered(labels, list(columns))
        values = {**columns, "text": texts}
        # Text and names of variables in turn: "Say ", "text", " again", ...
        pieces = _MARK.split(write_prompt(prompt_format, instruction, input))
        parts = [values[piece] if at % 2 else pa.scalar(piece) for at, piece in enumerate(pieces)]
        return pc.binary_join_element_wise(*parts, pa.scalar(""))

    def rendered(self, labels: Sequence[str], columns: Sequence[str] = ()) -> tuple[str, str]:
        """Instruction and input, with a mark in place of a row's text and of its columns."""
        marks = {name: f"\0{name}\0" for name in (*columns, "text")}
        variables = {**marks, "labels": _in_words(labels)}
        return _render(self.instruction, variables), _render(self.input, variables)

    def label_in(self, answer: str, labels: Sequence[str]) -> str | None:
        """The label whose completion is `answer`, or None.

        Letter case, surrounding white space and quotation marks, and a final full stop do not matter.
        Letters that Unicode writes in two ways, such as é, are equal. Any other difference makes the answer
        invalid.
        """
        bare_answer = _bare(answer)
        for label, completion in zip(labels, self.completions(labels), strict=True):
            if bare_answer == _bare(completion):
                return label
        return None


def _bare(answer: str) -> str:
    plain = answer.strip().strip("\"'").removesuffix(".").strip()
    return unicodedata.normalize("NFC", plain).casefold()


def text_columns_of(pool: Path) -> list[str]:
    """The text columns that a pool written by `instructify` names; empty if there is no pool."""
    content = read_yaml(pool) if pool.is_file() else None
    columns = content.get("columns") if isinstance(content, dict) else None
    return columns if isinstance(columns, list) else []


def read_templates(
    path: Path, labels: Sequence[str], columns: Sequence[str] | None = None
) -> list[Template]:
    """Read and check a pool. Raises `StudyError` that names the file, the template and the fault.

    `columns`: the text columns that templates may name beside `{{ text }}`; None: the columns that the
    file itself names, as the pool written by `instructify` does.
    """
    content = read_yaml(path)
    names = text_columns_of(path) if columns is None else list(columns)
    entries = content.get("templates") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise StudyError(f"{path}: must contain a list under templates:")
    pool = [
        _template(path, place, entry, labels, names) for place, entry in enumerate(entries, start=1)
    ]
    ids = [template.id for template in pool]
    for id in ids:
        if ids.count(id) > 1:
            raise StudyError(
                f"{path}: the id {id} occurs twice: write a different id for each template"
            )
    if all(template.held_out for template in pool):
        raise StudyError(
            f"{path}: every template is held_out: training needs a template that is not"
        )
    return pool


def _template(
    path: Path, place: int, entry: object, labels: Sequence[str], columns: Sequence[str]
) -> Template:
    name = entry.get("id", place) if isinstance(entry, dict) else place
    where = f"{path}: template {name if isinstance(name, str) and name else shown(name)}"
    try:
        template = Template.model_validate(entry)
    except ValidationError as error:
        fault = error.errors()[0]
        allowed = ", ".join(Template.model_fields)
        key = ".".join(map(str, fault["loc"]))
        value = "" if fault["type"] == "missing" else f" = {shown(fault['input'])}"
        raise StudyError(
            f"{where}: {key}{value}: {fault['msg']} (the keys are {allowed})"
        ) from None
    for key, names in (
        ("instruction", {"text", "labels", *columns}),
        ("input", {"text", "labels", *columns}),
        ("completion", {"label"}),
    ):
        _check(f"{where}: {key}", getattr(template, key), names)
    instruction, input = template.rendered(labels, columns)
    variables = set(_MARK.findall(instruction + input))
    if "text" not in variables and not (columns and variables.issuperset(columns)):
        all_columns = " and ".join(f"{{{{ {column} }}}}" for column in columns)
        alternative = f", or {all_columns}," if columns else ""
        raise StudyError(
            f"{where}: the row's text is missing: write {{{{ text }}}}{alternative} in instruction or input"
        )
    if not instruction.strip():
        raise StudyError(f"{where}: the instruction is blank")
    answers = template.completions(labels)
    for label, answer in zip(labels, answers, strict=True):
        if template.label_in(answer, labels) != label or not _bare(answer):
            raise StudyError(
                f"{where}: completion: {label} cannot be read back from {shown(answer)}: each label needs "
                "its own answer; write {{ label }} in the completion"
            )
        if answer != answer.strip():
            raise StudyError(
                f"{where}: completion: {shown(answer)} begins or ends with white space"
            )
    return template


def _check(where: str, source: str, names: set[str]) -> None:
    """Raise `StudyError` unless `source` contains only text and `{{ name }}` with a name of `names`.

    A template can then neither loop nor read anything else.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
    except RecursionError:
        raise StudyError(f"{where}: not a valid template: nested too deeply") from None
    except (TemplateError, ValueError) as error:  # ValueError: a number with too many digits
        raise StudyError(f"{where}: not a valid template: {error}") from None
    for node in tree.body:
        parts = node.nodes if isinstance(node, nodes.Output) else [node]
        for part in parts:
            if isinstance(part, nodes.Name) and part.name in names:
                continue
            if not isinstance(part, nodes.TemplateData):
                allowed = ", ".join(f"{{{{ {name} }}}}" for name in sorted(names))
                raise StudyError(f"{where}: may contain only text and {allowed}: {shown(source)}")


def _render(source: str, variables: Mapping[str, str]) -> str:
    return _compiled(source).render(variables)


@lru_cache(maxsize=1024)
def _compiled(source: str) -> CompiledTemplate:
    """The compiled template. Answers are rendered once a row, and Jinja2 compiles anew at each call."""
    return _ENVIRONMENT.from_string(source)


def _in_words(labels: Sequence[str]) -> str:
    """The labels as a prompt lists them: "a, b or c"."""
    return " or ".join(labels) if len(labels) < 3 else ", ".join(labels[:-1]) + f" or {labels[-1]}"
