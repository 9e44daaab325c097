"""Commands about IsoFLOP sweeps: ``isoflop`` and ``bias``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

import scalefit as sf
from scalefit.cli import documents
from scalefit.cli.checks import check_budgets, check_intervals, check_level, check_prices
from scalefit.cli.fitted import surface_of
from scalefit.cli.options import (
    Drawing,
    Draws,
    Fitted,
    Flops,
    Output,
    Reading,
    TableFile,
    words,
)
from scalefit.cli.places import draw, picture_place, written
from scalefit.cli.printing import finish, following, print_document, print_results
from scalefit.cli.tables import read_table

__all__ = ["bias", "isoflop"]

Budgets = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column of the budget; else close C are one."),
]
Tolerance = Annotated[
    float, typer.Option(metavar="X", help="Gap in ln C between budgets.", hidden=True)
]
Cost = Annotated[
    str | None, typer.Option(metavar="NAME", help="How FLOP are counted; else C, or 6ND.")
]


def isoflop(
    table: TableFile,
    flops: Flops = None,
    by: Budgets = None,
    tolerance: Tolerance = 0.05,
    cost: Cost = None,
    method: Annotated[
        str, typer.Option(metavar="KIND", help="parabola, akima or cubic.")
    ] = "parabola",
    *,
    drawing: Drawing,
    output: Output,
    reading: Reading,
) -> None:
    """Best N and D of each budget, by parabolas (Approach 2)."""
    check_budgets(flops)
    check_level(output.level)
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    runs = read_table(table, reading)
    found = sf.isoflop(
        runs,
        by=by,
        tolerance=tolerance,
        cost=cost,
        method=method,  # type: ignore[arg-type]  # checked where it is used
    )
    best = found.at(flops if len(flops) > 1 else flops[0]) if flops else None
    if picture is not None:
        draw(picture, partial(sf.plot.isoflop, found, runs))
    if output.as_json:
        document = documents.isoflop(found, output.level)
        if best is not None:
            document["allocation"] = documents.extrapolated(best, output.level)
        print_document("isoflop", document)
    else:
        fit = following("fit", table, *words(reading))
        steps = f"Next: {fit} for a law of all runs, without the bias of parabolas" if fit else ""
        more = written(picture=picture, steps=steps)
        print_results(found, best, level=output.level, more=more)


def bias(
    table: TableFile,
    flops: Annotated[
        float, typer.Option(metavar="FLOP", help="Budget at which the two are compared.")
    ],
    by: Budgets = None,
    tolerance: Tolerance = 0.05,
    cost: Cost = None,
    hardware: Annotated[
        str, typer.Option(metavar="NAME", help="That waste is priced on.", hidden=True)
    ] = "H100 SXM bf16",
    utilisation: Annotated[
        float, typer.Option(metavar="SHARE", help="Of its dense peak.", hidden=True)
    ] = 0.5,
    *,
    draws: Draws,
    drawing: Drawing,
    output: Output,
    fitted: Fitted,
    reading: Reading,
) -> None:
    """What Approach 2 gets wrong at a budget, and what that wastes."""
    check_budgets([flops])
    check_intervals(draws, fitted)
    check_level(output.level)
    check_prices(utilisation)
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    fit, drawn, runs = surface_of(table, reading, fitted, draws)
    sweeps = sf.isoflop(runs, by=by, tolerance=tolerance, cost=cost)
    found = sf.bias(
        fit if drawn is None else drawn,
        sweeps,
        runs,
        flops,
        hardware=hardware,
        utilisation=utilisation,
        seed=fitted.seed,
    )
    if picture is not None:
        draw(picture, partial(sf.plot.bias, found, level=output.level))
    if output.as_json:
        print_document("bias", documents.bias(found, output.level))
    else:
        print_results(found, level=output.level, more=written(picture=picture))
    finish(fit)
