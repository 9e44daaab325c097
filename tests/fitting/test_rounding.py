"""Tables with hardly any noise, and weights of any size: rounding is no branch and no stall."""

import numpy as np
import pytest

import scalefit as sf
from scalefit import objective as obj
from scalefit.errors import Status


@pytest.mark.parametrize("decimals", [6, 7, 8, 9, 11, 13])
@pytest.mark.parametrize("robust", ["huber", "none"])
def test_rounded_tables_without_noise_arrive(decimals, robust):
    """Two computations of the sum agree to 2 |r| eps only, which used to look like a branch."""
    for scale in (0.61, 1.0, 1.7):
        runs = sf.simulate(sf.isoflop_design(), noise=0.0)
        runs["loss"] = (runs["loss"] * scale).round(decimals)
        fit = sf.fit(runs, robust=robust, certify=False)
        assert fit.status in (Status.CONVERGED, Status.EXACT)
        assert fit.params["alpha"] == pytest.approx(0.34, rel=10.0 ** (3 - decimals))


@pytest.mark.parametrize("robust", ["huber", "none", "l1", "asymmetric"])
def test_weights_of_any_size_are_weights(robust):
    """Weights of 1e-300 once gave another alpha, converged, and no note."""
    runs = sf.simulate(sf.isoflop_design(), seed=0)
    one = sf.fit(runs, robust=robust, certify=False)
    for weight in (1e-300, 1e-200, 1e-100, 1e100, 1e200, 1e300):
        fit = sf.fit(runs.assign(weight=weight), robust=robust, certify=False)
        assert fit.status is one.status
        assert fit.value / weight == pytest.approx(one.value, rel=1e-9)
        assert fit.params["alpha"] == pytest.approx(one.params["alpha"], rel=1e-6)


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize("robust", ["huber", "none", "l1", "asymmetric"])
def test_slack_bounds_what_errors_of_the_residuals_do(residual, robust):
    rng = np.random.default_rng(0)
    objective = sf.Objective(residual, robust, 0.1)
    observed = 2.0 + rng.random(50)
    weight = rng.random(50) * (rng.random(50) < 0.8)
    predicted = observed * np.exp(0.2 * rng.normal(size=50))
    value, rows = obj.evaluate(objective, observed, predicted, weight)
    error = 1e-3 * rng.random(50)
    allowed = obj.slack(objective, rows, weight, error)
    how = obj.measure(objective)
    moved = []
    for _ in range(200):
        other = rows + error * rng.choice([-1.0, 1.0], 50)
        sizes = np.abs(other) if robust == "l1" else obj.penalty(how, other)
        moved.append(abs(how.factor * np.sum(weight * sizes) - value))
    assert max(moved) <= allowed
    # All of one sign it is nearly reached: the bound is no mere large number.
    other = rows + error * np.sign(rows)
    sizes = np.abs(other) if robust == "l1" else obj.penalty(how, other)
    assert how.factor * np.sum(weight * sizes) - value >= 0.1 * allowed
