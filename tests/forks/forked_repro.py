"""`dvc repro` with every stage as a fork of this process: `python forked_repro.py` in a study's folder.

DVC decides what runs and records it, as always. Only the start of a stage differs: no shell, no new Python.
"""

import os
import shlex
import sys
from typing import Any

from forks import import_stages, run_stage_and_exit


def main() -> int:
    import_stages()
    from dvc.cli import main as dvc
    from dvc.stage import run

    # DVC has no public way. If DVC renames `_run`, every stage starts a new Python: slow, and right.
    run._run = _run_forked
    return dvc(["repro", *sys.argv[1:]])


def _run_forked(_shell: str, command: str, cwd: str, env: dict[str, str], **_more: Any) -> None:
    """Run the command of a stage, as `dvc.stage.run._run` does."""
    from dvc.stage.exceptions import StageCmdFailedError

    python, script, *arguments = shlex.split(command)
    assert python == "python", command
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        run_stage_and_exit(script, arguments)
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise StageCmdFailedError(command, code)


if __name__ == "__main__":
    sys.exit(main())
