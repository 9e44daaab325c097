"""What a JSON document of scalefit holds: every field with its type and its range.

A document is text that anybody can edit, so that nothing in it is taken for what it should be. What
is refused is named, as ``diagnostics.minima[0].value``. pydantic, which does the checking, takes a
tenth of a second to import: this module is imported where a document is read, and not before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import pydantic_core
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from scalefit.arguments import shown
from scalefit.data.grouping import level_name
from scalefit.errors import DocumentError, listed
from scalefit.laws import Law
from scalefit.objective import Residual, Robust
from scalefit.results.status import Status

__all__ = ["EnsembleDocument", "FitDocument", "agree", "agree_draws", "parsed", "refused"]

FIT_SCHEMA = 2
ENSEMBLE_SCHEMA = 4

Place = tuple[str | int, ...]
Document = TypeVar("Document", bound="_Document")

REMEDY = "Put back what scalefit wrote there, or make the result again"


def _wrong(should: str) -> pydantic_core.PydanticCustomError:
    """What a validator raises; the text is put into a sentence by :func:`parsed`."""
    return pydantic_core.PydanticCustomError("wrong", "Input should be {x}", {"x": should})


def _special(value: Any) -> Any:
    """JSON has neither infinities nor NaN: they are written as text, with a key that says so."""
    if isinstance(value, dict) and set(value) == {"float"} and isinstance(value["float"], str):
        return SPECIAL.get(value["float"], value)
    if isinstance(value, float) and math.isinf(value):
        raise _wrong("a number that float64 holds")
    return value


SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _known(value: float) -> float:
    if math.isnan(value):
        raise _wrong("a number, not NaN")
    return value


def _label(value: Any) -> Any:
    value = _special(value)
    if not isinstance(value, bool | int | float | str):
        raise _wrong("a number or text")
    return value


def _details(value: dict[str, Any]) -> dict[str, Any]:
    """What a note holds, as deep as it goes."""
    return {key: _plain(item) for key, item in value.items()}


def _plain(value: Any) -> Any:
    value = _special(value)
    if isinstance(value, dict):
        return _details(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _pair(value: list[float]) -> list[float]:
    if not (value[0] <= value[1] or all(map(math.isnan, value))):
        raise _wrong("a lower and an upper end, in this order")
    return value


def _status(value: str) -> str:
    if value not in Status.__members__:
        raise _wrong(f"one of {', '.join(Status.__members__)}")
    return value


def _distinct(value: list[Any]) -> list[Any]:
    if len(set(value)) < len(value):
        raise _wrong("different from each other")
    return value


Number = Annotated[float, BeforeValidator(_special)]
Known = Annotated[Number, AfterValidator(_known)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[Known, Field(ge=0)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[int, Field(ge=1, lt=2**63)]
Text = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Text], AfterValidator(_distinct)]
Several = Annotated[list[Text], Field(min_length=2), AfterValidator(_distinct)]
Ends = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_pair)]
Label = Annotated[Any, AfterValidator(_label)]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LawDocument(_Document):
    """Which law it was: never its code."""

    name: Text
    columns: Names
    params: Names
    source: str


class ObjectiveDocument(_Document):
    """What was minimised."""

    residual: Residual
    robust: Robust
    delta: Annotated[Finite, Field(gt=0)] | None
    asymmetry: Annotated[Finite, Field(gt=1)] | None = None


class NoteDocument(_Document):
    """A soft problem."""

    code: Text
    severity: Literal["info", "warning"]
    message: Text
    details: Annotated[dict[str, Any], AfterValidator(_details)]


class MinimumDocument(_Document):
    """A local minimum."""

    value: Annotated[Finite, Field(ge=0)]
    starts: Positive
    params: dict[str, Finite]


class DiagnosticsDocument(_Document):
    """Evidence for the optimum. Numbers are NaN where nothing was fitted."""

    search: Literal["grid", "scattered", "none"]
    cells: Count
    basins: Count
    starts: Count
    minima: list[MinimumDocument]
    gradient_cosine: Number
    newton_decrement: Number
    iterations: Count
    at_bound: Names
    condition: Number
    condition_projected: Number
    duality_gap: Known = 0.0
    cells_by_squares: Count = 0


class CertificateDocument(_Document):
    """Proof of the optimum, or why there is none."""

    closed: bool
    gap: Share
    boxes: Count
    region: dict[str, Ends]
    reason: str
    rounding: Annotated[Share, Field(le=1)] = 0.0
    lower: dict[str, Finite] = {}


class GroupingDocument(_Document):
    """Columns that a coefficient differs by, and their levels."""

    columns: Annotated[Names, Field(min_length=1)]
    levels: Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)]


class DroppedDocument(_Document):
    """A row that was left out."""

    row: Label
    rule: str


class FitDocument(_Document):
    """A fit. Fields with a default were not written by the first versions."""

    schema_: Annotated[int, Field(alias="schema", ge=FIT_SCHEMA, le=FIT_SCHEMA)]
    law: LawDocument
    objective: ObjectiveDocument
    status: Annotated[str, AfterValidator(_status)]
    notes: list[NoteDocument]
    diagnostics: DiagnosticsDocument
    dropped: list[DroppedDocument]
    tied: list[Several]
    objective_value: Number
    nobs: Count
    residual_rms: Number
    params: dict[str, Finite]
    domain: dict[str, Ends]
    fixed: dict[str, Finite]
    bounds: dict[str, Ends]
    provenance: dict[str, str]
    certificate: CertificateDocument | None = None
    groups: dict[str, GroupingDocument] = {}


class TailsDocument(_Document):
    """How far out among the draws the ends of an interval lie."""

    df: Annotated[Known, Field(gt=0)]
    inflation: Annotated[Finite, Field(gt=0)]


class NoiseDocument(_Document):
    """Where noise from run to run was read off."""

    source: Literal["seeds", "residuals"]
    residual: Residual
    runs: Positive


class EnsembleDocument(_Document):
    """Draws, without the arrays."""

    schema_: Annotated[int, Field(alias="schema", ge=ENSEMBLE_SCHEMA, le=ENSEMBLE_SCHEMA)]
    fit: FitDocument
    parameters: Names
    draws: Positive
    method: Text
    seed: Annotated[int, Field(ge=0)]
    df_resid: Positive
    chains: Positive
    tails: TailsDocument
    noise: NoiseDocument
    replicates: bool
    notes: list[NoteDocument]


def parsed(text: str | bytes, kind: type[Document], what: str, schema: int) -> Document:
    """A document that holds what one of its kind holds.

    Args:
        text: JSON.
        kind: which document.
        what: it is called in messages.
        schema: the newest that is known.

    Raises:
        DocumentError: it holds something else, or is of another schema.
    """
    try:
        data = pydantic_core.from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError) as error:
        raise _no_document(what, f"no JSON: {error}", text) from error
    found = data.get("schema") if isinstance(data, dict) else None
    if found is None:
        raise _no_document(what, "it says no schema", data)
    if isinstance(found, int) and not isinstance(found, bool) and found != schema:
        newer = found > schema
        raise DocumentError(
            f"these {what} are of schema {shown(found)}, "
            + (f"newer than {schema}" if newer else f"and this version reads {schema}"),
            field="schema",
            value=found,
            remedy="Update scalefit" if newer else "Make them again",
        )
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _of_pydantic(first) from None


def _no_document(what: str, why: str, value: Any) -> DocumentError:
    return DocumentError(
        f"this is no document of {what} by scalefit ({why})",
        field="",
        value=value,
        remedy="Pass what scalefit wrote, whole",
    )


def _of_pydantic(error: Mapping[str, Any]) -> DocumentError:
    """What pydantic found, as a sentence with the field and its value."""
    place, value = error["loc"], error["input"]
    if error["type"] == "missing":
        return refused(place, None, "there", missing=True)
    if error["type"] == "extra_forbidden":
        return refused(place, value, "left out: there is no such field")
    said = re.sub(r" or an instance of \w+$", "", error["msg"])
    return refused(place, value, said.removeprefix("Input should be "))


def refused(
    place: Sequence[str | int], value: Any, should: str, *, missing: bool = False
) -> DocumentError:
    """An error that names a field.

    Args:
        place: keys and indices that lead to it.
        value: what is there.
        should: what it should be.
        missing: whether nothing is there.
    """
    field = _spelled(place)
    return DocumentError(
        f"{field} is missing" if missing else f"{field}={shown(value)} should be {should}",
        field=field,
        value=value,
        remedy=REMEDY,
    )


def _spelled(place: Sequence[str | int]) -> str:
    """Keys and indices as one would type them."""
    text = ""
    for key in place:
        if isinstance(key, str) and key.isidentifier():
            text += f".{key}" if text else key
        else:
            text += f"[{key!r}]"
    return text


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
    curved = objective.robust in ("huber", "asymmetric")
    for name, wanted in (("delta", curved), ("asymmetry", objective.robust == "asymmetric")):
        value = getattr(objective, name)
        if (value is not None) != wanted:
            should = "a number" if wanted else "null"
            yield ("objective", name), value, f"{should} where robust is {objective.robust}"


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


def _of_proof(proof: CertificateDocument | None, law: Law) -> Iterator[Conflict]:
    if proof is None:
        return
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
