"""optimal_mixture(): the shares of least loss, under caps, with a pull and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.mixture_notes import SAME, mixture_notes
from scalefit.allocation.mixture_objective import (
    Domains,
    MixtureObjective,
    Params,
    Target,
    domains_of,
)
from scalefit.allocation.mixture_options import (
    EPOCHS,
    caps_of,
    limits_of,
    natural_shares,
    normal_weights,
    other_columns,
)
from scalefit.allocation.mixture_result import GAIN, OptimalMixture
from scalefit.allocation.paired_draws import require_alike
from scalefit.allocation.simplex_search import HELD, inside, minimise
from scalefit.allocation.unit_checks import require_units
from scalefit.arguments import mapping, number, refused, text
from scalefit.calls import checked_call
from scalefit.data.several_responses import RESPONSE
from scalefit.data.table import LossTable
from scalefit.errors import AllocationError
from scalefit.frozen import Frozen
from scalefit.laws.mixture import convex_in_shares
from scalefit.notes import Note
from scalefit.results.estimate import Draws
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.progress import with_progress
from scalefit.runtime.settings import quiet

__all__ = ["optimal_mixture"]

# Starts beside one near each corner, where a law may have several optima.
STARTS = 16
# Ends of the tokens that another mixture may take, as a multiple of those of the run.
MOST = 1e6
HALVINGS = 60


@dataclass(frozen=True)
class _Problem:
    """What is minimised, and between which limits."""

    objective: MixtureObjective
    domains: Domains
    low: np.ndarray
    high: np.ndarray
    convex: bool

    def solve(self, params: Params, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the search from each start, and their values.

        Args:
            params: of each response, by name: numbers, or one for each start.
            starts: shape (starts, domains).
        """
        found = minimise(
            lambda shares: self.objective.derivatives(shares, params),
            lambda shares: self.objective.value(shares, params),
            self.low,
            self.high,
            starts,
        )
        # Where slopes span many powers of ten, as in draws at a bound, a search ends by its count
        # of steps, with a value that is right to some 1e-6 of them: good enough to be kept.
        return found.shares, np.where(np.isfinite(found.value), found.value, np.inf)

    def starts(self) -> np.ndarray:
        """Mixtures strictly between the limits: one of a convex problem, else many."""
        middle = inside(self.low, self.high)
        if self.convex:
            return middle[None]
        rng = np.random.default_rng(0)
        size = len(self.low)
        orders = [np.roll(np.arange(size), -i) for i in range(size)]
        orders += [rng.permutation(size) for _ in range(STARTS)]
        parts = [0.9] * size + list(rng.uniform(0.2, 0.95, STARTS))
        found = [middle]
        for order, part in zip(orders, parts, strict=True):
            corner = self.low.copy()
            for place in order:
                # As much as the limit and the whole leave.
                left = 1.0 - corner.sum()
                corner[place] += min(self.high[place] - self.low[place], max(left, 0.0))
            found.append(part * corner + (1 - part) * middle)
        return np.array(found)


@checked_call(caps="available={}", limits="bounds={}", D="tokens={}")
@with_progress
def optimal_mixture(
    fit: Surface | Mapping[str, Surface],
    *,
    weights: Mapping[str, float] | None = None,
    at: Mapping[str, float] | None = None,
    available: Mapping[str, float] | None = None,
    epochs: float | Mapping[str, float] = EPOCHS,
    tokens: float | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    fixed: Mapping[str, float] | None = None,
    natural: Mapping[str, float] | None = None,
    pull: float = 0.0,
    runs: LossTable | pd.DataFrame | None = None,
    rest: str | None = "rest",
    progress: bool = True,
) -> OptimalMixture:
    """The shares of the domains with the least weighted loss.

    Minimises sum_j w_j L_j(h) + pull * sum_i h_i ln(h_i / q_i) over shares h that add up to one,
    with q the natural shares. The law is the exponential one, :func:`scalefit.laws.mixture_of`,
    those of size and tokens, :func:`scalefit.laws.additive_mixture_of` and
    :func:`scalefit.laws.joint_mixture_of`, or any law of your own with columns of shares.

    Args:
        fit: a fit of a law of shares, or an ensemble of one; or one for each response (the loss on
            a domain, a benchmark's error), by name; or one fit of several (``responses=``).
            Ensembles of one seed over the same runs are paired, draw by draw.
        weights: weight of each response, divided by their sum; those left out count nothing.
            Equal ones by default.
        at: values of the law's other columns, as ``{"N": 7e9, "D": 1e12}``.
        available: unique tokens by domain: caps its share at epochs times as many, over the tokens
            of the run. Domains left out are not limited.
        epochs: how often a token may be seen, one number or one by domain. Up to four epochs,
            repeated tokens are worth nearly as much as new ones (Muennighoff et al. 2023); a law of
            shares does not see repetition, the cap keeps it out.
        tokens: training tokens of the run; by default ``at["D"]``.
        bounds: lowest and highest share by domain, None where there is none.
        fixed: share by domain, where it is given.
        natural: natural share by domain, or its tokens: they are divided by their sum.
        pull: loss that a divergence of one nat from the natural shares costs, in the unit of the
            loss; it keeps the optimum near shares that are known to work. A domain whose natural
            share is zero stays out.
        runs: the fitted table: compares with the best mixture tried, and says whether the optimum
            is among the mixtures tried.
        rest: what the domain is called that the law leaves out; None where the shares of a law of
            your own are all.
        progress: whether a line shows what is going on once it takes more than a second.

    Returns:
        The shares; of an ensemble with draws of each.

    Raises:
        ArgumentError: an option is not what it has to be.
        DataError: coefficients of the fit differ by a column (``fit.at(...)`` chooses a level), or
            a column is given at a value that the law does not describe.
        AllocationError: the law has no shares, a column is missing, no mixture keeps to the limits,
            or some are ensembles and others fits.

    Source:
        Ye et al. 2024, arXiv 2403.16952; Shukor et al. 2025, arXiv 2507.09404.

    Example:
        >>> import pandas as pd
        >>> import scalefit as sf
        >>> law = sf.laws.mixture_of("web", "code")
        >>> truth = {"c": 1.8, "k": 0.9, "t_web": -0.8, "t_code": -1.5}
        >>> shares = [(i / 8, j / 8) for i in range(9) for j in range(9 - i)]
        >>> runs = sf.simulate(pd.DataFrame(shares, columns=law.columns), law, truth)
        >>> best = sf.optimal_mixture(sf.fit(runs, law), available={"code": 2e9}, tokens=2e10)
        >>> {name: round(share, 3) for name, share in best.shares.items()}
        {'web': 0.6, 'code': 0.4, 'rest': 0.0}
    """
    surfaces = _surfaces(fit)
    points = {name: item.one_surface().point for name, item in surfaces.items()}
    if weights is not None and len(surfaces) == 1 and not isinstance(fit, Mapping):
        remedy = "Leave weights out: they are of several responses, by name"
        raise refused("weights", weights, "needed for one response", remedy)
    problem = _problem(
        points, weights, at, rest, natural, pull, (available, epochs, tokens), (bounds, fixed)
    )
    params = [item.params for item in points.values()]
    ends, values = problem.solve(params, problem.starts())
    minima = _distinct(ends, values)
    best = minima[0]
    tried = None if runs is None else _tried(problem, next(iter(points.values())), runs)
    others = _mixtures(problem, params, natural, tried)
    found = _result(problem, best, params, others)
    draws = _aligned(list(surfaces.values()))
    if draws:
        drawn = draws[0].apply(lambda _: _drawn(problem, draws, minima, others))
        drawn = replace(drawn, tails=_widest(draws))
        found = replace(found, draws=drawn)
    notes = mixture_notes(found, list(points.values()), tried, _second(problem, minima, params))
    return replace(found, notes=(*notes, *_carried(surfaces)))


def _surfaces(fit: Any) -> dict[str, Surface]:
    """The fits by response.

    Raises:
        ArgumentError: something is no fit.
        AllocationError: some are ensembles and others fits.
    """
    if not isinstance(fit, Mapping):
        one = checked_surface(fit)
        if {name for item in one.point.groups.values() for name in item.columns} == {RESPONSE}:
            return {level: one.at(response=level) for level in one.point.responses}
        return {one.point.law.response: one}
    remedy = "Pass a fit by response, as fit={'web': web_fit, 'code': code_fit}"
    given = mapping(fit, "fit", remedy=remedy)
    if not given:
        raise refused("fit", fit, "with a fit in it", remedy)
    found = {name: checked_surface(item, f"fit[{name!r}]") for name, item in given.items()}
    first, *others = found.values()
    for other in others:
        require_alike(first, other)
    return found


def _problem(
    points: Mapping[str, Fit],
    weights: Any,
    at: Any,
    rest: Any,
    natural: Any,
    pull: Any,
    scarce: tuple[Any, Any, Any],
    limits: tuple[Any, Any],
) -> _Problem:
    """What is minimised, from options that are checked here."""
    if rest is not None:
        text(rest, "rest", remedy="Name the domain that the law leaves out, as rest='web'")
    domains = _one_mixture(points, rest)
    laws = [item.law for item in points.values()]
    needed = {n: law.name for law in laws for n in law.columns if n not in domains.names}
    given = other_columns(at, needed)
    for item in points.values():
        item.law.check(given)
        require_units(item, {name: np.asarray(value) for name, value in given.items()})
    shares = normal_weights(weights, tuple(points))
    strength = number(pull, "pull", least=0, remedy="Pass a loss by nat, as pull=0.01")
    known = natural_shares(natural, domains)
    if strength and known is None:
        remedy = "Pass shares or tokens by domain as natural, or pull=0.0"
        raise refused("pull", pull, "usable without natural shares", remedy)
    available, epochs, tokens = scarce
    if tokens is not None:
        tokens = number(tokens, "tokens", above=0, remedy="Pass a number, as tokens=1e11")
    caps = caps_of(available, epochs, given.get("D") if tokens is None else tokens, domains)
    if strength and known is not None:
        # The divergence is infinite where a domain that has no natural share has one.
        caps = np.where(known > 0, caps, 0.0)
    low, high = limits_of(*limits, caps, domains)
    targets = tuple(
        Target(name, item.law, float(weight), given, domains)
        for (name, item), weight in zip(points.items(), shares, strict=True)
    )
    convex = all(
        convex_in_shares(item.law, points[item.name].params) for item in targets if item.weight
    )
    return _Problem(MixtureObjective(targets, known, strength), domains, low, high, convex)


def _one_mixture(points: Mapping[str, Fit], rest: str | None) -> Domains:
    """The domains, which are the same of every response.

    Raises:
        AllocationError: they are not, the one that is left out has the name of another, or one has
            that of a quantity of the result.
    """
    found = {name: domains_of(item.law, rest) for name, item in points.items()}
    first = next(iter(found))
    for name, domains in found.items():
        if set(domains.names) != set(found[first].names):
            raise AllocationError(
                f"the fit of {name} is of shares of {', '.join(domains.names)} and that of {first} "
                f"of {', '.join(found[first].names)}. Fit every response to the same domains"
            )
    names = found[first].names
    for name in {"loss", "regret"} & {*names}:
        raise AllocationError(
            f"a domain is called {name!r}, as a quantity of the result is. Rename its column, or "
            "pass another rest"
        )
    if len(set(names)) < len(names):
        raise AllocationError(
            f"the domain that the law leaves out has the name of another, {rest}. Name it "
            "otherwise, as rest='others'"
        )
    return found[first]


def _distinct(ends: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The minima that starts lead to, the lowest first; at least one."""
    found: list[np.ndarray] = []
    for place in np.argsort(values, kind="stable"):
        near = any(np.abs(ends[place] - other).max() < SAME for other in found)
        if not found or (not near and np.isfinite(values[place])):
            found.append(ends[place])
    return np.array(found)


def _second(
    problem: _Problem, minima: np.ndarray, params: Params
) -> tuple[dict[str, float], float] | None:
    """The second lowest minimum and how much higher it is; None where there is one alone."""
    if len(minima) < 2:
        return None
    first, second = (float(problem.objective.value(item[None], params)[0]) for item in minima[:2])
    return dict(zip(problem.domains.names, minima[1].tolist(), strict=True)), second - first


def _tried(problem: _Problem, fit: Fit, runs: Any) -> np.ndarray:
    """Mixtures of the runs, each once, shape (mixtures, domains)."""
    columns, _ = fit.columns_of(runs, {})
    found = np.stack([np.asarray(columns[n], float) for n in problem.domains.columns], axis=1)
    if problem.domains.implicit:
        found = np.column_stack([found, np.maximum(1.0 - found.sum(axis=1), 0.0)])
    # Printed shares are rounded.
    found = found / found.sum(axis=1, keepdims=True)
    return np.unique(found.round(12), axis=0)


def _mixtures(
    problem: _Problem, params: Params, natural: Any, tried: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Other mixtures that the best is compared with."""
    found = {}
    if natural is not None and problem.objective.natural is not None:
        found["natural"] = problem.objective.natural
    if tried is not None:
        kept = ((tried >= problem.low - HELD) & (tried <= problem.high + HELD)).all(axis=1)
        tried = tried[kept] if kept.any() else tried
        found["best tried"] = tried[int(np.argmin(problem.objective.loss(tried, params)))]
    return found


def _result(
    problem: _Problem, best: np.ndarray, params: Params, others: Mapping[str, np.ndarray]
) -> OptimalMixture:
    """The answer at the fit."""
    objective, names = problem.objective, problem.domains.names
    losses = objective.losses(best[None], params)[0]
    loss = float(objective.loss(best[None], params)[0])
    limits = zip(names, problem.low.tolist(), problem.high.tolist(), strict=True)
    mixed = {
        name: Frozen(dict(zip(names, item.tolist(), strict=True))) for name, item in others.items()
    }
    gains = {name: float(objective.loss(h[None], params)[0]) - loss for name, h in others.items()}
    many = {
        name: float(_tokens(problem, h, params, np.array([loss]))[0]) for name, h in others.items()
    }
    targets = objective.targets
    return OptimalMixture(
        shares=Frozen(dict(zip(names, best.tolist(), strict=True))),
        limits=Frozen({name: (low, high) for name, low, high in limits}),
        loss=loss,
        losses=Frozen({item.name: float(x) for item, x in zip(targets, losses, strict=True)}),
        weights=Frozen({item.name: item.weight for item in targets}),
        at=Frozen(dict(targets[0].at)),
        mixtures=Frozen(mixed),
        gains=Frozen(gains),
        multipliers=Frozen(many),
        price=Frozen(_prices(problem, best, params)),
        convex=problem.convex,
    )


def _prices(problem: _Problem, best: np.ndarray, params: Params) -> dict[str, float]:
    """How much the loss falls for each unit by which a cap is raised, the other shares giving."""
    low, high = problem.low, problem.high
    between = (best > low + HELD) & (best < high - HELD)
    capped = (best >= high - HELD) & (high < 1) & (high > low)
    if not (between.any() and capped.any()):
        return {}
    slope = problem.objective.derivatives(best[None], params)[1][0]
    level = float(slope[between].mean())
    return {problem.domains.names[i]: level - float(slope[i]) for i in np.flatnonzero(capped)}


@quiet()
def _tokens(problem: _Problem, shares: np.ndarray, params: Params, loss: np.ndarray) -> np.ndarray:
    """Tokens with which a mixture reaches a loss, over those of the run; NaN without a column D."""
    tokens = problem.objective.targets[0].at.get("D")
    if tokens is None:
        return np.full(len(loss), np.nan)
    mixture = np.tile(shares, (len(loss), 1))

    def short(logs: np.ndarray) -> np.ndarray:
        at = {"D": tokens * np.exp(logs)}
        return np.asarray(problem.objective.loss(mixture, params, at) > loss)

    low, high = np.full(len(loss), -np.log(MOST)), np.full(len(loss), np.log(MOST))
    never = short(high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        above = short(middle)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(never, np.inf, np.exp(high))


def _aligned(surfaces: list[Surface]) -> list[Draws]:
    """Draws of every response, paired where they are of the same resamples; none of fits."""
    draws = [item.drawn for item in surfaces]
    if not all(draws):
        return []
    one = len(draws) == 1
    if one or (len({item.origin for item in draws}) == 1 and draws[0].origin is not None):
        for other in draws[1:]:
            draws[0] = draws[0].shared(other)
        return [draws[0], *(item.shared(draws[0]) for item in draws[1:])]
    count = min(len(item.index) for item in draws)
    return [replace(item.first(count), origin=None) for item in draws]


def _carried(surfaces: Mapping[str, Surface]) -> list[Note]:
    """Notes of the fits and their draws; one of each code, which names its responses."""
    every = [
        (name, note)
        for name, item in surfaces.items()
        for note in (*item.point.carried, *item.draw_notes)
    ]
    if len(surfaces) == 1:
        return [note for _, note in every]
    by_code: dict[str, list[tuple[str, Note]]] = {}
    for name, note in every:
        by_code.setdefault(note.code, []).append((name, note))
    found = []
    for cases in by_code.values():
        name, worst = min(cases, key=lambda case: case[1].severity != "warning")
        others = ", ".join(dict.fromkeys(other for other, _ in cases if other != name))
        also = f" (also of {others})" if others else ""
        found.append(replace(worst, message=f"of {name}{also}: {worst.message}"))
    return found


def _widest(draws: list[Draws]) -> Any:
    """The correction of intervals from draws of all."""
    found = draws[0].tails
    for item in draws[1:]:
        found = found.wider(item.tails)
    return found


def _drawn(
    problem: _Problem,
    draws: list[Draws],
    minima: np.ndarray,
    others: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Every quantity under every draw, shape (draws,); NaN where a draw has no optimum."""
    count = len(next(iter(draws[0].values())))
    middle = inside(problem.low, problem.high)
    best, value = np.tile(minima[0], (count, 1)), np.full(count, np.inf)
    # Of a convex problem any start leads to the optimum; of another, those near its minima.
    convex = all(
        convex_in_shares(target.law, own)
        for target, own in zip(problem.objective.targets, draws, strict=True)
        if target.weight
    )
    starts = [middle] if convex else [middle, *(0.9 * minima + 0.1 * middle)]
    for start in starts:
        ends, found = problem.solve(draws, np.tile(start, (count, 1)))
        better = found < value
        best, value = np.where(better[:, None], ends, best), np.where(better, found, value)
    known = np.isfinite(value)
    chosen = np.tile(minima[0], (count, 1))
    loss = problem.objective.loss(chosen, draws)
    quantities = {name: best[:, i] for i, name in enumerate(problem.domains.names)}
    quantities["loss"] = loss
    quantities["regret"] = np.maximum(problem.objective.value(chosen, draws) - value, 0.0)
    for name, shares in others.items():
        other = problem.objective.loss(np.tile(shares, (count, 1)), draws)
        quantities[GAIN.format(name)] = other - loss
    return {name: np.where(known, values, np.nan) for name, values in quantities.items()}
