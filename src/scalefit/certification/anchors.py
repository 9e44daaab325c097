"""Narrower ranges of the predictions of log residuals, by those of a few rows.

A log residual is concave in predictions above the observed loss. Over a range of width r its convex
envelope lies below it by order r^2, and the dual of a box loses as much, however small the box. So
ranges are narrowed with what the bound of a box leaves to points below the target:

1. A lower bound of the objective less tau f_k is, where it is below the target, an upper bound of
   f_k, and a lower one with +tau. It is a bound like any other, of a tilted problem.
2. On a box all predictions are linear in as many as there are corner columns, nearly: in x = f / L,

       x_i = sum_k M_ik x_k + rest_i.

   So only those rows, the anchors, are tilted, and their ranges give all others. They are chosen
   for large volume, so that few abs(M_ik) are above ``GROWTH``.

An objective of absolute values grows in proportion to the distance from its minimum. So ranges
shrink like the lack of the bound, and what their envelopes lose like its square: near the optimum
every round squares the gap. In global optimisation this is optimality-based bound tightening.

**The rest.** With phi(t) = (1 - l) phi(a) + l phi(b) - e on an interval [a, b], 0 <= l <= 1 and
abs(e) <= (b - a)^2 / 8 max abs(phi''), a term A phi(t) is A (phi(a) + phi(b)) / 2 + A (l - 1/2)
(phi(b) - phi(a)) - A e. Where no term is negative, A phi_i(t) <= f_i, so that ranges bound A. With
q the sums and differences of corner columns and g their coefficients, abs(g_j) <= C_j:

    abs(rest_i) <= sum_j C_j abs(q_ji - sum_k M_ik q_jk) + e'_i + sum_k abs(M_ik) e'_k,

e' the sum over terms of A abs(e). M may be any numbers, so that solving for it needs no analysis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scalefit.certification.boxes import OpenBoxes, least_ratio
from scalefit.certification.huber_conjugates import LogHuber
from scalefit.certification.level_shares import Shares
from scalefit.certification.relaxation import STEPS_OF_A_PROBLEM, Relaxation
from scalefit.certification.rounding import EPSILON, gamma

__all__ = ["narrow_by_anchors"]

# Boxes are narrowed where cutting them promises no more than this many times what the bound lacks.
WORTH = 20.0

# A tilt is twice what the bound lacks over this share of the way to the end of the range.
SHARE = 0.3

# How well tilted problems are solved, as a share of what the bounds lack, and their most steps.
SMALL = 0.1
STEPS = 16

# Largest weight of an anchor in another row, and exchanges to get there.
GROWTH = 1.05
EXCHANGES = 30

# Numbers of the arrays of problems that are solved at once: in cache.
AT_ONCE = 8_000

# Outward roundings: of a bound on x relative to its terms, and of its logarithm.
OUTWARD = 1e-12


class _Basis(NamedTuple):
    """Predictions over boxes as sums of few columns, in units of the observed losses.

    Attributes:
        columns: q, (boxes, columns, rows).
        most: C, bounds of the sizes of their coefficients, (boxes, columns).
        rest: e', how far a prediction may be from such a sum, (boxes, rows).
    """

    columns: np.ndarray
    most: np.ndarray
    rest: np.ndarray


def narrow_by_anchors(
    relaxation: Relaxation,
    loss: LogHuber,
    part: OpenBoxes,
    target: float,
    shares: Shares | None = None,
) -> np.ndarray:
    """Narrow the ranges of boxes, in place; which of them were tried, (boxes,).

    Where coefficients differ by level, only the boxes whose shares are known are tried.

    Boxes without a point left have a bound of ``target``.
    """
    lacks = target - part.bounds
    tried = (part.bounds > 0) & (part.slack.sum(axis=1) < WORTH * lacks)
    tried &= relaxation.positive(part.gathered)
    if shares is not None:
        tried &= shares.known
    if not tried.any():
        return tried
    every = np.flatnonzero(tried)
    basis = _basis(relaxation, loss, part, every)
    anchors, spread = _anchors(basis.columns)
    each = max(1, AT_ONCE // (2 * anchors.shape[1] * relaxation.rows))
    for first in range(0, len(every), each):
        some = slice(first, first + each)
        _tilt(relaxation, loss, part, every[some], anchors[some], target, shares)
    _spread(relaxation, loss, part, every, basis, anchors, spread)
    empty = (part.ranges[every, 0] > part.ranges[every, 1]).any(axis=1)
    part.bounds[every[empty]] = target
    return tried


def _basis(relaxation: Relaxation, loss: LogHuber, part: OpenBoxes, every: np.ndarray) -> _Basis:
    """Sums and differences of corner columns, for boxes without a negative column."""
    fixed, still, y = relaxation.fixed, len(relaxation.fixed), loss.y
    gathered = part.gathered.take(every)
    least = relaxation.cache.least[gathered.places]
    highest = y * np.exp(part.ranges[every, 1]) * (1 + OUTWARD)
    columns = np.empty((len(every), relaxation.size, relaxation.rows))
    most = np.empty((len(every), relaxation.size))
    columns[:, :still] = fixed.middle / y
    most[:, :still] = least_ratio(highest[:, None], fixed.middle - fixed.radius)
    rest = most[:, :still] @ relaxation.fixed_error + relaxation.known_radius
    a, b = gathered.middle[:, :, 0], gathered.middle[:, :, 1]
    amplitude = least_ratio(highest[:, None], least)
    columns[:, still::2], columns[:, still + 1 :: 2] = 0.5 * (a + b) / y, (b - a) / y
    most[:, still::2], most[:, still + 1 :: 2] = amplitude, 0.5 * amplitude
    error = gathered.error
    second = np.abs(gathered.middle[:, :, 3]) + error[:, :, 3]
    off = (gathered.width**2 / 8)[:, :, None] * second
    off += np.maximum(error[:, :, 0], error[:, :, 1])
    # A e_i <= A phi_i e_i / phi_i, where A phi_i <= f_i.
    share = highest[:, None] / np.where(least > 0, least, np.nan)
    rest += (np.fmin(amplitude[:, :, None], share) * off).sum(axis=1)
    return _Basis(columns, most, rest / y * (1 + OUTWARD))


def _anchors(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Anchor rows, (boxes, columns), and M, (boxes, anchors, rows), in plain floating point."""
    boxes, count, _ = columns.shape
    every = np.arange(boxes)
    size = np.sqrt(np.square(columns).mean(axis=2, keepdims=True))
    q = columns / np.maximum(size, 1e-300)
    # The row that is furthest from the span of those before, and then exchanges.
    rest, chosen = q.copy(), np.empty((boxes, count), dtype=int)
    for place in range(count):
        chosen[:, place] = np.square(rest).sum(axis=1).argmax(axis=1)
        at = rest[every, :, chosen[:, place]]
        at /= np.maximum(np.sqrt(np.square(at).sum(axis=1, keepdims=True)), 1e-300)
        rest -= at[:, :, None] * (at[:, None, :] @ rest)
    for _ in range(EXCHANGES):
        spread = np.linalg.pinv(_at(q, chosen), rcond=1e-14) @ q
        row = np.abs(spread).max(axis=1).argmax(axis=1)
        weight = np.abs(spread[every, :, row])
        anchor = weight.argmax(axis=1)
        grows = weight[every, anchor] > GROWTH
        if not grows.any():
            return chosen, spread
        chosen[every[grows], anchor[grows]] = row[grows]
    return chosen, np.linalg.pinv(_at(q, chosen), rcond=1e-14) @ q


def _at(columns: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Columns at the chosen rows of each box."""
    return np.take_along_axis(columns, chosen[:, None, :], axis=2)


def _tilt(
    relaxation: Relaxation,
    loss: LogHuber,
    part: OpenBoxes,
    every: np.ndarray,
    anchors: np.ndarray,
    target: float,
    shares: Shares | None,
) -> None:
    """Ranges of anchor rows by two tilted problems each."""
    count = anchors.shape[1]
    box = np.repeat(every, 2 * count)
    row = np.repeat(anchors, 2, axis=1).reshape(-1)
    end = np.tile([0, 1], len(every) * count)
    sign, problem = 2.0 * end - 1, np.arange(len(box))
    gathered, ranges, y = part.gathered.take(box), part.ranges[box], loss.y[row]
    lacks = np.maximum(target - part.bounds[box], 1e-12 * target)
    room = y * np.abs(np.exp(part.ranges[box, end, row]) - part.predicted[box, row] / y)
    tau = 2 * lacks / (SHARE * np.maximum(room, 1e-12 * y))
    tilt = np.zeros_like(ranges[:, 0])
    tilt[problem, row] = sign * tau
    free = None
    if shares is None:
        corners, margin = part.corners[box], relaxation.margin(gathered, part.u[box])
    else:
        corners, margin, free = shares.model(every, part.u[every], 2 * count)
    margin = margin + (corners @ tilt[:, :, None])[:, :, 0]
    rows = loss.rows(part.ranges[every]).take(np.repeat(np.arange(len(every)), 2 * count))
    q = relaxation.minimise(corners, rows, margin, SMALL * lacks, STEPS, free).u + tilt
    relaxation.spend(STEPS_OF_A_PROBLEM * len(box))
    found, _, moved = relaxation.prove(gathered, q, ranges, tilt)
    if shares is not None:
        other = shares.bound(every, q, tilt)
        # Of each the better one; the former is of a vector that was repaired.
        moved = np.where((other > found)[:, None], q, moved)
        found = np.maximum(found, other)
    # target > found + sign tau f, where tau is what the rounded difference took off.
    blur = OUTWARD + 8 * EPSILON * np.abs(moved[problem, row]) / tau
    share = sign * (target - found) / tau / y
    at = np.where(share > 0, np.log(np.where(share > 0, share, 1.0)), -np.inf) + sign * blur
    at = np.where(np.isfinite(found) & (blur < 1e-3), at, sign * np.inf)
    for which, narrower in enumerate((np.maximum, np.minimum)):
        mine = end == which
        where = box[mine], which, row[mine]
        part.ranges[where] = narrower(part.ranges[where], at[mine])


def _spread(
    relaxation: Relaxation,
    loss: LogHuber,
    part: OpenBoxes,
    every: np.ndarray,
    basis: _Basis,
    anchors: np.ndarray,
    spread: np.ndarray,
) -> None:
    """Ranges of all rows by those of the anchors."""
    size = np.abs(spread)
    count = anchors.shape[1]
    at = _at(basis.columns, anchors)
    miss = np.abs(basis.columns - at @ spread)
    miss += gamma(count) * (np.abs(basis.columns) + np.abs(at) @ size)
    rest = basis.rest + _combined(np.take_along_axis(basis.rest, anchors, axis=1), size)
    rest += _combined(basis.most, miss)
    known = relaxation.known / loss.y
    low, high = (
        np.exp(np.take_along_axis(part.ranges[every, end], anchors, axis=1)) for end in (0, 1)
    )
    middle, half = 0.5 * (low + high) - known[anchors], 0.5 * (high - low)
    center = _combined(middle, spread) + known
    wide = _combined(np.maximum(half, 0), size) + rest
    wide += OUTWARD * (_combined(np.abs(middle) + half, size) + np.abs(known)) + OUTWARD * wide
    fine = np.isfinite(wide)
    lower, upper = center - wide, center + wide
    lower = np.where(fine & (lower > 0), np.log(np.where(lower > 0, lower, 1.0)), -np.inf)
    # Nothing is left where even the upper end is not positive.
    upper = np.where(fine, np.log(np.maximum(upper, 1e-300)), np.inf)
    ranges = part.ranges
    ranges[every, 0] = np.maximum(ranges[every, 0], lower - OUTWARD)
    ranges[every, 1] = np.minimum(ranges[every, 1], upper + OUTWARD)


def _combined(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sums of rows (boxes, some, rows) with weights (boxes, some)."""
    return np.asarray((weights[:, None, :] @ rows)[:, 0])
