"""Columns chosen so that a fitted law predicts least: the optimal learning rate and batch size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.law_minima import Minima, Valley, minima
from scalefit.allocation.ranges import checked_range
from scalefit.allocation.unit_checks import require_units
from scalefit.arguments import affordable, broadcast_shape, mapping, names, numbers, refused
from scalefit.arguments import choice as one_of
from scalefit.errors import ArgumentError, DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import Kind, rough_percent, shown
from scalefit.results.domain import unit_mismatch
from scalefit.results.estimate import Draws, Estimate, frame_of
from scalefit.results.fit import Fit
from scalefit.results.remembered_columns import by_header
from scalefit.results.surface import checked_surface

__all__ = ["OptimalColumns", "optimal_columns"]

# The optimum is looked for up to so many times the largest run, and down to this share of the
# smallest: a decade, as far as answers outside the runs are usual. Widths, for a column that
# reaches zero.
BEYOND = 10.0

# A grid over more columns is too coarse to see a valley.
MOST = 4

OVER = 'Name columns of the law, as over=["lr", "batch"]'
RANGE = "Pass a range for a column, as within={'lr': (1e-5, 1e-1)}"

# Columns of larger numbers are written as counts, 1.4M.
COUNTED = 1e4


@dataclass(frozen=True, eq=False)
class OptimalColumns(Described):
    """Values of columns at which a law predicts least.

    Every array is of the broadcast shape of the columns that were given.

    Attributes:
        value: the columns that were optimised, by name, raw units.
        at: those that were given.
        loss: the response there.
        inside: whether it is a minimum inside the range: no column at an end of its range, and
            curvature upwards in every direction.
        curvature: second derivatives of the response in the logarithms of the columns (in the
            columns themselves where they reach zero), shape (*shape, columns, columns).
        within: the range in which each column was looked for.
        law: name of the law.
        response: name of what it predicts.
        draws: the columns and ``loss`` under every draw of an ensemble, shape (draws, *shape);
            empty for a fit.
        notes: soft problems.
    """

    value: Mapping[str, np.ndarray]
    at: Mapping[str, np.ndarray]
    loss: np.ndarray
    inside: np.ndarray
    curvature: np.ndarray
    within: Mapping[str, tuple[float, float]]
    law: str
    response: str
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        """A column that was optimised."""
        return self.value[one_of(name, "name", list(self.value))]

    def estimate(self, name: str) -> Estimate:
        """A column, or ``loss``, with its uncertainty.

        Args:
            name: a column that was optimised, or ``loss``.

        Raises:
            ArgumentError: it is neither.
        """
        one_of(name, "name", [*self.value, "loss"])
        value = self.loss if name == "loss" else self.value[name]
        return self.draws.estimate(name, value, self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each setting: the columns that were given, the optimal ones, ``loss``.

        Args:
            level: coverage of the intervals of an ensemble, ``lr_low`` to ``loss_high``.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        shape = np.shape(self.loss)
        values = {name: np.broadcast_to(item, shape) for name, item in self.at.items()}
        values |= {**self.value, "loss": self.loss, "inside": self.inside}
        estimates = {name: self.estimate(name) for name in (*self.value, "loss") if self.draws}
        return frame_of(values, estimates, level)

    def describe(self, level: float = 0.95) -> Description:
        """The optimum in words, and a table of every setting.

        Args:
            level: coverage of the intervals of an ensemble.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.to_frame(level)
        kinds = {name: _kind(name, frame[name]) for name in (*self.at, *self.value)}
        columns = []
        # What is the same everywhere is in the headline.
        varied = [name for name in self.at if np.ptp(frame[name]) > 0]
        for name in (*varied, *self.value, "loss"):
            ends = [list(frame.get(f"{name}_{end}", ())) for end in ("low", "high")]
            heading = self.response if name == "loss" else name
            columns.append(Column(heading, list(frame[name]), kinds.get(name, "number"), *ends))
        first = {
            name: shown(frame[name].iloc[0], kinds[name]).value for name in (*self.value, *self.at)
        }
        best = ", ".join(f"{name} = {first[name]}" for name in self.value)
        given = ", ".join(f"{name} = {first[name]}" for name in self.at)
        where = f" at {given}" if given else ""
        share = f"{100 * level:g} % interval"
        return Description(
            f"Optimal {' and '.join(self.value)} of {self.law}",
            f"{self.response} is least at {best}{where}.",
            tables=[Table(columns, f"{share}s of the optimum" if self.draws else "", share)],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        count = np.size(self.loss)
        where = f" at {count} settings" if count > 1 else ""
        if count == 1:
            where = "".join(f", {name} = {np.ravel(x)[0]:.4g}" for name, x in self.value.items())
        return f"<OptimalColumns of {self.law}{where}>"


def _kind(name: str, values: Any) -> Kind:
    """How a column is written."""
    if name == "C":
        return "flop"
    return "count" if np.abs(values).min() >= COUNTED else "number"


def optimal_columns(
    fit: Any,
    over: str | Sequence[str],
    *,
    within: Mapping[str, tuple[float, float]] | None = None,
    **columns: Any,
) -> OptimalColumns:
    """The columns at which a fitted law predicts the least loss, at given values of the others.

    Of a fit of all runs of a sweep, with the learning rate and the batch size among its columns,
    this is the optimal learning rate and batch size of a model and a number of tokens. The law is
    tried on a grid over the range, and its lowest cell is refined by Newton's method with exact
    derivatives: global up to valleys narrower than a step of the grid, and exact for a quadratic
    form. Draws are minimised one by one, so that an interval is of the optimum, not of a formula
    for it.

    Args:
        fit: a fit of one surface, or draws of it, which give intervals.
        over: the column or columns to choose, four at most.
        within: ranges of these columns, raw units; by default a decade beyond the runs on both
            sides, as far as the law describes it.
        **columns: the other columns, raw units, numbers or arrays that broadcast.

    Returns:
        The columns, the loss there, and whether it is a minimum inside the range (note
        ``no_inner_optimum`` where it is not). Its notes say how far outside the runs it lies.

    Raises:
        ArgumentError: there is no fit, a column is unknown or missing, or a range is none.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level), the
            law does not describe a value, or it has a column ``loss``.
        AllocationError: a size or a number of tokens is in another unit than the table of the fit.

    Example:
        >>> import numpy as np, pandas as pd, scalefit as sf
        >>> x = np.geomspace(1e-4, 1e-2, 9)
        >>> runs = pd.DataFrame({"rate": x, "loss": 2.5 + 0.02 * np.log(x / 1.5e-3) ** 2})
        >>> @sf.law
        ... def parabola(rate, *, a: sf.laws.Offset, b: sf.laws.Coefficient, c: sf.laws.Amplitude):
        ...     "a + b ln rate + c ln^2 rate"
        ...     return a + b * np.log(rate) + c * np.log(rate) ** 2
        >>> fit = sf.fit(runs, parabola)
        >>> sf.optimal_columns(fit, "rate")
        <OptimalColumns of parabola, rate = 0.0015>
    """
    surface = checked_surface(fit).one_surface()
    point = surface.point
    over, given = _checked_columns(point, over, columns)
    shape = broadcast_shape(given, remedy="Pass one number, or as many of each")
    point.law.check(given)
    require_units(point, given)
    flat = {name: np.broadcast_to(item, shape).ravel() for name, item in given.items()}
    ranges = _ranges(point, over, within)
    logs = [low > 0 for low, _ in ranges.values()]
    ends = np.array(list(ranges.values())).T
    ends = np.where(logs, np.log(np.where(logs, ends, 1.0)), ends)
    own = {name: np.array([point.params[name]]) for name in point.law.names}
    valley = Valley(point.law, over, logs, flat, own)
    found = minima(valley, *ends)
    best = {name: valley.columns(found.place)[name][0] for name in over}
    notes = [*_notes(point, over, flat, best, found), *point.carried, *surface.draw_notes]
    draws = Draws()
    if surface.drawn:
        count = len(next(iter(surface.drawn.values())))
        remedy = f"These are settings, each under {count} draws: pass fewer of them at once"
        affordable(valley.points, "columns", 64 * count, remedy=remedy)
        params = {name: surface.drawn[name] for name in point.law.names}
        under = Valley(point.law, over, logs, flat, params)
        least = minima(under, *ends)
        placed = under.columns(least.place)
        draws = surface.drawn.apply(
            lambda _: {
                **{name: placed[name].reshape(count, *shape) for name in over},
                "loss": least.value.reshape(count, *shape),
            }
        )
        notes += _draw_notes(found, least)
    return OptimalColumns(
        value={name: item.reshape(shape)[()] for name, item in best.items()},
        at={name: item[()] for name, item in given.items()},
        loss=found.value[0].reshape(shape)[()],
        inside=found.inside[0].reshape(shape)[()],
        curvature=found.curvature[0].reshape(*shape, len(over), len(over)),
        within=ranges,
        law=point.law.name,
        response=point.law.response,
        draws=draws,
        notes=tuple(notes),
    )


def _checked_columns(
    fit: Fit, over: Any, columns: Mapping[str, Any]
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of the columns to choose, and the others as numbers."""
    law = fit.law
    chosen = names(over, "over", remedy=OVER, wanted="name of a column")
    if not chosen or len(chosen) > MOST or len(set(chosen)) < len(chosen):
        raise refused("over", over, f"one to {MOST} different columns", OVER)
    for name in chosen:
        one_of(name, "over", law.columns, remedy=OVER)
    if "loss" in law.columns:
        raise DataError(
            f"{law.name!r} has a column 'loss', which is what the result calls its {law.response}",
            column="loss",
            remedy="Give the column another name in the law",
        )
    named = by_header(law, fit.provenance, columns)
    rest = [name for name in law.columns if name not in chosen]
    wrong = [name for name in named if name not in rest] or [
        name for name in rest if name not in named
    ]
    if wrong:
        call = "".join(f", {name}=..." for name in rest)
        said = " and ".join(chosen)
        raise ArgumentError(
            f"{law.name!r} is a law of {', '.join(law.columns)}: to choose {said}, pass values of "
            f"{' and '.join(rest) or 'no other column'}, not of {', '.join(named) or 'none'}",
            argument=wrong[0],
            value=named.get(wrong[0]),
            remedy=f"Call optimal_columns(fit, {list(chosen)!r}{call})",
        )
    given = {
        name: np.asarray(
            numbers(named[name], name, empty=False, remedy=f"Pass raw numbers, as {name}=1e9")
        )
        for name in rest
    }
    return chosen, given


def _ranges(fit: Fit, over: Sequence[str], within: Any) -> dict[str, tuple[float, float]]:
    """The range of each column that is searched."""
    given = {} if within is None else dict(mapping(within, "within", remedy=RANGE))
    for name in given:
        one_of(name, "within", over, remedy=RANGE)
    return {
        name: _checked_range(fit, name, given[name]) if name in given else _usual_range(fit, name)
        for name in over
    }


def _checked_range(fit: Fit, name: str, pair: Any) -> tuple[float, float]:
    """A range that was given, within what the law describes."""
    low, high = checked_range(pair, f"within[{name!r}]", remedy=RANGE)
    domain = fit.law.domains.get(name)
    if domain is not None and not domain.holds([low, high]).all():
        raise ArgumentError(
            f"within[{name!r}]=({low:g}, {high:g}) reaches beyond what {fit.law.name!r} describes: "
            f"{domain.rule(name)}",
            argument="within",
            value=pair,
            remedy="Pass a range inside it, in the unit of the runs",
        )
    return low, high


def _usual_range(fit: Fit, name: str) -> tuple[float, float]:
    """A decade (or the width of the range) beyond the runs, as far as the law describes it."""
    low, high = fit.domain.get(name, (math.nan, math.nan))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(
            f"the fit does not know the range of {name} among its runs",
            argument="within",
            value=None,
            remedy=f"Pass it, as within={{{name!r}: (1e-5, 1e-1)}}",
        )
    wide = (high - low) or abs(high) or 1.0
    ends = (low / BEYOND, high * BEYOND) if low > 0 else (low - wide, high + wide)
    if name in fit.law.domains:
        domain = fit.law.domains[name]
        ends = (max(ends[0], domain.lower), min(ends[1], domain.upper))
    return ends


def _notes(
    fit: Fit,
    over: Sequence[str],
    given: Mapping[str, np.ndarray],
    best: Mapping[str, np.ndarray],
    found: Minima,
) -> list[Note]:
    """How far the optimum lies outside the runs, and where there is none inside the range."""
    every = {**given, **best}
    notes = [*unit_mismatch(fit.domain, every), *fit.extrapolation(every)]
    outside = np.flatnonzero(~found.inside[0])
    if len(outside):
        first = outside[0]
        ended = [name for name, end in zip(over, found.ended[0, first], strict=True) if end]
        where = " and ".join(f"{name} = {best[name][first]:.4g}" for name in over)
        why = f"the {fit.law.response} does not curve upwards in every direction at {where}"
        if ended and not found.flat[0, first]:
            why = f"the {fit.law.response} is least at an end of {' and '.join(ended)}: {where}"
        count = len(found.inside[0])
        some = f" ({len(outside)} of {count} settings)" if count > 1 else ""
        notes.append(
            Note.of(
                "no_inner_optimum",
                f"{why}. It is no minimum inside the range that is searched{some}",
                {"columns": ended, "settings": len(outside)},
            )
        )
    return notes


def _draw_notes(found: Minima, drawn: Minima) -> list[Note]:
    """A note where draws have no minimum inside the range though the fit has one."""
    share = float(np.mean(~drawn.inside[:, found.inside[0]], axis=0).max(initial=0.0))
    if not share:
        return []
    return [
        Note.of(
            "draws_without_optimum",
            f"{rough_percent(share)} of the draws have no minimum inside the range that is "
            "searched: they count as the end at which they are least",
            {"share": share},
        )
    ]
