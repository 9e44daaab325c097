"""The calls that a report prints make the fit again: each listing is run."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.documents.content import Listing
from scalefit.documents.reproduction import calls
from scalefit.laws import Amplitude, Exponent, Offset

BOUNDED = {"robust": "huber", "delta": 0.01, "bounds": {"alpha": (0.2, 0.6)}, "fixed": {"E": 1.7}}


@sf.law(source="a test")
def mine(N, D, *, E: Offset, A: Amplitude, g: Exponent):
    """E + A (N D)^-g"""
    return E + A * (N * D) ** -g


@pytest.fixture(scope="module")
def frame():
    """Runs in units, with a column to group by, a rule's column and two gaps."""
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.004, seed=3)
    runs = runs.rename(columns={"D": "seen tokens"})
    runs["size_b"] = runs.pop("N") / 1e9
    runs["corpus"] = np.where(np.arange(len(runs)) % 2, "it's", 'a "b" & c')
    runs["loss"] *= np.where(np.arange(len(runs)) % 2, 1.01, 1.0)
    runs["ended"] = np.arange(len(runs)) != 5
    runs["bits"] = runs.pop("loss") / np.log(2)
    runs["batch"] = np.arange(len(runs)) % 9
    runs["w"] = 1.0 + np.arange(len(runs)) % 3
    runs["loss_se"] = 0.004 * runs["w"]
    runs.loc[runs.index[7], "bits"] = np.nan
    runs["error"] = 0.01 + 0.001 * (np.arange(len(runs)) % 3)
    return runs


UNITS = {
    "N": ("size_b", 1e9),
    "D": "seen tokens",
    "loss": "bits",
    "loss_unit": "bits",
    "missing": "drop",
}
CASES = {
    "units and rules": (UNITS | {"keep": ["ended == True", "size_b < 100"]}, {}),
    "weights": (UNITS | {"weight": "w"}, {"robust": "none", "residual": "raw"}),
    "bounds, fixed, delta": (UNITS, BOUNDED),
    "tied": (UNITS, {"tied": [("alpha", "beta")], "robust": "none"}),
    "groups": (UNITS, {"groups": {"A": "corpus"}}),
    "asymmetric": (UNITS, {"robust": "asymmetric", "asymmetry": 4.0, "residual": "relative"}),
    "known errors": (UNITS, {"robust": "none", "sigma": "error"}),
    "one known error": (UNITS, {"robust": "none", "sigma": 0.01}),
    "absolute": (UNITS, {"robust": "l1"}),
    "own law": (UNITS, {"law": mine}),
}


def listing(report):
    section = next(one for one in report.sections if one.title == "How to reproduce")
    return next(block.text for block in section.blocks if isinstance(block, Listing))


def repeated(report, **known):
    """What the calls of a report make, given the table under the name that they use."""
    names = dict(known)
    exec(compile(listing(report), "<report>", "exec"), names)
    return names


@pytest.mark.parametrize("case", CASES)
def test_the_calls_make_the_fit_again(case, frame):
    table, options = CASES[case]
    fit = sf.fit(frame, **options, **table)
    found = repeated(sf.report(fit), frame=frame)["fit"]
    assert dict(found.params) == pytest.approx(dict(fit.params), rel=1e-12)
    assert (found.objective, found.dropped) == (fit.objective, fit.dropped)
    assert dict(found.provenance) == dict(fit.provenance)


def test_the_calls_read_the_file_that_was_given(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame.to_csv("the runs' table.csv", index=False)
    options = UNITS | {"keep": "ended == True"}
    fit = sf.fit("the runs' table.csv", groups={"A": "corpus"}, **options)
    report = sf.report(fit, "the runs' table.csv", **options)
    assert dict(repeated(report)["fit"].params) == pytest.approx(dict(fit.params), rel=1e-12)
    # Without the file the same rows are needed, and others are told apart.
    frame.iloc[1:].to_csv("the runs' table.csv", index=False)
    with pytest.raises(AssertionError):
        repeated(report)


def test_a_unit_that_a_header_names_is_applied_again_or_left_again():
    runs = sf.simulate(sf.simulation.isoflop_design(), seed=1)
    runs["params_b"] = runs.pop("N") / 1e9
    named = sf.fit(runs)
    assert "N=('params_b', 1000000000.0)" in listing(sf.report(named))
    repeated(sf.report(named), frame=runs)
    as_it_is = sf.fit(runs, N=("params_b", 1.0))
    assert "N=('params_b', 1.0)" in listing(sf.report(as_it_is))
    repeated(sf.report(as_it_is), frame=runs)


def test_headers_of_an_array_are_numbers():
    runs = sf.simulate(sf.simulation.isoflop_design(), seed=1)
    plain = pd.DataFrame(runs[["N", "D", "loss"]].to_numpy())
    headers = {"N": 0, "D": 1, "loss": 2}
    fit = sf.fit(plain, **headers)
    exec(calls(fit, sf.read(plain, **headers), None, ()), {"frame": plain})


def test_a_saved_fit_is_made_again(frame):
    fit = sf.fit(frame, **UNITS)
    other = sf.Fit.from_json(fit.to_json())
    assert listing(sf.report(other)) == listing(sf.report(fit))


def test_results_are_made_again_where_they_hold_what_they_were_made_with(frame):
    table = sf.read(frame, **UNITS)
    fit = sf.fit(table)
    draws = sf.bootstrap(fit, table, 12, method="clusters", by="batch", seed=4, progress=False)
    some = sf.covariance(fit, table, by="batch")
    bests = sf.allocate(draws, [1e22, 1e23]), sf.allocate(draws, 3e21)
    region = sf.near_optimal(fit, 1e22)
    found = {"frame": frame}
    exec(calls(fit, table, None, (draws, some, *bests, region)), found)
    for name, values in draws.params.items():
        np.testing.assert_allclose(found["draws"].params[name], values, rtol=1e-9)
    assert found["covariance"].method == some.method
    np.testing.assert_allclose(found["best"].N, bests[0].N, rtol=1e-9)
    np.testing.assert_allclose(found["best2"].draws["N"], bests[1].draws["N"], rtol=1e-9)
    # What no result says is not guessed.
    limited = sf.allocate(fit, 1e22, limits={"N": 1e9})
    for result in (region, limited, sf.allocate(draws, loss=2.3)):
        text = calls(fit, table, None, [result])
        assert text.endswith(f"# Not repeated here: {result.describe().title}")


def test_published_values_are_made_again():
    fit = sf.published("chinchilla", "besiroglu")
    assert repeated(sf.report(fit))["fit"] == fit


def test_a_dataset_is_loaded_by_its_name(data_folder):
    fit = sf.fit(sf.datasets.load("chinchilla_epoch", keep="besiroglu_keep == 1"))
    report = sf.report(fit)
    assert "sf.datasets.load(\n    'chinchilla_epoch'" in listing(report)
    assert dict(repeated(report)["fit"].params) == pytest.approx(dict(fit.params), rel=1e-12)


@pytest.mark.slow
def test_the_seed_of_scattered_points_is_told_and_that_of_a_grid_is_not(frame):
    x = np.geomspace(1e3, 1e9, 24)
    scattered = sf.fit({"x": x, "loss": 1.5 + 3 * x**-0.1}, "broken_power", seed=3)
    assert scattered.diagnostics.search == "scattered"
    assert "sf.fit(runs, 'broken_power', seed=3)" in calls(scattered, None, None, ())
    assert "seed" not in calls(sf.fit(frame, seed=3, **UNITS), None, None, ())
