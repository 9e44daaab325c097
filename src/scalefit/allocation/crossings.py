"""Where two fitted laws of one column predict the same response."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.allocation.column_multiplier import same_column
from scalefit.allocation.inverse import called
from scalefit.allocation.law_roots import Line, bisected, line_of
from scalefit.allocation.paired_draws import paired_draws, require_alike
from scalefit.allocation.ranges import checked_range
from scalefit.arguments import flag
from scalefit.arguments import level as checked_level
from scalefit.data.column_names import UNITS, known_as
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, rough_percent, shown
from scalefit.results.estimate import Draws, Estimate, frame_of
from scalefit.results.surface import Surface, checked_surface

__all__ = ["Crossing", "crossing"]

# Decades beyond the runs of both fits in which crossings are looked for, where nothing is said.
# Farther out the answer says nothing but the forms of the laws.
BEYOND = 3.0

RANGE = "Pass a range, as within=(1e18, 1e24)"


@dataclass(frozen=True, eq=False)
class Crossing(Described):
    """Where two laws of one column predict the same response, ascending.

    Attributes:
        value: values of the column, raw units, shape (k,); none where the laws do not cross.
        response: what both predict there, shape (k,).
        lower_beyond: which of both predicts less just beyond each, ``first`` or ``second``.
        lower_at_start: which of both predicts less at the lower end of the range.
        share: share of the draws that have each crossing, shape (k,); NaN without draws.
        within: the range in which crossings were looked for.
        column: name of the column.
        laws: names of both laws.
        draws: ``value`` and ``response`` of each under every draw, shape (draws, k): NaN where a
            draw has no such crossing.
        notes: soft problems.
    """

    value: np.ndarray
    response: np.ndarray
    lower_beyond: tuple[str, ...]
    lower_at_start: str
    share: np.ndarray
    within: tuple[float, float]
    column: str
    laws: tuple[str, str]
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    def estimate(self, number: int = 0) -> Estimate:
        """One of them with its interval, over the draws that have it.

        Args:
            number: which, from 0.

        Raises:
            DataError: there is none of this number.
        """
        if not (isinstance(number, int) and -len(self.value) <= number < len(self.value)):
            raise DataError(
                f"there are {len(self.value)} crossings, and none of number {number!r}",
                remedy="Look farther out: crossing(first, second, within=(low, high))",
            )
        drawn = self.draws["value"][:, number] if self.draws else np.empty(0)
        return Estimate(self.value[number], drawn, self.draws.tails, self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each: value, response, the share of draws that have it; intervals of draws.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        values = {"value": self.value, "response": self.response, "share": self.share}
        estimates = {
            name: self.draws.estimate(name, values[name])
            for name in ("value", "response")
            if self.draws and len(self.value)
        }
        return frame_of(values, estimates, level).assign(lower_beyond=list(self.lower_beyond))

    def describe(self, level: float = 0.95) -> Description:
        """Where the laws cross, and which is the lower one beyond.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        unit = UNITS.get(known_as(self.column) or "", "")
        kind: Kind = "flop" if unit == "FLOP" else "number"
        low, high = (shown(end, kind).value for end in self.within)
        where = f"{self.column} = {low} to {high} {unit}".rstrip()
        count = len(self.value)
        said = f"They do not cross within {where}: the {self.lower_at_start} is lower throughout."
        if count:
            said = f"They cross {'once' if count == 1 else f'{count} times'} within {where}."
        frame = self.to_frame(level)
        ends = [list(frame.get(f"value_{end}", ())) for end in ("low", "high")]
        heading = f"{self.column} ({unit})" if unit else self.column
        columns = [
            Column(heading, list(self.value), kind, *ends),
            Column("both predict", list(self.response)),
            Column("lower beyond", list(self.lower_beyond), "text"),
        ]
        if self.draws:
            columns.append(Column("draws", [f"{100 * one:.3g} %" for one in self.share], "text"))
        title = f"{100 * level:g} % intervals over the draws that cross there" if self.draws else ""
        return Description(
            f"Crossing of {self.laws[0]} (first) and {self.laws[1]} (second)",
            said,
            tables=[Table(columns, title, f"{100 * level:g} % interval")] if count else [],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        found = ", ".join(f"{one:.4g}" for one in self.value) or "none"
        return f"<Crossing of {self.laws[0]} and {self.laws[1]}: {self.column} = {found}>"


def crossing(
    first: Surface,
    second: Surface,
    *,
    within: tuple[float, float] | None = None,
    paired: bool = False,
) -> Crossing:
    """Where two fitted laws of the same column predict the same response.

    Args:
        first: fit, or ensemble, of a law of one column.
        second: of a law of the same column, whose response is in the same unit; an ensemble exactly
            where ``first`` is one.
        within: range of the column in which crossings are looked for, raw units; by default from
            three decades below the runs of both to three above.
        paired: whether draw i of both is of the same resample, as for :func:`compute_multiplier`.

    Returns:
        Every crossing in the range, ascending. Of ensembles with intervals: each crossing is that
        of every draw that is nearest and has the same law lower beyond it. The share of the draws
        that have one is told, with the note ``draws_without_crossing`` where some have none.

    Raises:
        ArgumentError: there is no fit, or the range is none.
        DataError: coefficients of a fit differ by a column.
        AllocationError: the laws are not of one and the same column; or one is an ensemble and the
            other is not, or ``paired`` is passed for ensembles that are not.

    Example:
        >>> import numpy as np, pandas as pd, scalefit as sf
        >>> C = np.geomspace(1e18, 1e21, 7)
        >>> fits = [
        ...     sf.fit(pd.DataFrame({"C": C, "loss": E + A * C**-a}), "power_offset", x="C")
        ...     for E, A, a in ((1.6, 95.0, 0.094), (1.8, 180.0, 0.112))
        ... ]
        >>> sf.crossing(*fits)
        <Crossing of power_offset and power_offset: C = ...>
    """
    one = checked_surface(first, "first").one_surface()
    two = checked_surface(second, "second").one_surface()
    flag(paired, "paired")
    require_alike(one, two)
    names = same_column(one.point, two.point)
    lines = (line_of(one.point, names[0], {}), line_of(two.point, names[1], {}))
    ends = (
        _range(lines) if within is None else checked_range(within, "within", above=0, remedy=RANGE)
    )
    grid = np.union1d(lines[0].grid(ends), lines[1].grid(ends))
    places = _crossings(lines, grid)
    logs, beyond = places.logs[0], places.beyond[0]
    found, response = np.exp(logs), lines[0].at(logs[None])[0]
    notes = [*one.point.carried, *one.draw_notes, *two.point.carried, *two.draw_notes]
    for fit, name, which in zip((one.point, two.point), names, ("first", "second"), strict=True):
        if len(found):
            far = fit.extrapolation({name: found})
            notes += [replace(item, message=f"of the {which}: {item.message}") for item in far]
    draws, share = Draws(), np.full(len(found), math.nan)
    if one.drawn:
        ours, theirs = paired_draws(one.drawn, two.drawn, paired)
        drawn = _matched(lines, (ours, theirs), grid, logs, beyond)
        share = np.mean(~np.isnan(drawn["value"]), axis=0)
        draws = replace(ours, arrays=drawn, tails=ours.tails.wider(theirs.tails))
        notes += _share_notes(share, called(lines[0]), found)
    return Crossing(
        value=found,
        response=response,
        lower_beyond=tuple("first" if lower else "second" for lower in beyond),
        lower_at_start="first" if places.start[0] else "second",
        share=share,
        within=ends,
        column=called(lines[0]),
        laws=(one.point.law.name, two.point.law.name),
        draws=draws,
        notes=tuple(notes),
    )


def _range(lines: tuple[Line, Line]) -> tuple[float, float]:
    """The range of the runs of both, and beyond."""
    ends = np.array([line.runs for line in lines])
    far = BEYOND * math.log(10.0)
    return math.exp(ends.min() - far), math.exp(ends.max() + far)


class _Places(NamedTuple):
    """Every crossing of each draw, ascending.

    Attributes:
        logs: logarithms of the places, shape (draws, most), filled up with NaN.
        beyond: whether the first law is lower just beyond each, shape (draws, most).
        start: whether it is at the lower end of the grid, shape (draws,).
    """

    logs: np.ndarray
    beyond: np.ndarray
    start: np.ndarray


def _crossings(lines: tuple[Line, Line], grid: np.ndarray) -> _Places:
    """Every crossing along a grid, of the draws of both laws."""

    def lower(logs: np.ndarray) -> np.ndarray:
        """Whether the first law is lower, at logarithms of shape (..., draws or 1)."""
        first, second = (line.at(logs[..., None])[..., 0] for line in lines)
        return np.asarray(first < second)

    over = lower(grid[:, None])
    order = np.cumsum(over[1:] != over[:-1], axis=0)
    draws, most = over.shape[1], int(order[-1].max(initial=0))
    logs, beyond = np.full((draws, most), np.nan), np.zeros((draws, most), dtype=bool)
    for k in range(most):
        # The k-th change of each draw, all draws at once.
        place = (order == k + 1).argmax(axis=0)
        beyond[:, k] = over[place + 1, np.arange(draws)]
        found = bisected(partial(_as_beyond, lower, beyond[:, k]), grid, place)
        logs[:, k] = np.where(order[-1] > k, found, np.nan)
    return _Places(logs, beyond, over[0])


def _as_beyond(
    lower: Callable[[np.ndarray], np.ndarray], beyond: np.ndarray, logs: np.ndarray
) -> np.ndarray:
    """Whether the lower law is the one that it is beyond a crossing."""
    return np.asarray(lower(logs) == beyond)


def _matched(
    lines: tuple[Line, Line],
    draws: tuple[Draws, Draws],
    grid: np.ndarray,
    logs: np.ndarray,
    beyond: np.ndarray,
) -> dict[str, np.ndarray]:
    """Of each draw the crossing nearest to each of the fits', with the same law lower beyond."""
    under = tuple(
        line_of(line.fit, line.column, {}, drawn) for line, drawn in zip(lines, draws, strict=True)
    )
    found = _crossings((under[0], under[1]), grid)
    count = len(found.start)
    values = np.full((count, len(logs)), np.nan)
    for k, (log, lower) in enumerate(zip(logs, beyond, strict=True)):
        far = np.where(found.beyond == lower, np.abs(found.logs - log), np.nan)
        far = np.where(np.isnan(far), np.inf, far)
        if far.shape[1]:
            nearest = far.argmin(axis=1)
            rows = np.arange(count)
            there = np.isfinite(far[rows, nearest])
            values[:, k] = np.where(there, found.logs[rows, nearest], np.nan)
    response = under[0].at(np.nan_to_num(values))
    return {"value": np.exp(values), "response": np.where(np.isnan(values), np.nan, response)}


def _share_notes(share: np.ndarray, name: str, found: np.ndarray) -> list[Note]:
    """A note where some draws do not cross where the fits do."""
    return [
        Note.of(
            "draws_without_crossing",
            f"{rough_percent(1 - part)} of the draws have no crossing like the one at {name} = "
            f"{value:.4g} within the range: its interval is of the others",
            {"share": float(part), "value": float(value)},
        )
        for part, value in zip(share, found, strict=True)
        if part < 1
    ]
