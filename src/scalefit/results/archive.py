"""A document and its arrays in one file, tied by a digest.

The file is a zip archive of uncompressed parts, so that no more is read than its length, with the
SHA-256 of all parts: parts of different files, or half a file, are refused.
Arrays are in the format of ``numpy.save``, which ``numpy.load`` reads in place.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scalefit.data.files import first_line, named, open_regular
from scalefit.errors import DocumentError

__all__ = ["array_in", "array_part", "bad_array", "holds", "read_parts", "write_parts"]

SEAL = "sha256"
# Characters of an array header, far above those that are written here.
LONGEST_HEADER = 1000


def write_parts(file: BinaryIO, parts: Mapping[str, bytes]) -> None:
    """Write parts by name, and their digest; the same parts give the same bytes."""
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {**parts, SEAL: _digest(parts)}.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def read_parts(path: Path, first: str) -> dict[str, bytes]:
    """Parts of a file that :func:`write_parts` wrote.

    Args:
        path: of the file.
        first: name of a part that it has.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe or a device.
        DocumentError: it is no such file, or not as it was written.
    """
    import zipfile

    with open_regular(path) as file:
        size = file.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(file) as archive:
                found = archive.infolist()
                names = [item.filename for item in found]
                stored = all(item.compress_type == zipfile.ZIP_STORED for item in found)
                if not {first, SEAL} <= set(names):
                    raise _refused(path, f"it has no part {first!r}")
                if len(set(names)) < len(names) or not stored:
                    raise _refused(path, "its parts are compressed or repeated")
                if sum(item.file_size for item in found) > size:
                    raise _refused(path, "its parts are larger than it is")
                parts = {name: archive.read(name) for name in names}
        except DocumentError:
            raise
        except Exception as error:
            # A damaged file can raise anything in its reader, MemoryError included.
            raise _refused(path, first_line(error)) from error
    if parts.pop(SEAL) != _digest(parts):
        raise _refused(path, "its parts do not belong together: the digest is another one")
    return parts


def holds(path: Path, part: str) -> bool:
    """Whether a file is one that :func:`write_parts` wrote, with a part of this name."""
    import zipfile

    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return {part, SEAL} <= set(archive.namelist())
    except Exception:  # Not an archive, or a damaged one, whose reader can raise anything.
        return False


def array_part(array: np.ndarray) -> bytes:
    """An array as ``numpy.save`` writes it."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def array_in(
    parts: Mapping[str, bytes], name: str, shape: Sequence[int], kind: type[np.generic]
) -> np.ndarray:
    """An array of the shape and the type that it must have.

    Raises:
        DocumentError: there is none, or it has another shape or type.
    """
    wanted = f"{'truth values' if kind is np.bool_ else 'float64'} of shape {tuple(shape)}"
    if name not in parts:
        raise bad_array(name, "missing", wanted)
    file = io.BytesIO(parts[name])
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        # The numbers come from the bytes that are there, whatever size the header claims.
        header = np.lib.format.read_array_header_1_0(file, max_header_size=LONGEST_HEADER)
        found = np.frombuffer(parts[name], dtype=kind, offset=file.tell())
    except Exception as error:  # numpy evaluates the header, which can raise anything.
        raise bad_array(name, f"unreadable ({first_line(error)})", wanted) from error
    if header != (tuple(shape), False, np.dtype(kind)) or found.size != np.prod(
        shape, dtype=object
    ):
        raise bad_array(name, f"{header[2]} of shape {header[0]}, {found.size} numbers", wanted)
    return found.reshape(shape).copy()


def _digest(parts: Mapping[str, bytes]) -> bytes:
    seal = hashlib.sha256()
    for name in sorted(parts):
        seal.update(f"{name}\0{len(parts[name])}\0".encode())
        seal.update(parts[name])
    return seal.hexdigest().encode()


def _refused(path: Path, why: str) -> DocumentError:
    return DocumentError(
        f"{named(path)} is no file that scalefit wrote, or not all of it ({why})",
        field="",
        value=str(path),
        remedy="Give the file that save wrote. Draws in two files, .json and .npz, are of an older "
        "version: make them again",
    )


def bad_array(name: str, what: str, wanted: str) -> DocumentError:
    """An error that names an array, with what it is and what it should be."""
    return DocumentError(
        f"{name} is {what}, not {wanted}",
        field=name,
        value=what,
        remedy="Give the file as save wrote it, or make the draws again",
    )
