"""Shapes of models: the published runs of the aspect-ratio law, and stationary points."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

# Parameters, width, layers, loss at 20 tokens per parameter, loss at 160: the runs that are fitted
# in law/all_20N_data_fit of Waterpine/open-lm-morph (MIT). Tokens by nominal size.
TOKENS = {80: 1610612736, 116: 2315255808, 164: 3288334336, 237: 4731174912, 313: 6174015488}
RUNS = [
    (80, 78914048, 512, 8, 4.9619, 3.7074),
    (80, 78010560, 576, 5, 5.0119, 3.7712),
    (80, 79794560, 640, 3, 5.0774, 3.8428),
    (80, 77999936, 448, 13, 4.9761, None),
    (80, 77677440, 384, 22, 4.9908, None),
    (116, 115356800, 640, 10, 4.4789, None),
    (116, 111615120, 720, 6, 4.5190, None),
    (116, 113056800, 800, 4, 4.5593, None),
    (116, 118334480, 880, 3, 4.5975, None),
    (116, 114024400, 560, 15, 4.4881, None),
    (116, 114793440, 480, 24, 4.5089, None),
    (164, 162417408, 768, 12, 4.0960, None),
    (164, 158824800, 864, 8, 4.1163, None),
    (164, 163197120, 960, 6, 4.1342, None),
    (164, 160048416, 1056, 4, 4.1873, None),
    (164, 163979136, 1152, 3, 4.2323, None),
    (237, 231695744, 896, 14, 3.7838, None),
    (237, 227490480, 1008, 10, 3.7991, None),
    (237, 235702880, 1120, 8, 3.7998, None),
    (237, 234509968, 1232, 6, 3.8274, None),
    (313, 308839424, 1024, 16, 3.5904, None),
    (313, 307327104, 1152, 12, 3.5961, None),
    (313, 311975680, 1280, 9, 3.6079, None),
    (313, 311087744, 1408, 7, 3.6272, None),
]
# The same at 1e9 parameters, never fitted: 20 tokens per parameter.
LARGE = [
    (1439795200, 2048, 24, 2.8960),
    (1527073280, 2560, 16, 2.9090),
    (1443304192, 2816, 12, 2.9326),
    (1668885504, 3072, 12, 2.9198),
]
TIED = {"tie": [("alpha", "beta", "gamma")], "residual": "raw", "robust": "none"}
SIGNS = {"A": (-np.inf, np.inf), "B": (-np.inf, np.inf)}


@pytest.fixture(scope="module")
def runs():
    short = [(N, TOKENS[size], width / depth, loss) for size, N, width, depth, loss, _ in RUNS]
    long = [
        (N, 8 * TOKENS[size], width / depth, loss)
        for size, N, width, depth, _, loss in RUNS
        if loss is not None
    ]
    return pd.DataFrame(short + long, columns=["N", "D", "aspect", "loss"])


@pytest.mark.slow
def test_published_fit_of_runs_at_two_ratios(runs):
    fit = sf.fit(runs, "aspect_ratio", **TIED)
    assert fit.rows == 27
    assert fit.value / 27 == pytest.approx(3.769e-4, rel=1e-3)
    expected = {"A": 5.475e4, "B": 7.783e5, "E": 2.4475, "alpha": 0.61457, "epsilon": 1.1462e-3}
    for name, value in expected.items():
        assert fit.params[name] == pytest.approx(value, rel=2e-4), name


@pytest.mark.slow
def test_published_fit_of_runs_at_one_ratio_has_a_negative_amplitude(runs):
    fit = sf.fit(runs.iloc[:24], "aspect_ratio", bounds=SIGNS, **TIED)
    expected = {"A": -1.625e4, "B": 9.584e5, "E": 2.4096, "alpha": 0.60081, "epsilon": 1.0753e-3}
    for name, value in expected.items():
        assert fit.params[name] == pytest.approx(value, rel=5e-4), name
    held = sf.fit(runs.iloc[:24], "aspect_ratio", **TIED)
    assert held.params["A"] == 0
    assert held.trust.at_bound == ("A",)
    assert held.params["alpha"] == pytest.approx(0.6015, abs=1e-4)
    assert held.params["epsilon"] == pytest.approx(1.094e-3, rel=1e-3)


@pytest.mark.slow
def test_free_exponents_fit_better_and_end_elsewhere(runs):
    fit = sf.fit(runs, "aspect_ratio", tie=[("alpha", "beta")], residual="raw", robust="none")
    expected = {"A": 5.084e4, "B": 7.047e5, "E": 2.4675, "alpha": 0.60958, "gamma": 1.256}
    for name, value in expected.items():
        assert fit.params[name] == pytest.approx(value, rel=5e-4), name
    assert fit.params["epsilon"] == pytest.approx(2.359e-5, rel=5e-3)


@pytest.mark.slow
def test_larger_models_are_predicted_in_the_right_order(runs):
    table = pd.DataFrame(LARGE, columns=["N", "width", "depth", "loss"]).iloc[:3]
    table = table.assign(D=28991029248.0, aspect=table["width"] / table["depth"])
    predicted = sf.fit(runs, "aspect_ratio", **TIED).predict(table)
    assert (np.diff(predicted) > 0).all() == (np.diff(table["loss"]) > 0).all()
    np.testing.assert_allclose(predicted, table["loss"], rtol=0.012)
    # The additive law hardly tells them apart, and has them in another order.
    plain = sf.fit(runs, tie=[("alpha", "beta")], residual="raw", robust="none")
    assert not (np.diff(plain.predict(table)) > 0).all()


def stationary(law, params, column, at):
    """Derivative of a law in one column, scaled, at a value of it."""
    columns = {"width_ratio": 0.08, "mlp_ratio": 1.5, "best_loss": 3.0}
    step = 1e-6
    ends = [law.evaluate(columns | {column: at * (1 + sign * step)}, params) for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("law", [sf.laws.architecture_product, sf.laws.architecture_sum])
def test_factors_are_least_at_the_ratio_of_their_coefficients(law):
    params = {"a0": 1.0, "a1": 0.05, "a2": 0.004, "b1": 0.02, "b2": 0.03}
    for column, at in (("width_ratio", 0.08), ("mlp_ratio", 1.5)):
        assert stationary(law, params, column, at) == pytest.approx(0, abs=1e-8)
        assert (
            stationary(law, params, column, 0.8 * at)
            < 0
            < stationary(law, params, column, 1.2 * at)
        )


def test_normalisation_of_the_second_factor_changes_no_surface():
    """The paper's (a0 + a1 ln x + a2/x) (b0 + b1 ln r + b2/r), from its own coefficients."""
    a0, a1, a2, b0, b1, b2 = 0.9, 0.03, 0.002, 0.8, 0.05, 0.07
    x, r = np.array([0.03, 0.08, 0.2])[:, None], np.array([0.5, 1.0, 4.0])
    printed = 2.9 * (a0 + a1 * np.log(x) + a2 / x) * (b0 + b1 * np.log(r) + b2 / r)
    size = b0 + b2
    params = {"a0": a0 * size, "a1": a1 * size, "a2": a2 * size, "b1": b1 / size, "b2": b2 / size}
    found = sf.laws.architecture_product.evaluate(
        {"width_ratio": x, "mlp_ratio": r, "best_loss": 2.9}, params
    )
    np.testing.assert_allclose(found, printed, rtol=1e-14)
