"""Descriptions as text, HTML, Markdown and LaTeX. Nothing here knows what is described."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from scalefit.notes import Note
from scalefit.reporting.description import Description, Table
from scalefit.reporting.numbers import WORDS, escaped, printable

__all__ = [
    "STYLE",
    "html",
    "html_table",
    "latex",
    "latex_table",
    "markdown",
    "markdown_table",
    "plain",
    "text",
    "typeset",
]

# Columns of a terminal, and the least width to which a column of words is cut for it.
WIDTH, LEAST_WIDTH = 88, 16

# Rows of a table that a report shows; of a longer one the first and the last.
MOST_ROWS, FIRST_ROWS, LAST_ROWS = 20, 10, 5

# What Markdown would read as a mark. An underscore inside a word is none.
MARKED = re.compile(r"[|*`$\[\]\\]|(?<!\w)_|_(?!\w)")

# Functions that stand apart from a letter or a fraction; brackets need no space.
SPACED = re.compile(r"(<mi>(?:ln|log|exp)</mi>)(?=<m(?!o|row><mo))")
# Elements and attributes of formulas. None of them loads or runs anything.
MATHML = frozenset(
    [
        *("math", "mrow", "mi", "mo", "mn", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot"),
        *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts"),
        *("mprescripts", "none", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom"),
        *("menclose", "display", "displaystyle", "scriptlevel", "mathvariant", "stretchy"),
        *("fence", "form", "separator", "lspace", "rspace", "minsize", "maxsize", "width"),
        *("height", "depth", "linethickness", "columnalign", "columnspacing", "rowspacing"),
        *("columnlines", "rowlines", "symmetric", "movablelimits", "largeop", "accent"),
        *("accentunder", "notation"),
    ]
)

# A notebook sets the colours of text and ground; what has a colour here is read on light and dark.
STYLE = """
.scalefit {max-width: 60em; line-height: 1.45}
.scalefit .title {font-weight: 600}
.scalefit math {font-size: 1.1em}
.scalefit table {border-collapse: collapse; margin: 0.5em 0; font-size: inherit}
.scalefit table th, .scalefit table td {
    text-align: left; padding: 0.15em 1.2em 0.15em 0; border: 0; vertical-align: top;
    background: none; font-variant-numeric: tabular-nums; max-width: 44em; white-space: normal}
.scalefit table tr {background: none}
.scalefit table td.number, .scalefit table th.number {text-align: right}
.scalefit table.data td {vertical-align: middle}
.scalefit table.data thead th {border-bottom: 1px solid rgba(128, 128, 128, 0.6)}
.scalefit table.facts th {font-weight: normal; opacity: 0.75; white-space: nowrap}
.scalefit table caption {
    caption-side: top; text-align: left; opacity: 0.75; padding: 0 0 0.2em; color: inherit}
.scalefit .rest {opacity: 0.75}
.scalefit .note {border-left: 0.25em solid rgba(128, 128, 128, 0.7); padding: 0.1em 0.6em;
    margin: 0.25em 0}
.scalefit .note.warning {border-color: #d9822b; background: rgba(217, 130, 43, 0.13)}
.scalefit .note .severity {font-weight: 600}
.scalefit .note.warning .severity {color: #c96f15}
.scalefit details {margin: 0.3em 0}
.scalefit details > div {margin-left: 1.1em}
.scalefit summary {cursor: pointer; opacity: 0.75}
"""


class _Cells(NamedTuple):
    """A table as text, an interval as a column of its own.

    Attributes:
        headings: of the columns.
        numbers: which columns are numbers.
        least: width below which no column is cut: an interval that is cut says nothing.
        rows: those that are shown, and None in place of those that are left out.
        hidden: what is said of those; empty where all are shown.
        formulas: LaTeX of cells that are formulas, by row and column.
    """

    headings: list[str]
    numbers: list[bool]
    least: list[int]
    rows: list[list[str] | None]
    hidden: str
    formulas: dict[tuple[int, int], str]


def text(said: Description, whole: bool = False) -> str:
    """A report of at most :data:`WIDTH` columns where its tables allow that.

    Args:
        said: the description.
        whole: whether all rows of a long table are shown, where it allows that.
    """
    lines = [f"{said.title}: {said.formula}" if said.formula else said.title]
    lines += _wrapped(said.headline, "", "")
    for table in said.tables:
        lines += ["", *_text_table(table, whole)]
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
    # Jupyter's own rules for tables name up to three classes, and would win.
    style = STYLE.replace(".scalefit table", f"{3 * '.scalefit'} table")
    return f"<div class='scalefit'><style>{style}</style>{_html_body(said)}</div>"


def markdown(said: Description) -> str:
    """The same as Markdown, with its tables as those of GitHub."""
    blocks = [f"**{plain(said.title)}**" + (f": `{said.formula}`" if said.formula else "")]
    blocks += [plain(said.headline)] if said.headline else []
    blocks += [markdown_table(table) for table in said.tables]
    facts = [f"- {plain(name)}: {plain(fact)}" for name, fact in said.facts.items()]
    notes = [f"- **{_severity(note)}** {plain(str(note))}" for note in said.notes]
    return "\n\n".join([*blocks, *("\n".join(items) for items in (facts, notes) if items)])


def latex(said: Description) -> str:
    """Its tables as LaTeX's ``tabular`` with the rules of ``booktabs``, under its formula.

    Notes are comments: a table in a paper has none, and whoever writes it should see them.
    """
    lines = [*_wrapped(said.title, "% ", "% "), *_wrapped(said.headline, "% ", "% ")]
    for note in said.notes:
        lines += _wrapped(f"{_severity(note)} {note}", "% ", "%   ")
    if said.latex:
        lines.append(rf"\[ {said.latex} \]")
    for table in said.tables:
        lines += latex_table(table)
    return "\n".join(lines)


def _severity(note: Note) -> str:
    return "warning" if note.severity == "warning" else "note"


def _wrapped(said: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(
        said, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False
    )


def _cells(table: Table, whole: bool = False) -> _Cells:
    """The cells of a table as text.

    Args:
        table: the table.
        whole: whether all rows are shown, where the table allows it.
    """
    count = len(table)
    shown: list[int | None] = list(range(count))
    hidden = ""
    if count > MOST_ROWS and not (whole and table.whole):
        shown = [*shown[:FIRST_ROWS], None, *shown[-LAST_ROWS:]]
        hidden = f"... and {count - FIRST_ROWS - LAST_ROWS} more: {table.rest}"
    headings: list[str] = []
    numbers: list[bool] = []
    least: list[int] = []
    columns: list[list[str]] = []
    formulas: dict[tuple[int, int], str] = {}
    for column in table.columns:
        cells = column.cells
        if column.kind == "formula":
            values = list(column.values)
            for place, row in enumerate(shown):
                if row is not None and values[row][1]:
                    formulas[place, len(headings)] = values[row][1]
        headings.append(column.name)
        numbers.append(column.kind not in WORDS)
        least.append(LEAST_WIDTH)
        columns.append([cell.value for cell in cells])
        if column.has_interval:
            headings.append(table.interval)
            numbers.append(False)
            columns.append([cell.interval for cell in cells])
            least.append(max([LEAST_WIDTH, *(len(cell.interval) for cell in cells)]))
    rows = [None if row is None else [column[row] for column in columns] for row in shown]
    return _Cells(headings, numbers, least, rows, hidden, formulas)


def _text_table(table: Table, whole: bool) -> list[str]:
    cells = _cells(table, whole)
    shown = [cells.headings, *(row for row in cells.rows if row is not None)]
    widest = [max(map(len, column)) for column in zip(*shown, strict=True)]
    widths = _fitted(widest, cells)
    found = _wrapped(table.title, "  ", "  ")
    for row in [cells.headings, *cells.rows]:
        if row is None:
            found.append(f"  {cells.hidden}")
            continue
        words = (
            f"{cell:>{width}}" if number else f"{_cut(cell, width):<{width}}"
            for cell, width, number in zip(row, widths, cells.numbers, strict=True)
        )
        found.append(f"  {'  '.join(words)}".rstrip())
    return found


def _fitted(widths: list[int], cells: _Cells) -> list[int]:
    """Widths of columns, those of words cut where a line would be too long."""
    while sum(widths) + 2 * len(widths) > WIDTH:
        words = [
            place
            for place, number in enumerate(cells.numbers)
            if not number and widths[place] > cells.least[place]
        ]
        if not words:
            break
        widths[max(words, key=lambda place: widths[place])] -= 1
    return widths


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 3]}..."


def _html_body(said: Description) -> str:
    formula = f" &nbsp; {typeset(said.latex, said.formula)}" if said.formula or said.latex else ""
    parts = [f"<div><span class='title'>{escape(said.title)}</span>{formula}</div>"]
    if said.headline:
        parts.append(f"<div>{escape(said.headline)}</div>")
    parts += [_html_note(note) for note in said.notes if note.severity == "warning"]
    parts += [html_table(table) for table in said.tables]
    if said.facts:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>"
            for name, fact in said.facts.items()
        )
        parts.append(f"<table class='facts'>{rows}</table>")
    parts += [_html_note(note) for note in said.notes if note.severity != "warning"]
    for name, part in said.parts.items():
        body = f"<div>{_html_body(part)}</div>"
        parts.append(f"<details><summary>{escape(name)}</summary>{body}</details>")
    return "".join(parts)


def _html_note(note: Note) -> str:
    return (
        f"<div class='note {_severity(note)}'><span class='severity'>{_severity(note)}</span> "
        f"<code>{escape(note.code)}</code>: {escape(note.message)}</div>"
    )


def html_table(table: Table) -> str:
    """One table as HTML."""
    cells = _cells(table, whole=True)
    kinds = ["number" if number else "words" for number in cells.numbers]
    head = "".join(
        f"<th class='{kind}'>{escape(name)}</th>"
        for kind, name in zip(kinds, cells.headings, strict=True)
    )
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    return (
        f"<table class='data'>{caption}<thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(_html_rows(cells, kinds))}</tbody></table>"
    )


def _html_rows(cells: _Cells, kinds: Sequence[str]) -> Iterator[str]:
    for place, row in enumerate(cells.rows):
        if row is None:
            yield f"<tr><td class='rest' colspan='{len(kinds)}'>{escape(cells.hidden)}</td></tr>"
            continue
        written = (
            typeset(cells.formulas[place, number], cell)
            if (place, number) in cells.formulas
            else escape(cell)
            for number, cell in enumerate(row)
        )
        cell = (
            f"<td class='{kind}'>{item}</td>" for kind, item in zip(kinds, written, strict=True)
        )
        yield f"<tr>{''.join(cell)}</tr>"


def typeset(latex_formula: str, formula: str, *, display: bool = False) -> str:
    """A formula as MathML, which browsers set themselves; as code where there is no LaTeX.

    Args:
        latex_formula: in LaTeX; may be empty.
        formula: the same as text.
        display: whether it stands on a line of its own.
    """
    plain = f"<code>{escape(formula)}</code>"
    if not latex_formula:
        return plain
    # Imported here: only notebooks need it.
    from xml.etree import ElementTree

    from latex2mathml.converter import convert

    try:
        found = str(convert(latex_formula, display="block" if display else "inline"))
        # It does not escape what stands in \text.
        elements = list(ElementTree.fromstring(found).iter())
    except Exception:  # A formula of a user's own that it cannot read.
        return plain
    names = {name for one in elements for name in (_local(one.tag), *one.attrib)}
    return SPACED.sub(r'\1<mspace width="0.17em"/>', found) if names <= MATHML else plain


def _local(tag: str) -> str:
    """The name of an element without its namespace."""
    return tag.rpartition("}")[2]


def plain(said: str) -> str:
    """Words that Markdown shows as they are, on one line."""
    one_line = " ".join(said.splitlines()).replace("&", "&amp;").replace("<", "&lt;")
    return MARKED.sub(r"\\\g<0>", one_line)


def markdown_table(table: Table) -> str:
    """One table as Markdown of GitHub, under its title."""
    cells = _cells(table, whole=True)
    lines = [f"{plain(table.title)}\n"] if table.title else []
    lines.append(_row(cells.headings))
    lines.append(_row(["--:" if number else ":--" for number in cells.numbers]))
    blank = [""] * (len(cells.headings) - 1)
    lines += [_row(["...", *blank] if row is None else row) for row in cells.rows]
    return "\n".join([*lines, f"\n{cells.hidden}"] if cells.hidden else lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(plain(cell) for cell in cells)} |"


def latex_table(table: Table) -> list[str]:
    """One table as lines of LaTeX, its title a comment; a number and its interval share a cell."""
    cells = _cells(table, whole=True)
    count = len(table)
    left_out = range(FIRST_ROWS, count - LAST_ROWS) if cells.hidden else range(0)
    columns = [[cell.latex for cell in column.cells] for column in table.columns]
    shape = "".join("l" if column.kind in WORDS else "r" for column in table.columns)
    lines = _wrapped(table.title, "% ", "% ")
    if any(column.has_interval for column in table.columns):
        lines.append(f"% errors: {printable(table.interval)}")
    headings = " & ".join(escaped(column.name) for column in table.columns)
    lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", rf"{headings} \\", r"\midrule"]
    for row in range(count):
        if row not in left_out:
            lines.append(rf"{' & '.join(column[row] for column in columns)} \\")
        elif row == left_out[0]:
            lines += [r"$\vdots$ \\", f"% {cells.hidden}"]
    return [*lines, r"\bottomrule", r"\end{tabular}"]
