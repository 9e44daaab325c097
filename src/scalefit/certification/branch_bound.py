"""Branch and bound over boxes of the nonlinear parameters, until nothing lower can be anywhere.

Every box gets a lower bound (:mod:`~scalefit.certification.relaxation`). Where it reaches the
target, the incumbent's objective less the tolerance, the box is proved; the others are cut where
mixing corner columns, or the repair, costs most. Bounds lose by order (width of the box)^2, and a
few hundred boxes prove most fits to 1e-6. No clock is looked at: the outcome is the same on every
machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalefit.certification.boxes import Boxes
from scalefit.certification.conjugates import Huber, LogSquared
from scalefit.certification.duals import HuberDual
from scalefit.certification.ranges import STEP_LENGTHS, Narrowed, narrow, order_ranges
from scalefit.certification.relaxation import STEPS_OF_A_PROBLEM, Relaxation
from scalefit.problem.problem import Problem
from scalefit.results.certificate import Certificate

__all__ = ["Goal", "Search"]

# Every coordinate is cut in two this often before anything is bounded.
FIRST_CUTS = 2

# Boxes bounded at once: keeps the arrays in cache.
CHUNK = 512

# A box searched in the logarithm is cut at the geometric mean while its ends are further apart.
GEOMETRIC = 4.0

# Coordinates whose share of the slack is at least this part of the largest are cut together.
CUT_SHARE = 0.3

# Boxes are cut twice at once in generations of fewer: so many take little longer than one.
FEWEST = 32

# Generations of boxes between looks at whether the objective is lower in the most promising one,
# and how many boxes are looked at before the search gives up.
LOOK = 5
LOOKS = 8

# Newton steps at a point that is looked at.
LOOK_STEPS = 12

# The search gives up where open boxes multiplied by more than GROWTH in each of the last
# GENERATIONS and would pass what is allowed in two more.
GROWTH = 1.3
GENERATIONS = 3

# Log residuals that the incumbent confines to this are treated as nearly parabolas.
STRAIGHT = 0.5

# Ranges are first narrowed by the order of predictions, in generations of at most so many boxes
# times rows.
MOST_ORDERED = 10_000


@dataclass(frozen=True)
class Goal:
    """What is to be proved: that no objective is below ``target``.

    Attributes:
        value: the incumbent's objective, times 2^exponent.
        allowed: by how much something may be lower and the incumbent still counts as global.
        rounding: by how much float64 may be off.
        exponent: by which the weights were scaled.
    """

    value: float
    allowed: float
    rounding: float
    exponent: int

    @property
    def target(self) -> float:
        """What every bound is to reach."""
        return self.value - self.allowed

    def unscaled(self, value: float) -> float:
        """An objective in the weights that were given."""
        return math.ldexp(value, -self.exponent)


class Bounded(NamedTuple):
    """What is known of a batch of boxes.

    Attributes:
        bounds: lower bounds of the objective, or of the target where that is less, (boxes,).
        slack: what the bound loses by each coordinate, (boxes, q).
        passive: the columns with a positive coefficient, (boxes, columns).
        ranges: see :class:`Boxes`.
    """

    bounds: np.ndarray
    slack: np.ndarray
    passive: np.ndarray
    ranges: np.ndarray


class Lower(NamedTuple):
    """A point whose objective is lower than the target.

    Attributes:
        objective: the objective there.
        params: the nonlinear parameters there.
    """

    objective: float
    params: dict[str, float]


class Search:
    """A proof in progress.

    Attributes:
        boxes: boxes that were bounded so far.
        low: lower ends of the nonlinear parameters, (q,).
        high: upper ends.
    """

    def __init__(
        self,
        problem: Problem,
        relaxation: Relaxation,
        low: np.ndarray,
        high: np.ndarray,
        goal: Goal,
    ) -> None:
        self.problem, self.relaxation, self.goal = problem, relaxation, goal
        self.low, self.high, self.target = low, high, goal.target
        self.boxes, self.most_work = 0, math.inf
        loss = relaxation.loss
        # Whether a row may be far from a parabola, so that more steps and ranges are worth while.
        self.ranged = isinstance(loss, LogSquared) and bool(loss.range[1].max() > STRAIGHT)

    def run(self, most_boxes: int, most_work: float) -> Certificate:
        """Bound one generation of boxes after another until all are proved, or effort is spent."""
        self.most_work = most_work
        boxes = self._first()
        if self.target <= 0:
            # No objective is negative.
            return self._certificate(True, 0.0, boxes.take([]))
        if self.ranged:
            order_ranges(self.relaxation, boxes, self.target)
        for _ in range(FIRST_CUTS if len(self.low) else 0):
            boxes, _ = self._halved(boxes, np.ones((len(boxes), len(self.low))))
        least, turn, counts = np.inf, 0, [len(boxes)]
        while True:
            if self.ranged and len(boxes) * self.relaxation.rows <= MOST_ORDERED:
                order_ranges(self.relaxation, boxes, self.target)
            bounds, slack, passive, ranges = self._bound_all(boxes)
            done = bounds >= self.target
            if done.any():
                least = min(least, float(bounds[done].min()))
            if done.all():
                return self._certificate(True, least, boxes.take([]))
            left = Boxes(boxes.lower[~done], boxes.upper[~done], passive[~done], ranges[~done])
            lowest = min(least, float(bounds[~done].min()))
            turn += 1
            counts.append(len(left))
            boxes = self._cut(left, slack[~done]) if len(self.low) else left
            ended = self._ended(counts, len(boxes), most_boxes)
            order = np.argsort(bounds[~done])[: LOOKS if ended else int(turn % LOOK == 0)]
            lower = self._lower_point(left.take(order))
            if lower or ended:
                return self._certificate(False, lowest, left, ended, lower)

    def _first(self) -> Boxes:
        """The whole box, with every fixed column passive."""
        relaxation = self.relaxation
        passive = np.zeros((1, relaxation.size), dtype=bool)
        passive[:, : len(relaxation.fixed)] = True
        return Boxes(self.low[None], self.high[None], passive, relaxation.loss.range[None].copy())

    # The bound

    def _bound_all(self, boxes: Boxes) -> Bounded:
        parts = [self.bound(boxes.take(slice(i, i + CHUNK))) for i in range(0, len(boxes), CHUNK)]
        self.boxes += len(boxes)
        return Bounded(*(np.concatenate(item) for item in zip(*parts, strict=True)))

    def bound(self, boxes: Boxes) -> Bounded:
        """Lower bounds of boxes, and what is needed to cut them."""
        relaxation = self.relaxation
        loss = relaxation.loss
        gathered, fine = relaxation.gather(boxes)
        corners = relaxation.corners(gathered)
        # Whatever is finite: these boxes get no bound.
        corners[~fine] = 1.0

        weight, target = loss.start()
        margin = np.zeros((len(boxes), relaxation.size))
        predicted, stationary, passive, _ = relaxation.solve(
            corners, weight, target, margin, boxes.passive
        )
        weight, target = loss.linearise(predicted)
        if isinstance(loss, Huber):
            goal = loss.y - relaxation.known
            dual = HuberDual(loss, corners, goal, relaxation.free, stationary)
            dual.improve(margin, 0.03 * self.goal.value, 12)
            stationary = dual.coefficients()
            # Once more, with what the tests exceed zero by between the corners taken off.
            excess = relaxation.margin(gathered, dual.vector())
            dual.improve(excess, 1e-2 * self.goal.allowed, 30)
            relaxation.spend(dual.steps)
            u = dual.vector()
        else:
            margin = relaxation.margin(gathered, weight * (target - predicted))
            predicted, _, passive, u = relaxation.solve(
                corners, weight, target, margin, passive, refine=True
            )
        bounds, needed, u = relaxation.prove(gathered, u, boxes.ranges)
        bounds = np.where(fine, bounds, -np.inf)
        mixing = relaxation.mixing(gathered, stationary, weight)
        cost = np.minimum(needed, 1e100) * (np.abs(predicted) @ relaxation.direction)[:, None]
        slack = np.sqrt(2 * self.goal.value) * mixing + cost
        found = Bounded(bounds, slack, passive, boxes.ranges)
        if self.ranged and relaxation.work < self.most_work:
            open_ = np.flatnonzero(fine & (bounds < self.target))
            if len(open_):
                self._narrow(
                    found,
                    open_,
                    Narrowed(
                        gathered.take(open_),
                        *(item[open_] for item in (corners, slack, boxes.ranges, bounds, u)),
                        *(item[open_] for item in (predicted, passive)),
                    ),
                )
            # Points that are not below the target are outside the ranges.
            np.minimum(bounds, self.target, out=bounds)
        relaxation.spend(STEPS_OF_A_PROBLEM * len(boxes))
        return found

    def _narrow(self, found: Bounded, open_: np.ndarray, part: Narrowed) -> None:
        narrow(self.relaxation, part, self.target)
        found.ranges[open_] = part.ranges
        found.bounds[open_] = part.bounds
        found.passive[open_] = part.passive

    # Where to cut

    def _cut(self, boxes: Boxes, slack: np.ndarray) -> Boxes:
        """Boxes cut in two along the coordinates with the most slack, and again if they are few."""
        slack = np.where(np.isfinite(slack), slack, 0.0)
        boxes, slack = self._halved(boxes, slack)
        # The dual of a Huber loss takes long for each box, and little beside.
        enough = len(boxes) >= FEWEST or isinstance(self.relaxation.loss, Huber)
        return boxes if enough else self._halved(boxes, slack)[0]

    def _halved(self, boxes: Boxes, slack: np.ndarray) -> tuple[Boxes, np.ndarray]:
        """Boxes cut in two, and the slack that is expected of the parts."""
        largest = slack.max(axis=1, keepdims=True)
        relative = (boxes.upper - boxes.lower) / (self.high - self.low)
        slack = np.where(largest > 0, slack, relative)
        largest = slack.max(axis=1, keepdims=True)
        cut = slack >= CUT_SHARE * largest
        # The slack is of second order in the width.
        slack = np.where(cut, slack / 4, slack)
        logs = np.array(self.problem.logarithmic, dtype=bool)
        lower, upper, origin = boxes.lower, boxes.upper, np.arange(len(boxes))
        for number in range(len(self.low)):
            which = cut[origin, number]
            a, b = lower[which, number], upper[which, number]
            far = logs[number] & (b > GEOMETRIC * a)
            at = np.where(far, np.sqrt(np.abs(a * b)), 0.5 * (a + b))
            left, right = upper.copy(), lower[which].copy()
            left[which, number] = at
            right[:, number] = at
            lower = np.concatenate([lower, right])
            upper = np.concatenate([left, upper[which]])
            origin = np.concatenate([origin, origin[which]])
        return Boxes(lower, upper, boxes.passive[origin], boxes.ranges[origin]), slack[origin]

    # The end

    def _ended(self, counts: list[int], ahead: int, most_boxes: int) -> str:
        """Why the search ends before a generation of ``ahead`` boxes; empty where it goes on."""
        still = f"{counts[-1]} boxes are still open after {self.boxes}"
        if not len(self.low):
            return "the bound of the one convex problem is not tight enough"
        if self.relaxation.work >= self.most_work:
            return f"{still}: {_more(self.boxes)}"
        if self.boxes + ahead > most_boxes:
            return f"{still}: {_more(most_boxes)}"
        # Where open boxes multiply from one generation to the next, two more are counted as well.
        growth = (
            (counts[-1] / max(counts[-1 - GENERATIONS], 1)) ** (1 / GENERATIONS)
            if (len(counts) > GENERATIONS)
            else 1.0
        )
        expected = self.boxes + ahead * (1 + growth + growth**2)
        if growth > GROWTH and expected > most_boxes:
            return f"{still}, and they multiply: {_more(most_boxes)}"
        return ""

    def _lower_point(self, boxes: Boxes) -> Lower | None:
        """The middle of a box, where the objective is lower there than the target."""
        for at in 0.5 * (boxes.lower + boxes.upper):
            reached = self._objective_at(at)
            if reached < self.target:
                pairs = zip(self.problem.nonlinear, at.tolist(), strict=True)
                return Lower(reached, {name: x for group, x in pairs for name in group})
        return None

    def _objective_at(self, theta: np.ndarray) -> float:
        """Objective with the best coefficients at one point; not rigorous."""
        relaxation = self.relaxation
        loss = relaxation.loss
        at = list(theta[:, None])
        pieces = relaxation.columns.pieces(at, at).middle[:, 0]
        matrix = np.concatenate([relaxation.fixed.middle, pieces])[None]
        if not np.isfinite(matrix).all():
            return np.inf
        weight, target = loss.start()
        zero = np.zeros(matrix.shape[:2])
        passive = np.ones(zero.shape, dtype=bool)
        predicted, c, passive, _ = relaxation.solve(matrix, weight, target, zero, passive, True)
        if isinstance(loss, LogSquared):
            for _ in range(LOOK_STEPS):
                weight, target = loss.descend(predicted)
                aim, c, passive, _ = relaxation.solve(matrix, weight, target, zero, passive, True)
                lines = predicted + STEP_LENGTHS[:, None] * (aim - predicted)
                values = loss.evaluate(lines)
                if not values.min() < loss.evaluate(predicted)[0]:
                    break
                predicted = lines[np.argmin(values)][None]
        if isinstance(loss, Huber):
            free = relaxation.free[: matrix.shape[1]]
            dual = HuberDual(loss, matrix, loss.y - relaxation.known, free, c)
            dual.improve(zero, 0.1 * self.goal.allowed, 40)
            predicted = (dual.coefficients()[:, None, :] @ matrix)[:, 0] + relaxation.known
        return float(loss.evaluate(predicted)[0])

    def _certificate(
        self, closed: bool, bound: float, open_: Boxes, reason: str = "", lower: Lower | None = None
    ) -> Certificate:
        """What is known, from a lower bound of the objective over the whole box."""
        value = self.goal.value
        rounding = min(self.goal.rounding / value, 1.0) if value > 0 else 0.0
        gap = 1 - max(bound, 0.0) / value if value > 0 else 0.0
        if closed and bound == self.target:
            gap = self.goal.allowed / value
        if lower:
            own, reached = self.goal.unscaled(value), self.goal.unscaled(lower.objective)
            at = ", ".join(f"{name} = {x:.6g}" for name, x in lower.params.items())
            reason = f"the objective is lower elsewhere: {reached:.8g} at {at}, against {own:.8g}"
        region = {}
        for number, group in enumerate(self.problem.nonlinear if len(open_) else ()):
            ends = float(open_.lower[:, number].min()), float(open_.upper[:, number].max())
            region.update(dict.fromkeys(group, ends))
        return Certificate(
            closed,
            float(max(gap, rounding)),
            self.boxes,
            region,
            reason,
            rounding,
            lower.params if lower else {},
        )


def _more(boxes: int) -> str:
    """What to pass for five times as many boxes, a round number of them."""
    least = 5 * max(boxes, 1)
    power = 10 ** (len(str(least)) - 1)
    several = next(step * power for step in (1, 2, 5, 10) if step * power >= least)
    return f"certify={several:_} goes on"
