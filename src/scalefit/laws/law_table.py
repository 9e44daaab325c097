"""A table of laws, with their formulas set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from scalefit.laws.base import Law
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table

__all__ = ["LawTable"]


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
            that the law takes), parameters, formula, source.
        """
        return pd.DataFrame(
            [
                {
                    "name": item.name,
                    "family": family,
                    "purpose": item.purpose,
                    "columns": ", ".join(item.columns),
                    "parameters": ", ".join(item.names),
                    "formula": item.formula,
                    "source": item.source,
                }
                for family, members in self.families.items()
                for item in members
            ]
        )

    def describe(self, level: float = 0.95) -> Description:
        """Name, family and formula of each law."""
        frame = self.to_frame()
        formulas = [(item.formula, item.latex) for item in self]
        columns = [
            Column("name", frame["name"].to_list(), "text"),
            Column("family", frame["family"].to_list(), "text"),
            Column("formula", formulas, "formula"),
        ]
        return Description(
            "Laws",
            f"{len(self)} published laws. Pass one by name, as scalefit.fit(runs, 'chinchilla'); "
            "scalefit.laws.chinchilla says what its parameters are.",
            tables=[Table(columns, whole=True)],
        )

    def __repr__(self) -> str:
        return f"<LawTable: {len(self)} laws in {len(self.families)} families>"
