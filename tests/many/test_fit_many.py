"""One law on many small tables: every row is the fit of its table."""

from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.many import api
from scalefit.many.noting import LOOKED_FOR
from scalefit.many.reading import given_tables, read_parts
from scalefit.objective import Objective


def table(seed, rows=None):
    """Runs of an additive law of its own, 20 to 60 of them, with noise of one percent."""
    rng = np.random.default_rng(seed)
    n = rng.integers(20, 61) if rows is None else rows
    N, D = 10 ** rng.uniform(7, 9.5, n), 10 ** rng.uniform(9, 11.5, n)
    E, (A, B) = rng.uniform(1.2, 2.5), 10 ** rng.uniform(1.8, 3.5, 2)
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    loss = (E + A / N**alpha + B / D**beta) * np.exp(0.01 * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


COUNT = 24


@pytest.fixture(scope="module")
def frame():
    """Tables of one frame, one of which has a loss that is none."""
    found = pd.concat([table(i).assign(name=f"t{i:02}") for i in range(COUNT)], ignore_index=True)
    found.loc[found.index[found["name"] == "t05"][3], "loss"] = -1.0
    return found.sample(frac=1.0, random_state=0)


@pytest.fixture(scope="module")
def fits(frame):
    return sf.fit_many(frame, by="name", progress=False)


def test_each_row_is_the_fit_of_its_table(frame, fits):
    assert list(fits.table.index) == [f"t{i:02}" for i in range(COUNT)]
    for name, runs in frame.groupby("name"):
        row = fits.table.loc[name]
        if name == "t05":
            continue
        one = sf.fit(runs, certify=False)
        assert row["objective_value"] == pytest.approx(one.objective_value, rel=1e-9)
        assert row["status"] == one.status.name.lower()
        assert row["nobs"] == one.nobs
        assert row["residual_rms"] == pytest.approx(one.residual_rms, rel=1e-6)
        for parameter, value in one.params.items():
            assert row[parameter] == pytest.approx(value, rel=1e-5)
        assert ("at_bound" in row["notes"]) == bool(one.diagnostics.at_bound)


def test_a_bad_table_is_a_row_and_no_error(frame, fits):
    row = fits.table.loc["t05"]
    assert row["status"] == "failed"
    assert "loss is -1" in row["message"]
    assert np.isnan(row["alpha"])
    assert list(fits.failed.index) == ["t05"]
    with pytest.raises(sf.errors.DataError, match="loss is -1"):
        fits.fit("t05")


def test_the_whole_fit_of_one_is_at_hand(fits):
    one = fits.fit("t03")
    assert one.verdict.level
    assert one.objective_value == pytest.approx(fits.table.loc["t03", "objective_value"], rel=1e-9)
    for key in ("nothing", ["t03"], slice(None)):
        with pytest.raises(sf.errors.ArgumentError, match="is not the key of a table"):
            fits.fit(key)


def test_tables_come_in_any_holder(frame, fits):
    groups = dict(list(frame.groupby("name")))
    for given, by in [
        (frame.groupby("name"), None),
        (groups, None),
        (list(groups.values()), None),
        ({name: sf.read(runs) for name, runs in groups.items() if name != "t05"}, None),
        (frame.assign(other="x"), ["other", "name"]),
    ]:
        found = sf.fit_many(given, by=by, progress=False).table
        same = fits.table if len(found) == COUNT else fits.table.drop("t05")
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True), same.reset_index(drop=True), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("tables", "by", "message"),
    [
        (table(0), None, "by names no column"),
        ({"a": table(0)}, "N", "tables is a dict of tables"),
        (table(0), "corpus", "no column of the table"),
        (table(0).assign(name=None), "name", "no value of the columns"),
        (table(0), [], r"by=\[\] is not the name"),
        ([], None, "holds no table"),
        ([table(0).drop(columns="loss")] * 2, None, "no column loss .* under one of"),
    ],
)
def test_what_makes_no_tables_is_refused(tables, by, message):
    with pytest.raises(sf.ScalefitError, match=message):
        sf.fit_many(tables, by=by)


def test_keys_are_those_of_the_groups():
    """Of pandas' groupings, each numbers and names its groups in its own way."""
    runs = pd.concat([table(i, 6).assign(name=name) for i, name in enumerate("zba")])
    kinds = pd.Categorical(runs["name"], categories=list("qzba"))
    for grouped in (
        runs.assign(name=kinds).groupby("name", observed=False),
        runs.assign(name=kinds, other=1).groupby(["name", "other"], observed=False, sort=False),
        runs.groupby("name", as_index=False),
        runs.groupby("name", sort=False),
        runs.set_index("name").groupby(level=0),
    ):
        given = given_tables(grouped, None)
        ((frame, number),) = given.frames
        firsts = [key[0] for key in given.keys]
        assert len(firsts) == 3
        for i, name in enumerate(firsts):
            assert frame["loss"][number == i].tolist() == table("zba".index(name), 6).loss.tolist()


def test_keys_of_a_mapping_stay_as_they_are():
    keys = [("a", 1), "b", 2.5, ("c",)]
    assert list(given_tables(dict.fromkeys(keys, table(0)), None).keys) == keys


def test_what_is_wrong_with_one_table_is_said_of_that_one():
    """Among others, whatever it is; and of a table that lacks a column others have."""
    good = table(0, 30).assign(weight=1.0, step=1)
    law, objective = sf.laws.find("chinchilla"), Objective()
    tables = {
        "all left out": good.assign(step=2),
        "no column": good.drop(columns="loss"),
        "negative": good.assign(loss=-1.0),
        "good": good,
    }
    given = given_tables(tables, None)
    parts = read_parts(given, law, objective, {"keep": "step < 2"})
    assert list(parts.parts) == [3]
    # Nor is it an error where no other table is left.
    alone = read_parts(given_tables([good], None), law, objective, {"keep": "step < 1"})
    assert list(alone.failed) == [0]
    said = [parts.failed[i] for i in range(3)]
    for found, wanted in zip(said, ["no row is left", "no column loss", "loss is -1"], strict=True):
        assert wanted in found


def test_what_no_program_takes_is_fitted_one_by_one():
    tables = [table(i, 30) for i in range(2)]
    found = sf.fit_many(tables, "chinchilla_n", robust="l1", progress=False).table
    for row, runs in zip(found.itertuples(), tables, strict=True):
        one = sf.fit(runs, "chinchilla_n", robust="l1", certify=False)
        assert row.objective_value == one.objective_value


def test_no_batch_is_so_small_that_it_takes_another_program():
    short = Mock(part=Mock(observed=np.zeros(64)), problem=Mock(scattered=False))
    most = api.BATCH_NUMBERS // 64
    ((*batches,),) = api._groups([short] * (2 * most + 2), Objective(), 1)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == 2 * most + 2 and max(sizes) <= min(most, min(sizes) + 1)


def table_of(kind, seed):
    """Runs of one kind of trouble."""
    rng = np.random.default_rng(seed)
    n = 7 if kind == "few" else rng.integers(15, 40)
    N, D = 10 ** rng.uniform(7, 9.5, n), 10 ** rng.uniform(9, 11.5, n)
    if kind == "narrow":
        D = 20 * N * np.exp(0.02 * rng.standard_normal(n))
    E, (A, B) = rng.uniform(1.2, 2.5), 10 ** rng.uniform(1.8, 3.5, 2)
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    size = {"noisy": 0.1, "quiet": 1e-4}.get(kind, 0.01)
    loss = (E + A / N**alpha + B / D**beta) * np.exp(size * rng.standard_normal(n))
    if kind == "noise":
        loss = np.exp(0.3 * rng.standard_normal(n))
    if kind == "rising":
        loss = 5 - loss.clip(max=4.5)
    if kind == "outlier":
        loss[0] *= 3
    weight = rng.uniform(0.5, 2.0, n)
    return pd.DataFrame({"N": N, "D": D, "loss": loss, "weight": weight, "error": 0.01 * loss})


KINDS = ("clean", "noisy", "quiet", "few", "outlier", "noise", "narrow", "rising")

HUBER = {}
RAW, KNOWN = {"residual": "raw", "robust": "none"}, {"robust": "none", "sigma": "error"}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(HUBER, id="huber"),
        pytest.param(RAW, id="raw", marks=pytest.mark.slow),
        pytest.param(KNOWN, id="known errors", marks=pytest.mark.slow),
    ],
)
def test_a_row_has_the_notes_and_intervals_of_its_fit(options):
    tables = {(kind, i): table_of(kind, 8 * i + 1) for kind in KINDS for i in range(3)}
    if options is not RAW:
        # Chi-squared is one where no weights are beside the errors.
        tables = {key: runs.drop(columns="weight") for key, runs in tables.items()}
    fits = sf.fit_many(tables, intervals=True, progress=False, **options)
    frame, seen, intervals = fits.to_frame(0.9), set(), 0
    for key, runs in tables.items():
        row, one = frame.loc[key], sf.fit(runs, certify=False, **options)
        # Of other starts than those of a fit.
        looked = set(LOOKED_FOR) - {"starts_disagree"}
        codes = {note.code for note in one.notes} & looked
        assert set(row["notes"].split(",")) & looked == codes, key
        seen |= codes
        try:
            found = sf.covariance(one, runs).conf_int(0.9)
        except sf.errors.DataError:
            # Too few runs, or a term that is zero.
            found = pd.DataFrame(columns=["se", "low", "high"], dtype=float)
        for name in one.params:
            for end in ("se", "low", "high"):
                value = found[end].get(name, np.nan)
                # A logarithm wide of a hundred loses three digits.
                close = pytest.approx(value, rel=1e-6 if end == "se" else 1e-4, nan_ok=True)
                assert row[f"{name}_{end}"] == close, key
        intervals += len(found)
    wanted = {"at_bound", "weakly_identified", "outliers_dominate", "poor_fit", "response_rises"}
    assert wanted <= seen
    assert intervals > 50


def test_intervals_cost_nothing_unless_asked_for(fits):
    pd.testing.assert_frame_equal(fits.to_frame(), fits.table)
    with pytest.raises(sf.errors.ArgumentError, match=r"fit_many\(..., intervals=True\)"):
        fits.to_frame(0.9)


def test_few_tables_compile_nothing(frame, fits, monkeypatch, compiled):
    monkeypatch.setattr(sf.many.api, "FEWEST_COMPILED", 150)
    found = sf.fit_many(frame, by="name", progress=False).table
    assert not compiled
    same = ["E", "A", "B", "alpha", "beta", "objective_value", "nobs", "residual_rms"]
    pd.testing.assert_frame_equal(found[same], fits.table[same], rtol=1e-5)
    assert (found["status"] == fits.table["status"]).all()
    assert (found["notes"] == fits.table["notes"]).all()
