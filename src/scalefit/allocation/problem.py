"""An allocation problem: which columns are free, which are fixed, and what limits them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.function_checks import check_cost, check_limit, is_affine, trial_points
from scalefit.allocation.missing_columns import neither_free_nor_fixed
from scalefit.allocation.problem_form import LimitedQuantity, ProblemForm, ProblemValues
from scalefit.allocation.problem_options import (
    OPTION,
    Free,
    Limits,
    fixed_values,
    free_ranges,
    levels_of,
    limits_of,
)
from scalefit.allocation.search_ranges import (
    NO_SIZE,
    WHOLE_RANGE,
    SearchRanges,
    divided_columns,
    limits_of_law,
    search_ranges,
)
from scalefit.arguments import broadcast_shape, instance
from scalefit.errors import AllocationError, ArgumentError
from scalefit.results.fit import Fit

__all__ = ["FAR_RATIO", "AllocationProblem", "build_problem"]

# Optima are searched at tokens per parameter up to this factor outside those of the runs.
FAR_RATIO = 1e4

# Of the logarithm: as far beyond a given model.
BEYOND = 1.0

# What a cost k N D + m N is called with beside its columns. They are numbers of the problem, so
# that one traced function serves every k and m.
SLOPE, INTERCEPT = "$k", "$m"

FITTED = "Pass what scalefit.fit(runs) returned"


@dataclass(frozen=True)
class AllocationProblem:
    """A checked problem.

    Attributes:
        fit: of one surface.
        cost: what is paid.
        form: what its traced functions depend on.
        levels: budgets in the unit of the cost, or losses; shape S.
        fixed: columns with a given value, each of shape S.
        choices: columns that take one of a list, with the list.
        low: of each limit; shape (limits,).
        high: of each limit; shape (limits,).
        box: ends of ln size and of the extras in the searched coordinate, shape (1 + extras, 2).
        edge: whether the ends of the size are the user's; shape (2,).
        around: tokens per size of models that exist, around which optima are searched too; shape S,
            or None.
    """

    fit: Fit
    cost: Cost
    form: ProblemForm
    levels: np.ndarray
    fixed: Mapping[str, np.ndarray]
    choices: Mapping[str, tuple[float, ...]]
    low: np.ndarray
    high: np.ndarray
    box: np.ndarray
    edge: np.ndarray
    around: np.ndarray | None = None

    @cached_property
    def combinations(self) -> np.ndarray:
        """Every combination of the choices, shape (combinations, columns)."""
        return np.array(list(itertools.product(*self.choices.values())), dtype=np.float64)

    @property
    def divided(self) -> tuple[str, ...]:
        """The columns that a budget is divided between, or the one that it buys."""
        return tuple(
            name for name in (self.form.size_column, self.form.token_column) if name != NO_SIZE
        )

    @property
    def plain(self) -> bool:
        """Whether only N and D are free, nothing is limited and the cost is k N D + m N."""
        return self.cost.per_product is not None and not (
            self.form.extras or self.form.limits or self.choices or self.edge.any()
        )

    @property
    def limited(self) -> bool:
        """Whether the user limits something."""
        mine = any(not limit.own for limit in self.form.limits)
        return bool(mine or self.edge.any() or self.form.size_column in self.choices)

    def values(self) -> ProblemValues:
        """The numbers, one problem for each combination and level: shape (K * S,)."""
        count = len(self.combinations)
        level = np.broadcast_to(self.levels, (count, *self.levels.shape)).reshape(-1)
        fixed = {
            name: np.broadcast_to(values, (count, *self.levels.shape)).reshape(-1)
            for name, values in self.fixed.items()
        }
        box = np.broadcast_to(self.box, (len(level), *self.box.shape)).copy()
        edge = np.broadcast_to(self.edge, (len(level), 2)).copy()
        for i, name in enumerate(self.choices):
            chosen = np.repeat(self.combinations[:, i], self.levels.size)
            if name == self.form.size_column:
                box[:, 0] = np.log(chosen)[:, None]
                edge[:] = True
            else:
                fixed[name] = chosen
        every = np.ones((len(level), 1))
        reach = np.broadcast_to(self.reach, (count, *self.levels.shape, 2)).reshape(-1, 2)
        return ProblemValues(level, fixed, every * self.low, every * self.high, box, edge, reach)

    @property
    def reach(self) -> np.ndarray:
        """Logarithms of the tokens per parameter between which an optimum is searched.

        Of shape (2,), or (S, 2) around given models. Far outside its runs a law is not to be
        trusted: Farseer's turns at small models, and ends below every sensible surface. Where the
        runs are not known there are no ends.
        """
        low, high = self.fit.domain.get("D/N", (math.nan, math.nan))
        if math.isnan(low) or {self.form.size_column, self.form.token_column} != {"N", "D"}:
            return np.array([-math.inf, math.inf])
        ends = np.log([low / FAR_RATIO, high * FAR_RATIO])
        if self.around is None:
            return ends
        ratio = np.log(self.around)
        beyond = np.minimum(ratio - BEYOND, ends[0]), np.maximum(ratio + BEYOND, ends[1])
        return np.stack(beyond, axis=-1)

    def without_limits(self) -> AllocationProblem:
        """The problem without any limit of the caller's, and with the whole range of sizes."""
        box = self.box.copy()
        box[0] = WHOLE_RANGE
        own = np.array([limit.own for limit in self.form.limits], dtype=bool)
        low, high = np.where(own, self.low, -math.inf), np.where(own, self.high, math.inf)
        edge = np.zeros(2, dtype=bool)
        return replace(self, low=low, high=high, box=box, edge=edge)

    def without_limit(self, index: int) -> AllocationProblem:
        """The problem with one limit left out."""
        low, high = self.low.copy(), self.high.copy()
        low[index], high[index] = -math.inf, math.inf
        return replace(self, low=low, high=high)


def build_problem(
    fit: Fit,
    levels: Any,
    unit: str,
    *,
    cost: CostLike,
    free: Free | None = None,
    fixed: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    option: str = "fixed",
) -> AllocationProblem:
    """Check the options of an allocation.

    Args:
        fit: of a law of the loss.
        levels: budgets, or losses.
        unit: ``FLOP`` or ``USD`` of the budgets, or ``loss``.
        cost: what is paid.
        free: free columns beside N and D, or their ranges.
        fixed: columns with a given value.
        limits: what the solution must keep to.
        option: what ``fixed`` is called where it was passed.

    Raises:
        ArgumentError: something passed is not what it has to be.
        DataError: coefficients of the fit differ by a column, or a column is fixed at, or free in,
            values that the law does not describe.
        AllocationError: the law and the cost have no such problem.
    """
    fit = instance(fit, "fit", Fit, wanted="a fit", remedy=FITTED).one_surface()
    levels, counted = levels_of(levels, unit), find_cost(cost)
    _check_units(fit, counted, unit)
    law = fit.law
    given, free = fixed_values(fit, fixed, option), free_ranges(fit, free)
    size_column, token_column = divided_columns(
        fit, counted, free, given, f"{OPTION[unit]}={levels.flat[0]:g}"
    )
    needed = {*law.columns, *counted.columns}
    limited = limits_of(limits, token_column, needed | {*free, *given})
    needed |= {name for quantity, *_ in limited for name in quantity.needs}
    free = {name: None for name in (size_column, token_column) if name != NO_SIZE} | free
    _check_columns(fit, counted, needed, free, given, option)
    limited += limits_of_law(law, size_column, token_column, free)
    ranges = search_ranges(free, limited, size_column, token_column)
    shaped = {f"{option}[{name!r}]": value for name, value in given.items()}
    shape = broadcast_shape(
        {OPTION[unit]: levels, **shaped}, remedy="Pass numbers, or arrays that broadcast"
    )
    values = {
        name: np.broadcast_to(value, shape) for name, value in given.items() if name in needed
    }
    law.check(values)
    for name, chosen in {**ranges.choices, **{name: free[name] for name in ranges.extras}}.items():
        law.check({name: chosen})
    form = _form(fit, counted, ranges, values, (size_column, token_column), unit == "loss")
    if counted.per_product is not None:
        values[SLOPE] = np.full(shape, counted.per_product)
        values[INTERCEPT] = np.full(shape, counted.per_model)
    low, high = (
        np.array([limit[end] for limit in ranges.limits], dtype=np.float64) for end in (1, 2)
    )
    return AllocationProblem(
        fit,
        counted,
        form,
        np.broadcast_to(levels, shape),
        values,
        ranges.choices,
        low,
        high,
        ranges.box,
        ranges.edge,
    )


def _form(
    fit: Fit,
    cost: Cost,
    ranges: SearchRanges,
    fixed: Mapping[str, np.ndarray],
    divided: tuple[str, str],
    minimises_cost: bool,
) -> ProblemForm:
    """The form, after trying the user's functions."""
    ends = {
        name: (low, high, logarithmic)
        for name, (low, high), logarithmic in zip(
            ranges.extras, ranges.box[1:], ranges.logarithmic, strict=True
        )
    }
    points = trial_points(*divided, ends, fixed, ranges.choices)
    quantities: list[LimitedQuantity] = [quantity for quantity, *_ in ranges.limits]
    for quantity in quantities:
        if quantity.function is not None and not quantity.own:
            check_limit(quantity.function, quantity.needs, points)
    function, columns, affine = cost.function, cost.columns, True
    if cost.per_product is not None:
        function, columns = _by_size_and_tokens, ("N", "D", SLOPE, INTERCEPT)
    else:
        affine = is_affine(check_cost(cost, points, *divided), points[divided[1]])
    return ProblemForm(
        fit.law,
        function,
        columns,
        *divided,
        ranges.extras,
        ranges.logarithmic,
        tuple(quantities),
        minimises_cost,
        affine,
    )


def _by_size_and_tokens(N: Any, D: Any, k: Any, m: Any) -> Any:
    return k * N * D + m * N


def _check_units(fit: Fit, cost: Cost, unit: str) -> None:
    if fit.law.response != "loss":
        raise AllocationError(
            f"{fit.law.name!r} predicts {fit.law.response}, and the best split of a budget is the "
            "one of least loss. Fit a law of the loss"
        )
    if unit not in ("loss", cost.unit):
        raise AllocationError(
            f"cost {cost.name!r} is in {cost.unit} and the budget in {unit}. Give "
            f"{OPTION[cost.unit]}=..., or a cost in {unit}"
        )


def _check_columns(
    fit: Fit,
    cost: Cost,
    needed: set[str],
    free: Mapping[str, Any],
    fixed: Mapping[str, Any],
    option: str,
) -> None:
    """Raise unless every column is either free or fixed, and no other one is."""
    both = set(free) & set(fixed)
    if both:
        raise ArgumentError(
            f"{option} has {', '.join(sorted(both))}, which free has too",
            argument=option,
            value=fixed,
            remedy="Leave it out of one of both",
        )
    for argument, named in (("free", free), (option, fixed)):
        unknown = set(named) - needed
        if unknown:
            raise ArgumentError(
                f"{argument} has {', '.join(sorted(unknown))}, no column of {fit.law.name!r}, of "
                f"cost {cost.name!r} or of a limit",
                argument=argument,
                value=named,
                remedy=f"They have {', '.join(sorted(needed))}",
            )
    missing = [
        name
        for name in dict.fromkeys((*fit.law.columns, *cost.columns, *sorted(needed)))
        if name not in free and name not in fixed
    ]
    if missing:
        raise AllocationError(neither_free_nor_fixed(fit, missing, option))
