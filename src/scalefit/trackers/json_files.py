"""Files and folders of trackers, read within the limits of tables."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scalefit.arguments import file_path
from scalefit.data.files import first_line, named, open_regular, reason
from scalefit.data.limits import MOST_BYTES
from scalefit.errors import DataError

__all__ = ["existing", "files_under", "quiet", "read_bytes", "read_json"]

# Of files in one folder: a folder of everything, such as a home, would be searched for hours.
MOST_FILES = 200_000


def existing(path: Any, argument: str = "path") -> Path:
    """A path that leads to a file or a folder.

    Raises:
        ArgumentError: it is no path.
        DataError: nothing is there.
    """
    found = file_path(path, argument, remedy="Pass the path of a file or a folder, as text")
    if not os.path.exists(found):
        raise DataError(f"there is no file or folder {named(found)}", remedy="Check the path")
    return found


def files_under(folder: Path) -> Iterator[Path]:
    """Regular files of a folder and its subfolders, in order; links to folders are not followed.

    Raises:
        DataError: there are too many of them.
    """
    count = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > MOST_FILES:
                raise DataError(
                    f"the folder {named(folder)} holds more than {MOST_FILES:,} files",
                    remedy="Give the folder that holds the runs alone",
                )
            # Neither pipes, which would hang, nor broken links.
            if os.path.isfile(os.path.join(place, name)):
                yield Path(place, name)


@contextmanager
def quiet(package: str) -> Iterator[None]:
    """Without what a package logs: what it raises is told of instead."""
    logger = logging.getLogger(package)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def read_bytes(path: Path, *, most: int | None = None) -> bytes:
    """A whole file.

    Args:
        path: of the file.
        most: bytes that it may hold; by default as many as a table.

    Raises:
        DataError: it cannot be opened, or holds more.
    """
    limit = MOST_BYTES if most is None else most
    try:
        with open_regular(path) as file:
            found = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{named(path)} cannot be opened ({reason(error)})",
            remedy="Give the path of a regular file",
        ) from error
    if len(found) > limit:
        raise DataError(
            f"{named(path)} holds more than {limit / 2**20:.4g} MiB, more than is read",
            remedy="Export fewer metrics or runs",
        )
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A file of one JSON object.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    text = read_bytes(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{named(path)} cannot be read as JSON ({first_line(error)})",
            remedy="Restore the file, or move it out of the folder",
        ) from error
    if not isinstance(found, dict):
        raise DataError(
            f"{named(path)} holds no JSON object",
            remedy="Restore the file, or move it out of the folder",
        )
    return found
