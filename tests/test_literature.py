"""Published coefficients: facts with sources, and what a fit made of them does."""

import math

import numpy as np
import pytest

import scalefit as sf
from scalefit import laws
from scalefit.results.literature import CONFIDENCE, published_fits

FACTS = published_fits()
CONFIGURATIONS = list(FACTS.groupby(["law", "configuration"], sort=False).groups)


def test_every_fact_is_complete():
    assert list(FACTS.columns) == [
        "law",
        "configuration",
        "parameter",
        "value",
        "uncertainty",
        "units",
        "source",
        "where",
        "confidence",
        "printed",
    ]
    text = FACTS.drop(columns=["value", "uncertainty", "printed"])
    assert not (text == "").any(axis=None)
    assert np.isfinite(FACTS["value"]).all()
    assert (FACTS["uncertainty"].dropna() > 0).all()
    assert set(FACTS["confidence"]) <= set(CONFIDENCE)
    assert FACTS["source"].str.contains(r"\d{4}\.\d{5}|doi|\d{4}").all()
    assert not FACTS.duplicated(["law", "configuration", "parameter"]).any()


def test_the_facts_are_a_copy():
    facts = published_fits()
    facts["value"] = 0.0
    assert published_fits()["value"].abs().sum() > 0


@pytest.mark.parametrize(("law", "configuration"), CONFIGURATIONS)
def test_each_configuration_has_every_parameter_and_predicts(law, configuration):
    fit = sf.published(law, configuration)
    own = {name.split("[")[0] for name in fit.params}
    assert own == set(laws.find(law).names)
    extra = FACTS.query("law == @law and configuration == @configuration")["parameter"]
    ranges = {f"{end} {name}" for end in ("min", "max") for name in (*fit.law.columns, "6ND")}
    assert set(extra) - set(fit.params) <= ranges
    assert fit.status is sf.Status.PUBLISHED
    for param in fit.law.params:
        lower, upper = param.kind.lower, param.kind.upper
        if param.kind.column is None and not param.by:
            assert lower <= fit.params[param.name] <= upper, param.name
    columns = {"N": 1e9, "D": 2e10, "C": 1.2e20, "M": 20.0, "x": 1e9, "S": 1e4, "U": 1e10}
    columns |= {"P": 4.0, "P_w": 4.0, "P_a": 6.0, "P_kv": 8.0, "G": 128.0}
    columns |= {"exponent_bits": 4.0, "mantissa_bits": 3.0, "forward": 1.0, "backward": 1.0}
    columns |= {"experts": 8.0, "granularity": 8.0, "sparsity": 0.5, "streams": 2.0, "loss": 3.0}
    columns |= {"vocab_params": 1e7, "source_loss": 3.0, "aspect": 64.0, "X": 1e9}
    columns |= {"activation": 0.1, "width": 1024.0, "depth": 28.0, "bits": 4.0}
    level = {grouping.columns[0]: grouping.levels[0] for grouping in fit.groups.values()}
    given = {name: columns.get(name, 1.0) for name in fit.law.columns}
    predicted = fit.predict(**given, **level)
    if fit.law.name == "vocabulary":
        assert -6 < predicted < 0
    elif fit.law.name == "optimal_batch_size":
        assert 1e5 < predicted < 1e7
    else:
        assert 0 < predicted < 20


def test_a_published_fit_says_that_nothing_was_fitted():
    fit = sf.published("chinchilla", "besiroglu")
    assert (fit.nobs, fit.n_free) == (0, 5)
    assert math.isnan(fit.objective_value) and math.isnan(fit.residual_rms)
    assert fit.diagnostics.search == "none"
    assert (fit.diagnostics.minima, fit.diagnostics.agreeing, fit.diagnostics.gap) == ((), 0, None)
    assert not fit.certificate
    (note,) = fit.notes
    assert note.code == "published"
    assert note.details["uncertainty"]["A"] == 124.58
    assert "arXiv 2404.10102" in note.message
    for text in (fit.summary(), fit._repr_html_()):
        assert "Published values of chinchilla" in text and "nothing was fitted" in text
        assert "objective" not in text
    assert repr(fit).endswith("beta=0.3658; published>")


def test_second_hand_values_are_a_warning():
    (note,) = sf.published("float_quantized").notes
    assert note.severity == "warning"
    assert "quotes it" in note.message


def test_a_published_fit_survives_json():
    fit = sf.published("chinchilla", "hoffmann")
    again = sf.Fit.from_json(fit.to_json())
    assert again.to_json() == fit.to_json()
    assert again.status is sf.Status.PUBLISHED
    assert again.params == fit.params


@pytest.mark.parametrize(
    ("configuration", "N", "ratio"),
    # Rounding the coefficients moves the optimum of the Gopher budget from 40 to 32 billion.
    [("hoffmann", 32.2e9, 92.6), ("hoffmann_unrounded", 40.4e9, 58.9), ("besiroglu", 72.2e9, 18.4)],
)
def test_the_gopher_budget_has_the_published_optimum(configuration, N, ratio):
    best = sf.allocate(sf.published("chinchilla", configuration), 5.76e23)
    assert best.N == pytest.approx(N, rel=2e-3)
    assert best.tokens_per_param == pytest.approx(ratio, abs=0.06)
    (note,) = (note for note in best.notes if note.code == "extrapolation")
    assert note.severity == "warning"
    assert "2.3 decades" in note.message or "1.6 decades" in note.message


def test_inside_the_range_nothing_is_extrapolated():
    assert sf.allocate(sf.published("chinchilla", "besiroglu"), 1e20).notes == ()


def test_an_unknown_range_is_no_extrapolation():
    fit = sf.published("chinchilla", "brandfonbrener_fineweb_edu")
    assert math.isnan(fit.domain["6ND"][0])
    assert sf.allocate(fit, 1e20).notes == ()


def test_the_losses_of_published_surfaces_are_the_published_ones():
    assert sf.published("chinchilla", "sardana").predict(N=70e9, D=1e12) == pytest.approx(
        1.9472728, abs=1e-7
    )
    fit = sf.published("data_constrained")
    # Function values of the authors' notebook.
    for N, D, U, loss in (
        (6.34e9, 242e9, 25e9, 2.2256440889984477),
        (8.67e9, 178e9, 25e9, 2.2269634075087867),
    ):
        assert fit.predict(N=N, D=D, U=U) == pytest.approx(loss, abs=1e-9)


def test_a_published_fit_of_several_formats_gives_one_for_each():
    fit = sf.published("effective_parameters", "quest")
    alpha = fit.params["alpha"]
    four, whole = fit.at(format="w4a4"), fit.at(format="16")
    assert (whole.params["A"] / four.params["A"]) ** (1 / alpha) == pytest.approx(0.6918, rel=1e-9)
    assert fit.predict(N=1e8, D=1e10, format="w4a4") == four.predict(N=1e8, D=1e10)


# What differs from what is printed, computed again from it.
DERIVED = {
    ("power", "kaplan_n", "A"): 8.8e13**0.076,
    ("power", "kaplan_d", "A"): 5.4e13**0.095,
    ("power", "kaplan_c", "A"): 3.1e8**0.050,
    ("kaplan_steps", "kaplan", "A"): 6.5e13**0.077,
    ("kaplan_steps", "kaplan", "B"): 2.1e3**0.76,
    ("ptq_excess", "kumar", "C_T"): 0.0598 * math.exp(1.1277),
    ("float_quantized", "sun", "K"): 1 / 11334.5197,
    ("routed", "s_base", "A"): 10**1.104,
    ("weight_sparsity", "frantar_t5", "B"): 6.9e8**0.203,
    ("parscale", "pile", "A"): 197516580.497**0.196281452915,
    ("vocabulary", "tao", "B"): 2.1241123120064955 * 1e9**0.44660634152009615,
    ("vocabulary", "tao", "A2"): 0.19584238398665638 * 1e6**0.6707374679896795,
    ("chinchilla", "hoffmann_unrounded", "A"): math.exp(6.0073404),
    ("chinchilla_tied", "muennighoff", "E"): math.exp(0.6254804),
    ("width_depth", "gemstones_hot_100b", "C"): math.exp(11.5418232414),
    ("width_depth_size", "gemstones_cool_end", "G"): math.exp(7.8653383939),
}


@pytest.mark.parametrize(("law", "configuration", "parameter"), DERIVED)
def test_derived_values_follow_from_what_is_printed(law, configuration, parameter):
    found = sf.published(law, configuration).params[parameter]
    assert found == pytest.approx(DERIVED[law, configuration, parameter], rel=1e-10)
    fact = FACTS.query(
        "law == @law and configuration == @configuration and parameter == @parameter"
    )
    assert fact["printed"].item() != ""


@pytest.mark.parametrize(
    ("configuration", "A", "B", "alpha", "beta", "k", "E"),
    [
        ("busbridge", 3355, 18186, 0.408, 0.431, 0.452, 1.220),
        ("quartet", 1.52e5, 5.25e5, 0.589, 0.544, 0.274, 1.35),
    ],
)
def test_outer_exponents_are_those_printed(configuration, A, B, alpha, beta, k, E):
    fit = sf.published("chinchilla_outer", configuration)
    N, D = np.array([1e8, 3e10]), np.array([5e9, 4e11])
    expected = E + (A * N**-alpha + B * D**-beta) ** k
    np.testing.assert_allclose(fit.predict(N=N, D=D), expected, rtol=1e-9)


# Refusals


def test_unknown_names_are_answered_with_the_closest():
    with pytest.raises(sf.errors.LawError, match="Did you mean 'chinchilla'"):
        sf.published("chinchila", "besiroglu")
    with pytest.raises(sf.errors.LawError, match="no published fit of 'farseer'"):
        sf.published("farseer")
