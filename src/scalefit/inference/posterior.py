"""Posterior: draws of the parameters and of the size of the noise, by Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from scalefit import objective as obj
from scalefit.arguments import affordable, whole
from scalefit.data.table import LossTable
from scalefit.errors import DataError, MissingExtraError
from scalefit.inference.derivatives import rows, slopes
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import (
    FittedData,
    attach,
    curve_notes,
    parameters,
    require_freedom,
    run_noise,
)
from scalefit.notes import Note
from scalefit.objective import Measure, Residual
from scalefit.problem.problem import Data, Problem
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.prediction import refuse_unknown
from scalefit.runtime.settings import on_device, own_settings, processor
from scalefit.runtime.threads import apart, in_threads

__all__ = ["log_normaliser", "posterior", "split_rhat"]

# Steps in which each chain finds its step size and the covariance it moves in; it sets out from the
# covariance at the optimum, so that half of the usual thousand do.
WARMUP = 500

# Draws of every chain by one call of a program, between which an interrupt stops.
AT_ONCE = 50

# Acceptance that the step size is set for. Above the usual 0.8: bounds and the corners of Huber and
# absolute losses cost accuracy that smaller steps give back.
ACCEPTANCE = 0.9

# Chains set out this many standard deviations apart, so that agreement says something.
APART = 1.5

# Above this, chains are not draws of one distribution (Vehtari et al. 2021).
MOST_RHAT = 1.01

# Split in two, a chain needs two draws in each half for a variance.
FEWEST_DRAWS = 4
COUNT = "Pass n_draws=1000, which of each of 4 chains give two digits"

# Numbers of eight bytes that a draw takes for each parameter, and the largest seed of JAX's.
FIELDS = 16
MOST_SEED = 2**63 - 1

# Eigenvalues of the scaled precision below this share of the largest are no more than rounding.
ROUNDING = 1e-10


def posterior(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    *,
    n_draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    **columns: Any,
) -> Ensemble:
    """Draws from the posterior of the parameters, by the No-U-Turn Sampler.

    The likelihood is what the objective is the logarithm of. Residuals r (logarithmic, relative or
    raw, as the objective's) are independent, with weights that multiply their log-likelihood and
    noise of one unknown size:

        squares:  normal, density proportional to exp(-r^2 / (2 s^2))
        Huber:    density exp(-H(r) / t) / Z,
                  Z = sqrt(2 pi t) erf(delta / sqrt(2 t)) + 2 t / delta exp(-delta^2 / (2 t))
        l1:       Laplace, density exp(-abs(r) / b) / (2 b)

    The prior is flat within the bounds of the fit: in the logarithm of exponents and scales, which
    is how they are searched, and of amplitudes; in everything else as it is (offsets, fractions,
    coefficients free in sign, amplitudes that may be negative); and in the logarithm of s, t or b,
    which has no bounds. Parameters that the fit has at a bound are free here. Where neither the
    bounds nor the runs end a parameter, this is no distribution: an amplitude whose term the runs
    do not show needs a lower bound above zero, or the chains will not agree.

    Chains set out apart around the optimum, in coordinates without bounds and scaled by the
    covariance there. What they are like is noted: ``chains_disagree`` where the split R-hat of a
    parameter or of the noise is above 1.01, ``divergences`` where the sampler could not follow the
    density. ``to_arviz`` hands the draws to ArviZ for every other diagnostic.

    Args:
        fit: the fit.
        runs: the table it was made from.
        n_draws: number of draws of each chain, after 500 of warm-up.
        chains: number of chains.
        seed: of the random numbers.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The draws, one chain after the other.

    Raises:
        ArgumentError: an option makes no sense, or so many draws do not fit into memory.
        MissingExtraError: BlackJAX is not installed.
        DataError: the table is not the one that was fitted, or leaves
            fewer than five residual degrees of freedom; the objective is asymmetric; an amplitude
            is zero; or a parameter without bounds has no effect.
        FitError: the process was forked from one in which JAX was running.

    Source:
        Hoffman and Gelman 2014, J. Mach. Learn. Res. 15 (sampler), by BlackJAX (Cabezas et al.
        2024, arXiv:2402.10797). Vehtari et al. 2021, Bayesian Analysis 16(2) (R-hat).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> sf.posterior(sf.fit(runs), runs, n_draws=500, chains=2)  # doctest: +SKIP
        <Ensemble chinchilla: 1000 draws by posterior>
    """
    checked_fit(fit)
    n_draws = whole(n_draws, "n_draws", least=FEWEST_DRAWS, remedy=COUNT)
    chains = whole(chains, "chains", least=1, remedy="Pass chains=4")
    seed = whole(seed, "seed", least=0, most=MOST_SEED, remedy="Pass a whole number, as seed=0")
    affordable(n_draws, "n_draws", 8 * chains * FIELDS * (fit.n_free + 1), remedy=COUNT)
    device = processor()
    _require_sampler()
    _require_likelihood(fit)
    require_freedom(fit)
    refuse_unknown(posterior, fit.law, columns)
    fitted = attach(fit, runs, **columns)
    problem, data = fitted.prepared.problem, fitted.prepared.data
    space = _space(fitted)
    # Of the measure the name of the residual is static, and the rest are numbers.
    how, bare = data.measure, data._replace(measure=cast(Any, None))
    made = _sampled(device, (problem, how.residual, how[1:], bare, space), seed, chains, n_draws)
    points = made.points.reshape(chains * n_draws, problem.size)
    count = len(problem.owners)
    free = np.zeros(points.shape, dtype=bool)
    return Ensemble(
        fit=fit,
        params=parameters(fitted, points[:, :count], points[:, count:], free),
        usable=np.ones(len(points), dtype=bool),
        method="posterior",
        seed=seed,
        noise=run_noise(fitted),
        replicates=None,
        df_resid=fitted.freedom,
        chains=chains,
        notes=(*curve_notes(fit, None), *_notes(problem, made)),
    )


def log_normaliser(how: Measure, scale: Any) -> Any:
    """Logarithm of the integral of exp(-penalty / scale) over all residuals.

    Args:
        how: the objective in numbers; an infinite delta is the square.
        scale: positive, in the unit of the penalty (of abs(r) for absolute residuals).
    """
    finite = jnp.isfinite(how.delta)
    delta = jnp.where(finite, how.delta, 1.0)
    normal = jnp.sqrt(2 * jnp.pi * scale)
    core = normal * jax.scipy.special.erf(delta / jnp.sqrt(2 * scale))
    tails = 2 * scale / delta * jnp.exp(-(delta**2) / (2 * scale))
    whole = jnp.where(finite, core + tails, normal)
    return jnp.log(jnp.where(how.absolute, 2 * scale, whole))


def split_rhat(draws: np.ndarray) -> float:
    """Largest R-hat of the halves of chains, of ranks and of ranks of the distance to the median.

    Args:
        draws: shape (chains, draws).

    Returns:
        1 where the chains agree; NaN where nothing varies.

    Source:
        Vehtari et al. 2021, Bayesian Analysis 16(2), sections 3.1 and 4.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]])
    found = []
    for values in (halves, np.abs(halves - np.median(halves))):
        ranks = rankdata(values).reshape(values.shape)
        normal = ndtri((ranks - 0.375) / (ranks.size + 0.25))
        within = normal.var(axis=1, ddof=1).mean()
        between = normal.mean(axis=1).var(ddof=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.sqrt((half - 1) / half + between / within))
    return float(np.max(found))


class _Space(NamedTuple):
    """Unconstrained numbers of unit spread, and the way from them to the engine's point.

    A flat coordinate is one in which the prior is flat: a parameter or its logarithm. Each is
    mapped from the whole line into its bounds; the logarithm of the noise comes last and has none.

    Attributes:
        lower: bounds of the flat coordinates, shape (p,).
        upper: shape (p,).
        raised: whether the engine's coordinate is the exponential of the flat one, shape (p,).
        centre: where the chains set out from, unconstrained, shape (p + 1,).
        root: of the covariance there, shape (p + 1, p + 1).
    """

    lower: Any
    upper: Any
    raised: Any
    centre: Any
    root: Any

    def place(self, free: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The engine's point, logarithm of the noise, and log determinant of the map.

        Args:
            free: shape (p + 1,).
        """
        line = self.centre + self.root @ free
        z, noise = line[:-1], line[-1]
        low, high = jnp.isfinite(self.lower), jnp.isfinite(self.upper)
        both, single = low & high, low ^ high
        lower = jnp.where(low, self.lower, 0.0)
        upper = jnp.where(high, self.upper, 0.0)
        width = jnp.where(both, upper - lower, 1.0)
        # The branch not taken must not overflow: its derivative would be no number.
        away = jnp.exp(jnp.where(single, z, 0.0))
        flat = jnp.where(low, lower + away, jnp.where(high, upper - away, z))
        flat = jnp.where(both, lower + width * jax.nn.sigmoid(z), flat)
        bent = jnp.log(width) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
        volume = jnp.sum(jnp.where(both, bent, jnp.where(single, z, 0.0)))
        natural = jnp.exp(jnp.where(self.raised, flat, 0.0))
        return jnp.where(self.raised, natural, flat), noise, volume


class _Chains(NamedTuple):
    """Points (chains, draws, p), logarithms of the noise and divergences (chains, draws)."""

    points: Any
    noise: Any
    diverged: Any


def _sampled(
    device: jax.Device, target: tuple[Any, ...], seed: int, chains: int, draws: int
) -> _Chains:
    """Chains of draws, each with a warm-up of its own, shape (chains, draws) first.

    Args:
        device: where to run.
        target: what the density is made of: problem, residual of the measure and the others of it,
            the table without the measure, and where the chains move.
        seed: of the random numbers.
        chains: how many.
        draws: of each chain.
    """

    def begin() -> tuple[Any, Any, Any]:
        with on_device(device):
            # Not from a seed by JAX, which has a setting that is added to every one.
            bits = jnp.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], dtype=jnp.uint32)
            key = jax.random.wrap_key_data(bits, impl="threefry2x32")
            state, tuned, go = _warmed(*target, jax.random.split(key, chains))
            return state, tuned, jax.vmap(partial(jax.random.split, num=draws))(go)

    state, tuned, keys = apart(begin)

    def some(first: int) -> _Chains:
        nonlocal state
        with on_device(device):
            # The last ones are filled up to the size that is compiled.
            mine = keys[:, np.arange(first, first + AT_ONCE).clip(max=draws - 1)]
            state, found = _drawn(*target, state, tuned, mine)
            return _Chains(*(np.asarray(leaf)[:, : draws - first] for leaf in found))

    parts = in_threads(some, range(0, draws, AT_ONCE), 1)
    return _Chains(*(np.concatenate(leaves, axis=1) for leaves in zip(*parts, strict=True)))


def _density(
    problem: Problem, residual: Residual, numbers: tuple[Any, ...], data: Data, space: _Space
) -> Callable[[jax.Array], jax.Array]:
    """Log density of unconstrained numbers, up to a constant."""
    data = data._replace(measure=Measure(residual, *numbers))

    def density(free: jax.Array) -> jax.Array:
        point, noise, volume = space.place(free)
        return _log_likelihood(problem, data, point, noise) + volume

    return density


@partial(jax.jit, static_argnums=(0, 1))
def _warmed(
    problem: Problem,
    residual: Residual,
    numbers: tuple[Any, ...],
    data: Data,
    space: _Space,
    keys: Any,
) -> tuple[Any, Any, Any]:
    """State and tuning of each chain after its warm-up, and the key of its draws."""
    blackjax = _require_sampler()
    density = _density(problem, residual, numbers, data, space)

    def one(key: jax.Array) -> tuple[Any, Any, Any]:
        begin, warm, go = jax.random.split(key, 3)
        start = jax.random.uniform(begin, space.centre.shape, minval=-APART, maxval=APART)
        # The centre is where the law is known to have a value.
        start, _ = jax.lax.while_loop(
            lambda at: ~jnp.isfinite(density(at[0])) & (at[1] < 60),
            lambda at: (0.5 * at[0], at[1] + 1),
            (start, 0),
        )
        adaptation = blackjax.window_adaptation(
            blackjax.nuts,
            density,
            is_mass_matrix_diagonal=True,
            target_acceptance_rate=ACCEPTANCE,
        )
        (state, tuned), _ = adaptation.run(warm, start, num_steps=WARMUP)
        return state, tuned, go

    return jax.vmap(one)(keys)


@partial(jax.jit, static_argnums=(0, 1))
def _drawn(
    problem: Problem,
    residual: Residual,
    numbers: tuple[Any, ...],
    data: Data,
    space: _Space,
    state: Any,
    tuned: Any,
    keys: Any,
) -> tuple[Any, _Chains]:
    """State of each chain after some more draws, and those draws, (chains, draws) first."""
    blackjax = _require_sampler()
    density = _density(problem, residual, numbers, data, space)

    def one(state: Any, tuned: Any, keys: Any) -> tuple[Any, _Chains]:
        kernel = blackjax.nuts(density, **tuned)

        def step(state: Any, key: jax.Array) -> tuple[Any, _Chains]:
            state, info = kernel.step(key, state)
            point, noise, _ = space.place(state.position)
            return state, _Chains(point, noise, info.is_divergent)

        return jax.lax.scan(step, state, keys)

    return jax.vmap(one)(state, tuned, keys)


def _log_likelihood(problem: Problem, data: Data, point: jax.Array, noise: jax.Array) -> jax.Array:
    """Of all rows, normalised; minus infinity where a residual does not exist."""
    residuals = rows(problem, data, point)
    fine = jnp.isfinite(residuals) | (data.weight == 0)
    residuals = jnp.where(fine & jnp.isfinite(residuals), residuals, 0.0)
    scale = jnp.exp(noise)
    sizes = _sizes(data.measure, residuals)
    terms = data.weight * (sizes / scale + log_normaliser(data.measure, scale))
    return jnp.where(jnp.all(fine), -jnp.sum(terms), -jnp.inf)


def _sizes(how: Measure, residuals: Any) -> Any:
    """What the density falls exponentially with."""
    return jnp.where(how.absolute, jnp.abs(residuals), obj.penalty(how, residuals))


def _space(fitted: FittedData) -> _Space:
    """Coordinates in which the posterior is about a standard normal one.

    Raises:
        DataError: it has no end in some direction.
    """
    problem, data, settings = (
        fitted.prepared.problem,
        fitted.prepared.data,
        fitted.prepared.settings,
    )
    count = len(problem.owners)
    point = fitted.point
    searched = np.array([False] * count + list(problem.logarithmic))
    kinds = {param.name: param.kind for param in fitted.fit.law.params}
    names = [group[0] for group in problem.names]
    kind = [kinds[name.partition("[")[0]] for name in names]
    log = np.array(
        [
            item.spacing == "log" or (item.name == "amplitude" and low >= 0)
            for item, (low, _) in zip(kind, settings.ends, strict=True)
        ]
    )
    raised = log & ~searched
    for name, value, positive in zip(names, point, raised, strict=True):
        if positive and not value > 0:
            raise DataError(
                f"{name} is {value:g} at the optimum, and the prior is flat in its logarithm: "
                "its posterior has no end there",
                remedy="Fit a law without its term, or with bounds above zero, as "
                f"bounds={{{name.partition('[')[0]!r}: (0.001, 1e6)}}",
            )

    def flat(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.where(where, np.log(np.where(where, values, 1.0)), values)

    lower, upper = flat(settings.ends[:, 0], log), flat(settings.ends[:, 1], log)
    best = flat(point, raised)
    around = slopes(problem, data, point)
    weight = np.asarray(data.weight)
    jacobian = np.asarray(around.jacobian) * np.where(raised, point, 1.0)
    noise, told = _noise(data, np.asarray(around.residuals), weight)
    precision = told * (jacobian.T @ (weight[:, None] * jacobian))
    # Whoever is at a bound sets out inside, as far as the runs let it.
    with np.errstate(divide="ignore"):
        spread = 1 / np.sqrt(np.diagonal(precision))
    low, high = np.isfinite(lower), np.isfinite(upper)
    endless = ~(low & high) & ~np.isfinite(spread)
    if endless.any():
        name = names[int(np.argmax(endless))]
        raise DataError(
            f"{name} has no effect at the optimum, and no bounds: its posterior has no end",
            remedy=f"Fix {name}, or fit with bounds for it",
        )
    inside = np.minimum(spread, 0.25 * (upper - lower))
    best = np.clip(best, lower + inside, upper - inside)
    below, above = best - lower, upper - best
    with np.errstate(invalid="ignore"):
        share = np.where(low & high, below / (upper - lower), 0.5)
        centre = np.where(low, np.log(below), np.where(high, np.log(above), best))
        slope = np.where(low, below, np.where(high, above, 1.0))
    centre = np.where(low & high, np.log(share / (1 - share)), centre)
    slope = np.where(low & high, below * (1 - share), slope)
    precision = precision * np.outer(slope, slope)
    # The flat prior within two bounds, on the line, has a peak of this curvature.
    precision += np.diag(np.where(low & high, 2 * share * (1 - share), 0.0))
    size = np.sqrt(np.diagonal(precision))
    values, vectors = np.linalg.eigh(precision / np.outer(size, size))
    root = np.zeros((len(point) + 1, len(point) + 1))
    root[:-1, :-1] = vectors / np.sqrt(np.maximum(values, ROUNDING * values[-1])) / size[:, None]
    root[-1, -1] = 1 / np.sqrt(weight.sum())
    return _Space(lower, upper, raised, np.r_[centre, np.log(noise)], root)


def _noise(data: Data, residuals: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Most likely size of the noise, and what a row tells of its prediction: Fisher information."""
    with own_settings():
        total = float(weight @ np.asarray(_sizes(data.measure, residuals)))
    mean = total / float(weight.sum())
    if bool(data.measure.absolute):
        return mean, mean**-2
    from scipy.special import erf

    delta, scale, core = float(data.measure.delta), 2 * mean, 1.0
    # With the share c of the density within delta the mean penalty is (1 - c / 2) scale.
    for _ in range(100 if np.isfinite(delta) else 0):
        middle = np.sqrt(2 * np.pi * scale) * erf(delta / np.sqrt(2 * scale))
        core = middle / (middle + 2 * scale / delta * np.exp(-(delta**2) / (2 * scale)))
        scale = mean / (1 - 0.5 * core)
    return scale, core / scale


def _notes(problem: Problem, made: _Chains) -> list[Note]:
    notes = []
    names = [group[0] for group in problem.names] + ["the noise"]
    every = np.concatenate([made.points, made.noise[..., None]], axis=2)
    found = [split_rhat(every[..., column]) for column in range(every.shape[2])]
    # Draws that never move give no number.
    worst = int(np.argmax(np.nan_to_num(found, nan=np.inf)))
    if not found[worst] <= MOST_RHAT:
        notes.append(
            Note.of(
                "chains_disagree",
                f"split R-hat is {found[worst]:.3f} for {names[worst]}, above {MOST_RHAT}: the "
                "chains are not draws of one distribution yet. Take more draws; if that does not "
                "help, the runs leave some combination of the parameters open",
                {"parameter": names[worst], "rhat": found[worst]},
            )
        )
    diverged = int(np.count_nonzero(made.diverged))
    if diverged:
        notes.append(
            Note.of(
                "divergences",
                f"{diverged} of {made.diverged.size} steps diverged: the posterior has a corner "
                "that the sampler cannot follow, and the draws may miss it. Compare with bootstrap",
                {"divergences": diverged, "draws": made.diverged.size},
            )
        )
    return notes


def _require_sampler() -> Any:
    try:
        # It computes a constant on its way in, which a user may have forbidden.
        with jax.transfer_guard("allow"):
            import blackjax  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingExtraError(
            "the posterior needs BlackJAX, which is not installed", extra="bayes"
        ) from error
    return blackjax


def _require_likelihood(fit: Fit) -> None:
    if fit.objective.robust == "asymmetric":
        raise DataError(
            "an asymmetric objective looks for a lower envelope, not for the middle of noise: it "
            "has no likelihood",
            remedy="Fit with robust='huber', 'l1' or 'none', or use bootstrap",
        )
