"""Advice on the next sweeps keeps what it promises."""

from dataclasses import replace

import numpy as np
import pytest

import scalefit as sf
from scalefit.approach2 import vertex_fits

SPAN = (1e17, 1e21)
TARGET = 1e23


def exact(surface="chinchilla", residual="log"):
    fit = sf.published("chinchilla", "hoffmann")
    objective = sf.objective.Objective(residual, "none")
    return replace(fit, params=sf.simulation.SURFACES[surface], objective=objective)


def advised(surface="chinchilla", tolerance=0.02, noise=0.003, residual="log", **options):
    fit = exact(surface, residual)
    return sf.approach2.advise(fit, TARGET, tolerance=tolerance, span=SPAN, noise=noise, **options)


def swept(surface, budgets, **design):
    frame = sf.simulation.isoflop_design(np.geomspace(*SPAN, budgets), surface=surface, **design)
    return sf.simulate(frame, params=surface, noise=0.0)


def error(surface, budgets, **design):
    found = sf.isoflop(swept(surface, budgets, **design)).at(TARGET)
    return found.D / sf.allocate(exact(surface), TARGET).D - 1


@pytest.mark.parametrize("surface", ["chinchilla", "asymmetric"])
def test_limits_are_where_the_bias_reaches_the_tolerance(surface):
    found = advised(surface, tolerance=0.03)
    p = sf.simulation.SURFACES[surface]
    shift = sf.approach2.parabola_shift(p["alpha"], p["beta"], found.width, 9)
    np.testing.assert_allclose(10**-shift - 1, -0.015, rtol=1e-6)
    budgets = int(min(found.plans.loc["Approach 2", "budgets"], 64))
    design = {"width": found.width, "points": 9}
    for name in ("offset", "drift"):
        low, high = getattr(found, name)
        assert low < 1 < high
        for end, inside in ((low, low**0.9), (high, high**0.9)):
            wrong = error(surface, budgets, **design, **{name: end})
            np.testing.assert_allclose(abs(wrong), 0.03, rtol=1e-5)
            assert abs(error(surface, budgets, **design, **{name: inside})) < 0.03


def test_a_symmetric_surface_limits_no_width():
    found = advised("symmetric")
    assert found.width == pytest.approx(100)
    assert found.plans.loc["Approach 2", "bias"] == pytest.approx(0, abs=1e-9)
    low, high = found.offset
    # Two percent of D*, down at the high end and up at the low one.
    np.testing.assert_allclose(np.log(high) / -np.log(low), -np.log(0.98) / np.log(1.02), rtol=0.01)


@pytest.mark.parametrize("residual", ["log", "raw"])
def test_the_standard_error_of_approach_2_is_that_of_simulated_sweeps(residual):
    found = advised(noise=0.004, residual=residual, tolerance=0.03)
    for name in ("Approach 2", "Approach 2, wide"):
        plan = found.plans.loc[name]
        budgets, points = int(plan["budgets"]), int(plan["points"])
        runs = swept("chinchilla", budgets, width=plan["width"], points=points)
        N, D, loss = (runs[item].to_numpy().reshape(budgets, points) for item in ("N", "D", "loss"))
        noise = 0.004 * np.random.default_rng(0).standard_normal((2000, *loss.shape))
        drawn = loss + noise if residual == "raw" else loss * np.exp(noise)
        many = vertex_fits(np.geomspace(*SPAN, budgets), N, D, drawn)
        assert many.usable.mean() > 0.999
        spread = np.log(many.d_law.at(TARGET)).std()
        np.testing.assert_allclose(spread, plan["se"], rtol=0.08)
        assert plan["se"] <= 0.03 and plan["runs"] == budgets * points


@pytest.mark.slow
def test_curvatures_are_made_clear_first():
    calm, loud = advised(noise=0.001), advised(noise=0.02)
    assert calm.plans.loc["Approach 2", "points"] == 9
    assert loud.plans.loc["Approach 2", "points"] > 20
    assert loud.plans.loc["surface", "points"] == 9
    # Four times the noise is sixteen times the runs, where four budgets do not do.
    few, many = (
        advised(noise=noise).plans.loc["surface, wide", "runs"] for noise in (0.006, 0.024)
    )
    np.testing.assert_allclose(many / few, 16, rtol=0.05)


@pytest.mark.slow
def test_the_standard_error_of_the_surface_is_that_of_its_covariance():
    found = advised(noise=0.003, tolerance=0.02)
    plan = found.plans.loc["surface, wide"]
    design = sf.simulation.isoflop_design(
        np.geomspace(*SPAN, int(plan["budgets"])), points=9, width=plan["width"]
    )
    runs = sf.simulate(design, noise=0.003, seed=3)
    fit = sf.fit(runs, robust="none")
    matrix = sf.covariance(fit, runs, "jacobian").matrix
    step = 1e-6

    def best(name, factor):
        moved = {**fit.params, name: fit.params[name] * factor}
        return np.log(sf.allocate(replace(fit, params=moved), TARGET).D)

    slope = [
        (best(name, 1 + step) - best(name, 1 - step)) / (2 * step * fit.params[name])
        for name in matrix.index
    ]
    # The fit's own noise and place differ from those asked for.
    own = np.sqrt(slope @ matrix.to_numpy() @ slope)
    asked = sf.approach2.advise(fit, TARGET, tolerance=0.02, span=SPAN).plans.loc["surface, wide"]
    assert asked["budgets"] == pytest.approx(plan["budgets"], abs=2)
    same = sf.approach2.advise(fit, TARGET, tolerance=float(own), span=SPAN)
    assert same.plans.loc["surface, wide", "budgets"] == pytest.approx(plan["budgets"], abs=1)


def test_what_makes_no_sense_is_refused():
    fit = exact()
    with pytest.raises(sf.errors.DataError, match="span="):
        sf.approach2.advise(replace(fit, domain={}), TARGET, noise=0.003)
    with pytest.raises(sf.errors.DataError, match="noise="):
        sf.approach2.advise(fit, TARGET, span=SPAN)
    found = advised()
    assert "times D*" in found.summary() and "<table" in found._repr_html_()
    assert "Approach 2" in found.to_frame().index
