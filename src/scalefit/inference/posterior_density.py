"""Density of the posterior: likelihoods, flat priors, and coordinates to sample in."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit import objective as obj
from scalefit.errors import DataError
from scalefit.fitting.derivatives import derivatives, residuals_at
from scalefit.inference.fitted_data import FittedData
from scalefit.objective import Measure
from scalefit.problem.problem import Data, Problem
from scalefit.runtime.settings import own_settings

__all__ = ["Coordinates", "coordinates", "log_likelihood", "log_normaliser"]

# Eigenvalues of the scaled precision below this share of the largest are no more than rounding.
ROUNDING = 1e-10


def log_normaliser(how: Measure, scale: Any) -> Any:
    """Logarithm of the integral of exp(-penalty / scale) over all residuals.

    Args:
        how: the objective in numbers; an infinite delta is the square.
        scale: positive, in the unit of the penalty (of abs(r) for absolute residuals).
    """
    finite = jnp.isfinite(how.delta)
    delta = jnp.where(finite, how.delta, 1.0)
    normal = jnp.sqrt(2 * jnp.pi * scale)
    core = normal * jax.scipy.special.erf(delta / jnp.sqrt(2 * scale))
    tails = 2 * scale / delta * jnp.exp(-(delta**2) / (2 * scale))
    whole = jnp.where(finite, core + tails, normal)
    return jnp.log(jnp.where(how.absolute, 2 * scale, whole))


class Coordinates(NamedTuple):
    """Unconstrained coordinates in which the posterior is about standard normal.

    The prior is flat in the flat coordinates: each a parameter or its logarithm. The line is mapped
    into the bounds of each; the logarithm of the noise comes last and has none.

    Attributes:
        lower: bounds of the flat coordinates, shape (p,).
        upper: shape (p,).
        raised: whether the fit's coordinate is the exponential of the flat one, shape (p,).
        centre: where the chains start, unconstrained, shape (p + 1,).
        root: a root of the covariance there, shape (p + 1, p + 1).
    """

    lower: Any
    upper: Any
    raised: Any
    centre: Any
    root: Any

    def point(self, free: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The fit's point, logarithm of the noise, and log determinant of the map.

        Args:
            free: shape (p + 1,).
        """
        line = self.centre + self.root @ free
        z, noise = line[:-1], line[-1]
        low, high = jnp.isfinite(self.lower), jnp.isfinite(self.upper)
        both, single = low & high, low ^ high
        lower = jnp.where(low, self.lower, 0.0)
        upper = jnp.where(high, self.upper, 0.0)
        width = jnp.where(both, upper - lower, 1.0)
        # The branch not taken must not overflow: its derivative would be no number.
        away = jnp.exp(jnp.where(single, z, 0.0))
        flat = jnp.where(low, lower + away, jnp.where(high, upper - away, z))
        flat = jnp.where(both, lower + width * jax.nn.sigmoid(z), flat)
        bent = jnp.log(width) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
        volume = jnp.sum(jnp.where(both, bent, jnp.where(single, z, 0.0)))
        natural = jnp.exp(jnp.where(self.raised, flat, 0.0))
        return jnp.where(self.raised, natural, flat), noise, volume


def coordinates(fitted: FittedData) -> Coordinates:
    """Coordinates in which the posterior is about a standard normal one.

    Raises:
        DataError: it is not bounded in some direction.
    """
    prepared, point = fitted.prepared, fitted.point
    problem, data, ends = prepared.problem, prepared.data, prepared.settings.ends
    searched = np.array([False] * len(problem.owners) + list(problem.logarithmic))
    kinds = {param.name: param.kind for param in fitted.fit.law.params}
    names = [group[0] for group in problem.names]
    kind = [kinds[name.partition("[")[0]] for name in names]
    # Where the prior is flat in the logarithm, and where the fit's coordinate is not it already.
    log = searched | np.array(
        [
            item.spacing == "log" or (item.name == "amplitude" and low >= 0)
            for item, (low, _) in zip(kind, ends, strict=True)
        ]
    )
    raised = log & ~searched
    _require_positive(names, point, raised)
    lower, upper = _logs(ends[:, 0], log), _logs(ends[:, 1], log)
    around = derivatives(problem, data, point)
    # Precision of the likelihood in flat coordinates: of raised ones, d(point)/d(flat) = point.
    weight = np.asarray(data.weight)
    jacobian = np.asarray(around.jacobian) * np.where(raised, point, 1.0)
    noise, information = _noise(data, np.asarray(around.residuals), weight)
    precision = information * (jacobian.T @ (weight[:, None] * jacobian))
    best = _inside(names, _logs(point, raised), precision, (lower, upper))
    centre, slope, prior = _on_the_line(best, lower, upper)
    precision = precision * np.outer(slope, slope) + np.diag(prior)
    # Inverse root of the precision, scaled to ones on the diagonal.
    size = np.sqrt(np.diagonal(precision))
    values, vectors = np.linalg.eigh(precision / np.outer(size, size))
    root = np.zeros((len(point) + 1, len(point) + 1))
    root[:-1, :-1] = vectors / np.sqrt(np.maximum(values, ROUNDING * values[-1])) / size[:, None]
    # The logarithm of the noise, of n rows, has about this standard deviation.
    root[-1, -1] = 1 / np.sqrt(weight.sum())
    return Coordinates(lower, upper, raised, np.r_[centre, np.log(noise)], root)


def _logs(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Logarithms of some values, and the others as they are."""
    with np.errstate(divide="ignore"):
        return np.where(where, np.log(np.where(where, values, 1.0)), values)


def _require_positive(names: list[str], point: np.ndarray, raised: np.ndarray) -> None:
    for name, value, positive in zip(names, point, raised, strict=True):
        if positive and not value > 0:
            raise DataError(
                f"{name} is {value:g} at the optimum, and the prior is flat in its logarithm: "
                "its posterior has no end there",
                remedy="Fit a law without its term, or with bounds above zero, as "
                f"bounds={{{name.partition('[')[0]!r}: (0.001, 1e6)}}",
            )


def _inside(
    names: list[str],
    best: np.ndarray,
    precision: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """The optimum, moved away from the bounds by a standard deviation or a quarter of the range.

    Args:
        names: of the free parameters.
        best: the optimum in flat coordinates, shape (p,).
        precision: of the likelihood there, shape (p, p).
        bounds: lower and upper, each of shape (p,).

    Raises:
        DataError: a parameter without two bounds has no effect.
    """
    lower, upper = bounds
    with np.errstate(divide="ignore"):
        spread = 1 / np.sqrt(np.diagonal(precision))
    endless = ~(np.isfinite(lower) & np.isfinite(upper)) & ~np.isfinite(spread)
    if endless.any():
        name = names[int(np.argmax(endless))]
        raise DataError(
            f"{name} has no effect at the optimum, and no bounds: its posterior has no end",
            remedy=f"Fix {name}, or fit with bounds for it",
        )
    inside = np.minimum(spread, 0.25 * (upper - lower))
    return np.clip(best, lower + inside, upper - inside)


def _on_the_line(
    best: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat coordinates x as coordinates z without bounds: logit, logarithm, or as they are.

    Returns:
        z, dx/dz, and the curvature in z of the logarithm of a prior that is flat in x between two
        bounds, each of shape (p,).
    """
    low, high = np.isfinite(lower), np.isfinite(upper)
    below, above = best - lower, upper - best
    with np.errstate(invalid="ignore"):
        share = np.where(low & high, below / (upper - lower), 0.5)
        z = np.where(low, np.log(below), np.where(high, np.log(above), best))
        slope = np.where(low, below, np.where(high, above, 1.0))
    z = np.where(low & high, np.log(share / (1 - share)), z)
    slope = np.where(low & high, below * (1 - share), slope)
    return z, slope, np.where(low & high, 2 * share * (1 - share), 0.0)


def log_likelihood(problem: Problem, data: Data, point: jax.Array, noise: jax.Array) -> jax.Array:
    """Log likelihood of all rows, normalised; -inf where a residual does not exist."""
    residuals = residuals_at(problem, data, point)
    fine = jnp.isfinite(residuals) | (data.weight == 0)
    residuals = jnp.where(fine & jnp.isfinite(residuals), residuals, 0.0)
    scale = jnp.exp(noise)
    sizes = _penalties(data.measure, residuals)
    terms = data.weight * (sizes / scale + log_normaliser(data.measure, scale))
    return jnp.where(jnp.all(fine), -jnp.sum(terms), -jnp.inf)


def _penalties(how: Measure, residuals: Any) -> Any:
    """What the logarithm of the density is in proportion to: penalties, or abs(r)."""
    return jnp.where(how.absolute, jnp.abs(residuals), obj.penalty(how, residuals))


def _noise(data: Data, residuals: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Most likely size of the noise, and Fisher information of a row about its prediction."""
    with own_settings():
        total = float(weight @ np.asarray(_penalties(data.measure, residuals)))
    mean = total / float(weight.sum())
    if bool(data.measure.absolute):
        return mean, mean**-2
    from scipy.special import erf

    delta, scale, core = float(data.measure.delta), 2 * mean, 1.0
    # With the share c of the density within delta the mean penalty is (1 - c / 2) scale.
    for _ in range(100 if np.isfinite(delta) else 0):
        middle = np.sqrt(2 * np.pi * scale) * erf(delta / np.sqrt(2 * scale))
        core = middle / (middle + 2 * scale / delta * np.exp(-(delta**2) / (2 * scale)))
        scale = mean / (1 - 0.5 * core)
    return scale, core / scale
