"""What messages propose, read off the source and off the messages themselves."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import scalefit as sf
from scalefit.cli.translation import NAMED, OPTIONS, PYTHON

SOURCE = Path(sf.__file__).parent

# A keyword with its value, or a call.
PROPOSES = re.compile(r"[\w…]=|\w\(")
CLOSING = {"(": ")", "[": "]", "{": "}"}


def balanced(message: str, start: str) -> str:
    """The text from ``start`` to where the first bracket in it closes."""
    first = message.index(start)
    at, open_brackets = first + min(start.index(char) for char in CLOSING if char in start), []
    for place, char in enumerate(message[at:], at):
        if char in CLOSING:
            open_brackets.append(CLOSING[char])
        elif open_brackets and char == open_brackets[-1]:
            open_brackets.pop()
            if not open_brackets:
                return message[first : place + 1]
    raise AssertionError(f"{start!r} never closes in {message!r}")


def value_of(piece: str, /, **names: Any) -> Any:
    """What a piece of a message is as Python, typed after ``from scalefit import *``."""
    return eval(
        piece,
        {**{name: getattr(sf, name) for name in sf.__all__}, "np": np, "scalefit": sf, **names},
    )


def option(message: str, name: str) -> Any:
    """The value of an option that a message prints, as ``fixed={'D': 2e10}``."""
    opener = re.search(rf"\b{name}=([\[({{])", message)
    assert opener, f"no {name}= in {message!r}"
    return value_of(balanced(message, opener.group()).removeprefix(f"{name}="))


def text_option(message: str, name: str) -> str:
    """The same of a text, as ``keep='C < 1e21'``."""
    found = re.search(rf"\b{name}='(.*?)'", message)
    assert found, f"no {name}='...' in {message!r}"
    return found[1]


def called(message: str, start: str, /, **names: Any) -> Any:
    """What a call that a message prints returns."""
    return value_of(balanced(message, start), **names)


def as_python(message: str) -> str:
    """The first option of the command line that a message writes as an argument, or nothing.

    A call that no command makes is for Python, and whole.
    """
    outside = " ".join(PYTHON.split(message)[::2])
    found = re.search(rf"(?<![\w.-])({OPTIONS}|{NAMED}|tied|certify)=(?!lambda)", outside)
    return found[0] if found else ""


def _pattern(node: ast.expr) -> tuple[str, str]:
    """A regular expression of a text in the source, and the text itself, values as ``…``."""
    match node:
        case ast.Constant(value=str(text)):
            return re.escape(text), text
        case ast.JoinedStr(values=parts):
            found = [_pattern(part) for part in parts]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = [_pattern(left), _pattern(right)]
        case _:
            return ".*", "…"
    return "".join(item[0] for item in found), "".join(item[1] for item in found)


@cache
def proposals() -> dict[str, str]:
    """Pattern of every message in the source that prints a keyword or a call as its remedy."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name == "Note.of" and len(node.args) > 1:
                pattern, proposed = _pattern(node.args[1])
            elif name in ("DataError", "LawError", "FitError", "AllocationError") and node.args:
                pattern, proposed = _pattern(node.args[0])
                remedy = next((item.value for item in node.keywords if item.arg == "remedy"), None)
                if remedy is not None:
                    more, proposed = _pattern(remedy)
                    pattern += r"\. " + more
            else:
                continue
            if PROPOSES.search(proposed):
                found[f"{path.relative_to(SOURCE)}:{node.lineno}"] = pattern
    return found
