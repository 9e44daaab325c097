"""Approach 2 without noise: the numbers of Czech et al. 2026, arXiv 2603.22339."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.allocation import COSTS, product
from scalefit.approach2 import vertex_fits

BUDGETS = np.geomspace(1e17, 1e21, 5)
WIDTHS = {"XS": 2.0, "S": 4.0, "L": 8.0, "XL": 16.0}
DESIGNS = {"centred": {}, "offset": {"offset": 3.0}, "drift": {"drift": 3.0}}

# Relative error of D* at 1e24 FLOP, percent, by width.
ERRORS = {
    ("symmetric", "centred"): (0, 0, 0, 0),
    ("chinchilla", "centred"): (-0.33, -1.30, -2.90, -5.10),
    ("asymmetric", "centred"): (-1.67, -6.50, -13.91, -23.12),
    ("symmetric", "offset"): (3.97, 3.47, 2.65, 1.51),
    ("chinchilla", "offset"): (7.11, 5.69, 3.38, 0.24),
    ("asymmetric", "offset"): (19.22, 14.41, 6.96, -2.42),
    ("symmetric", "drift"): (6.07, 5.17, 3.70, 1.69),
    ("chinchilla", "drift"): (11.61, 9.83, 6.94, 3.05),
    ("asymmetric", "drift"): (34.57, 30.04, 22.97, 14.00),
}

# log10 D* = b log10 C + b0 on XL: b0, true and inferred.
INTERCEPTS = {
    "symmetric": (-0.389076, -0.389076),
    "chinchilla": (-0.555357, -0.578092),
    "asymmetric": (-1.345791, -1.459957),
}

OTHERS = {
    "soda": {"E": 3.169, "A": 215886.0, "B": 4750.0, "alpha": 0.684, "beta": 0.439},
    "sparse_nmm": {"E": 2.158, "A": 381773.0, "B": 4659.0, "alpha": 0.71, "beta": 0.372},
    "llama3": {"E": 0.6047, "A": 59.1, "B": 155.1, "alpha": 0.3100, "beta": 0.3136},
}


def best(surface, flops):
    p = sf.simulation.SURFACES.get(surface) or OTHERS[surface]
    G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    N = G * (flops / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
    return N, flops / 6 / N


def sweep(surface, budgets=BUDGETS, **design):
    p = sf.simulation.SURFACES.get(surface) or OTHERS[surface]
    return sf.simulate(
        sf.simulation.isoflop_design(budgets, surface=p, **design), params=p, noise=0.0
    )


@pytest.mark.parametrize(("surface", "design"), ERRORS, ids="-".join)
def test_extrapolated_tokens_are_wrong_by_the_percents_of_the_paper(surface, design):
    found = [
        100 * (sf.isoflop(sweep(surface, width=width, **DESIGNS[design])).at(1e24).D - D) / D
        for width in WIDTHS.values()
        for _, D in [best(surface, 1e24)]
    ]
    np.testing.assert_allclose(found, ERRORS[surface, design], atol=0.00501)


@pytest.mark.parametrize("surface", INTERCEPTS)
def test_centred_sweeps_bias_the_intercept_and_not_the_exponent(surface):
    found = sf.isoflop(sweep(surface, width=16.0))
    p = sf.simulation.SURFACES[surface]
    np.testing.assert_allclose(found.d_exponent, p["alpha"] / (p["alpha"] + p["beta"]), rtol=1e-10)
    np.testing.assert_allclose(found.n_exponent + found.d_exponent, 1, rtol=1e-12)
    true = np.log10(best(surface, 1e24)[1]) - found.d_exponent * 24
    inferred = found.d_law.intercept / np.log(10)
    np.testing.assert_allclose((true, inferred), INTERCEPTS[surface], atol=5.01e-7)


@pytest.mark.parametrize("surface", ["symmetric", "chinchilla", "asymmetric"])
@pytest.mark.parametrize(("width", "points"), [(1.05, 5), (2.0, 15), (8.0, 4), (16.0, 15)])
def test_the_closed_form_is_what_simulation_gives(surface, width, points):
    p = sf.simulation.SURFACES[surface]
    shift = sf.approach2.parabola_shift(p["alpha"], p["beta"], width, points)
    # Scaled to order one: losses near 2 would leave 1e-13 of the narrowest curvature.
    p = {**p, "E": 0.0}
    runs = sf.simulate(
        sf.simulation.isoflop_design(BUDGETS, points=points, width=width, surface=p),
        params=p,
        noise=0.0,
    )
    found = sf.isoflop(runs).budgets
    N, D = best(surface, BUDGETS)
    np.testing.assert_allclose(np.log10(found["N"] / N), shift, atol=1e-10)
    np.testing.assert_allclose(np.log10(found["D"] / D), -shift, atol=1e-10)


def test_the_closed_form_broadcasts_and_is_zero_for_equal_exponents():
    found = sf.approach2.parabola_shift([0.3, 0.34], 0.3, [[4.0], [16.0]])
    assert found.shape == (2, 2)
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-15)
    assert (found[:, 1] > 0).all() and found[1, 1] > found[0, 1]


@pytest.mark.parametrize(
    ("surface", "true", "inferred", "exponent", "digits"),
    [
        ("chinchilla", 2.96665e13, 3.34535e13, 0.44393, 5e-6),
        ("soda", 2.87585e13, 4.20783e13, 0.36656, 5e-6),
        ("sparse_nmm", 1.76482e14, 2.72332e14, 0.31598, 5e-6),
        # The surface is published with four digits.
        ("llama3", 1.0188e13, 1.0836e13, None, 5e-3),
    ],
)
def test_drifting_sweeps_of_published_surfaces(surface, true, inferred, exponent, digits):
    runs = sweep(surface, np.geomspace(1e18, 1e22, 5), width=2.0, drift=3.0)
    np.testing.assert_allclose(best(surface, 3.8e25)[1], true, rtol=digits)
    found = sf.isoflop(runs)
    np.testing.assert_allclose(found.at(3.8e25).D, inferred, rtol=digits)
    if exponent is not None:
        np.testing.assert_allclose(found.n_exponent, exponent, atol=5.01e-6)


def test_design_bias_is_approach_2_against_allocate():
    design = sf.simulation.isoflop_design(BUDGETS, width=16.0, drift=3.0)
    fit = sf.published("chinchilla", "hoffmann")
    bias = sf.approach2.design_bias(fit, design[["N", "D"]], [1e22, 1e24])
    np.testing.assert_allclose(100 * bias.target["D_error"][1], 3.05, atol=0.00501)
    plain = sf.isoflop(sf.simulate(design, noise=0.0))
    np.testing.assert_allclose(bias.budgets["N"], plain.budgets["N"], rtol=1e-9)
    np.testing.assert_allclose(bias.target["N"], plain.at([1e22, 1e24]).N, rtol=1e-9)
    np.testing.assert_allclose(bias.budgets["N_true"], best("chinchilla", BUDGETS)[0], rtol=1e-9)
    np.testing.assert_allclose(bias.n_exponent, plain.n_exponent, rtol=1e-9)
    # The lowest budget is centred: the closed form is its error.
    shift = sf.approach2.parabola_shift(0.34, 0.28, 16.0)
    np.testing.assert_allclose(bias.budgets["N_error"][0], 10**shift - 1, rtol=1e-8)
    assert "Extrapolated" in bias.summary() and "<table" in bias._repr_html_()
    with pytest.raises(sf.errors.DataError, match="Give an ensemble"):
        bias.estimate("D_error")


def test_design_bias_of_an_ensemble_is_that_of_every_draw():
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.003, seed=4)
    draws = sf.covariance(sf.fit(runs), runs).draws(6, seed=1)
    bias = sf.approach2.design_bias(draws, runs, 1e24)
    assert bias.draws["D_error"].shape == (6, 1)
    (low,), (high,) = bias.estimate("D_error").interval()
    assert low < high
    for i in range(6):
        p = {name: float(values[i]) for name, values in draws.drawn.items()}
        exact = sf.simulate(runs[["N", "D", "C"]], params=p, noise=0.0)
        D = sf.isoflop(exact).at(1e24).D
        true = best_of(p, 1e24)
        np.testing.assert_allclose(bias.draws["D_error"][i, 0], D / true - 1, rtol=1e-6)


def best_of(p, flops):
    G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    return (flops / 6) ** (p["alpha"] / (p["alpha"] + p["beta"])) / G


def test_design_bias_takes_any_law_of_n_and_d():
    runs = sweep("chinchilla", points=7)
    fit = sf.fit(runs, "chinchilla_tied")
    bias = sf.approach2.design_bias(fit, runs, 1e24)
    # Tied exponents: symmetric about the optimum, so that centring is all that is left.
    truth = sf.allocate(fit, bias.budgets["budget"])
    np.testing.assert_allclose(bias.budgets["D_true"], truth.D)
    assert np.isfinite(bias.target["D_error"]).all()


def test_design_bias_groups_by_the_tables_budgets_and_counts_by_the_cost():
    runs = sweep("asymmetric", width=8.0)
    fit = sf.published("chinchilla", "hoffmann")
    # Budgets by name that 6ND disagrees with in every run: still five sweeps.
    odd = runs[["N", "D"]].assign(C=runs["C"] * 3)
    one, two = (sf.approach2.design_bias(fit, table, 1e24) for table in (runs, odd))
    np.testing.assert_allclose(one.target["D_error"], two.target["D_error"], rtol=1e-9)
    seven = product(7.0, source="a test")
    other = sf.approach2.design_bias(fit, runs, 1e24, cost=seven)
    np.testing.assert_allclose(other.budgets["budget"], BUDGETS * 7 / 6)
    np.testing.assert_allclose(other.budgets["D_error"], one.budgets["D_error"], rtol=1e-8)


def test_design_bias_without_two_budgets_says_so():
    runs = sweep("chinchilla", points=7)
    fit = sf.published("chinchilla", "hoffmann")
    with pytest.raises(sf.errors.DataError, match="1 of 1 budgets"):
        sf.approach2.design_bias(fit, runs[runs["C"] == runs["C"].min()], 1e24)


def test_designs_move_their_centres():
    base = sf.simulation.isoflop_design(BUDGETS, points=1)
    moved = sf.simulation.isoflop_design(BUDGETS, points=1, offset=2.0, drift=3.0)
    np.testing.assert_allclose(base["N"] / moved["N"], 2 * 3 ** np.linspace(0, 1, 5))
    np.testing.assert_allclose(COSTS["6ND"](moved["N"], moved["D"]), BUDGETS)
    with pytest.raises(sf.errors.ArgumentError, match="offset=0"):
        sf.simulation.isoflop_design(offset=0.0)


def test_the_kernel_reaches_the_table_in_one_batch():
    N, D, loss = [], [], []
    for width in WIDTHS.values():
        runs = sweep("asymmetric", width=width, drift=3.0)
        for held, name in ((N, "N"), (D, "D"), (loss, "loss")):
            held.append(runs[name].to_numpy().reshape(5, 15))
    found = vertex_fits(BUDGETS, np.stack(N), np.stack(D), np.stack(loss))
    errors = 100 * (found.d_law.at(1e24) / best("asymmetric", 1e24)[1] - 1)
    np.testing.assert_allclose(errors, ERRORS["asymmetric", "drift"], atol=0.00501)
