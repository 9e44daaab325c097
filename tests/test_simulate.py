"""Designs, and noise of every kind in the unit it says."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find
from scalefit.objective import noisy_losses

MANY = sf.simulation.grid_design(np.geomspace(1e7, 1e9, 200), np.geomspace(1e9, 1e11, 200))
TRUTH = sf.simulation.SURFACES["chinchilla"]


def exact(design):
    return find("chinchilla").evaluate(design[["N", "D"]], TRUTH)


def drawn(**options):
    """Noise of 40,000 runs in units of its scale."""
    noise = sf.simulation.Noise(0.01, **options)
    loss = sf.simulate(MANY, noise=noise, seed=3)["loss"].to_numpy()
    return (loss - exact(MANY) if noise.additive else np.log(loss / exact(MANY))) / 0.01


def test_a_number_is_the_standard_deviation_of_the_logarithm():
    design = sf.simulation.isoflop_design()
    runs = sf.simulate(design, noise=0.01, seed=7)
    normal = np.random.default_rng(7).standard_normal(len(design))
    np.testing.assert_allclose(np.log(runs["loss"] / exact(design)), 0.01 * normal, rtol=1e-9)
    pd.testing.assert_frame_equal(
        runs, sf.simulate(design, noise=sf.simulation.Noise(0.01), seed=7)
    )


@pytest.mark.parametrize("additive", [False, True])
def test_normal_noise_has_its_scale(additive):
    noise = drawn(additive=additive)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.015)
    assert np.mean(abs(noise) > 3) == pytest.approx(1 / 370, abs=0.001)


def test_heavy_tails_keep_the_scale():
    assert drawn(df=6).std() == pytest.approx(1.0, abs=0.03)
    assert np.mean(abs(drawn(df=3)) > 3) == pytest.approx(1 / 72, abs=0.002)


@pytest.mark.parametrize("icc", [0.0, 0.3, 1.0])
def test_clusters_share_their_part_of_the_variance(icc):
    noise = drawn(cluster="N", icc=icc).reshape(200, 200)
    # Of 200 clusters: a standard deviation of 5 %, twice that of a variance.
    assert noise.var() == pytest.approx(1.0, abs=0.25)
    assert noise.mean(axis=1).var() / noise.var() == pytest.approx(icc, abs=0.06)
    assert noise.std(axis=1).max() == pytest.approx(np.sqrt(1 - icc), abs=0.2)


def test_no_noise_is_the_law():
    for noise in (
        0.0,
        sf.simulation.Noise(0.0, additive=True),
        sf.simulation.Noise(0.0, df=3, cluster="C"),
    ):
        runs = sf.simulate(sf.simulation.isoflop_design(), noise=noise)
        assert np.array_equal(runs["loss"], exact(sf.simulation.isoflop_design()))


def test_clusters_need_their_column():
    with pytest.raises(sf.errors.DataError, match="no such column") as error:
        sf.simulate(
            sf.simulation.isoflop_design(), noise=sf.simulation.Noise(0.01, cluster="corpus")
        )
    assert error.value.column == "corpus" and "Columns: N, D, C" in str(error.value)


def test_simulation_says_what_is_missing():
    with pytest.raises(
        sf.errors.DataError, match="no column 'D', which 'chinchilla' takes"
    ) as error:
        sf.simulate(MANY[["N"]])
    assert error.value.column == "D" and "Columns: N" in str(error.value)


def test_budgets_by_their_number_are_equally_spaced():
    by_number = sf.simulation.isoflop_design(3, points=4, drift=3.0)
    pd.testing.assert_frame_equal(
        by_number, sf.simulation.isoflop_design([1e17, 1e19, 1e21], points=4, drift=3.0)
    )
    pd.testing.assert_frame_equal(sf.simulation.isoflop_design(), sf.simulation.isoflop_design(5))


def test_a_grid_trains_every_size_on_every_count():
    design = sf.simulation.grid_design([1e8, 1e9], [1e9, 1e10, 1e11])
    assert design["N"].to_list() == [1e8] * 3 + [1e9] * 3
    assert design["D"].to_list() == [1e9, 1e10, 1e11] * 2
    np.testing.assert_allclose(design["C"], 6 * design["N"] * design["D"])


def test_a_ratio_fixes_tokens_per_parameter():
    design = sf.simulation.ratio_design([1e8, 1e9], [5, 20])
    np.testing.assert_allclose(design["D"] / design["N"], [5, 20, 5, 20])
    assert len(sf.simulation.ratio_design([1e8, 1e9])) == 2
    fit = sf.fit(
        sf.simulate(sf.simulation.ratio_design(np.geomspace(1e7, 1e9, 5), [5, 20, 80]), noise=0.0)
    )
    assert fit.params["alpha"] == pytest.approx(TRUTH["alpha"], rel=1e-6)


@pytest.mark.parametrize("residual", ["log", "raw", "relative"])
def test_noise_on_losses_is_what_the_residual_gives_back(residual):
    f, noise = np.array([2.0, 3.0, 4.0]), np.array([-0.4, 0.0, 0.3])
    loss = noisy_losses(f, noise, residual)
    back = {"log": np.log(loss / f), "raw": loss - f, "relative": (loss - f) / loss}
    np.testing.assert_allclose(back[residual], noise, atol=1e-15)
    # A relative residual of one or more is of no finite loss.
    assert noisy_losses(f, np.full(3, 1.5), "relative").max() == pytest.approx(40.0)


def test_a_law_of_something_else_than_a_loss_gives_a_column_of_its_name():
    law = sf.laws.accuracy_of_loss
    truth = {"a": -0.75, "b": 1.0, "k": 5.0, "L0": 1.0}
    runs = sf.simulate(pd.DataFrame({"loss": np.linspace(0.4, 1.8, 9)}), law, truth, noise=0.0)
    np.testing.assert_array_equal(runs["accuracy"], law.evaluate({"loss": runs["loss"]}, truth))
    assert list(runs) == ["loss", "accuracy"]
