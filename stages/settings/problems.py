"""What is wrong with a setting, in one line: key, value, and what is allowed."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from runtime.errors import shown

from pydantic import BaseModel

_AUTO = "literal['auto']"  # the part of pydantic's path for the word auto
_YAML = (
    "YAML reads yes, no, on and off without quotation marks as true or false, and digits as numbers: write "
    'labels in quotation marks, such as names: ["no", "yes"] or ["1", "2"]'
)


def descriptions(model: type[BaseModel], problems: Sequence[Any]) -> list[str]:
    """The entries of pydantic's `ValidationError.errors()` for `model`, as lines of text.

    Labels that YAML reads as true, false or numbers become one line together.
    """
    lines, not_text = [], []
    for problem in problems:
        path = [part for part in problem["loc"] if not str(part).startswith("dict[")]
        if path[-1:] == [_AUTO]:
            continue  # pydantic reports the mapping, which is the other form, as well
        if problem["type"] == "dict_type" and path[-1:] == ["label_values"]:
            problem = {**problem, "type": "auto", "msg": "must be a mapping or auto"}
        line = described(model, {**problem, "loc": tuple(path)})
        is_label = path[:1] == ["labels"] or "label_values" in path
        if (
            is_label
            and problem["type"] == "string_type"
            and isinstance(problem["input"], int | float)
        ):
            not_text.append(line.removesuffix(f": {problem['msg']}"))
        else:
            lines.append(line)
    if not_text:
        lines.append(f"{', '.join(not_text[:10])}: must be a string: {_YAML}")
    return lines


def described(model: type[BaseModel], problem: Any) -> str:
    """One entry of pydantic's `ValidationError.errors()` for `model`, as one line of text."""
    # In pydantic's path, the kind ("files") follows the source; the YAML file has no such level.
    path = [
        str(part) for at, part in enumerate(problem["loc"]) if not _has_kinds(problem["loc"][:at])
    ]
    key = ".".join(part if part.isprintable() else shown(part) for part in path)
    key = key or "(the whole file)"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        allowed = _allowed(model, problem["loc"][:-1])
        similar = difflib.get_close_matches(path[-1], allowed, 1)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        return f"{key} is not a setting; allowed here: {', '.join(allowed)}{hint}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}.kind is missing; allowed: {', '.join(_kinds(model, problem['loc']))}"
    if problem["type"] in ("model_type", "dict_type"):
        problem["msg"] = "Input should be a mapping"
    text = " ".join(problem["msg"].removeprefix("Value error, ").split())
    value = problem["input"]
    assignment = "" if isinstance(value, dict | BaseModel) else f" = {shown(value)}"
    return f"{key}{assignment}: {text}"


def _has_kinds(path: tuple[Any, ...]) -> bool:
    """Whether pydantic's path names a section with several kinds."""
    match path:
        case (
            ("base_model",)
            | ("encoder", "base")
            | ("sources", "labelled")
            | ("sources", "general", int())
        ):
            return True
    return False


def _allowed(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys that are allowed in the section at pydantic's path."""
    sections = _sections_at(model, path)
    return list(dict.fromkeys(name for section in sections for name in section.model_fields))


def _kinds(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    return [_kind_of(section) for section in _sections_at(model, path)]


def _kind_of(model: type[BaseModel]) -> str:
    (kind,) = get_args(model.model_fields["kind"].annotation)
    return str(kind)


def _sections_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[type[BaseModel]]:
    """The classes that the section at pydantic's path may have."""
    sections = [model]
    for at, part in enumerate(path):
        if _has_kinds(path[:at]):
            sections = [section for section in sections if _kind_of(section) == part]
        elif any(part in section.model_fields for section in sections):
            sections = [
                inner
                for section in sections
                if part in section.model_fields
                for inner in _models_in(section.model_fields[part].annotation)
            ]
        # Otherwise `part` is a place in a list or a key of a mapping: its values have the same classes.
    return sections


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
