"""Commands that write: ``convert`` and ``report``."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

import scalefit as sf
from scalefit.cli import documents
from scalefit.cli.checks import check_budgets, check_intervals, check_level
from scalefit.cli.fitted import surface_of
from scalefit.cli.options import (
    Fitted,
    Flops,
    Intervals,
    Output,
    Overwrite,
    Reading,
    TableFile,
)
from scalefit.cli.pairs import pairs
from scalefit.cli.places import place, written
from scalefit.cli.printing import finish, print_document, print_results
from scalefit.cli.tables import STANDARD_INPUT, read_table
from scalefit.errors import ArgumentError, MissingExtraError, ScalefitError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["convert", "report"]

# Characters of a line of reports.
WIDTH = 88
FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: see scalefit schema.")]


def convert(
    table: TableFile,
    to: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help=f"Where to: {', '.join(FORMATS)}; - prints CSV.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    *,
    law: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Law whose columns are named too.", hidden=True),
    ] = None,
    reading: Reading,
) -> None:
    """See how a table is read, and write it with standard columns."""
    if as_json and to == STANDARD_INPUT:
        raise ScalefitError("--json and - both print: name a file in place of -")
    laws = [] if law is None else [sf.laws.find(law)]
    to_file = to is not None and to != STANDARD_INPUT
    where = place(str(to), "FILE", overwrite=overwrite, example="clean.csv") if to_file else None
    kind = Path(str(to)).suffix.lower() if to_file else ".csv"
    if kind not in FORMATS:
        raise ArgumentError(
            f"FILE {to!r} has none of the known suffixes",
            argument="FILE",
            value=to,
            remedy=f"Choose one of {', '.join(FORMATS)}",
        )
    found = read_table(table, reading, laws)
    if to == STANDARD_INPUT:
        _write(found.frame, sys.stdout.buffer, kind)
        return
    if where is not None:
        where.write(lambda file: _write(found.frame, file, kind))
    if as_json:
        path = None if where is None else str(where.path)
        print_document("convert", {"path": path, **documents.table(found)})
    else:
        print_results(found, more=written(written=where))


def report(
    table: TableFile,
    path: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to: .html, .md or .tex.")
    ] = "report.html",
    flops: Flops = None,
    *,
    title: Annotated[
        str, typer.Option(metavar="WORDS", help="Of the document.", show_default=False)
    ] = "",
    about: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC=WORDS", help="What you know, as optimizer=AdamW."),
    ] = None,
    intervals: Intervals,
    overwrite: Overwrite = False,
    output: Output,
    fitted: Fitted,
    reading: Reading,
) -> None:
    """Write a document of a fit: HTML, Markdown or LaTeX."""
    check_budgets(flops)
    check_intervals(intervals, fitted)
    check_level(output.level)
    where = place(path, "FILE", overwrite=True, example="report.html")
    said = pairs(about, "--about TOPIC=WORDS", str)
    fit, draws, runs = surface_of(table, reading, fitted, intervals)
    source: Any = fit if draws is None else draws
    budgets: Any = flops if flops is None or len(flops) > 1 else flops[0]
    results = [sf.allocate(source, budgets)] if flops else []
    made = sf.report(
        source,
        runs,
        *results,
        path=where.path,
        title=title,
        about=said,
        level=output.level,
        overwrite=overwrite,
    )
    if output.as_json:
        found = {"path": str(where.path), "title": made.title, "answer": made.answer}
        print_document("report", found)
    else:
        typer.echo(f"{fill(made.answer, WIDTH)}\n\nreport: {where.path}")
    finish(fit)


def _write(frame: pd.DataFrame, file: BinaryIO, kind: str) -> None:
    """A table in a format, the labels of its rows as a column where they have a name.

    Raises:
        MissingExtraError: the format needs a package that is not installed.
    """
    plain = frame if frame.index.name is None else frame.reset_index()
    match kind:
        case ".csv" | ".tsv":
            plain.to_csv(file, index=False, sep="\t" if kind == ".tsv" else ",")
        case ".json" | ".jsonl":
            plain.to_json(file, orient="records", lines=kind == ".jsonl", double_precision=15)
        case _:
            try:
                plain.to_parquet(file, index=False)
            except ImportError as error:
                raise MissingExtraError(
                    "Parquet needs pyarrow", extra="parquet", otherwise="choose .csv"
                ) from error
