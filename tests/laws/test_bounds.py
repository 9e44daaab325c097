"""Default bounds: published values lie well inside, and those in a unit of the data follow it."""

import math

import numpy as np
import pandas as pd
import pytest
from catalogue import ROWS

import scalefit as sf
from scalefit import laws
from scalefit.results.literature import published_fits

DESIGNS = {row.law: row.design for row in ROWS}
SETS = [
    pytest.param(law, name, id=f"{law}-{name}")
    for law, name in published_fits()[["law", "configuration"]].drop_duplicates().to_numpy()
]

# Share of the range, in the coordinate that is searched, that lies between a value and a bound.
INSIDE = 0.1


def param_of(law, name):
    return next(param for param in law.params if param.name == name.split("[")[0])


def inside(param, value, columns):
    """How far inside its bounds a value is, as a share of their range; 1 where one is infinite."""
    low, high = param.bounds(columns)
    if math.isinf(low) or math.isinf(high):
        return 1.0 if low <= value <= high else -1.0
    if param.kind.spacing == "log":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return min(value - low, high - value) / (high - low)


@pytest.mark.parametrize(("law", "configuration"), SETS)
def test_published_values_lie_well_inside_the_bounds(law, configuration):
    fit = sf.published(law, configuration)
    columns = {name: DESIGNS[law]()[name].to_numpy(float) for name in fit.law.columns}
    shares = {
        name: inside(param_of(fit.law, name), value, columns) for name, value in fit.params.items()
    }
    assert {name: share for name, share in shares.items() if share < INSIDE} == {}


# Values that docstrings quote from papers, beside the published sets.
QUOTED = [
    ("vocabulary", "alpha2", 1.0588),
    ("repeated_tokens", "R_D", 95.4),
    ("power_product", "beta", 0.015),
    ("power_product", "alpha", 0.52),
    ("chinchilla", "alpha", 0.75),
    ("kaplan_steps", "alpha_S", 0.76),
    ("routed", "E_max", 480.0),
    ("routed", "E_start", 4.3),
    ("loss_to_loss", "kappa", 1.1),
    ("chinchilla_nonembedding", "gamma", 47491.0),
    ("broken_power", "f1", 0.059),
]


@pytest.mark.parametrize(("law", "name", "value"), QUOTED)
def test_quoted_values_lie_well_inside_the_bounds(law, name, value):
    found = laws.find(law)
    columns = {column: DESIGNS[law]()[column].to_numpy(float) for column in found.columns}
    assert inside(param_of(found, name), value, columns) > INSIDE


# Parameters in the unit of a column, and the power of the unit that they carry.
UNITS = [
    ("coverage_beta", "beta", "samples", 1),
    ("error_of_loss", "gamma", "loss", -1),
    ("accuracy_of_loss", "k", "loss", -1),
    ("accuracy_of_loss", "L0", "loss", 1),
    ("loss_to_loss", "E0", "source_loss", 1),
    ("data_mixture", "t1", "share1", -1),
    ("data_mixture", "t2", "share2", -1),
    ("broken_power", "d1", "x", 1),
    ("kaplan", "N_c", "N", 1),
    ("kaplan", "D_c", "D", 1),
    ("accuracy_of_compute", "C0", "C", 1),
    ("reward_of_compute", "C_mid", "C", 1),
    ("rectified_finetuning", "D0", "D", 1),
]


@pytest.mark.parametrize(("law", "name", "column", "power"), UNITS)
def test_bounds_in_a_unit_of_the_data_follow_it(law, name, column, power):
    found = laws.find(law)
    columns = {item: DESIGNS[law]()[item].to_numpy(float) for item in found.columns}
    low, high = param_of(found, name).bounds(columns)
    moved = columns | {column: 0.01 * columns[column]}
    expected = (0.01**power * low, 0.01**power * high)
    np.testing.assert_allclose(param_of(found, name).bounds(moved), expected, rtol=1e-12)


RAW = {"residual": "raw", "robust": "none"}


@pytest.mark.parametrize("unit", [0.01, 1 / math.log(2), 100.0])
@pytest.mark.parametrize("law", ["error_of_loss", "accuracy_of_loss", "loss_to_loss"])
def test_a_fit_is_the_same_in_another_unit_of_the_loss(law, unit):
    (row,) = (row for row in ROWS if row.law == law)
    found, design = laws.find(law), row.design()
    (column,) = found.columns
    exact = found.evaluate(design, row.truth)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(design))
    runs = design.assign(**{found.response: exact + noise})
    fit = sf.fit(runs, law, **RAW)
    again = sf.fit(runs.assign(**{column: unit * runs[column]}), law, **RAW)
    assert fit.status is again.status is sf.Status.CONVERGED
    assert again.objective_value == pytest.approx(fit.objective_value, rel=1e-9)
    assert again.diagnostics.at_bound == fit.diagnostics.at_bound
    np.testing.assert_allclose(
        again.residuals(runs.assign(**{column: unit * runs[column]})),
        fit.residuals(runs),
        atol=1e-8,
    )


@pytest.mark.parametrize("widest", [1.0, 0.5, 0.05])
def test_slopes_of_a_mixture_follow_the_width_of_its_shares(widest):
    """A domain of one percent may do as much as one of a half: slopes of -20 are common there."""
    first = np.linspace(0, 1, 9) * widest
    runs = pd.DataFrame([(a, b) for a in first for b in first[:5]], columns=["rare", "other"])
    steep = {"c": 2.5, "k": 0.5, "t_rare": -10.0 / widest, "t_other": 0.4}
    law = laws.mixture_of("rare", "other")
    runs = runs[runs.sum(axis=1) <= 1]
    fit = sf.fit(sf.simulate(runs, law, steep, noise=0.0), law)
    assert fit.diagnostics.at_bound == ()
    for name, value in steep.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-6)


def test_the_slope_in_a_column_that_does_not_change_has_bounds_too():
    (slope,) = (param for param in laws.mixture_of("a").params if param.name == "t_a")
    assert slope.bounds({"a": np.full(12, 0.25)}) == (-15.0, 15.0)


def test_a_vocabulary_may_count_more_steeply_than_the_paper_has_it():
    """On public runs its exponent ends at 2 to 4, by the way tokens are counted."""
    (row,) = (row for row in ROWS if row.law == "vocabulary")
    truth = row.truth | {"alpha2": 2.57, "A2": 1.8e8 * 1e3**2.57}
    runs = row.design()
    runs = runs.assign(loss=laws.vocabulary.evaluate(runs, truth))
    fit = sf.fit(runs, "vocabulary", **row.options)
    assert fit.diagnostics.at_bound == ()
    assert fit.params["alpha2"] == pytest.approx(2.57, rel=1e-6)
