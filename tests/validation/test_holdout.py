"""Held-out runs: errors and scores against fits and formulas by hand, and what cannot be judged."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scalefit as sf
from scalefit.errors import ArgumentError, DataError
from scalefit.laws import Coefficient
from scalefit.simulation import isoflop_design

BUDGETS = [1e18, 1e19, 1e20, 1e21]


@sf.law(source="a test")
def line(x, *, a: Coefficient, b: Coefficient):
    """a + b x"""
    return a + b * x


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(isoflop_design(BUDGETS, points=9), noise=0.004, seed=1)


@pytest.fixture(scope="module")
def largest(runs):
    return sf.holdout(runs, robust="none")


@pytest.fixture(scope="module")
def rolling(runs):
    return sf.holdout(runs, scheme="rolling", robust="none")


@pytest.fixture(scope="module")
def straight():
    x = np.geomspace(1.0, 9.0, 24)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(x))
    return pd.DataFrame({"x": x, "loss": 2.0 + 0.3 * x + noise})


def codes(found):
    return {note.code: note for note in found.notes}


# Errors


def test_errors_are_those_of_a_fit_that_has_not_seen_the_runs(runs, largest):
    small = runs["C"] < 5e20
    alone = sf.fit(runs[small], robust="none", certify=False)
    expected = 100 * np.log(runs["loss"][~small] / alone.evaluate(runs[~small]))
    frame = largest.to_frame()
    assert list(frame["row"]) == list(runs.index[~small])
    assert frame["error"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-5)
    (fold,) = largest.folds.itertuples()
    assert (fold.train, fold.test, fold.predicted) == (27, 9, 9)
    assert fold.mean == pytest.approx(expected.mean(), abs=1e-5)
    assert fold.rmse == largest.rmse == pytest.approx(np.sqrt((expected**2).mean()), abs=1e-5)
    assert fold.largest == pytest.approx(expected[expected.abs().idxmax()], abs=1e-5)
    assert fold.distance == pytest.approx(1.0)


def test_intervals_are_those_of_a_new_run_by_the_covariance(runs, largest):
    small = runs["C"] < 5e20
    fit = sf.fit(runs[small], robust="none", certify=False)
    draws = sf.covariance(fit, runs[small]).draws(1000, seed=0)
    loss = draws.predict(runs[~small], kind="run")
    for level in (0.5, 0.95):
        frame = largest.to_frame(level)
        for name, end in zip(("low", "high"), loss.interval(level), strict=True):
            assert frame[name].to_numpy() == pytest.approx(end, rel=1e-6)
    below = (loss.draws < runs["loss"][~small].to_numpy()).mean(axis=0)
    assert frame["pit"].to_numpy() == pytest.approx(below, abs=1.5e-3)


def test_rolling_origins_train_below_what_they_predict(runs, rolling):
    frame = rolling.folds
    assert list(frame.index) == ["C = 1e+19", "C = 1e+20", "C = 1e+21"]
    assert list(frame["train"]) == [9, 18, 27]
    assert list(rolling.to_frame()["row"]) == list(runs.index[9:])


def test_units_and_the_order_of_rows_change_no_error(runs, rolling):
    other = sf.holdout(
        runs.assign(N=runs["N"] / 1e9).sample(frac=1.0, random_state=0),
        by="C",
        scheme="rolling",
        robust="none",
        intervals=False,
    )
    here, there = (
        found.to_frame().set_index(["fold", "row"])["error"] for found in (rolling, other)
    )
    assert there[here.index].to_numpy() == pytest.approx(here.to_numpy(), abs=1e-4)


def test_leaving_one_run_out_of_a_line_is_its_residual_over_one_less_its_leverage(straight):
    found = sf.holdout(
        straight, line, by="x", scheme="groups", residual="raw", robust="none", intervals=False
    )
    X = np.c_[np.ones(len(straight)), straight["x"]]
    hat = X @ np.linalg.solve(X.T @ X, X.T)
    y = straight["loss"].to_numpy()
    without = (y - hat @ y) / (1 - np.diagonal(hat))
    frame = found.to_frame()
    assert (frame["observed"] - frame["predicted"]).to_numpy() == pytest.approx(without, abs=1e-9)
    assert frame["error"].to_numpy() == pytest.approx(100 * np.log(y / (y - without)), abs=1e-7)


# Scores


@pytest.mark.parametrize("residual", ["raw", "relative"])
def test_the_log_score_of_a_line_is_that_of_students_t(straight, residual):
    found = sf.holdout(straight, line, hold=5, residual=residual, robust="none")
    train, test = straight.iloc[:-5], straight.iloc[-5:]
    x, y, new, seen = train["x"], train["loss"], test["x"], test["loss"].to_numpy()
    # A relative residual (L - f) / L is linear in a and b too, with the weight 1 / L.
    each, other = (1.0, np.ones(5)) if residual == "raw" else (y, seen)
    X = np.c_[np.ones(len(x)), x] / np.reshape(each * np.ones(len(x)), (-1, 1))
    inverse = np.linalg.inv(X.T @ X)
    target = (y / each).to_numpy()
    point = inverse @ X.T @ target
    rest = target - X @ point
    n, p = X.shape
    left_out = rest / (1 - np.sum((X @ inverse) * X, axis=1))
    meat = X.T @ (left_out[:, None] ** 2 * X)
    V = (n - 1) / n * inverse @ meat @ inverse
    Z = np.c_[np.ones(5), new] / other[:, None]
    scale = np.sqrt(np.sum((Z @ V) * Z, axis=1) + rest @ rest / (n - p))
    r = seen / other - Z @ point
    # Densities of ln loss: dr / d ln L.
    steep = seen if residual == "raw" else 1 - r
    expected = stats.t.logpdf(r, n - p, scale=scale) + np.log(steep)
    assert found.to_frame()["log_density"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert found.log_score == pytest.approx(expected.mean(), abs=1e-6)


def test_the_density_is_that_of_the_draws(runs, rolling):
    """To first order the same distribution: quantiles of the draws have the density's shares."""
    frame = rolling.to_frame()[lambda item: item["fold"] == "C = 1e+21"]
    low, high = (np.log(frame[name].to_numpy()) for name in ("low", "high"))
    # Densities between half and the peak of a t of the width of the intervals.
    df = rolling.folds["df"]["C = 1e+21"]
    scale = (high - low) / (2 * stats.t.ppf(0.975, df))
    middle = np.log(frame["predicted"].to_numpy())
    expected = stats.t.logpdf(np.log(frame["observed"]), df, middle, scale)
    assert frame["log_density"].to_numpy() == pytest.approx(expected, abs=0.35)
    assert frame["log_density"].mean() == pytest.approx(expected.mean(), abs=0.15)


def test_coverage_counts_runs_with_the_interval_of_a_share(rolling):
    frame = rolling.to_frame(0.8)
    known = frame["inside"].notna()
    inside, count = int(frame["inside"].sum()), int(known.sum())
    row = rolling.coverage.set_index("level").loc[0.8]
    assert (row["inside"], row["runs"]) == (inside, count)
    expected = stats.binomtest(inside, count).proportion_ci()
    assert (row["share_low"], row["share_high"]) == pytest.approx(tuple(expected))
    # So many times as wide, and just 80 % would be inside.
    part = np.log(frame[known][["observed", "predicted", "low", "high"]])
    middle = part["predicted"]
    for factor, enough in ((row["width"] * (1 + 1e-9), True), (row["width"] * (1 - 1e-9), False)):
        low = middle - factor * (middle - part["low"])
        high = middle + factor * (part["high"] - middle)
        share = ((part["observed"] >= low) & (part["observed"] <= high)).mean()
        assert (share >= 0.8) == enough


def test_the_verdict_says_whether_intervals_hold():
    rng = np.random.default_rng(3)
    x = np.repeat(np.arange(1.0, 21.0), 6)
    bent = pd.DataFrame({"x": x, "loss": 3 + 0.1 * x + 0.002 * (x > 14) * (x - 14) ** 2})
    bent["loss"] *= np.exp(0.002 * rng.standard_normal(len(x)))
    options = {"by": "x", "hold": 4, "residual": "raw", "robust": "none"}
    wrong = sf.holdout(bent, line, **options)
    assert "too narrow by" in wrong.verdict()
    note = codes(wrong)["intervals_do_not_hold"]
    assert note.details["width"] > 2
    few = sf.holdout(bent[bent["x"] < 14], line, **{**options, "hold": 1})
    assert "too few runs to judge coverage" in few.verdict()
    assert "few_held_out" in codes(few)


# What cannot be judged


def test_origins_that_cannot_be_fitted_are_listed_last_with_the_reason(runs):
    many = sf.simulate(isoflop_design(np.geomspace(1e18, 1e20, 8), points=2), noise=0.004, seed=2)
    found = sf.holdout(many, scheme="rolling")
    frame = found.folds
    lost = frame["predicted"] == 0
    assert lost.sum() and not lost.iloc[: (~lost).sum()].any()
    assert frame["reason"][lost].str.contains("cannot identify").all()
    # The earliest that is identified comes first.
    assert frame["train"].iloc[0] == frame["train"][~lost].min()
    assert codes(found)["folds_without_fit"].details["folds"] == list(frame.index[lost])
    assert found.to_frame()["predicted"].isna().sum() == frame["test"][lost].sum()


def test_folds_without_freedom_predict_without_intervals(runs):
    found = sf.holdout(runs[runs["C"] < 2e19], by="C")
    assert found.folds["predicted"].tolist() == [9]
    assert "fewer than 5" in found.folds["reason"].iloc[0]
    assert "folds_without_intervals" in codes(found)
    assert np.isnan(found.log_score) and found.coverage.empty
    assert found.to_frame()["inside"].isna().all()


def test_levels_that_no_fitted_run_has_are_told_of_and_others_predicted(runs):
    corpus = np.where((runs["C"] > 5e20) & (runs.index % 3 == 0), "new", "web")
    corpus = np.where(runs.index % 2, corpus, "code")
    found = sf.holdout(
        runs.assign(corpus=corpus), groups={"E": "corpus"}, robust="none", intervals=True
    )
    frame = found.to_frame()
    new = corpus[runs["C"] > 5e20] == "new"
    assert new.any() and not new.all()
    assert frame["predicted"].isna().tolist() == new.tolist()
    assert frame["inside"].isna().tolist() == new.tolist()
    assert codes(found)["unseen_levels"].details["rows"] == list(frame["row"][new])


def test_checkpoints_on_both_sides_of_a_fold_are_told_of_with_the_column():
    rng = np.random.default_rng(0)
    parts = []
    for k, N in enumerate(np.geomspace(2e7, 2e9, 8)):
        D = np.linspace(1, 20, 20) * 1e8 * (k + 2)
        shared = np.cumsum(rng.standard_normal(20)) * 0.002
        loss = (1.8 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(shared)
        parts.append(pd.DataFrame({"N": N, "D": D, "loss": loss, "run": f"run{k}"}))
    table = pd.concat(parts, ignore_index=True)
    leaking = sf.holdout(table, test="D > 8e9", intervals=False)
    note = codes(leaking)["leaky_folds"]
    assert note.severity == "warning"
    assert note.details["rows"] == int((table["D"] > 8e9).sum())
    assert "by='run', scheme='groups'" in note.message
    whole = sf.holdout(table, by="run", scheme="groups")
    assert "leaky_folds" not in codes(whole)
    # Intervals take the runs as clusters.
    assert set(whole.folds["method"]) == {"sandwich of run"}


def test_repeats_of_a_cell_on_both_sides_of_a_fold_are_told_of():
    base = isoflop_design(BUDGETS, points=9)
    parts = [sf.simulate(base, noise=0.004, seed=k).assign(seed=k) for k in range(3)]
    table = pd.concat(parts, ignore_index=True)
    by_seed = sf.holdout(table, by="seed", scheme="groups", intervals=False)
    note = codes(by_seed)["leaky_folds"]
    # Noise of seeds is independent.
    assert note.severity == "info" and note.details["rows"] == len(table)
    assert "leaky_folds" not in codes(sf.holdout(table, intervals=False))


def test_losses_that_are_not_positive_have_plain_errors(straight):
    shifted = straight.assign(loss=straight["loss"] - 4.0)
    options = {"hold": 5, "residual": "raw", "robust": "none"}
    here, there = (sf.holdout(table, line, **options) for table in (shifted, straight))
    assert here.unit != "%"
    plain = there.to_frame()["observed"] - there.to_frame()["predicted"]
    assert here.to_frame()["error"].to_numpy() == pytest.approx(plain.to_numpy(), abs=1e-9)
    assert here.folds["inside"].tolist() == there.folds["inside"].tolist()
    # The density of ln loss is that of the loss times the loss.
    slope = np.log(there.to_frame()["observed"])
    expected = there.to_frame()["log_density"] - slope
    assert here.to_frame()["log_density"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert "observed - predicted" in here.summary()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"scheme": "last"}, ArgumentError, "scheme"),
        ({"hold": 0}, ArgumentError, "hold"),
        ({"test": "C > 1e20", "by": "N"}, ArgumentError, "Leave out by"),
        ({"scheme": "groups", "hold": 2}, ArgumentError, "Leave out hold"),
        ({"by": "size"}, DataError, "no column 'size'"),
        ({"test": "C > 1e30"}, DataError, "no run satisfies"),
        ({"intervals": 1}, ArgumentError, "intervals"),
        ({"schem": "largest"}, ArgumentError, "scheme"),
    ],
    ids=["scheme", "hold", "test and by", "groups and hold", "by", "test", "intervals", "misspelt"],
)
def test_options_that_make_no_sense_are_refused(runs, options, error, said):
    with pytest.raises(error, match=said):
        sf.holdout(runs, **options)


# Public tables


def test_the_published_protocol_of_over_training(data_folder):
    """Gadre et al. 2024: five small runs predict 1.4e9 at D/N = 640, and 6.9e9 at 20."""
    runs = pd.read_csv(data_folder / "gadre.csv")
    runs = runs.assign(M=runs["token_multiplier"].astype(float))
    runs = runs[runs["train_dataset"] == "rpj"]
    small = runs["params"] < 1e9
    first = runs["params"] == runs["params"].min()
    fitted = (small & (runs["M"] == 20)) | (first & (runs["M"] == 320))
    wanted = ((runs["model"] == "open_lm_1b") & (runs["M"] == 640)) | (
        (runs["model"] == "open_lm_7b") & (runs["M"] == 20)
    )
    options = {"residual": "raw", "robust": "none"}
    found = sf.holdout(
        runs[fitted | wanted], "chinchilla_overtrained", test="params > 1e9", **options
    )
    frame = found.to_frame()
    errors = 100 * (frame["predicted"] / frame["observed"] - 1).abs()
    assert errors.round(4).tolist() == [0.7103, 0.7320]
    assert "1 residual degrees of freedom" in found.folds["reason"].iloc[0]
    # Errors of 17 tasks: a law of the loss, by these and a sixth run, at the predicted losses.
    sixth = fitted | ((runs["model"] == "open_lm_1b") & (runs["M"] == 20))
    table = runs[sixth][["loss", "err_avg_17"]]
    tasks = sf.fit(table, "error_of_loss", error="err_avg_17", **options)
    observed = runs["err_avg_17"][frame["row"]].to_numpy()
    chained = 100 * np.abs(tasks.evaluate(loss=frame["predicted"].to_numpy()) / observed - 1)
    assert chained.round(4).tolist() == [3.6365, 0.0464]


def test_the_largest_models_of_farseer_by_the_others(data_folder):
    runs = sf.read(data_folder / "farseer.csv")
    found = sf.holdout(runs, by="N", intervals=False)
    N = runs.column("N")
    alone = sf.fit(runs.frame[N < 6e9], certify=False)
    rest = runs.frame[N > 6e9]
    expected = 100 * np.log(rest["loss"] / alone.evaluate(rest))
    assert found.rmse == pytest.approx(np.sqrt((expected**2).mean()), rel=1e-5)


@pytest.mark.slow
def test_laws_with_more_interaction_predict_them_better(data_folder):
    runs = sf.read(data_folder / "farseer.csv")
    rmse = [
        sf.holdout(runs, law, by="N", intervals=False).rmse
        for law in ("chinchilla", "chinchilla_outer", "farseer")
    ]
    assert rmse[0] > 3 * rmse[1] > 6 * rmse[2]


def test_few_held_out_runs_name_a_call_that_holds_more():
    generator = np.random.default_rng(2)
    design = pd.DataFrame({"N": 10 ** generator.uniform(7, 9, 60)})
    design["D"] = design["N"] * 10 ** generator.uniform(0, 3, 60)
    table = sf.simulate(design, noise=0.004, seed=2)[["N", "D", "loss"]]
    one = sf.holdout(table)
    assert one.verdict().startswith("Predicts 1 run (")
    (note,) = [note for note in one.notes if note.code == "few_held_out"]
    hold = int(re.search(r"hold=(\d+)", note.message)[1])
    assert len(sf.holdout(table, hold=hold).errors) >= hold == 20
