"""What new runs are to make more certain, and its derivatives in the free parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.costs import Cost
from scalefit.allocation.optimum_functions import OptimumFunction, optimum_function
from scalefit.arguments import number, refused
from scalefit.design.prior_information import Information
from scalefit.design.sensitivities import prediction_slopes
from scalefit.errors import AllocationError, ArgumentError
from scalefit.notes import Note
from scalefit.reporting.numbers import shown
from scalefit.results.estimate import Draws

__all__ = ["TARGET", "Target", "target_of"]

TARGET = (
    "Pass a budget in FLOP for N* there, as target=1e24; a point for the loss there, as "
    "target={'N': 7e10, 'D': 1.4e12}; or another fit of the same runs, to tell the two laws apart"
)


class Target(NamedTuple):
    """Answers that new runs are to make more certain.

    Attributes:
        name: how reports call them.
        values: the fit's own answers, shape (answers,).
        logarithmic: whether their uncertainty is a factor.
        slopes: derivatives of the answers, or of their logarithms, in the free coordinates, shape
            (sets, answers, p); NaN for a set of parameters that has none.
        drawn: the answers under every draw, shape (draws, answers); none of a fit.
        points: columns of the points, or of the optimum.
        budget: compute of the optimum; NaN for points.
        notes: how far outside the runs they lie.
    """

    name: str
    values: np.ndarray
    logarithmic: bool
    slopes: np.ndarray
    drawn: np.ndarray
    points: Mapping[str, np.ndarray]
    budget: float
    notes: tuple[Note, ...]


def target_of(target: Any, known: Information, draws: Draws, cost: Cost | None) -> Target:
    """The answers that ``target`` of :func:`scalefit.next_runs` names.

    Args:
        target: a budget, an optimum as a function of the parameters, or points.
        known: what is known of the parameters.
        draws: of an ensemble; none of a fit.
        cost: what the budget is counted in.

    Raises:
        ArgumentError: it is none of these.
        AllocationError: there is no optimum at the budget.
    """
    if isinstance(target, OptimumFunction):
        return _optimum(target, known, draws)
    if isinstance(target, int | float | np.number) and not isinstance(target, bool):
        flops = number(target, "target", above=0, remedy=TARGET)
        if cost is None:
            raise ArgumentError(
                "target is a budget, and cost= a column of the candidates, in which no budget of "
                "another run is counted",
                argument="target",
                value=target,
                remedy="Say what it is counted in: "
                f"target=scalefit.allocation.optimum_function(fit, 'N', {flops:g})",
            )
        return _optimum(optimum_function(known.fit, "N", flops, cost=cost), known, draws)
    return _points(target, known, draws)


def _optimum(function: OptimumFunction, known: Information, draws: Draws) -> Target:
    names = known.fit.law.names
    if function.fit.law != known.fit.law:
        raise ArgumentError(
            f"target is an optimum of {function.fit.law.name!r}, and the fit is of "
            f"{known.fit.law.name!r}",
            argument="target",
            value=function,
            remedy=TARGET,
        )
    value = float(function(known.fit.params))
    logarithmic = function.logarithmic
    slopes = []
    for i in range(len(known.params[names[0]])):
        own = {name: float(known.params[name][i]) for name in names}
        slopes.append(_optimum_slope(function, own, known, logarithmic))
    drawn = np.empty((0, 1))
    if draws:
        drawn = np.asarray(function(dict(draws)), dtype=np.float64)[:, None]
    found = np.array(slopes)[:, None, :]
    if not np.isfinite(found).all(axis=(1, 2)).any():
        raise AllocationError(f"{function.__name__} has no derivatives in the parameters")
    at = {name: item[0] for name, item in function.at_fit.columns.items()}
    return Target(
        function.__name__,
        np.array([value]),
        logarithmic,
        found,
        drawn,
        {name: np.ravel(item) for name, item in {**dict(function.fixed), **at}.items()},
        function.flops,
        function.notes,
    )


def _optimum_slope(
    function: OptimumFunction, own: Mapping[str, float], known: Information, logarithmic: bool
) -> np.ndarray:
    """Derivatives of one optimum in the free coordinates; NaN where there is none."""
    free = len(known.coordinates.groups)
    if not np.isfinite(function(own)):
        return np.full(free, np.nan)
    value, slope, _ = function.differentiated(list(own.values()))
    named = dict(zip(own, slope / (value if logarithmic else 1.0), strict=True))
    return known.coordinates.gradient(named, {name: np.asarray(x) for name, x in own.items()})


def _points(target: Any, known: Information, draws: Draws) -> Target:
    fit = known.fit
    if isinstance(target, Mapping):
        used, _ = fit.columns_of(None, target)
    elif target is None or isinstance(target, str | bool):
        raise refused("target", target, "a budget, a point, or a fit", TARGET)
    else:
        try:
            used, _ = fit.columns_of(target, {})
        except ArgumentError as error:
            if error.argument != "runs":
                raise
            raise refused("target", target, "a budget, a point, or a fit", TARGET) from None
    columns = {
        name: np.atleast_1d(values).ravel()
        for name, values in zip(
            fit.law.columns,
            np.broadcast_arrays(*(used[name] for name in fit.law.columns)),
            strict=True,
        )
    }
    values = fit.value_of(columns, {})
    predicted, slopes = prediction_slopes(fit.law, known.coordinates, columns, known.params)
    # A loss relative to a unigram model is negative.
    logarithmic = bool((values > 0).all() and (predicted > 0).all())
    drawn = np.empty((0, len(values)))
    if draws:
        named = {name: draws[name][:, None] for name in fit.law.names}
        drawn = np.asarray(fit.law.evaluate(columns, named))
        logarithmic = logarithmic and bool((drawn > 0).all())
    first = ", ".join(f"{name} = {_number(name, item[0])}" for name, item in columns.items())
    several = f"{len(values)} points" if len(values) > 1 else first
    return Target(
        f"{fit.law.response} at {several}",
        values,
        logarithmic,
        slopes / predicted[..., None] if logarithmic else slopes,
        drawn,
        columns,
        float("nan"),
        fit.extrapolation(columns),
    )


def _number(name: str, value: float) -> str:
    return shown(value, "count").value if name in ("N", "D") else f"{value:.4g}"
