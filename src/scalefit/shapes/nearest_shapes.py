"""Shapes that can be built, near the size that a fit asks for at a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation, amount
from scalefit.arguments import choice, mapping, number, refused, whole
from scalefit.calls import checked_call
from scalefit.errors import AllocationError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent, shown
from scalefit.results.estimate import Draws, Estimate, frame_of
from scalefit.results.surface import Surface, checked_surface
from scalefit.shapes.fields import NOT_GIVEN
from scalefit.shapes.products import FLOP_CONVENTIONS
from scalefit.shapes.rules import SPAN, Candidates, Rules
from scalefit.shapes.transformer import SIZES, Transformer

__all__ = ["NearestShapes", "nearest"]

# Conventions of N that count the vocabulary.
EMBEDDED = ("total", "matmul", "active", "active_matmul")

# Of each convention of N, that without experts that a token does not meet.
ACTIVE = {
    "total": "active",
    "without_embeddings": "active_without_embeddings",
    "blocks": "active_blocks",
    "matmul": "active_matmul",
}
# Share of N without FLOPs from which a note says so.
FREE = 0.03

BUDGET = "Pass one budget in FLOP, as flops=1e21, or the allocation of one"


@dataclass(frozen=True, eq=False)
class NearestShapes(Described):
    """Shapes near the optimal size, the one of least loss first.

    Every array is of shape (shapes,).

    Attributes:
        shapes: the shapes.
        N: parameters of each, by ``size``.
        D: tokens that each affords at the budget.
        flops_per_token: of each, by ``convention``.
        loss: predicted loss of each.
        excess: loss above that of ``best``.
        best: the optimum, whatever can be built.
        size: the convention of N.
        convention: that of FLOPs.
        draws: ``loss`` and ``excess`` under every draw of an ensemble, shape (draws, shapes); empty
            for a fit.
        notes: soft problems.
    """

    shapes: tuple[Transformer, ...]
    N: np.ndarray
    D: np.ndarray
    flops_per_token: np.ndarray
    loss: np.ndarray
    excess: np.ndarray
    best: Allocation
    size: str
    convention: str
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    def estimate(self, name: str) -> Estimate:
        """Losses with their uncertainty.

        Args:
            name: ``loss`` or ``excess``.

        Raises:
            ArgumentError: it is neither.
            AllocationError: the shapes are of a fit, not of an ensemble.
        """
        choice(name, "name", ("loss", "excess"))
        if not self.draws:
            raise AllocationError(
                "these shapes are of one fit and have no intervals. Take those of an ensemble: "
                "scalefit.shapes.nearest(scalefit.bootstrap(fit, runs), ...)"
            )
        return self.draws.estimate(name, getattr(self, name), self.notes)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per shape: its fields, N, D, FLOPs and loss.

        Args:
            level: coverage of the intervals of an ensemble.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        names = ("width", "layers", "heads", "kv_heads", "feed_forward")
        values = {name: np.array([getattr(item, name) for item in self.shapes]) for name in names}
        values["aspect"] = values["width"] / values["layers"]
        for name in ("N", "D", "flops_per_token", "loss", "excess"):
            values[name] = getattr(self, name)
        estimates = {name: self.estimate(name) for name in ("loss", "excess") if self.draws}
        return frame_of(values, estimates, level)

    def describe(self, level: float = 0.95) -> Description:
        """The best shape in words, and a table of all.

        Args:
            level: coverage of the intervals of an ensemble.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame, first = self.to_frame(level), self.shapes[0]
        N, D, best = (
            shown(float(value), "count").value
            for value in (self.N[0], self.D[0], np.ravel(self.best.N)[0])
        )
        budget = float(np.ravel(self.best.flops)[0])
        return Description(
            title=f"Shapes near the optimum of {self.best.law} at {amount(budget, 'FLOP')}",
            headline=(
                f"{first.layers} layers of width {first.width:,}: {N} parameters ({self.size}; "
                f"optimal {best}) on {D} tokens, a loss of {shown(float(self.loss[0])).value}, "
                f"{self.excess[0]:.2g} above the optimum."
            ),
            facts={
                "D": f"budget over FLOPs per token by {self.convention}",
                "first": repr(first),
            },
            tables=[self._table(frame, level)],
            notes=self.notes,
        )

    def _table(self, frame: pd.DataFrame, level: float) -> Table:
        def ends(name: str) -> list[list[float]]:
            return [frame.get(f"{name}_{end}", pd.Series([])).to_list() for end in ("low", "high")]

        columns = [
            *(Column(name, frame[name], "integer") for name in ("width", "layers", "heads")),
            Column("N (params)", frame["N"], "count"),
            Column("D (tokens)", frame["D"], "count"),
            Column("loss", frame["loss"], "number", *ends("loss")),
            Column("above optimum", frame["excess"], "number", *ends("excess")),
        ]
        title = self.best.interval_title(level, "losses")
        return Table(columns, title, f"{100 * level:g} % interval", whole=True)

    def __repr__(self) -> str:
        return f"<NearestShapes: {len(self.shapes)} near {float(np.ravel(self.best.N)[0]):.3g}>"


@checked_call()
def nearest(
    fit: Surface,
    flops: Any,
    *,
    vocab: int = NOT_GIVEN,
    size: str = "total",
    convention: str = "6N",
    head_size: int = 128,
    width_multiple: int = 128,
    layers_multiple: int = 1,
    aspect: tuple[float | None, float | None] = (50.0, 150.0),
    queries_per_key: int = 1,
    feed_forward_ratio: float | None = None,
    feed_forward_multiple: int | None = None,
    count: int = 10,
    fixed: Mapping[str, Any] | None = None,
    **same: Any,
) -> NearestShapes:
    """Shapes that keep to stated rules, with the least predicted losses at a budget.

    Every shape by the rules whose N is within a factor of 4 of the optimum is considered, and of
    each width the number of layers that costs least is kept. A shape affords D = C / FLOPs per
    token, and its loss is that of the law at its N and D: between shapes of one N and D the law
    makes no difference.

    Args:
        fit: a fit of a law of the loss in N and D, or an ensemble of one.
        flops: a budget, FLOP; or its allocation, as ``scalefit.allocate(fit, 1e21, ...)``, whose
            optimum the excess is then above.
        vocab: entries of the vocabulary, which are needed.
        size: the convention of the fit's N, a field of :class:`ParameterCounts`.
        convention: that of FLOPs, see :meth:`Transformer.flops_per_token`; ``6N`` counts the N of
            ``size``.
        head_size: size of a head.
        width_multiple: what the width is a multiple of, beside the head size times
            ``queries_per_key``.
        layers_multiple: what the number of layers is a multiple of.
        aspect: least and greatest width over layers, None for no limit (but of 4,096 layers).
            Models that laws are fitted on have 60 to 130.
        queries_per_key: query heads to a key and value head.
        feed_forward_ratio: hidden width of the feed-forward over the width; 8/3 of a gated one
            unless given, else 4.
        feed_forward_multiple: what it is rounded up to a multiple of; 256 of a gated one unless
            given, else 1.
        count: how many shapes are returned at most, each of another width.
        fixed: further columns of the law, as ``{"U": 1e12}``.
        **same: other fields of :class:`Transformer`, as ``gated=False, tied=True, seq=4096``.

    Returns:
        The shapes of least loss, first the best.

    Raises:
        ArgumentError: an option is unknown, or not what it has to be.
        DataError: coefficients of the fit differ by a column.
        AllocationError: no shape by the rules is near the optimum (which rules exclude it is said),
            or there is no optimum.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.published("chinchilla", "besiroglu")
        >>> found = nearest(fit, 1e21, vocab=32000, head_size=64, width_multiple=256)
        >>> found.to_frame()[["width", "layers"]].iloc[0].to_list()
        [2560, 33]
    """
    surface = checked_surface(fit)
    choice(size, "size", SIZES)
    choice(convention, "convention", tuple(FLOP_CONVENTIONS))
    count = whole(count, "count", least=1, most=10_000, remedy="Pass how many shapes, as count=10")
    rules = Rules.checked(
        head_size=head_size,
        width_multiple=width_multiple,
        layers_multiple=layers_multiple,
        aspect=aspect,
        queries_per_key=queries_per_key,
        feed_forward_ratio=feed_forward_ratio,
        feed_forward_multiple=feed_forward_multiple,
        same={**same, "vocab": vocab},
    )
    remedy = "Pass columns by name, as fixed={'U': 1e12}"
    further = mapping({} if fixed is None else fixed, "fixed", remedy=remedy)
    best = _optimum(surface, flops, further)
    of_law = set(best.columns) & set(surface.point.law.columns) - {"N", "D"}
    further = {**{name: float(np.ravel(best[name])[0]) for name in of_law}, **further}
    target, budget = float(np.ravel(best.N)[0]), float(np.ravel(best.flops)[0])
    candidates = rules.candidates(target, size, convention)
    if not len(candidates.N):
        units = [note.message for note in best.notes if note.code == "units"]
        raise AllocationError(
            f"no shape has the optimal {target:.3g} parameters: {units[0]}"
            if units
            else _excluded(rules, target, size, convention)
        )
    D = budget / candidates.flops_per_token
    loss = surface.point.evaluate(N=candidates.N, D=D, **further)
    order = np.lexsort((np.abs(np.log(candidates.N / target)), loss))
    _, first = np.unique(candidates.width[order], return_index=True)
    kept = order[np.sort(first)][:count]
    return _result(surface, best, rules, candidates.at(kept), D[kept], further, size, convention)


def _optimum(surface: Surface, flops: Any, fixed: Mapping[str, Any]) -> Allocation:
    """The allocation of one budget."""
    best = flops
    if not isinstance(flops, Allocation):
        flops = number(flops, "flops", above=0, remedy=BUDGET)
        best = allocate(surface, flops, fixed=fixed or None)
    if np.size(best.loss) != 1 or best.unit != "FLOP":
        wanted = "one budget in FLOP, with one value of each column"
        raise refused("flops", flops, wanted, BUDGET)
    drawn = surface.drawn
    if best.law != surface.point.law.name or not np.array_equal(best.draws.index, drawn.index):
        raise refused("flops", flops, "an allocation of this fit, or of these draws", BUDGET)
    return best


def _result(
    surface: Surface,
    best: Allocation,
    rules: Rules,
    kept: Candidates,
    D: np.ndarray,
    fixed: Mapping[str, Any],
    size: str,
    convention: str,
) -> NearestShapes:
    found = surface.estimate_loss(N=kept.N, D=D, **fixed)
    level = float(np.ravel(best.loss)[0])

    def drawn(draws: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        optimum = best.draws["loss"].reshape(-1, 1)
        return {"loss": found.draws, "excess": found.draws - optimum}

    shapes = tuple(rules.shape(*item) for item in zip(kept.width, kept.layers, strict=True))
    free = _free_parameters(shapes[0], float(kept.flops_per_token[0]), size, convention)
    notes = {str(note): note for note in (*best.notes, *found.notes, *free)}
    return NearestShapes(
        shapes=shapes,
        N=kept.N,
        D=D,
        flops_per_token=kept.flops_per_token,
        loss=found.value,
        excess=found.value - level,
        best=best,
        size=size,
        convention=convention,
        draws=surface.drawn.apply(drawn),
        notes=tuple(notes.values()),
    )


def _free_parameters(
    first: Transformer, flops_per_token: float, size: str, convention: str
) -> list[Note]:
    """A note where N counts parameters that no FLOPs are counted for."""
    # Experts that a token does not meet are as many in every shape by the rules.
    met = size if size.startswith("active") else ACTIVE[size]
    N = getattr(first.parameters, met)
    share = 1.0 - flops_per_token / (6.0 * N)
    if share <= FREE:
        return []
    return [
        Note.of(
            "free_parameters",
            f"of the first shape {percent(share)} of N ({size}) takes no FLOPs by convention="
            f"{convention!r}, and the law takes it for as good as the rest: the shapes with most "
            "of it look best. Count N as the FLOPs do, as size='matmul', if the fit's N is; or "
            "pass convention='6N'",
            {"share": share, "size": size, "convention": convention},
        )
    ]


def _excluded(rules: Rules, target: float, size: str, convention: str) -> str:
    """Why no shape is near a size, and which rule to loosen."""
    near = rules.closest(target, size, convention)
    said = f"no shape by these rules is within a factor of {SPAN:g} of the optimal {target:.3g} "
    said += "parameters"
    if near is not None:
        N, width, layers = float(near.N[0]), int(near.width[0]), int(near.layers[0])
        said += (
            f": the nearest has {N:.3g}, in {layers} layer{'s' * (layers > 1)} of width {width:,}"
        )
        table = rules.same["vocab"] * width
        if size in EMBEDDED and table > SPAN * target:
            said += f", and vocab={rules.same['vocab']} takes {table:.3g} of them"
    ways = []
    for name, other in rules.loosened().items():
        found = other.candidates(target, size, convention)
        if len(found.N):
            at = int(np.argmin(np.abs(np.log(found.N / target))))
            ways.append(_loose(name, other, float(found.width[at] / found.layers[at]), rules))
    if not ways:
        return f"{said}. No rule excludes them alone: loosen several, or pass a larger budget"
    return f"{said}. A nearer one is excluded by one rule: loosen it, as {', or as '.join(ways)}"


def _loose(name: str, other: Rules, aspect: float, rules: Rules) -> str:
    """A rule loosened, as options."""
    if name == "aspect":
        low, high = rules.aspect
        least = None if low is None else f"{min(low, math.floor(aspect)):g}"
        most = None if high is None else f"{max(high, math.ceil(aspect)):g}"
        return f"aspect=({least}, {most})"
    if name == "head_size":
        return f"head_size={other.head_size}, width_multiple={other.width_multiple}"
    return f"{name}={getattr(other, name)}"
