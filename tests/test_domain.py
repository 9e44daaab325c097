"""How far outside the runs an answer lies: measured, and said wherever there is an answer."""

import math
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.results.domain import extrapolation, outside


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.003, seed=2)


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, certify=False)


@pytest.fixture(scope="module")
def draws(fit, runs):
    return sf.covariance(fit, runs).draws(60, seed=1)


def codes(answer):
    return [note.code for note in answer.notes]


def the(code, answer):
    (note,) = (note for note in answer.notes if note.code == code)
    return note


DOMAIN = {"N": (1e8, 1e10), "D": (1e9, 1e12), "D/N": (10.0, 1000.0), "6ND": (1e18, 1e21)}


def test_distances_are_decades_by_column_from_either_end():
    # 6ND is 1.8e24, D/N 0.0333: by hand 3.2553 and 2.4771 decades.
    (note,) = extrapolation(DOMAIN, {"N": 3e12, "D": 1e11})
    assert note.details == pytest.approx(
        {"N": math.log10(300), "D": 0.0, "D/N": math.log10(300), "flops": math.log10(1800)}
    )
    assert note.severity == "warning"
    assert "6ND 3.3 decades outside the runs (1e18 to 1e21)" in note.message
    assert "D 0" not in note.message
    (note,) = extrapolation(DOMAIN, {"N": [1e9, 2e8], "D": [2e11, 5e11]})
    assert note.severity == "info"
    assert note.details["flops"] == pytest.approx(math.log10(1.2))
    assert note.details["D/N"] == pytest.approx(math.log10(2.5))


def test_the_edge_of_the_runs_is_inside_and_missing_values_are_nowhere():
    assert extrapolation(DOMAIN, {"N": [1e8, np.nan], "D": [1e10 / 6 * (1 + 1e-12), 1e11]}) == ()
    assert extrapolation({"N": (np.nan, np.nan)}, {"N": 1e20}) == ()
    assert extrapolation({}, {"N": 1e20}) == ()
    assert extrapolation(DOMAIN, {"N": np.array([]), "D": np.array([])}) == ()
    (note,) = extrapolation({"N": (1e8, 1e9)}, {"N": 0.0})
    assert note.details["N"] == math.inf


def test_a_column_that_reaches_zero_is_measured_in_widths_of_its_range():
    share = {"share": (0.0, 0.2)}
    assert extrapolation(share, {"share": [0.0, 0.1, 0.2]}) == ()
    (near,), (far,) = (extrapolation(share, {"share": value}) for value in (0.3, 0.9))
    assert (near.severity, far.severity) == ("info", "warning")
    assert near.details["share"] == pytest.approx(0.5)
    assert far.details["share"] == pytest.approx(3.5)
    assert "share 3.5 widths of their range outside the runs (0 to 0.2)" in far.message
    (below,) = extrapolation({"x": (-3.0, -1.0)}, {"x": -4.0})
    assert below.details["x"] == pytest.approx(0.5)


def test_rows_outside_are_told_one_by_one():
    found = outside(DOMAIN, {"N": [1e9, 1e9, 1e12], "D": np.array([1e11, 1e13, 1e11])})
    assert found.tolist() == [False, True, True]


def test_a_prediction_far_outside_warns_with_its_note_and_a_near_one_does_not(fit, runs):
    with pytest.warns(sf.NoteWarning, match=r"extrapolation: .*6ND 1\.9 decades outside") as caught:
        fit.predict(N=7e9, D=2e12)
    assert caught[0].filename == __file__
    note = caught[0].message.note
    assert (note.code, note.severity) == ("extrapolation", "warning")
    assert note.details["flops"] == pytest.approx(math.log10(6 * 7e9 * 2e12 / 1e21), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.predict(runs)
        fit.predict(N=7e9, D=2e11)
        fit.residuals(runs.assign(N=100 * runs["N"], D=100 * runs["D"]))
        assert fit.evaluate(N=7e9, D=2e12) < 2.1


def test_a_column_that_coefficients_are_grouped_by_is_no_distance(runs):
    halves = runs.assign(half=np.where(np.arange(len(runs)) % 2, "odd", "even"))
    grouped = sf.fit(halves, groups={"A": "half"}, certify=False)
    with pytest.warns(sf.NoteWarning, match="6ND"):
        grouped.predict(N=7e9, D=2e12, half=["odd", "even"])
    drawn = sf.bootstrap(grouped, halves, n_draws=10)
    assert codes(drawn.predict(N=7e9, D=2e12, half="odd")) == ["extrapolation"]


def test_predictions_of_draws_say_how_far_they_lie_and_what_a_new_run_holds(draws):
    inside, far = {"N": 1e9, "D": 2e10}, {"N": 7e9, "D": 2e12}
    assert codes(draws.predict(**inside)) == []
    assert repr(draws.predict(**inside)).count("\n") == 0
    assert codes(draws.predict(**far)) == ["extrapolation"]
    near, beyond = (draws.predict(**where, kind="run") for where in (inside, far))
    assert (codes(near), codes(beyond)) == (
        ["form_not_covered"],
        ["extrapolation", "form_not_covered"],
    )
    assert the("form_not_covered", near).severity == "info"
    assert the("form_not_covered", beyond).severity == "warning"
    text = " ".join(str(beyond).split())
    for part in (
        "warning extrapolation: ",
        "warning form_not_covered: ",
        "not a wrong form of the law",
    ):
        assert part in text
    assert "not a wrong form of the law" in " ".join(str(near).split())
    several = draws.predict(N=[1e9, 7e9], D=2e12)
    assert repr(several) == "<Estimate of shape (2,), 60 draws, 1 warning>"
    assert "warning extrapolation" in str(several)
    assert "No interval holds a wrong form of the law" in " ".join(draws.summary().split())


def test_warnings_of_the_fit_and_of_the_draws_reach_every_estimate(draws):
    doubt = sf.Note("few_clusters", "warning", "a test")
    weak = sf.Note("weakly_identified", "warning", "a test")
    doubtful = replace(draws, fit=draws.fit.with_notes(weak), notes=(doubt,))
    for found in (
        doubtful.predict(N=1e9, D=2e10),
        doubtful.apply(lambda alpha: alpha),
        sf.allocate(doubtful, 1e20).estimate("N"),
        sf.allocate(doubtful, 1e20).estimate("D/N"),
        sf.near_optimal(doubtful, 1e20).estimate("low"),
        sf.deadweight(doubtful, 1e9, 2e10).estimate("share"),
        sf.compute_multiplier(doubtful, doubtful, 1e20),
    ):
        assert {"fit_warnings", "few_clusters"} <= set(codes(found)), found
        assert "weakly_identified" in the_first("fit_warnings", found).message


def the_first(code, answer):
    return next(note for note in answer.notes if note.code == code)


@pytest.fixture(scope="module")
def sweeps(runs):
    return sf.isoflop(runs)


def compared(draws, sweeps, runs):
    return sf.bias(draws, sweeps, runs, 1e24, rules=(), objectives=False, n_draws=50)


def test_every_answer_far_outside_says_so(fit, draws, runs, sweeps):
    report, design = compared(draws, sweeps, runs), sf.approach2.design_bias(draws, runs, 1e24)
    answers = {
        "allocate": sf.allocate(fit, 1e24),
        "estimate": sf.allocate(draws, 1e24).estimate("loss"),
        "near_optimal": sf.near_optimal(draws, 1e24),
        "end": sf.near_optimal(draws, 1e24).estimate("high"),
        "deadweight": sf.deadweight(fit, 1e11, 1e24 / 6e11),
        "share": sf.deadweight(draws, 1e11, 1e24 / 6e11).estimate("share"),
        "multiplier": sf.compute_multiplier(fit, fit, 1e24),
        "multiplier of draws": sf.compute_multiplier(draws, draws, 1e24),
        "predict": draws.predict(N=1e11, D=1e24 / 6e11),
        "apply": draws.apply(sf.allocation.optimum_function(fit, "N", 1e24)),
        "profile": sf.profile(fit, runs, sf.allocation.optimum_function(fit, "N", 1e24)),
        "isoflop": sweeps.at(1e24),
        "design_bias": design,
        "design error": design.estimate("D_error"),
        "attribute": report.attribution,
        "part": report.attribution.estimate("width"),
        "bias": report,
        "error": report.estimate("error"),
        "resampled": report.resampled("error"),
        "advise": sf.approach2.advise(fit, 1e24),
    }
    for name, answer in answers.items():
        note = the_first("extrapolation", answer)
        assert note.severity == "warning", name
        assert max(note.details.values()) == pytest.approx(3.0, abs=1e-6), name
        assert "3.0 decades outside the runs (1e17 to 1e21)" in " ".join(str(answer).split()), name
    for answer in (sf.allocate(fit, 1e20), sweeps.at(1e20), sf.deadweight(fit, 1e9, 1e20 / 6e9)):
        assert "extrapolation" not in codes(answer)


def test_the_baseline_of_a_multiplier_has_its_own_distance(fit, runs):
    little = sf.fit(runs[runs["C"] < 1e20], certify=False)
    found = sf.compute_multiplier(fit, little, 1e21)
    (note,) = (note for note in found.notes if note.code == "extrapolation")
    assert note.message.startswith("of the baseline: ")
    assert note.details["flops"] == pytest.approx(2.0, abs=0.1)


def test_columns_that_are_held_outside_the_runs_are_said_too():
    fit = sf.published("qat", "chen_w4a4")
    _, high = fit.domain["G"]
    inside, far = (sf.allocate(fit, 1e21, fixed={"G": G}) for G in (high, 100 * high))
    assert the("extrapolation", inside).details["G"] == 0
    assert the("extrapolation", far).details["G"] == pytest.approx(2.0)
    assert "G 2.0 decades outside the runs" in " ".join(the("extrapolation", far).message.split())


def test_an_envelope_says_how_far_its_lines_are_drawn():
    N, D = np.meshgrid(np.geomspace(1e7, 1e10, 40), np.geomspace(1e8, 1e12, 50))
    curves = sf.simulate(pd.DataFrame({"N": N.ravel(), "D": D.ravel()}), noise=0.0)
    found = sf.approach2.envelope(curves, bins=300)
    fitted = found.points.loc[found.points["interior"], "flops"]
    assert found.span == (fitted.min(), fitted.max())
    note = the("extrapolation", found.at(100 * fitted.max()))
    assert note.details == {"C": pytest.approx(2.0)}


def test_the_library_itself_predicts_silently(fit, draws, runs, sweeps):
    far = runs.assign(N=50 * runs["N"], D=50 * runs["D"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", sf.NoteWarning)
        sf.plot.bias(compared(draws, sweeps, runs))
        sf.plot.surface(draws, runs, flops=1e25)
        sf.plot.region(sf.near_optimal(draws, 1e25), fit=draws)
        sf.plot.predictions(draws, far)
        sf.approach2.design_bias(fit, far, 1e25)
        sf.approach2.advise(fit, 1e25)
    plt.close("all")


@pytest.fixture(scope="module")
def farseer(data_folder):
    """A fit of the runs below 1e21 FLOP, its draws, and the seven largest runs."""
    frame = sf.read(data_folder / "farseer.csv").frame
    flops = 6 * frame["N"] * frame["D"]
    small = frame[flops < 1e21]
    draws = sf.bootstrap(sf.fit(small), small, n_draws=400, progress=False)
    return (
        draws,
        frame.loc[flops.nlargest(7).index],
        math.log10(flops.max() / flops[small.index].max()),
    )


def test_run_intervals_hold_none_of_farseers_largest_runs_and_say_why(farseer):
    draws, largest, decades = farseer
    found = draws.predict(largest, kind="run")
    low, high = found.interval()
    loss = largest["loss"].to_numpy()
    assert np.count_nonzero((low <= loss) & (loss <= high)) == 0
    # All are 2.4 to 4 % below what the law says, and a half-width is 1.4 to 1.6 %.
    miss, half = loss / found.value - 1, (high - low) / 2 / found.value
    assert miss.min() == pytest.approx(-0.0398, abs=5e-4)
    assert miss.max() == pytest.approx(-0.0247, abs=5e-4)
    assert 0.013 < half.min() and half.max() < 0.018
    assert codes(found)[:2] == ["extrapolation", "form_not_covered"]
    assert the("form_not_covered", found).severity == "warning"
    assert "promises too much" in the("form_not_covered", found).message
    # Not even far.
    note = the("extrapolation", found)
    assert note.severity == "info"
    assert note.details["flops"] == pytest.approx(decades) == pytest.approx(0.602, abs=1e-3)
    ax = sf.plot.predictions(draws, largest)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "95 % interval of a new run (0 of 7 runs inside)" in labels
    assert "7 runs outside those fitted" in labels
    assert "6ND 0.6 decades outside the runs" in ax.get_title()
    plt.close("all")
