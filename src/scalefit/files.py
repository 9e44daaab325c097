"""Files to DataFrames, checked for what pandas would paper over: repeated headers, long rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from scalefit.errors import DataError, listed

__all__ = ["first_line", "read_frame", "refuse_repeated_labels"]


def read_frame(path: Path) -> pd.DataFrame:
    """The file as a DataFrame, unchecked; format by suffix."""
    if path.is_dir():
        raise DataError(
            f"{str(path)!r} is a folder, not a file", remedy="Give the path of one table in it"
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((item for item in reversed(suffixes) if item in READERS), None)
    if kind is None:
        raise DataError(
            f"cannot tell the format of {str(path)!r}",
            remedy=f"Known suffixes: {', '.join(READERS)} (CSV and JSON lines also compressed)",
        )
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}", remedy="Check the path")
    try:
        return READERS[kind](path)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"{path.name!r} needs a package that is not installed ({first_line(error)})",
            remedy="Run pip install 'scalefit[parquet]', or save the table as CSV"
            if kind == ".parquet"
            else "Decompress the file first",
        ) from error
    except Exception as error:
        # A broken file raises whatever its parser or decompressor raises.
        raise DataError(
            f"{path.name!r} cannot be read as {kind[1:]} ({first_line(error)})",
            remedy="Open it in an editor, or convert it to CSV",
        ) from error


def first_line(error: Exception) -> str:
    """First line of an error's message, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_csv(path: Path) -> pd.DataFrame:
    return _read_separated(path, ",")


def _read_tsv(path: Path) -> pd.DataFrame:
    return _read_separated(path, "\t")


def _read_separated(path: Path, separator: str) -> pd.DataFrame:
    _refuse_repeated_headers(path, separator)
    frame = pd.read_csv(path, sep=separator)
    # Pandas takes surplus fields for row labels, which moves every value under the next header.
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            f"the rows of {path.name!r} have more fields than its header",
            remedy=f"Give each field a header. Columns: {listed(list(frame.columns))}",
        )
    return frame


def _refuse_repeated_headers(path: Path, separator: str) -> None:
    """Pandas renames a repeated header to ``loss.1`` without a word; look before it does."""
    first = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str)
    refuse_repeated_labels(pd.DataFrame(columns=first.iloc[0].dropna()))


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def _read_json_lines(path: Path) -> pd.DataFrame:
    # Values as written (no guessed dates), to the last bit (the default parser rounds).
    return pd.read_json(path, lines=True, dtype=False, precise_float=True)


READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}


def refuse_repeated_labels(frame: pd.DataFrame) -> None:
    """Raise when two columns have one name."""
    if frame.columns.is_unique:
        return
    repeated = list(frame.columns[frame.columns.duplicated()].unique())
    raise DataError(
        f"the table has two columns called {listed(repeated)}",
        column=str(repeated[0]),
        remedy="Rename or remove one of them",
    )
