"""Numbers that tables hold as text, and the text that is none."""

from ast import literal_eval

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.cells import read


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.004, seed=1)


# What a cell of a count says, by reading it aloud.
COUNTS = {
    "70M": 70_000_000,
    "1.4B": 1_400_000_000,
    "1,4B": 1_400_000_000,
    "0.5 b": 500_000_000,
    "10,072,747": 10_072_747,
    "10_072_747": 10_072_747,
    "10 072 747": 10_072_747,
    "10\u202f072\u202f747": 10_072_747,
    "10.072.747": 10_072_747,
    "10'072'747": 10_072_747,
    "1,234": 1234,
    "1,234.5": 1234.5,
    "1,234M": 1_234_000_000,
    "125m": 125_000_000,
    "70 million": 70_000_000,
    "300B tokens": 300_000_000_000,
    "1.2 trillion": 1_200_000_000_000,
    "16K": 16_000,
    "1.2x10^9": 1_200_000_000,
    "1.2 \u00d7 10**9": 1_200_000_000,
    "3e8 params": 300_000_000,
    "**160M**": 160_000_000,
    "`7B`": 7_000_000_000,
    "+7e9": 7_000_000_000,
    "0,345": 0.345,
}
FLOPS = {"1e21 FLOP": 1e21, "3.2 ZFLOPs": 3.2e21, "5 EFLOP": 5e18, "1.5e18flops": 1.5e18}
NONE = [
    "1.3Q",
    "7B-chat",
    "pythia-160m",
    "1_00_00",
    "1,23,456",
    "12,34,56",
    "1.2.3",
    "0x10",
    "1e3e3",
    "3 to 4",
    "~7B",
    "12%",
    "1.234,5.6",
    "B",
    "million",
    "\u0661\u0662",
    "7B 8B",
]
GAPS = ["", " ", "-", "\u2013", "\u2014", "NaN", "nan", "N/A", "#N/A", "null", "None", "?", "**-**"]


def of(cell, quantity):
    """One cell, read alone."""
    reading = read(pd.Series([cell], dtype=object), quantity)
    return None if reading.bad[0] else reading.numbers[0]


@pytest.mark.parametrize(("cell", "value"), COUNTS.items())
def test_counts_in_text(cell, value):
    assert of(cell, "count") == value


@pytest.mark.parametrize(("cell", "value"), FLOPS.items())
def test_flops_in_text(cell, value):
    assert of(cell, "count") == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("quantity", ["count", "measure", "other"])
@pytest.mark.parametrize("cell", NONE)
def test_text_that_is_no_number(cell, quantity):
    assert of(cell, quantity) is None


@pytest.mark.parametrize("cell", GAPS)
def test_text_that_says_nothing_is_missing(cell):
    assert np.isnan(of(cell, "count")) and np.isnan(of(cell, "measure"))


def test_losses_have_no_unit_letters():
    for cell in ("3.1M", "2.5k", "3 billion"):
        assert of(cell, "measure") is None
    assert of("**3.36**", "measure") == 3.36


def test_a_comma_before_three_digits_is_what_its_column_says():
    def column(*cells, quantity="other"):
        return read(pd.Series(cells, dtype=object), quantity)

    # A loss of 3361 is none, and a model of 1.234 parameters neither.
    np.testing.assert_array_equal(column("3,361", "3,2", quantity="measure").numbers, [3.361, 3.2])
    np.testing.assert_array_equal(column("3,361", quantity="measure").numbers, [3.361])
    np.testing.assert_array_equal(column("1,234", quantity="count").numbers, [1234])
    # Of another column the other cells decide, or nothing does.
    np.testing.assert_array_equal(column("1,234", "1,234,567").numbers, [1234, 1234567])
    np.testing.assert_array_equal(column("1,234", "0,5").numbers, [1.234, 0.5])
    assert column("1,234", "7").bad.tolist() == [True, False]
    # Where points separate thousands they do so in the whole column.
    pointed = column("123.456.789", "1.234", "12.345.678,5", "7", quantity="count")
    np.testing.assert_array_equal(pointed.numbers, [123456789, 1234, 12345678.5, 7])
    with pytest.raises(sf.errors.DataError, match="its comma may separate thousands or decimals"):
        sf.LossTable.from_frame(pd.DataFrame({"x": ["1,234", "7"]})).column("x")


def test_a_table_of_text_is_fitted_as_its_numbers_and_says_so(runs):
    text = runs.assign(
        N=[f"{value / 1e6:.17g}M" for value in runs["N"]],
        D=[f"{round(value):,}" for value in runs["D"]],
        loss=[f"**{value!r}**" for value in runs["loss"]],
    )
    table = sf.LossTable.from_frame(text)
    np.testing.assert_allclose(table.column("N"), runs["N"], rtol=1e-15)
    np.testing.assert_array_equal(table.column("D"), runs["D"].round())
    np.testing.assert_array_equal(table.column("loss"), runs["loss"])
    said = {note.details["quantity"]: note for note in table.notes if note.code == "text_numbers"}
    assert {name: note.details["how"] for name, note in said.items()} == {
        "N": "units",
        "D": "digit groups",
        "loss": "marks around it",
    }
    assert all(note.details["rows"] == len(runs) for note in said.values())
    assert repr(text["N"][0]) in said["N"].message


def test_rules_see_the_numbers_and_headers_the_text(runs):
    text = runs.assign(N=[f"{value / 1e9:.17g}B" for value in runs["N"]])
    text = text.rename(columns={"N": "params"})
    kept = sf.LossTable.from_frame(text, keep="N < 1e9")
    assert len(kept) == (runs["N"] < 1e9).sum()
    assert len(sf.LossTable.from_frame(text, keep=f"params != {text['params'][0]!r}")) == 74


def test_a_word_among_numbers_is_left_out_by_the_rule_that_is_printed(runs):
    losses = runs["loss"].astype(object)
    losses.iloc[3] = "diverged"
    with pytest.raises(sf.errors.DataError, match="'loss' is not a number") as caught:
        sf.fit(runs.assign(loss=losses))
    rule = literal_eval(caught.value.remedy.split("keep=")[1])
    assert len(sf.LossTable.from_frame(runs.assign(loss=losses), keep=rule)) == 74


def test_missing_drop_leaves_out_what_is_no_finite_number(runs):
    losses = runs["loss"].astype(object)
    losses.iloc[[1, 2, 3]] = ["-", "NaN", np.inf]
    table = sf.LossTable.from_frame(runs.assign(loss=losses), missing="drop")
    assert {item.row: item.rule for item in table.dropped} == {
        1: "missing loss",
        2: "missing loss",
        3: "infinite loss",
    }
