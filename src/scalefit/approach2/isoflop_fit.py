"""IsoFLOP fits, one budget at a time: Chinchilla's Approach 2 and its interpolating kin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost
from scalefit.approach2.parabola import Parabolas, PowerLaw, VertexFits, power_law, vertex_fits
from scalefit.approach2.run_quality import (
    THRESHOLDS,
    RuleChoice,
    bent_parabolas,
    flag_frame,
    flagged,
)
from scalefit.approach2.sweeps import Sweeps, sweeps
from scalefit.arguments import choice, flag, numbers
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.data.trajectories import find_trajectories
from scalefit.errors import DataError, listed
from scalefit.notes import Note
from scalefit.reporting import report
from scalefit.results.domain import extrapolation

__all__ = ["IsoFlop", "Method", "Optimum", "again", "isoflop", "positive"]

Method = Literal["parabola", "akima", "cubic"]
"""How the least loss of a budget is found: by a parabola, or on a spline through the runs."""

DISTINCT = 3
FEW_BUDGETS = 4
# Two standard errors: below, the sign of the curvature is in doubt.
WEAK = 2.0
FLOPS_TOLERANCE = 0.05
# Largest over smallest C of what should be one budget: gaps chain.
WIDE_BUDGET = 1.2
# And above which gaps have chained several budgets to one, or checkpoints of runs.
WIDEST_BUDGET = 2.0
# A vertex farther outside the runs than so many times their width, in the logarithm, is no optimum.
FARTHEST_VERTEX = 2.0
# Powers of ten between the geometric middle of the sizes and the vertex.
OFF_CENTRE = 0.15


class Optimum(NamedTuple):
    """Compute-optimal sizes and tokens at some budgets, arrays of their shape.

    Attributes:
        N: parameters.
        D: tokens.
        tokens_per_param: D / N.
        notes: how far the budgets lie outside those of the power laws, and what is said of these.
    """

    N: np.ndarray
    D: np.ndarray
    tokens_per_param: np.ndarray
    notes: tuple[Note, ...] = ()

    def __repr__(self) -> str:
        return report.optimum_text(self)


class Frontier(ABC):
    """The answers of two power laws, N*(C) and D*(C).

    Attributes:
        n_law: power law of N*.
        d_law: power law of D*.
        notes: soft problems.
    """

    n_law: PowerLaw
    d_law: PowerLaw
    notes: tuple[Note, ...]

    @property
    @abstractmethod
    def span(self) -> tuple[float, float]:
        """Lowest and highest budget of the power laws, FLOP."""

    @property
    def n_exponent(self) -> float:
        """Exponent of N* in the budget."""
        return float(self.n_law.exponent)

    @property
    def d_exponent(self) -> float:
        """Exponent of D* in the budget."""
        return float(self.d_law.exponent)

    def at(self, flops: Any) -> Optimum:
        """N*, D* and D*/N* of the power laws, each an array of the shape of ``flops``.

        N* and D* come from separate lines: their product is C/6 only where 6ND is C in the table.

        Raises:
            ArgumentError: a budget is not a positive number.
        """
        budgets = positive(flops)
        N, D = self.n_law.at(budgets), self.d_law.at(budgets)
        notes = (*extrapolation({"C": self.span}, {"C": budgets}), *self.notes)
        return Optimum(N, D, np.asarray(D / N)[()], notes)


@dataclass(frozen=True, eq=False)
class IsoFlop(Frontier):
    """Vertices of IsoFLOP sweeps, and power laws through them.

    Attributes:
        budgets: a row for each budget, in rising order.

            - ``budget``, ``C_ratio``: FLOP, geometric mean of its runs; and their largest over
              their smallest.
            - ``n``, ``sizes``: runs, and distinct sizes.
            - ``N_min``, ``N_max``, ``half_width``: range of sizes, and the root of its ratio.
            - ``centre``: powers of ten from the vertex up to the geometric middle of the range.
            - ``N``, ``N_low``, ``N_high``: size of least loss, with its interval.
            - ``D``, ``D_low``, ``D_high``: the same for tokens, from the curve over D.
            - ``D_from_budget``: the tokens that the budget buys for N.
            - ``loss``: at the vertex over N.
            - ``curvature``, ``curvature_se``: coefficient of (ln N)^2.
            - ``interior``: whether the vertex over N lies in the range.
            - ``status``: ``ok``, ``too_few`` (fewer than three distinct sizes), ``edge_minimum``,
              ``negative_curvature``, ``weak_curvature`` (below two standard errors),
              ``impossible`` (a vertex outside the runs by more than twice their width, below one
              parameter or token where the runs are above, or of a loss below zero where all are
              above) or ``too_wide`` (runs of close C chained over more than a factor of two).
            - ``used``: whether the power laws go through it.
        n_law: N* against the budget.
        d_law: D* against the budget.
        method: how vertices were found.
        level: of the intervals.
        cost: name of what budgets are counted in.
        runs: budget of each run that was not left out, FLOP, by its label.
        removed: runs left out by a rule: ``budget``, ``N``, ``D``, ``loss``, ``rule``, ``reason``.
        keep_edges: whether a vertex outside its runs counts.
        sweeps: the runs that were not left out, for what asks the same runs again.
        notes: soft problems.
    """

    budgets: pd.DataFrame
    n_law: PowerLaw
    d_law: PowerLaw
    method: Method
    level: float
    cost: str
    runs: pd.Series
    removed: pd.DataFrame
    keep_edges: bool
    sweeps: Sweeps
    notes: tuple[Note, ...] = ()

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest budget of the power laws, FLOP."""
        budgets = self.budgets["budget"][self.budgets["used"]]
        return float(budgets.min()), float(budgets.max())

    def to_frame(self) -> pd.DataFrame:
        """The row of each budget."""
        return self.budgets.copy()

    def summary(self) -> str:
        """The power laws, the budgets and the notes as text."""
        return report.isoflop_text(self)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.isoflop_html(self)


def positive(flops: Any) -> np.ndarray:
    """Budgets as float64.

    Raises:
        ArgumentError: a budget is not a positive number.
    """
    remedy = "Pass the budget in FLOP, as flops=1e24"
    return numbers(flops, "flops", above=0, empty=False, remedy=remedy)


def isoflop(
    runs: LossTable | pd.DataFrame,
    *,
    by: str | None = None,
    tolerance: float = 0.05,
    cost: str | Cost | None = None,
    method: Method = "parabola",
    rules: Sequence[RuleChoice] = (),
    keep_edges: bool = True,
    level: float = 0.95,
    **columns: str,
) -> IsoFlop:
    """Compute-optimal N and D from IsoFLOP sweeps, without a law of the loss.

    At each budget the size of least loss is found by a parabola of the loss in ln N, and the tokens
    of least loss by one in ln D, both by least squares; then ln N* and ln D* are fitted on ln C,
    unweighted. Budgets with fewer than three distinct sizes, without a minimum or with one that no
    runs can have are listed and left out. A run that bends the parabola of its budget counts, and
    a note names it, with the exponent without it.

    The vertices are biased even without noise, unless the loss is symmetric about its optimum:
    :func:`design_bias` says how much.

    Args:
        runs: a table with N, D and the loss.
        by: column that names the budget of a run; by default runs whose C is close share one.
        tolerance: a new budget begins where the sorted ln C leave a wider gap than this.
        cost: what C is counted in. By default it is the table's column C, or 6ND without one.
        method: ``parabola``; or ``akima`` or ``cubic``, the least point on a spline through the
            runs, which follows their noise and has no interval.
        rules: rules of :func:`flag_runs` to leave runs out by, in order; none by default.
        keep_edges: whether a parabola's vertex outside its runs counts. A spline's never does.
        level: of the intervals: Fieller's for a vertex, Student's t for an exponent.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        Vertices, power laws, runs left out, and notes.

    Raises:
        ArgumentError: an option is unknown or no number in its range.
        DataError: a column is missing, or fewer than two budgets have a minimum.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, section 3.2.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
        >>> found = sf.isoflop(runs)
        >>> round(found.n_exponent, 4), round(found.d_exponent, 4)
        (0.4516, 0.5484)
        >>> best = found.at(1e24)
        >>> f"{best.N:.3g} parameters, {best.D:.3g} tokens"  # of this surface 4.04e+12 are best
        '4.25e+10 parameters, 3.92e+12 tokens'
    """
    choice(method, "method", get_args(Method))
    keep_edges, level = flag(keep_edges, "keep_edges"), checked_level(level)
    table = as_table(runs, **columns)
    every = sweeps(table, by, tolerance, cost)
    name = every.cost.name if every.counted else f"column {table.sources['C']!r}"
    notes = (*table.notes, *_curve_notes(table))
    return _swept(every, rules, method, keep_edges, level, name, notes)


def _curve_notes(table: LossTable) -> list[Note]:
    """A note where rows are checkpoints of few runs."""
    found = find_trajectories(table)
    if found is None:
        return []
    return [
        Note.of(
            "trajectories",
            f"{found.rows} of {len(table)} rows look like checkpoints of {found.curves} runs: "
            "losses in the middle of a learning-rate schedule are not those of runs that end at "
            "that budget, and neighbours share their noise. Give runs that ended at their budget, "
            "or take the lower envelope of the curves: scalefit.approach2.envelope(runs)",
            {"rows": found.rows, "runs": found.curves, "by": found.by},
            severity="warning",
        )
    ]


def again(found: IsoFlop, rules: Sequence[RuleChoice]) -> IsoFlop:
    """The same runs, grouped as they were, without those that the rules find.

    Raises:
        ArgumentError: a rule is unknown.
        DataError: fewer than two budgets have a minimum.
    """
    options = found.method, found.keep_edges, found.level, found.cost
    return _swept(found.sweeps, rules, *options, ())


def _swept(
    every: Sweeps,
    rules: Sequence[RuleChoice],
    method: Method,
    keep_edges: bool,
    level: float,
    cost: str,
    notes: Sequence[Note],
) -> IsoFlop:
    flags, kept = flagged(every, rules)
    removed = flag_frame(every, flags)
    fits = _vertices(kept, method)
    budgets = _described(kept, fits, level)
    budgets["status"] = _statuses(kept, budgets, fits)
    budgets["used"] = _used(budgets["status"].to_numpy(), fits, keep_edges and method == "parabola")
    n_law, d_law = _lines(budgets, fits)
    return IsoFlop(
        budgets=budgets,
        n_law=n_law,
        d_law=d_law,
        method=method,
        level=level,
        cost=cost,
        runs=_assigned(kept),
        removed=removed,
        keep_edges=keep_edges,
        sweeps=kept,
        notes=(*notes, *_bent_notes(kept, method, budgets, n_law), *_notes(kept, budgets, removed)),
    )


def _vertices(runs: Sweeps, method: Method) -> VertexFits:
    if method == "parabola":
        place, weight = runs.padded()
        flops = [runs.budget(item) for item in runs.members]
        return vertex_fits(flops, runs.N[place], runs.D[place], runs.loss[place], weight)
    n, d = (_splines(runs, column, method) for column in (runs.N, runs.D))
    usable = np.isfinite(n.vertex) & np.isfinite(d.vertex)
    # The laws are drawn later, through the budgets that count.
    none = power_law(np.ones(len(usable)), n.vertex, False)
    return VertexFits(n, d, usable, none, none)


def _splines(runs: Sweeps, column: np.ndarray, method: Method) -> Parabolas:
    """Least points of splines, in the form of parabolas without errors."""
    from scipy.interpolate import Akima1DInterpolator, CubicSpline

    kind = Akima1DInterpolator if method == "akima" else CubicSpline
    rows = []
    for members in runs.members:
        x, of = np.unique(np.log(column[members]), return_inverse=True)
        weight = runs.weight[members]
        y = np.bincount(of, weight * runs.loss[members]) / np.bincount(of, weight)
        if len(x) < DISTINCT:
            rows.append((np.nan, np.nan, np.nan, len(members), False))
            continue
        curve = kind(x, y)
        turns = curve.derivative().roots(extrapolate=False)
        turns = turns[np.isfinite(turns)]
        # An end may lie lower than any turn: then the least point is no minimum.
        inside = len(turns) > 0 and float(curve(turns).min()) <= min(y[0], y[-1])
        least = float(turns[np.argmin(curve(turns))] if inside else x[np.argmin(y)])
        rows.append((least, float(curve(least)), float(curve(least, 2)) / 2, len(members), inside))
    vertex, minimum, curvature, points, inside_ = np.reshape(rows, (-1, 5)).T
    unknown = np.full(len(rows), np.nan)
    return Parabolas(
        vertex, minimum, curvature, unknown, points, inside_ > 0, unknown, unknown, unknown
    )


def _assigned(runs: Sweeps) -> pd.Series:
    budget = np.full(len(runs.N), np.nan)
    for members in runs.members:
        budget[members] = runs.budget(members)
    return pd.Series(budget, index=pd.Index(runs.rows), name="budget").dropna()


def _described(runs: Sweeps, fits: VertexFits, level: float) -> pd.DataFrame:
    members = runs.members
    sizes = [runs.N[item] for item in members]
    low, high = (np.array([end(item) for item in sizes]) for end in (np.min, np.max))
    budget = np.array([runs.budget(item) for item in members])
    with np.errstate(over="ignore", invalid="ignore"):
        N, D = np.exp(fits.n.vertex), np.exp(fits.d.vertex)
        n_ends, d_ends = (np.exp(found.interval(level)) for found in (fits.n, fits.d))
    return pd.DataFrame(
        {
            "budget": budget,
            "C_ratio": [runs.C[item].max() / runs.C[item].min() for item in members],
            "n": [len(item) for item in members],
            "sizes": [len(np.unique(item)) for item in sizes],
            "N_min": low,
            "N_max": high,
            "half_width": np.sqrt(high / low),
            "centre": np.log10(np.sqrt(low) * np.sqrt(high)) - fits.n.vertex / np.log(10),
            "N": N,
            "N_low": n_ends[0],
            "N_high": n_ends[1],
            "D": D,
            "D_low": d_ends[0],
            "D_high": d_ends[1],
            "D_from_budget": runs.cost.tokens(budget, N),
            "loss": fits.n.minimum,
            "curvature": fits.n.curvature,
            "curvature_se": fits.n.curvature_se,
            "interior": fits.n.inside,
        }
    )


def _possible(runs: Sweeps, fits: VertexFits) -> np.ndarray:
    """Whether the vertex of each budget may be its optimum, shape (budgets,)."""
    members = runs.members
    positive_losses = np.array([(runs.loss[item] > 0).all() for item in members], dtype=bool)
    found = ~(positive_losses & ((fits.n.minimum <= 0) | (fits.d.minimum <= 0)))
    for curve, column in ((fits.n, runs.N), (fits.d, runs.D)):
        ends = [np.log([column[item].min(), column[item].max()]) for item in members]
        low, high = np.reshape(ends, (-1, 2)).T
        reach = FARTHEST_VERTEX * (high - low)
        # Of logarithms: below zero is less than one, where the table counts and has no unit.
        least = np.maximum(low - reach, np.minimum(low, 0.0))
        found &= (curve.vertex >= least) & (curve.vertex <= high + reach)
    return np.asarray(found)


def _statuses(runs: Sweeps, budgets: pd.DataFrame, fits: VertexFits) -> list[str]:
    weak = (fits.n.curvature < WEAK * fits.n.curvature_se) | (
        fits.d.curvature < WEAK * fits.d.curvature_se
    )
    few = np.isnan(fits.n.curvature) | np.isnan(fits.d.curvature)
    outside = ~(fits.n.inside & fits.d.inside)
    wide = (budgets["C_ratio"].to_numpy() > WIDEST_BUDGET) & (not runs.named)
    cases = [few, wide, ~fits.usable, ~_possible(runs, fits), outside, weak]
    words = ["too_few", "too_wide", "negative_curvature", "impossible", "edge_minimum"]
    words.append("weak_curvature")
    return [str(word) for word in np.select(cases, words, default="ok")]


def _used(status: np.ndarray, fits: VertexFits, edges: bool) -> np.ndarray:
    refused = np.isin(status, ("too_wide", "impossible"))
    return np.asarray(fits.usable & ~refused & (edges | (status != "edge_minimum")))


def _lines(budgets: pd.DataFrame, fits: VertexFits) -> tuple[PowerLaw, PowerLaw]:
    used = budgets["used"].to_numpy()
    counts = budgets["status"].value_counts()
    curves = (
        ". Where rows are checkpoints of training curves: scalefit.approach2.envelope(runs)"
        if "too_wide" in counts
        else ""
    )
    if used.sum() < 2:
        states = listed([f"{count} {status}" for status, count in counts.items()])
        raise DataError(
            f"{used.sum()} of {len(budgets)} budgets have a usable minimum, and a power law needs "
            f"two ({states})",
            remedy="A budget needs three distinct sizes around its least loss. Check how runs are "
            "grouped (by=, tolerance=), or fit a law of the whole table: "
            f"scalefit.fit(runs){curves}",
        )
    if curves and (budgets["status"][used] == "edge_minimum").all():
        raise DataError(
            f"all {used.sum()} usable vertices lie outside their runs ({_flops(budgets[used])}): "
            "no budget shows a size of least loss, and a power law would go through extrapolations",
            remedy="Add sizes around the least loss, check how runs are grouped (by=, tolerance=), "
            f"or fit a law of the whole table: scalefit.fit(runs){curves}",
        )
    flops = budgets["budget"].to_numpy()
    return power_law(flops, fits.n.vertex, used), power_law(flops, fits.d.vertex, used)


def _notes(runs: Sweeps, budgets: pd.DataFrame, removed: pd.DataFrame) -> list[Note]:
    notes: list[Note] = []
    used = int(budgets["used"].sum())
    if used < FEW_BUDGETS:
        notes.append(
            Note.of(
                "few_budgets",
                f"the power laws go through {used} budgets: with fewer than {FEW_BUDGETS} their "
                "exponents are little more than a ratio of two vertices. Add budgets",
                {"budgets": used},
            )
        )
    notes += _wide_notes(budgets)
    notes += _status_notes(budgets)
    notes += _centre_notes(budgets)
    notes += _dropped_notes(budgets[~budgets["used"]], removed)
    return notes + convention_notes(runs)


def _dropped_notes(lost: pd.DataFrame, removed: pd.DataFrame) -> list[Note]:
    said = []
    if len(removed):
        rules = removed["rule"].value_counts()
        by = listed([f"{count} by {rule}" for rule, count in rules.items()])
        said.append(f"{len(removed)} runs by the rules asked for ({by})")
    if len(lost):
        said.append(f"{len(lost)} budgets without a usable minimum ({_flops(lost)})")
    if not said:
        return []
    return [
        Note.of(
            "isoflop_dropped",
            f"left out: {'; '.join(said)}",
            {
                "rows": [str(row) for row in removed.index],
                "budgets": [float(value) for value in lost["budget"]],
            },
            severity="warning" if len(lost) else "info",
        )
    ]


def _wide_notes(budgets: pd.DataFrame) -> list[Note]:
    wide = budgets[budgets["used"] & (budgets["C_ratio"] > WIDE_BUDGET)]
    if not len(wide):
        return []
    return [
        Note.of(
            "isoflop_wide_budget",
            f"the runs taken for one budget at {_flops(wide)} differ in C by up to "
            f"{100 * (wide['C_ratio'].max() - 1):.0f} %, and more compute is less loss. Name the "
            "budgets with by=, or lower the tolerance",
            {"budgets": [float(value) for value in wide["budget"]]},
        )
    ]


SAID = {
    "too_wide": "runs of close C chain into one budget over more than a factor of two: it is left "
    "out. Name the budgets with by=, or lower the tolerance; training curves with checkpoints as "
    "rows go to scalefit.approach2.envelope(runs)",
    "impossible": "the vertex is no optimum that such runs can have (below one parameter, one "
    "token or a loss of zero, or outside the runs by more than twice their width): it is left out. "
    "Add sizes around the least loss",
    "edge_minimum": "the vertex lies outside the runs: it is extrapolated. Add sizes there, or "
    "leave it out with keep_edges=False",
    "negative_curvature": "the parabola does not open upward, so that no size is best. Look at the "
    "runs there: flag_runs(runs) lists suspects",
    "weak_curvature": "the curvature is below two standard errors, so that the vertex may be "
    "anywhere. Add sizes there, or leave it out with rules=['weak_curvature']",
}


def _status_notes(budgets: pd.DataFrame) -> list[Note]:
    notes = []
    for status, said in SAID.items():
        found = budgets[budgets["status"] == status]
        if len(found):
            notes.append(
                Note.of(
                    f"isoflop_{status}",
                    f"at {_flops(found)} {said}",
                    {"budgets": [float(value) for value in found["budget"]]},
                )
            )
    return notes


def _bent_notes(runs: Sweeps, method: Method, budgets: pd.DataFrame, n_law: PowerLaw) -> list[Note]:
    """A note for each run that bends the curve of its budget, with the exponent without all."""
    bent = bent_parabolas(runs, THRESHOLDS["parabola_outlier"])
    if not bent:
        return []
    code = runs.code.copy()
    code[[item.place for item in bent]] = -1
    without = replace(runs, code=code)
    fits = _vertices(without, method)
    # No budget is lost with one of its five runs or more, and one that was may be found.
    numbers = np.unique(runs.code[runs.code >= 0])
    touched = np.isin(numbers, runs.code[[item.place for item in bent]])
    sound = fits.usable & _possible(without, fits) & (budgets["status"] != "too_wide").to_numpy()
    bent = [item for item in bent if sound[np.searchsorted(numbers, runs.code[item.place])]]
    if not bent:
        return []
    used = (budgets["used"].to_numpy() | touched) & sound
    clean = power_law([without.budget(item) for item in without.members], fits.n.vertex, used)
    said = "; ".join(
        f"run {runs.rows[item.place]} at {runs.C[item.place]:.3g} FLOP (N = "
        f"{runs.N[item.place]:.4g}) is {item.miss:+.3g} off the parabola through the others, "
        f"{item.score:.3g} times the usual scatter"
        for item in bent
    )
    several = len(bent) > 1
    return [
        Note.of(
            "isoflop_bent",
            f"{said}. The exponent of N* is {float(n_law.exponent):.4f} with "
            f"{'these runs' if several else 'this run'} and {float(clean.exponent):.4f} without. "
            f"Look at {'them' if several else 'it'}; rules=['parabola_outlier'] leaves "
            f"{'them' if several else 'it'} out",
            {
                "rows": [str(runs.rows[item.place]) for item in bent],
                "with": float(n_law.exponent),
                "without": float(clean.exponent),
            },
        )
    ]


def _centre_notes(budgets: pd.DataFrame) -> list[Note]:
    used = budgets[budgets["used"]]
    far = used[used["centre"].abs() > OFF_CENTRE]
    if not len(far):
        return []
    c = np.log10(used["budget"].to_numpy())
    drift = float(np.polyfit(c - c.mean(), used["centre"].to_numpy(), 1)[0])
    return [
        Note.of(
            "isoflop_off_centre",
            f"at {_flops(far)} the middle of the sizes is more than {OFF_CENTRE} powers of ten "
            f"from the vertex, and the distance drifts by {drift:+.2g} a decade of budget. "
            "Off-centre sweeps bias the vertices, drifting ones the exponents: see design_bias",
            {"budgets": [float(value) for value in far["budget"]], "drift": drift},
        )
    ]


def convention_notes(runs: Sweeps) -> list[Note]:
    """Whether the C of a table is 6ND."""
    if runs.counted:
        return []
    there = runs.code >= 0
    ratio = runs.C[there] / (6 * runs.N[there] * runs.D[there])
    if np.abs(ratio - 1).max() <= FLOPS_TOLERANCE:
        return []
    return [
        Note.of(
            "flops_convention",
            f"C / 6ND runs from {ratio.min():.3g} to {ratio.max():.3g} in this table (median "
            f"{np.median(ratio):.3g}): N* and D* do not multiply to C/6, and their exponents do "
            "not add up to one",
            {"low": float(ratio.min()), "high": float(ratio.max())},
        )
    ]


def _flops(budgets: pd.DataFrame) -> str:
    return listed([f"{value:.3g}" for value in budgets["budget"]]) + " FLOP"
