"""Command line: ``scalefit fit TABLE`` and ``scalefit demo``.

Exit codes: 0 fine, 2 bad input, 3 no usable fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

import scalefit as sf
from scalefit.allocation import Allocation
from scalefit.laws import BUILTIN, find
from scalefit.table import ALIASES

BAD_INPUT = 2
NO_FIT = 3

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Neural scaling laws fitted globally, exactly and with evidence.",
)

Flops = Annotated[
    list[float] | None,
    typer.Option(help="Budget in FLOP to allocate (counted as 6ND); repeat for several."),
]
Plot = Annotated[
    Path | None, typer.Option(help="Write a picture of the surface (format by suffix).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a report.")]


@app.command("fit")
def fit_command(
    table: Annotated[Path, typer.Argument(help="Runs: .csv, .tsv, .parquet or .jsonl.")],
    law: Annotated[str, typer.Option(help=f"One of {', '.join(BUILTIN)}.")] = "chinchilla",
    flops: Flops = None,
    plot: Plot = None,
    as_json: AsJson = False,
    residual: Annotated[str, typer.Option(help="log, relative or raw.")] = "log",
    robust: Annotated[str, typer.Option(help="huber, l1, asymmetric or none.")] = "huber",
    delta: Annotated[float, typer.Option(help="Where the Huber loss turns linear.")] = 1e-3,
    asymmetry: Annotated[
        float, typer.Option(help="How much more a run below an asymmetric surface counts.")
    ] = 10.0,
    column: Annotated[
        list[str] | None, typer.Option(help="Header of a quantity, as N=params_matmul; repeat.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Rule a row must satisfy, as 'C < 1e21'; repeat.")
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Rows without N, D or loss: raise or drop.")
    ] = "raise",
    fix: Annotated[list[str] | None, typer.Option(help="Fix a parameter, as E=1.7.")] = None,
    bounds: Annotated[
        list[str] | None, typer.Option(help="Bound a parameter, as alpha=0.2:0.6.")
    ] = None,
    tie: Annotated[list[str] | None, typer.Option(help="Tie parameters, as alpha=beta.")] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="One coefficient for each level of a column, as A=format or A=w,a."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Level to allocate for and to draw, as format=fp8; repeat."),
    ] = None,
    certify: Annotated[
        bool | None, typer.Option(help="Prove the optimum global; squares by default.")
    ] = None,
    boxes: Annotated[
        int | None, typer.Option(help="Boxes that a proof may take, instead of a few seconds'.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of scattered points, above four exponents.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="Run compiled programs on a device, as gpu or cpu.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Replicates of a row bootstrap, for intervals; 0 for none.")
    ] = 0,
    level: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.95,
) -> None:
    """Fit a law to a table of training runs, and allocate budgets."""
    headers = _pairs(column, "--column QUANTITY=HEADER", str)
    quantities = list(dict.fromkeys([*ALIASES, *find(law).columns, find(law).response]))
    unknown = [name for name in headers if name not in quantities]
    if unknown:
        raise sf.ScalefitError(
            f"--column names {unknown[0]!r}, which is not a quantity. "
            f"Quantities: {', '.join(quantities)}"
        )
    runs = sf.read(
        table,
        keep=keep or (),
        missing=missing,  # type: ignore[arg-type]  # checked where it is used
        **headers,
    )
    found = sf.fit(
        runs,
        law,
        residual=residual,  # type: ignore[arg-type]  # checked by Objective
        robust=robust,  # type: ignore[arg-type]
        delta=delta,
        asymmetry=asymmetry,
        fix=_pairs(fix, "--fix NAME=NUMBER", float),
        bounds=_pairs(bounds, "--bounds NAME=LOWER:UPPER", _interval),
        tie=[tuple(item.split("=")) for item in tie or ()],
        groups=_pairs(group, "--group NAME=COLUMN,COLUMN", _columns),
        certify=certify if boxes is None else boxes,
        seed=seed,
        device=device,
    )
    levels = _pairs(at, "--at COLUMN=LEVEL", str)
    draws = (
        sf.bootstrap(found, runs, n=bootstrap, seed=seed, progress=not as_json, device=device)
        if bootstrap
        else None
    )
    _present(found, runs, flops, plot, as_json, levels, draws, level)


@app.command()
def demo(
    flops: Flops = None,
    plot: Plot = Path("scalefit-demo.png"),
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(help="Of the simulated noise.")] = 0,
) -> None:
    """Simulate an IsoFLOP sweep on the Chinchilla surface, fit it, allocate 1e24 FLOP, draw it."""
    runs = sf.LossTable.from_frame(sf.simulate(sf.isoflop_design(), seed=seed))
    if not as_json:
        truth = ", ".join(f"{name}={value:g}" for name, value in sf.SURFACES["chinchilla"].items())
        typer.echo(
            f"{len(runs)} simulated runs, 5 budgets from 1e17 to 1e21 FLOP, 0.5 % noise\n"
            f"truth: {truth}\n"
        )
    _present(sf.fit(runs), runs, flops or [1e24], plot, as_json)


def _present(
    found: sf.Fit,
    runs: sf.LossTable,
    flops: list[float] | None,
    plot: Path | None,
    as_json: bool,
    levels: Mapping[str, str] = MappingProxyType({}),
    draws: sf.Ensemble | None = None,
    level: float = 0.95,
) -> None:
    """Print what was found, draw it where asked, and set the exit code."""
    answering = found if draws is None else draws
    surface = answering.at(**levels) if levels else answering
    best = sf.allocate(surface, flops if len(flops) > 1 else flops[0]) if flops else None
    if plot is not None:
        _draw(surface, runs, max(flops) if flops else None, plot, level)
    if as_json:
        document: dict[str, Any] = {"fit": json.loads(found.to_json())}
        if draws is not None:
            document["intervals"] = {
                "level": level,
                "method": draws.method,
                "replicates": len(draws),
                "failed": draws.failed,
                "parameters": draws.interval(level).to_dict(orient="index"),
                "notes": [{"code": note.code, "message": note.message} for note in draws.notes],
            }
        if best is not None:
            document["allocation"] = _allocation_document(best, level)
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo(found.summary())
        if draws is not None:
            typer.echo("\n" + draws.summary(level))
        if best is not None:
            typer.echo("\n" + best.summary(level))
        if plot is not None:
            typer.echo(f"\npicture: {plot}")
    if not found.status.usable:
        raise typer.Exit(NO_FIT)


def _allocation_document(best: Allocation, level: float) -> dict[str, Any]:
    notes = [{"code": note.code, "message": note.message} for note in best.notes]
    budgets = best.to_frame(level).to_dict(orient="records")
    return {"law": best.law, "cost": best.cost, "budgets": budgets, "notes": notes}


def _draw(
    found: sf.Fit | sf.Ensemble,
    runs: sf.LossTable,
    flops: float | None,
    path: Path,
    level: float,
) -> None:
    import matplotlib

    # Writing a file needs no display.
    matplotlib.use("agg")
    ax = sf.plot.surface(found, runs, flops=flops, level=level)
    try:
        ax.figure.savefig(path, dpi=150)  # type: ignore[union-attr]  # surface() made the Figure
    except (OSError, ValueError) as error:
        raise sf.DataError(
            f"the picture {str(path)!r} cannot be written ({error})",
            remedy="Choose an existing folder and a suffix such as .png, .pdf or .svg",
        ) from error


def _pairs(items: list[str] | None, form: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """Values of a repeated option by name; ``form`` is its name and how it is written."""
    option, _, shape = form.partition(" ")
    pairs: dict[str, Any] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        try:
            if not (name and equals and value):
                raise ValueError
            meant = read(value)
        except ValueError:
            raise sf.ScalefitError(f"{option} {item!r} is not of the form {shape}") from None
        if name in pairs:
            raise sf.ScalefitError(f"{option} is given twice for {name!r}: choose one")
        pairs[name] = meant
    return pairs


def _interval(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    return float(low), float(high)


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def main() -> None:
    """Entry point: errors of the library become one line on standard error and an exit code."""
    try:
        app()
    except sf.FitError as error:
        typer.echo(f"scalefit: {error}", err=True)
        raise SystemExit(NO_FIT) from None
    except sf.ScalefitError as error:
        typer.echo(f"scalefit: {error}", err=True)
        raise SystemExit(BAD_INPUT) from None
