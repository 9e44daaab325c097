"""Lower envelopes of training curves of a known surface."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

TRUE = 0.28 / (0.34 + 0.28)


@pytest.fixture(scope="module")
def curves():
    N, D = np.meshgrid(np.geomspace(3e6, 3e10, 60), np.geomspace(1e8, 1e12, 120))
    return sf.simulate(pd.DataFrame({"N": N.ravel(), "D": D.ravel()}), noise=0.0)


@pytest.mark.parametrize("method", ["bins", "hull"])
def test_the_envelope_has_the_exponents_of_the_surface(curves, method):
    found = sf.approach2.envelope(curves, method=method)
    np.testing.assert_allclose(found.n_exponent, TRUE, atol=0.01)
    np.testing.assert_allclose(found.d_exponent, 1 - TRUE, atol=0.01)
    best = found.at(1e22)
    G = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62)
    np.testing.assert_allclose(best.N, G * (1e22 / 6) ** TRUE, rtol=0.05)
    assert "Lower envelope" in found.summary() and "N*" in found._repr_html_()
    # Neighbouring points share runs: no interval is claimed.
    assert np.isnan(found.n_law.interval()).all()


def test_no_checkpoint_lies_below_the_envelope(curves):
    points = sf.approach2.envelope(curves).to_frame()
    C = 6 * curves["N"] * curves["D"]
    fitted = points[points["interior"]]
    inside = (C > fitted["flops"].min()) & (C < fitted["flops"].max())
    below = np.interp(np.log(C[inside]), np.log(points["flops"]), points["loss"])
    assert inside.sum() > 1000 and (curves["loss"][inside] >= below - 1e-3).all()
    np.testing.assert_allclose(6 * points["N"] * points["D"], points["flops"], rtol=1e-9)


def test_sizes_without_neighbours_are_not_fitted(curves):
    points = sf.approach2.envelope(curves).points
    ends = points["N"].isin([points["N"].min(), points["N"].max()])
    assert points["N"].min() < 3.1e6 and not points["interior"][ends].any()
    assert points["interior"].any()


def test_the_hull_is_convex_and_falls(curves):
    points = sf.approach2.envelope(curves, method="hull").points
    slope = np.diff(points["loss"]) / np.diff(np.log(points["flops"]))
    assert (slope < 0).all() and (np.diff(slope) > 0).all()


def test_runs_may_be_named_and_compute_read(curves):
    named = curves.assign(name=curves["N"].map("{:.4g}".format), C=6.6 * curves["N"] * curves["D"])
    found = sf.approach2.envelope(named, run="name", bins=300)
    assert set(found.points["run"]) <= set(named["name"])
    assert [note.code for note in found.notes] == ["flops_convention"]
    np.testing.assert_allclose(found.n_exponent, sf.approach2.envelope(curves, bins=300).n_exponent)
    shifted = found.at(6.6e22).N / sf.approach2.envelope(curves, bins=300).at(6e22).N
    np.testing.assert_allclose(shifted, 1, rtol=1e-9)


def test_curves_that_never_cross_say_so(curves):
    one = curves[curves["N"] == curves["N"].min()]
    with pytest.raises(sf.errors.DataError, match="0 of 1 runs"):
        sf.approach2.envelope(one)


@pytest.mark.parametrize(("sizes", "fitted"), [(5, 3), (12, 10)])
def test_an_envelope_through_few_sizes_says_so(sizes, fitted):
    N, D = np.meshgrid(np.geomspace(3e7, 3e9, sizes), np.geomspace(1e8, 1e12, 150))
    found = sf.approach2.envelope(
        sf.simulate(pd.DataFrame({"N": N.ravel(), "D": D.ravel()}), noise=0.0)
    )
    assert found.points.loc[found.points["interior"], "N"].nunique() == fitted
    assert ("envelope_few_sizes" in [note.code for note in found.notes]) is (fitted < 5)
    # What few sizes cost: the exponent of the surface is 0.4516.
    assert (abs(found.n_exponent - TRUE) > 0.02) is (fitted < 5)
