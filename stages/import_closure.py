"""Which files of the project a stage script runs: the closure of its imports, read from the source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Modules, with all that is in them, that cannot change what a stage computes: messages, atomic files,
# the end of a process, bars, clocks and the parsing of settings, whose values count on their own.
WITHOUT_EFFECT = (
    "import_closure",
    "lm.progress",
    "runtime.clock",
    "runtime.errors",
    "runtime.files",
    "runtime.process",
    "runtime.progress",
    "runtime.yaml_file",
    "settings",
    "systems",
)


def import_closure(script: Path) -> list[Path]:
    """The script and every project file that it imports, directly or through others, sorted.

    The project's modules are those in the script's folder. An import inside a function counts, and so
    do the `__init__.py` of the packages above an imported module. Raises `ValueError` for a relative
    import.
    """
    root = script.parent
    own = {path.stem for path in root.iterdir()}
    files, ahead = {script}, [script]
    while ahead:
        for module in imported_modules(ahead.pop()):
            parts = module.split(".")
            if parts[0] not in own:
                continue
            path = root.joinpath(*parts)
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file not in files and file.is_file():
                    files.add(file)
                    ahead.append(file)
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


def affects_output(module: str) -> bool:
    """Whether an edit of the module can change what a stage computes."""
    return not any(module == name or module.startswith(f"{name}.") for name in WITHOUT_EFFECT)


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
