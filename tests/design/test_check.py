"""What a design identifies: no alarm on good designs, and the trap named on the others."""

import re

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import Amplitude, Exponent, Offset
from scalefit.simulation import grid_design, isoflop_design, ratio_design

SIZES = np.geomspace(1e8, 1e10, 12)


def codes(found, severity=None):
    return {note.code: note for note in found.notes if severity in (None, note.severity)}


def called(message, runs):
    """Results of the calls of scalefit that a message prints."""
    calls = re.findall(r"scalefit\.[a-z0-9_.]+\((?:[^()]|\([^()]*\))*\)", message)
    return [eval(call, {"runs": runs, "scalefit": sf}) for call in calls]


GOOD = {
    "sweeps": (isoflop_design(), 0.005),
    "narrow sweeps": (isoflop_design(points=9, width=4.0), 0.002),
    "a grid": (grid_design(np.geomspace(1e7, 1e10, 8), np.geomspace(1e9, 1e12, 8)), 0.005),
    "several ratios": (ratio_design(SIZES, [5.0, 20.0, 80.0, 320.0]), 0.005),
    "no noise": (isoflop_design(points=7), 0.0),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_design_is_silent(name):
    design, noise = GOOD[name]
    found = sf.check(sf.simulate(design, noise=noise, seed=2))
    assert found.identifies and not codes(found)
    assert "identifies chinchilla" in found.headline
    assert found.noise_source == ("residuals" if noise else "assumed")
    # The mean of Huber residuals is some percent below that of the noise.
    assert found.noise == pytest.approx(noise or 0.005, rel=0.25)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chinchilla_epoch", {"keep": "besiroglu_keep == 1"}),
        ("llama3_isoflops", {}),
        ("farseer", {}),
    ],
)
def test_published_sweeps_are_not_warned_of(data_folder, name, options):
    found = sf.check(sf.datasets.load(name, **options))
    assert found.identifies and not codes(found, "warning")


def test_expected_errors_are_those_of_least_squares_at_that_noise():
    runs = sf.simulate(isoflop_design(), noise=0.0)
    # Residuals far beyond delta: the Huber loss is that of absolute values, and its variance pi / 2
    # times that of squares.
    found = sf.check(runs, noise=0.05).to_frame()
    truth = sf.simulation.SURFACES["chinchilla"]
    E, A, B, alpha, beta = (truth[name] for name in ("E", "A", "B", "alpha", "beta"))
    N, D = runs["N"].to_numpy(), runs["D"].to_numpy()
    n, d = N**-alpha, D**-beta
    slopes = [np.ones(len(N)), n, d, -A * n * np.log(N), -B * d * np.log(D)]
    jacobian = np.stack(slopes, axis=1) / (E + A * n + B * d)[:, None]
    errors = 0.05 * np.sqrt(np.pi / 2 * np.diagonal(np.linalg.inv(jacobian.T @ jacobian)))
    np.testing.assert_allclose(found["standard_error"], errors, rtol=0.01)
    np.testing.assert_allclose(found["relative"], errors / [E, A, B, alpha, beta], rtol=0.01)


@pytest.mark.slow
def test_expected_errors_are_the_scatter_of_simulated_fits():
    design = isoflop_design(points=9)
    fits = [sf.fit(sf.simulate(design, noise=0.005, seed=k), certify=False) for k in range(100)]
    scatter = pd.DataFrame([dict(fit.params) for fit in fits]).std()
    expected = sf.check(sf.simulate(design, noise=0.0), noise=0.005).expected["standard_error"]
    # 100 fits know a standard deviation to 7 %: 20 % is 2.8 of its standard errors.
    np.testing.assert_allclose(expected, scatter[expected.index], rtol=0.2)


@pytest.fixture(scope="module")
def ladder():
    # Field case 7: twelve runs at 20 tokens per parameter, rounded as batches round them.
    rng = np.random.default_rng(7)
    D = 20 * SIZES * (1 + 0.012 * rng.uniform(-1, 1, len(SIZES)))
    return sf.simulate(pd.DataFrame({"params": SIZES, "tokens": D}).rename(
        columns={"params": "N", "tokens": "D"}), noise=0.003, seed=7)  # fmt: skip


def test_a_ladder_at_one_ratio_says_what_it_does_determine(ladder):
    runs = ladder.rename(columns={"N": "params", "D": "tokens"})
    found = sf.check(runs)
    assert not found.identifies and "does not identify" in found.headline
    note = codes(found)["one_ratio"]
    assert note.severity == "warning" and "allocate refuses" in note.message
    of_size, of_compute = called(note.message, runs)
    assert of_size.law.name == "chinchilla_n" and of_compute.law.columns == ("x",)
    assert of_size.status.usable and of_compute.status.usable
    with pytest.raises(sf.errors.AllocationError):
        sf.allocate(found.fit, 1e24)
    # With less noise, the same runs are at several ratios.
    assert "one_ratio" not in codes(sf.check(runs, noise=1e-5))


def test_what_fit_refuses_is_a_finding():
    runs = sf.simulate(ratio_design(SIZES, 20.0), noise=0.003)
    found = sf.check(runs)
    assert found.fit is None and not found.identifies and not len(found.expected)
    note = codes(found)["not_identified"]
    assert "D/N = 20" in note.message
    assert {fit.law.name for fit in called(note.message, runs)} == {"chinchilla_n", "power_offset"}
    assert np.isnan(found.condition) and "does not identify" in found.summary()


def test_what_is_no_design_is_an_error():
    runs = sf.simulate(isoflop_design(points=5))
    with pytest.raises(sf.errors.DataError, match="no column"):
        sf.check(runs.drop(columns="D").rename(columns={"C": "other"}))
    with pytest.raises(sf.errors.ArgumentError, match=r"noise=0\.005"):
        sf.check(runs, noise=0.0)
    with pytest.raises(sf.errors.ArgumentError, match="loss"):
        sf.check(runs, los="loss")


def test_a_plan_is_judged_by_the_call_that_its_error_prints():
    plan = isoflop_design(points=7)
    with pytest.raises(sf.errors.DataError, match="no losses") as caught:
        sf.check(plan)
    call = re.search(r"scalefit\.check\(.*\)", str(caught.value))[0]
    found = eval(call, {"runs": plan, "scalefit": sf})
    assert found.identifies and found.noise == 0.005


def test_one_budget_shows_its_best_size_and_nothing_else():
    runs = sf.simulate(isoflop_design([1e20], points=12), noise=0.001)
    found = sf.check(runs)
    note = codes(found)["single_budget"]
    assert not found.identifies and "one_ratio" not in codes(found)
    (vertices,) = called(note.message, runs)
    best = sf.allocate(sf.published("chinchilla", "hoffmann"), 1e20).N
    # To the bias of a parabola over a wide sweep.
    assert vertices.cells["N"][0] == pytest.approx(float(best), rel=0.3)


def test_two_budgets_and_short_ranges_are_told_with_their_numbers():
    two = codes(sf.check(sf.simulate(isoflop_design([1e19, 1e21], points=9), noise=0.002)))
    assert set(two) == {"few_budgets"} and two["few_budgets"].details["budgets"] == 2
    three = sf.check(sf.simulate(isoflop_design([1e19, 1e20, 1e21], points=9), noise=0.002))
    assert not codes(three)
    short = grid_design(np.geomspace(1e8, 4e8, 5), np.geomspace(1e9, 1e12, 5))
    found = sf.check(sf.simulate(short, noise=0.001))
    note = codes(found)["narrow_span"]
    # 4e8 to 7e10 is 2.24 decades, 3.7 times log10(4).
    assert note.details == {"N": pytest.approx(np.log10(4))}
    assert "2.2 decades above the runs, 3.7 times their span" in note.message
    np.testing.assert_allclose(found.spans.loc["N", "beyond"], np.log10(7e10 / 4e8))


@sf.law
def widened(
    N, D, W, *, E: Offset, A: Amplitude, B: Amplitude, G: Amplitude,
    alpha: Exponent, beta: Exponent, gamma: Exponent,
):  # fmt: skip
    """Loss with a term of the width."""
    return E + A * N**-alpha + B * D**-beta + G * W**-gamma


def test_collinear_columns_and_their_parameters_are_named():
    rng = np.random.default_rng(1)
    runs = grid_design(np.geomspace(1e7, 1e10, 7), np.geomspace(1e9, 1e12, 7))
    loss = 1.7 + 400 * runs["N"] ** -0.34 + 400 * runs["D"] ** -0.28
    noise = np.exp(0.002 * rng.standard_normal(len(runs)))

    def found(width):
        wide = 3 * width**-0.4
        return sf.check(runs.assign(W=width, loss=(loss + wide) * noise), widened)

    together = found(np.sqrt(runs["N"]) * np.exp(0.02 * rng.standard_normal(len(runs))))
    note = codes(together)["collinear_columns"]
    assert not together.identifies
    assert note.details["columns"] == ["N", "W"]
    assert note.details["parameters"] == ["A", "G", "alpha", "gamma"]
    assert note.details["power"] == pytest.approx(0.5, abs=0.01)
    apart = found(np.exp(rng.uniform(np.log(100), np.log(10_000), len(runs))))
    assert apart.identifies and "collinear_columns" not in codes(apart)


def test_the_noise_floor_is_that_of_replicates():
    runs = sf.simulate(isoflop_design(points=7), noise=0.003)
    twice = pd.concat([runs, runs.assign(loss=runs["loss"] * 1.01)], ignore_index=True)
    found = sf.check(twice)
    # Pairs a factor of 1.01 apart: a standard deviation of ln(1.01) / sqrt(2).
    assert found.noise == pytest.approx(np.log(1.01) / np.sqrt(2)) and found.identifies
    assert found.noise_source == "replicates"
    details = codes(found)["noise_floor"].details
    assert (details["groups"], details["rows"], details["df"]) == (35, 70, 35)
    assert sf.check(twice, noise=0.004).noise_source == "given"
    # Another learning rate makes no replicate; a copy is none either, and is counted.
    swept = twice.assign(lr=np.repeat([1e-3, 2e-3], len(runs)))
    assert "noise_floor" not in codes(sf.check(swept))
    copied = codes(sf.check(pd.concat([runs, runs.iloc[:10]], ignore_index=True)))
    assert set(copied) == {"duplicate_rows"} and len(copied["duplicate_rows"].details["rows"]) == 10


def test_seeds_of_a_published_table_are_its_noise_floor(data_folder):
    note = codes(sf.check(sf.datasets.load("datablations")))["noise_floor"]
    # 16 settings of 4 seeds: the data say 0.004 in the median.
    assert (note.details["groups"], note.details["df"]) == (16, 48)
    assert note.details["value"] == pytest.approx(0.004, abs=5e-4)
    assert "misfit" in note.message


def test_compute_of_forward_passes_is_told_by_its_factor():
    runs = sf.simulate(isoflop_design(points=7))
    note = codes(sf.check(runs.assign(C=2 * runs["N"] * runs["D"])))["flops_convention"]
    assert note.severity == "warning" and "forward passes" in note.message
    drifting = runs.assign(C=runs["C"] * (runs["N"] / 1e8) ** 0.05)
    assert codes(sf.check(drifting))["flops_convention"].severity == "info"


def test_runs_with_checkpoints_a_sweep_or_another_unit_say_so():
    curves = grid_design(np.geomspace(1e7, 1e9, 6), np.linspace(1e9, 1e11, 60))
    assert "trajectories" in codes(sf.check(sf.simulate(curves, noise=0.003)))
    cells = grid_design(np.geomspace(1e8, 4e9, 4), np.geomspace(1e9, 1e11, 4))
    swept = cells.merge(pd.DataFrame({"lr": [1e-3, 2e-3, 4e-3, 8e-3]}), how="cross")
    swept = sf.simulate(swept, noise=0.001)
    swept["loss"] *= 1 + 0.03 * np.log(swept["lr"] / 2e-3) ** 2
    found = codes(sf.check(swept), "warning")
    assert "repeated_cells" in found and "vertices" in found["repeated_cells"].message
    billions = sf.simulate(isoflop_design(points=5))
    billions = billions.assign(N=billions["N"] / 1e9, D=billions["D"] / 1e9)
    assert "units" in codes(sf.check(billions), "warning")


def test_laws_of_one_column_and_constraints(ladder):
    found = sf.check(ladder, "chinchilla_n", fixed={"E": 1.7})
    assert found.identifies and list(found.expected.index) == ["A", "alpha"]
    assert not codes(found, "warning")
    free = sf.check(ladder, fixed={"alpha": 0.34, "beta": 0.28})
    assert "one_ratio" not in codes(free)


def test_a_design_of_another_law_is_not_said_to_identify_it():
    """Expected errors hold only where the law describes the runs."""
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.002, seed=1)
    runs["loss"] *= np.where(np.arange(len(runs)) % 2, 1.0, 1.3)
    found = sf.check(runs)
    assert found.fit.verdict.level == "poor"
    assert "would identify chinchilla if that law described" in found.headline


def test_the_next_call_of_a_law_without_a_name_is_one_of_a_variable():
    law = sf.laws.mixture_of("web", "code")
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    runs = pd.DataFrame(shares[:, :2], columns=["web", "code"])
    runs = sf.simulate(runs, law, {"c": 2.0, "k": 1.0, "t_web": -1.0, "t_code": -2.0})
    assert "Next: scalefit.fit(runs, law)." in sf.check(runs, law).summary()
    named = sf.check(sf.simulate(isoflop_design(), noise=0.003))
    assert "Next: scalefit.fit(runs, 'chinchilla')." in named.summary()
