"""Command line: ``scalefit fit TABLE``, ``scalefit demo``, and the commands of jobs.

Exit codes: 0 fine, 2 bad input, 3 no usable fit, 4 a job that was not finished.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import typer

import scalefit as sf
from scalefit.allocation.result import Allocation
from scalefit.arguments import affordable, file_path, number, whole
from scalefit.data import files, readers
from scalefit.data.column_names import ALIASES
from scalefit.frozen import Frozen
from scalefit.jobs import commands
from scalefit.laws import BUILTIN, find
from scalefit.objective import PENALTIES
from scalefit.problem.response_groups import responses_for
from scalefit.results.serialization import encoded

BAD_INPUT = 2
NO_FIT = 3

# Where demo draws unless --plot says otherwise.
PICTURE = "scalefit-demo.png"

# Memory of one replicate at least, bytes: refuses absurd numbers before anything is read.
REPLICATE = 256


class Picture(NamedTuple):
    """Where a picture goes, and whether what is there is replaced."""

    path: Path
    overwrite: bool


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
    str | None, typer.Option(help="Write a picture of the surface (format by suffix).")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a picture that exists already.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a report.")]


@app.command("fit")
def fit_command(
    table: Annotated[
        str,
        typer.Argument(help="File of runs: CSV, JSON, Parquet, Excel, ...; - for standard input."),
    ],
    law: Annotated[str, typer.Option(help=f"One of {', '.join(BUILTIN)}.")] = "chinchilla",
    flops: Flops = None,
    plot: Plot = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    residual: Annotated[str, typer.Option(help="log, relative or raw.")] = "log",
    robust: Annotated[str, typer.Option(help=f"{', '.join(PENALTIES)}.")] = "huber",
    delta: Annotated[float, typer.Option(help="Where the Huber loss turns linear.")] = 1e-3,
    asymmetry: Annotated[
        float, typer.Option(help="How much more a run below an asymmetric surface counts.")
    ] = 10.0,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Header of a quantity, as N=params_matmul or N=params_b*1e9; repeat."),
    ] = None,
    responses: Annotated[
        str | None,
        typer.Option(help="Columns that the law predicts at once, joined by commas."),
    ] = None,
    loss_unit: Annotated[
        str | None,
        typer.Option(help="nats, bits, perplexity, nats_per_byte or bits_per_byte; becomes nats."),
    ] = None,
    bytes_per_token: Annotated[
        float | None, typer.Option(help="Losses per byte become losses per token by it.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Rule a row must satisfy, as 'C < 1e21'; repeat.")
    ] = None,
    missing: Annotated[
        str, typer.Option(help="Rows without N, D or loss: raise or drop.")
    ] = "raise",
    fixed: Annotated[list[str] | None, typer.Option(help="Fix a parameter, as E=1.7.")] = None,
    bounds: Annotated[
        list[str] | None, typer.Option(help="Bound a parameter, as alpha=0.2:0.6.")
    ] = None,
    tied: Annotated[list[str] | None, typer.Option(help="Tie parameters, as alpha=beta.")] = None,
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
    by: Annotated[
        str | None,
        typer.Option(
            help="Column of runs that belong together, or several, joined by commas: the bootstrap "
            "draws them as one."
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.95,
) -> None:
    """Fit a law to a table of training runs, and allocate budgets."""
    _check(flops, seed, bootstrap, level)
    if by and not bootstrap:
        raise sf.ScalefitError("--by names what a bootstrap draws as one: add --bootstrap 1000")
    picture = None if plot is None else _place(plot, overwrite)
    headers = _pairs(column, "--column QUANTITY=HEADER", _header)
    quantities = list(dict.fromkeys([*ALIASES, *find(law).columns, find(law).response]))
    unknown = [name for name in headers if name not in quantities]
    if unknown:
        raise sf.ScalefitError(
            f"--column names {unknown[0]!r}, which is not a quantity. "
            f"Quantities: {', '.join(quantities)}"
        )
    several = responses_for(find(law), None if responses is None else responses.split(","))
    runs = sf.read(
        readers.read_stream(sys.stdin.buffer, "standard input") if table == "-" else table,
        keep=keep or (),
        missing=missing,  # type: ignore[arg-type]  # checked where it is used
        loss_unit=loss_unit,  # type: ignore[arg-type]
        bytes_per_token=bytes_per_token,
        responses=several,  # type: ignore[arg-type]  # headers, and what the law calls them
        **headers,
    )
    found = sf.fit(
        runs,
        law,
        residual=residual,  # type: ignore[arg-type]  # checked by Objective
        robust=robust,  # type: ignore[arg-type]
        delta=delta,
        asymmetry=asymmetry,
        fixed=_pairs(fixed, "--fixed NAME=NUMBER", float),
        bounds=_pairs(bounds, "--bounds NAME=LOWER:UPPER", _interval),
        tied=[tuple(item.split("=")) for item in tied or ()],
        groups=_pairs(group, "--group NAME=COLUMN,COLUMN", _columns) or (None if several else {}),
        certify=certify if boxes is None else boxes,
        seed=seed,
        device=device,
    )
    levels = _pairs(at, "--at COLUMN=LEVEL", str)
    draws = (
        sf.bootstrap(
            found,
            runs,
            n_draws=bootstrap,
            method="clusters" if by else "rows",
            by=by.split(",") if by else None,
            seed=seed,
            progress=not as_json,
            devices=device,
        )
        if bootstrap
        else None
    )
    _present(found, runs, flops, picture, as_json, levels, draws, level)


@app.command()
def demo(
    flops: Flops = None,
    plot: Plot = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Fit the IsoFLOP sweep that comes with scalefit, allocate 1e14 FLOP, draw it."""
    _check(flops)
    # The picture of the default name is drawn once, and never replaced unasked.
    there = plot is None and not overwrite and os.path.isfile(PICTURE)
    picture = None if there else _place(PICTURE if plot is None else plot, overwrite)
    runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0")
    found = sf.fit(runs, "chinchilla_outer")
    if not as_json:
        typer.echo(
            f"{len(runs)} language models on bytes, trained for this at 5 budgets from 1e11 to\n"
            "1e13 FLOP: scalefit.datasets.load('scalefit_bytes'). The additive law of Chinchilla\n"
            f"is {sf.fit(runs).verdict.level} here; with an outer exponent it is fitted.\n"
        )
    _present(found, runs, flops or [1e14], picture, as_json)
    if there:
        typer.echo(f"\n{PICTURE} exists already and is left as it is: see --overwrite", err=as_json)


commands.register(app)


def _check(
    flops: list[float] | None, seed: int = 0, bootstrap: int = 0, level: float = 0.95
) -> None:
    """Refuse numbers that make no sense, before anything is read or fitted."""
    for budget in flops or ():
        number(budget, "--flops", above=0, remedy="Pass FLOP, as --flops 1e24")
    whole(seed, "--seed", least=0, remedy="Pass a whole number, as --seed 0")
    if bootstrap:
        remedy = "1000 give two digits of an interval: --bootstrap 1000, or 0 for none"
        whole(bootstrap, "--bootstrap", least=2, remedy=remedy)
        affordable(bootstrap, "--bootstrap", REPLICATE, remedy=remedy)
    number(level, "--level", above=0, below=1, remedy="95 % is --level 0.95")


def _place(plot: str, overwrite: bool) -> Picture:
    """Where a picture is to be written, if one can be, before anything is fitted.

    Raises:
        ArgumentError: none can, or something is there already.
    """
    path = file_path(plot, "--plot", remedy="Name a picture, as --plot surface.png")
    try:
        exists = files.require_place(path)
        if exists and _is_output(path):
            raise OSError("the report goes there")
    except OSError as error:
        raise _no_picture(plot, files.reason(error)) from error
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise _no_picture(plot, f"known suffixes: .{', .'.join(sorted(known))}")
    if exists and not overwrite:
        raise sf.errors.ArgumentError(
            f"--plot {files.named(path)} exists already",
            argument="--plot",
            value=plot,
            remedy="Choose another name, or replace it with --overwrite",
        )
    return Picture(path, overwrite)


def _is_output(path: Path) -> bool:
    """Whether a file is where standard output or standard error go, as /dev/stdout may be."""
    with suppress(OSError):
        found = os.stat(path)
        return any(os.path.samestat(found, os.fstat(number)) for number in (1, 2))
    return False


def _no_picture(plot: str, why: str) -> sf.errors.ArgumentError:
    return sf.errors.ArgumentError(
        f"the picture --plot {files.named(Path(plot))} cannot be written ({why})",
        argument="--plot",
        value=plot,
        remedy="Choose an existing folder and a suffix such as .png, .pdf or .svg",
    )


def _present(
    found: sf.Fit,
    runs: sf.LossTable,
    flops: list[float] | None,
    picture: Picture | None,
    as_json: bool,
    levels: Mapping[str, str] = Frozen({}),
    draws: sf.Ensemble | None = None,
    level: float = 0.95,
) -> None:
    """Print the results, draw them where --plot asks for it, and set the exit code."""
    result = found if draws is None else draws
    surface = result.at(**levels) if levels else result
    best = sf.allocate(surface, flops if len(flops) > 1 else flops[0]) if flops else None
    if picture is not None:
        _draw(surface, runs, max(flops) if flops else None, picture, level)
    if as_json:
        document: dict[str, Any] = {"fit": json.loads(found.to_json())}
        if draws is not None:
            document["intervals"] = {
                "level": level,
                "method": draws.method,
                "replicates": len(draws),
                "failed": draws.failed,
                "parameters": draws.conf_int(level).to_dict(orient="index"),
                "notes": [{"code": note.code, "message": note.message} for note in draws.notes],
            }
        if best is not None:
            document["allocation"] = _allocation_document(best, level)
        typer.echo(json.dumps(encoded(document), indent=2, allow_nan=False))
    else:
        typer.echo(found.summary())
        if draws is not None:
            typer.echo("\n" + draws.summary(level))
        if best is not None:
            typer.echo("\n" + best.summary(level))
        if picture is not None:
            typer.echo(f"\npicture: {picture.path}")
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
    picture: Picture,
    level: float,
) -> None:
    import matplotlib

    # Writing a file needs no display.
    matplotlib.use("agg")
    figure: Any = sf.plot.surface(found, runs, flops=flops, level=level).figure

    def save(file: BinaryIO) -> None:
        figure.savefig(file, format=picture.path.suffix[1:].lower(), dpi=150)

    try:
        files.write_whole(picture.path, save, overwrite=picture.overwrite)
    except (OSError, ValueError, RuntimeError) as error:
        raise _no_picture(str(picture.path), files.reason(error)) from error


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


def _header(text: str) -> str | tuple[str, float]:
    """A header, or one with the unit of its numbers: ``params_b*1e9``."""
    name, _, unit = text.rpartition("*")
    with suppress(ValueError):
        return (name, float(unit)) if name else text
    return text


def _interval(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    return float(low), float(high)


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


# Arguments of the library that are options by another name.
OPTIONS = {"groups": "group"}
NAMED = r"(fixed|bounds|groups)"
PAIR = re.compile(r"=\(([\w.+-]+), ([\w.+-]+)\)")


def _as_options(message: str) -> str:
    """A message of the library with its arguments written as options of the command line."""

    def option(name: str) -> str:
        return f"--{OPTIONS.get(name, name)}"

    def each(found: re.Match[str]) -> str:
        pairs = re.findall(r"'([^']*)': '?(\([^)]*\)|[^,']+)", found[2])
        return " ".join(f"{option(found[1])} {name}={value}" for name, value in pairs)

    def tied(found: re.Match[str]) -> str:
        return "--tied " + "=".join(re.findall(r"'([^']*)'", found[0]))

    def call(found: re.Match[str]) -> str:
        law = f" --law {found[1]}" if found[1] else ""
        given = re.sub(r", (loss_unit='\w+'|\w+='[^']*')", r" \1", found[2])
        columns = re.sub(r" (?!loss_unit)(\w+)=('[^']*')", r" --column \1=\2", given)
        return f"scalefit fit TABLE{law}{columns}"

    def certify(found: re.Match[str]) -> str:
        answers = {"True": "--certify", "False": "--no-certify"}
        return answers.get(found[1], f"--boxes {found[1].replace('_', '')}")

    spellings: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"scalefit\.fit\(runs(?:, '(\w+)')?((?:, \w+='[^']*')*)\)", call),
        (NAMED + r"\['([^']*)'\](?:\[\d\])?=", lambda found: f"{option(found[1])} {found[2]}="),
        (NAMED + r"=\{([^}]*)\}", each),
        (r"\btied(\[\d\]=\([^)]*\)|=\[[^]]*\])", tied),
        (r"\b(fixed|bounds|groups|tied)(?= names)", lambda found: option(found[1])),
        (r"\b(residual|robust|missing)='(\w+)'", r"--\1 \2"),
        (r"\bkeep=('[^']*')", r"--keep \1"),
        (r"(?<!-)\b(delta|asymmetry|flops)=([\d.e+-]*\d)", r"--\1 \2"),
        (r"\bloss_unit='(\w+)'", r"--loss-unit \1"),
        (r"\bbytes_per_token=([\d.]*\d)", r"--bytes-per-token \1"),
        (rf"\b({'|'.join(ALIASES)})=\('([^']*)', ([\d.e+-]*\d)\)", r"--column \1='\2*\3'"),
        (r"\bcertify=(\w+)", certify),
        (r"\b\w+\.at\((\w+)='?([^')]*)'?\)", r"--at \1=\2"),
        (rf"(?<!--at )(?<!--column )\b({'|'.join(ALIASES)})='([^']*)'", r"--column \1='\2'"),
    ]
    for pattern, spelling in spellings:
        message = re.sub(pattern, spelling, message)
    return PAIR.sub(r"=\1:\2", message)


def main() -> None:
    """Entry point: errors of the library become one line on standard error and an exit code."""
    try:
        app()
    except sf.errors.FitError as error:
        typer.echo(f"scalefit: {_as_options(str(error))}", err=True)
        raise SystemExit(NO_FIT) from None
    except sf.ScalefitError as error:
        typer.echo(f"scalefit: {_as_options(str(error))}", err=True)
        raise SystemExit(BAD_INPUT) from None
    except OSError as error:
        # The library turns errors of files into its own: this one is of standard output.
        typer.echo(f"scalefit: the report cannot be printed ({error})", err=True)
        # Python writes to standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(BAD_INPUT) from None
