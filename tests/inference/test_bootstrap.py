"""Bootstrap: what is resampled, and that every replicate is a fit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import beta

import scalefit as sf
from scalefit.fitting.polish import Polisher
from scalefit.inference import TailCorrection, bootstrap, resampling
from scalefit.inference.fitted_data import attach

DELTA = 1e-3


def resample(method, fit, runs, by=None, n=300, seed=0):
    fitted = attach(fit, runs)
    found = resampling.RESAMPLES[method](fitted, by, n, seed)
    every = [None if item is None else item[:] for item in (found.weights, found.losses)]
    return fitted, found._replace(weights=every[0], losses=every[1])


def reference(N, D, loss, weight, start):
    """Log-Huber optimum by scipy, exact derivatives, in ln E, ln A, ln B, alpha, beta."""

    def parts(x):
        E, A, B = np.exp(x[:3])
        n, d = np.log(N), np.log(D)
        a, b = A * np.exp(-x[3] * n), B * np.exp(-x[4] * d)
        f = E + a + b
        first = np.stack([np.full_like(f, E), a, b, -n * a, -d * b], axis=1)
        second = np.zeros((len(f), 5, 5))
        for i, value in enumerate((np.full_like(f, E), a, b, n**2 * a, d**2 * b)):
            second[:, i, i] = value
        second[:, 1, 3] = second[:, 3, 1] = -n * a
        second[:, 2, 4] = second[:, 4, 2] = -d * b
        return f, first, second

    def value(x):
        r = np.log(loss) - np.log(parts(x)[0])
        size = np.abs(r)
        return weight @ np.where(size <= DELTA, r**2 / 2, DELTA * (size - DELTA / 2))

    def gradient(x):
        f, first, _ = parts(x)
        psi = np.clip(np.log(loss) - np.log(f), -DELTA, DELTA)
        return -(weight * psi / f) @ first

    def hessian(x):
        f, first, second = parts(x)
        r = np.log(loss) - np.log(f)
        psi, inside = np.clip(r, -DELTA, DELTA), np.abs(r) <= DELTA
        outer = first[:, :, None] * first[:, None, :]
        core = np.einsum("n,nij->ij", weight * (inside + psi) / f**2, outer)
        return core - np.einsum("n,nij->ij", weight * psi / f, second)

    x = [*np.log([start["E"], start["A"], start["B"]]), start["alpha"], start["beta"]]
    found = minimize(
        value, x, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-13}
    )
    return np.r_[np.exp(found.x[:3]), found.x[3:]], found.fun


def assert_same_as_scipy(draws, fit, table, count):
    fitted = attach(fit, table)
    weights = resampling.RESAMPLES["rows"](fitted, None, len(draws), draws.seed).weights[:]
    N, D, loss = (fitted.table.column(name) for name in ("N", "D", "loss"))
    other = 0
    for replicate in range(count):
        start = {name: draws.params[name][replicate] * 1.002 for name in fit.law.names}
        expected, value = reference(N, D, loss, weights[replicate], start)
        found = np.array([draws.params[name][replicate] for name in ("E", "A", "B")] + [
            draws.params[name][replicate] for name in ("alpha", "beta")
        ])  # fmt: skip
        mine = draws.replicates.objective_value[replicate]
        assert mine <= value * (1 + 1e-9)
        # From a little aside scipy may descend into a worse minimum, and may then be ignored.
        if value > mine * (1 + 1e-7):
            other += 1
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert other <= 0.1 * count


def test_every_replicate_is_the_optimum_that_scipy_finds(draws, fit, runs):
    assert draws.failed == 0
    assert_same_as_scipy(draws, fit, runs, 25)


@pytest.mark.slow
def test_chinchilla_points_have_the_published_spread(data_folder):
    runs = sf.read(data_folder / "chinchilla_epoch.csv", keep="besiroglu_keep == 1")
    fit = sf.fit(runs)
    draws = sf.bootstrap(fit, runs, n_draws=4000, progress=False)
    assert draws.failed == 0
    spread = draws.conf_int()["se"]
    assert spread["alpha"] == pytest.approx(0.0151, abs=0.0005)
    assert spread["beta"] == pytest.approx(0.0207, abs=0.0008)
    exponent = sf.allocate(draws, 5.76e23).estimate("n_exponent")
    assert exponent.value == pytest.approx(0.514, abs=5e-4)
    assert exponent.interval(0.8) == pytest.approx((0.492, 0.542), abs=0.0015)
    assert_same_as_scipy(draws, fit, runs, 200)
    gradient = draws.replicates.gradient_cosine
    assert gradient.max() < 1e-9


def test_rows_are_drawn_with_replacement_and_keep_their_weight(fit, runs):
    _, found = resample("rows", fit, runs)
    assert (found.weights.sum(axis=1) == len(runs)).all()
    assert found.losses is None
    # A row is absent from (1 - 1/n)^n of the replicates.
    assert np.mean(found.weights == 0) == pytest.approx((1 - 1 / 30) ** 30, abs=0.02)
    weighted = runs.assign(weight=np.arange(len(runs)) % 3)
    _, found = resample("rows", sf.fit(weighted), weighted)
    assert (found.weights[:, ::3] == 0).all()
    assert (found.weights[:, 2::3] % 2 == 0).all()


def test_counts_are_small_numbers_of_things_drawn_with_replacement():
    found = resampling.counts(4000, 7, np.random.default_rng(5))
    assert found.dtype == np.uint16
    assert (found.sum(axis=1) == 7).all()
    # Multinomial: each of mean 1 and variance 6/7, any two of covariance -1/7.
    covariance = np.cov(found.T)
    np.testing.assert_allclose(found.mean(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(covariance, np.eye(7) - 1 / 7, atol=0.07)


@pytest.mark.parametrize("method", ["rows", "clusters", "strata", "residuals", "wild"])
def test_a_replicate_is_drawn_by_its_number_alone(fit, runs, method):
    by = "corpus" if method == "clusters" else None
    fitted = attach(fit, runs)
    few, many = (resampling.RESAMPLES[method](fitted, by, n, 3) for n in (600, 10**9))
    mine, other = (item.losses if item.weights is None else item.weights for item in (few, many))
    every = mine[:]
    assert len(np.unique(every, axis=0)) > 200
    # In another order, some of them twice, and as some of some.
    index = np.random.default_rng(0).integers(600, size=900)
    np.testing.assert_array_equal(other[index], every[index])
    np.testing.assert_array_equal(other.some(index).some(np.array([7, 3]))[:], every[index[[7, 3]]])


def test_a_replicate_is_the_same_fit_among_few_as_among_many(fit, runs):
    few, many = (sf.bootstrap(fit, runs, n_draws=n, seed=4, progress=False) for n in (40, 300))
    for name, values in few.params.items():
        np.testing.assert_allclose(many.params[name][:40], values, rtol=1e-7)


def test_clusters_stay_whole(fit, runs):
    _, found = resample("clusters", fit, runs, by="corpus")
    times = found.weights.reshape(300, 5, 6)
    assert (times == times[:, :1]).all()
    assert (times[:, 0].sum(axis=1) == 6).all()
    assert [note.code for note in found.notes] == ["few_clusters"]


@pytest.mark.parametrize("by", [None, "C"])
def test_strata_keep_the_runs_of_each_budget(fit, runs, by):
    _, found = resample("strata", fit, runs, by=by)
    sizes = runs.groupby("C").size().to_numpy()
    drawn = np.add.reduceat(found.weights, np.r_[0, np.cumsum(sizes)[:-1]], axis=1)
    assert (drawn == sizes).all()
    # Five strata of six runs, each with the spread of five.
    squares = sf.fit(runs, robust="none", certify=False)
    assert resample("strata", squares, runs, by=by)[1].tails == TailCorrection(25, np.sqrt(6 / 5))
    assert found.tails == TailCorrection()


def test_tails_are_those_of_what_was_resampled(fit, squares, runs):
    expected = {
        ("rows", None): TailCorrection(25),
        ("residuals", None): TailCorrection(25),
        ("wild", None): TailCorrection(25),
        ("wild", "corpus"): TailCorrection(5),
        ("clusters", "corpus"): TailCorrection(5, np.sqrt(6 / 5)),
    }
    for (method, by), tails in expected.items():
        assert resample(method, squares, runs, by=by, n=2)[1].tails == tails
    assert resample("rows", fit, runs, n=2)[1].tails == TailCorrection()


def test_residuals_of_other_runs_are_added_to_the_surface(fit, runs):
    fitted, found = resample("residuals", fit, runs)
    noise = np.log(found.losses / fitted.predicted)
    pool = fitted.residuals * np.sqrt(30 / 25)
    assert np.isin(noise.round(12), pool.round(12)).all()
    assert found.weights is None


def residuals_left_out(fitted, by=None):
    """(I - H)^-1 r by whole matrices, derivatives by differences."""
    p, law, kind = fitted.fit.params, fitted.fit.law, fitted.fit.objective.residual
    columns = {name: fitted.table.column(name) for name in ("N", "D")}

    def residual(params):
        f, loss = law.evaluate(columns, params), fitted.table.column("loss")
        return {"log": np.log(loss / f), "raw": loss - f, "relative": 1 - f / loss}[kind]

    steps = [
        residual({**p, name: v * (1 + 1e-6)}) - residual({**p, name: v * (1 - 1e-6)})
        for name, v in p.items()
    ]
    J = np.stack([step / np.linalg.norm(step) for step in steps], axis=1)
    Q, _ = np.linalg.qr(J)
    codes = np.arange(30) if by is None else fitted.table.labels(by).to_numpy()
    hat = np.where(codes[:, None] == codes, Q @ Q.T, 0.0)
    return np.linalg.solve(np.eye(30) - hat, fitted.residuals)


@pytest.mark.parametrize("by", [None, "corpus"])
def test_wild_losses_keep_the_size_of_each_runs_residual(fit, runs, by):
    fitted, found = resample("wild", fit, runs, by=by, n=4000)
    factors = np.log(found.losses / fitted.predicted) / residuals_left_out(fitted, by)
    assert np.unique((factors**2).round(6)).tolist() == [0.5, 1.0, 1.5]
    assert "wild_with_robust" in [note.code for note in found.notes]
    assert factors.mean() == pytest.approx(0.0, abs=0.02)
    assert (factors**2).mean() == pytest.approx(1.0, abs=0.01)
    if by is not None:
        grouped = factors.reshape(4000, 5, 6)
        np.testing.assert_allclose(grouped, np.broadcast_to(grouped[:, :1], grouped.shape))


@pytest.mark.parametrize(
    ("residual", "loss"), [("raw", lambda f, r: f + r), ("relative", lambda f, r: f / (1 - r))]
)
def test_losses_follow_the_residual_of_the_objective(runs, residual, loss):
    fit = sf.fit(runs, residual=residual, certify=False)
    fitted, found = resample("wild", fit, runs, n=5)
    factors = found.losses[0]
    r = (factors - fitted.predicted) / (1.0 if residual == "raw" else factors)
    np.testing.assert_allclose(loss(fitted.predicted, r), factors)
    assert np.unique((r / residuals_left_out(fitted)).round(4) ** 2).size == 3


def test_seed_decides(fit, runs, draws):
    again = sf.bootstrap(fit, runs, n_draws=400, seed=1)
    other = sf.bootstrap(fit, runs, n_draws=400, seed=2)
    for name, values in draws.params.items():
        np.testing.assert_array_equal(values, again.params[name])
        assert np.abs(values - other.params[name]).max() > 0


def test_methods_agree_where_noise_is_independent_and_of_one_size():
    runs = sf.simulate(sf.simulation.isoflop_design(points=48), noise=0.005)
    fit = sf.fit(runs, robust="none")
    names = ["E", "alpha", "beta"]
    expected = sf.covariance(fit, runs, "jacobian").standard_errors[names]
    found = {"sandwich": sf.covariance(fit, runs).standard_errors[names]}
    for method in ("rows", "strata", "residuals", "wild"):
        draws = sf.bootstrap(fit, runs, n_draws=600, method=method)
        assert draws.failed == 0
        found[method] = draws.conf_int()["se"][names]
    for spread in found.values():
        np.testing.assert_allclose(spread, expected, rtol=0.2)


def test_fixed_tied_and_grouped_parameters_come_along(runs):
    fit = sf.fit(runs, "chinchilla", tied=[("alpha", "beta")], fixed={"E": 1.69})
    draws = sf.bootstrap(fit, runs, n_draws=30)
    assert (draws.params["E"] == 1.69).all()
    np.testing.assert_array_equal(draws.params["alpha"], draws.params["beta"])
    assert "E" not in draws.conf_int().index
    half = runs.assign(half=np.arange(len(runs)) % 2)
    grouped = sf.fit(half, groups={"A": "half"})
    draws = sf.bootstrap(grouped, half, n_draws=30)
    assert list(draws.params) == list(grouped.params)
    one = draws.at(half=1)
    np.testing.assert_array_equal(one.params["A"], draws.params["A[1]"])
    np.testing.assert_allclose(
        draws.predict(N=1e9, D=1e10, half=[0, 1]).draws[:, 1], one.predict(N=1e9, D=1e10).draws
    )
    with pytest.raises(sf.errors.DataError, match="Choose one surface first"):
        sf.allocate(draws, 1e21)


def test_replicates_that_stop_early_are_counted_and_left_out(monkeypatch, fit, runs):
    """A loose optimiser, of the kind whose spreads were published 26 times too small."""
    honest = sf.bootstrap(fit, runs, n_draws=60)
    whole = Polisher.__call__

    def stopped(self, table, starts, most=5, stage=None):
        return whole(self, table, starts, min(most, 5), stage)

    monkeypatch.setattr(Polisher, "__call__", stopped)
    loose = sf.bootstrap(fit, runs, n_draws=60)
    assert honest.failed == 0
    assert loose.failed > 30
    assert (loose.replicates.gradient_cosine[~loose.usable] > 1e-6).any()
    (note,) = [note for note in loose.notes if note.code == "replicates_failed"]
    assert (note.severity, note.details["failed"]) == ("warning", loose.failed)
    assert f"{loose.failed} failed" in repr(loose)
    assert len(loose.drawn["alpha"]) == 60 - loose.failed
    # Those that are left did arrive.
    for name, values in loose.params.items():
        np.testing.assert_allclose(values[loose.usable], honest.params[name][loose.usable], 1e-5)


def test_whole_box_is_searched_for_the_share_asked(fit, runs, draws):
    assert draws.replicates.global_search.sum() == 20
    every = sf.bootstrap(fit, runs, n_draws=100, global_search=1.0, seed=1)
    assert every.replicates.global_search.all()
    some = sf.bootstrap(fit, runs, n_draws=100, global_search=0.0, seed=1)
    lower = every.replicates.objective_value < some.replicates.objective_value * (1 - 1e-9)
    np.testing.assert_array_equal(every.replicates.improved[~some.replicates.global_search],
                                  lower[~some.replicates.global_search])  # fmt: skip


def test_all_are_searched_once_a_search_gains():
    """Where noise hides the law, some refits end in other minima than the best."""
    away = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.3, seed=8)
    bad = sf.fit(away)
    found = sf.bootstrap(bad, away, n_draws=60, seed=1, global_search=0.3)
    assert found.replicates.improved.any()
    assert found.replicates.global_search.all()
    full = sf.bootstrap(bad, away, n_draws=60, seed=1, global_search=1.0)
    np.testing.assert_allclose(
        found.replicates.objective_value, full.replicates.objective_value, rtol=1e-6
    )
    assert "other_minima" in [note.code for note in found.notes]


def codes(draws):
    return {note.code: note for note in draws.notes}


def test_where_searches_are_dear_a_share_is_searched_and_the_others_follow(monkeypatch):
    """Three nonlinear parameters, with minima that some replicates prefer to the fit's."""
    away = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.02, seed=0)
    bad = sf.fit(away, "chinchilla_nonembedding", robust="none", certify=False)
    found = sf.bootstrap(bad, away, n_draws=100)
    again = sf.bootstrap(bad, away, n_draws=100)
    np.testing.assert_array_equal(
        found.replicates.objective_value, again.replicates.objective_value
    )
    monkeypatch.setattr(bootstrap, "MOST_FOLLOWED", 0)
    full = sf.bootstrap(bad, away, n_draws=100, global_search=1.0)
    assert full.replicates.global_search.all()
    assert full.replicates.improved.sum() > 10
    # One in twenty, a quarter for ending at a bound, and a round of ten or two.
    assert found.replicates.global_search.sum() <= 50
    assert (
        found.replicates.improved.sum()
        > found.replicates.improved[found.replicates.global_search].sum()
    )
    higher = found.replicates.objective_value > full.replicates.objective_value * (1 + 1e-9)
    assert higher.sum() <= 2
    note = codes(found)["other_minima"]
    assert note.details["searched"] == found.replicates.global_search.sum()
    assert note.details["checked"] == 10
    assert note.severity == ("warning" if note.details["missed"] else "info")
    assert note.details["most"] == pytest.approx(
        beta.ppf(0.95, note.details["missed"] + 1, 10 - note.details["missed"])
    )
    assert "few_searched" not in codes(found)


def test_what_a_share_says_of_the_replicates_that_are_not_searched_is_noted(runs):
    outer = sf.fit(runs, "chinchilla_outer", certify=False)
    found = sf.bootstrap(outer, runs, n_draws=100)
    note = codes(found)["few_searched"]
    assert note.details["checked"] == 5
    # None of five: the share at which that happens once in twenty.
    assert note.details["most"] == pytest.approx(1 - 0.05 ** (1 / 5), rel=1e-9)
    assert "few_searched" not in codes(sf.bootstrap(outer, runs, n_draws=100, global_search=1.0))
    assert "few_searched" not in codes(sf.bootstrap(sf.fit(runs), runs, n_draws=40))


def test_ends_at_a_bound_are_noted(runs):
    fit = sf.fit(runs, bounds={"alpha": (0.1, 0.345)})
    draws = sf.bootstrap(fit, runs, n_draws=60)
    notes = {note.details.get("parameter"): note for note in draws.notes}
    share = np.mean(draws.params["alpha"] == 0.345)
    assert 0 < share < 1
    assert notes["alpha"].details["share"] == pytest.approx(share)


def few(runs):
    return runs.iloc[[0, 3, 6, 9, 13, 17, 21, 25, 29]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "clusters", "by": "lab"}, "no column 'lab'"),
        ({"method": "clusters", "by": "one"}, "'one' has one value only"),
    ],
)
def test_columns_that_make_no_clusters_are_refused(fit, runs, options, message):
    with pytest.raises(sf.errors.DataError, match=message):
        sf.bootstrap(fit, runs.assign(one=1), **options)


def test_tables_that_say_nothing_about_noise_are_refused(fit, runs):
    with pytest.raises(sf.errors.DataError, match="these are not the 30 runs"):
        sf.bootstrap(fit, runs.assign(loss=runs["loss"] + 1e-9))
    with pytest.raises(
        sf.errors.DataError, match=r"leave 4 residual degrees of freedom.*fewer than 5"
    ):
        sf.bootstrap(sf.fit(few(runs)), few(runs))
    with pytest.raises(sf.errors.DataError, match="no table stands behind them"):
        sf.bootstrap(sf.published("chinchilla", "besiroglu"), runs)
    exact = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.0)
    with pytest.raises(sf.errors.DataError, match="no noise to learn from"):
        sf.bootstrap(sf.fit(exact), exact)


def test_strata_need_budgets(fit, runs):
    fitted = attach(fit, runs)
    other = fitted._replace(fit=replace(fit, law=sf.laws.find("chinchilla_n")))
    with pytest.raises(sf.errors.DataError, match="no budgets to resample within"):
        resampling.RESAMPLES["strata"](other, None, 10, 0)
