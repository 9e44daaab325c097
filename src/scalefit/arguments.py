"""Checks of arguments: one function for each kind of argument.

Each returns the argument in one type, or raises an :class:`~scalefit.errors.ArgumentError` that
names the argument, its value and the remedy. Nothing is guessed: text is not a number, a fraction
is not a count, and a truth value is neither.
"""

from __future__ import annotations

import difflib
import inspect
import math
import operator
import os
import reprlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np
import pandas as pd

from scalefit.errors import ArgumentError, ScalefitError

__all__ = [
    "affordable",
    "answered",
    "broadcast_shape",
    "choice",
    "file_path",
    "flag",
    "function",
    "instance",
    "level",
    "mapping",
    "names",
    "number",
    "numbers",
    "refused",
    "seed",
    "shown",
    "text",
    "whole",
]

Choice = TypeVar("Choice", bound=str)
Instance = TypeVar("Instance")

# Characters of a value that a message shows.
SHOWN = 60
# Of what a caller's own function raises.
SAID = 120
# Below this level an interval is narrower than its rounding.
LEAST_LEVEL = 1e-9

# Memory that one call may take, as a share of this machine's, and in bytes where that is not known.
SHARE_OF_MEMORY = 0.5
MOST_BYTES = 2**33
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = SHOWN


class Limits(TypedDict, total=False):
    """What a number must be.

    Attributes:
        above: what it must be greater than.
        least: what it must not be less than.
        below: what it must be less than.
        most: what it must not be greater than.
        infinite: whether it may be infinite.
        missing: whether it may be NaN.
    """

    above: float | None
    least: float | None
    below: float | None
    most: float | None
    infinite: bool
    missing: bool


def number(value: Any, argument: str, *, remedy: str, **limits: Unpack[Limits]) -> float:
    """One real number, as a float.

    Args:
        value: what was passed.
        argument: what it is called where it was passed, as ``level`` or ``bounds['alpha'][0]``.
        remedy: what to pass instead, a sentence without its full stop.
        **limits: see :class:`Limits`.

    Raises:
        ArgumentError: it is no such number.
    """
    found = numbers(value, argument, remedy=remedy, **limits)
    if found.ndim:
        raise refused(argument, value, "one number", remedy)
    return float(found)


def numbers(
    value: Any, argument: str, *, remedy: str, empty: bool = True, **limits: Unpack[Limits]
) -> np.ndarray:
    """Real numbers of any shape, as a float64 array.

    Args:
        value: what was passed: a number, a sequence of them, an array, a Series.
        argument: what it is called where it was passed.
        remedy: what to pass instead, a sentence without its full stop.
        empty: whether there may be none of them.
        **limits: of each, see :class:`Limits`.

    Returns:
        The numbers, float64, of the value's shape: a copy unless it was float64 already.

    Raises:
        ArgumentError: something in it is no such number.
    """
    wanted = _wanted(limits)
    found = _floats(value, argument, wanted, remedy)
    if not (found.size or empty):
        raise refused(argument, value, wanted, remedy)
    bad = np.zeros(found.shape, dtype=bool)
    if not limits.get("missing", False):
        bad |= np.isnan(found)
    if not limits.get("infinite", False):
        bad |= np.isinf(found)
    with np.errstate(invalid="ignore"):
        for name, (_, beyond) in RANGES.items():
            if (limit := limits.get(name)) is not None:
                bad |= beyond(found, limit)
    if bad.any():
        place = np.unravel_index(int(np.argmax(bad)), found.shape)
        # Of one number as it was passed: 10**400 is not infinite.
        one = float(found[place]) if found.ndim else value
        raise refused(_at(argument, place), one, wanted, remedy)
    return found


def _at(argument: str, place: Sequence[Any]) -> str:
    """What an item of an array is called where the array was passed."""
    return f"{argument}[{', '.join(map(str, place))}]" if len(place) else argument


def whole(
    value: Any, argument: str, *, remedy: str, least: int | None = None, most: int | None = None
) -> int:
    """One whole number.

    Args:
        value: what was passed.
        argument: what it is called where it was passed.
        remedy: what to pass instead, a sentence without its full stop.
        least: what it must not be less than.
        most: what it must not be greater than.

    Raises:
        ArgumentError: it is no whole number, or out of range.
    """
    wanted = "a whole number"
    if least is not None:
        wanted += f" from {least} to {most}" if most is not None else f" of at least {least}"
    elif most is not None:
        wanted += f" of at most {most}"
    try:
        found = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except Exception:  # Whatever the value's own __index__ raises.
        found = None
    if found is None or not ((least is None or found >= least) and (most is None or found <= most)):
        raise refused(argument, value, wanted, remedy)
    return found


def seed(value: Any, argument: str = "seed") -> int:
    """A seed of random numbers: a whole number that is not negative.

    Raises:
        ArgumentError: it is none.
    """
    return whole(value, argument, least=0, remedy=f"Pass a whole number, as {argument}=0")


def level(value: Any, argument: str = "level") -> float:
    """The probability that an interval is to cover: a number between 0 and 1.

    Raises:
        ArgumentError: it is none.
    """
    return number(
        value, argument, least=LEAST_LEVEL, below=1, remedy=f"Pass a share, as {argument}=0.95"
    )


def choice(value: Any, argument: str, known: Sequence[Choice], *, remedy: str = "") -> Choice:
    """One of a few words.

    Args:
        value: what was passed.
        argument: what it is called where it was passed.
        known: the words.
        remedy: what to pass instead; by default, the nearest of the words.

    Raises:
        ArgumentError: it is none of them.
    """
    for word in known:
        if isinstance(value, str) and value == word:
            return word
    near = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
    raise refused(
        argument,
        value,
        f"one of {', '.join(map(repr, known))}",
        remedy or f"Pass {argument}={(near or list(known))[0]!r}",
    )


def flag(value: Any, argument: str, *, remedy: str = "") -> bool:
    """A truth value, not what Python takes for one.

    Raises:
        ArgumentError: it is neither True nor False.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise refused(argument, value, "True or False", remedy or f"Pass {argument}=True or False")


def text(value: Any, argument: str, *, remedy: str) -> str:
    """Text that is not empty.

    Raises:
        ArgumentError: it is no text, or empty.
    """
    if isinstance(value, str) and value:
        return value
    raise refused(argument, value, "text" + " that says something" * isinstance(value, str), remedy)


def names(value: Any, argument: str, *, remedy: str, wanted: str = "name") -> tuple[str, ...]:
    """One name, or several.

    Args:
        value: what was passed.
        argument: what it is called where it was passed.
        remedy: what to pass instead, a sentence without its full stop.
        wanted: what such a text is, as ``rule``.

    Returns:
        The names as a tuple.

    Raises:
        ArgumentError: it is neither text nor a sequence of texts.
    """
    if isinstance(value, str):
        return (text(value, argument, remedy=remedy),)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return tuple(
            text(item, f"{argument}[{place}]", remedy=remedy) for place, item in enumerate(value)
        )
    raise refused(argument, value, f"a {wanted}, or a list of {wanted}s", remedy)


def mapping(value: Any, argument: str, *, remedy: str) -> Mapping[Any, Any]:
    """A mapping from names.

    Raises:
        ArgumentError: it is none, or a key is no text.
    """
    if not isinstance(value, Mapping):
        raise refused(argument, value, "a mapping from names", remedy)
    try:
        found = dict(value.items())
    except Exception as error:  # Whatever its own methods raise.
        raise refused(argument, value, "a mapping from names", remedy) from error
    for key in found:
        if not isinstance(key, str):
            problem = f"{argument} has the key {shown(key)}, which is not a name"
            raise ArgumentError(problem, argument=argument, value=key, remedy=remedy)
    return found


def function(value: Any, argument: str, *, remedy: str) -> Callable[..., Any]:
    """Something that can be called.

    Raises:
        ArgumentError: it cannot.
    """
    if callable(value):
        return value
    raise refused(argument, value, "a function", remedy)


def answered(
    function: Callable[..., Any], argument: str, *given: Any, remedy: str, **named: Any
) -> Any:
    """What a caller's own function returns.

    Args:
        function: the function.
        argument: what it is called where it was passed.
        *given: what it is called with.
        remedy: what to write instead where it raises, a sentence without its full stop.
        **named: what it is called with by name.

    Raises:
        ArgumentError: it raises something, which is the cause.
        ScalefitError: it raises that itself.
    """
    try:
        return function(*given, **named)
    except ScalefitError:
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")[:SAID].rstrip(". ")
        problem = f"{argument}={shown(function)} raises {type(error).__name__}"
        raise ArgumentError(
            problem + f": {said}" * bool(said), argument=argument, value=function, remedy=remedy
        ) from error


def affordable(value: int, argument: str, each: int, *, remedy: str) -> None:
    """Refuse a number of things that would take more than half of this machine's memory.

    Args:
        value: how many, which was passed.
        argument: what that is called where it was passed.
        each: what one of them takes, bytes.
        remedy: what to pass instead, a sentence without its full stop.

    Raises:
        ArgumentError: it would take more.
    """
    most = SHARE_OF_MEMORY * _memory()
    size = value * each
    if size > most:
        problem = (
            f"{argument}={shown(value)} would take {min(size, 10**99) / 1e9:.3g} GB, more than the "
            f"{most / 1e9:.3g} GB of memory that one call may take here"
        )
        raise ArgumentError(problem, argument=argument, value=value, remedy=remedy)


def _memory() -> float:
    """Memory of this machine, bytes."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # Not every system tells.
        return MOST_BYTES / SHARE_OF_MEMORY


def instance(
    value: Any,
    argument: str,
    kinds: type[Instance] | tuple[type[Instance], ...],
    *,
    wanted: str,
    remedy: str,
) -> Instance:
    """An object of the library's own, such as a fit.

    Args:
        value: what was passed.
        argument: what it is called where it was passed.
        kinds: its class, or one of several.
        wanted: what that is in words, as ``a fit``.
        remedy: what to pass instead, a sentence without its full stop.

    Raises:
        ArgumentError: it is of no such class.
    """
    if isinstance(value, kinds):
        return value
    raise refused(argument, value, wanted, remedy)


def broadcast_shape(given: Mapping[str, np.ndarray], *, remedy: str) -> tuple[int, ...]:
    """The shape that arrays broadcast to.

    Args:
        given: arrays by the name of the argument that each was passed as.
        remedy: what to pass instead, a sentence without its full stop.

    Raises:
        ArgumentError: they do not broadcast; named is the first that does not fit those before it.
    """
    shape: tuple[int, ...] = ()
    for place, (argument, array) in enumerate(given.items()):
        try:
            shape = np.broadcast_shapes(shape, array.shape)
        except ValueError as error:
            before = ", ".join(f"{name} of shape {given[name].shape}" for name in [*given][:place])
            problem = f"{argument} of shape {array.shape} does not fit {before}"
            raise ArgumentError(problem, argument=argument, value=array, remedy=remedy) from error
    return shape


def file_path(value: Any, argument: str, *, remedy: str) -> Path:
    """The path of a file, which need not exist.

    Raises:
        ArgumentError: it is neither text nor a path, is empty, or holds a character no path holds.
    """
    if isinstance(value, str | os.PathLike):
        name = os.fspath(value)
        if isinstance(name, str) and name and "\0" not in name:
            with suppress(UnicodeError):
                os.fsencode(name)
                return Path(name)
    raise refused(argument, value, "the path of a file", remedy)


def shown(value: Any) -> str:
    """A value as a message shows it, cut to a line; a function by its name and place."""
    if isinstance(value, pd.DataFrame | pd.Series):
        return f"<{type(value).__name__} of shape {value.shape}>"
    if inspect.isfunction(value):
        file = os.path.basename(value.__code__.co_filename)
        return f"{value.__name__} ({file}:{value.__code__.co_firstlineno})"
    try:
        one = " ".join(_SHORT.repr(value).split())
    except Exception:  # Its own __repr__, or a number of more digits than Python prints.
        one = f"<{type(value).__name__}>"
    return one if len(one) <= SHOWN else f"{one[: SHOWN - 3]}..."


def refused(argument: str, value: Any, wanted: str, remedy: str) -> ArgumentError:
    """The error of an argument that is not what is wanted, for what the functions above lack.

    Args:
        argument: what it is called where it was passed.
        value: what was passed.
        wanted: what it should have been, in words.
        remedy: what to pass instead, a sentence without its full stop.
    """
    problem = f"{argument}={shown(value)} is not {wanted}"
    return ArgumentError(problem, argument=argument, value=value, remedy=remedy)


# Of each limit, its word, and what is beyond it.
RANGES: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "above": ("above", operator.le),
    "least": ("of at least", operator.lt),
    "below": ("below", operator.ge),
    "most": ("of at most", operator.gt),
}


def _wanted(limits: Limits) -> str:
    """A range of numbers in words."""
    given = {name: limit for name in RANGES if (limit := limits.get(name)) is not None}
    if given == {"above": 0}:
        return "a positive number"
    words = " and ".join(f"{RANGES[name][0]} {limit:g}" for name, limit in given.items())
    return f"a number {words}".strip()


def _floats(value: Any, argument: str, wanted: str, remedy: str) -> np.ndarray:
    """Numbers as float64, whatever holds them; what float64 cannot hold becomes infinite."""
    if isinstance(value, float | np.floating):
        return np.asarray(value, dtype=np.float64)
    if np.ma.isMaskedArray(value) and np.ma.getmaskarray(value).any():
        raise refused(argument, value, f"{wanted} in every place: some are masked", remedy)
    try:
        with warnings.catch_warnings():
            # An array that numpy warns about is refused below.
            warnings.simplefilter("ignore")
            array = np.asarray(value)
    except Exception as error:  # Ragged lists, traced arrays, a container's own failure.
        raise refused(argument, value, wanted, remedy) from error
    kind = array.dtype.kind
    if kind in "iuf" or (kind == "V" and type(array.dtype).__module__ != "numpy.dtypes"):
        with np.errstate(over="ignore"):
            return array.astype(np.float64, copy=False)
    if kind in "USc" and array.ndim:
        # A list of numbers and text became text altogether: find which item is none.
        array = np.asarray(value, dtype=object)
    if array.dtype.kind != "O":
        raise refused(argument, value, wanted, remedy)
    found = np.empty(array.shape)
    for place, item in np.ndenumerate(array):
        real = isinstance(item, Real | Decimal) and not isinstance(item, bool | np.bool_)
        try:
            found[place] = float(item) if real else math.nan
        except OverflowError:
            found[place] = math.inf
        except ValueError:  # A signalling NaN.
            real = False
        if not real:
            raise refused(_at(argument, place), item, wanted, remedy)
    return found
