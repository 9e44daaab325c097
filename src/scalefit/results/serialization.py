"""Fits as JSON documents: laws by name, never their code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.arguments import shown
from scalefit.data.dropped_rows import DroppedRow
from scalefit.data.grouping import Grouping
from scalefit.errors import LawError, listed
from scalefit.laws import Law, find, table
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.results.certificate import Certificate
from scalefit.results.diagnostics import Diagnostics, Minimum
from scalefit.results.status import Status
from scalefit.results.verdict import NO_VERDICT, Influence, Pattern, Verdict

if TYPE_CHECKING:
    from scalefit.results.schema import FitDocument

__all__ = ["document_of", "encoded", "fields_of"]


def document_of(fit: Any) -> dict[str, Any]:
    """A fit as what JSON holds, in the fields of :class:`~scalefit.results.schema.FitDocument`."""
    law = fit.law
    document = {
        # FIT_SCHEMA of results.schema, which is imported where a document is read only.
        "schema": 3,
        "law": {
            "name": law.name,
            "columns": list(law.columns),
            "params": list(law.names),
            "source": law.source,
        },
        "objective": {
            name: item
            for name, item in asdict(fit.objective).items()
            if name != "sigma" or item is not None
        },
        "status": fit.status.name,
        "notes": [note.to_document() for note in fit.notes],
        "diagnostics": _shallow(fit.diagnostics)
        | {"minima": [_shallow(item) for item in fit.diagnostics.minima]},
        "dropped": [{"row": _plain(item.row), "rule": item.rule} for item in fit.dropped],
        "certificate": _shallow(fit.certificate),
        "groups": {name: asdict(item) for name, item in fit.groups.items()},
        "verdict": asdict(fit.verdict),
    }
    whole = ("objective_value", "nobs", "residual_rms", "params", "domain", "fixed", "tied")
    document |= {name: getattr(fit, name) for name in (*whole, "bounds", "provenance")}
    found: dict[str, Any] = encoded(document)
    return found


def fields_of(
    document: FitDocument, law: Law | None = None, within: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields of the fit that a document of checked fields describes.

    Args:
        document: the fields as JSON has them.
        law: the law, where it is not a built-in one.
        within: fields of a larger document that it is in.

    Raises:
        DocumentError: fields contradict each other, or the law.
        LawError: the law is unknown, or is not the one that was fitted.
    """
    # pydantic is imported with it.
    from scalefit.results.consistency import agree

    law = _law_of(document, law)
    agree(document, law, within)
    diagnostics = document.diagnostics.model_dump()
    minima = tuple(Minimum(**item) for item in diagnostics["minima"])
    at_bound = tuple(diagnostics["at_bound"])
    proof = document.certificate
    names = ("params", "objective_value", "nobs", "residual_rms", "fixed", "provenance")
    return {name: getattr(document, name) for name in names} | {
        "law": law,
        "objective": Objective(**document.objective.model_dump()),
        "status": Status[document.status],
        "notes": tuple(Note(**item.model_dump()) for item in document.notes),
        "diagnostics": Diagnostics(**{**diagnostics, "minima": minima, "at_bound": at_bound}),
        "domain": _ends(document.domain),
        "tied": tuple(map(tuple, document.tied)),
        "bounds": _ends(document.bounds),
        "groups": {
            name: Grouping(tuple(item.columns), tuple(item.levels))
            for name, item in document.groups.items()
        },
        "certificate": Certificate(**{**proof.model_dump(), "region": _ends(proof.region)}),
        "dropped": tuple(DroppedRow(item.row, item.rule) for item in document.dropped),
        "verdict": _verdict_of(document),
    }


def _verdict_of(document: FitDocument) -> Verdict:
    """The verdict; the one of nothing where there is no level."""
    if document.verdict.level == "none":
        return NO_VERDICT
    found = document.verdict.model_dump()
    return Verdict(
        **{
            **found,
            "patterns": tuple(Pattern(**item) for item in found["patterns"]),
            "outliers": tuple(found["outliers"]),
            "influence": Influence(**found["influence"]),
        }
    )


def _law_of(document: FitDocument, law: Law | None) -> Law:
    """The law that was fitted."""
    described = document.law
    built_in = table().named(described.name)
    if law is None and built_in is None:
        raise LawError(
            f"the fit was made with the law {shown(described.name)}, which is not built in. "
            "Pass it: Fit.from_json(text, law=...)"
        )
    law = find(described.name if law is None else law)
    named = law.name == described.name or law is built_in
    if not named or ([*law.columns], [*law.names]) != (described.columns, described.params):
        columns, params = (
            listed([shown(item) for item in names])
            for names in (described.columns, described.params)
        )
        raise LawError(
            f"law {law.name!r} has columns {law.columns} and parameters {law.names}, but the "
            f"fit was made with {shown(described.name)} of {columns} and {params}. Pass the "
            "law that was fitted"
        )
    return law


def _shallow(item: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in fields(item)}


def _ends(pairs: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {name: (pair[0], pair[1]) for name, pair in pairs.items()}


def _plain(label: object) -> object:
    """A row label as JSON can hold it."""
    if isinstance(label, np.generic):
        label = label.item()
    return label if isinstance(label, int | float | str) else str(label)


def encoded(value: Any) -> Any:
    """What JSON can hold: infinities as text with a key that says so, other objects as text."""
    if isinstance(value, np.ndarray):
        return encoded(value.tolist())
    if isinstance(value, np.generic):
        return encoded(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, Mapping):
        return {_unicode(str(key)): encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _unicode(str(value))


def _unicode(text: str) -> str:
    """Half of a surrogate pair is no character: no reader of JSON takes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
