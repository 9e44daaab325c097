"""Sums of absolute residuals, minimised exactly: a path towards the kinks, then their equations.

A sum of w abs(r) has no derivative where a row is passed through, and at its optimum some rows are,
as many as there are free parameters or fewer. A multiplier l of each row, between -1 and 1, says
which: sign(r) for a row off the surface, what balances the others for one passed through,

    J^T W l = 0,   abs(r) = l r.

**The path.** The second condition is relaxed to r (1 - l^2) = mu l (the logarithmic barrier of
abs(r) <= t), which makes the multiplier a smooth function l(r) and the sum a smooth one. The step
to its minimum is

    (B + J^T W D J) s = -J^T W l(r),   D = 4 u v / (u + v),
    u = (1 + l) (1 + l(r)) / (2 mu),   v = (1 - l) (1 - l(r)) / (2 mu),

with B the second derivative of the rows times their multipliers: Newton's for both unknowns, x and
l. A step for x alone would be as short as mu is small. Mu falls tenfold whenever a step promises
little beside it.

**The kinks.** Rows whose residual is smaller than what their multiplier lacks of one are taken to
be passed through, and Newton's step for those equations is solved: J s = -r on those rows, and
minimal along them (the projected Lagrangian). It ends at rounding in a few steps. What it found
counts where its multipliers are within [-1, 1] and no row has changed its side. Late on the path a
row whose multiplier is not is exchanged for the next one that the surface meets as it moves off it;
otherwise the path goes on.

Sources: Murray and Overton 1981, SIAM J. Sci. Stat. Comput. 2(2), and Bartels, Conn and Sinclair
1978, SIAM J. Numer. Anal. 15(2), for the equations at the kinks; Portnoy and Koenker 1997, Statist.
Sci. 12(4), for interior points and absolute residuals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import combined, dot, product
from scalefit.fitting.newton import Batch, Local, Newton, at_bound

__all__ = ["Kinked", "descend"]

# Mu sets out at this share of the typical absolute residual, and shrinks by this factor whenever a
# step promises less than this share of what the relaxation costs. It ends, in the unit of the loss,
# where residuals are rounding.
MU_START = 0.1
MU_SHRINK = 0.1
MU_PROMISE = 0.1
MU_END = 1e-16

# The kinks are tried from this share of the typical residual on, once for each set of rows. From
# the second on, rows that turn out not to be passed through are exchanged for others, for which the
# same rows are tried again. They are, too, where rounding decides: below the third, or below this
# many times where mu ends.
KINKS_FROM = 1e-2
EXCHANGED_FROM = 1e-3
KINKS_AGAIN = 1e-8
ROUNDED = 100.0
# A row is passed through where its multiplier lacks more than this of one: the root of mu over the
# typical residual, within these limits. Off the surface it lacks mu over the residual.
LACKING = (1e-3, 0.1)
KINDS = 2

# No multiplier comes closer to one than by this share of what it lacked.
TO_THE_LIMIT = 0.01

# Where a step gains less than this share of its promise, shorter ones are tried, too, and so many
# of them led back to the kinks.
GAINED = 0.5
SHORTER = (0.3, 0.1, 0.01)
LED_BACK = 3

# Damping, and the least curvature, in units of what the pull of the rows would bend a smooth sum at
# the typical residual.
DAMPING_LEAST = 1e-8
DAMPING_AGAIN = 1e-2
DAMPING_SHRINK = 0.1
DAMPING_GROW = 10.0
DAMPING_MOST = 1e4
LEAST_CURVATURE = 1e-10

# Times that a step is bent at bounds.
BENDS = 4

# A smoothed sum is known to this share.
SUM_ROUNDING = 1e-14

# Rows passed through are independent down to this share of the largest singular value.
INDEPENDENT = 1e-11
# Curvature along the kinks that is none, as a share of what pulls at the rows.
FLAT = 1e-9
# And as a share of the weights: it is the difference of two sums over them.
FLAT_ROUNDING = 1e-14
# Newton's steps at the kinks, how short the last one is, in units of its effect on the rows, and
# how often a row passed through is exchanged for another.
MOST_STEPS = 12
SHORT = 1e-6
EXCHANGES = 8
# Multipliers may pass one by this.
MULTIPLIER_ROUNDING = 1e-9
# Cosine between what is left unbalanced and a Jacobian column that is none.
BALANCED = 1e-9

# What is computed from numbers of size one is known to this.
LAST_PLACES = 4 * float(np.finfo(np.float64).eps)

TINY = 1e-300


class Kinked(NamedTuple):
    """Where starts ended.

    Attributes:
        point: scaled coordinates, (starts, p).
        end: the sum of weight times multiplier times residual there; its Gauss-Newton matrix is
            that of the weights.
        iterations: (starts,).
        value: sum of weight times absolute residual, (starts,).
        decrement: share of it by which a step could lower it, (starts,): the duality, with
            residuals that are zero to rounding counted as zero.
        duality: share by which it lies above the sum of weight times multiplier times residual,
            (starts,).
    """

    point: Any
    end: Local
    iterations: Any
    value: Any
    decrement: Any
    duality: Any


class _Path(NamedTuple):
    """Starts under way, (starts, ...).

    Attributes:
        place: which each is, (starts,).
        batch: their tables and bounds.
        point: scaled coordinates, (starts, p).
        rows: residuals, (starts, rows).
        multiplier: of each row, (starts, rows).
        mu: (starts,).
        damping: (starts,).
        tried: rows that were taken to be passed through, for want of which, (starts, kinds, rows).
        iteration: (starts,).
    """

    place: Any
    batch: Batch
    point: Any
    rows: Any
    multiplier: Any
    mu: Any
    damping: Any
    tried: Any
    iteration: Any

    def take(self, which: Any) -> _Path:
        """Some of the starts."""
        leaves = self._asdict() | {"batch": None}
        some = {name: item if item is None else item[which] for name, item in leaves.items()}
        return _Path(**some | {"batch": _of(self.batch, which, len(self.place))})


def descend(newton: Newton, batch: Batch, point: Any, most: Any) -> Kinked:
    """From points near optima to optima.

    Args:
        newton: for its derivatives.
        batch: tables and bounds.
        point: scaled coordinates, (starts, p).
        most: iterations at most, (starts,).
    """
    count = len(point)
    rows = newton.residuals(batch, point)
    mu = np.maximum(MU_START * typical(rows, batch.weight), MU_END)
    ends, multipliers = point.copy(), _central(rows, mu)
    iterations = np.zeros(count, dtype=int)
    path = _Path(
        place=np.arange(count),
        batch=batch,
        point=point,
        rows=rows,
        multiplier=multipliers.copy(),
        mu=mu,
        damping=np.full(count, DAMPING_LEAST),
        tried=np.zeros((count, KINDS, rows.shape[1]), dtype=bool),
        iteration=iterations.copy(),
    ).take(np.flatnonzero(most > 0))
    while len(path.place):
        path, little = _advance(newton, path)
        ends[path.place], multipliers[path.place] = path.point, path.multiplier
        iterations[path.place] = path.iteration
        ended = np.zeros(len(path.place), dtype=bool)
        for kind in range(KINDS):
            which, through = _candidates(path, little & ~ended, kind)
            if len(which):
                path.tried[which, kind] = through
                some = path.take(which)
                at, balanced, arrived = _at_kinks(newton, some, through)
                ended[which[arrived]] = True
                found = some.place[arrived]
                ends[found], multipliers[found] = at[arrived], balanced[arrived]
        ended |= little & (path.mu <= MU_END) | (path.iteration >= most[path.place])
        path = path._replace(mu=np.where(little, np.maximum(MU_SHRINK * path.mu, MU_END), path.mu))
        if ended.any():
            path = path.take(np.flatnonzero(~ended))
    return _judged(newton, batch, ends, multipliers, iterations)


def typical(rows: Any, weight: Any) -> Any:
    """Mean absolute residual of the rows that count, however much, (starts,)."""
    counted = np.broadcast_to(weight > 0, rows.shape)
    return dot(np.where(counted, 1.0, 0.0), np.abs(rows)) / counted.sum(axis=-1)


# The path


def _advance(newton: Newton, path: _Path) -> tuple[_Path, Any]:
    """One step of every start, and where it promised little, (starts,)."""
    batch, point, rows, multiplier, mu = path[1:6]
    weight = np.broadcast_to(batch.weight, rows.shape)
    here = _around(newton, batch, point, multiplier, rows)
    slope, bend = _slope(here), here.newton - here.gauss_newton
    central, stiff = _central(rows, mu), _stiffness(multiplier, rows, mu)
    gradient = dot(slope, (weight * central)[:, None])
    pull = weight * np.abs(central)
    size = dot(slope * slope, (pull / np.maximum(typical(rows, weight), TINY)[:, None])[:, None])
    size = np.sqrt(np.maximum(size, 1e-12 * size.max(axis=-1, keepdims=True)))
    # A coordinate without effect, as the exponent of a term that is zero, stays where it is.
    held = at_bound(point, gradient, batch) | ~slope.any(axis=-1)

    def steps(curves: Any, gradient: Any, start: Any) -> Any:
        room = (batch.lower - start, batch.upper - start)
        return _steps(curves, gradient, size, held, path.damping, room)

    # The second one has the parabola that lies above the smoothed sum.
    above = 2.0 / (mu[:, None] + _root(rows, mu))
    curves = product(np.stack([weight * stiff, weight * above])[:, :, None] * slope, slope)
    curves[0] += bend
    both = steps(curves, gradient[None], point)
    promises = np.abs(0.5 * dot(both, gradient))
    trials = np.clip(point + both[:1], batch.lower, batch.upper)
    found = newton.residuals(batch, trials)
    now, worth, lengths = _smoothed(rows, mu, weight), _smoothed(found, mu, weight), np.ones(1)
    if (worth[0] > now - GAINED * promises[0]).any():
        shorter = np.stack([*(length * both[0] for length in SHORTER), both[1]])
        shorter = np.clip(point + shorter, batch.lower, batch.upper)
        trials, lengths = np.concatenate([trials, shorter]), np.array([1.0, *SHORTER, 1.0])
        found = np.concatenate([found, newton.residuals(batch, shorter)])
        # Where kinks are curved, a straight step leaves them.
        some = trials[:LED_BACK]
        off = found[:LED_BACK] - rows - _along(some - point, slope)
        off = np.where(np.isfinite(off), off, 0.0)
        back = steps(curves[:1], dot(slope, (weight * stiff * off)[:, :, None]), some)
        led = np.clip(some + back, batch.lower, batch.upper)
        trials, lengths = np.concatenate([trials, led]), np.append(lengths, lengths[:LED_BACK])
        found = np.concatenate([found, newton.residuals(batch, led)])
        worth = _smoothed(found, mu, weight)
    best, each = np.argmin(worth, axis=0), np.arange(len(point))
    lower = worth[best, each] < now
    moved = np.where(lower[:, None], trials[best, each], point)
    # Multipliers go with the step, as far as it went.
    length = lengths[best][:, None]
    ahead = central + stiff * _along(moved - point, slope) / length
    ahead = multiplier + length * (ahead - multiplier)
    limit = 1 - TO_THE_LIMIT * (1 - np.abs(multiplier))
    damping = np.where(
        lower & (length[:, 0] == 1.0),
        np.maximum(DAMPING_SHRINK * path.damping, DAMPING_LEAST),
        np.where(lower, path.damping, np.maximum(DAMPING_GROW * path.damping, DAMPING_AGAIN)),
    )
    # What the relaxation costs: of rows off the surface little.
    cost = mu * dot(pull, 1.01 - np.abs(central))
    little = promises.max(axis=0) <= np.maximum(MU_PROMISE * cost, SUM_ROUNDING * now)
    little |= damping >= DAMPING_MOST
    return path._replace(
        point=moved,
        rows=np.where(lower[:, None], found[best, each], rows),
        multiplier=np.where(lower[:, None], np.clip(ahead, -limit, limit), multiplier),
        damping=np.where(little, DAMPING_LEAST, damping),
        iteration=path.iteration + 1,
    ), little


def _steps(
    curves: Any, gradient: Any, size: Any, held: Any, damping: Any, room: tuple[Any, Any]
) -> Any:
    """Steps down the gradient within bounds, negative curvature turned round, (kinds, starts, p).

    A parameter that a step would take across its bound is put there, and the step of the others
    follows from that.

    Args:
        curves: second derivatives, (kinds or 1, starts, p, p).
        gradient: (kinds or 1, starts, p).
        size: what parameters are counted in, (starts, p).
        held: parameters that stay, (starts, p).
        damping: added to the curvature, (starts,).
        room: how far away bounds are, each (..., starts, p).
    """
    eye = np.eye(size.shape[-1])
    scaled = curves / (size[:, :, None] * size[:, None, :])
    scaled = np.where(np.isfinite(scaled).all(axis=(-2, -1), keepdims=True), scaled, eye)
    down = -gradient / size
    low, high = (item * size for item in room)
    put = np.zeros(np.broadcast_shapes(scaled.shape[:-1], down.shape))
    fixed = np.broadcast_to(held, put.shape)
    step = put
    for _ in range(BENDS):
        out = fixed[..., :, None] | fixed[..., None, :]
        values, vectors = np.linalg.eigh(np.where(out, eye, scaled))
        values = np.maximum(np.abs(values), LEAST_CURVATURE) + damping[:, None]
        right = np.where(fixed, 0.0, down - (scaled @ put[..., None])[..., 0])
        within = (np.swapaxes(vectors, -1, -2) @ right[..., None])[..., 0] / values
        step = np.where(fixed, put, (vectors @ within[..., None])[..., 0])
        across = ~fixed & ((step < low) | (step > high))
        if not across.any():
            break
        put = np.where(across, np.clip(step, low, high), put)
        fixed = fixed | across
    return step / size


def _around(newton: Newton, batch: Batch, point: Any, multiplier: Any, rows: Any) -> Local:
    """The sum of weight times multiplier times residual around a point, (starts, ...).

    Its second derivative is ``newton - gauss_newton``, where ``gauss_newton`` is J^T W J.
    """
    # Within a delta of one the influence of a row is its residual and shift: the multiplier.
    return newton.local(batch._replace(delta=np.ones((1, 1)), shift=multiplier - rows), point)


def _slope(local: Local) -> Any:
    """J^T: derivatives of residuals, (starts, p, rows)."""
    return (local.mix @ local.stack) * local.first[:, None]


def _along(steps: Any, slope: Any) -> Any:
    """J s, (..., starts, rows)."""
    return combined(steps, np.broadcast_to(slope, (*steps.shape, slope.shape[-1])))


def _root(rows: Any, mu: Any) -> Any:
    return np.sqrt(mu[:, None] ** 2 + 4 * rows**2)


def _central(rows: Any, mu: Any) -> Any:
    """l(r), which solves r (1 - l^2) = mu l."""
    return 2 * rows / (mu[:, None] + _root(rows, mu))


def _stiffness(multiplier: Any, rows: Any, mu: Any) -> Any:
    """D."""
    central = _central(rows, mu)
    u = (1 + multiplier) * (1 + central) / (2 * mu[:, None])
    v = (1 - multiplier) * (1 - central) / (2 * mu[:, None])
    return 4 * u * v / np.maximum(u + v, TINY)


def _smoothed(rows: Any, mu: Any, weight: Any) -> Any:
    """Sum of weight times the integral of l(r), (..., starts)."""
    root, mu = _root(rows, mu), mu[:, None]
    found = 0.5 * dot(weight, root - mu * np.log((mu + root) / (2 * mu)))
    return np.where(np.isfinite(found), found, np.inf)


# The kinks


def _candidates(path: _Path, wanted: Any, kind: int) -> tuple[Any, Any]:
    """Starts of which rows seem to be passed through that were not tried, and those rows.

    Args:
        path: where they are.
        wanted: starts to look at, (starts,).
        kind: 0 for rows whose multiplier is far from one, 1 for rows whose residual is smaller than
            what their multiplier lacks of one.
    """
    weight = np.broadcast_to(path.batch.weight, path.rows.shape)
    share = path.mu / np.maximum(typical(path.rows, weight), TINY)
    lacking, size = 1 - np.abs(path.multiplier), np.abs(path.rows)
    if kind == 0:
        through = lacking > np.clip(np.sqrt(share), *LACKING)[:, None]
    else:
        through = size * share[:, None] < lacking * path.mu[:, None]
    through = through & (weight > 0)
    known = (path.tried[:, : kind + 1] == through[:, None]).all(axis=-1).any(axis=-1)
    # Mu falls tenfold, so that one stage or two are in this range.
    again = (share <= EXCHANGED_FROM) & (share > 0.06 * EXCHANGED_FROM)
    again |= (share <= KINKS_AGAIN) | (path.mu <= ROUNDED * MU_END)
    which = wanted & (share <= KINKS_FROM) & (~known | again)
    return np.flatnonzero(which), through[which]


class _Solved(NamedTuple):
    """The equations at the kinks, solved, (starts, ...).

    Attributes:
        point: scaled coordinates, (starts, p).
        rows: residuals, (starts, rows).
        multiplier: whatever their size, (starts, rows).
        done: whether there is a solution, and a minimum along the kinks, (starts,).
        slope: derivatives of the rows, (starts, p, rows).
        each: what they are multiplied by: zero for parameters held by a bound, (starts, p).
    """

    point: Any
    rows: Any
    multiplier: Any
    done: Any
    slope: Any
    each: Any


def _at_kinks(
    newton: Newton, path: _Path, through: Any, exchanges: int = EXCHANGES
) -> tuple[Any, Any, Any]:
    """Points and multipliers where given rows are passed through, and whether they are optima.

    Args:
        newton: for its derivatives.
        path: starts nearby.
        through: rows passed through, (starts, rows).
        exchanges: how often one of them may be exchanged for another.
    """
    batch, weight = path.batch, np.broadcast_to(path.batch.weight, path.rows.shape)
    found = _solved(newton, path, through)
    point, multiplier, sizes = found.point, found.multiplier, np.abs(found.rows)
    known = _known(batch, point, found.slope)
    zero, own = sizes <= known, found.rows * np.sign(path.multiplier) >= -known
    sided = np.where(through, zero, own).all(axis=-1)
    within = np.abs(multiplier).max(axis=-1) <= 1 + MULTIPLIER_ROUNDING
    before = dot(weight, np.abs(path.rows))
    arrived = found.done & sided & within & (dot(weight, sizes) <= before + dot(weight, known))
    near = path.mu <= EXCHANGED_FROM * typical(path.rows, weight)
    for i in np.flatnonzero(found.done & ~(sided & within) & near) if exchanges else ():
        one = path.take([i])._replace(point=point[[i]], rows=found.rows[[i]])
        scaled = found.slope[i] * found.each[i, :, None]
        if sided[i]:
            off = int(np.argmax(np.abs(multiplier[i])))
            one = one._replace(multiplier=np.clip(multiplier[[i]], -1.0, 1.0))
            other = _exchanged(newton, one, through[i], off, scaled, found.each[i])
        else:
            other = _sided(one, multiplier[i], through[i], zero[i], scaled)
        if other is not None:
            leaves = _at_kinks(newton, *other, exchanges - 1)
            point[i], multiplier[i], arrived[i] = (leaf[0] for leaf in leaves)
    return point, np.clip(multiplier, -1.0, 1.0), arrived


def _solved(newton: Newton, path: _Path, through: Any) -> _Solved:
    """Newton's method for: given rows zero, and the sum least along them.

    Args:
        newton: for its derivatives.
        path: starts nearby.
        through: rows passed through, (starts, rows).
    """
    batch, point, rows = path.batch, path.point, path.rows
    weight = np.broadcast_to(batch.weight, rows.shape)
    total = weight.sum(axis=-1)
    sides = np.where(through, 0.0, np.sign(path.multiplier))
    multiplier = np.where(through, path.multiplier, sides)
    # The rows passed through first, as many for every start, and no fewer than parameters.
    most = max(int(through.sum(axis=-1).max(initial=0)), point.shape[1])
    first = np.argsort(~through, axis=-1, kind="stable")[:, :most]
    counted = np.take_along_axis(through, first, axis=-1)

    def of(rows: Any) -> Any:
        return np.where(counted, np.take_along_axis(rows, first, axis=-1), 0.0)

    length, minimum = np.full(len(point), np.inf), np.ones(len(point), dtype=bool)
    going, even, slope, each = minimum.copy(), minimum, None, None
    for turn in range(MOST_STEPS):
        here = _around(newton, batch, point, multiplier, rows)
        slope, bend = _slope(here), here.newton - here.gauss_newton
        held = at_bound(point, dot(slope, (weight * multiplier)[:, None]), batch)
        size = np.sqrt(dot(slope * slope, (weight / total[:, None])[:, None]))
        # Where a parameter is held or has no effect, neither rows nor the sum depend on it.
        free = ~held & (size > 0)
        each = np.where(free, 1.0 / np.where(free, size, 1.0), 0.0)
        scaled = slope * each[:, :, None]
        columns = np.take_along_axis(scaled, first[:, None], axis=-1) * counted[:, None]
        curve = bend * each[:, :, None] * each[:, None, :]
        fine = np.isfinite(columns).all(axis=(-2, -1)) & np.isfinite(curve).all(axis=(-2, -1))
        minimum, going = minimum & (fine | ~going), going & fine
        columns = np.where(going[:, None, None], columns, 0.0)
        curve = np.where(going[:, None, None], curve, 0.0)
        pull = np.where(going[:, None], dot(scaled, (weight * sides)[:, None]), 0.0)
        step = np.zeros(point.shape)
        # At first only the multipliers there, on which the curvature depends.
        if turn:
            flat = FLAT * dot(weight, np.abs(multiplier)) + FLAT_ROUNDING * total
            step, least = _onto(columns, curve, pull, of(rows), flat)
            minimum = minimum & (least | ~going)
        lacking = -pull - (curve @ step[..., None])[..., 0]
        lacking = lacking - dot(columns, of(weight * multiplier)[:, None])
        change, left = _balancing(columns, of(weight), of(multiplier), lacking)
        change = np.where(going[:, None] & counted, change, 0.0)
        pulls = weight * multiplier
        norms = np.sqrt(dot(scaled, scaled) * dot(pulls, pulls)[:, None])
        even = np.where(going, (np.abs(left) <= BALANCED * norms).all(axis=-1), even)
        multiplier = multiplier.copy()
        np.put_along_axis(
            multiplier, first, np.take_along_axis(multiplier, first, axis=-1) + change, axis=-1
        )
        if not turn:
            continue
        moved = np.clip(point + step * each, batch.lower, batch.upper)
        point = np.where(going[:, None], moved, point)
        rows = np.where(going[:, None], newton.residuals(batch, point), rows)
        last, now = length, np.abs(step).max(axis=-1, initial=0.0)
        length = np.where(going, now, length)
        # Down to rounding: no shorter than half the one before.
        going = going & minimum & ~((now <= SHORT) & ((now >= 0.5 * last) | (now == 0)))
        if not going.any():
            break
    done = minimum & even & (length <= SHORT) & np.isfinite(rows).all(axis=-1)
    return _Solved(point, rows, multiplier, done, slope, each)


def _sided(
    one: _Path, multiplier: Any, through: Any, zero: Any, scaled: Any
) -> tuple[_Path, Any] | None:
    """Where no more rows are passed through than can be, and others are on the side they are.

    Args:
        one: the one start.
        multiplier: (rows,).
        through: rows that were to be passed through, (rows,).
        zero: rows that are, (rows,).
        scaled: derivatives of the rows in the scale of the step, (p, rows).
    """
    mine = np.flatnonzero(through)
    if not zero[mine].all():
        if len(mine) > len(scaled) + EXCHANGES:
            return None
        from scipy.linalg import qr

        # Rather those whose multipliers are far from one.
        room = 1.01 - np.minimum(np.abs(multiplier[mine]), 1.0)
        triangle, order = qr(scaled[:, mine] * room, mode="r", pivoting=True)
        pivots = np.abs(np.diagonal(triangle))
        mine = mine[order[: int(np.sum(pivots > INDEPENDENT * pivots.max(initial=0.0)))]]
    through = np.isin(np.arange(len(through)), mine)
    sides = np.where(zero, np.sign(multiplier), np.sign(one.rows[0]))
    multiplier = np.where(through, np.clip(multiplier, -1.0, 1.0), sides)
    return one._replace(multiplier=multiplier[None]), through[None]


def _exchanged(
    newton: Newton, one: _Path, through: Any, off: int, scaled: Any, each: Any
) -> tuple[_Path, Any] | None:
    """Where a row is no longer passed through, but the next one is; and what rows then are.

    The surface moves off that row, along all others, as long as the sum falls.

    Args:
        newton: for residuals.
        one: the one start, where the row's multiplier would have to be beyond one.
        through: rows passed through, (rows,).
        off: the row.
        scaled: derivatives of the rows in the scale of the step, (p, rows).
        each: that scale, (p,).
    """
    rows, multiplier, weight = one.rows[0], one.multiplier[0].copy(), one.batch.weight[0]
    mine = np.flatnonzero(through)
    wanted = np.where(mine == off, multiplier[off], 0.0)
    step = np.linalg.lstsq(scaled[:, mine].T, wanted, rcond=INDEPENDENT)[0]
    if np.abs(scaled[:, mine].T @ step - wanted).max() > SHORT:
        return None
    # Each row that is met takes twice its share from the fall.
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
    moved = one.point[0] + when[last] * step * each
    moved = np.clip(moved, one.batch.lower[0], one.batch.upper[0])[None]
    there = newton.residuals(one.batch, moved)
    return one._replace(point=moved, rows=there, multiplier=multiplier[None]), through[None]


def _onto(columns: Any, curve: Any, pull: Any, rows: Any, flat: Any) -> tuple[Any, Any]:
    """Steps onto rows and to the least along them, and whether there is one.

    Args:
        columns: derivatives of the rows passed through, (starts, p, rows), at least p of them.
        curve: second derivative of the rest, (starts, p, p).
        pull: gradient of the rest, (starts, p).
        rows: residuals of the rows passed through, (starts, rows).
        flat: curvature that is none, (starts,).
    """
    left, values, right = np.linalg.svd(columns, full_matrices=False)
    across = values > INDEPENDENT * values.max(axis=-1, keepdims=True)
    inverse = np.where(across, 1.0 / np.where(across, values, 1.0), 0.0)
    back = np.swapaxes(left, -1, -2)
    onto = (left @ (inverse * (-right @ rows[..., None])[..., 0])[..., None])[..., 0]
    # Along the rows: in the axes of the others, where nothing is asked of the ones across.
    along = ~across[:, :, None] & ~across[:, None, :]
    least = np.where(across, 1.0 + flat[:, None], 0.0)
    bent = np.where(along, back @ curve @ left, 0.0) + least[:, :, None] * np.eye(left.shape[-1])
    bends, axes = np.linalg.eigh(bent)
    rest = pull + (curve @ onto[..., None])[..., 0]
    rest = np.where(across, 0.0, (back @ rest[..., None])[..., 0])
    # Where the sum is flat, nothing is gained by moving.
    curved = bends > flat[:, None]
    inverse = np.where(curved, 1.0 / np.where(curved, bends, 1.0), 0.0)
    within = inverse * (np.swapaxes(axes, -1, -2) @ rest[..., None])[..., 0]
    within = np.where(across, 0.0, (axes @ within[..., None])[..., 0])
    step = onto - (left @ within[..., None])[..., 0]
    return step, (bends >= -flat[:, None]).all(axis=-1)


def _balancing(columns: Any, weight: Any, multiplier: Any, lacking: Any) -> tuple[Any, Any]:
    """Changes of the multipliers of rows passed through that balance what is lacking, (starts,
    rows), and what is still lacking then, (starts, p).

    Of several that do, those that leave them within their range most likely.
    """
    room = (1.01 - np.minimum(np.abs(multiplier), 1.0)) * weight
    total = np.zeros(multiplier.shape)
    # Where weights differ by orders of magnitude, the first leaves something to a second.
    for size in (room, np.where(weight > 0, 1.0, 0.0)):
        inverse = np.linalg.pinv(columns * size[:, None], rcond=INDEPENDENT)
        pulls = size * (inverse @ lacking[..., None])[..., 0]
        total = total + pulls
        lacking = lacking - dot(columns, pulls[:, None])
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), 0.0), lacking


def _judged(newton: Newton, batch: Batch, point: Any, multiplier: Any, iterations: Any) -> Kinked:
    """How far from the least sum points can be, to first order, by their multipliers."""
    end = _around(newton, batch, point, multiplier, newton.residuals(batch, point))
    weight, slope = np.broadcast_to(batch.weight, end.rows.shape), _slope(end)
    sizes = np.abs(end.rows)
    value = dot(weight, sizes)
    terms = weight * (sizes - multiplier * end.rows)
    seen = np.where(sizes > _known(batch, point, slope), terms, 0.0)
    share = np.where(value > 0, value, 1.0)
    return Kinked(
        point=point,
        end=end._replace(gauss_newton=product(slope * weight[:, None], slope)),
        iterations=iterations,
        value=value,
        decrement=seen.sum(axis=-1) / share,
        duality=terms.sum(axis=-1) / share,
    )


def _known(batch: Batch, point: Any, slope: Any) -> Any:
    """What residuals are known to, (starts, rows).

    Args:
        batch: the tables.
        point: scaled coordinates, (starts, p).
        slope: derivatives of residuals, (starts, p, rows).
    """
    felt = dot(np.swapaxes(np.abs(slope), -1, -2), np.maximum(np.abs(point), 1.0)[:, None])
    return LAST_PLACES * (1.0 + np.abs(batch.target) + felt)


def _of(batch: Batch, which: Any, count: int) -> Batch:
    """The tables of some of so many starts."""
    return Batch(*(None if x is None else x if len(x) != count else x[which] for x in batch))
