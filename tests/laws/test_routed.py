"""Routed models: published tables, and fits of Clark et al.'s public runs."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.laws.factors import saturating_experts

# Ludziejewski et al. 2025: the joint law, and the Chinchilla law that it is for each E (table 1).
JOINT = sf.published("joint_moe").params
BY_EXPERTS = {
    1: (30.3640, -0.1817, 53.9838, -0.1965),
    2: (27.7982, -0.1780, 66.8401, -0.2065),
    4: (24.8462, -0.1731, 87.7022, -0.2192),
    8: (21.8330, -0.1676, 119.9126, -0.2338),
    16: (19.0159, -0.1617, 167.5073, -0.2494),
    32: (16.5424, -0.1557, 234.6726, -0.2652),
}
# Krajewski et al. 2024, mixtures of experts.
FINE = sf.published("fine_grained_moe").params


def test_effective_experts_of_the_joint_law():
    experts = np.array([1, 2, 4, 8, 16, 32])
    found = saturating_experts(experts, JOINT["E_start"], JOINT["E_max"])
    expected = [2.0732, 3.0556, 5.0005, 8.8124, 16.1386, 29.7042]
    np.testing.assert_allclose(found, expected, rtol=5e-5)
    assert saturating_experts(1e12, 2.0732, 290.4521) == pytest.approx(290.4521, rel=1e-6)


@pytest.mark.parametrize("experts", BY_EXPERTS)
def test_joint_law_is_the_printed_chinchilla_law_at_each_number_of_experts(experts):
    m, mu, n, nu = BY_EXPERTS[experts]
    N, D = np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e12, 5)
    model = sf.laws.joint_moe.evaluate(
        {"N": N, "D": D, "experts": experts}, {**JOINT, "c": 0.0, "b": 0.0}
    )
    data = sf.laws.joint_moe.evaluate(
        {"N": N, "D": D, "experts": experts}, {**JOINT, "c": 0.0, "a": 0.0}
    )
    # The coefficients are printed to four digits of exponents: 0.0001 in 23 e-folds of N.
    slope, size = np.polyfit(np.log(N), np.log(model), 1)
    assert slope == pytest.approx(mu, abs=2e-4)
    assert np.exp(size) == pytest.approx(m, rel=3e-3)
    slope, size = np.polyfit(np.log(D), np.log(data), 1)
    assert slope == pytest.approx(nu, abs=2e-4)
    assert np.exp(size) == pytest.approx(n, rel=3e-3)


@pytest.mark.parametrize(
    ("flops", "experts", "N", "D"),
    [
        (1e20, 1, 1.7e9, 9.7e9),
        (1e20, 8, 990e6, 17e9),
        (1e20, 32, 669e6, 24.9e9),
        (1e22, 1, 18.8e9, 88.6e9),
        (1e22, 32, 12.2e9, 136.9e9),
    ],
)
def test_joint_law_gives_the_printed_compute_optimal_models(flops, experts, N, D):
    def loss(log_n):
        size = np.exp(log_n)
        return float(
            sf.laws.joint_moe.evaluate(
                {"N": size, "D": flops / (6 * size), "experts": experts}, JOINT
            )
        )

    best = np.exp(minimize_scalar(loss, bounds=(np.log(1e8), np.log(1e11)), method="bounded").x)
    assert best == pytest.approx(N, rel=0.025)
    assert flops / (6 * best) == pytest.approx(D, rel=0.025)


# FLOP, then G, tokens and loss of the compute-optimal model (their table 2).
OPTIMAL = {
    2.95e18: (8, 4.37e9, 3.133),
    1.93e20: (16, 28.94e9, 2.491),
    6.46e21: (32, 137.6e9, 2.076),
    4.97e25: (64, 7.94e12, 1.367),
}


@pytest.mark.parametrize("flops", OPTIMAL)
def test_granularity_of_the_compute_optimal_mixture(flops):
    """64 experts, width 64 per block, 6 FLOP per active parameter and 14 per routing one."""

    def loss(log_blocks, granularity):
        blocks = np.exp(log_blocks)
        width = 64 * blocks
        each = 12 * width**2 * 6 + 14 * width * 64 * granularity
        size, tokens = width**2 * (8 * 64 + 4) * blocks, flops / (each * blocks)
        columns = {"N": size, "D": tokens, "granularity": granularity}
        return float(sf.laws.fine_grained_moe.evaluate(columns, FINE)), tokens

    found = {}
    for granularity in 2 ** np.arange(9):
        best = minimize_scalar(
            lambda x, G=granularity: loss(x, G)[0],
            bounds=(np.log(1), np.log(1e4)),
            method="bounded",
        )
        found[int(granularity)] = loss(best.x, granularity)
    granularity = min(found, key=found.get)
    expected, tokens, least = OPTIMAL[flops]
    assert granularity == expected
    assert found[granularity][1] == pytest.approx(tokens, rel=0.03)
    # The printed coefficients are rounded.
    assert found[granularity][0] == pytest.approx(least, abs=0.025)


# Clark et al. 2022: the configuration of their coefficients, and where routing stops helping.
CLARK = {"S-Base": ("s_base", 937e9), "RL-R": ("rl_r", 85e9), "Hash": ("hash", 83e9)}


@pytest.fixture(scope="module")
def routed_runs(data_folder):
    runs = pd.read_csv(data_folder / "routed_lm.csv")
    return runs.query("routing_frequency == 0.5 and topk == 1 and seed == 42")


@pytest.fixture(scope="module")
def references(data_folder):
    return json.loads((data_folder / "reference_fits.json").read_text())["routed_lm"]


@pytest.fixture(scope="module", params=CLARK)
def router(request):
    return request.param


def fit_of(runs, router, **options):
    chosen = runs[runs["router"].isin(["Dense", router])]
    return sf.fit(chosen, "routed", robust="none", **options)


def test_routed_runs_give_the_reference_optimum(routed_runs, references, agrees, router):
    expected = references[router]
    fit = fit_of(routed_runs, router)
    assert fit.nobs == expected["n"]
    squares = fit.objective_value / expected["n"] / np.log(10) ** 2
    listed = ("routed", f"{expected['n']} runs of Clark et al., {router}")
    agrees(*listed, "mean square of log10 L", squares, expected["objective"], rel=1e-9)
    wanted = dict(expected["params"])
    wanted["A"] = 10 ** wanted.pop("d")
    for name, value in wanted.items():
        assert fit.params[name] == pytest.approx(value, rel=2e-6), name
    assert fit.status is sf.Status.CONVERGED


def test_routed_runs_come_near_the_published_coefficients(routed_runs, agrees, router):
    fit = fit_of(routed_runs, router)
    params = fit.params
    configuration, cutoff = CLARK[router]
    printed = sf.published("routed", configuration).params
    for name, tolerance in {"a": 0.002, "b": 0.012, "c": 0.0015}.items():
        assert params[name] == pytest.approx(printed[name], abs=tolerance)
    assert np.log10(params["A"] / printed["A"]) == pytest.approx(0, abs=0.01)
    assert params["E_max"] == pytest.approx(printed["E_max"], rel=0.25)
    listed = ("routed", f"{fit.nobs} runs of Clark et al., {router}")
    quantity = "log10 of the size where routing stops helping (published)"
    agrees(*listed, quantity, -params["b"] / params["c"], np.log10(cutoff), abs=0.1)


def test_routing_stops_helping_at_the_cutoff():
    params = {"A": 12.7, "a": -0.082, "b": -0.108, "c": 0.009, "E_start": 1.847, "E_max": 314.5}
    columns = {"N": np.array([1e11, 1e12, 1e13]), "experts": np.array([[1], [512]])}
    one, many = sf.laws.routed.evaluate(columns, params)
    assert many[0] < one[0]
    assert many[1] == pytest.approx(one[1], rel=1e-12)
    assert many[2] > one[2]


@pytest.mark.parametrize("seed", range(1, 10))
def test_every_seed_finds_the_optimum_of_routed_runs(routed_runs, references, router, seed):
    expected = references[router]
    value = expected["objective"] * expected["n"] * np.log(10) ** 2
    assert fit_of(routed_runs, router, seed=seed).objective_value == pytest.approx(value, rel=1e-9)


def test_few_experts_say_little_about_saturation(routed_runs):
    """Up to 32 experts halve E_max, and leave the losses there what they were."""
    few = routed_runs[routed_runs["experts"] <= 32]
    whole, part = fit_of(routed_runs, "S-Base"), fit_of(few, "S-Base")
    assert part.params["E_max"] < 0.6 * whole.params["E_max"]
    chosen = few[few["router"].isin(["Dense", "S-Base"])]
    np.testing.assert_allclose(part.predict(chosen), whole.predict(chosen), rtol=0.007)


def test_leverage_of_fine_experts():
    """More than seven times at 1e22 FLOP, with the best granularity between 8 and 12."""
    fit = sf.published("efficiency_leverage")
    at = {"activation": 0.031, "C": 1e22}
    assert fit.predict(granularity=12, **at) == pytest.approx(7.245, abs=2e-3)
    best = 2 ** (-fit.params["beta"] / (2 * fit.params["gamma"]))
    assert best == pytest.approx(11.3, abs=0.05)
    for factor in (0.8, 1.25):
        assert fit.predict(granularity=factor * best, **at) < fit.predict(granularity=best, **at)


def test_saturation_is_not_found_from_up_to_32_experts():
    """E_max is noted, the coefficients trade off, and the losses are found all the same."""
    sizes, tokens = np.geomspace(5e7, 2e9, 5), np.geomspace(2e9, 1.3e11, 5)
    grid = np.array(np.meshgrid(sizes, tokens, [1, 2, 4, 8, 16, 32])).reshape(3, -1)
    design = pd.DataFrame(grid.T, columns=["N", "D", "experts"])
    runs = sf.simulate(design, "joint_moe", JOINT, noise=0.003)
    fit = sf.fit(runs, "joint_moe")
    assert {"weakly_identified", "at_bound"} <= {note.code for note in fit.notes}
    assert fit.diagnostics.at_bound == ("E_max",)
    exact = sf.laws.joint_moe.evaluate(design, JOINT)
    np.testing.assert_allclose(fit.predict(design), exact, rtol=0.005)
