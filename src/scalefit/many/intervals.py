"""Standard errors of the parameters of all tables of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scalefit.laws import Law
from scalefit.many.around import Around, bases
from scalefit.objective import Objective, influence
from scalefit.problem.problem import Problem
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.runtime.settings import quiet

__all__ = ["Errors", "Intervals", "standard_errors"]

# As for ``inference.covariance``: a run determines a direction alone, a matrix is singular.
LEAST_LEFT = 1e-8
SINGULAR = 1e-15

# Half width of the window of a core share, over powers of the number of rows.
# See ``fitting.derivatives.core_share``.
WIDEST_SHARE = 0.45


class Errors(NamedTuple):
    """Standard errors of the free parameters of some tables.

    Attributes:
        se: raw units, (tables, p); NaN where there are none.
        logarithmic: whether the interval is symmetric in the logarithm, (tables, p).
        df: degrees of freedom of Student's t, (tables,); infinite where errors are known.
    """

    se: np.ndarray
    logarithmic: np.ndarray
    df: np.ndarray

    def only(self, which: np.ndarray) -> Errors:
        """Those of some tables, (tables,); NaN for the others."""
        se, df = np.where(which[:, None], self.se, np.nan), np.where(which, self.df, np.nan)
        return self._replace(se=se, df=df)


class Intervals(NamedTuple):
    """Standard errors of many tables, by name of the parameter; see :class:`Errors`."""

    se: dict[str, np.ndarray]
    logarithmic: dict[str, np.ndarray]
    df: np.ndarray

    @classmethod
    def blank(cls, law: Law, count: int) -> Intervals:
        """None yet."""
        return cls(
            {name: np.full(count, np.nan) for name in law.names},
            {name: np.zeros(count, dtype=bool) for name in law.names},
            np.full(count, np.nan),
        )

    def put(self, problem: Problem, which: np.ndarray, found: Errors) -> None:
        """Write those of some tables of one problem."""
        self.df[which] = found.df
        for place, group in enumerate(problem.names):
            for name in group:
                self.se[name][which] = found.se[:, place]
                self.logarithmic[name][which] = found.logarithmic[:, place]

    def ends(self, values: Mapping[str, np.ndarray], level: float) -> dict[str, np.ndarray]:
        """Columns ``NAME_se``, ``NAME_low`` and ``NAME_high`` of all free parameters.

        Args:
            values: estimates by name, each (tables,).
            level: coverage promised.
        """
        from scipy.stats import t

        reach = t.ppf(0.5 + 0.5 * level, self.df)
        found: dict[str, np.ndarray] = {}
        for name, se in self.se.items():
            value, log = values[name], self.logarithmic[name]
            with np.errstate(over="ignore"):
                factor = np.exp(reach * se / np.where(log, value, np.inf))
                low = np.where(log, value / factor, value - reach * se)
                high = np.where(log, value * factor, value + reach * se)
            found |= {f"{name}_se": se, f"{name}_low": low, f"{name}_high": high}
        return found


@quiet()
def standard_errors(
    problem: Problem, objective: Objective, near: Around, point: np.ndarray, held: np.ndarray
) -> Errors:
    """Standard errors at the optimum of each table, each run independent of the others.

    They are those of :func:`scalefit.covariance` by its default method; NaN where it refuses for
    want of degrees of freedom, or because the curvature is singular.

    Args:
        problem: the problem.
        objective: what is minimised.
        near: the rows around the optimum.
        point: the optimum, (tables, p).
        held: which free parameters are at a bound, (tables, p).
    """
    free = ~held
    used = near.weight > 0
    freedom = used.sum(axis=1) - problem.size
    jacobian = np.where(free[:, None, :], near.jacobian, 0.0)
    size = np.sqrt(np.sum(near.weight[..., None] * jacobian**2, axis=1))
    idle = ((size == 0) & free).any(axis=1)
    scaled = jacobian / np.where(size > 0, size, 1.0)[:, None, :]
    inner = np.swapaxes(scaled, 1, 2) @ (near.weight[..., None] * scaled)
    both = np.where(size > 0, size, 1.0)
    curvature = near.curvature / (both[:, :, None] * both[:, None, :])
    squares = objective.residual == "raw" and not objective.penalty.bounded
    linear = squares and not problem.nonlinear and free.all(axis=1)
    linear = np.broadcast_to(linear, freedom.shape)
    plain = linear & (freedom < FEWEST_FREEDOM)
    if objective.sigma is not None:
        plain = np.ones_like(plain)
    share = _core_shares(near, used)
    psi = influence(near.how, near.residuals)
    straight = _variance(objective, near, psi, freedom, share)[:, None, None] * _inverse(
        inner, free
    )
    hessian = share[:, None, None] * inner + curvature
    scores = (near.weight * psi / _left(scaled, near.weight, used))[..., None] * scaled
    steps = scores @ _inverse(hessian, free)
    count = used.sum(axis=1)
    sandwich = ((count - 1) / count)[:, None, None] * (np.swapaxes(steps, 1, 2) @ steps)
    variance = np.diagonal(np.where(plain[:, None, None], straight, sandwich), axis1=1, axis2=2)
    fine = ((np.isfinite(variance) & (variance > 0)) | held).all(axis=1) & ~idle
    fine &= freedom >= np.where(plain, 1, FEWEST_FREEDOM)
    natural, logarithmic = _scales(problem, point)
    logarithmic[:, : len(problem.owners)] &= ~(linear & plain)[:, None]
    se = np.where(fine[:, None] & free, natural * np.sqrt(np.abs(variance)) / both, np.nan)
    df = freedom.astype(np.float64)
    if objective.sigma is not None:
        df = np.full_like(df, np.inf)
    return Errors(se, logarithmic, np.where(fine, df, np.nan))


def _variance(
    objective: Objective, near: Around, psi: np.ndarray, freedom: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Variance of the noise in the unit of the rows; one where errors are known."""
    if objective.sigma is not None:
        return near.unit**-2.0
    return np.asarray(np.sum(near.weight * psi**2, axis=1) / np.maximum(freedom, 1) / share**2)


def _scales(problem: Problem, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw units of a step in each parameter, and which have intervals in their logarithms."""
    kinds = {param.name: param.kind.name for param in problem.law.params}
    k = len(problem.owners)
    searched = np.array([False] * k + list(problem.logarithmic), dtype=bool)
    natural = np.where(searched, np.exp(np.where(searched, point, 0.0)), 1.0)
    amplitude = [kinds[problem.linear[owner][0]] == "amplitude" for owner in problem.owners]
    logarithmic = np.broadcast_to(searched, point.shape).copy()
    logarithmic[:, :k] = np.array(amplitude, dtype=bool) & (point[:, :k] > 0)
    return natural, logarithmic


def _left(scaled: np.ndarray, weight: np.ndarray, used: np.ndarray) -> np.ndarray:
    """One less the leverage of each row, (tables, rows); one where a row determines a direction."""
    basis = bases(np.sqrt(weight)[..., None] * scaled, used.sum(axis=1))
    rest = 1 - np.sum(basis**2, axis=2)
    return np.where(rest > LEAST_LEFT, rest, 1.0)


def _inverse(matrix: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Inverses of symmetric matrices among the free parameters; NaN where one is singular."""
    both = free[:, :, None] & free[:, None, :]
    matrix = np.where(both, 0.5 * (matrix + np.swapaxes(matrix, 1, 2)), 0.0)
    # What is not free has an eigenvalue between those of the others.
    middle = np.trace(matrix, axis1=1, axis2=2) / np.maximum(free.sum(axis=1), 1)
    matrix = matrix + middle[:, None, None] * (~free)[:, :, None] * np.eye(free.shape[1])
    sound = np.isfinite(matrix).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(sound[:, None, None], matrix, np.eye(free.shape[1])))
    size = np.abs(values)
    sound &= size.min(axis=1) > SINGULAR * size.max(axis=1)
    inverse = (vectors / values[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.where(sound[:, None, None], np.where(both, inverse, 0.0), np.nan)


def _core_shares(near: Around, used: np.ndarray) -> np.ndarray:
    """``fitting.derivatives.core_share`` of each table, (tables,)."""
    weight, residuals = near.weight, near.residuals
    delta = near.delta[:, 0]
    side = np.where(residuals < 0, float(near.how.asymmetry), 1.0)
    total = weight.sum(axis=1)
    window = np.maximum(delta, _bandwidths(residuals, used))
    infinite = ~np.isfinite(delta)
    inside = (np.abs(residuals) <= window[:, None]) | infinite[:, None]
    share = np.sum(weight * side * inside, axis=1) / total
    return np.asarray(np.where(infinite, share, share * delta / window))


def _bandwidths(residuals: np.ndarray, used: np.ndarray) -> np.ndarray:
    """``fitting.derivatives._bandwidth`` of each table, (tables,)."""
    from scipy.special import ndtri

    count = used.sum(axis=1)
    share = count ** (-1 / 3) * ndtri(0.975) ** (2 / 3) * (1.5 / (2 * np.pi)) ** (1 / 3)
    share = np.minimum(share, WIDEST_SHARE)
    ordered = np.sort(np.where(used, residuals, np.inf), axis=1)
    low, high = (_quantile(ordered, count, part) for part in (0.25, 0.75))
    mean = residuals.sum(axis=1) / count
    off = np.where(used, residuals - mean[:, None], 0.0)
    deviation = np.sqrt((off**2).sum(axis=1) / count)
    spread = np.minimum(deviation, (high - low) / 1.349)
    return np.asarray(np.where(spread > 0, spread, deviation) * ndtri(0.5 + share))


def _quantile(ordered: np.ndarray, count: np.ndarray, part: float) -> np.ndarray:
    """A quantile of the first rows of each table, sorted."""
    place = part * (count - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, count - 1)
    every = np.arange(len(ordered))
    low, high = ordered[every, below], ordered[every, above]
    return np.asarray(low + (place - below) * (high - low))
