"""Runs as their trackers left them: metrics by step, and a flat configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.errors import DataError

__all__ = [
    "RESERVED",
    "Series",
    "TrackedRun",
    "flat",
    "free_name",
    "numbers_of_frame",
    "plain_number",
    "series_at",
    "series_of_rows",
    "writable",
]

# Steps and values of each metric, in the order in which they were recorded.
Series = Mapping[str, tuple[np.ndarray, np.ndarray]]

# Columns of ours, which no metric or parameter may take.
RESERVED = ("run", "step", "state")

# How trackers spell what JSON has no number for.
NOT_FINITE = ("nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")

# Far more than any run has parameters: a file of aliases can unfold to billions.
MOST_KEYS = 100_000
# Of a list that stays a parameter, as text.
MOST_ITEMS = 1000


@dataclass(frozen=True)
class TrackedRun:
    """A run as its tracker left it.

    Attributes:
        name: of the run, which others may share.
        series: its metrics by step. A value that was recorded but is no finite number is infinite.
        config: its parameters by flat name.
        state: how it ended in the tracker's own word, lower case; None where it keeps none.
        key: what tells it from others of its name.
    """

    name: str
    series: Series = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None
    key: str = ""


def flat(nested: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """A nested mapping with one key for each leaf, its parts joined by ``/``.

    Lists and other values that are neither numbers, truth values nor text become text; None and
    empty ones are left out.

    Args:
        nested: what is nested.
        where: what holds it, for messages.

    Raises:
        DataError: it unfolds to more keys than any run has.
    """
    found: dict[str, Any] = {}
    # Depth first by a list of its own: the order is kept, and no depth is too deep.
    left = [("", nested.items().__iter__())]
    while left:
        prefix, items = left[-1]
        for key, value in items:
            name = f"{prefix}{key}"
            if isinstance(value, Mapping):
                left.append((f"{name}/", value.items().__iter__()))
                break
            if value is not None:
                found[name] = value if isinstance(value, Real | str | bool) else _as_text(value)
        else:
            left.pop()
        if len(found) > MOST_KEYS or len(left) > MOST_KEYS:
            raise DataError(
                f"{where} holds more than {MOST_KEYS:,} parameters",
                remedy="Leave out what is not a parameter of the run",
            )
    return found


def _as_text(value: Any) -> str:
    """A value that is no leaf as text: a list of leaves whole, whatever else is in it cut short."""
    short = isinstance(value, list | tuple) and len(value) <= MOST_ITEMS
    if short and all(item is None or isinstance(item, Real | str) for item in value):
        return str(value)
    # Lists of aliases unfold to billions, and an object has a text of its own.
    return shown(value)


def free_name(name: str, group: str) -> str:
    """A name of a metric or a parameter that is no column of ours."""
    return f"{group}/{name}" if name in RESERVED else name


def writable(value: Any) -> Any:
    """Text with a question mark for each half of a character, as JSON escapes it; else itself."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def plain_number(value: Any) -> float | None:
    """A recorded value as float64, infinite where it is NaN; None where it is no number."""
    if isinstance(value, str) and value.strip().lower() in NOT_FINITE:
        return math.inf
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(number) else number


def series_of_rows(rows: Iterable[tuple[float, Mapping[str, Any]]]) -> Series:
    """Metrics by step from rows in the order in which they were recorded.

    Args:
        rows: step of each row, and its values by metric. What is no number is left out.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for step, values in rows:
        for name, value in values.items():
            number = plain_number(value)
            if number is not None:
                steps, numbers = found.setdefault(str(name), ([], []))
                steps.append(step)
                numbers.append(number)
    return {name: (np.array(steps), np.array(values)) for name, (steps, values) in found.items()}


def numbers_of_frame(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Metrics of a frame as float64, each of shape (rows,); columns without numbers are left out.

    Args:
        frame: a column for each metric. An empty cell, in which nothing was recorded, becomes NaN.
    """
    found = {}
    for place, name in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        if cells.dtype.kind in "iuf":
            values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            gaps = cells.isna().to_numpy()
            numbers = [None if gap else plain_number(x) for x, gap in zip(cells, gaps, strict=True)]
            values = np.array([math.nan if x is None else x for x in numbers])
        if not np.isnan(values).all():
            found[str(name)] = values
    return found


def series_at(metrics: Mapping[str, np.ndarray], steps: np.ndarray, rows: Any) -> Series:
    """Metrics by step of some rows.

    Args:
        metrics: values of each, NaN where nothing was recorded, shape (rows,).
        steps: of the rows, shape (rows,).
        rows: which of them.
    """
    found = {}
    for name, values in metrics.items():
        own = values[rows]
        kept = ~np.isnan(own)
        if kept.any():
            found[name] = (steps[rows][kept], own[kept])
    return found
