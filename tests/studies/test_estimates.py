"""Each method on many tables of one design, against the same method on one table, and scipy."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, least_squares

import scalefit as sf
from scalefit.laws import find
from scalefit.studies import estimate
from scalefit.studies.approach3 import _log_squares, _raw_squares, descend

DESIGN = sf.simulation.isoflop_design(3, points=8, surface="asymmetric", drift=3.0)
NAMES = ["E", "A", "B", "alpha", "beta"]


def tables(count, design=DESIGN, scale=0.1, additive=True, **options):
    noise = sf.simulation.Noise(scale, additive=additive, **options)
    return np.stack(
        [
            sf.simulate(design, params="asymmetric", noise=noise, seed=seed)["loss"]
            for seed in range(count)
        ]
    )


def best_of_many(design, loss, starts=24):
    """Least sum of squares that scipy finds from random starts, in the box of the law."""
    N, D = design["N"].to_numpy(), design["D"].to_numpy()
    lower = np.array([0.0, -50.0, -50.0, 0.005, 0.005])
    upper = np.array([10.0, 60.0, 60.0, 5.0, 5.0])
    rng = np.random.default_rng(0)

    def rest(point):
        E, a, b, alpha, beta = point
        return E + np.exp(a - alpha * np.log(N)) + np.exp(b - beta * np.log(D)) - loss

    found = []
    for _ in range(starts):
        alpha, beta = rng.uniform(0.05, 1.0, 2)
        start = [rng.uniform(0, 3), alpha * 18, beta * 22, alpha, beta]
        ended = least_squares(
            rest, start, bounds=(lower, upper), x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14
        )
        found.append(2 * ended.cost)
    return min(found)


def test_the_batch_finds_what_fit_finds():
    losses = tables(4)
    found = estimate(DESIGN, losses, ["surface"])
    for row, loss in zip(found.to_dict("records"), losses, strict=True):
        alone = sf.fit(DESIGN.assign(loss=loss), residual="raw", robust="none")
        assert row["value"] == pytest.approx(alone.objective_value, rel=1e-9)
        assert [row[name] for name in NAMES] == pytest.approx(
            [alone.params[name] for name in NAMES], rel=1e-5
        )
        assert row["n_exponent"] == pytest.approx(sf.allocate(alone, 1e20).n_exponent)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("points", "options"),
    [(4, {"scale": 0.2}), (8, {"scale": 0.2}), (8, {"scale": 0.1, "df": 2.5})],
)
def test_every_fit_is_the_best_that_scipy_finds_from_many_starts(points, options):
    design = sf.simulation.isoflop_design(2, points=points, surface="asymmetric", drift=3.0)
    losses = tables(12, design, **options)
    found = estimate(design, losses, ["surface"])
    for value, loss in zip(found["value"], losses, strict=True):
        assert value <= best_of_many(design, loss) * (1 + 1e-8)


def test_other_objectives_are_those_of_fit():
    losses = tables(2, additive=False, scale=0.01)
    objective = sf.objective.Objective("log", "huber", 1e-3)
    found = estimate(DESIGN, losses, ["surface"], objective=objective)
    alone = sf.fit(DESIGN.assign(loss=losses[1]))
    assert found["alpha"][1] == pytest.approx(alone.params["alpha"], rel=1e-5)


def test_approach2_is_that_of_one_table():
    losses = tables(3, scale=0.02)
    found = estimate(DESIGN, losses, ["approach2"], flops=1e24)
    for row, loss in zip(found.to_dict("records"), losses, strict=True):
        alone = sf.isoflop(DESIGN.assign(loss=loss))
        assert row["n_exponent"] == pytest.approx(float(alone.n_law.exponent))
        assert row["D"] == pytest.approx(float(alone.d_law.at(1e24)))
    assert found[NAMES].isna().all(axis=None)
    assert set(found["status"]) == {"converged"}


def test_a_budget_without_a_minimum_is_a_failure():
    losses = tables(2)
    losses[1, :8] *= -1
    losses[1, :8] += 20
    found = estimate(DESIGN, losses, ["approach2"])
    assert found["status"].to_list() == ["converged", "failed"]
    assert found["n_exponent"].isna().to_list() == [False, True]


def test_a_bound_is_said():
    """Losses that fall with N and do not depend on D: no B, or an exponent at its bound."""
    losses = 2 + (DESIGN["N"].to_numpy() / 1e7) ** -0.3 + np.zeros((1, 1))
    losses = losses + 0.01 * np.random.default_rng(0).standard_normal((4, len(DESIGN)))
    found = estimate(DESIGN, losses, ["surface"])
    held = (found["B"] == 0) | found["beta"].isin([0.005, 5.0])
    assert held.any()
    assert (found["status"][held] == "at_bound").all()


def test_without_noise_the_surface_is_exact_and_its_optimum_known():
    losses = tables(1, scale=0.0)
    (row,) = estimate(DESIGN, losses, ["surface"], flops=1e24).to_dict("records")
    truth = sf.simulation.SURFACES["asymmetric"]
    assert row["status"] == "exact"
    assert [row[name] for name in NAMES] == pytest.approx([truth[name] for name in NAMES], rel=1e-8)
    fit = sf.fit(DESIGN.assign(loss=losses[0]), robust="none", residual="raw")
    best = sf.allocate(fit, 1e24)
    assert (row["N"], row["D"]) == pytest.approx((float(best.N), float(best.D)), rel=1e-7)


@pytest.mark.parametrize("squares", [_raw_squares, _log_squares])
def test_slopes_of_the_descents(squares):
    n, d = np.log(DESIGN["N"].to_numpy()), np.log(DESIGN["D"].to_numpy())
    function = squares(n, d, tables(1)[0])
    point = np.array([1.3, 5.0, 6.1, 0.4, 0.2])
    numeric = approx_fprime(point, lambda at: function(at)[0], 1e-7)
    np.testing.assert_allclose(function(point)[1], numeric, rtol=2e-5)


def test_descents_approach_the_optimum_of_the_same_squares():
    """An independent optimiser, and an independent law, end near the batch and never below it."""
    losses = tables(6, scale=0.05)
    n, d = np.log(DESIGN["N"].to_numpy()), np.log(DESIGN["D"].to_numpy())
    for log in (False, True):
        objective = sf.objective.Objective("log" if log else "raw", "none")
        best = estimate(DESIGN, losses, ["surface"], objective=objective)
        ends = [descend(n, d, loss, log=log) for loss in losses]
        ratio = np.array([end.value for end in ends]) / best["value"].to_numpy()
        assert (ratio > 1 - 1e-9).all()
        assert np.median(ratio) < 1.01


def test_a_random_start_is_drawn_by_the_seed():
    losses = tables(2)
    first, again, other = (
        estimate(DESIGN, losses, ["approach3_random"], seeds=seeds)["alpha"].to_list()
        for seeds in ([1, 2], [1, 2], [3, 4])
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("losses", "methods", "message"),
    [
        (np.full((1, 24), np.nan), ["surface"], "table 0, row 0, is not finite"),
        (np.full((1, 24), -1.0), ["approach3_log"], "table 0, row 0, is not positive"),
    ],
)
def test_bad_input_is_refused(losses, methods, message):
    with pytest.raises(sf.errors.DataError, match=message):
        estimate(DESIGN, losses, methods)


def test_a_design_that_cannot_tell_is_refused():
    design = sf.simulation.ratio_design(np.geomspace(1e7, 1e9, 8))
    exact = find("chinchilla").evaluate(design[["N", "D"]], sf.simulation.SURFACES["chinchilla"])
    with pytest.raises(sf.errors.DataError, match="cannot be told apart"):
        estimate(design, exact[None], ["surface"])
