"""Problems posed for a proof, points that a proof must not lose, and a watch over them."""

from types import SimpleNamespace

import numpy as np
from scipy.optimize import nnls

import scalefit as sf
from scalefit.certification.boxes import Boxes
from scalefit.certification.certify import prepare_search
from scalefit.problem.prepare import prepare
from scalefit.problem.separability import structure

# Predictions of a point and ranges of them are off by rounding, in the logarithm.
ROUNDING = 1e-12


class Lost(AssertionError):  # noqa: N818 (says what happened to a point)
    """A point below the target is in no open box, or outside the ranges of all it is in."""


def table(rows, *, noise=0.005, seed=0, decades=2.0):
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 7 + decades, rows)
    D = 10 ** rng.uniform(9, 9 + decades, rows)
    P = 10 ** rng.uniform(3, 3 + decades, rows)
    exact = 1.7 + 406 * N**-0.34 + 411 * D**-0.28 + 5 * P**-0.3
    return {"N": N, "D": D, "P": P, "loss": exact * np.exp(noise * rng.standard_normal(rows))}


def contaminated(rows, share=0.1, **how):
    """Some losses doubled, those of the smallest N."""
    runs = table(rows, **how)
    runs["loss"][np.argsort(runs["N"])[: max(1, round(share * rows))]] *= 2
    return runs


def posed(runs, law="chinchilla", *, fixed=None, bounds=None, tied=(), weight=None, **objective):
    """Everything certify() takes but the value."""
    law = sf.laws.find(law)
    columns = {name: np.asarray(runs[name], dtype=float) for name in law.columns}
    problem, settings = prepare(
        law, structure(law, columns), columns, fixed=fixed or {}, bounds=bounds or {}, tied=tied
    )
    observed = np.asarray(runs["loss"], dtype=float)
    weight = np.ones(len(observed)) if weight is None else np.asarray(weight, dtype=float)
    how = sf.objective.Objective(**objective)
    return problem, settings, how, columns, observed, weight, fixed or {}


def boxes_around(rng, search, theta, count):
    """Random boxes of all sizes that contain a point."""
    theta = np.asarray(theta)
    low, high = search.low, search.high
    width = (high - low) * 10 ** rng.uniform(-5, 0, (count, 1))
    share = rng.uniform(0, 1, (count, len(theta)))
    lower = np.maximum(theta - share * width, low)
    upper = np.minimum(theta + (1 - share) * width, high)
    ranges = np.repeat(search.relaxation.loss.range[None], count, axis=0)
    return Boxes(lower, upper, np.zeros((count, search.relaxation.size), dtype=bool), ranges)


# Objectives of laws that are sums of powers, in plain numpy


def objective(how, observed, predicted, weight):
    """The objective, of predictions (..., rows), from its definition."""
    with np.errstate(all="ignore"):
        r = np.log(observed / predicted) if how.residual == "log" else observed - predicted
    r = r / observed if how.residual == "relative" else r
    size, delta = np.abs(r), how.delta
    if how.robust == "none":
        each = r**2
    elif how.robust == "l1":
        each = size
    else:
        each = np.where(size <= delta, r**2 / 2, delta * (size - delta / 2))
    total = (weight * np.where(r < 0, how.asymmetry or 1.0, 1.0) * each).sum(axis=-1)
    return np.where(np.isfinite(total), total, np.inf)


def powers(pose, theta):
    """Columns of a sum of powers at exponents (..., q), each of size about one, (..., k, rows)."""
    problem, _, _, columns, observed, *_ = pose
    theta = np.asarray(theta, dtype=float)
    found = []
    for group, axes in zip(problem.linear, problem.axes_seen, strict=True):
        name = {"A": "N", "B": "D", "C": "P"}.get(group[0])
        if name is None or not axes:
            found.append(np.ones((*theta.shape[:-1], len(observed))))
            continue
        logs = np.log(columns[name])
        found.append(np.exp(-theta[..., axes[0], None] * (logs - logs.mean())))
    return np.stack(found, axis=-2)


def least(pose, theta, steps=40, size=1e-9):
    """A low objective at given exponents, by reweighted nonnegative least squares.

    Never below the minimum: it is attained. Returns it, and the coefficients of ``powers``.
    """
    *_, how, _, observed, weight, _ = pose
    matrix = powers(pose, theta).T
    scale = observed if how.residual == "relative" else np.ones_like(observed)
    best, at = (np.inf, None), np.zeros(len(matrix.T))
    f, target, root = observed.copy(), observed, np.sqrt(weight) / observed
    for step in range(steps):
        c, _ = nnls(matrix * root[:, None], target * root, maxiter=300)
        aim = matrix @ c
        values = [
            float(objective(how, observed, f + t * (aim - f), weight))
            for t in ((1.0, 0.5, 0.2, 0.04) if step else (1.0,))
        ]
        place = int(np.argmin(values))
        if step and place:
            c = at + (0.5, 0.2, 0.04)[place - 1] * (c - at)
        f, at = matrix @ c, c
        if not (f > 0).all():
            break
        if values[place] < best[0]:
            best = values[place], c
        logs = how.residual == "log"
        r = np.log(observed / f) if logs else (observed - f) / scale
        bend = np.maximum(np.abs(r), how.delta or size) if how.robust != "none" else 1.0
        factor = np.where(r < 0, how.asymmetry or 1.0, 1.0) * weight / bend
        root = np.sqrt(factor) / (f if logs else scale)
        target = f * (1 + r) if logs else observed
    return best


def better_points(rng, pose, theta, coefficients, target, *, chains=48, steps=250, keep=150):
    """Points whose objective is below a target, spread over all that there are near one.

    Random walks from a point, in logarithms of the coefficients; kept are those with the most
    extreme parameters and predictions, and some others.

    Returns:
        The exponents, (points, q), and predictions, (points, rows).
    """
    problem, settings, how, _, observed, weight, _ = pose
    k, q = len(problem.linear), len(theta)
    ends = np.stack([settings.lower[k:], settings.upper[k:]])
    ends = np.where(problem.logarithmic, np.exp(ends), ends)

    def predict(p):
        return (np.exp(p[:, :k, None]) * powers(pose, p[:, k:])).sum(axis=1)

    floor = 1e-9 * np.median(observed)
    at = np.tile([*np.log(np.maximum(coefficients, floor)), *theta], (chains, 1))
    found = []
    spread, scale = np.eye(k + q), np.full((chains, 1), 1e-4)
    for step in range(steps):
        new = at + scale * (rng.standard_normal(at.shape) @ spread.T)
        inside = ((new[:, k:] >= ends[0]) & (new[:, k:] <= ends[1])).all(axis=1)
        inside &= objective(how, observed, predict(new), weight) < target * (1 - 1e-9)
        at[inside] = new[inside]
        found.append(new[inside])
        scale *= np.where(inside, 1.3, 0.85)[:, None]
        if step % 50 == 49 and step < steps - 50 and sum(map(len, found[-50:])) > 100:
            spread = np.linalg.cholesky(
                np.cov(np.concatenate(found[-50:]).T) + 1e-16 * np.eye(k + q)
            )
            scale[:] = 0.3
    points = np.concatenate(found)
    f = predict(points)
    wide = np.concatenate([points, f / observed], axis=1)
    some = np.unique(np.concatenate([wide.argmin(axis=0), wide.argmax(axis=0)]))
    some = np.unique(np.concatenate([some, rng.integers(0, len(points), keep)]))
    return points[some, k:], f[some]


# The watch


def places(boxes, ranged, points):
    """Which points each box contains, and its ranges their predictions, (boxes, points)."""
    theta, s = points
    inside = (boxes.lower[:, None] <= theta).all(axis=2) & (theta <= boxes.upper[:, None]).all(
        axis=2
    )
    if not ranged:
        return inside
    for box in np.flatnonzero(inside.any(axis=1)):
        low, high = boxes.ranges[box]
        mine = np.flatnonzero(inside[box])
        fine = (low <= s[mine] + ROUNDING) & (s[mine] - ROUNDING <= high)
        inside[box, mine] = fine.all(axis=1)
    return inside


def watched(pose, value, points, most_boxes=200, tolerance=1e-6, **how):
    """Run a search and see to it that none of some points below the target is lost.

    Args:
        pose: the problem.
        value: the objective that nothing below is claimed of, above that of the points.
        points: exponents and predictions.
        most_boxes: where the search ends.
        tolerance: share of the value.

    Raises:
        Lost: a point was lost.
    """
    search = prepare_search(*pose, value, tolerance)
    loss = search.relaxation.loss
    # A proof leaves out rows of no weight.
    used = pose[5] > 0
    assert (pose[4][used] == loss.y).all()
    theta, predicted = points
    s = np.log(predicted[:, used] / loss.y)
    values = loss.evaluate(predicted[:, used])
    assert (values < search.target).all()
    lowest = values.min()
    ranged = search.ranged
    honest = search._bound_all
    seen = SimpleNamespace(generations=0, widest=[], search=search)

    def see(boxes, when):
        held = places(boxes, ranged, (theta, s)).any(axis=0)
        if not held.all():
            raise Lost(f"{when} {seen.generations}: {(~held).sum()} of {len(held)} points are lost")

    def bound_all(boxes):
        see(boxes, "cutting generation")
        found = honest(boxes)
        seen.generations += 1
        open_ = found.bounds < search.target
        see(
            Boxes(
                boxes.lower[open_], boxes.upper[open_], found.passive[open_], found.ranges[open_]
            ),
            "bounding generation",
        )
        inside = places(boxes, ranged, (theta, s))
        highest = np.where(inside, values, np.inf).min(axis=1)
        if (found.bounds > highest * (1 + 1e-9)).any():
            raise Lost(f"a bound of generation {seen.generations} is above a point of its box")
        if ranged:
            seen.widest.append(float(np.median(found.ranges[:, 1] - found.ranges[:, 0])))
        return found

    search._bound_all = bound_all
    search._lower_point = lambda boxes: None
    with np.errstate(all="ignore"):
        certificate = search.run(most_boxes, np.inf)
    if certificate.closed:
        raise Lost("the search closed above points below its target")
    seen.certificate, seen.lowest = certificate, search.goal.unscaled(lowest)
    return seen
