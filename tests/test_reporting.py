"""Numbers as people read them, and descriptions as text, HTML, Markdown and LaTeX."""

import math
import re

import pytest

import scalefit as sf
from scalefit.notes import Note
from scalefit.reporting import render
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown

SHOWN = [
    # value, kind, low, high: text, interval
    ((3.68558e10, "count"), "36.9B", ""),
    ((4.5234e12, "count", 4.31e12, 4.77e12), "4.52T", "4.31T to 4.77T"),
    ((999.7e6, "count"), "1.00B", ""),
    ((75, "count"), "75", ""),
    ((1e17, "count"), "1e17", ""),
    ((5.76e23, "flop"), "5.76e23", ""),
    ((1.0, "number"), "1.0000", ""),
    # As many digits as two of the half-width.
    ((0.342137, "number", 0.3312, 0.3529), "0.342", "0.331 to 0.353"),
    ((482.01, "number", 240.1, 730.9), "482", "240 to 731"),
    ((0.00479, "percent"), "0.479 %", ""),
    ((1234567, "integer"), "1,234,567", ""),
    ((1.5e6, "usd"), "$1.50M", ""),
    ((0.0, "number"), "0", ""),
    ((-1e-9, "number", -1.0, 1.0), "0.0", "-1.0 to 1.0"),
    ((math.nan, "number"), "-", ""),
    ((1.5, "number", 1.2, math.inf), "1.50", "1.20 to inf"),
    ((None, "count"), "-", ""),
]


@pytest.mark.parametrize(("given", "value", "interval"), SHOWN)
def test_numbers_have_the_digits_that_are_known(given, value, interval):
    found = shown(*given)
    assert (found.value, found.interval) == (value, interval)


@pytest.mark.parametrize(
    ("given", "latex"),
    [
        ((0.342, "number", 0.331, 0.353), r"$0.342 \pm 0.011$"),
        ((0.342, "number", 0.331, 0.363), r"$0.342^{+0.021}_{-0.011}$"),
        ((3.69e10, "count", 3.4e10, 4.0e10), r"$36.9^{+3.1}_{-2.9}\,\mathrm{B}$"),
        ((3.7e10, "count", 3.4e10, 4.0e10), r"$(37.0 \pm 3.0)\,\mathrm{B}$"),
        ((5.76e23, "flop"), r"$5.76 \times 10^{23}$"),
        ((0.05, "percent"), r"$5.00\,\%$"),
        ((2.0, "usd"), r"$\$2.00$"),
        (("alpha", "name"), r"$\alpha$"),
        (("gamma_D", "name"), r"$\gamma_{D}$"),
        (("A[fp8 & up]", "name"), r"$A_{\mathrm{fp8 \& up}}$"),
        (("E0", "name"), "$E_{0}$"),
        (("share_of_web", "name"), r"share\_of\_web"),
    ],
)
def test_latex_has_errors_beside_the_number(given, latex):
    assert shown(*given).latex == latex


HOSTILE = "a|b<script>\n& 5 % \\end{tabular} _x_ `c` *d*"


@pytest.fixture
def described():
    columns = [
        Column("name", [HOSTILE, "b"], "text"),
        Column("value, nats", [1.234, 2.0], low=[1.1, 1.9], high=[1.4, 2.1]),
    ]
    return Description(
        "A <thing>",
        "Good to 1 %.",
        "E + A < B",
        "E + A",
        facts={"empty": "", "source": "x & y"},
        tables=[Table(columns, "intervals of the mean", "95 % interval"), Table([])],
        notes=[Note("odd", "warning", "odd <b>"), Note("fine", "info", "fine")],
        parts={"evidence": Description("Evidence", "It holds.")},
    )


def test_text_has_words_first_and_names_its_evidence(described):
    text = render.text(described)
    assert text.splitlines()[:2] == ["A <thing>: E + A < B", "Good to 1 %."]
    assert "95 % interval" in text and "1.10 to 1.40" in text and "intervals of the mean" in text
    assert "warning odd: odd <b>" in text and "note fine" in text
    assert text.endswith("more: evidence") and "It holds" not in text
    assert "empty" not in text and "\n& 5" not in text


def test_html_is_escaped_folded_and_of_the_notebooks_colours(described):
    html = render.html(described)
    for tag in ("<script", "<thing>", "<b>"):
        assert tag not in html
    assert "a|b&lt;script&gt;" in html and "<math" in html
    assert "<details><summary>evidence</summary>" in html and "It holds." in html
    assert "<div class='note warning'><span class='severity'>warning</span>" in html
    # Only the word of a warning has a colour of text.
    assert re.findall(r"([^{}]*) {[^}]*(?<![-\w])color: #", html) == [
        "\n.scalefit .note.warning .severity"
    ]


def test_markdown_keeps_its_cells_apart(described):
    text = render.markdown(described)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert "<script" not in text and r"\*d\*" in text
    assert "- **warning** odd: odd &lt;b>" in text


def test_latex_is_a_booktabs_table_under_its_formula(described):
    text = render.latex(described)
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert lines[0] == r"\[ E + A \]"
    assert lines[1:4] == [r"\begin{tabular}{lr}", r"\toprule", r"name & value, nats \\"]
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert all(len(re.findall(r"(?<!\\)&", line)) == 1 for line in lines[5:-2])
    assert text.count(r"\end{tabular}") == 1 and r"^{+0.17}_{-0.13}" in text


def test_long_tables_show_both_ends_and_wide_ones_are_cut():
    rows = [f"row {i}" for i in range(100)]
    table = Table([Column("name", rows, "text"), Column("words", ["w" * 200] * 100, "text")])
    for show in (render.text, render.html, render.markdown, render.latex):
        text = show(Description("Long", tables=[table]))
        assert "row 9" in text and "row 95" in text and "row 50" not in text
        assert "... and 85 more: to_frame() has all" in text
    assert max(map(len, render.text(Description("Long", tables=[table])).splitlines())) <= 88
    whole = Table(table.columns, whole=True)
    assert "row 50" in render.html(Description("Long", tables=[whole]))
    assert "row 50" not in render.text(Description("Long", tables=[whole]))


def test_intervals_are_never_cut():
    words, numbers = ["w" * 200] * 2, [0.73333, 0.26667]
    shares = Column("share", numbers, low=[0.733331, 0.266662], high=[0.733338, 0.266667])
    table = Table([Column("name", words, "text"), *[shares] * 3, Column("rest", words, "text")])
    lines = render.text(Description("Wide", tables=[table])).splitlines()
    assert all(
        line.count(f"  {shares.cells[row].interval}  ") == 3 for row, line in enumerate(lines[-2:])
    )
    assert "www..." in lines[-1]


def test_every_law_is_typeset():
    from latex2mathml.converter import convert

    for law in sf.laws.table():
        assert law.latex, law.name
        assert "\\" not in re.sub(r"<[^>]*>", "", convert(law.latex)), law.name
    html = sf.laws.table()._repr_html_()
    assert html.count("<math") == len(sf.laws.table())
    table = sf.laws.table().to_latex()
    assert f"chinchilla & additive & ${sf.laws.chinchilla.latex}$" in table
    # What is no LaTeX is shown as text.
    assert "<code>E + A</code>" in render.html(Description("Odd", "", "E + A", r"x^2^3"))


def test_tables_in_a_notebook_keep_their_alignment():
    # Jupyter has "[dir] .jp-RenderedHTMLCommon td {text-align: right}" and one rule of more.
    assert "\n.scalefit.scalefit.scalefit table td.number" in sf.laws.chinchilla._repr_html_()


def test_a_law_says_what_it_takes():
    text = sf.laws.qat.summary()
    assert "Quantization-aware training: Chinchilla and the excess of qat_excess." in text
    assert re.search(r"G +group size +1 <= x", text)
    assert re.search(r"gamma_G +exponent +exponent of log2 G in the excess", text)
    assert repr(sf.laws.qat).count("\n") == 0 and str(sf.laws.qat) == text
    frame = sf.laws.chinchilla.to_frame()
    assert frame.loc["alpha", ["kind", "lower", "upper"]].to_list() == ["exponent", 0.005, 5.0]


def test_a_formula_brings_no_marks_of_html():
    for latex in (r"\text{<script>alert(1)</script>}", r"\text{<mi onclick='x'>a</mi>}", r"\frac{"):
        assert render.typeset(latex, "a < b") == "<code>a &lt; b</code>"
    assert render.typeset(r"a < \tfrac{1}{2}", "").startswith("<math ")
