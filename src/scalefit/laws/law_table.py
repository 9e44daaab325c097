"""A table of laws, with their formulas set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from scalefit.frozen import Frozen
from scalefit.laws.base import Law
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table

__all__ = ["LawTable"]


COLUMNS = [
    *("name", "family", "purpose", "columns", "parameters"),
    *("formula", "source", "also_known_as"),
]

NONE = (
    "no law: scalefit.laws.table() lists them all, docs/which_law.md says what each is for, and "
    "@scalefit.law makes one of a formula"
)


@dataclass(frozen=True)
class LawTable(Described):
    """Laws by family: a table in a notebook, a DataFrame by :meth:`to_frame`.

    Attributes:
        families: laws of each family, in order.
    """

    families: Mapping[str, tuple[Law, ...]]

    def __len__(self) -> int:
        return sum(map(len, self.families.values()))

    def __iter__(self) -> Iterator[Law]:
        return (item for members in self.families.values() for item in members)

    def to_frame(self) -> pd.DataFrame:
        """A row for each law.

        Returns:
            DataFrame with the columns name, family, purpose (one sentence), columns (data columns
            that the law takes), parameters, formula, source, also_known_as (other names, papers and
            uses of the formula).
        """
        return pd.DataFrame(
            columns=COLUMNS,
            data=[
                {
                    "name": item.name,
                    "family": family,
                    "purpose": item.purpose,
                    "columns": ", ".join(item.columns),
                    "parameters": ", ".join(item.names),
                    "formula": item.formula,
                    "source": item.source,
                    "also_known_as": "; ".join(item.also_known_as),
                }
                for family, members in self.families.items()
                for item in members
            ],
        )

    def matching(self, words: str) -> LawTable:
        """The laws whose documentation holds every one of the words, in any case.

        Names, docstrings, columns, sources and other names (``also_known_as``) are read.

        Args:
            words: text, as ``"visual tokens"``.
        """
        return self._kept(lambda item: _holds(" ".join(_documentation(item)), words))

    def named(self, name: str) -> Law | None:
        """The law of that name, or that had it in an earlier version: another name of one word.

        Args:
            name: as calls and saved fits have it.
        """
        former = [item for item in self if name.isidentifier() and name in item.also_known_as]
        return next((item for item in self if item.name == name), next(iter(former), None))

    def known_as(self, words: str) -> LawTable:
        """The laws that have another name (``also_known_as``) which begins with these words.

        Each part of it begins anew: what follows a comma, a colon or a bracket, as the number of a
        paper does. Words in the midst of one would make a power law of a smoothly broken one.

        Args:
            words: text, as ``"NMT"``.
        """
        first = re.compile(rf"{re.escape(words.strip().casefold())}(?!\w)")
        return self._kept(
            lambda item: any(
                first.match(part)
                for name in item.also_known_as
                for part in re.split(r", |: | ?\(", name.casefold())
            )
        )

    def _kept(self, wanted: Callable[[Law], bool]) -> LawTable:
        """The laws that are wanted, in the families that have one."""
        kept = {name: tuple(filter(wanted, members)) for name, members in self.families.items()}
        return LawTable(Frozen({name: members for name, members in kept.items() if members}))

    def describe(self, level: float = 0.95) -> Description:
        """Name, family and formula of each law."""
        frame = self.to_frame()
        formulas = [(item.formula, item.latex) for item in self]
        columns = [
            Column("name", frame["name"].to_list(), "text"),
            Column("family", frame["family"].to_list(), "text"),
            Column("formula", formulas, "formula"),
        ]
        if not len(self):
            return Description("Laws", NONE)
        return Description(
            "Laws",
            f"{len(self)} published laws. Pass one by name, as scalefit.fit(runs, 'chinchilla'); "
            "scalefit.laws.chinchilla says what its parameters are.",
            tables=[Table(columns, whole=True)],
        )

    def __repr__(self) -> str:
        return f"<LawTable: {len(self)} laws in {len(self.families)} families>"


def _documentation(item: Law) -> list[str]:
    """What a search reads of a law."""
    own = [item.name, item.__doc__ or "", item.source, item.response]
    return [*own, *item.columns, *item.also_known_as]


def _holds(text: str, words: str) -> bool:
    """Whether every word occurs in a text, as a word begins, in any case."""
    found = text.casefold()
    asked = [word.removesuffix("s") if len(word) > 3 else word for word in words.casefold().split()]
    return all(re.search(rf"\b{re.escape(word)}", found) for word in asked)
