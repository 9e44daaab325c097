"""Functions of parameters that a caller passes, and how they are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit import arguments
from scalefit.arguments import answered, shown
from scalefit.errors import ArgumentError

__all__ = ["EXAMPLE", "called", "no_number", "returned"]

EXAMPLE = "lambda alpha, beta: beta / (alpha + beta)"


def called(
    function: Callable[..., Any], params: Mapping[str, Any], *, remedy: str = "", name: str = ""
) -> Any:
    """Value of a function of parameters by name, or of their mapping.

    Args:
        function: the function.
        params: parameters by name.
        remedy: what to write instead, where it raises something.
        name: of the argument that it was passed as; ``function`` by default.

    Raises:
        ArgumentError: it is no function, asks for something else, or raises something.
    """
    name = name or "function"
    example = f"as {name}={EXAMPLE}"
    arguments.function(function, name, remedy=f"Pass a function of parameters, {example}")
    remedy = remedy or f"Write a function of parameters, {example}"
    try:
        signature = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return answered(function, name, params, remedy=remedy)
    names = list(signature)
    # One argument of another name than any parameter takes them all, as a mapping.
    if len(names) == 1 and names[0] not in params:
        if signature[names[0]].kind is inspect.Parameter.VAR_KEYWORD:
            return answered(function, name, remedy=remedy, **params)
        return answered(function, name, params, remedy=remedy)
    unknown = [
        item
        for item in names
        if item not in params
        and signature[item].default is inspect.Parameter.empty
        and signature[item].kind is not inspect.Parameter.VAR_KEYWORD
    ]
    if unknown:
        raise ArgumentError(
            f"{name}={shown(function)} asks for {unknown[0]!r}, which is no parameter of the law",
            argument=name,
            value=function,
            remedy=f"Parameters: {', '.join(params)}",
        )
    own = {item: params[item] for item in names if item in params}
    return answered(function, name, remedy=remedy, **own)


def returned(function: Callable[..., Any], found: Any) -> np.ndarray:
    """What a function of parameters returned, as numbers.

    Raises:
        ArgumentError: it is none.
    """
    try:
        return arguments.numbers(found, "", infinite=True, missing=True, remedy="")
    except ArgumentError:
        raise no_number(function, found) from None


def no_number(function: Callable[..., Any], found: Any) -> ArgumentError:
    """The error that a function of parameters returned something else than numbers."""
    return ArgumentError(
        f"function={shown(function)} returns {shown(found)}, which is no number",
        argument="function",
        value=function,
        remedy=f"Return a number, or an array of them, as function={EXAMPLE}",
    )
