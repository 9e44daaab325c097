"""Commands that say what there is: ``laws``, ``datasets`` and ``schema``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit.cli import completion, documents
from scalefit.cli.printing import print_descriptions, print_document, print_results
from scalefit.errors import ScalefitError

if TYPE_CHECKING:
    from scalefit.laws import LawTable
    from scalefit.reporting.description import Description

__all__ = ["datasets", "laws", "schema"]

# So many laws are shown with their formulas.
FEW = 12

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: see scalefit schema.")]


def laws(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A law, to see what its parameters are.",
            autocompletion=completion.laws,
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="Words, as 'visual tokens', or an arXiv number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the built-in laws, find some by words, or show one."""
    from scalefit import laws as known

    if name is not None and search is not None:
        raise ScalefitError("--search lists laws, a name shows one: give one of the two")
    table = known.table() if search is None else known.search(search)
    one = None if name is None else known.find(name)
    if as_json:
        families = {item.name: family for family, items in table.families.items() for item in items}
        chosen = table if one is None else [one]
        found = [documents.law(item, families.get(item.name, "")) for item in chosen]
        print_document("laws", {"laws": found})
    elif one is None:
        print_descriptions(_listing(table))
    else:
        print_results(one)


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A table, to see its columns, licence and traps.",
            autocompletion=completion.datasets,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the public tables known by name, or describe one."""
    from scalefit import datasets as known

    table = known.list()
    one = None if name is None else known.info(name)
    if as_json:
        chosen = [known.info(item) for item in table] if one is None else [one]
        print_document("datasets", {"datasets": [documents.dataset(item) for item in chosen]})
    else:
        print_results(table if one is None else one)


def schema(
    name: Annotated[
        str | None,
        typer.Argument(metavar="COMMAND", help="A command, or error.", show_default=False),
    ] = None,
) -> None:
    """Print the JSON Schema of what a command prints with --json."""
    from scalefit.cli.schema import DOCUMENTS

    if name is None:
        typer.echo("\n".join(DOCUMENTS))
        return
    if name not in DOCUMENTS:
        raise ScalefitError(f"there is no schema of {name!r}. Schemas: {', '.join(DOCUMENTS)}")
    found: Any = DOCUMENTS[name].model_json_schema(by_alias=True)
    typer.echo(json.dumps(found, indent=2))


def _listing(table: LawTable) -> Description:
    """Laws with what each is for; of a few, with their formulas."""
    from scalefit.reporting.description import Description

    said = table.describe()
    if not len(table):
        return said
    few = len(table) <= FEW
    facts = {one.name: f"{one.formula}. {one.purpose}" if few else one.purpose for one in table}
    count, *_ = said.headline.split(" Pass one")
    return Description(
        said.title,
        f"{count} Fit one by name, as scalefit fit TABLE --law {next(iter(facts))}; scalefit laws "
        "NAME shows one, and scalefit laws --search 'visual tokens' finds some by words.",
        facts=facts,
    )
