"""Why Approach 2 and a fitted surface disagree: the error at a budget, cause by cause."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike, find_cost
from scalefit.allocation.optimum import allocate
from scalefit.approach2.attribution_steps import Design, Steps, stacked_params, with_draws
from scalefit.approach2.frontier import checked_budgets
from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.arguments import choice, instance
from scalefit.arguments import level as checked_level
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.surface import Surface, checked_surface

__all__ = [
    "CAUSES",
    "Answer",
    "Attribution",
    "Cause",
    "attribute_bias",
    "difference_text",
    "require_parabolas",
    "single_budget",
]

Cause = Literal[
    "straight_line",
    "asymmetry",
    "width",
    "off_centre",
    "drift",
    "placement",
    "flop_convention",
    "noise_and_misfit",
]
Answer = Literal["ln_N", "ln_D", "n_exponent", "d_exponent"]

CAUSES: tuple[str, ...] = get_args(Cause)
ANSWERS: tuple[str, ...] = get_args(Answer)

# A part that moves D* by less than this share needs no note.
LEAST_PART = 0.05


@dataclass(frozen=True, eq=False)
class Attribution(Described):
    """The difference between Approach 2 and a surface at a budget, by cause.

    The causes are switched on one after the other, and each part is the change of its own step: the
    parts add up to the whole difference, the gap. A part depends on the causes before it. Their
    order goes from what every sweep of this width has to what is particular to these runs.

    - ``straight_line``: a power law through the surface's own optima. Zero for additive laws.
    - ``asymmetry``: parabolas in place of these optima, on noise-free sweeps centred on them, with
      each budget's own number of equally spaced points from half to twice N*.
    - ``width``: the same out to the half-width of each budget's runs.
    - ``off_centre``: every sweep moved by the mean distance of the runs' middle from N*.
    - ``drift``: and by the linear trend of that distance with ln C.
    - ``placement``: the sizes and weights as they are, each trained to its own C.
    - ``flop_convention``: the tokens as they are. Zero where C is counted as the surface's is.
    - ``noise_and_misfit``: the measured losses in place of the surface's.

    Attributes:
        steps: N, D, n_exponent and d_exponent after each step, from ``surface`` to the last cause,
            which is Approach 2's answer on the runs.
        flops: the budget.
        law: name of the law.
        cost: name of what the surface's budgets are counted in.
        draws: of an ensemble, every part under each draw of the surface, by answer (``ln_N``,
            ``ln_D``, ``n_exponent``, ``d_exponent``), shape (draws, causes).
        notes: soft problems of the surface's own answers.
    """

    steps: pd.DataFrame
    flops: float
    law: str
    cost: str
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    @property
    def parts(self) -> pd.DataFrame:
        """A row for each cause: what it adds to ln N, ln D and both exponents."""
        change = pd.DataFrame(
            {
                "ln_N": np.log(self.steps["N"]),
                "ln_D": np.log(self.steps["D"]),
                "n_exponent": self.steps["n_exponent"],
                "d_exponent": self.steps["d_exponent"],
            }
        )
        return change.diff().iloc[1:]

    @property
    def gap(self) -> pd.Series:
        """Approach 2 minus the surface: what the parts add up to."""
        first, last = self.steps.iloc[0], self.steps.iloc[-1]
        logs = [float(np.log(last[name] / first[name])) for name in ("N", "D")]
        exponents = (last - first)[["n_exponent", "d_exponent"]].to_list()
        return pd.Series([*logs, *exponents], index=list(ANSWERS))

    @property
    def cancels(self) -> bool:
        """Whether parts of ln D of opposite sign cancel by more than the gap that is left."""
        parts = self.parts["ln_D"]
        cancelled = min(parts.clip(lower=0).sum(), -parts.clip(upper=0).sum())
        return bool(cancelled > max(abs(self.gap["ln_D"]), LEAST_PART))

    @property
    def of_convention(self) -> bool:
        """Whether the FLOP convention is the largest part of ln D."""
        sizes = self.parts["ln_D"].abs()
        return bool(sizes["flop_convention"] == sizes.max() > LEAST_PART)

    @property
    def headline(self) -> str:
        """The error of D*, and its largest parts where it alone would mislead."""
        error = f"D* {np.expm1(self.gap['ln_D']):+.1%}"
        if not (self.cancels or self.of_convention):
            return error
        parts = self.parts["ln_D"]
        large = parts[parts.abs() >= 0.25 * parts.abs().max()]
        large = large[large.abs().sort_values(ascending=False).index]
        each = ", ".join(
            f"{_in_words(cause)} {np.expm1(part):+.1%}" for cause, part in large.items()
        )
        return f"{error}: {each}{', which cancel' if self.cancels else ''}"

    def estimate(self, cause: Cause | Literal["gap"], answer: Answer = "ln_D") -> Estimate:
        """One part with its uncertainty, which is that of the surface; the runs stay.

        Args:
            cause: one of the causes, or ``gap`` for all of them.
            answer: of what.

        Raises:
            ArgumentError: there is no such part.
            DataError: the attribution is of a fit, not of an ensemble.
        """
        choice(cause, "cause", ("gap", *CAUSES))
        choice(answer, "answer", ANSWERS)
        if not self.draws:
            raise DataError(
                "this attribution is of one fit and has no intervals",
                remedy="Give draws: attribute_bias(scalefit.bootstrap(fit, runs), found, flops)",
            )
        drawn = self.draws[answer]
        if cause == "gap":
            gap = np.asarray(self.gap[answer])
            return Estimate(gap, drawn.sum(-1), self.draws.tails, self.notes)
        value = np.asarray(self.parts.loc[cause, answer])
        return Estimate(value, drawn[:, CAUSES.index(cause)], self.draws.tails, self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each cause and one for the gap; of an ensemble with intervals.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        frame = pd.concat([self.parts, self.gap.to_frame("gap").T])
        if not self.draws:
            return frame
        columns: dict[str, Any] = {}
        for answer in ANSWERS:
            columns[answer] = frame[answer]
            ends = [self.estimate(cause, answer).interval(level) for cause in frame.index]  # type: ignore[arg-type]
            columns[f"{answer}_low"], columns[f"{answer}_high"] = np.transpose(ends)
        return pd.DataFrame(columns, index=frame.index)

    def __repr__(self) -> str:
        return f"<Attribution at {shown(self.flops, 'flop').value} FLOP: {self.headline}>"

    def describe(self, level: float = 0.95) -> Description:
        """What each cause adds to the error.

        Args:
            level: of the intervals, over the surface's draws, where there are any.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.to_frame(level)
        interval = {}
        if self.draws:
            ends = {end: np.expm1(frame[f"ln_D_{end}"]).round(9) for end in ("low", "high")}
            # A part that is zero under every draw has no interval.
            interval = {end: ends[end].where(ends["low"] < ends["high"]) for end in ends}
        rows = [_in_words(cause) for cause in frame.index]
        # Rounded, because a part that is zero is known to rounding only; + 0 turns -0 into 0.
        error = {name: np.expm1(frame[name]).round(9) + 0.0 for name in ("ln_D", "ln_N")}
        exponents = {name: frame[name].round(9) + 0.0 for name in ("n_exponent", "d_exponent")}
        table = Table(
            [
                Column("cause", [*rows[:-1], "all (the gap)"], "text"),
                Column("D*", error["ln_D"], "percent", **interval),
                Column("N*", error["ln_N"], "percent"),
                Column("N* exponent", exponents["n_exponent"]),
                Column("D* exponent", exponents["d_exponent"]),
            ],
            "What each cause adds; factors 1 + part multiply to the whole"
            + ("; intervals over the surface's draws" if self.draws else ""),
            f"{100 * level:g} % interval",
        )
        gap = float(np.expm1(self.gap["ln_D"]))
        notable = f" ({self.headline})" if self.cancels or self.of_convention else ""
        return Description(
            f"Why Approach 2 differs from {self.law} at {shown(self.flops, 'flop').value} FLOP "
            f"({self.cost})",
            f"Approach 2 trains on {difference_text(gap, 'tokens')} than the surface{notable}. "
            f"{self.largest_part}",
            tables=[table],
            notes=self.notes,
        )

    @property
    def own_notes(self) -> list[Note]:
        """Notes where the error of D* alone would mislead."""
        parts = {str(cause): float(part) for cause, part in self.parts["ln_D"].items()}
        notes = []
        if self.cancels:
            notes.append(
                Note.of(
                    "parts_cancel",
                    f"{self.headline}. The error is small because its parts have opposite signs, "
                    "and another budget or other runs need not have them so: judge the parts",
                    parts,
                )
            )
        if self.of_convention:
            share = f"{np.expm1(parts['flop_convention']):+.1%}"
            notes.append(
                Note.of(
                    "convention_decides",
                    f"the largest part of the error of D* ({share}) is the FLOP convention: the "
                    f"table's C is not {self.cost}, in which the surface's budgets are counted. "
                    "Count them alike: cost=scalefit.allocation.measured(runs)",
                    parts,
                )
            )
        return notes

    @property
    def largest_part(self) -> str:
        """The cause that moves D* most, as a sentence."""
        parts = self.parts["ln_D"]
        cause = str(parts.abs().idxmax())
        return f"Largest part: {_in_words(cause)} ({np.expm1(parts[cause]):+.1%})."


def attribute_bias(
    fit: Surface, isoflop: IsoFlop, flops: float, *, cost: CostLike | None = None
) -> Attribution:
    """The difference between Approach 2 and a fitted surface at a budget, split by cause.

    Approach 2 is run on noise-free losses of the surface, on sweeps that change step by step from
    ideal ones to the runs, and at last on the measured losses. See :class:`Attribution` for the
    steps and their order.

    Args:
        fit: a fit of a law of N and D, or an ensemble of one, which adds intervals.
        isoflop: the sweeps by :func:`scalefit.isoflop`, by parabolas.
        flops: the budget, FLOP.
        cost: what the surface's budgets are counted in, k N D; by default that of
            ``isoflop``, or 6ND where it read a column.

    Returns:
        The parts of ln(N_A2/N*), ln(D_A2/D*) and of the differences of both exponents.

    Raises:
        ArgumentError: something passed is not what it has to be.
        DataError: ``isoflop`` is not by parabolas, or a step leaves a budget without a minimum.
        AllocationError: the law is not one of N and D, has no optimum, or the cost is not k N D.

    Source:
        The causes are those of Czech et al. 2026, arXiv 2603.22339.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(drift=3.0), noise=0.0)
        >>> why = sf.approach2.attribute_bias(sf.fit(runs), sf.isoflop(runs), 1e24)
        >>> (100 * why.parts["ln_D"].loc["asymmetry":"drift"]).round(1).to_dict()
        {'asymmetry': -0.3, 'width': -2.6, 'off_centre': 0.8, 'drift': 8.9}
    """
    fit = checked_surface(fit).one_surface()
    require_parabolas(isoflop)
    surface_cost = find_cost(isoflop.sweeps.cost if cost is None else cost)
    target = single_budget(flops)
    point = fit.point
    design = Design.of(isoflop, surface_cost)
    best = allocate(fit, np.append(design.flops, target), cost=surface_cost)
    optima = with_draws(best, "N"), with_draws(best, "D")
    steps = Steps(design, target, point, surface_cost, stacked_params(fit), *optima)
    answers = steps.answers(with_draws(best, "n_exponent"), with_draws(best, "d_exponent"))
    _require_minima(answers[0], design.flops)
    frame = pd.DataFrame(answers[0], index=["surface", *CAUSES], columns=list(ANSWERS))
    frame = frame.rename(columns={"ln_N": "N", "ln_D": "D"})
    frame[["N", "D"]] = np.exp(frame[["N", "D"]])
    parts = np.diff(answers[1:], axis=1)
    drawn = {answer: parts[..., i] for i, answer in enumerate(ANSWERS)}
    attribution = Attribution(
        steps=frame,
        flops=target,
        law=point.law.name,
        cost=surface_cost.name,
        draws=fit.drawn.apply(lambda _: drawn),
        notes=best.notes,
    )
    return replace(attribution, notes=(*best.notes, *attribution.own_notes))


def difference_text(error: float, what: str) -> str:
    """A relative difference in words: ``12 % fewer tokens``."""
    size = f"{abs(error):.0%}" if abs(error) >= 0.0995 else f"{abs(error):.1%}"
    return f"{size.replace('%', ' %')} {'more' if error >= 0 else 'fewer'} {what}"


def _in_words(cause: object) -> str:
    return str(cause).replace("_", " ").replace("flop", "FLOP")


def require_parabolas(isoflop: IsoFlop) -> None:
    """Raise where the vertices are not those of parabolas.

    Raises:
        ArgumentError: they are no sweeps at all.
        DataError: they are of splines.
    """
    wanted, remedy = "IsoFLOP sweeps", "Pass what scalefit.isoflop(runs) returned"
    instance(isoflop, "isoflop", IsoFlop, wanted=wanted, remedy=remedy)
    if isoflop.method != "parabola":
        raise DataError(
            f"these sweeps were fitted by method={isoflop.method!r}: they do not show what "
            "parabolas do to an answer",
            remedy="Use isoflop(runs) with method='parabola'",
        )


def single_budget(flops: Any) -> float:
    """The budget as a number.

    Raises:
        ArgumentError: it is not one positive number.
    """
    budget = checked_budgets(flops)
    if budget.size != 1:
        raise ArgumentError(
            f"flops has {budget.size} budgets",
            argument="flops",
            value=flops,
            remedy="Pass one budget, as flops=1e24",
        )
    return float(budget.ravel()[0])


def _require_minima(answers: np.ndarray, flops: np.ndarray) -> None:
    without = [
        name for name, answer in zip(CAUSES, answers[1:], strict=True) if np.isnan(answer).any()
    ]
    if without:
        raise DataError(
            f"without noise the surface has no minimum by a parabola at one of {len(flops)} "
            f"budgets once these are switched on: {listed(without)}",
            remedy="The runs of such a budget say nothing of its optimum. Leave them out with a "
            f"rule, such as isoflop(runs, keep='6 * N * D > {1.1 * flops.min():.3g}')",
        )
