"""Draws: what is asked of them and what they answer."""

import copy
import io
import json
import os
import pickle
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, spearmanr

import scalefit as sf
from scalefit.inference import RunNoise, TailCorrection
from scalefit.results import archive


def test_intervals_are_percentiles_of_the_draws(draws, fit):
    table = draws.conf_int(0.8)
    assert list(table.index) == list(fit.params)
    for name, row in table.iterrows():
        assert row["value"] == fit.params[name]
        assert row["se"] == pytest.approx(np.std(draws.params[name], ddof=1))
        inside = (draws.params[name] >= row["low"]) & (draws.params[name] <= row["high"])
        assert np.mean(inside) == pytest.approx(0.8, abs=0.01)
    wider = draws.conf_int(0.95)
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
    assert by_name.se == pytest.approx(np.std(by_name.draws, ddof=1))
    assert repr(by_name).startswith(f"<Estimate {ratio:.3f} (95 %: ")
    several = draws.apply(lambda alpha, beta: np.stack([alpha, beta], axis=-1))
    assert several.value.shape == (2,)
    assert list(several.to_frame().columns) == ["value", "low", "high"]
    assert "shape (2,), 400 draws" in repr(several)


def test_a_function_cannot_change_the_draws_it_is_applied_to(draws):
    def doubled(alpha):
        alpha *= 2.0
        return alpha

    before = draws.params["alpha"].copy()
    with pytest.raises(
        sf.errors.ArgumentError, match=r"raises ValueError: output array is read-only"
    ):
        draws.apply(doubled)
    np.testing.assert_array_equal(draws.params["alpha"], before)
    assert draws.params["alpha"].flags.writeable


def test_draws_without_an_end_have_intervals_and_no_warning(draws):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = draws.apply(lambda alpha: alpha * np.inf)
        assert np.isinf(found.interval()).all()
        assert np.isnan(found.se)
        some = draws.apply(lambda alpha: np.where(alpha > np.mean(alpha), np.inf, alpha))
        low, high = some.interval()
    assert np.isfinite(low) and np.isinf(high)


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
    both = np.hypot(mean.se / loss, draws.noise.values.std())
    assert np.median(wide / loss / both) == pytest.approx(3.92, rel=0.4)


def test_few_clusters_widen_the_surface_and_not_the_noise(squares, runs):
    draws = sf.bootstrap(squares, runs, n_draws=2000, method="clusters", by="corpus")
    mean, new = (draws.predict(N=1e9, D=1e10, kind=kind) for kind in ("mean", "run"))
    assert (mean.tails, new.tails) == (TailCorrection(5, np.sqrt(6 / 5)), TailCorrection(25))
    factor = np.sqrt(6 / 5) * 2.5706 / 2.0595
    both = np.hypot(factor * mean.se / mean.value, draws.noise.values.std())
    assert new.se / new.value == pytest.approx(both, rel=0.05)
    rows = sf.bootstrap(squares, runs, n_draws=50)
    stream = np.random.default_rng(np.random.SeedSequence(0).spawn(1)[0])
    noise = rows.noise.added(rows.predict(N=1e9, D=1e10).draws, stream)
    np.testing.assert_allclose(rows.predict(N=1e9, D=1e10, kind="run").draws, noise)


def test_noise_of_a_new_run_is_independent_of_the_draws(squares, runs):
    draws = sf.bootstrap(squares, runs, n_draws=1000, method="residuals")
    mean, new = (np.log(draws.predict(runs, kind=kind).draws) for kind in ("mean", "run"))
    found = [np.corrcoef(mean[:, i], (new - mean)[:, i])[0, 1] for i in range(len(runs))]
    assert abs(np.mean(found)) < 0.03
    assert np.abs(found).max() < 0.15


def test_noise_comes_from_seeds_where_runs_are_repeated():
    design = sf.simulation.isoflop_design(points=2)
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
    # Residuals are enlarged, and a relative one of one or more would be of an infinite loss.
    beyond = RunNoise(np.array([1.1]), "residuals", "relative").added(loss, rng)
    np.testing.assert_allclose(beyond, 2.0 / 0.1)


def test_a_draw_gives_the_noise_the_size_that_it_gives_the_surface(draws, squares, runs):
    shared = sf.covariance(squares, runs, "jacobian").draws(4000)
    clustered = sf.covariance(squares, runs, by="corpus").draws(4000)
    for one in (shared, clustered, draws):
        # sqrt(df / chi2(df)), whose mean square is df / (df - 2).
        assert one.noise.df == 25
        assert np.mean(one.noise.factors**2) == pytest.approx(25 / 23, rel=0.06)
    steps = np.abs(shared.params["alpha"] / squares.params["alpha"] - 1)
    assert spearmanr(steps, shared.noise.factors).statistic > 0.08
    steps = np.abs(clustered.params["alpha"] / squares.params["alpha"] - 1)
    assert abs(spearmanr(steps, clustered.noise.factors).statistic) < 0.05
    # Percentiles of clusters are those of Student's t already.
    refits = sf.bootstrap(squares, runs, n_draws=9, method="clusters", by="corpus")
    assert not len(refits.noise.factors)


def test_saved_draws_come_back(draws, tmp_path):
    draws.save(tmp_path / "draws.npz")
    found = sf.Ensemble.load(tmp_path / "draws.npz")
    assert found.fit == draws.fit
    assert (found.method, found.seed, found.df_resid) == ("rows", 1, 25)
    assert found.tails == draws.tails == TailCorrection()
    replace(draws, tails=TailCorrection(5, 1.2)).save(tmp_path / "clusters")
    assert sf.Ensemble.load(tmp_path / "clusters").tails == TailCorrection(5, 1.2)
    assert found.notes == draws.notes
    assert found.noise.source == draws.noise.source
    for name, values in draws.draws_frame().items():
        np.testing.assert_array_equal(found.draws_frame()[name], values)
    np.testing.assert_array_equal(
        found.predict(N=1e9, D=1e10, kind="run").draws,
        draws.predict(N=1e9, D=1e10, kind="run").draws,
    )
    np.testing.assert_array_equal(found.noise.factors, draws.noise.factors)


def test_draws_of_the_last_schema_take_the_size_of_the_noise_as_known(draws, tmp_path):
    draws.save(tmp_path / "draws")
    parts = archive.read_parts(tmp_path / "draws", "draws.json")
    document = json.loads(parts["draws.json"]) | {"schema": 4}
    del document["noise"]["df"], document["noise"]["factors"], parts["noise_factors.npy"]
    archive.write_parts(tmp_path / "old", parts | {"draws.json": json.dumps(document).encode()})
    found = sf.Ensemble.load(tmp_path / "old")
    assert np.isinf(found.noise.df) and not len(found.noise.factors)


def test_noise_by_residuals_has_their_size_and_no_gaps(squares, runs):
    noise = sf.covariance(squares, runs).draws(9).noise
    residuals = squares.residuals(runs)
    size = np.sqrt(np.sum(residuals**2) / 25)
    assert np.sqrt(np.mean(noise.values**2)) == pytest.approx(size, rel=1e-9)
    assert np.diff(np.sort(noise.values)).max() < 0.5 * size


def test_draws_of_groups_and_of_one_level_come_back(runs, tmp_path):
    labelled = runs.assign(corpus=np.array(["a/b", "é]", "..\\x"])[runs.index % 3])
    found = sf.covariance(sf.fit(labelled, groups={"A": "corpus"}), labelled).draws(30)
    for number, draws in enumerate((found, found.at(corpus="a/b"))):
        draws.save(tmp_path / str(number))
        again = sf.Ensemble.load(tmp_path / str(number))
        assert again.fit == draws.fit
        assert again.draws_frame().equals(draws.draws_frame())


def test_draws_are_one_file_of_exactly_the_name_given(draws, tmp_path):
    other = replace(draws, seed=7)
    draws.save(tmp_path / "run-1.5")
    other.save(str(tmp_path / "run-1.7"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-1.5", "run-1.7"]
    assert sf.Ensemble.load(tmp_path / "run-1.5").seed == 1
    assert sf.Ensemble.load(str(tmp_path / "run-1.7")).seed == 7
    draws.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "run-1.5").read_bytes()
    with np.load(tmp_path / "again") as arrays:
        np.testing.assert_array_equal(arrays["params"][0], draws.params["E"])


def test_draws_replace_draws_and_nothing_else(draws, fit, tmp_path):
    path = tmp_path / "fit"
    draws.save(path)
    replace(draws, seed=7).save(path)
    assert sf.Ensemble.load(path).seed == 7
    whole = path.read_bytes()
    np.savez(tmp_path / "arrays.npz", usable=draws.usable)
    (tmp_path / "fit.json").write_text(fit.to_json())
    (tmp_path / "half").write_bytes(whole[:-50])
    (tmp_path / "folder").mkdir()
    for name in ("arrays.npz", "fit.json", "half", "folder"):
        before = None if name == "folder" else (tmp_path / name).read_bytes()
        with pytest.raises(sf.errors.ArgumentError, match=f"cannot be written to path='.*{name}'"):
            draws.save(tmp_path / name)
        assert name == "folder" or (tmp_path / name).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("problem", [OSError("no space left"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_draws_of_before(draws, tmp_path, monkeypatch, problem):
    path = tmp_path / "draws"
    draws.save(path)

    def fail(*_):
        raise problem

    monkeypatch.setattr("scalefit.data.files.os.fsync", fail)
    expected = sf.errors.ArgumentError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        replace(draws, seed=7).save(path)
    assert [item.name for item in tmp_path.iterdir()] == ["draws"]
    assert sf.Ensemble.load(path).seed == 1


@pytest.fixture(scope="module")
def whole(draws, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "draws"
    draws.save(path)
    return path.read_bytes()


def parts_of(whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as stored:
        return {name: stored.read(name) for name in stored.namelist() if name != "sha256"}


def load(content, tmp_path):
    (tmp_path / "other").write_bytes(content)
    return sf.Ensemble.load(tmp_path / "other")


def test_half_a_file_is_refused_wherever_it_ends(whole, tmp_path):
    for end in [0, 1, 3, 4, *range(10, len(whole) - 1, len(whole) // 60), len(whole) - 1]:
        with pytest.raises(sf.errors.DocumentError, match="not all of it"):
            load(whole[:end], tmp_path)


def test_a_flipped_byte_is_refused_wherever_it_is(draws, whole, tmp_path):
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=200):
        wrong = bytearray(whole)
        wrong[place] ^= 1 << rng.integers(8)
        try:
            found = load(bytes(wrong), tmp_path)
        except sf.errors.DocumentError:
            continue
        # What a zip archive says of a part twice, or of its time, need not agree.
        assert found.draws_frame().equals(draws.draws_frame())


def test_parts_of_two_files_are_refused(draws, whole, tmp_path):
    replace(draws, seed=7).save(tmp_path / "second")
    second = parts_of((tmp_path / "second").read_bytes())
    with zipfile.ZipFile(tmp_path / "mixed", "w") as mixed:
        for name, content in parts_of(whole).items():
            mixed.writestr(name, second[name] if name == "draws.json" else content)
        with zipfile.ZipFile(io.BytesIO(whole)) as stored:
            mixed.writestr("sha256", stored.read("sha256"))
    with pytest.raises(sf.errors.DocumentError, match="do not belong together"):
        sf.Ensemble.load(tmp_path / "mixed")


def changed(whole, **others):
    """The file with other parts, and the digest of those: what only a forger writes."""
    parts = parts_of(whole)
    for name, content in others.items():
        key = name.replace("__", ".")
        parts[key] = content(parts[key]) if callable(content) else content
    file = io.BytesIO()
    archive.write_parts(file, {name: item for name, item in parts.items() if item is not None})
    return file.getvalue()


def absurd(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def edited(old, new):
    def edit(part):
        assert old in part
        return part.replace(old, new, 1)

    return edit


FORGED = {
    "an absurd shape": ({"params__npy": absurd((5, 10**12))}, "params.npy"),
    "a negative shape": ({"params__npy": absurd((-5, 400))}, "params.npy"),
    "a header of objects": (
        {"params__npy": archive.array_part(np.zeros((5, 400))).replace(b"'<f8'", b"'|O' ")},
        "params.npy",
    ),
    "a header that is code": (
        {"usable__npy": b"\x93NUMPY\x01\x00\x10\x00{'a': print(1)}"},
        "usable.npy",
    ),
    "no array": ({"usable__npy": b"usable"}, "usable.npy"),
    "an array too few": ({"noise__npy": None}, "noise.npy"),
    "truth values as numbers": (
        {"usable__npy": archive.array_part(np.ones(400))},
        "usable.npy",
    ),
    "draws of another number": (
        {"usable__npy": archive.array_part(np.ones(9, bool))},
        "usable.npy",
    ),
    "draws that are NaN": (
        {"params__npy": archive.array_part(np.full((5, 400), np.nan))},
        "params.npy",
    ),
    "more draws than there are": (
        {"draws__json": edited(b'"draws": 400', b'"draws": 1000000000000')},
        "params.npy",
    ),
    "chains that do not divide": (
        {"draws__json": edited(b'"chains": 1', b'"chains": 3')},
        "chains",
    ),
    "a number as text": ({"draws__json": edited(b'"seed": 1', b'"seed": "1"')}, "seed"),
    "a wrong fit": ({"draws__json": edited(b'"nobs": 30', b'"nobs": -1')}, "fit.nobs"),
    "a fit of other parameters": (
        {"draws__json": edited(b'"A": ', b'"Z": ')},
        "fit.diagnostics.minima[0].params.A",
    ),
    "a newer schema": ({"draws__json": edited(b'"schema": 5', b'"schema": 9')}, "schema"),
    "an older schema": ({"draws__json": edited(b'"schema": 5', b'"schema": 3')}, "schema"),
    "no document": ({"draws__json": b"[" * 100_000}, ""),
    "no part of ours": ({"draws__json": None}, ""),
}


@pytest.mark.parametrize(("others", "field"), FORGED.values(), ids=FORGED)
def test_forged_draws_are_refused_by_the_name_of_the_field(whole, tmp_path, others, field):
    with pytest.raises(sf.errors.DocumentError) as caught:
        load(changed(whole, **others), tmp_path)
    assert caught.value.field == field
    assert str(caught.value).endswith(caught.value.remedy)


def test_bombs_are_refused_unpacked(whole, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("draws.json", bytes(50_000_000))
        bomb.writestr("sha256", b"")
    with pytest.raises(sf.errors.DocumentError, match="compressed or repeated"):
        sf.Ensemble.load(tmp_path / "bomb")
    file = io.BytesIO(whole)
    with zipfile.ZipFile(file, "a") as bomb, pytest.warns(UserWarning, match="Duplicate"):
        bomb.writestr("sha256", b"")
    with pytest.raises(sf.errors.DocumentError, match="compressed or repeated"):
        load(file.getvalue(), tmp_path)


@pytest.mark.parametrize("path", [None, 3, "", b"draws", "a\0b"])
def test_what_is_no_path_is_refused_by_name(draws, path):
    for call in (draws.save, sf.Ensemble.load):
        with pytest.raises(sf.errors.ArgumentError, match="is not the path of a file"):
            call(path)


def test_pipes_devices_and_folders_are_refused_at_once(draws, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path, "/dev/full"):
        with pytest.raises(sf.errors.ArgumentError, match="no draws can be read"):
            sf.Ensemble.load(path)
        with pytest.raises(sf.errors.ArgumentError, match="cannot be written"):
            draws.save(path)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_draws_of_two_files_are_refused_by_name(draws, fit, tmp_path):
    (tmp_path / "draws.json").write_text('{"schema": 2, "method": "rows"}')
    np.savez_compressed(tmp_path / "draws.npz", usable=draws.usable)
    for name in ("draws.json", "draws.npz"):
        with pytest.raises(
            sf.errors.DocumentError, match=r"\.json and \.npz, are of an older version"
        ):
            sf.Ensemble.load(tmp_path / name)
    with pytest.raises(sf.errors.ArgumentError, match="with its suffix"):
        sf.Ensemble.load(tmp_path / "draws")


def test_draws_of_ones_own_law_need_the_law(runs, tmp_path):
    @sf.law(source="test")
    def offset_and_data(D, *, E: sf.laws.Offset, B: sf.laws.Amplitude, beta: sf.laws.Exponent):
        """E + B D^-beta"""
        return E + B * D**-beta

    one = sf.simulate(
        runs.drop(columns=["loss"]), "chinchilla_d", {"E": 1.7, "B": 400, "beta": 0.3}
    )
    found = sf.covariance(sf.fit(one, offset_and_data), one).draws(20)
    found.save(tmp_path / "own")
    with pytest.raises(sf.errors.LawError, match="not built in"):
        sf.Ensemble.load(tmp_path / "own")
    again = sf.Ensemble.load(tmp_path / "own", law=offset_and_data)
    np.testing.assert_array_equal(again.params["beta"], found.params["beta"])
    assert again.replicates is None


def test_unusable_paths_are_refused(draws, tmp_path):
    with pytest.raises(sf.errors.ArgumentError, match=r"cannot be written.*there is no folder"):
        draws.save(tmp_path / "absent" / "draws")
    with pytest.raises(sf.errors.ArgumentError, match=r"no draws can be read.*No such file"):
        sf.Ensemble.load(tmp_path / "draws")


def test_report_says_how_the_draws_were_made(draws):
    text = draws.summary(0.8)
    for part in (
        "400 bootstrap draws of rows; alpha is known to ±",
        "Next: scalefit.allocate(draws",
        "with 80 % intervals",
        "400 by rows, seed 1",
        "new run",
    ):
        assert part in " ".join(text.split())
    assert repr(draws) == "<Ensemble chinchilla: 400 draws by rows>"
    assert "20 over the whole bounds" in draws._repr_html_()
    pd.testing.assert_frame_equal(draws.to_frame(0.8), draws.conf_int(0.8))


def test_copies_are_the_same_draws_and_as_read_only(draws, fit, runs):
    found = sf.covariance(fit, runs)
    profile = sf.profile(fit, runs, "alpha")
    estimate = draws.predict(N=1e9, D=1e10)
    for copied in (lambda item: pickle.loads(pickle.dumps(item)), copy.deepcopy):
        again = copied(draws)
        assert again.draws_frame().equals(draws.draws_frame())
        assert not again.drawn["alpha"].flags.writeable
        assert copied(found).conf_int().equals(found.conf_int())
        assert copied(found).draws(20).draws_frame().equals(found.draws(20).draws_frame())
        assert copied(profile).curve_frame().equals(profile.curve_frame())
        assert copied(estimate).to_frame().equals(estimate.to_frame())
        assert str(copied(estimate)) == str(estimate)


def test_ends_of_resampled_draws_lie_where_students_t_has_them():
    normal = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    for tails, level, reach in (
        (TailCorrection(), 0.95, 1.9600),
        (TailCorrection(df=10), 0.95, 2.2281),
        (TailCorrection(df=10), 0.8, 1.3722),
        (TailCorrection(df=5, inflation=1.2), 0.9, 1.2 * 2.0150),
    ):
        low, high = sf.inference.Estimate(np.array(0.0), normal, tails).interval(level)
        assert (-low, high) == pytest.approx((reach, reach), rel=1e-3)
        # Percentiles do not care in which unit a quantity is.
        powers = sf.inference.Estimate(np.array(1.0), np.exp(normal), tails).interval(level)
        assert powers == pytest.approx(np.exp([-reach, reach]), rel=2e-3)
    assert TailCorrection(10, 1.1).wider(TailCorrection(5)) == TailCorrection(5, 1.1)


def test_everything_made_from_draws_is_read_at_their_tails(squares, runs):
    draws = sf.bootstrap(squares, runs, n_draws=300, method="clusters", by="corpus")
    # Six corpora: t of five degrees of freedom, 2.571, times the root of 6/5.
    share = norm.cdf(-2.5706 * np.sqrt(6 / 5))
    assert draws.tails.outside(0.95) == pytest.approx(share, rel=1e-4)
    ends = [share, 1 - share]
    table = draws.conf_int()
    expected = np.quantile(draws.params["alpha"], ends)
    assert (table["low"]["alpha"], table["high"]["alpha"]) == pytest.approx(expected, rel=1e-6)
    best = sf.allocate(draws, 1e22)
    size = 9e9
    waste = sf.deadweight(draws, size, 1e22 / 6 / size)
    sweeps = sf.isoflop(runs)
    report = sf.bias(draws, sweeps, runs, 1e22, n_draws=0)
    found = [
        draws.apply(lambda alpha, beta: beta / (alpha + beta)),
        draws.predict(N=1e9, D=1e10),
        *(best.estimate(name) for name in best.quantities),
        *(waste.estimate(name) for name in ("wasted", "share", "loss")),
        sf.near_optimal(draws, 1e22, within=0.01).estimate("low"),
        sf.approach2.design_bias(draws, runs, 1e22).estimate("n_exponent"),
        sf.approach2.attribute_bias(draws, sweeps, 1e22).estimate("gap"),
        *(report.estimate(name) for name in ("error", "N", "deadweight")),
    ]
    for item in found:
        assert item.tails == draws.tails
        np.testing.assert_allclose(item.interval(), np.quantile(item.draws, ends, axis=0), 1e-4)


def test_draws_without_an_answer_are_left_out_of_its_interval():
    found = sf.inference.Estimate(
        np.array([1.0, 2.0]), np.array([[1.0, np.nan], [2.0, np.nan], [3.0, 5.0]])
    )
    low, high = found.interval(0.5)
    np.testing.assert_allclose(low, [1.5, 5.0])
    np.testing.assert_allclose(high, [2.5, 5.0])
