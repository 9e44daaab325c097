"""Files: regular ones opened, and results written whole or not at all.

A pipe would hang and a device has no end. A file is written under another name and then moved, so
that it is never half written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "first_line",
    "named",
    "open_regular",
    "reason",
    "require_place",
    "write_whole",
]

# Characters of a path, or of what another library says, that a message shows.
LONGEST = 500


def open_regular(path: Path) -> BinaryIO:
    """A file opened to be read.

    Raises:
        OSError: there is none, or it is a folder, a pipe or a device.
    """
    _refuse_irregular(path, os.stat(path))
    # Without blocking: a pipe may have taken its place since the check.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        _refuse_irregular(path, os.fstat(file))
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def require_place(path: Path) -> bool:
    """Whether a file of this name exists already, in a folder that can be written to.

    Raises:
        OSError: no file of this name can be written.
    """
    folder = path.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"there is no folder {str(folder)!r}")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        exists = False
    else:
        _refuse_irregular(path, found)
        exists = True
        if not os.access(path, os.W_OK):
            raise PermissionError(f"{named(path)} is there, and may not be written")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {str(folder)!r} cannot be written to")
    return exists


def write_whole(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    """Write a file completely or not at all, under exactly this name.

    Args:
        path: of the file. A link is followed.
        write: writes what is in it.
        overwrite: whether a file of this name is replaced.

    Raises:
        OSError: it cannot be written, or exists and is not to be replaced. What ``write`` raises is
            raised too, and nothing is left behind.
    """
    place = Path(os.path.realpath(path))
    require_place(place)
    # In the same folder, where a rename is atomic.
    other = place.with_name(f".scalefit-{os.urandom(8).hex()}.tmp")
    try:
        with open(other, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if require_place(place):
            if not overwrite:
                raise FileExistsError(f"{named(path)} exists already")
            os.chmod(other, stat.S_IMODE(os.stat(place).st_mode))
        os.replace(other, place)
    except BaseException:
        with suppress(OSError):
            other.unlink()
        raise
    _settle(place.parent)


def _settle(folder: Path) -> None:
    """Flush the folder, so that the new name survives a loss of power."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _refuse_irregular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{named(path)} is a folder, not a file")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{named(path)} is a pipe or a device, not a regular file")


def first_line(error: Exception) -> str:
    """First line of an error's message, or its kind where it says nothing."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    # Of a broken file, a message may hold all of it.
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def named(path: Path) -> str:
    """A path as a message shows it: whole, unless no folder could hold it."""
    text = str(path)
    return repr(text if len(text) <= LONGEST else f"{text[:20]}...{text[-20:]}")


def reason(error: Exception) -> str:
    """Why a file could not be opened or written, without error number and path."""
    return getattr(error, "strerror", None) or first_line(error)
