"""Descriptions as text, HTML, Markdown and LaTeX. Nothing here knows what is described."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

from scalefit.notes import Note
from scalefit.reporting.description import Description, Table
from scalefit.reporting.numbers import Shown, escaped

__all__ = ["html", "latex", "markdown", "text"]

WIDTH = 88

# Rows of a table that a report shows, and of a longer one the first.
MOST_ROWS, FIRST_ROWS = 20, 15

# Colours that are read on light and on dark ground; everything else is the notebook's own.
STYLE = """
.scalefit {max-width: 60em; line-height: 1.45}
.scalefit .title {font-weight: 600}
.scalefit table {border-collapse: collapse; margin: 0.5em 0}
.scalefit table th, .scalefit table td {
    text-align: left; padding: 0.15em 0.9em 0.15em 0; border: 0; vertical-align: top;
    background: none; font-variant-numeric: tabular-nums}
.scalefit table td.number, .scalefit table th.number {text-align: right}
.scalefit table.data thead th {border-bottom: 1px solid rgba(128, 128, 128, 0.6)}
.scalefit caption {
    caption-side: top; text-align: left; opacity: 0.8; padding: 0 0 0.2em; color: inherit}
.scalefit .note {border-left: 0.25em solid rgba(128, 128, 128, 0.7); padding: 0.1em 0.6em;
    margin: 0.25em 0}
.scalefit .note.warning {border-color: #d9822b; background: rgba(217, 130, 43, 0.13)}
.scalefit .note .severity {font-weight: 600}
.scalefit .note.warning .severity {color: #c46a12}
.scalefit details {margin: 0.3em 0}
.scalefit summary {cursor: pointer; opacity: 0.8}
"""


def text(said: Description) -> str:
    """A report of at most :data:`WIDTH` columns where its tables allow that."""
    lines = [_first_line(said.title, said.formula)]
    lines += _wrapped(said.headline, "", "") if said.headline else []
    for table in said.tables:
        lines += ["", *_text_table(table)]
    if said.facts:
        room = max(len(name) for name in said.facts) + 2
        lines.append("")
        for name, fact in said.facts.items():
            lines += _wrapped(fact, f"  {name:<{room}}", " " * (room + 2))
    if said.notes:
        lines.append("")
        for note in said.notes:
            lines += _wrapped(f"{_severity(note)} {note}", "  ", "    ")
    if said.parts:
        lines += ["", f"  more: {', '.join(said.parts)}"]
    return "\n".join(lines)


def html(said: Description) -> str:
    """The same for a notebook, in the colours of its theme; evidence is folded."""
    return f"<div class='scalefit'><style>{STYLE}</style>{_html_body(said)}</div>"


def markdown(said: Description) -> str:
    """The same as Markdown, with its tables as those of GitHub."""
    blocks = [f"**{said.title}**" + (f": `{said.formula}`" if said.formula else "")]
    blocks += [said.headline] if said.headline else []
    blocks += [_markdown_table(table) for table in said.tables]
    if said.facts:
        blocks.append("\n".join(f"- {name}: {_cell(fact)}" for name, fact in said.facts.items()))
    if said.notes:
        blocks.append(
            "\n".join(f"- **{_severity(note)}** {_cell(str(note))}" for note in said.notes)
        )
    return "\n\n".join(blocks)


def latex(said: Description) -> str:
    """Its tables as LaTeX's ``tabular`` with the rules of ``booktabs``, under its formula.

    Notes are comments: a table in a paper has none, and whoever writes it should see them.
    """
    lines = [f"% {said.title}", *_wrapped(said.headline, "% ", "% ")]
    lines += [
        line for note in said.notes for line in _wrapped(f"{_severity(note)} {note}", "% ", "%   ")
    ]
    if said.latex:
        lines.append(rf"\[ {said.latex} \]")
    for table in said.tables:
        lines += _latex_table(table)
    return "\n".join(lines)


def _first_line(title: str, formula: str) -> str:
    return f"{title}: {formula}" if formula else title


def _severity(note: Note) -> str:
    return "warning" if note.severity == "warning" else "note"


def _wrapped(said: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        said, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False
    )


def _shown_rows(table: Table) -> tuple[list[int], int]:
    """Rows that are shown, and how many are left out."""
    count = len(table)
    if count <= MOST_ROWS:
        return list(range(count)), 0
    return list(range(FIRST_ROWS)), count - FIRST_ROWS


def _left_out(table: Table, hidden: int) -> str:
    return f"... and {hidden} more: {table.rest}"


def _as_text(table: Table) -> tuple[list[str], list[bool], list[list[str]]]:
    """Headings, which columns are numbers, and the rows; an interval is a column of its own."""
    headings: list[str] = []
    numbers: list[bool] = []
    columns: list[list[str]] = []
    for column in table.columns:
        cells = column.cells
        headings.append(column.name)
        numbers.append(column.kind != "text")
        columns.append([cell.value for cell in cells])
        if column.has_interval:
            headings.append(table.interval)
            numbers.append(False)
            columns.append([cell.interval for cell in cells])
    return headings, numbers, [list(row) for row in zip(*columns, strict=True)]


def _text_table(table: Table) -> list[str]:
    headings, numbers, rows = _as_text(table)
    kept, hidden = _shown_rows(table)
    lines = [headings, *(rows[i] for i in kept)]
    widths = [max(len(line[c]) for line in lines) for c in range(len(headings))]
    found = _wrapped(table.title, "  ", "  ") if table.title else []
    for line in lines:
        cells = (
            f"{cell:>{width}}" if number else f"{cell:<{width}}"
            for cell, width, number in zip(line, widths, numbers, strict=True)
        )
        found.append(f"  {'  '.join(cells)}".rstrip())
    return [*found, f"  {_left_out(table, hidden)}"] if hidden else found


def _html_body(said: Description) -> str:
    formula = f" &nbsp; {_typeset(said.latex, said.formula)}" if said.formula or said.latex else ""
    parts = [f"<div><span class='title'>{escape(said.title)}</span>{formula}</div>"]
    if said.headline:
        parts.append(f"<div>{escape(said.headline)}</div>")
    parts += [_html_table(table) for table in said.tables]
    if said.facts:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>"
            for name, fact in said.facts.items()
        )
        parts.append(f"<table>{rows}</table>")
    parts += [_html_note(note) for note in said.notes]
    for name, part in said.parts.items():
        parts.append(f"<details><summary>{escape(name)}</summary>{_html_body(part)}</details>")
    return "".join(parts)


def _html_note(note: Note) -> str:
    return (
        f"<div class='note {note.severity}'><span class='severity'>{_severity(note)}</span> "
        f"<code>{escape(note.code)}</code>: {escape(note.message)}</div>"
    )


def _html_table(table: Table) -> str:
    headings, numbers, rows = _as_text(table)
    kept, hidden = _shown_rows(table)
    kind = ["number" if number else "words" for number in numbers]
    head = "".join(
        f"<th class='{c}'>{escape(name)}</th>" for c, name in zip(kind, headings, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td class='{c}'>{escape(cell)}</td>" for c, cell in zip(kind, rows[i], strict=True)
        )
        + "</tr>"
        for i in kept
    )
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    rest = f"<div>{escape(_left_out(table, hidden))}</div>" if hidden else ""
    return (
        f"<table class='data'>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{rest}"
    )


def _typeset(latex_formula: str, formula: str) -> str:
    """A formula as MathML, which browsers set themselves; as code where there is no LaTeX."""
    if not latex_formula:
        return f"<code>{escape(formula)}</code>"
    # Imported here: only notebooks need it.
    from latex2mathml.converter import convert

    return str(convert(latex_formula))


def _cell(said: str) -> str:
    return said.replace("|", "\\|").replace("\n", " ")


def _markdown_table(table: Table) -> str:
    headings, numbers, rows = _as_text(table)
    kept, hidden = _shown_rows(table)
    lines = [f"{table.title}\n"] if table.title else []
    lines.append(_row(headings))
    lines.append(_row(["--:" if number else ":--" for number in numbers]))
    lines += [_row(rows[i]) for i in kept]
    return "\n".join([*lines, f"\n{_left_out(table, hidden)}"] if hidden else lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _latex_table(table: Table) -> list[str]:
    """A number and its interval share a cell here."""
    kept, hidden = _shown_rows(table)
    columns: list[list[Shown]] = [column.cells for column in table.columns]
    shape = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    headings = " & ".join(escaped(column.name) for column in table.columns)
    lines = [f"% {table.title}"] if table.title else []
    if any(column.has_interval for column in table.columns):
        lines.append(f"% errors: {table.interval}")
    lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", rf"{headings} \\", r"\midrule"]
    lines += [rf"{' & '.join(column[i].latex for column in columns)} \\" for i in kept]
    lines += [r"\bottomrule", r"\end{tabular}"]
    return [*lines, f"% {_left_out(table, hidden)}"] if hidden else lines
