"""Posterior: draws of the parameters and of the size of the noise, by Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from scalefit.arguments import affordable, whole
from scalefit.data.table import LossTable
from scalefit.errors import DataError, MissingExtraError
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import attach, parameters, require_freedom
from scalefit.inference.posterior_density import Coordinates, coordinates, log_likelihood
from scalefit.inference.run_noise import run_noise
from scalefit.notes import Note
from scalefit.objective import Measure, Residual
from scalefit.problem.problem import Data, Problem
from scalefit.results.dependence import dependence_notes
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.prediction import refuse_unknown
from scalefit.runtime.progress import compiling, counting, with_progress
from scalefit.runtime.settings import on_device, processor
from scalefit.runtime.threads import apart, in_threads

__all__ = ["posterior", "split_rhat"]

# Steps in which each chain adapts its step size and mass matrix. It starts from the covariance at
# the optimum, so that half of the usual thousand are enough.
WARMUP = 500

# Draws of every chain by one call of a program, between which an interrupt stops.
AT_ONCE = 50

# Acceptance rate that the step size is adapted to. Above the usual 0.8: near bounds and the corners
# of Huber and absolute losses only smaller steps are accurate.
ACCEPTANCE = 0.9

# Chains start within this many standard deviations, far enough apart that agreement is evidence.
APART = 1.5

# Above this, chains are not draws of one distribution (Vehtari et al. 2021).
MOST_RHAT = 1.01

# Split in two, a chain needs two draws in each half for a variance.
FEWEST_DRAWS = 4
COUNT = "Pass n_draws=1000, which of each of 4 chains give two digits"

# Numbers of eight bytes that a draw takes for each parameter, and the largest seed of JAX's.
FIELDS = 16
MOST_SEED = 2**63 - 1

# Laws whose compiled programs are kept.
MOST_PROGRAMS = 8


@with_progress
def posterior(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    *,
    n_draws: int = 1000,
    chains: int = 4,
    seed: int = 0,
    progress: bool = True,
    **columns: Any,
) -> Ensemble:
    """Draws from the posterior of the parameters, by the No-U-Turn Sampler.

    The objective is minus the logarithm of the likelihood, up to its scale. Residuals r
    (logarithmic, relative or raw, as the objective's) are independent, with weights that multiply
    their log-likelihood and noise of one unknown size:

        squares:  normal, density proportional to exp(-r^2 / (2 s^2))
        Huber:    density exp(-H(r) / t) / Z,
                  Z = sqrt(2 pi t) erf(delta / sqrt(2 t)) + 2 t / delta exp(-delta^2 / (2 t))
        l1:       Laplace, density exp(-abs(r) / b) / (2 b)

    The prior is flat within the bounds of the fit: in the logarithm of exponents and scales, which
    is how they are searched, and of amplitudes; in everything else as it is (offsets, fractions,
    coefficients free in sign, amplitudes that may be negative); and in the logarithm of s, t or b,
    which has no bounds. Parameters that the fit has at a bound are free here. Where neither the
    bounds nor the runs limit a parameter, the posterior is improper: an amplitude whose term the
    runs do not show needs a lower bound above zero, or the chains will not agree.

    Chains start apart from each other around the optimum, in coordinates without bounds and scaled
    by the covariance there. Notes: ``chains_disagree`` where the split R-hat of a parameter or of
    the noise is above 1.01, ``divergences`` where the sampler could not follow the density.
    ``to_arviz`` gives the draws to ArviZ for every other diagnostic.

    Args:
        fit: the fit.
        runs: the table it was made from.
        n_draws: number of draws of each chain, after 500 of warm-up.
        chains: number of chains.
        seed: of the random numbers.
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The draws, one chain after the other.

    Raises:
        ArgumentError: an option is invalid, or so many draws do not fit into memory.
        MissingExtraError: BlackJAX is not installed.
        DataError: the table is not the one that was fitted, or leaves fewer than five residual
            degrees of freedom; the objective is asymmetric; errors of the losses are known; an
            amplitude is zero; or a parameter without bounds has no effect.
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
    target = _Target(
        tuple(data.measure[1:]), data._replace(measure=cast(Any, None)), coordinates(fitted)
    )
    programs = _programs(problem, data.measure.residual)
    made = _sampled(device, programs, target, seed, chains, n_draws)
    # One chain after the other, no parameter held at a bound.
    points = made.points.reshape(chains * n_draws, problem.size)
    count = len(problem.owners)
    free = np.zeros(points.shape, dtype=bool)
    return Ensemble(
        fit=fit,
        params=parameters(fitted, points[:, :count], points[:, count:], free),
        usable=np.ones(len(points), dtype=bool),
        method="posterior",
        seed=seed,
        noise=run_noise(fitted).uncertain(len(points), seed),
        replicates=None,
        df_resid=fitted.df_resid,
        chains=chains,
        notes=(*dependence_notes(fit.notes), *_notes(problem, made)),
    )


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
        # Normal scores of the ranks: infinite variances and any monotone transform do no harm.
        ranks = rankdata(values).reshape(values.shape)
        normal = ndtri((ranks - 0.375) / (ranks.size + 0.25))
        within = normal.var(axis=1, ddof=1).mean()
        between = normal.mean(axis=1).var(ddof=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(np.sqrt((half - 1) / half + between / within))
    return float(np.max(found))


class _Chains(NamedTuple):
    """Points (chains, draws, p), logarithms of the noise and divergences (chains, draws)."""

    points: Any
    noise: Any
    diverged: Any


class _Target(NamedTuple):
    """Numbers that the density is made of.

    Attributes:
        numbers: of the measure, all but the name of the residual.
        data: the table, without its measure.
        space: coordinates in which the chains move.
    """

    numbers: tuple[Any, ...]
    data: Data
    space: Coordinates


def _sampled(
    device: jax.Device,
    programs: tuple[Callable[..., Any], Callable[..., Any]],
    target: _Target,
    seed: int,
    chains: int,
    draws: int,
) -> _Chains:
    """Chains of draws, each with a warm-up of its own, shape (chains, draws) first.

    Args:
        device: where to run.
        programs: of the warm-up and of the draws; see :func:`_programs`.
        target: what the density is made of.
        seed: of the random numbers.
        chains: how many.
        draws: of each chain.
    """
    warm_up, draw = programs

    def begin() -> tuple[Any, Any, Any]:
        with on_device(device):
            # Not from a seed by JAX, which has a setting that is added to every one.
            bits = jnp.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], dtype=jnp.uint32)
            key = jax.random.wrap_key_data(bits, impl="threefry2x32")
            each = jax.random.split(key, chains)
            with compiling(warm_up, (target, each), "the sampler"):
                state, tuned, go = warm_up(target, each)
            with counting("warming up"):
                go.block_until_ready()
            return state, tuned, jax.vmap(partial(jax.random.split, num=draws))(go)

    state, tuned, keys = apart(begin)

    def some(first: int) -> _Chains:
        nonlocal state
        with on_device(device):
            # The last ones are filled up to the size that is compiled.
            mine = keys[:, np.arange(first, first + AT_ONCE).clip(max=draws - 1)]
            with compiling(draw, (target, state, tuned, mine), "the sampler"):
                state, found = draw(target, state, tuned, mine)
            return _Chains(*(np.asarray(leaf)[:, : draws - first] for leaf in found))

    with counting("drawing", draws, "draws of each chain") as stage:

        def count() -> None:
            stage.update(min(AT_ONCE, draws - stage.done))

        parts = in_threads(some, range(0, draws, AT_ONCE), 1, count)
    return _Chains(*(np.concatenate(leaves, axis=1) for leaves in zip(*parts, strict=True)))


@lru_cache(maxsize=MOST_PROGRAMS)
def _programs(
    problem: Problem, residual: Residual
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compiled programs of the warm-up and of the draws, for laws used lately.

    Args:
        problem: the problem.
        residual: name of the residual.
    """
    blackjax = _require_sampler()

    def density_of(target: _Target) -> Callable[[jax.Array], jax.Array]:
        """Log density of unconstrained coordinates, up to a constant."""
        data = target.data._replace(measure=Measure(residual, *target.numbers))

        def density(free: jax.Array) -> jax.Array:
            point, noise, volume = target.space.point(free)
            return log_likelihood(problem, data, point, noise) + volume

        return density

    @jax.jit
    def warm_up(target: _Target, keys: jax.Array) -> tuple[Any, Any, Any]:
        """State and tuning of each chain after its warm-up, and the key of its draws."""
        density = density_of(target)

        def one(key: jax.Array) -> tuple[Any, Any, Any]:
            begin, warm, go = jax.random.split(key, 3)
            start = jax.random.uniform(
                begin, target.space.centre.shape, minval=-APART, maxval=APART
            )
            # Towards the centre, where the law is known to have a value.
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

    @jax.jit
    def draw(target: _Target, state: Any, tuned: Any, keys: jax.Array) -> tuple[Any, _Chains]:
        """State of each chain after some more draws, and those draws, (chains, draws) first."""
        density = density_of(target)

        def one(state: Any, tuned: Any, keys: jax.Array) -> tuple[Any, _Chains]:
            kernel = blackjax.nuts(density, **tuned)

            def step(state: Any, key: jax.Array) -> tuple[Any, _Chains]:
                state, info = kernel.step(key, state)
                point, noise, _ = target.space.point(state.position)
                return state, _Chains(point, noise, info.is_divergent)

            return jax.lax.scan(step, state, keys)

        return jax.vmap(one)(state, tuned, keys)

    return warm_up, draw


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
    if not fit.objective.penalty.symmetric:
        raise DataError(
            "an asymmetric objective looks for a lower envelope, not for the middle of noise: it "
            "has no likelihood",
            remedy="Fit with robust='huber', 'l1' or 'none', or use bootstrap",
        )
    if fit.objective.sigma is not None:
        raise DataError(
            "a posterior estimates the size of the noise, and the errors of this fit are known",
            remedy="Use covariance(fit, runs), or bootstrap(fit, runs, method='residuals'), which "
            "draw by the known errors; or fit without sigma",
        )
