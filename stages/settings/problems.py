"""What is wrong with a setting, in one line: key, value, and what is allowed."""

import difflib
from typing import Any, get_args

from runtime.errors import shown

from pydantic import BaseModel


def described(model: type[BaseModel], problem: Any) -> str:
    # pydantic's path holds the kind of a source ("files") after the source; the file does not.
    path = [
        str(part) for at, part in enumerate(problem["loc"]) if not _is_kinded(problem["loc"][:at])
    ]
    key = ".".join(part if part.isprintable() else shown(part) for part in path)
    key = key or "(the whole file)"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        allowed = _allowed(model, problem["loc"][:-1])
        near = difflib.get_close_matches(path[-1], allowed, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"{key} is no setting; allowed here: {', '.join(allowed)}{meant}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}.kind is missing; allowed: {', '.join(_kinds(model, problem['loc']))}"
    if problem["type"] in ("model_type", "dict_type"):
        problem["msg"] = "Input should be a mapping"
    text = " ".join(problem["msg"].removeprefix("Value error, ").split())
    value = problem["input"]
    told = "" if isinstance(value, dict | BaseModel) else f" = {shown(value)}"
    return f"{key}{told}: {text}"


def _is_kinded(path: tuple[Any, ...]) -> bool:
    """Whether a path as pydantic gives it names a section that has kinds."""
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
    """The keys that may stand below `path`, a path as pydantic gives it."""
    below = _models_below(model, path)
    return list(dict.fromkeys(name for each in below for name in each.model_fields))


def _kinds(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    return [_kind_of(each) for each in _models_below(model, path)]


def _kind_of(model: type[BaseModel]) -> str:
    (kind,) = get_args(model.model_fields["kind"].annotation)
    return str(kind)


def _models_below(model: type[BaseModel], path: tuple[Any, ...]) -> list[type[BaseModel]]:
    models = [model]
    for at, part in enumerate(path):
        if _is_kinded(path[:at]):
            models = [each for each in models if _kind_of(each) == part]
        elif any(part in each.model_fields for each in models):
            models = [
                found
                for each in models
                if part in each.model_fields
                for found in _models_in(each.model_fields[part].annotation)
            ]
        # Else a place in a list or a key of a mapping: what stands there is of the same models.
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
