"""The code of the page on what an answer does not say runs, and its numbers are those it states."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "what_an_answer_does_not_say.md").read_text()


@pytest.fixture(scope="module")
def names():
    found = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", sf.NoteWarning)
        for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
            exec(block, found)
    return {**found, "caught": caught}


def codes(answer):
    return [note.code for note in answer.notes]


def test_a_table_in_thousands_answers_for_another_budget(names):
    assert f"{names['times']:.0f} times too large" in PAGE
    # By the closed form D*/N* goes as C^((alpha - beta)/(alpha + beta)): 1e25 FLOP for 1e22.
    alpha, beta = (names["fit"].params[name] for name in ("alpha", "beta"))
    exponent = (alpha - beta) / (alpha + beta)
    assert names["times"] == pytest.approx(1e3 * 1e3**exponent, rel=1e-6)


def test_a_count_of_ones_own_buys_less_by_the_closed_form(names):
    shares = [names["own"][name] / names["plain"][name] - 1 for name in ("N", "D")]
    words = f"{-shares[0]:.0%} fewer parameters and {-shares[1]:.0%} fewer tokens"
    assert words.replace("%", " %") in PAGE
    alpha, beta = (names["fit"].params[name] for name in ("alpha", "beta"))
    expected = [1.35 ** (-power / (alpha + beta)) - 1 for power in (beta, alpha)]
    np.testing.assert_allclose(shares, expected, rtol=1e-9)
    assert "flops_convention" in codes(sf.fit(names["counted"]))


def test_a_wrong_form_shows_on_runs_that_were_left_out(names):
    count = int(names["inside"])
    assert len(names["large"]) == 9
    assert f"intervals of the Chinchilla law hold {count}." in PAGE
    found = names["again"].predict(names["large"], kind="run")
    assert codes(found) == ["extrapolation", "form_not_covered"]
    # No run is so near an end that another platform would count otherwise.
    away = np.abs(names["large"]["loss"].to_numpy() - np.array([names["low"], names["high"]]))
    assert (away / names["large"]["loss"].to_numpy()).min() > 1e-3


def test_the_note_and_the_warning_of_a_prediction_far_away(names):
    (warned,) = (item for item in names["caught"] if isinstance(item.message, sf.NoteWarning))
    assert warned.message.note.code == "extrapolation"
    far = names["draws"].predict(N=7e10, D=1.4e12)
    assert codes(far) == ["extrapolation"]
    assert names["fit"].evaluate(N=7e10, D=1.4e12) == far.value


def test_shared_noise_widens_standard_errors_by_what_the_page_says(names):
    low, high = names["wider"].min(), names["wider"].max()
    assert f"are {low:.1f} to {high:.1f}\ntimes as wide" in PAGE


def test_proofs_and_intervals_are_as_the_page_says(names):
    assert not names["fit"].certificate and "certify=True" in names["fit"].certificate.reason
    for options in ({"certify": True}, {"robust": "none"}):
        proof = sf.fit(names["runs"], **options).certificate
        assert proof and proof.gap <= 1e-6
    assert codes(names["new"]) == ["form_not_covered"]
    assert names["new"].notes[0].severity == "info"


def test_codes_of_the_page_are_in_the_table_of_notes():
    table = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "report.md").read_text(), re.MULTILINE))
    rows = re.findall(r"^\| .* \| (.*) \|$", PAGE.split("The examples share")[0], re.MULTILINE)
    said = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    said |= set(re.findall(r"# (?:notes?: )?([a-z]+_[a-z_]+)", PAGE))
    assert {"extrapolation", "form_not_covered", "flops_convention"} <= said
    assert said <= table
