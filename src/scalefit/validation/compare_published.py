"""compare_published(): published coefficients and a fit on the same runs, by one objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit.allocation.optimum import allocate
from scalefit.arguments import number, refused
from scalefit.errors import ArgumentError, DataError, ScalefitError, listed
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.fitting.search import polish_from
from scalefit.inference.covariance import Covariance, covariance
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import FittedData, attach
from scalefit.notes import Note
from scalefit.objective import evaluate
from scalefit.results.dependence import dependence_notes
from scalefit.results.domain import unit_mismatch
from scalefit.results.estimate import Estimate
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.literature import published as published_fit
from scalefit.results.literature import stated
from scalefit.results.prediction import refuse_unknown
from scalefit.runtime.settings import quiet
from scalefit.validation.coefficient_units import converted, read_units
from scalefit.validation.likelihood_ratio import likelihood_ratio
from scalefit.validation.published_comparison import Exponents, PublishedComparison

__all__ = ["compare_published"]

# Draws of the exponent's interval: two digits of its ends.
N_DRAWS = 1000

PUBLISHED = (
    "Name a published fit, as published='besiroglu', pass scalefit.published(...), or every "
    "coefficient by name, as published={'E': 1.69, 'A': 406.4}"
)


def compare_published(
    fit: Fit | Ensemble,
    runs: Any,
    published: str | Fit | Mapping[str, float] | None = None,
    *,
    units: Mapping[str, float] | None = None,
    **columns: Any,
) -> PublishedComparison:
    """Published coefficients beside a fit to the same runs: whose optimum is lower, and how far.

    The objective of the fit is evaluated at both. For whether a published fit is the optimum of its
    own objective, fit by that one: its residual, its penalty, its delta, the rows it kept, and
    what it held fixed. A descent from the published coefficients says whether they are on the way
    to the fit, as where an optimiser stopped early, or at a minimum of their own.

    Args:
        fit: the fit, or draws of it (:func:`scalefit.bootstrap`), whose intervals are then shown;
            else they are those of :func:`scalefit.covariance`.
        runs: the table it was made from.
        published: name of a published fit of the law, as for :func:`scalefit.published`; may be
            left out where there is only one. Or a published fit, or every coefficient by name.
        units: what one unit of the published coefficients is in the unit of the table, by column,
            as ``{"x": 8.64e19}`` for PF-days beside FLOP; by default the same units.
        **columns: headers and options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The comparison: ``lower``, ``excess``, ``published_is``, ``likelihood_ratio``,
        ``to_frame()``, ``verdict()``.

    Raises:
        ArgumentError: there is no such published fit, or coefficients are missing.
        LawError: no fit of the law is published.
        DataError: the table is not the one that was fitted, or it is in other units than the
            published coefficients; the fit did not converge, or leaves no degree of freedom.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.003)
        >>> found = sf.compare_published(sf.fit(runs), runs, "hoffmann_unrounded")
        >>> found.lower, found.published_is
        ('fit', 'on the way')
    """
    draws = fit if isinstance(fit, Ensemble) else None
    fit = checked_fit(fit.fit if isinstance(fit, Ensemble) else fit)
    refuse_unknown(compare_published, fit.law, columns)
    fitted = attach(fit, runs, **columns)
    prepared = fitted.prepared
    other = _published(fit, published)
    factors = read_units(units, fit.law)
    if factors and fit.groups:
        raise ArgumentError(
            "units= converts the coefficients of one surface, and these are grouped",
            argument="units",
            value=units,
            remedy="Give the table's columns in the units of the paper",
        )
    _require_same_units(fit, other, prepared, factors)
    if factors:
        params = converted(fit.law, other.params, factors, prepared.columns)
        other = stated(fit.law, params, other.notes, provenance=other.provenance)
    value = _objective(prepared, other.params)
    local = _descent(prepared, other.params)
    intervals, failure = _covariance(fit, fitted) if draws is None else (draws, "")
    found = PublishedComparison(
        fit=fit,
        published=other,
        source=_source(other),
        value=value,
        local=local,
        local_value=_objective(prepared, local),
        likelihood_ratio=likelihood_ratio(
            fit.objective, fit.objective_value, value, prepared.weight
        ),
        exponents=_exponents(fit, other, intervals),
        intervals=intervals,
    )
    return _with_notes(found, failure)


def _published(fit: Fit, published: Any) -> Fit:
    """The published coefficients, in the order of the fit's.

    Raises:
        ArgumentError: they are of another law, or some are missing.
    """
    law = fit.law
    if published is None or isinstance(published, str):
        found = published_fit(law, published)
    elif isinstance(published, Fit):
        found = published
        if found.law is not law:
            raise ArgumentError(
                f"the published coefficients are of {found.law.name!r}, the fit is of {law.name!r}",
                argument="published",
                value=published,
                remedy="Fit the law that they are of",
            )
    elif isinstance(published, Mapping):
        params = {
            name: number(value, f"published[{name!r}]", remedy=PUBLISHED)
            for name, value in published.items()
        }
        found = stated(law, params)
    else:
        raise refused("published", published, "published coefficients", PUBLISHED)
    missing = [name for name in fit.params if name not in found.params]
    if missing:
        raise ArgumentError(
            f"the published coefficients lack {listed(missing)}",
            argument="published",
            value=published,
            remedy=f"The fit has {listed(list(fit.params))}: give all of them, or fit one level "
            "of a grouped law alone"
            if fit.groups
            else PUBLISHED,
        )
    unknown = [name for name in found.params if name not in fit.params]
    if unknown and isinstance(published, Mapping):
        raise ArgumentError(
            f"published has {listed(unknown)}, and the fit has {listed(list(fit.params))}",
            argument="published",
            value=published,
            remedy="Name every coefficient as the fit does",
        )
    kept = {name: found.params[name] for name in fit.params}
    return stated(law, kept, found.notes, found.domain, found.provenance)


def _require_same_units(
    fit: Fit, other: Fit, prepared: PreparedFit, factors: Mapping[str, float]
) -> None:
    """Raise where the table is in other units than the runs that the coefficients are from.

    Raises:
        DataError: sizes are thousands of times those of the published runs, or losses are in
            another unit than nats per token.
    """
    own = {name: values / factors.get(name, 1.0) for name, values in prepared.columns.items()}
    for note in unit_mismatch(other.domain, own):
        raise DataError(
            f"{note.message.partition(':')[0]} of the published fit: they are in other units",
            column=next(iter(note.details)),
            remedy="Fit the table in raw counts, as N=('size', 1e6), or say what a unit of "
            "the paper is in the table's, as units={'N': 1e-6}",
        )
    named = other.provenance.get("configuration", "")
    own_unit = fit.loss_unit
    if (
        named
        and fit.law.response == "loss"
        and own_unit not in ("", "nats/token")
        and fit.law.response not in factors
    ):
        raise DataError(
            f"the losses of the table are in {own_unit}, and the published coefficients of "
            f"{named!r} are for nats per token",
            column=fit.law.response,
            remedy="Fit losses per token, with bytes_per_token=, or say what a nat per token is "
            "in the table's unit, as units={'loss': 0.25}",
        )


@quiet()
def _objective(prepared: PreparedFit, params: Mapping[str, float]) -> float:
    """The objective at coefficients; infinite where it has no value."""
    predicted = prepared.predict(params)
    value, _ = evaluate(prepared.objective, prepared.observed, predicted, prepared.weight)
    return value if np.isfinite(value) else float("inf")


def _descent(prepared: PreparedFit, params: Mapping[str, float]) -> dict[str, float]:
    """Where a descent from coefficients ends."""
    problem, count = prepared.problem, len(prepared.problem.owners)
    ends = prepared.settings.ends[count:]
    nonlinear = {
        group[0]: float(np.clip(params[group[0]], low, high))
        for group, (low, high) in zip(problem.nonlinear, ends, strict=True)
    }
    polished = polish_from(problem, prepared.objective, prepared.data, prepared.settings, nonlinear)
    return problem.parameters(
        polished.coefficients[0], polished.coordinates[0], prepared.data.fixed
    )


def _covariance(fit: Fit, fitted: FittedData) -> tuple[Covariance | None, str]:
    """What intervals are from; or none, and why."""
    try:
        found = covariance(fit, fitted.table)
        found.conf_int()
    except DataError as error:
        return None, str(error)
    return found, ""


def _exponents(fit: Fit, other: Fit, intervals: Ensemble | Covariance | None) -> Exponents | None:
    """Exponents of the compute-optimal N at the largest 6ND of the runs, where they exist."""
    budget = fit.domain.get("6ND", (np.nan, np.nan))[1]
    if not np.isfinite(budget):
        return None
    draws = intervals.draws(N_DRAWS) if isinstance(intervals, Covariance) else intervals
    try:
        fitted = allocate(fit if draws is None else draws, budget)
        published = allocate(other, budget)
        found = fitted.estimate("n_exponent") if draws is not None else None
    except ScalefitError:
        return None
    own = Estimate(np.asarray(fitted.n_exponent), np.empty(0)) if found is None else found
    if not np.isfinite([float(own.value), float(published.n_exponent)]).all():
        return None
    return Exponents(float(budget), float(published.n_exponent), own)


def _source(other: Fit) -> str:
    """Where coefficients are from, in words."""
    said = [other.provenance.get(name, "") for name in ("source", "where")]
    return ", ".join(item for item in said if item) or "given by name"


def _bound_notes(published: Fit) -> list[Note]:
    """A note on coefficients with values that their kinds do not have, as a negative exponent."""
    own = {item.name: item.kind for item in published.law.params if item.kind.column is None}
    beyond = []
    for name, value in published.params.items():
        kind = own.get(name.partition("[")[0])
        if kind is not None and not kind.lower <= value <= kind.upper:
            beyond.append(f"{name} = {value:.5g}, {kind.lower:g} to {kind.upper:g}")
    if not beyond:
        return []
    return [
        Note.of(
            "published_outside_bounds",
            f"published coefficients are outside the bounds of the law ({'; '.join(beyond)}): they "
            f"may be of another form or sign than {published.law.formula}",
            {"outside": beyond},
        )
    ]


def _with_notes(found: PublishedComparison, failure: str) -> PublishedComparison:
    """The comparison with its notes, and why there are no intervals where there are none."""
    notes = []
    if found.lower == "published":
        notes.append(
            Note.of(
                "published_lower",
                f"the published coefficients have {found.value:.9g}, the fit "
                f"{found.fit.objective_value:.9g}: the fit may not go where they are, or its "
                "search missed them",
                {"published": found.value, "fit": found.fit.objective_value},
            )
        )
    if found.published_is == "at another minimum":
        notes.append(
            Note.of(
                "published_other_minimum",
                "a descent from the published coefficients ends above the fit, at "
                + listed([f"{name} = {value:.5g}" for name, value in found.local.items()]),
                {"objective": found.local_value, "params": dict(found.local)},
            )
        )
    notes += _bound_notes(found.published)
    if failure:
        notes.append(Note.of("published_no_interval", f"no intervals: {failure}", {}))
    every = [*notes, *found.published.notes, *found.fit.carried]
    every += dependence_notes(found.fit.notes)
    return replace(found, notes=tuple(every))
