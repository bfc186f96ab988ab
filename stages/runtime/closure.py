"""Which files and settings can change what a stage computes, read from the stage's source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Modules that cannot change what a stage computes: messages, atomic files, hashes, the end of a process,
# bars, clocks, the parsing of settings (their values are tracked as params) and the declaration of
# systems (a system's rows, folders and commands are tracked in dvc.yaml).
WITHOUT_EFFECT = (
    "lm.fingerprint",
    "lm.progress",
    "runtime.clock",
    "runtime.closure",
    "runtime.errors",
    "runtime.files",
    "runtime.hashing",
    "runtime.process",
    "runtime.progress",
    "runtime.yaml_file",
    "settings.problems",
    "settings.read",
    "systems",
)


def affecting_files(script: Path) -> list[Path]:
    """The script and every project file that it imports and that can change what it computes, sorted.

    The project's modules are those in the script's folder. An import inside a function counts, and so
    do the `__init__.py` of the packages above an imported module. Imports of the modules
    `WITHOUT_EFFECT` are not followed. Raises `ValueError` for a relative import.
    """
    root = script.parent
    files, waiting = {script}, [script]
    while waiting:
        for module in imported_modules(waiting.pop()):
            path = root.joinpath(*module.split("."))
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if module not in WITHOUT_EFFECT and file not in files and file.is_file():
                    files.add(file)
                    waiting.append(file)
    return sorted(files)


@cache
def imported_modules(file: Path) -> frozenset[str]:
    """The names that a source file imports, anywhere in its text, and the packages above them.

    `from a.b import c` imports `a`, `a.b` and perhaps the module `a.b.c`. Raises `ValueError` for a
    relative import.
    """
    modules: set[str] = set()
    for statement in _statements(ast.parse(file.read_bytes(), file)):
        names: list[str] = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            if statement.level or not statement.module:
                raise ValueError(f"{file}, line {statement.lineno}: a relative import")
            names = [f"{statement.module}.{alias.name}" for alias in statement.names]
        for name in names:
            parts = name.split(".")
            modules.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return frozenset(modules)


def settings_read(script: Path) -> list[str]:
    """The settings that a script names in its one call of `read_settings`."""
    (call,) = (
        node
        for node in ast.walk(ast.parse(script.read_bytes(), script))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "read_settings"
    )
    return [ast.literal_eval(argument) for argument in call.args]


def summary_of(script: Path) -> str:
    """The first line of a script's docstring, up to a colon."""
    docstring = ast.get_docstring(ast.parse(script.read_bytes(), script)) or ""
    return docstring.partition("\n")[0].partition(":")[0].rstrip(".")


def module_name(file: Path, root: Path) -> str:
    """The name under which scripts in the folder `root` import `file`: `lm` of `lm/__init__.py`."""
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements under a node. Expressions, which hold no import, are not visited."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()):
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)
