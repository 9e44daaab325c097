"""The JSON documents of the commands: every key with its type, as ``scalefit schema`` prints it.

pydantic takes a tenth of a second to import: this module is imported where a schema is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from scalefit.frozen import Frozen
from scalefit.results.schema import FitDocument, NoteDocument, Number

__all__ = ["DOCUMENTS"]

Cell = Number | bool | str | None
Share = Annotated[float, Field(gt=0, lt=1)]
Words = Annotated[str, Field(description="what matters most, in a sentence or two")]
Notes = Annotated[list[NoteDocument], Field(description="what to know before it is trusted")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Row(BaseModel):
    """A row of a table: the keys named here, and a key for each further column."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Cell]


class IntervalRow(_Row):
    """A parameter with its interval."""

    value: Number
    low: Number
    high: Number


class IntervalsPart(_Part):
    """Intervals of the parameters of a fit."""

    level: Share
    method: str
    replicates: int
    failed: int
    parameters: dict[str, IntervalRow]
    notes: Notes


class OptimumRow(_Row):
    """An optimum: columns of the law, ``D/N``, and of draws ``N_low``, ``N_high`` and the like."""

    loss: Number


class AllocationPart(_Part):
    """Optima, a row for each budget."""

    law: str
    cost: str
    unit: str
    answer: Words
    budgets: list[OptimumRow]
    notes: Notes


class AnyRow(_Row):
    """A row whose columns depend on the law or on what was asked."""


class RowsPart(_Part):
    """Rows with their answer."""

    answer: Words
    budgets: list[AnyRow]
    notes: Notes


class NearOptimalPart(RowsPart):
    """Sizes that are nearly as good as the best."""

    criterion: str


class PowerLawPart(_Part):
    """``exp(intercept) C^exponent``, with the interval of the exponent."""

    exponent: Number
    low: Number
    high: Number
    intercept: Number


class _FitLike(_Part):
    answer: Words
    fit: FitDocument
    intervals: IntervalsPart | None = None
    allocation: AllocationPart | None = None


class FitOutput(_FitLike):
    """What ``scalefit fit --json`` prints."""

    schema_: Literal["scalefit/fit/1"] = Field(alias="schema")


class DemoOutput(_FitLike):
    """What ``scalefit demo --json`` prints."""

    schema_: Literal["scalefit/demo/1"] = Field(alias="schema")


class BootstrapOutput(_FitLike):
    """What ``scalefit bootstrap --json`` prints."""

    schema_: Literal["scalefit/bootstrap/1"] = Field(alias="schema")


class AllocateOutput(_Part):
    """What ``scalefit allocate --json`` prints."""

    schema_: Literal["scalefit/allocate/1"] = Field(alias="schema")
    allocation: AllocationPart
    near_optimal: NearOptimalPart | None = None


class SweepRow(_Row):
    """A budget of IsoFLOP sweeps."""

    budget: Number
    N: Number
    D: Number
    loss: Number
    status: str
    used: bool


class IsoFlopOutput(_Part):
    """What ``scalefit isoflop --json`` prints."""

    schema_: Literal["scalefit/isoflop/1"] = Field(alias="schema")
    answer: Words
    cost: str
    method: str
    level: Share
    n_law: PowerLawPart
    d_law: PowerLawPart
    budgets: list[SweepRow]
    allocation: RowsPart | None = None
    notes: Notes


class BiasRow(_Row):
    """A quantity by the surface and by Approach 2; ``error`` is relative."""

    quantity: str
    surface: Number
    approach2: Number
    error: Number


class BiasOutput(_Part):
    """What ``scalefit bias --json`` prints. ``deadweight`` is a share of the budget."""

    schema_: Literal["scalefit/bias/1"] = Field(alias="schema")
    answer: Words
    flops: Number
    law: str
    level: Share
    optimum: list[BiasRow]
    deadweight: Number
    deadweight_flops: Number
    usd: Number
    variants: list[AnyRow]
    notes: Notes


class ComparedRow(_Row):
    """A law; ``error`` is the root mean square error of held-out runs."""

    law: str
    free: int
    error: Number
    verdict: str


class CompareOutput(_Part):
    """What ``scalefit compare --json`` prints."""

    schema_: Literal["scalefit/compare/1"] = Field(alias="schema")
    answer: Words
    best: str
    level: Share
    laws: list[ComparedRow]
    tests: list[AnyRow]
    notes: Notes


class HeldOutRow(_Row):
    """A held-out run; ``error`` is in the unit of the document."""

    observed: Number
    predicted: Number
    error: Number


class HoldOutOutput(_Part):
    """What ``scalefit holdout --json`` prints."""

    schema_: Literal["scalefit/holdout/1"] = Field(alias="schema")
    answer: Words
    scheme: str
    by: str
    rmse: Number
    unit: str
    level: Share
    folds: list[AnyRow]
    runs: list[HeldOutRow]
    coverage: list[AnyRow]
    notes: Notes


class ExpectedRow(_Row):
    """A parameter, with the standard error that a fit is expected to have."""

    parameter: str
    value: Number
    standard_error: Number


class CheckOutput(_Part):
    """What ``scalefit check --json`` prints."""

    schema_: Literal["scalefit/check/1"] = Field(alias="schema")
    answer: Words
    law: str
    identifies: bool
    noise: Number
    level: Share
    parameters: list[ExpectedRow]
    ranges: list[AnyRow]
    notes: Notes


class ChosenRow(_Row):
    """A run to make; ``se`` is the standard error of the target with it and those above it."""

    cost: Number
    spent: Number
    se: Number


class NextRunsOutput(_Part):
    """What ``scalefit next-runs --json`` prints."""

    schema_: Literal["scalefit/next-runs/1"] = Field(alias="schema")
    answer: Words
    target: str
    budget: Number
    spent: Number
    unit: str
    shrinkage: Number
    level: Share
    runs: list[ChosenRow]
    notes: Notes


class MeaningPart(_Part):
    """A column with its meaning."""

    name: str
    meaning: str


class ParameterPart(MeaningPart):
    """A parameter with its kind and meaning."""

    kind: str


class LawPart(_Part):
    """A law."""

    name: str
    family: str
    purpose: str
    formula: str
    response: str
    columns: list[MeaningPart]
    parameters: list[ParameterPart]
    source: str
    also_known_as: list[str]


class LawsOutput(_Part):
    """What ``scalefit laws --json`` prints: all laws, those found, or one."""

    schema_: Literal["scalefit/laws/1"] = Field(alias="schema")
    laws: list[LawPart]


class DatasetPart(_Part):
    """A public table."""

    name: str
    what: str
    rows: int
    unit: str
    licence: str
    citation: str
    url: str
    columns: dict[str, str]
    traps: list[str]
    download: bool


class DatasetsOutput(_Part):
    """What ``scalefit datasets --json`` prints: all tables, or one."""

    schema_: Literal["scalefit/datasets/1"] = Field(alias="schema")
    datasets: list[DatasetPart]


class HeaderPart(_Part):
    """A quantity, the header it had, and what its numbers were multiplied by."""

    name: str
    header: str
    scale: Number


class LeftOutPart(_Part):
    """A row that was left out, and the rule that did so."""

    row: int | float | str
    rule: str


class ConvertOutput(_Part):
    """What ``scalefit convert --json`` prints; ``path`` is null where nothing was written."""

    schema_: Literal["scalefit/convert/1"] = Field(alias="schema")
    path: str | None
    rows: int
    columns: list[HeaderPart]
    loss_unit: str
    dropped: list[LeftOutPart]
    notes: Notes


class ReportOutput(_Part):
    """What ``scalefit report --json`` prints."""

    schema_: Literal["scalefit/report/1"] = Field(alias="schema")
    path: str
    title: str
    answer: Words


class ErrorPart(_Part):
    """An error; what it is not about is null."""

    type: str
    message: str
    argument: str | None
    value: Any
    remedy: str | None
    column: str | None
    rows: list[Any]


class ErrorOutput(_Part):
    """What any command prints under ``--json`` where it fails."""

    schema_: Literal["scalefit/error/1"] = Field(alias="schema")
    error: ErrorPart
    exit_code: int


DOCUMENTS: Mapping[str, type[BaseModel]] = Frozen(
    {
        "fit": FitOutput,
        "allocate": AllocateOutput,
        "next-runs": NextRunsOutput,
        "isoflop": IsoFlopOutput,
        "report": ReportOutput,
        "check": CheckOutput,
        "bootstrap": BootstrapOutput,
        "compare": CompareOutput,
        "holdout": HoldOutOutput,
        "bias": BiasOutput,
        "laws": LawsOutput,
        "datasets": DatasetsOutput,
        "convert": ConvertOutput,
        "demo": DemoOutput,
        "error": ErrorOutput,
    }
)
