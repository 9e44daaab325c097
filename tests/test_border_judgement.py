"""Nonsense given to what judges a fit is refused under its own name, before it is computed."""

import numpy as np
import pandas as pd
import pytest
from border import Row, check

import scalefit as sf
from scalefit.design.expected_errors import noise_of_estimates


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(3, points=8), noise=0.004, seed=1)


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, certify=False)


@pytest.mark.parametrize("value", [len, 3, [np.nan], np.array(0.5), ""], ids=range(5))
@pytest.mark.parametrize("name", ["test", "by"])
def test_what_is_held_out_of_a_comparison_is_text(runs, name, value):
    check(
        Row(
            name,
            lambda **given: sf.compare(runs, ["chinchilla_n", "chinchilla_d"], **given),
            {name: value},
            name,
            {name: ...},
        )
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", np.zeros(0)),
        ("title", 0),
        ("path", float("inf")),
        ("path", "report.docx"),
        ("overwrite", 2),
    ],
    ids=str,
)
def test_a_report_is_refused_before_it_is_made(fit, name, value, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("scalefit.documents.api.sections", lambda _: pytest.fail("it was made"))
        with pytest.raises(sf.errors.ArgumentError) as caught:
            sf.report(fit, **{name: value})
    assert caught.value.argument == name and caught.value.remedy


@pytest.mark.parametrize("value", [3, [(1e8, 1e9)], len], ids=["number", "pairs", "function"])
def test_candidates_that_are_no_table_are_refused_by_name(fit, runs, value):
    check(
        Row(
            "candidates",
            lambda **given: sf.next_runs(fit, runs, target=1e22, budget=1e20, **given),
            {"candidates": value},
            "candidates",
        )
    )


@pytest.mark.parametrize("value", [[1e22, 1e23], len], ids=["budgets", "function"])
def test_a_target_that_is_none_is_refused_by_name(fit, runs, value):
    check(
        Row(
            "target",
            lambda **given: sf.next_runs(fit, runs, budget=1e20, **given),
            {"target": value},
            "target",
            {"target": 1e24},
        )
    )


def test_a_name_of_an_optimum_without_a_table_is_refused():
    optimum = pd.DataFrame({"C": [1e18, 1e20], "N": [6e7, 6e8]})
    found = sf.approach2.power_law(optimum, "N")
    assert found.exponent == pytest.approx(0.5, abs=1e-12)
    with pytest.raises(sf.errors.ArgumentError) as caught:
        sf.approach2.power_law([1e18, 1e20], "N")
    assert caught.value.argument == "optimum"


def test_absolute_residuals_pass_noise_on_as_a_median(runs):
    # The limit of the Huber loss for a small delta, sqrt(pi / 2).
    absolute = sf.fit(runs, robust="l1", certify=False)
    small = sf.fit(runs, delta=1e-9, certify=False)
    assert noise_of_estimates(absolute, 0.01) == pytest.approx(0.01 * np.sqrt(np.pi / 2))
    assert noise_of_estimates(small, 0.01) == pytest.approx(0.01 * np.sqrt(np.pi / 2), rel=1e-5)


def test_a_fit_of_very_many_levels_says_that_no_pattern_was_looked_for():
    columns = {"N": np.tile(np.geomspace(1e7, 1e9, 6), 70), "format": np.repeat(np.arange(70), 6)}
    many = pd.DataFrame(columns | {"D": np.tile([1e9, 4e10, 1e10, 2e9, 7e9, 3e10], 70)})
    loss = 1.7 + (400 + many["format"]) * many.N**-0.34 + 411 * many.D**-0.28
    noise = np.random.default_rng(0).normal(0, 1e-3, len(many))
    many = many.assign(loss=loss * np.exp(noise), format=many["format"].astype(str))
    found = sf.fit(many, groups={"A": "format"}, robust="none", certify=False).verdict
    assert found.level == "good" and "patterns not looked for (74 parameters)" in found.words
    assert not found.patterns and np.isnan(found.influence.leverage)


def test_a_noise_near_zero_leaves_no_warning_of_numpy(fit, runs):
    with (
        np.errstate(divide="raise", invalid="raise"),
        pytest.raises(sf.errors.DataError, match="no candidate says"),
    ):
        sf.next_runs(fit, runs, target=1e22, budget=1e20, noise=1e-300)
