"""Laws under which more tokens can raise the loss, and losses that are negative."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import scalefit as sf
from scalefit.allocation import best_size, least_flops

QAT = sf.published("qat", "chen_w4a4")
GROUPS = {"G": 128.0}
FLOATS = sf.published("float_quantized")
FORMAT = {"exponent_bits": 2.0, "mantissa_bits": 1.0, "G": 128.0}


def terms(fit):
    """A, alpha, B, beta, and size and exponents of the excess Q D^d N^-n."""
    p = fit.params
    shared = p["E"], p["A"], p["alpha"], p["B"], p["beta"]
    if fit is QAT:
        return *shared, p["k"] * 7.0 ** p["gamma_G"], p["gamma_D"], p["gamma_N"]
    size = p["K"] * 7.0 / (2.5 ** p["delta"] * 1.5 ** p["nu"])
    return *shared, size, p["beta"], p["alpha"]


def most_useful_tokens(fit, N):
    """Where the loss of N parameters is least."""
    _, _, _, B, beta, Q, d, n = terms(fit)
    return (beta * B * N**n / (d * Q)) ** (1 / (beta + d))


def ln_cost(fit, N, loss):
    """Of the fewest tokens with which N parameters reach a loss, 6 N D; inf where none do."""
    E, A, alpha, B, beta, Q, d, n = terms(fit)

    def excess(u):
        D = np.exp(u)
        return E + A * N**-alpha + B * D**-beta + Q * D**d * N**-n - loss

    most = np.log(most_useful_tokens(fit, N))
    if excess(most) > 0:
        return np.inf
    return np.log(6 * N) + brentq(excess, 0.0, most, xtol=1e-13, rtol=1e-14)


def cheapest(fit, loss):
    """The least budget of a loss and its model size, by a scan and a bounded search."""
    x = np.linspace(np.log(1e6), np.log(1e14), 1500)
    cost = [ln_cost(fit, N, loss) for N in np.exp(x)]
    i = int(np.argmin(cost))
    found = minimize_scalar(
        lambda x: ln_cost(fit, np.exp(x), loss),
        bounds=(x[i - 1], x[i + 1]),
        method="bounded",
        options={"xatol": 1e-11},
    )
    return np.exp(found.fun), np.exp(found.x)


def test_the_cheapest_model_of_a_loss_is_trained_before_tokens_hurt():
    best = sf.allocate(QAT, loss=2.7, fixed=GROUPS)
    budget, size = cheapest(QAT, 2.7)
    assert budget == pytest.approx(5.1706e20, rel=1e-4)
    assert best.budget == pytest.approx(budget, rel=1e-9)
    assert best.N == pytest.approx(size, rel=1e-4) and best.N == pytest.approx(2.406e9, rel=1e-3)
    assert best.D == pytest.approx(3.582e10, rel=1e-3)
    assert best.D < most_useful_tokens(QAT, best.N)


@pytest.mark.parametrize(("fit", "fixed"), [(QAT, GROUPS), (FLOATS, FORMAT)], ids=["qat", "float"])
def test_budget_to_loss_and_back_is_the_same_budget(fit, fixed):
    budgets = np.array([1e19, 1e21, 1e23, 1e25])
    there = sf.allocate(fit, budgets, fixed=fixed)
    back = sf.allocate(fit, loss=there.loss, fixed=fixed)
    np.testing.assert_allclose(back.budget, budgets, rtol=1e-9)
    np.testing.assert_allclose(back.N, there.N, rtol=1e-7)
    share = sf.deadweight(fit, there.N, there.D, fixed=fixed).share
    np.testing.assert_allclose(share, 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("fit", "fixed", "expected"),
    [(QAT, GROUPS, [0.3612, 0.0810, 0.3017]), (FLOATS, FORMAT, None)],
    ids=["qat", "float"],
)
def test_deadweight_where_tokens_can_hurt(fit, fixed, expected):
    N = np.array([1e9, 2e9, 1e10])
    waste = sf.deadweight(fit, N, 1e21 / (6 * N), fixed=fixed)
    least = [cheapest(fit, loss)[0] for loss in waste.loss]
    np.testing.assert_allclose(waste.needed, least, rtol=1e-9)
    assert (waste.share > 0).all()
    if expected is not None:
        np.testing.assert_allclose(waste.share, expected, atol=1e-4)


def test_near_optimal_sizes_where_tokens_can_hurt():
    region = sf.near_optimal(QAT, 1e21, overhead=0.05, fixed=GROUPS)
    loss = float(region.best.loss)
    for N, D, size in (
        (region.low, region.tokens_low, 2.326e9),
        (region.high, region.tokens_high, 5.149e9),
    ):
        assert ln_cost(QAT, float(N), loss) == pytest.approx(np.log(1.05e21), abs=1e-8)
        assert 6 * N * D == pytest.approx(1.05e21, rel=1e-8)
        assert N == pytest.approx(size, rel=1e-3)
    assert not [note for note in region.notes if note.code in ("region_open", "region_cut")]


def test_what_limits_leave_of_a_budget_is_left_where_tokens_hurt():
    for options in ({"limits": {"N": 1e8}}, {"fixed": {"N": 1e8} | GROUPS}, {"free": {"N": [1e8]}}):
        best = sf.allocate(QAT, 1e24, **{"fixed": GROUPS, **options})
        most = most_useful_tokens(QAT, 1e8)
        assert best.spent == pytest.approx(6e8 * most, rel=1e-9) and best.budget == 1e24
        (note,) = [note for note in best.notes if note.code == "more_data_hurts"]
        assert note.details["spent"] == pytest.approx(6e8 * most / 1e24, rel=1e-9)
        # The least budget of the best loss of all: the root of rounding is all that can be asked.
        back = sf.allocate(QAT, loss=best.loss, **{"fixed": GROUPS, **options})
        assert back.budget == pytest.approx(best.spent, rel=1e-5)
    region = sf.near_optimal(QAT, 1e24, within=0.01, fixed=GROUPS, limits={"N": 1e8})
    assert region.high == pytest.approx(1e8, rel=1e-9)
    assert region.tokens_low == pytest.approx(most_useful_tokens(QAT, region.low), rel=1e-9)
    (note,) = [note for note in region.notes if note.code == "region_cut"]
    assert note.details["ends"] == ["high"]


def test_an_optimum_that_leaves_the_budget_has_derivatives():
    fixed = {"N": 1e8} | GROUPS
    quantity = sf.allocation.optimum_function(QAT, "D", 1e24, fixed=fixed)
    assert quantity(QAT.params) == pytest.approx(most_useful_tokens(QAT, 1e8), rel=1e-12)
    value, gradient, _ = quantity.differentiated(list(QAT.params.values()))
    assert value == pytest.approx(most_useful_tokens(QAT, 1e8), rel=1e-12)
    # D = (beta B N^n / (d Q))^(1 / (beta + d)).
    slope = value / (QAT.params["beta"] + QAT.params["gamma_D"])
    names = list(QAT.params)
    assert gradient[names.index("B")] == pytest.approx(slope / QAT.params["B"], rel=1e-9)
    assert gradient[names.index("k")] == pytest.approx(-slope / QAT.params["k"], rel=1e-9)
    assert gradient[names.index("A")] == pytest.approx(0.0, abs=1e-12)


@sf.law(source="a test: the loss rises with tokens, then falls for good")
def double_descent(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, H: sf.laws.Amplitude
):
    """E + A N^-0.3 + B D^-0.3 + H exp(-(ln D - 24)^2)"""
    import jax.numpy as jnp

    return E + A * N**-0.3 + B * D**-0.3 + H * jnp.exp(-((jnp.log(D) - 24.0) ** 2))


def test_a_loss_that_rises_in_between_is_reached_before_it_does():
    fit = replace(QAT, law=double_descent, domain={})
    fit = replace(fit, params={"E": 1.5, "A": 400.0, "B": 400.0, "H": 0.3})
    # Tokens that 1e9 parameters get of this budget lie on the hump.
    budget = 6e9 * np.exp(24.0)
    best = sf.allocate(fit, budget, fixed={"N": 1e9})
    u = np.linspace(10.0, 24.0, 400_001)
    losses = fit.predict(N=1e9, D=np.exp(u))
    assert np.log(best.D) == pytest.approx(u[np.argmin(losses)], abs=1e-4)
    assert best.loss <= losses.min() + 1e-12
    assert best.spent < 0.5 * budget
    back = sf.allocate(fit, loss=best.loss, fixed={"N": 1e9})
    assert back.budget == pytest.approx(best.spent, rel=1e-5)
    # A loss that the hump passes twice is reached below it.
    first = sf.allocate(fit, loss=float(losses[200_000]), fixed={"N": 1e9})
    assert first.D == pytest.approx(np.exp(u[200_000]), rel=1e-9)


def test_a_region_ends_at_the_first_size_that_is_worse():
    @sf.law(source="a test: two valleys")
    def valleys(
        N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, H: sf.laws.Amplitude
    ):
        """E + A N^-0.3 + B D^-0.3 + H exp(-(2 ln(N / 3e9))^2)"""
        import jax.numpy as jnp

        return E + A * N**-0.3 + B * D**-0.3 + H * jnp.exp(-((2 * jnp.log(N / 3e9)) ** 2))

    params = {"E": 1.5, "A": 400.0, "B": 400.0, "H": 0.05}
    fit = replace(QAT, law=valleys, params=params, domain={})
    region = sf.near_optimal(fit, 6e21 * 3e-1, within=0.04)
    sizes = np.geomspace(region.low, region.high, 4001)
    losses = fit.predict(N=sizes, D=6e21 * 3e-1 / (6 * sizes))
    assert losses.max() == pytest.approx(region.best.loss + 0.04, rel=1e-7)


# Losses below zero

TOKENS = sf.published("vocabulary")


def test_losses_below_zero_are_reached():
    p = TOKENS.params
    # With the vocabulary held the law is additive, and has a closed form.
    fixed = {"vocab_params": 5e7}
    plain = {"E": p["E"] + p["A2"] * 5e7 ** -p["alpha2"], "A": p["A1"], "B": p["B"]}
    plain |= {"alpha": p["alpha1"], "beta": p["beta"]}
    loss = plain["E"] + 0.25
    best = sf.allocate(TOKENS, loss=loss, fixed=fixed)
    assert loss < 0 and best.loss == pytest.approx(loss, rel=1e-12)
    assert best.budget == pytest.approx(float(least_flops(plain, loss)), rel=1e-9)
    assert best.N == pytest.approx(float(best_size(plain, best.budget)), rel=1e-7)
    there = sf.allocate(TOKENS, best.budget, fixed=fixed)
    assert there.loss == pytest.approx(loss, rel=1e-9)
    assert sf.deadweight(TOKENS, 2 * best.N, best.D / 2, fixed=fixed).share > 0
    region = sf.near_optimal(TOKENS, best.budget, overhead=0.05, fixed=fixed)
    assert region.low < best.N < region.high
    with pytest.raises(sf.errors.AllocationError, match="no budget reaches a loss of -7"):
        sf.allocate(TOKENS, loss=-7.0, fixed=fixed)
    assert not sf.allocation.optimum_function(
        TOKENS, "loss", float(best.budget), fixed=fixed
    ).logarithmic


# Refusals, and what they advise


@sf.law(source="a test: more of either always helps")
def multiplied(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent, b: sf.laws.Exponent
):
    """E + A N^-a D^-b"""
    return E + A * N**-a * D**-b


DOMAIN = {"N": (1e8, 1e10), "D": (1e9, 1e12), "D/N": (2.0, 2000.0), "6ND": (1e18, 1e23)}


@pytest.mark.parametrize("domain", [DOMAIN, {}], ids=["runs", "no runs"])
@pytest.mark.parametrize(("a", "b"), [(0.1, 0.2), (0.2, 0.1)])
def test_what_has_no_minimum_is_refused_with_a_limit_that_gives_one(a, b, domain):
    params = {"E": 1.5, "A": 3e3, "a": a, "b": b}
    fit = replace(QAT, law=multiplied, params=params, domain=domain)
    loss = float(fit.predict(N=1e9, D=2e10))

    def ask(**options):
        return sf.allocate(fit, **options)

    for asked in ({"flops": 1e21}, {"loss": loss}):
        with pytest.raises(sf.errors.AllocationError, match="has no minimum between") as caught:
            ask(**asked)
        advice = str(caught.value).rpartition("Limit one, as ")[2]
        best = eval(f"ask(**asked, {advice})", {"ask": ask, "asked": asked})
        assert "at_limit" in [note.code for note in best.notes]
    with pytest.raises(sf.errors.AllocationError, match="has no minimum between") as caught:
        sf.deadweight(fit, 1e9, 2e10)
    advice = str(caught.value).rpartition("within limits: ")[2]
    cheapest_within = eval(advice, {"allocate": sf.allocate, "fit": fit})
    assert cheapest_within.loss == pytest.approx(loss, rel=1e-9)
    with pytest.raises(sf.errors.AllocationError, match="has no minimum between"):
        sf.allocation.optimum_function(fit, "N", 1e21)


def test_a_region_around_a_loss_without_a_least_cost_is_refused():
    def memory(N):
        return 2.0 * N

    # A memory that holds so few parameters that the tokens of each are more than are looked at.
    fit = replace(QAT, law=sf.laws.chinchilla_nonembedding, domain=DOMAIN)
    fit = replace(
        fit,
        params={"E": 1.5, "A": 400.0, "B": 400.0, "alpha": 0.3, "beta": 0.3, "gamma": 4e4},
    )
    asked = {"flops": 1e22, "limits": {memory: 2e6}}
    assert sf.allocate(fit, **asked).tokens_per_param > 2000 * 1e4
    with pytest.raises(sf.errors.AllocationError, match=r"has no least cost .* Pass within=0.01"):
        sf.near_optimal(fit, overhead=0.05, **asked)
    region = sf.near_optimal(fit, within=0.01, **asked)
    assert region.high == pytest.approx(1e6, rel=1e-6)


def test_a_run_far_outside_the_others_has_a_deadweight_too():
    fit = replace(QAT, domain=DOMAIN)
    for N, D in ((1e6, 1e15), (1e14, 1e9)):
        waste = sf.deadweight(fit, N, D, fixed=GROUPS)
        assert waste.needed == pytest.approx(cheapest(QAT, waste.loss)[0], rel=1e-8)


def test_a_run_without_a_loss_is_refused():
    @sf.law(source="a test: no loss where D is below 1e9")
    def partial(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude):
        """E + A N^-0.3 + B (D - 1e9)^-0.3"""
        return E + A * N**-0.3 + B * (D - 1e9) ** -0.3

    fit = replace(QAT, law=partial, params={"E": 1.5, "A": 400.0, "B": 400.0}, domain={})
    with pytest.raises(
        sf.errors.AllocationError, match=r"a loss of nan for N = 1e\+09 and D = 1e\+08"
    ):
        sf.deadweight(fit, 1e9, [1e11, 1e8])


def test_held_columns_of_runs_broadcast():
    groups = np.array([32.0, 128.0])
    both = sf.deadweight(QAT, 1e9, 1e12, fixed={"G": groups})
    each = [sf.deadweight(QAT, 1e9, 1e12, fixed={"G": G}).share for G in groups]
    np.testing.assert_allclose(both.share, each, rtol=1e-9)


def test_every_draw_turns_where_it_does():
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)
    draws = sf.covariance(sf.fit(runs), runs).draws(20, seed=4)
    rng = np.random.default_rng(0)
    params = {name: value * np.exp(rng.normal(size=20) * 0.1) for name, value in QAT.params.items()}
    # No token is worth anything under one of them.
    params["B"][7] = 0.0
    drawn = replace(draws, fit=QAT, params=params)
    waste = sf.deadweight(drawn, 1e9, 1e21 / 6e9, fixed=GROUPS)
    region = sf.near_optimal(drawn, 1e21, overhead=0.05, fixed=GROUPS)
    for i in (0, 12, 19):
        one = replace(QAT, params={name: values[i] for name, values in params.items()})
        alone = sf.deadweight(one, 1e9, 1e21 / 6e9, fixed=GROUPS)
        assert waste.draws["needed"][i] == pytest.approx(float(alone.needed), rel=1e-9)
        ends = sf.near_optimal(one, 1e21, overhead=0.05, fixed=GROUPS)
        assert region.draws["low"][i] == pytest.approx(float(ends.low), rel=1e-7)
    assert np.isnan(waste.draws["needed"][7]) and np.isnan(region.draws["low"][7])
    (note,) = (item for item in waste.notes if item.code == "draws_without_optimum")
    assert note.details["draws"] == 1
    assert "1 of 20 draws" in str(waste)
