"""What is asked of a surface: which columns are free, which are held, and what limits them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scalefit.allocation.budget_line import BudgetLine, Measure, ProblemValues
from scalefit.allocation.column_functions import called, columns_of, tried
from scalefit.allocation.costs import FUNCTION, Cost, CostLike, find_cost
from scalefit.arguments import broadcast_shape, instance, mapping, number, numbers, shown
from scalefit.errors import AllocationError, ArgumentError
from scalefit.frozen import Frozen
from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet

__all__ = ["AllocationProblem", "Free", "Limits", "build_problem", "fixed_values"]

Free = Mapping[str, Sequence[Any] | None]
"""Free columns: a pair (lowest, highest), a list of choices, or None for any positive number."""

Limits = Mapping[Any, Any]
"""A column, a ratio as ``D/N``, or a function of columns; to its highest value or a pair."""

# Optima are looked for at tokens per parameter up to so many times outside those of the runs.
FAR_RATIO = 1e4

# Of the logarithm: as far beyond a model that exists.
BEYOND = 1.0

# A column that varies more than so many times is walked in its logarithm.
WIDE = 4.0

# Ends of the walked column, in its logarithm, where the caller gives none.
WALK = (0.0, math.log(1e30))

MOST_EXTRAS = 3
MOST_COMBINATIONS = 10_000

# What a cost k N D + m N is called with beside its columns: not in the program, so that one program
# serves every k and m.
SLOPE, INTERCEPT = "$k", "$m"

# Option of allocate for a level in each unit.
ASKED = Frozen({"FLOP": "flops", "USD": "usd", "loss": "loss"})

# What a column is held at in an example where the runs do not say.
TYPICAL = Frozen({"N": 1e9, "D": 2e10})

# What a level is called, with an example.
LEVEL = Frozen(
    {
        "FLOP": "Pass the budget in FLOP, as flops=1e24",
        "USD": "Pass the budget in dollars, as usd=1e6",
        "loss": "Pass the loss to be reached, as loss=2.0",
    }
)

# Stands for the walked column where the budget buys one column only.
NO_WALK = "$none"

FITTED = "Pass what scalefit.fit(runs) returned"
ENDS = "Pass the highest value, or a pair (lowest, highest) with None where there is none"
LIMITING = (
    "Write the columns out, in plain operators or jax.numpy and without if or float() on a column, "
    "and return a positive number, as limits={lambda N: 2.0 * N: 8e10}"
)


@dataclass(frozen=True)
class AllocationProblem:
    """A checked question.

    Attributes:
        fit: of one surface.
        cost: what is paid.
        line: the shape of the question.
        levels: budgets in the unit of the cost, or losses; shape S.
        fixed: columns that are held, each of shape S.
        choices: columns that take one of a list, with the list.
        low: of each limit; shape (limits,).
        high: of each limit; shape (limits,).
        box: ends of the walked column and the extras in the coordinate walked, shape
            (1 + extras, 2).
        edge: whether the ends of the walked column are the user's; shape (2,).
        around: ratios of the pivot to the walk that are looked at and beyond, whatever the runs
            were: those of models that exist; shape S, or None.
    """

    fit: Fit
    cost: Cost
    line: BudgetLine
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
            name for name in (self.line.size_column, self.line.token_column) if name != NO_WALK
        )

    @property
    def plain(self) -> bool:
        """Whether only N and D are free, nothing is limited and the cost is k N D + m N."""
        return self.cost.per_product is not None and not (
            self.line.extras or self.line.limits or self.choices or self.edge.any()
        )

    def setting(self) -> ProblemValues:
        """The numbers, one question for each combination and level: shape (K * S,)."""
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
            if name == self.line.size_column:
                box[:, 0] = np.log(chosen)[:, None]
                edge[:] = True
            else:
                fixed[name] = chosen
        every = np.ones((len(level), 1))
        reach = np.broadcast_to(self.reach, (count, *self.levels.shape, 2)).reshape(-1, 2)
        return ProblemValues(level, fixed, every * self.low, every * self.high, box, edge, reach)

    @property
    def reach(self) -> np.ndarray:
        """Logarithms of the tokens per parameter between which an optimum is looked for.

        Of shape (2,), or (S, 2) where models are looked around. Far outside its runs a law may do
        anything: Farseer's drifts turn at small models, and end below every sensible surface. Where
        the runs are not known the whole line is meant.
        """
        low, high = self.fit.domain.get("D/N", (math.nan, math.nan))
        if math.isnan(low) or {self.line.size_column, self.line.token_column} != {"N", "D"}:
            return np.array([-math.inf, math.inf])
        ends = np.log([low / FAR_RATIO, high * FAR_RATIO])
        if self.around is None:
            return ends
        ratio = np.log(self.around)
        beyond = np.minimum(ratio - BEYOND, ends[0]), np.maximum(ratio + BEYOND, ends[1])
        return np.stack(beyond, axis=-1)

    @property
    def limited(self) -> bool:
        """Whether the caller limits something."""
        return bool(self.line.limits or self.edge.any() or self.line.size_column in self.choices)

    def loosened(self) -> AllocationProblem:
        """The question without any limit, and with the whole range of sizes."""
        box = self.box.copy()
        box[0] = WALK
        everything = np.full(self.high.shape, math.inf)
        edge = np.zeros(2, dtype=bool)
        return replace(self, low=-everything, high=everything, box=box, edge=edge)

    def without(self, index: int) -> AllocationProblem:
        """The question with one limit left out."""
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
    holding: str = "fixed",
) -> AllocationProblem:
    """Check a question.

    Args:
        fit: of a law of the loss.
        levels: budgets, or losses.
        unit: ``FLOP`` or ``USD`` of the budgets, or ``loss``.
        cost: what is paid.
        free: free columns beside N and D, or their ranges.
        fixed: columns that are held.
        limits: what the answer must keep to.
        holding: what ``fixed`` is called where it was passed.

    Raises:
        ArgumentError: something passed is not what it has to be.
        DataError: coefficients of the fit differ by a column, or a column is held at, or free in,
            what the law does not describe.
        AllocationError: the question has no sense, with what is wrong and what would have one.
    """
    fit = instance(fit, "fit", Fit, wanted="a fit", remedy=FITTED).one_surface()
    levels = _levels(levels, unit)
    counted = find_cost(cost)
    law = fit.law
    if law.response != "loss":
        raise AllocationError(
            f"{law.name!r} predicts {law.response}, and the best split of a budget is the one of "
            "least loss. Fit a law of the loss"
        )
    reverse = unit == "loss"
    if not reverse and unit != counted.unit:
        raise AllocationError(
            f"cost {counted.name!r} is in {counted.unit} and the budget in {unit}. Give "
            f"{counted.unit.lower().replace('flop', 'flops')}=..., or a cost in {unit}"
        )
    fixed, free = fixed_values(fit, fixed, holding), _free(fit, free)
    size_column, token_column = _roles(
        fit, counted, free, fixed, f"{ASKED[unit]}={levels.flat[0]:g}"
    )
    needed = {*law.columns, *counted.columns}
    measures, low, high = _limits(limits, token_column, needed, {*free, *fixed})
    for measure in measures:
        needed |= set(measure.needs)
    free = {name: None for name in (size_column, token_column) if name != NO_WALK} | free
    _every_column_told(fit, counted, needed, free, fixed, holding)
    box, edge, extras, logs, choices, caps = _ranges(free, size_column, token_column)
    for i in reversed(range(len(measures))):
        # A limit on the walked column is an end of the walk.
        if measures[i].top == size_column and not measures[i].bottom:
            _narrow(box, edge, low.pop(i), high.pop(i))
            measures.pop(i)
    for measure, ends in caps:
        measures, low, high = [*measures, measure], [*low, ends[0]], [*high, ends[1]]
    given = {f"{holding}[{name!r}]": value for name, value in fixed.items()}
    shape = broadcast_shape(
        {ASKED[unit]: levels, **given}, remedy="Pass numbers, or arrays that broadcast"
    )
    values = {
        name: np.broadcast_to(value, shape) for name, value in fixed.items() if name in needed
    }
    law.check(values)
    for name, chosen in {**choices, **{name: free[name] for name in extras}}.items():
        law.check({name: chosen})
    places = _places(size_column, token_column, box, extras, logs, values, choices)
    for measure in measures:
        if measure.function is not None:
            _tried(measure.function, measure.needs, places, "limits", LIMITING)
    function, columns, affine = counted.function, counted.columns, True
    if counted.per_product is not None:
        function, columns = _by_model_and_token, ("N", "D", SLOPE, INTERCEPT)
        values[SLOPE] = np.full(shape, counted.per_product)
        values[INTERCEPT] = np.full(shape, counted.per_model)
    else:
        affine = _is_affine(_paid(counted, places, size_column, token_column), places[token_column])
    line = BudgetLine(
        law,
        function,
        columns,
        size_column,
        token_column,
        extras,
        logs,
        tuple(measures),
        reverse,
        affine,
    )
    return AllocationProblem(
        fit,
        counted,
        line,
        np.broadcast_to(levels, shape),
        values,
        choices,
        np.array(low, dtype=np.float64),
        np.array(high, dtype=np.float64),
        box,
        edge,
    )


def _by_model_and_token(N: Any, D: Any, k: Any, m: Any) -> Any:
    return k * N * D + m * N


def _levels(levels: Any, unit: str) -> np.ndarray:
    # Losses relative to a unigram model are negative.
    above = None if unit == "loss" else 0.0
    return numbers(levels, ASKED[unit], remedy=LEVEL[unit], above=above, empty=False)


def fixed_values(fit: Fit, fixed: Any, argument: str = "fixed") -> dict[str, np.ndarray]:
    """Columns that are held, by name.

    Raises:
        ArgumentError: they are no numbers by name.
    """
    named = mapping(
        {} if fixed is None else fixed,
        argument,
        remedy=f"Pass numbers by column, as {argument}={{'D': 2e10}}",
    )
    found = {}
    for name, value in named.items():
        remedy = f"Pass a number, or several, as {argument}={{{name!r}: {_example(fit, name):g}}}"
        found[name] = numbers(value, f"{argument}[{name!r}]", remedy=remedy, empty=False)
    return found


def _free(fit: Fit, free: Any) -> dict[str, Any]:
    """Columns that are free: with None, a pair of ends, or the choices."""
    named = mapping(
        {} if free is None else free,
        "free",
        remedy="Pass ranges by column, as free={'N': (1e9, 1e12)}",
    )
    found: dict[str, Any] = {}
    for name, values in named.items():
        argument, value = f"free[{name!r}]", _example(fit, name)
        low, high = fit.domain.get(name, (value, 16 * value))
        remedy = (
            f"Pass a pair (lowest, highest), as free={{{name!r}: ({low:g}, {high:g})}}, or a list "
            "of choices"
        )
        if values is None:
            found[name] = None
        elif isinstance(values, tuple) and len(values) == 2:
            found[name] = _ends(argument, values, remedy)
        else:
            chosen = numbers(values, argument, remedy=remedy, empty=False)
            if chosen.ndim != 1:
                raise ArgumentError(
                    f"{argument}={shown(values)} is neither a pair nor a list",
                    argument=argument,
                    value=values,
                    remedy=remedy,
                )
            found[name] = [float(item) for item in chosen]
    return found


def _roles(
    fit: Fit, cost: Cost, free: Mapping[str, Any], fixed: Mapping[str, Any], asked: str
) -> tuple[str, str]:
    """The columns that a budget is divided between: model size first, or what stands for it."""
    law = fit.law
    listed = {name for name, values in free.items() if isinstance(values, list)}
    shared = [
        name
        for name in law.columns
        if name in cost.columns and name not in fixed and (name in ("N", "D") or name in free)
    ]
    moving = [name for name in shared if name not in listed]
    if len(moving) == 1 and {*cost.columns} <= {*moving, *fixed, *free}:
        # Nothing to divide: what the budget buys of the one column is the answer.
        return NO_WALK, moving[0]
    if len(shared) < 2:
        between = " and ".join(name for name in cost.columns if name not in fixed) or "nothing"
        hint = f", with {', '.join(fixed)} fixed" if fixed else ""
        raise AllocationError(
            f"{law.name!r} is a law of {', '.join(law.columns)}; a budget is divided between "
            f"{between} under cost {cost.name!r}{hint}. {_other_question(fit, cost, fixed, asked)}"
        )
    token_column = "D" if "D" in shared else shared[-1]
    rest = [name for name in shared if name != token_column]
    return ("N" if "N" in rest else rest[0]), token_column


def _other_question(fit: Fit, cost: Cost, fixed: Mapping[str, Any], asked: str) -> str:
    """What can be asked of a law that a cost has less than two free columns of."""
    columns = fit.law.columns
    paid = [name for name in columns if name in cost.columns]
    if paid and all(name in fixed for name in paid):
        return f"Leave {paid[-1]} out of fixed: the budget decides it"
    if paid:
        bought = next(name for name in paid if name not in fixed)
        others = dict.fromkeys(name for name in (*cost.columns, *columns) if name != bought)
        known = {name: _example(fit, name) for name in others if name not in fixed}
        counted = "" if cost.name == "6ND" else ", cost=..."
        if not known:
            return (
                f"What the budget buys of {bought} alone is the answer: allocate(fit, "
                f"{asked}{counted}, free={{{bought!r}: None}})"
            )
        given = "".join(f", {name!r}: ..." for name in fixed)
        said = ", ".join(f"{name!r}: {value:g}" for name, value in known.items())
        return (
            f"Hold the others, and the budget buys {bought}: allocate(fit, {asked}{counted}, "
            f"fixed={{{said}{given}}}). Or give a cost of columns of the law, as a function of them"
        )
    if {"N", "D"} <= set(columns):
        usual = "in dollars" if asked.startswith("usd") else "as cost='6ND'"
        return f"Give a cost of columns of the law, {usual}"
    if "C" in columns or (len(columns) == 1 and _falls(fit)):
        main = "C" if "C" in columns else columns[0]
        ranges, rest = [f"{main!r}: None"], []
        for name in columns:
            low, high = fit.domain.get(name, (math.nan, math.nan))
            if name != main and low < high:
                ranges.append(f"{name!r}: ({low:g}, {high:g})")
            elif name != main:
                rest.append(f"{name!r}: {_example(fit, name):g}")
        more = f", fixed={{{', '.join(rest)}}}" if rest else ""
        counted = f"lambda {main}: {main}"
        if asked.startswith("usd"):
            counted = f"scalefit.allocation.cost(source='mine', unit='USD')({counted})"
        return (
            f"Count the budget in {main}: allocate(fit, {asked}, cost={counted}, "
            f"free={{{', '.join(ranges)}}}{more})"
        )
    values = ", ".join(f"{name}={_example(fit, name):g}" for name in columns)
    return f"It has a loss, and no budget: fit.predict({values})"


def _falls(fit: Fit) -> bool:
    """Whether the loss of a law of one column falls over the runs."""
    (name,) = fit.law.columns
    first, last = fit.law.evaluate({name: fit.domain.get(name, (1.0, 1e9))}, fit.params)
    return bool(last < first)


def _example(fit: Fit, name: str) -> float:
    """A value of a column to show in an example: one that the runs have, where they say."""
    low, _ = fit.domain.get(name, (math.nan, math.nan))
    return low if low == low else TYPICAL.get(name, 1.0)


def _limits(
    limits: Any, token_column: str, known: set[str], given: set[str]
) -> tuple[list[Measure], list[float], list[float]]:
    measures, low, high = [], [], []
    for what, ends in _limiting(limits).items():
        measure = _measure(what)
        least, most = _ends(f"limits[{measure.name!r}]", ends, ENDS)
        # A ratio to the pivot is told the other way up: tokens bound it from above, then.
        if measure.bottom == token_column:
            least, most = (
                (1 / most if most < math.inf else -math.inf),
                (1 / least if least > 0 else math.inf),
            )
            measure = measure._replace(top=token_column, bottom=measure.top)
        strange = set(measure.needs) - known - given
        if strange:
            raise ArgumentError(
                f"limits has {measure.name!r}, which reads {', '.join(sorted(strange))}, no column "
                f"of the law or the cost ({', '.join(sorted(known))})",
                argument="limits",
                value=limits,
                remedy=f"Fix it, as fixed={{'{min(strange)}': 1e9}}, or limit another",
            )
        measures.append(measure)
        low.append(least)
        high.append(most)
    return measures, low, high


def _limiting(limits: Any) -> Mapping[Any, Any]:
    return instance(
        {} if limits is None else limits,
        "limits",
        Mapping,
        wanted="a mapping from columns, ratios or functions",
        remedy="Pass the highest value of each, as limits={'N': 70e9}",
    )


def _measure(what: Any) -> Measure:
    if callable(what):
        needs = columns_of(what, "limits", remedy=LIMITING)
        return Measure(called(what), "", "", what, needs)
    parts = [part.strip() for part in what.split("/")] if isinstance(what, str) else []
    if not (parts and all(parts)) or len({*parts}) < len(parts) or len(parts) > 2:
        raise ArgumentError(
            f"limits has {shown(what)}, which is neither a column, nor a ratio of two, nor a "
            "function of columns",
            argument="limits",
            value=what,
            remedy="Name what is limited, as limits={'N': 70e9, 'D/N': (20, None)}",
        )
    top, bottom = (*parts, "")[:2]
    return Measure(what, top, bottom, None, tuple(parts))


def _ends(argument: str, ends: Any, remedy: str) -> tuple[float, float]:
    """The lowest and the highest value; infinite where there is none."""
    pair = ends if isinstance(ends, (tuple, list, np.ndarray)) and np.shape(ends) else (None, ends)
    if ends is None or len(pair) != 2 or all(end is None for end in pair):
        raise ArgumentError(
            f"{argument}={shown(ends)} limits nothing", argument=argument, value=ends, remedy=remedy
        )
    low, high = (
        fallback if end is None else number(end, argument, infinite=True, remedy=remedy)
        for end, fallback in zip(pair, (-math.inf, math.inf), strict=True)
    )
    if not (low <= high and high > 0 and low < math.inf):
        fault = (
            "has its lowest value above its highest" if low > high else "leaves nothing positive"
        )
        raise ArgumentError(
            f"{argument}={shown(ends)} {fault}",
            argument=argument,
            value=ends,
            remedy=remedy,
        )
    return low, high


def _every_column_told(
    fit: Fit,
    cost: Cost,
    needed: set[str],
    free: Mapping[str, Any],
    fixed: Mapping[str, Any],
    holding: str,
) -> None:
    both = set(free) & set(fixed)
    if both:
        raise ArgumentError(
            f"{holding} has {', '.join(sorted(both))}, which free has too",
            argument=holding,
            value=fixed,
            remedy="Leave it out of one of both",
        )
    for argument, named in (("free", free), (holding, fixed)):
        unknown = set(named) - needed
        if unknown:
            raise ArgumentError(
                f"{argument} has {', '.join(sorted(unknown))}, no column of {fit.law.name!r}, of "
                f"cost {cost.name!r} or of a limit",
                argument=argument,
                value=named,
                remedy=f"They have {', '.join(sorted(needed))}",
            )
    for name in (*fit.law.columns, *cost.columns, *sorted(needed)):
        if name in free or name in fixed:
            continue
        low, high = fit.domain.get(name, (math.nan, math.nan))
        seen = f" (the runs have {low:g} to {high:g})" if low == low else ""
        value, top = (low, high) if low == low else (8.0, 16.0)
        raise AllocationError(
            f"{name!r} is neither free nor fixed{seen}. Fix it, as {holding}={{'{name}': "
            f"{value:g}}}, or free it in a range or a list, as free={{'{name}': ({value:g}, "
            f"{top:g})}}"
        )


def _ranges(free: Free, size_column: str, token_column: str) -> Any:
    """Boxes, extras, choices, and ranges of the pivot as limits on it."""
    box, edge = [[*WALK]], np.zeros(2, dtype=bool)
    if size_column == NO_WALK:
        box, edge = [[0.0, 0.0]], np.ones(2, dtype=bool)
    extras: list[str] = []
    logs: list[bool] = []
    choices: dict[str, tuple[float, ...]] = {}
    caps: list[tuple[Measure, tuple[float, float]]] = []
    for name, values in free.items():
        if values is None:
            if name not in (size_column, token_column):
                raise AllocationError(
                    f"{name!r} is free without a range. Give one, as free={{'{name}': (1, 16)}}, "
                    "or a list of choices"
                )
        elif isinstance(values, tuple):
            low, high = values
            if name == token_column:
                caps.append((_measure(token_column), (low, high)))
            elif name == size_column:
                _narrow(box, edge, low, high)
            else:
                if not math.isfinite(high - low):
                    raise ArgumentError(
                        f"free[{name!r}]={shown(values)} has no end",
                        argument=f"free[{name!r}]",
                        value=values,
                        remedy=f"Give both ends, as free={{{name!r}: (1, 16)}}",
                    )
                logarithmic = low > 0 and high > WIDE * low
                extras.append(name)
                logs.append(logarithmic)
                box.append([math.log(low), math.log(high)] if logarithmic else [low, high])
        elif name == token_column:
            raise AllocationError(
                f"{token_column!r} follows from the budget and cannot be one of a list. Limit it, "
                f"as limits={{'{token_column}': ...}}, or hold it"
            )
        else:
            choices[name] = tuple(values)
    if len(extras) > MOST_EXTRAS:
        raise AllocationError(
            f"{len(extras)} further columns are free in a range ({', '.join(extras)}), more than "
            f"{MOST_EXTRAS}. Hold some, or give lists of choices"
        )
    count = math.prod(len(values) for values in choices.values())
    if count > MOST_COMBINATIONS:
        raise AllocationError(
            f"the choices of {', '.join(choices)} have {count} combinations, more than "
            f"{MOST_COMBINATIONS}. Give fewer, or ranges"
        )
    return np.array(box), edge, tuple(extras), tuple(logs), choices, caps


def _narrow(box: Any, edge: np.ndarray, low: float, high: float) -> None:
    """Move the ends of the walk to where a range of the user's has them."""
    if low > 1.0 and math.log(low) > box[0][0]:
        box[0][0], edge[0] = math.log(low), True
    if high < 1e30 and math.log(max(high, 1.0)) < box[0][1]:
        box[0][1], edge[1] = math.log(max(high, 1.0)), True


def _places(
    size_column: str,
    token_column: str,
    box: np.ndarray,
    extras: tuple[str, ...],
    logs: tuple[bool, ...],
    fixed: Mapping[str, np.ndarray],
    choices: Mapping[str, tuple[float, ...]],
) -> dict[str, np.ndarray]:
    """Columns at which the caller's functions are tried: sizes down, pivots across."""
    columns = {name: values.flat[0] for name, values in fixed.items()}
    columns |= {name: values[0] for name, values in choices.items()}
    for i, name in enumerate(extras, 1):
        middle = box[i].mean()
        columns[name] = math.exp(middle) if logs[i - 1] else middle
    columns |= {
        size_column: np.array([[1e6], [1e9], [1e12]]),
        token_column: np.geomspace(1e3, 1e15, 7),
    }
    return {name: np.asarray(value, dtype=np.float64) for name, value in columns.items()}


def _tried(
    function: Any,
    needs: Sequence[str],
    places: Mapping[str, np.ndarray],
    argument: str,
    remedy: str,
) -> np.ndarray:
    """The values of a function at some places, shape (sizes, pivots)."""
    columns = {name: places[name] for name in needs}
    value = tried(function, columns, argument, remedy=remedy)
    return np.broadcast_to(value, np.broadcast_shapes(*(item.shape for item in places.values())))


def _paid(
    cost: Cost, places: Mapping[str, np.ndarray], size_column: str, token_column: str
) -> np.ndarray:
    """What a function costs at some places, shape (sizes, pivots).

    Raises:
        ArgumentError: it cannot be called, returns no numbers, or does not rise.
    """
    remedy = FUNCTION.format("cost")
    value = _tried(cost.function, cost.columns, places, "cost", remedy)
    known = value[np.isfinite(value)]
    constant = bool((known == known[0]).all())
    if constant or not (value[:, 1:] > value[:, :-1]).any():
        spent = " and ".join(name for name in (size_column, token_column) if name in cost.columns)
        said = (
            f"{known[0]:g} whatever {spent} are"
            if constant
            else f"no higher with more {token_column}"
        )
        raise ArgumentError(
            f"cost={shown(cost.function)} is {said}, and more has to cost more",
            argument="cost",
            value=cost,
            remedy=f"Hold {token_column}, or give it a price. {remedy}",
        )
    return value


def _is_affine(value: np.ndarray, token_column: np.ndarray) -> bool:
    """Whether the cost is a straight line in the pivot, as where tokens are paid one by one.

    Judged at several sizes: a wrong yes would be seen in the budgets that come out.
    """
    share = (token_column - token_column[0]) / (token_column[-1] - token_column[0])
    with quiet():
        ends = value[:, :1] + (value[:, -1:] - value[:, :1]) * share
    return bool(np.allclose(value, ends, rtol=1e-9, atol=0.0))
