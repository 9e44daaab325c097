"""A report as one HTML page that needs nothing else: pictures inside it, formulas as MathML."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape

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

__all__ = ["body", "page"]

PAGE = """
.scalefit-report {
    --line: rgba(128, 128, 128, 0.35); --soft: rgba(128, 128, 128, 0.1);
    max-width: 54rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; line-height: 1.55;
    font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
    font-size: 1rem; overflow-wrap: break-word}
.scalefit-report h1 {font-size: 1.75rem; line-height: 1.25; margin: 0.4em 0 0.3em}
.scalefit-report h2 {font-size: 1.3rem; margin: 2.2em 0 0.6em; padding-bottom: 0.25em;
    border-bottom: 1px solid var(--line)}
.scalefit-report h3 {font-size: 1.05rem; margin: 1.5em 0 0.4em}
.scalefit-report p {margin: 0.6em 0}
.scalefit-report .byline {opacity: 0.75; margin: 0}
.scalefit-report .answer {font-size: 1.15rem; border-left: 0.25rem solid #31688e;
    padding: 0.5rem 1rem; background: var(--soft)}
.scalefit-report .alert {border-left: 0.25rem solid #d9822b; padding: 0.5rem 1rem;
    background: rgba(217, 130, 43, 0.13)}
.scalefit-report nav ul {columns: 3 12rem; list-style: none; padding: 0; margin: 1em 0;
    font-size: 0.95rem}
.scalefit-report a {color: inherit}
.scalefit-report .wide {overflow-x: auto; margin: 0.8em 0}
.scalefit-report .wide table {margin: 0; font-size: 0.93rem}
.scalefit-report .formula {overflow-x: auto; overflow-y: hidden; padding: 0.5em 0;
    font-size: 1.1rem}
.scalefit-report dl {display: grid; grid-template-columns: minmax(7rem, 13rem) 1fr;
    gap: 0.35em 1.2em; margin: 0.8em 0}
.scalefit-report dt {opacity: 0.75}
.scalefit-report dd {margin: 0; min-width: 0}
.scalefit-report pre {background: var(--soft); padding: 0.8em 1em; overflow-x: auto;
    border-radius: 4px; font-size: 0.87rem; line-height: 1.45}
.scalefit-report code {font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: 0.92em}
.scalefit-report pre code {font-size: inherit}
.scalefit-report figure {margin: 1.2em 0}
.scalefit-report figure img {max-width: 100%; height: auto; background: #ffffff;
    border-radius: 4px}
.scalefit-report figcaption {opacity: 0.75; font-size: 0.93rem}
.scalefit-report .gap {color: #b07503; font-style: italic; background: none}
.scalefit-report details {margin: 0.8em 0}
.scalefit-report details > div {margin-left: 0.2em}
@media (max-width: 40rem) {
    .scalefit-report {padding: 1rem 0.9rem 3rem}
    .scalefit-report dl {display: block}
    .scalefit-report dd {margin: 0 0 0.6em}}
@media print {
    .scalefit-report {max-width: none; padding: 0; font-size: 10pt}
    .scalefit-report nav {display: none}
    .scalefit-report figure, .scalefit-report table, .scalefit-report pre {
        break-inside: avoid}
    .scalefit-report pre {white-space: pre-wrap}
    .scalefit-report h2, .scalefit-report h3 {break-after: avoid}}
"""

# Only of a page of its own: a notebook has colours, and its theme is not the system's.
ALONE = """
:root {color-scheme: light dark}
body {margin: 0; background: #ffffff; color: #1b1f24}
body .scalefit-report .gap {color: #8a5a00}
@media screen and (prefers-color-scheme: dark) {
    body {background: #16191d; color: #dfe3e8}
    body .scalefit-report .gap {color: #e3b341}
    body .scalefit-report .note.warning .severity {color: #f0a04b}
    body .scalefit-report figure img {filter: brightness(0.88)}}
"""


def page(title: str, byline: str, answer: Words, alert: str, sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        title: of the report.
        byline: author and date, if they are known.
        answer: the answer in a sentence.
        alert: what to look at first; empty for nothing.
        sections: the rest.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="generator" content="{GENERATOR}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{ALONE}</style>\n</head>\n<body>\n"
        f"{body(title, byline, answer, alert, sections)}\n</body>\n</html>\n"
    )


def body(title: str, byline: str, answer: Words, alert: str, sections: Sequence[Section]) -> str:
    """What a page or a cell of a notebook shows; see :func:`page`."""
    parts = [f"<style>{render.STYLE}{PAGE}</style>", f"<h1>{escape(title)}</h1>"]
    parts += [f'<p class="byline">{escape(byline)}</p>'] if byline else []
    parts.append(f'<p class="answer">{_words(answer)}</p>')
    parts += [f'<p class="alert">{escape(alert)}</p>'] if alert else []
    links = (f'<li><a href="#{_anchor(one)}">{escape(one.title)}</a></li>' for one in sections)
    parts.append(f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>')
    for one in sections:
        inside = "\n".join(_block(block) for block in one.blocks)
        parts.append(
            f'<section id="{_anchor(one)}">\n<h2>{escape(one.title)}</h2>\n{inside}\n</section>'
        )
    return '<article class="scalefit-report scalefit">\n' + "\n".join(parts) + "\n</article>"


def _display(block: Formula) -> str:
    return render.typeset(block.latex, block.text, display=True)


def _anchor(section: Section) -> str:
    return "-".join(section.title.lower().split())


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            lead = f"<strong>{escape(block.lead)}.</strong> " if block.lead else ""
            return f"<p>{lead}{_words(block.words)}</p>"
        case Heading():
            return f"<h3>{escape(block.text)}</h3>"
        case Formula():
            return f'<div class="formula">{_display(block)}</div>'
        case Items():
            pairs = (
                f"<dt>{escape(name)}</dt><dd>{_words(words)}</dd>" for name, words in block.pairs
            )
            return f"<dl>{''.join(pairs)}</dl>"
        case Listing():
            return f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'
        case Notes():
            return "\n".join(_notes(block))
        case Figure():
            data = base64.b64encode(block.png).decode()
            return (
                f'<figure><img src="data:image/png;base64,{data}" alt="{escape(block.alt)}" '
                f'width="{round(96 * block.width)}">'
                f"<figcaption>{escape(block.caption)}</figcaption></figure>"
            )
        case Folded():
            inside = "\n".join(_block(item) for item in block.blocks)
            return f"<details><summary>{escape(block.title)}</summary><div>{inside}</div></details>"
        case Table():
            return f'<div class="wide" tabindex="0">{render.html_table(block)}</div>'


def _notes(block: Notes) -> Iterator[str]:
    for note, origin in block.notes:
        severity = "warning" if note.severity == "warning" else "note"
        yield (
            f'<div class="note {severity}"><span class="severity">{severity}</span> '
            f"<code>{escape(note.code)}</code> ({escape(origin)}): {escape(note.message)}</div>"
        )


def _words(words: Words) -> str:
    return "".join(map(_piece, words))


def _piece(piece: Piece) -> str:
    match piece:
        case Formula():
            return render.typeset(piece.latex, piece.text)
        case Number():
            return escape(piece.text)
        case Code():
            return f"<code>{escape(piece.text)}</code>"
        case Gap():
            return f'<mark class="gap">{escape(piece.text)}</mark>'
    return escape(piece)
