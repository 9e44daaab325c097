"""Fits as the options of a command ask for them: made, or read from a file."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scalefit as sf
from scalefit.cli.options import Constraints, Draws, Fitted, Fitting, Intervals, Objective, Reading
from scalefit.cli.pairs import columns, interval, pairs, ties
from scalefit.cli.tables import STANDARD_INPUT, read_table, several_responses
from scalefit.errors import ArgumentError, DocumentError, ScalefitError

if TYPE_CHECKING:
    from scalefit.data.table import LossTable
    from scalefit.inference.ensemble import Ensemble
    from scalefit.laws import Law
    from scalefit.results.fit import Fit

__all__ = [
    "DEFAULT",
    "constraints_of",
    "draws_of",
    "fit_of",
    "law_of",
    "objective_of",
    "saved",
    "surface_of",
]

DEFAULT = "chinchilla"
# Ensembles are archives of numpy, which begin as any archive does.
ARCHIVE = b"PK"


def law_of(given: Constraints) -> Law:
    """The law that is named, or the default one.

    Raises:
        LawError: no law has that name.
    """
    from scalefit.laws import find

    return find(given.law or DEFAULT)


def objective_of(given: Objective) -> dict[str, Any]:
    """Options of the objective, as calls take them."""
    return {one.name: getattr(given, one.name) for one in fields(Objective)}


def constraints_of(given: Constraints) -> dict[str, Any]:
    """Constraints, as calls take them."""
    return {
        "fixed": pairs(given.fixed, "--fixed NAME=NUMBER", float),
        "bounds": pairs(given.bounds, "--bounds NAME=LOWER:UPPER", interval),
        "tied": ties(given.tied),
        "groups": pairs(given.group, "--group NAME=COLUMN,COLUMN", columns),
    }


def fit_of(table: str, reading: Reading, given: Fitting) -> tuple[Fit, LossTable]:
    """A fit that is made here, and the table it is of.

    Raises:
        ScalefitError: anything of the library's.
    """
    law = law_of(given)
    constraints = constraints_of(given)
    runs = read_table(table, reading, [law])
    several = several_responses(reading, law)
    constraints["groups"] = constraints["groups"] or (None if several else {})
    made = sf.fit(
        runs,
        given.law or DEFAULT,
        **objective_of(given),
        **constraints,
        certify=given.certify if given.boxes is None else given.boxes,
        seed=given.seed,
        device=given.device,
    )
    return made, runs


def surface_of(
    table: str, reading: Reading, given: Fitted, draws: Draws
) -> tuple[Fit, Ensemble | None, LossTable]:
    """A fit, its draws where there are any, and the table: of ``--fit``, or made here.

    Raises:
        ScalefitError: options of a fit are given beside ``--fit``, or anything of the library's.
    """
    if given.saved is None:
        fit, runs = fit_of(table, reading, given)
        return fit, draws_of(fit, runs, draws, given), runs
    _refuse_options(given)
    found = saved(given.saved, "--fit")
    fit = found.fit if isinstance(found, sf.Ensemble) else found
    runs = read_table(table, reading, [fit.law])
    return fit, draws_of(found, runs, draws, given), runs


def draws_of(
    fit: Fit | Ensemble, runs: LossTable, given: Draws, search: Fitting
) -> Ensemble | None:
    """Draws of a fit: those that were read, or new ones; None where none are asked for."""
    if not given.bootstrap:
        return fit if isinstance(fit, sf.Ensemble) else None
    by = given.by if isinstance(given, Intervals) else None
    return sf.bootstrap(
        fit.fit if isinstance(fit, sf.Ensemble) else fit,
        runs,
        n_draws=given.bootstrap,
        method="clusters" if by else "rows",
        by=by.split(",") if by else None,
        seed=search.seed,
        devices=search.device,
    )


def saved(path: str, option: str) -> Fit | Ensemble:
    """A fit or draws of one from a file: of ``--save``, of ``--json``, or of the library's.

    Args:
        path: of the file, or ``-`` for standard input.
        option: what the file was given as.

    Raises:
        ArgumentError: there is no such file, or it is no document of a fit.
        DocumentError: the document holds what no fit does.
    """
    named = "standard input" if path == STANDARD_INPUT else repr(path)
    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
    except OSError as error:
        raise ArgumentError(
            f"{option} {named} cannot be read ({error.strerror})",
            argument=option,
            value=path,
            remedy="Pass what scalefit fit TABLE --save fit.json writes",
        ) from error
    if content.startswith(ARCHIVE) and path != STANDARD_INPUT:
        return sf.Ensemble.load(path)
    try:
        return sf.Fit.from_json(_inner(content))
    except DocumentError as error:
        if error.field:
            raise
        # That it says no schema, or is no JSON, is no news of a table of runs.
        raise ArgumentError(
            f"{option} {named} is no saved fit",
            argument=option,
            value=path,
            remedy="Pass what scalefit fit TABLE --save fit.json writes",
        ) from error


def _inner(content: bytes) -> str:
    """The fit inside what a command printed, or the whole."""
    text = content.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if isinstance(found, dict) and isinstance(found.get("fit"), dict):
        return json.dumps(found["fit"])
    return text


def _refuse_options(given: Fitted) -> None:
    """Raise where options say how to fit what is fitted already.

    Raises:
        ScalefitError: there are some.
    """
    default = Fitted()
    others = [
        one.name
        for one in fields(Fitted)
        if one.name not in ("saved", "seed", "device")
        and getattr(given, one.name) != getattr(default, one.name)
    ]
    if others:
        raise ScalefitError(
            f"--fit is a fit already: leave --{others[0]} out, or leave --fit out to fit anew"
        )
