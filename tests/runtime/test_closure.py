"""The closure of a script's imports: what is followed, what is refused, what is left out."""

import json
import subprocess
import sys
from pathlib import Path

from runtime.closure import WITHOUT_EFFECT, affecting_files, imported_modules, module_name

import pytest

STAGES = Path(__file__).resolve().parents[2] / "stages"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root / "script.py"


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        {
            "script.py": "import os, one\nfrom room import two\nfrom room.three import name\n",
            "one.py": "def f():\n    if True:\n        try:\n            import four\n"
            "        except ImportError:\n            import five\n        else:\n"
            "            import six as s\n        finally:\n            import seven\n",
            "four.py": "import one  # in a circle\n",
            "five.py": "class A:\n    from room.deep.eight import x as y\n",
            "six.py": "match 1:\n    case 1:\n        from nine import *\n",
            "seven.py": "with open('x') as f:\n    for g in f:\n        import ten\n",
            "nine.py": "'import eleven'\n# import eleven\n",
            "ten.py": "",
            "eleven.py": "",
            "room/__init__.py": "import twelve\n",
            "room/two.py": "",
            "room/three.py": "",
            "room/four.py": "",
            "room/deep/eight.py": "",  # in a package without __init__.py
            "twelve.py": "",
        },
    )
    names = [module_name(path, tmp_path) for path in affecting_files(script)]
    assert names == sorted(names, key=lambda name: next(tmp_path.glob(_file(name))))
    assert set(names) == {
        *("script", "one", "four", "five", "six", "seven", "nine", "ten", "twelve"),
        *("room", "room.two", "room.three", "room.deep.eight"),
    }


def _file(module: str) -> str:
    return "room/__init__.py" if module == "room" else module.replace(".", "/") + ".py"


@pytest.mark.parametrize("text", ["from . import one\n", "from .one import x\n"])
def test_a_relative_import_is_refused(tmp_path: Path, text: str) -> None:
    script = write(tmp_path, {"script.py": "import one\n", "one.py": f"\n{text}"})
    with pytest.raises(ValueError, match=r"one.py, line 2: a relative import"):
        affecting_files(script)


def test_the_names_of_an_import_are_its_own_and_the_packages_above(tmp_path: Path) -> None:
    script = write(tmp_path, {"script.py": "import a.b\nfrom c.d import e, f\n"})
    assert imported_modules(script) == {"a", "a.b", "c", "c.d", "c.d.e", "c.d.f"}


def test_what_a_stage_loads_is_in_its_closure_or_has_no_effect() -> None:
    code = (
        "import json, sys, instructify\n"
        "print(json.dumps([getattr(m, '__file__', None) for m in list(sys.modules.values())]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=STAGES, capture_output=True, text=True, check=True
    )
    loaded = {Path(file) for file in json.loads(done.stdout) if file}
    own = {file for file in loaded if file.is_relative_to(STAGES)}
    assert len(own) > 5
    left_out = own - set(affecting_files(STAGES / "instructify.py"))
    modules = {module_name(file, STAGES) for file in left_out} - set(WITHOUT_EFFECT)
    # The sections of settings are imported by `settings.read` alone, which has no effect.
    assert all(module.startswith("settings.") for module in modules)


def test_a_module_without_effect_is_left_out_with_what_it_alone_imports(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        {
            "script.py": "import one, systems\nfrom runtime.errors import f\n",
            "one.py": "",
            "systems.py": "import two\n",
            "two.py": "",
            "runtime/__init__.py": "",
            "runtime/errors.py": "import one, three\n",
            "three.py": "",
        },
    )
    names = {module_name(path, tmp_path) for path in affecting_files(script)}
    assert names == {"script", "one", "runtime"}
    assert list(WITHOUT_EFFECT) == sorted(WITHOUT_EFFECT)
