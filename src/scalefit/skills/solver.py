"""Scores as sigmoids of a product of two matrices, from several starts.

With scores y of models i on benchmarks j, floors c, a design W of families and inputs,

    y_ij = c_j + (1 - c_j) sigma(b_j + L_j . (W_i T)),

this minimises the sum of Huber losses of y over delta plus half the penalty times the sum of
squares of L and T. The penalty makes the scales of L and T equal, and acts on their product as its
nuclear norm does: skills that are not needed vanish.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scalefit.runtime.progress import counting

__all__ = ["Product", "Solved", "sigmoid", "solve"]

# Steps of one start, and the relative fall of the objective in a step at which it ends.
MOST_STEPS, SETTLED = 5_000, 1e-13
# Ridge on what the penalty leaves out: intercepts of benchmarks that no model has lifted off.
TINY = 1e-6
# Scores nearer than this to their ends are moved inside before their logits are taken.
INSIDE = 0.02
# Standard deviation by which further starts differ from the first.
APART = 0.5


class Product(NamedTuple):
    """What is fitted.

    Attributes:
        scores: shape (models, benchmarks), NaN where there is none.
        design: columns of families, then inputs, shape (models, m).
        floors: shape (benchmarks,).
        skills: their number, d.
        penalty: see above.
        delta: where the Huber loss turns linear.
    """

    scores: np.ndarray
    design: np.ndarray
    floors: np.ndarray
    skills: int
    penalty: float
    delta: float


class Solved(NamedTuple):
    """The best end of all starts.

    Attributes:
        loadings: L, shape (benchmarks, d).
        intercepts: b, shape (benchmarks,).
        turned: T, shape (m, d).
        value: the objective.
        values: of every start, in their order.
        settled: whether the best start came to rest.
    """

    loadings: np.ndarray
    intercepts: np.ndarray
    turned: np.ndarray
    value: float
    values: tuple[float, ...]
    settled: bool


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def solve(problem: Product, starts: int, seed: int) -> Solved:
    """The best of several starts: the first from logits, the others at random around it."""
    first, rng = _from_logits(problem), np.random.default_rng(seed)
    ends = []
    with counting("descending", starts, "starts") as stage:
        for k in range(starts):
            point = first if k == 0 else first + APART * rng.standard_normal(first.size)
            ends.append(_descend(problem, point))
            stage.update()
    values = tuple(value for _, value, _ in ends)
    point, value, settled = ends[int(np.argmin(values))]
    return Solved(*_parts(problem, point), value, values, settled)


def _parts(problem: Product, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loadings, intercepts and T in a vector of all."""
    (_, count), m, d = problem.scores.shape, problem.design.shape[1], problem.skills
    each = point[: count * (d + 1)].reshape(count, d + 1)
    return each[:, :d], each[:, d], point[count * (d + 1) :].reshape(m, d)


def _packed(loadings: np.ndarray, intercepts: np.ndarray, turned: np.ndarray) -> np.ndarray:
    return np.concatenate([np.column_stack([loadings, intercepts]).ravel(), turned.ravel()])


def _from_logits(problem: Product) -> np.ndarray:
    """Ridge regression of logits on the design, and the leading part of its rank."""
    scores, design, floors, d = problem.scores, problem.design, problem.floors, problem.skills
    share = np.clip((scores - floors) / (1 - floors), INSIDE, 1 - INSIDE)
    logits = np.log(share / (1 - share))
    there = np.isfinite(logits)
    # Zero where no model has a score.
    centre = np.where(there, logits, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    filled = np.where(np.isnan(logits), 0.0, logits - centre)
    ridge = 0.1 * np.eye(design.shape[1])
    slopes = np.linalg.solve(design.T @ design + ridge, design.T @ filled)
    # Full: there may be fewer models than skills.
    _, size, right = np.linalg.svd(design @ slopes, full_matrices=True)
    size = np.concatenate([size, np.zeros(d)])
    root = np.sqrt(np.maximum(size[:d], TINY) / np.sqrt(len(scores)))
    return _packed(right[:d].T * root, centre, slopes @ right[:d].T / root)


def _penalties(problem: Product, size: int) -> np.ndarray:
    """The penalty of each number of a vector of all."""
    found = np.full(size, max(problem.penalty, TINY))
    count, d = problem.scores.shape[1], problem.skills
    found[: count * (d + 1)].reshape(count, d + 1)[:, d] = TINY
    return found


def _objective(
    problem: Product, penalties: np.ndarray, point: np.ndarray
) -> tuple[float, np.ndarray]:
    """The objective and its gradient."""
    loadings, intercepts, turned = _parts(problem, point)
    latent = problem.design @ turned
    share = sigmoid(intercepts + latent @ loadings.T)
    rest = problem.scores - problem.floors - (1 - problem.floors) * share
    rest = np.where(np.isnan(rest), 0.0, rest)
    size, delta = np.abs(rest), problem.delta
    huber = np.where(size <= delta, 0.5 * rest**2 / delta, size - 0.5 * delta)
    value = float(huber.sum() + 0.5 * np.sum(penalties * point**2))
    # Of the argument of each sigmoid.
    force = -np.clip(rest / delta, -1, 1) * (1 - problem.floors) * share * (1 - share)
    slopes = force.T @ latent, force.sum(axis=0), problem.design.T @ (force @ loadings)
    return value, _packed(*slopes) + penalties * point


def _descend(problem: Product, point: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """The minimum that a start leads to, and whether the search came to rest there."""
    from scipy.optimize import minimize

    penalties = _penalties(problem, point.size)

    def objective(at: np.ndarray) -> Any:
        return _objective(problem, penalties, at)

    options: Any = {"maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS, "maxcor": 30}
    options |= {"ftol": SETTLED, "gtol": 1e-9}
    found = minimize(objective, point, jac=True, method="L-BFGS-B", options=options)
    return found.x, float(found.fun), bool(found.success)
