"""Reports: what they say, in three formats, and where they are written."""

import copy
import pickle
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

import scalefit as sf
from scalefit.documents.checklist import GROUPS, answers
from scalefit.documents.content import Figure, Gap, Paragraph, plain_words
from scalefit.documents.figures import of_result
from scalefit.documents.latex_text import PREAMBLE
from scalefit.documents.material import TITLES, TOPICS, Material
from scalefit.errors import ArgumentError, DataError
from scalefit.frozen import Frozen

# A header and labels that each format would read as its own marks.
COLUMN = "format <script>alert(1)</script>_$&%#"
LABELS = ("fp8 & $x_1$ 100% \\input{x}", "<b>bf16</b>|`x` [a](b) 中")


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.004, seed=1)


@pytest.fixture(scope="module")
def results(runs):
    fit = sf.fit(runs)
    draws = sf.bootstrap(fit, runs, 16, progress=False)
    some = draws, sf.allocate(draws, 1e24), sf.covariance(fit, runs), sf.isoflop(runs)
    return fit, some


@pytest.fixture(scope="module")
def report(runs, results):
    draws, *others = results[1]
    about = {"author": "A. & B.", "date": "2026-01-02", "optimizer": "AdamW {fused}."}
    return sf.report(draws, runs, *others, about=about, title="Models of <ours>")


@pytest.fixture(scope="module")
def labelled(runs):
    odd = np.arange(len(runs)) % 2
    table = runs.assign(**{COLUMN: np.where(odd, *LABELS)})
    table["loss"] *= np.where(odd, 1.02, 1.0)
    fit = sf.fit(table, groups={"A": COLUMN})
    return sf.report(
        fit, table, sf.covariance(fit, table), about={"data": "<i>50 % $5_0</i> & \\x"}
    )


class Page(HTMLParser):
    """Tags that are open, headings, pictures and what is loaded, of a page."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.loads, self.alts, self.tags = [], [], [], [], []
        self.ids, self.links, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.loads += [given[name] for name in ("src", "data", "action") if name in given]
        self.links += [given["href"]] if "href" in given else []
        if tag == "img":
            self.alts.append(given.get("alt", ""))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_sound_and_needs_nothing_else(report):
    page = Page(report.html)
    assert page.open == []
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert not re.search(r"@import|url\(", report.html) and "script" not in page.tags
    assert set(page.links) == {f"#{name}" for name in page.ids}
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    steps = np.diff(page.headings)
    assert steps.max() <= 1
    assert len(page.alts) == len(report.figures) and all(len(alt) > 40 for alt in page.alts)
    assert "prefers-color-scheme: dark" in report.html and "@media print" in report.html


def test_a_notebook_shows_the_same_without_the_colours_of_a_page(report):
    shown = report._repr_html_()
    assert shown in report.html and Page(shown).open == []
    assert "body {" not in shown and "color-scheme" not in shown


def test_the_same_arguments_give_the_same_text_whatever_the_session_draws_in(runs, results):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    first, before = sf.report(results[0], runs), dict(mpl.rcParams)
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 20}):
        other = sf.report(results[0], runs)
        assert mpl.rcParams["axes.facecolor"] == "red"
    assert other.html == first.html and other.latex == first.latex
    assert len(first.figures) == 2
    assert [one.pdf for one in other.figures] == [one.pdf for one in first.figures]
    assert plt.get_fignums() == [] and dict(mpl.rcParams) == before


def test_the_answer_is_that_of_the_allocation(report, results):
    best = results[1][1]
    low, high = best.estimate("N").interval()
    assert report.answer.startswith("At a budget of 1e24 FLOP, the compute-optimal model has ")
    size = re.search(
        r"has ([\d.]+)B parameters \(95 % interval ([\d.]+)B to ([\d.]+)B\)", report.answer
    )
    assert [float(item) for item in size.groups()] == pytest.approx(
        [best.N / 1e9, low / 1e9, high / 1e9], rel=0.05
    )


def test_sections_are_in_order_and_hold_every_result(report, results):
    titles = [one.title for one in report.sections]
    assert titles == [
        *("Data", "Law", "Parameters", "Goodness of fit", "Uncertainty", "Allocation"),
        *("IsoFLOP sweeps", "Warnings and notes", "What this does not cover", "Methods"),
        *("How to reproduce", "References"),
    ]
    for result in results[1]:
        assert result.describe().title in report.markdown
    notes = [*results[0].notes, *(note for item in results[1] for note in item.notes)]
    said = " ".join(Page(report.html).text)
    assert all(note.message in said for note in notes if note.code != "fit_warnings")


def test_whatever_describes_itself_has_a_section(runs, results):
    fit = results[0]
    others = fit.estimate_loss(N=1e9, D=1e11), sf.fit(runs, robust="none"), fit.law
    found = sf.report(fit, None, *others)
    kinds = [one.title for one in found.sections]
    assert "Fits and predictions" in kinds and "Further results" in kinds
    assert "No interval is given" in found.markdown
    best = sf.allocate(results[1][0], 1e23)
    assert "Intervals hold the noise" in sf.report(fit, None, best).markdown


# --- Methods ---


def material(fit, table=None, results=(), about=None):
    return Material(fit, table, None, tuple(results), Frozen(about or {}), 0.95)


def test_every_question_is_answered_or_its_gap_is_named(results):
    found = answers(material(results[0], results=results[1]))
    assert list(dict.fromkeys(item.group for item in found)) == list(GROUPS)
    assert len({item.question for item in found}) == len(found) == 18
    for item in found:
        words = item.words(material(results[0]), gaps=True)
        assert plain_words(words).strip(), item.question
        named = "".join(piece.text for piece in words if isinstance(piece, Gap))
        assert all(f"'{topic}': ..." in named for topic in item.topics), item.question
    assert {topic for item in found for topic in item.topics} == set(TOPICS)


def test_what_the_author_says_closes_every_gap(results):
    about = {topic: f"the word of {topic}" for topic in TOPICS}
    known = sf.report(results[0], about=about)
    assert "Not known to scalefit" not in known.markdown
    assert all(known.markdown.count(f"the word of {topic}") == 2 for topic in TOPICS)
    assert "They were trained with the word of optimizer." in known.markdown


def methods(report):
    section = next(one for one in report.sections if one.title == "Methods")
    return [plain_words(one.words) for one in section.blocks if isinstance(one, Paragraph)]


def test_the_methods_have_the_numbers_of_the_fit(runs, report, results):
    fit, (draws, *_) = results
    hypothesis, training, collection, fitting = methods(report)
    assert "5 free parameters, E, A, B, alpha and beta." in hypothesis
    assert f"The fit uses {len(runs)} training runs" in training
    assert f"({runs['N'].nunique()} distinct values)" in training
    assert "They were trained with AdamW {fused}." in training
    assert "column loss of the table, in nats/token" in collection
    rms = np.sqrt(np.mean(np.log(runs["loss"] / fit.predict(runs)) ** 2))
    assert f"log residuals is {100 * rms:.3f} %" in fitting
    assert f"those of {len(draws)} bootstrap refits by rows (seed 0)" in fitting
    assert fit.provenance["data"] in fitting and "No runs were held out" in fitting


def test_rows_left_out_constraints_and_groups_are_told(runs):
    table = sf.read(runs.assign(half=np.arange(len(runs)) % 2), keep="C > 5e17")
    fit = sf.fit(table, groups={"A": "half"}, fixed={"E": 1.7}, bounds={"alpha": (0.1, 0.9)})
    hypothesis, _, _, fitting = methods(sf.report(fit))
    lost = int((runs["C"] <= 5e17).sum())
    assert f"Of {len(runs)} rows {lost} were left out: {lost} fail C > 5e17." in fitting
    assert "E is fixed at 1.7." in hypothesis and "alpha is bounded to [0.1, 0.9]." in hypothesis
    assert "A has a value for each of 2 levels of half." in hypothesis


def test_published_values_have_a_report_without_runs():
    fit = sf.published("chinchilla", "besiroglu")
    found = sf.report(fit, None, sf.allocate(fit, 1e24))
    assert "nothing was fitted here" in methods(found)[3] and found.figures == ()
    assert "nan" not in found.markdown and Page(found.html).open == []


# --- What labels hold ---


def test_labels_are_text_in_html(labelled):
    page = Page(labelled.html)
    assert page.open == [] and {"script", "b", "i"}.isdisjoint(page.tags)
    said = "".join(page.text)
    assert all(text in said for text in (COLUMN, *LABELS, "<i>50 % $5_0</i> & \\x"))


def test_labels_are_text_in_markdown(labelled):
    outside = re.sub(
        r"(`+)(?!`).*?(?<!`)\1(?!`)|\$\$.*?\$\$", "", labelled.markdown, flags=re.DOTALL
    )
    assert not re.search(r"<(?!!--)\w|(?<!\\)\]\(b\)", outside)
    assert tables_are_even(labelled.markdown) == 5


def tables_are_even(text):
    """How many tables there are, each with as many cells in every row."""
    count = 0
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.MULTILINE):
        rows = block.strip().split("\n")
        assert re.fullmatch(r"\|( :--| --:)( \|( :--| --:))* \|", rows[1]), rows[1]
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(widths) == 1, block
        count += 1
    return count


def balanced(text):
    """Whether braces and environments of a LaTeX document close, and no comment hides an end."""
    bare = re.sub(r"(?<!\\)%.*", "", text.replace("\\\\", ""))
    depth = 0
    for letter in re.sub(r"\\[{}]", "", bare):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", bare):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    return depth == 0 and not stack


def test_labels_are_text_in_latex(labelled, report):
    assert balanced(labelled.latex) and balanced(report.latex)
    body = labelled.latex.partition(r"\begin{document}")[2]
    assert r"\input{x}" not in body and r"\textbackslash{}input\{x\}" in body
    assert r"\DeclareUnicodeCharacter{4E2D}" in labelled.latex
    # No mark of LaTeX is left in what labels brought.
    assert not re.search(r"(?<!\\)[#]", body)
    assert not re.search(r"(?<!\\)% ?#", body)


def lacks_latex():
    """Whether LaTeX, or a package that a report asks for, is not installed."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return True
    needed = re.findall(r"^\s*\\usepackage(?:\[[^]]*\])?\{(\w+)\}", PREAMBLE, re.MULTILINE)
    found = subprocess.run(["kpsewhich", *(f"{name}.sty" for name in needed)], capture_output=True)
    return found.returncode != 0


@pytest.mark.slow
def test_latex_compiles(labelled, report, tmp_path):
    if lacks_latex():
        pytest.skip("LaTeX or one of its packages is not installed")
    for name, one in (("labelled", labelled), ("report", report)):
        one.save(tmp_path / f"{name}.tex")
        call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, timeout=100)
        assert done.returncode == 0, done.stdout[-2000:]


# --- Files ---


def test_a_report_is_written_by_its_suffix_and_replaced(report, tmp_path):
    for suffix, text, kind in (("html", report.html, ""), ("md", "", "png"), ("tex", "", "pdf")):
        place = tmp_path / f"of ours.{suffix}"
        report.save(place)
        report.save(place)
        found = place.read_text(encoding="utf-8")
        assert found == text if text else found.count("of ours-surface.") == 1
        pictures = {one.name: getattr(one, kind) for one in report.figures} if kind else {}
        for name, content in pictures.items():
            assert (tmp_path / f"of ours-{name}.{kind}").read_bytes() == content
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("taken", ["r.html", "r.md", "r-residuals.png", "r.tex", "r-surface.pdf"])
def test_a_file_that_is_no_report_is_left_as_it_is(report, tmp_path, taken):
    other = tmp_path / taken
    other.write_bytes(b"notes of mine")
    suffix = {"png": "md", "pdf": "tex"}.get(taken[-3:], taken.rpartition(".")[2])
    with pytest.raises(ArgumentError, match="is no report") as caught:
        report.save(tmp_path / f"r.{suffix}")
    assert caught.value.argument == "path" and "overwrite=True" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert other.read_bytes() == b"notes of mine"
    report.save(tmp_path / f"r.{suffix}", overwrite=True)
    assert other.read_bytes() != b"notes of mine"


@pytest.mark.parametrize("path", ["r.docx", "r", "", 3, "no such folder/r.html"])
def test_a_path_that_is_none_is_refused(report, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError) as caught:
        report.save(path)
    assert caught.value.argument == "path" and not list(tmp_path.iterdir())


def test_report_writes_where_it_is_told(results, tmp_path):
    sf.report(results[0], path=tmp_path / "r.md")
    assert (tmp_path / "r.md").read_text().startswith("<!-- scalefit report -->\n\n# Scaling law")


# --- Arguments ---


def test_what_makes_no_report_is_refused(runs, results):
    fit = results[0]
    with pytest.raises(ArgumentError, match="about has no topic 'optimiser'"):
        sf.report(fit, about={"optimiser": "AdamW"})
    assert all(name in sf.report.__doc__ for name in (*TOPICS, *TITLES))
    with pytest.raises(ArgumentError, match=r"about\['data'\]"):
        sf.report(fit, about={"data": 3})
    with pytest.raises(ArgumentError, match=r"results\[1\]"):
        sf.report(fit, runs, fit, 3)
    with pytest.raises(ArgumentError, match="is a table"):
        sf.report(fit, None, sf.read(runs))
    with pytest.raises(DataError, match="not the 35 runs"):
        sf.report(fit, runs.iloc[1:])
    with pytest.raises(ArgumentError, match="titel"):
        sf.report(fit, runs, titel="x")


def test_a_report_is_copied_and_pickled(report):
    for other in (pickle.loads(pickle.dumps(report)), copy.deepcopy(report)):
        assert other.html == report.html and repr(other) == repr(report)


def test_the_warnings_are_named_at_the_top(runs):
    few = runs.iloc[::5]
    found = sf.report(sf.fit(few, bounds={"alpha": (0.5, 0.6)}))
    assert found.alert.startswith("Read the warnings first: ") and "at_bound" in found.alert
    assert "at_bound" in found.html.partition("<nav")[0]


def test_results_of_judgement_have_their_figures(runs, results):
    fit = results[0]
    found = (
        sf.diagnose(fit, runs),
        sf.holdout(runs),
        sf.compare(runs, ["chinchilla", "kaplan"]),
        sf.next_runs(fit, runs, budget=1e21, target=1e23, count=2),
    )
    material = Material(fit, sf.read(runs), None, found, {}, 0.95)
    for result, name in zip(found, ("diagnosis", "holdout", "comparison", "runs"), strict=True):
        drawn = of_result(result, material, 1)
        assert isinstance(drawn, Figure), drawn
        assert drawn.name == f"result1-{name}"
