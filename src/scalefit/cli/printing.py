"""What commands print: results in words, or one JSON document."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from scalefit.cli.exit_codes import NO_FIT
from scalefit.cli.translation import in_words

if TYPE_CHECKING:
    from scalefit.reporting.described import Described
    from scalefit.reporting.description import Description
    from scalefit.results.fit import Fit

__all__ = ["finish", "following", "print_descriptions", "print_document", "print_results", "shell"]


def print_results(*results: Described | None, level: float = 0.95, more: str = "") -> None:
    """Results in words, one after the other.

    Args:
        *results: results; None for what was not asked for.
        level: coverage of intervals.
        more: lines that follow, as where a picture went or what comes next.
    """
    print_descriptions(*(one.describe(level) for one in results if one is not None), more=more)


def print_descriptions(*descriptions: Description, more: str = "") -> None:
    """Descriptions in words, all rows of their tables; a note is said once."""
    from scalefit.reporting import render

    shown: set[str] = set()
    said = []
    for one in map(in_words, descriptions):
        # An allocation and the sizes near it have the same notes.
        fresh = [note for note in one.notes if note.message not in shown]
        shown |= {note.message for note in fresh}
        said.append(render.text(replace(one, notes=fresh), whole=True))
    typer.echo("\n\n".join(said + [more] * bool(more)))


def print_document(command: str, document: Mapping[str, Any], version: int = 1) -> None:
    """One JSON document, which says its schema first."""
    from scalefit.results.serialization import encoded

    whole = {"schema": f"scalefit/{command}/{version}", **document}
    typer.echo(json.dumps(encoded(whole), indent=2, allow_nan=False))


def finish(fit: Fit) -> None:
    """Set the exit code of a command that fitted.

    Raises:
        typer.Exit: there is no usable fit.
    """
    if not fit.status.usable:
        raise typer.Exit(NO_FIT)


def shell(*words: str) -> str:
    """Words as a shell takes them."""
    return " ".join(map(shlex.quote, words))


def following(command: str, table: str, *words: str) -> str:
    """A command on the same table, read the same way; nothing where it was standard input."""
    return "" if table == "-" else f"scalefit {command} {shell(table, *words)}"
