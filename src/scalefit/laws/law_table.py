"""A table of laws, with their formulas set."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

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

# Words of a question that say nothing of its law.
SMALL = {
    *("a", "against", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on"),
    *("or", "over", "the", "to", "under", "versus", "vs", "with"),
}

# Laws that a function makes, because their columns are its arguments, by the beginning of their
# names.
MADE: Mapping[str, str] = Frozen(
    {
        "mixture_of": "scalefit.laws.mixture_of('web', 'code')",
        "additive_mixture_of": "scalefit.laws.additive_mixture_of('web', 'code')",
        "joint_mixture_of": "scalefit.laws.joint_mixture_of('web', 'code')",
        "multi_power": "scalefit.laws.multi_power()",
    }
)

NONE = (
    "no law: scalefit.laws.table() lists them all, docs/which_law.md says what each is for, and "
    "@scalefit.law makes one of a formula"
)


@dataclass(frozen=True)
class LawTable(Described):
    """Laws by family: a table in a notebook, a DataFrame by :meth:`to_frame`.

    Attributes:
        families: laws of each family, in order.
        partly: of a search that no law answers whole: how many of its words these hold.
    """

    families: Mapping[str, tuple[Law, ...]]
    partly: str = ""

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

        Names, families, docstrings, columns, sources and other names (``also_known_as``) are read,
        without hyphens and without small words. Where no law holds all, those that hold the most,
        half of them at least.

        Args:
            words: text, as ``"visual tokens"``.
        """
        asked = _words(words)
        held = {
            item.name: _held(_plain(" ".join((family, *_documentation(item)))), asked)
            for family, members in self.families.items()
            for item in members
        }
        most = max(held.values(), default=0)
        if not asked or 2 * most < len(asked):
            return self._kept(lambda item: False)
        found = self._kept(lambda item: held[item.name] == most)
        return replace(found, partly="" if most == len(asked) else f"{most} of {len(asked)} words")

    def named(self, name: str) -> Law | None:
        """The law of that name, or that had it in an earlier version: another name of one word.

        Args:
            name: as calls and saved fits have it.
        """
        former = [item for item in self if name.isidentifier() and name in item.also_known_as]
        return next((item for item in self if item.name == name), next(iter(former), None))

    def instead_of(self, name: str) -> str:
        """What to pass in place of a name that no law has, in words.

        Args:
            name: text that is no name of a law.
        """
        for made, maker in MADE.items():
            if name.startswith(made):
                return f"Laws of that name are made by a function: pass law={maker}"
        close = difflib.get_close_matches(name, [item.name for item in self], n=1)
        if close:
            return f"Did you mean {close[0]!r}? scalefit.laws.table() lists all {len(self)}"
        held = self.matching(name)
        found = [] if held.partly else [item.name for item in held][:5]
        hint = f"Laws whose documentation says so: {', '.join(found)}. " if found else ""
        return (
            f"{hint}scalefit.laws.table() lists all {len(self)}, and "
            "scalefit.laws.search('visual tokens') finds them by words"
        )

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
        first = next(iter(self)).name
        return Description(
            "Laws",
            f"{self._counted} Pass one by name, as scalefit.fit(runs, {first!r}); "
            f"scalefit.laws.{first} says what its parameters are.",
            tables=[Table(columns, whole=True)],
        )

    @property
    def _counted(self) -> str:
        """How many laws, and what they are."""
        count = f"{len(self)} law{'s' * (len(self) != 1)}"
        return (
            f"No law has all the words; {count} with {self.partly}." if self.partly else f"{count}."
        )

    def __repr__(self) -> str:
        return f"<LawTable: {len(self)} laws in {len(self.families)} families>"


def _documentation(item: Law) -> list[str]:
    """What a search reads of a law."""
    own = [item.name, item.__doc__ or "", item.source, item.response]
    return [*own, *item.columns, *item.also_known_as]


def _plain(text: str) -> str:
    """A text to look for words in: over-training, overtraining and over_training are one."""
    return f" {re.sub(r'(?<=[a-z])-(?=[a-z])', '', text.casefold()).replace('_', ' ')} "


def _words(asked: str) -> list[str]:
    """The words of a question that tell laws apart, without the ending of a plural."""
    words = [word for word in _plain(asked).split() if word not in SMALL]
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]


def _held(text: str, words: list[str]) -> int:
    """How many of the words occur in a text, as a word begins."""
    return sum(bool(re.search(rf"(?<!\w){re.escape(word)}", text)) for word in words)
