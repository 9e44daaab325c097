"""Options that several commands share, each written once, and how a command takes them.

A command has a parameter for each group of options, as ``reading: Reading``; :func:`command`
makes the options of the group out of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial, wraps
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

from scalefit.cli import completion

__all__ = [
    "Constraints",
    "Drawing",
    "Draws",
    "Fitted",
    "Fitting",
    "Flops",
    "Folds",
    "Intervals",
    "Objective",
    "Output",
    "Reading",
    "Search",
    "Source",
    "TableFile",
    "command",
    "words",
]

# Panels of the help.
TABLE = "Table"
LAW = "Law and objective"

_reading = partial(typer.Option, rich_help_panel=TABLE)
_law = partial(typer.Option, rich_help_panel=LAW)

TableFile: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="File of runs, dataset:NAME, or - (standard input).",
        autocompletion=completion.tables,
        show_default=False,
    ),
]
Source: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="FIT",
        help="What --save or --json wrote; - (standard input).",
        show_default=False,
    ),
]
Flops: TypeAlias = Annotated[
    list[float] | None, typer.Option(metavar="FLOP", help="Budget to allocate; repeat for several.")
]
Plot: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write a picture: .png, .pdf, .svg.")
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that exist.", hidden=True)
]


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
        column: headers of quantities.
        keep: rules of rows.
        loss_unit: unit of the losses.
        bytes_per_token: of losses per byte.
        missing: what to do about incomplete rows.
        responses: headers of several responses.
    """

    column: Annotated[
        list[str] | None,
        _reading(
            metavar="NAME=HEADER",
            help="As N=params, or N=params_b*1e9; repeat.",
            autocompletion=completion.quantities,
        ),
    ] = None
    keep: Annotated[
        list[str] | None, _reading(metavar="RULE", help="Rows to keep, as 'C < 1e21'; repeat.")
    ] = None
    loss_unit: Annotated[
        str | None,
        _reading(metavar="UNIT", help="nats, bits, perplexity, bits_per_byte, ..."),
    ] = None
    bytes_per_token: Annotated[
        float | None,
        _reading(metavar="B", help="Makes losses per byte those per token.", hidden=True),
    ] = None
    missing: Annotated[
        str, _reading(metavar="raise|drop", help="Rows without N, D or loss.", hidden=True)
    ] = "raise"
    responses: Annotated[
        str | None,
        _reading(metavar="A,B", help="Columns predicted at once.", hidden=True),
    ] = None


@dataclass(frozen=True)
class Constraints:
    """A law, and what its parameters must keep to.

    Attributes:
        law: its name.
        fixed: parameters with a value.
        bounds: bounds of parameters.
        tied: parameters that share a value.
        group: coefficients that differ by a column.
    """

    law: Annotated[
        str | None,
        _law(
            metavar="NAME",
            help="See scalefit laws. \\[default: chinchilla]",
            autocompletion=completion.laws,
        ),
    ] = None
    fixed: Annotated[
        list[str] | None, _law(metavar="NAME=NUMBER", help="Fix a parameter, as E=1.7; repeat.")
    ] = None
    bounds: Annotated[
        list[str] | None,
        _law(metavar="NAME=LOW:HIGH", help="As alpha=0.2:0.6; repeat.", hidden=True),
    ] = None
    tied: Annotated[
        list[str] | None,
        _law(metavar="NAME=NAME", help="Tie parameters, as alpha=beta.", hidden=True),
    ] = None
    group: Annotated[
        list[str] | None,
        _law(metavar="NAME=COLUMN", help="One value for each level, as A=format."),
    ] = None


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Attributes:
        residual: residuals.
        robust: their penalty.
        delta: of the Huber loss.
        asymmetry: of the asymmetric penalty.
    """

    residual: Annotated[str, _law(metavar="KIND", help="log, relative or raw.")] = "log"
    robust: Annotated[str, _law(metavar="KIND", help="huber, l1, asymmetric or none.")] = "huber"
    delta: Annotated[
        float, _law(metavar="X", help="Where the Huber loss turns linear.", hidden=True)
    ] = 1e-3
    asymmetry: Annotated[
        float, _law(metavar="X", help="Weight of runs below the surface.", hidden=True)
    ] = 10.0


@dataclass(frozen=True)
class Search:
    """How the optimum is sought.

    Attributes:
        certify: whether it is proved.
        boxes: that a proof may take.
        seed: of random numbers.
        device: where compiled programs run.
    """

    certify: Annotated[
        bool | None,
        _law(help="Prove the optimum; squares unasked.", hidden=True),
    ] = None
    boxes: Annotated[
        int | None, _law(metavar="N", help="Boxes that a proof may take.", hidden=True)
    ] = None
    seed: Annotated[int, _law(metavar="N", help="Of random numbers.", hidden=True)] = 0
    device: Annotated[
        str | None, _law(metavar="NAME", help="Where programs run, as gpu or cpu.", hidden=True)
    ] = None


@dataclass(frozen=True)
class Fitting(Search, Objective, Constraints):
    """All options of a fit."""


@dataclass(frozen=True)
class Fitted(Fitting):
    """A fit that is made on the way, or read.

    Attributes:
        saved: file of a fit.
    """

    saved: Annotated[
        str | None,
        _law("--fit", help="Take a saved fit instead, as fit.json.", metavar="FILE"),
    ] = None


@dataclass(frozen=True)
class Draws:
    """Draws of the fit, a row each.

    Attributes:
        bootstrap: how many; 0 for none.
    """

    bootstrap: Annotated[
        int, typer.Option(metavar="N", help="Draws for intervals, as 1000.", show_default=False)
    ] = 0


@dataclass(frozen=True)
class Intervals(Draws):
    """Draws of the fit, or of runs that belong together.

    Attributes:
        by: columns of such runs.
    """

    by: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Columns of runs that are drawn together.",
            autocompletion=completion.headers,
            hidden=True,
        ),
    ] = None


@dataclass(frozen=True)
class Folds:
    """Which runs are held out.

    Attributes:
        by: column of the blocks.
        scheme: which blocks are predicted from which.
        hold: how many at once.
        test: rule of the runs to hold out, in place of blocks.
    """

    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the blocks to hold out; else compute.",
            autocompletion=completion.headers,
        ),
    ] = None
    scheme: Annotated[str, typer.Option(metavar="KIND", help="largest, rolling or groups.")] = (
        "largest"
    )
    hold: Annotated[int, typer.Option(metavar="N", help="Blocks held out at once.")] = 1
    test: Annotated[
        str | None, typer.Option(metavar="RULE", help="Runs to hold out instead, as 'C > 1e21'.")
    ] = None

    def as_arguments(self) -> dict[str, Any]:
        """The folds, as calls take them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True)
class Drawing:
    """A picture.

    Attributes:
        plot: file to write it to.
        overwrite: whether files that exist are replaced.
    """

    plot: Plot = None
    overwrite: Overwrite = False


@dataclass(frozen=True)
class Output:
    """How results are printed.

    Attributes:
        level: coverage of intervals.
        as_json: whether as JSON.
    """

    level: Annotated[
        float, typer.Option(metavar="P", help="Coverage of intervals.", hidden=True)
    ] = 0.95
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: see scalefit schema.")] = (
        False
    )


def words(*groups: Any) -> list[str]:
    """Options of groups that are not at their defaults, as a shell has them."""
    found: list[str] = []
    for group in groups:
        for one in fields(group):
            value = getattr(group, one.name)
            option = f"--{one.name.replace('_', '-')}"
            if isinstance(value, bool) and one.default is None:
                found.append(option if value else option.replace("--", "--no-"))
            elif value != one.default and not isinstance(value, bool):
                for item in value if isinstance(value, list) else [value]:
                    found += [option, str(item)]
    return found


def _show_all(ctx: typer.Context, wanted: bool) -> None:
    """Help with the options that are hidden otherwise."""
    if wanted:
        for one in ctx.command.params:
            if hasattr(one, "hidden"):
                one.hidden = False
        typer.echo(ctx.get_help(), nl=False)
        raise typer.Exit


HelpAll: TypeAlias = Annotated[
    bool,
    typer.Option("--help-all", help="Show every option.", is_eager=True, callback=_show_all),
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A function whose groups of options are the options themselves, as typer takes it."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    taken: dict[str, inspect.Parameter] = {}
    for name, one in inspect.signature(function).parameters.items():
        if name not in groups:
            taken[name] = one.replace(annotation=hints[name], kind=one.KEYWORD_ONLY)
            continue
        types = get_type_hints(groups[name], include_extras=True)
        for field in fields(groups[name]):
            taken[field.name] = inspect.Parameter(
                field.name, one.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
            )
    if any(_hidden(one) for one in taken.values()):
        taken["help_all"] = inspect.Parameter(
            "help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=HelpAll
        )

    @wraps(function)
    def run(**given: Any) -> None:
        given.pop("help_all", None)
        as_json = given.get("as_json", False)
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        if not as_json:
            function(**given)
            return
        # Imported here: it imports JAX.
        from scalefit.runtime.progress import without_progress

        with without_progress():
            function(**given)

    run.__signature__ = inspect.Signature(list(taken.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: one.annotation for name, one in taken.items()}
    return run


def _hidden(one: inspect.Parameter) -> bool:
    return any(
        getattr(item, "hidden", False) for item in getattr(one.annotation, "__metadata__", ())
    )
