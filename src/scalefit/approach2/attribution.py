"""Why Approach 2 and a fitted surface disagree: the gap at a budget, cause by cause."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.approach2.isoflop_fit import IsoFlop, positive
from scalefit.approach2.parabola import power_law, vertex_fits
from scalefit.arguments import choice, instance
from scalefit.arguments import level as checked_level
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.notes import Note
from scalefit.reporting import report
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface

__all__ = [
    "CAUSES",
    "Answer",
    "Attribution",
    "Cause",
    "attribute_bias",
    "both",
    "one_budget",
    "parabolic",
    "stacked",
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

# A part that moves D* by less than this share is no story.
STORY = 0.05

# Half-width of the sweeps that show the asymmetry alone: what the narrowest sweeps in use have.
NARROW = 2.0


@dataclass(frozen=True, eq=False)
class Attribution:
    """The gap between Approach 2 and a surface at a budget, split by cause.

    The causes are switched on one after the other, and each part is what its own step changes: the
    parts add up to the gap. A part depends on the causes before it, so that the order matters; it
    goes from what any sweep of this width has to what is particular to these runs.

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
        """Whether parts of ln D of opposite sign take away more from each other than they leave."""
        parts = self.parts["ln_D"]
        lost = min(parts.clip(lower=0).sum(), -parts.clip(upper=0).sum())
        return bool(lost > max(abs(self.gap["ln_D"]), STORY))

    @property
    def of_convention(self) -> bool:
        """Whether the FLOP convention is the largest part of ln D."""
        sizes = self.parts["ln_D"].abs()
        return bool(sizes["flop_convention"] == sizes.max() > STORY)

    @property
    def headline(self) -> str:
        """The error of D*, and its largest parts where it alone would mislead."""
        said = f"D* {np.expm1(self.gap['ln_D']):+.1%}"
        if not (self.cancels or self.of_convention):
            return said
        parts = self.parts["ln_D"]
        large = parts[parts.abs() >= 0.25 * parts.abs().max()]
        large = large[large.abs().sort_values(ascending=False).index]
        each = ", ".join(f"{_called(cause)} {np.expm1(part):+.1%}" for cause, part in large.items())
        return f"{said}: {each}{', which cancel' if self.cancels else ''}"

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
            whole = np.asarray(self.gap[answer])
            return Estimate(whole, drawn.sum(-1), self.draws.tails, self.notes)
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

    def summary(self, level: float = 0.95) -> str:
        """The parts as text."""
        return report.attribution_text(self, level)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return report.attribution_html(self)


def attribute_bias(
    fit: Surface, found: IsoFlop, flops: float, *, cost: CostLike | None = None
) -> Attribution:
    """The gap between Approach 2 and a fitted surface at a budget, split by cause.

    Approach 2 is run on noise-free losses of the surface, on sweeps that change step by step from
    ideal ones to the runs, and at last on the measured losses. See :class:`Attribution` for the
    steps and their order.

    Args:
        fit: a fit of a law of N and D, or an ensemble of one, which adds intervals.
        found: what :func:`isoflop` found on the runs, by parabolas.
        flops: the budget, FLOP.
        cost: what the surface's budgets are counted in, k N D; by default what ``found`` counts
            them in, or 6ND where it read a column.

    Returns:
        The parts of ln(N_A2/N*), ln(D_A2/D*) and of the differences of both exponents.

    Raises:
        ArgumentError: something passed is not what it has to be.
        DataError: ``found`` is not by parabolas, or a step leaves a budget without a minimum.
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
    parabolic(found)
    count = find_cost(found.sweeps.cost if cost is None else cost)
    target = one_budget(flops)
    point = fit.point
    design = _Design.of(found, count)
    best = allocate(fit, np.append(design.flops, target), cost=count)
    optima = both(best, "N"), both(best, "D")
    stages = _Stages(design, target, point, count, stacked(fit), *optima)
    states = stages.states(both(best, "n_exponent"), both(best, "d_exponent"))
    _require_minima(states[0], design.flops)
    steps = pd.DataFrame(states[0], index=["surface", *CAUSES], columns=list(ANSWERS))
    steps = steps.rename(columns={"ln_N": "N", "ln_D": "D"})
    steps[["N", "D"]] = np.exp(steps[["N", "D"]])
    parts = np.diff(states[1:], axis=1)
    drawn = {answer: parts[..., i] for i, answer in enumerate(ANSWERS)}
    made = Attribution(
        steps=steps,
        flops=target,
        law=point.law.name,
        cost=count.name,
        draws=fit.drawn.apply(lambda _: drawn),
        notes=best.notes,
    )
    return replace(made, notes=(*made.notes, *story_notes(made)))


def story_notes(why: Attribution) -> list[Note]:
    """Notes where the error of D* is not what it looks like."""
    parts = {str(cause): float(part) for cause, part in why.parts["ln_D"].items()}
    notes = []
    if why.cancels:
        notes.append(
            Note.of(
                "parts_cancel",
                f"{why.headline}. The error is small because its parts have opposite signs, and "
                "another budget or other runs need not have them so: judge the parts",
                parts,
            )
        )
    if why.of_convention:
        notes.append(
            Note.of(
                "convention_decides",
                f"the largest part of the error of D* ({np.expm1(parts['flop_convention']):+.1%}) "
                f"is the FLOP convention: the table's C is not {why.cost}, in which the surface's "
                "budgets are counted. Count them alike: cost=scalefit.allocation.measured(runs)",
                parts,
            )
        )
    return notes


def _called(cause: object) -> str:
    return str(cause).replace("_", " ").replace("flop", "FLOP")


def parabolic(found: IsoFlop) -> None:
    """Raise where the vertices are not those of parabolas.

    Raises:
        ArgumentError: they are no sweeps at all.
        DataError: they are of splines.
    """
    wanted, remedy = "IsoFLOP sweeps", "Pass what scalefit.isoflop(runs) returned"
    instance(found, "found", IsoFlop, wanted=wanted, remedy=remedy)
    if found.method != "parabola":
        raise DataError(
            f"these sweeps were fitted by method={found.method!r}: what parabolas do to an answer "
            "cannot be seen on them",
            remedy="Use isoflop(runs) with method='parabola'",
        )


def one_budget(flops: Any) -> float:
    """The budget as a number.

    Raises:
        ArgumentError: it is not one positive number.
    """
    budget = positive(flops)
    if budget.size != 1:
        raise ArgumentError(
            f"flops has {budget.size} budgets",
            argument="flops",
            value=flops,
            remedy="Pass one budget, as flops=1e24",
        )
    return float(budget.ravel()[0])


class _Design(NamedTuple):
    """The runs of the budgets that count, padded; arrays of shape (budgets, points)."""

    flops: np.ndarray
    points: np.ndarray
    N: np.ndarray
    D: np.ndarray
    D_counted: np.ndarray
    loss: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, found: IsoFlop, count: Cost) -> _Design:
        used = found.budgets["used"].to_numpy()
        runs = found.sweeps
        place, weight = runs.padded()
        place, weight = place[used], weight[used]
        return cls(
            found.budgets["budget"].to_numpy()[used],
            (weight > 0).sum(-1),
            runs.N[place],
            runs.D[place],
            count.tokens(runs.C[place], runs.N[place]),
            runs.loss[place],
            weight,
        )

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """As many equally spaced numbers from -1 to 1 as there are runs, and their weights."""
        rank = np.arange(self.weight.shape[1])
        there = rank < self.points[:, None]
        return np.where(there, 2 * rank / (self.points[:, None] - 1) - 1, 0.0), there * 1.0

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the smallest and of the largest size of each budget."""
        there = self.weight > 0
        low = np.where(there, self.N, np.inf).min(-1)
        return np.log(low), np.log(np.where(there, self.N, 0.0).max(-1))


class _Stages(NamedTuple):
    """The steps for the fit and every draw at once: what follows has them in its first axis."""

    design: _Design
    target: float
    fit: Fit
    cost: Cost
    params: dict[str, np.ndarray]
    N: np.ndarray
    D: np.ndarray

    def states(self, n_exponent: np.ndarray, d_exponent: np.ndarray) -> np.ndarray:
        """Answers after each step, shape (1 + draws, steps, answers)."""
        design, flops = self.design, self.design.flops
        grid, even = design.grid()
        low, high = design.ends()
        best, top = np.log(self.N[:, :-1]), np.log(self.N[:, -1])
        width = 0.5 * (high - low)[:, None] * grid
        away = 0.5 * (low + high) - best
        mean, trend = away.mean(-1, keepdims=True), np.log(power_law(flops, away).at(flops))
        optimum = np.stack([top, np.log(self.D[:, -1]), n_exponent[:, -1], d_exponent[:, -1]], -1)
        sizes = np.broadcast_to(design.N, (len(best), *design.N.shape))
        measured = np.broadcast_to(design.loss, sizes.shape)
        return np.stack(
            [
                optimum,
                self._line(best, np.log(self.D[:, :-1])),
                self._centred(best[..., None] + np.log(NARROW) * grid, even),
                self._centred(best[..., None] + width, even),
                self._centred((best + mean)[..., None] + width, even),
                self._centred((best + trend)[..., None] + width, even),
                self._found(sizes, design.D_counted, design.weight),
                self._found(sizes, design.D, design.weight),
                self._found(sizes, design.D, design.weight, measured),
            ],
            axis=1,
        )

    def _centred(self, ln_n: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Answers on sweeps of these sizes, each trained to its budget."""
        N = np.exp(ln_n)
        return self._found(N, self.cost.tokens(self.design.flops[:, None], N), weight)

    def _found(
        self, N: np.ndarray, D: np.ndarray, weight: np.ndarray, loss: np.ndarray | None = None
    ) -> np.ndarray:
        """Answers of Approach 2 on losses of the surface, or on those given."""
        if loss is None:
            loss = self.fit.law.evaluate({"N": N, "D": D}, self.params)
        fits = vertex_fits(self.design.flops, N, D, loss, weight)
        lost = ~fits.usable
        n, d = (np.where(lost, np.nan, item.vertex) for item in (fits.n, fits.d))
        return self._line(n, d)

    def _line(self, ln_n: np.ndarray, ln_d: np.ndarray) -> np.ndarray:
        """Answers of power laws; NaN unless every budget has an optimum."""
        laws = [power_law(self.design.flops, item) for item in (ln_n, ln_d)]
        reached = [np.log(law.at(self.target)) for law in laws]
        answers = np.stack([*reached, *(law.exponent for law in laws)], axis=-1)
        known = np.isfinite(ln_n).all(-1) & np.isfinite(ln_d).all(-1)
        return np.where(known[:, None], answers, np.nan)


def stacked(fit: Surface) -> dict[str, np.ndarray]:
    """Parameters of the fit and of every draw, shape (1 + draws, 1, 1)."""
    return {
        name: np.reshape([fit.point.params[name], *fit.drawn.get(name, ())], (-1, 1, 1))
        for name in fit.point.law.names
    }


def both(best: Allocation, name: str) -> np.ndarray:
    """An answer of the fit and of every draw, shape (1 + draws, budgets)."""
    drawn = [best.estimate(name).draws] if best.draws else []
    value = best.tokens_per_param if name == "D/N" else getattr(best, name)
    return np.concatenate([np.asarray(value)[None], *drawn]).reshape(-1, np.size(value))


def _require_minima(states: np.ndarray, flops: np.ndarray) -> None:
    lost = [name for name, state in zip(CAUSES, states[1:], strict=True) if np.isnan(state).any()]
    if lost:
        raise DataError(
            f"without noise the surface has no minimum by a parabola at one of {len(flops)} "
            f"budgets once these are switched on: {listed(lost)}",
            remedy="The runs of such a budget say nothing of its optimum. Leave them out with a "
            f"rule, such as isoflop(runs, keep='6 * N * D > {1.1 * flops.min():.3g}')",
        )
