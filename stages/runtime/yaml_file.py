"""Read YAML files that people write, with error messages for people."""

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from runtime.errors import StudyError, shown

import yaml

_INVALID_CHARACTER = re.compile("[\0\ud800-\udfff]")


def read_yaml(path: Path) -> Any:
    """Read one YAML document with the safe loader.

    Raises `StudyError` for a file that is missing or unreadable, for invalid YAML, for a repeated key,
    for a NUL or a lone surrogate in a text, and for aliases that are circular or too many.
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
            f"{path}: not valid YAML: line {line} contains the character "
            f"{shown(chr(error.character))}, which YAML does not allow: remove it"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = f"{error.problem}{where}"
        if error.context and error.context_mark:
            problem = f"{error.context}, starting in line {error.context_mark.line + 1}: {problem}"
        hint = ": indent with spaces" if "'\\t'" in problem else ""
        raise StudyError(f"{path}: not valid YAML: {problem}{hint}") from None
    except RecursionError:
        raise StudyError(f"{path}: not valid YAML: is nested too deeply") from None
    except Exception as error:  # PyYAML's constructors (integers, dates, ...) raise many types
        problem = " ".join(str(error).split())
        is_clear = isinstance(error, ValueError | yaml.YAMLError)
        if not is_clear:  # for example KeyError: 'x' for !!bool x
            problem = f"a value does not fit its tag ({type(error).__name__}: {problem})"
        raise StudyError(f"{path}: not valid YAML: {problem}") from None


def _load(text: str) -> Any:
    """Parse with libyaml, which is about ten times as fast. If it fails, PyYAML's own parser decides."""
    try:
        return yaml.load(text, _FastLoader)
    except Exception:  # the messages of PyYAML's own parser are better
        return yaml.load(text, _Loader)


class _Checks(yaml.constructor.SafeConstructor):
    """Checks of YAML that people write: no repeated keys, no invalid characters, and no nested aliases
    that expand to gigabytes."""

    _MAX_VALUES = 100_000  # counted with every alias replaced by its value

    def construct_document(self, node: yaml.Node) -> Any:
        self._count_values(node, {})
        return super().construct_document(node)

    def _count_values(self, node: yaml.Node, counts: dict[int, int]) -> int:
        """The number of values in `node`. `counts`: by node's id; 0 while the node is being counted."""
        if id(node) in counts:
            if not counts[id(node)]:
                self._refuse("an anchor contains its own alias", node)
            return counts[id(node)]
        counts[id(node)] = 0
        if isinstance(node, yaml.ScalarNode) and _INVALID_CHARACTER.search(node.value):
            self._refuse("contains a NUL or half of a character (a lone surrogate)", node)
        count = 1
        for inner in _nodes_in(node):
            count += self._count_values(inner, counts)
        if count > self._MAX_VALUES:
            self._refuse(f"contains more than {self._MAX_VALUES:,} values, aliases replaced", node)
        counts[id(node)] = count
        return count

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        merge = "tag:yaml.org,2002:merge"  # the key <<, which SafeLoader resolves
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
    """PyYAML's safe loader with the checks, and with libyaml's parser if PyYAML was built with it."""


def _nodes_in(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain(*node.value)
    return node.value if isinstance(node, yaml.SequenceNode) else ()
