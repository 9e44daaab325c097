"""Further free columns, limits, other costs, losses to reach; regions, waste, multipliers."""

from dataclasses import replace

import numpy as np
import pytest
from example_laws import additive
from scipy.optimize import brentq, minimize, minimize_scalar

import scalefit as sf
from scalefit.allocation import (
    deadweight_share,
    least_flops,
    lifetime,
    lifetime_usd,
    overhead,
    product,
)
from scalefit.allocation.problem import build_problem
from scalefit.allocation.solve import solve_all

CLOSED = sf.published("chinchilla", "besiroglu")
GENERAL = replace(CLOSED, law=additive)
BUDGETS = np.geomspace(1e18, 1e28, 6)


def surfaces(count, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "E": rng.uniform(0.5, 3.0, count),
        "A": np.exp(rng.uniform(np.log(20), np.log(5e5), count)),
        "B": np.exp(rng.uniform(np.log(20), np.log(5e5), count)),
        "alpha": rng.uniform(0.15, 0.8, count),
        "beta": rng.uniform(0.15, 0.8, count),
    }


# The general solver against closed forms


@pytest.mark.parametrize("cost", [product(6.0, source="a test"), lifetime(2e12)], ids=str)
def test_solver_agrees_with_closed_forms_on_a_thousand_surfaces(cost):
    params, rng = surfaces(1000), np.random.default_rng(1)
    budgets = np.exp(rng.uniform(np.log(1e18), np.log(1e28), (1000, 1)))
    # The range that is looked at is the published runs'; these surfaces are anywhere.
    found, expected = (
        solve_all(
            build_problem(replace(fit, domain={}), 1e20 * np.ones(1), "FLOP", cost=cost),
            params,
            budgets,
        )
        for fit in (GENERAL, CLOSED)
    )
    inside = expected.columns["D"] > 1.0
    assert inside.mean() > 0.99 and (found.state[inside] == 0).all()
    for name in ("N", "D"):
        np.testing.assert_allclose(
            found.columns[name][inside], expected.columns[name][inside], rtol=1e-8
        )
    for name in ("loss", "cost", "n_exponent", "d_exponent"):
        values = getattr(expected, name)[inside]
        np.testing.assert_allclose(getattr(found, name)[inside], values, rtol=1e-8)


@pytest.mark.parametrize("cost", ["6ND", lifetime(2e12)], ids=["6ND", "lifetime"])
def test_the_cheapest_budget_of_a_loss_is_the_one_that_buys_it(cost):
    there = sf.allocate(CLOSED, BUDGETS, cost=cost)
    for fit in (CLOSED, GENERAL):
        back = sf.allocate(fit, loss=there.loss, cost=cost)
        np.testing.assert_allclose(back.budget, BUDGETS, rtol=1e-9)
        np.testing.assert_allclose(back.N, there.N, rtol=1e-8)
        np.testing.assert_allclose(back.n_exponent, there.n_exponent, rtol=1e-6)
        np.testing.assert_allclose(back.spent, back.budget)


def test_the_lifetime_optimum_keeps_the_identity_of_its_wedge():
    tokens, p = 2e12, CLOSED.params
    for fit in (CLOSED, GENERAL):
        best = sf.allocate(fit, loss=np.linspace(1.9, 2.5, 7), cost=lifetime(tokens))
        wedge = p["alpha"] * p["A"] * best.N ** -p["alpha"]
        wedge /= p["beta"] * p["B"] * best.D ** -p["beta"]
        np.testing.assert_allclose(wedge, 1 + tokens / (3 * best.D), rtol=1e-11)


def test_dollars_are_asked_for_as_dollars():
    cost = lifetime_usd(70, 215, requests=1e10)
    best = sf.allocate(CLOSED, usd=2e6, cost=cost)
    assert best.unit == "USD" and best.budget == 2e6
    assert cost(best.N, best.D) == pytest.approx(2e6)
    assert list(best.to_frame().columns[:3]) == ["usd", "N", "D"]
    with pytest.raises(sf.errors.AllocationError, match="counted in USD"):
        _ = best.flops
    with pytest.raises(sf.errors.AllocationError, match="is in USD and the budget in FLOP"):
        sf.allocate(CLOSED, 1e24, cost=cost)
    with pytest.raises(sf.errors.AllocationError, match="is in FLOP and the budget in USD"):
        sf.allocate(CLOSED, usd=1e6)


def test_a_cost_that_is_no_straight_line_in_tokens_is_solved_too():
    @sf.allocation.cost(source="a test: warm-up and restarts grow with the run")
    def bent(N, D):
        """6 N D (1 + (D / 1e12)^0.5)"""
        return 6.0 * N * D * (1.0 + (D / 1e12) ** 0.5)

    best = sf.allocate(CLOSED, 1e24, cost=bent)
    assert bent(best.N, best.D) == pytest.approx(1e24, rel=1e-12)

    def loss(x):
        N = np.exp(x)
        u = brentq(lambda u: np.log(bent(N, np.exp(u)) / 1e24), 1, 60, xtol=1e-13)
        return float(CLOSED.predict(N=N, D=np.exp(u)))

    found = minimize_scalar(loss, bounds=(20, 30), method="bounded", options={"xatol": 1e-9})
    assert np.log(best.N) == pytest.approx(found.x, abs=1e-6)
    step = np.log(sf.allocate(CLOSED, 1e24 * np.exp([-1e-4, 1e-4]), cost=bent).N)
    assert best.n_exponent == pytest.approx((step[1] - step[0]) / 2e-4, rel=1e-6)


# Limits


def memory(N):
    return 2.0 * N


def wall_clock(N, D):
    return N**0.5 * D


def named(limit):
    return getattr(limit, "__name__", limit)


@pytest.mark.parametrize(
    ("limits", "N", "D"),
    [
        ({"N": 13e9}, 13e9, 1e24 / (6 * 13e9)),
        ({"N": (200e9, None)}, 200e9, 1e24 / (6 * 200e9)),
        ({"D": 1e12}, 1e24 / 6e12, 1e12),
        ({"D": (5e12, None)}, 1e24 / 3e13, 5e12),
        ({"D/N": (400, None)}, (1e24 / 2400) ** 0.5, (1e24 / 6 * 400) ** 0.5),
        ({"D/N": 5}, (1e24 / 30) ** 0.5, (1e24 / 6 * 5) ** 0.5),
        ({"N/D": (0.2, None)}, (1e24 / 30) ** 0.5, (1e24 / 6 * 5) ** 0.5),
        ({memory: 16e9}, 8e9, 1e24 / 48e9),
        # Both hold, and the budget is left: the largest model on all the tokens.
        ({"N": 13e9, "D": 1e12}, 13e9, 1e12),
        ({"N": 1e9, "D/N": 20}, 1e9, 2e10),
        # Loose ones do nothing.
        pytest.param(
            {"N": 1e12, "D": 1e14, "D/N": (1, 1000), memory: 1e13},
            *(9.58607e10, 1.73863e12),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: ", ".join(map(named, value)) if isinstance(value, dict) else f"{value:.3g}",
)
def test_limits_hold_the_answer(limits, N, D):
    best = sf.allocate(CLOSED, 1e24, limits=limits)
    assert best.N == pytest.approx(N, rel=1e-5)
    assert best.D == pytest.approx(D, rel=1e-5)
    assert best.spent <= 1e24 * (1 + 1e-12)
    codes = [note.code for note in best.notes]
    assert ("at_limit" in codes) == (abs(N / 9.58607e10 - 1) > 1e-3)
    # Where no limit binds the optimum is smooth, and has its exponents.
    assert np.isnan(best.n_exponent) == ("at_limit" in codes)


def test_a_limit_on_a_function_of_model_and_data():
    best = sf.allocate(CLOSED, 1e24, limits={wall_clock: 1e17})
    assert wall_clock(best.N, best.D) <= 1e17 * (1 + 1e-9)
    grid = np.exp(np.linspace(22, 30, 200_001))
    tokens = np.minimum(1e24 / (6 * grid), 1e17 / grid**0.5)
    losses = CLOSED.predict(N=grid, D=tokens)
    assert best.loss == pytest.approx(losses.min(), rel=1e-9)


def test_limits_hold_where_a_loss_is_to_be_reached():
    free = sf.allocate(CLOSED, loss=2.0)
    small = sf.allocate(CLOSED, loss=2.0, limits={"N": 0.4 * free.N})
    assert small.N == pytest.approx(0.4 * free.N, rel=1e-12) and small.budget > free.budget
    assert small.loss == pytest.approx(2.0, rel=1e-12)
    few = sf.allocate(CLOSED, loss=2.0, limits={"D": 0.4 * free.D})
    assert few.D == pytest.approx(0.4 * free.D, rel=1e-9) and few.budget > free.budget
    many = sf.allocate(CLOSED, loss=2.0, limits={"D": (3 * free.D, None)})
    assert many.D == pytest.approx(3 * free.D, rel=1e-9)
    assert float(CLOSED.predict(N=many.N, D=many.D)) == pytest.approx(2.0, rel=1e-12)


def test_epochs_are_a_limit_on_tokens_over_unique_tokens():
    fit = sf.published("data_constrained", "muennighoff")
    fixed = {"U": 25e9}
    # Their notebook's grid: 7.022e9 parameters, 9.493 epochs.
    free = sf.allocate(fit, 1e22, fixed=fixed)
    assert free.N == pytest.approx(7.022e9, rel=0.01)
    assert free.D / 25e9 == pytest.approx(9.493, rel=0.01)
    four = sf.allocate(fit, 1e22, fixed=fixed, limits={"D/U": 4})
    assert four.D == pytest.approx(4 * 25e9, rel=1e-9) and four.loss > free.loss


def test_held_columns_broadcast_with_budgets():
    fit = sf.published("data_constrained", "muennighoff")
    unique = np.array([[10e9], [100e9]])
    best = sf.allocate(fit, [1e21, 1e22, 1e23], fixed={"U": unique})
    assert best.N.shape == (2, 3)
    one = sf.allocate(fit, 1e22, fixed={"U": 100e9})
    assert best.N[1, 1] == pytest.approx(one.N, rel=1e-12)


# Further free columns


@sf.law(source="Kumar et al. 2024, every tensor at one precision")
def one_precision(
    N,
    D,
    P,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
):
    """Chinchilla with the precision factor of the published constants"""
    params = dict(sf.published("precision", "kumar").params)
    params |= {"E": E, "A": A, "B": B, "alpha": alpha}
    return sf.laws.precision(N, D, P, P, P, **params)


def test_the_best_precision_is_seven_bits_at_every_budget():
    kumar = sf.published("precision", "kumar")
    params = {name: kumar.params[name] for name in ("E", "A", "B", "alpha")}
    fit = replace(kumar, law=one_precision, params=params)
    best = sf.allocate(fit, [1e19, 1e21, 1e24], cost="precision", free={"P": (4, 16)})
    np.testing.assert_allclose(best["P"], 7.002, atol=1e-3)
    np.testing.assert_allclose(best["P"], best["P"][0], rtol=1e-9)
    # It does not depend on A, B or alpha either.
    other = replace(fit, params={"E": 1.5, "A": 900.0, "B": 5000.0, "alpha": 0.3})
    moved = sf.allocate(other, 1e21, cost="precision", free={"P": (4, 16)})
    assert moved["P"] == pytest.approx(best["P"][0], abs=1e-6)
    whole = sf.allocate(fit, 1e21, cost="precision", free={"P": [4, 5, 6, 7, 8, 16]})
    assert whole["P"] == 7.0
    for bits in (6.0, 8.0):
        assert sf.allocate(fit, 1e21, cost="precision", fixed={"P": bits}).loss > whole.loss


# Their table: FLOP, experts, active parameters, tokens.
JOINT_TABLE = [
    (1e20, 1, 1.7e9, 9.7e9),
    (1e20, 8, 990e6, 17e9),
    (1e20, 32, 669e6, 24.9e9),
    (1e22, 1, 18.8e9, 88.6e9),
    (1e22, 32, 12.2e9, 136.9e9),
]


def test_mixtures_of_experts_are_allocated_as_published():
    fit = sf.published("joint_moe", "ludziejewski")
    flops, experts, N, D = np.array(JOINT_TABLE).T
    best = sf.allocate(fit, flops, fixed={"experts": experts})
    np.testing.assert_allclose(best.N, N, rtol=0.025)
    np.testing.assert_allclose(best.D, D, rtol=0.025)
    chosen = sf.allocate(fit, 1e22, free={"experts": [1, 8, 32]})
    assert chosen["experts"] == 32


def test_a_memory_limit_decides_the_number_of_experts():
    def bytes_of_all_experts(N, experts):
        return 2.0 * N * (1.0 + 0.6 * (experts - 1.0))

    fit = sf.published("joint_moe", "ludziejewski")
    choices, limit = [1, 2, 4, 8, 16, 32], 24e9
    best = sf.allocate(fit, 1e22, free={"experts": choices}, limits={bytes_of_all_experts: limit})
    each = [
        sf.allocate(fit, 1e22, fixed={"experts": E}, limits={bytes_of_all_experts: limit})
        for E in choices
    ]
    losses = [float(item.loss) for item in each]
    assert best["experts"] == choices[int(np.argmin(losses))]
    assert best.loss == pytest.approx(min(losses), rel=1e-12)
    for E, item in zip(choices, each, strict=True):
        assert bytes_of_all_experts(item.N, E) <= limit * (1 + 1e-9)


def test_sparsity_is_free_with_model_size():
    fit = sf.published("moe_sparsity", "abnar")

    def active(N, D, sparsity):
        return 6.0 * N * (1.0 - sparsity) * D

    def loss(z):
        N, S = np.exp(z[0]), z[1]
        return float(fit.predict(N=N, D=1e21 / (6 * N * (1 - S)), sparsity=S))

    best = sf.allocate(fit, 1e21, cost=active, free={"sparsity": (0.0, 0.98)})
    assert active(best.N, best.D, best["sparsity"]) == pytest.approx(1e21, rel=1e-12)
    start = [np.log(best.N) + 0.2, 0.5]
    bounds = [(18, 32), (0.0, 0.98)]
    found = minimize(loss, start, bounds=bounds, method="Nelder-Mead", options={"xatol": 1e-9})
    assert best.loss <= found.fun * (1 + 1e-9)


def test_two_ranges_and_a_list_find_the_optimum_that_nelder_mead_finds():
    @sf.law(source="a test: an optimum in every column")
    def bowl(N, D, P, q, G, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude):
        """E + A N^-0.3 (1 + ...) + B D^-0.3"""
        import jax.numpy as jnp

        bend = 1 + 0.1 * (P - 5) ** 2 + 0.2 * (q - 0.3) ** 2 + 0.05 * (P - 5) * (q - 0.3)
        return E + A * N**-0.3 * bend * (1 + 0.01 * (jnp.log2(G) - 4) ** 2) + B * D**-0.3

    fit = replace(CLOSED, law=bowl, params={"E": 1.7, "A": 400.0, "B": 400.0}, domain={})
    free = {"P": (1, 16), "q": (0.0, 1.0), "G": [1, 4, 16, 64]}
    best = sf.allocate(fit, 1e21, free=free)
    # At the bottom of the bowl the law is symmetric in N and D.
    assert best["P"] == pytest.approx(5, abs=1e-6) and best["q"] == pytest.approx(0.3, abs=1e-6)
    assert best["G"] == 16 and best.N == pytest.approx(best.D, rel=1e-6)
    assert np.isnan(best.n_exponent)


def test_the_least_cost_of_a_loss_beside_its_pole_keeps_a_limit():
    """The smallest model that reaches the loss needs all but infinitely many tokens."""
    steep = {"E": 2.15125016857, "A": 52592.41242722435, "B": 657.546689064964}
    steep |= {"alpha": 0.231912253485, "beta": 0.719680086988}
    best = sf.allocate(
        replace(GENERAL, params=steep, domain={}), loss=3.5, limits={"N/D": (0.001, 0.01)}
    )
    assert best.tokens_per_param == pytest.approx(100, rel=1e-9)
    assert best.loss == pytest.approx(3.5, rel=1e-12)


def test_sizes_to_choose_from():
    sizes = [7e9, 13e9, 34e9, 70e9]
    best = sf.allocate(CLOSED, [1e22, 1e23, 1e24], free={"N": sizes})
    losses = [[float(CLOSED.predict(N=N, D=C / (6 * N))) for N in sizes] for C in best.flops]
    np.testing.assert_array_equal(best.N.round(), np.array(sizes)[np.argmin(losses, axis=1)])


def test_what_a_budget_buys_of_one_column():
    best = sf.allocate(CLOSED, [1e21, 1e22], fixed={"N": 1e9})
    np.testing.assert_allclose(best.D, np.array([1e21, 1e22]) / 6e9, rtol=1e-12)
    np.testing.assert_allclose(best.loss, CLOSED.predict(N=1e9, D=best.D), rtol=1e-12)
    back = sf.allocate(CLOSED, loss=best.loss, fixed={"N": 1e9})
    np.testing.assert_allclose(back.budget, [1e21, 1e22], rtol=1e-9)


def test_streams_trade_against_size_at_a_number_of_tokens():
    fit = sf.published("parscale", "pile")
    free = {"streams": [1, 2, 4, 8]}
    best = sf.allocate(fit, 1e21, cost="parscale", free=free, fixed={"D": 42e9})
    sizes = 1e21 / (6 * 42e9 * np.array(free["streams"]))
    losses = fit.predict(N=sizes, streams=np.array(free["streams"]))
    assert best["streams"] == free["streams"][int(np.argmin(losses))]
    assert best.N == pytest.approx(sizes[np.argmin(losses)], rel=1e-9)


# Krajewski et al. 2024, table 2: FLOP, granularity, tokens, loss of the compute-optimal model.
FINE_TABLE = [(2.95e18, 8, 4.37e9), (1.93e20, 16, 28.94e9), (6.46e21, 32, 137.6e9)]


def test_granularity_of_fine_grained_experts_is_the_published_one():
    fit = sf.published("fine_grained_moe", "krajewski")
    flops, granularity, D = np.array(FINE_TABLE).T
    choices = [1, 2, 4, 8, 16, 32, 64, 128]
    best = sf.allocate(fit, flops, cost="fine_grained_moe", free={"granularity": choices})
    np.testing.assert_array_equal(best["granularity"], granularity)
    np.testing.assert_allclose(best.D, D, rtol=0.03)


@sf.law(source="a test: served at few bits, long training hurts")
def served(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, Q: sf.laws.Amplitude
):
    """E + A N^-0.34 + B D^-0.37 + Q D^0.5 N^-0.4"""
    return E + A * N**-0.34 + B * D**-0.37 + Q * D**0.5 * N**-0.4


def test_a_budget_is_left_where_more_tokens_hurt():
    fit = replace(
        CLOSED, law=served, params={"E": 1.8, "A": 480.0, "B": 2000.0, "Q": 3e-4}, domain={}
    )
    best = sf.allocate(fit, 1e24, limits={"N": 1e9})
    assert "more_data_hurts" in [note.code for note in best.notes]
    assert best.spent < 0.9e24
    tokens = np.geomspace(1e9, 1e24 / 6e9, 400_001)
    losses = fit.predict(N=1e9, D=tokens)
    assert best.D == pytest.approx(tokens[np.argmin(losses)], rel=1e-4)
    assert best.loss <= losses.min() * (1 + 1e-12)


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": 1.5}, r"no budget reaches a loss of 1.5 .* E = 1.8"),
        ({"loss": -1.0}, r"no budget reaches a loss of -1 .* E = 1.8"),
        (
            {"flops": 1e24, "limits": {"N": (1e10, None), "D/N": (1e7, None)}},
            "no N and D meet every limit",
        ),
        ({"flops": 1e24, "free": {"N": [1e9], "D": [1e9, 2e9]}}, "follows from the budget"),
        ({"flops": [1e24, 1e25], "fixed": {"N": 1.0, "D": 1.0}}, "divided between nothing"),
    ],
    ids=str,
)
def test_questions_without_sense_are_refused(options, message):
    with pytest.raises(sf.errors.AllocationError, match=message):
        sf.allocate(CLOSED, **options)


def test_columns_that_are_neither_free_nor_fixed_are_named_with_a_remedy():
    fit = sf.published("joint_moe", "ludziejewski")
    with pytest.raises(
        sf.errors.AllocationError, match=r"'experts' is neither free nor fixed.*fixed=\{"
    ):
        sf.allocate(fit, 1e22)
    with pytest.raises(sf.errors.AllocationError, match="without a range"):
        sf.allocate(fit, 1e22, free={"experts": None})


def test_impossible_limits_say_what_each_would_have_to_be():
    with pytest.raises(sf.errors.AllocationError, match=r"without N/D .* it would be") as caught:
        sf.allocate(CLOSED, 1e24, limits={"N/D": 1e-3, memory: (1e12, None)})
    assert "without memory >= 1e+12" in str(caught.value)


def test_a_flat_optimum_is_said():
    flat = {"E": 1.8, "A": 400.0, "B": 400.0, "alpha": 0.02, "beta": 0.02}
    flat = replace(CLOSED, params=flat)
    notes = {note.code: note for note in sf.allocate(flat, 1e21).notes}
    assert notes["flat_optimum"].details["waste_of_doubling"] == pytest.approx(0.0096, abs=1e-4)
    general = replace(flat, law=additive)
    notes = {note.code: note for note in sf.allocate(general, 1e21).notes}
    assert notes["flat_optimum"].details["waste_of_doubling"] == pytest.approx(0.0096, abs=2e-4)
    assert "flat_optimum" not in [note.code for note in sf.allocate(CLOSED, 1e21).notes]


# Regions, waste, multipliers


@pytest.mark.parametrize("fit", [CLOSED, GENERAL], ids=["closed", "general"])
def test_a_region_by_overhead_ends_where_the_overhead_does(fit):
    region = sf.near_optimal(fit, [1e21, 1e24], overhead=0.05)
    p = CLOSED.params
    for end in (region.low, region.high):
        np.testing.assert_allclose(
            overhead(end / region.best.N, p["alpha"], p["beta"]), 0.05, rtol=1e-7
        )
    spent = 6 * region.low * region.tokens_low
    np.testing.assert_allclose(spent, 1.05 * region.best.flops, rtol=1e-9)
    assert (region.low < region.best.N).all() and (region.high > region.best.N).all()
    assert list(region.to_frame()["span"]) == list(region.high / region.low)
    assert "at most 5.00 % more cost" in region.summary() and "<table" in region._repr_html_()


def test_losses_of_a_law_that_turns_far_outside_its_runs_are_inverted():
    """Farseer's surface, with what a fit of its published runs gives."""
    values = {"E": 0.44649, "B": 103.78, "beta": 0.29586, "e": -0.11164, "b": -0.83436}
    values |= {"c": -0.157, "p": 0.050886, "q": -0.16756, "r": 0.0078785}
    domain = {"N": (1e8, 6.4e9), "D": (1e9, 5.1e11), "D/N": (0.314, 2570.0), "6ND": (1e18, 3e21)}
    fit = replace(CLOSED, law=sf.laws.farseer, params=values, domain=domain)
    there = sf.allocate(fit, [1e20, 1e22])
    back = sf.allocate(fit, loss=there.loss)
    np.testing.assert_allclose(back.budget, there.budget, rtol=1e-9)
    share = sf.deadweight(fit, [1e9, there.N[0]], [1e11, there.D[0]]).share
    assert 0.1 < share[0] < 0.3 and abs(share[1]) < 1e-9


def test_a_region_by_loss_ends_where_the_loss_does():
    region = sf.near_optimal(CLOSED, 1e24, within=0.01)
    for N, D in ((region.low, region.tokens_low), (region.high, region.tokens_high)):
        assert 6 * N * D == pytest.approx(1e24, rel=1e-9)
        assert float(CLOSED.predict(N=N, D=D)) == pytest.approx(region.best.loss + 0.01, rel=1e-9)
    with pytest.raises(sf.errors.AllocationError, match="ensemble"):
        region.estimate("low")


def test_a_region_without_end_says_so():
    region = sf.near_optimal(CLOSED, 1e24, within=1e5)
    assert "region_open" in [note.code for note in region.notes]


def test_deadweight_is_the_closed_forms():
    rng = np.random.default_rng(2)
    N, D = np.exp(rng.uniform(20, 26, 50)), np.exp(rng.uniform(22, 30, 50))
    expected = deadweight_share(CLOSED.params, N, D)
    np.testing.assert_allclose(sf.deadweight(CLOSED, N, D).share, expected, atol=1e-10)
    general = sf.deadweight(replace(GENERAL, domain={}), N, D)
    np.testing.assert_allclose(general.share, expected, atol=1e-10)
    np.testing.assert_allclose(general.wasted, expected * 6 * N * D, rtol=1e-7)


def test_deadweight_in_hours_and_dollars():
    D = 3.34535e13
    surface = replace(CLOSED, params=sf.simulation.SURFACES["chinchilla"])
    waste = sf.deadweight(surface, 3.8e25 / (6 * D), D)
    # Czech et al. 2026: 0.447 percent; 190,925 dollars at the dense peak.
    assert waste.share == pytest.approx(0.00447, abs=5e-6)
    assert waste.usd("H100 SXM bf16") == pytest.approx(190_925, rel=1e-3)
    assert waste.hours("H100 SXM bf16") == pytest.approx(190_925 / 2, rel=1e-3)
    with pytest.raises(sf.errors.AllocationError, match="need hardware"):
        waste.usd()


def test_multiplier_is_the_ratio_of_budgets_of_equal_loss():
    better = replace(CLOSED, params={**CLOSED.params, "A": 400.0})
    found = sf.compute_multiplier(better, CLOSED, [1e21, 1e24]).value
    for C, value in zip([1e21, 1e24], found, strict=True):
        loss = float(sf.allocate(better, C).loss)
        assert value == pytest.approx(least_flops(CLOSED.params, loss) / C, rel=1e-10)
    assert (found > 1).all()
    general = replace(CLOSED, law=additive)
    np.testing.assert_allclose(
        sf.compute_multiplier(better, general, [1e21, 1e24]).value, found, rtol=1e-8
    )
    assert sf.compute_multiplier(CLOSED, CLOSED, 1e22).value == pytest.approx(1, rel=1e-12)
    lower = replace(CLOSED, params={**CLOSED.params, "E": 1.0})
    with pytest.raises(sf.errors.AllocationError, match="no budget reaches"):
        sf.compute_multiplier(lower, CLOSED, 1e24)


@sf.law(source="the additive law, its data term times a column of the recipe")
def of_recipe(
    N,
    D,
    q,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A N^-alpha + B q D^-beta"""
    return E + A * N**-alpha + B * q * D**-beta


def test_multiplier_holds_columns_of_each_recipe():
    budgets, recipe = np.array([1e21, 1e24]), replace(CLOSED, law=of_recipe)
    half = replace(CLOSED, params={**CLOSED.params, "B": 0.5 * CLOSED.params["B"]})
    found = sf.compute_multiplier(
        recipe, recipe, budgets, fixed={"q": 0.5}, fixed_baseline={"q": 1.0}
    )
    # The same surfaces in closed form.
    np.testing.assert_allclose(
        found.value, sf.compute_multiplier(half, CLOSED, budgets).value, rtol=1e-7
    )
    same = sf.compute_multiplier(recipe, recipe, budgets, fixed={"q": 0.5})
    np.testing.assert_allclose(same.value, 1.0, rtol=1e-9)
    each = sf.compute_multiplier(
        recipe, recipe, 1e21, fixed={"q": np.array([0.5, 1.0])}, fixed_baseline={"q": 1.0}
    )
    np.testing.assert_allclose(each.value, [found.value[0], 1.0], rtol=1e-9)
    with pytest.raises(sf.errors.AllocationError, match="'q' is neither free nor fixed"):
        sf.compute_multiplier(recipe, recipe, 1e21)


def test_multiplier_of_two_fits_is_shown_without_an_interval():
    better = replace(CLOSED, params={**CLOSED.params, "A": 400.0})
    one = sf.compute_multiplier(better, CLOSED, 1e21)
    assert repr(one) == f"<Estimate {one.value:.5g}, no draws>"
    assert str(one) == f"Estimate of a fit alone, without draws\n{one.value:.5g}"
    assert list(one.to_frame()) == ["value"]
    several = sf.compute_multiplier(better, CLOSED, [1e21, 1e24])
    assert repr(several) == "<Estimate of shape (2,), no draws, 2 warnings>"
    for ask_of in (one.interval, lambda: one.se):
        with pytest.raises(sf.errors.DataError, match=r"no draws.*bootstrap\(fit, runs\)"):
            ask_of()


@pytest.fixture(scope="module")
def recipes():
    """Two recipes on the same sizes and seeds: most of their noise is common."""
    design = sf.simulation.isoflop_design(points=7)
    noise = np.random.default_rng(5).standard_normal(len(design))
    own = np.random.default_rng(6).standard_normal((2, len(design)))
    tables = []
    for i, A in enumerate((380.0, 406.4)):
        params = sf.simulation.SURFACES["chinchilla"] | {"A": A}
        exact = sf.simulate(design, params=params, noise=0.0)
        tables.append(exact.assign(loss=exact["loss"] * np.exp(4e-3 * noise + 4e-4 * own[i])))
    return tables


def test_pairs_cancel_what_recipes_have_in_common(recipes):
    first, second = (
        sf.bootstrap(sf.fit(table), table, n_draws=200, seed=9, progress=False) for table in recipes
    )
    paired = sf.compute_multiplier(first, second, 1e20, paired=True)
    other = sf.bootstrap(sf.fit(recipes[1]), recipes[1], n_draws=200, seed=10, progress=False)
    alone = sf.compute_multiplier(first, other, 1e20)
    assert np.std(paired.draws) < 0.35 * np.std(alone.draws)
    low, high = paired.interval(0.95)
    assert low < paired.value < high
    with pytest.raises(sf.errors.AllocationError, match="not paired"):
        sf.compute_multiplier(first, other, 1e20, paired=True)
    with pytest.raises(sf.errors.AllocationError, match="one recipe is an ensemble"):
        sf.compute_multiplier(first, second.fit, 1e20)
    region = sf.near_optimal(first, 1e20, overhead=0.05)
    ends = region.estimate("low").interval()
    assert ends[0] < region.low < ends[1]
    share = sf.deadweight(first, 1e8, 1e20 / 6e8).estimate("share")
    assert share.draws.shape == (200,) and (share.draws > 0).all()
    best = sf.allocate(first, loss=3.0)
    budget = best.estimate("budget").interval()
    assert budget[0] < best.budget < budget[1]
    assert {"flops_low", "flops_high"} <= set(best.to_frame().columns)
