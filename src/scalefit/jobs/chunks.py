"""A job: what is computed, cut into chunks that depend on nothing but the job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from scalefit.version import __version__

__all__ = ["Job", "pieces"]


@dataclass(frozen=True, eq=False)
class Job:
    """A job in chunks, numbered from 0.

    Attributes:
        given: all that decides the results, as JSON holds it.
        chunks: how many.
        compute: the rows of a chunk, which depend on ``given`` and its number alone.
        named: what a chunk is, in words.
        summary: what all rows say, of the folder's reader.
    """

    given: Mapping[str, Any]
    chunks: int
    compute: Callable[[int], pd.DataFrame]
    named: Callable[[int], str]
    summary: Callable[[Callable[..., pd.DataFrame]], str]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What a folder of its results says of it."""
        return {"version": __version__, "chunks": self.chunks, **self.given}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan: results of equal digests belong together."""
        text = json.dumps(self.plan, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def pieces(count: int, size: int) -> list[range]:
    """Numbers below ``count`` in pieces of ``size``, the last one smaller."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
