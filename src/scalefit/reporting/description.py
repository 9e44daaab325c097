"""Descriptions of results: words, tables and notes, before they are rendered.

A result builds one :class:`Description` of itself; :mod:`scalefit.reporting.render` turns any
into text, HTML, Markdown or LaTeX. A description holds numbers, not text, so that each of these
shows as many digits as the uncertainty allows, in its own notation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scalefit.notes import Note
from scalefit.reporting.numbers import Kind, Shown, shown

__all__ = ["Column", "Description", "Table"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: heading, with the unit where there is one.
        values: a value for each row, of any iterable; kept as a tuple.
        kind: how they are written; see :func:`scalefit.reporting.numbers.shown`. One for all, or
            one for each row.
        low: lower ends of their intervals, or empty.
        high: upper ends.
    """

    name: str
    values: Any
    kind: Kind | Sequence[Kind] = "number"
    low: Any = ()
    high: Any = ()

    def __post_init__(self) -> None:
        for name in ("values", "low", "high"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def cells(self) -> list[Shown]:
        """The values as text."""
        count = len(self.values)
        kinds = [self.kind] * count if isinstance(self.kind, str) else self.kind
        low, high = (ends if len(ends) else [None] * count for ends in (self.low, self.high))
        rows = zip(self.values, kinds, low, high, strict=True)
        return [shown(value, kind, *ends) for value, kind, *ends in rows]

    @property
    def has_interval(self) -> bool:
        """Whether its values have intervals."""
        return len(self.low) > 0


@dataclass(frozen=True)
class Table:
    """Columns of one length.

    Attributes:
        columns: the columns.
        title: what the rows are, and what the intervals belong to.
        interval: heading of the intervals, as ``95 % interval``.
        rest: what is said in place of rows that are left out, where a table has more than are
            shown, as ``to_frame() has all``.
        whole: whether HTML, Markdown and LaTeX show all rows of a long one.
    """

    columns: Sequence[Column]
    title: str = ""
    interval: str = "interval"
    rest: str = "to_frame() has all"
    whole: bool = False

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0


@dataclass(frozen=True)
class Description:
    """Everything that a report of a result shows.

    Attributes:
        title: what it is, as ``Fit of chinchilla``.
        headline: what matters most, in a sentence or two: how good it is, and what comes next.
        formula: the law as text, if it is of one.
        latex: the same in LaTeX's mathematics.
        facts: short facts by name, in order; empty ones are left out.
        tables: tables.
        notes: soft problems.
        parts: evidence for experts by the name of the attribute that holds it: folded in HTML, and
            only named in text.
    """

    title: str
    headline: str = ""
    formula: str = ""
    latex: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    notes: Sequence[Note] = ()
    parts: Mapping[str, Description] = field(default_factory=dict)

    def __post_init__(self) -> None:
        facts = {name: words for name, words in self.facts.items() if words}
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "tables", tuple(table for table in self.tables if len(table)))
        object.__setattr__(self, "notes", tuple(self.notes))
