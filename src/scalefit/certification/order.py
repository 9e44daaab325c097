"""Ranges of predictions of log residuals by what one of them says of all others.

Where every column is at least rho times as large in row k as in row i, at all points of a box, and
no coefficient is negative, f_k >= rho f_i. Columns of a level that has neither row say nothing, and
one that has row i alone says that rho is zero. The logarithm of a power is a straight line in its
exponent, so that ratios of columns are extreme at the ends of an interval.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scalefit.certification.boxes import Boxes
from scalefit.certification.conjugates import LogSquared
from scalefit.certification.huber_conjugates import LogHuber
from scalefit.certification.relaxation import Relaxation

__all__ = ["LATER_STEPS", "halve_ranges", "order_ranges"]

# Rows whose predictions bound those of others, and Newton steps for each: at first, and later. A
# step costs as much as so many of the interior point method.
MOST_ORDERING = 60
FIRST_STEPS, LATER_STEPS = 12, 6
STEPS_OF_ORDERING = 10

# Rows that a box may be cut by.
MOST_HALVING = 16

# Outward, what logarithms of ratios of columns may be off by.
BLUR = 1e-9


def order_ranges(
    relaxation: Relaxation, boxes: Boxes, target: float, steps: int = FIRST_STEPS
) -> None:
    """Narrow the ranges of boxes by what a prediction in one row says of all others, in place.

    The whole objective bounds each prediction, not its row alone: with h_k(s) a row s beyond its
    observed loss, sum_k h_k(max(ln(rho_k f_i / L_k), 0)) is no more than the target, and the same
    from below.
    """
    loss, rows = relaxation.loss, relaxation.rows
    assert isinstance(loss, LogSquared | LogHuber)
    some = np.arange(0, rows, -(-rows // MOST_ORDERING))
    logs = np.log(loss.y)
    for box, columns in _logarithms(relaxation, boxes):
        for side, sign in ((1, 1.0), (0, -1.0)):
            # Least of sign (ln f_k - ln f_i), (k, i).
            apart = sign * (columns[:, some, None] - columns[:, None, :])
            ratio = np.where(np.isnan(apart), np.inf, apart).min(axis=0)
            # A prediction at sign x is so far beyond the loss in row k.
            ahead = ratio - BLUR + sign * (logs - logs[some, None])
            x = sign * boxes.ranges[box, side]
            for _ in range(steps):
                each, slopes = loss.one_sided(np.maximum(x + ahead, 0), some, side)
                above, slope = each.sum(axis=0) * (1 - 1e-9) - target, slopes.sum(axis=0)
                # Newton from the far side stays there: the sum is convex.
                x = np.where(above > 0, x - above / np.where(slope > 0, slope, np.inf), x)
            boxes.ranges[box, side] = sign * (x + BLUR)
        relaxation.spend(STEPS_OF_ORDERING * steps)


def halve_ranges(relaxation: Relaxation, boxes: Boxes) -> tuple[Boxes, np.ndarray]:
    """Boxes cut in two by the range of one row, which narrows those of all others.

    The row is the one that leaves the narrowest ranges, of some.

    Returns:
        The parts that are not empty, and which boxes were cut.
    """
    assert isinstance(relaxation.loss, LogSquared | LogHuber)
    logs = np.log(relaxation.loss.y)
    order = np.argsort(logs)
    some = order[:: -(-relaxation.rows // MOST_HALVING)]
    parts, origin = [], []
    for box, columns in _logarithms(relaxation, boxes):
        low, high = boxes.ranges[box]
        # ln f_i - ln f_k, and so the difference of what s is in rows i and k, (k, i).
        ratio = columns[:, None, :] - columns[:, some, None]
        apart = logs[some, None] - logs
        none = np.isnan(ratio)
        least = np.where(none, np.inf, ratio).min(axis=0) - BLUR + apart
        most = np.where(none, -np.inf, ratio).max(axis=0) + BLUR + apart
        middle = 0.5 * (low[some] + high[some])[:, None]
        lower = np.maximum(low, np.stack([low[some, None] + least, middle + least]))
        upper = np.minimum(high, np.stack([middle + most, high[some, None] + most]))
        width = np.maximum(upper - lower, 0.0).sum(axis=2).max(axis=0)
        best = int(np.argmin(width))
        parts.append(np.stack([lower[:, best], upper[:, best]], axis=1))
        origin.append(box)
    cut = np.isin(np.arange(len(boxes)), origin)
    of = np.repeat(np.array(origin, dtype=int), 2)
    ranges = np.concatenate([boxes.ranges[:0], *parts])
    filled = (ranges[:, 0] <= ranges[:, 1]).all(axis=1)
    of = of[filled]
    return Boxes(boxes.lower[of], boxes.upper[of], boxes.passive[of], ranges[filled]), cut


def _logarithms(relaxation: Relaxation, boxes: Boxes) -> Iterator[tuple[int, np.ndarray]]:
    """Boxes, and logarithms of their columns where ratios are known by them, (columns, rows).

    Minus infinity in the rows of other levels.
    """
    fixed = relaxation.fixed
    if relaxation.columns.curved or relaxation.has_known or relaxation.signed or not len(boxes):
        return
    masks = np.concatenate([fixed.masks, np.repeat(relaxation.columns.masks, 2, axis=0)])
    gathered, fine = relaxation.gather(boxes)
    for box in np.flatnonzero(fine):
        ends = gathered.middle[box, :, :2].reshape(-1, relaxation.rows)
        radius = gathered.error[box, :, :2].reshape(-1, relaxation.rows)
        columns = np.concatenate([fixed.middle, ends])
        exact = np.concatenate([fixed.radius, radius]) < 1e-10 * columns
        if (exact | ~masks).all():
            yield int(box), np.log(columns)
