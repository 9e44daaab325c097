"""Proofs of Huber losses are sound: no bound is too high, and no better point is ever lost."""

import __future__

import inspect
import json
import math
import runpy
import sys
import textwrap
from functools import cache
from pathlib import Path
from types import FunctionType

import numpy as np
import pandas as pd
import pytest
from example_laws import three
from hidden_tables import hidden_table
from proofs import (
    Lost,
    better_points,
    boxes_around,
    contaminated,
    least,
    places,
    posed,
    powers,
    table,
    watched,
)

import scalefit as sf
from scalefit.certification import (
    anchors,
    boxes,
    huber_conjugates,
    order,
    relaxation,
)
from scalefit.certification.boxes import Boxes, OpenBoxes
from scalefit.certification.certify import certify, prepare_search
from scalefit.certification.huber_conjugates import Huber, LogHuber
from scalefit.certification.order import halve_ranges, order_ranges
from scalefit.certification.proposals import by_interior_point
from scalefit.fitting import api as pipeline

EPSILON = np.finfo(float).eps
L1, ASYMMETRIC = {"robust": "l1"}, {"robust": "asymmetric"}


# Infima of one row


def row_of_logs(s, p, delta, asymmetry):
    """A log residual over its slope, plus p e^s, in 80 bits."""
    size = np.abs(s)
    zone = size * size / (2 * delta) if delta > 0 else size
    penalty = np.where(size <= delta, zone, size - np.longdouble(delta) / 2)
    return np.where(s > 0, asymmetry, 1) * penalty + p * np.exp(s)


def stationary(p, delta, asymmetry):
    """Where s c / delta + p e^s = 0 within delta, by bisection in 80 bits."""
    side = np.where(p < 0, asymmetry, 1) / np.longdouble(delta)
    low = np.where(p < 0, 0.0, -np.longdouble(delta))
    high = np.where(p < 0, np.longdouble(min(delta, 1.0)), 0.0)
    for _ in range(70):
        middle = (low + high) / 2
        below = side * middle + p * np.exp(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def pulls(rng, delta, asymmetry, count):
    """Slopes p of many sizes and signs, and those where something changes."""
    special = np.array([0.0, -asymmetry, math.exp(min(delta, 700)), 1.0, -1.0])
    # Where the two stationary points meet.
    inflection = -asymmetry / max(delta, 1e-300) / np.e if delta >= 1 else -asymmetry
    special = np.concatenate([special, special * (1 + 1e-12), special * (1 - 1e-9), [inflection]])
    near = inflection * (1 + rng.choice([-1, 1], 40) * 10 ** rng.uniform(-13, -1, 40))
    sizes = 10 ** rng.uniform(-12, 6, count) * rng.choice([-1, 1], count)
    middle = asymmetry * rng.uniform(-1.2, 1.2, count)
    return np.concatenate([np.repeat(special, 12), near, sizes, middle])


def intervals(rng, delta, count):
    """Ranges of s of all sizes: below the kink, above it, across it, within delta, of no width."""
    width = 10 ** rng.uniform(-10, 1.3, count)
    width[rng.random(count) < 0.05] = 0.0
    place = rng.choice([-3.0, -1.0, -delta, 0.0, delta, 1.0, 3.0], count)
    low = place + rng.choice([-1, 0, 1], count) * 10 ** rng.uniform(-8, 0.5, count)
    low -= np.where(rng.random(count) < 0.5, width * rng.random(count), 0.0)
    return low, low + width


@pytest.mark.parametrize("delta", [0.0, 1e-4, 1e-3, 1e-2, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("asymmetry", [1.0, 10.0, 1e3])
def test_infima_of_log_rows_are_below_every_point_and_near_the_lowest(delta, asymmetry):
    rng = np.random.default_rng([int(1e5 * delta), int(asymmetry)])
    loss = LogHuber(np.ones(1), np.ones(1), delta, asymmetry, max(delta, 1e-3))
    p = pulls(rng, delta, asymmetry, 900)
    low, high = intervals(rng, delta, len(p))
    found, sizes = (
        item[:, 0] for item in loss.infima(p[:, None], np.stack([low, high], axis=1)[..., None])
    )
    exact, P = [np.longdouble(item) for item in (low, high)], np.longdouble(p)
    places_ = [exact[0] + t * (exact[1] - exact[0]) for t in np.linspace(0, 1, 200)]
    places_ += [np.full(len(p), x) for x in (0.0, -delta, delta, min(delta, 1.0))]
    places_ += [-np.log(np.where(P > 0, P, 1))]
    places_ += [stationary(P, delta, asymmetry)] if delta > 0 else []
    s = np.clip(np.array(places_), *exact)
    lowest = row_of_logs(s, P, delta, asymmetry).min(axis=0)
    assert (found <= lowest + 16 * EPSILON * sizes).all()
    # Near the inflection, where psi has hardly a curvature, a tangent is all that is known.
    lacks = (lowest - found) / sizes
    assert lacks.max() < 1e-3
    assert np.quantile(lacks, 0.95) < 1e-12


@pytest.mark.parametrize("asymmetry", [1.0, 10.0, 1e3])
@pytest.mark.parametrize("delta", [0.0, 1e-3, 0.3, 2.5])
@pytest.mark.parametrize("logs", [True, False])
def test_conjugates_are_below_every_prediction_that_a_row_allows(logs, delta, asymmetry):
    rng = np.random.default_rng(int(asymmetry))
    for value in (1e-6, 1e-2, 3.0):
        observed, weight, divisor = (np.array([x]) for x in 10 ** rng.uniform(-2, 2, 3))
        value *= weight[0] * (delta or 1)
        if logs:
            divisor = observed
            loss = LogHuber(observed, weight, delta, asymmetry, value)
        else:
            loss = Huber(observed, weight, divisor, delta, asymmetry, value)
        u = pulls(rng, 0.0, asymmetry, 150)[:, None] * loss.slope / divisor
        found = loss.conjugate(u)
        ends = -loss.most[0, 0], loss.most[1, 0]
        t = np.linspace(*ends, 801)
        t = np.unique(np.clip([*t, 0.0, *np.linspace(-delta, delta, 101)], *ends))
        f = observed * np.exp(t) if logs else observed + divisor * t
        size = np.abs(t)
        zone = size**2 / (2 * delta) if delta > 0 else size
        rows = np.where(size <= delta, zone, size - delta / 2) * np.where(t > 0, asymmetry, 1)
        # What the incumbent allows is inside.
        assert (loss.slope * rows)[[0, -1]].min() >= value * (1 - 1e-9)
        terms = loss.slope * rows + u * f
        lowest, size = terms.min(axis=1), np.abs(terms).max(axis=1)
        assert (found <= lowest + 1e-15 * size).all()
        # Vectors far steeper than any row are of no use to a proof.
        most = min(1.0, loss.most.min() / max(delta, 1e-300))
        near = np.abs(u[:, 0] * divisor / loss.slope) <= most
        assert ((lowest - found) / (value + size))[near].max() < 1e-2


# Points that are better than the target

CASES = {
    "ordinary": (lambda: table(40, seed=1), {}, 1.3),
    "ordinary, closely": (lambda: table(40, seed=1), {}, 1.0001),
    "contaminated": (lambda: contaminated(40, seed=2), {}, 1.01),
    "contaminated, delta 0.1": (lambda: contaminated(30, seed=5, noise=0.03), {"delta": 0.1}, 1.3),
    "few rows": (lambda: table(9, seed=6), {}, 1.01),
    "l1": (lambda: contaminated(30, seed=3), L1, 1.01),
    "l1, closely": (lambda: table(30, seed=3, noise=0.02), L1, 1.001),
    "asymmetric": (lambda: table(30, seed=4, noise=0.02), ASYMMETRIC, 1.01),
    "asymmetric, closely": (lambda: table(30, seed=4, noise=0.02), ASYMMETRIC, 1.0001),
    "asymmetric, wide": (
        lambda: contaminated(25, seed=8, noise=0.1),
        {**ASYMMETRIC, "delta": 0.05, "asymmetry": 3.0},
        1.3,
    ),
    "tied": (
        lambda: contaminated(40, seed=7),
        {"tied": [("alpha", "beta")]},
        1.001,
    ),
    "three exponents": (lambda: table(25, seed=13), {"law": three}, 1.1),
    "weights": (
        lambda: contaminated(30, seed=9),
        {"weight": np.arange(30) % 4 * np.geomspace(0.1, 10, 30)},
        1.01,
    ),
    "raw": (lambda: contaminated(30, seed=10), {"residual": "raw"}, 1.01),
    "raw l1": (lambda: contaminated(30, seed=10), {"residual": "raw", **L1}, 1.001),
    "relative asymmetric": (
        lambda: table(30, seed=11, noise=0.05),
        {"residual": "relative", **ASYMMETRIC, "delta": 0.01},
        1.001,
    ),
}


@cache
def fitted(name):
    """A case's problem, its optimum by the package, and the coefficients there by our own means."""
    make, how, _ = CASES[name]
    runs, how = make(), dict(how)
    pose = posed(runs, **how)
    frame = pd.DataFrame({x: runs[x] for x in (*pose[0].law.columns, "loss")})
    frame["weight"] = how.pop("weight", 1.0)
    fit = sf.fit(frame[frame["weight"] > 0], certify=False, **how)
    theta = np.array([fit.params[group[0]] for group in pose[0].nonlinear])
    value, coefficients = least(pose, theta, 80)
    assert value == pytest.approx(fit.objective_value, rel=1e-5)
    return pose, theta, coefficients, value


@cache
def posed_watch(name):
    """A case's problem, a value above its optimum, and points whose objective is below that."""
    pose, theta, coefficients, value = fitted(name)
    value *= CASES[name][2]
    rng = np.random.default_rng(0)
    return pose, value, better_points(rng, pose, theta, coefficients, value * (1 - 1e-6))


@pytest.mark.parametrize("name", CASES)
def test_no_better_point_is_lost(name):
    pose, value, points = posed_watch(name)
    # The points are spread over what there is.
    assert np.ptp(points[0], axis=0).min() > 1e-5
    seen = watched(pose, value, points, most_boxes=200 if points[0].shape[1] < 3 else 1200)
    assert seen.generations >= 2
    assert "still open" in seen.certificate.reason


def check_watch(name):
    """As the test above, where points may be lost."""
    watched(*posed_watch(name))


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("r")])
def test_every_way_to_narrow_ranges_keeps_every_better_point(name):
    """By order, by halving, and by bounding, in boxes of all sizes, one after another."""
    rng = np.random.default_rng(1)
    pose, value, (theta, predicted) = posed_watch(name)
    with np.errstate(all="ignore"):
        search = prepare_search(*pose, value, 1e-6)
    loss = search.relaxation.loss
    used = pose[5] > 0
    points = theta, np.log(predicted[:, used] / loss.y)
    some = rng.integers(0, len(theta), 12)
    around = boxes_around(rng, search, theta[some[0]], 4)
    for place in some[1:]:
        around = around.joined(boxes_around(rng, search, theta[place], 4))
    inside = places(around, False, points)
    full = loss.range[1] - loss.range[0]
    assert (places(around, True, points) == inside).all()

    def kept():
        return (places(around, True, points) == inside).all()

    with np.errstate(all="ignore"):
        order_ranges(search.relaxation, around, search.target)
        assert kept()
        for _ in range(2):
            ranges = search.bound(around).ranges
            around = Boxes(around.lower, around.upper, around.passive, ranges)
            assert kept()
        parts, cut = halve_ranges(search.relaxation, around)
        for _ in range(2):
            held = places(parts, True, points)
            for box in np.flatnonzero(cut):
                mine = (parts.lower == around.lower[box]).all(axis=1)
                mine &= (parts.upper == around.upper[box]).all(axis=1)
                assert (held[mine].any(axis=0) >= inside[box]).all()
            # Two halves of halves.
            parts, _ = halve_ranges(search.relaxation, parts)
    assert cut.all()
    width = (around.ranges[:, 1] - around.ranges[:, 0]) / full
    assert width.mean(axis=1).min() < 0.9


def points_of_boxes(rng, search, around, gathered):
    """A point of each box: its predictions, and what it is as a sum of corner columns.

    The logarithm of a column is a straight line between its corners.

    Returns:
        Predictions, (boxes, rows), in 80 bits; the coefficients of sums and differences of corner
        columns, (boxes, columns).
    """
    solver, loss = search.relaxation, search.relaxation.loss
    count, still, axis = len(around), len(solver.fixed), np.array(solver.columns.axis)
    along = np.where(rng.random((count, 1)) < 0.5, 0.5, rng.uniform(0, 1, (count, solver.axes)))
    along = along[:, axis]
    ends = np.log(np.longdouble(gathered.middle[:, :, :2]))
    inner = np.exp((1 - along[..., None]) * ends[:, :, 0] + along[..., None] * ends[:, :, 1])
    c = 10 ** rng.uniform(-6, 0, (count, still + len(axis))) * loss.y.mean()
    fixed = np.broadcast_to(solver.fixed.middle, (count, still, solver.rows))
    f = (c[..., None] * np.concatenate([fixed, inner], axis=1)).sum(axis=1)
    g = np.empty((count, solver.size), dtype=np.longdouble)
    g[:, :still] = c[:, :still]
    g[:, still::2], g[:, still + 1 :: 2] = c[:, still:], c[:, still:] * (along - 0.5)
    return f, g


def check_spread(name, rounds=10):
    """In random boxes the ranges of all rows by those of the anchors contain random points.

    Returns:
        The largest share of the rest that a point needs.

    Raises:
        Lost: a point is outside.
    """
    rng = np.random.default_rng(2)
    pose, value, (theta, _) = posed_watch(name)
    with np.errstate(all="ignore"):
        search = prepare_search(*pose, value, 1e-6)
    solver, loss, count, closest = search.relaxation, search.relaxation.loss, 60, 0.0
    every = np.arange(count)
    around = boxes_around(rng, search, theta[0], count)
    gathered, _ = solver.gather(around)
    for turn in range(rounds):
        f, g = points_of_boxes(rng, search, around, gathered)
        s = np.asarray(np.log(f / loss.y), dtype=float)
        above = np.where(rng.random(s.shape) < 0.8, 10 ** rng.uniform(-4, 1, s.shape), 1e-13)
        ranges = np.stack([s - 10, s + above], axis=1)
        part = OpenBoxes(gathered, *[np.zeros((count, 1))] * 2, ranges, *[np.zeros((count, 1))] * 4)
        basis = anchors._basis(solver, loss, part, every)
        off = np.abs(f / loss.y - (g[:, None, :] @ basis.columns)[:, 0])
        if (np.abs(g) > basis.most).any() or (off > basis.rest).any():
            raise Lost("the rest is more than it is said to be")
        closest = max(closest, float((off / basis.rest).max()))
        chosen, spread = anchors._anchors(basis.columns)
        # Any weights do.
        spread *= 1 + 1e-3 * (turn % 2) * rng.standard_normal(spread.shape)
        for end in (0, 1):
            near = np.take_along_axis(s, chosen, axis=1) + (2 * end - 1) * 1e-13
            np.put_along_axis(ranges[:, end], chosen, near, axis=1)
        anchors._spread(solver, loss, part, every, basis, chosen, spread)
        if (ranges[:, 0] > s + 1e-13).any() or (s - 1e-13 > ranges[:, 1]).any():
            raise Lost("a prediction is outside the range that the anchors leave it")
    return closest


@pytest.mark.parametrize("name", ["ordinary", "weights", "tied", "asymmetric, wide"])
def test_predictions_are_within_what_those_of_the_anchors_leave(name):
    with np.errstate(all="ignore"):
        assert check_spread(name) > 0.9


# Bounds against the lowest objective found at one point

ADVERSE = {
    "ordinary": (lambda: table(40), {}),
    "contaminated": (lambda: contaminated(30, seed=3), {}),
    "tiny residuals": (lambda: table(40, noise=1e-9), {}),
    "noise of a half": (lambda: table(40, noise=0.5), {}),
    "few rows": (lambda: table(6), {}),
    "one decade in nine": (lambda: table(30, decades=9.0), {}),
    "zero weights": (lambda: table(40), {"weight": (np.arange(40) % 3).astype(float)}),
    "heavy weight": (
        lambda: table(40),
        {"weight": 10 ** np.random.default_rng(0).uniform(-6, 6, 40)},
    ),
}
OBJECTIVES = {
    "default": {},
    "delta 0.1": {"delta": 0.1},
    "l1": L1,
    "asymmetric": ASYMMETRIC,
    "asymmetric, far": {**ASYMMETRIC, "delta": 0.3, "asymmetry": 1e3},
}


def bounds_and_least(rng, pose, theta, most, count=10):
    """Bounds of boxes around a point over the lowest objective found there.

    Claims are about points below the value, which is ``most`` times that.
    """
    value, _ = least(pose, theta)
    with np.errstate(all="ignore"):
        search = prepare_search(*pose, value * most, 1e-6)
        around = boxes_around(rng, search, theta, count)
        if search.ranged:
            order_ranges(search.relaxation, around, search.target)
        found = search.bound(around)
    bounds = np.ldexp(found.bounds, -search.goal.exponent)
    return bounds / value


@pytest.mark.parametrize(
    "residual",
    ["log", *(pytest.param(item, marks=pytest.mark.slow) for item in ("raw", "relative"))],
)
@pytest.mark.parametrize("penalty", OBJECTIVES)
@pytest.mark.parametrize("name", ADVERSE)
def test_no_bound_is_above_the_lowest_objective_found_in_its_box(name, penalty, residual):
    rng = np.random.default_rng(3)
    make, how = ADVERSE[name]
    pose = posed(make(), residual=residual, **how, **OBJECTIVES[penalty])
    highest = -np.inf
    for most in (1.01, 1.5, 10.0):
        theta = 10 ** rng.uniform(-1.0, 0.2, 2)
        share = bounds_and_least(rng, pose, theta, most)
        assert (share <= 1 + 1e-9).all()
        highest = max(highest, share.max())
    if name == "ordinary" and penalty != "asymmetric, far":
        assert highest > 0.99


def check_climb(name, steps=300, count=40):
    """No vector that is tried, each for a higher bound than the last, has one above a point.

    Raises:
        Lost: one has.
    """
    rng = np.random.default_rng(4)
    pose, theta, coefficients, value = fitted(name)
    search = prepare_search(*pose, 1.3 * value, 1e-6)
    solver, loss, used = search.relaxation, search.relaxation.loss, pose[5] > 0
    around = boxes_around(rng, search, theta, count)
    if search.ranged:
        s = np.log((coefficients @ powers(pose, theta))[used] / loss.y)
        off = 10 ** rng.uniform(-3, 0.5, (2, count, 1))
        around.ranges[:] = np.clip(np.stack([s - off[0], s + off[1]], axis=1), *loss.range[:, None])
    gathered, _ = solver.gather(around)
    corners = solver.corners(gathered).copy()
    u = by_interior_point(solver, gathered, corners, around, search.goal).u
    best = solver.prove(gathered, u, around.ranges)[0]
    logs = np.log([pose[3][x] for x in pose[3]])[:, used]
    smooth = np.concatenate([(logs - logs.mean(axis=1)[:, None]), np.ones((1, len(loss.y)))])
    for turn in range(steps):
        size = loss.typical * 10 ** rng.uniform(-5, 0, (count, 1))
        move = rng.standard_normal((count, len(smooth))) @ smooth
        if turn % 3:
            move = rng.standard_normal(u.shape) * (rng.random(u.shape) < 0.2)
        tried = u + size * move
        found = solver.prove(gathered, tried, around.ranges)[0]
        u = np.where((found > best)[:, None], tried, u)
        best = np.maximum(best, found)
    highest = search.goal.unscaled(float(best.max())) / value
    if highest > 1 + 1e-9:
        raise Lost(f"a bound is {highest} times the objective of a point of its box")
    return highest


CLIMBS = ["ordinary", "asymmetric, wide", "l1", "raw", "relative asymmetric", "weights"]


@pytest.mark.parametrize("name", CLIMBS)
def test_no_dual_vector_proves_too_much(name):
    with np.errstate(all="ignore"):
        assert check_climb(name) > 0.99


# Mistakes


# What is wrong -> what notices it, on which case; the function, how its source reads, and how it
# would read.
MISTAKES = {
    "conjugates are a little too high": (
        check_climb,
        "few rows",
        LogHuber.conjugate,
        "return lower_sum(terms * self.slope",
        "return 1e-6 * self.slope.sum() * len(self.y) + lower_sum(terms * self.slope",
    ),
    "the upper end of a range is forgotten": (
        check_climb,
        "contaminated, delta 0.1",
        LogHuber.infima,
        "np.minimum(terms, at_high)",
        "terms",
    ),
    "absolute values go on falling beyond their kink": (
        check_climb,
        "l1, closely",
        LogHuber.infima,
        "if self.delta == 0:",
        "if False:",
    ),
    "the asymmetry is on the other side, in slopes": (
        check_climb,
        "asymmetric, closely",
        LogHuber._slope,
        "np.where(s > 0,",
        "np.where(s < 0,",
    ),
    "the asymmetry is on the other side, in order": (
        check_watch,
        "asymmetric, closely",
        LogHuber.one_sided,
        "self.asymmetry if side else 1.0",
        "1.0 if side else self.asymmetry",
    ),
    "the asymmetry is on both sides, in conjugates": (
        check_watch,
        "relative asymmetric",
        Huber.conjugate,
        "np.where(above, self.asymmetry, 1.0)",
        "np.where(True, self.asymmetry, 1.0)",
    ),
    "rows turn linear too early": (
        check_climb,
        "raw",
        Huber.conjugate,
        "pull * pull * self.delta / (2 * side)",
        "0.5 * pull * pull * self.delta / (2 * side)",
    ),
    "what a row allows is half": (
        check_watch,
        "few rows",
        huber_conjugates.Robust.__init__,
        "share = value /",
        "share = 0.5 * value /",
    ),
    "sums of corner columns are exact": (
        check_spread,
        "ordinary",
        anchors._basis,
        "rest / y * (1 + OUTWARD)",
        "0 * rest",
    ),
    "the rest of such a sum is half": (
        check_spread,
        "ordinary",
        anchors._basis,
        "rest / y * (1 + OUTWARD)",
        "0.5 * rest / y",
    ),
    "their misfit between anchors is forgotten": (
        check_spread,
        "ordinary",
        anchors._spread,
        "rest += _combined(basis.most, miss)",
        "pass",
    ),
    "the rest of the anchors is forgotten": (
        check_spread,
        "ordinary",
        anchors._spread,
        "basis.rest + _combined(np.take_along_axis(basis.rest, anchors, axis=1), size)",
        "basis.rest.copy()",
    ),
    "ranges of anchors are narrowed inward": (
        check_watch,
        "asymmetric, closely",
        anchors._tilt,
        "sign * blur",
        "sign * (blur - 1e-4)",
    ),
    "ranges are narrowed inward": (
        check_spread,
        "ordinary",
        anchors._spread,
        "upper + OUTWARD",
        "upper - 1e-4",
    ),
    "a tilt is taken for twice what it is": (
        check_watch,
        "few rows",
        anchors._tilt,
        "share = sign * (target - found) / tau / y",
        "share = sign * (target - found) / (2 * tau) / y",
    ),
    "a tilt is taken for what it was to be": (
        check_watch,
        "few rows",
        anchors._tilt,
        "relaxation.prove(gathered, q, ranges, tilt)",
        "relaxation.prove(gathered, q, ranges, 0.9 * tilt)",
    ),
    "curvature has the other sign": (
        check_climb,
        "asymmetric, closely",
        boxes.curvature_bound,
        "-dots[..., 2]",
        "dots[..., 2]",
    ),
    "a column does not bulge between its corners": (
        check_climb,
        "relative asymmetric",
        boxes.upper_bound,
        "np.maximum(curve, 0.0)",
        "0 * np.maximum(curve, 0.0)",
    ),
    "no shift repairs a vector": (
        check_climb,
        "relative asymmetric",
        relaxation.Relaxation.prove,
        "np.where(ok & (shift > 0), shift, 0.0)[:, None]",
        "0.0",
    ),
    "one of two corners is tested": (
        check_climb,
        "l1, closely",
        relaxation.Relaxation._tests,
        "dots[..., 1] + errors[..., 1]",
        "dots[..., 0] + errors[..., 0]",
    ),
    "order takes the largest ratio": (
        check_watch,
        "asymmetric, closely",
        order.order_ranges,
        ".min(axis=0)",
        ".max(axis=0)",
    ),
    "order sums its rows twice": (
        check_watch,
        "asymmetric, closely",
        order.order_ranges,
        "each.sum(axis=0)",
        "2 * each.sum(axis=0)",
    ),
    "a half is dropped": (
        check_watch,
        "asymmetric, wide",
        order.halve_ranges,
        "filled = (ranges[:, 0] <= ranges[:, 1]).all(axis=1)",
        "filled = (ranges[:, 0] <= ranges[:, 1]).all(axis=1) & (np.arange(len(ranges)) % 2 == 0)",
    ),
    "halves do not meet": (
        check_watch,
        "asymmetric, wide",
        order.halve_ranges,
        "[middle + most,",
        "[middle + least,",
    ),
}


def commit_mistake(monkeypatch, function, right, wrong):
    """Replace a function everywhere by what it would be with a mistake in its source."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(right) == 1, f"{function.__qualname__} no longer reads {right}"
    module, owner = sys.modules[function.__module__], function.__qualname__.split(".")[0]
    source = source.replace(right, wrong).replace("super()", f"super({owner}, self)")
    flags = __future__.annotations.compiler_flag
    made = {}
    exec(compile(source, "<mistake>", "exec", flags, True), vars(module), made)
    code, defaults = made[function.__name__].__code__, function.__defaults__
    mistaken = FunctionType(code, vars(module), function.__name__, defaults)
    if "." in function.__qualname__:
        monkeypatch.setattr(getattr(module, owner), function.__name__, mistaken)
        return
    for name, other in list(sys.modules.items()):
        if name.startswith("scalefit.") and vars(other).get(function.__name__) is function:
            monkeypatch.setattr(other, function.__name__, mistaken)


@pytest.mark.parametrize("name", MISTAKES)
def test_each_of_these_mistakes_is_noticed(name, monkeypatch):
    check, place, *mistake = MISTAKES[name]
    posed_watch(place)
    commit_mistake(monkeypatch, *mistake)
    with np.errstate(all="ignore"), pytest.raises(Lost):
        check(place)


# Refutation


def frame(runs):
    return pd.DataFrame({x: runs[x] for x in ("N", "D", "loss")})


@pytest.mark.parametrize(
    ("penalty", "residual"),
    [
        ("default", "log"),
        ("default", "raw"),
        pytest.param("l1", "log", marks=pytest.mark.slow),
        ("l1", "raw"),
        pytest.param("asymmetric", "log", marks=pytest.mark.slow),
        pytest.param("asymmetric", "raw", marks=pytest.mark.slow),
    ],
)
def test_a_value_hardly_above_the_optimum_is_refuted(penalty, residual):
    runs, how = table(20, seed=12), {"residual": residual, **OBJECTIVES[penalty]}
    pose = posed(runs, **how)
    value = sf.fit(frame(runs), certify=False, **how).objective_value
    proof = certify(*pose, value)
    assert proof, proof.reason
    assert 0 <= proof.gap <= 1e-6
    refuted = certify(*pose, value * (1 + 1e-4))
    assert not refuted and "lower elsewhere" in refuted.reason
    at = [refuted.lower[name] for name in ("alpha", "beta")]
    assert least(pose, np.array(at))[0] < value * (1 + 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [23])
def test_a_spoilt_fit_of_the_default_objective_is_put_right_by_its_proof(seed, monkeypatch):
    runs = hidden_table(seed)
    best = sf.fit(runs, certify=False)
    honest = pipeline.search

    def worst(*args):
        searched, polished = honest(*args)
        return searched, polished.take([np.argmax(polished.value)])

    monkeypatch.setattr(pipeline, "search", worst)
    alone = sf.fit(runs, certify=False)
    assert alone.objective_value > best.objective_value * (1 + 1e-5)
    proved = sf.fit(runs, certify=True)
    assert proved.objective_value == pytest.approx(best.objective_value, rel=1e-8)
    assert proved.certificate and proved.status is sf.Status.CONVERGED


# Real tables

reference_fits = runpy.run_path(str(Path(__file__).parents[1] / "test_reference_fits.py"))
FILTERS, load = reference_fits["FILTERS"], reference_fits["load"]
REFUTED = {("marin_comma", "clean"), ("gadre", "rpj"), ("llama3_isoflops", "raw_clean")}
QUICK = {("marin_comma", "clean"), ("gadre", "rpj")}


@pytest.fixture(scope="module")
def references(data_folder):
    listed = json.loads((data_folder / "reference_fits.json").read_text())["chinchilla_fits"]
    return {(item["table"], item["label"]): item["objectives"] for item in listed}


def real(data_folder, name, label):
    runs = load(data_folder, name, label)
    return {x: runs.column(x) for x in ("N", "D", "loss")}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        pytest.param(*item, marks=[] if item in QUICK else [pytest.mark.slow], id="-".join(item))
        for item in FILTERS
    ],
)
def test_reference_optima_of_the_default_objective_are_proved_global(
    data_folder, references, name, label
):
    pose = posed(real(data_folder, name, label))
    expected = references[name, label]["huber_log_1e-3"]
    found = certify(*pose, expected["objective"])
    assert found, found.reason
    assert 0 <= found.gap <= 1e-6
    assert found.boxes < 1500
    if (name, label) in REFUTED:
        refuted = certify(*pose, expected["objective"] * (1 + 1e-4))
        assert not refuted and "lower elsewhere" in refuted.reason
        for parameter in ("alpha", "beta"):
            low, high = refuted.region[parameter]
            assert low <= expected["params"][parameter] <= high


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["l1", "asymmetric"])
@pytest.mark.parametrize(
    ("name", "label"),
    [("marin_dclm", "clean"), ("datablations", "single_epoch"), ("gadre", "rw_original")],
)
def test_other_penalties_of_real_tables_are_proved_and_refuted(data_folder, name, label, penalty):
    runs, how = real(data_folder, name, label), OBJECTIVES[penalty]
    value = sf.fit(frame(runs), certify=False, **how).objective_value
    found = certify(*posed(runs, **how), value)
    assert found, found.reason
    assert 0 <= found.gap <= 1e-6
    refuted = certify(*posed(runs, **how), value * (1 + 1e-4))
    assert not refuted and "lower elsewhere" in refuted.reason
