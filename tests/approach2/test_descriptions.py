"""What results of Approach 2 and studies show: one screen of text, every notation, one line."""

import copy
import pickle
from html import escape

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.approach2 import vertex_fits

# About a terminal's screen.
LINES, COLUMNS = 45, 90


def curves():
    N, D = np.meshgrid(np.geomspace(1e7, 1e10, 12), np.geomspace(1e8, 1e12, 60))
    return sf.simulate(pd.DataFrame({"N": N.ravel(), "D": D.ravel()}), noise=0.0)


@pytest.fixture(scope="module")
def results():
    runs = sf.simulate(sf.simulation.isoflop_design(drift=3.0, points=9), noise=0.003, seed=1)
    isoflop, fit = sf.isoflop(runs), sf.fit(runs, certify=False)
    draws = sf.covariance(fit, runs).draws(50)
    report = sf.bias(draws, isoflop, runs, 1e24, n_draws=50)
    return {
        "isoflop": isoflop,
        "optimum": isoflop.at([1e23, 1e24]),
        "power law": isoflop.n_law,
        "report": report,
        "report of a fit": sf.bias(fit, isoflop, runs, 1e24, n_draws=0, objectives=False),
        "attribution": report.attribution,
        "design": report.design,
        "advice": sf.approach2.advise(fit, 1e23),
        "envelope": sf.approach2.envelope(curves(), bins=200),
        "study": sf.studies.simulation_study({"points": [8, 9]}, 4, progress=False),
        "noise": sf.simulation.Noise(0.01, df=3, cluster="C"),
    }


def test_every_result_fits_a_screen_and_has_every_notation(results):
    for name, result in results.items():
        lines = str(result).splitlines()
        assert len(lines) <= LINES and max(map(len, lines)) <= COLUMNS, name
        assert str(result) == result.summary() and "\n" not in repr(result), name
        title = escape(lines[0].split(":")[0])
        assert title in result._repr_html_(), name
        tables = name != "noise"
        assert ("--:" in result.to_markdown()) == ("tabular" in result.to_latex()) == tables, name
        assert len(result.to_frame()) and isinstance(result.notes, tuple), name


def test_levels_are_those_of_every_interval(results):
    for name in ("isoflop", "optimum", "power law", "report", "attribution", "design"):
        text = results[name].summary(0.5)
        assert "50 % interval" in text and "95 % interval" not in text, name
    isoflop = results["isoflop"]
    half, full = isoflop.to_frame(0.5), isoflop.to_frame()
    assert (half["N_low"] > full["N_low"]).all() and (half["N"] == full["N"]).all()
    pd.testing.assert_frame_equal(full, isoflop.budgets)


def test_the_report_says_in_words_what_it_costs(results):
    report = results["report"]
    text = " ".join(report.summary().split())
    assert f"Approach 2 would train on {100 * report.error():.1f} % more tokens than" in text
    assert "over the draws of the surface" in text
    assert "more: attribution, design, variants" in text
    # Of a fit, without resamples, no interval is known.
    assert "95 %" not in results["report of a fit"].summary()


def test_arrays_of_fits_are_one_line():
    fits = vertex_fits([1e19, 1e20], np.ones((3, 2, 4)), np.ones((3, 2, 4)), np.ones((3, 2, 4)))
    assert repr(fits) == "<VertexFits of shape (3, 2)>"
    assert repr(fits.n) == "<Parabolas of shape (3, 2)>"
    assert repr(fits.n_law) == "<PowerLaw of shape (3,)>" and len(fits.n_law.to_frame()) == 3


def test_results_are_pickled_and_copied(results):
    for name, result in results.items():
        for same in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert same.summary() == result.summary(), name
