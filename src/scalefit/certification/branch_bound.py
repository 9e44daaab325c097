"""Branch and bound over boxes of the nonlinear parameters, until nothing lower can be anywhere.

Every box gets a lower bound (:mod:`~scalefit.certification.relaxation`). Where it reaches the
target, the incumbent's objective less the tolerance, the box is proved; the others are cut where
mixing corner columns, or the repair, costs most, or by the range of one prediction where the ranges
of a box stay wide. Bounds lose by order (width of the box)^2 and, for log residuals, (width of the
ranges)^2; a few hundred boxes prove most fits to 1e-6. No clock is looked at: the outcome is the
same on every machine.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scalefit.certification.anchors import narrow_by_anchors
from scalefit.certification.boxes import Boxes, OpenBoxes
from scalefit.certification.conjugates import LogSquared
from scalefit.certification.huber_conjugates import LogHuber, Robust
from scalefit.certification.level_shares import narrow_by_shares
from scalefit.certification.order import LATER_STEPS, halve_ranges, order_ranges
from scalefit.certification.proposals import Goal, at_points, by_interior_point, by_parabolas
from scalefit.certification.ranges import narrow_by_rows
from scalefit.certification.relaxation import STEPS_OF_A_PROBLEM, Relaxation
from scalefit.problem.problem import Problem
from scalefit.results.certificate import Certificate
from scalefit.runtime.progress import Stage, counting

__all__ = ["Search"]

# Every coordinate is cut in two this often before anything is bounded.
FIRST_CUTS = 2

# Boxes bounded at once: keeps the arrays in cache.
CHUNK = 512

# Under squares, a box searched in the logarithm is cut at the geometric mean while its ends are
# further apart. Huber losses take three in ten boxes less where it is cut in the middle.
GEOMETRIC = 4.0

# Coordinates whose share of the slack is at least this part of the largest are cut together.
CUT_SHARE = 0.3

# Boxes are cut twice at once in generations of fewer: so many take little longer than one.
FEWEST = 32

# Generations of boxes between looks at whether the objective is lower in the most promising ones,
# and how many boxes are looked at: of squares one, and more before the search gives up; of Huber
# losses, where a look costs little beside a generation, several of so many rows in all.
LOOK = 5
LOOKS = 8
ROBUST_LOOKS = 32
LOOKED_ROWS = 10_000

# The search gives up where open boxes multiplied by more than GROWTH in each of the last
# GENERATIONS and would pass what is allowed in two more.
GROWTH = 1.3
GENERATIONS = 3

# Log residuals that the incumbent confines to this are treated as nearly parabolas.
STRAIGHT = 0.5

# Ranges of squares are narrowed by the order of predictions again in generations of at most so many
# boxes times rows.
MOST_ORDERED = 10_000

# Boxes are bounded again at once where the squared widths of their ranges shrank to this share, and
# cutting them promises less than this share of what the bound lacks.
SHRUNK = 0.6
AGAIN = 0.5

# Boxes are cut by a range of predictions where their median width is above this, and ordered again
# above that, in tables of no more than so many rows.
WIDE = 0.3
FAR = 1.0
MOST_ROWS = 500


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
        self.grouped = relaxation.columns.grouped and not relaxation.signed
        # Whether a row may be far from a parabola, so that more steps and ranges are worth while.
        self.ranged = isinstance(loss, LogHuber) or (
            isinstance(loss, LogSquared) and bool(loss.range[1].max() > STRAIGHT)
        )

    def run(self, most_boxes: int, most_work: float) -> Certificate:
        """Bound one generation of boxes after another until all are proved, or effort is spent."""
        self.most_work = most_work
        with counting("proving") as stage:
            return self._run(most_boxes, stage)

    def _run(self, most_boxes: int, stage: Stage) -> Certificate:
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
            stage.what = f"proving, {len(boxes):,} boxes left"
            if turn and self.ranged:
                self._order(boxes)
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
            lacks = self.target - bounds[~done]
            boxes = self._cut(left, slack[~done], lacks) if len(self.low) else left
            if not len(boxes):
                return self._certificate(True, min(least, self.target), boxes)
            ended = self._ended(counts, len(boxes), most_boxes)
            order = np.argsort(bounds[~done])[: self._looks(turn, bool(ended))]
            lower = self._lower_point(left.take(order))
            if lower or ended:
                return self._certificate(False, lowest, left, ended, lower)

    def _first(self) -> Boxes:
        """The whole box, with every fixed column passive."""
        relaxation = self.relaxation
        passive = np.zeros((1, relaxation.size), dtype=bool)
        passive[:, : len(relaxation.fixed)] = True
        return Boxes(self.low[None], self.high[None], passive, relaxation.loss.range[None].copy())

    def _order(self, boxes: Boxes) -> None:
        """Narrower ranges by the order of predictions, where they are worth their time."""
        if isinstance(self.relaxation.loss, LogHuber):
            if self.relaxation.rows <= MOST_ROWS:
                wide = np.median(_widths(boxes.ranges), axis=1) > FAR
                part = boxes.take(wide)
                order_ranges(self.relaxation, part, self.target, LATER_STEPS)
                boxes.ranges[wide] = part.ranges
        elif len(boxes) * self.relaxation.rows <= MOST_ORDERED:
            order_ranges(self.relaxation, boxes, self.target)

    # The bound

    def _bound_all(self, boxes: Boxes) -> Bounded:
        parts = [self.bound(boxes.take(slice(i, i + CHUNK))) for i in range(0, len(boxes), CHUNK)]
        self.boxes += len(boxes)
        return Bounded(*(np.concatenate(item) for item in zip(*parts, strict=True)))

    def bound(self, boxes: Boxes, again: bool = True) -> Bounded:
        """Lower bounds of boxes, and what is needed to cut them.

        Args:
            boxes: the boxes.
            again: whether boxes are bounded once more where their ranges became much narrower.
        """
        relaxation, loss = self.relaxation, self.relaxation.loss
        gathered, fine = relaxation.gather(boxes)
        corners = relaxation.corners(gathered)
        # Whatever is finite: these boxes get no bound.
        corners[~fine] = 1.0
        propose = by_interior_point if isinstance(loss, Robust) else by_parabolas
        at = propose(relaxation, gathered, corners, boxes, self.goal)
        relaxation.spend(STEPS_OF_A_PROBLEM * len(boxes))
        bounds = np.where(fine, at.bounds, -np.inf)
        size = np.abs(at.predicted) @ loss.typical
        slack = at.mixing + np.minimum(at.needed, 1e100) * size[:, None]
        found = Bounded(bounds, slack, at.passive, boxes.ranges)
        if (self.ranged or self.grouped) and relaxation.work < self.most_work:
            open_ = np.flatnonzero(fine & (bounds < self.target))
            if len(open_):
                parts = corners, at.mixing, boxes.ranges, bounds, at.u, at.predicted, at.passive
                part = OpenBoxes(gathered.take(open_), *(item[open_] for item in parts))
                self._narrow(boxes, found, open_, part, again)
            # Points that are not below the target are outside the ranges.
            np.minimum(bounds, self.target, out=bounds)
        return found

    def _narrow(
        self, boxes: Boxes, found: Bounded, open_: np.ndarray, part: OpenBoxes, again: bool
    ) -> None:
        """Narrower ranges and better bounds of open boxes, in place."""
        relaxation, loss = self.relaxation, self.relaxation.loss
        before = np.square(_widths(part.ranges)).sum(axis=1)
        twice = np.zeros(len(open_), dtype=bool)
        shares = None
        if self.grouped:
            shares = narrow_by_shares(relaxation, part, self.target)
            found.slack[open_] += shares.lost
        if self.ranged and isinstance(loss, LogSquared):
            narrow_by_rows(relaxation, part, self.target)
        elif isinstance(loss, LogHuber):
            tried = narrow_by_anchors(relaxation, loss, part, self.target, shares)
            after = np.square(_widths(part.ranges)).sum(axis=1)
            lacks = self.target - part.bounds
            twice = tried & (lacks > 0) & (part.slack.sum(axis=1) < AGAIN * lacks)
            twice &= after < SHRUNK * before
        found.ranges[open_] = part.ranges
        found.bounds[open_] = part.bounds
        found.passive[open_] = part.passive
        if again and twice.any():
            which = open_[twice]
            mine = boxes.take(which)
            mine = Boxes(mine.lower, mine.upper, mine.passive, part.ranges[twice])
            better = self.bound(mine, False)
            for old, new in zip(found, better, strict=True):
                old[which] = new
            self.boxes += len(which)

    # Where to cut

    def _cut(self, boxes: Boxes, slack: np.ndarray, lacks: np.ndarray) -> Boxes:
        """Boxes cut in two: by a range of predictions where that is what a bound lacks."""
        slack = np.where(np.isfinite(slack), slack, 0.0)
        if isinstance(self.relaxation.loss, LogHuber):
            wide = np.median(_widths(boxes.ranges), axis=1) > WIDE
            wide &= (lacks < self.target) & (slack.sum(axis=1) < lacks)
            parts, cut = halve_ranges(self.relaxation, boxes.take(wide))
            wide[wide] = cut
            return self._halved(boxes.take(~wide), slack[~wide])[0].joined(parts)
        boxes, slack = self._halved(boxes, slack)
        # The dual of a Huber loss takes long for each box, and little beside. Others are cut twice
        # if they are few.
        enough = len(boxes) >= FEWEST or isinstance(self.relaxation.loss, Robust)
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
        logs &= not isinstance(self.relaxation.loss, Robust)
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

    def _looks(self, turn: int, ended: bool) -> int:
        """How many of the open boxes are looked at."""
        if not ended and turn % LOOK:
            return 0
        if isinstance(self.relaxation.loss, Robust):
            return max(1, min(ROBUST_LOOKS, LOOKED_ROWS // self.relaxation.rows))
        return LOOKS if ended else 1

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
        if not len(boxes):
            return None
        middles = 0.5 * (boxes.lower + boxes.upper)
        values = at_points(self.relaxation, middles, self.goal)
        least = int(np.argmin(values))
        if not values[least] < self.target:
            return None
        pairs = zip(self.problem.nonlinear, middles[least].tolist(), strict=True)
        return Lower(float(values[least]), {name: x for group, x in pairs for name in group})

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


def _widths(ranges: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(ranges[:, 1] - ranges[:, 0], 0.0))
