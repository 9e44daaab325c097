"""Closed forms of what leaving the optimum costs, against published tables and against search."""

import jax
import numpy as np
import pytest
from scipy.optimize import brentq

import scalefit as sf
from scalefit.allocation import (
    HARDWARE,
    best_loss,
    best_size,
    deadweight_share,
    implied_inference_tokens,
    least_feasible_size,
    least_flops,
    lifetime_optimum,
    overhead,
    wedge,
)

CODE = dict(sf.published("chinchilla", "sardana").params)
BESIROGLU = dict(sf.published("chinchilla", "besiroglu").params)

# E, A, B, alpha, beta of surfaces of Czech et al. 2026, arXiv 2603.22339; D* and the tokens that
# their simulated Approach 2 infers at 3.8e25 FLOP; what that moves and wastes.
NAMES = ("E", "A", "B", "alpha", "beta")
DEADWEIGHT = {
    "chinchilla": (
        (1.69, 406.4, 410.7, 0.34, 0.28),
        (2.96665e13, 3.34535e13, 12.77, 213.5e9, 189.3e9, 1.816533, 1.816620),
        (1.7001e23, 0.447, 95_453, 190_925),
    ),
    "soda": (
        (3.169, 215886, 4750, 0.684, 0.439),
        (2.87585e13, 4.20783e13, 46.32, 220.2e9, 150.5e9, 3.178630, 3.178847),
        (3.0370e24, 7.992, 1_705_143, 3_410_630),
    ),
    "sparse_nmm": (
        (2.158, 381773, 4659, 0.71, 0.372),
        (1.76482e14, 2.72332e14, 54.31, 35.9e9, 23.3e9, 2.193603, 2.194537),
        (3.8230e24, 10.061, 2_146_439, 4_293_312),
    ),
}


@pytest.mark.parametrize(
    ("ratio", "tokens", "percent"),
    [
        (0.75, 1.3713, 2.85),
        (0.6, 1.8340, 10.04),
        (0.57, 1.9742, 12.53),
        (0.5, 2.4156, 20.78),
        (0.46, 2.7779, 27.78),
        (0.4, 3.5925, 43.70),
        (0.3, 6.8522, 105.6),
        (0.25, 11.555, 188.9),
    ],
)
def test_overhead_of_a_smaller_model(ratio, tokens, percent):
    """de Vries 2023, alpha 0.336, beta 0.283."""
    h = overhead(ratio, 0.336, 0.283)
    assert 100 * h == pytest.approx(percent, abs=0.006 if percent < 100 else 0.06)
    assert (1 + h) / ratio == pytest.approx(tokens, abs=6e-4)


@pytest.mark.parametrize(
    ("ratio", "percent"), [(0.75, 3.4), (0.5, 25.9), (0.3, 161.0), (0.25, 347.0)]
)
def test_overheads_are_larger_on_the_refitted_surface(ratio, percent):
    h = 100 * overhead(ratio, BESIROGLU["alpha"], BESIROGLU["beta"])
    assert h == pytest.approx(percent, abs=0.051 if percent < 100 else 0.51)


@pytest.mark.parametrize(
    ("flops", "rows"),
    [
        (2.46e22, [(1.0, 9.87e9, 415.53e9), (0.5, 4.93e9, 1003.77e9), (0.3, 2.96e9, 2847.27e9)]),
        (1e23, [(1.0, 18.73e9, 889.63e9), (0.5, 9.37e9, 2149.02e9), (0.3, 5.62e9, 6095.86e9)]),
    ],
)
def test_rows_of_de_vries_table(flops, rows):
    N0 = best_size(CODE, flops)
    for ratio, N, D in rows:
        compute = flops * (1 + overhead(ratio, CODE["alpha"], CODE["beta"]))
        assert ratio * N0 == pytest.approx(N, abs=5.1e6)
        assert compute / (6 * ratio * N0) == pytest.approx(D, abs=5.1e6)


@pytest.mark.parametrize(
    ("alpha", "beta", "least"),
    [
        (0.336, 0.283, 0.0974),
        (0.34, 0.28, 0.0965),
        (0.33917084, 0.2849083, 0.0991),
        (0.3478, 0.3658, 0.1464),
    ],
)
def test_least_feasible_sizes(alpha, beta, least):
    k = least_feasible_size(alpha, beta)
    assert k == pytest.approx(least, abs=5.1e-5)
    assert overhead(k * (1 - 1e-9), alpha, beta) == np.inf
    assert overhead(k * (1 + 1e-9), alpha, beta) > 1e20


def test_overhead_is_zero_at_the_optimum_and_convex_around_it():
    ratios = np.array([1 - 1e-4, 1.0, 1 + 1e-4, 2.0, 10.0])
    h = overhead(ratios, 0.336, 0.283)
    assert h[1] == 0.0 and (np.delete(h, 1) > 0).all() and h[4] > h[3]
    # To second order (alpha + beta) (ln k)^2 / 2.
    assert h[2] == pytest.approx(0.619 / 2 * 1e-8, rel=1e-3)


def test_overhead_agrees_with_a_search_along_the_contour():
    flops, ratio = 1e22, 0.4
    loss, N0 = best_loss(CODE, flops), best_size(CODE, flops)
    law = sf.laws.find("chinchilla")
    D = np.exp(
        brentq(
            lambda x: float(law.evaluate({"N": ratio * N0, "D": np.exp(x)}, CODE)) - loss,
            np.log(1e8),
            np.log(1e16),
            xtol=1e-14,
        )
    )
    assert 6 * ratio * N0 * D / flops - 1 == pytest.approx(
        overhead(ratio, CODE["alpha"], CODE["beta"]), rel=1e-9
    )


@pytest.mark.parametrize("surface", DEADWEIGHT)
def test_deadweight_rows(surface):
    values, (best, inferred, moved, N0, N, loss0, loss), (wasted, percent, seed, dense) = (
        DEADWEIGHT[surface]
    )
    params, C = dict(zip(NAMES, values, strict=True)), 3.8e25
    law = sf.laws.find("chinchilla")
    assert C / (6 * best_size(params, C)) == pytest.approx(best, rel=3e-6)
    assert best_size(params, C) == pytest.approx(N0, abs=0.051e9)
    assert 100 * (inferred / best - 1) == pytest.approx(moved, abs=0.01)
    size = C / (6 * inferred)
    assert size == pytest.approx(N, abs=0.051e9)
    assert best_loss(params, C) == pytest.approx(loss0, abs=5.1e-7)
    assert law.evaluate({"N": size, "D": inferred}, params) == pytest.approx(loss, abs=6e-7)
    share = deadweight_share(params, size, inferred)
    assert 100 * share == pytest.approx(percent, abs=5.1e-4)
    assert C * share == pytest.approx(wasted, rel=1e-4)
    assert HARDWARE["H100 SXM bf16"].usd(C * share) == pytest.approx(dense, rel=1e-4)
    assert HARDWARE["H100 SXM bf16"].usd(C * share) * 989.4 / 1979 == pytest.approx(seed, rel=1e-4)


@pytest.mark.parametrize(
    ("alpha", "beta", "ratio", "percent"),
    [
        # On Llama 3 runs: two surfaces with simulated sweeps, then 1.610e13 tokens of the sweeps as
        # they are against six fits of them, of the loss and of its exponential.
        (0.3100, 0.3136, 1.0836e13 / 1.0188e13, 0.118),
        (0.3481, 0.3591, 9.9125e12 / 9.2204e12, 0.185),
        (0.3100, 0.3136, 1.610e13 / 1.0188e13, 6.30),
        (0.3068, 0.3110, 1.610e13 / 1.0080e13, 6.53),
        (0.2835, 0.3157, 1.610e13 / 7.084e12, 17.99),
        (0.3481, 0.3591, 1.610e13 / 9.220e12, 10.35),
        (0.3481, 0.3562, 1.610e13 / 9.476e12, 9.38),
        (0.3267, 0.3654, 1.610e13 / 6.701e12, 22.86),
    ],
)
def test_deadweight_depends_on_the_exponents_and_the_distance_alone(alpha, beta, ratio, percent):
    for A, B in ((59.1, 155.1), (4e5, 3e3)):
        params = {"A": A, "B": B, "alpha": alpha, "beta": beta}
        N = best_size(params, 3.8e25) / ratio
        share = 100 * deadweight_share(params, N, 3.8e25 / (6 * N))
        # The exponents and the tokens are printed with four digits.
        assert share == pytest.approx(percent, rel=5e-3)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.75, 1.5, 4.0])
def test_deadweight_is_h_over_one_plus_h(ratio):
    h = overhead(ratio, CODE["alpha"], CODE["beta"])
    N0, C = best_size(CODE, 1e22), 1e22
    N = ratio * N0
    D = C * (1 + h) / (6 * N)
    assert deadweight_share(CODE, N, D) == pytest.approx(h / (1 + h), rel=1e-12)


def test_published_values_of_that_link():
    for ratio, percent in ((0.5, 17.206), (0.3, 51.354)):
        h = overhead(ratio, CODE["alpha"], CODE["beta"])
        assert 100 * h / (1 + h) == pytest.approx(percent, abs=5.1e-4)


def test_deadweight_is_the_compute_saved_by_the_cheapest_run_of_the_loss():
    generator = np.random.default_rng(0)
    N, D = 10 ** generator.uniform(8, 12, 200), 10 ** generator.uniform(9, 14, 200)
    for params in (CODE, BESIROGLU):
        loss = sf.laws.find("chinchilla").evaluate({"N": N, "D": D}, params)
        least = least_flops(params, loss)
        share = deadweight_share(params, N, D)
        np.testing.assert_allclose(1 - least / (6 * N * D), share, atol=1e-10)
        assert (share >= 0).all()


def test_deadweight_keeps_its_digits_at_the_optimum():
    """Second order, (alpha + beta) x^2 / 2: 3e-19 at x = 1e-9, where 1 - r^-p would be rounding."""
    N = best_size(CODE, 1e22)
    assert 0 <= deadweight_share(CODE, N, 1e22 / (6 * N)) < 1e-28
    x = 1e-5
    share = deadweight_share(CODE, N * np.exp(-x), 1e22 / (6 * N) * np.exp(x))
    assert share == pytest.approx(0.619 * x**2 / 2, rel=1e-4)


def test_optimal_loss_and_least_compute_invert_each_other():
    flops = np.geomspace(1e15, 1e30, 16)
    for params in (CODE, BESIROGLU | {"E": 0.0}):
        np.testing.assert_allclose(least_flops(params, best_loss(params, flops)), flops, rtol=1e-9)
    assert least_flops(CODE, CODE["E"]) == np.inf
    np.testing.assert_array_equal(least_flops(CODE, [1.0, 1.69]), [np.inf, np.inf])


def test_another_factor_than_six():
    assert best_size(CODE, 7e22, k=7.0) == pytest.approx(best_size(CODE, 6e22), rel=1e-15)
    assert least_flops(CODE, 1.9, k=7.0) / 7 == pytest.approx(least_flops(CODE, 1.9) / 6)
    assert best_loss(CODE, 7e22, k=7.0) == pytest.approx(best_loss(CODE, 6e22), rel=1e-15)


def test_the_closed_forms_are_those_of_the_allocation():
    fit = sf.published("chinchilla", "besiroglu")
    best = sf.allocate(fit, [1e20, 1e24])
    np.testing.assert_allclose(best_size(fit.params, [1e20, 1e24]), best.N, rtol=1e-12)
    np.testing.assert_allclose(best_loss(fit.params, [1e20, 1e24]), best.loss, rtol=1e-13)


def test_implied_demand_inverts_the_lifetime_optimum():
    T = np.geomspace(1e9, 1e15, 7)
    N, D = lifetime_optimum(CODE, 1.947, T)
    np.testing.assert_allclose(implied_inference_tokens(CODE, N, D), T, rtol=1e-8)
    assert implied_inference_tokens(CODE, 70e9, 1e12) < 0
    N = best_size(CODE, 1e22)
    assert wedge(CODE, N, 1e22 / (6 * N)) == pytest.approx(1.0, rel=1e-13)


def test_one_exponent_stands_for_both_where_they_are_tied():
    tied = {"E": 1.7, "A": 400.0, "B": 600.0, "alpha": 0.31}
    apart = tied | {"beta": 0.31}
    for function, arguments in (
        (best_size, (1e22,)),
        (best_loss, (1e22,)),
        (least_flops, (2.0,)),
        (wedge, (1e9, 1e11)),
        (deadweight_share, (1e9, 1e11)),
        (implied_inference_tokens, (1e9, 1e11)),
    ):
        assert function(tied, *arguments) == function(apart, *arguments)


def test_draws_broadcast_and_precision_does_not_depend_on_the_caller():
    draws = {name: np.full(3, value) for name, value in CODE.items()}
    share = deadweight_share(draws, 1e9, 1e11)
    assert share.shape == (3,) and share.dtype == np.float64
    with jax.enable_x64(True):
        assert deadweight_share(CODE, 1e9, 1e11) == share[0]


def test_the_waste_has_derivatives():
    with jax.enable_x64(True):
        slope = jax.grad(lambda alpha: deadweight_share(CODE | {"alpha": alpha}, 1e9, 1e11))(0.336)
        infeasible = jax.grad(lambda alpha: overhead(0.01, alpha, 0.283))(0.336)
    step = 1e-6
    up, down = (deadweight_share(CODE | {"alpha": 0.336 + s}, 1e9, 1e11) for s in (step, -step))
    assert float(slope) == pytest.approx((up - down) / (2 * step), rel=1e-6)
    assert np.isfinite(float(infeasible))
