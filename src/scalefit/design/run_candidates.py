"""Runs that could be made next: a grid around those there are, or rows that are given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.costs import Cost, CostLike, find_cost, price
from scalefit.allocation.problem_form import LimitedQuantity
from scalefit.allocation.problem_options import Limits, fixed_values, limits_of
from scalefit.arguments import number, refused
from scalefit.data.table import LossTable, as_table
from scalefit.errors import ArgumentError, DataError
from scalefit.results.fit import Fit

__all__ = ["RunCandidates", "given_candidates", "grid_candidates"]

# Points of the grid before those that cost too much are left out, and the fewest along a column.
POINTS, FEWEST = 4000, 12
# Points along the only column of a grid.
ALONG = 200
# Significant digits of the values of the grid: sizes that can be said.
DIGITS = 3

# Factor by which D/N may leave its range among the runs: half a decade. Runs of one ratio alone
# would have no candidate that adds anything; and of a sweep a wider range gains little, 2 % of the
# standard error of N* for another half.
WIDENED = 10**0.5

# Halvings of an interval of logarithms: 2^-60 of it is rounding.
HALVINGS = 60
# Decades above a budget in which the cheapest run is looked for.
DECADES = 16
# Largest value of a column that a budget is tried on.
LARGEST = 1e30


class RunCandidates(NamedTuple):
    """Runs that could be made.

    Attributes:
        columns: every column of the law, and those the cost reads, each of shape (candidates,).
        costs: of each, shape (candidates,).
        labels: of each.
        cost: what is paid; None where a column of the candidates says it.
        given: whether the caller named them.
    """

    columns: Mapping[str, np.ndarray]
    costs: np.ndarray
    labels: tuple[Any, ...]
    cost: Cost | None
    given: bool

    @property
    def unit(self) -> str:
        """Unit of the costs."""
        return self.cost.unit if self.cost else ""


def given_candidates(fit: Fit, candidates: Any, cost: CostLike) -> RunCandidates:
    """The rows of a table, with the cost of each.

    Args:
        fit: of one surface.
        candidates: a table with the law's columns; losses, if any, are not looked at.
        cost: a cost, or the name of a column of the table.

    Raises:
        ArgumentError: a cost is no positive number.
        DataError: a column is missing.
    """
    try:
        table = as_table(candidates)
    except ArgumentError as error:
        if error.argument != "runs":
            raise
        remedy = "Pass a row for each run, as candidates={'N': [1e8, 1e9], 'D': [1e10, 1e10]}"
        raise refused("candidates", candidates, "a table", remedy) from None
    columns = dict(table.columns_of(fit.law))
    if isinstance(cost, str) and cost in table:
        spent = _positive(table, cost)
        return RunCandidates(columns, spent, table.rows, None, True)
    paid = find_cost(cost)
    columns |= {name: table.column(name) for name in paid.columns if name not in columns}
    return RunCandidates(columns, price(paid, columns), table.rows, paid, True)


def _positive(table: LossTable, name: str) -> np.ndarray:
    """A column of costs.

    Raises:
        DataError: one is no positive number.
    """
    spent = table.column(name)
    wrong = np.flatnonzero(~(spent > 0))
    if len(wrong):
        raise DataError(
            f"{name!r} is {spent[wrong[0]]:g} in row {table.rows[wrong[0]]!r}, and a run costs a "
            "positive number",
            column=name,
            rows=[table.rows[i] for i in wrong],
            remedy="Leave the run out of the candidates, or correct its cost",
        )
    return spent


def grid_candidates(
    fit: Fit,
    cost: CostLike,
    budget: float,
    limits: Limits | None,
    fixed: Mapping[str, Any] | None,
) -> RunCandidates:
    """A grid of the columns of the law and the cost.

    A column that the cost reads goes from its smallest value among the runs of the fit to what the
    budget pays for with the others at their smallest; another one over its range among the runs.
    D/N keeps to its range among the runs, half a decade wider, and 6ND is no less than theirs.
    Limits replace these ranges.

    Args:
        fit: of one surface.
        cost: a cost.
        budget: most that a run may cost.
        limits: ranges of columns, ratios and functions, as for :func:`scalefit.allocate`.
        fixed: columns with a given value, one number each.

    Raises:
        ArgumentError: an option makes no sense, or the budget pays for no run.
    """
    paid = find_cost(cost)
    held = _single(fit, fixed)
    limited = limits_of(limits, "D", {*fit.law.columns, *paid.columns})
    columns, spent = _grid(fit, paid, held, limited, budget)
    if not len(spent):
        raise _nothing(fit, paid, held, limited, budget)
    return RunCandidates(columns, spent, tuple(range(len(spent))), paid, False)


def _grid(
    fit: Fit,
    paid: Cost,
    held: Mapping[str, float],
    limited: Sequence[tuple[LimitedQuantity, float, float]],
    budget: float,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns and costs of the grid; of no rows where the budget pays for none."""
    known = sorted({*fit.law.columns, *paid.columns})
    ends = {quantity.name: (low, high) for quantity, low, high in limited}
    lowest = {
        name: held[name] if name in held else _lowest(fit, name, ends, paid) for name in known
    }
    free = {}
    for name in known:
        if name not in held:
            high = _highest(fit, name, lowest, paid, budget)
            high = min(high, ends.get(name, (0.0, math.inf))[1])
            if high > lowest[name] * (1 + 1e-9):
                free[name] = high
    count = ALONG if len(free) == 1 else max(FEWEST, int(POINTS ** (1 / max(len(free), 1))))
    axes = [
        _rounded(np.geomspace(lowest[name], free[name], count))
        if name in free
        else np.array([lowest[name]])
        for name in known
    ]
    mesh = np.meshgrid(*axes, indexing="ij")
    columns = {name: values.ravel() for name, values in zip(known, mesh, strict=True)}
    spent = price(paid, columns)
    kept = spent <= budget
    if {"N", "D"} <= set(known):
        kept &= _like_the_runs(fit, columns, ends)
    for quantity, low, high in limited:
        kept &= _between(np.asarray(quantity.value(columns), dtype=np.float64), low, high)
    return {name: values[kept] for name, values in columns.items()}, spent[kept]


def _nothing(
    fit: Fit,
    paid: Cost,
    held: Mapping[str, float],
    limited: Sequence[tuple[LimitedQuantity, float, float]],
    budget: float,
) -> ArgumentError:
    """The error of a grid without any run that can be paid."""
    for decade in range(1, DECADES):
        columns, spent = _grid(fit, paid, held, limited, budget * 10.0**decade)
        if len(spent):
            least = int(np.argmin(spent))
            where = ", ".join(f"{name} = {values[least]:.3g}" for name, values in columns.items())
            return ArgumentError(
                f"budget={budget:.4g} pays for no run: the smallest one ({where}) costs "
                f"{spent[least]:.4g} {paid.unit}",
                argument="budget",
                value=budget,
                remedy=f"Pass more, as budget={1.5 * spent[least]:.3g}, or smaller runs, as "
                "limits={'N': (1e6, None)}",
            )
    return ArgumentError(
        "no run of the grid keeps to the limits, whatever it costs",
        argument="limits",
        value=[quantity.name for quantity, _, _ in limited],
        remedy="Pass wider ones: D/N keeps to the runs' range too, unless limits= has it, as "
        "limits={'D/N': (1, 1000)}",
    )


def _like_the_runs(
    fit: Fit, columns: Mapping[str, np.ndarray], ends: Mapping[str, tuple[float, float]]
) -> np.ndarray:
    """Which points of the grid have a D/N near those of the runs, and no less compute than all.

    Small N and small D are each among the runs, and together smaller than any of them. What limits
    say goes before.
    """
    kept = np.ones(len(columns["N"]), dtype=bool)
    ratios, flops = (fit.domain.get(name, (math.nan, math.nan)) for name in ("D/N", "6ND"))
    if "D/N" not in ends and not math.isnan(ratios[0]):
        low, high = ratios
        kept &= _between(columns["D"] / columns["N"], low / WIDENED, high * WIDENED)
    if not {"N", "D"} & set(ends) and not math.isnan(flops[0]):
        kept &= _between(6 * columns["N"] * columns["D"], flops[0], math.inf)
    return kept


def _single(fit: Fit, fixed: Mapping[str, Any] | None) -> dict[str, float]:
    """Columns that are held at one value each."""
    found = {}
    for name, values in fixed_values(fit, fixed).items():
        remedy = f"Pass one value for each column, as fixed={{{name!r}: 1e9}}"
        found[name] = number(values, f"fixed[{name!r}]", above=0, remedy=remedy)
    return found


def _lowest(fit: Fit, name: str, ends: Mapping[str, tuple[float, float]], paid: Cost) -> float:
    """Where the grid begins in a column."""
    low = max(ends.get(name, (0.0, math.inf))[0], 0.0)
    if low > 0:
        return low
    found = fit.domain.get(name, (math.nan, math.nan))[0]
    if found > 0:
        return float(found)
    where = "among the runs of the fit"
    said = f"the cost {paid.name!r} reads {name}, which is no column of {fit.law.name!r}"
    if name in fit.law.columns:
        said = f"no positive smallest value of {name} is known {where}"
    raise ArgumentError(
        f"{said}, so that there is no grid of candidates",
        argument="candidates",
        value=None,
        remedy=f"Hold it, as fixed={{{name!r}: 1e9}}, or pass candidates=, a table of runs that "
        "could be made",
    )


def _highest(fit: Fit, name: str, lowest: Mapping[str, float], paid: Cost, budget: float) -> float:
    """Where the grid ends in a column: what the budget pays for, or the largest of the runs."""
    if name not in paid.columns:
        return float(fit.domain[name][1])
    low, high = math.log(lowest[name]), math.log(LARGEST)
    at = {key: np.array([value]) for key, value in lowest.items()}
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        spent = float(price(paid, {**at, name: np.array([math.exp(middle)])})[0])
        low, high = (middle, high) if spent <= budget else (low, middle)
    return math.exp(low)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Few significant digits, but the ends, which are those of the runs."""
    found = np.array([float(f"{value:.{DIGITS}g}") for value in values])
    found[0], found[-1] = values[0], values[-1]
    return found


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))
