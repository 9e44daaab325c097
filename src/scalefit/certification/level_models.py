"""Where coefficients differ by level: what is known of a box, and dual vectors for it.

The convex problems that propose dual vectors have the columns of every term as if it had no levels,
at both ends of the interval, and those of its levels in the middle, of either sign. Nothing here
proves anything; see :mod:`~scalefit.certification.level_shares`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalefit.certification.boxes import Gathered, curvature_bound, upper_bound
from scalefit.certification.conjugates import Squares
from scalefit.certification.huber_conjugates import Robust
from scalefit.certification.relaxation import STEPS_OF_A_PROBLEM, Relaxation, scaled_system

__all__ = [
    "KnownShares",
    "LevelModel",
    "combined",
    "middle_columns",
    "model_of",
    "propose",
    "response",
    "sensitivities",
    "shifts_of",
    "tilted",
]

# Most steps of a problem, and how well it is solved, as a share of what the bounds lack.
STEPS = 16
SMALL = 0.03


# Of known shares, by box.
ARRAYS = ("ranges", "predicted", "still", "most", "shares", "low", "high")


@dataclass
class KnownShares:
    """Boxes with what is known of their coefficients.

    Attributes:
        gathered: their columns.
        ranges: of their predictions.
        predicted: see :class:`OpenBoxes`.
        still: upper bounds of the coefficients of fixed columns, (boxes, fixed).
        most: upper bounds of the coefficients of the others, (boxes, columns).
        shares: s, (boxes, columns), zero where a coefficient is one for all rows.
        low: lower ends of r, (boxes, columns).
        high: upper ends.
    """

    gathered: Gathered
    ranges: np.ndarray
    predicted: np.ndarray
    still: np.ndarray
    most: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def take(self, which: np.ndarray) -> KnownShares:
        """Some of the boxes, or one several times."""
        return KnownShares(
            self.gathered.take(which), *(getattr(self, name)[which] for name in ARRAYS)
        )

    @classmethod
    def joined(cls, states: list[KnownShares]) -> KnownShares:
        """Boxes of several states."""
        gathered = Gathered(
            *map(np.concatenate, zip(*(state.gathered for state in states), strict=True))
        )
        return cls(
            gathered,
            *(np.concatenate([getattr(state, name) for state in states]) for name in ARRAYS),
        )


class LevelModel(NamedTuple):
    """A convex problem that proposes dual vectors.

    Attributes:
        columns: see ``model_of``, (boxes, columns, rows).
        margin: by how much each column's test is to hold, (boxes, columns).
        free: which coefficients may have either sign, (columns,).
        kept: for each term, the places of the levels that have a column in the middle.
    """

    columns: np.ndarray
    margin: np.ndarray
    free: np.ndarray
    kept: list[list[int]]


def middle_columns(gathered: Gathered) -> np.ndarray:
    """Columns in the middle of their intervals, about, (boxes, columns, rows)."""
    return np.asarray(0.5 * (gathered.middle[:, :, 0] + gathered.middle[:, :, 1]))


def combined(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums over the columns of one term, (boxes, ...)."""
    return np.einsum("bl,bl...->b...", shares, values)


def propose(
    relaxation: Relaxation, state: KnownShares, u: np.ndarray, lacks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A better dual vector, and predictions, from a convex problem."""
    loss, model = relaxation.loss, model_of(relaxation, state, u)
    if isinstance(loss, Robust):
        return _by_interior_point(relaxation, loss, model, state.ranges, lacks)
    assert isinstance(loss, Squares)
    passive = np.ones(model.margin.shape, dtype=bool)
    f = state.predicted
    ranges = state.ranges if state.ranges.shape[-1] else None
    for _ in range(2 if ranges is not None else 1):
        weight, goal = loss.linearise(f, ranges)
        f, _, passive, u = relaxation.solve(
            model.columns, weight, goal, model.margin, passive, refine=True, free=model.free
        )
    relaxation.spend(STEPS_OF_A_PROBLEM * len(u))
    return u, f


def _by_interior_point(
    relaxation: Relaxation, loss: Robust, model: LevelModel, ranges: np.ndarray, lacks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    found = relaxation.minimise(
        *(model.columns, loss.rows(ranges), model.margin, SMALL * np.abs(lacks), STEPS),
        free=model.free,
    )
    return found.u, found.predicted


def model_of(relaxation: Relaxation, state: KnownShares, u: np.ndarray) -> LevelModel:
    """Columns of every term as if it had no levels, at both ends, and of levels in the middle.

    The latter are of either sign. Margins are what tests exceed zero by inside the box.
    """
    gathered, fixed = state.gathered, relaxation.fixed
    dots, errors = gathered.dots(u)
    columns = [np.broadcast_to(fixed.middle, (len(u), *fixed.middle.shape))]
    margins = [4 * (np.abs(u) @ relaxation.fixed_error.T)]
    free, kept = [False] * len(fixed), []
    middle = middle_columns(gathered)
    for span in relaxation.columns.spans:
        # One column whose share is one has no levels.
        shares = state.shares[:, span] if len(span) > 1 else np.ones((len(u), 1))
        pair, mine, off = (
            combined(shares, item)
            for item in (gathered.middle[:, span, :2], dots[:, span], errors[:, span])
        )
        width = gathered.width[:, span[0]]
        curve = curvature_bound(mine, np.zeros_like(mine), off[..., 3], off[..., 4], width)
        low = np.minimum(mine[..., :2], 0)
        over = np.maximum(upper_bound(low[..., 0], low[..., 1], curve, width), 0)
        over = np.where(np.isfinite(over), over, 0.0) + 2 * (off[..., 0] + off[..., 1])
        # All levels but one: their sum is a column already.
        size = (shares * middle[:, span].mean(axis=2)).mean(axis=0)
        rest = [place for place in span if place != span[int(np.argmax(size))]]
        columns += [pair, middle[:, rest]]
        margins += [np.repeat(over[:, None], 2, axis=1), np.zeros((len(u), len(rest)))]
        free += [False, False] + [True] * len(rest)
        kept.append(rest)
    return LevelModel(
        np.concatenate(columns, axis=1), np.concatenate(margins, axis=1), np.array(free), kept
    )


def shifts_of(
    relaxation: Relaxation, state: KnownShares, model: LevelModel, lean: np.ndarray
) -> np.ndarray:
    """What lean of shape (boxes, some, columns) adds to the margins of a model's columns."""
    parts = [np.zeros((*lean.shape[:2], len(relaxation.fixed)))]
    for span, rest in zip(relaxation.columns.spans, model.kept, strict=True):
        shares = state.shares[:, span] if len(span) > 1 else np.ones((len(lean), 1))
        shift = lean[:, :, span] @ shares[:, :, None]
        parts += [shift, shift, lean[:, :, rest]]
    return np.concatenate(parts, axis=2)


def tilted(
    relaxation: Relaxation,
    state: KnownShares,
    model: LevelModel,
    shifts: np.ndarray,
    lacks: np.ndarray,
) -> np.ndarray:
    """Dual vectors of several tilted problems for each box."""
    loss, each = relaxation.loss, shifts.shape[1]
    assert isinstance(loss, Robust)
    columns, ranges = (np.repeat(item, each, axis=0) for item in (model.columns, state.ranges))
    margin = (model.margin[:, None] + shifts).reshape(len(columns), -1)
    many = model._replace(columns=columns, margin=margin)
    return _by_interior_point(relaxation, loss, many, ranges, np.repeat(lacks, each))[0]


def response(
    loss: Squares, state: KnownShares, model: LevelModel, shifts: np.ndarray
) -> np.ndarray:
    """How a dual vector of squares changes with the margins, (boxes, some, rows)."""
    ranges = state.ranges if state.ranges.shape[-1] else None
    weight, _ = loss.linearise(state.predicted, ranges)
    columns = model.columns
    weighted = columns * (weight if weight.ndim == 1 else weight[:, None])
    passive = np.ones(columns.shape[:2], dtype=bool)
    system, scale = scaled_system(weighted @ columns.transpose(0, 2, 1), passive, 1e-9)
    steps = np.linalg.solve(system, (shifts * scale[:, None]).transpose(0, 2, 1))
    return -((steps * scale[:, :, None]).transpose(0, 2, 1) @ weighted)


def sensitivities(relaxation: Relaxation, state: KnownShares) -> np.ndarray:
    """Inverse of the Hessian in the coefficients, about, (boxes, columns, columns)."""
    loss, fixed = relaxation.loss, relaxation.fixed
    if isinstance(loss, Robust):
        size = np.abs(state.predicted - loss.y) / loss.scale
        typical = np.median(size, axis=1, keepdims=True)
        weight = loss.slope / loss.scale**2 / np.maximum(size, np.maximum(loss.delta, typical))
    else:
        assert isinstance(loss, Squares)
        weight, _ = loss.start()
    columns = np.concatenate(
        [
            np.broadcast_to(fixed.middle, (len(state.most), *fixed.middle.shape)),
            middle_columns(state.gathered),
        ],
        axis=1,
    )
    gram = (columns * (weight if weight.ndim == 1 else weight[:, None])) @ columns.transpose(
        0, 2, 1
    )
    scale = 1 / np.sqrt(np.maximum(np.einsum("bii->bi", gram), 1e-300))
    gram = gram * scale[:, :, None] * scale[:, None, :]
    inverse = np.linalg.inv(gram + 1e-10 * np.eye(gram.shape[1]))
    inverse *= scale[:, :, None] * scale[:, None, :]
    return np.asarray(inverse[:, len(fixed) :, len(fixed) :])
