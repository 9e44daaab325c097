"""The folder of a job: a Parquet file for each finished chunk, and the plan that they belong to.

The files are one dataset: ``pandas.read_parquet(folder)`` reads it. A file is there whole or not at
all, and says of which plan and chunk it is: what is there is never computed again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.data.files import named, open_regular, reason, write_whole
from scalefit.errors import ArgumentError, MissingExtraError

__all__ = ["Folder", "require_parquet"]

# Readers of Parquet skip names that begin with an underscore.
PLAN = "_plan.json"
PART = re.compile(r"part-\d{6,}\.parquet")
# Key of a part's metadata.
KEY = b"scalefit"

OTHER = "Name another folder in [run] output, or remove this one"
ROOM = "Make room or allow writing there, or name another folder in [run] output"


def require_parquet() -> None:
    """Raise where nothing could be written.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "results are written in Parquet, by pyarrow, which is not installed", extra="parquet"
        ) from error


@dataclass(frozen=True)
class Folder:
    """A folder of parts.

    Attributes:
        path: of the folder.
        digest: of the plan.
        chunks: how many parts there are in the end.
    """

    path: Path
    digest: str
    chunks: int

    def prepare(self, plan: Mapping[str, Any]) -> None:
        """Make the folder and write the plan into it, or check that it is of this plan.

        Any number of processes may do so at once.

        Raises:
            ArgumentError: it cannot be written to, or it holds something else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Before the plan is looked for: another process writes it first, and then parts.
            there = {item.name for item in self.path.iterdir() if item.name[0] not in "._"}
            written = self._plan()
            if written is None and not there:
                content = {"digest": self.digest, "plan": plan}
                text = json.dumps(content, indent=1, sort_keys=True, default=str).encode()
                write_whole(self.path / PLAN, lambda file: file.write(text), overwrite=True)
                written = self._plan()
        except OSError as error:
            raise self._refused(f"cannot be written to ({reason(error)})", ROOM) from error
        if written is None:
            raise self._refused("holds other files, and no results of scalefit")
        if written.get("digest") != self.digest:
            raise self._refused(f"holds results of another plan{_differing(written, plan)}")
        if strange := sorted(there - {_name(chunk) for chunk in range(self.chunks)}):
            raise self._refused(f"holds {strange[0]!r}, which is no part of this plan")

    def _plan(self) -> dict[str, Any] | None:
        """What the plan of the folder says, or None where there is none."""
        try:
            with open_regular(self.path / PLAN) as file:
                found = json.load(file)
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}

    def _refused(self, why: str, remedy: str = OTHER) -> ArgumentError:
        return ArgumentError(
            f"the folder {named(self.path)} {why}",
            argument="run.output",
            value=str(self.path),
            remedy=remedy,
        )

    def _mark(self, chunk: int) -> bytes:
        return f"{self.digest} {chunk}".encode()

    def finished(self, chunk: int) -> bool:
        """Whether the part of a chunk is there, whole and of this plan."""
        import pyarrow
        import pyarrow.parquet

        try:
            with open_regular(self.path / _name(chunk)) as file:
                # At the end of the file: of one that was cut off there is none.
                found = pyarrow.parquet.read_schema(file).metadata or {}
        except (OSError, pyarrow.ArrowException):
            return False
        return bool(found.get(KEY) == self._mark(chunk))

    def count(self) -> int:
        """How many parts are there, by their names."""
        with suppress(OSError):
            return sum(PART.fullmatch(item.name) is not None for item in self.path.iterdir())
        return 0

    def write(self, chunk: int, rows: pd.DataFrame) -> None:
        """Write the part of a chunk. Equal rows become equal bytes.

        Raises:
            ArgumentError: it cannot be written.
        """
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.Table.from_pandas(rows, preserve_index=False)
        table = table.replace_schema_metadata({KEY: self._mark(chunk)})

        def save(file: Any) -> None:
            pyarrow.parquet.write_table(table, file, write_page_checksum=True)

        try:
            write_whole(self.path / _name(chunk), save, overwrite=True)
        except OSError as error:
            # Another run in this folder was first, and has removed what was left over.
            if not self.finished(chunk):
                raise self._refused(f"cannot be written to ({reason(error)})", ROOM) from error

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of all parts, in the order of the chunks."""
        return pd.read_parquet(self.path, columns=None if columns is None else list(columns))

    def tidy(self) -> None:
        """Remove what processes that were killed had begun to write."""
        for left in self.path.glob(".scalefit-*.tmp"):
            left.unlink(missing_ok=True)


def _name(chunk: int) -> str:
    return f"part-{chunk:06d}.parquet"


def _differing(written: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """The first key that two plans differ in."""
    before, after = _flat(written.get("plan")), _flat(plan)
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return f" (of another {keys[0]})" if keys else ""


def _flat(plan: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(plan, Mapping):
        return {prefix: json.dumps(plan, default=str)}
    inner = [_flat(value, f"{prefix}.{key}".lstrip(".")) for key, value in plan.items()]
    return {key: value for item in inner for key, value in item.items()}
