"""The costs that come with the library: conventions of counting FLOPs, and what tables measured."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.column_functions import columns_of
from scalefit.allocation.cost_model import FUNCTION, Cost, CostLike, cost, price
from scalefit.allocation.flop_counts import ASPECT, CONVENTIONS, SEQ, shape_of
from scalefit.arguments import choice, flag, number, shown
from scalefit.data.table import LossTable, as_table
from scalefit.errors import AllocationError, ArgumentError
from scalefit.frozen import Frozen

__all__ = [
    "COSTS",
    "Cost",
    "CostLike",
    "cost",
    "counted",
    "find_cost",
    "measured",
    "price",
    "product",
]

# Embeddings and attention move C / (N D) by up to 45 percent over the sizes of public tables; more
# is a mismatch of conventions.
MOST_SPREAD = 1.5

KAPLAN = (
    "Kaplan et al. 2020, arXiv 2001.08361: 2 FLOPs forward and 4 backward for each "
    "parameter and token; attention and embeddings not counted apart"
)


@dataclass(frozen=True)
class Product:
    """The function k N D. Two of one k are equal, and share what is traced for them."""

    k: float

    def __call__(self, N: Any, D: Any) -> Any:
        """K N D"""
        return self.k * N * D


@dataclass(frozen=True)
class Counted:
    """The function of N and D that counts by a convention, through a rule for the shape."""

    convention: str
    aspect: float
    embedded: float
    seq: float
    vocab: float

    def __call__(self, N: Any, D: Any) -> Any:
        """FLOPs of a token, times D."""
        per_token, per_layer, _ = CONVENTIONS[self.convention]
        n_layers, d_model = shape_of(
            N, aspect=self.aspect, embedded=self.embedded, per_layer=per_layer
        )
        shape = {
            "N": N,
            "n_layers": n_layers,
            "d_model": d_model,
            "d_attention": d_model,
            "seq": self.seq,
            "vocab": self.vocab,
        }
        taken = inspect.signature(per_token).parameters
        return per_token(**{name: value for name, value in shape.items() if name in taken}) * D


def product(k: float, name: str | None = None, *, source: str) -> Cost:
    """The cost k N D.

    Args:
        k: FLOPs per parameter and token, positive.
        name: how reports call it; ``kND`` unless given.
        source: where k comes from.

    Raises:
        ArgumentError: k is not a positive number, or source or name no text.

    Example:
        >>> from scalefit.allocation import product
        >>> product(7.0, source="measured on our runs")
        <Cost 7ND(N, D) in FLOP: 7 N D>
    """
    k = number(k, "k", above=0, remedy="Pass the FLOPs per parameter and token, as k=6.0")
    known = f"{k:.4g}ND" if name is None else name
    return Cost(known, Product(k), source, "FLOP", f"{k:.4g} N D", per_product=k)


def counted(
    convention: str,
    *,
    aspect: float = ASPECT,
    seq: float = SEQ,
    vocab: float = 0.0,
    tied: bool = True,
    name: str | None = None,
) -> Cost:
    """A convention as a cost of N and D, through a rule for the shape.

    The shape follows from N: width is ``aspect`` times depth at every size, N = 12 l d^2 (15 for
    ``gemstones``, whose feed-forward is gated) and, with ``vocab``, its embedding. Layers and width
    are not rounded, so that the cost is smooth.

    Args:
        convention: a name in ``CONVENTIONS``.
        aspect: width over depth.
        seq: tokens per sequence.
        vocab: entries of the vocabulary, if N counts them; ``chinchilla`` and ``gemstones`` then
            count their FLOPs too.
        tied: whether input and output share one matrix in N.
        name: how reports call it; the convention's name unless given.

    Returns:
        The cost, FLOP.

    Raises:
        ArgumentError: the convention is unknown, or the numbers describe no shape.

    Example:
        >>> from scalefit.allocation import counted
        >>> cost = counted("kaplan", aspect=100, seq=4096)
        >>> print(*(round(float(cost(N, 20 * N) / (6 * N * 20 * N)), 3) for N in (1e7, 1e9, 1e11)))
        1.781 1.168 1.036
    """
    choice(convention, "convention", tuple(CONVENTIONS))
    per_token, _, source = CONVENTIONS[convention]
    seq = number(seq, "seq", above=0, remedy="Pass the tokens of a sequence, as seq=2048")
    vocab = number(
        vocab, "vocab", least=0, remedy="Pass the entries that N counts, as vocab=32000, or vocab=0"
    )
    embedded = vocab * (1.0 if flag(tied, "tied") else 2.0)
    aspect = number(aspect, "aspect", above=0, remedy="Pass width over depth, as aspect=128")
    function = Counted(convention, aspect, embedded, seq, vocab)
    said = f"d / l = {aspect:g}, s = {seq:g}" + (f", V = {vocab:g}" if vocab else "")
    formula = (inspect.getdoc(per_token) or "").splitlines()[0]
    return Cost(
        convention if name is None else name,
        function,
        source,
        "FLOP",
        f"D ({formula}), {said}",
    )


def measured(runs: LossTable | pd.DataFrame, name: str | None = None) -> Cost:
    """The cost k N D with k the median of C / (N D) over a table's runs.

    Keeps budgets in the unit of the table where its C is not 6ND.

    Args:
        runs: a table with N, D and C.
        name: how reports call it; k and its spread unless given.

    Returns:
        The cost, FLOP; its formula has the 5th and 95th percentile of C / (N D).

    Raises:
        DataError: the table has no C, or a value is not positive.
        AllocationError: the 95th percentile of C / (N D) exceeds the 5th by more than half: no
            single k fits such a table.

    Example:
        >>> import pandas as pd
        >>> from scalefit.allocation import measured
        >>> runs = pd.DataFrame({"N": [1e8, 1e9], "D": [2e9, 2e10], "loss": [3.2, 2.6]})
        >>> measured(runs.assign(C=[1.3e18, 1.22e20]))
        <Cost 6.3ND(N, D) in FLOP: k N D, k = 6.3 the median of 2 runs, 5 to 95 %: 6.12 to 6.48>
    """
    table = as_table(runs)
    k = table.column("C") / (table.column("N") * table.column("D"))
    low, middle, high = np.percentile(k, [5, 50, 95])
    if high > MOST_SPREAD * low:
        raise AllocationError(
            f"C / (N D) runs from {low:.3g} to {high:.3g} (5th to 95th percentile of {len(k)} "
            "runs), so no single k fits them. Is N or D counted by another convention than C? "
            "If not, write the cost as a function: scalefit.allocation.cost"
        )
    found = product(middle, name, source="median of C / (N D) of a table")
    spread = f"k = {middle:.4g} the median of {len(k)} runs, 5 to 95 %: {low:.4g} to {high:.4g}"
    return replace(found, formula=f"k N D, {spread}")


def find_cost(cost: CostLike) -> Cost:
    """The cost itself, the one of that name, or the one that a plain function computes.

    Raises:
        ArgumentError: no cost has that name, or the function is not one of columns.
    """
    if isinstance(cost, Cost):
        return cost
    if callable(cost):
        return _from_function(cost)
    if isinstance(cost, str):
        return COSTS[choice(cost, "cost", tuple(COSTS))]
    raise ArgumentError(
        f"cost={shown(cost)} is neither a cost, nor a name of one, nor a function of columns",
        argument="cost",
        value=cost,
        remedy="Pass cost='6ND', or a function as cost=lambda N, D: 6.0 * N * D",
    )


def _from_function(function: Callable[..., Any]) -> Cost:
    columns_of(function, "cost", remedy=FUNCTION.format("cost"))
    return cost(source="a function of the user's")(function)


@cost(
    source="6ND with the parameters that a token meets; Ludziejewski et al. 2025, arXiv 2502.05172"
)
def moe(N_active: Any, D: Any) -> Any:
    """6 N_active D

    Mixtures of experts: a token meets N_active of all parameters. Routing is not counted.
    """
    return 6.0 * N_active * D


@cost(source="6ND with the parameters that a token meets; Abnar et al. 2025, arXiv 2501.12370")
def moe_sparsity(N: Any, D: Any, sparsity: Any) -> Any:
    """6 (1 - S) N D

    Mixtures of experts by total parameters N and the share S of them that a token does not meet,
    as if all parameters sat in experts.
    """
    return 6.0 * (1.0 - sparsity) * N * D


@cost(source="Krajewski et al. 2024, arXiv 2402.07871, expansion rate 64")
def fine_grained_moe(N: Any, D: Any, granularity: Any) -> Any:
    """(12 d^2 c_f + d X G c_r) n D, N = (8 X + 4) d^2 n, d = 64 n

    Fine-grained mixtures of experts with the cost of routing, for the law of that name: N total
    parameters without embeddings, G granularity, X = 64 the expansion rate, c_f = 6 FLOPs per
    active parameter, c_r = 14 per router weight; n blocks of width d = 64 n. The c_r is the one
    with which the paper's optima come out.
    """
    experts = 64.0
    blocks = (N / (64.0**2 * (8.0 * experts + 4.0))) ** (1.0 / 3.0)
    width = 64.0 * blocks
    return (72.0 * width**2 + 14.0 * width * experts * granularity) * blocks * D


@cost(source="Kumar et al. 2024, arXiv 2411.04330: cost in proportion to bits, 6ND at 16")
def precision(N: Any, D: Any, P: Any) -> Any:
    """6 N D P / 16

    Training at P bits throughout, if arithmetic gets cheaper in proportion.
    """
    return 0.375 * N * D * P


@cost(source="Busbridge et al. 2025, arXiv 2502.08606: forward pass 2 N, backward twice that")
def distillation(N: Any, D: Any, N_teacher: Any) -> Any:
    """6 N D + 2 N_teacher D

    A student of N parameters on D tokens, and the forward passes of a teacher that exists already.
    """
    return (6.0 * N + 2.0 * N_teacher) * D


@cost(source="Busbridge et al. 2025, arXiv 2502.08606: forward pass 2 N, backward twice that")
def distillation_with_teacher(N: Any, D: Any, N_teacher: Any, D_teacher: Any) -> Any:
    """6 N D + 2 N_teacher D + 6 N_teacher D_teacher

    The same where the teacher is trained for this student alone.
    """
    return (6.0 * N + 2.0 * N_teacher) * D + 6.0 * N_teacher * D_teacher


@cost(source="Chen et al. 2025, arXiv 2505.10475: every stream runs the model")
def parscale(N: Any, D: Any, streams: Any) -> Any:
    """6 N D streams

    Parallel streams of one model.
    """
    return 6.0 * N * D * streams


COSTS: Mapping[str, Cost] = Frozen(
    {"6ND": product(6.0, source=KAPLAN)}
    | {convention: counted(convention) for convention in CONVENTIONS}
    | {
        built_in.name: built_in
        for built_in in (
            moe,
            moe_sparsity,
            fine_grained_moe,
            precision,
            distillation,
            distillation_with_teacher,
            parscale,
        )
    }
)
