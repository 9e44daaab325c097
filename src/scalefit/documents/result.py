"""A report: one page, one text, one LaTeX document, of the same content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

from scalefit.arguments import file_path, flag
from scalefit.data import files
from scalefit.documents import html_page, latex_text, markdown_text
from scalefit.documents.content import (
    GENERATOR,
    Block,
    Figure,
    Folded,
    Section,
    Words,
    plain_words,
)
from scalefit.errors import ArgumentError

__all__ = ["Report", "report_path"]

SUFFIXES = {".html": "", ".htm": "", ".md": ".png", ".markdown": ".png", ".tex": ".pdf"}

# Name of the files of figures where a document has none itself.
STEM = "report"


@dataclass(frozen=True, repr=False)
class Report:
    """A fit and its results as a document.

    Attributes:
        title: of the report.
        byline: author and date, if they were given.
        words: the answer in a sentence, as pieces.
        alert: what to look at first; empty for nothing.
        sections: the rest, in order.
    """

    title: str
    byline: str
    words: Words
    alert: str
    sections: tuple[Section, ...]

    @property
    def answer(self) -> str:
        """The answer in a sentence, as text."""
        return plain_words(self.words)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Its pictures, in order, each with ``name``, ``caption``, ``alt``, ``png`` and ``pdf``."""
        return tuple(_figures([block for one in self.sections for block in one.blocks]))

    @cached_property
    def html(self) -> str:
        """One page that needs nothing else: pictures and style are inside it."""
        return html_page.page(*self._parts)

    @cached_property
    def markdown(self) -> str:
        """The same as Markdown of GitHub, with its pictures inside as data."""
        return markdown_text.text(*self._parts)

    @cached_property
    def latex(self) -> str:
        """The same as a LaTeX document; its pictures are the files that :meth:`save` writes."""
        return latex_text.text(*self._parts, self._names(STEM, ".pdf"))

    @property
    def _parts(self) -> tuple[str, str, Words, str, tuple[Section, ...]]:
        return self.title, self.byline, self.words, self.alert, self.sections

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the report, in the format of the suffix: ``.html``, ``.md`` or ``.tex``.

        Pictures of Markdown and LaTeX are files beside it, as ``report-surface.png``. Files appear
        when they are complete. An older report is replaced.

        Args:
            path: of the file, as ``"report.html"``.
            overwrite: whether to replace files that are no report, too.

        Raises:
            ArgumentError: the path is none, has another suffix, no file can be written there, or
                one that is no report is there already.
        """
        place = report_path(path)
        flag(overwrite, "overwrite")
        written = self._files(place, SUFFIXES[place.suffix.lower()])
        try:
            for one in written:
                if files.require_place(one) and not overwrite and not _is_report(one):
                    raise FileExistsError(f"{files.named(one)} is there already, and is no report")
            for one, content in written.items():
                files.write_whole(one, partial(_write, content=content), overwrite=True)
        except OSError as error:
            raise ArgumentError(
                f"the report cannot be written to path={files.named(place)} "
                f"({files.reason(error)})",
                argument="path",
                value=path,
                remedy="Choose another name, in a folder that exists, or pass overwrite=True",
            ) from error

    def _files(self, place: Path, kind: str) -> dict[Path, bytes]:
        """Content of every file to write, the document last."""
        if not kind:
            return {place: self.html.encode()}
        names = self._names(place.stem, kind)
        found = {
            place.with_name(names[one.name]): one.png if kind == ".png" else one.pdf
            for one in self.figures
        }
        said = (
            markdown_text.text(*self._parts, names)
            if kind == ".png"
            else latex_text.text(*self._parts, names)
        )
        return {**found, place: said.encode()}

    def _names(self, stem: str, kind: str) -> dict[str, str]:
        """The file of each figure, by a name that Markdown and LaTeX read as it is."""
        plain = re.sub(r"[^\w. -]", "-", stem)
        return {one.name: f"{plain}-{one.name}{kind}" for one in self.figures}

    def _repr_html_(self) -> str:
        return html_page.body(*self._parts)

    def __str__(self) -> str:
        return self.markdown

    def __repr__(self) -> str:
        count = len(self.figures)
        return (
            f"<Report {self.title!r}: {len(self.sections)} sections, {count} figures; "
            ".save('report.html')>"
        )


def _figures(blocks: list[Block]) -> list[Figure]:
    found: list[Figure] = []
    for block in blocks:
        if isinstance(block, Figure):
            found.append(block)
        elif isinstance(block, Folded):
            found += _figures(list(block.blocks))
    return found


def _is_report(path: Path) -> bool:
    """Whether a file is one that :meth:`Report.save` wrote."""
    with files.open_regular(path) as file:
        return GENERATOR.encode() in file.read()


def _write(file: BinaryIO, content: bytes) -> Any:
    file.write(content)


def report_path(path: Any) -> Path:
    """The file of a report.

    Raises:
        ArgumentError: the path is none, or has another suffix.
    """
    place = file_path(path, "path", remedy="Pass the name of a file, as path='report.html'")
    if place.suffix.lower() not in SUFFIXES:
        raise ArgumentError(
            f"path={files.named(place)} has no suffix of a report",
            argument="path",
            value=path,
            remedy="Pass a name that ends in .html, .md or .tex, as path='report.html'",
        )
    return place
