"""Draws: what is asked of them and what they answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import scalefit as sf
from scalefit.uncertainty import Tails
from scalefit.uncertainty.ensemble import RunNoise


def test_intervals_are_percentiles_of_the_draws(draws, fit):
    table = draws.interval(0.8)
    assert list(table.index) == list(fit.params)
    for name, row in table.iterrows():
        assert row["value"] == fit.params[name]
        assert row["sd"] == pytest.approx(np.std(draws.params[name], ddof=1))
        inside = (draws.params[name] >= row["low"]) & (draws.params[name] <= row["high"])
        assert np.mean(inside) == pytest.approx(0.8, abs=0.01)
    wider = draws.interval(0.95)
    assert (wider["low"] < table["low"]).all()
    assert (wider["high"] > table["high"]).all()


def test_functions_take_parameters_by_name_or_all_together(draws, fit):
    ratio = fit.params["beta"] / (fit.params["alpha"] + fit.params["beta"])
    by_name = draws.apply(lambda alpha, beta: beta / (alpha + beta))
    together = draws.apply(lambda p: p["beta"] / (p["alpha"] + p["beta"]))
    keywords = draws.apply(lambda **p: p["beta"] / (p["alpha"] + p["beta"]))
    optional = draws.apply(lambda alpha, beta, power=1: (beta / (alpha + beta)) ** power)
    for found in (by_name, together, keywords, optional):
        assert found.value == pytest.approx(ratio)
        np.testing.assert_array_equal(found.draws, by_name.draws)
    assert by_name.draws.shape == (400,)
    assert by_name.sd == pytest.approx(np.std(by_name.draws, ddof=1))
    assert repr(by_name).startswith(f"{ratio:.6g} (95 %: ")
    several = draws.apply(lambda alpha, beta: np.stack([alpha, beta], axis=-1))
    assert several.value.shape == (2,)
    assert list(several.to_frame().columns) == ["value", "low", "high"]
    assert "shape (2,), 400 draws" in repr(several)


def test_a_function_cannot_change_the_draws_it_is_applied_to(draws):
    def doubled(alpha):
        alpha *= 2.0
        return alpha

    before = draws.params["alpha"].copy()
    with pytest.raises(sf.ArgumentError, match=r"raises ValueError: output array is read-only"):
        draws.apply(doubled)
    np.testing.assert_array_equal(draws.params["alpha"], before)
    assert draws.params["alpha"].flags.writeable


def test_predictions_of_draws_are_the_laws(draws, fit):
    found = draws.predict(N=[1e9, 7e9], D=1e11)
    assert found.draws.shape == (400, 2)
    np.testing.assert_array_equal(found.value, fit.predict(N=[1e9, 7e9], D=1e11))
    one = {name: values[17] for name, values in draws.params.items()}
    np.testing.assert_allclose(
        found.draws[17], fit.law.evaluate({"N": [1e9, 7e9], "D": 1e11}, one), rtol=1e-15
    )
    low, high = found.interval()
    assert ((low < found.value) & (found.value < high)).all()


def test_interval_of_a_new_run_holds_the_runs(draws, runs):
    mean = draws.predict(runs, kind="mean")
    new = draws.predict(runs, kind="run")
    low, high = new.interval()
    loss = runs["loss"].to_numpy()
    assert np.mean((loss > low) & (loss < high)) > 0.85
    narrow, wide = (np.subtract(*found.interval()[::-1]) for found in (mean, new))
    assert (wide > narrow).all()
    # Both kinds of spread, independent of each other.
    both = np.hypot(mean.sd / loss, draws.noise.values.std())
    assert np.median(wide / loss / both) == pytest.approx(3.92, rel=0.4)


def test_few_clusters_widen_the_surface_and_not_the_noise(squares, runs):
    draws = sf.bootstrap(squares, runs, n=2000, method="clusters", by="corpus")
    mean, new = (draws.predict(N=1e9, D=1e10, kind=kind) for kind in ("mean", "run"))
    assert (mean.tails, new.tails) == (Tails(5, np.sqrt(6 / 5)), Tails(25))
    factor = np.sqrt(6 / 5) * 2.5706 / 2.0595
    both = np.hypot(factor * mean.sd / mean.value, draws.noise.values.std())
    assert new.sd / new.value == pytest.approx(both, rel=0.05)
    rows = sf.bootstrap(squares, runs, n=50)
    noise = rows.noise.added(rows.predict(N=1e9, D=1e10).draws, np.random.default_rng(0))
    np.testing.assert_allclose(rows.predict(N=1e9, D=1e10, kind="run").draws, noise)


def test_noise_comes_from_seeds_where_runs_are_repeated():
    design = sf.isoflop_design(points=2)
    seeds = 3
    frame = sf.simulate(design.loc[design.index.repeat(seeds)].reset_index(drop=True), noise=0.004)
    # Misfit that all seeds of a run share is no noise from run to run.
    shared = np.random.default_rng(1).normal(size=len(design)).repeat(seeds)
    frame = frame.assign(seed=np.arange(len(frame)) % seeds)
    frame["loss"] *= np.exp(0.02 * shared)
    fit = sf.fit(frame)
    noise = sf.covariance(fit, frame).draws(10).noise
    assert noise.source == "seeds"
    assert noise.values.std() == pytest.approx(0.004, rel=0.35)
    unnamed = frame.drop(columns="seed")
    noise = sf.covariance(sf.fit(unnamed), unnamed).draws(10).noise
    assert noise.source == "residuals"
    assert noise.values.std() == pytest.approx(0.02, rel=0.3)


def test_noise_is_added_as_the_residual_is_defined():
    values = np.array([0.1])
    rng = np.random.default_rng(0)
    loss = np.full((3, 2), 2.0)
    expected = {"log": 2.0 * np.exp(0.1), "raw": 2.1, "relative": 2.0 / 0.9}
    for residual, value in expected.items():
        found = RunNoise(values, "residuals", residual).added(loss, rng)
        np.testing.assert_allclose(found, np.full((3, 2), value))


def test_saved_draws_come_back(draws, tmp_path):
    draws.save(tmp_path / "draws")
    text = (tmp_path / "draws.json").read_text()
    assert json.loads(text)["method"] == "rows"
    found = sf.Ensemble.load(tmp_path / "draws")
    assert found.fit.params == draws.fit.params
    assert (found.method, found.seed, found.freedom) == ("rows", 1, 25)
    assert found.tails == draws.tails == Tails()
    replace(draws, tails=Tails(5, 1.2)).save(tmp_path / "clusters")
    assert sf.Ensemble.load(tmp_path / "clusters").tails == Tails(5, 1.2)
    assert found.notes == draws.notes
    assert found.noise.source == draws.noise.source
    for name, values in draws.to_frame().items():
        np.testing.assert_array_equal(found.to_frame()[name], values)
    np.testing.assert_array_equal(
        found.predict(N=1e9, D=1e10, kind="run").draws,
        draws.predict(N=1e9, D=1e10, kind="run").draws,
    )


def test_draws_of_ones_own_law_need_the_law(runs, tmp_path):
    @sf.law(source="test")
    def offset_and_data(D, *, E: sf.Offset, B: sf.Amplitude, beta: sf.Exponent):
        """E + B D^-beta"""
        return E + B * D**-beta

    one = sf.simulate(
        runs.drop(columns=["loss"]), "chinchilla_d", {"E": 1.7, "B": 400, "beta": 0.3}
    )
    found = sf.covariance(sf.fit(one, offset_and_data), one).draws(20)
    found.save(tmp_path / "own")
    with pytest.raises(sf.LawError, match="not built in"):
        sf.Ensemble.load(tmp_path / "own")
    again = sf.Ensemble.load(tmp_path / "own", law=offset_and_data)
    np.testing.assert_array_equal(again.params["beta"], found.params["beta"])
    assert again.replicates is None


def test_unusable_paths_are_refused(draws, tmp_path):
    with pytest.raises(sf.DataError, match="cannot be written"):
        draws.save(tmp_path / "absent" / "draws")
    with pytest.raises(sf.DataError, match="no draws can be read"):
        sf.Ensemble.load(tmp_path / "draws")
    draws.save(tmp_path / "draws")
    path = tmp_path / "draws.json"
    path.write_text(path.read_text().replace('"schema": 2,\n "fit"', '"schema": 9,\n "fit"'))
    with pytest.raises(sf.DataError, match="is of schema 9, not 2"):
        sf.Ensemble.load(tmp_path / "draws")


def test_report_says_how_the_draws_were_made(draws):
    text = draws.summary(0.8)
    for part in ("80 % intervals", "400 by rows, seed 1; 0 failed", "20 searched", "new run"):
        assert part in text
    assert repr(draws) == "<Ensemble chinchilla: 400 draws by rows>"
    assert "<table" in draws._repr_html_()


def test_ends_of_resampled_draws_lie_where_students_t_has_them():
    normal = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    for tails, level, reach in (
        (Tails(), 0.95, 1.9600),
        (Tails(freedom=10), 0.95, 2.2281),
        (Tails(freedom=10), 0.8, 1.3722),
        (Tails(freedom=5, inflation=1.2), 0.9, 1.2 * 2.0150),
    ):
        low, high = sf.Estimate(np.array(0.0), normal, tails).interval(level)
        assert (-low, high) == pytest.approx((reach, reach), rel=1e-3)
        # Percentiles do not care in which unit a quantity is.
        powers = sf.Estimate(np.array(1.0), np.exp(normal), tails).interval(level)
        assert powers == pytest.approx(np.exp([-reach, reach]), rel=2e-3)
    assert Tails(10, 1.1).wider(Tails(5)) == Tails(5, 1.1)


def test_everything_made_from_draws_is_read_at_their_tails(squares, runs):
    draws = sf.bootstrap(squares, runs, n=300, method="clusters", by="corpus")
    # Six corpora: t of five degrees of freedom, 2.571, times the root of 6/5.
    share = norm.cdf(-2.5706 * np.sqrt(6 / 5))
    assert draws.tails.outside(0.95) == pytest.approx(share, rel=1e-4)
    ends = [share, 1 - share]
    table = draws.interval()
    expected = np.quantile(draws.params["alpha"], ends)
    assert (table["low"]["alpha"], table["high"]["alpha"]) == pytest.approx(expected, rel=1e-6)
    best = sf.allocate(draws, 1e22)
    size = 9e9
    waste = sf.deadweight(draws, size, 1e22 / 6 / size)
    sweeps = sf.isoflop(runs)
    report = sf.bias(draws, sweeps, runs, 1e22, resamples=0)
    found = [
        draws.apply(lambda alpha, beta: beta / (alpha + beta)),
        draws.predict(N=1e9, D=1e10),
        *(best.estimate(name) for name in best.answers),
        *(waste.estimate(name) for name in ("wasted", "share", "loss")),
        sf.near_optimal(draws, 1e22, within=0.01).estimate("low"),
        sf.design_bias(draws, runs, 1e22).estimate("n_exponent"),
        sf.attribute(draws, sweeps, 1e22).estimate("gap"),
        *(report.estimate(name) for name in ("error", "N", "deadweight")),
    ]
    for item in found:
        assert item.tails == draws.tails
        np.testing.assert_allclose(item.interval(), np.quantile(item.draws, ends, axis=0), 1e-4)


def test_draws_without_an_answer_are_left_out_of_its_interval():
    found = sf.Estimate(np.array([1.0, 2.0]), np.array([[1.0, np.nan], [2.0, np.nan], [3.0, 5.0]]))
    low, high = found.interval(0.5)
    np.testing.assert_allclose(low, [1.5, 5.0])
    np.testing.assert_allclose(high, [2.5, 5.0])
