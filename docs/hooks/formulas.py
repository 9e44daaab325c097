"""Formulas of pages as MathML, which browsers set themselves, without a script or a network."""

from __future__ import annotations

import html
import re
from typing import Any

# What pymdownx.arithmatex leaves of $...$ and $$...$$.
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', flags=re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', flags=re.DOTALL)


def mathml(latex: str, *, display: bool = False) -> str:
    """A formula as MathML.

    Args:
        latex: in LaTeX's mathematics, without dollar signs.
        display: whether it stands on a line of its own.

    Raises:
        ValueError: it cannot be converted.
    """
    from scalefit.reporting.render import typeset

    found = typeset(latex.strip(), "", display=display)
    if not found.startswith("<math") or "\\" in re.sub(r"<[^>]*>", "", found):
        raise ValueError(f"a formula that cannot be typeset: {latex}")
    return f'<div class="formula">{found}</div>' if display else found


def typeset_all(page: str) -> str:
    """A page as HTML, with its formulas as MathML.

    Raises:
        ValueError: one cannot be converted.
    """
    page = INLINE.sub(lambda found: mathml(html.unescape(found[1])), page)
    return DISPLAY.sub(lambda found: mathml(html.unescape(found[1]), display=True), page)


def on_page_content(content: str, *, page: Any, **_: Any) -> str:
    """Typeset the formulas of one page."""
    from mkdocs.exceptions import PluginError

    try:
        return typeset_all(content)
    except ValueError as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from error
