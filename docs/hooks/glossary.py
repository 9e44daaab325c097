"""Terms of the glossary as anchors, to link to, as ``glossary.md#near-optimal-region``."""

from __future__ import annotations

import re
from typing import Any

TERM = re.compile(r"^\*\*(.+?)\*\*(?=[: ])", flags=re.MULTILINE)
# The letters that head the lists have these names themselves.
SHORT = {"N": "n-parameters", "D": "d-tokens", "E": "e-floor"}


def anchor(term: str) -> str:
    """The name of a term in an address."""
    return SHORT.get(term) or re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Name the terms of the glossary; other pages are left as they are."""
    if page.file.src_uri != "glossary.md":
        return markdown
    return TERM.sub(lambda found: f"{found[0]}{{#{anchor(found[1])}}}", markdown)
