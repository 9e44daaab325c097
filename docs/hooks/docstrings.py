"""Docstrings as the reference shows them: names of the library as links, examples as code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

DOCS = Path(__file__).parents[1]

ROLE = re.compile(r":(func|class|meth|mod|attr|data):`~?([\w.]+)`")
# Markdown takes what stands between the stars of "N* and D*" for emphasis.
STAR = re.compile(r"(`+[^`]*`+)|(?<=\b[NDC])\*(?=[ ,.;:)^/]|$)", flags=re.MULTILINE)
# Griffe knows the section by its plural, and takes the singular for an admonition.
EXAMPLE = re.compile(r"^Example:$", flags=re.MULTILINE)
SOURCE = re.compile(r"^Source:\n((?:    .*\n?)+)", flags=re.MULTILINE)


def documented() -> set[str]:
    """The paths of all objects of the reference."""
    text = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
    return set(re.findall(r"^::: (\S+)", text, flags=re.MULTILINE))


class Readable(griffe.Extension):
    """Rewrites what Markdown would show as it stands."""

    def __init__(self) -> None:
        """Read which objects have a place to link to."""
        self.paths = documented()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Mend the docstring of one object."""
        if obj.docstring is None:
            return
        text = EXAMPLE.sub("Examples:", obj.docstring.value)
        text = SOURCE.sub(lambda found: f"**Source:** {' '.join(found[1].split())}\n", text)
        text = STAR.sub(lambda found: found[1] or r"\*", text)
        obj.docstring.value = ROLE.sub(lambda found: self.linked(*found.groups(), obj), text)

    def linked(self, role: str, name: str, obj: griffe.Object) -> str:
        """A name as code, with a link where the reference has it."""
        target = self.documented(name)
        if role == "meth" and not target:
            owner = obj if obj.is_class else obj.parent
            kind, _, method = name.rpartition(".")
            if not kind and owner is not None and method in owner.members:
                kind = owner.name
            target = f"{held}.{method}" if (held := self.documented(kind)) else ""
        return f"[`{name}`][{target}]" if target else f"`{name}`"

    def documented(self, name: str) -> str:
        """The path of an object of the reference that has this name, or nothing."""
        last = name.removeprefix("scalefit.")
        found = [path for path in self.paths if f".{path}".endswith(f".{last}")]
        return min(found, key=len) if name and found else ""
