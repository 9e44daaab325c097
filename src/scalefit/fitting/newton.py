"""Damped Newton in scaled coordinates, many starts at once, exact to rounding.

Each coefficient is multiplied by the root mean square of its column (so it is the size of that term
in the loss, whatever the units), nonlinear parameters keep their grid coordinate. Every iteration
tries three steps, and keeps the best:

- Gauss-Newton with the weights psi(r)/r, whose parabola lies above the objective (raw, relative),
  damped: it makes headway from afar, where most rows sit on the linear part of the Huber loss;
- Newton with the exact second derivative, damped, and
- the same undamped: it ends a nearly-L1 problem in a few steps once the rows on either side of
  delta are sorted out, where the first would creep.

Where many nonlinear parameters make the valley curved, each trial step is followed by a new
solution of the coefficients alone (variable projection), and the better of the two counts.

Derivatives are taken of the raw columns; what the scaling adds to them is written out. With u the
column over its size, <., .> the inner product in which that size is one, d_a and D_ab the column's
derivatives over its size and g_a = <u, d_a>,

    u_a  = d_a - g_a u
    u_ab = D_ab - g_b d_a - g_a d_b + u (3 g_a g_b - <d_a, d_b> - <u, D_ab>)

Bounds are kept by projection with an active set read off the gradient at every iteration.

A batch has an axis of starts before all others; the table of each start may be its own. The same
lines run with numpy and, traced by JAX, as one program with a loop inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement, pairwise
from typing import Any, NamedTuple

import numpy as np

from scalefit.fitting.linear_solve import combined, dot, product, solve_dense
from scalefit.fitting.model import Model
from scalefit.objective import Residual

__all__ = [
    "IN_CACHE",
    "LENGTHS",
    "MOST_ITERATIONS",
    "PROMISE",
    "ROUNDING",
    "Batch",
    "Columns",
    "Goal",
    "Gram",
    "Newton",
    "Penalties",
    "Sizes",
    "State",
    "at_bound",
]

# A nearly-L1 objective on noise without a law has taken 600; a table with a law takes 5 to 130.
MOST_ITERATIONS = 1000

# The loop stops when a Newton step promises less than this share of the objective. Below about
# 1e-15 the objective no longer sees an improvement; the finishing steps go on by the gradient.
PROMISE = 1e-11
FINISHING_STEPS = 3

# An objective this small relative to the squared loss is rounding: the law passes through all rows.
ROUNDING = 1e-28

# Shorter and longer steps that are tried along the damped Newton step (0) and the Gauss-Newton
# step (1) on the way from a cell: a third fewer iterations than with the steps alone. The first
# follow a Newton step that overshoots, the last a Gauss-Newton step that creeps.
LENGTHS = ((0, 0.3), (1, 0.3), (1, 3.0))

# Numbers beyond which trial steps are looked at one by one: arrays of all would leave the cache.
IN_CACHE = 2**15

# Stands in for a residual of zero.
TINY = 1e-300

# Rows of a stack up to which one product of all with all costs less than picking the pairs.
SMALL_STACK = 16

# A finishing step that promises less than this share of the objective leaves rounding.
FINISHED = 1e-26

DAMPING_START = 1e-3
DAMPING_SHRINK = 0.1
DAMPING_GROW = 8.0
DAMPING_LEAST = 1e-15
DAMPING_MOST = 1e12


class Batch(NamedTuple):
    """The tables of a batch of starts; every array has an axis of starts, of length one if shared.

    Losses are in the unit of ``fitting.problem.Data``.

    Attributes:
        target: observed losses, or their logarithms under a logarithmic residual, (starts, rows).
        weight: row weights in the objective, (starts, rows).
        metric: weights in which columns are scaled; sum one, (starts, rows).
        lower: bounds in scaled coordinates, (starts, p).
        upper: (starts, p).
        held: size of each column at the start, (starts, k); see ``Newton.moving``.
        delta: where the penalty turns linear, (starts, 1).
        shift: added to every residual, (starts, rows).
    """

    target: Any
    weight: Any
    metric: Any
    lower: Any
    upper: Any
    held: Any
    delta: Any
    shift: Any


class Goal(NamedTuple):
    """When to stop.

    Attributes:
        decrement: share of the objective that a step must promise to be worth taking, (starts,).
        precise: whether undamped steps follow until the gradient is rounding, (starts,).
    """

    decrement: Any
    precise: Any


class State(NamedTuple):
    """Where each start is, (starts, ...).

    Attributes:
        point: the point to look at next, (starts, p).
        best: the best point so far, (starts, p).
        decrement: decrease that a further step from there promises, (starts,).
        damping: of the Newton and of the Gauss-Newton step, (starts, 2).
        finishing: number of finishing steps taken, counted from one, (starts,).
        iteration: (starts,).
        done: (starts,).
    """

    point: Any
    best: Any
    decrement: Any
    damping: Any
    finishing: Any
    iteration: Any
    done: Any


class Sizes(NamedTuple):
    """Sizes of columns, and what derivatives of a coefficient over its size are made of.

    Attributes:
        size: s, root mean square of each coefficient's column, (starts, k).
        first: g_a = d ln s / da, (starts, k, q).
        rest: s d2(1/s) / da db, (starts, k, q, q).
    """

    size: Any
    first: Any
    rest: Any


class Local(NamedTuple):
    """The objective around a point, in scaled coordinates.

    Attributes:
        rows: residuals without the shift, (starts, rows).
        value: (starts,).
        gradient: (starts, p).
        newton: exact second derivative, (starts, p, p).
        gauss_newton: J^T W J with the weights psi(r)/r, (starts, p, p).
        stack: raw columns and their first derivatives, (starts, n, rows).
        mix: what derivatives of a prediction are of them, (starts, p, n).
        first: derivative of each residual in its prediction, (starts, rows).
        psi: weight times influence, (starts, rows).
    """

    rows: Any
    value: Any
    gradient: Any
    newton: Any
    gauss_newton: Any
    stack: Any
    mix: Any
    first: Any
    psi: Any


class Penalties(NamedTuple):
    """What rows add to the objective, (starts, ...).

    Attributes:
        rows: residuals without the shift, (starts, rows).
        value: sum of weight times penalty, (starts,).
        each: weight times penalty of each row, (starts, rows).
        first: derivative of each residual in its prediction, (starts, rows).
        psi: weight times influence, (starts, rows).
        curvatures: second derivative of weight times penalty in the prediction, and that of the
            parabola that lies above it, (2, starts, rows).
    """

    rows: Any
    value: Any
    each: Any
    first: Any
    psi: Any
    curvatures: Any


class Gram(NamedTuple):
    """Inner products of the columns of all coefficients, on the host.

    Attributes:
        matrix: shape (points, k, k).
    """

    matrix: Any

    def ridged(self, share: float) -> Gram:
        """With a share of each diagonal entry added."""
        return Gram(self.matrix * (1 + share * np.eye(self.matrix.shape[-1])))

    def times(self, vector: Any) -> Any:
        """The product with a vector, (points, k)."""
        return dot(self.matrix, vector[:, None, :])

    def solved(self, right: Any, held: Any) -> Any:
        """The solution, (points, k), of which some entries may be held at the right-hand side."""
        matrix = self.matrix
        if held is not None:
            eye = np.eye(matrix.shape[-1])
            matrix = np.where(held[:, :, None] | held[:, None, :], eye, matrix)
        return solve_dense(matrix, right, library=np)[0]


class Columns(NamedTuple):
    """Columns of all coefficients at some points, over their sizes, on the host.

    Attributes:
        size: root mean square of each column, one where that is zero, (points, k).
        known: the part without coefficients, or None.
        scaled: shape (points, k, rows).
    """

    size: Any
    known: Any
    scaled: Any

    def equations(self, metric: Any, target: Any) -> tuple[Gram, Any]:
        """Normal equations, for weights and losses of shape (points, rows)."""
        weighted = self.scaled * metric[:, None]
        return Gram(product(weighted, self.scaled)), dot(weighted, target[:, None])

    def predicted(self, coefficients: Any) -> Any:
        """The sum of the columns with scaled coefficients, (points, rows)."""
        return (coefficients[:, None, :] @ self.scaled)[:, 0]


class _Layout:
    """Which row of a stack is what: columns, their derivatives, and those of the known part.

    The order is: column of each coefficient; first derivatives; first derivatives of the known
    part; second derivatives; second derivatives of the known part; the known part.

    Attributes:
        k: number of coefficients.
        first: (coefficient, axis) of each first derivative.
        first_known: axis of each first derivative of the known part.
        second: (coefficient, axis, axis) of each second derivative.
        second_known: (axis, axis) of each second derivative of the known part.
    """

    def __init__(self, newton: Newton) -> None:
        problem = newton.problem
        basis, axes = newton.model.seen()
        self.k = newton.k
        self.first = [(c, a) for c, owner in enumerate(problem.owners) for a in basis[owner]]
        self.first_known = list(axes or ())
        self.second = [
            (c, *pair)
            for c, owner in enumerate(problem.owners)
            for pair in combinations_with_replacement(basis[owner], 2)
        ]
        self.second_known = list(combinations_with_replacement(axes or (), 2))
        self.known = axes is not None
        q = newton.q
        place = {pair: i for i, pair in enumerate(self.first)}
        self.d_coefficient = np.array([c for c, _ in self.first], dtype=int)
        self.d_axis = np.array([a for _, a in self.first], dtype=int)
        self.k_axis = np.array(self.first_known, dtype=int)
        self.s_coefficient = np.array([c for c, _, _ in self.second], dtype=int)
        self.s_a = np.array([place[c, a] for c, a, _ in self.second], dtype=int)
        self.s_b = np.array([place[c, b] for c, _, b in self.second], dtype=int)
        ends = np.cumsum(
            [
                0,
                self.k,
                len(self.first),
                len(self.first_known),
                len(self.second),
                len(self.second_known),
                int(self.known),
            ]
        ).tolist()
        names = ("columns", "d", "known_d", "s", "known_s", "value")
        self.at = {name: slice(a, b) for name, (a, b) in zip(names, pairwise(ends), strict=True)}
        self.lead = ends[3]  # rows that the first derivatives of a prediction are made of
        # Second derivatives of all terms, summed into a symmetric matrix.
        pairs = [(a, b) for _, a, b in self.second] + self.second_known
        self.gather = np.zeros((len(pairs), q * q))
        for i, (a, b) in enumerate(pairs):
            self.gather[i, a * q + b] = self.gather[i, b * q + a] = 1.0


class Newton:
    """The iteration for one problem.

    Args:
        model: its terms.
        unit: the unit of the loss.
        indicators: for each division of the rows, which row is of which level, (levels, rows).
        residual: ``log``, ``relative`` or ``raw``.
        asymmetry: how many times more a row below the surface counts.
        voids: whether some row of some table has weight zero.
        lengths: shorter and longer steps that are tried, too; see ``LENGTHS``.
    """

    def __init__(
        self,
        model: Model,
        unit: Any,
        indicators: Sequence[Any],
        *,
        residual: Residual,
        asymmetry: Any = 1.0,
        voids: bool = True,
        lengths: tuple[tuple[int, float], ...] = LENGTHS,
    ) -> None:
        self.model = model
        self.problem = problem = model.problem
        self.library = model.library
        self.unit = unit
        self.residual = residual
        self.asymmetry = asymmetry
        self.symmetric = isinstance(asymmetry, float) and asymmetry == 1.0
        self.voids = voids
        self.lengths = lengths
        self.k, self.q = len(problem.owners), len(problem.nonlinear)
        # A finite bound on a coefficient is a box only if the scale of its column stays put.
        moving = [
            "finite" not in limits or not seen
            for limits, seen in zip(problem.limits, problem.axes_seen, strict=True)
        ]
        self.moving = np.array([moving[owner] for owner in problem.owners], dtype=bool)
        self._all_moving = bool(self.moving.all())
        self._lay_out(indicators)

    def _lay_out(self, indicators: Sequence[Any]) -> None:
        """Prepare columns of every coefficient."""
        self._eye = np.eye(self.k + self.q)
        self.layout = _Layout(self)
        self._levels = [
            None if division is None else indicators[division]
            for division in self.problem.divisions
        ]

    # Columns

    def _blocks(self, index: int, rows: Any) -> list[Any]:
        """The column of each coefficient of a linear parameter, or a derivative of it."""
        levels = self._levels[index]
        return [rows] if levels is None else [rows * level for level in levels]

    def _stacked(self, items: Sequence[Any], shape: tuple[int, ...]) -> Any:
        """Rows that broadcast, one above the other, (..., n, rows)."""
        xp = self.library
        if xp is np or not items:
            stack = xp.empty((*shape[:-1], len(items), shape[-1]))
            for place, item in enumerate(items):
                stack[..., place, :] = item
            return stack
        return xp.stack([xp.broadcast_to(item, shape) for item in items], axis=-2)

    def raw_columns(self, coordinates: Any) -> tuple[Any, Any]:
        """Column of every coefficient, (..., k, rows), and the known part, or None."""
        values, known = self.model.values(coordinates)
        blocks = [item for i, rows in enumerate(values) for item in self._blocks(i, rows)]
        shape = (*np.shape(coordinates)[:-1], self.model.rows)
        return self._stacked(blocks, shape), known

    def at(self, coordinates: Any, metric: Any) -> Columns:
        """Columns of all coefficients at some points, on the host.

        Args:
            coordinates: shape (points, q).
            metric: shape (rows,).
        """
        columns, known = self.raw_columns(coordinates)
        size = np.sqrt(dot(columns * metric, columns))
        size = np.where(size > 0, size, 1.0)
        columns /= size[..., None]
        return Columns(size, known, columns)

    @property
    def wide(self) -> int:
        """Numbers that are held for each row at a point, about."""
        return self.k

    def slopes_of(self, index: int, coordinates: Any, signed: Any, either: Any) -> tuple[Any, Any]:
        """Sums over rows of a pull times the columns of a linear parameter, and their squares.

        Args:
            index: of the linear parameter.
            coordinates: shape (points, q).
            signed: what each row pulls, (rows,).
            either: what it takes from any change, (rows,).

        Returns:
            Shape (points, coefficients) each.
        """
        owners = np.array(self.problem.owners, dtype=int)
        columns = self.raw_columns(coordinates)[0][:, owners == index]
        return columns @ signed + np.abs(columns) @ either, (columns**2).sum(axis=-1)

    def terms(self, coordinates: Any, coefficients: Any) -> list[Any]:
        """The term of each coefficient, and the known part last if there is one.

        Args:
            coordinates: shape (q,).
            coefficients: raw units, shape (k,).

        Returns:
            Each (rows,).
        """
        columns, known = self.raw_columns(coordinates)
        rest = [] if known is None else [np.broadcast_to(known, self.model.rows)]
        return [*(coefficients[:, None] * columns), *rest]

    def scale(self, metric: Any, coordinates: Any) -> Any:
        """Root mean square of each coefficient's column, (..., k).

        Args:
            metric: shape (..., rows).
            coordinates: shape (..., q).
        """
        return self._sizes(metric, self.raw_columns(coordinates)[0])

    def _sizes(self, metric: Any, columns: Any) -> Any:
        xp = self.library
        return xp.sqrt(dot(columns * metric[..., None, :], columns, xp))

    def kept(self, batch: Batch, size: Any) -> Any:
        """Sizes of columns, with that at the start where it stays, (..., starts, k)."""
        return size if self._all_moving else self.library.where(self.moving, size, batch.held)

    def sizes_around(self, metric: Any, coordinates: Any) -> Sizes:
        """Sizes of the columns with their derivatives, as if all moved, on the host.

        Args:
            metric: shape (starts, rows) or (1, rows).
            coordinates: shape (starts, q).
        """
        layout, count = self.layout, len(coordinates)
        stack = self._jet(coordinates)
        size, g, rest = self._around(stack, metric, every=True)
        first = np.zeros((count, self.k, self.q))
        first[:, layout.d_coefficient, layout.d_axis] = g
        second = np.zeros((count, self.k, self.q, self.q))
        a, b = layout.d_axis[layout.s_a], layout.d_axis[layout.s_b]
        second[:, layout.s_coefficient, a, b] = rest
        second[:, layout.s_coefficient, b, a] = rest
        return Sizes(size, first, second)

    def _jet(self, coordinates: Any) -> Any:
        """Columns and derivatives, as the layout has them, (starts, n, rows)."""
        rows = []
        for index, items in self.model.jet(coordinates):
            levels = None if index is None else self._levels[index]
            if levels is None:
                rows += items
            else:
                # Coefficient by coefficient.
                rows += [item * level for level in levels for item in items]
        return self._stacked(rows, (len(coordinates), self.model.rows))

    def _around(self, stack: Any, metric: Any, every: bool = False) -> tuple[Any, Any, Any]:
        """Sizes s of the columns; g and 3 g_a g_b - <d_a, d_b> - <u, D_ab>, zero where s stays.

        Shapes (starts, k), and (starts, n) in the order of the layout.
        """
        xp, layout = self.library, self.layout
        k, nd = layout.k, len(layout.first)
        columns, d = stack[:, layout.at["columns"]], stack[:, layout.at["d"]]
        weighted = columns * metric[:, None, :]
        square = dot(weighted, columns, xp)
        if not nd:
            return xp.sqrt(square), xp.zeros((len(stack), 0)), xp.zeros((len(stack), 0))
        of_d, of_s = layout.d_coefficient, layout.s_coefficient
        s = stack[:, layout.at["s"]]
        if k + nd + len(of_s) <= SMALL_STACK:
            # One product of everything with everything costs less than picking.
            lead = xp.concatenate([weighted, d * metric[:, None, :]], axis=1)
            gram = product(lead, xp.concatenate([d, s], axis=1), xp)
            to_d = gram[:, of_d, np.arange(nd)]
            both = gram[:, k + layout.s_a, layout.s_b]
            to_s = gram[:, of_s, nd + np.arange(len(of_s))]
        else:
            to_d = dot(weighted[:, of_d], d, xp)
            mine = d * metric[:, None, :]
            both = dot(mine[:, layout.s_a], d[:, layout.s_b], xp)
            to_s = dot(weighted[:, of_s], s, xp)
        g = to_d / square[:, of_d]
        rest = 3.0 * g[:, layout.s_a] * g[:, layout.s_b] - (both + to_s) / square[:, of_s]
        if not (every or self._all_moving):
            g = xp.where(self.moving[of_d], g, 0.0)
            rest = xp.where(self.moving[of_s], rest, 0.0)
        return xp.sqrt(square), g, rest

    def losses(self, batch: Batch) -> Any:
        """Observed losses in the unit of the loss, (starts, rows)."""
        return self.library.exp(batch.target) if self.residual == "log" else batch.target

    def predict(self, batch: Batch, point: Any) -> Any:
        """Prediction of each row in the unit of the loss, (..., starts, rows)."""
        columns, known = self.raw_columns(point[..., self.k :])
        size = self.kept(batch, self._sizes(batch.metric, columns))
        return self._total((point[..., : self.k] / size), columns, known)

    def _total(self, parts: Any, columns: Any, known: Any) -> Any:
        total = combined(parts, columns, self.library)
        return total if known is None else total + known / self.unit

    # The objective

    def rows_of(self, batch: Batch, predicted: Any) -> Any:
        """Residuals of predictions, without the shift, (..., starts, rows)."""
        if self.residual == "log":
            # Not a number below zero: such a point is worth nothing.
            rows = batch.target - self.library.log(predicted)
        else:
            rows = batch.target - predicted
            if self.residual == "relative":
                rows = rows / batch.target
        if self.voids:
            rows = self.library.where(batch.weight > 0, rows, 0.0)
        return rows

    def residuals(self, batch: Batch, point: Any) -> Any:
        """Residuals without the shift, (..., starts, rows)."""
        return self.rows_of(batch, self.predict(batch, point))

    def value(self, batch: Batch, point: Any) -> Any:
        """Sum of weight times penalty, infinite where it is not a number, (..., starts).

        The Huber loss of a row is psi (r - psi / 2), with psi = r within delta.
        """
        xp = self.library
        if xp is np and point.ndim > 2 and point[..., 0].size * self.model.rows > IN_CACHE:
            return np.stack([self.value(batch, some) for some in point])
        rows = self.residuals(batch, point)
        if batch.shift is not None:
            rows = rows + batch.shift
        psi = xp.minimum(xp.maximum(rows, -batch.delta), batch.delta)
        terms = psi * (rows - 0.5 * psi)
        if not self.symmetric:
            terms = terms * xp.where(rows < 0, self.asymmetry, 1.0)
        found = dot(batch.weight, terms, xp)
        return xp.where(xp.isfinite(found), found, np.inf)

    def local(self, batch: Batch, point: Any) -> Local:
        """The objective around a point, shape (starts, p)."""
        xp, k, layout = self.library, self.k, self.layout
        stack = self._jet(point[:, k:])
        size, g, rest = self._around(stack, batch.metric)
        size = self.kept(batch, size)
        parts = point[:, :k] / size
        known = stack[:, -1] if layout.known else None
        predicted = self._total(parts, stack[:, layout.at["columns"]], known)
        found = self.penalties(batch, predicted)
        pull = found.psi * found.first
        lead = stack[:, : layout.lead]
        both = found.curvatures[:, :, None, :]
        mix = self._mix(size, parts, g)
        back = xp.swapaxes(mix, -1, -2)
        products = mix @ product(both * lead, lead, xp) @ back
        pulled = dot(stack, pull[:, None, :], xp)
        gradient = (mix @ pulled[:, : layout.lead, None])[..., 0]
        return Local(
            rows=found.rows,
            value=found.value,
            gradient=gradient,
            newton=products[0] + self._curved(pulled, size, parts, g, rest),
            gauss_newton=products[1],
            stack=lead,
            mix=mix,
            first=found.first,
            psi=found.psi,
        )

    def penalties(self, batch: Batch, predicted: Any) -> Penalties:
        """What rows add to the objective at predictions, (starts, rows)."""
        xp = self.library
        rows = self.rows_of(batch, predicted)
        shifted = rows if batch.shift is None else rows + batch.shift
        if self.residual == "log":
            first = -1.0 / predicted
            if self.voids:
                first = xp.where(batch.weight > 0, first, 0.0)
        else:
            each = batch.target if self.residual == "relative" else xp.ones(1)
            first = xp.broadcast_to(-1.0 / each, predicted.shape)
        psi = xp.minimum(xp.maximum(shifted, -batch.delta), batch.delta)
        value = psi * (shifted - 0.5 * psi)
        inside = psi == shifted
        above = xp.minimum(1.0, batch.delta / xp.maximum(xp.abs(shifted), TINY))
        weight = batch.weight
        if not self.symmetric:
            weight = weight * xp.where(shifted < 0, self.asymmetry, 1.0)
        square = first * first * weight
        # Of a logarithm, the second derivative is the square of the first.
        bend = inside + psi if self.residual == "log" else inside
        return Penalties(
            rows=rows,
            value=dot(weight, value, xp),
            each=weight * value,
            first=first,
            psi=weight * psi,
            curvatures=xp.stack([square * bend, square * above]),
        )

    def squares(self, here: Local) -> Any:
        """Sums of squares of the derivatives of residuals, (starts, p)."""
        slope = (here.mix @ here.stack) * here.first[:, None]
        return dot(slope, slope, self.library)

    def curvatures(self, matrix: Any) -> Any:
        """Matrices of ``Local`` as arrays whose first axis is that of the starts."""
        return matrix

    def blank(self, count: int) -> np.ndarray:
        """Such arrays, to be filled in."""
        return np.zeros((count, self.k + self.q, self.k + self.q))

    def dense(self, matrix: Any) -> Any:
        """Matrices of ``Local``, (starts, p, p)."""
        return matrix

    def _mix(self, size: Any, parts: Any, g: Any) -> Any:
        """Derivatives of a prediction as sums of the leading rows of a stack, (starts, p, n)."""
        xp, k, layout = self.library, self.k, self.layout
        mix = xp.zeros((len(size), k + self.q, layout.lead))
        every, axis = np.arange(k), k + layout.d_axis
        of_d = layout.d_coefficient
        own = parts[:, of_d]
        mix = _put(mix, every, every, 1.0 / size)
        mix = _put(mix, axis, k + np.arange(len(of_d)), own)
        mix = _put(mix, axis, of_d, -own * g)
        if layout.first_known:
            places = np.arange(layout.at["known_d"].start, layout.lead)
            mix = _put(mix, k + layout.k_axis, places, 1.0 / self.unit)
        return mix

    def _curved(self, pulled: Any, size: Any, parts: Any, g: Any, rest: Any) -> Any:
        """Sum over rows of pull times second derivative of the prediction, (starts, p, p).

        Args:
            pulled: sums over rows of pull times each row of a stack, (starts, n).
            size: of the columns.
            parts: coefficients over sizes.
            g: of the layout's first derivatives.
            rest: of its second derivatives.
        """
        xp, k, q, layout = self.library, self.k, self.q, self.layout
        matrix = xp.zeros((len(size), k + q, k + q))
        if not q:
            return matrix
        of_d, of_s = layout.d_coefficient, layout.s_coefficient
        column, d = pulled[:, layout.at["columns"]], pulled[:, layout.at["d"]]
        sides = (d - g * column[:, of_d]) / size[:, of_d]
        found = pulled[:, layout.at["s"]] + rest * column[:, of_s]
        found = found - g[:, layout.s_b] * d[:, layout.s_a] - g[:, layout.s_a] * d[:, layout.s_b]
        found = parts[:, of_s] * found
        if layout.second_known:
            found = xp.concatenate([found, pulled[:, layout.at["known_s"]] / self.unit], axis=1)
        axis = k + layout.d_axis
        matrix = _put(_put(matrix, of_d, axis, sides), axis, of_d, sides)
        corner = (found @ layout.gather).reshape(-1, q, q)
        if xp is np:
            matrix[:, k:, k:] = corner
            return matrix
        return matrix.at[:, k:, k:].set(corner)

    # The iteration

    def begin(self, point: Any) -> State:
        """The state of starts that nothing is known of yet."""
        xp, starts = self.library, len(point)
        return State(
            point=point,
            best=point,
            decrement=xp.full(starts, np.inf),
            damping=xp.full((starts, 2), DAMPING_START),
            finishing=xp.zeros(starts, dtype=int),
            iteration=xp.zeros(starts, dtype=int),
            done=xp.zeros(starts, dtype=bool),
        )

    def advance(
        self,
        batch: Batch,
        goal: Goal,
        state: State,
        resolve: Callable[[Batch, Any], Any] | None = None,
    ) -> State:
        """One iteration of every start.

        The loop has two phases. While the objective can tell points apart, a step is taken when it
        is lower. Once a step promises less than the goal, undamped Newton steps are taken (counted
        by ``finishing``) as long as they bring the promise, and with it the gradient, down: the
        last digits of the parameters are below what the objective can see. A goal that need not be
        precise has no second phase, and leaves the first one early.
        """
        xp = self.library
        here = self.local(batch, state.point)
        active = at_bound(state.point, here.gradient, batch)
        finishing = state.finishing > 0
        steps, ok = self._steps(here, active, state.damping)
        promises = xp.abs(0.5 * xp.vecdot(steps, here.gradient))
        # A step promises little where its damping has grown: the other ones are asked as well.
        decrement = xp.where(finishing & ok[2], promises[2], promises.max(axis=0))
        # Without a step nothing is known of what one would bring: the damping grows.
        known = ok.any(axis=0)
        decrement = xp.where(known, decrement, np.inf)
        improved = ~finishing | ((state.finishing == 1) & known) | (decrement < state.decrement)
        if self.lengths:
            others = [length * steps[which] for which, length in self.lengths]
            steps = xp.concatenate([steps, xp.stack(others)])
        trials = xp.minimum(xp.maximum(state.point + steps, batch.lower), batch.upper)
        if resolve is not None:
            trials = xp.concatenate([trials, resolve(batch, trials)])
        worths = self.value(batch, trials)
        chosen = xp.where(finishing, 2, xp.argmin(worths, axis=0))
        each = xp.arange(len(state.point))
        worth = worths[chosen, each]
        floor = xp.maximum(goal.decrement * here.value, ROUNDING)
        # Equal to rounding counts as equal while finishing.
        taken = xp.where(
            finishing, ok[2] & (worth <= here.value * (1 + 1e-12) + floor), worth < here.value
        )
        begins = ~finishing & (decrement <= floor) & self.ready(ok)
        move = taken & ~begins
        enough = (state.finishing > FINISHING_STEPS) | (decrement <= FINISHED * here.value)
        done = finishing & (~improved | ~taken | enough)
        # Each by its own success: that Gauss-Newton creeps on says nothing for the other step.
        lower = (worths < here.value).reshape(-1, len(steps), len(each)).any(axis=0)
        grown = state.damping * xp.where(lower[:2].T, DAMPING_SHRINK, DAMPING_GROW)
        moved = xp.where(move[:, None], trials[chosen, each], state.point)
        return State(
            point=self.relaxed(batch, moved, move & ~finishing),
            best=xp.where(improved[:, None], state.point, state.best),
            decrement=xp.where(improved, decrement, state.decrement),
            damping=xp.minimum(xp.maximum(grown, DAMPING_LEAST), DAMPING_MOST),
            finishing=state.finishing + (finishing | begins),
            iteration=state.iteration + 1,
            done=state.done | done | (begins & ~goal.precise) | (grown > DAMPING_MOST).all(axis=1),
        )

    def resolved(self, batch: Batch, points: Any) -> Any:
        """Points with their coefficients at their least squares, to first order, for their rest.

        Args:
            batch: the tables.
            points: shape (..., starts, p).
        """
        xp, k = self.library, self.k
        if not k:
            return points
        if xp is np and points.ndim > 2 and points[..., 0].size * self.model.rows > IN_CACHE:
            return np.stack([self.resolved(batch, some) for some in points])
        columns, known = self.raw_columns(points[..., k:])
        size = self.kept(batch, xp.sqrt(dot(columns * batch.metric[:, None], columns, xp)))
        columns = columns / size[..., None]
        known = None if known is None else known / self.unit
        predicted = combined(points[..., :k], columns, xp)
        predicted = predicted if known is None else predicted + known
        weight, target = self.weighed(batch, predicted, known)
        weighted = columns * weight[..., None, :]
        gram = product(weighted, columns, xp)
        right = dot(weighted, target[..., None, :], xp)
        solved, ok = solve_dense(gram, right, library=xp)
        return self.with_solved(batch, points, solved, ok)

    def weighed(self, batch: Batch, predicted: Any, known: Any) -> tuple[Any, Any]:
        """Weights of least squares that the objective comes to at predictions, and their losses.

        Shape (..., starts, rows) each.
        """
        xp = self.library
        rows = self.rows_of(batch, predicted)
        rows = xp.where(xp.isfinite(rows), rows, 0.0)
        above = xp.abs(rows)
        weight = xp.where(above <= batch.delta, 1.0, batch.delta / xp.where(above > 0, above, 1.0))
        if not self.symmetric:
            weight = weight * xp.where(rows < 0, self.asymmetry, 1.0)
        observed = self.losses(batch)
        target = observed if known is None else observed - known
        return batch.metric * weight, xp.broadcast_to(target, rows.shape)

    def with_solved(self, batch: Batch, points: Any, solved: Any, ok: Any) -> Any:
        """Points with other coefficients, within their bounds, where there are any."""
        xp, k = self.library, self.k
        solved = xp.clip(solved, batch.lower[:, :k], batch.upper[:, :k])
        solved = xp.where(ok[..., None], solved, points[..., :k])
        return xp.concatenate([solved, points[..., k:]], axis=-1)

    def ready(self, ok: Any) -> Any:
        """Whether starts whose steps promise little may finish."""
        return True

    def relaxed(self, batch: Batch, point: Any, which: Any) -> Any:
        """Points that some starts moved to, or lower ones close by that cost less than a step."""
        return point

    def _steps(self, here: Local, active: Any, damping: Any) -> tuple[Any, Any]:
        """Newton, Gauss-Newton and undamped Newton steps (3, starts, p), zero where a matrix is not
        positive definite; and where it is, (3, starts).
        """
        xp = self.library
        metric = self.diagonal(here.gauss_newton)
        # A coordinate without effect, as the exponent of a term that is zero, stays where it is.
        active = active | (metric == 0)
        metric = xp.maximum(metric, 1e-12 * metric.max(axis=-1, keepdims=True))
        return self._solved(here, active, metric, damping)

    def diagonal(self, matrix: Any) -> Any:
        """Of matrices of ``Local``, (starts, p)."""
        return self.library.diagonal(matrix, axis1=-2, axis2=-1)

    def _solved(self, here: Local, active: Any, metric: Any, damping: Any) -> tuple[Any, Any]:
        """Those steps, with damping in this metric."""
        xp, eye = self.library, self._eye
        added = damping.T[:, :, None, None] * (metric[:, :, None] * eye)
        matrices = xp.stack([here.newton + added[0], here.gauss_newton + added[1], here.newton])
        right = -here.gradient
        if xp is not np or active.any():
            held = active[:, :, None] | active[:, None, :]
            matrices = xp.where(held, eye, matrices)
            right = xp.where(active, 0.0, right)
        return solve_dense(matrices, xp.broadcast_to(right, (3, *right.shape)), library=xp)


def _put(matrix: Any, row: Any, column: Any, values: Any) -> Any:
    """Matrices with entries set; in place on the host."""
    if isinstance(matrix, np.ndarray):
        matrix[:, row, column] = values
        return matrix
    return matrix.at[:, row, column].set(values)


def at_bound(point: Any, gradient: Any, batch: Batch) -> Any:
    """Parameters held by a bound: at it, with the objective falling beyond it, (starts, p)."""
    return ((point <= batch.lower) & (gradient >= 0)) | ((point >= batch.upper) & (gradient <= 0))
