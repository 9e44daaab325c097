"""IsoFLOP fits of one table: references, bad budgets, options, what is said."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.allocation import product

CLEAN = "oa_outlier == 0"

# (table, label) of the reference file -> how to read those rows.
TABLES = {
    ("chinchilla_epoch", "oa_used"): {"keep": "oa_used == 1"},
    ("chinchilla_epoch", "oa_clean"): {"keep": ["oa_used == 1", CLEAN]},
    ("chinchilla_scalefit", "oa_used"): {"keep": "oa_used == 1"},
    ("chinchilla_scalefit", "oa_clean"): {"keep": ["oa_used == 1", CLEAN]},
    ("llama3_isoflops", "raw_all"): {"loss": "loss"},
    ("llama3_isoflops", "exp_all"): {"loss": "loss_exp"},
    ("llama3_isoflops", "raw_clean"): {"loss": "loss", "keep": CLEAN},
    ("marin_comma", "regular"): {"keep": "validation_optimal == 0"},
    ("marin_comma", "clean"): {"keep": ["validation_optimal == 0", CLEAN]},
    ("marin_dclm", "regular"): {"keep": "validation_optimal == 0"},
    ("marin_dclm", "clean"): {"keep": ["validation_optimal == 0", CLEAN]},
}


def load(folder, table, label):
    runs = sf.read(folder / f"{table}.csv", C="budget", **TABLES[table, label])
    if table == "chinchilla_epoch":
        # The reference counts whole parameters, and tokens as the budget buys them.
        N = runs.frame["N"].round()
        return sf.LossTable.from_frame(runs.frame.assign(N=N, D=runs.frame["C"] / (6 * N)))
    return runs


@pytest.fixture(scope="module")
def references(data_folder):
    return json.loads((data_folder / "reference_fits.json").read_text())["approach2"]


def test_every_reference_has_its_table(references):
    assert {(item["table"], item["label"]) for item in references} == set(TABLES)


@pytest.mark.parametrize(("table", "label"), TABLES, ids="-".join)
def test_real_tables_give_the_reference_vertices(data_folder, references, table, label):
    (entry,) = (item for item in references if (item["table"], item["label"]) == (table, label))
    found = sf.isoflop(load(data_folder, table, label))
    expected = pd.DataFrame(entry["per_budget"])
    budgets = found.budgets
    assert budgets["n"].sum() == entry["n_points"] and len(budgets) == entry["n_budgets"]
    assert budgets["used"].all() and entry["dropped_budgets"] == []
    same = {
        "budget": "budget",
        "points": "n",
        "N_opt": "N",
        "D_opt": "D",
        "D_opt_from_6ND": "D_from_budget",
        "loss_min": "loss",
        "curvature_lnN": "curvature",
    }
    for theirs, ours in same.items():
        np.testing.assert_allclose(budgets[ours], expected[theirs], rtol=1e-8, err_msg=ours)
    np.testing.assert_array_equal(budgets["interior"], expected["N_opt_inside_data"])
    from_budget = sf.approach2.power_law(budgets["budget"], budgets["D_from_budget"])
    for name, law in (("N_opt", found.n_law), ("D_opt", found.d_law)):
        line = entry[f"{name}_power_law"]
        np.testing.assert_allclose(law.exponent, line["exponent"], rtol=1e-8)
        np.testing.assert_allclose(law.intercept, line["ln_intercept"], rtol=1e-7)
    line = entry["D_opt_from_6ND_power_law"]
    np.testing.assert_allclose(from_budget.exponent, line["exponent"], rtol=1e-8)
    np.testing.assert_allclose(from_budget.intercept, line["ln_intercept"], rtol=1e-7)


def test_the_llama_3_points_as_published(data_folder):
    found = sf.isoflop(load(data_folder, "llama3_isoflops", "raw_all"))
    assert f"{found.n_exponent:.4f} {found.d_exponent:.4f}" == "0.4632 0.5368"
    assert f"{found.at(3.8e25).D:.4g}" == "1.61e+13"
    assert found.cost == "column 'budget'"


def test_an_edge_minimum_counts_unless_told_otherwise(data_folder):
    runs = load(data_folder, "chinchilla_epoch", "oa_used")
    kept, left = sf.isoflop(runs), sf.isoflop(runs, keep_edges=False)
    edge = kept.budgets["status"] == "edge_minimum"
    assert kept.budgets["budget"][edge].to_list() == [1e20]
    assert left.budgets["used"].to_list() == (~edge).to_list()
    assert left.n_exponent != kept.n_exponent
    assert "isoflop_edge_minimum" in codes(kept) and "isoflop_dropped" in codes(left)


def codes(found):
    return [note.code for note in found.notes]


@pytest.fixture
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.0)


def test_one_bad_budget_spoils_nothing(runs):
    good = sf.isoflop(runs)
    top = runs["C"] == runs["C"].max()
    bad = {
        "negative_curvature": runs.assign(loss=runs["loss"].where(~top, 6 - runs["loss"])),
        "too_few": runs[~top | (runs.index >= runs.index[-2])],
        "too_few, all of one size": runs.assign(
            N=runs["N"].where(~top, 1e9), D=runs["D"].where(~top, 1e11)
        ),
    }
    for status, table in bad.items():
        found = sf.isoflop(table)
        assert found.budgets["status"].to_list() == ["ok"] * 4 + [status.split(",")[0]]
        assert found.budgets["used"].to_list() == [True] * 4 + [False]
        without = sf.isoflop(runs[~top])
        np.testing.assert_allclose(found.n_exponent, without.n_exponent, rtol=1e-12)
        np.testing.assert_allclose(found.budgets["N"][:4], good.budgets["N"][:4], rtol=1e-12)
        (note,) = (note for note in found.notes if note.code == "isoflop_dropped")
        assert note.severity == "warning" and note.details["budgets"] == [1e21]
    assert "isoflop_negative_curvature" in codes(sf.isoflop(bad["negative_curvature"]))


def test_a_vertex_outside_the_sizes_is_an_edge_minimum(runs):
    small = runs[(runs["C"] < runs["C"].max()) | (runs.index < runs.index[-4])]
    found = sf.isoflop(small)
    assert found.budgets["status"].iloc[-1] == "edge_minimum"
    assert found.budgets["used"].all() and not found.budgets["interior"].iloc[-1]
    assert found.budgets["N"].iloc[-1] > found.budgets["N_max"].iloc[-1]


def test_a_curvature_below_two_standard_errors_is_weak():
    runs = sf.simulate(sf.simulation.isoflop_design(points=7, width=1.3), noise=0.0)
    top = runs["C"] == runs["C"].max()
    wave = 1 + 0.01 * np.array([1, -1, 1, -1.2, 1.1, -1, 1])
    runs.loc[top, "loss"] *= wave
    found = sf.isoflop(runs)
    last = found.budgets.iloc[-1]
    assert 0 < last["curvature"] < 2 * last["curvature_se"]
    assert last["status"] == "weak_curvature" and last["used"]
    assert last["N_low"] == 0 and last["N_high"] == np.inf
    assert "isoflop_weak_curvature" in codes(found)


def test_no_power_law_without_two_budgets(runs):
    with pytest.raises(
        sf.errors.DataError, match=r"0 of 5 budgets.*5 negative_curvature.*by="
    ) as caught:
        sf.isoflop(runs.assign(loss=6 - runs["loss"]))
    assert caught.value.remedy
    with pytest.raises(sf.errors.DataError, match="1 of 1 budgets"):
        sf.isoflop(runs[:7])
    with pytest.raises(sf.errors.DataError, match="0 of 0 budgets"):
        sf.isoflop(runs, rules=[("few_points", 99)])
    with pytest.raises(sf.errors.DataError, match="0 of 0 budgets"):
        sf.isoflop(runs, rules=[("few_points", 99)], method="cubic")
    # No size is better than another.
    with pytest.raises(sf.errors.DataError, match="5 negative_curvature"):
        sf.isoflop(runs.assign(loss=2.0))


def test_two_budgets_have_an_exponent_and_no_interval(runs):
    found = sf.isoflop(runs[:14])
    assert np.isfinite(found.n_exponent) and np.isnan(found.n_law.interval()).all()
    assert "few_budgets" in codes(found)


def test_budgets_are_grouped_by_closeness_not_equality(runs):
    rng = np.random.default_rng(0)
    rough = runs.assign(C=runs["C"] * rng.uniform(0.99, 1.01, len(runs)))
    found = sf.isoflop(rough)
    assert found.budgets["n"].to_list() == [7] * 5
    expected = [np.exp(np.log(part).mean()) for _, part in rough["C"].groupby(runs["C"])]
    np.testing.assert_allclose(found.budgets["budget"], expected)
    np.testing.assert_allclose(found.budgets["N"], sf.isoflop(runs).budgets["N"])
    # Every run its own budget.
    with pytest.raises(sf.errors.DataError, match="35 too_few"):
        sf.isoflop(rough, tolerance=0.0)


def test_budgets_that_gaps_chain_together_are_noted(runs):
    chain = runs.assign(C=runs["C"] * np.tile(1.04 ** np.arange(7), 5))
    found = sf.isoflop(chain)
    assert found.budgets["n"].to_list() == [7] * 5 and "isoflop_wide_budget" in codes(found)
    np.testing.assert_allclose(found.budgets["C_ratio"], 1.04**6)
    assert "isoflop_wide_budget" not in codes(sf.isoflop(runs))


def test_budgets_may_be_named(runs):
    names = runs["C"].map(lambda value: f"sweep {value:.0e}")
    shuffled = runs.assign(sweep=names).sample(frac=1, random_state=1)
    found = sf.isoflop(shuffled, by="sweep", tolerance=99)
    np.testing.assert_allclose(found.n_exponent, sf.isoflop(runs).n_exponent, rtol=1e-12)
    assert found.budgets["budget"].is_monotonic_increasing


def test_flops_are_the_tables_or_those_of_a_cost(runs):
    odd = runs.assign(C=1.2 * runs["C"])
    read, counted = sf.isoflop(odd), sf.isoflop(odd, cost="6ND")
    np.testing.assert_allclose(read.budgets["budget"], 1.2 * counted.budgets["budget"])
    assert "flops_convention" in codes(read) and "flops_convention" not in codes(counted)
    assert read.cost == "column 'C'" and counted.cost == "6ND"
    without = sf.isoflop(runs.drop(columns="C"))
    np.testing.assert_allclose(without.at(1e24).N, counted.at(1e24).N)
    seven = sf.isoflop(runs, cost=product(7.0, source="a test"))
    np.testing.assert_allclose(seven.budgets["D_from_budget"], seven.budgets["D"], rtol=1e-9)


def test_weights_count(runs):
    bent = runs.copy()
    bent.loc[3, "loss"] += 1.0
    weighed = bent.assign(weight=np.where(bent.index == 3, 0.0, 1.0))
    found = sf.isoflop(weighed)
    assert found.budgets["n"].to_list() == [6, 7, 7, 7, 7]
    np.testing.assert_allclose(found.budgets["N"], sf.isoflop(bent.drop(index=3)).budgets["N"])


@pytest.mark.parametrize("method", ["akima", "cubic"])
def test_splines_find_minima_between_the_runs(method):
    runs = sf.simulate(sf.simulation.isoflop_design(points=16), noise=0.0)
    found = sf.isoflop(runs, method=method)
    truth = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62) * (found.budgets["budget"] / 6) ** (
        0.28 / 0.62
    )
    # No form is forced on them, so that they have no bias of form.
    np.testing.assert_allclose(found.budgets["N"], truth, rtol=0.01)
    parabola = sf.isoflop(runs)
    assert abs(found.at(1e24).N - truth_at(1e24)) < abs(parabola.at(1e24).N - truth_at(1e24))
    assert found.budgets["N_low"].isna().all() and (found.budgets["status"] == "ok").all()


def truth_at(flops):
    return (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62) * (flops / 6) ** (0.28 / 0.62)


@pytest.mark.parametrize("method", ["akima", "cubic"])
def test_a_splines_end_is_no_minimum(method, runs):
    small = runs[(runs["C"] < runs["C"].max()) | (runs.index < runs.index[-4])]
    found = sf.isoflop(small, method=method)
    assert found.budgets["status"].iloc[-1] == "edge_minimum"
    assert found.budgets["used"].to_list() == [True] * 4 + [False]
    np.testing.assert_allclose(found.budgets["N"].iloc[-1], found.budgets["N_max"].iloc[-1])


def test_splines_take_the_mean_of_repeated_sizes(runs):
    twice = pd.concat([runs.assign(loss=runs["loss"] + d) for d in (0.01, -0.01)])
    found = sf.isoflop(twice.reset_index(drop=True), method="cubic")
    np.testing.assert_allclose(found.at(1e24).N, sf.isoflop(runs, method="cubic").at(1e24).N)


def test_answers_have_the_shape_of_the_question(runs):
    found = sf.isoflop(runs)
    best = found.at([[1e23, 1e24]])
    assert best.N.shape == best.D.shape == best.tokens_per_param.shape == (1, 2)
    np.testing.assert_allclose(best.N * best.D * 6, [[1e23, 1e24]], rtol=1e-9)


def test_drifting_sweeps_are_noted():
    runs = sf.simulate(sf.simulation.isoflop_design(points=9, drift=3.0), noise=0.0)
    (note,) = (note for note in sf.isoflop(runs).notes if note.code == "isoflop_off_centre")
    # A third of N* over four decades, less what parabolas make of it.
    np.testing.assert_allclose(note.details["drift"], -np.log10(3) / 4, rtol=0.1)


def test_reports_say_it(runs):
    found = sf.isoflop(runs, rules=["duplicates"])
    text = found.summary()
    assert (
        "IsoFLOP sweeps by parabola" in text
        and "N*, parameters" in text
        and "exp(" in text
        and "95 %" in text
    )
    assert "<table" in found._repr_html_()
    frame = found.to_frame()
    frame.loc[0, "N"] = 0.0
    assert found.budgets["N"][0] > 0


def test_a_column_of_budgets_that_is_not_there_is_named(runs):
    with pytest.raises(sf.errors.DataError, match="no column 'nowhere'"):
        sf.isoflop(runs, by="nowhere")


def one_bad_run(place=8, loss=0.3):
    """Four sweeps of six sizes, and one loss that is far off."""
    design = sf.simulation.isoflop_design([1e18, 3e18, 1e19, 3e19], points=6, width=4.0)
    runs = sf.simulate(design, noise=0.0003, seed=3)
    runs.loc[place, "loss"] += loss
    return runs


def exponent_by_hand(runs):
    """Approach 2 in numpy: parabolas in ln N, and a line through their vertices."""
    vertices = []
    for _, sweep in runs.groupby("C"):
        a, b, _ = np.polyfit(np.log(sweep["N"]), sweep["loss"], 2)
        vertices.append(-b / (2 * a))
    return np.polyfit(np.log(np.unique(runs["C"])), vertices, 1)[0]


@pytest.mark.parametrize("place", [6, 8, 9, 11, 13])
def test_a_run_that_bends_its_parabola_is_named_with_the_exponent_without_it(place):
    runs = one_bad_run(place)
    found = sf.isoflop(runs)
    # The number that Approach 2 gives is kept, and what it rests on is said.
    np.testing.assert_allclose(found.n_exponent, exponent_by_hand(runs), rtol=1e-8)
    (note,) = (note for note in found.notes if note.code == "isoflop_bent")
    assert note.severity == "warning" and note.details["rows"] == [str(place)]
    without = exponent_by_hand(runs.drop(index=place))
    np.testing.assert_allclose(note.details["with"], found.n_exponent)
    np.testing.assert_allclose(note.details["without"], without, rtol=1e-6)
    assert f"{found.n_exponent:.4f}" in note.message and f"{without:.4f}" in note.message
    # Published slope of this surface: 0.28 / 0.62.
    assert abs(without - 0.4516) < 0.01 < abs(found.n_exponent - 0.4516)
    left = sf.isoflop(runs, rules=["parabola_outlier"])
    np.testing.assert_allclose(left.n_exponent, without, rtol=1e-6)
    assert left.removed.index.to_list() == [place]
    assert "isoflop_bent" not in codes(left)


@pytest.mark.parametrize("places", [[8], [8, 9], [6, 11, 15]])
def test_residuals_of_a_surface_find_bad_runs_before_budgets_are_judged(places):
    # Two bad runs of one budget of six, at its ends too, leave no parabola to find them by.
    runs = one_bad_run(places[0])
    runs.loc[places[1:], "loss"] += 0.3
    fit = sf.fit(runs)
    found = sf.isoflop(runs, fit=fit)
    (note,) = (note for note in found.notes if note.code == "isoflop_bent")
    assert note.details["rows"] == [str(place) for place in places]
    assert note.details["by"] == "surface_outlier"
    without = exponent_by_hand(runs.drop(index=places))
    np.testing.assert_allclose(note.details["without"], without, rtol=1e-6)
    np.testing.assert_allclose(note.details["with"], found.n_exponent)
    assert abs(without - 0.4516) < 0.01
    left = sf.isoflop(runs, fit=fit, rules=["surface_outlier"])
    np.testing.assert_allclose(left.n_exponent, without, rtol=1e-6)
    assert left.removed.index.to_list() == places and "isoflop_bent" not in codes(left)


def test_a_budget_of_bad_runs_only_is_lost_and_the_others_stay():
    runs = one_bad_run()
    fit = sf.fit(one_bad_run(loss=0.0))
    runs.loc[runs["C"] == 1e19, "loss"] += 0.5
    found = sf.isoflop(runs, fit=fit)
    (note,) = (note for note in found.notes if note.code == "isoflop_bent")
    kept = runs[(runs["C"] != 1e19) & (runs.index != 8)]
    np.testing.assert_allclose(note.details["without"], exponent_by_hand(kept), rtol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_clean_sweeps_have_no_run_off_their_surface(noise):
    for seed in range(5):
        runs = sf.simulate(sf.simulation.isoflop_design(points=9), noise=noise, seed=seed)
        assert "isoflop_bent" not in codes(sf.isoflop(runs, fit=sf.fit(runs)))


@pytest.mark.parametrize("method", ["akima", "cubic"])
def test_a_spline_that_follows_a_bad_run_is_noted_as_well(method):
    found = sf.isoflop(one_bad_run(), method=method)
    (note,) = (note for note in found.notes if note.code == "isoflop_bent")
    np.testing.assert_allclose(note.details["with"], found.n_exponent)
    without = sf.isoflop(one_bad_run().drop(index=8), method=method)
    np.testing.assert_allclose(note.details["without"], without.n_exponent)


def test_a_budget_that_one_run_turned_upside_down_is_found_again():
    runs = one_bad_run(loss=0.9)
    found = sf.isoflop(runs)
    assert found.budgets["status"].to_list()[1] == "negative_curvature"
    (note,) = (note for note in found.notes if note.code == "isoflop_bent")
    np.testing.assert_allclose(
        note.details["without"], exponent_by_hand(runs.drop(index=8)), rtol=1e-6
    )


def test_bias_says_which_run_bends_a_parabola():
    runs = one_bad_run()
    report = sf.bias(sf.fit(runs), sf.isoflop(runs), runs, 1e22, objectives=False, n_draws=0)
    assert "isoflop_bent" in codes(report)
    clean = report.variants.loc["without flagged runs"]
    assert clean["nobs"] == len(runs) - 1 and abs(clean["n_exponent_approach2"] - 0.4516) < 0.01


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("width", [2.0, 16.0])
def test_clean_sweeps_of_any_width_bend_no_parabola(noise, width):
    for points in (5, 6, 9, 15):
        for seed in range(3 if noise else 1):
            design = sf.simulation.isoflop_design(points=points, width=width)
            found = sf.isoflop(sf.simulate(design, noise=noise, seed=seed))
            assert "isoflop_bent" not in codes(found)


def test_checkpoints_are_not_chained_into_a_budget():
    N, step = np.meshgrid(np.geomspace(5e7, 5e8, 6), np.arange(1, 128))
    runs = pd.DataFrame({"N": N.ravel(), "D": 3.48e7 * step.ravel()})
    runs = sf.simulate(runs, noise=0.01, seed=2).drop(columns="C", errors="ignore")
    with pytest.raises(sf.errors.DataError, match=r"too_wide|outside their runs") as caught:
        sf.isoflop(runs)
    assert "scalefit.approach2.envelope(runs)" in caught.value.remedy
    found = sf.approach2.envelope(runs)
    (note,) = (note for note in found.notes if note.code == "envelope_few_sizes")
    assert note.details["sizes"] <= 4


def test_sweeps_with_checkpoints_beside_them_say_so_and_keep_their_budgets(runs):
    N, step = np.meshgrid([3e7, 3e8], np.arange(1, 61))
    curves = sf.simulate(pd.DataFrame({"N": N.ravel(), "D": 1e9 * step.ravel()}), noise=0.0)
    both = pd.concat([runs, curves.assign(C=6 * curves["N"] * curves["D"])], ignore_index=True)
    found = sf.isoflop(both)
    assert "trajectories" in codes(found)
    wide = found.budgets[found.budgets["status"] == "too_wide"]
    assert len(wide) and not wide["used"].any() and (wide["C_ratio"] > 2).all()
    assert "isoflop_too_wide" in codes(found)


def test_a_named_budget_may_be_wide(runs):
    rough = runs.assign(sweep=runs["C"], C=runs["C"] * np.tile(np.geomspace(1, 2.5, 7), 5))
    found = sf.isoflop(rough, by="sweep")
    assert found.budgets["used"].all() and "isoflop_wide_budget" in codes(found)


def test_vertices_that_no_run_can_have_are_refused(runs):
    top = runs["C"] == runs["C"].max()
    x = np.log(runs["N"] / runs["N"][top].min())
    cases = {
        # Far below every size, and below one parameter.
        "far": 3 + 1e-3 * (x + 60) ** 2,
        # Among losses above zero, a least loss below it.
        "negative": 0.1 * (x + 2) ** 2 - 0.3,
    }
    for loss in cases.values():
        table = runs.assign(loss=runs["loss"].where(~top, loss))
        assert (table["loss"] > 0).all()
        found = sf.isoflop(table)
        assert found.budgets["status"].to_list()[-1] == "impossible"
        assert found.budgets["used"].to_list() == [True] * 4 + [False]
        np.testing.assert_allclose(found.n_exponent, sf.isoflop(runs[~top]).n_exponent)
        assert {"isoflop_impossible", "isoflop_dropped"} <= set(codes(found))


def test_a_least_loss_below_zero_is_in_order_where_losses_are(runs):
    found = sf.isoflop(runs.assign(loss=runs["loss"] - 5))
    assert found.budgets["used"].all()
    np.testing.assert_allclose(found.n_exponent, sf.isoflop(runs).n_exponent)


def test_sizes_in_billions_have_vertices_below_one(runs):
    small = runs.assign(N=runs["N"] / 1e9, D=runs["D"] / 1e9).drop(columns="C")
    found = sf.isoflop(small)
    assert found.budgets["used"].all() and (found.budgets["N"] < 1).any()
    np.testing.assert_allclose(found.n_exponent, sf.isoflop(runs).n_exponent, rtol=1e-6)


def test_misspelt_options_are_refused_with_the_closest_one():
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.003, seed=1)
    fit, found = sf.fit(runs), sf.isoflop(runs)
    for call, close in (
        (lambda: sf.isoflop(runs, tolerence=0.1), "tolerance"),
        (lambda: sf.approach2.flag_runs(runs, rule=["few_points"]), "rules"),
        (lambda: sf.approach2.envelope(runs, methods="hull"), "method"),
        (lambda: sf.approach2.design_bias(fit, runs, 1e24, tolerence=0.1), "tolerance"),
        (lambda: sf.bias(fit, found, runs, 1e24, n_draw=10), "n_draws"),
        (lambda: sf.plot.isoflop(found, runs, axs=None), "ax"),
    ):
        with pytest.raises(sf.errors.ArgumentError, match=f"Did you mean '{close}'"):
            call()
