"""One YAML document out of a file that a person writes."""

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from runtime.errors import StudyError, shown

import yaml

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def read_yaml(path: Path) -> Any:
    """Read one YAML document with the safe loader.

    Raises `StudyError` for a missing or unreadable file, for invalid YAML and for a repeated key.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = f"byte {error.object[error.start]:#04x}"
        raise StudyError(
            f"{path}: cannot be read: line {line} is not UTF-8 ({byte}): save the file as UTF-8"
        ) from None
    try:
        return _load(text)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise StudyError(
            f"{path}: not valid YAML: line {line} holds the character {shown(chr(error.character))}, "
            "which YAML does not allow: remove it"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = f"{error.problem}{where}"
        if error.context and error.context_mark:
            problem = f"{error.context} begun in line {error.context_mark.line + 1}: {problem}"
        hint = ": indent with spaces" if "'\\t'" in problem else ""
        raise StudyError(f"{path}: not valid YAML: {problem}{hint}") from None
    except RecursionError:
        raise StudyError(f"{path}: not valid YAML: is nested too deeply") from None
    except Exception as error:  # PyYAML's constructors of integers, dates and others raise any type
        problem = " ".join(str(error).split())
        if not isinstance(
            error, ValueError | yaml.YAMLError
        ):  # for example KeyError: 'x' of !!bool x
            problem = f"a value does not fit its tag ({type(error).__name__}: {problem})"
        raise StudyError(f"{path}: not valid YAML: {problem}") from None


def _load(text: str) -> Any:
    """Parse with libyaml, about ten times as fast; what it refuses, PyYAML's own parser judges."""
    try:
        return yaml.load(text, _FastLoader)
    except Exception:  # the messages of PyYAML's own parser are the better ones
        return yaml.load(text, _Loader)


class _Checks(yaml.constructor.SafeConstructor):
    """Checks for what people write: no key twice, no text that no file can hold, and no aliases in
    aliases that grow to gigabytes."""

    _MOST = 100_000  # values, every alias replaced by its value

    def construct_document(self, node: yaml.Node) -> Any:
        self._expanded(node, {})
        return super().construct_document(node)

    def _expanded(self, node: yaml.Node, sizes: dict[int, int]) -> int:
        """The number of values in `node`. `sizes`: the number by node, 0 while a node is being counted."""
        if id(node) in sizes:
            if not sizes[id(node)]:
                self._refuse("an anchor contains its own alias", node)
            return sizes[id(node)]
        sizes[id(node)] = 0
        if isinstance(node, yaml.ScalarNode) and _NO_TEXT.search(node.value):
            self._refuse("holds a NUL or half of a character (a lone surrogate)", node)
        size = 1
        for inner in _nodes_in(node):
            size += self._expanded(inner, sizes)
        if size > self._MOST:
            self._refuse(f"holds more than {self._MOST:,} values, aliases replaced", node)
        sizes[id(node)] = size
        return size

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        merge = "tag:yaml.org,2002:merge"  # <<, which SafeLoader itself resolves
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag != merge and isinstance(key_node, yaml.ScalarNode):
                key = self.construct_object(key_node)
                if key in seen:
                    self._refuse(f"the key {shown(key)} occurs twice", key_node)
                seen.add(key)
        return super().construct_mapping(node, deep)

    def _refuse(self, problem: str, node: yaml.Node) -> NoReturn:
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Loader(_Checks, yaml.SafeLoader):
    """PyYAML's safe loader with the checks."""


# mypy cannot check a base class that is chosen at run time.
class _FastLoader(_Checks, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same loader with the parser of libyaml, where PyYAML was built with it."""


def _nodes_in(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain(*node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()
