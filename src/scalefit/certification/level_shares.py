"""Better bounds of boxes where coefficients differ by level, from ranges of their shares.

The cone of a box lets every level choose a point of the interval of its own. So a bound loses to
first order in the width: a dual vector u has u.phi_l' = 0 at the optimum for the sum over the
levels, each with its coefficient, but not for each. Near the optimum, boxes would multiply. But
there the shares of the levels are known, nearly. With any numbers s_l >= 0, c_l the coefficients
and S, C their sums, let

    kappa = C / S,  r_l = c_l - kappa s_l,  g_l(t) = u.phi_l(t),

so that sum_l c_l g_l(t) = kappa sum_l s_l g_l(t) + sum_l r_l g_l(t). The first sum is a column
like that of a coefficient without levels. The second is at most sum_l max(abs(r_l)) max(abs(g_l)),
a product of two small numbers. By weak duality the objective is nowhere less than

    sum_i inf_f [h_i(f) + u_i f] - u.f0 - sup sum_j c_j g_j,

for any u at all where every coefficient has an upper bound: no test need hold, and no repair is
needed. Bounds of the coefficients come from the predictions, where no term is negative. Ranges of
r_l come from lower bounds of the objective -+ tau r_l, since r_l is linear in the coefficients:
they are bounds like any other, with tau a_j added to g_j. Every round squares what is unknown.
"""

from __future__ import annotations

import numpy as np

from scalefit.certification.boxes import (
    Gathered,
    OpenBoxes,
    curvature_bound,
    least_ratio,
    upper_bound,
)
from scalefit.certification.conjugates import Squares
from scalefit.certification.huber_conjugates import Robust
from scalefit.certification.level_models import (
    KnownShares,
    combined,
    middle_columns,
    model_of,
    propose,
    response,
    sensitivities,
    shifts_of,
    tilted,
)
from scalefit.certification.nonnegative import nonnegative
from scalefit.certification.relaxation import Relaxation
from scalefit.certification.rounding import EPSILON

__all__ = ["narrow_by_shares"]

# Rounds of narrower ranges and better bounds, while what a bound lacks shrinks to this share.
ROUNDS = 4
SHRUNK = 0.8

# Numbers of the arrays of problems that are solved at once: in cache.
AT_ONCE = 50_000

# Outward, of quotients and sums of few terms.
OUTWARD = 1e-12


class Shares:
    """What is known of the shares in boxes that are not proved.

    Attributes:
        lost: what bounds lose by each coordinate, (boxes, q).
        known: boxes whose shares have ranges, (boxes,).
    """

    def __init__(self, relaxation: Relaxation, boxes: int) -> None:
        self.relaxation = relaxation
        self.lost = np.zeros((boxes, relaxation.axes))
        self.known = np.zeros(boxes, dtype=bool)
        self.states: list[KnownShares] = []
        # By box, the state and the place in it.
        self.places: dict[int, tuple[int, int]] = {}

    def add(self, live: np.ndarray, state: KnownShares) -> None:
        """Take up boxes."""
        self.known[live] = True
        for place, box in enumerate(live.tolist()):
            self.places[box] = len(self.states), place
        self.states.append(state)

    def _of(self, boxes: np.ndarray) -> KnownShares:
        states = []
        for box in boxes.tolist():
            number, place = self.places[box]
            states.append(self.states[number].take(np.array([place])))
        return KnownShares.joined(states)

    def model(
        self, boxes: np.ndarray, u: np.ndarray, each: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns of a convex problem, margins and free columns, so many times for each box."""
        model = model_of(self.relaxation, self._of(boxes), u)
        columns, margin = (np.repeat(x, each, axis=0) for x in (model.columns, model.margin))
        return columns, margin, model.free

    def bound(self, boxes: np.ndarray, u: np.ndarray, tilt: np.ndarray) -> np.ndarray:
        """Rigorous lower bounds of the objective less tilt.f, several for each box, (vectors,)."""
        state = self._of(boxes)
        return _bound(self.relaxation, state, u, np.zeros((len(u), state.most.shape[1])), tilt)[0]


def narrow_by_shares(relaxation: Relaxation, part: OpenBoxes, target: float) -> Shares:
    """Better bounds of boxes, in place, and what is known of the shares in the others."""
    found = Shares(relaxation, len(part.bounds))
    tried = (part.bounds > 0) & relaxation.positive(part.gathered)
    for some in _chunks(relaxation, np.flatnonzero(tried)):
        _narrow(relaxation, part, some, target, found)
    return found


def _chunks(relaxation: Relaxation, every: np.ndarray) -> list[np.ndarray]:
    size = relaxation.rows * relaxation.size
    if isinstance(relaxation.loss, Robust):
        size *= sum(map(len, relaxation.columns.grouped_spans))
    each = max(1, AT_ONCE // size)
    return [every[i : i + each] for i in range(0, len(every), each)]


def _narrow(
    relaxation: Relaxation, part: OpenBoxes, live: np.ndarray, target: float, found: Shares
) -> None:
    state = _start(relaxation, part, live)
    u = part.u[live]
    for turn in range(ROUNDS):
        before = target - part.bounds[live]
        for _ in range(2):
            u, state.predicted = propose(relaxation, state, u, before)
            bounds, loss = _bound(relaxation, state, u, np.zeros_like(state.most))
            better = bounds > part.bounds[live]
            where = live[better]
            part.bounds[where], part.u[where] = bounds[better], u[better]
            found.lost[live] = loss
        lacks = target - part.bounds[live]
        more = (lacks > 0) & ((turn == 0) | (lacks < SHRUNK * before))
        stays = np.flatnonzero((lacks > 0) & ~more)
        if len(stays):
            found.add(live[stays], state.take(stays))
        left = np.flatnonzero(more)
        if not len(left):
            return
        state, u, live, lacks = state.take(left), u[left], live[left], lacks[left]
        _tilt(relaxation, state, u, lacks, target)
        empty = (state.low > state.high).any(axis=1)
        part.bounds[live[empty]] = target
        keep = np.flatnonzero(~empty)
        state, u, live = state.take(keep), u[keep], live[keep]
        if not len(live):
            return
    found.add(live, state)


def _start(relaxation: Relaxation, part: OpenBoxes, live: np.ndarray) -> KnownShares:
    """Ranges by the predictions alone, and shares by a fit of the predictions."""
    loss, fixed = relaxation.loss, relaxation.fixed
    gathered = part.gathered.take(live)
    ranges, predicted = part.ranges[live], part.predicted[live]
    highest = np.broadcast_to(loss.reach, predicted.shape)
    if ranges.shape[-1]:
        highest = np.minimum(highest, loss.y * np.exp(ranges[:, 1]) * (1 + OUTWARD))
    highest = highest - (relaxation.known - relaxation.known_radius) * (1 - OUTWARD)
    highest = highest * (1 + OUTWARD)
    most = least_ratio(highest[:, None], relaxation.cache.least[gathered.places])
    still = least_ratio(highest[:, None], (fixed.middle - fixed.radius)[None])
    middle = middle_columns(gathered)
    columns = np.concatenate(
        [np.broadcast_to(fixed.middle, (len(live), *fixed.middle.shape)), middle], axis=1
    )
    weighted = columns / loss.y**2
    passive = np.ones(columns.shape[:2], dtype=bool)
    moment = (weighted @ (predicted - relaxation.known)[:, :, None])[:, :, 0]
    found, _ = nonnegative(
        weighted @ columns.transpose(0, 2, 1), moment, passive, np.zeros(columns.shape[1], bool)
    )
    shares = np.zeros_like(most)
    low, high = np.zeros_like(most), np.zeros_like(most)
    for span in relaxation.columns.grouped_spans:
        mine = np.maximum(found[:, len(fixed) :][:, span], 0.0)
        # Some number above zero.
        mine = mine + 1e-9 * mine.sum(axis=1, keepdims=True) + 1e-300
        shares[:, span] = mine
        scale = most[:, span].sum(axis=1, keepdims=True) / mine.sum(axis=1, keepdims=True)
        low[:, span] = -mine * scale * (1 + OUTWARD)
        high[:, span] = most[:, span]
    return KnownShares(gathered, ranges, predicted, still, most, shares, low, high)


def _bound(
    relaxation: Relaxation,
    state: KnownShares,
    u: np.ndarray,
    lean: np.ndarray,
    tilt: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rigorous lower bounds of the objective less lean.c, and what levels cost by coordinate.

    Args:
        relaxation: the problem.
        state: the boxes.
        u: dual vectors, as many for each box, one box after the other, (vectors, rows).
        lean: of each, (vectors, columns).
        tilt: the bounds are of the objective less tilt.f too, (vectors, rows).
    """
    each = len(u) // len(state.most)
    dots, errors = _products(state.gathered, u)
    width = np.repeat(state.gathered.width, each, axis=0)
    ranges, still, most, shares_of, low, high = (
        np.repeat(item, each, axis=0)
        for item in (
            state.ranges,
            state.still,
            state.most,
            state.shares,
            state.low,
            state.high,
        )
    )
    dots[..., :2] += lean[..., None]
    errors[..., :2] += 4 * EPSILON * np.abs(lean)[..., None]
    errors += 4 * EPSILON * np.abs(dots)
    top, bottom = _top(dots, errors, width), _top(-dots, errors, width)
    top, bottom = np.maximum(top, 0), np.maximum(bottom, 0)
    above = u @ relaxation.fixed.middle.T + 1.01 * (np.abs(u) @ relaxation.fixed_error.T)
    charge = _product(still, np.maximum(above, 0)).sum(axis=1)
    lost = np.zeros((len(u), relaxation.axes))
    for span in relaxation.columns.spans:
        axis = relaxation.columns.axis[span[0]]
        apart = _product(most[:, span], top[:, span]).sum(axis=1)
        if len(span) > 1:
            shares = shares_of[:, span]
            sums, off = combined(shares, dots[:, span]), combined(shares, errors[:, span])
            off += 2 * len(span) * EPSILON * combined(shares, np.abs(dots[:, span]))
            whole = np.maximum(_top(sums, off * 1.01, width[:, span[0]]), 0)
            scale = most[:, span].sum(axis=1) / shares.sum(axis=1) * (1 + OUTWARD)
            rest = np.maximum(
                _product(np.maximum(high[:, span], 0), top[:, span]),
                _product(np.maximum(-low[:, span], 0), bottom[:, span]),
            ).sum(axis=1)
            apart = np.minimum(apart, _product(scale, whole) + rest)
        charge += apart
        lost[:, axis] += np.where(np.isfinite(apart), apart, 0.0)
    bounds = relaxation.rows_bound(u, ranges, tilt) - charge * (1 + OUTWARD)
    bounds -= 4 * EPSILON * np.abs(bounds)
    return np.where(np.isfinite(bounds), bounds, -np.inf), lost


def _products(gathered: Gathered, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As ``Gathered.dots``, for as many dual vectors of each box."""
    boxes, columns, kinds, rows = gathered.middle.shape
    each = u.reshape(boxes, -1, rows)
    shape = boxes, columns * kinds, rows
    found = each @ gathered.middle.reshape(shape).transpose(0, 2, 1)
    errors = np.abs(each) @ gathered.error.reshape(shape).transpose(0, 2, 1)
    errors *= 1.01
    shape = len(u), columns, kinds
    return found.reshape(shape), errors.reshape(shape)


def _top(dots: np.ndarray, errors: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Upper bound of g over an interval."""
    curve = curvature_bound(dots, errors, errors[..., 3], errors[..., 4], width)
    return upper_bound(dots[..., 0] + errors[..., 0], dots[..., 1] + errors[..., 1], curve, width)


def _product(most: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Products rounded up; what is zero costs nothing, however large its coefficient."""
    return np.where(over > 0, most * np.where(over > 0, over, 1.0), 0.0) * (1 + OUTWARD)


def _tilt(
    relaxation: Relaxation, state: KnownShares, u: np.ndarray, lacks: np.ndarray, target: float
) -> None:
    """Narrower ranges of r, in place."""
    lever = sensitivities(relaxation, state)
    grouped = [place for span in relaxation.columns.grouped_spans for place in span]
    weights = np.zeros((len(u), len(grouped), state.most.shape[1]))
    for number, place in enumerate(grouped):
        span = next(span for span in relaxation.columns.grouped_spans if place in span)
        shares = state.shares[:, span]
        # r_l = c_l - s_l / S C.
        weights[:, number, span] = -(state.shares[:, [place]] / shares.sum(axis=1, keepdims=True))
        weights[:, number, place] += 1.0
    size = np.einsum("bgj,bjk,bgk->bg", weights, lever, weights)
    tau = np.sqrt(2 * lacks[:, None] / np.maximum(size, 1e-300))
    # The functional as it is in memory is not r exactly: its weights are rounded.
    blur = 64 * EPSILON * state.most.sum(axis=1)[:, None]
    model = model_of(relaxation, state, u)
    shifts = shifts_of(relaxation, state, model, tau[:, :, None] * weights)
    step = None
    if isinstance(relaxation.loss, Squares):
        step = response(relaxation.loss, state, model, shifts)
    for sign in (1.0, -1.0):
        lean = (sign * tau[:, :, None] * weights).reshape(-1, weights.shape[2])
        if step is not None:
            q = (u[:, None] + sign * step).reshape(-1, u.shape[1])
            relaxation.spend(len(q))
        else:
            q = tilted(relaxation, state, model, sign * shifts, lacks)
        found, _ = _bound(relaxation, state, q, lean)
        # target > objective >= found + sign tau r.
        at = sign * (target - found.reshape(tau.shape)) / tau
        at = np.where(np.isfinite(at), at, sign * np.inf)
        at += sign * (OUTWARD * np.abs(at) + blur)
        if sign > 0:
            state.high[:, grouped] = np.minimum(state.high[:, grouped], at)
        else:
            state.low[:, grouped] = np.maximum(state.low[:, grouped], at)
