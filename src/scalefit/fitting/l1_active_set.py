"""Sums of absolute residuals: the equations at the interpolated rows, and exchanges of such rows.

With a set A of rows taken to be interpolated, Newton's method (the projected Lagrangian) solves

    r_i(x) = 0 for i in A,   J^T W l = 0,   l_i = +-1 elsewhere:

a step onto the rows of A, J_A s = -r_A, and along them to the minimum of the Lagrangian, whose
second derivative there is Z^T B Z with Z the null space of J_A and B the law's curvature. It ends
at rounding in a few steps.

What it finds is a minimum where the multipliers of A are within [-1, 1] and no other row has
changed its side. A row whose multiplier is not is exchanged for the next one that the surface meets
as it moves off it.

Sources: Murray and Overton 1981, SIAM J. Sci. Stat. Comput. 2(2), for the equations; Bartels, Conn
and Sinclair 1978, SIAM J. Numer. Anal. 15(2), for the exchanges.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.dense_objective import DenseObjective
from scalefit.fitting.l1_state import L1Path, lagrangian, rounding_of_residuals, typical_residual
from scalefit.fitting.linear_solve import dot

__all__ = ["EXCHANGED_FROM", "accumulated", "interpolate"]

# Rows are exchanged from where mu is this share of the typical residual.
EXCHANGED_FROM = 1e-3

# Interpolated rows are independent down to this share of the largest singular value.
INDEPENDENT = 1e-11
# Curvature along the interpolated rows that is none, as a share of what pulls at the rows.
FLAT = 1e-9
# And as a share of the weights: it is the difference of two sums over them.
FLAT_ROUNDING = 1e-14
# Newton's steps, how short the last one is, in units of its effect on the rows, and how often an
# interpolated row is exchanged for another.
MOST_STEPS = 12
SHORT = 1e-6
MOST_EXCHANGES = 8
# Multipliers may pass one by this.
MULTIPLIER_ROUNDING = 1e-9
# Cosine between what is left unbalanced and a Jacobian column that is none.
BALANCED = 1e-9


class _Solution(NamedTuple):
    """The equations, solved, (starts, ...).

    Attributes:
        point: scaled coordinates, (starts, p).
        rows: residuals, (starts, rows).
        multiplier: whatever their size, (starts, rows).
        done: whether there is a solution, and a minimum along the interpolated rows, (starts,).
        jacobian: J^T, (starts, p, rows).
        scale: of the steps: zero for parameters held by a bound, (starts, p).
    """

    point: Any
    rows: Any
    multiplier: Any
    done: Any
    jacobian: Any
    scale: Any


class _Subset:
    """The interpolated rows of every start, brought to the front of arrays of one length.

    Args:
        through: which rows, (starts, rows).
        least: the length is no less.
    """

    def __init__(self, through: Any, least: int) -> None:
        most = max(int(through.sum(axis=-1).max(initial=0)), least)
        self.first = np.argsort(~through, axis=-1, kind="stable")[:, :most]
        self.counted = np.take_along_axis(through, self.first, axis=-1)

    def of(self, rows: Any) -> Any:
        """Numbers of those rows, zero for filling, (starts, length)."""
        return np.where(self.counted, np.take_along_axis(rows, self.first, axis=-1), 0.0)

    def columns(self, jacobian: Any) -> Any:
        """Columns of J^T, (starts, p, length)."""
        taken = np.take_along_axis(jacobian, self.first[:, None], axis=-1)
        return taken * self.counted[:, None]

    def added(self, rows: Any, change: Any) -> Any:
        """Numbers of all rows with changes to those of the subset, (starts, rows)."""
        rows = rows.copy()
        old = np.take_along_axis(rows, self.first, axis=-1)
        np.put_along_axis(rows, self.first, old + change, axis=-1)
        return rows


class _Equations(NamedTuple):
    """The equations around a point, in the scale of the steps, (starts, ...).

    Attributes:
        jacobian: J^T in scaled coordinates, (starts, p, rows).
        scale: of the steps, (starts, p).
        scaled: J^T in that scale, (starts, p, rows).
        columns: those of the interpolated rows, (starts, p, length).
        hessian: B in that scale, (starts, p, p).
        finite: (starts,).
    """

    jacobian: Any
    scale: Any
    scaled: Any
    columns: Any
    hessian: Any
    finite: Any


def interpolate(
    objective: DenseObjective, path: L1Path, through: Any, exchanges: int = MOST_EXCHANGES
) -> tuple[Any, Any, Any]:
    """Points and multipliers where given rows are interpolated, and whether they are minima.

    Args:
        objective: for its derivatives.
        path: starts nearby.
        through: rows to be interpolated, (starts, rows).
        exchanges: how often one of them may be exchanged for another.
    """
    batch, weight = path.batch, path.weight
    found = _solved(objective, path, through)
    point, multiplier, sizes = found.point, found.multiplier, np.abs(found.rows)
    rounding = rounding_of_residuals(batch, accumulated(point, found.jacobian))
    zero, own = sizes <= rounding, found.rows * np.sign(path.multiplier) >= -rounding
    sided = np.where(through, zero, own).all(axis=-1)
    within = np.abs(multiplier).max(axis=-1) <= 1 + MULTIPLIER_ROUNDING
    before = dot(weight, np.abs(path.rows))
    no_higher = dot(weight, sizes) <= before + dot(weight, rounding)
    converged = found.done & sided & within & no_higher
    near = path.mu <= EXCHANGED_FROM * typical_residual(path.rows, weight)
    # A solution that is no minimum: exchange a row, or take every row to be on its present side.
    for i in np.flatnonzero(found.done & ~(sided & within) & near) if exchanges else ():
        one = path.take([i])._replace(point=point[[i]], rows=found.rows[[i]])
        scaled = found.jacobian[i] * found.scale[i, :, None]
        if sided[i]:
            off = int(np.argmax(np.abs(multiplier[i])))
            one = one._replace(multiplier=np.clip(multiplier[[i]], -1.0, 1.0))
            other = _exchanged(objective, one, through[i], off, scaled, found.scale[i])
        else:
            other = _reassigned(one, multiplier[i], through[i], zero[i], scaled)
        if other is not None:
            leaves = interpolate(objective, *other, exchanges - 1)
            point[i], multiplier[i], converged[i] = (leaf[0] for leaf in leaves)
    return point, np.clip(multiplier, -1.0, 1.0), converged


def accumulated(point: Any, jacobian: Any) -> Any:
    """|J| times sizes of the parameters: what rounding acts on, (starts, rows)."""
    sizes = np.maximum(np.abs(point), 1.0)
    return dot(np.swapaxes(np.abs(jacobian), -1, -2), sizes[:, None])


def _solved(objective: DenseObjective, path: L1Path, through: Any) -> _Solution:
    """Newton's method for the equations at given interpolated rows, (starts, rows)."""
    batch, point, rows, weight = path.batch, path.point, path.rows, path.weight
    total = weight.sum(axis=-1)
    sides = np.where(through, 0.0, np.sign(path.multiplier))
    multiplier = np.where(through, path.multiplier, sides)
    subset = _Subset(through, least=point.shape[1])
    length, minimum = np.full(len(point), np.inf), np.ones(len(point), dtype=bool)
    going, even, at = minimum.copy(), minimum, None
    for turn in range(MOST_STEPS):
        at = _equations(objective, path, point, rows, multiplier, subset)
        minimum, going = minimum & (at.finite | ~going), going & at.finite
        columns = np.where(going[:, None, None], at.columns, 0.0)
        hessian = np.where(going[:, None, None], at.hessian, 0.0)
        pull = np.where(going[:, None], dot(at.scaled, (weight * sides)[:, None]), 0.0)
        step = np.zeros(point.shape)
        # At first only the multipliers at the point itself, on which the curvature depends.
        if turn:
            flat = FLAT * dot(weight, np.abs(multiplier)) + FLAT_ROUNDING * total
            step, least = _null_space_step(columns, hessian, pull, subset.of(rows), flat)
            minimum = minimum & (least | ~going)
        # Multipliers that balance the pull after the step, to first order.
        lacking = -pull - (hessian @ step[..., None])[..., 0]
        lacking = lacking - dot(columns, subset.of(weight * multiplier)[:, None])
        change, left = _balancing(columns, subset.of(weight), subset.of(multiplier), lacking)
        change = np.where(going[:, None] & subset.counted, change, 0.0)
        pulls = weight * multiplier
        norms = np.sqrt(dot(at.scaled, at.scaled) * dot(pulls, pulls)[:, None])
        even = np.where(going, (np.abs(left) <= BALANCED * norms).all(axis=-1), even)
        multiplier = subset.added(multiplier, change)
        if not turn:
            continue
        moved = np.clip(point + step * at.scale, batch.lower, batch.upper)
        point = np.where(going[:, None], moved, point)
        rows = np.where(going[:, None], objective.residuals(batch, point), rows)
        last, now = length, np.abs(step).max(axis=-1, initial=0.0)
        length = np.where(going, now, length)
        # Down to rounding: no shorter than half the one before.
        going = going & minimum & ~((now <= SHORT) & ((now >= 0.5 * last) | (now == 0)))
        if not going.any():
            break
    assert at is not None
    done = minimum & even & (length <= SHORT) & np.isfinite(rows).all(axis=-1)
    return _Solution(point, rows, multiplier, done, at.jacobian, at.scale)


def _equations(
    objective: DenseObjective, path: L1Path, point: Any, rows: Any, multiplier: Any, subset: _Subset
) -> _Equations:
    """The equations around points of starts of a path."""
    batch, weight = path.batch, path.weight
    here = lagrangian(objective, batch, point, multiplier, rows)
    jacobian = objective.residual_jacobian(here)
    held = batch.at_bound(point, dot(jacobian, (weight * multiplier)[:, None]))
    share = weight / weight.sum(axis=-1)[:, None]
    size = np.sqrt(dot(jacobian * jacobian, share[:, None]))
    # Of a parameter that is held or has no effect, neither rows nor the sum are functions.
    free = ~held & (size > 0)
    scale = np.where(free, 1.0 / np.where(free, size, 1.0), 0.0)
    scaled = jacobian * scale[:, :, None]
    columns = subset.columns(scaled)
    hessian = (here.hessian - here.gauss_newton) * scale[:, :, None] * scale[:, None, :]
    finite = np.isfinite(columns).all(axis=(-2, -1)) & np.isfinite(hessian).all(axis=(-2, -1))
    return _Equations(jacobian, scale, scaled, columns, hessian, finite)


def _null_space_step(
    columns: Any, hessian: Any, pull: Any, rows: Any, flat: Any
) -> tuple[Any, Any]:
    """Steps onto the interpolated rows and to the minimum along them, and whether there is one.

    With J_A^T = U S V^T, the columns of U with a singular value lead onto the rows, and the others
    along them: the null-space method (Nocedal and Wright 2006, section 16.2).

    Args:
        columns: J_A^T, (starts, p, rows), at least p of them.
        hessian: second derivative of the Lagrangian, (starts, p, p).
        pull: gradient of the other rows, (starts, p).
        rows: residuals of the interpolated rows, (starts, rows).
        flat: curvature that is none, (starts,).
    """
    left, values, right = np.linalg.svd(columns, full_matrices=False)
    across = values > INDEPENDENT * values.max(axis=-1, keepdims=True)
    inverse = np.where(across, 1.0 / np.where(across, values, 1.0), 0.0)
    back = np.swapaxes(left, -1, -2)
    onto = (left @ (inverse * (-right @ rows[..., None])[..., 0])[..., None])[..., 0]
    # Z^T B Z, with ones on the diagonal for the directions across.
    along = ~across[:, :, None] & ~across[:, None, :]
    ones = np.where(across, 1.0 + flat[:, None], 0.0)
    reduced = np.where(along, back @ hessian @ left, 0.0)
    reduced = reduced + ones[:, :, None] * np.eye(left.shape[-1])
    values, axes = np.linalg.eigh(reduced)
    rest = pull + (hessian @ onto[..., None])[..., 0]
    rest = np.where(across, 0.0, (back @ rest[..., None])[..., 0])
    # Where the sum is flat, nothing is gained by moving.
    curved = values > flat[:, None]
    inverse = np.where(curved, 1.0 / np.where(curved, values, 1.0), 0.0)
    within = inverse * (np.swapaxes(axes, -1, -2) @ rest[..., None])[..., 0]
    within = np.where(across, 0.0, (axes @ within[..., None])[..., 0])
    step = onto - (left @ within[..., None])[..., 0]
    return step, (values >= -flat[:, None]).all(axis=-1)


def _balancing(columns: Any, weight: Any, multiplier: Any, lacking: Any) -> tuple[Any, Any]:
    """Changes of the multipliers of interpolated rows that balance what is lacking, (starts,
    rows), and what is still lacking then, (starts, p).

    Of several that do, those with the least change relative to the room that multipliers have.
    """
    room = (1.01 - np.minimum(np.abs(multiplier), 1.0)) * weight
    total = np.zeros(multiplier.shape)
    # Where weights differ by orders of magnitude, the first solution leaves a rest to a second.
    for size in (room, np.where(weight > 0, 1.0, 0.0)):
        inverse = np.linalg.pinv(columns * size[:, None], rcond=INDEPENDENT)
        pulls = size * (inverse @ lacking[..., None])[..., 0]
        total = total + pulls
        lacking = lacking - dot(columns, pulls[:, None])
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), 0.0), lacking


def _reassigned(
    one: L1Path, multiplier: Any, through: Any, zero: Any, scaled: Any
) -> tuple[L1Path, Any] | None:
    """No more interpolated rows than can be, and every other row on the side that it is on now.

    Args:
        one: the one start.
        multiplier: (rows,).
        through: rows that were to be interpolated, (rows,).
        zero: rows that are, (rows,).
        scaled: J^T in the scale of the step, (p, rows).

    Returns:
        The start with its multipliers, and rows to interpolate; None where they are too many.
    """
    mine = np.flatnonzero(through)
    if not zero[mine].all():
        if len(mine) > len(scaled) + MOST_EXCHANGES:
            return None
        from scipy.linalg import qr

        # Independent rows by pivoting, rather those whose multipliers are far from one.
        room = 1.01 - np.minimum(np.abs(multiplier[mine]), 1.0)
        triangle, order = qr(scaled[:, mine] * room, mode="r", pivoting=True)
        pivots = np.abs(np.diagonal(triangle))
        mine = mine[order[: int(np.sum(pivots > INDEPENDENT * pivots.max(initial=0.0)))]]
    through = np.isin(np.arange(len(through)), mine)
    sides = np.where(zero, np.sign(multiplier), np.sign(one.rows[0]))
    multiplier = np.where(through, np.clip(multiplier, -1.0, 1.0), sides)
    return one._replace(multiplier=multiplier[None]), through[None]


def _exchanged(
    objective: DenseObjective, one: L1Path, through: Any, off: int, scaled: Any, scale: Any
) -> tuple[L1Path, Any] | None:
    """The start with one row no longer interpolated, but the next one that the surface meets.

    The surface moves off that row, along all others, as long as the sum falls: a line search over
    the kinks of a piecewise linear function, as in the simplex method of Barrodale and Roberts
    (1973, SIAM J. Numer. Anal. 10(5)).

    Args:
        objective: for residuals.
        one: the one start, where the row's multiplier would have to be beyond one.
        through: interpolated rows, (rows,).
        off: the row.
        scaled: J^T in the scale of the step, (p, rows).
        scale: that scale, (p,).
    """
    rows, multiplier, weight = one.rows[0], one.multiplier[0].copy(), one.batch.weight[0]
    mine = np.flatnonzero(through)
    wanted = np.where(mine == off, multiplier[off], 0.0)
    step = np.linalg.lstsq(scaled[:, mine].T, wanted, rcond=INDEPENDENT)[0]
    if np.abs(scaled[:, mine].T @ step - wanted).max() > SHORT:
        return None
    # The slope of the sum along the step rises by twice w |r'| at each row that is met.
    change = step @ scaled
    meets = np.flatnonzero((rows * change < 0) & ~through & (weight > 0))
    when = -rows[meets] / change[meets]
    order = np.argsort(when)
    when, meets = when[order], meets[order]
    pull = scaled @ (weight * np.where(through, 0.0, multiplier))
    fall = -(pull @ step) - weight[off]
    held = fall <= 2 * np.cumsum(weight[meets] * np.abs(change[meets]))
    if not held.any():
        return None
    last = int(np.argmax(held))
    multiplier[meets[:last]] *= -1
    multiplier[meets[last]] = 0.0
    through = through.copy()
    through[off], through[meets[last]] = False, True
    moved = one.point[0] + when[last] * step * scale
    moved = np.clip(moved, one.batch.lower[0], one.batch.upper[0])[None]
    there = objective.residuals(one.batch, moved)
    return one._replace(point=moved, rows=there, multiplier=multiplier[None]), through[None]
