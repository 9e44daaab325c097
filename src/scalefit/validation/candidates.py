"""Candidates of a comparison: laws with their options, fitted to one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit import arguments
from scalefit.data.grouping import Grouping
from scalefit.data.subsets import subset
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError
from scalefit.fitting.api import fit as fit_law
from scalefit.fitting.devices import Devices
from scalefit.inference.subset_fits import SubsetFit
from scalefit.laws import Law, find
from scalefit.objective import Objective
from scalefit.problem.options import read_bounds
from scalefit.problem.separability import structure
from scalefit.results.fit import Fit
from scalefit.validation.fold_predictions import predict_folds
from scalefit.validation.folds import Fold

__all__ = [
    "Candidate",
    "FittedCandidate",
    "HeldOutRows",
    "fitted",
    "predicted_by",
    "read_laws",
    "with_groups",
]

# Options of a fit that a candidate may have of its own.
OWN = ("law", "fixed", "bounds", "tied", "groups")
REMEDY = "Pass names of laws, as laws=['chinchilla', 'farseer']"

# What a parameter's bound means at these kinds: no term, all of a share, a corner. A bound of any
# other kind is only where the search ends.
NATURAL = ("offset", "amplitude", "fraction", "width")


class Candidate(NamedTuple):
    """A law with its options.

    Attributes:
        label: what it is called.
        law: the law.
        options: its own options of the fit.
        by: columns whose levels are each fitted alone; empty for one fit of all runs.
    """

    label: str
    law: Law
    options: Mapping[str, Any]
    by: tuple[str, ...] = ()


class FittedCandidate(NamedTuple):
    """A candidate fitted to all rows.

    Attributes:
        candidate: the candidate.
        fits: its fit, or one for each level.
        rows: rows of each fit, booleans of shape (fits, rows).
        levels: the level of each fit; one empty name where there is one fit.
        residuals: of every row, as the objective defines them, shape (rows,).
    """

    candidate: Candidate
    fits: tuple[Fit, ...]
    rows: np.ndarray
    levels: tuple[str, ...]
    residuals: np.ndarray

    @property
    def label(self) -> str:
        """What it is called."""
        return self.candidate.label

    @property
    def n_free(self) -> int:
        """Free parameters of all its fits."""
        return sum(fit.n_free for fit in self.fits)

    @property
    def objective_value(self) -> float:
        """Objective of all rows."""
        return sum(fit.objective_value for fit in self.fits)

    @property
    def usable(self) -> bool:
        """Whether every fit is at an optimum."""
        return all(fit.status.usable for fit in self.fits)

    @property
    def at_search_bound(self) -> tuple[str, ...]:
        """Parameters that ended where the search ends, and not where a term or a bend does."""
        found = []
        for fit in self.fits:
            kinds = {param.name: param.kind.name for param in fit.law.params}
            found += [
                name
                for name in fit.diagnostics.at_bound
                if kinds[name.partition("[")[0]] not in NATURAL
                and name.partition("[")[0] not in fit.bounds
            ]
        return tuple(dict.fromkeys(found))


class HeldOutRows(NamedTuple):
    """Held-out rows of all folds, fold after fold and row after row: m of them in all.

    Attributes:
        predicted: shape (m,); NaN where there is no fit.
        reach: how far each lies outside the runs of its fit, decades, shape (m,).
        failures: why there is no fit, for each fold; empty where there is one.
        last: the fits of the last fold, each with the rows that it is about, shape (rows,).
    """

    predicted: np.ndarray
    reach: np.ndarray
    failures: tuple[str, ...]
    last: tuple[tuple[SubsetFit, np.ndarray], ...]


def read_laws(laws: Any) -> tuple[Candidate, ...]:
    """Candidates from names, laws, or a mapping from labels to options.

    Raises:
        ArgumentError: none of these, an unknown option, or two of one label.
    """
    if isinstance(laws, Mapping):
        return tuple(_with_options(label, item) for label, item in _mapped(laws).items())
    if isinstance(laws, str | Law) or not isinstance(laws, Sequence):
        laws = (laws,)
    found = tuple(Candidate(law.name, law, {}) for law in map(find, laws))
    labels = [item.label for item in found]
    if not labels or len(set(labels)) < len(labels):
        problem = "laws names no law" if not labels else "laws names one law twice"
        raise ArgumentError(problem, argument="laws", value=laws, remedy=REMEDY)
    return found


def _mapped(laws: Mapping[Any, Any]) -> Mapping[str, Any]:
    found = arguments.mapping(laws, "laws", remedy=REMEDY)
    if not found:
        raise ArgumentError("laws names no law", argument="laws", value=laws, remedy=REMEDY)
    return found


def _with_options(label: str, options: Any) -> Candidate:
    """A candidate with options of its own; its label is the law where none is named."""
    argument = f"laws[{label!r}]"
    remedy = (
        "Pass its options by name, as laws={'chinchilla': {}, 'no floor': "
        "{'law': 'chinchilla', 'fixed': {'E': 0}}}"
    )
    given = dict(arguments.mapping(options, argument, remedy=remedy))
    for name in given:
        arguments.choice(name, f"key of {argument}", OWN, remedy=remedy)
    return Candidate(label, find(given.pop("law", label)), given)


def with_groups(
    candidates: Sequence[Candidate], table: LossTable, by: Any
) -> tuple[Candidate, ...]:
    """Each law ``pooled``, with exponents ``shared`` by the levels, and each level ``alone``.

    Args:
        candidates: the laws.
        table: the table.
        by: the column, or several.

    Raises:
        ArgumentError: names no columns, or a law has groups of its own.
        DataError: there is no such column, or it has one level.
    """
    remedy = "Pass a column, as groups='corpus'"
    columns = arguments.names(by, "groups", remedy=remedy)
    if not columns:
        raise arguments.refused("groups", by, "a column or several", remedy)
    Grouping.of(table, columns, table.weight > 0)
    found: list[Candidate] = []
    for item in candidates:
        if "groups" in item.options:
            raise ArgumentError(
                f"{item.label!r} has groups of its own beside groups={by!r}",
                argument="groups",
                value=by,
                remedy="Leave one of them out",
            )
        fixed = {*item.options.get("fixed", {})}
        fixed |= {name for group in item.options.get("tied", ()) for name in group}
        bounds = read_bounds(item.options.get("bounds"))
        linear = structure(item.law, table.columns_of(item.law), bounds).linear
        shared = {name: columns for name in linear if name not in fixed}
        of = f"{item.label}: " if len(candidates) > 1 else ""
        # Of several responses a fit without groups would have those of its own.
        pooled = {**item.options, "groups": {}} if table.responses else item.options
        found += [
            item._replace(label=f"{of}pooled", options=pooled),
            item._replace(label=f"{of}shared", options={**item.options, "groups": shared}),
            item._replace(label=f"{of}alone", by=columns),
        ]
    return tuple(found)


def fitted(candidate: Candidate, table: LossTable, objective: Objective) -> FittedCandidate:
    """A candidate fitted to all rows of a table.

    Args:
        candidate: the candidate.
        table: the table.
        objective: what is minimised, for every candidate alike.

    Raises:
        DataError: the table lacks a column, or cannot identify the law.
        FitError: no point has a finite objective.
    """
    every = np.ones((1, len(table)), dtype=bool)
    levels: tuple[str, ...] = ("",)
    if candidate.by:
        grouping = Grouping.of(table, candidate.by, table.weight > 0)
        codes, levels = grouping.codes(table), grouping.levels
        every = codes == np.arange(len(levels))[:, None]
    parts = [table if candidate.by == () else subset(table, rows) for rows in every]
    fits = tuple(
        fit_law(
            part,
            candidate.law,
            certify=False,
            **objective.options,
            **candidate.options,
        )
        for part in parts
    )
    residuals = np.zeros(len(table))
    for fit, part, rows in zip(fits, parts, every, strict=True):
        residuals[rows] = fit.residuals(part)
    return FittedCandidate(candidate, fits, every, levels, residuals)


def predicted_by(
    found: FittedCandidate, table: LossTable, folds: Sequence[Fold], devices: Devices = None
) -> HeldOutRows:
    """Held-out rows of all folds predicted by a candidate.

    Args:
        found: the candidate.
        table: its table.
        folds: the folds.
        devices: where to fit.
    """
    place = np.cumsum([0, *(int(fold.test.sum()) for fold in folds)])
    predicted, far = np.full((2, place[-1]), np.nan)
    failures, last = [""] * len(folds), []
    for fit, rows in zip(found.fits, found.rows, strict=True):
        whole = bool(rows.all())
        part = table if whole else subset(table, rows)
        mine = [Fold(fold.name, fold.train[rows], fold.test[rows]) for fold in folds]
        # A level that a fold does not train on, or does not test, has nothing to predict there.
        used = [k for k, fold in enumerate(mine) if fold.train.any() and fold.test.any()]
        if not used:
            continue
        held = predict_folds(fit, part, [mine[k] for k in used], devices)
        for i, k in enumerate(used):
            here = np.flatnonzero(folds[k].test)
            inside = place[k] + np.flatnonzero(rows[here])
            predicted[inside] = held.predicted[held.fold == i]
            far[inside] = held.reach[held.fold == i]
            failures[k] = failures[k] or held.fits[i].failure
        if used[-1] == len(folds) - 1:
            last.append((held.fits[-1], rows))
    return HeldOutRows(predicted, far, tuple(failures), tuple(last))
