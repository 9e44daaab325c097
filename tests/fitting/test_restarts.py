"""Starts made from where others ended: along profiles, and off faces where a term vanishes."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import objective as obj
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.fitting.restarts import along_profiles, off_faces


def ended_without_size(posed):
    """An end of a polish, with the term of N taken away."""
    end = posed.polish(posed.solve(np.log([[0.3, 0.3]])))
    coefficients = end.coefficients.copy()
    coefficients[:, 1] = 0.0
    return end._replace(coefficients=coefficients)


@pytest.mark.parametrize("robust", ["huber", "none", "l1", "asymmetric"])
@pytest.mark.parametrize("residual", ["log", "raw"])
def test_the_way_down_is_the_steepest_by_finite_differences(pose, runs, residual, robust):
    posed = pose(runs, residual=residual, robust=robust)
    end = ended_without_size(posed)
    which, onwards = off_faces(
        scaled_objective(posed.problem, posed.data), posed.data, posed.settings, end
    )
    assert which.tolist() == [0]
    # The exponent of the other term stays, and no coefficient moves yet.
    assert onwards.coordinates[0, 1] == end.coordinates[0, 1]
    np.testing.assert_array_equal(onwards.coefficients, end.coefficients)
    objective = sf.objective.Objective(residual, robust)
    E, _, B = end.coefficients[0]
    beta = np.exp(end.coordinates[0, 1])
    N, D, loss = (runs[name].to_numpy() for name in ("N", "D", "loss"))

    def rate(alpha):
        """Of change with the size of the term, by differences."""
        column = N**-alpha
        step = 1e-7 / np.sqrt(np.mean(column**2))
        values = [
            obj.evaluate(objective, loss, E + h * column + B * D**-beta, np.ones(len(N)))[0]
            for h in (0.0, step)
        ]
        return values[1] - values[0]

    found = rate(np.exp(onwards.coordinates[0, 0]))
    rates = [rate(alpha) for alpha in np.geomspace(0.005, 5, 60)]
    assert found < 0
    assert found <= 0.98 * min(rates) or found == pytest.approx(min(rates), rel=0.05)


def test_a_term_that_helps_nowhere_stays_away(pose, runs):
    """A loss that rises with N has no use for a term that falls with it, at any exponent."""
    N, D = runs["N"].to_numpy(), runs["D"].to_numpy()
    rising = runs.assign(loss=1.7 + 0.1 * (N / N.min()) ** 0.1 + 400 * D**-0.3)
    fit = sf.fit(rising)
    assert fit.params["A"] == 0
    assert len(fit.diagnostics.minima) == 1
    posed = pose(rising)
    end = posed.polish(posed.solve(np.log([[0.3, 0.3], [2.0, 0.3]])))
    assert (end.coefficients[:, 1] == 0).all()
    objective = scaled_objective(posed.problem, posed.data)
    assert not len(off_faces(objective, posed.data, posed.settings, end)[0])


def test_no_minimum_that_is_reported_has_a_way_off_its_face():
    """Few noisy runs, whose starts often end without a term."""
    rng = np.random.default_rng(4)
    vanished = 0
    for _ in range(12):
        N = np.exp(rng.uniform(np.log(1e6), np.log(1e10), 14))
        D = 20 * N * np.exp(rng.normal(0, 1.0, 14))
        loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(0.2 * rng.normal(size=14))
        fit = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss}))
        for item in fit.diagnostics.minima:
            E, A, B, alpha, beta = (item.params[name] for name in ("E", "A", "B", "alpha", "beta"))
            for grown in np.geomspace(0.005, 5, 25):
                added = []
                if A == 0:
                    added.append((N / 1e8) ** -grown + B * D**-beta / 1e-6)
                if B == 0:
                    added.append((D / 1e10) ** -grown + A * N**-alpha / 1e-6)
                for column in added:
                    vanished += 1
                    trial = E + 1e-6 * column
                    value = obj.evaluate(fit.objective, loss, trial, np.ones(14))[0]
                    assert value >= item.value * (1 - 1e-9)
    assert vanished


def test_neighbours_lie_along_profiles(pose, runs):
    """On either side of the optimum by three standard errors, the other exponent following."""
    posed = pose(runs, residual="raw", robust="none")
    end = posed.polish(posed.solve(np.log([[0.34, 0.28]])))
    objective = scaled_objective(posed.problem, posed.data)
    found = along_profiles(objective, posed.data, posed.settings, end, posed.data.measure.factor)
    assert found.coordinates.shape == (4, 2)
    here = end.coordinates[0]
    middle = (found.coordinates[0::2] + found.coordinates[1::2]) / 2
    np.testing.assert_allclose(middle, [here, here])
    fit = sf.fit(runs, residual="raw", robust="none")
    covariance = sf.covariance(fit, runs, method="jacobian")
    for row, name in enumerate(("alpha", "beta")):
        step = found.coordinates[2 * row, row] - here[row]
        error = covariance.standard_errors[name] / fit.params[name]
        assert abs(step) == pytest.approx(3 * error, rel=0.02)
        fixed = np.exp(found.coordinates[2 * row, row])
        other = {"alpha": "beta", "beta": "alpha"}[name]
        held = sf.fit(runs, residual="raw", robust="none", fixed={name: fixed})
        # To first order.
        moved = np.exp(found.coordinates[2 * row, 1 - row]) - fit.params[other]
        assert moved == pytest.approx(held.params[other] - fit.params[other], rel=0.3)
