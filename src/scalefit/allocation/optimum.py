"""Compute-optimal N and D: the least loss that a budget can buy, or the least cost of a loss.

The additive laws have a closed form under k N D, and one equation under k N D + m N. Every other
question goes to the solver, whose answers on the additive laws are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from scalefit import report
from scalefit.allocation.costs import CostLike
from scalefit.allocation.question import FAR_RATIO, Free, Limits, Question, ask
from scalefit.allocation.serving import best_tokens_for_budget, best_tokens_for_loss
from scalefit.allocation.solver import (
    INFEASIBLE,
    INTERIOR,
    LIMITED,
    UNBOUNDED,
    Optimum,
    Setting,
    solve,
    solve_one,
)
from scalefit.allocation.waste import exponents, least_flops, ln_optimum, sizes
from scalefit.errors import AllocationError, Note
from scalefit.laws import chinchilla, chinchilla_tied
from scalefit.result import Fit
from scalefit.uncertainty import Ensemble, Estimate

__all__ = ["Allocation", "allocate", "optimal"]

# A loss surface is fitted over two to five decades of budget. One decade beyond its largest run is
# the usual use; further out the answer rests on the form of the law.
FAR_DECADES = 1.0

# Of the budget: where twice the model size wastes less than this, runs can hardly tell the optimum.
FLAT = 0.02

# How near a limit an answer lies that the limit holds, relative.
AT_LIMIT = 1e-6

# A budget that is left by more than this share is said to be left.
LEFT = 1e-3

CLOSED_FORMS = (chinchilla, chinchilla_tied)


@dataclass(frozen=True, eq=False)
class Allocation:
    """Compute-optimal N and D for one budget or many.

    Every array is of the shape of the budgets, or losses, that were asked for. ``best["P"]`` is a
    column by name.

    Attributes:
        columns: the free columns at the optimum, ``N`` and ``D`` among them, raw units.
        loss: predicted loss there, in the unit of the fitted table.
        budget: what was to be spent; where a loss was asked for, the least that reaches it.
        spent: the cost of the optimum: less than the budget where a limit leaves some.
        n_exponent: d ln N* / d ln C at the budget; NaN where limits or further columns leave it
            without a derivative.
        d_exponent: d ln D* / d ln C at the budget, likewise.
        law: name of the law.
        cost: name of the cost.
        unit: what budgets are counted in, ``FLOP`` or ``USD``.
        draws: for each of the above from the columns to ``d_exponent``, by name, its value under
            every draw of an ensemble, shape (draws, *budgets); empty for a fit. NaN where a draw
            has no optimum.
        notes: soft problems.
    """

    columns: Mapping[str, np.ndarray]
    loss: np.ndarray
    budget: np.ndarray
    spent: np.ndarray
    n_exponent: np.ndarray
    d_exponent: np.ndarray
    law: str
    cost: str
    unit: str = "FLOP"
    draws: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[Note, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise AllocationError(
                f"{name!r} was not free here. Free were {', '.join(self.columns)}"
            )
        return self.columns[name]

    @property
    def N(self) -> np.ndarray:
        """Optimal model size, parameters."""
        return self["N"]

    @property
    def D(self) -> np.ndarray:
        """Optimal training tokens."""
        return self["D"]

    @property
    def flops(self) -> np.ndarray:
        """The budget in FLOP.

        Raises:
            AllocationError: it is counted in something else.
        """
        if self.unit != "FLOP":
            raise AllocationError(f"this budget is counted in {self.unit}: see its .budget")
        return self.budget

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D*/N*."""
        return np.asarray(self.D / self.N)[()]

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of what there is to :meth:`estimate`."""
        ratio = ("D/N",) if {"N", "D"} <= set(self.columns) else ()
        left = () if np.allclose(self.spent, self.budget, rtol=LEFT) else ("spent",)
        return (*self.columns, *ratio, "loss", *left, "n_exponent", "d_exponent")

    def estimate(self, name: str) -> Estimate:
        """One answer with its uncertainty.

        Args:
            name: a free column, ``D/N``, ``loss``, ``budget``, ``spent``, ``n_exponent`` or
                ``d_exponent``.

        Raises:
            AllocationError: the allocation is of a fit, not of an ensemble, or has no such answer.
        """
        if not self.draws:
            raise AllocationError(
                "this allocation is of one fit and has no intervals. Allocate an ensemble: "
                "allocate(scalefit.bootstrap(fit, runs), ...)"
            )
        if name == "D/N":
            return Estimate(self.tokens_per_param, self.draws["D"] / self.draws["N"])
        if name not in self.draws:
            raise AllocationError(
                f"an allocation has no {name!r}. It has {', '.join([*self.draws, 'D/N'])}"
            )
        return Estimate(self._value(name), self.draws[name])

    def _value(self, name: str) -> np.ndarray:
        if name == "D/N":
            return self.tokens_per_param
        value: np.ndarray = self.columns[name] if name in self.columns else getattr(self, name)
        return value

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per budget; of an ensemble with an interval for each answer.

        Args:
            level: share of the draws inside an interval.

        Raises:
            DataError: the level is no number between 0 and 1.
        """
        budget = "flops" if self.unit == "FLOP" else self.unit.lower()
        columns = {budget: self.budget}
        if self.draws and np.ptp(self.draws["budget"], axis=0).any():
            low, high = self.estimate("budget").interval(level)
            columns |= {f"{budget}_low": low, f"{budget}_high": high}
        for name in self.answers:
            columns[name] = self._value(name)
            if self.draws:
                low, high = self.estimate(name).interval(level)
                columns |= {f"{name}_low": low, f"{name}_high": high}
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})

    def summary(self, level: float = 0.95) -> str:
        """The table and the notes as text."""
        return report.allocation_text(self, level)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.allocation_html(self)


def allocate(
    fit: Fit | Ensemble,
    flops: Any = None,
    *,
    usd: Any = None,
    loss: Any = None,
    cost: CostLike = "6ND",
    free: Free | None = None,
    held: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> Allocation:
    """Compute-optimal model size and token count.

    Minimises the fitted law subject to cost(N, D, ...) = budget; or, given a loss, the cost subject
    to that loss. For the additive law under k N D, with G = (alpha A / (beta B))^(1/(alpha +
    beta)),

        N* = G (C/k)^(beta/(alpha + beta)),   D* = (C/k) / N*.

    Every column of the law and of the cost is free or held. N and D are free.

    Args:
        fit: a fit of a law of the loss, or an ensemble of one.
        flops: budget or budgets, FLOP, any shape.
        usd: the same in dollars, for a cost in dollars.
        loss: loss or losses to be reached at the least cost, in place of a budget.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.
        free: further free columns: a pair ``(lowest, highest)`` for any number between, a list for
            one of its numbers, as ``{"P": (3, 16), "experts": [8, 16, 32]}``. Also for N and D.
        held: columns that are held, numbers or arrays that broadcast with the budgets, as
            ``{"U": 1e12}``.
        limits: what the answer keeps to: for a column, a ratio of two (``"D/N"``, or epochs as
            ``"D/U"``), or a positive function of columns, its highest value or a pair ``(lowest,
            highest)`` with None where there is none; as ``{"N": 70e9, memory: 80e9}``. Under a
            budget a function is taken to rise with D.

    Returns:
        The allocation, arrays of the shape of ``flops`` and ``held``; of an ensemble with draws of
        each, the loss being that at the draw's own optimum.

    Raises:
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level).
        AllocationError: a budget is not a positive number, a column is neither free nor held, the
            limits leave nothing, the loss cannot be reached, or more of one column always beats
            more of the other (no interior optimum).

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, eq. 4.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.fit(sf.simulate(sf.isoflop_design(), noise=0.0))
        >>> best = sf.allocate(fit, flops=5.76e23)
        >>> f"{best.N:.3g} parameters, {best.tokens_per_param:.1f} tokens each"
        '3.22e+10 parameters, 92.6 tokens each'
        >>> small = sf.allocate(fit, flops=5.76e23, limits={"N": 13e9})
        >>> f"{small.N:.3g} parameters, {small.loss / best.loss - 1:.2%} more loss"
        '1.3e+10 parameters, 0.50% more loss'
    """
    ensemble = fit if isinstance(fit, Ensemble) else None
    point = fit.fit if isinstance(fit, Ensemble) else fit
    question = ask(point, *asked(flops, usd, loss), cost=cost, free=free, held=held, limits=limits)
    one = {name: np.array([value]) for name, value in question.fit.params.items()}
    found, question = _solved_with_turns(question, one)
    require_optimum(question, found)
    answers = _answers(question, found)
    draws: dict[str, np.ndarray] = {}
    notes = _notes(question, found, answers)
    if ensemble is not None:
        draws = _answers(question, solved(question, ensemble.drawn))
        notes += [*ensemble.notes, *draw_notes(draws["loss"])]
    single = {name: values[0][()] for name, values in answers.items()}
    return Allocation(
        columns=MappingProxyType({name: single.pop(name) for name in found.columns}),
        **single,
        law=question.fit.law.name,
        cost=question.cost.name,
        unit=question.cost.unit,
        draws=MappingProxyType(draws),
        notes=tuple(notes),
    )


What = Literal["N", "D", "D/N", "loss"]


def optimal(
    fit: Fit,
    what: What,
    flops: float,
    *,
    cost: CostLike = "6ND",
    held: Mapping[str, Any] | None = None,
) -> Callable[[Mapping[str, Any]], jax.Array]:
    """The compute-optimal N, D, D/N or loss at a budget, as a function of the parameters.

    For :func:`profile`, which differentiates it, and for :meth:`Ensemble.apply`.

    Args:
        fit: a fit of a law of N and D: its law is meant, not its parameters.
        what: the answer.
        flops: the budget, FLOP.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.
        held: columns that are held, each at a number.

    Raises:
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level).
        AllocationError: the budget is no positive number, a column is neither free nor held, or
            there is no such answer.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.isoflop_design())
        >>> fit = sf.fit(runs)
        >>> sf.profile(fit, runs, sf.optimal(fit, "N", flops=1e21))
        N* at 1e+21 FLOP: ...e+09 (95 %: ...e+09 to ...e+09)
    """
    if what not in get_args(What):
        raise AllocationError(f"{what!r} is not one of {', '.join(map(repr, get_args(What)))}")
    question = ask(fit, flops, "FLOP", cost=cost, held=held)
    if question.levels.size != 1:
        raise AllocationError(
            f"{what}* is a function of the parameters at one budget, not at "
            f"{question.levels.size}: give one"
        )
    law = question.fit.law
    setting = _first_setting(question)

    def answer(params: Mapping[str, Any]) -> jax.Array:
        values = {name: jnp.asarray(params[name], dtype=jnp.float64) for name in law.names}

        def one(values: Mapping[str, Any]) -> jax.Array:
            if question.plain and law in CLOSED_FORMS:
                k, m = question.cost.per_product, question.cost.per_model
                N, D, loss, *_ = _additive(values, setting.level, k, m, served=m > 0, reverse=False)
            else:
                best = solve_one(question.line, values, setting)
                N, D = (best.columns[name] for name in (question.line.walk, question.line.pivot))
                loss = best.loss
            found: jax.Array = {"N": N, "D": D, "D/N": D / N, "loss": loss}[what]
            return found

        shape = jnp.shape(next(iter(values.values())))
        return jax.vmap(one)(values) if shape else one(values)

    def scoped(params: Mapping[str, Any]) -> jax.Array:
        with jax.enable_x64(True):
            return answer(params)

    star = "*" if what != "loss" else ""
    scoped.__name__ = f"{what}{star} at {setting.level:.3g} {question.cost.unit}"
    scoped.logarithmic = True  # type: ignore[attr-defined]
    return scoped


def asked(flops: Any, usd: Any, loss: Any) -> tuple[Any, str]:
    given = [
        (value, unit)
        for value, unit in ((flops, "FLOP"), (usd, "USD"), (loss, "loss"))
        if value is not None
    ]
    if len(given) != 1:
        raise AllocationError(
            "ask for one of flops=, usd= and loss=: a budget to spend or a loss to reach"
        )
    return given[0]


def _first_setting(question: Question) -> Setting:
    setting = question.setting()
    held = {name: values[0] for name, values in setting.held.items()}
    return Setting(*(held if item is setting.held else item[0] for item in setting))  # type: ignore[index]


def _solved_with_turns(
    question: Question, params: Mapping[str, np.ndarray]
) -> tuple[Optimum, Question]:
    """The optimum of the fit, and the question of its draws.

    Where more tokens would hurt, a budget need not be spent, and it is asked again so.
    """
    found = solved(question, params)
    if (found.rising > 0).any():
        turning = question.shaped(turns=True)
        return solved(turning, params), turning
    return found, question


def solved(
    question: Question, params: Mapping[str, np.ndarray], levels: np.ndarray | None = None
) -> Optimum:
    """The best of the choices, under every draw.

    Args:
        question: what is asked.
        params: parameters of its law, each of shape (draws,).
        levels: where every draw has levels of its own, shape (draws, *levels).

    Returns:
        Optima of shape (draws, *levels).
    """
    law = question.fit.law
    values = {name: np.asarray(params[name], dtype=np.float64) for name in law.names}
    count, shape = len(next(iter(values.values()))), question.levels.shape
    combinations = question.combinations
    with jax.enable_x64(True):
        if question.plain and law in CLOSED_FORMS:
            found = _closed(question, values, levels)
        else:
            setting = question.setting()
            if levels is not None:
                each = levels.reshape(count, -1)
                setting = setting._replace(level=np.tile(each, (1, len(combinations))))
            found = solve(question.line, values, setting)
    spread = (count, len(combinations), *shape)
    found = jax.tree.map(lambda item: np.asarray(item).reshape(spread), found)
    compared = found.cost if question.line.reverse else found.loss
    compared = np.where(found.state <= LIMITED, compared, np.inf)
    compared = np.where(np.isnan(compared), np.inf, compared)
    best = np.argmin(compared, axis=1)[:, None]
    chosen = {
        name: np.broadcast_to(combinations[:, i].reshape(-1, *(1,) * len(shape)), spread)
        for i, name in enumerate(question.choices)
        if name != question.line.walk
    }
    columns = {**found.columns, **chosen}
    order = [name for name in (*law.columns, *question.cost.columns) if name in columns]
    found = found._replace(columns={name: columns[name] for name in dict.fromkeys(order)})
    return _picked(found, best)


def _picked(found: Optimum, best: np.ndarray) -> Optimum:
    def pick(item: np.ndarray) -> np.ndarray:
        return np.take_along_axis(item, best, 1)[:, 0]

    columns = {name: pick(item) for name, item in found.columns.items()}
    return Optimum(columns, *(pick(item) for item in found[1:]))


def _closed(
    question: Question, params: Mapping[str, np.ndarray], levels: np.ndarray | None
) -> Optimum:
    """The additive law's optimum under k N D + m N."""
    values = {name: item[:, None] for name, item in params.items()}
    level = question.levels.reshape(1, -1) if levels is None else levels.reshape(len(levels), -1)
    k, m = question.cost.per_product, question.cost.per_model
    found = _additive(values, level, k, m, served=m > 0, reverse=question.line.reverse)
    N, D, loss, cost, n_exponent, d_exponent = (np.asarray(item) for item in found)
    inside = (values["A"] > 0) & (values["B"] > 0) & np.ones(N.shape, dtype=bool)
    state = np.where(np.isfinite(N), INTERIOR, INFEASIBLE)
    total = values["alpha"] + values.get("beta", values["alpha"])
    # Czech et al. 2026, arXiv 2603.22339: half of (alpha + beta) x^2, to second order in x = ln 2.
    waste = np.broadcast_to(0.5 * total * math.log(2) ** 2, N.shape) if m == 0 else np.nan * N
    return Optimum(
        {"N": N, "D": D},
        loss,
        cost,
        n_exponent,
        d_exponent,
        np.full(N.shape, -1.0),
        waste,
        np.where(inside, state, UNBOUNDED),
    )


@partial(jax.jit, static_argnames=("served", "reverse"))
def _additive(
    params: Mapping[str, Any], level: Any, k: Any, m: Any, *, served: bool, reverse: bool
) -> Any:
    """N*, D*, loss, cost and the slopes of ln N* and ln D* in ln cost of the additive law.

    Where a term is zero, any finite number: there is no optimum.
    """
    inside = (params["A"] > 0) & (params["B"] > 0)
    shown = {**params, **{name: jnp.where(inside, params[name], 1.0) for name in ("A", "B")}}
    alpha, beta = exponents(shown)
    (ln_a, ln_b), rho = sizes(shown), m / k

    def placed(level: Any) -> tuple[Any, Any, Any]:
        if not served:
            budget = least_flops({**shown, "E": params["E"]}, level, k) if reverse else level
            x, u = ln_optimum(shown, budget / k)
        elif reverse:
            u = best_tokens_for_loss(shown, level, rho)
            # From the wedge, which unlike L - E - B D^-beta is no difference.
            wedge = jnp.log1p(rho * jnp.exp(-u))
            x = (jnp.log(alpha / beta) + ln_a - ln_b + beta * u - wedge) / alpha
        else:
            u = best_tokens_for_budget(shown, level / k, rho)
            x = jnp.log(level / k) - jnp.log(jnp.exp(u) + rho)
        return x, u, jnp.log(k) + x + jnp.log(jnp.exp(u) + rho)

    level = jnp.broadcast_to(level, jnp.broadcast_shapes(jnp.shape(level), jnp.shape(alpha)))
    (x, u, c), (dx, du, dc) = jax.jvp(placed, (level,), (jnp.ones_like(level),))
    loss = params["E"] + jnp.exp(ln_a - alpha * x) + jnp.exp(ln_b - beta * u)
    return jnp.exp(x), jnp.exp(u), loss, jnp.exp(c), dx / dc, du / dc


def _answers(question: Question, found: Optimum) -> dict[str, np.ndarray]:
    """Every answer under every draw, shape (draws, *levels); NaN where there is no optimum."""
    inside = found.state <= LIMITED
    spent = np.asarray(found.cost)
    budget = spent if question.line.reverse else np.broadcast_to(question.levels, spent.shape)
    answers = {
        **found.columns,
        "loss": found.loss,
        "budget": budget,
        "spent": spent,
        "n_exponent": found.n_exponent,
        "d_exponent": found.d_exponent,
    }
    return {name: np.where(inside, values, np.nan) for name, values in answers.items()}


def require_optimum(question: Question, found: Optimum) -> None:
    """Raise where the fit itself has no optimum at a level."""
    fit, params = question.fit, question.fit.params
    if fit.law in CLOSED_FORMS and not (params["A"] > 0 and params["B"] > 0):
        idle = "N" if params["A"] <= 0 else "D"
        raise AllocationError(
            f"the fitted loss does not depend on {idle} (A = {params['A']:g}, B = "
            f"{params['B']:g}), so no budget is best split. The fit ended at a bound: see its notes"
        )
    state = found.state[0]
    if (state <= LIMITED).all():
        return
    at = tuple(np.argwhere(state > LIMITED)[0])
    level = question.levels[at]
    unit = "" if question.line.reverse else f" {question.cost.unit}"
    if state[at] == UNBOUNDED:
        low, high = np.exp(np.clip(question.reach, *(math.log(FAR_RATIO) * 6 * np.array([-1, 1]))))
        where = f"{question.line.pivot}/{question.line.walk}"
        where = "tokens per parameter" if where == "D/N" else where
        what = (
            f"the cost of a loss of {level:g}"
            if question.line.reverse
            else (f"at {level:g}{unit} the loss")
        )
        raise AllocationError(
            f"{what} of {fit.law.name!r} has no minimum between {low:.1g} and {high:.1g} {where}: "
            f"with these values, more of one always beats more of the other. Limit one, as "
            f"limits={{'{question.line.walk}': ...}}"
        )
    raise AllocationError(_impossible(question, level))


def _impossible(question: Question, level: float) -> str:
    """Why nothing meets a question, with the numbers."""
    fit, line = question.fit, question.line
    params = {name: np.array([value]) for name, value in fit.params.items()}
    loosened = []
    for i, limit in enumerate(line.limits):
        other = solved(question.without(i), params)
        meets = other.state[0] <= LIMITED
        if meets.any():
            at = tuple(np.argwhere(meets)[0])
            columns = _at(question, other, at)
            ends = _ends_text(question.low[i], question.high[i])
            loosened.append(
                f"without {limit.name} {ends} it would be {float(limit.value(columns)):.4g}"
            )
    if loosened:
        asked = f"a loss of {level:g}" if line.reverse else f"{level:g} {question.cost.unit}"
        return (
            f"no {line.walk} and {line.pivot} meet every limit at {asked}: {'; '.join(loosened)}. "
            "Loosen one"
        )
    if line.reverse:
        floor = fit.params.get("E")
        below = (
            f": its floor is E = {floor:g}"
            if floor is not None and floor >= level
            else (" within the limits and the tokens per parameter that are looked at")
        )
        return (
            f"no budget reaches a loss of {level:g} under this fit of {fit.law.name!r}{below}. Ask "
            "for a higher loss"
        )
    names = [
        f"{limit.name} {_ends_text(question.low[i], question.high[i])}"
        for i, limit in enumerate(line.limits)
    ]
    under = f" under {', '.join(names)}" if names else ""
    return (
        f"{level:g} {question.cost.unit} buy no {line.walk} and {line.pivot} under cost "
        f"{question.cost.name!r}{under}. Give a larger budget, or looser limits"
    )


def _ends_text(low: float, high: float) -> str:
    if not math.isfinite(low):
        return f"<= {high:g}"
    return f">= {low:g}" if not math.isfinite(high) else f"in {low:g} to {high:g}"


def _at(question: Question, found: Optimum, at: tuple[int, ...]) -> dict[str, float]:
    columns = {name: float(values[at]) for name, values in question.held.items()}
    return {**columns, **{name: float(values[0][at]) for name, values in found.columns.items()}}


def draw_notes(loss: np.ndarray) -> list[Note]:
    lost = int(np.isnan(loss).any(axis=tuple(range(1, loss.ndim))).sum())
    if not lost:
        return []
    return [
        Note(
            "draws_without_optimum",
            "warning",
            f"{lost} of {len(loss)} draws have no optimum at some budget, as when a term is zero: "
            "the intervals are of the others, and too narrow",
            {"draws": lost},
        )
    ]


def _notes(question: Question, found: Optimum, answers: Mapping[str, np.ndarray]) -> list[Note]:
    notes = []
    fit = question.fit
    if not fit.status.usable or any(note.severity == "warning" for note in fit.notes):
        codes = [note.code for note in fit.notes if note.severity == "warning"]
        codes += [] if fit.status.usable else [fit.status.name.lower()]
        notes.append(
            Note(
                "fit_warnings",
                "warning",
                f"the fit behind this carries warnings ({', '.join(codes)}): see its summary",
                {"codes": codes},
            )
        )
    notes += _extrapolation(question, found)
    notes += _limit_notes(question, found)
    if question.line.turns:
        notes.append(
            Note(
                "more_data_hurts",
                "warning",
                f"with these values the loss rises with {question.line.pivot} before the budget is "
                f"spent: {question.line.pivot} stops there, and the rest is left",
                {"spent": float(np.min(answers["spent"] / answers["budget"]))},
            )
        )
    notes += _flat(question, found)
    return notes


def _limit_notes(question: Question, found: Optimum) -> list[Note]:
    columns = {name: np.asarray(values) for name, values in question.held.items()}
    columns |= {name: values[0] for name, values in found.columns.items()}
    holding = {}
    for i, limit in enumerate(question.line.limits):
        value = np.asarray(limit.value(columns), dtype=np.float64)
        for end in (question.low[i], question.high[i]):
            if math.isfinite(end) and (np.abs(value / end - 1) < AT_LIMIT).any():
                holding[limit.name] = end
    for name, (low, high) in zip(
        (question.line.walk, *question.line.extras), _natural(question), strict=True
    ):
        if name not in columns:
            continue
        ends = (
            (low, high)
            if name != question.line.walk
            else (
                low if question.edge[0] else math.nan,
                high if question.edge[1] else math.nan,
            )
        )
        for end in ends:
            if (np.abs(columns[name] - end) <= AT_LIMIT * max(abs(end), high - low)).any():
                holding[name] = end
    for name, values in question.choices.items():
        if len(values) > 1 and np.isin(columns[name], (min(values), max(values))).any():
            holding[name] = float(columns[name].flat[0])
    if not holding:
        return []
    said = ", ".join(f"{name} = {end:.4g}" for name, end in holding.items())
    return [
        Note(
            "at_limit",
            "info",
            f"a limit or an end of a range holds the answer: {said}",
            {"limits": holding},
        )
    ]


def _natural(question: Question) -> list[tuple[float, float]]:
    logs = (True, *question.line.logarithmic)
    return [
        (math.exp(low), math.exp(high)) if log else (float(low), float(high))
        for (low, high), log in zip(question.box, logs, strict=True)
    ]


def _flat(question: Question, found: Optimum) -> list[Note]:
    """A note where twice the size wastes hardly anything."""
    known = (found.state[0] == INTERIOR) & np.isfinite(found.waste[0])
    if not known.any():
        return []
    waste = float(np.min(found.waste[0][known]))
    if not 0 <= waste < FLAT:
        return []
    return [
        Note(
            "flat_optimum",
            "warning",
            f"twice or half the model size wastes {waste:.1%} of the budget at most: the "
            "optimum is flat, and N* is no sharp answer. See near_optimal()",
            {"waste_of_doubling": waste},
        )
    ]


def _extrapolation(question: Question, found: Optimum) -> list[Note]:
    domain = question.fit.domain
    columns = {name: values[0] for name, values in found.columns.items()}
    if not {"N", "D"} <= set(columns):
        measured = dict(columns)
    else:
        compute = 6 * columns["N"] * columns["D"]
        measured = {**columns, "D/N": columns["D"] / columns["N"], "6ND": compute}
    reach = {
        name: _decades(values, *domain[name])
        for name, values in measured.items()
        if name in domain and domain[name][0] > 0
    }
    outside = {name: value for name, value in reach.items() if value > 0}
    if not outside:
        return []
    said = ", ".join(
        f"{_named(name)} {value:.2g} decades outside the runs ({domain[name][0]:.2g} to "
        f"{domain[name][1]:.2g})"
        for name, value in outside.items()
    )
    details = {"flops" if name == "6ND" else name: value for name, value in reach.items()}
    return [
        Note(
            "extrapolation",
            "warning" if max(outside.values()) > FAR_DECADES else "info",
            f"{said}: the answer rests on the form of the law",
            details,
        )
    ]


def _named(name: str) -> str:
    return name if name in ("6ND", "D/N") else f"{name}*"


def _decades(values: np.ndarray, low: float, high: float) -> float:
    """How far the farthest value lies outside a range, in powers of ten; 0 inside."""
    above = float(np.log10(np.max(values) / high))
    below = float(np.log10(low / np.min(values)))
    outside = max(above, below, 0.0)
    return outside if outside > ROUNDING else 0.0


# Of decades: a run at the edge of the table is in it.
ROUNDING = 1e-9
