"""Notes of an optimal mixture: shares at limits, extrapolation, several optima, small gains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.allocation.mixture_result import GAIN, OptimalMixture
from scalefit.notes import Note
from scalefit.reporting.numbers import rough_percent
from scalefit.results.domain import extrapolation, unit_mismatch
from scalefit.results.fit import Fit

__all__ = ["SAME", "hull_distance", "mixture_notes"]

# Share of the tokens that may differ from a mixture of those tried, by rounding in the table.
OUTSIDE = 0.005

# Two mixtures are one where no share differs by more.
SAME = 1e-4

# A cap below this share holds fewer tokens than any domain that is mixed on purpose: the unique
# tokens are in another unit than those of the run.
TOO_SMALL = 1e-6


def mixture_notes(
    found: OptimalMixture,
    fits: Sequence[Fit],
    tried: np.ndarray | None,
    second: tuple[dict[str, float], float] | None,
) -> list[Note]:
    """Soft problems of an optimal mixture.

    Args:
        found: the mixture.
        fits: of the responses.
        tried: mixtures of the runs, shape (mixtures, domains); None where they are not known.
        second: another local minimum, and how much higher it is.
    """
    notes = [*_limit_notes(found), *_unit_notes(found), *_reach_notes(found, fits, tried)]
    if second is not None:
        notes.append(_second_note(*second))
    if found.draws and len(fits) > 1 and found.draws.origin is None:
        notes.append(
            Note.of(
                "responses_unpaired",
                "the draws of the responses are not of the same resamples, and are taken as "
                "independent: runs that are noisy in all of them count as if they were not",
                {"responses": len(fits)},
            )
        )
    return [*notes, *_gain_notes(found)]


def _limit_notes(found: OptimalMixture) -> list[Note]:
    """A note on shares that a cap or zero holds."""
    held = {name: found.held(name) for name in found.shares}
    said = []
    for name, by in held.items():
        if by == "cap":
            worth = found.price.get(name)
            more = (
                "" if worth is None else f" (a percent more lowers the loss by {worth / 100:.2g})"
            )
            said.append(f"{name} is at its cap of {found.shares[name]:.3g}{more}")
        elif by == "floor":
            said.append(f"{name} is at its lowest, {found.shares[name]:.3g}")
    if not said:
        return []
    return [
        Note.of(
            "share_at_limit",
            "; ".join(said)
            + (
                ": an interval ends there, and the share of draws at the limit says how certain "
                "that is"
                if found.draws
                else ""
            ),
            {name: by for name, by in held.items() if by in ("cap", "floor")},
        )
    ]


def _unit_notes(found: OptimalMixture) -> list[Note]:
    """A note where a cap is so low that its tokens seem to be in another unit than the run's."""
    low = {name: most for name, (_, most) in found.limits.items() if 0 < most < TOO_SMALL}
    if not low:
        return []
    said = " and ".join(f"{name} to {most:.2g}" for name, most in low.items())
    return [
        Note.of(
            "unit_mismatch",
            f"the limits hold the share of {said}: give available tokens in the unit of the tokens "
            "of the run",
            dict(low),
        )
    ]


def _reach_notes(
    found: OptimalMixture, fits: Sequence[Fit], tried: np.ndarray | None
) -> list[Note]:
    """Notes where the answer lies outside the runs: other columns, and the mixtures tried."""
    first = fits[0]
    columns = {**found.at, **found.shares}
    given = {name: columns[name] for name in first.law.columns if name in columns}
    other = {name: value for name, value in given.items() if name in found.at}
    notes = list(
        unit_mismatch(first.domain, {name: np.array([value]) for name, value in other.items()})
    )
    if tried is None:
        return [*notes, *first.extrapolation(given)]
    # Shares are judged together, by the mixtures tried.
    notes += extrapolation(first.domain, other) if other else ()
    shares = np.array(list(found.shares.values()))
    far = hull_distance(shares, tried)
    if far > OUTSIDE:
        notes.append(
            Note.of(
                "mixture_outside_runs",
                f"{rough_percent(far)} of the tokens lie outside every blend of the {len(tried)} "
                "mixtures tried: the optimum rests on the form of the law. Train it at a small "
                "size before a large one, or keep to the mixtures tried by bounds",
                {"share": far, "mixtures": len(tried)},
            )
        )
    return notes


def hull_distance(shares: np.ndarray, tried: np.ndarray) -> float:
    """The part of a mixture that no blend of the others has: zero inside their convex hull.

    Args:
        shares: the mixture, shape (domains,).
        tried: the others, shape (mixtures, domains).
    """
    from scipy.optimize import linprog

    count, size = tried.shape
    # Blend weights, then what is left over and what is lacking in each domain.
    cost = np.concatenate([np.zeros(count), np.full(2 * size, 0.5)])
    balance = np.hstack([tried.T, np.eye(size), -np.eye(size)])
    whole = np.concatenate([np.ones(count), np.zeros(2 * size)])
    result = linprog(
        cost,
        A_eq=np.vstack([balance, whole]),
        b_eq=np.append(shares, 1.0),
        bounds=(0, None),
        method="highs",
    )
    # Both parts can always be lacking: there is a solution.
    assert result.fun is not None, result.message
    return float(result.fun)


def _second_note(shares: dict[str, float], higher: float) -> Note:
    """A note on another local minimum."""
    mixed = ", ".join(f"{name} {value:.3g}" for name, value in shares.items())
    return Note.of(
        "several_mixtures",
        f"the law has several local optima: another, {mixed}, is {higher:.2g} higher. A few more "
        "runs there would tell them apart",
        {"higher": higher, **shares},
    )


def _gain_notes(found: OptimalMixture) -> list[Note]:
    """Notes on mixtures that some draws find no worse than the best."""
    notes = []
    best = np.array(list(found.shares.values()))
    for name in found.gains if found.draws else ():
        if np.abs(np.array(list(found.mixtures[name].values())) - best).max() < SAME:
            continue
        drawn = found.draws[GAIN.format(name)]
        share = float(np.mean(drawn[np.isfinite(drawn)] <= 0))
        if share > 0.025:
            notes.append(
                Note.of(
                    "gain_uncertain",
                    f"{rough_percent(share)} of the draws find the {name} mixture no worse than "
                    "the optimum: these runs do not show that it is",
                    {"mixture": name, "share": share},
                )
            )
    return notes
