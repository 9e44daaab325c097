"""What the site generates: a page for every law, formulas typeset, notebooks as pages."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import formulas  # noqa: E402  # Scripts of the documentation, which is no package.
import glossary  # noqa: E402
import law_pages  # noqa: E402
import notebooks  # noqa: E402

PAGES = law_pages.pages()


def test_every_law_has_a_page():
    assert set(PAGES) == {*sf.laws.BUILTIN, *law_pages.MADE}
    makers = {name for name in dir(sf.laws) if name.endswith("mixture_of")} | {"multi_power"}
    assert set(law_pages.MADE) == makers
    listed = [
        name for family in law_pages.navigation() for pages in family.values() for name in pages
    ]
    assert sorted(next(iter(item)) for item in listed) == sorted(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_of_a_law_says_what_the_law_is(name):
    text = PAGES[name]
    (formula,) = re.findall(r"\$\$ (.*?) \$\$", text)
    assert formulas.mathml(formula, display=True).count("<math") == 1
    law = sf.laws.BUILTIN.get(name)
    if law is None:
        return
    assert formula == law.latex
    for item in (*law.columns, law.response, *law.names):
        assert f"| `{item}` |" in text, item
    assert not re.search(r":\w+:`", text)
    for number in re.findall(r"\d{4}\.\d{5}", " ".join([law.source, *law.also_known_as])):
        assert f"https://arxiv.org/abs/{number}" in text
    # The example says what it prints.
    names = {}
    exec(law_pages.example_code(law), names)
    assert np.isfinite(names["found"]).all()


def test_formulas_of_a_page_need_no_script():
    page = r'a <span class="arithmatex">\(N &lt; D\)</span><div class="arithmatex">\[x^2\]</div>'
    found = formulas.typeset_all(page)
    assert found.count("<math") == 2 and "arithmatex" not in found and "&#x0003C;" in found
    with pytest.raises(ValueError, match="cannot be typeset"):
        formulas.mathml(r"\frac{")


def test_pages_link_to_terms_that_the_glossary_has():
    pages = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
    terms = {glossary.anchor(term) for term in glossary.TERM.findall(pages["glossary.md"])}
    linked = set(re.findall(r"glossary\.md#([\w-]+)", " ".join(pages.values())))
    assert linked and linked <= terms
    assert len(terms) == len(glossary.TERM.findall(pages["glossary.md"]))


def test_notebooks_have_a_title_and_a_lead():
    for path in notebooks.notebooks().values():
        script = path.read_text()
        assert notebooks.title(script) and notebooks.lead(script)


def test_a_notebook_becomes_a_page(tmp_path):
    pytest.importorskip("jupytext")
    pytest.importorskip("nbconvert")
    script = tmp_path / "two.py"
    script.write_text("# %% [markdown]\n# # Two\n# With $x$.\n\n# %%\nprint(1 + 1)\n")
    book = notebooks.read(script)
    output = {"output_type": "stream", "name": "stdout", "text": "2\n"}
    book.cells[1].outputs = [type(book)(output)]
    text, pictures = notebooks.page("two", book, "*Said.*")
    assert "\n# Two\n\n[Download as a notebook](two.ipynb)" in text
    assert "*Said.*" in text and "With $x$." in text and not pictures
    assert "print(1 + 1)" in text and "~~~~ {.text .output .no-copy}\n2\n~~~~" in text


def test_docstrings_show_no_marks_of_another_language():
    pytest.importorskip("griffe")
    import docstrings

    readable = docstrings.Readable()
    for path in sorted((ROOT / "src").rglob("*.py")):
        left = docstrings.ROLE.sub("", path.read_text())
        assert not re.search(r":[a-z]+:`", left), path
    assert readable.documented("scalefit.fit") == "scalefit.fit"
    assert readable.documented("Fit") == "scalefit.Fit"
    assert readable.documented("nothing_of_that_name") == ""
