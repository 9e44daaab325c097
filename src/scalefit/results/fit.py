"""What a fit says: parameters, how they were found, and how far they can be trusted.

A :class:`Fit` is frozen and holds no data. It knows the ranges of the table it came from, so that
whatever uses it can say when it extrapolates, and it round-trips through JSON without pickling
code: a built-in law is found by name, a user's own is passed in again.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.arguments import broadcast_shape, instance, mapping, numbers, refused, shown
from scalefit.data.grouping import Grouping, asked, level_name
from scalefit.data.table import ALIASES, DroppedRow, LossTable, as_table
from scalefit.errors import ArgumentError, DataError, LawError, listed
from scalefit.frozen import Frozen
from scalefit.laws import BUILTIN, Law, find
from scalefit.notes import Note, NoteWarning
from scalefit.objective import Objective, measure, require_positive, residuals
from scalefit.reporting import report
from scalefit.results.domain import extrapolation
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.status import Status

if TYPE_CHECKING:
    from scalefit.results.schema import FitDocument

__all__ = [
    "Certificate",
    "Diagnostics",
    "Fit",
    "Minimum",
    "checked_fit",
    "encoded",
    "refuse_unknown",
]

# What a table made of a DataFrame takes beside headers.
TABLE_OPTIONS = ("keep", "missing")

# Notes on a fit that hold for every answer it gives, and are not only hinted at there.
CARRIED = ("units", "loss_unit", "one_ratio")

Search = Literal["grid", "scattered", "none"]


@dataclass(frozen=True)
class Minimum:
    """A distinct local minimum that starts ended in.

    Attributes:
        value: objective there.
        starts: how many starts ended there.
        params: every parameter by name.
    """

    value: float
    starts: int
    params: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", Frozen(dict(self.params)))


@dataclass(frozen=True)
class Diagnostics:
    """Evidence that the optimum is one, and the global one.

    Attributes:
        search: ``grid`` where cells are at every combination of equally spaced coordinates,
            ``scattered`` where they are low-discrepancy points of blocks of coordinates, ``none``
            where the values are published ones.
        cells: cells at which the objective itself was minimised over the linear coefficients, by
            one least-squares problem where it is a sum of squares in them, by several reweighted
            ones otherwise.
        basins: local minima seen among those; scattered cells show none.
        starts: cells polished to the end on the true objective.
        minima: distinct minima reached, best first.
        gradient_cosine: largest cosine between the influence of the rows and a Jacobian column at
            the optimum; 0 at a stationary point, about 1e-15 when converged to rounding.
        newton_decrement: decrease a further Newton step promises, relative to the objective.
        iterations: of the start that reached the optimum.
        at_bound: parameters held by a bound.
        condition: condition number of the curvature in all free parameters, each scaled to unit
            curvature; those that a bound holds included, terms that are zero left out.
        condition_projected: the same in the nonlinear parameters after the linear ones are
            projected out.
        duality_gap: of a sum of absolute residuals, how far it lies above the sum of multiplier
            times residual, relative to the objective: the multipliers, between -1 and 1, annihilate
            the Jacobian, so that no step can lower the objective by more than this share while the
            law is as good as linear. Zero for other objectives.
        cells_by_squares: cells ranked by squared error, where that is not the objective itself.
    """

    search: Search
    cells: int
    basins: int
    starts: int
    minima: tuple[Minimum, ...]
    gradient_cosine: float
    newton_decrement: float
    iterations: int
    at_bound: tuple[str, ...]
    condition: float
    condition_projected: float
    duality_gap: float = 0.0
    cells_by_squares: int = 0

    @property
    def agreeing(self) -> int:
        """Starts that ended in the best minimum."""
        return self.minima[0].starts if self.minima else 0

    @property
    def gap(self) -> float | None:
        """How much worse the second minimum is, relative to the best; None if there is one."""
        if len(self.minima) < 2:
            return None
        best, second = self.minima[0].value, self.minima[1].value
        return (second - best) / best if best > 0 else math.inf


@dataclass(frozen=True)
class Certificate:
    """What is proved of the optimum of a fit. True when it is proved global to the tolerance.

    Attributes:
        closed: whether nothing in the box is lower than the value by more than the tolerance.
        gap: share of the value by which something in the box could still be lower, never less
            than ``rounding``; infinite where no proof was attempted.
        boxes: boxes that were bounded.
        region: where something lower could still be: range of each nonlinear parameter, in its own
            unit; empty when closed or not attempted.
        reason: why it is not closed, a sentence; empty when it is.
        rounding: share of the value that the rounding of float64 leaves open, one where the
            residuals are rounding themselves. No proof reaches further.
        lower: nonlinear parameters of a point with a lower objective, in their own units, where
            the proof came upon one.
    """

    closed: bool
    gap: float
    boxes: int
    region: Mapping[str, tuple[float, float]]
    reason: str
    rounding: float = 0.0
    lower: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> str:
        """What is known of the optimum, in words."""
        if self.closed and self.rounding >= self.gap:
            return (
                f"global to rounding, which is {self.rounding:.0e} of the objective, "
                f"by {self.boxes} boxes"
            )
        if self.closed:
            return f"global to {self.gap:.0e} of the objective, by {self.boxes} boxes"
        if self.boxes == 0:
            return self.reason
        ranges = ", ".join(
            f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in self.region.items()
        )
        least = (
            f"Nothing is more than {100 * self.gap:.2g} % lower"
            if self.gap < 1
            else "How much lower the objective could be is not known"
        )
        return f"{self.reason}. {least}; what could be lies within {ranges or 'the bounds'}"

    def __bool__(self) -> bool:
        return self.closed


# What is known of the optimum behind published values.
NO_DIAGNOSTICS = Diagnostics("none", 0, 0, 0, (), math.nan, math.nan, 0, (), math.nan, math.nan)

NO_CERTIFICATE = Certificate(False, math.inf, 0, {}, "not attempted")


@dataclass(frozen=True)
class Fit:
    """A law with fitted parameters, and the evidence for them.

    Attributes:
        law: the law.
        params: every parameter by name, in the units of the table's columns (raw N and D), fixed
            and tied ones included; a grouped one once for each level, as ``A[fp8]``.
        objective: what was minimised; for published values, what ``residuals`` are.
        objective_value: its value at the optimum: a sum, never a mean; NaN of published values.
        status: outcome.
        notes: soft problems.
        diagnostics: evidence that the optimum is global and exact.
        certificate: proof that it is global, or why there is none.
        nobs: number of runs in the sum.
        residual_rms: root mean square of the residuals, in units of the residual.
        domain: smallest and largest value of each column of the law, and of ``D/N`` and ``6ND``
            where the law has N and D.
        fixed: parameters that were fixed, and where.
        tied: groups of parameters that were tied.
        bounds: bounds that were given, by parameter.
        groups: for each grouped parameter, the columns it differs by and their levels.
        dropped: rows left out of the table, each with its rule.
        provenance: versions, digest of the data, and headers of the columns.
    """

    law: Law
    params: Mapping[str, float]
    objective: Objective
    objective_value: float
    status: Status
    notes: tuple[Note, ...]
    diagnostics: Diagnostics
    nobs: int
    residual_rms: float
    domain: Mapping[str, tuple[float, float]]
    fixed: Mapping[str, float] = field(default_factory=dict)
    tied: tuple[tuple[str, ...], ...] = ()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    groups: Mapping[str, Grouping] = field(default_factory=dict)
    certificate: Certificate = field(default_factory=lambda: NO_CERTIFICATE)
    dropped: tuple[DroppedRow, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("params", "domain", "fixed", "bounds", "groups", "provenance"):
            object.__setattr__(self, name, Frozen(dict(getattr(self, name))))

    @property
    def n_free(self) -> int:
        """Number of free parameters."""
        tied = sum(len(group) - 1 for group in self.tied)
        return len(self.params) - len(self.fixed) - tied

    @property
    def point(self) -> Fit:
        """Itself: the point estimate, as of an ensemble."""
        return self

    @property
    def drawn(self) -> Draws:
        """No draws: those are of an ensemble."""
        return Draws()

    @property
    def draw_notes(self) -> tuple[Note, ...]:
        """No notes on draws."""
        return ()

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom: runs less free parameters."""
        return self.nobs - self.n_free

    def predict(self, runs: LossTable | pd.DataFrame | None = None, **columns: Any) -> np.ndarray:
        """Predicted loss.

        Args:
            runs: a table; or leave it out and give the law's columns as keywords.
            **columns: the law's columns, raw units, and the columns that coefficients are grouped
                by, broadcastable, as ``N=7e9, D=2e12, format="fp8"``.

        Returns:
            Loss in the unit of the fitted table, float64, of the broadcast shape; NaN in rows of
            weight zero whose level was not fitted.

        Raises:
            ArgumentError: a column is missing, is none of numbers, or does not fit the others.
            DataError: a column of a table is missing or outside what the law describes, a level
                was not fitted, or both forms are used.

        Warns:
            NoteWarning: a column, D/N or 6ND lies more than a decade outside the runs.
                :meth:`Ensemble.predict` says how far any of them lies.

        Example:
            >>> import scalefit as sf
            >>> fit = sf.fit(sf.simulate(sf.simulation.isoflop_design()))
            >>> fit.predict(N=1e9, D=2e11)
            array(2.32...)
        """
        used, codes = self.columns_of(runs, columns)
        for note in self.extrapolation(used):
            if note.severity == "warning":
                warnings.warn(NoteWarning(note), stacklevel=2)
        return self.value_of(used, codes)

    def evaluate(self, runs: LossTable | pd.DataFrame | None = None, **columns: Any) -> np.ndarray:
        """The same as :meth:`predict`, silently: for what says by itself where the runs are."""
        return self.value_of(*self.columns_of(runs, columns))

    def estimate_loss(
        self,
        runs: LossTable | pd.DataFrame | None = None,
        *,
        kind: Literal["mean", "run"] = "mean",
        **columns: Any,
    ) -> Estimate:
        """Predicted loss without draws, as an ensemble gives it with draws."""
        return Estimate(self.evaluate(runs, **columns), np.empty(0))

    def value_of(
        self, columns: Mapping[str, Any], codes: Mapping[Grouping, np.ndarray]
    ) -> np.ndarray:
        """The law at what :meth:`columns_of` found."""
        return self.law.evaluate(columns, by_row(self.law, self.params, self.groups, codes))

    def extrapolation(self, columns: Mapping[str, Any]) -> tuple[Note, ...]:
        """A note where some of the law's columns, by name, leave the ranges of the runs.

        Raises:
            ArgumentError: as for :meth:`predict`.
        """
        remedy = "Pass columns by name, as columns={'N': 7e9, 'D': 2e12}"
        given = mapping(columns, "columns", remedy=remedy)
        return extrapolation(self.domain, self._numbers(given, list(given)))

    @property
    def carried(self) -> tuple[Note, ...]:
        """What answers of this fit carry of it.

        Notes that hold for every answer, in full, and one that sums up its other warnings.
        """
        whole = [note for note in self.notes if note.code in CARRIED]
        codes = [
            note.code
            for note in self.notes
            if note.severity == "warning" and note.code not in CARRIED
        ]
        codes += [] if self.status.usable else [self.status.name.lower()]
        if not codes:
            return tuple(whole)
        note = Note.of(
            "fit_warnings",
            f"the fit behind this carries warnings ({', '.join(codes)}): see its summary",
            {"codes": codes},
        )
        return (*whole, note)

    def at(self, **levels: Any) -> Fit:
        """The fit as it stands for one level of each grouping, with that level's coefficients.

        The evidence and the notes stay those of the whole fit.

        Args:
            **levels: value of each column that coefficients are grouped by, as ``format="fp8"``.

        Raises:
            DataError: a column is missing or unknown, or the level was not fitted.
        """
        level_names = self.level_names(**levels)

        def renamed(params: Mapping[str, float]) -> dict[str, float]:
            return {name: params[level_names.get(name, name)] for name in self.law.names}

        kept = {spelt: name for name, spelt in level_names.items()}
        diagnostics = replace(
            self.diagnostics,
            minima=tuple(
                replace(item, params=renamed(item.params)) for item in self.diagnostics.minima
            ),
            at_bound=tuple(
                kept.get(name, name)
                for name in self.diagnostics.at_bound
                if name in kept or name in self.law.names
            ),
        )
        return replace(self, params=renamed(self.params), diagnostics=diagnostics, groups={})

    def level_names(self, **levels: Any) -> dict[str, str]:
        """What the grouped coefficients of one level of each grouping are called.

        Args:
            **levels: as for :meth:`at`.

        Raises:
            DataError: as for :meth:`at`.
        """
        known = {column for grouping in self.groups.values() for column in grouping.columns}
        for name in levels:
            if name not in known:
                raise DataError(
                    f"no coefficient of this fit differs by {name!r}",
                    column=name,
                    remedy=f"Columns it is grouped by: {', '.join(sorted(known)) or 'none'}",
                )
        _labels(levels)
        return {
            name: level_name(name, grouping.levels[_one(grouping.codes_of(levels), grouping)])
            for name, grouping in self.groups.items()
        }

    def one_surface(self) -> Fit:
        """The fit itself, if it is of one surface.

        Raises:
            DataError: coefficients differ by a column, so that there is one for each level.
        """
        for name, grouping in self.groups.items():
            raise DataError(
                f"{self.law.name!r} was fitted with one {name} for each "
                f"{' and '.join(grouping.columns)}",
                column=grouping.columns[0],
                remedy=f"Choose one surface first: fit.at({asked(self.groups.values())}). "
                f"Levels: {listed(grouping.levels)}",
            )
        return self

    def residuals(self, runs: LossTable | pd.DataFrame, **columns: str) -> np.ndarray:
        """Residual of each row, as the objective defines it (observed minus predicted).

        Args:
            runs: a table.
            **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

        Returns:
            Residuals, shape (rows,), dimensionless for log and relative residuals.

        Raises:
            DataError: the table lacks a column, or has losses the residual is not defined for.
        """
        refuse_unknown(self.residuals, self.law, columns)
        table = as_table(runs, **columns)
        observed = table.column(self.law.response)
        require_positive(self.objective, observed, table.rows)
        how = measure(self.objective)
        return np.asarray(residuals(how, observed, self.evaluate(table)))

    def columns_of(
        self, runs: LossTable | pd.DataFrame | None, given: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], dict[Grouping, np.ndarray]]:
        """The law's columns, and the level of each row in each grouping: what predictions need.

        Args:
            runs: as for :meth:`predict`.
            given: its keywords.

        Raises:
            DataError: as for :meth:`predict`.
        """
        groupings = tuple(dict.fromkeys(self.groups.values()))
        levels = [name for item in self.groups.values() for name in item.columns]
        if runs is None:
            used = self._numbers(given, levels)
            broadcast_shape(_labels(given) | used, remedy="Pass one number, or as many of each")
            return used, {item: item.codes_of(given) for item in groupings}
        headers = {name: value for name, value in given.items() if name not in levels}
        refuse_unknown(self.predict, self.law, headers)
        table = as_table(runs, **given)
        used = table.columns_of(self.law)
        return used, {item: item.codes(table) for item in groupings}

    def _numbers(self, given: Mapping[str, Any], others: Sequence[str]) -> dict[str, np.ndarray]:
        """The law's columns as numbers, out of what is given by name.

        Args:
            given: the columns.
            others: names that may be among them.

        Raises:
            ArgumentError: a column is missing, unknown or not of numbers.
            DataError: the law does not describe one.
        """
        # Of published values no ranges are known.
        largest = {name: self.domain.get(name, (1.0, 1.0))[1] for name in self.law.columns}
        example = {name: item if math.isfinite(item) else 1e9 for name, item in largest.items()}
        known = list(dict.fromkeys([*example, *others]))
        wrong = [name for name in given if name not in known]
        wrong += [name for name in example if name not in given]
        if wrong:
            asks = [f"{name}={value:g}" for name, value in example.items()]
            asks += [asked(self.groups.values())] if self.groups else []
            raise ArgumentError(
                f"{self.law.name!r} predicts from the columns {', '.join(known)}, "
                f"not from {', '.join(map(str, given)) or 'nothing'}",
                argument=str(wrong[0]),
                value=given.get(wrong[0]),
                remedy="Pass a table, or each column as a keyword: "
                f"predict({', '.join(asks)}){self._headers()}",
            )
        used = {}
        for name, value in example.items():
            remedy = f"Pass raw numbers, as {name}={value:g}"
            used[name] = numbers(given[name], name, infinite=True, remedy=remedy)
        self.law.check(used)
        return used

    def _headers(self) -> str:
        """Which of the law's columns the table has under another name."""
        headers = {name: self.provenance.get(f"column {name}", name) for name in self.law.columns}
        other = [f"{name} is its column {head!r}" for name, head in headers.items() if head != name]
        return f". In the table {' and '.join(other)}" if other else ""

    def to_frame(self) -> pd.DataFrame:
        """Parameters as a table: value, and whether fixed, tied or at a bound."""
        state = dict.fromkeys(self.params, "")
        state.update(dict.fromkeys(self.diagnostics.at_bound, "at bound"))
        state.update(dict.fromkeys(self.fixed, "fixed"))
        for group in self.tied:
            state.update(dict.fromkeys(group[1:], f"= {group[0]}"))
        return pd.DataFrame({"value": dict(self.params), "state": state})

    def summary(self) -> str:
        """The full report as text."""
        return report.fit_text(self)

    def __repr__(self) -> str:
        params = ", ".join(
            f"{name}[{len(self.groups[name].levels)} levels]"
            if name in self.groups
            else f"{name}={self.params[name]:.5g}"
            for name in self.law.names
        )
        runs = "" if self.status is Status.PUBLISHED else f"{self.nobs} runs, "
        return f"<Fit {self.law.name}: {params}; {runs}{self.status.name.lower()}>"

    def _repr_html_(self) -> str:
        return report.fit_html(self)

    def to_json(self) -> str:
        """The fit as a JSON document; the law by name, never its code."""
        document = {
            # Of documents.FIT_SCHEMA: writing one needs no reader.
            "schema": 2,
            "law": {
                "name": self.law.name,
                "columns": list(self.law.columns),
                "params": list(self.law.names),
                "source": self.law.source,
            },
            "objective": asdict(self.objective),
            "status": self.status.name,
            "notes": [note.to_document() for note in self.notes],
            "diagnostics": {
                **{
                    name: getattr(self.diagnostics, name)
                    for name in Diagnostics.__dataclass_fields__
                    if name != "minima"
                },
                "minima": [
                    {"value": item.value, "starts": item.starts, "params": dict(item.params)}
                    for item in self.diagnostics.minima
                ],
            },
            "dropped": [{"row": _plain(item.row), "rule": item.rule} for item in self.dropped],
            "tied": [list(group) for group in self.tied],
            **{name: getattr(self, name) for name in ("objective_value", "nobs", "residual_rms")},
            **{
                name: dict(getattr(self, name))
                for name in ("params", "domain", "fixed", "bounds", "provenance")
            },
            "certificate": asdict(self.certificate),
            "groups": {name: asdict(item) for name, item in self.groups.items()},
        }
        return json.dumps(encoded(document), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, law: Law | None = None) -> Fit:
        """The fit that a JSON document describes.

        Args:
            text: what :meth:`to_json` wrote.
            law: the law, where it is not a built-in one.

        Raises:
            ArgumentError: the text is none.
            DocumentError: it is not such a document, is of a newer schema, or a field holds what
                no fit holds; it names the field.
            LawError: the law is unknown, or is not the one that was fitted.
        """
        # Imported here: it takes as long as a fit.
        from scalefit.results import schema as documents

        text = arguments.text(text, "text", remedy="Pass the text that Fit.to_json returned")
        found = documents.parsed(text, documents.FitDocument, "a fit", documents.FIT_SCHEMA)
        return cls.from_document(found, law)

    @classmethod
    def from_document(
        cls, document: FitDocument, law: Law | None = None, within: tuple[str, ...] = ()
    ) -> Fit:
        """The fit that a document of checked fields describes.

        Args:
            document: the fields.
            law: the law, where it is not a built-in one.
            within: fields of a larger document that it is in.

        Raises:
            DocumentError: fields contradict each other, or the law.
            LawError: the law is unknown, or is not the one that was fitted.
        """
        from scalefit.results import schema as documents

        law = _builtin(document.law.name) if law is None else find(law)
        described = document.law
        named = law.name, [*law.columns], [*law.names]
        if named != (described.name, described.columns, described.params):
            columns, params = (
                listed([shown(item) for item in names])
                for names in (described.columns, described.params)
            )
            raise LawError(
                f"law {law.name!r} has columns {law.columns} and parameters {law.names}, but the "
                f"fit was made with {shown(described.name)} of {columns} and {params}. Pass the "
                "law that was fitted"
            )
        documents.agree(document, law, within)
        diagnostics, proof = document.diagnostics.model_dump(), document.certificate
        minima = tuple(Minimum(**item) for item in diagnostics["minima"])
        return cls(
            law=law,
            params=document.params,
            objective=Objective(**document.objective.model_dump()),
            objective_value=document.objective_value,
            status=Status[document.status],
            notes=tuple(Note(**item.model_dump()) for item in document.notes),
            diagnostics=Diagnostics(
                **{**diagnostics, "minima": minima, "at_bound": tuple(diagnostics["at_bound"])}
            ),
            nobs=document.nobs,
            residual_rms=document.residual_rms,
            domain=_ends(document.domain),
            fixed=document.fixed,
            tied=tuple(map(tuple, document.tied)),
            bounds=_ends(document.bounds),
            groups={
                name: Grouping(tuple(item.columns), tuple(item.levels))
                for name, item in document.groups.items()
            },
            certificate=NO_CERTIFICATE
            if proof is None
            else Certificate(**{**proof.model_dump(), "region": _ends(proof.region)}),
            dropped=tuple(DroppedRow(item.row, item.rule) for item in document.dropped),
            provenance=document.provenance,
        )

    def with_notes(self, *notes: Note) -> Fit:
        """The same fit with further notes."""
        return replace(self, notes=(*self.notes, *notes))


def _labels(given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What is given by name as arrays of whatever it holds, each of its own shape.

    Raises:
        ArgumentError: something is of no shape.
    """
    found = {}
    for name, value in given.items():
        try:
            found[name] = np.asarray(value, dtype=object)
        except Exception as error:  # Whatever its own methods raise.
            remedy = f"Pass a value, or a list of them, as {name}='fp8'"
            raise refused(name, value, "a value of a column", remedy) from error
    return found


def checked_fit(fit: Any, argument: str = "fit") -> Fit:
    """The fit itself.

    Raises:
        ArgumentError: it is something else.
    """
    remedy = f"Pass a fit, as {argument}=scalefit.fit(runs)"
    if isinstance(getattr(fit, "fit", None), Fit):
        remedy = f"Pass the fit of these draws, as {argument}=draws.fit"
    return instance(fit, argument, Fit, wanted="a fit", remedy=remedy)


def refuse_unknown(function: Callable[..., Any], law: Law, columns: Mapping[str, str]) -> None:
    """A misspelt option would otherwise be taken for a column.

    Args:
        function: what takes the options and the columns, both by keyword.
        law: the law.
        columns: what is left of its keywords.

    Raises:
        ArgumentError: one is neither.
    """
    quantities = {*ALIASES, *law.columns, law.response}
    for name, value in columns.items():
        if name not in (*quantities, *TABLE_OPTIONS):
            options = [
                item.name
                for item in inspect.signature(function).parameters.values()
                if item.kind is not item.VAR_KEYWORD
            ]
            close = difflib.get_close_matches(name, [*options, *TABLE_OPTIONS, *quantities], n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise ArgumentError(
                f"{name}={shown(value)} is neither an option of {function.__name__} nor a column "
                f"of {law.name!r}",
                argument=name,
                value=value,
                remedy=f"{hint}Columns: {', '.join(sorted(quantities))}",
            )


def _ends(pairs: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {name: (pair[0], pair[1]) for name, pair in pairs.items()}


def by_row(
    law: Law,
    params: Mapping[str, float],
    groups: Mapping[str, Grouping],
    codes: Mapping[Grouping, np.ndarray],
) -> dict[str, Any]:
    """The law's parameters, a grouped one as the coefficient of each row.

    Args:
        law: the law.
        params: every parameter by name, grouped ones once for each level.
        groups: the division that each grouped parameter differs by.
        codes: level of each row in each division, of the rows' shape; NaN follows from -1.
    """
    found: dict[str, Any] = {}
    for name in law.names:
        if name in groups:
            values = np.array([params[level_name(name, level)] for level in groups[name].levels])
            level = codes[groups[name]]
            found[name] = np.where(level < 0, np.nan, values[level])
        else:
            found[name] = params[name]
    return found


def _one(codes: np.ndarray, grouping: Grouping) -> int:
    if codes.ndim:
        raise DataError(
            f"several values of {' and '.join(grouping.columns)} are given for one surface",
            column=grouping.columns[0],
            remedy="Ask for one level at a time",
        )
    return int(codes)


def _builtin(name: str) -> Law:
    if name not in BUILTIN:
        raise LawError(
            f"the fit was made with the law {shown(name)}, which is not built in. Pass it: "
            "Fit.from_json(text, law=...)"
        )
    return find(name)


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
