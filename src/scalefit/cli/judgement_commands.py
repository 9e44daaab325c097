"""Commands that judge laws and designs: ``compare``, ``holdout`` and ``check``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

import scalefit as sf
from scalefit.cli import completion, documents
from scalefit.cli.checks import check_level
from scalefit.cli.fitted import DEFAULT, constraints_of, law_of, objective_of
from scalefit.cli.options import (
    Constraints,
    Drawing,
    Folds,
    Objective,
    Output,
    Reading,
    TableFile,
    words,
)
from scalefit.cli.places import draw, picture_place, written
from scalefit.cli.printing import following, print_document, print_results
from scalefit.cli.tables import read_table
from scalefit.errors import ScalefitError

__all__ = ["check", "compare", "holdout"]


def compare(
    table: TableFile,
    law: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Law to compare, see scalefit laws; repeat.",
            autocompletion=completion.laws,
        ),
    ] = None,
    *,
    folds: Folds,
    replicates: Annotated[
        int, typer.Option(metavar="N", help="Simulated tables for p values.", hidden=True)
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of that simulation.", hidden=True)] = 0,
    drawing: Drawing,
    output: Output,
    objective: Objective,
    reading: Reading,
) -> None:
    """Which of several laws predicts the largest runs, unseen."""
    from scalefit.laws import find

    check_level(output.level)
    if len(law or ()) < 2:
        raise ScalefitError(
            "compare takes two laws or more: --law chinchilla --law kaplan, as scalefit laws "
            "lists them"
        )
    laws = [find(name) for name in law or ()]
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    runs = read_table(table, reading, laws)
    found = sf.compare(
        runs,
        law or (),
        **folds.as_arguments(),
        **objective_of(objective),
        replicates=replicates,
        seed=seed,
    )
    if picture is not None:
        draw(picture, partial(sf.plot.comparison, found, level=output.level))
    if output.as_json:
        print_document("compare", documents.comparison(found, output.level))
    else:
        print_results(found, level=output.level, more=written(picture=picture))


def holdout(
    table: TableFile,
    *,
    folds: Folds,
    seed: Annotated[int, typer.Option(help="Of the draws behind intervals.", hidden=True)] = 0,
    drawing: Drawing,
    output: Output,
    constraints: Constraints,
    objective: Objective,
    reading: Reading,
) -> None:
    """How well a law predicts the largest runs, unseen."""
    check_level(output.level)
    law = law_of(constraints)
    picture = picture_place(drawing.plot, overwrite=drawing.overwrite)
    runs = read_table(table, reading, [law])
    found = sf.holdout(
        runs,
        constraints.law or DEFAULT,
        **folds.as_arguments(),
        **objective_of(objective),
        **constraints_of(constraints),
        seed=seed,
    )
    if picture is not None:
        draw(picture, partial(sf.plot.holdout, found, level=output.level))
    if output.as_json:
        print_document("holdout", documents.holdout(found, output.level))
    else:
        print_results(found, level=output.level, more=written(picture=picture))


def check(
    table: TableFile,
    *,
    noise: Annotated[
        float | None, typer.Option(metavar="X", help="Standard deviation of ln(loss), run to run.")
    ] = None,
    output: Output,
    constraints: Constraints,
    reading: Reading,
) -> None:
    """What a table of runs can tell about a law, and what it cannot."""
    check_level(output.level)
    law = law_of(constraints)
    runs = read_table(table, reading, [law])
    found = sf.check(runs, constraints.law or DEFAULT, **constraints_of(constraints), noise=noise)
    if output.as_json:
        print_document("check", documents.check(found, output.level))
    else:
        fit = following("fit", table, *words(reading, constraints))
        steps = f"Next: {fit}" if fit and found.identifies else ""
        print_results(found, level=output.level, more=steps)
