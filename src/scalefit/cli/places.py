"""Files that a command is to write: refused before anything is fitted, whole once it is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from scalefit.errors import ArgumentError

__all__ = ["Place", "draw", "picture_place", "place", "written"]

PICTURE = "Choose an existing folder and a suffix such as .png, .pdf or .svg"
FOLDER = "Choose a name in an existing folder"


@dataclass(frozen=True)
class Place:
    """Where a file goes.

    Attributes:
        path: of the file.
        option: that it was given as.
        overwrite: whether what is there is replaced.
        remedy: what to choose where it cannot be written.
    """

    path: Path
    option: str
    overwrite: bool
    remedy: str = FOLDER

    def write(self, save: Callable[[BinaryIO], object]) -> None:
        """Write the file, whole or not at all.

        Raises:
            ArgumentError: it cannot be written.
        """
        from scalefit.data import files

        try:
            files.write_whole(self.path, save, overwrite=self.overwrite)
        except (OSError, ValueError, RuntimeError) as error:
            raise self.refused(files.reason(error)) from error

    def refused(self, why: str) -> ArgumentError:
        """The error of a place that cannot be written to."""
        return ArgumentError(
            f"{self.option} {str(self.path)!r} cannot be written ({why})",
            argument=self.option,
            value=str(self.path),
            remedy=self.remedy,
        )


def place(given: str, option: str, *, overwrite: bool, example: str, remedy: str = FOLDER) -> Place:
    """Where a file is to be written, if one can be.

    Args:
        given: path.
        option: that it was given as.
        overwrite: whether what is there may be replaced.
        example: such a path.
        remedy: what to choose where it cannot be written.

    Raises:
        ArgumentError: none can, or something is there already.
    """
    from scalefit.arguments import file_path
    from scalefit.data import files

    path = file_path(given, option, remedy=f"Name a file, as {option} {example}")
    found = Place(path, option, overwrite, remedy)
    try:
        exists = files.require_place(path)
        if exists and _is_output(path):
            raise OSError("the report goes there")
    except OSError as error:
        raise found.refused(files.reason(error)) from error
    if exists and not overwrite:
        raise ArgumentError(
            f"{option} {files.named(path)} exists already",
            argument=option,
            value=given,
            remedy="Choose another name, or replace it with --overwrite",
        )
    return found


def picture_place(given: str | None, *, overwrite: bool) -> Place | None:
    """The same of a picture, whose suffix matplotlib must know.

    Raises:
        ArgumentError: none can be written there, or in that format.
    """
    if given is None:
        return None
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    options: Any = {"example": "surface.png", "remedy": PICTURE}
    # That a file is there is said last: one of another suffix is no reason to replace it.
    found = place(given, "--plot", overwrite=True, **options)
    if found.path.suffix[1:].lower() not in known:
        raise found.refused(f"known suffixes: .{', .'.join(sorted(known))}")
    return place(given, "--plot", overwrite=overwrite, **options)


def draw(picture: Place, make: Callable[[], Any]) -> None:
    """Write a picture.

    Args:
        picture: where.
        make: draws it, and returns its Axes, or an array of them.

    Raises:
        ArgumentError: it cannot be written.
    """
    import matplotlib
    import numpy as np

    # Writing a file needs no display.
    matplotlib.use("agg")
    figure: Any = np.ravel(make())[0].figure
    kind = picture.path.suffix[1:].lower()
    picture.write(lambda file: figure.savefig(file, format=kind, dpi=150))


def written(*, steps: str = "", **places: Place | None) -> str:
    """Lines that say where files went, by what they are, and what comes next."""
    lines = [f"{name}: {one.path}" for name, one in places.items() if one is not None]
    return "\n".join(lines + [steps] * bool(steps))


def _is_output(path: Path) -> bool:
    """Whether a file is where standard output or standard error go, as /dev/stdout may be."""
    with suppress(OSError):
        found = os.stat(path)
        return any(os.path.samestat(found, os.fstat(number)) for number in (1, 2))
    return False
