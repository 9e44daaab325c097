"""Fits to parts of a table: the same as fits of the parts alone."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.table import as_table
from scalefit.inference.subset_fits import fit_subsets
from scalefit.simulation import isoflop_design


@pytest.fixture(scope="module")
def table():
    return as_table(sf.simulate(isoflop_design(), noise=0.004, seed=1))


@pytest.mark.parametrize("options", [{}, {"robust": "none"}, {"tied": [("alpha", "beta")]}])
def test_every_part_is_the_fit_of_its_rows_alone(table, options):
    fit = sf.fit(table, certify=False, **options)
    kept = np.random.default_rng(0).random((4, len(table))) < 0.7
    for part in fit_subsets(fit, table, kept):
        alone = sf.fit(part.table, certify=False, **options)
        assert part.fit.params == pytest.approx(alone.params, rel=1e-7)
        assert part.fit.objective_value == pytest.approx(alone.objective_value, rel=1e-10)
        assert part.fit.domain == alone.domain
        assert part.fit.provenance == alone.provenance
        assert part.fit.status is alone.status


def test_a_part_that_cannot_identify_the_law_says_why(table):
    fit = sf.fit(table, certify=False)
    kept = np.zeros((2, len(table)), dtype=bool)
    kept[0, :4] = True
    kept[1] = True
    few, whole = fit_subsets(fit, table, kept)
    assert few.fit is None
    assert "cannot identify" in few.failure
    assert whole.fit.params == pytest.approx(fit.params, rel=1e-9)


def test_a_part_without_a_level_has_the_coefficients_of_the_others():
    parts = [
        sf.simulate(isoflop_design(), noise=0.004, seed=seed).assign(corpus=name)
        for seed, name in enumerate("abc")
    ]
    table = as_table(pd.concat(parts, ignore_index=True))
    fit = sf.fit(table, groups={"E": "corpus"}, certify=False)
    only = (table.labels("corpus") != "b").to_numpy()
    (part,) = fit_subsets(fit, table, only[None])
    assert set(part.fit.params) == {"E[a]", "E[c]", "A", "B", "alpha", "beta"}


def test_the_domain_of_a_fit_leaves_out_rows_of_weight_zero():
    runs = sf.simulate(isoflop_design(), noise=0.004, seed=1)
    largest = runs["N"].max()
    weighted = runs.assign(weight=(runs["N"] < largest) * 1.0)
    fit = sf.fit(weighted, certify=False)
    assert fit.domain["N"][1] == runs["N"][runs["N"] < largest].max()
    assert fit.extrapolation({"N": largest, "D": runs["D"].max()})
