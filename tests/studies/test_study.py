"""Studies: their tables, their errors, and the published ones."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find
from scalefit.studies import estimate

PAGE = Path(__file__).parents[2] / "docs/studies.md"


@pytest.fixture(scope="module")
def small():
    return sf.studies.simulation_study(
        {
            "surface": "asymmetric",
            "budgets": 3,
            "points": [4, 8],
            "drift": 3.0,
            "noise": 0.05,
            "additive": True,
        },
        seeds=8,
        flops=1e24,
        progress=False,
    )


def test_a_row_for_each_table_and_method(small):
    assert len(small.table) == 2 * 8 * 2
    assert small.settings == ("surface", "budgets", "points", "drift", "noise", "additive")
    counted = small.table.groupby(["setting", "points", "method"]).size()
    assert counted.to_list() == [8] * 4
    assert small.table["seed"].to_list() == list(range(8)) * 4
    assert set(small.table["status"]) == {"converged"}


def test_the_tables_are_those_of_simulate(small):
    design = sf.simulation.isoflop_design(3, points=8, surface="asymmetric", drift=3.0)
    noise = sf.simulation.Noise(0.05, additive=True)
    losses = [
        sf.simulate(design, params="asymmetric", noise=noise, seed=seed)["loss"]
        for seed in range(8)
    ]
    for method in ("surface", "approach2"):
        alone = estimate(design, np.stack(losses), [method])
        mine = small.table.query("points == 8 and method == @method")
        np.testing.assert_allclose(mine["n_exponent"], alone["n_exponent"], rtol=1e-7)


def test_errors_are_relative_to_the_truth(small):
    truth = sf.simulation.SURFACES["asymmetric"]
    table = small.table[small.table["method"] == "surface"]
    for name, value in truth.items():
        np.testing.assert_allclose(table[f"{name}_error"], table[name] / value - 1)
    np.testing.assert_allclose(table["n_error"], table["n_exponent"] / 0.25 - 1)
    np.testing.assert_allclose(table["d_error"], table["d_exponent"] / 0.75 - 1)
    # One decade of N* too many is one of D* too few.
    np.testing.assert_allclose((1 + table["N_error"]) * (1 + table["D_error"]), 1)


def test_errors_by_method(small):
    found = small.errors()
    part = small.table[small.table["method"] == "approach2"]
    errors = part[["n_error", "d_error"]].abs()
    assert found.loc["approach2", "gmean"] == pytest.approx(
        np.exp(np.log(errors.to_numpy()).mean())
    )
    assert found.loc["approach2", "n_max"] == errors["n_error"].max()
    assert found.loc["approach2", "d_max"] == pytest.approx(errors["n_error"].max() / 3)
    rms = np.sqrt(((part["d_exponent"] - 0.75) ** 2).mean())
    assert found.loc["approach2", "rms"] == pytest.approx(rms)
    assert found["fits"].to_list() == [16, 16] and found["failed"].to_list() == [0, 0]
    each = np.log(errors).mean(axis=1).groupby(part["seed"]).mean()
    assert found.loc["approach2", "gmean_se"] == pytest.approx(
        found.loc["approach2", "gmean"] * each.std() / np.sqrt(8)
    )


def test_errors_by_a_column(small):
    found = small.errors("points")
    assert list(found.index) == [
        (points, method) for points in (4, 8) for method in ("surface", "approach2")
    ]
    assert (found["fits"] == 8).all()
    for by in ("width", ["points", "width"], 3, ""):
        with pytest.raises(sf.errors.ArgumentError, match=r"^by.* settings: .*points, .*noise"):
            small.errors(by)
    assert repr(small) == "<Study of 2 settings, 16 tables>"
    assert "Typical error of the exponents" in small.summary() and "<table" in small._repr_html_()


def test_failures_are_counted_and_left_out():
    found = sf.studies.simulation_study(
        {"budgets": 2, "points": 4, "width": 2.0, "noise": 0.3, "additive": True},
        seeds=16,
        progress=False,
    )
    failed = found.table["status"] == "failed"
    assert failed.sum() == found.errors().loc["approach2", "failed"] > 0
    assert found.table["n_error"][failed].isna().all()
    assert found.errors()["gmean"].notna().all()


def test_settings_may_be_a_table_and_seeds_a_list():
    settings = pd.DataFrame({"points": [6, 9], "noise": [0.01, 0.02]})
    found = sf.studies.simulation_study(
        settings, seeds=[3, 5], methods=["approach2"], progress=False
    )
    assert found.table[["points", "noise", "seed"]].to_numpy().tolist() == [
        [6, 0.01, 3],
        [6, 0.01, 5],
        [9, 0.02, 3],
        [9, 0.02, 5],
    ]


def test_noise_may_be_whole_and_a_surface_its_parameters():
    soda = {"E": 3.169, "A": 215886.0, "B": 4750.0, "alpha": 0.684, "beta": 0.439}
    found = sf.studies.simulation_study(
        {
            "surface": soda,
            "points": 6,
            "noise": [sf.simulation.Noise(0.002, df=3), sf.simulation.Noise(0.002, cluster="C")],
        },
        seeds=4,
        progress=False,
    )
    assert found.errors("noise")["fits"].to_list() == [4] * 4
    single = sf.studies.simulation_study(
        {"noise": 0.01, "cluster": [None, "C"]}, 2, methods="approach2", progress=False
    )
    assert single.errors("cluster")["fits"].to_list() == [2, 2]
    assert found.errors("surface").loc[:, "gmean"].max() < 0.1


def test_other_designs():
    def corpora(count):
        design = sf.simulation.grid_design(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5))
        return design.assign(corpus=np.arange(len(design)) % count)

    found = sf.studies.simulation_study(
        {"count": [4, 12], "noise": 0.005, "cluster": "corpus", "icc": [0.0, 0.9]},
        seeds=8,
        methods=["surface"],
        design=corpora,
        progress=False,
    )
    assert (found.errors(["count", "icc"])["fits"] == 8).all()
    grid = sf.studies.simulation_study(
        {"N": [(1e7, 1e8, 1e9)], "D": [(1e9, 1e10, 1e11)], "noise": 0.0},
        1,
        methods=["surface"],
        design=sf.simulation.grid_design,
        progress=False,
    )
    assert grid.table["n_error"].abs().max() < 1e-8


def test_descents_are_run_on_the_first_seeds():
    found = sf.studies.simulation_study(
        {"surface": "asymmetric", "budgets": 3, "points": 8, "noise": 0.02},
        seeds=[4, 5, 6, 7],
        methods=["surface", "approach3", "approach3_log"],
        slow_seeds=2,
        progress=False,
    )
    seeds = found.table.groupby("method", sort=False)["seed"].apply(list).to_dict()
    assert seeds == {"surface": [4, 5, 6, 7], "approach3": [4, 5], "approach3_log": [4, 5]}
    wide = found.table.pivot_table(index="seed", columns="method", values="n_exponent").dropna()
    np.testing.assert_allclose(wide["approach3"], wide["surface"], atol=1e-4)
    # Squares of logarithms have another optimum.
    assert abs(wide["approach3_log"] - wide["surface"]).max() > 1e-3


def test_errors_without_noise_are_the_published_ones():
    """Percent error of D* at 1e24 by Approach 2; Czech et al. 2026."""
    found = sf.studies.simulation_study(
        {"surface": ["symmetric", "asymmetric"], "width": [2.0, 16.0], "drift": 3.0, "noise": 0.0},
        seeds=1,
        methods="approach2",
        flops=1e24,
        progress=False,
    )
    errors = 100 * found.table["D_error"]
    assert errors.round(2).to_list() == [6.07, 1.69, 34.57, 14.00]


@pytest.mark.slow
def test_the_noise_study_is_the_published_one_to_its_digits():
    """9,216 tables, drawn as published: seeds 42 to 297, one generator for 4, 8, 16, 32 points.

    Percent, Czech et al. 2026: geometric mean over both exponents, the largest error of each.
    """
    frames = []
    for budgets in (2, 3, 4):
        streams = [np.random.default_rng(42 + seed) for seed in range(256)]
        for points in (4, 8, 16, 32):
            design = sf.simulation.isoflop_design(
                budgets, points=points, surface="asymmetric", drift=3.0
            )
            exact = find("chinchilla").evaluate(
                design[["N", "D"]], sf.simulation.SURFACES["asymmetric"]
            )
            normal = np.stack([rng.standard_normal(len(design)) for rng in streams])
            losses = np.concatenate([exact + scale * normal for scale in (0.05, 0.1, 0.2)])
            frames.append(estimate(design, losses))
    table = pd.concat(frames)
    table = table.assign(
        n_error=table["n_exponent"] / 0.25 - 1, d_error=table["d_exponent"] / 0.75 - 1
    )
    errors = 100 * table.set_index("method")[["n_error", "d_error"]].abs()
    for method, gmean, n_max, d_max in (
        ("surface", 1.09, 34.2, 11.4),
        ("approach2", 4.84, 715.5, 238.5),
    ):
        mine = errors.loc[method].dropna()
        assert np.exp(np.log(mine).to_numpy().mean()) == pytest.approx(gmean, abs=0.005)
        assert mine.max().round(1).to_list() == [n_max, d_max]
    status = table.groupby("method")["status"].value_counts().to_dict()
    assert status["approach2", "failed"] == 1
    assert status["surface", "converged"] + status["surface", "at_bound"] == 9216
    assert status["surface", "at_bound"] < 20


@pytest.mark.slow
def test_the_code_of_the_page_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(block, names)
    shown = names["found"].summary()
    assert " ".join(shown.split()) in " ".join(PAGE.read_text().split())
    ratio = (names["rms"]["approach2"] / names["rms"]["surface"]) ** 2
    assert 9 < ratio < 11
