"""One law on many small tables: every row is the fit of its table."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


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
    with pytest.raises(sf.errors.ArgumentError, match="is not the key of a table"):
        fits.fit("nothing")


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
    ],
)
def test_what_makes_no_tables_is_refused(tables, by, message):
    with pytest.raises(sf.ScalefitError, match=message):
        sf.fit_many(tables, by=by)


def test_what_no_program_takes_is_fitted_one_by_one():
    tables = [table(i, 30) for i in range(2)]
    found = sf.fit_many(tables, "chinchilla_n", robust="l1", progress=False).table
    for row, runs in zip(found.itertuples(), tables, strict=True):
        one = sf.fit(runs, "chinchilla_n", robust="l1", certify=False)
        assert row.objective_value == one.objective_value
