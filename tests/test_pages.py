"""The code of the README and of every page runs from its top, as a reader would copy it.

Code that only sets a page up, as a file that it reads, is in comments of the page that are not
shown: ``<!--- invisible-code-block: python``. ``<!--- skip: next -->`` passes over a block.
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[1]
PARSER = Sybil([PythonCodeBlockParser(), SkipParser()])

# Pages whose code other tests run, and compare with what the page says.
ELSEWHERE = {
    "design": "design/test_design_page.py",
    "isoflop": "approach2/test_page.py",
    "parabolas": "approach2/test_parabolas_page.py",
    "pools": "test_pools.py",
    "studies": "studies/test_study.py",
    "what_an_answer_does_not_say": "test_unsaid_page.py",
}
# Pages that read tables of others.
PUBLIC = ["datasets"]

WITH_CODE = [
    path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if re.search(r"^ *```python", path.read_text(), re.MULTILINE) and path.stem not in ELSEWHERE
]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, request):
    if page.stem in PUBLIC:
        request.getfixturevalue("data_folder")
    monkeypatch.chdir(tmp_path)
    for example in PARSER.parse(page):
        example.evaluate()
        plt.close("all")


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_page_that_is_tested_elsewhere_is(page):
    test = (ROOT / "tests" / ELSEWHERE[page]).read_text()
    assert f'"docs/{page}.md"' in test or f'"{page}.md"' in test, page
