"""Each soft problem: a table that has it gets the note, a clean one does not."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.approach2.isoflop_notes import STATUS_MESSAGES


def codes(fit):
    return {note.code: note for note in fit.notes}


@pytest.fixture(scope="module")
def clean():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.003)


def test_a_clean_sweep_has_no_notes(clean):
    assert sf.fit(clean).notes == ()


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({"residual": "raw"}, 1e-6),
        ({"delta": 1.0}, 1.0),
        ({"robust": "asymmetric", "delta": 1.0}, 1),
    ],
)
def test_a_delta_that_no_residual_reaches_is_told_of(clean, options, scale):
    runs = clean.assign(loss=clean["loss"] * scale)
    fit = sf.fit(runs, **options)
    note = codes(fit)["delta_unused"]
    assert note.details["largest"] == pytest.approx(np.abs(fit.residuals(runs)).max())
    assert f"{note.details['largest']:.2g}" in note.message
    # Without asymmetry it is half the sum of squares, as is said.
    if "robust" not in options:
        squares = sf.fit(runs, **{**options, "robust": "none"})
        assert fit.objective_value == pytest.approx(squares.objective_value / 2, rel=1e-12)
    proposed = float(re.search(r"delta=(\S+)$", note.message)[1])
    again = sf.fit(runs, **{**options, "delta": proposed})
    assert not {"delta_unused", "delta_tiny"} & set(codes(again))


def test_a_delta_that_all_residuals_exceed_is_told_of(clean):
    fit = sf.fit(clean, delta=1e-8)
    note = codes(fit)["delta_tiny"]
    assert fit.objective_value == pytest.approx(
        1e-8 * sf.fit(clean, robust="l1").objective_value, rel=1e-4
    )
    proposed = float(re.search(r"delta=(\S+)$", note.message)[1])
    assert not {"delta_unused", "delta_tiny"} & set(codes(sf.fit(clean, delta=proposed)))


def test_at_bound_names_the_parameter_and_the_remedy(clean):
    fit = sf.fit(clean, bounds={"alpha": (0.5, 1.0)})
    note = codes(fit)["at_bound"]
    assert fit.params["alpha"] == 0.5
    assert note.details["parameter"] == "alpha"
    assert "bounds={'alpha': (0.005, 1)}" in note.message
    assert sf.fit(clean, bounds={"alpha": (0.005, 1)}).params["alpha"] == pytest.approx(
        0.34, rel=0.05
    )
    assert fit.diagnostics.at_bound == ("alpha",)


def test_responses_that_fall_or_stand_still_do_not_rise():
    x = np.geomspace(1e3, 1e9, 12)
    still = sf.fit(pd.DataFrame({"x": x, "loss": 2.0}), "power_offset")
    assert still.diagnostics.at_bound and "response_rises" not in codes(still)
    falling = pd.DataFrame({"x": x, "loss": 3 - 0.1 * np.log(x / 1e3)})
    assert "response_rises" not in codes(sf.fit(falling, "power_offset"))


def test_an_irreducible_loss_of_zero_is_at_its_bound():
    truth = {"E": 0.0, "A": 20.0, "B": 30.0, "alpha": 0.1, "beta": 0.12}
    runs = sf.simulate(sf.simulation.isoflop_design(), params=truth, noise=0.01, seed=4)
    fit = sf.fit(runs.assign(loss=runs["loss"] - 0.6))
    assert fit.params["E"] == 0.0
    assert "at_bound" in codes(fit)


def test_both_of_a_tied_pair_are_at_bound(clean):
    fit = sf.fit(clean, tied=[("alpha", "beta")], bounds={"alpha": (0.5, 1.0)})
    assert fit.diagnostics.at_bound == ("alpha", "beta")


@pytest.mark.parametrize("spread", [0.02, 0.05])
def test_a_design_near_one_ratio_is_weakly_identified(spread):
    rng = np.random.default_rng(0)
    N = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 60))
    D = 20 * N * np.exp(spread * rng.uniform(-1, 1, 60))
    fit = sf.fit(sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=0.0))
    note = codes(fit)["weakly_identified"]
    assert note.details["condition"] > 5e4
    assert note.severity == "warning"
    assert "Vary D/N more" in note.message


def test_a_law_without_n_and_d_is_not_told_to_vary_their_ratio():
    C = np.geomspace(1e19, 2e20, 12)
    params = {"R0": 0.2, "A": 0.9, "B": 1.7, "C_mid": 1e22}
    runs = sf.simulate(pd.DataFrame({"C": C}), "reward_of_compute", params, noise=0.0)
    fit = sf.fit(runs, "reward_of_compute", residual="raw", robust="none")
    assert "Add runs, or fix or tie" in codes(fit)["weakly_identified"].message


def test_few_rows_are_said():
    runs = sf.simulate(sf.simulation.isoflop_design([1e18, 1e20], points=4), noise=0.001)
    note = codes(sf.fit(runs))["few_rows"]
    assert note.details == {"rows": 8, "free": 5}


def test_outliers_that_dominate_are_listed(clean):
    wrong = clean.copy()
    wrong.loc[[7, 40], "loss"] *= 1.5
    squared = codes(sf.fit(wrong, robust="none"))["outliers_dominate"]
    assert set(squared.details["rows"]) == {"7", "40"}
    assert squared.severity == "warning"
    assert codes(sf.fit(wrong))["outliers_dominate"].severity == "info"


def test_a_pair_does_not_hide_itself_in_a_small_table():
    """Two of 29 optima of the learning rate, far off one another's way."""
    N, D = np.meshgrid(np.geomspace(5e7, 1e9, 6), np.geomspace(6e9, 3e11, 5))
    grid = pd.DataFrame({"N": N.ravel(), "D": D.ravel()})[:29]
    rng = np.random.default_rng(0)
    grid["lr"] = 0.05 * grid["N"] ** -0.4 * grid["D"] ** 0.1 * np.exp(0.05 * rng.normal(size=29))
    for robust, severity in (("huber", "info"), ("none", "warning")):
        assert "outliers_dominate" not in codes(sf.fit(grid, "optimal_learning_rate"))
        wrong = grid.copy()
        wrong.loc[[3, 20], "lr"] *= [4.0, 5.0]
        note = codes(sf.fit(wrong, "optimal_learning_rate", robust=robust))["outliers_dominate"]
        assert note.severity == severity and set(note.details["rows"]) == {"3", "20"}
        # Four of 29 are a part of the runs.
        wrong.loc[[9, 14], "lr"] *= [0.2, 6.0]
        fit = sf.fit(wrong, "optimal_learning_rate", robust=robust)
        assert "outliers_dominate" not in codes(fit)


def test_normal_noise_has_no_outliers():
    for points, robust in ((3, "none"), (6, "huber")):
        design = sf.simulation.isoflop_design([1e18, 1e19, 1e20, 1e21], points=points)
        for seed in range(12):
            fit = sf.fit(sf.simulate(design, noise=0.003, seed=seed), robust=robust)
            assert "outliers_dominate" not in codes(fit)


def test_a_lower_envelope_says_what_it_is_and_moves(clean):
    note = codes(sf.fit(clean, robust="asymmetric", asymmetry=4))["lower_envelope"]
    assert note.severity == "warning"
    assert note.details == {"asymmetry": 4.0}
    assert "count 4 times" in note.message and "D/N" in note.message
    for robust in ("huber", "l1", "none"):
        assert "lower_envelope" not in codes(sf.fit(clean, robust=robust))


def test_budgets_that_are_not_6nd_are_said(clean):
    note = codes(sf.fit(clean.assign(C=clean["C"] * 1.3)))["flops_convention"]
    assert note.details["low"] == pytest.approx(1.3)
    assert "flops_convention" not in codes(sf.fit(clean.assign(C=clean["C"] * 1.04)))


def test_a_compute_column_that_is_no_number_is_not_compared(clean):
    assert sf.fit(clean.assign(C="of the order of 1e21")).notes == ()


def test_one_n_is_no_problem_where_nothing_free_depends_on_it(clean):
    one = clean.assign(N=1e8)
    truth = {"A": 406.4, "alpha": 0.34}
    loss = 1.69 + 406.4 * 1e8**-0.34 + 410.7 * one["D"] ** -0.28
    fit = sf.fit(one.assign(loss=loss), fixed=truth)
    assert fit.params["beta"] == pytest.approx(0.28, rel=1e-9)


def test_a_ratio_is_no_problem_where_nothing_free_depends_on_it(clean):
    fixed = {"A": 406.4, "alpha": 0.34}
    one = clean.assign(D=20 * clean["N"])
    runs = sf.simulate(one[["N", "D"]], noise=0.0)
    assert sf.fit(runs, fixed=fixed).params["beta"] == pytest.approx(0.28, rel=1e-9)


def test_notes_of_the_table_reach_the_fit(clean):
    twice = pd.concat([clean, clean.iloc[:2]], ignore_index=True)
    twice = twice.rename(columns={"C": "flops"}).assign(budget=1e20)
    found = codes(sf.fit(twice))
    assert found["duplicate_rows"].details["rows"] == ["75", "76"]
    assert found["ambiguous_column"].details["columns"] == ["flops", "budget"]


def test_two_minima_are_reported_with_their_gap():
    """A law whose phase is periodic has as many minima as periods in its bounds."""
    from typing import Annotated

    import jax.numpy as jnp

    @sf.law(source="a test")
    def wave(
        N,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        k: Annotated[sf.laws.Exponent, sf.laws.Bounds(1.0, 8.0)],
    ):
        """E + A (1 + cos(k ln N))"""
        return E + A * (1 + jnp.cos(k * jnp.log(N)))

    N = np.exp(np.linspace(0.0, 2 * np.pi, 40))
    rng = np.random.default_rng(1)
    loss = 2 + 0.5 * (1 + np.cos(3.0 * np.log(N))) + 0.05 * rng.standard_normal(40)
    fit = sf.fit(pd.DataFrame({"N": N, "loss": loss}), wave, residual="raw", robust="none")
    assert fit.params["k"] == pytest.approx(3.0, abs=0.05)
    assert fit.diagnostics.basins > 1
    note = codes(fit)["starts_disagree"]
    assert note.details["minima"] == len(fit.diagnostics.minima) > 1
    assert fit.diagnostics.gap > 0
    values = [item.value for item in fit.diagnostics.minima]
    assert values == sorted(values)


def test_points_that_all_pass_through_every_row_are_not_told_apart(clean):
    """The second was called infinitely worse, and a term of no use was said to want less."""
    fit = sf.fit(clean.assign(loss=2.0))
    notes = codes(fit)
    assert fit.status is sf.Status.EXACT
    assert "passes through every row to rounding as well" in notes["starts_disagree"].message
    assert notes["starts_disagree"].severity == "warning"
    assert "every row is met with it there" in notes["at_bound"].message


def test_starts_that_reached_nothing_agree_on_nothing():
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.004, seed=2)
    fit = sf.fit(runs, bounds={"E": (100, 200)})
    note = codes(fit)["starts_stalled"]
    assert fit.status is sf.Status.STALLED
    assert note.message == (
        "48 of 48 starts did not reach a minimum; the point is the lowest that they came to"
    )
    assert note.details["stalled"] == note.details["starts"]


def test_few_starts_settle_a_clean_table_and_more_look_around_a_bound(clean):
    # The best cell of the objective itself, and the neighbours of where it led.
    assert sf.fit(clean).diagnostics.starts == 5
    assert sf.fit(clean, robust="none", residual="raw").diagnostics.starts == 4
    held = sf.fit(clean, bounds={"alpha": (0.5, 1.0)}).diagnostics
    assert 5 < held.starts <= 64
    assert held.agreeing + sum(item.starts for item in held.minima[1:]) <= held.starts


def test_a_term_that_vanished_leaves_one_minimum_whatever_its_exponent():
    runs = sf.simulation.isoflop_design()
    runs["loss"] = 2 + 400 * runs["D"] ** -0.3 + 0.02 * np.log(runs["N"])
    fit = sf.fit(runs, residual="raw", robust="none", bounds={"beta": (0.1, 1.0)})
    assert fit.params["A"] == 0.0
    assert "at_bound" in codes(fit)
    assert len(fit.diagnostics.minima) == 1


def test_a_law_that_passes_through_every_row_is_exact():
    fit = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.0))
    assert fit.status is sf.Status.EXACT
    assert fit.diagnostics.agreeing == fit.diagnostics.starts


def test_a_law_without_linear_parameters_is_told_how_to_be_fast():
    from typing import Annotated

    import jax

    @sf.law(source="power law without offset, its scale inside the power")
    def scaled(N, *, Nc: Annotated[jax.Array, sf.laws.scale_of("N")], alpha: sf.laws.Exponent):
        """(Nc / N)^alpha"""
        return (Nc / N) ** alpha

    runs = pd.DataFrame({"N": np.geomspace(1e6, 1e10, 12)})
    runs["loss"] = (8.8e9 / runs["N"]) ** 0.3
    fit = sf.fit(runs, scaled)
    assert fit.params["Nc"] == pytest.approx(8.8e9, rel=1e-9)
    assert fit.params["alpha"] == pytest.approx(0.3, rel=1e-9)
    assert "write E and A" in codes(fit)["not_separable"].message
    # What is in the catalogue is not the user's to rewrite.
    attempts = sf.simulate(
        pd.DataFrame({"samples": [1.0, 3.0, 10.0, 30.0]}), "coverage_power", {"a": 2.0, "b": 0.4}
    )
    fit = sf.fit(attempts, "coverage_power", residual="raw", robust="none")
    assert "write" not in codes(fit)["not_separable"].message


def test_every_note_prints_as_code_and_sentence(clean):
    fit = sf.fit(clean, bounds={"alpha": (0.5, 1.0)})
    text = fit.summary()
    for note in fit.notes:
        assert str(note) == f"{note.code}: {note.message}"
        assert note.code in text


def test_every_code_is_in_the_table_of_notes_and_every_row_is_a_code():
    noted, texts = {f"isoflop_{status}" for status in STATUS_MESSAGES}, set()
    for path in Path(sf.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant):
                texts.add(node.value)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Note":
                noted |= {item.value for item in node.args[:1] if isinstance(item, ast.Constant)}
    page = (Path(__file__).parents[1] / "docs/report.md").read_text()
    table = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert len(table) == len(set(table)) > 40
    assert noted <= set(table)
    assert set(table) <= noted | texts


def ladder(spread=0.012, noise=0.003, count=12, seed=0):
    """Runs at 20 tokens per parameter, rounded as batches and steps round them."""
    rng = np.random.default_rng(seed)
    N = np.geomspace(1e8, 1e10, count)
    D = 20 * N * (1 + spread * rng.uniform(-1, 1, count))
    return sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=noise, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_runs_at_one_ratio_have_no_best_one(seed):
    runs = ladder(seed=seed)
    fit = sf.fit(runs)
    note = codes(fit)["one_ratio"]
    assert note.severity == "warning" and "D/N hardly changes" in note.message
    np.testing.assert_allclose(note.details["power"], 1.0, atol=0.01)
    for ask in (sf.allocate, sf.near_optimal):
        with pytest.raises(
            sf.errors.AllocationError, match=r"determine no optimum.*D/N hardly changes"
        ):
            ask(fit, 1e24)
    with pytest.raises(sf.errors.AllocationError, match="determine no optimum"):
        sf.deadweight(fit, 1e9, 1e11)
    # Read back from a file it is refused as well.
    with pytest.raises(sf.errors.AllocationError, match="determine no optimum"):
        sf.allocate(sf.Fit.from_json(fit.to_json()), 1e24)


def test_how_far_a_ladder_moves_n_and_d_apart_is_what_the_surface_says():
    runs = ladder(noise=0.003, count=60)
    N, D = runs["N"].to_numpy(), runs["D"].to_numpy()
    truth = sf.simulation.SURFACES["chinchilla"]

    def loss(N, D):
        powers = truth["A"] * N ** -truth["alpha"] + truth["B"] * D ** -truth["beta"]
        return truth["E"] + powers

    # Off D = 20 N at the same compute, once as if the loss were all of N, once as if all of D.
    off = np.log(D / N)
    off -= np.polyval(np.polyfit(np.log(N), off, 1), np.log(N))
    size = np.log(N * D)
    along = np.gradient(np.log(loss(N, D)), size)
    most = np.abs(along * off)
    expected = np.sqrt(np.sum(most**2)) / 0.003
    found = codes(sf.fit(runs))["one_ratio"].details["apart"]
    np.testing.assert_allclose(found, expected, rtol=0.25)


def test_what_runs_at_one_ratio_do_determine():
    runs = ladder()
    C = 6 * runs["N"] * runs["D"]
    along = sf.fit(runs.assign(C=C), "power_offset", x="C")
    larger = sf.simulate(pd.DataFrame({"N": [3e10], "D": [6e11]}), noise=0.0)
    predicted = along.predict(x=6 * 3e10 * 6e11)
    np.testing.assert_allclose(predicted, larger["loss"][0], rtol=0.01)
    of_size = sf.fit(runs, "chinchilla_n")
    np.testing.assert_allclose(of_size.predict(N=3e10), larger["loss"][0], rtol=0.01)
    assert "one_ratio" not in codes(of_size)


def test_exponents_that_are_known_tell_the_terms_apart():
    fit = sf.fit(ladder(), fixed={"alpha": 0.34, "beta": 0.28})
    assert "one_ratio" not in codes(fit)
    assert sf.allocate(fit, 1e22).N > 0


def test_one_number_of_tokens_and_any_other_path_tell_nothing_apart():
    N = np.geomspace(1e7, 1e10, 40)
    for D, said in ((1e11 + 0 * N, "D hardly changes"), (1e3 * N**0.8, r"as N^0.8")):
        # Rounded, so that they are no exact power.
        D = D * (1 + 0.011 * np.cos(np.arange(40) * 2.0))
        runs = sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=0.003)
        assert said in codes(sf.fit(runs))["one_ratio"].message


@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_sweeps_and_ladders_at_several_ratios_move_n_and_d_apart(noise):
    for runs in (
        sf.simulate(sf.simulation.isoflop_design(width=2.0), noise=noise),
        ladder(spread=0.8, noise=noise / 3, count=30),
    ):
        assert "one_ratio" not in codes(sf.fit(runs))


def test_noise_alone_makes_no_design_one_of_a_single_ratio():
    """Runs all over the plane, of which noise leaves nothing to see."""
    rng = np.random.default_rng(3)
    N, D = np.exp(rng.uniform(17, 23, 14)), np.exp(rng.uniform(20, 27, 14))
    runs = sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=0.5, seed=1)
    assert "one_ratio" not in codes(sf.fit(runs))


def test_one_bad_run_is_not_the_noise_that_hides_a_ratio(clean):
    wrong = clean.assign(loss=clean["loss"].where(clean.index != 7, 3 * clean["loss"]))
    assert "one_ratio" not in codes(sf.fit(wrong))


def test_the_condition_is_of_parameters_at_bounds_too():
    truth = {"E": 0.0, "A": 20.0, "B": 30.0, "alpha": 0.1, "beta": 0.12}
    runs = sf.simulate(sf.simulation.isoflop_design(), params=truth, noise=0.01, seed=4)
    runs["loss"] -= 0.3
    held = sf.fit(runs, robust="none")
    opened = sf.fit(runs, robust="none", bounds={"E": (-50.0, 50.0)})
    given = sf.fit(runs, robust="none", fixed={"E": 0.0})
    assert held.diagnostics.at_bound == ("E",) and opened.params["E"] < 0
    assert held.params == pytest.approx(given.params, rel=1e-6)
    # A bound a little nearer makes nothing better determined; a known E does.
    np.testing.assert_allclose(held.diagnostics.condition, opened.diagnostics.condition, rtol=0.15)
    assert held.diagnostics.condition > 10 * given.diagnostics.condition


def curves(sizes=10, count=60, correlation=0.8, noise=0.01, seed=0):
    """Checkpoints of one run of each size, whose noise follows the run."""
    rng = np.random.default_rng(seed)
    N, step = np.meshgrid(np.geomspace(2e7, 2e9, sizes), np.arange(1, count + 1), indexing="ij")
    design = pd.DataFrame({"run": np.repeat(np.arange(sizes), count), "N": N.ravel()})
    design["D"] = 2e8 * step.ravel()
    shocks = rng.standard_normal((sizes, count))
    path = np.empty_like(shocks)
    path[:, 0] = shocks[:, 0]
    for i in range(1, count):
        path[:, i] = correlation * path[:, i - 1] + (1 - correlation**2) ** 0.5 * shocks[:, i]
    runs = sf.simulate(design, noise=0.0)
    return runs.assign(loss=runs["loss"] * np.exp(noise * path.ravel()))


@pytest.mark.parametrize("named", [True, False])
def test_checkpoints_as_rows_are_trajectories(named):
    runs = curves(correlation=0.5) if named else curves(correlation=0.5).drop(columns="run")
    fit = sf.fit(runs)
    note = codes(fit)["trajectories"]
    assert note.severity == "warning"
    by = "run" if named else "N"
    assert (note.details["rows"], note.details["runs"], note.details["by"]) == (600, 10, by)
    np.testing.assert_allclose(note.details["autocorrelation"], 0.5, atol=0.08)
    # sqrt(1.5 / 0.5)
    np.testing.assert_allclose(note.details["narrowing"], 1.73, atol=0.2)
    rows, clusters = sf.covariance(fit, runs), sf.covariance(fit, runs, by=by)
    assert "trajectories" in [item.code for item in rows.notes]
    assert "trajectories" not in [item.code for item in clusters.notes]
    assert "trajectories" in [item.code for item in rows.draws(20).notes]
    assert "trajectories" in [item.code for item in sf.profile(fit, runs, "alpha").notes]
    options = {"n_draws": 4, "progress": False, "global_search": 0.0}
    for method, label, said in (("rows", None, True), ("clusters", by, False)):
        draws = sf.bootstrap(fit, runs, method=method, by=label, **options)
        assert ("trajectories" in [item.code for item in draws.notes]) is said


@pytest.mark.parametrize("spacing", ["even", "log", "random"])
def test_checkpoints_are_found_however_they_are_spaced(spacing):
    """Without a column of runs, by the noise that neighbours share; a dense grid shares none."""
    rng = np.random.default_rng(1)
    D = {
        "even": np.linspace(4e7, 4e9, 60),
        "log": np.geomspace(4e7, 4e9, 60),
        "random": np.sort(rng.uniform(4e7, 4e9, 60)),
    }[spacing]
    runs = curves(sizes=6).drop(columns="run")
    grid = sf.simulate(runs.assign(D=np.tile(D, 6)), noise=0.0)
    shared = runs["loss"] / sf.simulate(runs, noise=0.0)["loss"]
    note = codes(sf.fit(grid.assign(loss=grid["loss"] * shared)))["trajectories"]
    assert (note.severity, note.details["runs"], note.details["by"]) == ("warning", 6, "N")
    np.testing.assert_allclose(note.details["autocorrelation"], 0.8, atol=0.1)
    alone = codes(sf.fit(sf.simulate(grid, noise=0.01, seed=3)))
    assert ("trajectories" in alone) is (spacing == "even")


def test_curves_of_one_size_are_told_apart_by_what_differs():
    """Two corpora, without a column of runs: neighbours along D are those of one corpus."""
    halves = [curves(sizes=6, seed=seed).drop(columns="run") for seed in (0, 1)]
    both = pd.concat(
        [half.assign(corpus=name) for half, name in zip(halves, ("web", "code"), strict=True)],
        ignore_index=True,
    )
    both["loss"] *= both["corpus"].map({"web": 1.02, "code": 0.98})
    for groups in (None, {"E": "corpus"}):
        fit = sf.fit(both.sort_values(["D", "N"], ignore_index=True), groups=groups)
        note = codes(fit)["trajectories"]
        assert note.details["by"] == ["N", "corpus"] and note.details["runs"] == 12
        assert note.severity == "warning" and note.details["clusters"] == 12
        assert "covariance(fit, runs, by=['N', 'corpus'])" in note.message
    named = both.sort_values(["D", "N"], ignore_index=True)
    assert sf.covariance(fit, named, by=["N", "corpus"]).df == 11


def test_a_law_of_tokens_alone_meets_trajectories_too():
    runs = curves(sizes=3)
    for law, column in (("power_offset", {"x": "D"}), ("power_offset", {"x": "N"})):
        note = codes(sf.fit(runs, law, **column))["trajectories"]
        assert note.details["runs"] == 3


@pytest.mark.slow
def test_errors_by_rows_are_as_much_too_narrow_as_the_note_says():
    """The scatter of parameters over tables, against the errors that each table gives."""
    names = ["E", "alpha", "beta"]
    found, by_rows, by_runs, said = [], [], [], []
    for seed in range(24):
        runs = curves(seed=seed)
        fit = sf.fit(runs)
        found.append([fit.params[name] for name in names])
        by_rows.append(sf.covariance(fit, runs, by="index").standard_errors[names])
        by_runs.append(sf.covariance(fit, runs, by="run").standard_errors[names])
        said.append(codes(fit)["trajectories"].details["narrowing"])
    scatter = np.std(found, axis=0, ddof=1)
    narrow = scatter / np.mean(by_rows, axis=0)
    assert (narrow > 1.2).all() and (narrow < 1.2 * np.mean(said)).all()
    # What varies from run to run loses most.
    np.testing.assert_allclose(narrow[names.index("alpha")], np.mean(said), rtol=0.3)
    np.testing.assert_allclose(scatter / np.mean(by_runs, axis=0), 1.0, atol=0.4)


def test_each_way_out_that_a_trajectory_note_prints_can_be_gone():
    runs = curves()
    # Runs that end at different D, so that their last rows are a design.
    runs = runs[runs["D"] <= 2e8 * (30 + 3 * runs["run"])]
    fit = sf.fit(runs)
    message = codes(fit)["trajectories"].message
    assert "covariance(fit, runs, by='run')" in message
    assert sf.covariance(fit, runs, by="run").standard_errors["beta"] > 0
    call = "runs.loc[runs.groupby('run')['D'].idxmax()]"
    assert call in message
    last = sf.fit(runs.loc[runs.groupby("run")["D"].idxmax()])
    assert last.nobs == 10 and "trajectories" not in codes(last)
    rule = message.split("keep='")[1].split("'")[0]
    assert 0 < len(sf.fit(runs, keep=rule).dropped) < len(runs) / 2
    # Runs that all end at one D are no design, and their last rows are not offered.
    assert "groupby" not in codes(sf.fit(curves()))["trajectories"].message


def test_runs_of_odd_names_are_trajectories_where_they_have_one():
    runs = curves()
    names = np.empty(len(runs), dtype=object)
    for place, run in enumerate(runs["run"]):
        # Rows of no name, and of names that are none, belong to no curve.
        names[place] = [f"run {run}", None, [run], f"run {run}"][
            0 if place % 60 else place // 60 % 4
        ]
    note = codes(sf.fit(runs.assign(run=names)))["trajectories"]
    assert note.details["by"] == "run" and note.details["runs"] == 10


def test_checkpoints_without_common_noise_are_only_told_of():
    note = codes(sf.fit(curves(correlation=0.0)))["trajectories"]
    assert note.severity == "info" and "do not correlate" in note.message


def test_grids_and_sweeps_are_no_trajectories(clean):
    N, D = np.meshgrid(np.geomspace(1e8, 1e10, 8), np.geomspace(1e9, 1e12, 20))
    grid = sf.simulate(pd.DataFrame({"N": N.ravel(), "D": D.ravel()}), noise=0.003)
    named = grid.assign(run=[f"run {i}" for i in range(len(grid))])
    for runs in (grid, named, clean):
        assert "trajectories" not in codes(sf.fit(runs))


def test_of_the_real_tables_those_of_curves_are_trajectories(data_folder):
    from scalefit.data.trajectories import find_trajectories

    found = {}
    for name in ("chinchilla_epoch", "datablations", "farseer", "gadre", "marin_comma"):
        found[name] = find_trajectories(sf.read(data_folder / f"{name}.csv", missing="drop"))
    for name in ("mpt_overtrained", "quest", "routed_lm", "steplaw_dense"):
        found[name] = find_trajectories(sf.read(data_folder / f"{name}.csv", missing="drop"))
    assert not any(found.values())
    routed = find_trajectories(sf.read(data_folder / "routed_lm_curves.csv", missing="drop"))
    assert (routed.by, routed.curves, routed.rows) == ("run", 223, 5568)
    vocabularies = find_trajectories(sf.read(data_folder / "vocab_scaling.csv"))
    assert vocabularies.by == ["params", "vocab_size"] and vocabularies.curves == 60
