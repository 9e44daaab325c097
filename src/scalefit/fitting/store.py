"""A folder of compiled programs that outlives the process: bytes by key, nothing more.

Losing an entry costs seconds of compilation, so nothing here raises: a folder that cannot be made,
read or written is no folder, and an entry that is damaged is no entry.

Loading an entry runs what is in it, as importing a module does. The folder is made for its owner
alone, and one that somebody else owns or may write to is left aside.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

__all__ = ["VARIABLE", "Store"]

VARIABLE = "SCALEFIT_CACHE"
"""Environment variable: ``off``, or the folder to use instead of the platform's own."""

SUFFIX = ".program"
# A program is about half a megabyte here: some hundreds of laws, options and table sizes.
MOST_BYTES = 256 * 2**20


class Store:
    """Entries in one folder.

    Args:
        folder: where they are.
        most_bytes: what they may take together; those unused for longest go first.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    @classmethod
    def of_user(cls) -> Store | None:
        """The store the environment asks for, or None where it asks for none or none is safe."""
        wanted = os.environ.get(VARIABLE, "")
        if wanted.lower() == "off":
            return None
        if not wanted:
            from platformdirs import user_cache_dir

            wanted = user_cache_dir("scalefit", appauthor=False)
        try:
            folder = Path(wanted).expanduser()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(folder) if _private(folder) else None
        except (OSError, RuntimeError):  # no home to expand
            return None

    def get(self, key: str) -> bytes | None:
        """The value under a key, if it is there whole."""
        path = self._path(key)
        try:
            digest, packed = _split(path.read_bytes())
            value = zlib.decompress(packed)
        except (OSError, zlib.error):
            return None
        if hashlib.sha256(value).digest() != digest:
            return None
        with suppress(OSError):  # a folder that may only be read
            os.utime(path)
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep a value; readers in other processes see all of it or nothing."""
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(value).digest() + zlib.compress(value, 1))
            os.replace(temporary, self._path(key))
            self._trim()
        except OSError:
            if temporary is not None:
                with suppress(OSError):
                    os.unlink(temporary)

    def drop(self, key: str) -> None:
        """Forget an entry that turned out to be of no use."""
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self.folder / (key + SUFFIX)

    def _trim(self) -> None:
        """Remove the entries unused for longest until the rest fits."""
        entries = []
        # Temporary files count too: a process that was killed leaves one behind.
        for path in [*self.folder.glob("*" + SUFFIX), *self.folder.glob("*.tmp")]:
            with suppress(OSError):  # another process was faster
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.most_bytes:
                return
            with suppress(OSError):
                path.unlink()
            total -= size


def _split(content: bytes) -> tuple[bytes, bytes]:
    size = hashlib.sha256().digest_size
    return content[:size], content[size:]


def _private(folder: Path) -> bool:
    """Whether only the user of this process can have put anything there."""
    if not hasattr(os, "getuid"):  # Windows keeps user folders apart by itself
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022
