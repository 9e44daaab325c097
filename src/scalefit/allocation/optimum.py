"""Compute-optimal N and D: the least loss that a budget can buy.

The additive laws have a closed form. Any other law of N and D is minimised along the budget line:
scanned in log N, from a ten-thousandth of the tokens per parameter of the runs to ten thousand
times as many, then the zero of the derivative found by bisection. The scan makes the optimum global
on that line; bisection on the derivative finds it to rounding, which comparing
losses could not (near an optimum they differ by the square of the distance).
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
from jax import lax

from scalefit import report
from scalefit.allocation.cost import Cost, CostLike, find_cost
from scalefit.errors import AllocationError, Note
from scalefit.laws import Law, chinchilla, chinchilla_tied
from scalefit.result import Fit
from scalefit.uncertainty import Ensemble, Estimate

__all__ = ["Allocation", "allocate", "optimal"]

SCAN_POINTS = 512
# The bracket is a few scan steps wide (0.3 in ln N at most); 60 halvings leave less than rounding.
BISECTIONS = 60

# A loss surface is fitted over two to five decades of budget. One decade beyond its largest run is
# the usual use; further out the answer rests on the form of the law.
FAR_DECADES = 1.0

# Optima are looked for at tokens per parameter up to so many times outside those of the runs.
FAR_RATIO = 1e4

ANSWERS = ("N", "D", "D/N", "loss", "n_exponent", "d_exponent")


@dataclass(frozen=True, eq=False)
class Allocation:
    """Compute-optimal N and D for one budget or many.

    Attributes:
        flops: budgets, FLOP; shape () or (budgets,), as all arrays here.
        N: optimal model size, parameters.
        D: optimal training tokens.
        loss: predicted loss there, in the unit of the fitted table.
        n_exponent: d ln N* / d ln C at the budget.
        d_exponent: d ln D* / d ln C at the budget.
        law: name of the law.
        cost: name of the cost that budgets are counted in.
        draws: for each of the above from ``N`` to ``d_exponent`` its value under every draw of an
            ensemble, shape (draws, *budgets); empty for a fit. NaN where a draw has no optimum.
        notes: soft problems.
    """

    flops: np.ndarray
    N: np.ndarray
    D: np.ndarray
    loss: np.ndarray
    n_exponent: np.ndarray
    d_exponent: np.ndarray
    law: str
    cost: str
    draws: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[Note, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """One answer with its uncertainty.

        Args:
            name: ``N``, ``D``, ``D/N``, ``loss``, ``n_exponent`` or ``d_exponent``.

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
        return Estimate(getattr(self, name), self.draws[name])

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D*/N*."""
        return np.asarray(self.D / self.N)[()]

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per budget; of an ensemble with an interval for each answer.

        Args:
            level: share of the draws inside an interval.

        Raises:
            DataError: the level is no number between 0 and 1.
        """
        columns = {"flops": self.flops}
        for name in ANSWERS:
            columns[name] = self.tokens_per_param if name == "D/N" else getattr(self, name)
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


def allocate(fit: Fit | Ensemble, flops: Any, *, cost: CostLike = "6ND") -> Allocation:
    """Compute-optimal model size and token count.

    Minimises the fitted law over N and D subject to cost(N, D) = flops. For the additive law under
    k N D, with G = (alpha A / (beta B))^(1/(alpha + beta)),

        N* = G (C/k)^(beta/(alpha + beta)),   D* = (C/k) / N*.

    Args:
        fit: a fit of a law of N and D, or an ensemble of one.
        flops: training budget or budgets, FLOP, any shape.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.

    Returns:
        The allocation, arrays of the shape of ``flops``; of an ensemble with draws of each, the
        loss being that at the draw's own optimum.

    Raises:
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level).
        AllocationError: a budget is not a positive number, the law is not one of N and D, or more
            of one always beats more of the other (no interior optimum).

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, eq. 4.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.fit(sf.simulate(sf.isoflop_design(), noise=0.0))
        >>> best = sf.allocate(fit, flops=5.76e23)
        >>> f"{best.N:.3g} parameters, {best.tokens_per_param:.1f} tokens each"
        '3.22e+10 parameters, 92.6 tokens each'
    """
    ensemble = fit if isinstance(fit, Ensemble) else None
    fit = (fit.fit if isinstance(fit, Ensemble) else fit).one_surface()
    counted = find_cost(cost)
    budgets = _checked_budgets(flops)
    _require_n_and_d(fit.law)
    flat = budgets.reshape(-1)
    one = {name: np.array([value]) for name, value in fit.params.items()}
    reach = _reach(fit)
    _require_optimum(fit, flat, reach, _solve(fit.law, one, flat, counted, reach)[2])
    answers = _answers(fit.law, one, budgets, counted, reach)
    draws: dict[str, np.ndarray] = {}
    notes = _notes(fit, counted, budgets, answers["N"], answers["D"])
    if ensemble is not None:
        draws = _answers(fit.law, ensemble.drawn, budgets, counted, reach)
        notes += [*ensemble.notes, *_draw_notes(draws["N"])]
    return Allocation(
        flops=budgets[()],
        **{name: values[0][()] for name, values in answers.items()},
        law=fit.law.name,
        cost=counted.name,
        draws=MappingProxyType(draws),
        notes=tuple(notes),
    )


def optimal(
    fit: Fit, what: Literal["N", "D", "D/N", "loss"], flops: float, *, cost: CostLike = "6ND"
) -> Callable[[Mapping[str, Any]], jax.Array]:
    """The compute-optimal N, D, D/N or loss at a budget, as a function of the parameters.

    For :func:`profile`, which differentiates it, and for :meth:`Ensemble.apply`.

    Args:
        fit: a fit of a law of N and D: its law is meant, not its parameters.
        what: the answer.
        flops: the budget, FLOP.
        cost: name of a cost, a :class:`Cost`, or a function of the columns.

    Raises:
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level).
        AllocationError: the budget is no positive number, the law is not one of N and D, or there
            is no such answer.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.isoflop_design())
        >>> fit = sf.fit(runs)
        >>> sf.profile(fit, runs, sf.optimal(fit, "N", flops=1e21))
        N* at 1e+21 FLOP: ...e+09 (95 %: ...e+09 to ...e+09)
    """
    law = fit.one_surface().law
    _require_n_and_d(law)
    if what not in get_args(What):
        raise AllocationError(f"{what!r} is not one of {', '.join(map(repr, get_args(What)))}")
    (budget,) = _checked_budgets(flops).reshape(-1)[:1]
    c = math.log(budget / _factor(find_cost(cost)))
    reach = _reach(fit)

    def answer(params: Mapping[str, Any]) -> jax.Array:
        values = {name: jnp.asarray(params[name], dtype=jnp.float64) for name in law.names}

        def one(values: Mapping[str, Any]) -> jax.Array:
            x, _, _ = _ln_n(law, values, jnp.asarray(c), jnp.asarray(reach))
            N, D = jnp.exp(x), jnp.exp(c - x)
            found = {"N": N, "D": D, "D/N": D / N}
            return found[what] if what in found else _loss(law, values, x, c)

        shape = jnp.shape(next(iter(values.values())))
        return jax.vmap(one)(values) if shape else one(values)

    def scoped(params: Mapping[str, Any]) -> jax.Array:
        with jax.enable_x64(True):
            return answer(params)

    scoped.__name__ = f"{what}{'*' if what != 'loss' else ''} at {budget:.3g} FLOP"
    scoped.logarithmic = True  # type: ignore[attr-defined]
    return scoped


What = Literal["N", "D", "D/N", "loss"]


def _checked_budgets(flops: Any) -> np.ndarray:
    budgets = np.asarray(flops, dtype=np.float64)
    if budgets.size == 0 or not (np.isfinite(budgets) & (budgets > 0)).all():
        raise AllocationError(
            f"a budget must be a positive number of FLOP, not {flops!r}. Give one or several, "
            "such as flops=1e24"
        )
    return budgets


def _factor(cost: Cost) -> float:
    """K of the cost k N D."""
    if cost.per_product is None or cost.per_model != 0.0:
        raise AllocationError(
            f"a budget is divided along k N D, and cost {cost.name!r} is {cost.summary}"
        )
    return cost.per_product


def _require_n_and_d(law: Law) -> None:
    if law.response != "loss":
        raise AllocationError(
            f"{law.name!r} predicts {law.response}, and the best split of a budget is the one of "
            "least loss. Fit a law of the loss"
        )
    if set(law.columns) != {"N", "D"}:
        raise AllocationError(
            f"{law.name!r} is a law of {', '.join(law.columns)}; a budget is divided "
            "between N and D. Fit a law of exactly those two columns"
        )


def _reach(fit: Fit) -> np.ndarray:
    """Logarithms of the tokens per parameter between which an optimum is looked for, shape (2,).

    Far outside its runs a law may do anything: Farseer's drifts turn at small models, and end
    below every sensible surface. Where the runs are not known the whole line of a budget is meant.
    """
    low, high = fit.domain.get("D/N", (math.nan, math.nan))
    if math.isnan(low):
        return np.array([-math.inf, math.inf])
    return np.log([low / FAR_RATIO, high * FAR_RATIO])


def _require_optimum(fit: Fit, flops: np.ndarray, reach: np.ndarray, inside: np.ndarray) -> None:
    """Raise where the fit itself has no optimum at a budget."""
    params = fit.params
    if fit.law in CLOSED_FORMS and not (params["A"] > 0 and params["B"] > 0):
        idle = "N" if params["A"] <= 0 else "D"
        raise AllocationError(
            f"the fitted loss does not depend on {idle} (A = {params['A']:g}, B = "
            f"{params['B']:g}), so no budget is best split. The fit ended at a bound: see its notes"
        )
    if not inside.all():
        bad = flops[~inside[0]][0]
        low, high = np.exp(np.clip(reach, *(math.log(bad) * np.array([-1, 1]))))
        raise AllocationError(
            f"at {bad:g} FLOP the loss of {fit.law.name!r} has no minimum between {low:.1g} and "
            f"{high:.1g} tokens per parameter: with these values, more of one always beats more "
            "of the other"
        )


def _answers(
    law: Law,
    params: Mapping[str, np.ndarray],
    budgets: np.ndarray,
    cost: Cost,
    reach: np.ndarray,
) -> dict[str, np.ndarray]:
    """Every answer under every draw, shape (draws, *budgets); NaN where there is no optimum."""
    x, exponent, inside = _solve(law, params, budgets.reshape(-1), cost, reach)
    shape = (len(x), *budgets.shape)
    N = np.where(inside, np.exp(np.where(inside, x, 0.0)), np.nan).reshape(shape)
    exponent = np.where(inside, exponent, np.nan).reshape(shape)
    D = cost.tokens(budgets, N)
    values = {name: item.reshape(-1, *(1,) * budgets.ndim) for name, item in params.items()}
    loss = law.evaluate({"N": N, "D": D}, {name: values[name] for name in law.names})
    return {"N": N, "D": D, "loss": loss, "n_exponent": exponent, "d_exponent": 1.0 - exponent}


def _solve(
    law: Law,
    params: Mapping[str, np.ndarray],
    flops: np.ndarray,
    cost: Cost,
    reach: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ln N*, its slope in ln C, and whether it is an interior optimum, each (draws, budgets)."""
    values = {name: np.asarray(params[name], dtype=np.float64) for name in law.names}
    with jax.enable_x64(True):
        found = jax.device_get(_solved(law, values, np.log(flops / _factor(cost)), reach))
    return tuple(np.asarray(item) for item in found)  # type: ignore[return-value]


@partial(jax.jit, static_argnames="law")
def _solved(
    law: Law, params: Mapping[str, Any], c: Any, reach: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    budgets = jax.vmap(lambda params, c: _ln_n(law, params, c, reach), (None, 0))
    # One draw at a time: of a law without closed form each scans the whole line.
    mapped = jax.vmap(budgets, (0, None)) if law in CLOSED_FORMS else partial(_in_turn, budgets)
    found: tuple[jax.Array, jax.Array, jax.Array] = mapped(params, c)
    return found


def _in_turn(budgets: Any, params: Mapping[str, Any], c: Any) -> Any:
    return lax.map(lambda one: budgets(one, c), params)


def _ln_n(
    law: Law, params: Mapping[str, Any], c: jax.Array, reach: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Ln N* at ln(ND) = c, its slope in c, and whether it is an interior optimum; shapes ()."""
    closed = CLOSED_FORMS.get(law)
    return closed(params, c) if closed is not None else _along_budget_line(law, params, c, reach)


def _additive(params: Mapping[str, Any], c: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Closed form for E + A N^-alpha + B D^-beta."""
    A, B, alpha = params["A"], params["B"], params["alpha"]
    beta = params.get("beta", alpha)
    inside = (A > 0) & (B > 0)
    exponent = beta / (alpha + beta)
    # In logarithms: A and B are 1e5 and more on small-model tables, and their powers larger.
    A, B = jnp.where(inside, A, 1.0), jnp.where(inside, B, 1.0)
    log_g = (jnp.log(alpha * A) - jnp.log(beta * B)) / (alpha + beta)
    return log_g + exponent * c, exponent, inside


CLOSED_FORMS = {chinchilla: _additive, chinchilla_tied: _additive}


def _loss(law: Law, params: Mapping[str, Any], x: Any, c: Any) -> jax.Array:
    columns = {"N": jnp.exp(x), "D": jnp.exp(c - x)}
    return jnp.reshape(law(*(columns[name] for name in law.columns), **params), ())


def _along_budget_line(
    law: Law, params: Mapping[str, Any], c: jax.Array, reach: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same for any law, by search along the budget line."""
    loss = partial(_loss, law, params)
    slope = jax.grad(loss)
    # ln D/N is c - 2 ln N; and there is no less than one parameter or one token.
    line = jnp.linspace(
        jnp.maximum(0.5 * (c - reach[1]), 0.0), jnp.minimum(0.5 * (c - reach[0]), c), SCAN_POINTS
    )
    losses = jax.vmap(loss, (0, None))(line, c)
    losses = jnp.where(jnp.isfinite(losses), losses, jnp.inf)
    best = jnp.clip(jnp.argmin(losses), 1, SCAN_POINTS - 2)

    def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        falling = slope(middle, c) < 0
        return jnp.where(falling, middle, low), jnp.where(falling, high, middle)

    low, high = lax.fori_loop(0, BISECTIONS, halve, (line[best - 1], line[best + 1]))
    x = lax.stop_gradient(0.5 * (low + high))
    inside = (slope(line[best - 1], c) < 0) & (slope(line[best + 1], c) > 0)
    # Bisection has no derivative in the parameters. Two Newton steps, which move nothing, have the
    # first and the second one.
    for _ in range(2):
        step = slope(x, c) / jax.grad(slope)(x, c)
        x = x - jnp.where(inside & (jnp.abs(step) < line[1] - line[0]), step, 0.0)
    # d x*/d c from differentiating slope(x*(c), c) = 0.
    bend, cross = jax.grad(slope, argnums=(0, 1))(x, c)
    return x, -cross / bend, inside


def _draw_notes(N: np.ndarray) -> list[Note]:
    lost = int(np.isnan(N).any(axis=tuple(range(1, N.ndim))).sum())
    if not lost:
        return []
    return [
        Note(
            "draws_without_optimum",
            "warning",
            f"{lost} of {len(N)} draws have no optimum at some budget, as when a term is zero: "
            "the intervals are of the others, and too narrow",
            {"draws": lost},
        )
    ]


def _notes(fit: Fit, cost: Cost, flops: np.ndarray, N: np.ndarray, D: np.ndarray) -> list[Note]:
    notes = []
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
    low, high = (value * _factor(cost) / 6.0 for value in fit.domain["6ND"])
    reach = {
        "flops": _decades(flops, low, high),
        "N": _decades(N, *fit.domain["N"]),
        "D": _decades(D, *fit.domain["D"]),
    }
    if any(value > 0 for value in reach.values()):
        largest = float(np.max(flops)) if np.max(flops) > high else float(np.min(flops))
        notes.append(
            Note(
                "extrapolation",
                "warning" if max(reach.values()) > FAR_DECADES else "info",
                f"{largest:.3g} FLOP lies {reach['flops']:.2g} decades outside the runs that were "
                f"fitted ({low:.2g} to {high:.2g} FLOP), N* {reach['N']:.2g} and D* "
                f"{reach['D']:.2g} decades outside theirs: the answer rests on the form of the law",
                reach,
            )
        )
    return notes


def _decades(values: np.ndarray, low: float, high: float) -> float:
    """How far the farthest value lies outside a range, in powers of ten; 0 inside."""
    above = float(np.log10(np.max(values) / high))
    below = float(np.log10(low / np.min(values)))
    return max(above, below, 0.0)
