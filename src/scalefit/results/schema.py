"""What a JSON document of scalefit holds: every field with its type and its range.

Anybody can edit a document, so every field is checked, and an error names the field, as
``diagnostics.minima[0].value``. pydantic takes a tenth of a second to import: this module is
imported only where a document is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import pydantic
import pydantic_core
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from scalefit.arguments import shown
from scalefit.errors import DocumentError
from scalefit.objective import Residual, Robust
from scalefit.results.status import Status
from scalefit.results.verdict import NO_VERDICT, Level

__all__ = ["EnsembleDocument", "FitDocument", "parsed", "refused"]

# The schema that is written, and the oldest that is read: fits of schema 2 have no verdict.
FIT_SCHEMA, OLDEST_FIT = 3, 2
ENSEMBLE_SCHEMA, OLDEST_ENSEMBLE = 5, 4

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
    """Details of a note, with infinities and NaN read at any depth."""
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


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _status(value: str) -> str:
    if value not in Status.__members__:
        raise _wrong(f"one of {', '.join(Status.__members__)}")
    return value


def _distinct(value: list[Any]) -> list[Any]:
    if len(set(value)) < len(value):
        raise _wrong("different from each other")
    return value


Number = Annotated[
    float,
    BeforeValidator(_special),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                {
                    "type": "object",
                    "properties": {"float": {"enum": list(SPECIAL)}},
                    "required": ["float"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
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
    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True)


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
    asymmetry: Annotated[Finite, Field(gt=1)] | None
    # Left out where no errors are known, as in documents before there were any.
    sigma: Annotated[Finite, Field(gt=0)] | Text | None = None


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
    duality_gap: Known
    cells_by_squares: Count


class CertificateDocument(_Document):
    """Proof of the optimum, or why there is none."""

    closed: bool
    gap: Share
    boxes: Count
    region: dict[str, Ends]
    reason: str
    rounding: Annotated[Share, Field(le=1)]
    lower: dict[str, Finite]


class GroupingDocument(_Document):
    """Columns that a coefficient differs by, and their levels."""

    columns: Annotated[Names, Field(min_length=1)]
    levels: Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)]


class DroppedDocument(_Document):
    """A row that was left out."""

    row: Label
    rule: str


class PatternDocument(_Document):
    """Residuals along a column."""

    column: Text
    lag1: Finite
    lag1_z: Number
    runs_z: Number
    p_value: Annotated[Share, Field(le=1)]
    share: Annotated[Share, Field(le=1)]


class InfluenceDocument(_Document):
    """The run that decides most."""

    row: str
    leverage: Number
    parameter: str
    shift: Number


class VerdictDocument(_Document):
    """Whether the law describes the runs."""

    level: Level
    words: Text
    spread: Number
    explained: Number
    patterns: Annotated[list[PatternDocument], BeforeValidator(_listed)]
    outliers: Annotated[list[str], BeforeValidator(_listed)]
    influence: InfluenceDocument


class FitDocument(_Document):
    """A fit."""

    schema_: Annotated[int, Field(alias="schema", ge=OLDEST_FIT, le=FIT_SCHEMA)]
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
    certificate: CertificateDocument
    groups: dict[str, GroupingDocument]
    verdict: VerdictDocument

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, data: Any) -> Any:
        """Fits of schema 2 have no verdict."""
        earlier = isinstance(data, dict) and data.get("schema") == OLDEST_FIT
        return {"verdict": asdict(NO_VERDICT), **data} if earlier else data


class TailsDocument(_Document):
    """How far out among the draws the ends of an interval lie."""

    df: Annotated[Known, Field(gt=0)]
    inflation: Annotated[Finite, Field(gt=0)]


class NoiseDocument(_Document):
    """Where noise from run to run was read off."""

    source: Literal["seeds", "residuals", "sigma"]
    residual: Residual
    runs: Positive
    # Until schema 4 the size of the noise was taken as known.
    df: Annotated[Known, Field(gt=0)] = math.inf
    factors: bool = False


class EnsembleDocument(_Document):
    """Draws, without the arrays."""

    schema_: Annotated[int, Field(alias="schema", ge=OLDEST_ENSEMBLE, le=ENSEMBLE_SCHEMA)]
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


def parsed(
    text: str | bytes, kind: type[Document], what: str, schema: int, oldest: int | None = None
) -> Document:
    """A checked document.

    Args:
        text: JSON.
        kind: which document.
        what: it is called in messages.
        schema: the newest that is read.
        oldest: the oldest; by default the same.

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
    known = range(schema if oldest is None else oldest, schema + 1)
    if isinstance(found, int) and not isinstance(found, bool) and found not in known:
        newer = found > schema
        reads = " and ".join(map(str, known))
        raise DocumentError(
            f"this document of {what} is of schema {shown(found)}, "
            + (f"newer than {schema}" if newer else f"and this version reads {reads}"),
            field="schema",
            value=found,
            remedy="Update scalefit" if newer else "Make the result again",
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
