"""Compute-optimal N and D: the least loss that a budget can buy.

The additive laws have a closed form. Any other law of N and D is minimised along the budget line:
scanned in log N over all of it, then the zero of the derivative found by bisection. The scan makes
the optimum global on the line; bisection on the derivative finds it to rounding, which comparing
losses could not (near an optimum they differ by the square of the distance).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import lax

from scalefit import report
from scalefit.allocation.cost import Cost, find_cost
from scalefit.errors import AllocationError, Note
from scalefit.laws import Law, chinchilla, chinchilla_tied
from scalefit.result import Fit

__all__ = ["Allocation", "allocate"]

SCAN_POINTS = 512
# The bracket is a few scan steps wide (0.3 in ln N at most); 60 halvings leave less than rounding.
BISECTIONS = 60

# A loss surface is fitted over two to five decades of budget. One decade beyond its largest run is
# the usual use; further out the answer rests on the form of the law.
FAR_DECADES = 1.0


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
    notes: tuple[Note, ...] = ()

    @property
    def tokens_per_param(self) -> np.ndarray:
        """D*/N*."""
        return np.asarray(self.D / self.N)[()]

    def to_frame(self) -> pd.DataFrame:
        """One row per budget."""
        return pd.DataFrame(
            {
                name: np.atleast_1d(value)
                for name, value in {
                    "flops": self.flops,
                    "N": self.N,
                    "D": self.D,
                    "D/N": self.tokens_per_param,
                    "loss": self.loss,
                    "n_exponent": self.n_exponent,
                    "d_exponent": self.d_exponent,
                }.items()
            }
        )

    def summary(self) -> str:
        """The table and the notes as text."""
        return report.allocation_text(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.allocation_html(self)


def allocate(fit: Fit, flops: Any, *, cost: str | Cost = "6ND") -> Allocation:
    """Compute-optimal model size and token count.

    Minimises the fitted law over N and D subject to cost(N, D) = flops. For the additive law under
    k N D, with G = (alpha A / (beta B))^(1/(alpha + beta)),

        N* = G (C/k)^(beta/(alpha + beta)),   D* = (C/k) / N*.

    Args:
        fit: a fit of a law of N and D.
        flops: training budget or budgets, FLOP, any shape.
        cost: name of a cost, or a :class:`Cost`.

    Returns:
        The allocation, arrays of the shape of ``flops``.

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
    fit = fit.one_surface()
    counted = find_cost(cost)
    budgets = np.asarray(flops, dtype=np.float64)
    if budgets.size == 0 or not (np.isfinite(budgets) & (budgets > 0)).all():
        raise AllocationError(
            f"a budget must be a positive number of FLOP, not {flops!r}. Give one or several, "
            "such as flops=1e24"
        )
    if set(fit.law.columns) != {"N", "D"}:
        raise AllocationError(
            f"{fit.law.name!r} is a law of {', '.join(fit.law.columns)}; a budget is divided "
            "between N and D. Fit a law of exactly those two columns"
        )
    closed = CLOSED_FORMS.get(fit.law)
    solve = closed if closed is not None else partial(_along_budget_line, fit.law)
    N, exponent = solve(fit.params, budgets.reshape(-1), counted)
    N, exponent = N.reshape(budgets.shape), exponent.reshape(budgets.shape)
    D = counted.tokens(budgets, N)
    return Allocation(
        flops=budgets[()],
        N=N[()],
        D=D[()],
        loss=fit.predict(N=N, D=D)[()],
        n_exponent=exponent[()],
        d_exponent=(1.0 - exponent)[()],
        law=fit.law.name,
        cost=counted.name,
        notes=tuple(_notes(fit, counted, budgets, N, D)),
    )


def _additive(
    params: Mapping[str, float], flops: np.ndarray, cost: Cost
) -> tuple[np.ndarray, np.ndarray]:
    """Closed form for E + A N^-alpha + B D^-beta."""
    A, B, alpha = params["A"], params["B"], params["alpha"]
    beta = params.get("beta", alpha)
    if not (A > 0 and B > 0):
        idle = "N" if A <= 0 else "D"
        raise AllocationError(
            f"the fitted loss does not depend on {idle} (A = {A:g}, B = {B:g}), so no budget is "
            "best split. The fit ended at a bound: see its notes"
        )
    exponent = beta / (alpha + beta)
    # In logarithms: A and B are 1e5 and more on small-model tables, and their powers larger.
    log_g = (math.log(alpha * A) - math.log(beta * B)) / (alpha + beta)
    N = np.exp(log_g + exponent * np.log(flops / cost.factor))
    return N, np.full_like(flops, exponent)


CLOSED_FORMS = {chinchilla: _additive, chinchilla_tied: _additive}


def _along_budget_line(
    law: Law, params: Mapping[str, float], flops: np.ndarray, cost: Cost
) -> tuple[np.ndarray, np.ndarray]:
    """The same for any law, by search along the budget line."""
    values = {name: np.float64(value) for name, value in params.items()}
    with jax.enable_x64(True):
        x, exponent, inside = jax.device_get(
            _solve_line(law, values, np.log(flops), np.log(cost.factor))
        )
    if not inside.all():
        bad = flops[~inside][0]
        raise AllocationError(
            f"at {bad:g} FLOP the loss of {law.name!r} has no minimum between one parameter and "
            "one token: with these values, more of one always beats more of the other"
        )
    return np.exp(x), exponent


@partial(jax.jit, static_argnames="law")
def _solve_line(
    law: Law, params: Mapping[str, Any], log_flops: Any, log_factor: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Ln N*, its slope in ln C, and whether it is an interior minimum, for each budget."""

    def loss(x: jax.Array, c: jax.Array) -> jax.Array:
        columns = {"N": jnp.exp(x), "D": jnp.exp(c - log_factor - x)}
        return jnp.reshape(law(*(columns[name] for name in law.columns), **params), ())

    slope = jax.grad(loss)

    def one(c: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        line = jnp.linspace(0.0, c - log_factor, SCAN_POINTS)
        losses = jax.vmap(loss, (0, None))(line, c)
        losses = jnp.where(jnp.isfinite(losses), losses, jnp.inf)
        best = jnp.clip(jnp.argmin(losses), 1, SCAN_POINTS - 2)

        def halve(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = 0.5 * (low + high)
            falling = slope(middle, c) < 0
            return jnp.where(falling, middle, low), jnp.where(falling, high, middle)

        low, high = lax.fori_loop(0, BISECTIONS, halve, (line[best - 1], line[best + 1]))
        x = 0.5 * (low + high)
        inside = (slope(line[best - 1], c) < 0) & (slope(line[best + 1], c) > 0)
        # d x*/d c from differentiating slope(x*(c), c) = 0.
        bend, cross = jax.grad(slope, argnums=(0, 1))(x, c)
        return x, -cross / bend, inside

    return jax.vmap(one)(log_flops)


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
    low, high = (value * cost.factor / 6.0 for value in fit.domain["6ND"])
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
