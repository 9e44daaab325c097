"""The text that the models read: a dictionary of English, from a Debian package.

``dict-gcide`` holds the GNU Collaborative International Dictionary of English (Webster's dictionary
of 1913 with additions; GPL, version 2 or later). The package is downloaded once and checked; no
byte of it is part of this project.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from pathlib import Path

import numpy as np

PACKAGE = "dict-gcide_0.48.5+nmu2_all.deb"
URL = f"https://deb.debian.org/debian/pool/main/d/dict-gcide/{PACKAGE}"
PACKAGE_SHA256 = "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f"
MEMBER = "./usr/share/dictd/gcide.dict.dz"
TEXT_SHA256 = "2f769e6b3da385af00d4b92ad2a3410cf60685da6f853810f72e4a0af4b22464"

BLOCK = 1 << 14  # bytes; of every PERIOD blocks the last is held out
PERIOD = 64


def text(cache: Path) -> bytes:
    """The dictionary as ASCII: 39,952,321 bytes, three of which are replaced by a question mark.

    Args:
        cache: a folder for the package, which is downloaded if it is not there.

    Raises:
        ValueError: the package, or what it holds, is another than the one that is pinned.
    """
    import pooch

    package = Path(pooch.retrieve(URL, f"sha256:{PACKAGE_SHA256}", PACKAGE, cache)).read_bytes()
    content = lzma.decompress(_member(package, b"data.tar.xz"))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        packed = archive.extractfile(MEMBER)
        assert packed is not None
        dictionary = gzip.decompress(packed.read())
    ascii_only = dictionary.translate(bytes(range(128)) + b"?" * 128)
    if (found := hashlib.sha256(ascii_only).hexdigest()) != TEXT_SHA256:
        raise ValueError(f"{MEMBER} has the SHA-256 {found}, and {TEXT_SHA256} is pinned")
    return ascii_only


def _member(archive: bytes, name: bytes) -> bytes:
    """A file of an ``ar`` archive: a header of 60 bytes, the content, padding to an even length."""
    place = len(b"!<arch>\n")
    while place < len(archive):
        header = archive[place : place + 60]
        size = int(header[48:58])
        if header[:16].strip().rstrip(b"/") == name:
            return archive[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    raise ValueError(f"no {name.decode()} in the package")


def windows(content: bytes, context: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out windows.

    Args:
        content: the text.
        context: bytes that a window predicts.

    Returns:
        Two arrays of uint8, each (windows, context + 1). A window begins with the last byte of the
        one before it, within its block; no window of one array shares a byte with the other.
    """
    whole = np.frombuffer(content, np.uint8)
    blocks = whole[: len(whole) // BLOCK * BLOCK].reshape(-1, BLOCK)
    held_out = np.arange(len(blocks)) % PERIOD == PERIOD - 1
    starts = np.arange(0, BLOCK - context, context)
    places = starts[:, None] + np.arange(context + 1)
    return tuple(blocks[part][:, places].reshape(-1, context + 1) for part in (~held_out, held_out))
