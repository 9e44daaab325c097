"""Rules that flag suspect runs of IsoFLOP sweeps. Nothing is removed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.allocation.costs import Cost
from scalefit.approach2.outlier_runs import (
    Curves,
    parabola_outliers,
    surface_outliers,
)
from scalefit.approach2.parabola import parabolas
from scalefit.approach2.sweeps import Sweeps, sweeps
from scalefit.arguments import choice, refused
from scalefit.data.table import LossTable, as_table
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.objective import robust_size
from scalefit.results.prediction import refuse_unknown
from scalefit.results.surface import Surface

__all__ = [
    "ALL_RULES",
    "OUTLIER_RULES",
    "THRESHOLDS",
    "Flag",
    "RuleChoice",
    "apply_rules",
    "checked_rules",
    "described_outliers",
    "flag_runs",
    "no_surface",
]

RuleChoice = str | tuple[str, float]
"""Name of a rule, or name and threshold."""


class Flag(NamedTuple):
    """A run that a rule found.

    Attributes:
        place: its position among the runs.
        budget: FLOP.
        rule: name of the rule.
        reason: what was found, with the number and the limit.
    """

    place: int
    budget: float
    rule: str
    reason: str


Flagged = list[tuple[int, str]]
"""Position of a run, and the reason why it is flagged."""


def _duplicates(runs: Sweeps, limit: float) -> Flagged:
    """All but one of the runs of a budget whose sizes differ by no more than the limit in ln N."""
    found: Flagged = []
    for members in runs.members:
        size = np.log(runs.N[members])
        for twins in np.split(members, np.flatnonzero(np.diff(size) > limit) + 1):
            # The run trained closest to the budget stays; of several, that of the least loss.
            counted = runs.cost.evaluate({"N": runs.N[twins], "D": runs.D[twins]})
            miss = np.abs(np.log(counted / runs.C[twins]))
            best = min(zip(miss.round(6), runs.loss[twins], twins, strict=True))[2]
            for place in twins:
                if place != best:
                    found.append(
                        (
                            int(place),
                            f"N within {100 * limit:g} % of run {runs.rows[best]} at this budget",
                        )
                    )
    return found


def _few_points(runs: Sweeps, limit: float) -> Flagged:
    """Budgets of fewer runs than the limit."""
    return [
        (int(place), f"{len(members)} runs at this budget, fewer than {limit:g}")
        for members in runs.members
        if len(members) < limit
        for place in members
    ]


def _parabola_outlier(runs: Sweeps, limit: float) -> Flagged:
    """Runs that bend the parabola of their budget, one at a time."""
    return described_outliers(runs.over_size, None, limit, "budget")


def _surface_outlier(runs: Sweeps, limit: float) -> Flagged:
    """Runs far from a fitted surface."""
    return described_outliers(runs.over_size, _residuals(runs), limit, "budget")


def _residuals(runs: Sweeps) -> np.ndarray:
    if runs.residual is None:
        raise no_surface()
    return runs.residual


def no_surface() -> ArgumentError:
    """The error for the rule ``surface_outlier`` without a surface."""
    return ArgumentError(
        "the rule 'surface_outlier' needs a fitted surface",
        argument="rules",
        value="surface_outlier",
        remedy="Pass one, as fit=scalefit.fit(runs), or take 'parabola_outlier'",
    )


def described_outliers(
    curves: Curves, residuals: np.ndarray | None, limit: float, what: str
) -> Flagged:
    """Outliers with the reason for each.

    Args:
        curves: the curves.
        residuals: of each run from a surface; None for parabolas through each curve, of which one
            run is taken out at a time.
        limit: of the score.
        what: what a curve is called.
    """
    if residuals is not None:
        return [
            (
                item.place,
                f"residual {item.miss:+.3g} from the fitted surface ({item.score:.3g} times the "
                f"usual scatter, above {limit:g})",
            )
            for item in surface_outliers(residuals, curves.members, limit)
        ]
    found: Flagged = []
    while new := parabola_outliers(curves, limit):
        for item in new:
            found.append(
                (
                    item.place,
                    f"{item.miss:+.3g} from the parabola through the other runs of this {what} "
                    f"({item.score:.3g} times the usual scatter, above {limit:g})",
                )
            )
        curves = curves.without([item.place for item in new])
    return found


def _off_centre(runs: Sweeps, limit: float) -> Flagged:
    """Runs farther from the vertex than the limit times the shorter arm; budgets with one arm."""
    found: Flagged = []
    for members in runs.members:
        x = np.log(runs.N[members])
        bowl = parabolas(x, runs.loss[members], runs.weight[members])
        if not bowl.curvature > 0:
            continue
        arm = float(min(bowl.vertex - x[0], x[-1] - bowl.vertex))
        for place, far in zip(members, np.abs(x - bowl.vertex), strict=True):
            if arm <= 0:
                found.append((int(place), "every run of this budget is on one side of its vertex"))
            elif far > limit * arm:
                reason = (
                    f"{far / arm:.3g} times as far from the vertex (in ln N) as the shorter arm "
                    f"reaches, more than {limit:g}"
                )
                found.append((int(place), reason))
    return found


def _spline_outlier(runs: Sweeps, limit: float) -> Flagged:
    """Runs that a spline through the others of their budget misses by a large modified z-score.

    The scores are relative to the misses of all budgets.
    """
    from scipy.interpolate import Akima1DInterpolator

    places, misses = [], []
    for members in runs.members:
        x, y = np.log(runs.N[members]), runs.loss[members]
        # A spline needs rising sizes, and three of them without the run in question.
        if len(members) < 4 or not (np.diff(x) > 0).all():
            continue
        for i, place in enumerate(members):
            others = Akima1DInterpolator(np.delete(x, i), np.delete(y, i))
            places.append(int(place))
            misses.append(float(y[i] - others(x[i], extrapolate=True)))
    if not misses:
        return []
    miss = np.array(misses)
    away = np.abs(miss - np.median(miss))
    usual = robust_size(away)
    score = away / usual if usual > 0 else np.where(away > 0, np.inf, 0.0)
    return [
        (place, f"misses the spline of its neighbours by {gap:.3g} (score {z:.3g} above {limit:g})")
        for place, gap, z in zip(places, misses, score, strict=True)
        if z > limit
    ]


def _weak_curvature(runs: Sweeps, limit: float) -> Flagged:
    """Budgets whose interval of the curvature, at this level, is not above zero."""
    from scipy.special import stdtrit

    found: Flagged = []
    for members in runs.members:
        bowl = parabolas(np.log(runs.N[members]), runs.loss[members], runs.weight[members])
        freedom = int(bowl.points) - 3
        if freedom < 1 and bowl.curvature > 0:
            continue
        reach = stdtrit(freedom, 0.5 * (1 + limit)) * bowl.curvature_se if freedom > 0 else 0.0
        if not bowl.curvature > reach:
            reason = (
                f"curvature {bowl.curvature:.3g} of this budget is not above zero by its "
                f"{100 * limit:g} % interval, +-{reach:.3g}"
            )
            found += [(int(place), reason) for place in members]
    return found


RULES: Mapping[str, Callable[[Sweeps, float], Flagged]] = Frozen(
    {
        "duplicates": _duplicates,
        "few_points": _few_points,
        "parabola_outlier": _parabola_outlier,
        "surface_outlier": _surface_outlier,
        "off_centre": _off_centre,
        "spline_outlier": _spline_outlier,
        "weak_curvature": _weak_curvature,
    }
)

THRESHOLDS: Mapping[str, float] = Frozen(
    {
        "duplicates": 0.01,
        "few_points": 6.0,
        "parabola_outlier": 6.0,
        "surface_outlier": 6.0,
        "off_centre": 2.5,
        "spline_outlier": 6.0,
        "weak_curvature": 0.95,
    }
)

RULE_REMEDY = "Pass names, or names with a threshold, as rules=['duplicates', ('few_points', 6.0)]"

# The last rule counts budgets again that lost runs to the others, with a lower limit: five runs
# still leave a parabola two degrees of freedom.
ALL_RULES: tuple[RuleChoice, ...] = (
    *(name for name in RULES if name != "surface_outlier"),
    ("few_points", 5.0),
)
# With a surface its residuals take the place of parabolas.
WITH_SURFACE: tuple[RuleChoice, ...] = tuple(
    "surface_outlier" if rule == "parabola_outlier" else rule for rule in ALL_RULES
)
# Rules that find single runs before any curve is judged.
OUTLIER_RULES = ("parabola_outlier", "surface_outlier")


def flag_runs(
    runs: LossTable | pd.DataFrame,
    *,
    rules: Sequence[RuleChoice] | None = None,
    fit: Surface | None = None,
    by: str | None = None,
    tolerance: float = 0.05,
    cost: str | Cost | None = None,
    **columns: str,
) -> pd.DataFrame:
    """Runs of IsoFLOP sweeps that a rule flags. Nothing is removed.

    Rules are taken in order, each on the runs that those before it left; give a threshold with a
    pair, as ``("spline_outlier", 4.5)``.

    - ``duplicates`` (0.01): sizes at a budget that differ by no more than this in ln N. The run
      trained closest to the budget stays, then the one of least loss.
    - ``few_points`` (6): budgets of fewer runs.
    - ``parabola_outlier`` (6): runs that bend the parabola of their budget: without the run the
      others lie on one. Its distance is taken in the scatter about parabolas that is usual in the
      other budgets, and must stand out of its own budget too. Found before the rules that judge a
      run or a budget by its parabola.
    - ``surface_outlier`` (6): runs whose residual from the surface ``fit`` has a modified z-score
      above this, by the median and the median absolute deviation of all runs. It finds several bad
      runs in one budget, and those at the ends of a sweep.
    - ``off_centre`` (2.5): runs farther from the vertex, in ln N, than so many times the shorter
      arm of their budget; whole budgets on one side of their vertex.
    - ``spline_outlier`` (6): an Akima spline through the other runs of the budget misses the loss
      by a modified z-score above this, against the misses of all budgets. The smallest and the
      largest size are extrapolated to, and a run far off spoils the splines of its neighbours:
      look at what is flagged beside it.
    - ``weak_curvature`` (0.95): budgets whose parabola has no positive curvature, by its interval
      of this level.

    Args:
        runs: the table.
        rules: which rules, in which order; by default all of them, with ``surface_outlier`` in the
            place of ``parabola_outlier`` where ``fit`` is given.
        fit: a law fitted to the runs, for ``surface_outlier``: best by a Huber loss, as by default,
            which bad runs hardly move.
        by: as for :func:`isoflop`, as ``tolerance`` and ``cost``.
        tolerance: see there.
        cost: see there.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        A row for each flagged run, with its label in the index: ``budget``, ``N``, ``D``,
        ``loss``, ``rule``, ``reason``.

    Raises:
        ArgumentError: a rule is unknown, or its threshold is no number in its range.
        DataError: a column is missing.

    Source:
        Stages and thresholds as in the analysis of Czech et al. 2026, arXiv 2603.22339; the
        modified z-score is that of Iglewicz and Hoaglin 1993.

    Example:
        >>> import pandas as pd, scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.001)
        >>> twice = pd.concat([runs, runs.iloc[[10]]], ignore_index=True)
        >>> sf.approach2.flag_runs(twice, rules=["duplicates"])["reason"].to_list()
        ['N within 1 % of run 10 at this budget']
    """
    refuse_unknown(flag_runs, None, columns)
    table = as_table(runs, **columns)
    every = sweeps(table, by, tolerance, cost, fit=fit)
    if rules is None:
        rules = ALL_RULES if fit is None else WITH_SURFACE
    return flag_frame(every, apply_rules(every, rules)[0])


def flag_frame(runs: Sweeps, flags: Sequence[Flag]) -> pd.DataFrame:
    """Flags as a table, in the order of the runs."""
    flags = sorted(flags)
    places = [flag.place for flag in flags]
    return pd.DataFrame(
        {
            "budget": np.array([flag.budget for flag in flags], dtype=np.float64),
            "N": runs.N[places],
            "D": runs.D[places],
            "loss": runs.loss[places],
            "rule": [flag.rule for flag in flags],
            "reason": [flag.reason for flag in flags],
        },
        index=pd.Index([runs.rows[place] for place in places]),
    )


def apply_rules(runs: Sweeps, rules: Sequence[RuleChoice]) -> tuple[list[Flag], Sweeps]:
    """Flags of the rules in turn, and the runs without those they found.

    Raises:
        ArgumentError: a rule is unknown, or its threshold is no number in its range.
    """
    flags: list[Flag] = []
    # Budgets that lost a run as an outlier: a spline through the others crosses a gap,
    # which makes it miss the runs beside it.
    settled: set[int] = set()
    for name, limit in checked_rules(rules):
        budgets = {int(runs.code[item[0]]): runs.budget(item) for item in runs.members}
        found = RULES[name](runs, limit)
        if name in OUTLIER_RULES:
            settled |= {int(runs.code[place]) for place, _ in found}
        elif name == "spline_outlier":
            found = [item for item in found if int(runs.code[item[0]]) not in settled]
        flags += [
            Flag(place, budgets[int(runs.code[place])], name, reason) for place, reason in found
        ]
        code = runs.code.copy()
        code[[place for place, _ in found]] = -1
        runs = replace(runs, code=code)
    return flags, runs


def checked_rules(rules: Any, known: Sequence[str] = tuple(RULES)) -> list[tuple[str, float]]:
    """Rules with their thresholds.

    Args:
        rules: names, or names with a threshold.
        known: rules there are.

    Raises:
        ArgumentError: a rule is unknown, or its threshold is no number in its range.
    """
    try:
        found = [rules] if isinstance(rules, str) else list(rules)
    except Exception as error:  # A number in an array is iterable by its type, and raises.
        raise refused("rules", rules, "a list of rules", RULE_REMEDY) from error
    return [_threshold(rule, known) for rule in found]


def _threshold(rule: Any, known: Sequence[str]) -> tuple[str, float]:
    name, limit = rule if isinstance(rule, tuple) and len(rule) == 2 else (rule, None)
    choice(name, "rules", tuple(known), remedy=RULE_REMEDY)
    if limit is None:
        return name, THRESHOLDS[name]
    remedy = f"Pass a number, as rules=[({name!r}, {THRESHOLDS[name]:g})]"
    below = 1.0 if name == "weak_curvature" else None
    return name, arguments.number(limit, f"rules[{name!r}]", least=0, below=below, remedy=remedy)
