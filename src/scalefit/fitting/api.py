"""fit(): from a table to a Fit, each stage once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from scalefit import arguments
from scalefit.certification.certify import DEFAULT_BOXES, DEFAULT_WORK, MOST_BOXES, MOST_WORK
from scalefit.certification.certify import certify as prove
from scalefit.data.loss_units import LossUnit
from scalefit.data.table import Missing, as_table
from scalefit.errors import FitError, listed
from scalefit.fitting import grid
from scalefit.fitting.devices import named
from scalefit.fitting.diagnostics import ROW_ROUNDING, assess, refuse_unidentified
from scalefit.fitting.end_points import Polished
from scalefit.fitting.fit_notes import fit_notes
from scalefit.fitting.grid import Searched
from scalefit.fitting.judgement import judged
from scalefit.fitting.objective_setup import scaled_objective
from scalefit.fitting.prepared_fit import PreparedFit, data_digest, prepare_fit
from scalefit.fitting.search import polish_from, search
from scalefit.laws import Law, find
from scalefit.notes import Note
from scalefit.objective import Objective, Residual, Robust, binary_size, slack
from scalefit.objective import evaluate as evaluate_objective
from scalefit.problem.options import read_bounds, read_fixed, read_ties
from scalefit.problem.response_groups import coefficient_groups, responses_for
from scalefit.results.certificate import NO_CERTIFICATE, Certificate
from scalefit.results.diagnostics import Diagnostics
from scalefit.results.fit import Fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.status import Status
from scalefit.runtime.progress import counting, with_progress
from scalefit.runtime.settings import quiet

__all__ = ["fit", "result_of"]

# Proofs of one fit, at most: each but the first begins where the one before found a lower point.
MOST_PROOFS = 4

# The value reported is computed by the law as it is written; the search used its separable form.
# They agree to rounding unless the law's structure was misread.
AGREEMENT = 1e-8

# Relative rounding of a law that a note tells: a formula without cancellation has 1e-14. What is
# above the other is none, and values differ by no more than so many times their spread.
MANY_DIGITS, FEW_DIGITS, SPREADS = 1e-12, 1e-4, 6.0


# Values that are not finite show in results, not in numpy's warnings.
@quiet()
@with_progress
def fit(
    runs: Any,
    law: str | Law = "chinchilla",
    *,
    residual: Residual = "log",
    robust: Robust = "huber",
    delta: float = 1e-3,
    asymmetry: float = 10.0,
    sigma: float | str | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    tied: Sequence[Sequence[str]] = (),
    groups: Mapping[str, str | Sequence[str]] | None = None,
    seed: int = 0,
    certify: bool | int | None = None,
    device: str | None = None,
    progress: bool = True,
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    loss_unit: LossUnit | None = None,
    bytes_per_token: float | None = None,
    responses: Sequence[str] | None = None,
    **columns: str | tuple[str, float],
) -> Fit:
    """The global optimum of a law on a table of training runs.

    The nonlinear parameters are searched on a grid over their whole bounds, with the linear ones
    projected out at every cell (variable projection); the best separated cells are polished on the
    true objective until its gradient is zero to rounding.

    Args:
        runs: a table from :func:`scalefit.read`, or whatever that takes (a DataFrame, a list of
            records, a path), one run per row: N (model parameters, count), D (training tokens,
            count), loss (nats per token).
        law: name of a built-in law, or a law made with ``@scalefit.law``.
        residual: ``log`` (ln L - ln f), ``relative`` ((L - f) / L) or ``raw`` (L - f).
        robust: ``huber``, ``l1`` for the sum of absolute residuals, ``asymmetric`` for the lower
            envelope of runs that were not tuned, or ``none`` for the sum of squares.
        delta: where the Huber loss turns linear, in units of the residual (``huber`` and
            ``asymmetric``).
        asymmetry: how many times more a run below the surface counts than one above
            (``asymmetric``).
        sigma: known standard errors of the losses, in the unit of the losses: the header of their
            column, as ``"loss_se"``, or one number (``robust="none"`` only). They are absolute:
            intervals follow from them, and not from the spread of the residuals.
        fixed: parameters held at a value, as ``{"E": 1.7}``.
        bounds: bounds other than those of the parameter's kind, as ``{"alpha": (0.2, 0.6)}``.
        tied: groups of parameters that share a value, as ``[("alpha", "beta")]``.
        groups: linear coefficients that differ by a categorical column, as ``{"A": "format"}``, or
            by the combinations of several, as ``{"A": ("weights", "activations")}``; everything
            else is shared. Added to what the law declares with ``By``.
        seed: of the scattered points that are searched where a law has too many nonlinear
            parameters for a grid; a grid does not depend on it.
        certify: whether to prove the optimum global (``Fit.certificate``): True where a proof
            exists, for some seconds at most (0.2 to 0.6 s on most tables); a number of boxes, as
            ``100_000``, for as long as they take; False never. By default for squared errors,
            within a second.
        device: a device of JAX's to polish on, as ``"gpu"`` or ``"cpu"``, by a program that is
            compiled for the law and the number of rows in a few seconds: worth it for thousands of
            fits of one kind. By default numpy fits on the host, and nothing is compiled.
        progress: whether a line shows what is going on once it takes more than a second.
        keep: rules a row must satisfy (DataFrames only; see :meth:`LossTable.from_frame`).
        missing: what to do about rows without N, D or loss (DataFrames only).
        loss_unit: unit of the losses, which are converted to nats (DataFrames only).
        bytes_per_token: of losses per byte that become losses per token (DataFrames only).
        responses: headers of several columns that the law predicts at once, as
            ``["loss_code", "loss_web"]``. Each response has linear coefficients of its own, as if
            ``groups`` named the column ``response`` for all of them, and shares the rest;
            ``groups``, if given, says otherwise (see :meth:`LossTable.from_frame`).
        **columns: headers of the quantities, as ``N="params_matmul"``, with the unit of the numbers
            where they are no counts, as ``N=("params_b", 1e9)`` (DataFrames only).

    Returns:
        The fit: parameters in raw units, objective, status, notes, evidence.

    Raises:
        ArgumentError: an option makes no sense, or there is no such device.
        DataError: the table is malformed, or cannot identify the law whatever the losses are.
        LawError: the law is unknown, ill-formed, or has a parameter that nothing depends on.
        FitError: no point within the bounds has a finite objective.

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
    seed, device = arguments.seed(seed), named(device)
    objective = Objective(residual, robust, delta, asymmetry, sigma)
    limited = read_bounds(bounds)
    held, ties = read_fixed(fixed), read_ties(tied)
    table = as_table(
        runs,
        keep=keep,
        missing=missing,
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
        responses=responses_for(law, responses),
        **columns,
    )
    prepared = prepare_fit(
        table,
        law,
        objective,
        fixed=held,
        bounds=limited,
        tied=ties,
        groups=coefficient_groups(table, law, groups, fixed=held, tied=ties, bounds=limited),
    )
    problem, data = prepared.problem, prepared.data
    axes = grid.axes(problem, prepared.settings, seed=seed)
    searched, polished = search(problem, objective, data, prepared.settings, axes, device)
    if not np.isfinite(polished.value).any():
        raise _nowhere(prepared, polished)
    refuse_unidentified(problem, data, polished)
    optimum = _proved(prepared, searched, polished, effort, device)
    with counting("judging the fit"):
        found = result_of(
            prepared,
            limited,
            optimum.status,
            optimum.diagnostics,
            optimum.value,
            optimum.residuals,
            optimum.certificate,
        )
    if found.diagnostics.search == "scattered":
        # A grid does not depend on it.
        found = replace(found, provenance={**found.provenance, "seed": str(seed)})
    return found.with_notes(*_rounding_notes(prepared, optimum))


def result_of(
    prepared: PreparedFit,
    bounds: Mapping[str, tuple[float, float]],
    status: Status,
    diagnostics: Diagnostics,
    value: float,
    residuals: np.ndarray,
    certificate: Certificate = NO_CERTIFICATE,
) -> Fit:
    """The best end of a search as a fit, with its notes and its verdict.

    Args:
        prepared: the problem that was solved, on its table.
        bounds: bounds that were given, by parameter.
        status: outcome.
        diagnostics: evidence, with the minimum first.
        value: objective there, by the law as it is written.
        residuals: of each row, shape (rows,).
        certificate: proof.
    """
    problem, table = prepared.problem, prepared.table
    residuals = np.where(table.weight > 0, residuals, 0.0)
    found = Fit(
        law=problem.law,
        params=diagnostics.minima[0].params,
        objective=prepared.objective,
        objective_value=value,
        status=status,
        notes=table.notes,
        diagnostics=diagnostics,
        nobs=int(np.count_nonzero(table.weight)),
        residual_rms=_root_mean_square(residuals, table.weight),
        domain=_domain(prepared.columns, table.weight > 0),
        fixed=prepared.fixed,
        tied=tuple(group for group in problem.names if len(group) > 1),
        bounds=bounds,
        groups=prepared.groups,
        certificate=certificate,
        dropped=table.dropped,
        provenance=_provenance(prepared),
    )
    return judged(found, prepared, residuals, fit_notes(found, prepared, residuals))


class _Optimum(NamedTuple):
    """The best end of the search, by the law as it is written, and what is known of it.

    ``rounded`` says whether the law rounds more than its terms explain.
    """

    status: Status
    diagnostics: Diagnostics
    value: float
    residuals: np.ndarray
    certificate: Certificate
    rounded: bool


def _proved(
    prepared: PreparedFit,
    searched: Searched,
    polished: Polished,
    effort: _Effort | None,
    device: str | None,
) -> _Optimum:
    """The best end, assessed and proved global where that is wanted.

    A proof that finds a lower point sends the fit there, and begins again. Where it still finds one
    after several times, the status is ``STALLED``.
    """
    problem, objective, data, settings = (
        prepared.problem,
        prepared.objective,
        prepared.data,
        prepared.settings,
    )
    for _ in range(MOST_PROOFS):
        status, diagnostics = assess(problem, objective, data, settings, searched, polished)
        best = diagnostics.minima[0]
        predicted = prepared.predict(best.params)
        weight = prepared.weight
        value, residuals = evaluate_objective(objective, prepared.observed, predicted, weight)
        rounded = _disagreement(prepared, polished, best.params, best.value, value, residuals)
        certificate = _certificate(prepared, value, effort)
        if not certificate.lower:
            return _Optimum(status, diagnostics, value, residuals, certificate, rounded)
        onwards = polish_from(problem, objective, data, settings, certificate.lower, device)
        polished = onwards.joined(polished)
    return _Optimum(Status.STALLED, diagnostics, value, residuals, certificate, rounded)


def _nowhere(prepared: PreparedFit, polished: Polished) -> FitError:
    """The error where no point that was searched has a finite objective."""
    problem, law, objective = prepared.problem, prepared.problem.law, prepared.objective
    point = problem.parameters(
        polished.coefficients[0], polished.coordinates[0], prepared.data.fixed
    )
    predicted = prepared.predict(point)
    # Of the terms, too: one may be larger than any float where what it is multiplied by is zero.
    columns, known = scaled_objective(problem, prepared.data).model.values(polished.coordinates[0])
    terms = [np.abs(item).max() for item in (*columns, 0.0 if known is None else known)]
    at = listed([f"{name} = {value:.4g}" for name, value in point.items()])
    low, high = f"{predicted.min():.4g}", f"{predicted.max():.4g}"
    negative = objective.residual == "log" and (predicted <= 0).any()
    if not np.isfinite(predicted).all() or not np.isfinite(terms).all() or not np.any(terms):
        found = "gives no numbers, or zero in every term"
        remedy = "Its powers leave the range of floats there: narrow the bounds"
    elif negative:
        every = (predicted <= 0).all()
        found = f"predicts {law.response} = " + (
            f"{high} at most" if every else f"{low} in some rows"
        )
        remedy = (
            "A log residual needs positive predictions: widen the bounds that hold "
            f"{'it' if every else 'them'} below zero, or use residual='raw'"
        )
    else:
        found = f"predicts {law.response} from {low} to {high}"
        remedy = "Check bounds, fixed values and units"
    return FitError(
        f"no point searched within the bounds of {law.name!r} has a finite objective: at {at} it "
        f"{found}. {remedy}"
    )


def _disagreement(
    prepared: PreparedFit,
    polished: Polished,
    params: Mapping[str, float],
    searched: float,
    value: float,
    residuals: np.ndarray,
) -> bool:
    """Whether the law as it is written gives another objective than its separable form.

    Where it does so by rounding, as where large terms cancel, that is no error.

    Raises:
        FitError: they differ by more than rounding explains.
    """
    objective = prepared.objective
    # Starts that ended nowhere have no value.
    best = int(np.nanargmin(np.abs(polished.value - searched)))
    newton = scaled_objective(prepared.problem, prepared.data)
    terms = sum(map(np.abs, newton.terms(polished.coordinates[best], polished.coefficients[best])))
    error = ROW_ROUNDING * np.maximum(terms, np.abs(prepared.observed))
    size = np.abs(prepared.observed) if objective.needs_positive_loss else 1.0

    def explained(error: np.ndarray) -> bool:
        within = slack(objective, residuals, prepared.weight, error / size)
        return bool(abs(value - searched) <= AGREEMENT * value + within)

    if explained(error):
        return False
    rounding = prepared.rounding(params)
    few = rounding.max() <= FEW_DIGITS * np.abs(prepared.observed).max()
    if few and explained(error + SPREADS * rounding):
        return True
    raise FitError(
        f"law {prepared.problem.law.name!r} gives {value:.17g} at its optimum, where its separable "
        f"form gave {searched:.17g}, and rounding does not explain it: the structure of the law "
        "was misread. Report it, with the law and the table"
    )


def _rounding_notes(prepared: PreparedFit, optimum: _Optimum) -> list[Note]:
    """A note where the digits that a law loses are what limits its fit."""
    if not (optimum.rounded or optimum.status is Status.STALLED):
        return []
    law, params = prepared.problem.law, optimum.diagnostics.minima[0].params
    predicted = np.abs(prepared.predict(params))
    used = (prepared.table.weight > 0) & (predicted > 0)
    rounding = float((prepared.rounding(params)[used] / predicted[used]).max(initial=0.0))
    if not MANY_DIGITS < rounding < FEW_DIGITS:
        return []
    return [
        Note.of(
            "law_rounds",
            f"{law.name!r} loses digits to rounding: its values at the optimum are off by "
            f"{rounding:.1g}, relative. Where large terms nearly cancel, write the difference "
            "itself, as log1p(x) for log(1 + x), or -expm1(-x) for 1 - exp(-x)",
            {"rounding": rounding},
        )
    ]


def _certificate(prepared: PreparedFit, value: float, effort: _Effort | None) -> Certificate:
    """The proof where it is wanted, or cheap and not refused."""
    objective = prepared.objective
    if effort is None:
        return replace(NO_CERTIFICATE, reason="not attempted: certify=False")
    # A proof by an interior point method takes some ten times as long as the fit.
    if effort is UNASKED and objective.penalty.bounded:
        return replace(NO_CERTIFICATE, reason="not attempted: certify=True asks for it")
    return prove(
        prepared.problem,
        prepared.settings,
        objective,
        prepared.columns,
        prepared.observed,
        prepared.weight,
        prepared.fixed,
        value,
        codes=prepared.data.codes,
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
    """The effort that ``certify`` stands for; None for no proof.

    Raises:
        ArgumentError: it is no truth value, and no number of boxes.
    """
    if certify is None:
        return UNASKED
    if isinstance(certify, bool | np.bool_):
        return ASKED if certify else None
    remedy = "Pass True, False, None or a number of boxes, as certify=100_000"
    return _Effort(arguments.whole(certify, "certify", least=1, remedy=remedy), math.inf)


def _root_mean_square(residuals: np.ndarray, weight: np.ndarray) -> float:
    # Squares are of residuals over a power of two near the largest, so that none is lost.
    largest = binary_size(np.abs(residuals).max())
    return float(largest * np.sqrt(np.average((residuals / largest) ** 2, weights=weight)))


def _domain(columns: Mapping[str, np.ndarray], used: np.ndarray) -> dict[str, tuple[float, float]]:
    """Range of each column, and of tokens per parameter and 6ND where they mean something.

    Rows of weight zero are no runs of the fit: what lies beyond the others is extrapolation.
    """
    ranged = {name: values[used] for name, values in columns.items()}
    if "N" in columns and "D" in columns:
        ranged["D/N"] = ranged["D"] / ranged["N"]
        ranged["6ND"] = 6 * ranged["N"] * ranged["D"]
    return {name: (float(values.min()), float(values.max())) for name, values in ranged.items()}


def _provenance(prepared: PreparedFit) -> dict[str, str]:
    """Versions, a digest of the data, where a public table is from, the header of each column."""
    from scalefit.version import __version__

    table, law = prepared.table, prepared.problem.law
    grouped = sorted({name for item in prepared.groups.values() for name in item.columns})
    headers = {f"column {name}": str(header) for name, header in table.sources.items()}
    units = {f"unit of {name}": repr(scale) for name, scale in table.scales.items()}
    return {
        "scalefit": __version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "data": data_digest(table, law, prepared.objective, grouped),
        "loss unit": table.loss_unit,
        **table.provenance,
        **headers,
        **units,
    }
