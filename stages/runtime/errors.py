"""Errors that a person can mend, values as messages show them, and why the system refused a write."""

import errno
import os
import re
import reprlib
from pathlib import Path


class StudyError(Exception):
    """A mistake that a person can mend: its text says what is wrong, where, and how to mend it."""


class _Shown(reprlib.Repr):
    """Python's `repr`, cut where a value is long, nested or huge."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxlist = self.maxdict = 12

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to spell out an integer of more than 4,300 digits.
        huge = value.bit_length() > 400
        return f"<an integer of {value.bit_length()} bits>" if huge else repr(value)


_SHOWN = _Shown()


def shown(value: object) -> str:
    """A value as messages show it: on one line, and short whatever a file holds."""
    return _SHOWN.repr(value)


# Why the system refuses a write, and what to do about it.
_REFUSALS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, for your share of its disk is used up",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EROFS: "choose a disk that can be written",
    errno.EACCES: "let yourself write in its folder",
    errno.EPERM: "let yourself write in its folder",
    errno.EIO: "its disk is failing",
}


def refused_write(error: BaseException, folder: Path | None = None) -> str | None:
    """What the system says where an error, or one behind it, is a write refused in `folder`; else None."""
    seen: BaseException | None = error
    while seen is not None:
        number = None
        if isinstance(seen, OSError):
            number, place = seen.errno, seen.filename2 or seen.filename
            if folder and place and not Path(place).resolve().is_relative_to(folder.resolve()):
                return None  # such as a file that is read
        if found := re.search(r"\(os error (\d+)\)", str(seen)):  # safetensors
            number = int(found[1])
        if number in _REFUSALS:
            return f"{os.strerror(number)}: {_REFUSALS[number]}, then run this again"
        if "inline_container" in str(seen):  # torch.save, which tells no number
            return f"{str(seen).rpartition(' . ')[2]}: is its disk full? Then run this again"
        seen = seen.__cause__ or seen.__context__
    return None
