"""Error and accuracy: Gadre et al.'s public runs, and what the formulas say."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

SMALL = ["d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8"]
RAW = {"residual": "raw", "robust": "none"}
METRICS = ["err_avg_46", "err_avg_17"]
CORPORA = {"c4_original": "C4", "rpj": "RedPajama", "rw_original": "RefinedWeb"}


@pytest.fixture(scope="module")
def runs(data_folder):
    return pd.read_csv(data_folder / "gadre.csv")


@pytest.fixture(scope="module")
def references(data_folder):
    return json.loads((data_folder / "reference_fits.json").read_text())["gadre_overtraining"]


def ladder(runs, corpus, *, with_1b):
    """Four small models at 20 tokens per parameter, one of them at 320; and one of 1.4e9."""
    mine = runs[runs["train_dataset"] == corpus]
    at = {name: mine["model"] == name for name in (*SMALL, "open_lm_1b")}
    twenty, most = mine["token_multiplier"] == 20, mine["token_multiplier"] == 320
    chosen = (mine["model"].isin(SMALL) & twenty) | (at[SMALL[0]] & most)
    return mine[chosen | (at["open_lm_1b"] & twenty)] if with_1b else mine[chosen]


@pytest.mark.parametrize("corpus", CORPORA)
def test_five_runs_give_the_published_loss_law(runs, references, corpus):
    expected = references[corpus]
    few = ladder(runs, corpus, with_1b=False)
    fit = sf.fit(few, "chinchilla_tied", **RAW)
    assert fit.nobs == expected["n"]
    assert fit.objective_value == pytest.approx(expected["objective"], rel=1e-8)
    alpha = fit.params["alpha"]
    assert alpha == pytest.approx(-expected["params"]["b"], abs=1e-7)
    assert fit.params["E"] == pytest.approx(expected["params"]["E"], abs=1e-6)
    assert fit.params["A"] == pytest.approx(expected["params"]["alpha"], rel=1e-5)
    # The authors write the data term in 6 M N, M tokens per parameter.
    B = expected["params"]["beta"] * 6 ** (-alpha / 2)
    assert fit.params["B"] == pytest.approx(B, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_six_runs_give_the_reference_error_law(runs, references, agrees, corpus, metric):
    expected = references[corpus]["downstream"][metric]
    table = ladder(runs, corpus, with_1b=True)[["loss", metric]]
    fit = sf.fit(table, "error_of_loss", error=metric, **RAW)
    assert fit.nobs == expected["n"]
    assert fit.objective_value == pytest.approx(expected["objective"], rel=1e-8)
    short = {"c4_original": "c4", "rpj": "redpajama", "rw_original": "refinedweb"}[corpus]
    published = sf.published("error_of_loss", f"{short}_{metric[-2:]}_tasks").params
    names = ("epsilon", "k", "gamma")
    agrees(
        "error_of_loss",
        f"6 runs of Gadre et al. on {CORPORA[corpus]}",
        f"epsilon, k, gamma of {metric[-2:]} tasks",
        [fit.params[name] for name in names],
        [expected["params"][name] for name in names],
        rel=2e-6,
    )
    for name in names:
        assert fit.params[name] == pytest.approx(published[name], rel=2e-6)


def test_chained_predictions_have_the_published_errors(runs, references, agrees):
    loss_law = sf.fit(ladder(runs, "rpj", with_1b=False), "chinchilla_tied", **RAW)
    table = ladder(runs, "rpj", with_1b=True)[["loss", "err_avg_17"]]
    error_law = sf.fit(table, "error_of_loss", error="err_avg_17", **RAW)
    mine = runs[runs["train_dataset"] == "rpj"]
    found = {}
    for name, model, ratio in (("open_lm_1b", "open_lm_1b", 640), ("open_lm_7b", "open_lm_7b", 20)):
        (row,) = mine[(mine["model"] == model) & (mine["token_multiplier"] == ratio)].itertuples()
        published = references["rpj"]["published_check"][f"{name}, M={ratio}"]
        loss = float(loss_law.predict(N=row.params, D=row.tokens))
        error = float(error_law.predict(loss=loss))
        of_loss = 100 * abs(loss / row.loss - 1)
        of_error = 100 * abs(error / row.err_avg_17 - 1)
        assert round(of_loss, 4) == pytest.approx(published["published_loss_percent"], abs=1e-4)
        found[f"{row.params / 1e9:.1f}e9"] = of_error, published["published_top1_percent"]
    agrees(
        "error_of_loss",
        "6 runs of Gadre et al. on RedPajama, loss by chinchilla_tied",
        f"percent of error of 17 tasks at {' and '.join(found)} parameters (published)",
        *zip(*found.values(), strict=True),
        abs=1e-4,
    )


def test_one_step_of_the_ladder_is_both():
    N, D = np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e12, 5)
    loss = sf.laws.chinchilla.evaluate(
        {"N": N, "D": D}, {"E": 0.5, "A": 60.0, "B": 90.0, "alpha": 0.25, "beta": 0.24}
    )
    two = sf.laws.accuracy_of_loss.evaluate(
        {"loss": loss}, {"a": -0.6, "b": 0.9, "k": 5.0, "L0": 0.8}
    )
    one = sf.laws.accuracy_of_scale.evaluate(
        {"N": N, "D": D},
        {
            "a": -0.6,
            "b": 0.9,
            "A": 5 * 60 * 1e9**-0.25,
            "B": 5 * 90 * 1e11**-0.24,
            "e": 5 * (0.5 - 0.8),
            "alpha": 0.25,
            "beta": 0.24,
        },
    )
    np.testing.assert_allclose(one, two, rtol=1e-12)


# A, B, alpha, beta, E of the loss on a task's right answers, and their prediction for 13.2e9
# parameters and 5e12 tokens (OLMo ladder, released tables).
TASKS = {
    "mmlu": (38.07, 100.09, 0.2262, 0.2361, 0.4541, 0.7502),
    "hellaswag": (11.23, 60.37, 0.1955, 0.2565, 0.5019, 0.6532),
    "arc-challenge": (7.03e5, 38.45, 0.7877, 0.1970, 0.6546, 0.7833),
    "piqa": (405.7, 10.16, 0.3978, 0.1533, 0.7217, 0.8748),
}


@pytest.mark.parametrize("task", TASKS)
def test_first_step_of_the_ladder_is_the_additive_law(task):
    A, B, alpha, beta, E, expected = TASKS[task]
    params = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    target = {"N": 13202396160, "D": 5000088518656}
    # Coefficients of four digits.
    assert sf.laws.chinchilla.evaluate(target, params) == pytest.approx(expected, abs=1e-3)


def test_log_accuracy_is_a_power_of_compute():
    C = np.geomspace(1e18, 1e23, 9)
    params = {"floor": 0.25, "C0": 1e20, "alpha": 0.3}
    Q = sf.laws.accuracy_of_compute.evaluate({"C": C}, params)
    above = (Q - 0.25) / 0.75
    slope, intercept = np.polyfit(np.log(C), np.log(-np.log(above)), 1)
    assert slope == pytest.approx(-0.3, rel=1e-10)
    assert intercept == pytest.approx(0.3 * np.log(1e20), rel=1e-10)


def test_log_accuracy_adds_two_powers():
    columns = {"N": np.geomspace(1e8, 1e10, 5), "D": np.geomspace(1e9, 1e12, 5)}
    params = {"A": 0.4, "B": 0.3, "alpha": 0.25, "beta": 0.2}
    found = -np.log(sf.laws.accuracy_of_size.evaluate(columns, params))
    expected = 0.4 * (columns["N"] / 1e9) ** -0.25 + 0.3 * (columns["D"] / 1e11) ** -0.2
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# Translation


def test_bleu_is_the_power_of_a_logarithm_that_the_paper_prints():
    K, D0, beta = 2.0, 2e4, 1.1
    D = np.array([1e5, 1e7, 1e10])
    alpha = K ** (1 / beta)
    printed = np.log(D0**-alpha * D**alpha) ** beta
    found = sf.laws.bleu_of_data.evaluate({"D": D}, {"K": K, "D0": D0, "beta": beta})
    np.testing.assert_allclose(found, printed, rtol=1e-12)


def test_where_the_logarithm_is_not_positive_the_score_is_zero():
    D = np.geomspace(1e3, 1e10, 24)
    params = {"K": 2.0, "D0": 2e4, "beta": 1.1}
    score = sf.laws.bleu_of_data.evaluate({"D": D}, params)
    assert (score[D <= 2e4] == 0).all() and (score[D > 2e4] > 0).all()
    runs = pd.DataFrame({"D": D, "bleu": score})
    fit = sf.fit(runs, "bleu_of_data", residual="raw", robust="none")
    assert fit.params["K"] == pytest.approx(2.0, rel=1e-6)
    assert fit.params["beta"] == pytest.approx(1.1, rel=1e-6)
    assert fit.predict(D=10.0) == 0
