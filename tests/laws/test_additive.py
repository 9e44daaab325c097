"""The relations of the additive law against published and reference fits."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import laws

# Over-training: five runs of each corpus, four parameters. exponent of N and D, E, a, b
GADRE = {
    "c4_original": (0.242472, 1.508261, 141.277, 189.516),
    "rpj": (0.272851, 1.836648, 212.236, 366.687),
    "rw_original": (0.254395, 1.734462, 157.116, 246.207),
}


CORPORA = {"c4_original": "C4", "rpj": "RedPajama", "rw_original": "RefinedWeb"}


@pytest.fixture(scope="module")
def gadre(data_folder):
    runs = pd.read_csv(data_folder / "gadre.csv")
    return runs.assign(M=runs["token_multiplier"].astype(float))


def five(runs, corpus):
    """The runs that the paper fits: small ones at 20 tokens per parameter, the smallest at 320."""
    own = runs[runs["train_dataset"] == corpus]
    small = own["params"] < 1e9
    smallest = own["params"] == own["params"].min()
    return own[(small & (own["M"] == 20)) | (smallest & (own["M"] == 320))]


@pytest.mark.parametrize("corpus", GADRE)
def test_five_runs_give_the_published_over_training_law(gadre, agrees, corpus):
    runs = five(gadre, corpus)
    assert len(runs) == 5
    fit = sf.fit(runs, "chinchilla_overtrained", residual="raw", robust="none")
    agrees(
        "chinchilla_overtrained",
        f"5 runs of Gadre et al. on {CORPORA[corpus]}",
        "2 eta, E, a, b (published)",
        [2 * fit.params["eta"], fit.params["E"], fit.params["a"], fit.params["b"]],
        GADRE[corpus],
        rel=5e-6,
    )
    assert "few_rows" in {note.code for note in fit.notes}


# Relative errors in percent of two larger runs, as the authors' notebook prints them.
LARGER = {
    "c4_original": {(1.4398e9, 80): 1.498, (6.8894e9, 20): 4.295},
    "rpj": {(1.4398e9, 640): 0.7103, (6.8894e9, 20): 0.7320},
    "rw_original": {(1.4398e9, 320): 0.0052, (6.8894e9, 20): 1.619},
}


@pytest.mark.parametrize("corpus", LARGER)
def test_the_over_training_law_predicts_larger_runs_as_published(gadre, agrees, corpus):
    fit = sf.fit(five(gadre, corpus), "chinchilla_overtrained", residual="raw", robust="none")
    own = gadre[gadre["train_dataset"] == corpus]
    errors, names = [], []
    for params, M in LARGER[corpus]:
        run = own[np.isclose(own["params"], params, rtol=1e-3) & (own["M"] == M)]
        errors.append(100 * abs(fit.predict(run) / run["loss"] - 1).item())
        names.append(f"{params / 1e9:.1f}e9 with D/N = {M}")
    agrees(
        "chinchilla_overtrained",
        f"5 runs of Gadre et al. on {CORPORA[corpus]}",
        f"percent of error at {', '.join(names)} (published)",
        errors,
        list(LARGER[corpus].values()),
        abs=5e-4,
    )


def test_over_training_is_chinchilla_with_one_exponent():
    fit = sf.published("chinchilla_overtrained", "gadre_c4")
    p, eta = fit.params, fit.params["eta"]
    N, D = np.array([1e8, 3e9]), np.array([1e10, 6e11])
    tied = laws.chinchilla_tied.evaluate(
        {"N": N, "D": D},
        {"E": p["E"], "A": p["a"] * 6**-eta, "B": p["b"] * 6**-eta, "alpha": 2 * eta},
    )
    np.testing.assert_allclose(fit.predict(C=6 * N * D, M=D / N), tied, rtol=1e-13)
    optimal = (p["b"] / p["a"]) ** (1 / (2 * eta))
    assert optimal == pytest.approx(3.36, abs=5e-3)


# Counts without embeddings: exponents of the optimal N in C between the sizes of Kaplan et al.
PEARCE_SONG = {"besiroglu": (0.780540, 0.3478, 0.3658), "hoffmann": (0.738831, 0.34, 0.28)}


@pytest.mark.parametrize("base", PEARCE_SONG)
def test_small_models_seem_to_want_more_parameters(base):
    slope, alpha, beta = PEARCE_SONG[base]
    fit = sf.published("chinchilla_nonembedding", f"pearce_song_{base}")
    flops = np.geomspace(1e10, 1e24, 400)
    best = sf.allocate(fit, flops)
    inside = (best.N > 10**2.9) & (best.N < 10**9.2)
    found = np.polyfit(np.log(flops[inside]), np.log(best.N[inside]), 1)[0]
    # The paper's value is over its own grid of budgets.
    assert found == pytest.approx(slope, abs=0.01)
    # The curve of optimal sizes in closed form.
    A, B, gamma = (fit.params[name] for name in ("A", "B", "gamma"))
    N = best.N
    with_embeddings = N + gamma * N ** (1 / 3)
    closed = (
        6
        * N
        * (N + gamma / 3 * N ** (1 / 3)) ** (-1 / beta)
        * with_embeddings ** ((1 + alpha) / beta)
        * (beta * B / (alpha * A)) ** (1 / beta)
    )
    np.testing.assert_allclose(closed, flops, rtol=1e-8)
    assert sf.allocate(fit, 1e36).n_exponent == pytest.approx(beta / (alpha + beta), abs=1e-3)


def test_without_embeddings_in_the_count_it_is_chinchilla():
    p = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
    at = {"N": 1e9, "D": 2e10}
    counted = laws.chinchilla_nonembedding.evaluate(at, p | {"gamma": 0.0})
    assert counted == laws.chinchilla.evaluate(at, p)


# Free outer exponent


def test_an_outer_exponent_of_one_is_chinchilla():
    A, B, alpha, beta = 482.01, 2085.43, 0.3478, 0.3658
    model, data = A * 1e9**-alpha, B * 2e10**-beta
    outer = laws.chinchilla_outer.evaluate(
        {"N": 3e8, "D": 7e11},
        {"E": 1.8, "S": model + data, "w": data / (model + data), "alpha": alpha, "beta": beta}
        | {"k": 1.0},
    )
    plain = laws.chinchilla.evaluate(
        {"N": 3e8, "D": 7e11}, {"E": 1.8, "A": A, "B": B, "alpha": alpha, "beta": beta}
    )
    assert outer == pytest.approx(float(plain), rel=1e-13)


def test_the_optimal_split_does_not_depend_on_the_outer_exponent():
    values = {"E": 1.8, "S": 0.8, "w": 0.45, "alpha": 0.42, "beta": 0.43}
    table = sf.simulate(
        sf.simulation.isoflop_design(), "chinchilla_outer", values | {"k": 0.7}, noise=0.0
    )
    fit = sf.fit(table, "chinchilla_outer")
    best = sf.allocate(fit, 1e21)
    A, B = 0.55 * 1e9**0.42, 0.45 * 2e10**0.43
    G = (0.42 * A / (0.43 * B)) ** (1 / 0.85)
    assert best.N == pytest.approx(G * (1e21 / 6) ** (0.43 / 0.85), rel=1e-6)


@pytest.fixture(scope="module")
def epoch(data_folder):
    return sf.read(data_folder / "chinchilla_epoch.csv", keep="besiroglu_keep == 1", C="flops")


def test_outer_exponent_of_the_chinchilla_points(epoch, agrees):
    listed = ("chinchilla_outer", "240 Chinchilla points")
    fit = sf.fit(epoch, "chinchilla_outer")
    agrees(*listed, "Huber of ln L", fit.objective_value, 0.0009541845, rel=1e-6)
    expected = {"E": 1.757136, "alpha": 0.424359, "beta": 0.430527, "k": 0.774144}
    found = [fit.params[name] for name in expected]
    agrees(*listed, "E, alpha, beta, k", found, list(expected.values()), abs=5e-5)
    squares = sf.fit(epoch, "chinchilla_outer", robust="none")
    agrees(
        *listed, "half sum of squares of ln L", squares.objective_value / 2, 0.004728145, rel=1e-6
    )
    assert squares.params["k"] == pytest.approx(0.736860, abs=1e-5)


@pytest.mark.parametrize(
    ("corpus", "E", "alpha", "beta", "k"),
    [
        ("c4_original", 1.402436, 0.696012, 0.600354, 0.352867),
        ("rpj", 1.619023, 0.611077, 0.598270, 0.394560),
        ("rw_original", 1.703803, 0.713618, 0.650683, 0.355066),
    ],
)
def test_outer_exponent_of_the_over_trained_runs(gadre, agrees, corpus, E, alpha, beta, k):
    runs = gadre[gadre["train_dataset"] == corpus].dropna(subset="loss")
    fit = sf.fit(runs[["params", "tokens", "loss"]], "chinchilla_outer")
    listed = ("chinchilla_outer", f"{len(runs)} runs of Gadre et al. on {CORPORA[corpus]}")
    found = [fit.params[name] for name in ("E", "alpha", "beta", "k")]
    agrees(*listed, "E, alpha, beta, k", found, [E, alpha, beta, k], abs=2e-3)
    if corpus == "c4_original":
        agrees(*listed, "Huber of ln L", fit.objective_value, 0.000378448, rel=1e-5, at_most=True)


@pytest.mark.slow
def test_outer_exponent_of_the_farseer_runs_from_every_seed(data_folder, agrees):
    runs = sf.read(data_folder / "farseer.csv")
    for seed in range(10):
        fit = sf.fit(runs, "chinchilla_outer", robust="none", seed=seed)
        listed = ("chinchilla_outer", "404 Farseer runs")
        agrees(*listed, "root mean square of ln L", fit.residual_rms, 0.002468051975, rel=1e-7)
        assert fit.params["k"] == pytest.approx(0.49023, abs=1e-5)
