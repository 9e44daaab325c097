"""Rules that flag rows of sweeps."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.approach2.run_quality import ALL_RULES

# The stages of the source, budgets counted again at the end.
SOURCE_RULES = (
    "duplicates",
    "few_points",
    "off_centre",
    "spline_outlier",
    "weak_curvature",
    "few_points",
)

NAMES = {
    "near_duplicate_params": "duplicates",
    "exact_duplicate": "duplicates",
    "too_few_points": "few_points",
    "off_center": "off_centre",
}


def rules(limit):
    return [
        ("spline_outlier", limit) if name == "spline_outlier" else name for name in SOURCE_RULES
    ]


@pytest.mark.parametrize(
    ("table", "loss", "keep", "marks", "limit"),
    [
        ("llama3_isoflops", "loss", (), "", 6.0),
        ("llama3_isoflops", "loss_exp", (), "_exp", 6.0),
        ("chinchilla_scalefit", "loss", "oa_used == 1", "", 6.0),
        ("marin_comma", "loss", "validation_optimal == 0", "", 6.0),
        ("marin_dclm", "loss", "validation_optimal == 0", "", 4.5),
    ],
)
def test_the_rules_flag_the_runs_that_the_source_flags(
    data_folder, table, loss, keep, marks, limit
):
    runs = sf.read(data_folder / f"{table}.csv", C="budget", loss=loss, keep=keep)
    expected = runs.frame[f"oa_reason{marks}"][runs.frame[f"oa_outlier{marks}"] == 1]
    found = sf.approach2.flag_runs(runs, rules=rules(limit))["rule"]
    assert found.to_dict() == expected.replace(NAMES).to_dict()


@pytest.mark.parametrize(
    ("chosen", "runs", "budgets", "exponent", "waste"),
    [((), 133, 10, "0.4632", 6.30), (ALL_RULES, 116, 8, "0.5000", 0.29)],
    ids=["all runs", "unflagged runs"],
)
def test_flagged_runs_of_llama_3_carry_most_of_what_approach_2_wastes(
    data_folder, chosen, runs, budgets, exponent, waste
):
    table = sf.read(data_folder / "llama3_isoflops.csv", C="budget", loss="loss")
    found = sf.isoflop(table, rules=chosen)
    assert len(found.runs) == runs and len(found.budgets) == budgets
    assert f"{found.n_exponent:.4f}" == exponent
    kept = sf.LossTable.from_frame(table.frame.loc[found.runs.index])
    fit = sf.fit(kept, residual="raw", robust="none")
    # Share of the budget that the tokens of Approach 2 waste on this surface, in closed form.
    a, b = fit.params["alpha"], fit.params["beta"]
    x = np.log(found.at(3.8e25).D / sf.allocate(fit, 3.8e25).D)
    r = (b * np.exp(a * x) + a * np.exp(-b * x)) / (a + b)
    np.testing.assert_allclose(100 * (1 - r ** (-(a + b) / (a * b))), waste, atol=0.00501)


@pytest.fixture
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.002, seed=5)


def test_nothing_is_removed_unless_asked(runs):
    runs.loc[12, "loss"] += 1.0
    assert len(sf.isoflop(runs).removed) == 0 and len(sf.isoflop(runs).runs) == 45
    found = sf.isoflop(runs, rules=["spline_outlier"])
    flagged = sf.approach2.flag_runs(runs, rules=["spline_outlier"])
    pd.testing.assert_frame_equal(found.removed, flagged)
    assert 12 in flagged.index and set(found.runs.index) == set(runs.index) - set(flagged.index)
    assert flagged.loc[12, "budget"] == 1e18 and "score" in flagged.loc[12, "reason"]


def test_clean_sweeps_have_no_flags(runs):
    assert sf.approach2.flag_runs(
        sf.simulate(sf.simulation.isoflop_design(), noise=0.0), rules=rules(50.0)
    ).empty
    assert list(sf.approach2.flag_runs(runs, rules=["duplicates"])) == [
        "budget",
        "N",
        "D",
        "loss",
        "rule",
        "reason",
    ]


def test_of_duplicates_the_run_on_budget_stays_then_the_one_of_least_loss(runs):
    off = runs.iloc[[4]].assign(D=runs["D"][4] * 1.02, loss=runs["loss"][4] - 0.1)
    worse = runs.iloc[[30]].assign(N=runs["N"][30] * 1.005, D=runs["D"][30] / 1.005)
    worse["loss"] += 0.1
    far = runs.iloc[[40]].assign(N=runs["N"][40] * 1.02, D=runs["D"][40] / 1.02)
    table = pd.concat([runs, off, worse, far], ignore_index=True)
    found = sf.approach2.flag_runs(table, rules=["duplicates"])
    assert found.index.to_list() == [45, 46]
    assert "run 4 " in found["reason"][45] and "run 30 " in found["reason"][46]


def test_the_same_size_at_another_budget_is_no_duplicate():
    design = pd.DataFrame({"N": [1e8, 1e8, 2e8, 2e8], "D": [1e9, 1e10, 1e9, 1e10]})
    assert sf.approach2.flag_runs(sf.simulate(design), rules=["duplicates"]).empty


def test_a_long_arm_is_off_centre_and_a_single_arm_altogether(runs):
    lopsided = runs[(runs.index < 36) | (runs.index > 38)]
    found = sf.approach2.flag_runs(lopsided, rules=["off_centre"])
    last = lopsided[lopsided["C"] == 1e21]
    x = np.log(last["N"])
    a, b, _ = np.polyfit(x, last["loss"], 2)
    away = x + b / (2 * a)
    expected = away.index[away.abs() > 2.5 * -away.min()].to_list()
    assert expected and found.index.to_list() == expected
    assert "shorter arm" in found["reason"][44]
    exact = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.0)
    one = exact[(exact.index < 36) | (exact.index > 41)]
    found = sf.approach2.flag_runs(one, rules=["off_centre"])
    assert found.index.to_list() == [42, 43, 44] and "one side" in found["reason"][42]


def test_weak_and_negative_curvature_take_whole_budgets(runs):
    bent = runs.copy()
    bent.loc[:8, "loss"] = 8 - bent.loc[:8, "loss"]
    bent.loc[9:17, "loss"] = 3 + 0.1 * np.cos(np.arange(9) * 2.0)
    found = sf.approach2.flag_runs(bent, rules=["weak_curvature"])
    assert found.index.to_list() == list(range(18))


def test_budgets_thinned_by_other_rules_are_counted_again(runs):
    found = sf.approach2.flag_runs(runs, rules=[("off_centre", 0.5), "few_points"])
    assert set(found["rule"]) == {"off_centre", "few_points"} and len(found) == 45


def test_rules_take_thresholds_in_turn(runs):
    assert len(sf.approach2.flag_runs(runs, rules=[("few_points", 10)])) == 45
    assert sf.approach2.flag_runs(runs, rules="few_points").empty


@pytest.mark.parametrize("place", [6, 8, 9, 11])
def test_of_a_budget_with_one_bad_run_only_that_run_is_flagged(place):
    design = sf.simulation.isoflop_design([1e18, 3e18, 1e19, 3e19], points=6, width=4.0)
    runs = sf.simulate(design, noise=0.0003, seed=1)
    assert sf.approach2.flag_runs(runs).empty
    runs.loc[place, "loss"] += 0.3
    found = sf.approach2.flag_runs(runs)
    assert found["rule"].to_dict() == {place: "parabola_outlier"}
    # How far it lies above the parabola through the others, by hand.
    others = runs[(runs["C"] == 3e18) & (runs.index != place)]
    line = np.polyfit(np.log(others["N"]), others["loss"], 2)
    miss = runs["loss"][place] - np.polyval(line, np.log(runs["N"][place]))
    assert f"{miss:+.3g} from the parabola" in found["reason"][place]


def test_bad_runs_of_several_budgets_are_found_and_of_one_budget_one_by_one():
    runs = sf.simulate(sf.simulation.isoflop_design(points=9, width=4.0), noise=0.001, seed=2)
    several = runs.copy()
    several.loc[[4, 23], "loss"] += [0.3, -0.2]
    assert sf.approach2.flag_runs(several, rules=["parabola_outlier"]).index.to_list() == [4, 23]
    one = runs.copy()
    one.loc[[12, 14], "loss"] += [0.5, 0.05]
    found = sf.approach2.flag_runs(one, rules=["parabola_outlier"])
    assert found.index.to_list() == [12, 14]


def test_a_run_without_weight_bends_nothing(runs):
    runs.loc[12, "loss"] += 1.0
    weight = np.where(runs.index == 12, 0.0, 1.0)
    assert sf.approach2.flag_runs(runs.assign(weight=weight), rules=["parabola_outlier"]).empty


def test_parabolas_that_are_exact_have_no_outlier_but_a_real_one():
    runs = sf.simulation.isoflop_design(points=7)
    x = np.log(runs["N"] / runs.groupby("C")["N"].transform("median"))
    runs["loss"] = 2 + 0.1 * x**2
    assert sf.approach2.flag_runs(runs, rules=["parabola_outlier"]).empty
    runs.loc[9, "loss"] += 1e-6
    assert sf.approach2.flag_runs(runs, rules=["parabola_outlier"]).index.to_list() == [9]


def test_a_surface_takes_the_place_of_parabolas():
    design = sf.simulation.isoflop_design([1e18, 3e18, 1e19, 3e19], points=6, width=4.0)
    runs = sf.simulate(design, noise=0.0003, seed=1)
    runs.loc[[6, 7], "loss"] += 0.3
    found = sf.approach2.flag_runs(runs, fit=sf.fit(runs))
    flagged = found[found["rule"] == "surface_outlier"]
    assert flagged.index.to_list() == [6, 7]
    # The residual is that of the surface: ln(loss) less its logarithm.
    surface = sf.fit(runs)
    miss = np.log(runs["loss"] / surface.predict(runs))[6]
    assert f"{miss:+.3g} from the fitted surface" in found["reason"][6]
    with pytest.raises(sf.errors.ArgumentError, match=r"fit=scalefit\.fit\(runs\)"):
        sf.approach2.flag_runs(runs, rules=["surface_outlier"])
    with pytest.raises(sf.errors.ArgumentError, match="fit"):
        sf.approach2.flag_runs(runs, fit="chinchilla")
