"""The gap between Approach 2 and a surface, cause by cause."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.allocation import measured, product
from scalefit.approach2.attribution import ANSWERS, CAUSES

BUDGETS = np.geomspace(1e17, 1e21, 5)


def published(surface):
    """A fit that is the surface itself."""
    fit = sf.published("chinchilla", "hoffmann")
    return replace(fit, params=sf.simulation.SURFACES[surface])


def swept(surface, noise=0.0, seed=0, **design):
    frame = sf.simulation.isoflop_design(BUDGETS, surface=surface, **design)
    return sf.simulate(frame, params=surface, noise=noise, seed=seed)


def split(surface, flops=1e24, **design):
    return sf.approach2.attribute_bias(
        published(surface), sf.isoflop(swept(surface, **design)), flops
    )


def test_a_centred_sweep_of_a_symmetric_surface_has_no_gap():
    why = split("symmetric", width=8.0)
    np.testing.assert_allclose(why.parts, 0, atol=1e-9)
    np.testing.assert_allclose(why.gap, 0, atol=1e-9)


@pytest.mark.parametrize("surface", ["chinchilla", "asymmetric"])
@pytest.mark.parametrize(("width", "points"), [(4.0, 15), (16.0, 7)])
def test_centred_sweeps_are_the_closed_form(surface, width, points):
    why = split(surface, width=width, points=points)
    p = sf.simulation.SURFACES[surface]
    closed = [
        -np.log(10) * sf.approach2.parabola_shift(p["alpha"], p["beta"], wide, points)
        for wide in (2.0, width)
    ]
    ln_d = why.parts["ln_D"]
    np.testing.assert_allclose(ln_d["asymmetry"], closed[0], atol=1e-9)
    np.testing.assert_allclose(ln_d["asymmetry"] + ln_d["width"], closed[1], atol=1e-9)
    np.testing.assert_allclose(ln_d.drop(["asymmetry", "width"]), 0, atol=1e-9)
    np.testing.assert_allclose(why.parts["n_exponent"], 0, atol=1e-11)
    np.testing.assert_allclose(why.parts["ln_N"], -ln_d, atol=1e-9)


# Errors of D* at 1e24 FLOP of Czech et al. 2026, percent: width 8, offset 3 and drift to 3.
@pytest.mark.parametrize(
    ("surface", "offset", "drift"),
    [("symmetric", 2.65, 3.70), ("chinchilla", 3.38, 6.94), ("asymmetric", 6.96, 22.97)],
)
def test_off_centre_and_drifting_sweeps(surface, offset, drift):
    why = split(surface, offset=3.0)
    np.testing.assert_allclose(100 * np.expm1(why.gap["ln_D"]), offset, atol=0.00501)
    rest = why.parts["ln_D"].drop(["asymmetry", "width", "off_centre"])
    np.testing.assert_allclose(rest, 0, atol=1e-9)
    np.testing.assert_allclose(why.parts["n_exponent"], 0, atol=1e-11)

    why = split(surface, drift=3.0)
    np.testing.assert_allclose(100 * np.expm1(why.gap["ln_D"]), drift, atol=0.00501)
    np.testing.assert_allclose(why.parts["ln_D"][["placement", "noise_and_misfit"]], 0, atol=1e-8)
    # The exponent is wrong by the drift alone, and of D* it is the largest part.
    others = why.parts.drop("drift")
    np.testing.assert_allclose(others["n_exponent"], 0, atol=1e-10)
    assert why.parts["n_exponent"]["drift"] < -1e-3
    assert abs(why.parts["ln_D"]["drift"]) > others["ln_D"].abs().max()


def test_parts_add_up_to_what_the_runs_say():
    runs = swept("asymmetric", noise=0.005, seed=3, drift=2.0, points=8)
    fit, found = published("asymmetric"), sf.isoflop(runs)
    why = sf.approach2.attribute_bias(fit, found, 1e23)
    best, theirs = sf.allocate(fit, 1e23), found.at(1e23)
    gap = {
        "ln_N": np.log(theirs.N / best.N),
        "ln_D": np.log(theirs.D / best.D),
        "n_exponent": found.n_exponent - best.n_exponent,
        "d_exponent": found.d_exponent - best.d_exponent,
    }
    for name in ANSWERS:
        np.testing.assert_allclose(why.parts[name].sum(), gap[name], atol=1e-9)
        np.testing.assert_allclose(why.gap[name], gap[name], atol=1e-9)
    assert why.steps.index.to_list() == ["surface", *CAUSES]
    # Without noise the runs give what design_bias says.
    design = sf.approach2.design_bias(fit, runs, 1e23).target
    before = why.steps.loc["flop_convention"]
    np.testing.assert_allclose(before[["N", "D"]], [design["N"][0], design["D"][0]], rtol=1e-9)


def test_tokens_counted_otherwise_are_a_convention_of_their_own():
    runs = swept("chinchilla", points=9, drift=2.0)
    fit = published("chinchilla")
    plain = sf.approach2.attribute_bias(fit, sf.isoflop(runs), 1e24)
    assert plain.parts["ln_D"]["flop_convention"] == pytest.approx(0, abs=1e-9)
    # Every run was trained on a tenth more tokens than its C says: D* is wrong by as much.
    more = runs.assign(D=1.1 * runs["D"])
    more["loss"] = fit.predict(N=more["N"], D=more["D"])
    why = sf.approach2.attribute_bias(fit, sf.isoflop(more), 1e24)
    design = ["straight_line", "asymmetry", "width"]
    np.testing.assert_allclose(why.parts["ln_D"][design], plain.parts["ln_D"][design], atol=1e-9)
    both = why.parts["ln_N"]["flop_convention"] + why.parts["ln_D"]["flop_convention"]
    np.testing.assert_allclose(both, np.log(1.1), atol=1e-9)
    # Counted as 6ND from the start, no convention is left.
    own = sf.approach2.attribute_bias(fit, sf.isoflop(more, cost="6ND"), 1e24)
    assert own.parts["ln_D"]["flop_convention"] == pytest.approx(0, abs=1e-9)
    # Nor where the surface's budgets are counted as those of the table are.
    same = sf.approach2.attribute_bias(
        fit, sf.isoflop(more), 1e24, cost=product(6 / 1.1, source="a test")
    )
    assert same.parts["ln_D"]["flop_convention"] == pytest.approx(0, abs=1e-9)


def test_a_law_whose_frontier_bends_has_a_part_of_the_straight_line():
    @sf.law(source="a test")
    def bent(
        N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, c: sf.laws.Amplitude
    ):
        """E + A N^-0.3 + B D^-0.3 + c N^-0.6"""
        return E + A * N**-0.3 + B * D**-0.3 + c * N**-0.6

    design = sf.simulation.isoflop_design(BUDGETS, points=7)
    params = {"E": 1.7, "A": 400.0, "B": 400.0, "c": 3e4}
    runs = sf.simulate(design, bent, params, noise=0.0)
    fit, found = sf.fit(runs, bent), sf.isoflop(runs)
    why = sf.approach2.attribute_bias(fit, found, 1e24)
    best = sf.allocate(fit, np.append(BUDGETS, 1e24))
    slope, height = np.polyfit(np.log(BUDGETS), np.log(best.D[:-1]), 1)
    line = slope * np.log(1e24) + height - np.log(best.D[-1])
    assert abs(line) > 0.01
    np.testing.assert_allclose(why.parts["ln_D"]["straight_line"], line, atol=1e-7)
    np.testing.assert_allclose(why.parts["ln_D"].sum(), why.gap["ln_D"], atol=1e-9)


def test_draws_are_each_a_surface_of_its_own():
    runs = swept("chinchilla", noise=0.004, seed=1, points=7, drift=1.5)
    fit, found = sf.fit(runs), sf.isoflop(runs)
    draws = sf.covariance(fit, runs).draws(5, seed=2)
    why = sf.approach2.attribute_bias(draws, found, 1e23)
    for i in range(5):
        params = {name: float(values[i]) for name, values in draws.drawn.items()}
        one = sf.approach2.attribute_bias(replace(fit, params=params), found, 1e23)
        for name in ANSWERS:
            np.testing.assert_allclose(why.draws[name][i], one.parts[name], atol=1e-9)
    low, high = why.estimate("gap").interval()
    assert low < why.estimate("gap").value < high
    frame = why.to_frame()
    assert frame.index.to_list() == [*CAUSES, "gap"] and "ln_D_low" in frame
    np.testing.assert_allclose(why.draws["ln_D"].sum(1), why.estimate("gap").draws)
    assert "all (the gap)" in why.summary() and "<table" in why._repr_html_()


def test_odd_questions_are_refused_in_words():
    runs = swept("chinchilla", points=7)
    fit, found = published("chinchilla"), sf.isoflop(runs)
    with pytest.raises(sf.errors.DataError, match="akima"):
        sf.approach2.attribute_bias(fit, sf.isoflop(runs, method="akima"), 1e24)
    with pytest.raises(sf.errors.DataError, match="Give draws"):
        sf.approach2.attribute_bias(fit, found, 1e24).estimate("drift")


@pytest.mark.parametrize("table", ["marin_comma", "marin_dclm"])
def test_marin_exponents_differ_by_the_flop_convention_too(data_folder, table):
    runs = sf.read(data_folder / f"{table}.csv", C="budget", keep="validation_optimal == 0")
    why = sf.approach2.attribute_bias(sf.fit(runs), sf.isoflop(runs), 1e22)
    parts, gap = why.parts, why.gap
    assert 0.04 < gap["n_exponent"] < 0.10 and -0.10 < gap["d_exponent"] < -0.04
    # A fifth of the gap in a, nearly half of that in b, and all of a + b - 1.
    assert parts["n_exponent"]["flop_convention"] > 0.2 * gap["n_exponent"]
    assert parts["d_exponent"]["flop_convention"] < 0.45 * gap["d_exponent"]
    sums = parts["n_exponent"] + parts["d_exponent"]
    assert sums["flop_convention"] < -0.02
    np.testing.assert_allclose(sums.drop(["flop_convention", "noise_and_misfit"]), 0, atol=1e-9)


def recounted(gain):
    """Sweeps whose C is 1.5 times 6ND for small models and 1.2 times for large ones.

    Losses are those of the surface on D times the ratio to the power ``gain``: 0 leaves the form of
    the law as it is, and 3 bends it.
    """
    budgets = np.geomspace(1e19, 1e21, 5)
    N = 1e8 * np.sqrt(budgets / 1e19)[:, None] * 6.0 ** np.linspace(-1, 1, 7)
    C = np.broadcast_to(budgets[:, None], N.shape)
    ratio = np.interp(np.log(N), np.log([1e7, 1e10]), [1.5, 1.2])
    D = C / (6 * N * ratio)
    runs = pd.DataFrame({"N": N.ravel(), "D": D.ravel(), "C": C.ravel()})
    loss = published("chinchilla").evaluate(N=N, D=D * ratio**gain)
    return runs.assign(loss=loss.ravel())


def codes(answer):
    return [note.code for note in answer.notes]


def gap_by_hand(fit, runs, flops):
    """Parts of ln D that need no steps: all of the gap, the measured losses, and 6ND for C."""
    found, best = sf.isoflop(runs), sf.allocate(fit, flops)
    surface = runs.assign(loss=fit.evaluate(N=runs["N"], D=runs["D"]))
    counted = surface.assign(D=runs["C"] / (6 * runs["N"]))
    # The losses stay those of the runs' own D in the first table, of C / 6N in the second.
    counted["loss"] = fit.evaluate(N=counted["N"], D=counted["D"])
    here, there = (np.log(sf.isoflop(table).at(flops).D) for table in (surface, counted))
    measured = np.log(found.at(flops).D)
    return measured - np.log(best.D), here - there, measured - here


@pytest.mark.parametrize("gain", [0, 3])
def test_a_convention_and_a_misfit_that_cancel_are_in_the_headline(gain):
    runs = recounted(gain)
    fit, found = sf.fit(runs, certify=False), sf.isoflop(runs)
    why = sf.approach2.attribute_bias(fit, found, 1e23)
    gap, convention, rest = gap_by_hand(fit, runs, 1e23)
    np.testing.assert_allclose(why.gap["ln_D"], gap, atol=1e-9)
    parts = why.parts["ln_D"]
    np.testing.assert_allclose(parts["flop_convention"], convention, atol=1e-9)
    np.testing.assert_allclose(parts["noise_and_misfit"], rest, atol=1e-9)
    assert why.of_convention and "convention_decides" in codes(why)
    assert why.headline.startswith(f"D* {np.expm1(gap):+.1%}: FLOP convention ")
    assert f"FLOP convention {np.expm1(convention):+.1%}" in why.headline
    # Where nothing bends the law, the convention is left uncancelled.
    assert why.cancels == ("parts_cancel" in codes(why)) == (gain == 3)
    assert (f"noise and misfit {np.expm1(rest):+.1%}" in why.headline) == (gain == 3)
    assert why.headline.endswith(", which cancel") == (gain == 3)

    made = sf.bias(fit, found, runs, 1e23, rules=(), objectives=False, n_draws=0)
    first = " ".join(made.summary().split("\n\n")[0].split())
    assert "budgets counted as 6ND" in first and f"({why.headline})" in first
    assert why.headline in made._repr_html_()
    # The title is broken where its Axes end.
    title = sf.plot.bias(made)[1].get_title()
    assert "".join(why.headline.split()) in "".join(title.split())
    assert why.headline in " ".join(why.summary().split())
    assert {"convention_decides"} <= set(codes(made))
    plt.close("all")

    # The remedy of the note: budgets of both counted alike.
    (note,) = (note for note in why.notes if note.code == "convention_decides")
    assert "cost=scalefit.allocation.measured(runs)" in note.message
    alike = sf.bias(
        fit, found, runs, 1e23, cost=measured(runs),
        rules=(), objectives=False, n_draws=0,
    )  # fmt: skip
    assert "convention_decides" not in codes(alike)
    assert abs(alike.attribution.parts["ln_D"]["flop_convention"]) < 0.25 * abs(convention)


def test_a_gap_with_nothing_to_hide_is_a_plain_headline():
    why = split("asymmetric", drift=3.0)
    assert why.headline == f"D* {np.expm1(why.gap['ln_D']):+.1%}"
    assert not {"parts_cancel", "convention_decides"} & set(codes(why))
    # Parts of a percent that cancel are no story.
    assert not split("symmetric", width=8.0).cancels


def test_parts_of_design_that_cancel_are_told_too():
    why = split("asymmetric", width=8.0, offset=2.0)
    parts = why.parts["ln_D"]
    lost = min(parts[parts > 0].sum(), -parts[parts < 0].sum())
    assert lost > 0.05 and lost > abs(why.gap["ln_D"])
    assert why.cancels and not why.of_convention
    assert "parts_cancel" in codes(why) and why.headline.endswith(", which cancel")
