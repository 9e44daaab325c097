"""Commands that fit: ``fit``, ``bootstrap`` and ``demo``."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

import scalefit as sf
from scalefit.cli import documents
from scalefit.cli.checks import check_budgets, check_intervals, check_level
from scalefit.cli.fitted import draws_of, fit_of, surface_of
from scalefit.cli.options import (
    Drawing,
    Fitted,
    Fitting,
    Flops,
    Intervals,
    Output,
    Reading,
    TableFile,
    words,
)
from scalefit.cli.pairs import pairs
from scalefit.cli.places import Place, draw, picture_place, place, written
from scalefit.cli.printing import finish, following, print_document, print_results, shell

if TYPE_CHECKING:
    from scalefit.allocation.result import Allocation
    from scalefit.data.table import LossTable
    from scalefit.inference.ensemble import Ensemble
    from scalefit.results.fit import Fit

__all__ = ["bootstrap", "demo", "fit"]

# Where demo draws unless --plot says otherwise.
PICTURE = "scalefit-demo.png"

At = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN=LEVEL", help="As format=fp8, to allocate and draw.", hidden=True),
]
Save = Annotated[str | None, typer.Option(metavar="FILE", help="Write the fit, as fit.json.")]
Report = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write a document: .html, .md or .tex.")
]


@dataclass(frozen=True)
class Answer:
    """What a fit led to.

    Attributes:
        fit: the fit.
        runs: its table.
        draws: of it, or None.
        best: its allocation, or None.
    """

    fit: Fit
    runs: LossTable
    draws: Ensemble | None
    best: Allocation | None

    def document(self, level: float) -> documents.Document:
        """All of it for JSON."""
        found = {"answer": documents.answer(self.fit, level), "fit": documents.fit(self.fit)}
        if self.draws is not None:
            found["intervals"] = documents.intervals(self.draws, level)
        if self.best is not None:
            found["allocation"] = documents.allocation(self.best, level)
        return found


def fit(
    table: TableFile,
    flops: Flops = None,
    at: At = None,
    save: Save = None,
    report: Report = None,
    *,
    intervals: Intervals,
    drawing: Drawing,
    output: Output,
    fitting: Fitting,
    reading: Reading,
) -> None:
    """Fit a law to a table of training runs, and allocate budgets."""
    check_budgets(flops)
    check_intervals(intervals, fitting)
    check_level(output.level)
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    kept = _saved_place(save, drawing)
    page = report and place(report, "--report", overwrite=True, example="report.html")
    found, runs = fit_of(table, reading, fitting)
    draws = draws_of(found, runs, intervals, fitting)
    answer, surface = _answer(found, runs, draws, flops, at)
    _draw_surface(surface, runs, flops, picture, output.level)
    if kept is not None:
        kept.write(lambda file: file.write(found.to_json().encode()))
    if page:
        _report(answer, page, drawing.overwrite, output.level)
    if output.as_json:
        print_document("fit", answer.document(output.level))
    else:
        steps = _next_of_fit(answer, table, reading, fitting, save)
        more = written(picture=picture, saved=kept, report=page or None, steps=steps)
        print_results(found, draws, answer.best, level=output.level, more=more)
    finish(found)


def bootstrap(
    table: TableFile,
    flops: Flops = None,
    at: At = None,
    save: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the draws, as draws.npz.")
    ] = None,
    *,
    draws: Annotated[
        int, typer.Option("--draws", "--bootstrap", metavar="N", help="How many.")
    ] = 1000,
    by: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns of runs that are drawn together."),
    ] = None,
    drawing: Drawing,
    output: Output,
    fitted: Fitted,
    reading: Reading,
) -> None:
    """Intervals of parameters and budgets, by resampled runs."""
    intervals = Intervals(draws, by)
    check_budgets(flops)
    check_intervals(intervals, fitted)
    check_level(output.level)
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    kept = None if save is None else place(save, "--save", overwrite=True, example="draws.npz")
    found, drawn, runs = surface_of(table, reading, fitted, intervals)
    answer, surface = _answer(found, runs, drawn, flops, at)
    _draw_surface(surface, runs, flops, picture, output.level)
    if kept is not None and drawn is not None:
        drawn.save(kept.path)
    if output.as_json:
        said = {"answer": documents.answer(drawn, output.level)}
        print_document("bootstrap", answer.document(output.level) | said)
    else:
        steps = f"Next: scalefit allocate {shell(save)} 1e24" if save else ""
        more = written(picture=picture, saved=kept, steps=steps)
        print_results(drawn, answer.best, level=output.level, more=more)
    finish(found)


def demo(
    flops: Flops = None,
    *,
    drawing: Drawing,
    output: Output,
) -> None:
    """Fit the sweep that comes with scalefit, allocate and draw it."""
    check_budgets(flops)
    check_level(output.level)
    # The picture of the default name is drawn once, and never replaced unasked.
    there = drawing.plot is None and not drawing.overwrite and os.path.isfile(PICTURE)
    named = replace(drawing, plot=PICTURE if drawing.plot is None else drawing.plot)
    picture = None if there else picture_place(named.plot, overwrite=drawing.overwrite)
    runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0")
    found = sf.fit(runs, "chinchilla_outer")
    budgets = flops or [1e14]
    if not output.as_json:
        typer.echo(
            f"{len(runs)} language models on bytes, trained for this at 5 budgets from 1e11 to\n"
            "1e13 FLOP: dataset:scalefit_bytes. The additive law of Chinchilla\n"
            f"is {sf.fit(runs).verdict.level} here; with an outer exponent it is fitted.\n"
        )
    answer, surface = _answer(found, runs, None, budgets, None)
    _draw_surface(surface, runs, budgets, picture, output.level)
    if output.as_json:
        print_document("demo", answer.document(output.level))
    else:
        print_results(found, answer.best, level=output.level, more=written(picture=picture))
    if there:
        typer.echo(
            f"\n{PICTURE} exists already and is left as it is: see --overwrite",
            err=output.as_json,
        )
    finish(found)


def _answer(
    found: Fit,
    runs: LossTable,
    draws: Ensemble | None,
    flops: list[float] | None,
    at: list[str] | None,
) -> tuple[Answer, Any]:
    """What was found with its allocation, and the surface to draw."""
    result: Any = found if draws is None else draws
    levels = pairs(at, "--at COLUMN=LEVEL", str)
    surface = result.at(**levels) if levels else result
    best = sf.allocate(surface, flops if len(flops) > 1 else flops[0]) if flops else None
    return Answer(found, runs, draws, best), surface


def _draw_surface(
    surface: Any,
    runs: LossTable,
    flops: list[float] | None,
    picture: Place | None,
    level: float,
) -> None:
    if picture is not None:
        largest = max(flops) if flops else None
        draw(picture, partial(sf.plot.surface, surface, runs, flops=largest, level=level))


def _saved_place(save: str | None, drawing: Drawing) -> Place | None:
    if save is None:
        return None
    return place(save, "--save", overwrite=drawing.overwrite, example="fit.json")


def _report(answer: Answer, page: Place, overwrite: bool, level: float) -> None:
    source: Any = answer.fit if answer.draws is None else answer.draws
    results = [] if answer.best is None else [answer.best]
    sf.report(source, answer.runs, *results, path=page.path, level=level, overwrite=overwrite)


def _next_of_fit(
    answer: Answer, table: str, reading: Reading, fitting: Fitting, save: str | None
) -> str:
    """The commands that come after a fit, with its options, or with the fit where it was saved."""
    if table == "-" or not answer.fit.status.usable:
        return ""
    again = ["--fit", save] if save else words(fitting)
    steps = []
    if answer.draws is None:
        more = following("bootstrap", table, *words(reading), *again)
        steps.append(f"{more} for intervals")
    if answer.best is None and {"N", "D"} <= set(answer.fit.law.columns):
        budget = ["--flops", "1e24"]
        more = following("fit", table, *words(reading, fitting), *budget)
        saved = f"scalefit allocate {shell(save)} 1e24" if save else more
        steps.append(f"{saved} for the best N and D")
    return "Next: " + "\n      ".join(steps) if steps else ""
