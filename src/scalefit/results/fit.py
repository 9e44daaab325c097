"""A fit: parameters, the evidence for them, and predictions.

A :class:`Fit` is frozen and holds no data. It knows the ranges of its table, so that every
answer can say when it extrapolates. It round-trips through JSON without code: a built-in
law is found by name, a user's own is passed in again.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.arguments import broadcast_shape, instance, mapping
from scalefit.data.dropped_rows import DroppedRow
from scalefit.data.grouping import Grouping, level_keywords, level_name
from scalefit.data.several_responses import RESPONSE, responses_of
from scalefit.data.table import LossTable
from scalefit.errors import DataError, listed
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.notes import Note, NoteWarning
from scalefit.objective import Objective, measure, require_positive, residuals
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description
from scalefit.results.certificate import NO_CERTIFICATE, Certificate
from scalefit.results.dependence import carried
from scalefit.results.diagnostics import Diagnostics
from scalefit.results.domain import extrapolation, unit_mismatch
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.fit_report import facts, headline
from scalefit.results.parameters import (
    Parameters,
    loss_unit,
    parameter_table,
    states_of,
    units_of,
)
from scalefit.results.prediction import (
    by_row,
    column_numbers,
    labels,
    refuse_positions,
    refuse_unknown,
    single,
)
from scalefit.results.remembered_columns import (
    LEVEL,
    by_header,
    refuse_unlabelled,
    spoken,
    table_again,
)
from scalefit.results.serialization import document_of, fields_of
from scalefit.results.status import Status
from scalefit.results.verdict import NO_VERDICT, Verdict

if TYPE_CHECKING:
    from scalefit.results.schema import FitDocument

__all__ = ["Fit", "checked_fit"]


@dataclass(frozen=True)
class Fit(Described):
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
        verdict: whether the law describes these runs, in words and in numbers.
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
    verdict: Verdict = NO_VERDICT

    def __post_init__(self) -> None:
        for name in ("domain", "fixed", "bounds", "groups", "provenance"):
            object.__setattr__(self, name, Frozen(getattr(self, name)))
        object.__setattr__(self, "params", Parameters(self.params, self._units()))

    def __getitem__(self, name: str) -> float:
        """A parameter by name: ``fit["alpha"]``."""
        return self.params[name]

    @property
    def n_free(self) -> int:
        """Number of free parameters."""
        tied = sum(len(group) - 1 for group in self.tied)
        return len(self.params) - len(self.fixed) - tied

    @property
    def point(self) -> Fit:
        """Itself: the point estimate."""
        return self

    @property
    def drawn(self) -> Draws:
        """No draws: only an ensemble has them."""
        return Draws()

    @property
    def draw_notes(self) -> tuple[Note, ...]:
        """No notes on draws."""
        return ()

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom: runs less free parameters."""
        return self.nobs - self.n_free

    @property
    def responses(self) -> tuple[str, ...]:
        """Headers of the responses that were fitted together; empty of one response."""
        found = responses_of(self.provenance)
        return () if found is None else found.headers

    def predict(
        self, runs: LossTable | pd.DataFrame | None = None, *misplaced: Any, **columns: Any
    ) -> np.ndarray:
        """Predicted loss.

        Args:
            runs: a table; or leave it out and give the law's columns as keywords.
            *misplaced: nothing: columns by position are refused.
            **columns: the law's columns, raw units, and the columns that coefficients are grouped
                by, broadcastable, as ``N=7e9, D=2e12, format="fp8"``.

        Returns:
            Loss in the unit of the fitted table, float64, of the broadcast shape; NaN in rows of
            weight zero whose level was not fitted. Where the fit is of several responses and a
            table does not say which by a column ``response``: of each row and each response, shape
            (rows, responses), in the order of ``responses``; of one with ``response="loss_code"``.

        Raises:
            ArgumentError: a column is missing, is none of numbers, or does not fit the others.
            DataError: a column of a table is missing or outside what the law describes, a level
                was not fitted, or both forms are used.

        Warns:
            NoteWarning: a column, D/N or 6ND lies more than a decade outside the runs, or N or D so
                far that it is in another unit.
                :meth:`Ensemble.predict` says how far any of them lies.

        Example:
            >>> import scalefit as sf
            >>> fit = sf.fit(sf.simulate(sf.simulation.isoflop_design()))
            >>> fit.predict(N=1e9, D=2e11)
            array(2.32...)
        """
        refuse_positions("predict", self.law, (runs, *misplaced))
        used, codes = self.columns_of(runs, columns)
        for note in (*unit_mismatch(self.domain, used), *self.extrapolation(used)):
            if note.severity == "warning":
                warnings.warn(NoteWarning(note), stacklevel=2)
        return self.value_of(used, codes)

    def evaluate(self, runs: LossTable | pd.DataFrame | None = None, **columns: Any) -> np.ndarray:
        """The same as :meth:`predict`, without warnings, for callers that report extrapolation."""
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
        """The law at the columns and levels that :meth:`columns_of` returned."""
        return self.law.evaluate(columns, by_row(self.law, self.params, self.groups, codes))

    def extrapolation(self, columns: Mapping[str, Any]) -> tuple[Note, ...]:
        """A note where some of the law's columns, by name, leave the ranges of the runs.

        Raises:
            ArgumentError: as for :meth:`predict`.
        """
        remedy = "Pass columns by name, as columns={'N': 7e9, 'D': 2e12}"
        given = mapping(columns, "columns", remedy=remedy)
        named = by_header(self.law, self.provenance, given)
        said = spoken(self.law, self.provenance)
        return extrapolation(self.domain, self._numbers(named, list(named)), said)

    @property
    def carried(self) -> tuple[Note, ...]:
        """Notes that answers repeat: some in full, and one that sums up the other warnings."""
        return carried(self.notes, "" if self.status.usable else self.status.name.lower())

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
        several, provenance = responses_of(self.provenance), dict(self.provenance)
        if levels:
            provenance[LEVEL] = ", ".join(f"{name}={item!r}" for name, item in levels.items())
        if several is not None and RESPONSE in levels:
            # From now on a wide table is one of this response alone.
            provenance |= several.only(str(levels[RESPONSE])).provenance
        return replace(
            self,
            params=renamed(self.params),
            diagnostics=diagnostics,
            groups={},
            provenance=Frozen(provenance),
        )

    def level_names(self, **levels: Any) -> dict[str, str]:
        """Names of the grouped coefficients at one level of each grouping.

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
        labels(levels)
        return {
            name: level_name(name, grouping.levels[single(grouping.codes_of(levels), grouping)])
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
                remedy=f"Choose one surface first: fit.at({level_keywords(self.groups.values())}). "
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
            DataError: the table lacks a column or a response, or has losses the residual is not
                defined for.
        """
        refuse_unknown(self.residuals, self.law, columns)
        names = (*self.law.columns, self.law.response, "weight")
        table = table_again(self.provenance, runs, columns, names)
        refuse_unlabelled(self.groups.values(), table)
        observed = table.column(self.law.response)
        require_positive(self.objective, observed, table.rows)
        self.law.check({self.law.response: observed}, table.rows, table.sources)
        return np.asarray(residuals(measure(self.objective), observed, self.evaluate(table)))

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
            broadcast_shape(labels(given) | used, remedy="Pass one number, or as many of each")
            return used, {item: item.codes_of(given) for item in groupings}
        headers = {name: value for name, value in given.items() if name not in levels}
        refuse_unknown(self.predict, self.law, headers)
        one = given.get(RESPONSE) if RESPONSE in levels else None
        chosen = isinstance(one, str) and one in self.responses
        if chosen:
            given = {name: value for name, value in given.items() if name != RESPONSE}
        table = table_again(self.provenance, runs, given, self.law.columns)
        used = table.columns_of(self.law)
        if chosen or (RESPONSE in levels and RESPONSE not in table and self.responses):
            # A row for each run, and a column for each response unless one is chosen.
            tall = () if chosen else (slice(None), None)
            every = {name: table.labels(name).to_numpy()[tall] for name in levels if name in table}
            every[RESPONSE] = np.array(one if chosen else self.responses, dtype=object)
            used = {name: item[tall] for name, item in used.items()}
            return used, {item: item.codes_of(every) for item in groupings}
        return used, {item: item.codes(table) for item in groupings}

    def _numbers(self, given: Mapping[str, Any], others: Sequence[str]) -> dict[str, np.ndarray]:
        """The law's columns as numbers, out of what is given by name; see ``column_numbers``."""
        named = by_header(self.law, self.provenance, given, others)
        return column_numbers(self.law, named, others, self.domain, self.groups, self.provenance)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Parameters in full precision: value, and whether fixed, tied or at a bound.

        Args:
            level: for ensembles, which have intervals; a fit has none.
        """
        return pd.DataFrame({"value": dict(self.params), "state": self._states()})

    def __repr__(self) -> str:
        params = ", ".join(
            f"{name}[{len(self.groups[name].levels)} levels]"
            if name in self.groups
            else f"{name}={self.params[name]:.5g}"
            for name in self.law.names
        )
        runs = "" if self.status is Status.PUBLISHED else f"{self.nobs} runs, "
        return f"<Fit {self.law.name}: {params}; {runs}{self.status.name.lower()}>"

    def to_json(self) -> str:
        """The fit as a JSON document; the law by name, never its code."""
        return json.dumps(document_of(self), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, law: Law | None = None) -> Fit:
        """The fit that a JSON document describes.

        Args:
            text: what :meth:`to_json` wrote.
            law: the law, where it is not a built-in one.

        Raises:
            ArgumentError: the text is none.
            DocumentError: it is not such a document, is of another schema, or a field holds what
                no fit holds; it names the field.
            LawError: the law is unknown, or is not the one that was fitted.
        """
        # Imported here: it takes as long as a fit.
        from scalefit.results import schema

        text = arguments.text(text, "text", remedy="Pass the text that Fit.to_json returned")
        limits = schema.FIT_SCHEMA, schema.OLDEST_FIT
        found = schema.parsed(text, schema.FitDocument, "a fit", *limits)
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
        return cls(**fields_of(document, law, within))

    def with_notes(self, *notes: Note) -> Fit:
        """The same fit with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def loss_unit(self) -> str:
        """Unit of what the law predicts, as ``nats/token``; empty where it is not known."""
        return loss_unit(self.law, {note.code for note in self.notes}, self.provenance)

    def describe(self, level: float = 0.95) -> Description:
        """How well the law fits and what comes next, the parameters, and where they come from."""
        published = self.status is Status.PUBLISHED
        return Description(
            f"{'Published values' if published else 'Fit'} of {self.law.name}",
            headline(self),
            self.law.formula,
            self.law.latex,
            facts=facts(self),
            tables=[parameter_table(self.params, self._units(), self._states())],
            notes=self.notes,
            parts={}
            if published
            else {
                "verdict": self.verdict.describe(level),
                "diagnostics": self.diagnostics.describe(level),
                "certificate": self.certificate.describe(level),
            },
        )

    def _units(self) -> dict[str, str]:
        """Unit of each parameter that has a simple one."""
        levels = {name: item.levels for name, item in self.groups.items()}
        return units_of(self.law, levels, self.loss_unit)

    def _states(self) -> dict[str, str]:
        """What is said beside a parameter: whether it is fixed, tied or at a bound."""
        return states_of(self.params, self.diagnostics.at_bound, self.fixed, self.tied)


def checked_fit(fit: Any, argument: str = "fit") -> Fit:
    """The fit itself.

    Raises:
        ArgumentError: it is something else.
    """
    remedy = f"Pass a fit, as {argument}=scalefit.fit(runs)"
    if isinstance(getattr(fit, "fit", None), Fit):
        remedy = f"Pass the fit of these draws, as {argument}=draws.fit"
    return instance(fit, argument, Fit, wanted="a fit", remedy=remedy)
