"""Published coefficients beside fits: whose objective is lower, on public and simulated runs."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.errors import ArgumentError, DataError
from scalefit.objective import Objective
from scalefit.validation.coefficient_units import converted
from scalefit.validation.likelihood_ratio import likelihood_ratio

# What simulated losses are drawn around.
TRUE = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
SQUARES = {"residual": "raw", "robust": "none"}


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.004, seed=2)


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, robust="none")


# Public runs


@pytest.fixture(scope="module")
def epoch(data_folder):
    return pd.read_csv(data_folder / "chinchilla_epoch.csv")


def test_the_headline_fit_of_besiroglu_is_on_the_way_to_the_optimum(epoch):
    """Their grid search ends at 0.00101827403, half a percent below their headline."""
    rows = {"keep": "besiroglu_keep == 1"}
    fit = sf.fit(epoch, **rows)
    found = sf.compare_published(fit, epoch, "besiroglu", **rows)
    assert found.value == pytest.approx(0.00102284, abs=5e-9)
    assert found.fit.objective_value == pytest.approx(0.0010182740178, abs=5e-14)
    assert (found.lower, found.published_is) == ("fit", "on the way")
    assert found.local_value == pytest.approx(fit.objective_value, rel=1e-9)
    assert found.in_joint_region()
    frame = found.to_frame()
    assert frame["inside"].all()
    # The exponent is beta / (alpha + beta).
    shares = [0.3658 / (0.3478 + 0.3658), fit["beta"] / (fit["alpha"] + fit["beta"])]
    assert list(frame.loc["d ln N*/d ln C", ["published", "fitted"]]) == pytest.approx(shares)


def test_the_likelihood_ratio_against_hoffmann_is_that_of_the_replication(epoch):
    """84.0 by Besiroglu et al. 2024, whose noise is double exponential all but 5e-9 wide."""
    rows = {"keep": "besiroglu_keep == 1"}
    fit = sf.fit(epoch, robust="l1", **rows)
    found = sf.compare_published(fit, epoch, "hoffmann_unrounded", **rows)
    assert found.likelihood_ratio == pytest.approx(84.0, abs=0.05)
    assert found.in_joint_region() is False


def test_published_decay_of_repeated_data_is_at_another_minimum(data_folder):
    table = pd.read_csv(data_folder / "datablations.csv")
    stated = sf.published("data_constrained").params
    stage_1 = {name: stated[name] for name in ("E", "A", "B", "alpha", "beta", "N_1")}
    rows = {"keep": "paper_fit == 1", "U": "unique_tokens"}
    fit = sf.fit(table, "data_constrained", fixed=stage_1, **rows)
    found = sf.compare_published(fit, table, "muennighoff", **rows)
    assert found.value == pytest.approx(0.0158259, abs=5e-8)
    assert fit.objective_value == pytest.approx(0.0158047, abs=5e-8)
    assert (found.lower, found.published_is) == ("fit", "at another minimum")
    assert found.local["R_D"] == pytest.approx(15.3718, rel=1e-4)
    assert found.local_value == pytest.approx(0.015825932069, rel=1e-9)
    assert "published_other_minimum" in {note.code for note in found.notes}


def test_scaled_units_are_converted(data_folder):
    """Least squares of ml-scalefit, published in millions of parameters and 1e9 tokens."""
    table = pd.read_csv(data_folder / "chinchilla_scalefit.csv")
    rows = {"keep": "fit_c_lt_1e21 == 1"}
    printed = {"E": 1.9051, "A": 4.0005, "B": 1.0509, "alpha": 0.3511, "beta": 0.4587}
    fit = sf.fit(table, **SQUARES, **rows)
    found = sf.compare_published(fit, table, printed, units={"N": 1e6, "D": 1e9}, **rows)
    assert found.published["A"] == pytest.approx(4.0005 * 1e6**0.3511, rel=1e-9)
    assert found.published["B"] == pytest.approx(1.0509 * 1e9**0.4587, rel=1e-9)
    assert fit.objective_value == pytest.approx(0.062414, abs=5e-7)
    # What rounding to four decimals costs.
    assert 0 < found.relative_excess < 5e-5


# Simulated runs


def test_the_optimum_itself_is_neither_lower_nor_higher(fit, runs):
    found = sf.compare_published(fit, runs, dict(fit.params))
    assert (found.lower, found.published_is) == ("neither", "the optimum")
    assert (found.excess, found.likelihood_ratio) == (0.0, 0.0)
    assert found.source == "given by name"
    assert "are the optimum" in found.verdict()


def test_the_ratio_of_squares_is_that_of_normal_noise(fit, runs):
    found = sf.compare_published(fit, runs, TRUE)
    squares = np.sum((np.log(runs["loss"]) - np.log(sf.laws.chinchilla.evaluate(runs, TRUE))) ** 2)
    assert found.value == pytest.approx(squares, rel=1e-12)
    expected = len(runs) * np.log(squares / fit.objective_value)
    assert found.likelihood_ratio == pytest.approx(expected, rel=1e-10)
    frame = found.to_frame()
    assert list(frame["inside"]) == list(
        (frame["low"] <= frame["published"]) & (frame["published"] <= frame["high"])
    )


def test_a_point_below_a_fit_that_was_held_back_is_said(runs):
    held = sf.fit(runs, robust="none", fixed={"E": 0.5})
    found = sf.compare_published(held, runs, TRUE)
    assert (found.lower, found.published_is) == ("published", "lower")
    assert [note.code for note in found.notes][:1] == ["published_lower"]
    assert "published coefficients have the lower objective" in found.summary()


def test_what_has_no_logarithm_is_infinitely_worse(fit, runs):
    found = sf.compare_published(fit, runs, {**TRUE, "E": -9.0})
    assert found.value == found.likelihood_ratio == math.inf
    assert found.lower == "fit"
    assert "no residual" in found.verdict()


def test_draws_give_the_intervals(fit, runs):
    draws = sf.bootstrap(fit, runs, 30, progress=False)
    found = sf.compare_published(draws, runs, "hoffmann")
    expected = draws.conf_int().loc["alpha", ["low", "high"]]
    assert list(found.to_frame().loc["alpha", ["low", "high"]]) == list(expected)


def test_few_runs_have_no_intervals(runs):
    few = runs.iloc[[0, 3, 9, 17, 22, 28]]
    fit = sf.fit(few, "chinchilla_tied", robust="none")
    found = sf.compare_published(fit, few, "muennighoff")
    assert found.intervals is None
    assert found.to_frame()["inside"].isna().all()
    assert "published_no_interval" in {note.code for note in found.notes}


def test_the_huber_ratio_maximises_its_own_likelihood():
    """By numerical integration of the density."""
    objective, n = Objective("log", "huber", 1e-3), 50
    values = (2e-4, 3e-4)

    def minus_log(ln_scale, value):
        scale = np.exp(ln_scale)

        def density(r):
            huber = r**2 / 2 if r <= 1e-3 else 1e-3 * (r - 5e-4)
            return np.exp(-huber / scale)

        whole = 2 * (quad(density, 0, 1e-3)[0] + quad(density, 1e-3, 0.5, limit=200)[0])
        return value / scale + n * np.log(whole)

    least = [minimize_scalar(minus_log, (-13, -11), args=(value,)).fun for value in values]
    found = likelihood_ratio(objective, *values, np.ones(n))
    assert found == pytest.approx(2 * (least[1] - least[0]), rel=1e-6)


def test_no_likelihood_no_ratio():
    rows = np.ones(9)
    assert math.isnan(likelihood_ratio(Objective("log", "asymmetric"), 1.0, 2.0, rows))
    assert math.isnan(likelihood_ratio(Objective(), 1.0, 2.0, np.arange(1.0, 10.0)))
    known = Objective("log", "none", sigma=0.01)
    assert likelihood_ratio(known, 1.0, 2.5, rows) == 1.5


# Refusals


def test_coefficients_of_another_law_or_too_few_are_refused(fit, runs):
    with pytest.raises(ArgumentError, match="are of 'chinchilla_tied'"):
        sf.compare_published(fit, runs, sf.published("chinchilla_tied"))
    with pytest.raises(ArgumentError, match="lack B, alpha, beta"):
        sf.compare_published(fit, runs, {"E": 1.7, "A": 400.0})
    with pytest.raises(ArgumentError, match="published"):
        sf.compare_published(fit, runs, 3)
    with pytest.raises(ArgumentError, match="no column 'P'"):
        sf.compare_published(fit, runs, TRUE, units={"P": 2.0})


def test_a_coefficient_that_the_fit_lacks_is_refused(fit, runs):
    with pytest.raises(ArgumentError, match="published has gamma"):
        sf.compare_published(fit, runs, {**TRUE, "gamma": 0.3})


def test_an_exponent_of_the_other_sign_is_noted(fit, runs):
    found = sf.compare_published(fit, runs, {**TRUE, "alpha": -0.34})
    note = next(note for note in found.notes if note.code == "published_outside_bounds")
    assert "alpha = -0.34" in note.message and "beta" not in note.message.partition(")")[0]
    within = sf.compare_published(fit, runs, TRUE)
    assert "published_outside_bounds" not in {note.code for note in within.notes}


def test_a_table_in_other_units_is_refused(runs):
    small = runs.assign(N=runs["N"] / 1e6, D=runs["D"] / 1e9)
    fit = sf.fit(small, robust="none")
    with pytest.raises(DataError, match="other units"):
        sf.compare_published(fit, small, "hoffmann")
    found = sf.compare_published(fit, small, "hoffmann", units={"N": 1e-6, "D": 1e-9})
    raw = sf.compare_published(sf.fit(runs, robust="none"), runs, "hoffmann")
    assert found.value == pytest.approx(raw.value, rel=1e-9)


def test_a_law_that_divides_by_a_constant_is_not_converted(runs):
    fit = sf.fit(runs, "chinchilla_outer", robust="none")
    with pytest.raises(DataError, match="no coefficients that say the same"):
        sf.compare_published(fit, runs, "busbridge", units={"N": 1e6})


@pytest.mark.parametrize(
    ("law", "same"), [("chinchilla", {"N": 1e9}), ("repetition_penalty", {"U": 1e12})]
)
def test_coefficients_that_the_rows_do_not_tell_apart_are_not_converted(law, same):
    """Of one N the split of E and A is any; without repetition the penalty's size is."""
    law = sf.laws.find(law)
    params = {item.name: item.kind.example for item in law.params}
    size, tokens = (item.ravel() for item in np.meshgrid([1e8, 1e9], np.geomspace(1e9, 1e11, 8)))
    columns = {"N": size, "D": tokens} | {
        name: np.full(size.size, value) for name, value in same.items()
    }
    with pytest.raises(DataError, match="do not tell"):
        converted(law, params, {"D": 1e6}, columns)
