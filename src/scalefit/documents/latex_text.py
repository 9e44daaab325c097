"""A report as a LaTeX document that compiles on its own, with its figures as files beside it."""

from __future__ import annotations

import re
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
from scalefit.reporting.numbers import escaped, printable

__all__ = ["text"]

PREAMBLE = r"""\documentclass[11pt]{article}
\usepackage[margin=25mm]{geometry}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[utf8]{inputenc}
  \usepackage[T1]{fontenc}
  \usepackage{textcomp}
\fi
\usepackage{amsmath}
\usepackage{amssymb}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{xcolor}
\usepackage{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\emergencystretch=3em
% A table as wide as the page at most.
\newsavebox{\fitted}
\newcommand{\fittable}{\ifdim\wd\fitted>\linewidth
  \resizebox{\linewidth}{!}{\usebox{\fitted}}\else\usebox{\fitted}\fi}
"""

# Width of a figure that fills a line, inches: its words are then about as large as those around it.
WIDTH = 8.0

# Quotes that LaTeX would turn, and what it would read as a mark in code.
QUOTES = {"'": r"\textquotesingle{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}"}

# What the fonts of pdfTeX have: the letters of western Europe.
KNOWN = 0x17F


def text(
    title: str,
    byline: str,
    answer: Words,
    alert: str,
    sections: Sequence[Section],
    files: Mapping[str, str],
) -> str:
    """The whole document; see :func:`scalefit.documents.markdown_text.text`."""
    lines = [rf"\title{{{_escaped(title)}}}", rf"\author{{{_escaped(byline)}}}", r"\date{}"]
    lines += [r"\begin{document}", r"\maketitle", ""]
    lines += [rf"\begin{{quote}}\large {_words(answer)}\end{{quote}}", ""]
    lines += [rf"\textbf{{{_escaped(alert)}}}", ""] if alert else []
    for one in sections:
        lines += [rf"\section{{{_escaped(one.title)}}}", ""]
        for block in one.blocks:
            lines += [_block(block, files, "subsection"), ""]
    inside = "\n".join([*lines, r"\end{document}", ""])
    return f"% {GENERATOR}\n{PREAMBLE}{_declared(inside)}{inside}"


def _declared(inside: str) -> str:
    """Letters that pdfTeX has no glyph for, shown by their number."""
    letters = sorted({letter for letter in inside if ord(letter) > KNOWN})
    if not letters:
        return ""
    lines = (
        rf"  \DeclareUnicodeCharacter{{{ord(letter):04X}}}{{[U+{ord(letter):04X}]}}"
        for letter in letters
    )
    return "\n".join([r"\ifPDFTeX", *lines, r"\fi", ""])


def _block(block: Block, files: Mapping[str, str], heading: str) -> str:
    match block:
        case Paragraph():
            lead = rf"\textbf{{{_escaped(block.lead)}.}} " if block.lead else ""
            return lead + _words(block.words)
        case Heading():
            return rf"\{heading}*{{{_escaped(block.text)}}}"
        case Formula():
            return rf"\[ {block.latex} \]" if block.latex else _code(block.text)
        case Items():
            # Braces: a name may hold a bracket.
            items = (
                rf"\item[{{{_escaped(name)}{'' if name.endswith('?') else ':'}}}] {_words(words)}"
                for name, words in block.pairs
            )
            return "\n".join([r"\begin{description}", *items, r"\end{description}"])
        case Listing():
            return _listing(block)
        case Notes():
            items = (
                rf"\item \textbf{{{'warning' if note.severity == 'warning' else 'note'}}} "
                rf"{_code(note.code)} ({_escaped(origin)}): {_escaped(note.message)}"
                for note, origin in block.notes
            )
            return "\n".join([r"\begin{itemize}", *items, r"\end{itemize}"])
        case Figure():
            return _figure(block, files)
        case Folded():
            inside = [_block(item, files, "subsubsection") for item in block.blocks]
            return "\n\n".join([rf"\{heading}*{{{_escaped(block.title)}}}", *inside])
        case Table():
            return _table(block)


def _table(block: Table) -> str:
    title = [rf"\textit{{{_escaped(block.title)}}}", ""] if block.title else []
    lines = render.latex_table(block)
    return "\n".join([*title, r"\sbox{\fitted}{%", *lines, r"}\fittable"])


def _figure(block: Figure, files: Mapping[str, str]) -> str:
    # As large as it was drawn, and as wide as the page at most.
    share = min(block.width / WIDTH, 1.0)
    return "\n".join(
        [
            r"\begin{figure}[htbp]",
            r"\centering",
            rf"\includegraphics[width={share:.2f}\linewidth]{{{files[block.name]}}}",
            rf"\caption{{{_escaped(block.caption)}}}",
            r"\end{figure}",
        ]
    )


def _listing(block: Listing) -> str:
    """Code line by line: whatever it holds, no line of it ends the listing."""
    lines = []
    for line in block.text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        lines.append(r"~" * indent + _marked(line.lstrip(" ")) or "~")
    body = "\\\\\n".join(lines)
    return f"{{\\footnotesize\\ttfamily\\raggedright\n{body}\\par}}"


def _words(words: Words) -> str:
    return "".join(map(_piece, words))


def _piece(piece: Piece) -> str:
    match piece:
        case Formula():
            return f"${piece.latex}$" if piece.latex else _code(piece.text)
        case Number():
            found = piece.shown
            unit = f" {_escaped(piece.unit)}".rstrip()
            level = rf" ({100 * (piece.level or 0):g}\,\% interval)" * bool(found.interval)
            return found.latex + unit + level
        case Code():
            return _code(piece.text)
        case Gap():
            return rf"\textcolor{{orange!60!black}}{{{_escaped(piece.text)}}}"
    return _escaped(piece)


def _code(text: str) -> str:
    return rf"\texttt{{{_marked(text)}}}"


def _marked(text: str) -> str:
    """Code, which may be broken after a comma, a slash or an underscore."""
    found = "".join(QUOTES.get(letter) or escaped(letter) for letter in printable(text))
    return re.sub(r"(,|/|\\_)", r"\1\\allowbreak{}", found).replace("--", "-{}-")


def _escaped(text: str) -> str:
    """Words of one line; a long word of letters and digits may be broken."""
    one = printable(" ".join(text.splitlines()))
    found = escaped(one).replace('"', r"\textquotedbl{}")
    return re.sub(r"[0-9a-f]{32,}", lambda hit: r"\allowbreak{}".join(_chunks(hit[0])), found)


def _chunks(text: str) -> list[str]:
    return [text[i : i + 8] for i in range(0, len(text), 8)]
