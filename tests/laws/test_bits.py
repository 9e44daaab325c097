"""Laws of low precision against the numbers that follow from their published constants."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, minimize, minimize_scalar

import scalefit as sf
from scalefit import laws
from scalefit.laws.factors import precision_factor

KUMAR = sf.published("precision", "kumar")
PTQ = sf.published("ptq_excess", "kumar")
SUN = sf.published("float_quantized", "sun")


def factor(tensor, bits):
    return precision_factor(
        np.asarray(bits, float), KUMAR.params[f"gamma_{tensor}"], KUMAR.params[f"n_{tensor}"]
    )


def share(P):
    return np.prod([factor(tensor, P) for tensor in ("w", "a", "kv")], axis=0)


# Kumar et al.


@pytest.mark.parametrize(
    ("tensor", "bits", "expected"),
    [
        ("w", [3, 4, 8], [0.5587, 0.6964, 0.9320]),
        ("a", [4, 8], [0.3314, 0.8906]),
        ("kv", [4], [0.8276]),
    ],
)
def test_factors_of_each_tensor(tensor, bits, expected):
    np.testing.assert_allclose(factor(tensor, bits), expected, atol=5e-5)


def test_factors_of_all_tensors_together():
    np.testing.assert_allclose(share([6.0, 8.0, 16.0]), [0.6113, 0.8278, 0.9937], atol=5e-5)


@pytest.mark.parametrize(("tensor", "bits"), [("a", 3.110), ("kv", 2.316)])
def test_nothing_is_left_where_training_diverges(tensor, bits):
    zero = KUMAR.params[f"n_{tensor}"] * KUMAR.params[f"gamma_{tensor}"]
    assert zero == pytest.approx(bits, abs=5e-4)
    assert factor(tensor, zero) == pytest.approx(0, abs=1e-12)


def test_losses_at_full_precision():
    for N, D, loss in ((30e6, 1.5e9, 4.1005), (220e6, 26e9, 3.1966)):
        found = KUMAR.predict(N=N, D=D, P_w=100.0, P_a=100.0, P_kv=100.0)
        assert found == pytest.approx(loss, abs=5e-5)


@pytest.mark.parametrize("flops", [1e19, 1e21, 1e24])
def test_the_best_precision_is_seven_bits_at_every_budget(flops):
    """Minimised over N, D and P at 6NDP/16 FLOP; the law's own optimum maximises share / P."""

    def loss(point):
        N, P = np.exp(point[0]), point[1]
        D = 16 * flops / (6 * N * P)
        return float(KUMAR.predict(N=N, D=D, P_w=P, P_a=P, P_kv=P))

    start = [np.log(flops / 120) / 2, 8.0]
    best = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-14})
    assert best.x[1] == pytest.approx(7.002, abs=2e-3)
    ratio = minimize_scalar(lambda P: -share(P) / P, bounds=(4, 16), method="bounded")
    assert ratio.x == pytest.approx(7.002, abs=1e-3)
    assert share(ratio.x) == pytest.approx(0.7407, abs=1e-4)


@pytest.mark.parametrize("P", [4.0, 8.0, 16.0])
def test_the_best_size_at_a_given_precision(P):
    """Closed form of the law; the powers of P that the paper prints do not follow from it."""
    flops, p = 1e21, KUMAR.params

    def loss(log_size):
        N = np.exp(log_size)
        D = 16 * flops / (6 * N * P)
        return float(KUMAR.predict(N=N, D=D, P_w=P, P_a=P, P_kv=P))

    best = minimize_scalar(loss, bounds=(np.log(1e7), np.log(1e12)), method="bounded")
    alpha, beta = p["alpha"], p["beta"]
    u = share(P) ** -alpha
    N = (alpha * p["A"] * u / (beta * p["B"])) ** (1 / (alpha + beta))
    N *= (16 * flops / (6 * P)) ** (beta / (alpha + beta))
    assert np.exp(best.x) == pytest.approx(N, rel=1e-3)


def test_the_printed_form_without_offsets_has_another_optimum():
    gammas = [KUMAR.params[f"gamma_{tensor}"] for tensor in ("w", "a", "kv")]

    def ratio(P):
        return -np.prod([precision_factor(P, gamma) for gamma in gammas]) / P

    found = minimize_scalar(ratio, bounds=(1, 16), method="bounded")
    assert found.x == pytest.approx(3.47, abs=5e-3)


def test_quantizing_after_training_costs_what_it_should():
    found = PTQ.predict(N=30e6, D=26e9, P=np.array([3.0, 4.0, 5.0, 6.0]))
    np.testing.assert_allclose(found, [0.586, 0.108, 0.0198, 0.0036], rtol=0.02)


@pytest.mark.parametrize(
    ("N", "bits", "tokens"),
    [(30e6, 3, 5.32e9), (30e6, 4, 28.8e9), (30e6, 5, 156e9), (8e9, 4, 195e9), (8e9, 6, 5.7e12)],
)
def test_tokens_beyond_which_training_hurts_a_quantized_model(N, bits, tokens):
    full = {"P_w": 100.0, "P_a": 100.0, "P_kv": 100.0}

    def slope(log_tokens):
        D = np.exp(log_tokens + np.array([-1e-4, 1e-4]))
        return np.diff(KUMAR.predict(N=N, D=D, **full) + PTQ.predict(N=N, D=D, P=float(bits)))[0]

    found = np.exp(brentq(slope, np.log(1e8), np.log(1e14)))
    assert found == pytest.approx(tokens, rel=6e-3)


def test_the_unified_law_contains_both():
    params = dict(KUMAR.params) | dict(PTQ.params) | {"C_w": 9.0, "C_a": 9.0, "C_kv": 9.0}
    trained = {"N": 1e8, "D": 1e10, "P_w": 6.0, "P_a": 8.0, "P_kv": 8.0}
    unified = laws.find("unified_precision")
    # Served as it was trained.
    assert unified.evaluate(trained | {"P": 6.0}, params) == pytest.approx(
        float(KUMAR.predict(**trained)), rel=1e-15
    )
    # Trained at many bits, served at few: the excess alone.
    wide = trained | {"P_w": 60.0, "P_a": 60.0, "P_kv": 60.0}
    excess = unified.evaluate(wide | {"P": 4.0}, params) - KUMAR.predict(**wide)
    assert excess == pytest.approx(float(PTQ.predict(N=1e8, D=1e10, P=4.0)), rel=1e-9)


def test_one_precision_is_the_law_of_several_tensors_with_one():
    one = laws.find("low_precision")
    values = {"E": 2.0, "A": 400.0, "B": 900.0, "alpha": 0.4, "beta": 0.4}
    found = one.evaluate({"N": 1e8, "D": 1e10, "P": 4.0}, values | {"gamma": 2.0, "n": 0.5})
    weights = {"gamma_w": 2.0, "n_w": 0.5, "gamma_a": 0.5, "n_a": 0.0, "gamma_kv": 0.5, "n_kv": 0.0}
    several = laws.find("precision").evaluate(
        {"N": 1e8, "D": 1e10, "P_w": 4.0, "P_a": 100.0, "P_kv": 100.0}, values | weights
    )
    assert found == pytest.approx(float(several), rel=1e-14)


# Sun et al.


@pytest.mark.parametrize(
    ("exponent_bits", "mantissa_bits", "tokens"),
    [(8, 7, 1730e12), (4, 3, 27.33e12), (5, 2, 19.41e12), (2, 1, 0.3928e12), (3, 0, 0.0480e12)],
)
def test_tokens_beyond_which_a_float_format_is_worse(exponent_bits, mantissa_bits, tokens):
    p = SUN.params
    fineness = (exponent_bits + 0.5) ** p["delta"] * (mantissa_bits + 0.5) ** p["nu"]
    critical = (p["B"] * 1e9 ** p["alpha"] * fineness / (p["K"] * 7)) ** (1 / (2 * p["beta"]))
    assert critical == pytest.approx(tokens, rel=2e-3)
    beside = critical * np.array([0.99, 1.0, 1.01])
    losses = SUN.predict(
        N=1e9,
        D=beside,
        exponent_bits=float(exponent_bits),
        mantissa_bits=float(mantissa_bits),
        G=128.0,
    )
    assert losses[1] < min(losses[0], losses[2])


def test_losses_of_float_formats():
    for e, m, loss in ((2.0, 1.0, 2.5747), (4.0, 3.0, 2.5414)):
        found = SUN.predict(N=1.2e9, D=1e11, exponent_bits=e, mantissa_bits=m, G=128.0)
        assert found == pytest.approx(loss, abs=5e-5)


@pytest.mark.parametrize(
    ("bits", "layout"),
    [(4, (2, 1)), (5, (2, 2)), (6, (3, 2)), (7, (3, 3)), (8, (4, 3)), (16, (8, 7))],
)
def test_the_best_layout_of_a_float(bits, layout):
    e = np.arange(0.0, bits)
    m = bits - 1 - e
    losses = SUN.predict(N=1e9, D=1e11, exponent_bits=e, mantissa_bits=m, G=128.0)
    best = int(np.argmin(losses))
    assert (e[best], m[best]) == layout


# Chen et al.


def test_excess_of_groups_and_loss_in_sixteen_bits():
    excess = sf.published("qat_excess", "chen_w4a4")
    found = excess.predict(N=594e6, D=100e9, G=np.array([32.0, 128.0, 1536.0]))
    np.testing.assert_allclose(found, [0.0441, 0.0573, 0.0790], atol=5e-5)
    whole = sf.published("qat", "chen_w4a4")
    assert whole.predict(N=594e6, D=100e9, G=1.0) == pytest.approx(2.7409, abs=5e-5)
    together = whole.predict(N=594e6, D=100e9, G=32.0)
    assert together == pytest.approx(2.7409 + 0.0441, abs=1e-4)


@pytest.mark.parametrize(
    ("per_parameter", "group", "ratio"), [(100, 32, 1.65), (1000, 32, 1.23), (1000, 256, 1.65)]
)
def test_activations_against_weights(per_parameter, group, ratio):
    at = {"N": 594e6, "D": 594e6 * per_parameter, "G": float(group)}
    activations = sf.published("qat_excess", "chen_w16a4").predict(**at)
    weights = sf.published("qat_excess", "chen_w4a16").predict(**at)
    assert activations / weights == pytest.approx(ratio, abs=5e-3)


# Dremov et al.


SHARE = laws.optimal_qat_share
SHARES = [0.1058, 0.2319, 0.3775, 0.4816]


@pytest.mark.parametrize("bits", [1.0, 4.0, 8.0])
def test_share_of_quantization_aware_training(bits):
    per_byte = np.array([20.0, 100.0, 1000.0, 1e4])
    runs = {"N": 1e9, "D": per_byte * 1e9 * bits / 8, "bits": bits}
    found = sf.published("optimal_qat_share").predict(**runs)
    np.testing.assert_allclose(found, SHARES, atol=5e-5)
    # The paper's way of writing it.
    printed = np.exp(np.log(per_byte) - 6.7297 / np.log(per_byte)) / per_byte
    np.testing.assert_allclose(found, printed, rtol=1e-12)


def test_one_share_gives_the_constant_of_the_law():
    runs = pd.DataFrame({"N": [1e9], "D": [1e11], "bits": [8.0], "qat_share": [0.25]})
    fit = sf.fit(runs, SHARE, residual="raw", robust="none")
    assert fit.params["a"] == pytest.approx(np.log(100) * np.log(4), rel=1e-9)


def test_the_share_needs_a_token_per_byte():
    """At half a token per byte the formula gives e^9.7, at one it tends to none."""
    fit = sf.published("optimal_qat_share")
    assert fit.predict(N=1e9, D=1e9, bits=8) == 0
    for tokens in (9e8, 5e8):
        with pytest.raises(sf.errors.DataError, match="N \\* bits / 8 <= D"):
            fit.predict(N=1e9, D=tokens, bits=8)


# Quartet


def test_a_format_that_costs_nothing_is_the_baseline():
    fit = sf.published("quartet", "mxfp4_quest_sr")
    base = sf.published("chinchilla_outer", "quartet").predict(N=3e8, D=3e10)
    assert fit.predict(N=3e8, D=3e10, forward=0.0, backward=0.0) == pytest.approx(base, rel=1e-12)
    # In the format it is worth 0.64 of its parameters and 0.88 of its tokens.
    worse = fit.predict(N=3e8, D=3e10, forward=1.0, backward=1.0)
    less = sf.published("chinchilla_outer", "quartet").predict(N=0.64 * 3e8, D=0.88 * 3e10)
    assert worse == pytest.approx(less, rel=1e-12)


# Public runs


@pytest.fixture(scope="module")
def hadamard(data_folder):
    """Runs of QuEST with weights and activations at one precision, 16 bits included."""
    runs = pd.read_csv(data_folder / "quest.csv")
    quantizer = runs["w_quant"].str.removeprefix("Half")
    same = (runs["w_bits"] == runs["a_bits"]) & runs["w_bits"].isin([2, 3, 4, 8, 16])
    kept = quantizer.isin(["HadamardTrustQuantizer", "NoQuantizer"])
    return runs[same & kept].assign(P=lambda runs: runs["w_bits"].astype(float))


def test_quest_runs_follow_one_precision_with_an_offset(hadamard, agrees):
    assert len(hadamard) == 48
    fits = [sf.fit(hadamard, "low_precision", robust="none", seed=seed) for seed in range(10)]
    assert max(fit.objective_value for fit in fits) == pytest.approx(
        fits[0].objective_value, rel=1e-9
    )
    fit = fits[0]
    listed = ("low_precision", "48 QuEST runs of one precision")
    offset = [fit.params["gamma"], fit.params["n"]]
    agrees(*listed, "gamma, n", offset, [2.469, 0.646], abs=2e-3)
    assert fit.params["alpha"] == pytest.approx(0.097, abs=1e-3)
    assert fit.params["beta"] == pytest.approx(0.180, abs=1e-3)
    assert fit.params["E"] == pytest.approx(0.79, abs=0.01)
    agrees(*listed, "root mean square of ln L", fit.residual_rms, 0.00386, abs=1e-5)


def test_without_the_offset_the_same_runs_fit_four_times_worse(hadamard):
    fit = sf.fit(
        hadamard, "low_precision", robust="none", fixed={"n": 0.0}, bounds={"gamma": (0.3, 30)}
    )
    assert fit.residual_rms == pytest.approx(0.0171, abs=1e-4)
    assert fit.params["gamma"] == pytest.approx(11.2, abs=0.1)
    assert fit.diagnostics.at_bound == ("E",)


def test_quest_formats_by_name_are_the_reference(data_folder, agrees):
    runs = pd.read_csv(data_folder / "quest.csv")
    runs["format"] = runs["w_bits"].astype(str) + runs["w_quant"].str.removeprefix("Half")
    runs["format"] += " " + runs["a_bits"].astype(str) + runs["a_quant"].str.removeprefix("Half")
    fit = sf.fit(runs, "effective_parameters", robust="none")
    listed = ("effective_parameters", "104 QuEST runs", "half sum of squares of ln L")
    agrees(*listed, fit.objective_value / 2, 7.380e-4, abs=5e-7)
    published = sf.published("effective_parameters", "quest")
    assert fit.params["alpha"] == pytest.approx(published.params["alpha"], abs=5e-5)
    whole = fit.params["A[16NoQuantizer 16NoQuantizer]"]
    four = fit.params["A[4HadamardTrustQuantizer 4HadamardTrustQuantizer]"]
    theirs = published.params["A[16]"] / published.params["A[w4a4]"]
    assert (whole / four) ** (1 / fit.params["alpha"]) == pytest.approx(
        theirs ** (1 / published.params["alpha"]), abs=0.002
    )
