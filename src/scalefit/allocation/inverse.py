"""The inverse of a fitted law: the value of a column at which it reaches a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.allocation.law_roots import Line, Passes, line_of, passes
from scalefit.arguments import affordable, broadcast_shape, numbers, shown
from scalefit.errors import ArgumentError
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.reporting.numbers import rough_percent
from scalefit.results.domain import unit_mismatch
from scalefit.results.estimate import Estimate
from scalefit.results.fit import Fit
from scalefit.results.remembered_columns import by_header, spoken
from scalefit.results.surface import checked_surface

__all__ = ["inverse_predict", "reached"]

# Share of draws that never reach a response above which an interval of 95 % is open.
OPEN = 0.025


def inverse_predict(fit: Any, loss: Any, **columns: Any) -> Estimate:
    """The value of a column at which a fitted law reaches a loss: C(L) from L(C).

    The one column of the law is solved for; of a law of several, the one that is not given. The
    answer is the smallest value at which the law comes down to the loss (up to the response, where
    it rises along the column): for a law that is not monotone the first of several, with the note
    ``several_roots``. It is looked for within sixty decades to either side of the runs.

    The interval is of the law itself (the mean, not a single run): a value is in it where the
    interval of the prediction there holds the loss. It is open, with an end of inf, where some
    draws of the law never reach the loss (note ``interval_open``).

    Args:
        fit: a fit of one surface, or draws of it, which give an interval.
        loss: the response or responses to be reached, in the unit of the fitted table.
        **columns: the other columns, raw units, numbers or arrays that broadcast with ``loss``.

    Returns:
        Values of the column in raw units, of the broadcast shape: inf where the law never reaches
        the loss, 0 where it is beyond it throughout (note ``level_not_reached``). Its notes say how
        far outside the runs they lie.

    Raises:
        ArgumentError: there is no fit, a loss is no number, or not all columns but one are given.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level), or
            the law does not describe a value.

    Source:
        Fieller 1954, J. R. Stat. Soc. B 16(2) (intervals by inverting a test, and their open ends).

    Example:
        >>> import numpy as np, pandas as pd, scalefit as sf
        >>> C = np.geomspace(1e18, 1e21, 7)
        >>> runs = pd.DataFrame({"C": C, "loss": 1.6 + 95.0 * C**-0.094})
        >>> fit = sf.fit(runs, "power_offset", x="C")
        >>> f"{sf.inverse_predict(fit, 2.5).value:.4g} FLOP"
        '3.36e+21 FLOP'
    """
    surface = checked_surface(fit).one_surface()
    point = surface.point
    remedy = "Pass losses in the unit of the table, as loss=2.5"
    level = np.asarray(numbers(loss, "loss", remedy=remedy))
    column, others = _solved_for(point, columns)
    shape = broadcast_shape({"loss": level, **others}, remedy="Pass one number, or as many of each")
    point.law.check({**others, point.law.response: level})
    flat = {name: np.broadcast_to(item, shape).ravel() for name, item in others.items()}
    level = np.broadcast_to(level, shape).ravel()
    line = line_of(point, column, flat)
    found = reached(line, level[None])
    value = np.exp(found.first[0])
    notes = [*_notes(line, level, value, found), *point.carried, *surface.draw_notes]
    drawn = np.empty((0, *shape))
    if surface.drawn:
        count = len(next(iter(surface.drawn.values())))
        remedy = f"These are losses, each under {count} draws: pass fewer of them at once"
        affordable(len(level), "loss", 24 * count, remedy=remedy)
        under = line_of(point, column, flat, surface.drawn)
        drawn = np.exp(reached(under, level[None], falls(line)).first).reshape(count, *shape)
        notes += _open_notes(drawn, called(line))
    return Estimate(value.reshape(shape)[()], drawn, surface.drawn.tails, tuple(notes))


def falls(line: Line) -> np.ndarray:
    """Whether a law falls along the column, from the one end of the grid to the other, (points,).

    Where both ends are the same, over the runs.
    """
    grid = line.grid()
    first, last = line.at(np.array([grid[0], grid[-1]])[:, None, None])[:, 0]
    low, high = line.at(np.array(line.runs)[:, None, None])[:, 0]
    same = ~(np.abs(first - last) > 0)
    return np.where(same, low >= high, first > last)


def reached(line: Line, level: np.ndarray, falling: np.ndarray | None = None) -> Passes:
    """Where a law comes to levels.

    Args:
        line: the law.
        level: shape (draws or 1, points).
        falling: whether it comes down to them, shape (points,); by default as the law itself does.
    """
    sign = np.where(falls(line) if falling is None else falling, 1.0, -1.0)
    draws = max(len(level), len(next(iter(line.params.values()))))

    def beyond(logs: np.ndarray, some: slice) -> np.ndarray:
        # At the level itself it is reached.
        gap = sign[some] * (level[:, some] - line.some(some).at(logs))
        return np.where(gap == 0, 1.0, gap)

    return passes(beyond, line.grid(), draws, level.shape[1])


def called(line: Line) -> str:
    """What messages call the column."""
    return spoken(line.fit.law, line.fit.provenance).get(line.column, line.column)


def _solved_for(fit: Fit, columns: Mapping[str, Any]) -> tuple[str, dict[str, np.ndarray]]:
    """The column that is not given, and the others as numbers."""
    law = fit.law
    given = by_header(law, fit.provenance, columns)
    unknown = [name for name in given if name not in law.columns]
    left = [name for name in law.columns if name not in given]
    if unknown or len(left) != 1:
        raise _wrong_columns(law, columns, unknown or left or list(given))
    others = {
        name: np.asarray(numbers(value, name, remedy=f"Pass raw numbers, as {name}=1e9"))
        for name, value in given.items()
    }
    return left[0], others


def _wrong_columns(law: Law, given: Mapping[str, Any], wrong: list[str]) -> ArgumentError:
    rest = "".join(f", {name}=..." for name in law.columns[:-1])
    return ArgumentError(
        f"{law.name!r} is a law of {', '.join(law.columns)}, of which all but one are given to "
        f"solve for that one, not {', '.join(given) or 'none'}",
        argument=wrong[0],
        value=given.get(wrong[0], shown(None)),
        remedy=f"Call inverse_predict(fit, loss{rest})",
    )


def _notes(line: Line, level: np.ndarray, value: np.ndarray, found: Passes) -> list[Note]:
    """How far the answers lie outside the runs, those that there are not, and further ones."""
    fine, name, response = np.isfinite(value) & (value > 0), called(line), line.fit.law.response
    notes: list[Note] = []
    if fine.any():
        inside = {key: item[fine] for key, item in line.others.items()}
        inside[line.column] = value[fine]
        notes += (*unit_mismatch(line.fit.domain, inside), *line.fit.extrapolation(inside))
    if not fine.all():
        at = int(np.flatnonzero(~fine)[0])
        grid = line.grid()
        along = line.some(slice(at, at + 1)).at(grid[:, None, None])[:, 0, 0]
        low, high = np.nanmin(along), np.nanmax(along)
        which = f"{response} = {level[at]:.4g}"
        if value.size > 1:
            which = f"{np.count_nonzero(~fine)} of {value.size} values, as {which}"
        answer = "inf" if np.isinf(value[at]) else "0"
        notes.append(
            Note.of(
                "level_not_reached",
                f"no {name} brings {line.fit.law.name!r} to {which}: it runs from {low:.4g} to "
                f"{high:.4g} along {name}. There the answer is {answer}",
                {"level": float(level[at]), "low": float(low), "high": float(high)},
            )
        )
    several = (found.changes[0] > 1) & fine
    if several.any():
        at = int(np.flatnonzero(several)[0])
        notes.append(
            Note.of(
                "several_roots",
                f"{line.fit.law.name!r} passes {response} = {level[at]:.4g} at "
                f"{found.changes[0, at]} values of {name}: the answer is the smallest at which it "
                f"comes to it as it does on the whole ({value[at]:.4g})",
                {"count": int(found.changes[0, at])},
            )
        )
    return notes


def _open_notes(drawn: np.ndarray, name: str) -> list[Note]:
    """A note where draws never reach a level."""
    share = float(np.mean(np.isinf(drawn), axis=0).max(initial=0.0))
    if not share:
        return []
    return [
        Note.of(
            "interval_open",
            f"in {rough_percent(share)} of the draws no {name} is enough: the upper end of an "
            "interval is inf where it leaves less than this above it (one of 95 % leaves 2.5 %)",
            {"share": share},
            severity="warning" if share > OPEN else "info",
        )
    ]
