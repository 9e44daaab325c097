"""A law's signature: data columns positional, parameters keyword-only and annotated with a kind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.arguments import shown
from scalefit.errors import DataError, LawError
from scalefit.laws.kinds import Bounds, By, Domain, Kind

__all__ = ["Param", "meanings", "read_signature", "require_function"]

# How a parameter is annotated, in messages.
KINDS = "Offset, Amplitude, Coefficient, Exponent, Fraction or Annotated[Array, scale_of('N')]"


@dataclass(frozen=True)
class Param:
    """One parameter of a law: its name, its kind, and the columns it differs by, if any."""

    name: str
    kind: Kind
    by: tuple[str, ...] = ()

    def bounds(self, columns: Mapping[str, np.ndarray]) -> tuple[float, float]:
        """Bounds in the parameter's own unit, given the data columns of a table.

        Raises:
            DataError: the kind is a scale of a column that is not positive everywhere.
        """
        kind = self.kind
        if kind.column is None:
            return kind.lower, kind.upper
        values = columns[kind.column]
        if kind.per:
            # A constant column has no slope; the design checks of a fit say so.
            width = float(values.max() - values.min()) or 1.0
            return kind.lower / width, kind.upper / width
        if not np.all(values > 0):
            raise DataError(
                f"parameter {self.name!r} is a scale of column {kind.column!r}, "
                f"whose smallest value is {values.min():g}",
                column=kind.column,
                remedy="A scale needs a positive column: shift the column, or give the parameter "
                "explicit bounds with Annotated[..., Bounds(lower, upper)]",
            )
        return kind.lower * float(values.min()), kind.upper * float(values.max())


def require_function(function: Any) -> None:
    """Refuse anything but a plain function of columns and parameters."""
    example = "def mine(N, D, *, E: Offset, A: Amplitude, alpha: Exponent)"
    name = getattr(function, "__name__", None)
    if not callable(function) or isinstance(function, type) or not isinstance(name, str):
        raise LawError(f"{shown(function)} is not a plain function. Write one, as {example}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise LawError(f"law {name!r} is an async function. Write it with def alone: {example}")
    if inspect.isgeneratorfunction(function):
        raise LawError(f"law {name!r} yields. Return the predicted value instead")
    try:
        inspect.signature(function)
    except ValueError as error:
        raise LawError(f"{name!r} has no signature to read. Write a function: {example}") from error


def read_signature(
    function: Callable[..., Any],
) -> tuple[tuple[str, ...], tuple[Param, ...], dict[str, Domain]]:
    """The columns, the parameters and the domains of columns that a signature declares.

    The domain of the response is that of ``return``.

    Raises:
        LawError: it is not "columns positional, parameters keyword-only, each annotated with a
            kind".
    """
    name = function.__name__
    hints = _annotations(function)
    columns: list[str] = []
    params: list[Param] = []
    domains: dict[str, Domain] = {}
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise LawError(
                f"law {name!r}: {argument} is variadic. Write every column and parameter out"
            )
        if argument.default is not argument.empty:
            raise LawError(
                f"law {name!r}: {argument.name} has the default {shown(argument.default)}, which "
                "a fit would not use. Leave it out; a parameter is held at a value with "
                "fit(..., fixed={...})"
            )
        if argument.kind is argument.KEYWORD_ONLY:
            kind = _read_kind(name, argument.name, hints)
            params.append(Param(argument.name, kind, _read_by(argument.name, hints)))
            continue
        if argument.name in ("self", "cls"):
            raise LawError(
                f"law {name!r} is a method: {argument.name!r} would be a column. Write it as a "
                "function outside of the class"
            )
        columns.append(argument.name)
        for item in _metadata(hints, argument.name):
            if isinstance(item, Kind):
                raise LawError(
                    f"law {name!r}: {argument.name} is annotated as a parameter ({item.name}), but "
                    "stands among the columns. Put a bare * before the parameters: "
                    "def mine(N, D, *, E: Offset, ...)"
                )
    for declared in (*columns, "return"):
        for item in _metadata(hints, declared):
            if isinstance(item, Domain):
                domains[declared] = item
    if not columns or not params:
        raise LawError(
            f"law {name!r} needs at least one data column (positional) and one parameter "
            "(keyword-only): def mine(N, D, *, E: Offset, ...). Put a bare * between them"
        )
    for param in params:
        if param.kind.column is not None and param.kind.column not in columns:
            raise LawError(
                f"law {name!r}: {param.name} is a {param.kind.name} of "
                f"{param.kind.column!r}, which is not one of its columns ({', '.join(columns)})"
            )
    return tuple(columns), tuple(params), domains


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations by argument, with text evaluated."""
    try:
        return inspect.get_annotations(inspect.unwrap(function), eval_str=True)
    except NameError as error:
        raise LawError(
            f"law {function.__name__!r}: annotation {error.name!r} cannot be resolved. Import the "
            "kind at the top level of the module or notebook that defines the law"
        ) from error
    except Exception as error:  # Evaluating an annotation can raise anything.
        raise LawError(
            f"law {function.__name__!r}: an annotation cannot be resolved ({error}). Annotate "
            f"each parameter with its kind: {KINDS}"
        ) from error


def _metadata(hints: Mapping[str, Any], argument: str) -> tuple[Any, ...]:
    """Metadata of an annotation; a bare kind or domain counts as its own."""
    hint = hints.get(argument)
    return (hint,) if isinstance(hint, Kind | Domain) else getattr(hint, "__metadata__", ())


def _read_by(param: str, hints: Mapping[str, Any]) -> tuple[str, ...]:
    items = _metadata(hints, param)
    return tuple(column for item in items if isinstance(item, By) for column in item.columns)


def _read_kind(law_name: str, param: str, hints: Mapping[str, Any]) -> Kind:
    metadata = _metadata(hints, param)
    kinds = [item for item in metadata if isinstance(item, Kind)]
    if len(kinds) != 1:
        raise LawError(
            f"law {law_name!r}: parameter {param!r} has {'several kinds' if kinds else 'no kind'}. "
            f"Annotate it with one of {KINDS}"
        )
    for item in metadata:
        if not isinstance(item, Kind | Bounds | By):
            raise LawError(
                f"law {law_name!r}: parameter {param!r} is annotated with {shown(item)}, which is "
                'nothing of a parameter. Write Bounds(lower, upper), or By("format")'
            )
    (kind,) = kinds
    for bounds in (item for item in metadata if isinstance(item, Bounds)):
        kind = kind.narrowed(bounds)
    if not kind.lower < kind.upper:
        raise LawError(
            f"law {law_name!r}: parameter {param!r} has empty bounds ({kind.lower}, {kind.upper})"
        )
    if kind.spacing == "log" and kind.lower <= 0:
        raise LawError(
            f"law {law_name!r}: {kind.name} {param!r} is searched in the logarithm, so its lower "
            f"bound must be positive, not {kind.lower:g}. Declare a number free in sign "
            f"Annotated[Coefficient, Bounds({kind.lower:g}, {kind.upper:g})]"
        )
    return kind


def meanings(function: Callable[..., Any]) -> dict[str, str]:
    """First clause of each entry under ``Args`` in a function's docstring, by argument."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in (inspect.getdoc(function) or "").splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 0 and line:
            inside = line.strip() == "Args:"
        elif inside and indent == 4 and ":" in line:
            name, _, said = line.strip().partition(":")
            found[name] = said.strip()
        elif inside and indent > 4 and name:
            found[name] += f" {line.strip()}"
    return {name: re.split(r"[;:.](?:\s|$)", said)[0] for name, said in found.items()}
