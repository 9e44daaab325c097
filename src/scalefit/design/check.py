"""check(): what a design of runs identifies under a law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit.approach2.isoflop_notes import row_notes
from scalefit.arguments import number
from scalefit.data.loss_units import LossUnit
from scalefit.data.table import LossTable, Missing, as_table
from scalefit.design import findings, spans
from scalefit.design.design_check import BLOCKING, DesignCheck, NoiseSource
from scalefit.design.expected_errors import expected_errors
from scalefit.design.replicate_noise import ReplicateNoise, replicate_noise
from scalefit.errors import DataError, listed
from scalefit.fitting.api import fit
from scalefit.fitting.column_paths import ColumnPath, noise_of_residuals
from scalefit.fitting.prepared_fit import fitted_losses, prepare_again
from scalefit.inference.run_noise import FEWEST_REPEATS
from scalefit.laws import Law, find
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.problem.options import read_groups
from scalefit.results.fit import Fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.prediction import refuse_unknown
from scalefit.results.status import Status
from scalefit.runtime.settings import quiet

__all__ = ["check"]

# Noise of losses that have none, as simulated ones: that of scalefit.simulate. Seeds of published
# runs differ by 0.1 to 1 %.
ASSUMED = 0.005

# Notes of a fit that are about its runs.
OF_RUNS = ("few_rows", "outliers_dominate", "trajectories", "repeated_cells", "response_rises")

NOTHING = pd.DataFrame(
    {
        **{name: np.empty(0) for name in ("value", "standard_error", "relative")},
        **{name: np.empty(0, dtype=bool) for name in ("nonlinear", "sized")},
    },
    index=pd.Index([], name="parameter"),
)


@quiet()
def check(
    runs: Any,
    law: str | Law = "chinchilla",
    *,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    tied: Sequence[Sequence[str]] = (),
    groups: Mapping[str, str | Sequence[str]] | None = None,
    noise: float | None = None,
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    loss_unit: LossUnit | None = None,
    bytes_per_token: float | None = None,
    **columns: str | tuple[str, float],
) -> DesignCheck:
    """What a design of runs identifies under a law, before anything is decided by a fit.

    The law is fitted, and the information matrix at the fit says how well each parameter is
    determined at the level of the noise. Beside that: whether N and D (or any two columns) move
    apart by more than the noise hides, the number of budgets, the ranges in decades, how C was
    counted, noise between replicates, copies of rows, and checkpoints or sweeps as rows. A design
    on which a law can be fitted has no warning.

    Args:
        runs: the table, as for :func:`scalefit.fit`. To judge runs that are only planned, give
            them losses by :func:`scalefit.simulate`.
        law: name of a built-in law, or a law made with ``@scalefit.law``.
        fixed: as for ``fit``, and so are ``bounds``, ``tied`` and ``groups``.
        bounds: see there.
        tied: see there.
        groups: see there.
        noise: standard deviation of ln(loss) from run to run (of the response itself where it is
            not positive). By default that of replicates, runs of equal inputs, with five degrees of
            freedom or more; else of the residuals with as many; else 0.005.
        keep: rules a row must satisfy (DataFrames only).
        missing: what to do about rows without N, D or loss (DataFrames only).
        loss_unit: unit of the losses (DataFrames only).
        bytes_per_token: of losses per byte (DataFrames only).
        **columns: headers of the quantities, as for ``fit``.

    Returns:
        Whether the law is identified, expected standard errors, ranges, and notes.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is malformed, or a loss is one that no law is fitted to. That a design
            cannot identify the law is a finding, not an error.
        LawError: the law is unknown or ill-formed.
        FitError: no point within the bounds has a finite objective.

    Example:
        >>> import scalefit as sf
        >>> sweeps = sf.simulate(sf.simulation.isoflop_design(), noise=0.005)
        >>> sf.check(sweeps)
        <DesignCheck: 75 runs identify chinchilla>
        >>> ladder = sf.simulate(sf.simulation.ratio_design([1e8, 2e8, 4e8, 8e8, 16e8, 32e8], 20.0))
        >>> [note.code for note in sf.check(ladder).notes]
        ['not_identified']
    """
    law = find(law)
    refuse_unknown(check, law, columns)
    if noise is not None:
        remedy = "Pass the standard deviation of ln(loss) between seeds, as noise=0.005"
        noise = number(noise, "noise", above=0, remedy=remedy)
    table = as_table(
        runs,
        keep=keep,
        missing=missing,
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
        **columns,
    )
    _require_losses(table, law)
    table.require([*law.columns, law.response], law, fitted=True)
    table.columns_of(law)
    raw = bool((table.column(law.response)[table.weight > 0] <= 0).any())
    objective = Objective("raw", "none") if raw else Objective()
    fitted_losses(table, law, objective)
    try:
        fitted: Fit | DataError = fit(
            table,
            law,
            fixed=fixed,
            bounds=bounds,
            tied=tied,
            groups=groups,
            certify=False,
            **objective.options,
        )
    except DataError as error:
        fitted = error
    grouped = (
        {name: item.columns for name, item in fitted.groups.items()}
        if isinstance(fitted, Fit)
        else read_groups(groups, law)
    )
    levels = [name for item in grouped.values() for name in item]
    return _judged(table, law, fitted, noise, levels)


def _require_losses(table: LossTable, law: Law) -> None:
    """Refuse a plan, runs with inputs only.

    Raises:
        DataError: it is one.
    """
    inputs = {*law.columns, "C", "weight", "group", "seed"}
    if law.response == "loss" and {*law.columns} <= {*table.frame.columns} <= inputs:
        raise DataError(
            f"these runs have {listed(table.columns)} and no losses, at which a design is judged",
            column=law.response,
            remedy="Give a plan the losses of a surface that might be true: "
            "scalefit.check(scalefit.simulate(runs, noise=0.0), noise=0.005)",
        )


class _Judged(NamedTuple):
    """What a fit to the runs says of them."""

    expected: pd.DataFrame
    paths: list[ColumnPath]
    notes: list[Note]


def _judged(
    table: LossTable,
    law: Law,
    fitted: Fit | DataError,
    noise: float | None,
    levels: Sequence[str],
) -> DesignCheck:
    fit = fitted if isinstance(fitted, Fit) else None
    seeds = _seeds(table, law, fit, levels)
    residual = np.nan if fit is None else _residual_noise(fit, table)
    level, source = _noise(noise, seeds, residual)
    budgets = spans.budgets_of(table) if {"N", "D"} <= set(law.columns) else None
    single = budgets is not None and budgets.single
    if isinstance(fitted, DataError):
        judged = _Judged(NOTHING, [], findings.refusal_notes(fitted, table, law.columns))
        judged.notes.extend(row_notes(table) if budgets is not None else [])
    else:
        judged = _by_fit(fitted, table, level, single=single)
    reach = spans.spans_of(table, law)
    blocked = {note.code for note in judged.notes} & {"one_ratio", "not_identified"}
    told = {"D/N", *reach.index[reach["decades"] == 0]} if blocked else set()
    notes = [
        *judged.notes,
        *spans.span_notes(table, reach, budgets, told),
        *findings.noise_notes(seeds, residual, fit is None or fit.objective.residual == "log"),
        *findings.copy_notes(table, law.columns, law.response),
        *findings.compute_notes(table),
        *table.notes,
    ]
    notes.sort(key=lambda note: (note.code not in BLOCKING, note.severity != "warning"))
    return DesignCheck(
        law=law.name,
        identifies=not any(note.code in BLOCKING for note in notes),
        fit=fit,
        runs=int(np.count_nonzero(table.weight)),
        noise=level,
        noise_source=source,
        expected=judged.expected,
        separation=pd.DataFrame(
            [(*path.columns, path.power, path.off, path.apart) for path in judged.paths],
            columns=["first", "second", "power", "off", "apart"],
        ),
        spans=reach,
        notes=tuple(notes),
    )


def _by_fit(fit: Fit, table: LossTable, noise: float, *, single: bool) -> _Judged:
    """What the fit says of the runs at a level of noise."""
    prepared = prepare_again(fit, table)
    expected = expected_errors(fit, prepared, noise)
    paths = findings.paths_of(fit, table, prepared.problem, noise)
    return _Judged(
        expected,
        paths,
        [
            *findings.separation_notes(fit, table, prepared.problem, paths, single=single),
            *findings.identification_notes(expected, fit),
            *(note for note in fit.notes if note.code in OF_RUNS),
        ],
    )


def _seeds(
    table: LossTable, law: Law, fit: Fit | None, levels: Sequence[str]
) -> ReplicateNoise | None:
    """Noise between replicates; None where there are none, or what differs has no column."""
    inputs = [*law.columns, *levels]
    for note in fit.notes if fit is not None else ():
        if note.code == "repeated_cells" and note.severity == "warning":
            if not note.details["swept"]:
                return None
            inputs += note.details["swept"]
    raw = (table.column(law.response)[table.weight > 0] <= 0).any()
    return replicate_noise(table, list(dict.fromkeys(inputs)), law.response, logarithmic=not raw)


def _residual_noise(fit: Fit, table: LossTable) -> float:
    """Standard deviation of the residuals; NaN where they are too few, or none."""
    if fit.status is Status.EXACT or fit.df_resid < FEWEST_FREEDOM:
        return float("nan")
    return noise_of_residuals(fit, fit.residuals(table)[table.weight > 0])


def _noise(
    given: float | None, seeds: ReplicateNoise | None, residual: float
) -> tuple[float, NoiseSource]:
    """The level of the noise, and where it is from."""
    if given is not None:
        return given, "given"
    if seeds is not None and seeds.df >= FEWEST_REPEATS and seeds.value > 0:
        return seeds.value, "replicates"
    if np.isfinite(residual) and residual > 0:
        return residual, "residuals"
    return ASSUMED, "assumed"
