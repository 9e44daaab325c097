"""Tests of a law against a larger one that contains it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit import objective as obj
from scalefit.data.table import LossTable
from scalefit.fitting import multistart
from scalefit.fitting.derivatives import core_share
from scalefit.fitting.devices import Devices
from scalefit.fitting.prepared_fit import prepare_again
from scalefit.objective import measure, noisy_losses
from scalefit.results.dependence import too_narrow
from scalefit.validation.candidates import FittedCandidate
from scalefit.validation.nesting import Nesting, nesting

__all__ = ["NestedTest", "frame_of_tests", "nested_tests"]

# Cells that are polished for a simulated table; the optimum of the real one is another start.
STARTS = 2


class NestedTest(NamedTuple):
    """A law tested against a larger one.

    Attributes:
        law: label of the smaller law.
        within: label of the larger law.
        constraint: what the smaller law says of the larger one's parameters.
        effect: those parameters as the larger law has them, as ``k = 0.77``.
        spread: spread of the smaller law's residuals over the larger one's.
        statistic: fall of the objective over its noise; see :func:`nested_tests`.
        df: parameters that the larger law has more.
        df_resid: residual degrees of freedom of the larger law.
        p: p value; NaN where there is none.
        method: ``F``, ``F, half`` (on a bound), or ``simulated``; empty without a p value.
        why: why there is no p value.
    """

    law: str
    within: str
    constraint: str
    effect: str
    spread: float
    statistic: float
    df: int
    df_resid: int
    p: float
    method: str
    why: str


def nested_tests(
    found: Sequence[FittedCandidate],
    table: LossTable,
    replicates: int,
    seed: int,
    devices: Devices = None,
) -> tuple[NestedTest, ...]:
    """Every candidate that is a restriction of another, tested against it.

    With F the least objective, n runs, p parameters of the larger law and q more than the smaller,

        statistic = 2 (F_small - F_large) / kappa,  kappa = s^2 / m

    with kappa the noise of the objective (s, m as for :func:`scalefit.covariance`): the residual
    variance for squares, the scale of Ronchetti's tau test for Huber losses. statistic / q is
    compared with F(q, n - p), or by simulation.

    Args:
        found: the candidates, fitted to all rows.
        table: the table.
        replicates: tables simulated from each smaller law; 0 for none.
        seed: of their noise.
        devices: where to fit them.

    Source:
        Seber and Wild 1989, Nonlinear Regression, section 5.3 (F test). Ronchetti 1982 (tau test:
        Hampel et al. 1986, Robust Statistics, section 7.2). Self and Liang 1987, JASA 82(398) (on a
        bound). Davies 1987, Biometrika 74(1) (parameters that exist in one law only).
    """
    tests = []
    for small in found:
        for large in found:
            how = nesting(small, large)
            if how is not None and small.usable and large.usable:
                tests.append(_tested(small, large, how, table, replicates, seed, devices))
    return tuple(tests)


def _tested(
    small: FittedCandidate,
    large: FittedCandidate,
    how: Nesting,
    table: LossTable,
    replicates: int,
    seed: int,
    devices: Devices,
) -> NestedTest:
    used = table.weight > 0
    q, df_resid = large.n_free - small.n_free, int(used.sum()) - large.n_free
    statistic, p, method = np.nan, np.nan, ""
    why = _refusal(large, how, df_resid, replicates)
    if not why or how.regularity == "unidentified":
        statistic = _statistic(small, large, table, df_resid) if df_resid > 0 else np.nan
    if not why:
        if replicates:
            p = _simulated(small, large, table, replicates, seed, devices)
            method = "simulated"
        else:
            p, method = _by_f(statistic, q, df_resid, how)
    rms = [np.sqrt(np.average(item.residuals[used] ** 2)) for item in (small, large)]
    return NestedTest(
        law=small.label,
        within=large.label,
        constraint=how.constraint,
        effect=_effect(large, how),
        spread=float(rms[0] / rms[1]) if rms[1] > 0 else np.inf,
        statistic=float(statistic),
        df=q,
        df_resid=df_resid,
        p=float(p),
        method=method,
        why=why,
    )


def _refusal(large: FittedCandidate, how: Nesting, df_resid: int, replicates: int) -> str:
    """Why a test has no p value; empty where it has one."""
    penalty = large.fits[0].objective.penalty
    if df_resid < 1:
        return "the larger law leaves no residual degree of freedom"
    if penalty.absolute or not penalty.symmetric:
        return "the objective is no likelihood near its minimum: use robust='huber' or 'none'"
    note = next((n for fit in large.fits if (n := too_narrow(fit.notes)) is not None), None)
    if note is not None:
        return f"runs are far from independent ({note.code}): the statistic has no distribution"
    if replicates and len(large.fits) > 1:
        return "fits of single levels are not simulated: leave replicates out"
    if how.regularity == "unidentified" and not replicates:
        return (
            f"under {how.constraint!r} other parameters of the larger law mean nothing, so that "
            "chi-square does not hold: pass replicates=199"
        )
    return ""


def _effect(large: FittedCandidate, how: Nesting) -> str:
    if len(large.fits) > 1:
        return ""
    params = large.fits[0].params
    return ", ".join(f"{name} = {params[name]:.4g}" for name in how.parameters if name in params)


def _statistic(
    small: FittedCandidate, large: FittedCandidate, table: LossTable, df_resid: int
) -> float:
    """2 (F_small - F_large) / kappa, with penalties that are squares over two near zero."""
    how = measure(large.fits[0].objective)
    used = table.weight > 0
    residuals, weight = large.residuals[used], table.weight[used]
    noise = np.sum(weight * obj.influence(how, residuals) ** 2) / df_resid
    noise /= core_share(how, residuals, weight)
    fall = (small.objective_value - large.objective_value) / how.factor
    return float(max(0.0, 2 * fall / noise)) if noise > 0 else np.inf


def _by_f(statistic: float, q: int, df_resid: int, how: Nesting) -> tuple[float, str]:
    from scipy.stats import f

    tail = float(f.sf(statistic / q, q, df_resid))
    if how.regularity == "boundary" and q == 1:
        # Half of the time the best value is the bound itself, and the statistic zero.
        return (0.5 * tail if statistic > 0 else 1.0), "F, half"
    return tail, "F"


def _simulated(
    small: FittedCandidate,
    large: FittedCandidate,
    table: LossTable,
    replicates: int,
    seed: int,
    devices: Devices,
) -> float:
    """Share of tables simulated from the smaller law on which the objective falls by as much.

    The fall is relative, (F_small - F_large) / F_large, which has no unit. Losses are the smaller
    law's with residuals of the larger one drawn at random, enlarged by sqrt(n / (n - p)).
    """
    rng = np.random.default_rng(seed)
    used = table.weight > 0
    noise = large.residuals[used]
    noise = (noise - noise.mean()) * np.sqrt(len(noise) / (len(noise) - large.n_free))
    drawn = rng.choice(noise, (replicates, len(table)))
    (fit,) = small.fits
    losses = noisy_losses(fit.evaluate(table), drawn, fit.objective.residual)
    values = [_values(item, table, losses, devices) for item in (small, large)]
    with np.errstate(invalid="ignore", divide="ignore"):
        falls = (values[0] - values[1]) / values[1]
        seen = (small.objective_value - large.objective_value) / large.objective_value
    falls = falls[np.isfinite(falls)]
    return float((1 + np.sum(falls >= seen)) / (1 + len(falls)))


def _values(
    item: FittedCandidate, table: LossTable, losses: np.ndarray, devices: Devices
) -> np.ndarray:
    """The least objective of a candidate on many tables of one design, shape (tables,)."""
    (fit,) = item.fits
    prepared = prepare_again(fit, table)
    found = multistart.refit(
        prepared.problem,
        fit.objective,
        prepared.settings,
        prepared.data,
        observed=losses,
        starts=STARTS,
        devices=devices,
    )
    return np.asarray(found.value)


def frame_of_tests(tests: Sequence[NestedTest]) -> pd.DataFrame:
    """A row for each test."""
    return pd.DataFrame(list(tests), columns=NestedTest._fields)
