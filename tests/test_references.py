"""The table of references in docs/laws.md, and the fixture that its rows come from."""

import pytest
import references
from references import Agreement, Record

from scalefit import laws


def test_every_row_of_the_page_names_a_built_in_law_once():
    rows = references.read()
    assert len(rows) > 40
    assert {row.law for row in rows} <= set(laws.BUILTIN)
    keys = [row.key for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(all(row) for row in rows), "no cell is empty"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A copy of the page, to write on."""
    copy = tmp_path / "laws.md"
    copy.write_text(references.PAGE.read_text())
    monkeypatch.setattr(references, "PAGE", copy)
    return copy


def test_writing_the_rows_of_the_page_changes_nothing(page):
    text = page.read_text()
    references.write(reversed(references.read()))
    assert page.read_text() == text


def test_rows_are_in_the_order_of_the_catalogue(page):
    row = Agreement.of(2.0, 2.0, abs=0.1).row("power", "runs", "b", "2.0")
    references.write([row._replace(law="farseer"), row, row._replace(quantity="a")])
    found = [(row.law, row.quantity) for row in references.read()]
    assert found == [("power", "a"), ("power", "b"), ("farseer", "b")]


@pytest.mark.parametrize(
    ("ours", "reference", "how", "level_name"),
    [
        (0.00101827399, 0.001018274018, {"rel": 1e-6}, "0.00101827"),
        (482.009, 482.01, {"abs": 0.005}, "482.01"),
        (2.4684, 2.469, {"abs": 2e-3}, "2.47"),
        (3.676740001e-5, 3.67674e-5, {"rel": 1e-6}, "3.67674e-5"),
        (12345.6, 12345.0, {"abs": 2.0}, "1.235e4"),
        (0.00176342, 0.0020193, {"at_most": True}, "0.00176"),
        (0.0, 0.0, {"abs": 0.01}, "0.00"),
        ([1.2342, 20.0007], [1.2345, 20.0], {"abs": 1e-3}, "1.234, 20.001"),
    ],
)
def test_ours_has_the_digits_that_the_tolerance_guarantees(ours, reference, how, level_name):
    agreement = Agreement.of(ours, reference, **how)
    agreement.check()
    assert next(iter(agreement.spellings())) == level_name


def test_a_number_between_two_last_digits_may_be_rounded_either_way():
    assert set(Agreement.of(1.2345001, 1.2345, abs=1e-3).spellings()) == {"1.235", "1.234"}
    assert set(Agreement.of(1.2342, 1.2345, abs=1e-3).spellings()) == {"1.234"}
    both = Agreement.of([1.2345001, 5.4325], [1.2345, 5.4325], abs=1e-3)
    assert len(set(both.spellings())) == 4


@pytest.mark.parametrize(
    ("ours", "reference", "how"),
    [
        (1.1, 1.0, {"rel": 0.09}),
        (1.1, 1.0, {"abs": 0.09}),
        ([1.0, 1.1], [1.0, 1.0], {"rel": 1e-3}),
        (1.1, 1.0, {"at_most": True}),
        (1.1, 1.0, {"at_most": True, "rel": 0.01}),
        ([0.5, 1.1], [1.0, 1.0], {"at_most": True}),
        # No tolerance comes in that was not asked for.
        (1e-13, 2e-13, {"rel": 1e-3}),
        (float("nan"), 1.0, {"at_most": True}),
    ],
)
def test_what_does_not_agree_is_an_assertion_error(ours, reference, how):
    with pytest.raises(AssertionError):
        Agreement.of(ours, reference, **how).check()


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"rel": 1e-9}, "1e-9 relative"),
        ({"abs": 0.005}, "0.005 absolute"),
        ({"at_most": True}, "not above"),
        ({"at_most": True, "rel": 1e-5}, "not above, 1e-5 relative"),
    ],
)
def test_tolerances_in_words(how, text):
    agreement = Agreement.of(0.5, 0.5, **how)
    assert agreement.tolerance() == text


def test_an_agreement_without_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance"):
        Agreement.of(1.0, 1.0)
    with pytest.raises(ValueError, match="compared with"):
        Agreement.of([1.0, 2.0], 1.0, abs=1.0)


def test_a_row_is_written_once_asked_for_and_looked_up_otherwise(page):
    how = ("power", "runs", "alpha", 1.2342, 1.2345)
    with pytest.raises(AssertionError, match=r"has None, .* run pytest --write-references"):
        Record(writing=False).agrees(*how, abs=1e-3)
    before = references.read()
    writing = Record(writing=True)
    writing.agrees(*how, abs=1e-3)
    writing.close(everything=True)
    (row,) = set(references.read()) - set(before)
    assert row == ("power", "runs", "alpha", "1.2345", "1.234", "0.001 absolute")
    assert set(before) < set(references.read()), "the other rows stay"
    reading = Record(writing=False)
    with pytest.raises(AssertionError, match=r"no test records: \[\("):
        reading.close(everything=True)
    reading.close(everything=False)
    reading.agrees(*how, abs=1e-3)
    for changed in ({"abs": 2e-3}, {"rel": 1e-3}):
        with pytest.raises(AssertionError, match="should have"):
            Record(writing=False).agrees(*how, **changed)


def test_a_row_keeps_its_last_digit_on_another_machine(page):
    text = page.read_text()
    for last in (1.2345001, 1.2344999):
        record = Record(writing=True)
        record.agrees("power", "runs", "alpha", last, 1.2345, abs=1e-3)
        record.close(everything=False)
        assert ("| 1.235 |" in page.read_text()) and page.read_text() != text


def test_two_tests_cannot_record_different_rows_of_one_name(page):
    record = Record(writing=True)
    record.agrees("power", "runs", "alpha", 1.234, 1.234, abs=1e-3)
    record.agrees("power", "runs", "alpha", 1.234, 1.234, abs=1e-3)
    with pytest.raises(AssertionError, match="two tests differ"):
        record.agrees("power", "runs", "alpha", 1.234, 1.234, abs=1e-4)
