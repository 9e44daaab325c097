"""Commands about budgets: ``allocate`` and ``next-runs``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

import scalefit as sf
from scalefit.cli import documents
from scalefit.cli.checks import check_budgets, check_intervals, check_level, check_prices
from scalefit.cli.fitted import saved, surface_of
from scalefit.cli.options import (
    Drawing,
    Fitted,
    Intervals,
    Output,
    Reading,
    Source,
    TableFile,
)
from scalefit.cli.pairs import limit, pairs, span
from scalefit.cli.places import draw, picture_place, written
from scalefit.cli.printing import print_document, print_results
from scalefit.errors import ScalefitError

if TYPE_CHECKING:
    from scalefit.allocation.cost_model import Cost
    from scalefit.allocation.result import Allocation

__all__ = ["allocate", "next_runs"]

# Budgets that are drawn around one.
AROUND = 21

CostName = Annotated[str | None, typer.Option(metavar="NAME", help="How FLOP are counted, as 6ND.")]


def allocate(
    source: Source,
    flops: Annotated[
        list[float] | None,
        typer.Argument(metavar="FLOPS", help="Budgets in FLOP.", show_default=False),
    ] = None,
    *,
    usd: Annotated[
        list[float] | None, typer.Option(metavar="USD", help="Budget in dollars instead; repeat.")
    ] = None,
    loss: Annotated[
        list[float] | None, typer.Option(metavar="LOSS", help="Loss to reach instead; repeat.")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(metavar="LOSS", help="Sizes this little above the best loss, too."),
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=X", help="Another column, as U=1e12; repeat."),
    ] = None,
    free: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=RANGE", help="As P=3:16 or experts=8,16.", hidden=True),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=RANGE", help="As N=70e9 or D/N=20:200; repeat."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=LEVEL", help="Of a grouped fit, as format=fp8."),
    ] = None,
    cost: CostName = None,
    serve: Annotated[
        float | None,
        typer.Option(metavar="TOKENS", help="Tokens that the model serves in its life."),
    ] = None,
    hardware: Annotated[
        str, typer.Option(metavar="NAME", help="That --usd pays for.")
    ] = "H100 SXM bf16",
    utilisation: Annotated[float, typer.Option(metavar="SHARE", help="Of its dense peak.")] = 0.5,
    drawing: Drawing,
    output: Output,
) -> None:
    """Best model size and tokens for a budget, from a saved fit."""
    check_budgets(flops, "FLOPS")
    check_level(output.level)
    check_prices(utilisation, serve)
    if sum(map(bool, (flops, usd, loss))) != 1:
        raise ScalefitError(
            "give budgets in one way: scalefit allocate fit.json 1e24, or --usd 1e6, or --loss 2.1"
        )
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    surface: Any = saved(source, "FIT")
    levels = pairs(at, "--at COLUMN=LEVEL", str)
    surface = surface.at(**levels) if levels else surface
    options: dict[str, Any] = {
        "cost": _cost(cost, serve, usd is not None and bool(usd), hardware, utilisation),
        "fixed": pairs(fixed, "--fixed COLUMN=NUMBER", float),
        "limits": pairs(limits, "--limit NAME=HIGHEST or NAME=LOWEST:HIGHEST", limit),
    }
    target: dict[str, Any] = {
        name: values[0] if len(values) == 1 else values
        for name, values in (("flops", flops), ("usd", usd), ("loss", loss))
        if values
    }
    choices = pairs(free, "--free COLUMN=LOW:HIGH or COLUMN=VALUE,VALUE", span)
    best = sf.allocate(surface, **target, **options, free=choices)
    near = _near(surface, target, options, within)
    if picture is not None:
        drawn = _drawn(surface, best, target, {**options, "free": choices})
        draw(picture, partial(sf.plot.allocation, drawn, level=output.level))
    if output.as_json:
        found = {"allocation": documents.allocation(best, output.level)}
        if near is not None:
            found["near_optimal"] = documents.near_optimal(near, output.level)
        print_document("allocate", found)
    else:
        print_results(best, near, level=output.level, more=written(picture=picture))


def next_runs(
    table: TableFile,
    *,
    target: Annotated[
        float, typer.Option(metavar="FLOP", help="Whose best N is to be known better.")
    ],
    budget: Annotated[
        float, typer.Option(metavar="FLOP", help="What the new runs may cost together.")
    ],
    count: Annotated[int, typer.Option(metavar="N", help="Most runs.")] = 20,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=RANGE", help="Of the new runs, as N=1e8:1e10."),
    ] = None,
    noise: Annotated[
        float | None, typer.Option(metavar="X", help="Standard deviation of ln(loss).", hidden=True)
    ] = None,
    intervals: Intervals,
    drawing: Drawing,
    output: Output,
    fitted: Fitted,
    reading: Reading,
) -> None:
    """Which runs to make next, to know the best size at a budget."""
    check_budgets([target], "--target")
    check_budgets([budget], "--budget")
    check_intervals(intervals, fitted)
    check_level(output.level)
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    found, draws, runs = surface_of(table, reading, fitted, intervals)
    chosen = sf.next_runs(
        found if draws is None else draws,
        runs,
        target=target,
        budget=budget,
        count=count,
        limits=pairs(limits, "--limit NAME=LOWEST:HIGHEST", limit) or None,
        noise=noise,
    )
    if picture is not None:
        draw(picture, partial(sf.plot.next_runs, chosen))
    if output.as_json:
        print_document("next-runs", documents.next_runs(chosen, output.level))
    else:
        print_results(chosen, level=output.level, more=written(picture=picture))


def _cost(
    name: str | None, serve: float | None, in_usd: bool, hardware: str, utilisation: float
) -> Cost | str:
    """What a budget is counted in.

    Raises:
        ScalefitError: options contradict each other.
    """
    from scalefit.allocation import Utilisation, lifetime, lifetime_usd

    if name is not None and (serve is not None or in_usd):
        other = "--usd" if in_usd else "--serve"
        raise ScalefitError(f"--cost counts FLOP of training: leave it out beside {other}")
    if in_usd:
        shares = Utilisation(train=utilisation)
        served = serve or 0.0
        return lifetime_usd(0.0, served, train=hardware, utilisation=shares)
    if serve is not None:
        return lifetime(serve)
    return "6ND" if name is None else name


def _drawn(
    surface: Any, best: Allocation, target: dict[str, Any], options: dict[str, Any]
) -> Allocation:
    """What is drawn against the budget: of one budget, a decade on either side of it."""
    import numpy as np

    if np.ndim(best.budget):
        return best
    budget = float(best.budget)
    unit = "usd" if "usd" in target else "flops"
    around: dict[str, Any] = {unit: np.geomspace(budget / 10, 10 * budget, AROUND)}
    return sf.allocate(surface, **around, **options)


def _near(
    surface: Any, target: dict[str, Any], options: dict[str, Any], within: float | None
) -> Any:
    """Sizes that are nearly as good, or None where none are asked for.

    Raises:
        ScalefitError: a loss is to be reached, not a budget spent.
    """
    if within is None:
        return None
    if "loss" in target:
        raise ScalefitError("--within keeps a budget: give FLOPS or --usd in place of --loss")
    return sf.near_optimal(surface, **target, **options, within=within)
