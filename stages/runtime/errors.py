"""Errors that a person can fix, values in messages, and the reasons of refused writes."""

import errno
import os
import re
import reprlib
from pathlib import Path


class StudyError(Exception):
    """An error that a person can fix. The message names the place, the problem and the fix."""


class _Shown(reprlib.Repr):
    """Python's `repr`, shortened for values that are long, nested or huge."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxlist = self.maxdict = 12

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to print an integer of more than 4,300 digits.
        huge = value.bit_length() > 400
        return f"<an integer of {value.bit_length()} bits>" if huge else repr(value)


_SHOWN = _Shown()


def shown(value: object) -> str:
    """A value as messages show it: one short line, for any value."""
    return _SHOWN.repr(value)


# The advice for each reason of a refused write.
_REFUSALS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, because your quota on its disk is used up",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EROFS: "choose a writable disk",
    errno.EACCES: "get the permission to write in its folder",
    errno.EPERM: "get the permission to write in its folder",
    errno.EIO: "its disk is failing",
}


def refused_write(error: BaseException, folder: Path | None = None) -> str | None:
    """The reason and the advice, if `error` or one of its causes is a refused write in `folder`; or None.

    Without `folder` every refused write counts.
    """
    cause: BaseException | None = error
    while cause is not None:
        number = None
        if isinstance(cause, OSError):
            number, place = cause.errno, cause.filename2 or cause.filename
            if folder and place and not Path(place).resolve().is_relative_to(folder.resolve()):
                return None  # another file, for example one that is read
        if match := re.search(r"\(os error (\d+)\)", str(cause)):  # safetensors
            number = int(match[1])
        if number in _REFUSALS:
            return f"{os.strerror(number)}: {_REFUSALS[number]}, then run this again"
        if "inline_container" in str(cause):  # torch.save, without an error number
            reason = str(cause).rpartition(" . ")[2]
            return f"{reason}: the disk may be full: make room, then run this again"
        cause = cause.__cause__ or cause.__context__
    return None
