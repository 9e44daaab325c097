"""The files of registered tables: in the package, in a folder that is named, cached, downloaded.

Whatever is read has the registered SHA-256; nothing else is used or kept.
"""

from __future__ import annotations

import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from scalefit.data.files import named, open_regular, reason, require_place
from scalefit.datasets.registry import FOLDERS, PACKAGE, Dataset, Original
from scalefit.errors import DataError

__all__ = ["CACHE_VARIABLE", "ORIGINALS", "File", "file_of"]

# Where a folder of tables holds files as their sources serve them.
ORIGINALS = "originals"
CACHE_VARIABLE = "SCALEFIT_CACHE"

# Seconds without an answer after which a source counts as out of reach.
TIMEOUT = 30.0
BAR_SECONDS = 2.0


class File(NamedTuple):
    """A file of a registered table.

    Attributes:
        content: its bytes.
        sha256: of them.
        original: whether it is the file of the source, and not the table as CSV.
    """

    content: bytes
    sha256: str
    original: bool


def file_of(entry: Dataset) -> File:
    """The file of a table: the package's, one of the folder that is named, or else the source's.

    Raises:
        DataError: the folder is none; a file is another than the registered one; it is not to be
            had without a download, and none is registered; the source or the cache fails.
    """
    if entry.folder == PACKAGE:
        place = Path(str(files("scalefit").joinpath("datasets", entry.file)))
        return File(_verified(place, entry.sha256, entry.name), entry.sha256, original=False)
    _, variable = FOLDERS[entry.folder]
    if folder := os.environ.get(variable):
        if not os.path.isdir(folder):
            raise DataError(
                f"{variable}={folder!r} is not a folder",
                remedy=f"Name a folder that holds {entry.file}, or unset {variable}",
            )
        tidy = Path(folder, entry.file)
        if tidy.exists():
            return File(_verified(tidy, entry.sha256, entry.name), entry.sha256, original=False)
        if entry.original:
            place = Path(folder, ORIGINALS, entry.original.file)
            if place.exists():
                return _original(place, entry.original, entry.name)
    if entry.original is None:
        raise _without_download(entry)
    return _original(_downloaded(entry, entry.original), entry.original, entry.name)


def _original(place: Path, original: Original, name: str) -> File:
    return File(_verified(place, original.sha256, name), original.sha256, original=True)


def _verified(place: Path, sha256: str, name: str) -> bytes:
    """The bytes of a file of the registered SHA-256."""
    try:
        with open_regular(place) as file:
            content = file.read()
    except OSError as error:
        raise DataError(
            f"{named(place)} cannot be opened ({reason(error)})",
            remedy="Make it a file that can be read, or move it away",
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{named(place)} is not the registered table {name!r}: its SHA-256 is {found}, and "
            f"{sha256} is registered",
            remedy=f"Put the registered file there, move this one away, or read it as a table of "
            f"your own: scalefit.read({str(place)!r})",
        )
    return content


def _without_download(entry: Dataset) -> DataError:
    _, variable = FOLDERS[entry.folder]
    return DataError(
        f"{entry.name!r} is not downloaded: no file of its source is registered that the table "
        f"could be made from and checked against. It comes from {entry.url} ({entry.licence}): "
        f"{entry.derivation.rstrip('.')}",
        remedy=f"Put it as {entry.file}, of SHA-256 {entry.sha256}, into the folder that "
        f"{variable} names; or take the file of the source, and read it as a table of your own",
    )


def _cache_folder() -> Path:
    import pooch  # type: ignore[import-untyped]

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("scalefit"))


def _downloaded(entry: Dataset, original: Original) -> Path:
    """The source's file in the cache, where it is put once, whole and checked, or not at all."""
    import pooch
    import requests

    folder = _cache_folder()
    place = folder / original.file
    try:
        if not place.exists():
            folder.mkdir(parents=True, exist_ok=True)
            require_place(place)
        pooch.retrieve(
            original.url,
            known_hash=original.sha256,
            fname=original.file,
            path=folder,
            downloader=_Download(original),
        )
    except requests.RequestException as error:
        raise _out_of_reach(error, entry, original, place) from error
    except OSError as error:
        raise DataError(
            f"the file of {entry.name!r} cannot be kept in the cache: the folder "
            f"{named(folder)} cannot be written to ({reason(error)})",
            remedy=f"Set {CACHE_VARIABLE} to a folder that can be written to",
        ) from error
    return place


class _Download:
    """A downloader of pooch's that says what was expected and found."""

    def __init__(self, original: Original) -> None:
        self._original = original

    def __call__(self, url: str, output_file: str, pooch_object: Any) -> None:
        import pooch
        from tqdm import tqdm

        known = self._original
        # disable=None: none off a terminal.
        bar = tqdm(
            total=known.bytes,
            desc=known.file,
            unit="B",
            unit_scale=True,
            delay=BAR_SECONDS,
            leave=False,
            disable=None,
        )
        with bar:
            fetch = pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=bar)
            fetch(url, output_file, pooch_object)
        found = hashlib.sha256(Path(output_file).read_bytes()).hexdigest()
        if found != known.sha256:
            raise DataError(
                f"the file changed at its source: {url} serves one of SHA-256 {found}, and "
                f"{known.sha256} is registered. Nothing was kept",
                remedy="Load it once more, in case a proxy answered in its place. If it stays so, "
                "what is there now is another table: download it, and read it as one of your own",
            )


def _out_of_reach(error: Exception, entry: Dataset, original: Original, place: Path) -> DataError:
    """An error for a source that does not answer, refuses, or breaks off."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        # Its body is not read; the connection would stay open.
        error.response.close()
        said = f"answers {error.response.status_code} {error.response.reason}"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError):
        said = "broke off before the file was whole; nothing was kept"
    elif isinstance(error, requests.Timeout):
        said = f"does not answer within {TIMEOUT:g} s"
    else:
        said = f"cannot be reached ({type(error).__name__})"
    _, variable = FOLDERS[entry.folder]
    return DataError(
        f"{entry.name!r} could not be downloaded: {original.url} {said}",
        remedy=f"Load it once more with a connection, or get the file elsewhere and put it at "
        f"{named(place)}, or at {ORIGINALS}/{original.file} in the folder that {variable} names",
    )
