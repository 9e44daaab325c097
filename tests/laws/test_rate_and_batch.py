"""The loss over learning rate and batch size: identities, units, and the runs of Step Law."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

BOTH = ["lr", "batch"]


def test_the_form_of_the_bowl_is_a_completed_square():
    """A square around lines m(N, D) and n(N, D), with its floor, written out by hand."""
    rng = np.random.default_rng(0)
    lr, batch = 10 ** rng.uniform(-4, -2, 20), 10 ** rng.uniform(4.5, 7, 20)
    N, D = 10 ** rng.uniform(7, 10, 20), 10 ** rng.uniform(9, 12, 20)
    n, d = np.log(N / 1e9), np.log(D / 2e10)
    u = np.log(lr / 1e-3) - (0.2 - 0.7 * n + 0.3 * d)
    v = np.log(batch / 2**19) - (0.4 + 0.1 * n + 0.57 * d)
    h, k, m = 0.03, -0.014, 0.02
    square = h * u**2 + k * u * v + m * v**2
    # What the square has in n and d alone, the law has as drifts at first order only.
    at_zero = h * (u * 0 + 0.2 - 0.7 * n + 0.3 * d) ** 2
    at_zero += k * (0.2 - 0.7 * n + 0.3 * d) * (0.4 + 0.1 * n + 0.57 * d)
    at_zero += m * (0.4 + 0.1 * n + 0.57 * d) ** 2
    expected = 1.2 + 0.9 * np.exp(-0.25 * n) + np.exp(-0.3 * d) * (0.5 + square - at_zero)
    params = {
        **{"E": 1.2, "A": 0.9, "B": 0.5, "alpha": 0.25, "beta": 0.3, "t_N": 0.0, "t_D": 0.0},
        **{"c_ll": h, "c_lb": k, "c_bb": m},
        **{"s_l": -2 * h * 0.2 - k * 0.4, "s_b": -k * 0.2 - 2 * m * 0.4},
        **{"l_N": 2 * h * 0.7 - k * 0.1, "l_D": -2 * h * 0.3 - k * 0.57},
        **{"b_N": k * 0.7 - 2 * m * 0.1, "b_D": -k * 0.3 - 2 * m * 0.57},
    }
    columns = {"lr": lr, "batch": batch, "N": N, "D": D}
    np.testing.assert_allclose(sf.laws.loss_bowl.evaluate(columns, params), expected, rtol=1e-13)


def test_walls_by_hand():
    law, params = sf.laws.posynomial_bowl, dict.fromkeys("EAPQRW", 0.0)
    exponents = {"alpha": 0.2, "p": 0.4, "r": 0.3, "u": 0.5, "v": 0.25, "k": 0.3}
    columns = {"lr": 4e-3, "batch": 2.0**21, "N": 3e9, "D": 8e10}
    terms = {
        "E": 1.0,
        "A": 3**-0.2,
        "P": 3**0.3 * (4 / (4 * 4 ** (1 / 3))) ** 0.4,
        "Q": 3**0.25 * (2 * 4 / 8) ** 0.5,
        "R": (4 * 4 / 4 ** (1 / 3)) ** -0.3,
        "W": 64.0,
    }
    for name, term in terms.items():
        found = law.evaluate(columns, {**params, **exponents, name: 1.0})
        assert found == pytest.approx(term, rel=1e-13), name


def test_units_change_coefficients_and_no_prediction():
    rng = np.random.default_rng(1)
    runs = pd.DataFrame(
        {
            "lr": 10 ** rng.uniform(-3.5, -2.2, 60),
            "sequences": 2 ** rng.uniform(5, 11, 60),
            "N": 10 ** rng.uniform(7.3, 9.5, 60),
            "D": 10 ** rng.uniform(9, 11.5, 60),
        }
    )
    params = {
        **{"E": 1.2, "A": 0.99, "B": 0.4, "s_l": 0.0074, "s_b": 0.0076, "c_ll": 0.028},
        **{"c_lb": -0.014, "c_bb": 0.0213, "l_N": 0.0247, "l_D": -0.0007, "b_N": -0.0045},
        **{"b_D": -0.0217, "t_N": 0.0, "t_D": 0.0, "alpha": 0.25, "beta": 0.24},
    }
    columns = {**runs, "batch": 2048 * runs["sequences"]}
    runs["loss"] = sf.laws.loss_bowl.evaluate(columns, params)
    runs["loss"] *= np.exp(0.001 * rng.standard_normal(60))
    fits = [
        sf.fit(runs, "loss_bowl", batch=batch, robust="none", certify=False)
        for batch in ("sequences", ("sequences", 2048))
    ]
    one, other = (fit.predict(runs) for fit in fits)
    np.testing.assert_allclose(one, other, rtol=1e-8)
    best = [sf.optimal_columns(fit, BOTH, N=3e8, D=1e10) for fit in fits]
    assert best[1]["batch"] == pytest.approx(2048 * best[0]["batch"], rel=1e-5)
    assert best[1]["lr"] == pytest.approx(best[0]["lr"], rel=1e-5)


def test_the_critical_batch_takes_twice_the_tokens():
    D_min, b_crit = 3e9, 1e6
    batch = np.array([1e6, 1e5, 1e7])
    D = sf.laws.tokens_of_batch.evaluate({"batch": batch}, {"D_min": D_min, "b_crit": b_crit})
    assert D[0] == 2 * D_min
    # Steps against examples, as McCandlish et al. write it.
    np.testing.assert_allclose((D / batch / (D_min / b_crit) - 1) * (D / D_min - 1), 1.0)


@pytest.mark.slow
def test_held_out_scale_of_the_benchmark():
    """Fitted to the training rows, scored on the larger cell: R2 0.856; other laws for contrast."""
    if "SCALEFIT_BENCH" not in os.environ:
        pytest.skip("set SCALEFIT_BENCH to the folder that holds the tables of benchmarks")
    folder = Path(os.environ["SCALEFIT_BENCH"])
    names = {"N": "non_embedding_param_size", "D": "data_size", "loss": "lm_loss"}
    train, test = (pd.read_csv(folder / f"sld_lr_bsz_{part}.csv") for part in ("train", "test"))
    test = test.assign(tokens=2048 * test["bsz"])
    scores = {}
    for law in ("posynomial_bowl", "chinchilla"):
        batch = {} if law == "chinchilla" else {"batch": ("bsz", 2048)}
        fit = sf.fit(train, law, robust="none", certify=False, **batch, **names)
        columns = {"N": test[names["N"]], "D": test[names["D"]]}
        if batch:
            columns |= {"lr": test["lr"], "batch": test["tokens"]}
        error = test["lm_loss"] - fit.predict(**columns)
        scores[law] = 1 - np.mean(error**2) / np.var(test["lm_loss"])
    assert scores["posynomial_bowl"] == pytest.approx(0.8556, abs=5e-4)
    assert scores["chinchilla"] < 0


@pytest.mark.slow
def test_all_runs_of_step_law_say_where_its_optimum_is(data_folder):
    runs = pd.read_csv(data_folder / "steplaw_dense.csv")
    options = {"batch": ("batch_size", 2048), "N": "params", "D": "tokens", "keep": "loss < 4"}
    fit = sf.fit(runs, "posynomial_bowl", robust="none", certify=False, **options)
    assert fit.nobs == 1730
    N, D = 1073741824.0, 1e11
    draws = sf.covariance(fit, runs, **options).draws(300, seed=0)
    found = sf.optimal_columns(draws, BOTH, N=N, D=D)
    assert found.inside
    low, high = found.estimate("lr").interval()
    assert low < sf.published("optimal_learning_rate").predict(N=N, D=D) < high
    published = sf.published("optimal_batch_size").predict(D=D)
    assert found["batch"] / published == pytest.approx(1.13, abs=0.05)
