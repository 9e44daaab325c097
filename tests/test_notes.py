"""Each soft problem: a table that has it gets the note, a clean one does not."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def codes(fit):
    return {note.code: note for note in fit.notes}


@pytest.fixture(scope="module")
def clean():
    return sf.simulate(sf.isoflop_design(), noise=0.003)


def test_a_clean_sweep_has_no_notes(clean):
    assert sf.fit(clean).notes == ()


def test_at_bound_names_the_parameter_and_the_remedy(clean):
    fit = sf.fit(clean, bounds={"alpha": (0.5, 1.0)})
    note = codes(fit)["at_bound"]
    assert fit.params["alpha"] == 0.5
    assert note.details["parameter"] == "alpha"
    assert "bounds={'alpha': (0.005, 1)}" in note.message
    assert sf.fit(clean, bounds={"alpha": (0.005, 1)}).params["alpha"] == pytest.approx(
        0.34, rel=0.05
    )
    assert fit.trust.at_bound == ("alpha",)


def test_responses_that_fall_or_stand_still_do_not_rise():
    x = np.geomspace(1e3, 1e9, 12)
    still = sf.fit(pd.DataFrame({"x": x, "loss": 2.0}), "power_offset")
    assert still.trust.at_bound and "response_rises" not in codes(still)
    falling = pd.DataFrame({"x": x, "loss": 3 - 0.1 * np.log(x / 1e3)})
    assert "response_rises" not in codes(sf.fit(falling, "power_offset"))


def test_an_irreducible_loss_of_zero_is_at_its_bound():
    truth = {"E": 0.0, "A": 20.0, "B": 30.0, "alpha": 0.1, "beta": 0.12}
    runs = sf.simulate(sf.isoflop_design(), params=truth, noise=0.01, seed=4)
    fit = sf.fit(runs.assign(loss=runs["loss"] - 0.6))
    assert fit.params["E"] == 0.0
    assert "at_bound" in codes(fit)


def test_both_of_a_tied_pair_are_at_bound(clean):
    fit = sf.fit(clean, tie=[("alpha", "beta")], bounds={"alpha": (0.5, 1.0)})
    assert fit.trust.at_bound == ("alpha", "beta")


@pytest.mark.parametrize("spread", [0.02, 0.05])
def test_a_design_near_one_ratio_is_weakly_identified(spread):
    rng = np.random.default_rng(0)
    N = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 60))
    D = 20 * N * np.exp(spread * rng.uniform(-1, 1, 60))
    fit = sf.fit(sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=0.0))
    note = codes(fit)["weakly_identified"]
    assert note.details["condition"] > 5e4
    assert note.severity == "warning"


def test_few_rows_are_said():
    runs = sf.simulate(sf.isoflop_design([1e18, 1e20], points=4), noise=0.001)
    note = codes(sf.fit(runs))["few_rows"]
    assert note.details == {"rows": 8, "free": 5}


def test_outliers_that_dominate_are_listed(clean):
    wrong = clean.copy()
    wrong.loc[[7, 40], "loss"] *= 1.5
    squared = codes(sf.fit(wrong, robust="none"))["outliers_dominate"]
    assert set(squared.details["rows"]) == {"7", "40"}
    assert squared.severity == "warning"
    assert codes(sf.fit(wrong))["outliers_dominate"].severity == "info"


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
    assert sf.fit(clean.assign(C="1e21 FLOP")).notes == ()


def test_one_n_is_no_problem_where_nothing_free_depends_on_it(clean):
    one = clean.assign(N=1e8)
    truth = {"A": 406.4, "alpha": 0.34}
    loss = 1.69 + 406.4 * 1e8**-0.34 + 410.7 * one["D"] ** -0.28
    fit = sf.fit(one.assign(loss=loss), fix=truth)
    assert fit.params["beta"] == pytest.approx(0.28, rel=1e-9)


def test_a_ratio_is_no_problem_where_nothing_free_depends_on_it(clean):
    fixed = {"A": 406.4, "alpha": 0.34}
    one = clean.assign(D=20 * clean["N"])
    runs = sf.simulate(one[["N", "D"]], noise=0.0)
    assert sf.fit(runs, fix=fixed).params["beta"] == pytest.approx(0.28, rel=1e-9)


def test_notes_of_the_table_reach_the_fit(clean):
    twice = pd.concat([clean, clean.iloc[:2]], ignore_index=True).assign(budget=1e20)
    found = codes(sf.fit(twice))
    assert found["duplicate_rows"].details["rows"] == ["75", "76"]
    assert found["ambiguous_column"].details["columns"] == ["C", "budget"]


def test_two_minima_are_reported_with_their_gap():
    """A law whose phase is periodic has as many minima as periods in its bounds."""
    from typing import Annotated

    import jax.numpy as jnp

    @sf.law(source="a test")
    def wave(
        N,
        *,
        E: sf.Offset,
        A: sf.Amplitude,
        k: Annotated[sf.Exponent, sf.Bounds(1.0, 8.0)],
    ):
        """E + A (1 + cos(k ln N))"""
        return E + A * (1 + jnp.cos(k * jnp.log(N)))

    N = np.exp(np.linspace(0.0, 2 * np.pi, 40))
    rng = np.random.default_rng(1)
    loss = 2 + 0.5 * (1 + np.cos(3.0 * np.log(N))) + 0.05 * rng.standard_normal(40)
    fit = sf.fit(pd.DataFrame({"N": N, "loss": loss}), wave, residual="raw", robust="none")
    assert fit.params["k"] == pytest.approx(3.0, abs=0.05)
    assert fit.trust.basins > 1
    note = codes(fit)["starts_disagree"]
    assert note.details["minima"] == len(fit.trust.minima) > 1
    assert fit.trust.gap > 0
    values = [item.value for item in fit.trust.minima]
    assert values == sorted(values)


def test_one_batch_of_starts_settles_a_clean_table_and_more_look_around_a_bound(clean):
    assert sf.fit(clean).trust.starts == 4
    held = sf.fit(clean, bounds={"alpha": (0.5, 1.0)}).trust
    assert 4 < held.starts <= 16
    assert held.agreeing + sum(item.starts for item in held.minima[1:]) <= held.starts


def test_a_term_that_vanished_leaves_one_minimum_whatever_its_exponent():
    runs = sf.isoflop_design()
    runs["loss"] = 2 + 400 * runs["D"] ** -0.3 + 0.02 * np.log(runs["N"])
    fit = sf.fit(runs, residual="raw", robust="none", bounds={"beta": (0.1, 1.0)})
    assert fit.params["A"] == 0.0
    assert "at_bound" in codes(fit)
    assert len(fit.trust.minima) == 1


def test_a_law_that_passes_through_every_row_is_exact():
    fit = sf.fit(sf.simulate(sf.isoflop_design(), noise=0.0))
    assert fit.status is sf.Status.EXACT
    assert fit.trust.agreeing == fit.trust.starts


def test_a_law_without_linear_parameters_is_told_how_to_be_fast():
    from typing import Annotated

    import jax

    @sf.law(source="power law without offset, its scale inside the power")
    def scaled(N, *, Nc: Annotated[jax.Array, sf.scale_of("N")], alpha: sf.Exponent):
        """(Nc / N)^alpha"""
        return (Nc / N) ** alpha

    runs = pd.DataFrame({"N": np.geomspace(1e6, 1e10, 12)})
    runs["loss"] = (8.8e9 / runs["N"]) ** 0.3
    fit = sf.fit(runs, scaled)
    assert fit.params["Nc"] == pytest.approx(8.8e9, rel=1e-9)
    assert fit.params["alpha"] == pytest.approx(0.3, rel=1e-9)
    assert "not_separable" in codes(fit)


def test_every_note_prints_as_code_and_sentence(clean):
    fit = sf.fit(clean, bounds={"alpha": (0.5, 1.0)})
    text = fit.summary()
    for note in fit.notes:
        assert str(note) == f"{note.code}: {note.message}"
        assert note.code in text
