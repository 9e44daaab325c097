"""Vertices over the learning rate, the batch size or the size of a model, in every cell."""

import re

import numpy as np
import pandas as pd
import pytest
from remedies import text_option
from scipy import optimize, stats

import scalefit as sf
from scalefit.approach2 import vertices
from scalefit.errors import ArgumentError, DataError


def sweep(factors=(0.25, 0.5, 1.0, 2.0, 4.0), noise=0.0, seed=0, batches=(256,)):
    """A bowl in ln lr in each of six cells; the best is 20 N^-0.4 D^0.1 (batch / 256)^0.5."""
    N, D = np.meshgrid([2e7, 2e8, 2e9], [1e9, 3e10], indexing="ij")
    runs = pd.DataFrame({"N": N.ravel(), "D": D.ravel()})
    for name, values in (("factor", factors), ("batch", batches)):
        runs = runs.merge(pd.DataFrame({name: values}), how="cross")
    best = 20 * runs["N"] ** -0.4 * runs["D"] ** 0.1 * (runs["batch"] / 256) ** 0.5
    runs["lr"] = 20 * runs["N"] ** -0.4 * runs["D"] ** 0.1 * runs["factor"]
    loss = 2.5 + 0.03 * np.log(runs["lr"] / best) ** 2 + 0.02 * np.log(runs["batch"] / 256) ** 2
    shocks = np.random.default_rng(seed).standard_normal(len(runs))
    return runs.assign(loss=loss + noise * shocks).drop(columns="factor")


def codes(result):
    return {note.code: note for note in result.notes}


def test_the_best_learning_rates_of_a_known_bowl_make_its_law():
    found = vertices(sweep(), over="lr", by=["N", "D"])
    frame = found.to_frame()
    assert found.notes == () and (frame["status"] == "ok").all() and len(frame) == 6
    # 20 * 2e7^-0.4 * 1e9^0.1
    np.testing.assert_allclose(frame["lr"][0], 0.190817, rtol=1e-5)
    np.testing.assert_allclose(frame["loss"], 2.5, rtol=1e-12)
    np.testing.assert_allclose(frame["curvature"], 0.03, rtol=1e-9)
    fit = sf.fit(frame, "optimal_learning_rate", robust="none")
    np.testing.assert_allclose([fit.params[name] for name in "cab"], [20, -0.4, 0.1], rtol=1e-6)


def test_vertices_and_their_errors_are_those_of_polyfit():
    runs = sweep(noise=0.004, seed=2)
    frame = vertices(runs, over="lr", by=["N", "D"]).to_frame(0.9)
    for (_, row), (_, cell) in zip(frame.iterrows(), runs.groupby(["N", "D"]), strict=True):
        x = np.log(cell["lr"]) - np.log(cell["lr"]).mean()
        (a, b, _), cov = np.polyfit(x, cell["loss"], 2, cov=True)
        vertex = np.log(cell["lr"]).mean() - b / (2 * a)
        slopes = np.array([b / (2 * a**2), -1 / (2 * a)])
        error = np.sqrt(slopes @ cov[:2, :2] @ slopes)
        np.testing.assert_allclose([np.log(row["lr"]), row["lr_se"]], [vertex, error], rtol=1e-7)
        # Fieller's ends: where b + 2 a r differs from zero by t of its errors.
        t = stats.t.ppf(0.95, 2)
        for end in ("lr_low", "lr_high"):
            r = np.log(row[end] / cell["lr"]).mean()
            spread = np.sqrt(cov[1, 1] + 4 * r * cov[0, 1] + 4 * r**2 * cov[0, 0])
            np.testing.assert_allclose(abs(b + 2 * a * r), t * spread, rtol=1e-6)


def test_over_sizes_by_budget_they_are_those_of_isoflop():
    runs = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.003)
    budgets = sf.isoflop(runs).budgets
    runs["sweep"] = sf.isoflop(runs).runs.map("{:.3e}".format)
    frame = vertices(runs, over="N", by="sweep").to_frame()
    for name in ("N", "N_low", "N_high", "loss", "curvature", "curvature_se"):
        np.testing.assert_allclose(frame[name], budgets[name], rtol=1e-9, err_msg=name)
    for method in ("akima", "cubic"):
        frame = vertices(runs, over="N", by="sweep", method=method).to_frame()
        np.testing.assert_allclose(frame["N"], sf.isoflop(runs, method=method).budgets["N"])
        assert frame["N_low"].isna().all() and frame["N_se"].isna().all()


def test_cells_without_an_optimum_are_named():
    runs = sweep(noise=0.001)
    first = (runs["N"] == 2e7) & (runs["D"] == 1e9)
    second = (runs["N"] == 2e8) & (runs["D"] == 1e9)
    third = (runs["N"] == 2e9) & (runs["D"] == 1e9)
    runs.loc[first, "loss"] = 5 - runs.loc[first, "loss"]
    # On one side of the best, and a cell of two values.
    edge = second & (runs["lr"] > 0.9 * runs["lr"][second].median())
    kept = runs[(edge | ~second) & ~(third & (runs["lr"] > runs["lr"][third].iloc[1]))]
    kept.loc[edge, "lr"] *= 1.5
    kept.loc[edge, "loss"] = (
        2.5 + 0.03 * np.log(kept["lr"][edge] / runs["lr"][second].median()) ** 2
    )
    found = vertices(kept, over="lr", by=["N", "D"])
    status = found.cells["status"].to_list()
    assert status[0] == "negative_curvature" and status[2] == "edge_minimum"
    assert status[4] == "too_few" and found.cells["distinct"][4] == 2
    assert found.cells["used"].to_list() == [False, True, True, True, False, True]
    assert codes(found)["vertices_left_out"].details["cells"] == [
        "N = 2e+07 and D = 1e+09",
        "N = 2e+09 and D = 1e+09",
    ]
    edged = codes(found)["vertices_at_edge"]
    assert edged.severity == "warning" and "keep_edges=False" in edged.message
    assert len(vertices(kept, over="lr", by=["N", "D"], keep_edges=False).to_frame()) == 3
    assert len(found.to_frame()) == 4


def test_a_vertex_that_may_be_anywhere_is_said():
    found = vertices(sweep(noise=0.2, seed=1), over="lr", by=["N", "D"])
    assert {"vertices_weak", "vertices_left_out"} & set(codes(found))
    weak = found.cells[found.cells["status"] == "weak_curvature"]
    assert (weak["curvature"] < 2 * weak["curvature_se"]).all()


def test_where_another_column_was_swept_too_the_least_of_it_counts():
    runs = sweep(np.geomspace(0.1, 10, 15), batches=(64, 128, 256, 512, 1024))
    mixed = vertices(runs, over="lr", by=["N", "D"])
    note = codes(mixed)["vertices_mixed"]
    assert note.severity == "warning" and note.details["swept"] == ["batch"]
    least = vertices(runs, over="lr", by=["N", "D"], repeats=text_option(note.message, "repeats"))
    assert "vertices_mixed" not in codes(least) and (least.cells["n"] == 15).all()
    # Of the lower envelope of the bowls; grids of the two are finite.
    best = 20 * least.cells["N"] ** -0.4 * least.cells["D"] ** 0.1
    np.testing.assert_allclose(least.cells["lr"], best, rtol=0.02)
    apart = vertices(runs, over="lr", by=["N", "D", "batch"])
    assert len(apart.cells) == 30 and "vertices_mixed" not in codes(apart)
    np.testing.assert_allclose(
        apart.cells["lr"] / apart.cells["batch"] ** 0.5, np.repeat(best, 5).to_numpy() / 16
    )


def test_the_nearest_values_are_the_bottom_of_a_bowl_that_is_none_far_out():
    runs = sweep(np.geomspace(0.02, 20, 25))
    best = 20 * runs["N"] ** -0.4 * runs["D"] ** 0.1
    away = np.log(runs["lr"] / best)
    # Far steeper above than below, as towards divergence.
    runs["loss"] = 2.5 + np.exp(0.5 * away) - 1 - 0.5 * away
    first = best.groupby([runs["N"], runs["D"]]).first().to_numpy()
    every = vertices(runs, over="lr", by=["N", "D"]).cells
    near = vertices(runs, over="lr", by=["N", "D"], nearest=5).cells
    assert (np.abs(np.log(every["lr"] / first)) > 0.3).all()
    assert (np.abs(np.log(near["lr"] / first)) < 0.05).all()
    assert (near["distinct"] == 5).all()
    exact = optimize.minimize_scalar(lambda u: np.exp(0.5 * u) - 0.5 * u).x
    assert abs(exact) < 1e-6


def test_labels_weights_and_rows_of_no_weight_count_as_elsewhere():
    runs = sweep(noise=0.01, seed=4)
    twice = pd.concat([runs, runs[::2]], ignore_index=True)
    weighted = runs.assign(weight=np.where(runs.index % 2, 1.0, 2.0))
    one = vertices(twice, over="lr", by=["N", "D"]).to_frame()
    other = vertices(weighted, over="lr", by=["N", "D"]).to_frame()
    np.testing.assert_allclose(one["lr"], other["lr"], rtol=1e-10)
    none = runs.assign(
        weight=np.where(runs["N"] > 1e9, 0.0, 1.0), lr=runs["lr"] * (runs["N"] < 1e9)
    )
    assert len(vertices(none, over="lr", by=["N", "D"]).cells) == 4
    named = runs.assign(cell=[f"{N:g}" for N in runs["N"]]).rename(columns={"loss": "bpb"})
    found = vertices(named, over="lr", by="cell", loss="bpb", keep="D < 2e9")
    assert found.cells["cell"].to_list() == ["2e+07", "2e+08", "2e+09"]
    assert found.cells["n"].to_list() == [5, 5, 5]


def test_what_cannot_be_swept_is_refused():
    runs = sweep()
    for wrong in ("lr", ["N", "lr"], [], ["N", "N"]):
        with pytest.raises(ArgumentError, match="does not tell cells apart"):
            vertices(runs, over="lr", by=wrong)
    for options in ({"method": "spline"}, {"repeats": "best"}, {"nearest": 2}, {"keep_edges": 3}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            vertices(runs, over="lr", by="N", **options)
    with pytest.raises(DataError, match="no column 'M'"):
        vertices(runs, over="lr", by=["N", "M"])
    with pytest.raises(DataError, match="no column rate"):
        vertices(runs, over="rate", by="N")
    with pytest.raises(DataError, match="none of 30 cells") as caught:
        vertices(runs.assign(run=range(30)), over="lr", by="run")
    assert "30 too_few" in str(caught.value)
    runs.loc[3, "lr"] = 0.0
    with pytest.raises(DataError, match="in row 3") as caught:
        vertices(runs, over="lr", by=["N", "D"])
    kept = vertices(runs, over="lr", by=["N", "D"], keep=text_option(str(caught.value), "keep"))
    assert kept.cells["n"].sum() == 29


def test_of_the_step_law_table_the_published_exponents_come_out(data_folder):
    """Li et al. 2025: 1.79 N^-0.713 D^0.307, from these cells and others."""
    runs = sf.read(data_folder / "steplaw_dense.csv")
    found = vertices(runs, over="lr", by=["N", "D"], repeats="least", nearest=7)
    assert len(found.to_frame()) == 17 and found.notes == ()
    fit = sf.fit(found.to_frame(), "optimal_learning_rate", robust="none")
    np.testing.assert_allclose([fit.params["a"], fit.params["b"]], [-0.713, 0.307], atol=0.04)


def test_a_run_off_its_cell_is_named_with_the_vertex_without_it():
    runs = sweep(factors=np.geomspace(0.25, 4.0, 7), noise=0.0005)
    runs.loc[8, "loss"] += 0.2
    found = vertices(runs, over="lr", by=["N", "D"])
    note = codes(found)["vertices_bent"]
    assert note.details["rows"] == ["8"] and note.severity == "warning"
    without = vertices(runs.drop(index=8), over="lr", by=["N", "D"])
    assert "vertices_bent" not in codes(without)
    for cells, word in ((found, "with"), (without, "without")):
        assert re.search(f"{cells.cells['lr'][1]:.4g} {word}", note.message)
    left = vertices(runs, over="lr", by=["N", "D"], rules=["parabola_outlier"])
    assert left.removed.index.to_list() == [8] and "vertices_bent" not in codes(left)
    pd.testing.assert_frame_equal(left.cells, without.cells)
    assert not len(found.removed)


def test_vertices_over_n_and_d_are_those_of_isoflop():
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.002)
    budgets = sf.isoflop(runs).budgets
    for name in ("N", "D"):
        cells = vertices(runs, over=name, by="C").cells
        for column in (name, f"{name}_low", f"{name}_high"):
            np.testing.assert_array_equal(cells[column], budgets[column])


def test_a_surface_says_which_runs_are_off():
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.0005)
    runs.loc[[7, 8], "loss"] += 0.3
    fit = sf.fit(runs)
    note = codes(vertices(runs, over="N", by="C", fit=fit))["vertices_bent"]
    assert note.details["rows"] == ["7", "8"] and note.details["by"] == "surface_outlier"
    left = vertices(runs, over="N", by="C", fit=fit, rules=["surface_outlier"])
    clean = vertices(runs.drop(index=[7, 8]), over="N", by="C")
    pd.testing.assert_frame_equal(left.cells, clean.cells)
    swept = sweep(noise=0.001)
    with pytest.raises(ArgumentError, match="does not depend on 'lr'"):
        vertices(swept, over="lr", by=["N", "D"], fit=fit)
    with pytest.raises(ArgumentError, match="needs a fitted surface"):
        vertices(swept, over="lr", by=["N", "D"], rules=["surface_outlier"])
    with pytest.raises(ArgumentError, match="rules"):
        vertices(swept, over="lr", by=["N", "D"], rules=["off_centre"])
