"""What a report holds, before it is rendered: sections of blocks, and words with formulas in them.

Tables are those of :mod:`scalefit.reporting.description`. Nothing here is escaped: renderers do
that, each for its own format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scalefit.notes import Note
from scalefit.reporting.description import Description, Table
from scalefit.reporting.numbers import Kind, Shown, shown

__all__ = [
    "GENERATOR",
    "Block",
    "Code",
    "Figure",
    "Folded",
    "Formula",
    "Gap",
    "Heading",
    "Items",
    "Listing",
    "Notes",
    "Number",
    "Paragraph",
    "Piece",
    "Section",
    "Words",
    "blocks_of",
    "headline_of",
    "plain_words",
]

# Where a headline turns to what to call next.
NEXT_CALL = re.compile(r"(?:^|(?<=\. ))(?:Next|Next steps|Why|At a budget): (?=[\w.])")

# Written into every file of a report, which says that it may be replaced by another report.
GENERATOR = "scalefit report"


class Formula(NamedTuple):
    """Mathematics as text, and in LaTeX without dollar signs, or empty."""

    text: str
    latex: str


class Number(NamedTuple):
    """A number with as many digits as its interval allows; see :func:`numbers.shown`."""

    value: float
    kind: Kind = "number"
    low: float | None = None
    high: float | None = None
    level: float | None = None
    unit: str = ""

    @property
    def shown(self) -> Shown:
        """As text, and in LaTeX."""
        return shown(self.value, self.kind, self.low, self.high)

    @property
    def text(self) -> str:
        """The number with its unit, and its interval in brackets."""
        found = self.shown
        unit = f" {self.unit}".rstrip()
        level = f" ({100 * (self.level or 0):g} % interval {found.interval})"
        return found.value + unit + level * bool(found.interval)


class Code(NamedTuple):
    """Words of code."""

    text: str


class Gap(NamedTuple):
    """Words in place of what is not known here, which the author fills in."""

    text: str


Piece = str | Formula | Number | Code | Gap
Words = tuple[Piece, ...]


@dataclass(frozen=True)
class Paragraph:
    """Words, led by others that are set apart where there are any."""

    words: Words
    lead: str = ""


@dataclass(frozen=True)
class Items:
    """Words by name."""

    pairs: tuple[tuple[str, Words], ...]


@dataclass(frozen=True)
class Listing:
    """Lines of code."""

    text: str
    language: str = "python"


@dataclass(frozen=True)
class Heading:
    """The title of a part of a section."""

    text: str


@dataclass(frozen=True)
class Notes:
    """Soft problems, each with the title of the result that it is of."""

    notes: tuple[tuple[Note, str], ...]


@dataclass(frozen=True)
class Figure:
    """A picture, as bytes of two formats.

    Attributes:
        name: of its files.
        caption: what it shows.
        alt: the same in more words, for who cannot see it.
        width: inches.
        png: for screens.
        pdf: for print.
    """

    name: str
    caption: str
    alt: str
    width: float
    png: bytes
    pdf: bytes


@dataclass(frozen=True)
class Folded:
    """Blocks that HTML folds."""

    title: str
    blocks: tuple[Block, ...]


Block = Paragraph | Items | Listing | Heading | Notes | Figure | Folded | Formula | Table


@dataclass(frozen=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: tuple[Block, ...]

    def figures(self) -> Iterator[Figure]:
        """Its figures, in order."""
        yield from (block for block in self.blocks if isinstance(block, Figure))


def headline_of(said: Description) -> str:
    """The headline of a description, without the calls that come next in a session."""
    return NEXT_CALL.split(said.headline)[0].strip()


def blocks_of(said: Description, *, formula: bool = True) -> tuple[Block, ...]:
    """A description as blocks, without its title and its notes.

    Args:
        said: the description.
        formula: whether its formula is shown.
    """
    found: list[Block] = []
    if headline := headline_of(said):
        found.append(Paragraph((headline,)))
    if formula and (said.formula or said.latex):
        found.append(Formula(said.formula, said.latex))
    found += said.tables
    if said.facts:
        found.append(Items(tuple((name, (fact,)) for name, fact in said.facts.items())))
    parts = ((name, blocks_of(part)) for name, part in said.parts.items())
    found += [Folded(name, blocks) for name, blocks in parts if blocks]
    return tuple(found)


def plain_words(words: Sequence[Piece]) -> str:
    """Words as text of one line."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in words)
