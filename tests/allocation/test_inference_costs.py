"""Training and inference together: published optima, the optimality identity, dollars."""

import jax
import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import scalefit as sf
from scalefit.allocation import (
    HARDWARE,
    Hardware,
    Utilisation,
    best_loss,
    best_size,
    effective_inference_tokens,
    kinetics,
    kinetics_flops,
    least_flops,
    lifetime,
    lifetime_optimum,
    lifetime_usd,
    wedge,
)
from scalefit.allocation.inference_costs import best_tokens_for_budget

CODE = dict(sf.published("chinchilla", "sardana").params)


def chinchilla_row(N):
    """Tokens and loss of the compute-optimal model of N parameters."""
    low, high = 1e15, 1e30
    flops = brentq(lambda c: np.log(best_size(CODE, np.exp(c)) / N), np.log(low), np.log(high))
    return np.exp(flops) / (6 * N), best_loss(CODE, np.exp(flops))


# Quality of compute-optimal models; their tokens and loss; at 1e11, 1e12, 2e12, 1e13 and 1e14
# tokens of inference the best size, its tokens over those of the row, and the lifetime FLOPs in
# percent of the row's.
TABLE = {
    (7e9, 276.4e9, 2.127426): [
        (6.000e9, 1.176, 99.15),
        (3.711e9, 2.202, 81.90),
        (3.076e9, 3.011, 69.85),
        (2.050e9, 7.300, 43.41),
        (1.335e9, 32.74, 24.05),
    ],
    (13e9, 576.5e9, 2.045282): [
        (11.97e9, 1.088, 99.77),
        (8.323e9, 1.677, 91.49),
        (6.969e9, 2.165, 82.55),
        (4.541e9, 4.761, 54.31),
        (2.787e9, 19.87, 28.31),
    ],
    (30e9, 1.5559e12, 1.958253): [
        (29.03e9, 1.034, 99.97),
        (23.63e9, 1.294, 97.83),
        (20.60e9, 1.530, 94.14),
        (13.61e9, 2.845, 72.02),
        (7.755e9, 10.41, 36.70),
    ],
    (70e9, 4.2547e12, 1.891792): [
        (69.14e9, 1.013, 100.0),
        (62.85e9, 1.118, 99.60),
        (57.92e9, 1.223, 98.69),
        (41.55e9, 1.862, 88.05),
        (22.69e9, 5.658, 49.49),
    ],
}
TOKENS = np.array([1e11, 1e12, 2e12, 1e13, 1e14])


def printed(value, target):
    """Equal when rounded to four significant digits, up to one in the last."""
    return value == pytest.approx(target, rel=1e-3) and abs(
        float(f"{value:.4g}") - target
    ) <= 1.01 * 10 ** (np.floor(np.log10(target)) - 3)


@pytest.mark.parametrize("row", TABLE)
def test_the_table_of_lifetime_optima(row):
    N0, D0, loss = row
    tokens, quality = chinchilla_row(N0)
    assert tokens == pytest.approx(D0, rel=5e-4)
    assert quality == pytest.approx(loss, abs=5.1e-7)
    N, D = lifetime_optimum(CODE, quality, TOKENS)
    share = 100 * lifetimes(N, D) / lifetimes(N0, tokens)
    for i, (size, multiple, percent) in enumerate(TABLE[row]):
        assert printed(N[i], size) and printed(D[i] / tokens, multiple)
        assert share[i] == pytest.approx(percent, abs=0.051 if percent == 100.0 else 5.1e-3)


def lifetimes(N, D):
    return np.array(
        [lifetime(T).evaluate({"N": n, "D": d}) for T, n, d in np.broadcast(TOKENS, N, D)]
    )


def test_quality_of_a_70b_model_on_1e12_tokens():
    """Sardana et al. 2024: loss 1.947; with 2e12 tokens of inference N 70.96, D 146.77 percent."""
    law = sf.laws.find("chinchilla")
    assert law.evaluate({"N": 70e9, "D": 1e12}, CODE) == pytest.approx(1.9472728, abs=5e-8)
    N, D = lifetime_optimum(CODE, 1.947, 2e12)
    C0 = least_flops(CODE, 1.947)
    N0 = best_size(CODE, C0)
    D0 = C0 / (6 * N0)
    assert N == pytest.approx(2.4184e10, rel=3e-5) and D == pytest.approx(2.6571e12, rel=3e-5)
    assert 100 * N / N0 == pytest.approx(70.96, abs=5e-3)
    assert 100 * D / D0 == pytest.approx(146.77, abs=5e-3)
    cost = lifetime(2e12)
    assert 100 * cost(N, D) / cost(N0, D0) == pytest.approx(95.22, abs=5e-3)


@pytest.mark.parametrize(
    ("size", "tokens", "best", "multiple", "saved"),
    [
        (13e9, 2e12, 6.969e9, 2.165, 17.45),
        (7e9, 1e11, 6.000e9, 1.176, None),
        (30e9, 1e13, 1.3613e10, 2.845, 27.98),
    ],
)
def test_published_savings(size, tokens, best, multiple, saved):
    D0, loss = chinchilla_row(size)
    N, D = lifetime_optimum(CODE, loss, tokens)
    assert printed(N, float(f"{best:.4g}")) and printed(D / D0, multiple)
    if saved is not None:
        cost = lifetime(tokens)
        assert 100 * (1 - cost(N, D) / cost(size, D0)) == pytest.approx(saved, abs=5e-3)
    if size == 13e9:
        assert cost(size, D0) - cost(N, D) == pytest.approx(1.692e22, rel=5e-4)


def test_rounded_exponents_move_the_answer():
    """Hoffmann's printed constants move the 13B answer from 6.97B to 8.02B."""
    rounded = CODE | {"alpha": 0.34, "beta": 0.28}
    flops = np.exp(
        brentq(lambda c: np.log(best_size(rounded, np.exp(c)) / 13e9), np.log(1e15), np.log(1e30))
    )
    N, _ = lifetime_optimum(rounded, best_loss(rounded, flops), 2e12)
    assert N == pytest.approx(8.02e9, rel=1e-3)


def test_a_30b_compute_optimal_model():
    D, loss = chinchilla_row(30e9)
    assert loss == pytest.approx(1.9582533604758, abs=1e-12)
    assert 6 * 30e9 * D == pytest.approx(2.8006e23, rel=2e-5)
    assert D == pytest.approx(1.5559e12, rel=4e-5)


def optimum_and_reference(cost, loss=1.947):
    tokens = 3 * cost.per_model / cost.per_product
    N, D = lifetime_optimum(CODE, loss, tokens)
    C0 = least_flops(CODE, loss)
    N0 = best_size(CODE, C0)
    return N, D, N0, C0 / (6 * N0)


def test_published_dollars():
    """1e10 requests of 1000 in and 250 out, A100-80GB at 1.40, int8 on A100-40GB at 0.60."""
    cost = lifetime_usd(
        1000,
        250,
        requests=1e10,
        train=HARDWARE["A100-80GB bf16"].at_price(1.40),
        serve=HARDWARE["A100-40GB int8"].at_price(0.60),
        utilisation=Utilisation(0.5, 0.4, 0.2),
    )
    N, D, N0, D0 = optimum_and_reference(cost)
    assert N == pytest.approx(2.05273e10, rel=3e-6) and D == pytest.approx(3.30212e12, rel=3e-6)
    assert 100 * N / N0 == pytest.approx(60.231, abs=5e-4)
    assert 100 * D / D0 == pytest.approx(182.408, abs=5e-4)
    assert 100 * cost(N, D) / cost(N0, D0) == pytest.approx(88.759, abs=5e-4)
    assert cost(N, D) / 1e6 == pytest.approx(1.42506, abs=5e-6)
    assert cost(N0, D0) / 1e6 == pytest.approx(1.60553, abs=5e-6)


def test_default_devices_of_the_authors_code():
    """1e10 requests of 70 in and 215 out: tokens written at 1 percent utilisation dominate."""
    devices = {
        "train": Hardware("as in the code", "bf16", 9.89e14, 3.35e12, 2.0),
        "serve": Hardware("as in the code", "fp8", 1.978e15, 3.35e12, 2.0),
    }
    cost = lifetime_usd(70, 215, requests=1e10, **devices)
    N, D, N0, D0 = optimum_and_reference(cost)
    assert N == pytest.approx(1.0430e10, rel=5e-5) and D == pytest.approx(1.1789e13, rel=5e-5)
    assert 100 * N / N0 == pytest.approx(30.60, abs=5e-3)
    assert 100 * D / D0 == pytest.approx(651.2, abs=0.05)
    assert 100 * cost(N, D) / cost(N0, D0) == pytest.approx(45.99, abs=5e-3)
    assert cost(N, D) / 1e6 == pytest.approx(2.0967, abs=5e-5)
    assert cost(N0, D0) / 1e6 == pytest.approx(4.5588, abs=5e-5)


def test_effective_tokens_have_the_optimum_of_the_dollars():
    cost = lifetime_usd(70, 215, requests=1e10)
    tokens = effective_inference_tokens(70, 215, requests=1e10)
    assert tokens == pytest.approx(1e10 * (70 + 50 * 215) / 2, rel=1e-4)
    N, D = lifetime_optimum(CODE, 1.947, tokens)
    best = minimize_scalar(
        lambda x: np.log(cost(*on_the_contour(np.exp(x), 1.947))),
        bounds=(np.log(D) - 1, np.log(D) + 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    # Comparing costs cannot see closer than the root of rounding.
    assert np.log(D) == pytest.approx(best.x, abs=1e-6)
    assert N == pytest.approx(on_the_contour(D, 1.947)[0], rel=1e-12)


def on_the_contour(D, loss):
    """N and D of a loss."""
    rest = loss - CODE["E"] - CODE["B"] * D ** -CODE["beta"]
    return (CODE["A"] / rest) ** (1 / CODE["alpha"]), D


def random_surfaces(count, seed):
    draw = np.random.default_rng(seed).uniform
    return {
        "E": draw(0.5, 3.0, count),
        "A": np.exp(draw(3.0, 14.0, count)),
        "B": np.exp(draw(3.0, 14.0, count)),
        "alpha": draw(0.1, 1.3, count),
        "beta": draw(0.1, 1.3, count),
    }


def test_the_optimality_identity_on_random_surfaces():
    """alpha A N^-alpha / (beta B D^-beta) = 1 + T / (3 D), and the loss is reached."""
    params = random_surfaces(2000, 0)
    flops = 10 ** np.random.default_rng(1).uniform(18, 28, 2000)
    T = 10 ** np.random.default_rng(2).uniform(8, 16, 2000)
    loss = best_loss(params, flops)
    N, D = lifetime_optimum(params, loss, T)
    np.testing.assert_allclose(wedge(params, N, D), 1 + T / (3 * D), rtol=1e-12)
    excess = params["A"] * N ** -params["alpha"] + params["B"] * D ** -params["beta"]
    np.testing.assert_allclose(excess, loss - params["E"], rtol=1e-11)


def test_the_same_identity_at_a_budget():
    params = random_surfaces(2000, 3)
    product = 10 ** np.random.default_rng(4).uniform(17, 27, 2000)
    rho = 10 ** np.random.default_rng(5).uniform(8, 16, 2000)
    with jax.enable_x64(True):
        D = np.exp(np.asarray(best_tokens_for_budget(params, product, rho)))
    N = product / (D + rho)
    np.testing.assert_allclose(wedge(params, N, D), 1 + rho / D, rtol=1e-11)


def test_budget_and_loss_are_each_others_dual():
    N, D = lifetime_optimum(CODE, 1.947, 2e12)
    with jax.enable_x64(True):
        again = np.exp(best_tokens_for_budget(CODE, lifetime(2e12)(N, D) / 6, 2e12 / 3))
    assert float(again) == pytest.approx(D, rel=1e-12)


def test_without_inference_the_optimum_is_compute_optimal():
    # E = 0: L - E of a loss next to a large E would keep few digits.
    params = random_surfaces(200, 6) | {"E": 0.0}
    loss = best_loss(params, 1e22)
    N, D = lifetime_optimum(params, loss, 0.0)
    np.testing.assert_allclose(N, best_size(params, 1e22), rtol=1e-11)
    np.testing.assert_allclose(6 * N * D, 1e22, rtol=1e-11)
    with jax.enable_x64(True):
        D = np.exp(np.asarray(best_tokens_for_budget(params, 1e22 / 6, 0.0)))
    np.testing.assert_allclose(1e22 / (6 * D), N, rtol=1e-11)


def test_with_endless_inference_the_model_tends_to_the_least_feasible_one():
    N, _ = lifetime_optimum(CODE, 1.947, 1e30)
    assert N == pytest.approx((CODE["A"] / (1.947 - CODE["E"])) ** (1 / CODE["alpha"]), rel=1e-3)


def test_draws_and_demands_broadcast_and_an_unreachable_loss_is_nan():
    draws = {name: np.full((5, 1), value) for name, value in CODE.items()}
    N, D = lifetime_optimum(draws, 1.947, TOKENS)
    assert N.shape == D.shape == (5, 5) and (np.diff(N[0]) < 0).all()
    N, D = lifetime_optimum(CODE, [1.69, 1.5, 2.0], 1e12)
    assert np.isnan(N[:2]).all() and np.isnan(D[:2]).all() and np.isfinite(N[2])


def test_the_optimum_has_derivatives_in_the_parameters():
    def size(params):
        return lifetime_optimum(params, 1.947, 2e12)[0]

    with jax.enable_x64(True):
        slopes = jax.grad(lambda params: jax.numpy.log(size(params)))(dict(CODE))
    for name in CODE:
        step = 1e-5 * CODE[name]
        up, down = (size(CODE | {name: CODE[name] + s}) for s in (step, -step))
        assert float(slopes[name]) == pytest.approx(np.log(up / down) / (2 * step), rel=1e-6)


def test_lifetime_costs_say_what_they_are():
    cost = lifetime(2e12)
    assert (cost.per_product, cost.per_model, cost.unit) == (6.0, 4e12, "FLOP")
    assert cost(2.0, 3.0) == 6 * 2.0 * 3.0 + 2 * 2.0 * 2e12
    assert cost.tokens(cost(7e9, 1e12), 7e9) == pytest.approx(1e12, rel=1e-15)
    assert lifetime_usd(70, 215, requests=1e10).unit == "USD"


def test_kinetics_of_a_published_model():
    """8.19e9 parameters, 36 layers of 8 key-value heads of 128, 32 query heads, one long answer."""
    model = {"kv": 2 * 8 * 128 * 36, "group": 4, "prompt": 200, "generation": 16384}
    linear = kinetics_flops(8.19e9, **model | {"kv": 0.0}, intensity=562.5)
    compute = kinetics_flops(8.19e9, **model, intensity=0.0)
    whole = kinetics_flops(8.19e9, **model, intensity=562.5)
    assert linear / 1e12 == pytest.approx(268.4, abs=0.05)
    assert compute / 1e12 == pytest.approx(349.5, abs=0.05)
    assert (whole - compute) / 1e12 == pytest.approx(11404.3, abs=0.05)
    assert whole / 1e12 == pytest.approx(11753.8, abs=0.05)
    assert kinetics_flops(8.19e9, **model, intensity=281.25) / 1e12 == pytest.approx(
        6051.6, abs=0.05
    )


def test_trials_share_the_prompts_cache():
    model = {"kv": 1e5, "group": 4, "prompt": 1000, "generation": 10}
    one = kinetics_flops(0.0, **model, intensity=1e9)
    two = kinetics_flops(0.0, **model, trials=2, intensity=1e9)
    assert two - one == pytest.approx(1e5 * 10 * 10 * 1e9, rel=1e-3)


def test_kinetics_as_a_cost_takes_the_cache_from_the_shape():
    cost = kinetics(1e6, prompt=200, generation=16384, group=4, intensity=295.0, aspect=128)
    N = 12 * 32 * 4096**2
    serving = cost.evaluate({"N": N, "D": 0.0})
    kv = 2 * 32 * 4096 / 4
    expected = 1e6 * kinetics_flops(N, kv, prompt=200, generation=16384, group=4, intensity=295.0)
    assert serving == pytest.approx(expected, rel=1e-12)
    assert cost.evaluate({"N": N, "D": 1e12}) - serving == pytest.approx(6 * N * 1e12, rel=1e-12)
    assert cost.per_product is None
