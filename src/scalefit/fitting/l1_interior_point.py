"""One step of an interior-point method for a sum of absolute residuals.

The condition |r| = l r is relaxed to r (1 - l^2) = mu l, which makes the multiplier a smooth
function of the residual, and the sum a smooth one (the logarithmic barrier of |r| <= t):

    l(r) = 2 r / (mu + R),   R = sqrt(mu^2 + 4 r^2),
    sum of w (R - mu ln((mu + R) / (2 mu))) / 2.

Newton's step for both unknowns, x and l, to its minimum is

    (B + J^T W D J) s = -J^T W l(r),   D = 4 u v / (u + v),
    u = (1 + l) (1 + l(r)) / (2 mu),   v = (1 - l) (1 - l(r)) / (2 mu),

with B the second derivative of the Lagrangian. A step for x alone would be as short as mu is small.
Mu falls tenfold whenever a step promises little beside what the relaxation costs.

Source: Portnoy and Koenker 1997, Statist. Sci. 12(4), for interior points and absolute residuals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.dense_objective import DenseObjective
from scalefit.fitting.l1_state import L1Path, lagrangian, typical_residual
from scalefit.fitting.linear_solve import combined, dot, product

__all__ = ["MU_END", "MU_SHRINK", "central_multiplier", "initial_damping", "interior_step"]

# Mu shrinks by this factor whenever a step promises less than this share of what the relaxation
# costs. It ends, in the unit of the loss, where residuals are rounding.
MU_SHRINK = 0.1
MU_PROMISE = 0.1
MU_END = 1e-16

# No multiplier comes closer to one than by this share of its distance from one.
TO_THE_LIMIT = 0.01

# Where a step gains less than this share of its promise, shorter ones are tried, too; so many of
# them are also corrected for the curvature of the interpolated rows.
GAINED = 0.5
SHORTER = (0.3, 0.1, 0.01)
CORRECTED = 3

# Damping, and the least curvature, in units of what the pull of the rows would be as a curvature of
# a smooth sum at the typical residual.
DAMPING_LEAST = 1e-8
DAMPING_AGAIN = 1e-2
DAMPING_SHRINK = 0.1
DAMPING_GROW = 10.0
DAMPING_MOST = 1e4
LEAST_CURVATURE = 1e-10

# Times that a step is bent at bounds (a projected step).
MOST_BENDS = 4

# A smoothed sum is known to this share.
SUM_ROUNDING = 1e-14

TINY = 1e-300


class _Barrier(NamedTuple):
    """The smoothed sum around a point, (starts, ...).

    Attributes:
        central: l(r), (starts, rows).
        stiffness: D, (starts, rows).
        jacobian: J^T, (starts, p, rows).
        gradient: (starts, p).
        hessian: B + J^T W D J, and that of a parabola above the smoothed sum, (2, starts, p, p).
        size: the scale in which steps are computed, (starts, p).
        held: parameters that stay, (starts, p).
        cost: what the relaxation costs, (starts,).
    """

    central: Any
    stiffness: Any
    jacobian: Any
    gradient: Any
    hessian: Any
    size: Any
    held: Any
    cost: Any


class _Trials(NamedTuple):
    """Trial points, (trials, starts, ...).

    Attributes:
        point: (trials, starts, p).
        rows: residuals, (trials, starts, rows).
        value: smoothed sums, (trials, starts).
        length: share of the step that each goes, (trials,).
    """

    point: Any
    rows: Any
    value: Any
    length: Any


def interior_step(objective: DenseObjective, path: L1Path) -> tuple[L1Path, Any]:
    """One step of every start, and where it promised little, (starts,)."""
    point, multiplier, mu = path.point, path.multiplier, path.mu
    here = _barrier(objective, path)
    steps = _bounded_steps(here, here.hessian, here.gradient[None], path, point)
    promises = np.abs(0.5 * dot(steps, here.gradient))
    now = _smoothed(path.rows, mu, path.weight)
    trials = _trials(objective, path, here, steps, now - GAINED * promises[0])
    best, each = np.argmin(trials.value, axis=0), np.arange(len(point))
    lower = trials.value[best, each] < now
    moved = np.where(lower[:, None], trials.point[best, each], point)
    # Multipliers go with the step, as far as it went.
    length = trials.length[best][:, None]
    ahead = here.central + here.stiffness * _along(moved - point, here.jacobian) / length
    ahead = multiplier + length * (ahead - multiplier)
    limit = 1 - TO_THE_LIMIT * (1 - np.abs(multiplier))
    damping = np.where(
        lower & (length[:, 0] == 1.0),
        np.maximum(DAMPING_SHRINK * path.damping, DAMPING_LEAST),
        np.where(lower, path.damping, np.maximum(DAMPING_GROW * path.damping, DAMPING_AGAIN)),
    )
    little = promises.max(axis=0) <= np.maximum(MU_PROMISE * here.cost, SUM_ROUNDING * now)
    little |= damping >= DAMPING_MOST
    return path._replace(
        point=moved,
        rows=np.where(lower[:, None], trials.rows[best, each], path.rows),
        multiplier=np.where(lower[:, None], np.clip(ahead, -limit, limit), multiplier),
        damping=np.where(little, DAMPING_LEAST, damping),
        iteration=path.iteration + 1,
    ), little


def initial_damping(count: int) -> np.ndarray:
    """Damping of the first step, (count,)."""
    return np.full(count, DAMPING_LEAST)


def _barrier(objective: DenseObjective, path: L1Path) -> _Barrier:
    """The smoothed sum around the points of a path."""
    batch, point, rows, multiplier, mu = path[1:6]
    weight = path.weight
    here = lagrangian(objective, batch, point, multiplier, rows)
    jacobian = objective.residual_jacobian(here)
    central, stiffness = central_multiplier(rows, mu), _stiffness(multiplier, rows, mu)
    gradient = dot(jacobian, (weight * central)[:, None])
    pull = weight * np.abs(central)
    smooth = pull / np.maximum(typical_residual(rows, weight), TINY)[:, None]
    size = dot(jacobian * jacobian, smooth[:, None])
    size = np.sqrt(np.maximum(size, 1e-12 * size.max(axis=-1, keepdims=True)))
    # l(r) <= 2 r / (mu + R): this weight is that of a parabola above, as psi(r)/r is of Huber's.
    majorising = 2.0 / (mu[:, None] + _root(rows, mu))
    both = np.stack([weight * stiffness, weight * majorising])
    hessian = product(both[:, :, None] * jacobian, jacobian)
    hessian[0] += here.hessian - here.gauss_newton
    return _Barrier(
        central=central,
        stiffness=stiffness,
        jacobian=jacobian,
        gradient=gradient,
        hessian=hessian,
        size=size,
        # A coordinate without effect, as the exponent of a term that is zero, stays where it is.
        held=batch.at_bound(point, gradient) | ~jacobian.any(axis=-1),
        # Little for rows off the surface, where |l| is near one.
        cost=mu * dot(pull, 1.01 - np.abs(central)),
    )


def _trials(
    objective: DenseObjective, path: L1Path, here: _Barrier, steps: Any, enough: Any
) -> _Trials:
    """The whole step; where it gains too little, shorter and corrected ones.

    Args:
        objective: for residuals.
        path: where starts are.
        here: the smoothed sum there.
        steps: by the two Hessians, (2, starts, p).
        enough: smoothed sums that a whole step should reach, (starts,).
    """
    batch, point, rows = path.batch, path.point, path.rows
    weight, mu = path.weight, path.mu

    def clipped(point: Any) -> Any:
        return np.clip(point, batch.lower, batch.upper)

    trials, lengths = clipped(point + steps[:1]), np.ones(1)
    found = objective.residuals(batch, trials)
    value = _smoothed(found, mu, weight)
    if not (value[0] > enough).any():
        return _Trials(trials, found, value, lengths)
    shorter = clipped(point + np.stack([*(length * steps[0] for length in SHORTER), steps[1]]))
    trials, lengths = np.concatenate([trials, shorter]), np.array([1.0, *SHORTER, 1.0])
    found = np.concatenate([found, objective.residuals(batch, shorter)])
    # Second-order correction: where interpolated rows are curved, a straight step leaves them, by
    # what their residuals differ from the linear prediction.
    some = trials[:CORRECTED]
    off = found[:CORRECTED] - rows - _along(some - point, here.jacobian)
    off = np.where(np.isfinite(off), off, 0.0)
    pull = dot(here.jacobian, (weight * here.stiffness * off)[:, :, None])
    corrected = clipped(some + _bounded_steps(here, here.hessian[:1], pull, path, some))
    trials = np.concatenate([trials, corrected])
    found = np.concatenate([found, objective.residuals(batch, corrected)])
    lengths = np.append(lengths, lengths[:CORRECTED])
    return _Trials(trials, found, _smoothed(found, mu, weight), lengths)


def _bounded_steps(here: _Barrier, hessian: Any, gradient: Any, path: L1Path, start: Any) -> Any:
    """Steps down the gradient within bounds, negative curvature turned round, (kinds, starts, p).

    A parameter that a step would take across its bound is put there, and the step of the others
    follows from that. Eigenvalues count by their size (Nocedal and Wright 2006, Numerical
    Optimization, section 3.4).

    Args:
        here: for its scale, and parameters that stay.
        hessian: (kinds or 1, starts, p, p).
        gradient: (kinds or 1, starts, p).
        path: for damping and bounds.
        start: points the steps start from, (..., starts, p).
    """
    size = here.size
    eye = np.eye(size.shape[-1])
    scaled = hessian / (size[:, :, None] * size[:, None, :])
    scaled = np.where(np.isfinite(scaled).all(axis=(-2, -1), keepdims=True), scaled, eye)
    down = -gradient / size
    low, high = ((end - start) * size for end in (path.batch.lower, path.batch.upper))
    put = np.zeros(np.broadcast_shapes(scaled.shape[:-1], down.shape))
    fixed = np.broadcast_to(here.held, put.shape)
    step = put
    for _ in range(MOST_BENDS):
        out = fixed[..., :, None] | fixed[..., None, :]
        values, vectors = np.linalg.eigh(np.where(out, eye, scaled))
        values = np.maximum(np.abs(values), LEAST_CURVATURE) + path.damping[:, None]
        right = np.where(fixed, 0.0, down - (scaled @ put[..., None])[..., 0])
        within = (np.swapaxes(vectors, -1, -2) @ right[..., None])[..., 0] / values
        step = np.where(fixed, put, (vectors @ within[..., None])[..., 0])
        across = ~fixed & ((step < low) | (step > high))
        if not across.any():
            break
        put = np.where(across, np.clip(step, low, high), put)
        fixed = fixed | across
    return step / size


def _along(steps: Any, jacobian: Any) -> Any:
    """J s, (..., starts, rows)."""
    return combined(steps, np.broadcast_to(jacobian, (*steps.shape, jacobian.shape[-1])))


def _root(rows: Any, mu: Any) -> Any:
    """R."""
    return np.sqrt(mu[:, None] ** 2 + 4 * rows**2)


def central_multiplier(rows: Any, mu: Any) -> Any:
    """l(r), which solves r (1 - l^2) = mu l."""
    return 2 * rows / (mu[:, None] + _root(rows, mu))


def _stiffness(multiplier: Any, rows: Any, mu: Any) -> Any:
    """D."""
    central = central_multiplier(rows, mu)
    u = (1 + multiplier) * (1 + central) / (2 * mu[:, None])
    v = (1 - multiplier) * (1 - central) / (2 * mu[:, None])
    return 4 * u * v / np.maximum(u + v, TINY)


def _smoothed(rows: Any, mu: Any, weight: Any) -> Any:
    """Sum of weight times the integral of l(r), (..., starts)."""
    root, mu = _root(rows, mu), mu[:, None]
    found = 0.5 * dot(weight, root - mu * np.log((mu + root) / (2 * mu)))
    return np.where(np.isfinite(found), found, np.inf)
