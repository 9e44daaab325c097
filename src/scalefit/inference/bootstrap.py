"""Bootstrap: refits to resampled rows, clusters or residuals, each a fit of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError, FitError
from scalefit.fitting import multistart
from scalefit.fitting.devices import named
from scalefit.fitting.diagnostics import arrived
from scalefit.fitting.grid import Candidates
from scalefit.frozen import Frozen
from scalefit.inference.derivatives import slopes
from scalefit.inference.ensemble import Ensemble, Replicates
from scalefit.inference.fitted_data import (
    FEWEST_CLUSTERS,
    FittedData,
    attach,
    clusters,
    curve_notes,
    parameters,
    require_freedom,
    run_noise,
)
from scalefit.inference.leverage import left_out
from scalefit.notes import Note
from scalefit.results.estimate import AS_DRAWN, Tails
from scalefit.results.fit import Fit, checked_fit, refuse_unknown

__all__ = ["Method", "bootstrap"]

Method = Literal["rows", "clusters", "strata", "residuals", "wild"]

# Share of the replicates for which the whole box is searched although the refit that set out from
# the fit arrived somewhere.
SEARCHED = 0.05

# Cells per axis of that search. With more nonlinear coordinates than two a search costs as much as
# a hundred refits: then those at a bound are searched in part, and so are the others where one of
# the share gained.
POINTS = 32
MOST_GRIDDED = 2

# Where searches are dear, at least so many replicates at random check that minima known from others
# were enough, round by round until none gains or this share of all is searched; no larger share of
# them is searched for ending at a bound.
FEWEST_CHECKED = 10
MOST_SEARCHED = 0.25
# Most such minima from which every replicate sets out again.
MOST_FOLLOWED = 6

# More levels of a coefficient than this at a bound share a note.
MOST_NOTED = 10

# Of fewer clusters than this there are few distinct resamples where the ends of an interval lie: of
# six, 462 in all, and the ends of 95 % where Student's t has them are one in four hundred.
FEW_CLUSTERS = 8

# More failed replicates than this share leave the tails to those that did not fail.
FAILED_SHARE = 0.01

# Budgets this close are one budget: rounding of N or D, not a design.
SAME_BUDGET = 0.05

# Replicates whose draws are made at once.
COUNTED_AT_ONCE = 4096

# Numbers of eight bytes that a replicate takes for each parameter, beside two for each run.
FIELDS = 16
COUNT = "Pass n_draws=1000, which gives two digits of an interval"

# Webb's six-point distribution: mean 0, variance 1, third moment 0.
WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])


def bootstrap(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    n_draws: int = 1000,
    *,
    method: Method = "rows",
    by: str | None = None,
    seed: int = 0,
    global_search: float = SEARCHED,
    progress: bool = True,
    device: str | None = None,
    **columns: Any,
) -> Ensemble:
    """Draws of the parameters by refitting to resampled tables.

    Every replicate is a fit: polished from the optimum of the table until its gradient is zero to
    rounding, and searched over the whole bounds for a share of the replicates, for those that end
    at a bound and for those that do not arrive. If a search finds a lower minimum than the fit led
    to in any of that share, all replicates are searched.

    Args:
        fit: the fit.
        runs: the table it was made from.
        n_draws: number of replicates.
        method: what is resampled. ``rows``: the runs, as if each had been drawn on its own.
            ``clusters``: all runs of one value of ``by`` together, for runs that share a
            trajectory, a corpus or a tuning. ``strata``: runs within each value of ``by`` (within
            each budget by default), so that the design keeps its budgets. ``residuals``: losses of
            the fitted surface plus residuals of other runs; the design is kept, and noise of one
            size is assumed. ``wild``: losses of the surface plus the run's own residual, as if the
            fit had not seen the run (or its cluster), times a random number of Webb's six, one for
            each run, or for each value of ``by``; the design is kept, and noise may differ from
            run to run and be shared within a cluster.
        by: column of the clusters or strata.
        seed: of the resampling.
        global_search: share of the replicates that is searched over the whole bounds in any case.
        progress: whether a bar is drawn once it takes more than two seconds.
        device: a device of JAX's to polish on, as for ``fit``. By default numpy on the host, JAX's
            default device where that is no processor, and a compiled program for more than 20,000
            replicates of 200 runs.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The draws, with what happened to each replicate. Replicates that did not reach an optimum
        are counted and left out of every interval. Ends of intervals are read at the percentiles
        of Student's t: see ``Ensemble.tails``.

    Raises:
        ArgumentError: an option makes no sense, or so many replicates do not fit into memory.
        DataError: the table is not the one that was fitted, leaves fewer than five residual
            degrees of freedom, or lacks the column.
        FitError: no replicate reached an optimum.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap (rows, residuals). Cameron,
        Gelbach and Miller 2008, Rev. Econ. Stat. 90(3) (clusters, wild). Webb 2023, Can. J. Econ.
        56(3) (six-point weights). Hesterberg 2014, arXiv 1411.5279 (percentiles).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> draws = sf.bootstrap(sf.fit(runs), runs, n_draws=200)
        >>> draws
        <Ensemble chinchilla: 200 draws by rows>
    """
    checked_fit(fit)
    n_draws = arguments.whole(n_draws, "n_draws", least=2, remedy=COUNT)
    _check_options(method, by)
    seed = arguments.seed(seed)
    global_search = arguments.number(
        global_search,
        "global_search",
        least=0,
        most=1,
        remedy=f"Pass a share, as global_search={SEARCHED}",
    )
    progress, device = arguments.flag(progress, "progress"), named(device)
    size = 2 * fit.nobs + FIELDS * (fit.n_free + 1)
    arguments.affordable(n_draws, "n_draws", 8 * size, remedy=COUNT)
    require_freedom(fit)
    refuse_unknown(bootstrap, fit.law, columns)
    fitted = attach(fit, runs, **columns)
    rng = np.random.default_rng(seed)
    resample = RESAMPLES[method](fitted, by, n_draws, rng)
    prepared = fitted.prepared
    search = prepared.problem, fit.objective, prepared.settings, prepared.data
    gridded = len(prepared.problem.nonlinear) <= MOST_GRIDDED
    given: dict[str, np.ndarray | None] = {"observed": resample.losses, "weight": resample.weights}
    chosen = rng.permutation(n_draws) < round(global_search * n_draws)

    def refit(which: np.ndarray, **options: Any) -> multistart.Refits:
        options |= {name: None if item is None else item[which] for name, item in given.items()}
        return multistart.refit(
            *search,
            points=POINTS if gridded else None,
            progress=progress,
            device=device,
            **options,
        )

    def follow(near: Candidates) -> multistart.Refits:
        return multistart.follow(
            *search,
            near,
            observed=resample.losses,
            weight=resample.weights,
            progress=progress,
            device=device,
        )

    every = np.arange(n_draws)
    check = max(FEWEST_CHECKED, round(global_search * n_draws))
    held = max(check, round(MOST_SEARCHED * n_draws))
    found = refit(every, near=fitted.near, global_search=chosen, held=None if gridded else held)
    improve = partial(multistart.improve, fit.objective, prepared.data, found)
    others = np.flatnonzero(~found.global_search)
    checks = None if gridded else _Checks(0, int(chosen.sum()), 0)
    if gridded and found.improved[chosen].any() and len(others):
        # What the fit leads to is not always the best: then that is to be asked of each.
        improve(others, refit(others))
    elif not gridded and found.improved.any():
        checks = _follow_others(found, improve, refit, follow, check, rng)
    usable = arrived(fit.objective, prepared.data, found) & np.isfinite(found.value)
    if not usable.any():
        raise FitError(
            f"none of {n_draws} replicates reached an optimum: resampled like this, the runs do "
            "not constrain the law. Fix or tie a parameter, or resample residuals, which keeps the "
            "design"
        )
    return Ensemble(
        fit=fit,
        params=parameters(fitted, found.coefficients, found.coordinates, found.active),
        usable=usable,
        method=method if by is None else f"{method} of {by}",
        seed=seed,
        noise=run_noise(fitted),
        replicates=Replicates(
            found.value,
            found.newton_decrement,
            found.gradient_cosine,
            found.global_search,
            found.improved,
        ),
        df_resid=fitted.freedom,
        tails=resample.tails,
        notes=(
            *curve_notes(fit, by if method != "strata" else None),
            *resample.notes,
            *_notes(fitted, found, usable, checks),
        ),
    )


class _Checks(NamedTuple):
    """What searches of further replicates said after all had set out from the minima known.

    Attributes:
        followed: number of those minima beside the fit's.
        checked: replicates searched at random in the last round.
        missed: of these, how many a lower minimum was found for.
    """

    followed: int
    checked: int
    missed: int

    @property
    def most(self) -> float:
        """Upper end, at 95 %, of the share of the others that a search would find lower."""
        from scipy.special import betaincinv

        if self.missed == self.checked:  # as of none
            return 1.0
        return float(betaincinv(self.missed + 1, self.checked - self.missed, 0.95))


def _follow_others(
    found: multistart.Refits,
    improve: Callable[[np.ndarray, multistart.Refits], np.ndarray],
    refit: Callable[[np.ndarray], multistart.Refits],
    follow: Callable[[Candidates], multistart.Refits],
    check: int,
    rng: np.random.Generator,
) -> _Checks:
    """Let every replicate set out from the minima that searches of some found, then check.

    Args:
        found: refits of all replicates, changed in place.
        improve: takes over what refits of some do better.
        refit: searches some.
        follow: where a minimum leads on each.
        check: replicates to search in a round.
        rng: chooses them.
    """
    n = len(found.value)
    # The least value that a known minimum leads to.
    reached = np.where(found.improved, np.inf, found.value)
    fresh, followed, checked, missed = np.flatnonzero(found.improved), 0, 0, 0
    while len(fresh):
        for one in fresh:
            led = reached[one] <= found.value[one] * (1 + multistart.SAME_VALUE)
            if led or followed == MOST_FOLLOWED:
                continue
            near = Candidates(found.coordinates[one], found.coefficients[one], None)
            other = follow(near)
            improve(np.arange(n), other)
            reached = np.fmin(reached, other.value)
            followed += 1
        rest = np.flatnonzero(~found.global_search)
        if not len(rest) or (checked and found.global_search.sum() >= MOST_SEARCHED * n):
            break
        some = np.sort(rng.permutation(rest)[:check])
        lower = improve(some, refit(some))
        fresh, checked, missed = some[lower], len(some), int(lower.sum())
    return _Checks(followed, checked, missed)


class _Resample(NamedTuple):
    """Weights or losses of every replicate, shape (n, rows), and what is to be said about them."""

    weights: np.ndarray | None
    losses: np.ndarray | None
    tails: Tails
    notes: tuple[Note, ...] = ()


def _rows(fitted: FittedData, _: str | None, n: int, rng: np.random.Generator) -> _Resample:
    weights = _drawn(fitted, np.zeros(len(fitted.used), dtype=int), n, rng)
    return _Resample(weights, None, _tails(fitted))


def _clusters(fitted: FittedData, by: str | None, n: int, rng: np.random.Generator) -> _Resample:
    codes = _codes(fitted, str(by))
    count = int(codes.max()) + 1
    times = _counted(n, count, rng)[:, codes] * fitted.used
    # Of G clusters drawn with replacement, spread is that of G - 1.
    tails = Tails(min(count - 1, fitted.freedom), float(np.sqrt(count / (count - 1))))
    return _Resample(_weighted(fitted, times), None, tails, _few(count, str(by)))


def _strata(fitted: FittedData, by: str | None, n: int, rng: np.random.Generator) -> _Resample:
    codes = _budgets(fitted) if by is None else _codes(fitted, by)
    sizes = np.bincount(codes[fitted.used])
    single = int(np.count_nonzero(sizes == 1))
    notes = [
        Note.of(
            "single_run_strata",
            f"{single} of {np.count_nonzero(sizes)} values of {by or 'the budget'} have one run, "
            "which stays in every replicate: the spread is understated. Resample rows instead",
            {"single": single},
        )
    ]
    several = sizes[sizes > 1]
    # Of m runs drawn with replacement, spread is that of m - 1.
    inflation = float(np.sqrt(several.sum() / (several - 1).sum())) if len(several) else 1.0
    weights = _drawn(fitted, codes, n, rng)
    tails = _tails(fitted, inflation)
    return _Resample(weights, None, tails, tuple(notes if single else ()))


def _drawn(fitted: FittedData, codes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Weights that draw each stratum's rows with replacement, as many as it has."""
    times = np.zeros((n, len(codes)), dtype=np.uint16)
    for code in np.unique(codes[fitted.used]):
        (rows,) = np.nonzero((codes == code) & fitted.used)
        times[:, rows] = _counted(n, len(rows), rng)
    return _weighted(fitted, times)


def _counted(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of so many things is drawn with replacement, as many as there are.

    Shape (n, count). Small numbers: of a hundred thousand replicates they are most of what is held
    in memory.
    """
    times = np.empty((n, count), dtype=np.uint16)
    for first in range(0, n, COUNTED_AT_ONCE):
        part = times[first : first + COUNTED_AT_ONCE]
        part[:] = rng.multinomial(count, np.full(count, 1 / count), size=len(part))
    return times


def _weighted(fitted: FittedData, times: np.ndarray) -> np.ndarray:
    """Weights of rows that were drawn so often."""
    weight = fitted.table.weight
    return times if (weight[fitted.used] == 1).all() else weight * times


def _residuals(fitted: FittedData, _: str | None, n: int, rng: np.random.Generator) -> _Resample:
    noise = fitted.residuals[fitted.used] * fitted.inflation
    return _of_losses(fitted, rng.choice(noise, (n, len(fitted.used))), Tails(fitted.freedom))


def _wild(fitted: FittedData, by: str | None, n: int, rng: np.random.Generator) -> _Resample:
    rows = len(fitted.used)
    codes = np.arange(rows) if by is None else _codes(fitted, by)
    count = int(codes.max()) + 1
    around = slopes(fitted.prepared.problem, fitted.prepared.data, fitted.point)
    jacobian = around.jacobian[fitted.used][:, ~fitted.held]
    without = left_out(
        jacobian[:, jacobian.any(axis=0)],
        fitted.table.weight[fitted.used],
        fitted.residuals[fitted.used],
        None if by is None else codes[fitted.used],
    )
    noise = np.zeros(rows)
    noise[fitted.used] = without.values
    factors = rng.choice(WEBB, (n, count))[:, codes]
    tails = Tails(fitted.freedom if by is None else min(count - 1, fitted.freedom))
    notes = () if by is None else _few(count, by)
    if fitted.fit.objective.robust != "none":
        notes += (
            Note.of(
                "wild_with_robust",
                "residuals times random numbers are rarely small, and a robust objective rests on "
                "the small ones: such intervals of 95 % held 89 to 93 % in simulations. Resample "
                "rows, or use covariance",
            ),
        )
    return _of_losses(fitted, noise * factors, tails, notes)


RESAMPLES: Mapping[str, Any] = Frozen(
    {
        "rows": _rows,
        "clusters": _clusters,
        "strata": _strata,
        "residuals": _residuals,
        "wild": _wild,
    }
)


def _tails(fitted: FittedData, inflation: float = 1.0) -> Tails:
    """Of resampled runs: a robust objective's spread is on the wide side as it is."""
    if fitted.fit.objective.robust != "none":
        return AS_DRAWN
    return Tails(fitted.freedom, inflation)


def _of_losses(
    fitted: FittedData, noise: np.ndarray, tails: Tails, notes: tuple[Note, ...] = ()
) -> _Resample:
    """Losses of the surface with noise, as the objective measures it."""
    kind = fitted.fit.objective.residual
    predicted = fitted.predicted
    if kind == "log":
        losses = predicted * np.exp(noise)
    elif kind == "raw":
        losses = predicted + noise
    else:
        # A relative residual of one or more would be of a loss without limit.
        losses = predicted / (1 - np.minimum(noise, 0.9))
    return _Resample(None, losses, tails, notes)


def _codes(fitted: FittedData, by: str) -> np.ndarray:
    """Number of each row's cluster, shape (rows,); rows without weight are of the first one."""
    found = np.zeros(len(fitted.used), dtype=int)
    found[fitted.used] = clusters(fitted, by)[1]
    return found


def _budgets(fitted: FittedData) -> np.ndarray:
    """Number of each row's budget: 6ND, those within five percent of the next together."""
    if not {"N", "D"} <= set(fitted.fit.law.columns):
        raise DataError(
            f"{fitted.fit.law.name!r} is a law of {', '.join(fitted.fit.law.columns)}: it has no "
            "budgets to resample within",
            remedy="Name the column of the strata, as by='corpus'",
        )
    logs = np.log(fitted.prepared.columns["N"]) + np.log(fitted.prepared.columns["D"])
    order = np.argsort(logs)
    codes = np.empty(len(logs), dtype=int)
    codes[order] = np.r_[0, np.cumsum(np.diff(logs[order]) > SAME_BUDGET)]
    return codes


def _few(count: int, by: str) -> tuple[Note, ...]:
    if count >= FEW_CLUSTERS:
        return ()
    compare = f"Compare covariance(fit, runs, by={by!r}), or add clusters"
    if count < FEWEST_CLUSTERS:
        compare = "Add clusters"
    return (
        Note.of(
            "few_clusters",
            f"{by} has {count} values, fewer than {FEW_CLUSTERS}: ends of intervals lie among few "
            f"distinct resamples. {compare}",
            {"clusters": count},
        ),
    )


def _notes(
    fitted: FittedData, found: multistart.Refits, usable: np.ndarray, checks: _Checks | None
) -> list[Note]:
    notes = []
    failed = int(np.count_nonzero(~usable))
    if failed:
        notes.append(
            Note.of(
                "replicates_failed",
                f"{failed} of {len(usable)} replicates did not reach an optimum and are left out: "
                "the intervals are of the others. Below about 1 % that hardly matters; above, some "
                "combination of the parameters is not constrained by such tables",
                {"failed": failed, "replicates": len(usable)},
                severity="warning" if failed > FAILED_SHARE * len(usable) else "info",
            )
        )
    if found.improved.any():
        notes.append(_other_minima(found, checks))
    elif checks is not None and not found.global_search.all():
        notes.append(_few_searched(found, checks))
    return notes + _bound_notes(fitted, found.active[usable].mean(axis=0))


def _bound_notes(fitted: FittedData, shares: np.ndarray) -> list[Note]:
    """Parameters that end at a bound in a share of the replicates, shape (p,)."""
    problem = fitted.prepared.problem
    ends = np.cumsum([0, *problem.widths])
    own = [range(a, b) for a, b in pairwise(ends)]
    own += [range(place, place + 1) for place in range(int(ends[-1]), problem.size)]
    notes = []
    for places in own:
        held = [(problem.names[i][0], float(shares[i])) for i in places if shares[i] > 0]
        said = [f"{100 * share:.2g} %" for _, share in held]
        if len(held) > MOST_NOTED:
            name, share = held[0][0].partition("[")[0], max(share for _, share in held)
            said = [f"up to {100 * share:.2g} %, for {len(held)} of its {len(places)} levels,"]
            held = [(name, share)]
        notes += [
            Note.of(
                "draws_at_bound",
                f"{name} ends at a bound in {text} of the replicates: its interval ends there "
                "because the bound does",
                {"parameter": name, "share": share},
                severity="warning" if share > 0.025 else "info",
            )
            for (name, share), text in zip(held, said, strict=True)
        ]
    return notes


def _other_minima(found: multistart.Refits, checks: _Checks | None) -> Note:
    improved, global_search = int(found.improved.sum()), int(found.global_search.sum())
    said = ""
    details: dict[str, float] = {"improved": improved, "global_search": global_search}
    rest = len(found.value) - global_search
    if checks is not None and rest:
        minima = f"{checks.followed} other minim{'um' if checks.followed == 1 else 'a'}"
        said = (
            f". {global_search} were searched over the whole bounds; the other {rest} set out from "
            f"the fit and from {minima} found there. Of the last {checks.checked} searched at "
            f"random, {checks.missed} gained by it: of the others at most {100 * checks.most:.2g} "
            "% would (95 %). global_search=1.0 searches all"
        )
        details |= {"checked": checks.checked, "missed": checks.missed, "most": checks.most}
    return Note.of(
        "other_minima",
        f"in {improved} of {len(found.value)} replicates another minimum is lower than the one "
        "that the fit leads to: the draws may fall into groups. Look at plot.pairs before "
        f"quoting an interval{said}",
        details,
        severity="warning" if said and checks is not None and checks.missed else "info",
    )


def _few_searched(found: multistart.Refits, checks: _Checks) -> Note:
    global_search = int(found.global_search.sum())
    return Note.of(
        "few_searched",
        f"{global_search} of {len(found.value)} replicates were searched over the whole bounds, "
        f"{checks.checked} of them at random, and the fit led to the least minimum of each: of the "
        f"others, which are not searched, at most {100 * checks.most:.2g} % have a lower one "
        "(95 %). global_search=1.0 searches all",
        {"global_search": global_search, "checked": checks.checked, "most": checks.most},
    )


def _check_options(method: str, by: str | None) -> None:
    """Refuse a method that does not go with its column."""
    arguments.choice(method, "method", get_args(Method))
    if by is not None:
        arguments.text(by, "by", remedy="Pass the name of a column, as by='corpus'")
    if method == "clusters" and by is None:
        raise ArgumentError(
            "by=None names no clusters, which method='clusters' resamples",
            argument="by",
            value=by,
            remedy="Pass the column that says which runs belong together, as by='corpus'",
        )
    if method in ("rows", "residuals") and by is not None:
        raise ArgumentError(
            f"by={arguments.shown(by)} names clusters or strata, and method={method!r} resamples "
            "single runs",
            argument="by",
            value=by,
            remedy="Use method='clusters' or 'wild' for runs that depend on each other, "
            "method='strata' to keep the number of runs of each value",
        )
