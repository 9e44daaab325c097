"""The list of the sections of the reference, with what each documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "reference"
MARK = "<!-- sections: docs/hooks/reference.py -->"


def sections(order: list[str]) -> str:
    """A table of the sections.

    Args:
        order: the pages, as the navigation has them.
    """
    lines = ["| section | what it documents |", "|---|---|"]
    for uri in order:
        text = (FOLDER / Path(uri).name).read_text()
        title = text.partition("\n")[0].removeprefix("# ")
        paths = re.findall(r"^::: (\S+)", text, flags=re.MULTILINE)
        names = ", ".join(f"[`{path.rpartition('.')[2]}`][{path}]" for path in paths)
        lines.append(f"| [{title}]({uri}) | {names} |")
    return "\n".join(lines)


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Put the table in its place."""
    if MARK not in markdown:
        return markdown
    held = next(item["Reference"] for item in config.nav if "Reference" in item)
    order = [uri for item in held for uri in item.values() if uri.startswith("reference/")]
    return markdown.replace(MARK, sections(order))
