"""The application: its commands, and how it ends."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from scalefit.cli import (
    budget_commands,
    error_documents,
    fit_commands,
    judgement_commands,
    lookup_commands,
    sweep_commands,
    table_commands,
)
from scalefit.cli.exit_codes import BAD_INPUT, NO_FIT, STOPPED
from scalefit.cli.options import command
from scalefit.cli.translation import as_options
from scalefit.errors import FitError, ScalefitError
from scalefit.jobs import commands as jobs
from scalefit.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Neural scaling laws fitted globally, exactly and with evidence.",
)

# In the order of the help: from a table to a decision, then its evidence, then what there is.
PANELS: Mapping[str, tuple[tuple[str, Callable[..., None]], ...]] = {
    "From runs to a decision": (
        ("fit", fit_commands.fit),
        ("allocate", budget_commands.allocate),
        ("next-runs", budget_commands.next_runs),
        ("isoflop", sweep_commands.isoflop),
        ("report", table_commands.report),
    ),
    "How certain it is": (
        ("check", judgement_commands.check),
        ("bootstrap", fit_commands.bootstrap),
        ("compare", judgement_commands.compare),
        ("holdout", judgement_commands.holdout),
        ("bias", sweep_commands.bias),
    ),
    "What there is": (
        ("laws", lookup_commands.laws),
        ("datasets", lookup_commands.datasets),
        ("convert", table_commands.convert),
        ("schema", lookup_commands.schema),
        ("demo", fit_commands.demo),
    ),
}

for panel, members in PANELS.items():
    for name, function in members:
        app.command(name, rich_help_panel=panel)(command(function))
jobs.register(app, panel="Large jobs")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scalefit {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Neural scaling laws fitted globally, exactly and with evidence."""


@contextmanager
def _stopped_anywhere() -> Iterator[None]:
    """Ctrl-C stops the command even while Python calls JAX back, where errors are printed only."""
    before = sys.unraisablehook

    def again(given: Any) -> None:
        if given.exc_type is KeyboardInterrupt:
            # By a thread, so that it comes when this has returned.
            _thread.start_new_thread(_thread.interrupt_main, ())
        else:
            before(given)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def main() -> None:
    """Entry point: an error becomes one line on standard error, or a document under ``--json``."""
    as_json = "--json" in sys.argv[1:]
    try:
        # Under --json errors of usage are raised, to be printed as any other.
        with _stopped_anywhere():
            code: Any = app(prog_name="scalefit", standalone_mode=not as_json)
    except ScalefitError as error:
        exit_code = NO_FIT if isinstance(error, FitError) else BAD_INPUT
        if as_json:
            error_documents.print_error(error, exit_code)
        else:
            typer.echo(f"scalefit: {as_options(str(error))}", err=True)
        raise SystemExit(exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None
    except OSError as error:
        # The library turns errors of files into its own: this one is of standard output.
        typer.echo(f"scalefit: the report cannot be printed ({error})", err=True)
        # Python writes to standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(BAD_INPUT) from None
    except Exception as error:
        if not error_documents.is_usage(error):
            raise
        error_documents.print_usage(error)
        raise SystemExit(BAD_INPUT) from None
    raise SystemExit(code or 0)
