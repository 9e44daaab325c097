"""What a Fit says and keeps."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


@sf.law(source="a test")
def mine(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, g: sf.laws.Exponent
):
    """E + A N^-g + B D^-g"""
    return E + A * N**-g + B * D**-g


@pytest.fixture(scope="module")
def runs():
    return sf.LossTable.from_frame(sf.simulate(sf.simulation.isoflop_design()))


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs)


def test_a_fit_is_frozen(fit):
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.objective_value = 0.0
    with pytest.raises(TypeError):
        fit.params["E"] = 0.0


def test_predict_takes_a_table_a_dataframe_or_columns(fit, runs):
    table = fit.predict(runs)
    frame = fit.predict(runs.frame)
    columns = fit.predict(N=runs.column("N"), D=runs.column("D"))
    np.testing.assert_array_equal(table, frame)
    np.testing.assert_array_equal(table, columns)
    p = fit.params
    by_hand = p["E"] + p["A"] * 1e9 ** -p["alpha"] + p["B"] * 2e10 ** -p["beta"]
    assert fit.predict(N=1e9, D=2e10) == pytest.approx(by_hand, rel=1e-14)


def test_predict_takes_integers_that_overflow_when_multiplied(fit):
    big = fit.predict(N=np.array([7_000_000_000]), D=np.array([2_000_000_000_000]))
    assert big[0] == fit.predict(N=7e9, D=2e12)


def test_predict_broadcasts(fit):
    assert fit.predict(N=np.ones((3, 1)) * 1e9, D=np.ones(4) * 1e10).shape == (3, 4)


def test_residuals_are_those_of_the_objective(fit, runs):
    r = fit.residuals(runs)
    np.testing.assert_allclose(r, np.log(runs.column("loss")) - np.log(fit.predict(runs)))
    size = np.abs(r)
    total = np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum()
    assert fit.objective_value == pytest.approx(total, rel=1e-12)
    assert fit.residual_rms == pytest.approx(np.sqrt(np.mean(r**2)), rel=1e-12)


@pytest.mark.parametrize("residual", ["raw", "relative"])
def test_squared_objectives_are_plain_sums_of_squares(runs, residual):
    fit = sf.fit(runs, residual=residual, robust="none")
    r = runs.column("loss") - fit.predict(runs)
    if residual == "relative":
        r = r / runs.column("loss")
    assert fit.objective_value == pytest.approx(np.sum(r**2), rel=1e-12)
    np.testing.assert_allclose(fit.residuals(runs), r, rtol=1e-10)


def test_json_round_trips_to_an_equal_fit(fit):
    again = sf.Fit.from_json(fit.to_json())
    assert again == fit
    assert again.predict(N=1e9, D=2e10) == fit.predict(N=1e9, D=2e10)


def test_json_round_trips_notes_bounds_fixed_ties_and_dropped_rows():
    frame = sf.simulate(sf.simulation.isoflop_design(), noise=0.02)
    fit = sf.fit(
        frame,
        fixed={"E": 1.69},
        tied=[("alpha", "beta")],
        bounds={"A": (0.0, math.inf)},
        keep="C > 5e17",
    )
    assert len(fit.dropped) == 15
    assert fit.tied == (("alpha", "beta"),)
    again = sf.Fit.from_json(fit.to_json())
    assert again == fit
    assert again.bounds["A"] == (0.0, math.inf)


def test_json_holds_no_code_and_a_users_law_is_passed_in_again(runs):
    fit = sf.fit(runs, mine)
    text = fit.to_json()
    assert "def " not in text and "return" not in text
    with pytest.raises(sf.errors.LawError, match="not built in"):
        sf.Fit.from_json(text)
    assert sf.Fit.from_json(text, law=mine) == fit
    with pytest.raises(sf.errors.LawError, match="Pass the law that was fitted"):
        sf.Fit.from_json(text, law=fit_law("chinchilla"))


def fit_law(name):
    from scalefit.laws import BUILTIN

    return BUILTIN[name]


def test_json_is_strict_json_without_nan_or_infinity(fit):
    def refuse(text):
        raise AssertionError(text)

    json.loads(fit.to_json(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"robust": "none"}, "sum of w r^2, r = ln L - ln f"),
        ({"robust": "l1"}, "sum of w abs(r), r = ln L - ln f"),
        (
            {"robust": "asymmetric", "asymmetry": 5},
            "sum of w c H(r), r = ln L - ln f, H Huber with delta = 0.001, c = 5 where r < 0, "
            "else 1",
        ),
    ],
    ids=["none", "l1", "asymmetric"],
)
def test_every_objective_is_printed_and_written(runs, options, words):
    fit = sf.fit(runs, **options)
    assert words in " ".join(fit.summary().split())
    again = sf.Fit.from_json(fit.to_json())
    assert again == fit
    assert again.objective == sf.objective.Objective(**options)
    np.testing.assert_array_equal(again.residuals(runs), fit.residuals(runs))


def test_summary_says_first_how_good_the_fit_is_and_what_comes_next(fit):
    text = fit.summary()
    assert text == str(fit)
    words = " ".join(text.split())
    assert "Fits 75 runs to 0.461 % (root mean square of log residuals). Next:" in words
    assert "75; 5 free parameters; N 3.56M to 14.6B parameters, D 73.1M to 731B tokens" in words
    assert "sum of w H(r), r = ln L - ln f, H Huber with delta = 0.001" in words
    assert "E 1.6793 nats/token" in words and "alpha 0.34167" in words
    assert "Hoffmann et al. 2022, arXiv 2203.15556" in words
    assert "verdict good: chinchilla describes these runs: residuals of" in words
    # Evidence is named, and shown where it is asked for.
    assert text.endswith("more: verdict, diagnostics, certificate")
    assert "225 cells by the objective itself" in fit.diagnostics.summary()
    assert max(map(len, text.splitlines())) <= 88 and len(text.splitlines()) <= 40


def test_summary_puts_warnings_first_and_no_missing_proof_among_them(runs):
    noisy = sf.simulate(sf.simulation.isoflop_design(), noise=0.004, seed=1)
    words = " ".join(sf.fit(noisy, certify=False).summary().split())
    assert "Fits 75 runs to 0.331 % (root mean square of log residuals). Next:" in words
    assert "scalefit.bootstrap(fit, runs) for intervals" in words
    assert "proof" not in words
    table = runs.frame.assign(N=runs.frame["N"] / 1e9, D=runs.frame["D"] / 1e9).drop(columns="C")
    words = " ".join(sf.fit(table).summary().split())
    assert "Look at the warnings first: units." in words


def test_parameters_are_a_mapping_that_shows_itself(fit):
    assert fit["alpha"] == fit.params["alpha"] and "alpha" in fit.params
    assert fit.params == dict(fit.params) and len(fit.params) == 5
    assert repr(fit.params).startswith("<Parameters E=1.6793, A=414.47, ")
    assert fit.params.to_frame().loc["E"].to_list() == [fit["E"], "nats/token"]
    assert "nats/token" in fit.params.summary() and "414.47" in fit.params.to_latex()


def test_columns_by_position_are_refused_with_their_names(fit):
    with pytest.raises(sf.errors.ArgumentError, match=r"predict\(N=7e\+09, D=2e\+12"):
        fit.predict(7e9, 2e12)
    with pytest.raises(sf.errors.ArgumentError, match=r"predict\(N=7e\+09, D=\.\.\.\)"):
        fit.predict(7e9)


def test_repr_is_one_line_and_html_escapes(fit, runs):
    assert repr(fit).count("\n") == 0
    assert "chinchilla" in repr(fit) and "converged" in repr(fit)

    @sf.law(source="a <b> test")
    def angled(N, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
        """E + A N^-alpha for N > 1 & N < inf"""
        return E + A * N**-alpha

    html = sf.fit(runs, angled)._repr_html_()
    assert "<b>" not in html and "N &gt; 1 &amp; N &lt; inf" in html


def test_frame_says_which_parameters_were_fixed_and_tied(runs):
    fit = sf.fit(runs, fixed={"E": 1.69}, tied=[("alpha", "beta")])
    state = fit.to_frame()["state"]
    assert state["E"] == "fixed"
    assert state["beta"] == "= alpha"
    assert fit.params["beta"] == fit.params["alpha"]
    assert fit.n_free == 3


def test_domain_covers_columns_ratio_and_compute(fit, runs):
    assert fit.domain["N"] == (runs.column("N").min(), runs.column("N").max())
    assert fit.domain["6ND"] == pytest.approx((1e17, 1e21), rel=1e-9)
    assert fit.domain["D/N"][0] < fit.domain["D/N"][1]


def test_provenance_identifies_versions_data_and_headers(runs):
    frame = runs.frame.rename(columns={"N": "params"})
    fit = sf.fit(frame)
    assert fit.provenance["column N"] == "params"
    assert fit.provenance["scalefit"] == sf.__version__
    assert fit.provenance["data"] == sf.fit(runs).provenance["data"]
    changed = frame.assign(loss=frame["loss"] * 1.001)
    assert sf.fit(changed).provenance["data"] != fit.provenance["data"]


def test_diagnostics_on_a_clean_table(fit):
    found = fit.diagnostics
    assert (found.cells, found.cells_by_squares) == (15 * 15, 0)
    assert found.agreeing == found.starts
    assert found.gap is None
    assert found.gradient_cosine < 1e-12
    assert found.at_bound == ()
    assert 1 <= found.condition_projected <= found.condition < 5e4


def test_a_frame_with_integer_columns_gives_the_same_fit(runs):
    exact = runs.frame.assign(N=runs.frame["N"].round(), D=runs.frame["D"].round())
    whole = exact.astype({"N": "int64", "D": "int64"})
    assert isinstance(whole, pd.DataFrame)
    assert sf.fit(whole).params == sf.fit(exact).params
