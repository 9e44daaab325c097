"""The table of references in docs/laws.md: its rows, and how tests record and check them.

A test that compares a fit with a number from elsewhere calls the fixture ``agrees`` of conftest.py:
the comparison, and the row of the table that says so, are one statement.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from scalefit import laws

PAGE = Path(__file__).parents[1] / "docs" / "laws.md"
START = "<!-- table of references: written by pytest --write-references -->\n"
END = "<!-- end of references -->\n"
HEADING = "| law | runs | quantity | reference | ours | tolerance |\n|---|---|---|---|---|---|\n"

# Digits shown of a number that is only known not to be above its reference.
DIGITS_BELOW = 3
# A value this close to the middle between two last digits may be rounded either way, in the last
# digit: other processors end some rounding errors away.
EDGE = 0.1


class Row(NamedTuple):
    """A row of the table, as the page spells it."""

    law: str
    runs: str
    quantity: str
    reference: str
    ours: str
    tolerance: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What the row is about."""
        return self[:3]

    def line(self) -> str:
        """The row in Markdown."""
        return f"| `{self.law}` | " + " | ".join(self[1:]) + " |\n"


@dataclass(frozen=True)
class Agreement:
    """Numbers of ours beside their references.

    Attributes:
        ours: what the library finds.
        reference: what it is compared with, as many.
        rel: largest relative difference.
        abs: largest absolute difference; the larger of the two counts.
        at_most: whether ours may be below the reference by any amount.
    """

    ours: tuple[float, ...]
    reference: tuple[float, ...]
    rel: float | None = None
    abs: float | None = None
    at_most: bool = False

    @classmethod
    def of(cls, ours: float | Sequence[float], reference: float | Sequence[float], **how):
        """An agreement of single numbers or of sequences."""
        sides = [tuple(float(item) for item in np.atleast_1d(side)) for side in (ours, reference)]
        if len(sides[0]) != len(sides[1]):
            raise ValueError(f"{len(sides[0])} numbers are compared with {len(sides[1])}")
        agreement = cls(*sides, **how)
        if not (agreement.at_most or any(agreement.slack(item) for item in sides[1])):
            raise ValueError("an agreement needs a tolerance: rel, abs or at_most")
        return agreement

    def slack(self, reference: float) -> float:
        """Largest difference from one reference."""
        return max((self.rel or 0.0) * abs(reference), self.abs or 0.0)

    def check(self) -> None:
        """Assert that ours agree."""
        for ours, reference in zip(self.ours, self.reference, strict=True):
            expected = pytest.approx(reference, rel=self.rel or 0.0, abs=self.abs or 0.0)
            assert (self.at_most and ours <= reference) or ours == expected, f"{ours} != {expected}"

    def tolerance(self) -> str:
        """The tolerance in words."""
        sizes = [("relative", self.rel), ("absolute", self.abs)]
        within = ", ".join(f"{brief(f'{size:g}')} {kind}" for kind, size in sizes if size)
        return ", ".join(filter(None, ["not above" if self.at_most else "", within]))

    def spellings(self) -> Iterable[str]:
        """Ours, first as it is, then as it might be rounded elsewhere."""
        pairs = list(zip(self.ours, self.reference, strict=True))
        own = [[self._spelled(*pair, edge) for edge in (0.0, EDGE, -EDGE)] for pair in pairs]
        # Each number is rounded on its own.
        return [", ".join(chosen) for chosen in _choices(own)]

    def _spelled(self, ours: float, reference: float, edge: float) -> str:
        """One of ours with the digits that its tolerance guarantees."""
        largest = math.floor(math.log10(abs(ours))) if ours else 0
        slack = self.slack(reference)
        last = math.ceil(math.log10(slack) - 1e-9) if slack else largest - DIGITS_BELOW + 1
        digits = max(largest - last + 1, 1)
        return brief(f"{ours + edge * 10.0**last:#.{digits}g}")

    def row(self, law: str, runs: str, quantity: str, ours: str) -> Row:
        """The row that says so, with ours in one of its spellings."""
        reference = ", ".join(brief(f"{item:.10g}") for item in self.reference)
        return Row(law, runs, quantity, reference, ours, self.tolerance())


def _choices(options: Sequence[Sequence[str]]) -> list[list[str]]:
    """Every choice of one from each, the firsts first."""
    found: list[list[str]] = [[]]
    for each in options:
        unique = list(dict.fromkeys(each))
        found = [[*before, item] for before in found for item in unique]
    return found


def brief(number: str) -> str:
    """A number without what printf adds to it: a bare point, zeros in the exponent."""
    mantissa, e, exponent = number.partition("e")
    return mantissa.rstrip(".") + (f"e{int(exponent)}" if e else "")


def read() -> list[Row]:
    """The rows that the page has."""
    lines = PAGE.read_text().split(START)[1].split(END)[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [Row(law.strip("`"), *others) for law, *others in cells]


def write(rows: Iterable[Row]) -> None:
    """Put these rows on the page, in the order of the catalogue."""
    place = {name: index for index, name in enumerate(laws.BUILTIN)}
    ordered = sorted(rows, key=lambda row: (place[row.law], *row.key))
    before, rest = PAGE.read_text().split(START)
    body = HEADING + "".join(row.line() for row in ordered)
    PAGE.write_text(f"{before}{START}\n{body}\n{END}{rest.split(END)[1]}")


class Record:
    """The rows that the tests of a run record, beside those that the page has.

    Attributes:
        writing: whether rows go onto the page, or are looked up there.
        page: the rows of the page when the run began, by what they are about.
        rows: those recorded since.
    """

    def __init__(self, writing: bool):
        self.writing = writing
        self.page = {row.key: row for row in read()}
        self.rows: dict[tuple[str, str, str], Row] = {}

    def agrees(self, law, runs, quantity, ours, reference, *, rel=None, abs=None, at_most=False):
        """Assert that ours agree with their references, and that the page says so."""
        agreement = Agreement.of(ours, reference, rel=rel, abs=abs, at_most=at_most)
        agreement.check()
        level_name = [agreement.row(law, runs, quantity, text) for text in agreement.spellings()]
        key = level_name[0].key
        assert self.rows.get(key, level_name[0]) in level_name, f"two tests differ about {key}"
        written = self.page.get(key)
        self.rows[key] = written if written in level_name else level_name[0]
        assert self.writing or written in level_name, (
            f"docs/laws.md has {written}, and should have {level_name[0]}: "
            "run pytest --write-references"
        )

    def close(self, everything: bool) -> None:
        """Write the page, or, where every test ran, assert that it has no row of none of them."""
        if self.writing:
            # As it is now: another process may have written since.
            write(({row.key: row for row in read()} | self.rows).values())
        elif everything:
            stale = sorted(set(self.page) - set(self.rows))
            assert not stale, f"delete the rows of docs/laws.md that no test records: {stale}"
