"""Whether the fields of a JSON document agree with each other and with the law."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scalefit.data.grouping import level_name
from scalefit.errors import listed
from scalefit.laws import Law
from scalefit.objective import PENALTIES
from scalefit.results.schema import (
    CertificateDocument,
    EnsembleDocument,
    FitDocument,
    GroupingDocument,
    ObjectiveDocument,
    refused,
)
from scalefit.results.status import Status

__all__ = ["agree", "agree_draws"]

Place = tuple[str | int, ...]


def agree(document: FitDocument, law: Law, within: Place = ()) -> None:
    """Raise where the fields of a fit contradict each other, or its law.

    Args:
        document: the fit.
        law: its law.
        within: where in a larger document it is.

    Raises:
        DocumentError: they do.
    """
    for place, value, should in _conflicts(document, law):
        raise refused((*within, *place), value, should, missing=should == "there")


def agree_draws(document: EnsembleDocument) -> None:
    """Raise where draws are not of their fit.

    Raises:
        DocumentError: they are not.
    """
    if set(document.parameters) != set(document.fit.params):
        raise refused(("parameters",), document.parameters, "the parameters of the fit")
    if document.noise.residual != document.fit.objective.residual:
        raise refused(("noise", "residual"), document.noise.residual, "that of the fit")
    if document.draws % document.chains:
        raise refused(("chains",), document.chains, f"a divisor of {document.draws} draws")


Conflict = tuple[Place, Any, str]


def _conflicts(fit: FitDocument, law: Law) -> Iterator[Conflict]:
    yield from _of_objective(fit.objective)
    yield from _of_groups(fit.groups, law)
    names = [item for name in law.names for item in _levels(name, fit.groups)]
    yield from _same(("params",), fit.params, names)
    for place, minimum in enumerate(fit.diagnostics.minima):
        yield from _same(("diagnostics", "minima", place, "params"), minimum.params, names)
    for place, name in enumerate(fit.diagnostics.at_bound):
        yield from _among(("diagnostics", "at_bound", place), name, names)
    yield from _of_constraints(fit, law, names)
    yield from _of_domain(fit, law)
    yield from _of_proof(fit.certificate, law)
    yield from _of_outcome(fit)


def _of_objective(objective: ObjectiveDocument) -> Iterator[Conflict]:
    for name in ("delta", "asymmetry"):
        wanted = name in PENALTIES[objective.robust].options
        value = getattr(objective, name)
        if (value is not None) != wanted:
            should = "a number" if wanted else "null"
            yield ("objective", name), value, f"{should} where robust is {objective.robust}"
    if objective.sigma is not None and PENALTIES[objective.robust].bounded:
        yield ("objective", "sigma"), objective.sigma, f"left out: robust is {objective.robust}"


def _of_groups(groups: Mapping[str, GroupingDocument], law: Law) -> Iterator[Conflict]:
    for name, grouping in groups.items():
        yield from _among(("groups", name), name, law.names)
        for place, level in enumerate(grouping.levels):
            # A slash inside a level has a backslash before it.
            parts = len(re.findall(r"(?<!\\)/", level)) + 1
            if 1 < len(grouping.columns) != parts:
                should = f"a level of {len(grouping.columns)} columns, joined by slashes"
                yield ("groups", name, "levels", place), level, should


def _levels(name: str, groups: Mapping[str, GroupingDocument]) -> list[str]:
    return [level_name(name, level) for level in groups[name].levels] if name in groups else [name]


def _of_constraints(fit: FitDocument, law: Law, names: Sequence[str]) -> Iterator[Conflict]:
    for name, value in fit.fixed.items():
        yield from _among(("fixed", name), name, names)
        if value != fit.params[name]:
            yield ("fixed", name), value, f"the value of the parameter, {fit.params[name]!r}"
    seen: set[str] = set()
    for number, group in enumerate(fit.tied):
        for place, name in enumerate(group):
            at = ("tied", number, place)
            yield from _among(at, name, [item for item in names if item not in seen])
            if fit.params[name] != fit.params[group[0]]:
                yield at, name, f"of the value of {group[0]!r}, to which it is tied"
        seen.update(group)
    for name, ends in fit.bounds.items():
        yield from _among(("bounds", name), name, law.names)
        yield from _no_nan(("bounds", name), ends)


def _of_domain(fit: FitDocument, law: Law) -> Iterator[Conflict]:
    ratios = ["D/N", "6ND"] if {"N", "D"} <= set(law.columns) else []
    published = fit.status == Status.PUBLISHED.name
    needed = ["N", "D", "6ND"] if published and ratios else [*law.columns, *ratios]
    for name in needed if ratios or not published else ():
        if name not in fit.domain:
            yield ("domain", name), None, "there"
    for name, ends in fit.domain.items():
        yield from _among(("domain", name), name, [*law.columns, *ratios])
        if not published:
            yield from _no_nan(("domain", name), ends)
        # Raw counts, whose products and ratios alone can exceed float64.
        if (name in ratios and ends[0] < 0) or (name in ("N", "D") and ends[0] <= 0):
            yield ("domain", name), ends, "of positive counts"
        if name in law.columns and math.inf in ends:
            yield ("domain", name), ends, "finite"


def _of_proof(proof: CertificateDocument, law: Law) -> Iterator[Conflict]:
    for name, ends in proof.region.items():
        yield from _among(("certificate", "region", name), name, law.names)
        yield from _no_nan(("certificate", "region", name), ends)
    for name in proof.lower:
        yield from _among(("certificate", "lower", name), name, law.names)
    if proof.closed and not proof.gap < math.inf:
        yield ("certificate", "gap"), proof.gap, "finite where closed is true"
    if proof.closed == bool(proof.reason):
        should = "empty where closed is true" if proof.closed else "why closed is false"
        yield ("certificate", "reason"), proof.reason, should


LEAST = {"gradient_cosine": 0, "newton_decrement": 0, "condition": 1, "condition_projected": 1}


def _of_outcome(fit: FitDocument) -> Iterator[Conflict]:
    """Published values were not searched for; all others were, and have an objective."""
    diagnostics, published = fit.diagnostics, fit.status == Status.PUBLISHED.name
    where = f"where status is {fit.status}"
    for name in ("objective_value", "residual_rms"):
        value = getattr(fit, name)
        if published != math.isnan(value) or not (published or 0 <= value < math.inf):
            yield (name,), value, f"{'NaN' if published else 'a number of at least 0'} {where}"
    for name, least in LEAST.items():
        value = getattr(diagnostics, name)
        if published != math.isnan(value) or value < least:
            should = "NaN" if published else f"a number of at least {least}"
            yield ("diagnostics", name), value, f"{should} {where}"
    if (fit.nobs == 0) != published:
        yield ("nobs",), fit.nobs, f"{'0' if published else 'at least 1'} {where}"
    if (diagnostics.search == "none") != published:
        yield (
            ("diagnostics", "search"),
            diagnostics.search,
            f"{'none' if published else 'a search'} {where}",
        )
    if bool(diagnostics.minima) == published:
        yield (
            ("diagnostics", "minima"),
            diagnostics.minima,
            f"{'empty' if published else 'some'} {where}",
        )
    if diagnostics.starts < sum(minimum.starts for minimum in diagnostics.minima):
        yield (
            ("diagnostics", "starts"),
            diagnostics.starts,
            "at least those that ended in its minima",
        )


def _same(place: Place, found: Mapping[str, Any], names: Sequence[str]) -> Iterator[Conflict]:
    known = set(names)
    for name in names:
        if name not in found:
            yield (*place, name), None, "there"
    for name, value in found.items():
        if name not in known:
            yield (*place, name), value, "left out: the law has no such parameter"


def _among(place: Place, name: str, names: Sequence[str]) -> Iterator[Conflict]:
    if name not in names:
        yield place, name, f"one of {listed(names)}"


def _no_nan(place: Place, ends: Sequence[float]) -> Iterator[Conflict]:
    if any(map(math.isnan, ends)):
        yield place, ends, "numbers, not NaN"
