"""Lower bounds of a fit's objective over boxes of its nonlinear parameters, by weak duality.

The problem: minimise sum_i h_i(f_i) over f = f0 + sum_j c_j phi_j(theta), c_j >= 0, theta in a box,
every column phi_j a function of one nonlinear parameter at most.

**Theorem.** Let u satisfy u.phi_j(theta) <= 0 for every j and every theta of a box, and let R_i
contain f_i at every point of the box whose objective is below a target. Then no f of that box has
sum_i h_i(f_i) below the target and below sum_i inf_{f in R_i} [h_i(f) + u_i f] - u.f0.

Proof: u.(f - f0) <= 0 because the coefficients are not negative, so sum h_i(f_i) >= sum h_i(f_i) +
u.(f - f0). Where that is below the target, f_i is in R_i, and each row is at least its infimum. h_i
may be any function. R_i begins as the predictions that are no worse than the incumbent in that row
alone. Boxes carry ranges R_i where a row is not convex (log residuals), and narrow them: see
:mod:`~scalefit.certification.order`, :mod:`~scalefit.certification.ranges` and
:mod:`~scalefit.certification.anchors`.

**Tests of one variable.** Since a column depends on one parameter t, the condition is that g(t) =
u.phi(t) <= 0 on [a, b]. There g <= chord + M (t - a)(b - t) / 2 where M bounds -g'': from interval
arithmetic of g'', or of g'' at the middle and g''' around it, whichever is less. Columns are first
multiplied by positive functions of the parameter, which changes no cone: for N^-t by Nr^t, Nr the
geometric mean of N, so that neither size nor curvature depends on units.

**A good u** is the gradient of the best fit on the corner columns phi(a), phi(b) (weighted
nonnegative least squares; an interior point method for Huber). Its g vanishes at ends in use and
exceeds zero between them by order (b - a)^2. The fit is repeated with g <= -(that excess) at the
ends, and what little still fails is repaired by u - s e, e > 0. Because the remainder is of second
order, boxes need not be small where the objective is well above its minimum.

**A coefficient free in sign**, whose column psi is fixed, needs u.psi = 0 exactly. One entry of u,
the pinned one, is then understood as the real number that makes it so: it lies within a computed
distance of the one in memory, and that distance is charged wherever the entry is used. No repair is
possible.

**Rounding.** Columns and their derivatives come as intervals, rounded outward. A dot product of n
terms in any order is within gamma_n sum |u_i| |phi_i| of the exact one; twice as much is added to
each, with the radius of the intervals, before anything is compared. The bound is lowered in the
same way. u is a vector of floating point numbers, exact by definition, so the solvers that propose
it need no analysis. Underflow of products is neglected: 5e-324 against terms of the size of the
loss.

Source: weak duality for separable convex problems, Rockafellar 1970, Convex Analysis, section 31.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalefit.certification.boxes import (
    Boxes,
    ColumnCache,
    Gathered,
    curvature_bound,
    repair_ratio,
    upper_bound,
    workspace,
)
from scalefit.certification.conjugates import Loss
from scalefit.certification.enclosures import Columns
from scalefit.certification.huber_conjugates import Robust
from scalefit.certification.interior_point import InteriorPoint
from scalefit.certification.intervals import Interval
from scalefit.certification.nonnegative import nonnegative
from scalefit.certification.rounding import EPSILON, gamma
from scalefit.certification.row_models import RowModel

__all__ = [
    "REFINEMENTS",
    "REFINEMENTS_NEAR_ROUNDING",
    "STEPS_OF_A_PROBLEM",
    "FixedColumns",
    "Relaxation",
    "scaled_system",
]

# A step of the interior point method costs as much as so many rows beside its own.
BESIDE = 30

# Where coefficients differ by level there are more columns, and more is done with each step.
OF_LEVELS = 2

# A convex problem that is solved without it costs as much as this many of its steps.
STEPS_OF_A_PROBLEM = 3

# Factor on the margin kept where a coefficient is free in sign.
SPARE = 1.5

# Iterative refinements of a dual vector, and those where the tolerance is near rounding.
REFINEMENTS = 1
REFINEMENTS_NEAR_ROUNDING = 3


@dataclass(frozen=True)
class FixedColumns:
    """Columns that no nonlinear parameter changes, each scaled by a power of two to about one.

    Attributes:
        middle: the columns, (columns, rows).
        radius: bounds of their errors.
        free: which coefficients may have either sign, one at most, (columns,).
        masks: the rows where each may be anything but zero, (columns, rows).
    """

    middle: np.ndarray
    radius: np.ndarray
    free: np.ndarray
    masks: np.ndarray

    @classmethod
    def of(
        cls,
        columns: Sequence[Interval],
        free: Sequence[bool],
        rows: int,
        masks: Sequence[np.ndarray],
    ) -> FixedColumns:
        """From enclosures, each of shape (1, rows) or (1, 1)."""
        middle, radius = np.zeros((2, len(columns), rows))
        for place, item in enumerate(columns):
            at, off = item.ball
            # Exactly zero in the rows of other levels.
            at, off = np.where(masks[place], at, 0.0), np.where(masks[place], off, 0.0)
            top = np.abs(at).max()
            factor = np.exp2(-np.round(np.log2(top))) if top > 0 else 1.0
            middle[place], radius[place] = at * factor, off * factor
        every = np.concatenate([np.ones((0, rows), dtype=bool), *(item[None] for item in masks)])
        return cls(middle, radius, np.array(free, dtype=bool), every)

    def __len__(self) -> int:
        return len(self.middle)


class Minimum(NamedTuple):
    """Where convex problems are least, nearly.

    Attributes:
        u: dual vectors, (boxes, rows).
        predicted: predictions, (boxes, rows).
        coefficients: of the columns, (boxes, columns).
    """

    u: np.ndarray
    predicted: np.ndarray
    coefficients: np.ndarray


class Relaxation:
    """A problem whose bound is wanted for one batch of boxes after another.

    Attributes:
        loss: rows of the objective.
        columns: the columns that depend on a parameter.
        fixed: the others.
        known: f0, the part without free coefficients, (rows,).
        rows: number of rows.
        size: number of coefficients on the corner columns: the fixed ones, then two for each other.
        free: which of them may have either sign, (size,).
        work: what was done so far, in steps times rows.
    """

    def __init__(
        self,
        loss: Loss,
        columns: Columns,
        fixed: FixedColumns,
        known: Interval | None,
        refinements: int,
    ) -> None:
        self.loss, self.columns, self.fixed = loss, columns, fixed
        self.axes = len(columns.problem.nonlinear)
        self.refinements = refinements
        self.rows = len(loss.y)
        self.size = len(fixed) + 2 * len(columns)
        self.free = np.zeros(self.size, dtype=bool)
        self.free[: len(fixed)] = fixed.free
        self.signed = bool(fixed.free.any())
        self.known = self.known_radius = np.zeros(self.rows)
        self.has_known = known is not None
        if known is not None:
            self.known, self.known_radius = known.ball
        # No shift repairs what a coefficient free in sign needs.
        self.repair = np.zeros(self.rows) if self.signed else loss.typical
        self.gamma = gamma(self.rows)
        self.fixed_error = self.gamma * np.abs(fixed.middle) + fixed.radius
        self.pinned = 0
        if self.signed:
            self.signed_column = int(np.argmax(fixed.free))
            self.pinned = int(np.argmax(np.abs(fixed.middle[self.signed_column])))
        self.cache = ColumnCache(columns, self.repair)
        self.work = 0.0

    def spend(self, steps: int) -> None:
        """Count steps of the interior point method, or what costs as much."""
        self.work += steps * (self.rows + BESIDE) * (OF_LEVELS if self.columns.grouped else 1)

    def gather(self, boxes: Boxes) -> tuple[Gathered, np.ndarray]:
        """Columns over the intervals of boxes, and the boxes where their corners are finite."""
        where = self.cache.find(boxes)
        cache = self.cache
        # Twice the distance from the middle, which is rounded.
        size = np.maximum(np.abs(boxes.lower), np.abs(boxes.upper))
        width = (boxes.upper - boxes.lower + 4 * EPSILON * size) * (1 + 4 * EPSILON)
        shape = (*where.shape, 5, self.rows)
        gathered = Gathered(
            np.take(cache.middle, where, 0, workspace("middle", *shape), "clip"),
            np.take(cache.error, where, 0, workspace("error", *shape), "clip"),
            cache.against[where],
            where,
            width[:, self.columns.axis],
        )
        return gathered, cache.finite[where].all(axis=1)

    def positive(self, gathered: Gathered) -> np.ndarray:
        """Boxes where no term is negative, whatever the coefficients, (boxes,)."""
        still = not self.signed and bool((self.known >= self.known_radius).all())
        still &= bool((self.fixed.middle >= self.fixed.radius).all())
        least = self.cache.least[gathered.places].min(axis=(1, 2), initial=np.inf)
        return np.asarray(still & (least >= 0))

    def corners(self, gathered: Gathered) -> np.ndarray:
        """The fixed columns, and the others at both ends, (boxes, size, rows)."""
        count, still = len(gathered.middle), len(self.fixed)
        corners = workspace("corners", count, self.size, self.rows)
        corners[:, :still] = self.fixed.middle
        shape = count, len(self.columns), 2, self.rows
        corners[:, still:].reshape(shape)[:] = gathered.middle[:, :, :2]
        return corners

    # Proposing a dual vector, in plain floating point

    def solve(
        self,
        corners: np.ndarray,
        weight: np.ndarray,
        target: np.ndarray,
        margin: np.ndarray,
        passive: np.ndarray,
        refine: bool = False,
        free: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Weighted nonnegative least squares: its u = weight (target - f) has u.column <= -margin.

        Args:
            corners: the columns, (boxes, columns, rows).
            weight: of the parabola that stands for each row, (rows,) or (boxes, rows).
            target: where it is least, of the same shape.
            margin: by how much each column's test is to hold, (boxes, columns).
            passive: the columns with a positive coefficient at first.
            refine: whether u is refined.
            free: which coefficients may have either sign; by default those of the problem.

        Returns:
            Prediction f, coefficients, the columns with a positive one, and u.
        """
        size = corners.shape[1]
        # Corner columns come last, and none of them is free in sign.
        free = self.free[:size] if free is None else free
        weighted = workspace("weighted", *corners.shape)
        np.multiply(corners, weight[:, None, :] if weight.ndim == 2 else weight, out=weighted)
        gram = weighted @ corners.transpose(0, 2, 1)
        goal = target - self.known
        moment = (weighted @ np.broadcast_to(goal, (len(corners), self.rows))[:, :, None])[:, :, 0]
        moment += margin
        c, passive = nonnegative(gram, moment, passive, free)
        k = (c[:, None, :] @ corners)[:, 0]
        u = weight * (goal - k)
        if not refine:
            return k + self.known, c, passive, u
        # Refinement against rows: the Gram matrix squares the condition. What is left of a
        # prediction's own rounding, beside which the residual may be small, is taken off u alone.
        p = passive
        system, scale = scaled_system(gram, p, 1e-14)
        for _ in range(self.refinements):
            rest = (corners @ u[:, :, None])[:, :, 0] + margin
            side = np.where(p, rest * scale, 0.0)[:, :, None]
            step = np.linalg.solve(system, side)[:, :, 0] * scale
            c = np.where(free, c + step, np.maximum(c + step, 0.0))
            u -= weight * (step[:, None, :] @ corners)[:, 0]
        k = (c[:, None, :] @ corners)[:, 0]
        return k + self.known, c, passive, u

    def minimise(
        self,
        columns: np.ndarray,
        rows: RowModel,
        margin: np.ndarray,
        small: np.ndarray,
        most: int,
        free: np.ndarray | None = None,
    ) -> Minimum:
        """The convex problem of a Huber loss by the interior point method; its steps are counted.

        Args:
            columns: the columns, (boxes, columns, rows).
            rows: convex functions that stand for the rows.
            margin: by how much each column's test is to hold, (boxes, columns).
            small: how far the objective may be from its minimum, (boxes,).
            most: steps to give up after.
            free: which coefficients may have either sign; by default those of the problem.
        """
        loss = self.loss
        assert isinstance(loss, Robust)
        free = self.free[: columns.shape[1]] if free is None else free
        solver = InteriorPoint(columns / loss.scale, self.known / loss.scale, free, rows)
        solver.solve(margin / loss.unit, small / loss.unit, most)
        self.spend(solver.steps)
        return Minimum(
            solver.slopes * (-loss.unit / loss.scale),
            solver.predicted * loss.scale,
            solver.coefficients,
        )

    def margin(self, gathered: Gathered, u: np.ndarray) -> np.ndarray:
        """By how much the test would fail inside the box, for each corner column; not rigorous."""
        still = len(self.fixed)
        margin = np.zeros((len(u), self.size))
        size = np.abs(u)
        margin[:, :still] = 4 * (size @ self.fixed_error.T)
        dots, errors = gathered.dots(u)
        curve = curvature_bound(
            dots, np.zeros_like(dots), errors[..., 3], errors[..., 4], gathered.width
        )
        ends = np.minimum(dots[..., :2], 0)
        over = np.maximum(upper_bound(ends[..., 0], ends[..., 1], curve, gathered.width), 0)
        over = np.where(np.isfinite(over), over, 0.0) + 2 * (errors[..., 0] + errors[..., 1])
        margin[:, still:] = np.repeat(over, 2, axis=1)
        if self.signed:
            # What fails the test by a little cannot be repaired by a shift.
            margin *= SPARE
            psi = np.abs(self.fixed.middle[self.signed_column])
            margin += 16 * self.gamma * (size @ psi)[:, None] / psi.max()
        margin[:, self.free] = 0.0
        return margin

    def mixing(
        self, gathered: Gathered, coefficients: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """How far mixing the corners of an interval can move the fit, (boxes, q)."""
        w = np.broadcast_to(weight, (len(coefficients), self.rows))
        bend = np.sqrt((np.square(gathered.middle[:, :, 2]) @ w[:, :, None])[:, :, 0])
        return self._mixed(gathered, coefficients, bend)

    def bending(self, gathered: Gathered, coefficients: np.ndarray, size: np.ndarray) -> np.ndarray:
        """What mixing the corners of an interval can take off a bound, (boxes, q).

        Args:
            gathered: columns over the boxes.
            coefficients: of the corner columns, (boxes, columns).
            size: of the entries of a dual vector at most, (rows,).
        """
        return self._mixed(gathered, coefficients, np.abs(gathered.middle[:, :, 2]) @ size)

    def _mixed(self, gathered: Gathered, coefficients: np.ndarray, bend: np.ndarray) -> np.ndarray:
        """What second derivatives of such sizes cost, by coordinate."""
        pairs = coefficients[:, len(self.fixed) :].reshape(*bend.shape, 2).sum(axis=2)
        each = pairs * gathered.width**2 / 8 * bend
        total = np.zeros((len(each), self.axes))
        for place, axis in enumerate(self.columns.axis):
            total[:, axis] += each[:, place]
        return total

    # The proof

    def prove(
        self,
        gathered: Gathered,
        u: np.ndarray,
        ranges: np.ndarray,
        tilt: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rigorous lower bounds of the objective from any u.

        Args:
            gathered: columns over the boxes.
            u: dual vectors, (boxes, rows).
            ranges: of the predictions, see :class:`~scalefit.certification.boxes.Boxes`.
            tilt: the bounds are of the objective less tilt.f.

        Returns:
            The bounds, (boxes,); the shift that each coordinate needs, (boxes, q); u shifted.
        """
        uncertain = self._uncertainty(u)
        excess, against = self._tests(gathered, u, uncertain)
        ratio = repair_ratio(excess, against)
        needed = np.zeros((len(u), self.axes))
        for place, axis in enumerate(self.columns.axis):
            mine = ratio[:, place - len(self.columns)]
            needed[:, axis] = np.maximum(needed[:, axis], mine)
        shift = ratio.max(axis=1, initial=0.0)
        ok = np.isfinite(shift)
        # The direction may hurt a column that is not positive.
        left = excess - shift[:, None] * against * (1 + 1e-9)
        ok &= ((against > 0) | (shift[:, None] == 0) | (left <= 0)).all(axis=1)
        # The shifted vector is rounded: the product t e is taken a little too large.
        moved = u - np.where(ok & (shift > 0), shift, 0.0)[:, None] * self.repair
        bounds = self.rows_bound(moved, ranges, tilt)
        row = self.pinned
        bounds -= 1.01 * uncertain * (self.loss.reach[row] + np.abs(self.known[row]))
        bounds -= 4 * EPSILON * np.abs(bounds)
        return np.where(ok & np.isfinite(bounds), bounds, -np.inf), needed, moved

    def rows_bound(
        self, u: np.ndarray, ranges: np.ndarray, tilt: np.ndarray | None = None
    ) -> np.ndarray:
        """Lower bounds of sum_i inf [h_i(f) + u_i f] - u.f0, see ``prove``, (boxes,)."""
        bounds = self.loss.conjugate(u if tilt is None else u - tilt, ranges)
        if self.has_known:
            terms = u * self.known
            bounds -= terms.sum(axis=-1) + 1.01 * (
                np.abs(u) @ (self.gamma * np.abs(self.known) + self.known_radius)
            )
        return bounds

    def _uncertainty(self, u: np.ndarray) -> np.ndarray:
        """How far the pinned entry of u is from the one in memory at most, (boxes,)."""
        if not self.signed:
            return np.zeros(len(u))
        place, row = self.signed_column, self.pinned
        psi = self.fixed.middle[place]
        off = np.abs(u @ psi) + 1.01 * (np.abs(u) @ self.fixed_error[place])
        return np.asarray(1.01 * off / (np.abs(psi[row]) - self.fixed.radius[place, row]))

    def _tests(
        self, gathered: Gathered, u: np.ndarray, uncertain: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """By how much each column's test may fail, and what a unit of shift takes off it.

        Of the fixed columns but the one free in sign, then of the others, (boxes, columns).
        """
        row, error = self.pinned, self.fixed_error
        above = u @ self.fixed.middle.T + 1.01 * (np.abs(u) @ error.T)
        dots, errors = gathered.dots(u)
        if self.signed:
            above = above + 1.01 * uncertain[:, None] * (
                np.abs(self.fixed.middle[:, row]) + error[:, row]
            )
            most = np.abs(gathered.middle[..., row]) + gathered.error[..., row]
            errors += 1.01 * uncertain[:, None, None] * most
        # The spread of the whole interval's derivatives is inside errors[..., 3:].
        curve = curvature_bound(dots, errors, errors[..., 3], errors[..., 4], gathered.width)
        top = upper_bound(
            dots[..., 0] + errors[..., 0], dots[..., 1] + errors[..., 1], curve, gathered.width
        )
        bound = ~self.fixed.free
        e = self.repair
        fixed = self.fixed.middle @ e - 1.01 * (error @ e)
        excess = np.concatenate([above[:, bound], top], axis=1)
        against = np.concatenate(
            [np.broadcast_to(fixed, above.shape)[:, bound], gathered.against], axis=1
        )
        return excess, against


def scaled_system(
    gram: np.ndarray, passive: np.ndarray, trace: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of the passive columns, scaled to a diagonal of one, and the scale.

    Args:
        gram: Gram matrices, (boxes, columns, columns).
        passive: the columns with a positive coefficient; rows of the identity leave the others out.
        trace: what is added to the diagonal, so that singular ones can be solved.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    pair = passive[:, :, None] & passive[:, None, :]
    system = np.where(pair, gram * scale[:, :, None] * scale[:, None, :], 0.0)
    system += np.eye(gram.shape[1]) * np.where(passive, trace, 1.0)[:, None, :]
    return system, scale
