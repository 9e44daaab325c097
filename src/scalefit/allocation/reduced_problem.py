"""The problem that is left when the pivot is eliminated: a function of the walked column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple

import numpy as np

from scalefit.allocation.budget_line import Programs
from scalefit.allocation.roots import NARROW, bracketed, first_root
from scalefit.tracing.operations import Bound, Compiled

__all__ = [
    "INFEASIBLE",
    "INTERIOR",
    "LARGEST",
    "LIMITED",
    "TURN",
    "UNBOUNDED",
    "Expansion",
    "Pairs",
    "Reduced",
    "slices",
]

INTERIOR, LIMITED, UNBOUNDED, INFEASIBLE = range(4)

SCAN_POINTS = 512
# Nothing has fewer than one parameter or token, or more than this.
LARGEST = math.log(1e30)
# A derivative that its second one moves to zero within this vanishes at a smooth minimum; at a kink
# or an end it does not.
LAST_DIGITS = 1e-5
# What Newton's method leaves of a distance to a smooth minimum, at most.
RESOLVED = 1e-11
# In the walked coordinate: a search that ended this near an end of the range ran into it.
AT_END = 1e-12
# How far an objective may be worse by rounding, relative.
ROUNDING = 1e-9
# How far a limit may be passed by rounding, relative: along a limit on which the loss is least, a
# loss is reached for less by the root of this.
PASSED = 1e-11
# How near a limit an answer lies that the limit holds, relative.
HELD = 1e-6
# Losses along a line that differ by less, relative, differ by rounding.
FLATTEST = 1e-12
# Points between the ends of the pivot at which a law is looked at that turns once, or more often.
TURN_POINTS = {1: 17, 2: 65}
# A loss is reached that is missed by no more than this, relative.
REACHED = 1e-14
# Times that the points of a scan close in on where limits, or a loss, are met by least.
CLOSING = 8
# How far beside a place it is looked whether the problem ends there.
BESIDE = 1e-7
# Numbers that are scanned at once: as many as stay in a processor's cache.
SCANNED = 2**15
# Of the points of a scan one in so many is solved from scratch where the pivot has no closed form.
# From a line between two of those, three Newton steps leave less than the square of the last.
COARSE, COARSE_STEPS, NEAR = 8, 3, 1e-6
# What the pivot follows from: the level, nothing, or the slope of the loss in it; a limit has one
# plus its place.
LEVEL, FIXED, TURN = 0, -1, -2


class Pairs(NamedTuple):
    """The numbers of some pairs of a draw and a question, which are the last axis of each.

    Attributes:
        given: held columns in order, then parameters of the law; shape (given, pairs).
        level: shape (pairs,).
        extras: further columns in the coordinate walked, shape (extras, pairs).
        low: of each limit, shape (limits, pairs).
        high: the same.
        box: shape (1 + extras, 2, pairs).
        edge: shape (2, pairs).
        reach: the same.
    """

    given: np.ndarray
    level: np.ndarray
    extras: np.ndarray
    low: np.ndarray
    high: np.ndarray
    box: np.ndarray
    edge: np.ndarray
    reach: np.ndarray

    def take(self, rows: Any) -> Pairs:
        """Some of them: places, or a slice."""
        return Pairs(*(item[..., rows] for item in self))


class Expansion(NamedTuple):
    """The reduced objective f(z) at a point, with z the extras and ln walk, and derivatives.

    Attributes:
        u: ln pivot.
        exists: whether the constraints leave a pivot.
        feasible: whether every limit holds too.
        loss: the law.
        ln_cost: logarithm of the cost.
        objective: f, one of the two.
        slope: gradient of f, a list over z.
        bend: Hessian of f, lists over z.
        token_column: du/dz.
        level: du/dlevel.
        gain: df/dlevel.
        cross: d^2 f / dlevel dx, with x ln walk.
        turned: whether the pivot is where more of it would raise the loss.
        paid: gradient of the logarithm of the cost in z and u.
    """

    u: Any
    exists: Any
    feasible: Any
    loss: Any
    ln_cost: Any
    objective: Any
    slope: list[Any]
    bend: list[list[Any]]
    token_column: list[Any]
    level: Any
    gain: Any
    cross: Any
    turned: Any
    paid: list[Any]


class Reduced:
    """The problem with the pivot eliminated, of some pairs.

    Points x are values of ln walk, of shape (pairs, points); extras belong to the pair.
    """

    def __init__(self, programs: Programs, pairs: Pairs) -> None:
        self.programs, self.pairs, self.line = programs, pairs, programs.line
        self.level = pairs.level[:, None]
        self.extras = pairs.extras[..., None]
        self._bound: dict[str, Bound] = {}

    def __len__(self) -> int:
        return len(self.pairs.level)

    def take(self, rows: Any) -> Reduced:
        """The problem of some of the pairs."""
        return Reduced(self.programs, self.pairs.take(rows))

    def at(self, extras: np.ndarray) -> Reduced:
        """The problem with other extras."""
        return Reduced(self.programs, self.pairs._replace(extras=extras))

    def run(self, name: str, x: Any, u: Any) -> list[Any]:
        """The values of a traced function."""
        bound = self._bound.get(name)
        if bound is None:
            first = [*self.pairs.given[..., None], *self.extras]
            function = getattr(self.programs, name)
            if isinstance(function, Compiled):
                bound = partial(_padded, function, first)
            else:
                bound = function.bind(*first)
            self._bound[name] = bound
        return bound(x, u)

    def loss(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The law."""
        value = self.run("binding" if self.line.reverse else "objective", x, u)[0]
        return np.broadcast_to(value, x.shape)

    def _ln(self, name: str, x: Any) -> Any:
        """Logarithm of a column other than the pivot; of no column, that of one."""
        line = self.line
        if name == line.size_column:
            return x
        if name in line.extras:
            place = line.extras.index(name)
            value = self.extras[place]
            return value if line.logarithmic[place] else np.log(value)
        if name in self.programs.fixed:
            return np.log(self.pairs.given[self.programs.fixed.index(name)][:, None])
        return np.zeros(1)

    # The pivot

    def pivoted(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ln of the pivot, whether there is one, and which constraint is active.

        Under a budget the most that it and the limits allow, or less where more raises the loss;
        for a loss the least that reaches it.
        """
        if self.line.reverse:
            return self._first_reaching(x) if self.line.turns else self._reaching(x)
        return self._stopping(x) if self.line.turns else self._affording(x)

    def _most(self, x: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the pivot at its tightest upper limit, or one on its ratio to a column; and which.

        Where none is tighter than the start, that.
        """
        return self._tightest(x, start, self.pairs.high, -1.0)

    def _least(self, x: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for lower limits."""
        return self._tightest(x, start, self.pairs.low, 1.0)

    def _tightest(
        self, x: np.ndarray, start: np.ndarray, ends: np.ndarray, way: float
    ) -> tuple[np.ndarray, np.ndarray]:
        bound, active = start, np.full(start.shape, FIXED)
        for i, limit in enumerate(self.line.limits):
            if limit.top == self.line.token_column:
                end = np.log(np.maximum(ends[i], 0.0))[:, None] + self._ln(limit.bottom, x)
                tighter = way * end > way * bound
                bound, active = np.where(tighter, end, bound), np.where(tighter, 1 + i, active)
        return bound, active

    def _affording(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        most, active = self._most(x, np.full(x.shape, LARGEST))
        if self.programs.affine:
            base, slope = self.run("spent", x, np.zeros(1))
            left = self.level - base
            ok = left > 0
            u = np.log(np.where(ok, left, 1.0) / slope)
            active = np.where(u <= most, LEVEL, active)
            u = np.minimum(u, most)
        else:
            none = np.zeros(x.shape)
            ok, whole = (_excess(self, end, x)[0] <= 0 for end in (none, most))
            u = first_root(self, _excess, np.where(whole, most, none), most, x)
            active = np.where(whole, active, _binding(self, u, x)[2])
        return u, ok & (u >= 0), active

    def _reaching(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        least, active = self._least(x, np.zeros(x.shape))
        most = self._farthest(x, least)
        short = -_missing(self, most, x)[0]
        slack = np.where(short > 0, REACHED * np.abs(self.level), 0.0)
        ok = short <= slack
        level = ok & ~(_missing(self, least, x, slack)[0] >= 0)
        u = first_root(self, _missing, np.where(level, least, most), most, x, slack)
        return np.where(level, u, least), ok, np.where(level, LEVEL, active)

    def _farthest(self, x: np.ndarray, least: np.ndarray) -> np.ndarray:
        """As far as a pivot is looked for that reaches a loss."""
        # Farther out than optima are looked for a law may do anything, and rise again.
        return np.minimum(LARGEST, np.maximum(x + self.pairs.reach[1][:, None], least))

    def _stopping(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pivot of least loss of those that the budget and the limits allow.

        One at the end of what is looked at is no answer: there the law goes on falling.
        """
        afforded, ok, active = self._affording(x)
        far = x + self.pairs.reach[1][:, None]
        most = np.minimum(afforded, far)
        least, lower = self._least(x, np.maximum(0.0, x + self.pairs.reach[0][:, None]))
        least = np.minimum(least, most)
        u = self._lowest(x, least, most)
        beyond = ((u >= far) & (far < afforded)) | ((u <= least) & (least < most) & (lower < LEVEL))
        active = np.where(u >= most, active, np.where(u <= least, lower, TURN))
        return u, ok & ~beyond, active

    def _first_reaching(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The least pivot that reaches the loss, though more of it may miss it again.

        One at the lower end of what is looked at is no answer.
        """
        near, far = (x + end[:, None] for end in self.pairs.reach)
        least, lower = self._least(x, np.maximum(0.0, near))
        most, _ = self._most(x, np.minimum(LARGEST, far))
        exists = least <= most + PASSED
        most = np.maximum(most, least)
        count = TURN_POINTS[self.line.turns]
        step = (most - least) / (count - 1)
        u, place, before = most, np.full(x.shape, -1), np.full(x.shape, -np.inf)
        risen = np.zeros(x.shape, dtype=bool)
        for i in range(count):
            at = least + i * step
            spare = _missing(self, at, x)[0]
            first = (place < 0) & (spare >= 0)
            u, place = np.where(first, at, u), np.where(first, i, place)
            risen |= (place < 0) & (spare < before)
            before = spare
        slack, unsure = np.zeros(x.shape), (place < 0) | risen
        if unsure.any():
            # The loss may just be reached where it is least, before it rises.
            rows, columns = np.nonzero(unsure)
            some, there = self.take(rows), x[rows, columns][:, None]
            low, high, found = (item[rows, columns][:, None] for item in (least, u - step, u))
            never = place[rows, columns][:, None] < 0
            turn = some._lowest(there, low, np.where(never, found, np.maximum(high, low)))
            short, allowed = -_missing(some, turn, there)[0], REACHED * np.abs(some.level)
            reached = short <= allowed
            u[rows, columns] = np.where(reached | never, turn, found)[:, 0]
            exists[rows, columns] &= (reached | ~never)[:, 0]
            slack[rows, columns] = np.where(reached & (short > 0), allowed, 0.0)[:, 0]
        below = np.where(place == 0, u, np.maximum(u - step, least))
        u = first_root(self, _missing, below, u, x, slack)
        at_least = u <= least
        return u, exists & ~(at_least & (lower < LEVEL)), np.where(at_least, lower, LEVEL)

    def _lowest(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Ln of the pivot of least loss between two ends."""

        def slope(reduced: Reduced, u: np.ndarray, x: np.ndarray) -> Any:
            return reduced.run("turning", x, u)

        best, least = low, np.full(x.shape, np.inf)
        count = TURN_POINTS[self.line.turns]
        for share in np.linspace(0.0, 1.0, count):
            at = low + share * (high - low)
            value = self.loss(x, at)
            better = value < least
            best, least = np.where(better, at, best), np.where(better, value, least)
        step = (high - low) / (count - 1)
        u = first_root(self, slope, np.maximum(best - step, low), np.minimum(best + step, high), x)
        return np.where(self.loss(x, u) <= least + REACHED * np.abs(least), u, best)

    def _passing(self, x: np.ndarray, u: np.ndarray, tilt: np.ndarray) -> tuple[Any, Any]:
        """A function that is positive where the pivot of x is below u, and its slope.

        Args:
            x: points.
            u: ln of a pivot at each.
            tilt: du/dx.
        """
        if self.line.reverse:
            least, _ = self._least(x, np.zeros(x.shape))
            most = self._farthest(x, least)
            cut = most < u
            found = self.run("expansion", x, np.minimum(most, u))
            value, other = self.level - found[0], u - least
            slope = -self._along(found, 0, np.where(cut, np.nan, tilt))
            return np.where(other < value, other, value), np.where(other < value, np.nan, slope)
        found = self.run("expansion", x, u)
        value, slope = found[1] - np.log(self.level), self._along(found, 1, tilt)
        others = [u - self._most(x, np.full(x.shape, LARGEST))[0]]
        for place, limit in enumerate(self.programs.bounding):
            others.append(found[2 + place] - np.log(self.pairs.high[limit])[:, None])
        for other in others:
            # A kink: the bracket is halved there.
            value, slope = np.fmax(value, other), np.where(other > value, np.nan, slope)
        return value, slope

    def _along(self, found: list[Any], place: int, tilt: Any) -> Any:
        """Derivative in x of a traced function, its place given, on a path that tilts u."""
        kinds, n = 2 + len(self.programs.bounding), len(self.extras) + 1
        return found[kinds * n + place] + found[kinds * (n + 1) + place] * tilt

    # The reduced objective

    def values(self, x: np.ndarray) -> np.ndarray:
        """The objective at equally spaced points; infinite where a limit is passed."""
        u, ok = self._pivots(x)
        (value,) = self.run("objective", x, u)
        return np.where(ok & self._within(x, u) & np.isfinite(value), value, np.inf)

    def _pivots(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the pivot and whether there is one, at equally spaced points.

        Where it has to be searched for, a few of the points are solved, and Newton's method goes
        on from straight lines between them.
        """
        count = x.shape[1]
        explicit = self.programs.affine and not self.line.reverse
        if explicit or self.line.turns or count < 4 * COARSE:
            return self.pivoted(x)[:2]
        knots = np.append(np.arange(0, count - 1, COARSE), count - 1)
        coarse, there, _ = self.pivoted(x[:, knots])
        left = np.minimum(np.arange(count) // COARSE, len(knots) - 2)
        share = (np.arange(count) - knots[left]) / (knots[left + 1] - knots[left])
        u = coarse[:, left] + share * (coarse[:, left + 1] - coarse[:, left])
        known = there[:, left] & there[:, left + 1]
        function = _missing if self.line.reverse else _excess
        for _ in range(COARSE_STEPS):
            value, slope = function(self, u, x)
            step = value / slope
            u = u - step
        if self.line.reverse:
            end, _ = self._least(x, np.zeros(x.shape))
            inside = (u > end) & (u < np.minimum(LARGEST, x + self.pairs.reach[1][:, None]))
        else:
            end, _ = self._most(x, np.full(x.shape, LARGEST))
            inside = (u < end) & (u > 0)
        known = known & inside & (slope > 0) & (np.abs(step) < NEAR)
        if not known.all():
            # Beside an end of a limit, or of what can be reached.
            rows, columns = np.nonzero(~known)
            found, exists, _ = self.take(rows).pivoted(x[rows, columns][:, None])
            u[rows, columns], known[rows, columns] = found[:, 0], exists[:, 0]
        return u, known

    def _within(self, x: np.ndarray, u: np.ndarray) -> Any:
        """Whether every limit holds."""
        ok: Any = True
        if self.line.limits:
            low, high = self.pairs.low[..., None], self.pairs.high[..., None]
            for i, value in enumerate(self.run("measures", x, u)):
                ok = ok & ((value >= low[i] - PASSED * np.abs(low[i])) | np.isneginf(low[i]))
                ok = ok & ((value <= high[i] + PASSED * np.abs(high[i])) | np.isposinf(high[i]))
        return ok

    def _at_function(self, x: np.ndarray, u: np.ndarray) -> Any:
        """Whether a limit that is a function of columns holds the answer, and so ends the range."""
        found: Any = np.zeros(x.shape, dtype=bool)
        functions = [i for i, limit in enumerate(self.line.limits) if limit.function is not None]
        values = self.run("measures", x, u) if functions else []
        for i in functions:
            for end in (self.pairs.low[i][:, None], self.pairs.high[i][:, None]):
                found = found | (np.abs(values[i] - end) <= HELD * np.abs(end)) & np.isfinite(end)
        return found

    def expanded(self, x: np.ndarray) -> Expansion:
        """The objective with derivatives: those of the pivot follow from its active constraint."""
        u, ok, active = self.pivoted(x)
        found = self.run("expansion", x, u)
        n, kinds = len(self.extras) + 1, 2 + len(self.programs.bounding)
        blocks = [found[i : i + kinds] for i in range(0, len(found), kinds)]
        pairs = list(combinations_with_replacement(range(n + 1), 2))
        first = blocks[1 : n + 2]
        second = dict(zip(pairs, blocks[n + 2 :], strict=True))
        for (a, b), block in list(second.items()):
            second[b, a] = block
        axes = range(n)

        def chosen(block: list[Any]) -> Any:
            """A derivative of the active constraint."""
            picked = block[0 if self.line.reverse else 1]
            for place, limit in enumerate(self.programs.bounding):
                picked = np.where(active == 1 + limit, block[2 + place], picked)
            return picked

        gu, guu = chosen(first[n]), chosen(second[n, n])
        slopes = [-chosen(first[a]) / gu for a in axes]
        mixed = [chosen(second[a, n]) for a in axes]

        def bent(a: int, b: int) -> Any:
            whole = chosen(second[a, b]) + mixed[a] * slopes[b] + mixed[b] * slopes[a]
            return -(whole + guu * slopes[a] * slopes[b]) / gu

        bends = [[bent(a, b) for b in axes] for a in axes]
        level = (1.0 if self.line.reverse else 1.0 / self.level) / gu
        level_slope = -(mixed[-1] + guu * slopes[-1]) * level / gu
        if (active != LEVEL).any():
            slopes, bends = self._elsewhere(active, slopes, bends, first, second)
            level, level_slope = (np.where(active == LEVEL, i, 0.0) for i in (level, level_slope))
        loss, ln_cost = blocks[0][:2]
        k = 1 if self.line.reverse else 0
        fu, fuu = first[n][k], second[n, n][k]
        slope = [first[a][k] + fu * slopes[a] for a in axes]
        bend = [
            [
                second[a, b][k]
                + second[a, n][k] * slopes[b]
                + second[b, n][k] * slopes[a]
                + fuu * slopes[a] * slopes[b]
                + fu * bends[a][b]
                for b in axes
            ]
            for a in axes
        ]
        cross = second[n - 1, n][k] * level + fuu * slopes[-1] * level + fu * level_slope
        objective = blocks[0][k]
        return Expansion(
            u,
            ok,
            ok & self._within(x, u) & np.isfinite(objective),
            loss,
            ln_cost,
            objective,
            slope,
            bend,
            slopes,
            level,
            fu * level,
            cross,
            active == TURN,
            [item[1] for item in first],
        )

    def _elsewhere(
        self, active: np.ndarray, slopes: list[Any], bends: list[list[Any]], first: Any, second: Any
    ) -> tuple[list[Any], list[list[Any]]]:
        """Derivatives of the pivot where neither the level nor a function decides it."""
        line, n = self.line, len(slopes)
        free = active <= FIXED
        for i, limit in enumerate(line.limits):
            free |= (active == 1 + i) & (limit.top == line.token_column)
        slopes = [np.where(free, 0.0, item) for item in slopes]
        bends = [[np.where(free, 0.0, item) for item in row] for row in bends]
        for i, limit in enumerate(line.limits):
            here = active == 1 + i
            if limit.top != line.token_column or not here.any():
                continue
            # The pivot is a multiple of a column.
            if limit.bottom == line.size_column:
                slopes[-1] = np.where(here, 1.0, slopes[-1])
            elif limit.bottom in line.extras:
                place = line.extras.index(limit.bottom)
                value = 1.0 if line.logarithmic[place] else self.extras[place]
                slopes[place] = np.where(here, 1.0 / value, slopes[place])
                bent = 0.0 if line.logarithmic[place] else -1.0 / value**2
                bends[place][place] = np.where(here, bent, bends[place][place])
        if (active == TURN).any():
            # Its second derivatives are of no account where the loss has no slope in it.
            for a in range(n):
                turn = -second[a, n][0] / second[n, n][0]
                slopes[a] = np.where(active == TURN, turn, slopes[a])
        return slopes, bends

    # The walk

    def ends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Ends of the range that is scanned, and whether each is a limit of the user's.

        Whatever the pivot is divided by, its ratio falls along the walk, so that a limit on it is
        an end of the walk; of a pivot that turns, what the budget allows of it does.
        """
        line, pairs = self.line, self.pairs
        low, high = pairs.box[0][0], pairs.box[0][1]
        mine_low, mine_high = pairs.edge.astype(bool)
        if line.turns and line.reverse:
            return self._corners(low, high, mine_low, mine_high)
        limits = [limit for limit in line.limits if limit.top == line.token_column]
        places = [i for i, limit in enumerate(line.limits) if limit.top == line.token_column]
        bottoms = [line.size_column, line.size_column, *(limit.bottom for limit in limits)]
        if line.reverse:
            ends = [np.log(pairs.high[i]) for i in places]
        else:
            ends = [np.log(np.maximum(pairs.low[i], 0.0)) for i in places]
        farthest = np.full(low.shape, np.inf) if line.turns else pairs.reach[1]
        value = np.stack([farthest, pairs.reach[0], *ends], axis=1)
        shape = value.shape

        def below(reduced: Reduced, x: np.ndarray, value: np.ndarray) -> Any:
            """Whether the pivot is below so many times a column, without searching for it."""
            own = np.array([name == line.size_column for name in bottoms], dtype=np.float64)
            each = [reduced._ln(name, x[:, [i]]) for i, name in enumerate(bottoms)]
            under = np.concatenate([np.broadcast_to(i, (len(x), 1)) for i in each], axis=1)
            return reduced._passing(x, value + under, own)

        found = np.where(np.isposinf(value), low[:, None], high[:, None])
        known = np.isfinite(value).any(axis=0)
        if known.any():
            bottoms = [name for name, some in zip(bottoms, known, strict=True) if some]
            start, end = (np.broadcast_to(item[:, None], shape)[:, known] for item in (low, high))
            crossed = first_root(self, below, start, end, value[:, known])
            found[:, known] = np.where(np.isfinite(value[:, known]), crossed, found[:, known])
        start, stop = found[:, 0], found[:, 1]
        mine_low, mine_high = mine_low & (start <= low), mine_high & (stop >= high)
        low, high = np.maximum(low, start), np.minimum(high, stop)
        for end in found[:, 2:].T:
            if line.reverse:
                mine_low, low = mine_low | (end > low), np.maximum(low, end)
            else:
                mine_high, high = mine_high | (end < high), np.minimum(high, end)
        return low[:, None], high[:, None], mine_low[:, None], mine_high[:, None]

    def _corners(
        self, low: np.ndarray, high: np.ndarray, mine_low: np.ndarray, mine_high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The ends between which lower limits on the pivot are below its upper ones."""
        line, pairs = self.line, self.pairs
        places = [i for i, limit in enumerate(line.limits) if limit.top == line.token_column]
        origin = np.zeros((len(low), 1))
        for i, j in product(places, places):
            below, above = (line.limits[place].bottom == line.size_column for place in (i, j))
            if below == above:
                continue
            ends = np.log(np.maximum(pairs.low[i], 0.0)), np.log(pairs.high[j])
            lower, upper = (
                end + np.broadcast_to(self._ln(line.limits[place].bottom, origin)[:, 0], low.shape)
                for end, place in zip(ends, (i, j), strict=True)
            )
            # One of the two limits is a multiple of the walked column.
            cross = upper - lower if below else lower - upper
            if below:
                mine_high, high = mine_high | (cross < high), np.minimum(high, cross)
            else:
                mine_low, low = mine_low | (cross > low), np.maximum(low, cross)
        return low[:, None], high[:, None], mine_low[:, None], mine_high[:, None]

    def walked(self) -> tuple[np.ndarray, np.ndarray]:
        """The best x, and the state of it, each of shape (pairs, 1)."""
        low, high, mine_low, mine_high = self.ends()
        count = 1 if (low == high).all() else SCAN_POINTS
        points = low + (high - low) * np.linspace(0.0, 1.0, count)
        points[:, -1:] = high
        value = np.concatenate(
            [
                self.take(rows).values(points[rows])
                for rows in slices(len(points), max(1, SCANNED // count))
            ]
        )
        lost = ~np.isfinite(value).any(axis=1)
        if lost.any():
            points[lost], value[lost] = self.take(lost)._closed_in(points[lost], value[lost])
        best = np.argmin(value, axis=1)[:, None]
        least = np.take_along_axis(value, best, 1)
        first, middle, last = (
            np.take_along_axis(points, np.clip(best + i, 0, count - 1), 1) for i in (-1, 0, 1)
        )
        x, left, right = bracketed(
            self, _descending, first, last, middle, middle, short=4.0 * NARROW
        )
        there = self.expanded(x)
        rough = ~(there.feasible & (np.abs(there.slope[-1]) < RESOLVED * there.bend[-1][-1]))
        if rough.any():
            # At a kink, or at the border of what is feasible, the sides of the root differ.
            sides = np.concatenate([x, left, right], axis=1)
            found = self.expanded(sides)
            worth = np.where(found.feasible, found.objective, np.inf)
            better = np.take_along_axis(sides, np.argmin(worth, axis=1)[:, None], 1)
            x = np.where(rough, better, x)
            there = self.expanded(x)
        # An end of the range itself, unless it lies beside a pole and is far worse.
        allowed = there.objective + ROUNDING * np.maximum(np.abs(there.objective), 1.0)
        at_low = (x - low < AT_END) & (value[:, :1] <= allowed)
        at_high = (high - x < AT_END) & (value[:, -1:] <= allowed)
        x = np.where(at_low, low, np.where(at_high, high, x))
        # Where a limit begins to bind the derivative jumps across zero.
        tilt, bend = there.slope[-1], there.bend[-1][-1]
        interior = (np.abs(tilt) < LAST_DIGITS * bend) & ~(at_low | at_high)
        open_end = (at_low & ~mine_low) | (at_high & ~mine_high)
        open_end = open_end | self._outermost(x, there.u, ~(interior | at_low | at_high))
        if open_end.any():
            open_end = open_end & ~self._at_function(x, there.u)
        # A loss that is equal along the whole line has a least one by rounding only.
        known = np.isfinite(value)
        top = np.where(known, value, -np.inf).max(axis=1, keepdims=True)
        whole = (known.sum(axis=1) > 1) & ~lost
        level = (top - least <= FLATTEST * np.abs(least)) & whole[:, None]
        state = np.where(open_end | level, UNBOUNDED, np.where(interior, INTERIOR, LIMITED))
        return x, np.where(np.isfinite(least), state, INFEASIBLE)

    def _closed_in(self, points: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of a scan, none of which is feasible, around the one that is nearest to be so.

        What is feasible may be narrower than the points are apart: where limits cross, or where a
        loss is the least that they allow.
        """
        share = np.linspace(0.0, 1.0, points.shape[1])
        points, value, alive = points.copy(), value.copy(), np.arange(len(points))
        for _ in range(CLOSING):
            miss = self.take(alive)._missed(points[alive])
            best = np.argmin(miss, axis=1)
            # At an end of the range no point beyond is nearer.
            inner = (best > 0) & (best < len(share) - 1) & np.isfinite(miss.min(axis=1))
            alive, best = alive[inner], best[inner]
            if not len(alive):
                break
            first, last = points[alive, best - 1], points[alive, best + 1]
            points[alive] = first[:, None] + (last - first)[:, None] * share
            value[alive] = self.take(alive).values(points[alive])
            alive = alive[~np.isfinite(value[alive]).any(axis=1)]
            if not len(alive):
                break
        return points, value

    def _missed(self, x: np.ndarray) -> np.ndarray:
        """By how much limits, or the loss to be reached, are missed, relative; infinite elsewhere.

        Of the pivot that comes nearest to the loss, or the least that reaches it.
        """
        u, ok, _ = self.pivoted(x)
        miss = np.where(ok, 0.0, np.inf)
        if self.line.reverse:
            short = -_missing(self, u, x)[0] / np.abs(self.level)
            miss = np.where(ok | ~(short > 0), miss, short)
        if self.line.limits:
            for value, low, high in zip(
                self.run("measures", x, u), self.pairs.low, self.pairs.high, strict=True
            ):
                low, high = low[:, None], high[:, None]
                miss = np.fmax(miss, np.where(low > 0, np.log(low / value), -np.inf))
                miss = np.fmax(miss, np.log(value / high))
        return np.broadcast_to(miss, x.shape)

    def _outermost(self, x: np.ndarray, u: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Which of some points within the walk lie at an end of what is looked at."""
        rows = np.flatnonzero(some)
        outer = np.zeros(x.shape, dtype=bool)
        if not len(rows):
            return outer
        if self.line.reverse:
            ends = [x + end[:, None] for end in self.pairs.reach] if self.line.turns else []
            ends.append(np.zeros(x.shape))
            return some & np.any([np.abs(u - end) < BESIDE for end in ends], axis=0)
        sides = x[rows] + BESIDE * np.array([-1.0, 1.0])
        outer[rows] = ~self.take(rows).pivoted(sides)[1].all(axis=1, keepdims=True)
        return outer


def _descending(reduced: Reduced, x: np.ndarray, middle: np.ndarray) -> Any:
    """Derivative of the objective along the walk; towards the middle where a limit is passed."""
    there = reduced.expanded(x)
    outside = np.where(x < middle, -np.inf, np.inf)
    return np.where(there.feasible, there.slope[-1], outside), there.bend[-1][-1]


def _binding(reduced: Reduced, u: np.ndarray, x: np.ndarray) -> Any:
    """How far the tightest constraint of a budget is passed, its slope in u, and which it is."""
    found = reduced.run("binding", x, u)
    half = len(found) // 2
    value, slope = found[0] - np.log(reduced.level), found[half]
    which = np.full(np.shape(value), LEVEL)
    for place, limit in enumerate(reduced.programs.bounding, 1):
        other = found[place] - np.log(reduced.pairs.high[limit])[:, None]
        tighter = ~(other <= value)
        value, slope = (
            np.where(tighter, other, value),
            np.where(tighter, found[half + place], slope),
        )
        which = np.where(tighter, 1 + limit, which)
    return value, slope, which


def _excess(reduced: Reduced, u: np.ndarray, x: np.ndarray) -> Any:
    return _binding(reduced, u, x)[:2]


def _missing(
    reduced: Reduced, u: np.ndarray, x: np.ndarray, slack: np.ndarray | float = 0.0
) -> Any:
    """How far the loss is below its level and some slack, and the slope of that in u."""
    loss, slope = reduced.run("binding", x, u)
    return reduced.level - loss + slack, -slope


def slices(count: int, size: int) -> list[slice]:
    """Of so many rows, not more than so many at a time."""
    return [slice(start, start + size) for start in range(0, count, size)]


def _padded(function: Compiled, first: Sequence[Any], *rest: Any) -> list[Any]:
    """A compiled function at arrays that broadcast, in few shapes: each takes a compilation."""
    every = np.broadcast_arrays(*first, *rest)
    shape, count = every[0].shape, every[0].size
    size = 2 ** max(math.ceil(math.log2(count)), 9)
    flat = [np.resize(item, (size, 1)) for item in every]
    return [item.reshape(size)[:count].reshape(shape) for item in function.bind()(*flat)]
