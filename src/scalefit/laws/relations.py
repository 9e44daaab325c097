"""Relations between data columns of a law: what holds in every row, written as a rule."""

from __future__ import annotations

import ast
import keyword
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scalefit.arguments import number, refused, text

__all__ = ["RELATION", "Relation", "quoted"]

RELATION = 'Write sums and ratios of columns on both sides of <= or >=, as Relation("U <= D")'

# A header that is no word, as rules on rows write it.
HEADER = re.compile(r"`((?:[^`]|``)+)`")
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Relation:
    """What holds between data columns of a law in every row, as ``Relation("U <= D")``.

    The rule has numbers and columns with ``+ - * /`` on either side of ``<=`` or ``>=``; a header
    that is not one word stands in backticks. It is read, never run.

    Attributes:
        rule: as ``share1 + share2 <= 1``.
        tolerance: how far the smaller side may pass the larger one, as a share of that: where
            values are rounded when they are printed.

    Raises:
        ArgumentError: it is no such rule, or reads no column.
    """

    rule: str
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        text(self.rule, "Relation.rule", remedy=RELATION)
        number(
            self.tolerance,
            "Relation.tolerance",
            least=0,
            remedy='Give a share of one, as Relation("share1 + share2 <= 1", tolerance=0.01)',
        )
        if not self.columns:
            raise refused("Relation.rule", self.rule, "a rule on columns", RELATION)

    @cached_property
    def _headers(self) -> tuple[str, ...]:
        """Headers in backticks, in order."""
        return tuple(found.replace("``", "`") for found in HEADER.findall(self.rule))

    @cached_property
    def _sides(self) -> tuple[ast.expr, ast.expr]:
        """The side that is at most the other, and the other."""
        places = iter(range(len(self._headers)))
        plain = HEADER.sub(lambda _: f" __{next(places)}__ ", self.rule).strip()
        try:
            found = ast.parse(plain, mode="eval").body
        except (SyntaxError, ValueError, RecursionError) as error:
            raise refused("Relation.rule", self.rule, "a rule", RELATION) from error
        match found:
            case ast.Compare(left=left, ops=[ast.LtE()], comparators=[right]):
                return left, right
            case ast.Compare(left=left, ops=[ast.GtE()], comparators=[right]):
                return right, left
        raise refused("Relation.rule", self.rule, "one comparison", RELATION)

    @cached_property
    def smaller(self) -> tuple[str, ...]:
        """The columns of the side that is at most the other, in order."""
        return tuple(dict.fromkeys(self._reads(self._sides[0])))

    @cached_property
    def larger(self) -> tuple[str, ...]:
        """The columns of the other side, in order."""
        return tuple(dict.fromkeys(self._reads(self._sides[1])))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, each once."""
        return tuple(dict.fromkeys((*self.smaller, *self.larger)))

    @property
    def of_two(self) -> bool:
        """Whether either side is a column alone."""
        return all(isinstance(side, ast.Name) for side in self._sides)

    def _column(self, name: str) -> str:
        """The column that a name in the read rule stands for."""
        hidden = re.fullmatch(r"__(\d+)__", name)
        return self._headers[int(hidden[1])] if hidden else name

    def _reads(self, side: ast.expr) -> list[str]:
        """The columns of a side, once all of it is arithmetic."""
        match side:
            case ast.Name(id=name):
                return [self._column(name)]
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return []
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._reads(operand)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
                return self._reads(left) + self._reads(right)
        raise refused("Relation.rule", self.rule, "made of columns, numbers and + - * /", RELATION)

    def _value(self, side: Any, columns: Mapping[str, Any]) -> Any:
        """A side at these columns: numbers, arrays, or traced by JAX."""
        match side:
            case ast.Name():
                return columns[self._column(side.id)]
            case ast.Constant(value=int() | float() as value):
                return np.float64(value)
            case ast.UnaryOp():
                return -self._value(side.operand, columns)
        both = self._value(side.left, columns), self._value(side.right, columns)
        return ARITHMETIC[type(side.op)](*both)

    def holds(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Whether it holds in each row; a missing value (NaN) is not judged."""
        arrays = {name: np.asarray(columns[name], dtype=np.float64) for name in self.columns}
        with np.errstate(all="ignore"):
            left, right = (np.asarray(self._value(side, arrays)) for side in self._sides)
            return np.asarray(~((left > right) & (left > right + self.tolerance * np.abs(right))))

    def ratio(self, *columns: Any) -> Any:
        """The side that is at most the other, over the other: at most 1 where both are positive.

        Args:
            columns: in the order of ``columns``.
        """
        named = dict(zip(self.columns, columns, strict=True))
        low, high = (self._value(side, named) for side in self._sides)
        return low / high

    def inverse(self, *columns: Any) -> Any:
        """One over :meth:`ratio`."""
        return 1.0 / self.ratio(*columns)


def quoted(column: str) -> str:
    """A column as a rule names it."""
    if column.isidentifier() and not keyword.iskeyword(column):
        return column
    return f"`{column.replace('`', '``')}`"
