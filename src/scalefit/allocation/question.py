"""What is asked of a surface: which columns are free, which are held, and what limits them."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.line import Line, Measure, Setting
from scalefit.errors import AllocationError
from scalefit.result import Fit

__all__ = ["Free", "Limits", "Question", "ask"]

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

MOST_EXTRAS = 3
MOST_COMBINATIONS = 10_000

# What a cost k N D + m N is called with beside its columns: not in the program, so that one program
# serves every k and m.
SLOPE, INTERCEPT = "$k", "$m"

# Option of allocate for a level in each unit.
ASKED = MappingProxyType({"FLOP": "flops", "USD": "usd", "loss": "loss"})

# What a column is held at in an example where the runs do not say.
TYPICAL = MappingProxyType({"N": 1e9, "D": 2e10})

# Stands for the walked column where the budget buys one column only.
NO_WALK = "$none"


@dataclass(frozen=True)
class Question:
    """A checked question.

    Attributes:
        fit: of one surface.
        cost: what is paid.
        line: the shape of the question.
        levels: budgets in the unit of the cost, or losses; shape S.
        held: columns that are held, each of shape S.
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
    line: Line
    levels: np.ndarray
    held: Mapping[str, np.ndarray]
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
    def plain(self) -> bool:
        """Whether only N and D are free, nothing is limited and the cost is k N D + m N."""
        return self.cost.per_product is not None and not (
            self.line.extras or self.line.limits or self.choices or self.edge.any()
        )

    def setting(self) -> Setting:
        """The numbers, one question for each combination and level: shape (K * S,)."""
        count = len(self.combinations)
        level = np.broadcast_to(self.levels, (count, *self.levels.shape)).reshape(-1)
        held = {
            name: np.broadcast_to(values, (count, *self.levels.shape)).reshape(-1)
            for name, values in self.held.items()
        }
        box = np.broadcast_to(self.box, (len(level), *self.box.shape)).copy()
        edge = np.broadcast_to(self.edge, (len(level), 2)).copy()
        for i, name in enumerate(self.choices):
            chosen = np.repeat(self.combinations[:, i], self.levels.size)
            if name == self.line.walk:
                box[:, 0] = np.log(chosen)[:, None]
                edge[:] = True
            else:
                held[name] = chosen
        every = np.ones((len(level), 1))
        reach = np.broadcast_to(self.reach, (count, *self.levels.shape, 2)).reshape(-1, 2)
        return Setting(level, held, every * self.low, every * self.high, box, edge, reach)

    @property
    def reach(self) -> np.ndarray:
        """Logarithms of the tokens per parameter between which an optimum is looked for.

        Of shape (2,), or (S, 2) where models are looked around. Far outside its runs a law may do
        anything: Farseer's drifts turn at small models, and end below every sensible surface. Where
        the runs are not known the whole line is meant.
        """
        low, high = self.fit.domain.get("D/N", (math.nan, math.nan))
        if math.isnan(low) or {self.line.walk, self.line.pivot} != {"N", "D"}:
            return np.array([-math.inf, math.inf])
        ends = np.log([low / FAR_RATIO, high * FAR_RATIO])
        if self.around is None:
            return ends
        ratio = np.log(self.around)
        beyond = np.minimum(ratio - BEYOND, ends[0]), np.maximum(ratio + BEYOND, ends[1])
        return np.stack(beyond, axis=-1)

    def without(self, index: int) -> Question:
        """The question with one limit left out."""
        low, high = self.low.copy(), self.high.copy()
        low[index], high[index] = -math.inf, math.inf
        return replace(self, low=low, high=high)


def ask(
    fit: Fit,
    levels: Any,
    unit: str,
    *,
    cost: CostLike,
    free: Free | None = None,
    held: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> Question:
    """Check a question.

    Args:
        fit: of a law of the loss.
        levels: budgets, or losses.
        unit: ``FLOP`` or ``USD`` of the budgets, or ``loss``.
        cost: what is paid.
        free: free columns beside N and D, or their ranges.
        held: columns that are held.
        limits: what the answer must keep to.

    Raises:
        DataError: coefficients of the fit differ by a column, or a column is held at, or free in,
            what the law does not describe.
        AllocationError: the question has no sense, with what is wrong and what would have one.
    """
    fit = fit.one_surface()
    counted = find_cost(cost)
    law = fit.law
    if law.response != "loss":
        raise AllocationError(
            f"{law.name!r} predicts {law.response}, and the best split of a budget is the one of "
            "least loss. Fit a law of the loss"
        )
    reverse = unit == "loss"
    levels = _levels(levels, unit)
    if not reverse and unit != counted.unit:
        raise AllocationError(
            f"cost {counted.name!r} is in {counted.unit} and the budget in {unit}. Give "
            f"{counted.unit.lower().replace('flop', 'flops')}=..., or a cost in {unit}"
        )
    held, free = dict(held or {}), dict(free or {})
    walk, pivot = _roles(fit, counted, free, held, f"{ASKED[unit]}={levels.flat[0]:g}")
    needed = {*law.columns, *counted.columns}
    measures, low, high = _limits(limits or {}, pivot, needed, {*free, *held})
    for measure in measures:
        needed |= set(measure.needs)
    free = {name: None for name in (walk, pivot) if name != NO_WALK} | free
    _every_column_told(fit, counted, needed, free, held)
    box, edge, extras, logs, choices, caps = _ranges(free, walk, pivot)
    for i in reversed(range(len(measures))):
        # A limit on the walked column is an end of the walk.
        if measures[i].top == walk and not measures[i].bottom:
            _narrow(box, edge, low.pop(i), high.pop(i))
            measures.pop(i)
    for measure, ends in caps:
        measures, low, high = [*measures, measure], [*low, ends[0]], [*high, ends[1]]
    try:
        shape = np.broadcast_shapes(levels.shape, *(np.shape(value) for value in held.values()))
    except ValueError as error:
        raise AllocationError(
            f"budgets of shape {levels.shape} and held columns of shapes "
            f"{ {name: np.shape(value) for name, value in held.items()} } do not fit together. "
            "Give numbers, or arrays that broadcast"
        ) from error
    values = {
        name: np.broadcast_to(_held(name, value), shape)
        for name, value in held.items()
        if name in needed
    }
    law.check(values)
    for name, chosen in {**choices, **{name: free[name] for name in extras}}.items():
        law.check({name: chosen})
    function, columns, affine = counted.function, counted.columns, True
    if counted.per_product is not None:
        function, columns = _by_model_and_token, ("N", "D", SLOPE, INTERCEPT)
        values[SLOPE] = np.full(shape, counted.per_product)
        values[INTERCEPT] = np.full(shape, counted.per_model)
    else:
        affine = _is_affine(counted, walk, pivot, box, extras, logs, values, choices)
    line = Line(law, function, columns, walk, pivot, extras, logs, tuple(measures), reverse, affine)
    return Question(
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
    values = np.asarray(levels, dtype=np.float64)
    # Losses relative to a unigram model are negative.
    usable = np.isfinite(values) & ((values > 0) | (unit == "loss"))
    if values.size == 0 or not usable.all():
        what = "a loss must be a finite number"
        if unit != "loss":
            what = f"a budget must be a positive number of {unit}"
        example = {"loss": "loss=2.0", "FLOP": "flops=1e24", "USD": "usd=1e6"}[unit]
        raise AllocationError(f"{what}, not {levels!r}. Give one or several, such as {example}")
    return values


def _roles(
    fit: Fit, cost: Cost, free: Mapping[str, Any], held: Mapping[str, Any], asked: str
) -> tuple[str, str]:
    """The columns that a budget is divided between: model size first, or what stands for it."""
    law = fit.law
    listed = {name for name, values in free.items() if isinstance(values, (list, range))}
    shared = [
        name
        for name in law.columns
        if name in cost.columns and name not in held and (name in ("N", "D") or name in free)
    ]
    moving = [name for name in shared if name not in listed]
    if len(moving) == 1 and {*cost.columns} <= {*moving, *held, *free}:
        # Nothing to divide: what the budget buys of the one column is the answer.
        return NO_WALK, moving[0]
    if len(shared) < 2:
        between = " and ".join(name for name in cost.columns if name not in held) or "nothing"
        hint = f", with {', '.join(held)} held" if held else ""
        raise AllocationError(
            f"{law.name!r} is a law of {', '.join(law.columns)}; a budget is divided between "
            f"{between} under cost {cost.name!r}{hint}. {_other_question(fit, cost, held, asked)}"
        )
    pivot = "D" if "D" in shared else shared[-1]
    rest = [name for name in shared if name != pivot]
    return ("N" if "N" in rest else rest[0]), pivot


def _other_question(fit: Fit, cost: Cost, held: Mapping[str, Any], asked: str) -> str:
    """What can be asked of a law that a cost has less than two free columns of."""
    columns = fit.law.columns
    paid = [name for name in columns if name in cost.columns]
    if paid and all(name in held for name in paid):
        return f"Leave {paid[-1]} out of held: the budget decides it"
    if paid:
        bought = next(name for name in paid if name not in held)
        others = dict.fromkeys(name for name in (*cost.columns, *columns) if name != bought)
        known = {name: _example(fit, name) for name in others if name not in held}
        counted = "" if cost.name == "6ND" else ", cost=..."
        given = "".join(f", {name!r}: ..." for name in held)
        said = ", ".join(f"{name!r}: {value:g}" for name, value in known.items())
        return (
            f"Hold the others, and the budget buys {bought}: allocate(fit, {asked}{counted}, "
            f"held={{{said}{given}}}). Or give a cost of columns of the law, as a function of them"
        )
    if {"N", "D"} <= set(columns):
        usual = "in dollars" if asked.startswith("usd") else "as cost='6ND'"
        return f"Give a cost of columns of the law, {usual}"
    if "C" in columns or (len(columns) == 1 and _falls(fit)):
        main = "C" if "C" in columns else columns[0]
        free, fixed = [f"{main!r}: None"], []
        for name in columns:
            low, high = fit.domain.get(name, (math.nan, math.nan))
            if name != main and low < high:
                free.append(f"{name!r}: ({low:g}, {high:g})")
            elif name != main:
                fixed.append(f"{name!r}: {_example(fit, name):g}")
        more = f", held={{{', '.join(fixed)}}}" if fixed else ""
        counted = f"lambda {main}: {main}"
        if asked.startswith("usd"):
            counted = f"cost(source='mine', unit='USD')({counted})"
        return (
            f"Count the budget in {main}: allocate(fit, {asked}, cost={counted}, "
            f"free={{{', '.join(free)}}}{more})"
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
    limits: Limits, pivot: str, known: set[str], given: set[str]
) -> tuple[list[Measure], list[float], list[float]]:
    measures, low, high = [], [], []
    for what, ends in limits.items():
        measure = _measure(what)
        least, most = _ends(measure.name, ends)
        # A ratio to the pivot is told the other way up: tokens bound it from above, then.
        if measure.bottom == pivot:
            least, most = (
                (1 / most if most < math.inf else -math.inf),
                (1 / least if least > 0 else math.inf),
            )
            measure = measure._replace(top=pivot, bottom=measure.top)
        strange = set(measure.needs) - known - given
        if strange:
            raise AllocationError(
                f"the limit on {measure.name} reads {', '.join(sorted(strange))}, which is no "
                f"column of the law or the cost ({', '.join(sorted(known))}). Hold it, as "
                f"held={{'{min(strange)}': ...}}, or limit another"
            )
        measures.append(measure)
        low.append(least)
        high.append(most)
    return measures, low, high


def _measure(what: Any) -> Measure:
    if callable(what):
        needs = tuple(inspect.signature(what).parameters)
        return Measure(getattr(what, "__name__", "limit"), "", "", what, needs)
    top, _, bottom = (part.strip() for part in str(what).partition("/"))
    return Measure(str(what), top, bottom, None, (top, bottom) if bottom else (top,))


def _ends(name: str, ends: Any) -> tuple[float, float]:
    try:
        low, high = ends if np.ndim(ends) == 1 else (None, ends)
        least = -math.inf if low is None else float(low)
        most = math.inf if high is None else float(high)
    except (TypeError, ValueError) as error:
        raise AllocationError(
            f"the limit on {name} is {ends!r}. Give the highest value, or a pair (lowest, highest) "
            "with None where there is none"
        ) from error
    if not (least <= most and most > 0):
        raise AllocationError(
            f"the limit on {name} allows nothing positive: {ends!r}. Give the highest value, or a "
            "pair (lowest, highest)"
        )
    return least, most


def _every_column_told(
    fit: Fit, cost: Cost, needed: set[str], free: Mapping[str, Any], held: Mapping[str, Any]
) -> None:
    both = set(free) & set(held)
    if both:
        raise AllocationError(f"{', '.join(sorted(both))} cannot be both free and held")
    unknown = (set(free) | set(held)) - needed
    if unknown:
        raise AllocationError(
            f"{', '.join(sorted(unknown))} is no column of {fit.law.name!r}, of cost "
            f"{cost.name!r} or of a limit. They have {', '.join(sorted(needed))}"
        )
    for name in (*fit.law.columns, *cost.columns, *sorted(needed)):
        if name in free or name in held:
            continue
        low, high = fit.domain.get(name, (math.nan, math.nan))
        seen = f" (the runs have {low:g} to {high:g})" if low == low else ""
        value, top = (low, high) if low == low else (8.0, 16.0)
        raise AllocationError(
            f"{name!r} is neither free nor held{seen}. Hold it, as held={{'{name}': {value:g}}}, "
            f"or free it in a range or a list, as free={{'{name}': ({value:g}, {top:g})}}"
        )


def _ranges(free: Free, walk: str, pivot: str) -> Any:
    """Boxes, extras, choices, and ranges of the pivot as limits on it."""
    box, edge = [[0.0, math.log(1e30)]], np.zeros(2, dtype=bool)
    if walk == NO_WALK:
        box, edge = [[0.0, 0.0]], np.ones(2, dtype=bool)
    extras: list[str] = []
    logs: list[bool] = []
    choices: dict[str, tuple[float, ...]] = {}
    caps: list[tuple[Measure, tuple[float, float]]] = []
    for name, values in free.items():
        if values is None:
            if name not in (walk, pivot):
                raise AllocationError(
                    f"{name!r} is free without a range. Give one, as free={{'{name}': (1, 16)}}, "
                    "or a list of choices"
                )
        elif isinstance(values, tuple) and len(values) == 2:
            low, high = _ends(name, values)
            if name == pivot:
                caps.append((_measure(pivot), (low, high)))
            elif name == walk:
                _narrow(box, edge, low, high)
            else:
                if not math.isfinite(high - low):
                    raise AllocationError(
                        f"the range of {name!r} has no end: {values!r}. Give both ends"
                    )
                logarithmic = low > 0 and high > WIDE * low
                extras.append(name)
                logs.append(logarithmic)
                box.append([math.log(low), math.log(high)] if logarithmic else [low, high])
        elif name == pivot:
            raise AllocationError(
                f"{pivot!r} follows from the budget and cannot be one of a list. Limit it, as "
                f"limits={{'{pivot}': ...}}, or hold it"
            )
        else:
            choices[name] = _choices(name, values)
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


def _choices(name: str, values: Any) -> tuple[float, ...]:
    try:
        chosen = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise AllocationError(
            f"free column {name!r} takes a pair (lowest, highest) or a list of numbers, not "
            f"{values!r}"
        ) from error
    if not chosen or not all(math.isfinite(value) for value in chosen):
        raise AllocationError(f"the choices of {name!r} are {values!r}. Give at least one number")
    return chosen


def _held(name: str, value: Any) -> np.ndarray:
    values = np.asarray(value, dtype=np.float64)
    if not np.isfinite(values).all():
        raise AllocationError(f"{name!r} is held at {value!r}. Give a finite number")
    return values


def _is_affine(
    cost: Cost,
    walk: str,
    pivot: str,
    box: np.ndarray,
    extras: tuple[str, ...],
    logs: tuple[bool, ...],
    held: Mapping[str, np.ndarray],
    choices: Mapping[str, tuple[float, ...]],
) -> bool:
    """Whether the cost is a straight line in the pivot, as where tokens are paid one by one.

    Judged at several sizes: a wrong yes would be seen in the budgets that come out.
    """
    pivots = np.geomspace(1e3, 1e15, 7)
    for size in (1e6, 1e9, 1e12):
        columns: dict[str, Any] = {name: values.flat[0] for name, values in held.items()}
        columns |= {name: values[0] for name, values in choices.items()}
        for i, name in enumerate(extras, 1):
            middle = box[i].mean()
            columns[name] = math.exp(middle) if logs[i - 1] else middle
        columns |= {walk: size, pivot: pivots}
        value = cost.evaluate(columns)
        ends = value[0] + (value[-1] - value[0]) * (pivots - pivots[0]) / (pivots[-1] - pivots[0])
        if not np.allclose(value, ends, rtol=1e-9, atol=0.0):
            return False
    return True
