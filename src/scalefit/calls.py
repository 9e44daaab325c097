"""Calls that do not fit a function's signature, refused with the option that was meant."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from scalefit.arguments import shown
from scalefit.errors import ArgumentError

__all__ = ["checked_call"]

P = ParamSpec("P")
R = TypeVar("R")


def checked_call(**meant: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: an unknown or missing argument is an error of ours that names the remedy.

    The signature stays visible to ``inspect``.

    Args:
        **meant: what to pass in place of a name that is often tried, with ``{}`` for its value:
            ``C="flops={}"``.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def checked(*args: P.args, **options: P.kwargs) -> R:
            try:
                signature.bind(*args, **options)
            except TypeError:
                raise _refused(function.__name__, signature, args, options, meant) from None
            return function(*args, **options)

        return checked

    return decorate


def _refused(
    name: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    options: Mapping[str, Any],
    meant: Mapping[str, str],
) -> ArgumentError:
    """The error of arguments that do not bind."""
    known = list(signature.parameters)
    positional = [
        item.name
        for item in signature.parameters.values()
        if item.kind is item.POSITIONAL_OR_KEYWORD
    ]
    for option, value in options.items():
        if option in known:
            continue
        near = difflib.get_close_matches(option, known, n=1)
        text = meant.get(option) or (f"{near[0]}={{}}" if near else "")
        remedy = f"Pass {text.format(shown(value))}" if text else f"Options: {', '.join(known)}"
        return ArgumentError(
            f"{option}={shown(value)} is no option of {name}",
            argument=option,
            value=value,
            remedy=remedy,
        )
    if len(args) > len(positional):
        extra = args[len(positional)]
        rest = [item for item in known if item not in positional]
        return ArgumentError(
            f"{name} takes {' and '.join(positional)} by position, and {len(args)} arguments are "
            "given so",
            argument=positional[-1],
            value=extra,
            remedy=f"Pass the others by name: {', '.join(rest)}",
        )
    twice = [item for item in positional[: len(args)] if item in options]
    if twice:
        return ArgumentError(
            f"{twice[0]} is given twice, by position and by name",
            argument=twice[0],
            value=options[twice[0]],
            remedy=f"Pass it once, as {twice[0]}={shown(options[twice[0]])}",
        )
    missing = [
        item.name
        for item in signature.parameters.values()
        if item.default is item.empty
        and item.name not in options
        and item.name not in positional[: len(args)]
    ]
    return ArgumentError(
        f"{name} has no {missing[0]}",
        argument=missing[0],
        value=None,
        remedy=f"Call it as {name}({', '.join(positional)})",
    )
