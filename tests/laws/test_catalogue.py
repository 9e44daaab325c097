"""Every built-in law: documented, of the structure it should have, and found again by a fit."""

import inspect
import re
from functools import cache

import matplotlib.mathtext
import numpy as np
import pytest
from catalogue import ROWS

import scalefit as sf
from scalefit import laws
from scalefit.problem.separability import structure

NAMED = [pytest.param(row, id=row.law) for row in ROWS]
LAWS = [pytest.param(law, id=law.name) for law in laws.BUILTIN.values()]


@pytest.fixture(scope="module", params=NAMED)
def row(request):
    """Each row in turn, with all its tests: a law is traced once, and kept while it is on."""
    return request.param


@cache
def tables(name):
    """The table of a row without noise and with."""
    (row,) = (row for row in ROWS if row.law == name)
    law, design = laws.find(row.law), row.design()
    params = {name: _by_row(row, design, name) for name in law.names}
    exact = design.assign(**{law.response: law.evaluate(design, params)})
    normal = row.noise * np.random.default_rng(0).standard_normal(len(design))
    spread = normal if row.options.get("residual") == "raw" else exact[law.response] * normal
    return exact, exact.assign(**{law.response: exact[law.response] + spread})


def _by_row(row, design, name):
    """The true value of a parameter; of a grouped one, that of each row's level."""
    if name in row.truth:
        return row.truth[name]
    (param,) = (param for param in laws.find(row.law).params if param.name == name)
    (column,) = param.by
    return design[column].map(lambda level: row.truth[f"{name}[{level}]"]).to_numpy()


@cache
def fitted(name, noisy, seed=0):
    (row,) = (row for row in ROWS if row.law == name)
    return sf.fit(tables(name)[noisy], row.law, seed=seed, **row.options)


def beyond(fit, truth, tolerances):
    """Parameters that are farther off than they may be, with their relative error."""
    far = {name: abs(fit.params[name] / truth[name] - 1) for name in tolerances}
    return {name: error for name, error in far.items() if not error <= tolerances[name]}


def test_every_built_in_law_has_one_row():
    assert sorted(row.law for row in ROWS) == sorted(laws.BUILTIN)


# Documentation


@pytest.mark.parametrize("law", LAWS)
def test_the_docstring_says_what_everything_is(law):
    text = inspect.getdoc(law.function)
    lines = text.splitlines()
    assert "=" in lines[0] and lines[1] == "", "the first line is the formula"
    assert law.purpose.endswith("."), "the third line is one sentence: what the law is for"
    arguments = text.split("Args:\n")[1]
    for name in (*law.columns, *law.names):
        assert re.search(rf"^    (\w+, )*{name}(, \w+)*: \S", arguments, re.MULTILINE), name
    assert re.search(r"\d{4}\.\d{4,5}|\d{4}", law.source), "the source names a paper"


@pytest.mark.parametrize("law", LAWS)
def test_the_latex_renders(law):
    assert law.latex
    drawn = matplotlib.mathtext.MathTextParser("path").parse(f"${law.latex}$")
    assert drawn.width > 20


def test_the_table_lists_every_law_once():
    table = laws.table().to_frame()
    assert list(table["name"]) == list(laws.BUILTIN)
    assert set(table["family"]) == set(laws.FAMILIES)
    assert not table.drop(columns="also_known_as").map(lambda cell: cell == "").any(axis=None)
    assert table["name"].is_unique


# Structure


def test_the_linear_parameters_are_detected(row):
    law = laws.find(row.law)
    exact, _ = tables(row.law)
    fresh = sf.law(source="the same", response=law.response)(law.function)
    found = structure(fresh, {name: exact[name].to_numpy(float) for name in law.columns})
    assert found.linear == row.linear


# Recovery


@pytest.mark.slow
def test_a_table_without_noise_gives_the_law_back(row):
    exact, _ = tables(row.law)
    fit = fitted(row.law, False)
    observed = exact[fit.law.response]
    np.testing.assert_allclose(fit.predict(exact), observed, rtol=row.surface)
    assert beyond(fit, row.truth, row.exact) == {}


@pytest.mark.slow
def test_a_noisy_table_gives_the_law_back_within_its_spread(row):
    _, noisy = tables(row.law)
    fit = fitted(row.law, True)
    assert fit.status is sf.Status.CONVERGED
    truth = sf.laws.find(row.law)
    at_truth = tables(row.law)[0][truth.response]
    np.testing.assert_allclose(fit.predict(noisy), at_truth, rtol=4 * row.noise)
    assert beyond(fit, row.truth, row.near) == {}


def test_what_a_table_does_not_identify_is_noted(row):
    fit = fitted(row.law, True)
    codes = {note.code for note in fit.notes}
    assert ("weakly_identified" in codes) == row.weak
    assert fit.verdict.level == "good" and not {"poor_fit", "high_leverage"} & codes
    assert fit.diagnostics.at_bound == row.at_bound
    assert (fit.diagnostics.search == "scattered") == row.seeds
    for name in row.near:
        assert name not in row.at_bound


@pytest.mark.slow
def test_every_seed_finds_the_same_optimum(row):
    first = fitted(row.law, True)
    # A grid does not depend on the seed: one says as much as four.
    for seed in range(1, 5) if row.seeds else (1,):
        other = fitted(row.law, True, seed)
        assert other.objective_value == pytest.approx(first.objective_value, rel=1e-7), seed


# Designs that docstrings warn of: rows kept of the row's table, and what the fit then says.
POOR = {
    "chinchilla_overtrained": ("M == 20", "weakly_identified", ()),
    "low_precision": ("P >= 8", "at_bound", ("n",)),
    "routed": ("experts <= 32", "at_bound", ("E_max",)),
    "rectified_finetuning": ("D < 30000", "weakly_identified", ()),
    "shifted_power": ("x < 200000", "weakly_identified", ("E", "x0")),
    "stretched_exponential": ("x < 300000", "weakly_identified", ()),
    "width_depth": ("25 < width / depth < 50", "weakly_identified", ("E",)),
}


@pytest.mark.parametrize("law", POOR)
def test_a_design_that_the_docstring_warns_of_is_noted(law):
    kept, note, at_bound = POOR[law]
    (row,) = (row for row in ROWS if row.law == law)
    _, noisy = tables(law)
    fit = sf.fit(noisy.query(kept), law, **row.options)
    assert note in {item.code for item in fit.notes}
    assert fit.diagnostics.at_bound == at_bound


def test_repetition_without_repeated_data_is_refused():
    exact, _ = tables("repeated_tokens")
    with pytest.raises(sf.errors.DataError, match="'R_D' in any row of this table"):
        sf.fit(exact.query("epochs == 1"), "repeated_tokens")


# Uncertainty


@cache
def curvature(name):
    """The covariance of the noisy fit of a row."""
    return sf.covariance(fitted(name, True), tables(name)[1])


def test_draws_from_the_curvature_have_its_standard_errors(row):
    fit, found = fitted(row.law, True), curvature(row.law)
    draws = found.draws(50, seed=1)
    assert set(draws.params) == set(fit.params)
    assert draws.failed == 0
    assert all(np.isfinite(values).all() for values in draws.params.values())
    free = [name for name in found.matrix.index if name not in row.loose]
    # Fifty draws know a spread to a tenth; those of amplitudes are of their logarithm.
    ratio = draws.conf_int()["se"][free] / found.standard_errors[free]
    assert ratio.between(0.6, 1.6).all(), ratio.to_dict()
    assert {note.code for note in draws.notes} == set(row.drawn)


def test_a_prediction_has_an_interval_that_holds_it(row):
    _, noisy = tables(row.law)
    few = noisy.iloc[:: max(1, len(noisy) // 5)]
    estimate = curvature(row.law).draws(50, seed=1).predict(few, kind="mean")
    low, high = estimate.interval(0.95)
    assert estimate.value.shape == low.shape == (len(few),)
    assert np.isfinite(estimate.draws).all()
    # Draws that were put on a bound leave the surface: the note says that they say little.
    if "draws_at_bound" not in row.drawn:
        # Where all that a prediction depends on is fixed, its interval is a point.
        slack = 1e-12 * np.abs(estimate.value)
        assert (low <= estimate.value + slack).all() and (estimate.value <= high + slack).all()
        # Runs say more about a surface that they share than one of them does by itself.
        noise = row.noise if row.options.get("residual") == "raw" else row.noise * estimate.value
        assert (high - low < 6 * noise).all()
    assert (high - low > 1e-6 * np.abs(estimate.value)).any()


# Rows that between them have every kind of fit: coefficients by level, ties, parameters that are
# fixed, residuals of L, no linear parameter, and a search by scattered cells.
REFITTED = [
    "chinchilla_tied",
    "effective_parameters",
    "vocabulary",
    "loss_to_loss",
    "coverage_beta",
    "efficiency_leverage",
]


@pytest.mark.parametrize("law", REFITTED)
def test_a_handful_of_replicates_are_refitted(law):
    _, noisy = tables(law)
    fit, found = fitted(law, True), curvature(law)
    draws = sf.bootstrap(fit, noisy, n_draws=8, progress=False)
    assert set(draws.params) == set(fit.params)
    assert draws.failed == 0
    # Eight draws know a spread to a quarter.
    ratio = draws.conf_int()["se"][found.matrix.index] / found.standard_errors
    assert ratio.between(0.3, 3).all(), ratio.to_dict()


# What a fit is used for


def test_a_fit_survives_json(row):
    fit = fitted(row.law, True)
    again = sf.Fit.from_json(fit.to_json())
    assert again == fit
    assert again.law is laws.find(row.law)


def test_a_budget_is_split_by_laws_of_N_and_D_alone(row):
    fit = fitted(row.law, False)
    if not row.allocates:
        with pytest.raises((sf.errors.AllocationError, sf.errors.DataError)):
            sf.allocate(fit, 1e21)
        return
    best = sf.allocate(fit, 1e21)
    for factor in (0.9, 1.1):
        assert fit.predict(N=factor * best.N, D=best.D / factor) > best.loss
