"""Errors as JSON: on standard output, so that a program always reads one document there."""

from __future__ import annotations

from typing import Any

from scalefit.cli.exit_codes import BAD_INPUT
from scalefit.cli.printing import print_document
from scalefit.cli.translation import argument_as_option, as_options
from scalefit.errors import ScalefitError

__all__ = ["is_usage", "print_error", "print_usage"]


def print_error(error: ScalefitError, exit_code: int) -> None:
    """An error of the library."""
    argument = getattr(error, "argument", None)
    remedy = getattr(error, "remedy", None)
    _print(
        type(error).__name__,
        as_options(str(error)),
        exit_code,
        argument=None if argument is None else argument_as_option(argument),
        value=getattr(error, "value", None),
        remedy=None if remedy is None else as_options(remedy),
        column=getattr(error, "column", None),
        rows=list(getattr(error, "rows", ())),
    )


def is_usage(error: Exception) -> bool:
    """Whether an error is one of typer's, which says what is wrong with the words given.

    Typer has brought its own copy of click along since 0.27: its errors have no one name.
    """
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def print_usage(error: Any) -> None:
    """An error of the words given."""
    _print(
        "UsageError",
        error.format_message(),
        BAD_INPUT,
        argument=getattr(error, "option_name", None) or _named(error),
        remedy="See --help",
    )


def _named(error: Any) -> str | None:
    """The parameter that an error of usage is about."""
    one = getattr(error, "param", None)
    return None if one is None else next(iter(one.opts), None)


def _print(
    kind: str,
    message: str,
    exit_code: int,
    *,
    argument: str | None = None,
    value: Any = None,
    remedy: str | None = None,
    column: str | None = None,
    rows: Any = (),
) -> None:
    error = {
        "type": kind,
        "message": message,
        "argument": argument,
        "value": value,
        "remedy": remedy,
        "column": column,
        "rows": rows,
    }
    print_document("error", {"error": error, "exit_code": exit_code})
