"""Tables that are not in raw counts or nats: what is said, and everything it is carried to."""

import itertools
from functools import partial

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.units import unit_notes

# Budgets of three decades about the middle of published sweeps.
RAW = sf.simulate(
    sf.simulation.isoflop_design([1e18, 1e19, 1e20, 1e21], points=7), noise=0.003, seed=1
)

SCALES = {
    "N": [1.0, 1e3, 1e6, 1e9],
    "D": [1.0, 1e3, 1e6, 1e9, 1e12],
}
PAIRS = list(itertools.product(*SCALES.values()))


def units(runs):
    return [note for note in sf.LossTable.from_frame(runs).notes if note.code == "units"]


def changed(runs, said):
    """The table that the options of a note make."""
    options = said.message[said.message.index("Pass ") + len("Pass ") :]
    table = sf.LossTable.from_frame(runs, **eval(f"dict({options})"))  # the printed remedy itself
    assert [note.code for note in table.notes if note.code == "units"] == []
    return table.frame


def scaled(runs, n, d):
    return runs.assign(N=runs["N"] / n, D=runs["D"] / d)


@pytest.mark.parametrize(("n", "d"), PAIRS)
def test_with_flops_every_unit_is_named_and_its_call_mends_it(n, d):
    table = scaled(RAW, n, d)
    if (n, d) == (1.0, 1.0):
        assert units(table) == []
        return
    (note,) = units(table)
    assert note.severity == "warning"
    assert note.details["likely"] == {k: v for k, v in (("N", n), ("D", d)) if v != 1}
    np.testing.assert_allclose(changed(table, note)[["N", "D"]], RAW[["N", "D"]], rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), PAIRS)
def test_without_flops_what_is_named_is_right(n, d):
    table = scaled(RAW, n, d).drop(columns="C")
    notes = units(table)
    # Thousands alone, and N and D six powers of ten the usual way apart, look like other counts.
    unseen = {(1, 1e3), (1e3, 1), (1e3, 1e3), (1e3, 1e6), (1e6, 1e3), (1, 1)}
    assert bool(notes) == ((n, d) not in unseen)
    for note in notes:
        np.testing.assert_allclose(changed(table, note)[["N", "D"]], RAW[["N", "D"]], rtol=1e-12)


@pytest.mark.parametrize("unit", [1e18, 1e21, 8.64e19])
def test_a_unit_of_the_flops_alone_is_theirs(unit):
    (note,) = units(RAW.assign(C=RAW["C"] / unit))
    assert note.details["likely"] == {"C": unit}
    np.testing.assert_allclose(changed(RAW.assign(C=RAW["C"] / unit), note)["C"], RAW["C"])


@pytest.mark.parametrize("factor", [0.4, 2.9, 30.0, 1 / 64])
def test_a_convention_of_counting_flops_is_no_unit(factor):
    assert units(RAW.assign(C=RAW["C"] * factor)) == []


def test_headers_of_the_table_are_in_the_call():
    table = scaled(RAW, 1e9, 1e9).rename(columns={"N": "Model Size", "D": "tokens"})
    (note,) = units(table)
    assert "N=('Model Size', 1e9), D=('tokens', 1e9)" in note.message
    np.testing.assert_allclose(changed(table, note)[["N", "D"]], RAW[["N", "D"]])


def test_small_models_are_no_other_unit():
    tiny = pd.DataFrame({"N": [2e4, 1e5, 5e5], "D": [1e6, 5e6, 2e7], "loss": [4.0, 3.5, 3.1]})
    assert units(tiny) == []
    # Of fine-tuning examples there may be few, and no model says how large they are.
    assert unit_notes({"D": np.array([50.0, 400.0])}, {"D": "D"}, {}, "nats/token", [0, 1]) == []


@pytest.mark.parametrize("points", [5, 15])
@pytest.mark.parametrize("flops", [[1e15, 1e16], [1e17, 1e21], [1e22, 1e26]])
def test_designs_are_in_raw_counts(flops, points):
    assert (
        sf.LossTable.from_frame(
            sf.simulate(sf.simulation.isoflop_design(flops, points=points), noise=0.0)
        ).notes
        == ()
    )


def test_rows_without_weight_and_without_number_are_passed_over():
    odd = pd.concat([RAW, RAW.iloc[:1].assign(loss=50.0, N=1e30)], ignore_index=True)
    odd["weight"] = np.r_[np.ones(len(RAW)), 0.0]
    assert sf.LossTable.from_frame(odd).notes == ()
    for text in (
        "of the order of 1e21",
        True,
        pd.Series([10**400] * len(RAW), dtype=object),
        pd.period_range("2020", periods=28),
    ):
        assert sf.LossTable.from_frame(RAW.assign(C=text)).notes == ()


def test_real_tables_are_in_raw_counts(data_folder):
    read = 0
    for entry in sf.datasets.list().datasets.values():
        if entry.folder != "data":
            continue
        path = data_folder / entry.file
        try:
            table = sf.read(path, missing="drop")
        except sf.errors.DataError:
            # No N, D or loss under a name that is known.
            continue
        read += 1
        assert {"units", "loss_unit"}.isdisjoint(note.code for note in table.notes), path
    assert read > 10


def test_perplexities_are_named_and_their_logarithms_are_in_order():
    runs = RAW.assign(loss=np.exp(RAW["loss"]))
    (note,) = sf.LossTable.from_frame(runs).notes
    assert note.code == "loss_unit" and note.severity == "warning"
    assert "loss_unit='perplexity'" in note.message
    mended = sf.LossTable.from_frame(runs, loss_unit="perplexity")
    assert mended.notes == () and mended.loss_unit == "nats/token"
    np.testing.assert_allclose(mended["loss"], RAW["loss"])
    kept = sf.LossTable.from_frame(runs, keep="loss < 12")
    assert kept.notes == ()


BILLIONS = scaled(RAW, 1e9, 1e9).drop(columns="C")


def said(answer):
    """What an answer says of units, by code."""
    return {n.code: n for n in answer.notes if n.code in ("units", "loss_unit", "unit_mismatch")}


@pytest.fixture(scope="module")
def fit():
    """A fit of the table in billions."""
    return sf.fit(BILLIONS)


@pytest.fixture(scope="module")
def counts():
    """A fit of the same runs in raw counts."""
    return sf.fit(RAW)


def test_fits_allocations_and_sweeps_say_it_in_full(fit):
    (note,) = fit.notes
    assert note.code == "units"
    draws = sf.covariance(fit, BILLIONS).draws(50)
    found = sf.isoflop(BILLIONS)
    for answer in (
        found,
        sf.allocate(fit, 1e3),
        sf.allocate(draws, 1e3),
        sf.near_optimal(fit, 1e3),
        sf.deadweight(fit, 1.0, 20.0),
        sf.bias(fit, found, BILLIONS, 1e3, rules=(), objectives=False, n_draws=0),
    ):
        assert [item for item in answer.notes if item.code == "units"] == [note]
    assert "units" in str(sf.deadweight(fit, 1.0, 20.0))


def test_a_fit_read_back_says_it_too(fit):
    again = sf.Fit.from_json(fit.to_json())
    assert set(said(sf.allocate(again, 1e3))) == {"units"}


def test_a_budget_in_flops_of_a_table_in_billions_is_refused(fit, counts):
    """N* of 1e24 would be 5e9, a plausible size and eight times too small."""
    function = partial(sf.allocation.optimum_function, what="N")
    for ask in (sf.allocate, sf.near_optimal, lambda fit, flops: function(fit, flops=flops)):
        with pytest.raises(
            sf.errors.AllocationError, match="nearer to the runs in counts"
        ) as caught:
            ask(fit, 1e24)
    message = str(caught.value)
    options = message[message.index("Pass ") + len("Pass ") :]
    again = sf.fit(BILLIONS, **eval(f"dict({options})"))
    assert sf.allocate(again, 1e24).N == pytest.approx(sf.allocate(counts, 1e24).N, rel=1e-6)
    with pytest.raises(sf.errors.AllocationError, match="another unit"):
        sf.bias(fit, sf.isoflop(BILLIONS), BILLIONS, 1e24, rules=(), objectives=False, n_draws=0)
    with pytest.raises(sf.errors.AllocationError, match="another unit"):
        sf.compute_multiplier(fit, fit, 1e24)


@pytest.mark.parametrize(("n", "d"), PAIRS)
def test_no_budget_is_answered_wrong_by_orders(n, d):
    """Tables in any units: the right answer, or a refusal, or one a user can see is off."""
    table = scaled(RAW, n, d).drop(columns="C")
    fit = sf.fit(table)
    if "units" not in said(fit):
        # Nothing shows it: answers in the unit of the table.
        assert (n, d) in {(1, 1e3), (1e3, 1), (1e3, 1e3), (1e3, 1e6), (1e6, 1e3), (1, 1)}
        return
    with pytest.raises(sf.errors.AllocationError, match="another unit"):
        sf.allocate(fit, 1e24)


def test_a_run_in_counts_is_in_another_unit_than_the_table(fit, counts):
    right = sf.deadweight(counts, N=7e10, D=1.4e12)
    with pytest.raises(sf.errors.AllocationError, match="Likely unit: N in billions"):
        sf.deadweight(fit, N=7e10, D=1.4e12)
    # The same run in the unit of the table wastes what it wastes in counts.
    inside = sf.deadweight(fit, N=70, D=1400)
    assert set(said(inside)) == {"units"}
    np.testing.assert_allclose(inside.share, right.share, rtol=1e-6)
    assert not said(right)


def test_a_run_in_billions_is_in_another_unit_than_counts(counts):
    assert (
        "below the smallest" in said(sf.deadweight(counts, N=70, D=1400))["unit_mismatch"].message
    )


@pytest.mark.parametrize("flops", [1e16, 1e24, 1e28])
def test_far_budgets_are_no_other_unit(counts, flops):
    assert not said(sf.allocate(counts, flops))
