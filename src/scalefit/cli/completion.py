"""What the shell completes, without waiting for JAX or pandas."""

from __future__ import annotations

import ast
import json
from importlib.resources import files
from pathlib import Path

import typer

__all__ = ["datasets", "headers", "laws", "quantities", "tables"]

# What names a registered table where a file is expected.
DATASET = "dataset:"
# Files whose first line has the headers, and what stands between them.
SEPARATORS = {".csv": ",", ".tsv": "\t"}
# Bytes of that line that are read.
FIRST = 65536


def laws(incomplete: str) -> list[str]:
    """Names of laws, read off the source: importing them takes a second and more."""
    tree = ast.parse((files("scalefit") / "laws" / "__init__.py").read_text())
    found = next(
        item
        for item in tree.body
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == "FAMILIES"
    )
    names = [item.id for item in ast.walk(found) if isinstance(item, ast.Name)]
    known = dict.fromkeys(name for name in names if name not in ("str", "tuple") and name.islower())
    return [name for name in known if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    """Names of registered tables."""
    known = json.loads((files("scalefit") / "datasets" / "registry.json").read_text())
    return [name for name in known["tables"] if name.startswith(incomplete)]


def tables(incomplete: str) -> list[str]:
    """Registered tables where a file is expected. Files the shell completes itself."""
    if not incomplete.startswith(DATASET):
        return []
    return [f"{DATASET}{name}" for name in datasets(incomplete.removeprefix(DATASET))]


def headers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Headers of the table that is named already."""
    return [name for name in _headers(ctx) if name.startswith(incomplete)]


def quantities(ctx: typer.Context, incomplete: str) -> list[str]:
    """``N=`` and the like, then the headers of the table that is named already."""
    quantity, equals, start = incomplete.partition("=")
    if not equals:
        return [f"{name}=" for name in ("N", "D", "loss", "C") if name.startswith(quantity)]
    return [f"{quantity}={name}" for name in _headers(ctx) if name.startswith(start)]


def _headers(ctx: typer.Context) -> list[str]:
    path = Path(str(ctx.params.get("table") or ""))
    separator = SEPARATORS.get(path.suffix)
    if not separator or not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline(FIRST)
    return [name.strip().strip('"') for name in line.rstrip("\n").split(separator)]
