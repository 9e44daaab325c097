"""Rules that select rows, as ``6 * N * D < 1e21 and corpus in ['web', 'code']``.

A rule is a small language of its own, evaluated on the columns as it is read, from left to right.
It is never run as Python or by pandas. Numbers are float64. A comparison with a missing value is
neither true nor false, and neither is its negation; a row is kept where the rule is true.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data.rule_values import (
    OTHER,
    Text,
    Truth,
    Value,
    all_of,
    any_of,
    kind_of,
    missing,
    opposite,
    value_of,
)
from scalefit.errors import DataError, listed
from scalefit.runtime.settings import quiet

__all__ = ["RULE_REMEDY", "holds", "quoted"]

# Far above what people write; limits what hostile rules can cost.
LONGEST = 10_000
DEEPEST = 25

TOKEN = re.compile(
    r"""(?P<number>([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)
      | (?P<column>`([^`]|``)+`)
      | (?P<text>'([^'\\]|\\.)*'|"([^"\\]|\\.)*")
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>\*\*|//|<=|>=|==|!=|[-+*/%<>()\[\],&|~])""",
    re.VERBOSE | re.DOTALL,
)
ESCAPED = {"n": "\n", "t": "\t"}
WORDS = ("and", "or", "not", "in", "True", "False")

Binary = Callable[[Any, Any], Any]
COMPARISONS: Mapping[str, Binary] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
SUMS: Mapping[str, Binary] = {"+": np.add, "-": np.subtract}
PRODUCTS: Mapping[str, Binary] = {
    "*": np.multiply,
    "/": np.divide,
    "//": np.floor_divide,
    "%": np.remainder,
}
OF_NUMBERS: Mapping[str, tuple[Callable[..., Any], int]] = {
    "abs": (np.abs, 1),
    "sqrt": (np.sqrt, 1),
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "log10": (np.log10, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
}
OF_ANYTHING = ("isna", "notna")
OF_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}
FUNCTIONS = (*OF_NUMBERS, *OF_ANYTHING, *OF_TEXT)

# What pandas writes as a method of a column.
METHODS = {
    "isna": "isna({0})",
    "isnull": "isna({0})",
    "notna": "notna({0})",
    "notnull": "notna({0})",
    "isin": "{0} in [...]",
    "between": "lowest <= {0} <= highest",
    "str": "startswith({0}, '...'), endswith({0}, '...') or contains({0}, '...')",
    "abs": "abs({0})",
}
# What people mean by signs that rules do not have.
MEANT = {
    "=": "equality is written ==",
    "!": "negation is written not, and inequality !=",
    "@": "a rule knows no variables, so write the value itself",
    ":": "a rule is one expression",
    ";": "a rule is one expression; several are given as keep=[...]",
    "'": "this text does not end",
    '"': "this text does not end",
    "`": "this header does not end, or is empty",
}

RULE_REMEDY = (
    "Write a rule as keep='C < 1e21 and notna(loss)', of columns (in backticks where a header is "
    "not one word), numbers, text in quotes, + - * / // % **, < <= > >= == !=, in [...], and, or, "
    f"not, {', '.join(FUNCTIONS)}; or select rows before, as frame[frame['C'] < 1e21]"
)


def holds(rule: str, columns: Mapping[str, pd.Series]) -> np.ndarray:
    """Where a rule is true, shape (rows,).

    Args:
        rule: the rule.
        columns: columns by name, all of one length.

    Raises:
        DataError: it is no such rule, or names no column of these, or is not true or false for
            each row.
    """
    if len(rule) > LONGEST:
        raise DataError(
            f"the rule {shown(rule)} has {len(rule)} characters, more than {LONGEST}",
            remedy="Select rows before, as frame[frame['C'] < 1e21]",
        )
    with quiet():  # 0 / 0 counts as missing.
        found = _Reader(rule, columns).read()
    if not isinstance(found, Truth) or not found.yes.ndim:
        raise DataError(
            f"the rule {shown(rule)} is not true or false for each row", remedy=RULE_REMEDY
        )
    return found.yes


def quoted(header: object) -> str:
    """A header as a rule writes it."""
    text = str(header)
    if text.isidentifier() and text not in WORDS:
        return text
    return f"`{text.replace('`', '``')}`"


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """A recursive-descent parser that evaluates as it reads: one method a level of precedence.

    Precedence is Python's, except that ``&`` and ``|`` mean ``and`` and ``or``, as in
    ``DataFrame.query``.
    """

    def __init__(self, rule: str, columns: Mapping[str, pd.Series]) -> None:
        self.rule = rule
        self.columns = columns
        self.values: dict[str, Value] = {}  # of the columns named so far
        self.depth = 0
        self.end = 0  # of the token taken last
        self.next = self._token(0)

    def read(self) -> Value:
        found = self._either()
        if self.next.kind != "end":
            self._refuse(self.next, "an operator is expected here")
        return found

    def _either(self) -> Value:
        found = self._both()
        while token := self._take("or", "|"):
            left, right = self._truth(found, token), self._truth(self._both(), token)
            found = Truth(left.yes | right.yes, left.no & right.no)
        return found

    def _both(self) -> Value:
        found = self._negation()
        while token := self._take("and", "&"):
            left, right = self._truth(found, token), self._truth(self._negation(), token)
            found = Truth(left.yes & right.yes, left.no | right.no)
        return found

    def _negation(self) -> Value:
        signs = list(iter(lambda: self._take("not"), None))
        found = self._comparison()
        for token in signs:
            found = opposite(self._truth(found, token))
        return found

    def _comparison(self) -> Value:
        """Comparisons that share what stands between them, as ``0 <= sparsity < 1``."""
        left = self._sum()
        several = []
        while token := self._take(*COMPARISONS, "in", "not"):
            if token.text in COMPARISONS:
                right = self._sum()
                several.append(self._compared(token, left, right))
                left = right
            else:
                several.append(self._among(token, left))
        if not several:
            return left
        return Truth(all_of([item.yes for item in several]), any_of([item.no for item in several]))

    def _sum(self) -> Value:
        return self._arithmetic(SUMS, self._product)

    def _product(self) -> Value:
        return self._arithmetic(PRODUCTS, self._signed)

    def _arithmetic(self, signs: Mapping[str, Binary], part: Callable[[], Value]) -> Value:
        found = part()
        while token := self._take(*signs):
            left, right = self._number(found, token), self._number(part(), token)
            found = np.asarray(signs[token.text](left, right))
        return found

    def _signed(self) -> Value:
        signs = list(iter(lambda: self._take("-", "+", "~"), None))
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse(self.next, f"more than {DEEPEST} parentheses or powers are nested here")
        found = self._power()
        self.depth -= 1
        for token in reversed(signs):
            if token.text == "~":
                found = opposite(self._truth(found, token))
            else:
                number = self._number(found, token)
                found = np.asarray(-number) if token.text == "-" else number
        return found

    def _power(self) -> Value:
        found = self._operand()
        if token := self._take("**"):
            base, exponent = self._number(found, token), self._number(self._signed(), token)
            found = np.asarray(np.power(base, exponent))
        return found

    def _operand(self) -> Value:
        token = self._step()
        if token.text == "(":
            found = self._either()
            self._expect(")")
        elif token.kind == "column":
            found = self._column(token.text[1:-1].replace("``", "`"), token)
        elif token.kind == "name" and token.text not in ("and", "or", "not", "in"):
            found = self._named(token)
        elif token.kind in ("number", "text"):
            found = self._literal(token)
        else:
            self._refuse(token, "a column, a number or text is expected here")
        if self.next.text == ".":
            self._refuse_method(token)
        return found

    def _named(self, token: _Token) -> Value:
        if self.next.text == "(":
            return self._called(token)
        if self.next.kind == "text" and self.next.start == token.end:
            self._refuse(token, "text is written in quotes, without a letter before them")
        if token.text in ("True", "False"):
            return self._literal(token)
        if token.text == "inf" and token.text not in self.columns:
            return np.array(np.inf)
        return self._column(token.text, token)

    def _literal(self, token: _Token) -> Value:
        if token.kind == "number":
            if self.next.start == token.end and self.next.kind in ("number", "name"):
                self._refuse(token, "numbers are written as 7e9 or 0.5")
            return np.array(float(token.text.replace("_", "")))
        if token.kind == "text":
            text = re.sub(
                r"(?s)\\(.)", lambda found: ESCAPED.get(found[1], found[1]), token.text[1:-1]
            )
            return Text(np.array(text, dtype=object), np.array(False))
        if token.text not in ("True", "False"):
            self._refuse(token, "a list holds numbers and text in quotes")
        yes = np.array(token.text == "True")
        return Truth(yes, ~yes)

    def _column(self, name: str, token: _Token) -> Value:
        if name not in self.columns:
            near = difflib.get_close_matches(name, self.columns, n=1)
            hint = f"Did you mean {quoted(near[0])}? " if near else ""
            if name in ("None", "NA", "nan", "NaN", "null"):
                hint = "Missing values are found by isna(loss). "
            for header, values in self.columns.items():
                if isinstance(values.dtype, pd.CategoricalDtype) and name in values.cat.categories:
                    hint = f"It is a value of {header}: write {quoted(header)} == {name!r}. "
            self._refuse(
                token,
                f"there is no column {shown(name)}",
                remedy=f"{hint}Columns: {listed(list(self.columns))}",
            )
        if name not in self.values:
            self.values[name] = value_of(self.columns[name])
        return self.values[name]

    def _called(self, token: _Token) -> Value:
        name = token.text
        if name not in FUNCTIONS:
            self._refuse(token, f"{shown(name)} is no function of rules")
        self._expect("(")
        given = [self._either()]
        while self._take(","):
            given.append(self._either())
        self._expect(")")
        wanted = OF_NUMBERS[name][1] if name in OF_NUMBERS else 2 if name in OF_TEXT else 1
        if len(given) != wanted:
            self._refuse(token, f"{name} is a function of {wanted}, not of {len(given)}")
        if name in OF_NUMBERS:
            return np.asarray(OF_NUMBERS[name][0](*(self._number(item, token) for item in given)))
        if name in OF_TEXT:
            return self._searched(token, *given)
        gaps = missing(given[0])
        return Truth(gaps, ~gaps) if name == "isna" else Truth(~gaps, gaps)

    def _searched(self, token: _Token, within: Value, sought: Value) -> Truth:
        gaps = missing(within)
        if gaps.all():
            return Truth(~gaps, ~gaps)
        if not isinstance(within, Text) or not isinstance(sought, Text) or sought.values.ndim:
            self._refuse(token, f"{token.text} takes a column of text, and a text in quotes")
        test, what = OF_TEXT[token.text], sought.values.item()
        yes = np.array([item is not OTHER and test(item, what) for item in within.values.flat])
        yes = yes.reshape(gaps.shape)
        return Truth(yes & ~gaps, ~yes & ~gaps)

    def _among(self, token: _Token, left: Value) -> Truth:
        """Whether each is one of a list of literals."""
        if token.text == "not":
            self._expect("in")
        opening = self._take("[", "(") or self._refuse(
            self.next, "a list is expected here, as in ['web', 'code']"
        )
        closing = "]" if opening.text == "[" else ")"
        same = [self._compared(token, left, self._item())]
        while self._take(",") and self.next.text != closing:
            same.append(self._compared(token, left, self._item()))
        self._expect(closing)
        found = Truth(any_of([item.yes for item in same]), all_of([item.no for item in same]))
        return opposite(found) if token.text == "not" else found

    def _item(self) -> Value:
        sign = self._take("-", "+")
        found = self._literal(self._step())
        if sign is None:
            return found
        number = self._number(found, sign)
        return np.asarray(-number) if sign.text == "-" else number

    def _compared(self, token: _Token, left: Value, right: Value) -> Truth:
        known = ~(missing(left) | missing(right))
        compare: Binary = COMPARISONS.get(token.text, operator.eq)
        equality = compare in (operator.eq, operator.ne)
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            yes = compare(left, right)
        elif isinstance(left, Text) and isinstance(right, Text):
            if not (equality or (left.sorts and right.sorts)):
                self._refuse(token, "what stands here has no order of text")
            yes = compare(left.values, right.values)
        elif isinstance(left, Truth) and isinstance(right, Truth) and equality:
            yes = compare(left.yes, right.yes)
        elif not known.any():
            yes = known
        else:
            alone = isinstance(left, Truth) or isinstance(right, Truth)
            self._refuse(
                token,
                f"{kind_of(left)} is compared with {kind_of(right)}"
                + (": write it alone, or not before it" if alone else ""),
            )
        yes = np.asarray(yes, dtype=bool)
        return Truth(yes & known, ~yes & known)

    def _truth(self, value: Value, token: _Token) -> Truth:
        if not isinstance(value, Truth):
            self._refuse(token, f"{kind_of(value)} stands where true or false is needed")
        return value

    def _number(self, value: Value, token: _Token) -> np.ndarray:
        if not isinstance(value, np.ndarray):
            self._refuse(token, f"{kind_of(value)} stands where a number is needed")
        return value

    def _token(self, start: int) -> _Token:
        while self.rule[start : start + 1].isspace():
            start += 1
        found = TOKEN.match(self.rule, start)
        if found is not None:
            return _Token(str(found.lastgroup), found.group(), start, found.end())
        text = self.rule[start : start + 1]
        return _Token("unknown" if text else "end", text, start, start + 1)

    def _step(self) -> _Token:
        token = self.next
        self.end, self.next = token.end, self._token(token.end)
        return token

    def _take(self, *texts: str) -> _Token | None:
        """The next token, if it is one of these signs or words."""
        return self._step() if self.next.text in texts else None

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._refuse(self.next, f"{sign} is expected here")

    def _refuse_method(self, token: _Token) -> NoReturn:
        column = self.rule[token.start : self.end]
        method = METHODS.get(self._token(self.next.end).text)
        self._refuse(
            self.next,
            "columns have no methods in a rule"
            + (f": write {method.format(column)}" if method and len(column) < 80 else ""),
        )

    def _refuse(self, token: _Token, why: str, *, remedy: str = RULE_REMEDY) -> NoReturn:
        rest = shown(self.rule[token.start : token.start + 30])
        where = f"{rest} (character {token.start + 1})" if token.text else "its end"
        if token.kind == "unknown":
            why = MEANT.get(token.text, why)
        raise DataError(
            f"the rule {shown(self.rule)} makes no sense at {where}: {why}", remedy=remedy
        )
