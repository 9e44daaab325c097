"""fit(): from a table to a Fit, each stage once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.certification.certify import DEFAULT_BOXES, DEFAULT_WORK, MOST_BOXES, MOST_WORK
from scalefit.certification.certify import certify as prove
from scalefit.data.grouping import Grouping
from scalefit.data.table import LossTable, Missing, as_table
from scalefit.errors import DataError, FitError, listed
from scalefit.fitting import grid
from scalefit.fitting.design_checks import check_delta, check_design, check_losses, check_weights
from scalefit.fitting.devices import named
from scalefit.fitting.diagnostics import ROW_ROUNDING, assess, fit_notes, refuse_unidentified
from scalefit.fitting.multistart import polish_from, search
from scalefit.fitting.polish import Polished, newton_of
from scalefit.laws import Law, find
from scalefit.objective import (
    Objective,
    Residual,
    Robust,
    binary_size,
    measure,
    require_positive,
    slack,
)
from scalefit.objective import evaluate as evaluate_objective
from scalefit.problem.problem import (
    Data,
    Problem,
    Settings,
    prepare,
    read_bounds,
    read_fixed,
    read_groups,
    read_ties,
)
from scalefit.problem.separability import structure
from scalefit.results.fit import NO_CERTIFICATE, Certificate, Fit, by_row, refuse_unknown
from scalefit.results.status import Status
from scalefit.runtime.settings import quiet

__all__ = ["fit"]

# Times that a proof is begun, as long as it comes upon a lower point.
MOST_PROOFS = 4

# Places that rows in slots of one length may take, of one each, before levels have several slots.
MOST_FILLED = 2

# The value reported is computed by the plain law; the search used its separable form. They agree
# to rounding unless the law is not what its structure says.
AGREEMENT = 1e-8


# What is no number shows in results, not in numpy's warnings, whatever the user has set for those.
@quiet()
def fit(
    runs: LossTable | pd.DataFrame,
    law: str | Law = "chinchilla",
    *,
    residual: Residual = "log",
    robust: Robust = "huber",
    delta: float = 1e-3,
    asymmetry: float = 10.0,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    tied: Sequence[Sequence[str]] = (),
    groups: Mapping[str, str | Sequence[str]] | None = None,
    seed: int = 0,
    certify: bool | int | None = None,
    device: str | None = None,
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    **columns: str,
) -> Fit:
    """The global optimum of a law on a table of training runs.

    The nonlinear parameters are searched on a grid over their whole bounds, with the linear ones
    projected out at every cell (variable projection); the best separated cells are polished on the
    true objective until its gradient is zero to rounding.

    Args:
        runs: a table from :func:`scalefit.read`, or a DataFrame with one run per row: N (model
            parameters, count), D (training tokens, count), loss (nats per token).
        law: name of a built-in law, or a law made with ``@scalefit.law``.
        residual: ``log`` (ln L - ln f), ``relative`` ((L - f) / L) or ``raw`` (L - f).
        robust: ``huber``, ``l1`` for the sum of absolute residuals, ``asymmetric`` for the lower
            envelope of runs that were not tuned, or ``none`` for the sum of squares.
        delta: where the Huber loss turns linear, in units of the residual (``huber`` and
            ``asymmetric``).
        asymmetry: how many times more a run below the surface counts than one above
            (``asymmetric``).
        fixed: parameters held at a value, as ``{"E": 1.7}``.
        bounds: bounds other than those of the parameter's kind, as ``{"alpha": (0.2, 0.6)}``.
        tied: groups of parameters that share a value, as ``[("alpha", "beta")]``.
        groups: linear coefficients that differ by a categorical column, as ``{"A": "format"}``, or
            by the combinations of several, as ``{"A": ("weights", "activations")}``; everything
            else is shared. Added to what the law declares with ``By``.
        seed: of the scattered points that are searched where a law has too many nonlinear
            parameters for a grid; a grid does not depend on it.
        certify: whether to prove the optimum global (``Fit.certificate``): True where a proof
            exists, for some seconds at most; a number of boxes, as ``100_000``, for as long as they
            take; False never. By default for squared errors, within a second.
        device: a device of JAX's to polish on, as ``"gpu"`` or ``"cpu"``, by a program that is
            compiled for the law and the number of rows in a few seconds: worth it for thousands of
            fits of one kind. By default numpy fits on the host, and nothing is compiled.
        keep: rules a row must satisfy (DataFrames only; see :meth:`LossTable.from_frame`).
        missing: what to do about rows without N, D or loss (DataFrames only).
        **columns: headers of the quantities, as ``N="params_matmul"`` (DataFrames only).

    Returns:
        The fit: parameters in raw units, objective, status, notes, evidence.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is malformed, or cannot identify the law whatever the losses are.
        LawError: the law is unknown, ill-formed, or has a parameter that nothing depends on.
        FitError: no point of the box has a finite objective, or there is no such device.

    Source:
        Default objective: Hoffmann et al. 2022, arXiv 2203.15556, section 3.3 (Huber, delta 1e-3,
        on log losses). Variable projection: Golub and Pereyra 1973, SIAM J. Numer. Anal. 10(2).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
        >>> round(sf.fit(runs, "chinchilla").params["alpha"], 6)
        0.34
    """
    law, effort = find(law), _effort(certify)
    refuse_unknown(fit, law, columns)
    seed = arguments.seed(seed)
    device = named(device)
    options: dict[str, Any] = dict(columns)
    if not (isinstance(keep, tuple) and not keep):
        options["keep"] = keep
    if not (isinstance(missing, str) and missing == "raise"):
        options["missing"] = missing
    table = as_table(runs, **options)
    objective = Objective(residual, robust, delta, asymmetry)
    fixed = read_fixed({} if fixed is None else fixed)
    limited = read_bounds({} if bounds is None else bounds)
    prepared = pose(
        table,
        law,
        objective,
        fixed=fixed,
        bounds=limited,
        tied=read_ties(() if tied is None else tied),
        groups=read_groups({} if groups is None else groups, law),
    )
    problem, settings, data = prepared.problem, prepared.settings, prepared.data
    used, observed, grouped = prepared.columns, prepared.observed, prepared.groups
    axes = grid.axes(problem, settings, seed=seed)
    searched, polished = search(problem, objective, data, settings, axes, device)
    if not np.isfinite(polished.value).any():
        raise _nowhere(prepared, objective, polished)
    refuse_unidentified(problem, data, polished)
    # A proof that comes upon a lower point sends the fit there, and is begun again.
    for _ in range(MOST_PROOFS):
        status, trust = assess(problem, objective, data, settings, searched, polished)
        params, reached = trust.minima[0].params, trust.minima[0].value
        predicted = law.evaluate(used, by_row(law, params, grouped, prepared.codes))
        value, residuals = evaluate_objective(objective, observed, predicted, table.weight)
        _refuse_disagreement(prepared, objective, table, polished, reached, value, residuals)
        certified = _certified(prepared, objective, table, fixed, value, effort)
        if not certified.lower:
            break
        onwards = polish_from(problem, objective, data, settings, certified.lower, device)
        polished = onwards.joined(polished)
    else:
        status = Status.STALLED
    residuals = np.where(table.weight > 0, residuals, 0.0)
    largest = binary_size(np.abs(residuals).max())
    spread = largest * np.sqrt(np.average((residuals / largest) ** 2, weights=table.weight))
    found = Fit(
        law=law,
        params=params,
        objective=objective,
        objective_value=value,
        status=status,
        notes=table.notes,
        diagnostics=trust,
        nobs=int(np.count_nonzero(table.weight)),
        residual_rms=float(spread),
        domain=_domain(used),
        fixed=fixed,
        tied=tuple(group for group in problem.names if len(group) > 1),
        bounds=limited,
        groups=grouped,
        certificate=certified,
        dropped=table.dropped,
        provenance=_provenance(
            table, law, sorted({name for item in grouped.values() for name in item.columns})
        ),
    )
    return found.with_notes(*fit_notes(found, problem, table, residuals))


def _nowhere(prepared: PreparedFit, objective: Objective, polished: Polished) -> FitError:
    """What is said where no point that was searched has a finite objective."""
    problem, law = prepared.problem, prepared.problem.law
    point = problem.parameters(
        polished.coefficients[0], polished.coordinates[0], prepared.data.fixed
    )
    predicted = law.evaluate(prepared.columns, by_row(law, point, prepared.groups, prepared.codes))
    # Of the terms, too: one may be larger than any float where what it is multiplied by is zero.
    columns, known = newton_of(problem, prepared.data).model.values(polished.coordinates[0])
    terms = [np.abs(item).max() for item in (*columns, 0.0 if known is None else known)]
    at = listed([f"{name} = {value:.4g}" for name, value in point.items()])
    if not np.isfinite(predicted).all() or not np.isfinite(terms).all() or not np.any(terms):
        problem_said = "gives no numbers, or zero in every term"
        remedy = "Its powers leave the range of floats there: narrow the bounds"
    elif objective.residual == "log" and (predicted <= 0).all():
        problem_said = f"predicts {law.response} = {predicted.max():.4g} at most"
        remedy = (
            "A log residual needs positive predictions: widen the bounds that hold it below zero, "
            "or use residual='raw'"
        )
    elif objective.residual == "log" and (predicted <= 0).any():
        problem_said = f"predicts {law.response} = {predicted.min():.4g} in some rows"
        remedy = (
            "A log residual needs positive predictions: widen the bounds that hold them below "
            "zero, or use residual='raw'"
        )
    else:
        problem_said = (
            f"predicts {law.response} from {predicted.min():.4g} to {predicted.max():.4g}"
        )
        remedy = "Check bounds, fixed values and units"
    return FitError(
        f"no point searched within the bounds of {law.name!r} has a finite objective: at {at} it "
        f"{problem_said}. {remedy}"
    )


def _refuse_disagreement(
    prepared: PreparedFit,
    objective: Objective,
    table: LossTable,
    polished: Polished,
    searched: float,
    value: float,
    residuals: np.ndarray,
) -> None:
    """Raise where the law as it is written gives another objective than its separable form.

    Raises:
        FitError: they differ by more than the rounding of the law's terms explains.
    """
    # Starts that ended nowhere have no value.
    best = int(np.nanargmin(np.abs(polished.value - searched)))
    newton = newton_of(prepared.problem, prepared.data)
    terms = sum(map(np.abs, newton.terms(polished.coordinates[best], polished.coefficients[best])))
    error = ROW_ROUNDING * np.maximum(terms, np.abs(prepared.observed))
    if objective.needs_positive_loss:
        error = error / prepared.observed
    allowed = AGREEMENT * value + slack(objective, residuals, table.weight, error)
    if not abs(value - searched) <= allowed:
        raise FitError(
            f"law {prepared.problem.law.name!r} gives {value:.17g} at its optimum, where its "
            f"separable form gave {searched:.17g}: the law branches on its parameters or columns "
            "in a way that derivatives do not show. Write it as one formula"
        )


class PreparedFit(NamedTuple):
    """A problem on a table, ready to search.

    Attributes:
        problem: the problem.
        settings: its bounds.
        data: the table, packed.
        columns: the law's columns, each (rows,), raw units.
        observed: observed losses, (rows,).
        groups: the division each grouped parameter differs by.
        codes: level of each row in each division, (rows,).
    """

    problem: Problem
    settings: Settings
    data: Data
    columns: dict[str, np.ndarray]
    observed: np.ndarray
    groups: dict[str, Grouping]
    codes: dict[Grouping, np.ndarray]


def pose(
    table: LossTable,
    law: Law,
    objective: Objective,
    *,
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    tied: Sequence[Sequence[str]],
    groups: Mapping[str, Sequence[str]],
) -> PreparedFit:
    """The problem that a law and an objective pose on a table.

    Raises:
        DataError: the table lacks a column, or cannot identify the law.
        ArgumentError: ``fixed``, ``bounds``, ``tied`` or ``groups`` make no sense for the law, or
            the delta of raw residuals for losses of this size.
    """
    used = table.columns_of(law)
    observed = table.column(law.response)
    require_positive(objective, observed, table.rows)
    if not observed[table.weight > 0].any():
        raise DataError(
            f"every {law.response} that counts is zero, so that there is nothing to fit",
            column=law.response,
            remedy="Give it with more digits, if it was rounded",
        )
    header = table.sources.get(law.response, law.response)
    check_weights(table.weight, table.rows)
    check_losses(objective, header, observed, table.weight, table.rows)
    grouped = {name: Grouping.of(table, names, table.weight > 0) for name, names in groups.items()}
    problem, settings = prepare(
        law, structure(law, used), used, fixed=fixed, bounds=bounds, tied=tied, groups=grouped
    )
    codes = {grouping: grouping.codes(table) for grouping in grouped.values()}
    check_design(problem, used, table.weight, table.rows, codes)
    data = pack(problem, objective, used, observed, table.weight, fixed, list(codes.values()))
    check_delta(objective, data.measure, float(data.unit))
    return PreparedFit(problem, settings, data, used, observed, grouped, codes)


def prepare_again(fit: Fit, table: LossTable) -> PreparedFit:
    """The problem that a fit solved, on its table or on another one.

    Raises:
        DataError: the table lacks a column, or cannot identify the law.
    """
    return pose(
        table,
        fit.law,
        fit.objective,
        fixed=fit.fixed,
        bounds=fit.bounds,
        tied=fit.tied,
        groups={name: item.columns for name, item in fit.groups.items()},
    )


def pack(
    problem: Problem,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    weight: np.ndarray,
    fixed: Mapping[str, float],
    codes: Sequence[np.ndarray] = (),
) -> Data:
    """Rows as the search and the polish take them, in units of the loss.

    The metric weights log and relative residuals by 1/L^2: to first order ln L - ln f = (L - f)/L,
    so that the projected squared error ranks cells as the objective would without its penalty.
    """
    # Squares are of losses over a power of two, which changes no digit and keeps them floats.
    scale = binary_size(np.median(np.abs(observed[(weight > 0) & (observed != 0)])))
    scaled = observed / scale
    with quiet():
        metric = weight / scaled**2 if objective.needs_positive_loss else weight
        metric = metric / metric.sum()
        unit = float(np.sqrt(np.sum(metric * scaled**2))) * scale
    placed = [_by_level(item, metric > 0) for item in codes]
    return Data(
        columns=tuple(columns.values()),
        response=observed / unit,
        weight=np.asarray(weight, dtype=np.float64),
        metric=metric,
        unit=np.float64(unit),
        fixed=np.array([fixed[name] for name in problem.fixed], dtype=np.float64),
        measure=measure(objective, unit),
        codes=tuple(codes),
        places=tuple(item[0] for item in placed),
        present=tuple(item[1] for item in placed),
        slots=tuple(item[2] for item in placed),
    )


def _by_level(codes: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of each level that count in slots, filled up with row 0; where they are rows; levels."""
    (rows,) = np.nonzero(used & (codes >= 0))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    counts = np.bincount(codes[rows], minlength=codes.max() + 1)
    length = counts.max()
    if len(counts) * length > MOST_FILLED * len(rows):
        # A few levels of very many rows would fill up all the others.
        length = -(-len(rows) // len(counts))
    slots = np.repeat(np.arange(len(counts)), np.maximum(1, -(-counts // length)))
    number = np.arange(len(slots)) - np.searchsorted(slots, slots)
    first = (np.cumsum(counts) - counts)[slots] + number * length
    place = first[:, None] + np.arange(length)
    present = place < np.cumsum(counts)[slots][:, None]
    return np.where(present, rows[np.where(present, place, 0)], 0), present * 1.0, slots


def _certified(
    prepared: PreparedFit,
    objective: Objective,
    table: LossTable,
    fixed: Mapping[str, float],
    value: float,
    effort: _Effort | None,
) -> Certificate:
    """The proof where it is wanted, or cheap and not refused."""
    if effort is None:
        return replace(NO_CERTIFICATE, reason="not attempted: certify=False")
    # Tenths of a second, against hundredths. Where there is no proof at all, its reason is of use.
    if effort is UNASKED and objective.robust == "huber" and objective.residual != "log":
        return replace(NO_CERTIFICATE, reason="not attempted: certify=True asks for it")
    return prove(
        prepared.problem,
        prepared.settings,
        objective,
        prepared.columns,
        prepared.observed,
        table.weight,
        fixed,
        value,
        most_boxes=effort.boxes,
        most_work=effort.work,
    )


class _Effort(NamedTuple):
    """Most boxes of a proof, and the most that they may cost."""

    boxes: int
    work: float


UNASKED = _Effort(DEFAULT_BOXES, DEFAULT_WORK)
ASKED = _Effort(MOST_BOXES, MOST_WORK)


def _effort(certify: bool | int | None) -> _Effort | None:
    """The effort that is asked for; None for no proof at all.

    Raises:
        ArgumentError: it is no truth value, and no number of boxes.
    """
    if certify is None:
        return UNASKED
    if isinstance(certify, bool | np.bool_):
        return ASKED if certify else None
    remedy = "Pass True, False, None or a number of boxes, as certify=100_000"
    return _Effort(arguments.whole(certify, "certify", least=1, remedy=remedy), math.inf)


def _domain(columns: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Range of each column, and of tokens per parameter and 6ND where they mean something."""
    ranged = dict(columns)
    if "N" in columns and "D" in columns:
        ranged["D/N"] = columns["D"] / columns["N"]
        ranged["6ND"] = 6 * columns["N"] * columns["D"]
    return {name: (float(values.min()), float(values.max())) for name, values in ranged.items()}


def _provenance(table: LossTable, law: Law, grouped: Sequence[str]) -> dict[str, str]:
    from scalefit.version import __version__

    headers = {f"column {name}": str(header) for name, header in table.sources.items()}
    return {
        "scalefit": __version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "data": table.digest([*law.columns, law.response], grouped),
        **headers,
    }
