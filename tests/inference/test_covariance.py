"""Standard errors from curvature: textbook formulas, by other means."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.derivatives import core_share
from scalefit.inference.leverage import left_out
from scalefit.objective import Objective, measure

NAMES = ["E", "A", "B", "alpha", "beta"]


def jacobian(fit, runs):
    """Derivatives of ln f in every parameter, written out."""
    p = fit.params
    n, d = np.log(runs["N"].to_numpy()), np.log(runs["D"].to_numpy())
    a, b = np.exp(-p["alpha"] * n), np.exp(-p["beta"] * d)
    f = p["E"] + p["A"] * a + p["B"] * b
    columns = [np.ones_like(f), a, b, -p["A"] * n * a, -p["B"] * d * b]
    return np.stack(columns, axis=1) / f[:, None]


def test_jacobian_errors_are_those_of_least_squares(squares, runs):
    J = jacobian(squares, runs)
    r = squares.residuals(runs)
    expected = r @ r / 25 * np.linalg.inv(J.T @ J)
    found = sf.covariance(squares, runs, "jacobian")
    assert list(found.matrix.index) == NAMES
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-6)
    np.testing.assert_allclose(found.standard_errors, np.sqrt(np.diagonal(expected)), rtol=1e-6)
    np.testing.assert_allclose(np.diagonal(found.correlation), 1.0)


def numeric_hessian(function, x, steps):
    size = len(x)
    found = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            at = []
            for si, sj in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                y = x.copy()
                y[i] += si * steps[i]
                y[j] += sj * steps[j]
                at.append(function(y))
            found[i, j] = (at[0] - at[1] - at[2] + at[3]) / (4 * steps[i] * steps[j])
    return found


@pytest.mark.parametrize("by", [None, "corpus"])
def test_sandwich_errors_are_those_written_out(squares, runs, by):
    x = np.array([squares.params[name] for name in NAMES])
    log_loss = np.log(runs["loss"].to_numpy())

    def value(x):
        f = squares.law.evaluate(runs, dict(zip(NAMES, x, strict=True)))
        return 0.5 * np.sum((log_loss - np.log(f)) ** 2)

    H = numeric_hessian(value, x, 1e-4 * x)
    J, r = jacobian(squares, runs), squares.residuals(runs)
    hat = J @ np.linalg.inv(J.T @ J) @ J.T
    labels = np.arange(30) if by is None else runs[by].to_numpy()
    scores = []
    for label in np.unique(labels):
        own = labels == label
        without = np.linalg.solve(np.eye(own.sum()) - hat[np.ix_(own, own)], r[own])
        scores.append(J[own].T @ without)
    scores, count = np.array(scores), len(scores)
    half = np.linalg.inv(H)
    expected = (count - 1) / count * half @ scores.T @ scores @ half
    found = sf.covariance(squares, runs, by=by)
    np.testing.assert_allclose(found.standard_errors, np.sqrt(np.diagonal(expected)), rtol=2e-3)
    assert found.df == (25 if by is None else 5)


@pytest.mark.parametrize("by", [None, "corpus"])
def test_residuals_left_out_are_those_of_fits_without_them(by):
    """Of a linear model exactly, weights and a column that rests on one cluster included."""
    rng = np.random.default_rng(0)
    codes = np.arange(30) if by is None else rng.integers(0, 6, 30)
    J, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    weight = rng.uniform(0.5, 2.0, 30)
    root = np.sqrt(weight)

    def residuals(rows, J=J):
        return y - J @ np.linalg.lstsq(J[rows] * root[rows, None], y[rows] * root[rows])[0]

    every = np.ones(30, dtype=bool)
    found = left_out(J * [1, 1e6, 1e-6, 1], weight, residuals(every), codes if by else None)
    expected = np.empty(30)
    for code in np.unique(codes):
        expected[codes == code] = residuals(codes != code)[codes == code]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)
    assert found.alone == 0
    # A column of one cluster alone: what else that cluster says is left.
    alone = np.c_[J, codes == 2]
    found = left_out(alone, weight, residuals(every, alone), codes if by else None)
    assert found.alone == 1
    assert np.isfinite(found.values).all()


def test_sandwich_is_a_jackknife_of_refits(squares, runs):
    """First order against thirty fits, each with a run left out, and six without a corpus."""
    for by, count in ((None, 30), ("corpus", 6)):
        labels = np.arange(30) if by is None else runs["corpus"].to_numpy()
        left = [
            sf.fit(runs[labels != label], robust="none", certify=False).params
            for label in range(count)
        ]
        alphas = np.array([params["alpha"] for params in left])
        expected = np.sqrt((count - 1) / count * np.sum((alphas - squares.params["alpha"]) ** 2))
        found = sf.covariance(squares, runs, by=by).standard_errors["alpha"]
        assert found == pytest.approx(expected, rel=0.1)


def test_runs_that_stand_alone_are_noted(runs):
    half = runs.assign(tuning=["one"] + 29 * ["other"])
    fit = sf.fit(half, groups={"A": "tuning"}, robust="none", certify=False)
    found = sf.covariance(fit, half)
    (note,) = [note for note in found.notes if note.code == "determined_alone"]
    assert note.details == {"count": 1, "by": None}
    assert (found.standard_errors > 0).all()
    assert sf.covariance(fit, half, "jacobian").notes == ()


def test_intervals_are_students(squares, runs):
    found = sf.covariance(squares, runs, "jacobian")
    table = found.conf_int(0.95)
    # 25 degrees of freedom; of what is positive in the logarithm.
    half = 2.0595 * table["se"]
    assert table["high"]["E"] - table["value"]["E"] == pytest.approx(half["E"], rel=1e-4)
    assert table["value"]["E"] - table["low"]["E"] == pytest.approx(half["E"], rel=1e-4)
    rest = table.drop("E")
    relative = (half / table["value"]).drop("E")
    np.testing.assert_allclose(np.log(rest["high"] / rest["value"]), relative, rtol=1e-4)
    np.testing.assert_allclose(np.log(rest["value"] / rest["low"]), relative, rtol=1e-4)
    drawn = found.draws(40_000).conf_int()
    np.testing.assert_allclose(drawn[["low", "high"]], table[["low", "high"]], rtol=0.03)
    np.testing.assert_allclose(table["value"], [squares.params[name] for name in NAMES])


def test_weights_count_by_their_ratios(runs):
    weight = 1.0 + np.arange(30) % 4
    errors = []
    for factor in (1.0, 10.0):
        weighted = runs.assign(weight=factor * weight)
        fit = sf.fit(weighted, robust="none")
        errors += [
            sf.covariance(fit, weighted, method).standard_errors
            for method in ("jacobian", "sandwich")
        ]
    np.testing.assert_allclose(errors[0], errors[2], rtol=1e-8)
    np.testing.assert_allclose(errors[1], errors[3], rtol=1e-8)


def test_units_of_the_columns_move_what_carries_them(squares, runs):
    other = runs.assign(N=runs["N"] / 1e6)
    found = sf.covariance(sf.fit(other, robust="none"), other).standard_errors
    expected = sf.covariance(squares, runs).standard_errors
    np.testing.assert_allclose(
        found[["E", "alpha", "beta"]], expected[["E", "alpha", "beta"]], 1e-6
    )


def test_core_share_of_a_narrow_loss_is_a_density():
    rng = np.random.default_rng(0)
    r = rng.standard_normal(20_000)
    ones = np.ones_like(r)

    def share(delta):
        how = measure(Objective("log", "huber", delta))
        return core_share(how, r, ones)

    assert share(1e-3) / 1e-3 == pytest.approx(2 / np.sqrt(2 * np.pi), rel=0.08)
    assert share(1.0) == pytest.approx(0.6827, abs=0.01)
    assert core_share(measure(Objective("log", "none")), r, ones) == 1.0


def test_sums_of_absolute_residuals_are_a_huber_loss_of_no_width(runs):
    wide = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.02, seed=5)
    absolute = sf.covariance(sf.fit(wide, robust="l1"), wide, "jacobian").standard_errors
    narrow = sf.covariance(sf.fit(wide, delta=1e-5), wide, "jacobian").standard_errors
    np.testing.assert_allclose(absolute, narrow, rtol=0.05)


def test_draws_follow_the_covariance(squares, runs):
    found = sf.covariance(squares, runs, "jacobian")
    draws = found.draws(20_000, seed=2)
    spread = draws.conf_int()["se"]
    # A t distribution of 25 degrees of freedom has a variance of 25/23.
    expected = found.standard_errors * np.sqrt(25 / 23)
    for name in ("E", "alpha", "beta"):
        assert spread[name] == pytest.approx(expected[name], rel=0.03)
    logs = np.std(np.log(draws.params["A"]))
    assert logs == pytest.approx(expected["A"] / squares.params["A"], rel=0.03)
    assert np.corrcoef(np.log(draws.params["A"]), draws.params["alpha"])[0, 1] == pytest.approx(
        found.correlation.loc["A", "alpha"], abs=0.01
    )
    assert (draws.method, draws.failed, draws.replicates) == ("jacobian", 0, None)
    np.testing.assert_array_equal(draws.params["E"], found.draws(20_000, seed=2).params["E"])


def test_parameters_at_a_bound_are_left_out_and_noted(runs):
    fit = sf.fit(runs, bounds={"alpha": (0.1, 0.3)})
    found = sf.covariance(fit, runs)
    assert list(found.matrix.index) == ["E", "A", "B", "beta"]
    assert [note.code for note in found.notes] == ["conditional_on_bound"]
    assert "conditional_on_bound: " in found.summary()
    assert (found.draws(50).params["alpha"] == 0.3).all()


def test_draws_beyond_a_bound_are_put_on_it_and_noted(fit, runs):
    top = fit.params["alpha"] + 1e-4
    near = sf.fit(runs, bounds={"alpha": (0.1, top)})
    draws = sf.covariance(near, runs).draws(1000)
    assert draws.params["alpha"].max() == top
    (note,) = [note for note in draws.notes if note.code == "draws_at_bound"]
    assert note.details["parameter"] == "alpha"
    assert note.details["share"] == pytest.approx(np.mean(draws.params["alpha"] == top), abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "half"}, "'half' has 2 values: too few clusters"),
        ({"by": "absent"}, "no column 'absent'"),
    ],
)
def test_columns_that_make_no_clusters_are_refused(fit, runs, options, message):
    with pytest.raises(sf.errors.DataError, match=message):
        sf.covariance(fit, runs.assign(half=np.arange(30) % 2), **options)


def test_few_runs_have_errors_and_no_interval(runs):
    few = runs.iloc[[0, 3, 6, 9, 13, 17, 21, 25, 29]]
    found = sf.covariance(sf.fit(few, robust="none"), few, "jacobian")
    assert (found.standard_errors > 0).all()
    for ask in (found.conf_int, found.draws):
        with pytest.raises(sf.errors.DataError, match="9 runs leave 4 residual degrees of freedom"):
            ask()


def test_combinations_of_labels_are_clusters_whatever_the_labels_hold(fit, runs):
    labels = [("a/b", "c"), ("a", "b/c"), ("x", "y")]
    table = runs.assign(
        first=[labels[i % 3][0] for i in range(30)], second=[labels[i % 3][1] for i in range(30)]
    )
    several = sf.covariance(fit, table, by=["first", "second"]).standard_errors
    one = sf.covariance(fit, table.assign(one=np.arange(30) % 3), by="one").standard_errors
    np.testing.assert_allclose(several, one, rtol=1e-9)
