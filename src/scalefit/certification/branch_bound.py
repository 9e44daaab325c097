"""Proof that a fitted optimum is global, by weak duality and branch and bound.

The problem: minimise sum_i h_i(f_i) over f = f0 + sum_j c_j phi_j(theta), c_j >= 0, theta in a box,
every column phi_j seeing one nonlinear parameter at most.

Theorem. Let u satisfy u.phi_j(theta) <= 0 for every j and every theta of a box. Then no f of that
box has sum_i h_i(f_i) below sum_i inf_f [h_i(f) + u_i f] - u.f0. Proof: u.(f - f0) <= 0 because the
coefficients are not negative, so sum h_i(f_i) >= sum h_i(f_i) + u.(f - f0), and each row is at
least its infimum. Nothing is asked of h_i. Each infimum may be taken over the predictions that are
no worse than the incumbent in that row alone, since others do not matter.

A column sees one parameter, so the condition falls into tests of one variable: g(t) = u.phi(t) <=
0 on [a, b]. There g <= chord + M (t - a)(b - t) / 2 where M bounds -g'', from interval arithmetic
of g'' or of g'' at the middle and g''' around it, whichever is less. Columns are first multiplied
by positive functions of the parameter, which changes no cone: for N^-t by Nr^t, Nr the geometric
mean of N, so that neither size nor curvature depends on units.

A good u is the gradient of the best fit on the corner columns phi(a), phi(b) (weighted nonnegative
least squares; an interior point method for Huber), whose g vanishes at ends in use and exceeds zero
between them by order (b - a)^2. The fit is repeated with g <= -(that excess) at the ends, and what
little still fails is repaired by u - s e, e > 0. Because the remainder is of second order, boxes
need not be small where the objective is well above its minimum, and a few hundred prove most fits
to 1e-6. Boxes whose bound falls short are cut where mixing corner columns, or the repair, costs
most.

Log residuals are concave in predictions above e times the observed loss. Where the range that the
infimum of such a row is taken over reaches there, the dual proves no more than the row's convex
envelope, however small the box. So a box carries a range for each prediction, that of its points
below the target, and narrows it in three ways. By order: columns whose ratios between rows are
bounded over the box bound the other rows by one. By what is left: all rows but one have at least
their infima, so that one has no more than its own and what the bound lacks of the target. By a
tilt: a lower bound of the objective -+ tau f_k is, where it is below the target, an upper or lower
bound of f_k; for the rows where the envelope costs most. A box whose ranges are empty is proved.

A coefficient free in sign, whose column psi is fixed, needs u.psi = 0 exactly. One entry of u is
then understood as the real number that makes it so: it lies within a computed distance of the one
in memory, and that distance is charged wherever the entry is used. No repair is possible there.

Rounding. Columns and their derivatives come as intervals from
:mod:`scalefit.certification.intervals`, rounded outward. A dot product in
any order of n terms is within gamma_n sum |u_i| |phi_i| of the exact one,
gamma_n = n eps / (1 - n eps) (Higham 2002, Accuracy and Stability of Numerical
Algorithms, section 3.1); twice as much is added to each, with the radius of the intervals, before
anything is compared. The bound is lowered in the same way. u is a vector of floating point numbers,
exact by definition, so the solvers that propose it need no analysis. Underflow of products is
neglected: 5e-324 against terms of the size of the loss.

Source: weak duality for separable convex problems, Rockafellar 1970, Convex Analysis, section 31.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scalefit.certification.boxes import Boxes, Gathered, Shelf, curve_of, ratio_of, room, summit
from scalefit.certification.duals import (
    Huber,
    HuberDual,
    LogSquared,
    Squared,
    gamma,
    loss,
    nonnegative,
)
from scalefit.certification.enclosures import Columns, Inputs, enclose_column
from scalefit.certification.intervals import (
    EPSILON,
    FUNCTION_ULPS,
    TINY,
    Interval,
    NotEnclosed,
)
from scalefit.objective import Objective
from scalefit.problem.problem import Problem, Settings
from scalefit.results.certificate import Certificate
from scalefit.runtime.settings import quiet

__all__ = ["MOST_BOXES", "UNASKED_BOXES", "certify"]

# Share of the objective to which an optimum is proved.
TOLERANCE = 1e-6

# Squared fits of real tables take 170 to 700 boxes, Huber ones as many, three coordinates 2,000.
MOST_BOXES = 50_000

# What they may cost, since a box of many rows, or of rows that are far from parabolas, costs more:
# steps of the interior point method, times the rows and as many as a step costs beside them. Each
# is a tenth of a microsecond, so that a proof ends in some seconds. No clock is looked at: the
# outcome is the same on every machine.
MOST_WORK = 6.4e7
BESIDE = 30

# A convex problem that is solved without it costs as much as this many of its steps.
STEPS_OF_A_PROBLEM = 3

# Where a proof that nobody asked for gives up: within a second.
UNASKED_BOXES = 5_000
UNASKED_WORK = MOST_WORK / 8

MOST_COORDINATES = 3

# Roundings in a prediction as a proof encloses it, beside those of a sum over the rows: columns are
# known to some thousand units in the last place.
ROUNDINGS = 4000

# Every coordinate is cut in two this often before anything is bounded.
FIRST_CUTS = 2

# A row of log residuals that could be off by this much at no more than the objective is left out.
HEAVIEST = 600.0

# Margin kept where a coefficient is free in sign.
SPARE = 1.5

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

# It gives up, too, where open boxes multiplied by more than GROWTH in each of the last GENERATIONS
# and would pass what is allowed in two more.
GROWTH = 1.3
GENERATIONS = 3


# Log residuals that the incumbent confines to this are treated as nearly parabolas.
STRAIGHT = 0.5

# Rounds of better bounds and narrower ranges in a box before it is cut, while the squared widths of
# the ranges shrink to this share.
ROUNDS = 3
SHRUNK = 0.8

# Newton steps a round, and the lengths that are tried of each.
STEPS = 8
STEP_LENGTHS = np.array([1.0, 0.5, 0.2, 0.05])

# Rows of a box whose ranges are narrowed by problems of their own, where cutting the box promises
# no more than this many times what its bound lacks.
TILTS = 8
TILT_SHARE = 20.0

# Halvings of what one row alone leaves to a range.
BISECTIONS = 5

# Ranges are first narrowed by the order of predictions, in generations of at most so many boxes
# times rows, by so many rows.
MOST_ORDERED = 10_000
MOST_DOMINATED = 60


class _Refusal(Exception):  # noqa: N818
    """Why a certificate is not attempted."""


def certify(
    problem: Problem,
    settings: Settings,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    weight: np.ndarray,
    fixed: Mapping[str, float],
    value: float,
    *,
    tolerance: float = TOLERANCE,
    most_boxes: int = MOST_BOXES,
    most_work: float = MOST_WORK,
) -> Certificate:
    """Try to prove that no point of the bounds has a lower objective than a fit.

    It applies where every free coefficient is bounded by zero below and nothing above (one may be
    free in sign if its term is fixed), every term sees one nonlinear coordinate at most, there are
    three coordinates at most, and the objective is squared or, for raw and relative residuals,
    Huber. Elsewhere the certificate says why it was not attempted.

    Args:
        problem: the problem.
        settings: its bounds.
        objective: what is minimised.
        columns: the law's data columns by name, each of shape (rows,), raw units.
        observed: observed losses, shape (rows,).
        weight: row weights, shape (rows,).
        fixed: values of the fixed parameters.
        value: the objective at the fit.
        tolerance: share of the value to prove it to.
        most_boxes: where to give up, in boxes.
        most_work: where to give up, in what they cost (``MOST_WORK``); the last generation of
            boxes may pass it.
    """
    with quiet():
        try:
            search = _prepare(
                problem, settings, objective, columns, observed, weight, fixed, value, tolerance
            )
            return search.run(most_boxes, most_work)
        except (_Refusal, NotEnclosed) as refusal:
            reason = f"not attempted: {refusal}"
            return Certificate(False, float("inf"), 0, {}, reason)


def _prepare(
    problem: Problem,
    settings: Settings,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    weight: np.ndarray,
    fixed: Mapping[str, float],
    value: float,
    tolerance: float,
) -> _Search:
    """The search, or why there is none.

    Raises:
        _Refusal: the problem or objective is not of the kind that can be proved.
        NotEnclosed: a column has no interval arithmetic.
    """
    if not np.isfinite(value):
        raise _Refusal("the objective is not finite")
    free: list[int] = []
    if any(problem.levels):
        raise _Refusal("coefficients differ by a column")
    for index, (group, kinds) in enumerate(zip(problem.linear, problem.limits, strict=True)):
        if kinds == ("none", "none") and not problem.axes_seen[index]:
            free.append(index)
        elif kinds != ("zero", "none"):
            raise _Refusal(f"coefficient {group[0]} has bounds other than zero from below")
        if len(problem.axes_seen[index]) > 1:
            raise _Refusal(f"the term of {group[0]} depends on more than one coordinate")
    if len(free) > 1:
        raise _Refusal("more than one coefficient is free in sign")
    if problem.axes_known:
        raise _Refusal("the law has a part without free coefficients that is searched too")
    q = len(problem.nonlinear)
    if q > MOST_COORDINATES:
        raise _Refusal(f"{q} nonlinear coordinates are more than {MOST_COORDINATES}")
    used = weight > 0
    # Weights near one, by a power of two.
    exponent = 1 - int(np.frexp(weight.max(initial=0.0))[1])
    weight, value = np.ldexp(weight, exponent), math.ldexp(value, exponent)
    if objective.residual == "log":
        # No objective gains by a row, and what a row of hardly any weight loses is hardly anything.
        used &= weight * HEAVIEST**2 > value
    table = Inputs(
        columns=tuple(
            np.asarray(columns[name], dtype=np.float64)[used] for name in problem.law.columns
        ),
        fixed=tuple(float(fixed[name]) for name in problem.fixed),
        rows=int(np.count_nonzero(used)),
    )
    if objective.robust not in ("none", "huber"):
        raise _Refusal(f"no dual is built for robust={objective.robust!r}")
    rows = loss(objective, observed[used], weight[used], value)
    if rows is None:
        raise _Refusal(
            "the Huber loss of a log residual is concave in predictions above the observed loss, "
            "and its dual leaves a gap"
        )
    k = len(problem.linear)
    logs = np.array(problem.logarithmic, dtype=bool)
    low, high = np.asarray(settings.lower)[k:], np.asarray(settings.upper)[k:]
    # The parameter itself is searched; the box is widened by the rounding of the exponential.
    margin = (
        4 * FUNCTION_ULPS * EPSILON * np.where(logs, np.maximum(1, np.abs([low, high]).max(0)), 0)
    )
    low = np.where(logs, np.exp(low) * (1 - margin), low)
    high = np.where(logs, np.exp(high) * (1 + margin), high)
    searched = Columns(problem, table, low, high)
    still = [i for i in range(k) if not problem.axes_seen[i]]
    static = [enclose_column(problem, table, i).value for i in still]
    known_part = None
    if problem.axes_known is not None:
        enclosed = enclose_column(problem, table, None).value
        # What is the same in every row may come as one number.
        known_part = enclosed.mapped(lambda x: np.broadcast_to(x[0], table.rows))
    return _Search(
        problem,
        rows,
        searched,
        still,
        static,
        free,
        known_part,
        low,
        high,
        value,
        tolerance,
        exponent,
    )


class _Bounded(NamedTuple):
    """What is known of a batch of boxes.

    Attributes:
        bounds: lower bounds of the objective, or of the target where that is less, (boxes,).
        slack: what the bound loses by each coordinate, (boxes, q).
        passive: the columns at work.
        ranges: see :class:`Boxes`.
    """

    bounds: np.ndarray
    slack: np.ndarray
    passive: np.ndarray
    ranges: np.ndarray


class _Narrowed(NamedTuple):
    """Boxes whose ranges are being narrowed, with the best bound and dual vector of each.

    Attributes:
        gathered: their columns.
        corners: the columns at the ends of the intervals, (boxes, columns, rows).
        slack: see :class:`_Bounded`.
        ranges: see :class:`Boxes`.
        bounds: lower bounds, (boxes,).
        u: the dual vectors that prove them, (boxes, rows).
        predicted: predictions near the least sum of envelopes, (boxes, rows).
        passive: the columns at work.
    """

    gathered: Gathered
    corners: np.ndarray
    slack: np.ndarray
    ranges: np.ndarray
    bounds: np.ndarray
    u: np.ndarray
    predicted: np.ndarray
    passive: np.ndarray


class _Search:
    """Branch and bound over boxes of the nonlinear parameters."""

    def __init__(
        self,
        problem: Problem,
        rows: Squared | LogSquared | Huber,
        columns: Columns,
        still: list[int],
        static: list[Interval],
        free: list[int],
        known_part: Interval | None,
        low: np.ndarray,
        high: np.ndarray,
        value: float,
        tolerance: float,
        exponent: int,
    ) -> None:
        self.problem, self.loss, self.columns, self.value = problem, rows, columns, value
        self.axes = range(len(problem.nonlinear))
        self.low, self.high = low, high
        # To first and second order in an error of every prediction.
        blur = gamma(2 * len(rows.y) + ROUNDINGS)
        self.rounding = 2 * blur * math.sqrt(value * rows.floor) + blur**2 * rows.floor
        self.rounding += 4 * len(rows.y) * math.ldexp(TINY, exponent)
        self.allowed = max(tolerance * value, self.rounding)
        self.target = value - self.allowed
        self.exponent = exponent
        self.refinements = 1 if self.rounding < 1e-3 * self.allowed else 3
        # Whether a row may be far from a parabola, so that more steps and ranges are worth while.
        self.bends = isinstance(rows, LogSquared) and bool(rows.range[1].max() > STRAIGHT)
        self.rows = len(rows.y)
        # Columns that see nothing, scaled to the size of one.
        self.static = np.zeros((len(static), self.rows))
        self.static_radius = np.zeros((len(static), self.rows))
        for place, item in enumerate(static):
            middle, radius = item.ball
            top = np.abs(middle).max()
            factor = np.exp2(-np.round(np.log2(top))) if top > 0 else 1.0
            self.static[place] = middle * factor
            self.static_radius[place] = radius * factor
        self.size = len(static) + 2 * len(columns)
        self.free = np.zeros(self.size, dtype=bool)
        self.free[[still.index(i) for i in free]] = True
        self.known = self.known_radius = np.zeros(self.rows)
        if known_part is not None:
            self.known, self.known_radius = known_part.ball
        self.has_known = known_part is not None
        self.boxes, self.work, self.most_work = 0, 0.0, math.inf
        weight, target = rows.start()
        self.direction = weight * np.abs(target)
        # No shift repairs what a coefficient free in sign needs: see _prove.
        self.repair = np.zeros(self.rows) if self.free.any() else self.direction
        self.gamma = gamma(self.rows)
        self.shelf = Shelf(columns, self.repair)

    # The bound

    def bound(self, boxes: Boxes) -> _Bounded:
        """Lower bounds of boxes, and what is needed to cut them."""
        count = len(boxes)
        gathered, fine = self._gather(boxes)
        corners = room("corners", count, self.size, self.rows)
        still = len(self.static)
        corners[:, :still] = self.static
        shape = count, len(self.columns), 2, self.rows
        corners[:, still:].reshape(shape)[:] = gathered.middle[:, :, :2]
        corners[~fine] = 1.0

        weight, target = self.loss.start()
        margin = np.zeros((count, self.size))
        predicted, stationary, passive, _ = self._solve(
            corners, weight, target, margin, boxes.passive
        )
        weight, target = self.loss.linearise(predicted)
        if isinstance(self.loss, Huber):
            goal = self.loss.y - self.known
            dual = HuberDual(self.loss, corners, goal, self.free, stationary)
            dual.improve(margin, 0.03 * self.value, 12)
            stationary = dual.coefficients()
            dual.improve(self._margin(gathered, dual.vector()), 1e-2 * self.allowed, 30)
            self._spend(dual.steps)
            u = dual.vector()
        else:
            margin = self._margin(gathered, weight * (target - predicted))
            predicted, _, passive, u = self._solve(
                corners, weight, target, margin, passive, refine=True
            )
        bounds, needed, u = self._prove(gathered, u, boxes.ranges)
        bounds = np.where(fine, bounds, -np.inf)
        mixing = self._mixing(gathered, stationary, weight)
        cost = np.minimum(needed, 1e100) * (np.abs(predicted) @ self.direction)[:, None]
        slack = np.sqrt(2 * self.value) * mixing + cost
        found = _Bounded(bounds, slack, passive, boxes.ranges)
        if self.bends and self.work < self.most_work:
            open_ = np.flatnonzero(fine & (bounds < self.target))
            if len(open_):
                part = _Narrowed(
                    gathered.take(open_),
                    corners[open_],
                    slack[open_],
                    boxes.ranges[open_],
                    bounds[open_],
                    u[open_],
                    predicted[open_],
                    passive[open_],
                )
                self._narrow(part)
                found.ranges[open_] = part.ranges
                found.bounds[open_] = part.bounds
                found.passive[open_] = part.passive
            # Points that are not below the target are outside the ranges.
            np.minimum(bounds, self.target, out=bounds)
        self._spend(STEPS_OF_A_PROBLEM * count)
        return found

    def _spend(self, steps: int) -> None:
        self.work += steps * (self.rows + BESIDE)

    # Ranges of predictions

    def _dominate(self, boxes: Boxes) -> None:
        """Narrow the ranges of boxes by what a prediction in one row says of all others.

        Where every column is at least rho times as large in row k as in row i, at all points of
        the box, f_k >= rho f_i. So the whole objective bounds each prediction, not its row alone:
        sum_k w_k max(ln(rho_k f_i / L_k), 0)^2 is no more than the target, and the same from below.
        """
        loss = self.loss
        if self.columns.bent or self.has_known or self.free.any():
            return
        assert isinstance(loss, LogSquared)
        gathered, fine = self._gather(boxes)
        some = np.arange(0, self.rows, -(-self.rows // MOST_DOMINATED))
        logs = np.log(loss.y)
        w = loss.w[some, None]
        for box in np.flatnonzero(fine):
            # The logarithm of a column is a straight line in its parameter: ratios are extreme at
            # the ends.
            ends = gathered.middle[box, :, :2].reshape(-1, self.rows)
            radius = gathered.error[box, :, :2].reshape(-1, self.rows)
            columns = np.concatenate([self.static, ends])
            if not (np.concatenate([self.static_radius, radius]) < 1e-10 * columns).all():
                continue
            columns = np.log(columns)
            for side, sign in ((1, 1.0), (0, -1.0)):
                # Least of sign (ln f_k - ln f_i), (k, i).
                ratio = (sign * (columns[:, some, None] - columns[:, None, :])).min(axis=0)
                # A prediction at sign x is so far beyond the loss in row k.
                ahead = ratio - 1e-9 + sign * (logs - logs[some, None])
                x = sign * boxes.ranges[box, side]
                for _ in range(12):
                    over = np.maximum(x + ahead, 0)
                    above = (w * over**2).sum(axis=0) * (1 - 1e-9) - self.target
                    slope = 2 * (w * over).sum(axis=0)
                    # Newton from the far side stays there: the sum is convex.
                    x = np.where(above > 0, x - above / np.where(slope > 0, slope, np.inf), x)
                boxes.ranges[box, side] = sign * (x + 1e-9)

    def _narrow(self, part: _Narrowed) -> None:
        """Better bounds by more steps to the dual of the envelope and by narrower ranges."""
        live = np.arange(len(part.bounds))
        for turn in range(ROUNDS):
            self._step(part, live)
            live = live[part.bounds[live] < self.target]
            if self.free.any() or turn == ROUNDS - 1 or not len(live):
                return
            before = part.ranges[live]
            self._contract(part, live)
            after = part.ranges[live]
            empty = (after[:, 0] > after[:, 1]).any(axis=1)
            part.bounds[live[empty]] = self.target
            size = np.square(after[:, 1] - after[:, 0]).sum(axis=1)
            shrunk = size < SHRUNK * np.square(before[:, 1] - before[:, 0]).sum(axis=1)
            live = live[shrunk & ~empty]
            if not len(live):
                return

    def _step(self, part: _Narrowed, live: np.ndarray) -> None:
        """Newton's method for the least sum of envelopes, of which every step gives a bound."""
        loss = self.loss
        assert isinstance(loss, LogSquared)
        for _ in range(STEPS):
            gathered, at, ranges = part.gathered.take(live), part.predicted[live], part.ranges[live]
            weight, target = loss.linearise(at, ranges)
            f, _, passive, u = self._solve(
                part.corners[live],
                weight,
                target,
                self._margin(gathered, part.u[live]),
                part.passive[live],
                refine=True,
            )
            found, _, moved = self._prove(gathered, u, ranges)
            self._spend(STEPS_OF_A_PROBLEM * len(live))
            better = found > part.bounds[live]
            where = live[better]
            part.bounds[where], part.u[where] = found[better], moved[better]
            part.passive[where] = passive[better]
            lines = at + STEP_LENGTHS[:, None, None] * (f - at)
            values = loss.envelope(lines, ranges)[0].sum(axis=-1)
            values = np.where(np.isnan(values), np.inf, values)
            least = np.argmin(values, axis=0)
            every = np.arange(len(live))
            part.predicted[live] = lines[least, every]
            # By how much the bound may still rise is known from above.
            left = self.target - part.bounds[live]
            live = live[(left > 0) & (values[least, every] - part.bounds[live] > 0.03 * left)]
            if not len(live):
                return

    def _contract(self, part: _Narrowed, live: np.ndarray) -> None:
        """Narrow ranges by what a bound leaves to points below the target.

        With terms_i at most the infimum of psi_i = h_i + u_i f_i, every row of such a point has
        psi_i <= terms_i + (target - bound), since the other rows have no less than their terms.
        """
        loss = self.loss
        assert isinstance(loss, LogSquared)
        lacks = self.target - part.bounds[live]
        u, predicted = part.u[live], part.predicted[live]
        low, high = part.ranges[live, 0], part.ranges[live, 1]
        terms, sizes = loss.rows(u, part.ranges[live])
        p = u * loss.y
        s = np.clip(np.log(np.maximum(predicted, 1e-300) / loss.y), low, high)

        def psi(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            e = p * np.exp(x)
            return loss.w * x * x + e, loss.double * x + e, loss.double + e

        limit = terms + (lacks * (1 + 1e-9))[:, None] + 1e-12 * (np.abs(terms) + sizes)
        limit = np.where(np.isfinite(limit), limit, np.inf)
        # psi falls, rises and, where it is concave, may fall again: see ``LogSquared.rows``.
        ended = psi(high)[0] > limit
        inner, outer, left, right = s.copy(), high, low, s.copy()
        for _ in range(BISECTIONS):
            x = 0.5 * (inner + outer)
            value, slope, curve = psi(x)
            out = ended & (value > limit) & ((slope > 0) | (curve < 0))
            inner, outer = np.where(out, inner, x), np.where(out, x, outer)
            x = 0.5 * (left + right)
            value, slope, curve = psi(x)
            out = (value > limit) & (slope < 0) & (curve > 0)
            left, right = np.where(out, x, left), np.where(out, right, x)
        part.ranges[live, 0], part.ranges[live, 1] = left, outer
        # What is left is due to rows whose envelope lies below them.
        below = psi(s)[0] - terms
        use = np.isfinite(lacks) & (part.slack[live].sum(axis=1) < TILT_SHARE * lacks)
        every = np.arange(len(live))
        for _ in range(TILTS):
            row = np.argmax(below, axis=1)
            mine = np.flatnonzero(use & (below[every, row] > 0.02 * lacks))
            if not len(mine):
                return
            below[every, row] = 0.0
            self._tilt(part, live[mine], row[mine])

    def _tilt(self, part: _Narrowed, live: np.ndarray, row: np.ndarray) -> None:
        """Narrow the range of one row in each box, by lower bounds of the objective +- tau f."""
        loss = self.loss
        assert isinstance(loss, LogSquared)
        every = np.arange(len(live))
        gathered, corners, ranges = part.gathered.take(live), part.corners[live], part.ranges[live]
        column = corners[every, :, row]
        weight, _ = loss.linearise(part.predicted[live], ranges)
        gram = (corners * weight[:, None, :]) @ corners.transpose(0, 2, 1)
        passive = part.passive[live]
        scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
        pair = passive[:, :, None] & passive[:, None, :]
        system = np.where(pair, gram * scale[:, :, None] * scale[:, None, :], 0.0)
        system += np.eye(self.size) * np.where(passive, 1e-10, 1.0)[:, None, :]
        side = np.where(passive, column * scale, 0.0)
        lever = (side * np.linalg.solve(system, side[:, :, None])[:, :, 0]).sum(axis=1)
        # The best for a parabola: tau times the movement costs as much as there is room.
        tau = np.sqrt(2 * (self.target - part.bounds[live]) / np.maximum(lever, 1e-300))
        for end, sign in ((1, 1.0), (0, -1.0)):
            q, f, active = part.u[live], part.predicted[live], passive
            for _ in range(2):
                weight, target = loss.linearise(f, ranges)
                margin = self._margin(gathered, q) + (sign * tau)[:, None] * column
                f, _, active, q = self._solve(corners, weight, target, margin, active, refine=True)
                q[every, row] += sign * tau
            tilt = np.zeros_like(q)
            tilt[every, row] = sign * tau
            found, _, moved = self._prove(gathered, q, ranges, tilt)
            self._spend(STEPS_OF_A_PROBLEM * len(live))
            # target > found + sign tau f, where tau is what the rounded difference took off.
            blur = 1e-12 + 8 * EPSILON * np.abs(moved[every, row]) / tau
            share = sign * (self.target - found) / tau / loss.y[row]
            at = np.where(share > 0, np.log(np.where(share > 0, share, 1.0)), -np.inf) + sign * blur
            at = np.where(np.isfinite(found) & (blur < 1e-3), at, sign * np.inf)
            narrower = np.minimum if end else np.maximum
            part.ranges[live, end, row] = narrower(part.ranges[live, end, row], at)

    def unscaled(self, value: float) -> float:
        """An objective in the weights that were given."""
        return math.ldexp(value, -self.exponent)

    def _gather(self, boxes: Boxes) -> tuple[Gathered, np.ndarray]:
        """Columns over the intervals of boxes, and the boxes where their corners are finite."""
        where = self.shelf.find(boxes)
        shelf = self.shelf
        # Twice the distance from the middle, which is rounded.
        size = np.maximum(np.abs(boxes.lower), np.abs(boxes.upper))
        width = (boxes.upper - boxes.lower + 4 * EPSILON * size) * (1 + 4 * EPSILON)
        shape = (*where.shape, 5, self.rows)
        gathered = Gathered(
            np.take(shelf.middle, where, 0, room("middle", *shape), "clip"),
            np.take(shelf.error, where, 0, room("error", *shape), "clip"),
            shelf.against[where],
            width[:, self.columns.axis],
        )
        return gathered, shelf.finite[where].all(axis=1)

    def _solve(
        self,
        corners: np.ndarray,
        weight: np.ndarray,
        target: np.ndarray,
        margin: np.ndarray,
        passive: np.ndarray,
        refine: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Prediction f, coefficients, columns at work and u of weighted nonnegative least squares.

        At its solution u = weight (target - f) has u.column <= -margin.
        """
        size = corners.shape[1]
        # Corner columns come last, and none of them is free in sign.
        free = self.free[:size]
        weighted = room("weighted", *corners.shape)
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
        scale = 1.0 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
        pair = p[:, :, None] & p[:, None, :]
        system = np.where(pair, gram * scale[:, :, None] * scale[:, None, :], 0.0)
        system += np.eye(size) * np.where(p, 1e-14, 1.0)[:, None, :]
        for _ in range(self.refinements):
            rest = (corners @ u[:, :, None])[:, :, 0] + margin
            side = np.where(p, rest * scale, 0.0)[:, :, None]
            step = np.linalg.solve(system, side)[:, :, 0] * scale
            c = np.where(free, c + step, np.maximum(c + step, 0.0))
            u -= weight * (step[:, None, :] @ corners)[:, 0]
        k = (c[:, None, :] @ corners)[:, 0]
        return k + self.known, c, passive, u

    def _margin(self, gathered: Gathered, u: np.ndarray) -> np.ndarray:
        """By how much the test would fail inside the box, for each corner column; not rigorous."""
        margin = np.zeros((len(u), self.size))
        size = np.abs(u)
        margin[:, : len(self.static)] = 4 * (
            size @ (self.gamma * np.abs(self.static) + self.static_radius).T
        )
        dots, errors = gathered.dots(u)
        curve = curve_of(dots, np.zeros_like(dots), errors[..., 3], errors[..., 4], gathered.width)
        ends = np.minimum(dots[..., :2], 0)
        over = np.maximum(summit(ends[..., 0], ends[..., 1], curve, gathered.width), 0)
        over = np.where(np.isfinite(over), over, 0.0) + 2 * (errors[..., 0] + errors[..., 1])
        margin[:, len(self.static) :] = np.repeat(over, 2, axis=1)
        if self.free.any():
            # What fails the test by a little cannot be repaired by a shift: see _prove.
            margin *= SPARE
            place = int(np.argmax(self.free))
            psi = np.abs(self.static[place])
            margin += 16 * self.gamma * (size @ psi)[:, None] / psi.max()
        margin[:, self.free] = 0.0
        return margin

    def _prove(
        self,
        gathered: Gathered,
        u: np.ndarray,
        ranges: np.ndarray,
        tilt: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rigorous lower bounds from any u, the shift each coordinate needs, and u shifted.

        With a tilt, bounds of the objective less tilt.f.
        """
        size = np.abs(u)
        e = self.repair
        radius = self.gamma * np.abs(self.static) + self.static_radius
        above = u @ self.static.T + 1.01 * (size @ radius.T)
        uncertain = np.zeros(len(u))
        row = 0
        if self.free.any():
            place = int(np.argmax(self.free))
            psi, psi_radius = self.static[place], self.static_radius[place]
            row = int(np.argmax(np.abs(psi)))
            off = np.abs(u @ psi) + 1.01 * (size @ radius[place])
            least = np.abs(psi[row]) - psi_radius[row]
            uncertain = 1.01 * off / least
            above = above + 1.01 * uncertain[:, None] * (
                np.abs(self.static[:, row]) + radius[:, row]
            )
        dots, errors = gathered.dots(u)
        if self.free.any():
            most = np.abs(gathered.middle[..., row]) + gathered.error[..., row]
            errors += 1.01 * uncertain[:, None, None] * most
        # The spread of the whole interval's derivatives is inside errors[..., 3:].
        curve = curve_of(dots, errors, errors[..., 3], errors[..., 4], gathered.width)
        top = summit(
            dots[..., 0] + errors[..., 0], dots[..., 1] + errors[..., 1], curve, gathered.width
        )
        # Excess over zero of each column's test, and what a unit of shift takes off it.
        bound = ~self.free[: len(self.static)]
        fixed = self.static @ e - 1.01 * (radius @ e)
        excess = np.concatenate([above[:, bound], top], axis=1)
        against = np.concatenate(
            [np.broadcast_to(fixed, above.shape)[:, bound], gathered.against], axis=1
        )
        ratio = ratio_of(excess, against)
        needed = np.zeros((len(u), len(self.axes)))
        for place, axis in enumerate(self.columns.axis):
            mine = ratio[:, place - len(self.columns)]
            needed[:, axis] = np.maximum(needed[:, axis], mine)
        shift = ratio.max(axis=1, initial=0.0)
        ok = np.isfinite(shift)
        # The direction may hurt a column that is not positive.
        left = excess - shift[:, None] * against * (1 + 1e-9)
        ok &= ((against > 0) | (shift[:, None] == 0) | (left <= 0)).all(axis=1)
        # The shifted vector is rounded: the product t e is taken a little too large.
        moved = u - np.where(ok & (shift > 0), shift, 0.0)[:, None] * e
        bounds = self.loss.conjugate(moved if tilt is None else moved - tilt, ranges)
        if self.has_known:
            terms = moved * self.known
            bounds -= terms.sum(axis=-1) + 1.01 * (
                np.abs(moved) @ (self.gamma * np.abs(self.known) + self.known_radius)
            )
        bounds -= 1.01 * uncertain * (self.loss.reach[row] + np.abs(self.known[row]))
        bounds -= 4 * EPSILON * np.abs(bounds)
        return np.where(ok & np.isfinite(bounds), bounds, -np.inf), needed, moved

    def _mixing(
        self, gathered: Gathered, coefficients: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """How far mixing the corners of an interval can move the fit, (boxes, q)."""
        slack = np.zeros((len(coefficients), len(self.axes)))
        w = np.broadcast_to(weight, (len(coefficients), self.rows))
        bend = np.sqrt((np.square(gathered.middle[:, :, 2]) @ w[:, :, None])[:, :, 0])
        pairs = coefficients[:, len(self.static) :].reshape(*bend.shape, 2).sum(axis=2)
        mixed = pairs * gathered.width**2 / 8 * bend
        for place, axis in enumerate(self.columns.axis):
            slack[:, axis] += mixed[:, place]
        return slack

    # The search

    def run(self, most_boxes: int, most_work: float) -> Certificate:
        """Bound one generation of boxes after another until all are proved, or effort is spent."""
        self.most_work = most_work
        start = np.zeros((1, self.size), dtype=bool)
        start[:, : len(self.static)] = True
        boxes = Boxes(self.low[None], self.high[None], start, self.loss.range[None].copy())
        if self.target <= 0:
            # No objective is negative.
            return self._certificate(True, 0.0, boxes.take([]), "", {})
        if self.bends:
            self._dominate(boxes)
        for _ in range(FIRST_CUTS if self.axes else 0):
            boxes, _ = self._halves(boxes, np.ones((len(boxes), len(self.axes))))
        least, turn, counts = np.inf, 0, [len(boxes)]
        while True:
            if self.bends and len(boxes) * self.rows <= MOST_ORDERED:
                self._dominate(boxes)
            parts = [
                self.bound(boxes.take(slice(i, i + CHUNK))) for i in range(0, len(boxes), CHUNK)
            ]
            bounds, slack, passive, ranges = (
                np.concatenate(item) for item in zip(*parts, strict=True)
            )
            self.boxes += len(boxes)
            done = bounds >= self.target
            if done.any():
                least = min(least, float(bounds[done].min()))
            if done.all():
                return self._certificate(True, least, boxes.take([]), "", {})
            left = Boxes(boxes.lower[~done], boxes.upper[~done], passive[~done], ranges[~done])
            lowest = min(least, float(bounds[~done].min()))
            turn += 1
            counts.append(len(left))
            boxes = self._cut(left, slack[~done]) if self.axes else left
            tired = self._tired(counts, len(boxes), most_boxes)
            order = np.argsort(bounds[~done])[: LOOKS if tired else int(turn % LOOK == 0)]
            lower = self._look(left.take(order))
            if lower or tired:
                return self._certificate(False, lowest, left, tired, lower)

    def _tired(self, counts: list[int], ahead: int, most_boxes: int) -> str:
        """Why the search ends before the next generation, if it does."""
        still = f"{counts[-1]} boxes are still open after {self.boxes}"
        if not self.axes:
            return "the bound of the one convex problem is not tight enough"
        if self.work >= self.most_work:
            return f"{still}: {_onwards(self.boxes)}"
        if self.boxes + ahead > most_boxes:
            return f"{still}: {_onwards(most_boxes)}"
        # Where open boxes multiply from one generation to the next, two more are counted as well.
        growth = (
            (counts[-1] / max(counts[-1 - GENERATIONS], 1)) ** (1 / GENERATIONS)
            if (len(counts) > GENERATIONS)
            else 1.0
        )
        expected = self.boxes + ahead * (1 + growth + growth**2)
        if growth > GROWTH and expected > most_boxes:
            return f"{still}, and they multiply: {_onwards(most_boxes)}"
        return ""

    def _look(self, boxes: Boxes) -> dict[str, float]:
        """The nonlinear parameters of a box whose middle is lower, with the objective there."""
        for at in 0.5 * (boxes.lower + boxes.upper):
            reached = self._objective_at(at)
            if reached < self.target:
                pairs = zip(self.problem.nonlinear, at.tolist(), strict=True)
                found = {name: x for group, x in pairs for name in group}
                return {**found, "": reached}
        return {}

    def _certificate(
        self, closed: bool, bound: float, boxes: Boxes, reason: str, lower: dict[str, float]
    ) -> Certificate:
        """What is known, from a lower bound of the objective over the whole box."""
        rounding = min(self.rounding / self.value, 1.0) if self.value > 0 else 0.0
        gap = 1 - max(bound, 0.0) / self.value if self.value > 0 else 0.0
        if closed and bound == self.target:
            gap = self.allowed / self.value
        lower = dict(lower)
        if lower:
            value, reached = self.unscaled(self.value), self.unscaled(lower.pop(""))
            at = ", ".join(f"{name} = {x:.6g}" for name, x in lower.items())
            reason = f"the objective is lower elsewhere: {reached:.8g} at {at}, against {value:.8g}"
        region = {}
        for number, group in enumerate(self.problem.nonlinear if len(boxes) else ()):
            ends = float(boxes.lower[:, number].min()), float(boxes.upper[:, number].max())
            region.update(dict.fromkeys(group, ends))
        return Certificate(
            closed, float(max(gap, rounding)), self.boxes, region, reason, rounding, lower
        )

    def _objective_at(self, theta: np.ndarray) -> float:
        """Objective with the best coefficients at one point; not rigorous."""
        at = list(theta[:, None])
        matrix = np.concatenate([self.static, self.columns.pieces(at, at).middle[:, 0]])[None]
        if not np.isfinite(matrix).all():
            return np.inf
        weight, target = self.loss.start()
        zero = np.zeros(matrix.shape[:2])
        passive = np.ones(zero.shape, dtype=bool)
        predicted, c, passive, _ = self._solve(matrix, weight, target, zero, passive, True)
        for _ in range(LOOK_STEPS if isinstance(self.loss, LogSquared) else 0):
            assert isinstance(self.loss, LogSquared)
            weight, target = self.loss.descend(predicted)
            aim, c, passive, _ = self._solve(matrix, weight, target, zero, passive, True)
            lines = predicted + STEP_LENGTHS[:, None] * (aim - predicted)
            values = self.loss.evaluate(lines)
            if not values.min() < self.loss.evaluate(predicted)[0]:
                break
            predicted = lines[np.argmin(values)][None]
        if isinstance(self.loss, Huber):
            free = self.free[: matrix.shape[1]]
            dual = HuberDual(self.loss, matrix, self.loss.y - self.known, free, c)
            dual.improve(zero, 0.1 * self.allowed, 40)
            predicted = (dual.coefficients()[:, None, :] @ matrix)[:, 0] + self.known
        return float(self.loss.evaluate(predicted)[0])

    def _cut(self, boxes: Boxes, slack: np.ndarray) -> Boxes:
        """Boxes cut in two along the coordinates with the most slack, and again if they are few."""
        slack = np.where(np.isfinite(slack), slack, 0.0)
        boxes, slack = self._halves(boxes, slack)
        # The dual of a Huber loss takes long for each box, and little beside.
        enough = len(boxes) >= FEWEST or isinstance(self.loss, Huber)
        return boxes if enough else self._halves(boxes, slack)[0]

    def _halves(self, boxes: Boxes, slack: np.ndarray) -> tuple[Boxes, np.ndarray]:
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
        for number in range(len(self.axes)):
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


def _onwards(boxes: int) -> str:
    """What to pass for five times as many boxes, a round number of them."""
    least = 5 * max(boxes, 1)
    power = 10 ** (len(str(least)) - 1)
    several = next(step * power for step in (1, 2, 5, 10) if step * power >= least)
    return f"certify={several:_} goes on"
