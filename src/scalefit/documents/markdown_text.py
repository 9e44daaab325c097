"""A report as Markdown of GitHub, with its pictures inside or as files beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from scalefit.documents.content import (
    GENERATOR,
    Block,
    Code,
    Figure,
    Folded,
    Formula,
    Gap,
    Heading,
    Items,
    Listing,
    Notes,
    Number,
    Paragraph,
    Piece,
    Section,
    Words,
)
from scalefit.reporting import render
from scalefit.reporting.description import Table

__all__ = ["text"]


def text(
    title: str,
    byline: str,
    answer: Words,
    alert: str,
    sections: Sequence[Section],
    files: Mapping[str, str] | None = None,
) -> str:
    """The whole text.

    Args:
        title: of the report.
        byline: author and date, if they are known.
        answer: the answer in a sentence.
        alert: what to look at first; empty for nothing.
        sections: the rest.
        files: the file of each figure, by name; None for data inside the text.
    """
    found = [f"<!-- {GENERATOR} -->", f"# {render.plain(title)}"]
    found += [render.plain(byline)] if byline else []
    found += [f"> {_words(answer)}"]
    found += [f"**{render.plain(alert)}**"] if alert else []
    for one in sections:
        found.append(f"## {render.plain(one.title)}")
        found += [_block(block, files, 3) for block in one.blocks]
    return "\n\n".join(found) + "\n"


def _block(block: Block, files: Mapping[str, str] | None, depth: int) -> str:
    match block:
        case Paragraph():
            lead = f"**{render.plain(block.lead)}.** " if block.lead else ""
            return lead + _words(block.words)
        case Heading():
            return f"{'#' * depth} {render.plain(block.text)}"
        case Formula():
            return f"$$\n{block.latex}\n$$" if block.latex else _code(block.text)
        case Items():
            return "\n".join(
                f"- **{render.plain(name)}**: {_words(words)}" for name, words in block.pairs
            )
        case Listing():
            fence = _fence(block.text, 3)
            return f"{fence}{block.language}\n{block.text}\n{fence}"
        case Notes():
            return "\n".join(
                f"- **{'warning' if note.severity == 'warning' else 'note'}** "
                f"{_code(note.code)} ({render.plain(origin)}): {render.plain(note.message)}"
                for note, origin in block.notes
            )
        case Figure():
            return f"![{render.plain(block.alt)}]({_place(block, files)})\n\n" + (
                f"*{render.plain(block.caption)}*"
            )
        case Folded():
            inside = [_block(item, files, depth + 1) for item in block.blocks]
            return "\n\n".join([f"{'#' * depth} {render.plain(block.title)}", *inside])
        case Table():
            return render.markdown_table(block)


def _place(figure: Figure, files: Mapping[str, str] | None) -> str:
    """Where a picture is: a file, or the text itself."""
    if files is None:
        return f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
    # Between brackets a name may hold spaces.
    return f"<{files[figure.name]}>"


def _words(words: Words) -> str:
    return "".join(map(_piece, words))


def _piece(piece: Piece) -> str:
    match piece:
        case Formula():
            return f"${piece.latex}$" if piece.latex else _code(piece.text)
        case Number():
            return render.plain(piece.text)
        case Code():
            return _code(piece.text)
        case Gap():
            return f"**{render.plain(piece.text)}**"
    return render.plain(piece)


def _code(text: str) -> str:
    """Words of code on one line, whatever they hold."""
    one = " ".join(text.splitlines())
    fence = _fence(one, 1)
    return f"{fence}{one}{fence}" if len(fence) == 1 else f"{fence} {one} {fence}"


def _fence(text: str, least: int) -> str:
    """Backticks, more than any that follow each other in a text."""
    run = most = 0
    for letter in text:
        run = run + 1 if letter == "`" else 0
        most = max(most, run)
    return "`" * max(least, most + 1)
