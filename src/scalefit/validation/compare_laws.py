"""compare(): several laws on one table, by one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.calls import checked_call
from scalefit.data.loss_units import LossUnit
from scalefit.data.subsets import subset
from scalefit.data.table import LossTable, Missing, as_table
from scalefit.errors import ArgumentError, DataError, FitError
from scalefit.fitting.devices import Devices, checked_devices
from scalefit.frozen import Frozen
from scalefit.inference.subset_fits import SubsetFit
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.objective import Objective, Residual, Robust, measure, residuals
from scalefit.problem.response_groups import responses_for
from scalefit.results.dependence import dependence_notes
from scalefit.results.prediction import refuse_unknown
from scalefit.runtime.progress import counting, with_progress
from scalefit.validation.candidates import (
    Candidate,
    FittedCandidate,
    fitted,
    predicted_by,
    read_laws,
    with_groups,
)
from scalefit.validation.comparison_folds import common_folds
from scalefit.validation.comparison_result import Comparison
from scalefit.validation.folds import Blocks, Fold, Scheme
from scalefit.validation.information_criteria import criteria, no_likelihood
from scalefit.validation.nested_tests import NestedTest, frame_of_tests, nested_tests
from scalefit.validation.paired_differences import differences, root_mean_square
from scalefit.validation.training_noise import noise_draws, predictions_with_noise

__all__ = ["compare"]

# Below five runs the quantile of Student's t is above 3: only a factor would be seen.
FEWEST_RUNS = 5

BY = "Name a column that divides the runs, as by='N'"
RULE = "Pass a rule as for keep=, as test='C > 1e21'"

SCHEMES: tuple[Scheme, ...] = ("largest", "rolling", "groups")


@checked_call()
@with_progress
def compare(
    runs: Any,
    laws: Sequence[str | Law] | Mapping[str, Mapping[str, Any]],
    *,
    by: str | None = None,
    scheme: Scheme = "largest",
    hold: int = 1,
    test: str | None = None,
    groups: str | Sequence[str] | None = None,
    residual: Residual = "log",
    robust: Robust = "huber",
    delta: float = 1e-3,
    asymmetry: float = 10.0,
    replicates: int = 0,
    seed: int = 0,
    keep: str | Sequence[str] = (),
    missing: Missing = "raise",
    loss_unit: LossUnit | None = None,
    bytes_per_token: float | None = None,
    responses: Sequence[str] | None = None,
    progress: bool = True,
    devices: Devices = None,
    **columns: str | tuple[str, float],
) -> Comparison:
    """Which law predicts runs that it has not seen, and whether that is certain.

    Every law is fitted by the same objective to the same rows, and predicts the same held-out runs
    from the same training runs. Laws are ordered by the root mean square error of those
    predictions. Differences are paired run by run, with intervals that hold for all pairs together.
    A law that is a restriction of another one is tested against it on all rows.

    Args:
        runs: a table from :func:`scalefit.read`, or whatever that takes, one run per row.
        laws: names of laws, or laws; or a mapping from labels to options of their own, as
            ``{"chinchilla": {}, "no floor": {"law": "chinchilla", "fixed": {"E": 0}}}``, with
            ``law``, ``fixed``, ``bounds``, ``tied`` and ``groups`` as for :func:`scalefit.fit`.
        by: column of the blocks that are held out together; by default the compute, and for laws
            of one column half octaves of it.
        scheme: ``largest``: the largest blocks from all others; ``rolling``: each block from those
            below it; ``groups``: each block from all others.
        hold: number of blocks that are held out at once.
        test: rule of the runs to hold out in place of a scheme, as ``C > 1e21``.
        groups: a categorical column: each law is compared ``pooled``, with exponents ``shared`` by
            its levels (all linear coefficients differ), and fitted to each level ``alone``.
        residual: of the objective, and of the errors; as for ``fit``.
        robust: as for ``fit``.
        delta: as for ``fit``.
        asymmetry: as for ``fit``.
        replicates: tables simulated from the smaller law of each nested pair, for p values where no
            distribution is known, as of a bend; 199 or more. 0: none, and other p values by F.
        seed: of that simulation.
        keep: rules a row must satisfy (DataFrames only).
        missing: what to do about incomplete rows (DataFrames only).
        loss_unit: unit of the losses (DataFrames only).
        bytes_per_token: of losses per byte (DataFrames only).
        responses: headers of several responses, as for :func:`scalefit.fit`.
        progress: whether a line shows what is going on once it takes more than a second.
        devices: where to fit the folds and the simulated tables, as for :func:`scalefit.bootstrap`.
        **columns: headers of the quantities, as for ``fit`` (DataFrames only).

    Returns:
        The comparison: ``best``, ``fit``, ``tests``, ``to_frame()``, ``verdict()``.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is malformed, no fold leaves enough runs, or fewer than two laws can
            be compared.
        LawError: a law is unknown.

    Source:
        Diebold and Mariano 1995, J. Business and Economic Statistics 13(3) (paired differences of
        losses); Hsu 1996, Multiple Comparisons, chapter 4 (comparisons with the best).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(points=7))
        >>> found = sf.compare(runs, ["chinchilla", "chinchilla_n"])
        >>> found.best
        'chinchilla'
        >>> found.to_frame()["verdict"].to_dict()
        {'chinchilla': 'best', 'chinchilla_n': 'worse'}
    """
    candidates, objective = read_laws(laws), Objective(residual, robust, delta, asymmetry)
    arguments.choice(scheme, "scheme", SCHEMES)
    hold = arguments.whole(hold, "hold", least=1, remedy="Hold out one block, as hold=1")
    remedy = "Simulate a few hundred tables, as replicates=199, or none"
    replicates = arguments.whole(replicates, "replicates", least=0, remedy=remedy)
    seed, by, test = arguments.seed(seed), _text(by, "by", BY), _text(test, "test", RULE)
    devices = checked_devices(devices)
    known = {name for item in candidates for name in (*item.law.columns, item.law.response)}
    refuse_unknown(compare, None, {k: v for k, v in columns.items() if k not in known})
    table = as_table(
        runs,
        keep=keep,
        missing=missing,
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
        responses=responses_for(candidates[0].law, responses),
        **columns,
    )
    if groups is not None:
        candidates = with_groups(candidates, table, groups)
    _comparable(candidates)
    found, notes = _fits(candidates, table, objective)
    folds, blocks, small = common_folds(
        table,
        [item.candidate.law for item in found],
        max(max(fit.n_free for fit in item.fits) for item in found),
        by=by,
        scheme=scheme,
        hold=hold,
        test=test,
    )
    held = _held(found, table, folds, objective, devices)
    notes += held.notes
    tests = nested_tests(held.found, table, replicates, seed, devices)
    small += len(folds) - len(held.folds)
    return _result(held, table, objective, small, blocks, tests, notes)


def _text(value: Any, argument: str, remedy: str) -> str | None:
    return None if value is None else arguments.text(value, argument, remedy=remedy)


def _comparable(candidates: Sequence[Candidate]) -> None:
    """Raise where there is nothing to compare.

    Raises:
        ArgumentError: one candidate only, or laws of different responses.
    """
    if len(candidates) < 2:
        raise ArgumentError(
            f"{candidates[0].label!r} alone is no comparison",
            argument="laws",
            value=candidates[0].label,
            remedy="Name another law, as laws=['chinchilla', 'chinchilla_outer'], or hold runs "
            "out of one law's fit",
        )
    responses = {item.law.response: item.label for item in candidates}
    if len(responses) > 1:
        (one, first), (two, second) = list(responses.items())[:2]
        raise ArgumentError(
            f"{first!r} predicts {one}, and {second!r} {two}: their errors do not compare",
            argument="laws",
            value=second,
            remedy="Compare laws of one response",
        )


def _fits(
    candidates: Sequence[Candidate], table: LossTable, objective: Objective
) -> tuple[list[FittedCandidate], list[Note]]:
    """Candidates fitted to all rows, and a note on each that cannot be.

    Raises:
        DataError: fewer than two can be.
    """
    found: list[FittedCandidate] = []
    notes: list[Note] = []
    first: Exception | None = None
    with counting("fitting", len(candidates), "laws") as stage:
        for item in candidates:
            try:
                found.append(fitted(item, table, objective))
            except (DataError, FitError) as error:
                first = first or error
                notes.append(_left_out(item.label, str(error)))
            stage.update()
    if len(found) < 2 and first is not None:
        raise first
    return found, notes


def _left_out(label: str, why: str) -> Note:
    return Note.of(
        "law_left_out",
        f"{label} is left out of the comparison: {why}",
        {"law": label, "reason": why},
    )


class _Held(NamedTuple):
    """Held-out runs that every law predicts.

    Attributes:
        found: the laws.
        folds: the folds that every law was fitted to.
        fold: number of the fold of each run, shape (m,).
        row: number of its row, shape (m,).
        errors: observed minus predicted of each law, shape (laws, m).
        reach: decades outside the runs of the fit, the most of all laws, shape (m,).
        last: fits of the last fold of each law, with the rows that they are about.
        notes: on laws and runs that were left out.
    """

    found: list[FittedCandidate]
    folds: tuple[Fold, ...]
    fold: np.ndarray
    row: np.ndarray
    errors: np.ndarray
    reach: np.ndarray
    last: list[tuple[tuple[SubsetFit, np.ndarray], ...]]
    notes: list[Note]


def _held(
    found: Sequence[FittedCandidate],
    table: LossTable,
    folds: Sequence[Fold],
    objective: Objective,
    devices: Devices,
) -> _Held:
    """Errors of all laws on the runs that all of them predict.

    A law that has no fit to the last fold is left out. So is a fold to which some other law has
    none, and a run that some law cannot predict.
    """
    parts = []
    with counting("holding out", len(found), "laws") as stage:
        for item in found:
            parts.append(predicted_by(item, table, folds, devices))
            stage.update()
    notes, kept = [], []
    for item, part in zip(found, parts, strict=True):
        last = part.predicted[-int(folds[-1].test.sum()) :]
        if np.isnan(last).all():
            why = part.failures[-1] or "it predicts no held-out run"
            notes.append(_left_out(item.label, why))
        kept.append(not np.isnan(last).all())
    if sum(kept) < 2:
        raise DataError(
            f"fewer than two laws predict the runs of {folds[-1].name}: {notes[0].message}",
            remedy="Hold out fewer runs, or leave the law out",
        )
    chosen = [item for item, keep in zip(found, kept, strict=True) if keep]
    parts = [part for part, keep in zip(parts, kept, strict=True) if keep]
    predicted = np.array([part.predicted for part in parts])
    far = np.array([part.reach for part in parts])
    fold = np.repeat(np.arange(len(folds)), [int(item.test.sum()) for item in folds])
    row = np.concatenate([np.flatnonzero(item.test) for item in folds])
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = table.column(chosen[0].candidate.law.response)[row]
        errors = np.asarray(residuals(measure(objective), observed, predicted))
    usable = np.isfinite(errors).all(axis=0)
    failed = np.unique(fold[~usable])
    if len(failed):
        notes.append(
            Note.of(
                "held_out_left_out",
                f"{int(np.sum(~usable))} of {len(usable)} held-out runs are predicted by some law "
                f"and not by another, and are left out ({folds[failed[0]].name} first)",
                {"runs": int(np.sum(~usable)), "of": len(usable)},
            )
        )
    there = np.unique(fold[usable])
    return _Held(
        chosen,
        tuple(folds[k] for k in there),
        np.searchsorted(there, fold[usable]),
        row[usable],
        errors[:, usable],
        np.max(far[:, usable], axis=0),
        [part.last for part in parts],
        notes,
    )


def _noisy_errors(held: _Held, table: LossTable, objective: Objective) -> np.ndarray | None:
    """Errors where the training runs have other noise, the same for all laws.

    Of shape (laws, draws, m); None where folds have training runs of their own.
    """
    if len(held.folds) > 1:
        return None
    (fold,) = held.folds
    noise = noise_draws(held.found, table)
    observed = table.column(held.found[0].candidate.law.response)[held.row]
    every = []
    for parts in held.last:
        predicted = np.full((len(noise), len(table)), np.nan)
        for one, own in parts:
            mine = own & fold.test
            drawn = noise[:, own & fold.train]
            predicted[:, mine] = predictions_with_noise(one, subset(table, mine), drawn)
        every.append(residuals(measure(objective), observed, predicted[:, held.row]))
    return np.array(every)


def _result(
    held: _Held,
    table: LossTable,
    objective: Objective,
    dropped: int,
    blocks: Blocks | None,
    tests: Sequence[NestedTest],
    notes: Sequence[Note],
) -> Comparison:
    size = root_mean_square(held.errors)
    order = np.argsort(size, kind="stable")
    found = [held.found[k] for k in order]
    held = held._replace(found=found, errors=held.errors[order], last=[held.last[k] for k in order])
    size = size[order]
    free = np.array([not item.at_search_bound for item in found])
    # Under a rule there are no blocks: single runs are what varies.
    owner = np.zeros(len(held.row)) if blocks is None else blocks.codes[held.row]
    noisy = _noisy_errors(held, table, objective)
    labels = tuple(item.label for item in found)
    used = table.weight > 0
    why = no_likelihood(objective, table)
    both = criteria(found, table)
    rows = pd.DataFrame(
        {
            "free": [item.n_free for item in found],
            "spread": [root_mean_square(item.residuals[used]) for item in found],
            "error": size,
            "mean_abs": np.mean(np.abs(held.errors), axis=1),
            "reach": float(held.reach.max()),
            "aicc": np.nan if why else both.aicc,
            "bic": np.nan if why else both.bic,
        },
        index=pd.Index(labels, name="law"),
    )
    fits = {
        item.label: item.fits[0]
        if item.levels == ("",)
        else Frozen(dict(zip(item.levels, item.fits, strict=True)))
        for item in found
    }
    runs = pd.DataFrame(
        {
            "fold": [held.folds[k].name for k in held.fold],
            "row": [table.rows[k] for k in held.row],
            "reach": held.reach,
            **dict(zip(labels, held.errors, strict=True)),
        }
    )
    return Comparison(
        laws=labels,
        best=labels[int(np.argmax(free))] if free.any() else labels[0],
        fits=Frozen(fits),
        weights=Frozen(dict(zip(labels, _weights(size, free), strict=True))),
        objective=objective,
        folds=tuple(fold.name for fold in held.folds),
        held_out=runs,
        tests=frame_of_tests(tests),
        notes=(
            *notes,
            *dependence_notes(found[0].fits[0].notes),
            *_result_notes(found, tests, why, dropped, len(held.row)),
        ),
        _rows=rows,
        _differences=differences(held.errors, owner, noisy),
    )


def _weights(size: np.ndarray, free: np.ndarray) -> list[float]:
    """In proportion to one over the error; zero where a fit ended where the search ends."""
    chosen = free if free.any() else np.ones_like(free)
    # Laws that pass through every held-out run share all the weight.
    exact = chosen & (size == 0)
    inverse = exact * 1.0 if exact.any() else chosen / np.where(size > 0, size, 1.0)
    return [float(item) for item in inverse / inverse.sum()]


def _result_notes(
    found: Sequence[FittedCandidate],
    tests: Sequence[NestedTest],
    why: str,
    dropped: int,
    runs: int,
) -> list[Note]:
    notes = [
        Note.of(
            "held_at_search_bound",
            f"{item.label} ended with {', '.join(names)} where the search ends: it is neither "
            "chosen nor weighed, as nothing in the runs holds it there. Widen its bounds=, or fix "
            "the parameter",
            {"law": item.label, "parameters": list(names)},
        )
        for item in found
        if (names := item.at_search_bound)
    ]
    notes += [
        Note.of(
            "no_p_value",
            f"{test.law} within {test.within} has no p value: {test.why}",
            {"law": test.law, "within": test.within, "reason": test.why},
        )
        for test in tests
        if test.why
    ]
    if why:
        notes.append(Note.of("no_criteria", f"no AICc and no BIC: {why}", {"reason": why}))
    if runs < FEWEST_RUNS:
        notes.append(
            Note.of(
                "few_held_out",
                f"{runs} held-out {'run says' if runs == 1 else 'runs say'} little about any "
                f"law, fewer than {FEWEST_RUNS}: hold out more blocks, as hold=3, or each in turn, "
                "as scheme='rolling'",
                {"runs": runs},
            )
        )
    if dropped:
        notes.append(
            Note.of(
                "folds_left_out",
                f"folds left out, as some law has too few training runs there: {dropped}",
                {"folds": dropped},
            )
        )
    return notes
