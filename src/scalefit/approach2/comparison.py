"""What the parabolas did to an answer, why, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.deadweight_compute import deadweight
from scalefit.allocation.hardware import Hardware, find_hardware, share_of_peak
from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.approach2.attribution import (
    Attribution,
    attribute_bias,
    both,
    one_budget,
    parabolic,
    story_notes,
)
from scalefit.approach2.design_error import DesignBias, of_sweeps
from scalefit.approach2.isoflop_fit import IsoFlop, again
from scalefit.approach2.parabola import power_law, vertex_fits
from scalefit.approach2.run_quality import ALL_RULES, RuleChoice, chosen
from scalefit.arguments import choice, flag, whole
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable, as_table
from scalefit.errors import AllocationError, DataError, ScalefitError
from scalefit.fitting.api import fit as fit_law
from scalefit.frozen import Frozen
from scalefit.inference.fitted_data import FEWEST_FREEDOM
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.reporting import report
from scalefit.results.estimate import AS_DRAWN, Draws, Estimate, TailCorrection
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface

__all__ = ["BiasReport", "bias"]

Quantity = Literal["N", "D", "D/N", "n_exponent", "d_exponent"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)

# Share of resamples without a minimum at some budget above which that is a warning.
LOST = 0.05
# Resamples: all are held at once.
MOST_RESAMPLES = 100_000
# Factor between deadweights above which the choice behind them is a warning.
APART = 2.0
# Objectives that are tried: residual and penalty.
TRIED = (("raw", "none"), ("log", "none"), ("raw", "huber"), ("log", "huber"))
DELTA = 1e-3


@dataclass(frozen=True, eq=False)
class BiasReport:
    """Approach 2 beside a fitted surface at one budget.

    Attributes:
        flops: the budget.
        surface: ``N``, ``D``, ``D/N``, ``n_exponent`` and ``d_exponent`` of the surface's optimum,
            and the ``loss`` there.
        approach2: the same by Approach 2; ``loss`` is the surface's loss of the run in question:
            Approach 2's tokens, and the size that the budget buys for them.
        size: that size, parameters. N and D of Approach 2 come from separate parabolas and need
            not spend the budget.
        deadweight: share of the budget that this run wastes: the surface reaches its loss with the
            rest.
        hardware: what it would run on.
        utilisation: share of the dense peak that it reaches.
        draws: of an ensemble, ``surface`` and ``deadweight`` under each draw, shape (draws,).
        resamples: Approach 2 on resampled runs, the surface as it is: a row for each, with its
            answers, ``deadweight`` and ``lost``, the number of budgets without a minimum. None
            where the parabolas leave fewer than five residual degrees of freedom.
        variants: the answer again, with other objectives and without the runs that rules flag: see
            :func:`bias`.
        design: what Approach 2 gets wrong on these N and D without any noise.
        attribution: the gap by cause.
        fit: the surface; of an ensemble, its fit.
        found: the sweeps by Approach 2.
        cost: what the surface's budgets are counted in.
        tails: how far out among the resamples the ends of an interval lie.
        notes: soft problems.
    """

    flops: float
    surface: Mapping[str, float]
    approach2: Mapping[str, float]
    size: float
    deadweight: float
    hardware: Hardware
    utilisation: float
    draws: Draws
    resamples: pd.DataFrame
    variants: pd.DataFrame
    design: DesignBias
    attribution: Attribution
    fit: Fit
    found: IsoFlop
    cost: Cost
    tails: TailCorrection = AS_DRAWN
    notes: tuple[Note, ...] = ()

    @property
    def law(self) -> str:
        """Name of the law."""
        return self.fit.law.name

    @property
    def deadweight_flops(self) -> float:
        """Wasted FLOP."""
        return self.deadweight * self.flops

    @property
    def device_hours(self) -> float:
        """Device-hours of the wasted FLOP."""
        return float(self.hardware.hours(self.deadweight_flops, self.utilisation))

    @property
    def usd(self) -> float:
        """Dollars of the wasted FLOP."""
        return float(self.hardware.usd(self.deadweight_flops, self.utilisation))

    @property
    def lost_share(self) -> float:
        """Share of the resamples in which Approach 2 loses a budget; NaN without any."""
        return float((self.resamples["lost"] > 0).mean())

    def error(self, name: str = "D") -> float:
        """Approach 2 relative to the surface, less one.

        Raises:
            ArgumentError: there is no such answer.
        """
        choice(name, "name", (*QUANTITIES, "loss"))
        return self.approach2[name] / self.surface[name] - 1

    def estimate(self, name: str = "deadweight") -> Estimate:
        """An answer with the uncertainty of the surface; Approach 2 stays as it is.

        Args:
            name: ``N``, ``D``, ``D/N``, ``n_exponent``, ``d_exponent`` or ``loss`` of the surface;
                ``error``, of D; or ``deadweight``.

        Raises:
            ArgumentError: there is no such answer.
            DataError: the report is of a fit, not of an ensemble.
        """
        choice(name, "name", (*QUANTITIES, "loss", "deadweight", "error"))
        if not self.draws:
            raise DataError(
                "this report is of one fit: its surface has no intervals",
                remedy="Give an ensemble: bias(scalefit.bootstrap(fit, runs), found, runs, flops)",
            )
        if name == "error":
            drawn = self.approach2["D"] / self.draws["D"] - 1
            return Estimate(np.asarray(self.error()), drawn, self.draws.tails, self.notes)
        value = self.deadweight if name == "deadweight" else self.surface[name]
        return self.draws.estimate(name, np.asarray(value), self.notes)

    def resampled(self, name: str = "D") -> Estimate:
        """An answer of Approach 2 with the uncertainty of its runs; the surface stays as it is.

        Args:
            name: ``N``, ``D``, ``D/N``, ``n_exponent`` or ``d_exponent``; ``error``, of D; or
                ``deadweight``.

        Raises:
            ArgumentError: there is no such answer.
            DataError: there are no resamples.
        """
        choice(name, "name", (*QUANTITIES, "deadweight", "error"))
        if not len(self.resamples):
            raise DataError(
                "the runs of this report were not resampled",
                remedy="Give n_draws=400, and sweeps of more runs where a note says `few_rows`",
            )
        if name == "error":
            drawn = self.resamples["D"].to_numpy() / self.surface["D"] - 1
            return Estimate(np.asarray(self.error()), drawn, self.tails, self.notes)
        value = self.deadweight if name == "deadweight" else self.approach2[name]
        drawn = self.resamples[name].to_numpy()
        return Estimate(np.asarray(value), drawn, self.tails, self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each answer: by the surface, by Approach 2, and the relative error.

        Args:
            level: of the intervals: of the surface over the draws of an ensemble, of Approach 2
                over the resamples.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        rows = {}
        for name in (*QUANTITIES, "loss"):
            row = {"surface": self.surface[name], "approach2": self.approach2[name]}
            if self.draws:
                low, high = self.estimate(name).interval(level)
                row |= {"surface_low": float(low), "surface_high": float(high)}
            if name in self.resamples and len(self.resamples):
                low, high = self.resampled(name).interval(level)
                row |= {"approach2_low": float(low), "approach2_high": float(high)}
            rows[name] = {**row, "error": self.error(name)}
        order = ["surface", "surface_low", "surface_high", "approach2", "approach2_low"]
        frame = pd.DataFrame.from_dict(rows, orient="index")
        return frame[[name for name in [*order, "approach2_high", "error"] if name in frame]]

    def summary(self, level: float = 0.95) -> str:
        """The full report as text."""
        return report.bias_text(self, level)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.bias_html(self)


def bias(
    fit: Surface,
    found: IsoFlop,
    runs: LossTable | pd.DataFrame,
    flops: float,
    *,
    cost: CostLike | None = None,
    hardware: Hardware | str = "H100 SXM bf16",
    utilisation: float = 0.5,
    quality: bool | Sequence[RuleChoice] = True,
    objectives: bool = True,
    n_draws: int = 400,
    seed: int = 0,
    **columns: str,
) -> BiasReport:
    """What Approach 2 did to the answer at a budget, why, and what it costs.

    The cost is deadweight compute. Take the tokens that Approach 2 advises and the size that the
    budget buys for them, read the loss of that run off the surface, and ask the surface for the
    least compute that reaches it: the rest of the budget is wasted.

    Args:
        fit: a fit of a law of N and D to the runs, or an ensemble of one, which adds intervals.
        found: what :func:`isoflop` found on the runs, by parabolas.
        runs: the table.
        flops: the budget, FLOP.
        cost: what the surface's budgets are counted in, k N D; by default what ``found`` counts
            them in, or 6ND where it read a column.
        hardware: an accelerator, or its name in ``scalefit.allocation.HARDWARE``.
        utilisation: share of its dense peak that training reaches.
        quality: whether to ask again without the runs that all rules of :func:`flag_runs` flag, in
            the fit and in Approach 2; or rules and thresholds of your own.
        objectives: whether to fit the law again to raw and to log residuals, by squares and by a
            Huber loss with delta 0.001.
        n_draws: how often Approach 2 is repeated on runs resampled within their budgets; not at
            all where the parabolas leave fewer than five residual degrees of freedom.
        seed: of the resampling.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The report. Its ``variants`` have a row for ``as given``, ``without flagged runs`` and each
        objective: ``rows`` and ``budgets`` behind it, ``n_exponent`` and ``D`` of the surface,
        ``n_exponent_approach2`` and ``D_approach2``, ``error`` and ``deadweight``; ``spread`` is
        the root mean square residual in its own unit, ``beyond`` the share of residuals beyond the
        delta of a Huber loss: near one, the fit is one of absolute residuals.

    Raises:
        ArgumentError: something passed is not what it has to be.
        DataError: ``found`` is not by parabolas, or the table lacks runs that it has.
        AllocationError: the law is not one of N and D, has no optimum, or the cost is not k N D.

    Source:
        Czech et al. 2026, arXiv 2603.22339.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(width=2.0, drift=3.0), noise=0.0)
        >>> found = sf.bias(sf.fit(runs), sf.isoflop(runs), runs, 1e24, quality=False)
        >>> f"{found.error():.1%} too many tokens waste {found.deadweight:.2%}, ${found.usd:,.0f}"
        '11.6% too many tokens waste 0.37%, $4,204'
    """
    fit = checked_surface(fit).one_surface()
    parabolic(found)
    hardware, utilisation = find_hardware(hardware), share_of_peak(utilisation)
    remedy = "Pass how many, as n_draws=400, or n_draws=0 for none"
    n_draws = whole(n_draws, "n_draws", least=0, most=MOST_RESAMPLES, remedy=remedy)
    seed, objectives = arguments.seed(seed), flag(objectives, "objectives")
    if not isinstance(quality, bool | np.bool_):
        quality = chosen(quality)
    count = _product(found.sweeps.cost if cost is None else cost)
    target = one_budget(flops)
    table = as_table(runs, **columns)
    absent = found.runs.index.difference(pd.Index(table.rows))
    if len(absent):
        raise DataError(
            f"the table lacks runs of the sweeps: rows {list(absent[:5])}",
            remedy="Give the table that isoflop was given",
        )
    point = fit.point
    best = allocate(fit, target, cost=count)
    theirs = _answers(found, target)
    size = float(_size(count, target, theirs["D"]))
    theirs["loss"] = float(point.evaluate(N=size, D=theirs["D"]))
    wasted = _wasted(fit, target, np.array([theirs["D"]]), count)[:, 0]
    tails, few = _resampling(found, n_draws)
    again_drawn = _resampled(point, found, target, count, 0 if few else n_draws, seed)
    variants, troubles = _variants(point, found, table, target, count, quality, objectives)
    made = BiasReport(
        flops=target,
        surface=Frozen({name: float(both(best, name)[0, 0]) for name in (*QUANTITIES, "loss")}),
        approach2=Frozen(theirs),
        size=size,
        deadweight=float(wasted[0]),
        hardware=hardware,
        utilisation=utilisation,
        draws=_drawn(best, wasted),
        resamples=again_drawn,
        variants=variants,
        design=of_sweeps(fit, found.sweeps, np.array([target]), count),
        attribution=attribute_bias(fit, found, target, cost=count),
        fit=point,
        found=found,
        cost=count,
        tails=tails,
    )
    notes = [*best.notes, *found.notes, *story_notes(made.attribution), *troubles, *few]
    notes += _notes(made, point, table)
    # The surface and the sweeps are of one table, and say what is said of it both.
    return replace(made, notes=tuple(n for i, n in enumerate(notes) if n not in notes[:i]))


def _wasted(fit: Surface, flops: float, D: np.ndarray, cost: Cost) -> np.ndarray:
    """Share of the budget that training on D tokens wastes, shape (1 + draws, len(D))."""
    found = deadweight(fit, _size(cost, flops, D), D, cost=cost)
    drawn = [found.estimate("share").draws] if found.draws else []
    return np.concatenate([found.share[None], *drawn])


def _size(cost: Cost, flops: float, D: Any) -> np.ndarray:
    """Size that a budget k N D + m N buys for D tokens."""
    return np.asarray(flops / (cost.per_product * np.asarray(D) + cost.per_model))


def _product(cost: CostLike) -> Cost:
    count = find_cost(cost)
    if count.per_product is None or count.unit != "FLOP":
        raise AllocationError(
            f"cost {count.name!r} is not k N D in FLOP, so that tokens do not say which size a "
            "budget buys. Use 6ND, or scalefit.allocation.product(k, source='mine')"
        )
    return count


def _answers(found: IsoFlop, flops: float) -> dict[str, float]:
    reached = found.at(flops)
    return {
        "N": float(reached.N),
        "D": float(reached.D),
        "D/N": float(reached.tokens_per_param),
        "n_exponent": found.n_exponent,
        "d_exponent": found.d_exponent,
    }


def _drawn(best: Allocation, wasted: np.ndarray) -> Draws:
    """The answers at the one budget, and the waste, under every draw."""
    drawn = {name: both(best, name)[1:, 0] for name in (*QUANTITIES, "loss")}
    return best.draws.apply(lambda _: {**drawn, "deadweight": wasted[1:]})


def _resampling(found: IsoFlop, resamples: int) -> tuple[TailCorrection, list[Note]]:
    """How far out among the resamples the ends of an interval lie; a note where there is none.

    A parabola takes three degrees of freedom of its budget, and of m runs drawn with replacement
    the spread is that of m - 1. Simulated intervals of D* at a hundred times the largest of five
    budgets, of 95 %, held 93 to 98 % with 15 to 31 runs a budget and 99 to 100 % with 5 to 9,
    whose resamples spread widely as they are.
    """
    runs = found.budgets["n"].to_numpy()[found.budgets["used"].to_numpy()]
    freedom = int((runs - 3).sum())
    if not resamples:
        return AS_DRAWN, []
    if freedom >= FEWEST_FREEDOM:
        return TailCorrection(freedom, float(np.sqrt(runs.sum() / (runs - 1).sum()))), []
    note = Note.of(
        "few_rows",
        f"{runs.sum()} runs leave the parabolas of {len(runs)} budgets {freedom} residual degrees "
        "of freedom: resampling them says nothing, and Approach 2 has no interval. Add runs",
        {"rows": int(runs.sum()), "free": 3 * len(runs)},
        severity="info",
    )
    return AS_DRAWN, [note]


def _resampled(
    fit: Fit, found: IsoFlop, flops: float, cost: Cost, resamples: int, seed: int
) -> pd.DataFrame:
    """Approach 2 on runs drawn with replacement within each budget that counts."""
    used = found.budgets["used"].to_numpy()
    runs = found.sweeps
    place, weight = runs.padded()
    place, weight = place[used], weight[used]
    budgets = found.budgets["budget"].to_numpy()[used]
    rng = np.random.default_rng(seed)
    times = np.zeros((resamples, *place.shape))
    for row, count in enumerate((weight > 0).sum(-1)):
        times[:, row, :count] = rng.multinomial(count, np.full(count, 1 / count), resamples)
    fits = vertex_fits(budgets, runs.N[place], runs.D[place], runs.loss[place], weight * times)
    there = fits.usable
    if not found.keep_edges:
        there &= fits.n.inside & fits.d.inside
    n, d = (power_law(budgets, item.vertex, there) for item in (fits.n, fits.d))
    N, D = n.at(flops), d.at(flops)
    known = np.isfinite(D) & (D > 0)
    share = np.full(resamples, np.nan)
    if known.any():
        share[known] = _wasted(fit, flops, D[known], cost)[0]
    return pd.DataFrame(
        {
            "N": N,
            "D": D,
            "D/N": D / N,
            "n_exponent": n.exponent,
            "d_exponent": d.exponent,
            "deadweight": share,
            "lost": (~there).sum(-1),
        }
    )


def _variants(
    fit: Fit,
    found: IsoFlop,
    table: LossTable,
    flops: float,
    cost: Cost,
    quality: bool | Sequence[RuleChoice],
    objectives: bool,
) -> tuple[pd.DataFrame, list[Note]]:
    """The answer again; what cannot be asked becomes a note."""
    rows = {"as given": _variant(fit, found, table, flops, cost)}
    notes: list[Note] = []

    def build_problem(label: str, make: Any) -> None:
        try:
            rows[label] = make()
        except ScalefitError as error:
            said = f"{label!r} has no answer here: {error}"
            notes.append(Note.of("variant_failed", said, {"variant": label}))

    def strict() -> dict[str, Any]:
        left = again(found, ALL_RULES if quality is True else quality)  # type: ignore[arg-type]
        kept = ~table.frame.index.isin(left.removed.index)
        clean = replace(table, frame=table.frame[kept])
        return _variant(_refitted(fit, clean, fit.objective), left, clean, flops, cost)

    if quality is True or not isinstance(quality, bool):
        build_problem("without flagged runs", strict)
    for residual, robust in TRIED if objectives else ():
        label = f"{residual} residuals, {'squares' if robust == 'none' else 'Huber'}"
        objective = Objective(residual, robust, DELTA)  # type: ignore[arg-type]

        def other(objective: Objective = objective) -> dict[str, Any]:
            same = objective == fit.objective
            chosen = fit if same else _refitted(fit, table, objective)
            return _variant(chosen, found, table, flops, cost)

        build_problem(label, other)
    return pd.DataFrame.from_dict(rows, orient="index"), notes


def _refitted(fit: Fit, table: LossTable, objective: Objective) -> Fit:
    return fit_law(
        table,
        fit.law,
        residual=objective.residual,
        robust=objective.robust,
        delta=objective.delta or DELTA,
        asymmetry=objective.asymmetry or 10.0,
        fixed=fit.fixed,
        bounds=fit.bounds,
        tied=fit.tied,
        certify=False,
    )


def _variant(
    fit: Fit, found: IsoFlop, table: LossTable, flops: float, cost: Cost
) -> dict[str, Any]:
    best, theirs = allocate(fit, flops, cost=cost), _answers(found, flops)
    delta = fit.objective.delta
    beyond = np.nan if delta is None else float((np.abs(fit.residuals(table)) > delta).mean())
    return {
        "rows": fit.nobs,
        "budgets": int(found.budgets["used"].sum()),
        "n_exponent": float(best.n_exponent),
        "n_exponent_approach2": theirs["n_exponent"],
        "D": float(best.D),
        "D_approach2": theirs["D"],
        "error": theirs["D"] / float(best.D) - 1,
        "deadweight": float(_wasted(fit, flops, np.array([theirs["D"]]), cost)[0, 0]),
        "spread": fit.residual_rms,
        "beyond": beyond,
    }


def _notes(made: BiasReport, fit: Fit, table: LossTable) -> list[Note]:
    notes = []
    data = fit.provenance.get("data")
    if fit.nobs != np.count_nonzero(table.weight > 0) or (
        data is not None and data != table.digest([*fit.law.columns, fit.law.response])
    ):
        notes.append(
            Note.of(
                "bias_other_runs",
                f"the surface is of {fit.nobs} other runs than the {len(table)} of this table: "
                "what is left as noise and misfit holds the difference between the two",
                {"rows": fit.nobs, "table": len(table)},
            )
        )
    if made.lost_share > 0:
        lost = int((made.resamples["lost"] > 0).sum())
        notes.append(
            Note.of(
                "approach2_loses_budgets",
                f"in {lost} of {len(made.resamples)} resamples of the runs Approach 2 finds no "
                "minimum at some budget, and its power laws go through the others. A fit of the "
                "surface uses every run of every resample",
                {"resamples": len(made.resamples), "lost": lost},
                severity="warning" if made.lost_share > LOST else "info",
            )
        )
    notes += _doubt(made)
    notes += _choices(made)
    peak = made.hardware.peak_flops / 1e12
    notes.append(
        Note.of(
            "dense_peak",
            f"dollars count {made.utilisation:.0%} of the dense peak of {made.hardware}, "
            f"{peak:.4g} TFLOP/s. Data sheets may print a peak with structured sparsity, twice "
            "that: dollars counted with it are half of these",
            {"tflops": peak, "utilisation": made.utilisation},
        )
    )
    return notes


def _doubt(made: BiasReport) -> list[Note]:
    """A note where the gap may be none."""
    doubts = {}
    if made.draws:
        low, high = made.estimate("error").interval()
        doubts["draws of the surface"] = (float(low), float(high))
    if len(made.resamples):
        low, high = made.resampled("error").interval()
        doubts["resamples of Approach 2"] = (float(low), float(high))
    covering = {name: ends for name, ends in doubts.items() if ends[0] <= 0 <= ends[1]}
    # Resamples of Approach 2 hold the misfit of the parabolas too: alone they prove little.
    if not covering or len(covering) < len(doubts):
        return []
    said = " and ".join(
        f"{100 * low:+.3g} to {100 * high:+.3g} % over {name}"
        for name, (low, high) in covering.items()
    )
    return [
        Note.of(
            "gap_within_noise",
            f"the error of D* ({made.error():+.1%}) is not told from none: its 95 % interval is "
            f"{said}",
            {name: list(ends) for name, ends in covering.items()},
        )
    ]


def _choices(made: BiasReport) -> list[Note]:
    """Notes where a choice that was not the user's question moves the answer by a factor."""
    shares = made.variants["deadweight"]
    given, notes = float(shares["as given"]), []
    clean = shares.get("without flagged runs")
    if clean is not None and _apart(given, float(clean)):
        count = int(made.variants["rows"].iloc[0] - made.variants["rows"]["without flagged runs"])
        notes.append(
            Note.of(
                "quality_decides",
                f"without the {count} runs that rules flag, in both, Approach 2 wastes "
                f"{clean:.2%} of the budget in place of {given:.2%}: the data move the answer as "
                "much as the method. Report both",
                {"given": given, "clean": float(clean), "runs": count},
            )
        )
    tried = shares.drop(["as given", "without flagged runs"], errors="ignore")
    if len(tried) and _apart(float(tried.min()), float(tried.max())):
        notes.append(
            Note.of(
                "objective_decides",
                f"the deadweight is {tried.min():.2%} to {tried.max():.2%} of the budget, by the "
                "objective that the surface is fitted with: see variants",
                {str(name): float(value) for name, value in tried.items()},
            )
        )
    return notes


def _apart(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    # Below a hundredth of the budget nobody minds by which factor.
    return high > 0.01 and high > APART * low
