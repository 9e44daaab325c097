"""Blocks of runs, folds of them, and what the folds' fits predict."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.table import as_table
from scalefit.errors import ArgumentError, DataError
from scalefit.simulation import isoflop_design
from scalefit.validation.fold_predictions import log_errors, predict_folds
from scalefit.validation.folds import blocks_of, folds_of, ruled_fold

BUDGETS = [1e18, 1e19, 1e20, 1e21]


@pytest.fixture(scope="module")
def table():
    runs = sf.simulate(isoflop_design(BUDGETS, points=7), noise=0.004, seed=1)
    return as_table(runs.assign(corpus=np.where(runs.index % 2, "web", "code")))


@pytest.fixture(scope="module")
def fit(table):
    return sf.fit(table, certify=False)


def test_budgets_are_the_blocks_of_a_surface(table, fit):
    blocks = blocks_of(table, fit.law)
    assert blocks.by == "C"
    assert blocks.names == ("1e+18", "1e+19", "1e+20", "1e+21")
    assert np.array_equal(np.bincount(blocks.codes), [7, 7, 7, 7])


def test_schemes_train_below_what_they_test(table, fit):
    blocks, C = blocks_of(table, fit.law), table.column("C")
    (largest,) = folds_of(blocks, "largest", 2)
    assert C[largest.train].max() < 2e19
    assert C[largest.test].min() > 9e19
    rolling = folds_of(blocks, "rolling")
    assert [fold.name for fold in rolling] == [f"C = {b:.3g}" for b in BUDGETS[1:]]
    for fold in rolling:
        assert C[fold.train].max() < C[fold.test].min()
    groups = folds_of(blocks, "groups")
    assert sum(fold.test.sum() for fold in groups) == len(table)
    assert not any((fold.test & fold.train).any() for fold in groups)


def test_labels_are_held_out_each_in_turn_and_have_no_largest(table, fit):
    blocks = blocks_of(table, fit.law, "corpus")
    assert [fold.name for fold in folds_of(blocks, "groups")] == ["corpus = code", "corpus = web"]
    with pytest.raises(ArgumentError, match="scheme='groups'"):
        folds_of(blocks, "largest")
    with pytest.raises(ArgumentError, match="leaves nothing to fit"):
        folds_of(blocks_of(table, fit.law), "largest", 4)


def test_a_rule_holds_out_the_runs_that_satisfy_it(table):
    fold = ruled_fold(table, "C > 5e20 and corpus == 'web'")
    C, corpus = table.column("C"), table.labels("corpus").to_numpy()
    assert np.array_equal(fold.test, (C > 5e20) & (corpus == "web"))
    with pytest.raises(DataError, match="no run satisfies"):
        ruled_fold(table, "C > 1e30")


def test_predictions_are_those_of_a_fit_that_has_not_seen_the_runs(table, fit):
    folds = folds_of(blocks_of(table, fit.law), "rolling", 1)
    found = predict_folds(fit, table, folds)
    # The first origin has one budget: seven runs, which cannot identify five parameters well, but
    # do identify them.
    last = found.fold == len(folds) - 1
    alone = sf.fit(table.frame[folds[-1].train], certify=False)
    rows = table.frame.iloc[found.row[last]]
    assert found.predicted[last] == pytest.approx(alone.evaluate(rows), rel=1e-7)
    assert log_errors(found)[last] == pytest.approx(found.errors(fit.objective)[last])
    # N or D, in decades above the largest of the runs below.
    below = table.frame[folds[-1].train]
    far = np.log10(6 * rows["N"] * rows["D"] / (6 * below["N"] * below["D"]).max())
    assert found.reach[last] == pytest.approx(far.clip(lower=0), abs=0.3)
    assert (found.reach[last] > 0.5).all()


def test_runs_off_any_grid_are_many_blocks(fit):
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(7, 10, 300), 10 ** rng.uniform(9, 12, 300)
    table = as_table(sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=0.004, seed=0))
    blocks = blocks_of(table, fit.law, "N")
    assert len(blocks.names) > 20
    for code in range(len(blocks.names)):
        inside = N[blocks.codes == code]
        assert 1 <= inside.max() / inside.min() < 10**0.1 * (1 + 1e-9)
        assert code == 0 or inside.min() > N[blocks.codes == code - 1].max()


def test_rules_know_headers_in_their_unit_and_labels_of_rows():
    runs = sf.simulate(isoflop_design(BUDGETS, points=5), noise=0.004, seed=1)
    index = [f"run{k}" for k in range(len(runs))]
    frame = runs.assign(params_b=runs["N"] / 1e9).drop(columns="N").set_axis(index)
    table = as_table(frame, N=("params_b", 1e9))
    large = runs["N"].to_numpy() > 1e9
    for rule in ("params_b > 1", "N > 1e9"):
        assert np.array_equal(ruled_fold(table, rule).test, large)
    assert ruled_fold(table, "index == 'run3'").test.nonzero()[0].tolist() == [3]


def test_numbers_that_are_close_have_names_of_their_own(fit):
    table = as_table(
        sf.simulate(isoflop_design(BUDGETS, points=3), noise=0.0).assign(
            part=np.arange(12) * 1e-4 - 1.0
        )
    )
    assert len(set(blocks_of(table, fit.law, "part").names)) == 12


def test_a_column_of_budgets_with_gaps_is_not_used(fit):
    runs = sf.simulate(isoflop_design(BUDGETS, points=5), noise=0.004, seed=1)
    gaps = runs.assign(C=runs["C"].where(runs.index != 3))
    assert blocks_of(as_table(gaps), fit.law).by == "6ND"
