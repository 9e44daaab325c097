"""Numbers that tables hold as text: ``70M``, ``10,072,747``, ``1,4B``, ``1.2x10^9``, ``**3.36**``.

A comma before three digits can separate thousands or decimals. Which of both is decided for a
column as a whole, by its other cells and by what it counts; where nothing decides, such text is no
number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from scalefit.frozen import Frozen

__all__ = [
    "PLAIN",
    "PREFIXES",
    "UNIT_WORDS",
    "Comma",
    "Quantity",
    "Spelling",
    "comma_of",
    "is_gap",
    "reads_as",
    "spells_too_much",
    "why_not",
]

# What a column counts: model sizes, tokens and FLOP are large; a loss or a weight is not, and has
# no unit letter; of others nothing is known.
Quantity = Literal["count", "measure", "other"]

# What a comma before three digits separates; empty where that is not known. With "points", points
# separate thousands, and commas decimals.
Comma = Literal["thousands", "decimals", "points", ""]

PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
INFINITE = re.compile(r"([+-]?)inf(inity)?", re.IGNORECASE)

# How tables write that there is no value.
GAPS = frozenset(
    ["", "-", "--", "\u2013", "\u2014", "nan", "na", "n/a", "#n/a", "null", "none", "?"]
)

LONGEST_GAP = max(map(len, GAPS))

# Marks of Markdown around a cell.
MARKS = "*_`"

SPACES = " \u00a0\u2009\u202f"
GROUPED = re.compile(
    rf"([+-]?)([0-9]{{1,3}})(([,.'_{SPACES}])[0-9]{{3}}(?:\4[0-9]{{3}})*)(\.[0-9]+)?"
)
DECIMAL_COMMA = re.compile(r"([+-]?)([0-9]+),([0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
# Points between groups of three digits: twice or more they can only be that.
POINTS = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3}){2,}(?:,[0-9]+)?")
POINTED = re.compile(r"([+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,([0-9]+))?")
POWER = re.compile(
    r"(?P<number>.+?)\s*[x\u00d7*\u00b7]\s*10\s*(?:\^|\*\*)\s*(?P<power>[+-]?[0-9]{1,3})"
)

# Unit words, of headers too, and letters.
UNIT_WORDS: Mapping[str, float] = Frozen(
    {
        **dict.fromkeys(["k", "thousand", "thousands"], 1e3),
        **dict.fromkeys(["m", "mm", "mn", "mil", "mln", "million", "millions"], 1e6),
        **dict.fromkeys(["b", "bn", "bil", "bln", "billion", "billions"], 1e9),
        **dict.fromkeys(["t", "tn", "trillion", "trillions"], 1e12),
    }
)
UNITS = {**UNIT_WORDS, "g": 1e9}
PREFIXES = dict(zip("kmgtpezy", (10.0**power for power in range(3, 27, 3)), strict=True))
COUNTED = r"(?:param(?:eter)?s?|tok(?:en)?s?)"
LETTERED = re.compile(
    rf"(?P<number>.*[0-9.])\s*(?P<unit>{'|'.join(UNITS)})?\s*{COUNTED}?", re.IGNORECASE
)
FLOPS = re.compile(r"(?P<number>.*[0-9.])\s*(?P<prefix>[kmgtpezy])?flops?", re.IGNORECASE)


class Spelling(NamedTuple):
    """A number in text.

    Attributes:
        value: the number.
        how: what was read beyond a plain number; empty for a plain one.
        unit: whether the text names its unit, which is then not that of its column.
    """

    value: float
    how: str = ""
    unit: bool = False


def is_gap(cell: str) -> bool:
    """Whether text says that there is no value."""
    bare = _bare(cell)
    return len(bare) <= LONGEST_GAP and bare.lower() in GAPS


def reads_as(cell: str, quantity: Quantity, comma: Comma = "") -> Spelling | None:
    """The number that text spells; None where it spells none.

    Args:
        cell: the text.
        quantity: what its column counts.
        comma: what a comma before three digits separates in its column.
    """
    text = cell.strip()
    if PLAIN.fullmatch(text) and not (comma == "points" and POINTED.fullmatch(text)):
        return _finite(Spelling(float(text)))
    if sign := INFINITE.fullmatch(text):
        return Spelling(float(f"{sign[1]}inf"))
    bare = _bare(text)
    found = _digits(bare, comma) or (None if quantity == "measure" else _with_unit(bare, comma))
    if found is None:
        return None
    return _finite(found if found.how else Spelling(found.value, "marks around it"))


def comma_of(texts: Iterable[str], quantity: Quantity) -> Comma:
    """What a comma before three digits separates in a column, by its other cells."""
    texts = list(texts)
    if quantity != "measure" and any(POINTS.fullmatch(_bare(text)) for text in texts):
        return "points"
    found = [_bare(text) for text in texts if "," in text]
    # Letters and words of units stand behind the digits.
    digits = [re.match(r"[+-]?[0-9.,]*", text)[0] for text in found]  # type: ignore[index]
    if any(_splits_decimals(text) for text in digits):
        return "decimals"
    if quantity == "measure":
        return "decimals"
    return "thousands" if quantity == "count" or any(text.count(",") > 1 for text in digits) else ""


def spells_too_much(cell: str) -> bool:
    """Whether text is a plain number beyond float64."""
    return bool(PLAIN.fullmatch(cell.strip())) and math.isinf(float(cell))


def why_not(cell: str) -> str:
    """What is wrong with text that is no number, in words."""
    bare = _bare(cell)
    if bare.endswith("%"):
        return "a percentage, and not a number"
    if re.fullmatch(r"[+-]?[0-9]{1,3},[0-9]{3}", bare):
        return "not a number: its comma may separate thousands or decimals"
    return "not a number"


def _bare(text: str) -> str:
    return text.strip().strip(MARKS).strip()


def _finite(found: Spelling) -> Spelling | None:
    return None if math.isinf(found.value) else found


def _splits_decimals(digits: str) -> bool:
    """Whether a comma in digits can only separate decimals: ``0,345``, ``3,3``, ``3,3612``."""
    if digits.count(",") != 1:
        return False
    before, after = digits.split(",")
    return "." not in digits and (len(after) != 3 or before.lstrip("+-") in ("0", "", "00"))


def _digits(text: str, comma: Comma) -> Spelling | None:
    """Digits in one of the ways in which they are written, without a unit."""
    if comma == "points" and (found := POINTED.fullmatch(text)):
        whole = found[1].replace(".", "")
        return Spelling(float(f"{whole}.{found[2] or 0}"), "digit groups")
    if PLAIN.fullmatch(text):
        return Spelling(float(text))
    if ("^" in text or "**" in text) and (found := POWER.fullmatch(text)):
        inner = _digits(found["number"], comma)
        return inner and Spelling(float(f"{inner.value!r}e{found['power']}"), "powers of ten")
    if "," in text and (found := DECIMAL_COMMA.fullmatch(text)):
        sign, before, after, exponent = found.groups()
        if _splits_decimals(f"{before},{after}") or exponent or comma == "decimals":
            return Spelling(float(f"{sign}{before}.{after}{exponent or ''}"), "decimal commas")
        if comma == "" or len(before) > 3:
            return None
    if found := GROUPED.fullmatch(text):
        sign, first, rest, separator, decimals = found.groups()
        # 1.234 is a plain number, and is read above; of 1.234.567 a point cannot be decimal.
        if separator == "." and decimals:
            return None
        joined = first + rest.replace(separator, "") + (decimals or "")
        return Spelling(float(sign + joined), "digit groups")
    return None


def _with_unit(text: str, comma: Comma) -> Spelling | None:
    """Digits followed by a letter or a word that multiplies them."""
    digits, scale, unit = _unit_behind(text)
    inner = _digits(digits.strip(), comma) if digits else None
    if inner is None:
        return None
    # 1.4B as the decimal 1.4e9: a product would be rounded twice.
    exponent = round(math.log10(scale))
    value = float(f"{inner.value!r}e{exponent}") if _short(inner) else inner.value * scale
    return Spelling(value, "units", unit)


def _unit_behind(text: str) -> tuple[str, float, bool]:
    """Digits, the unit behind them, and whether there is one; no digits without any word."""
    # The usual case first: a letter.
    if (last := text[-1:].lower()) in UNITS and PLAIN.fullmatch(text[:-1]):
        return text[:-1], UNITS[last], True
    if found := FLOPS.fullmatch(text):
        return found["number"], PREFIXES.get((found["prefix"] or "").lower(), 1.0), True
    if found := LETTERED.fullmatch(text):
        return found["number"], UNITS.get((found["unit"] or "").lower(), 1.0), bool(found["unit"])
    return "", 1.0, False


def _short(found: Spelling) -> bool:
    return "e" not in repr(found.value)
