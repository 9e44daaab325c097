"""The code of the page on designs runs, and says what the page says."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/design.md"


def test_the_code_of_the_page_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(block, names)
    assert names["found"].identifies and not names["found"].notes
    assert not names["trap"].identifies
