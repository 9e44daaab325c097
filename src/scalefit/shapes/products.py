"""FLOPs of training on one token of a given shape, by every convention.

The conventions of :mod:`scalefit.allocation.flop_counts` are formulas of plain shapes. Most of them
are sums of matrix products, and are defined for every shape by the products it has: where a paper
writes 12 l d^2, its blocks' matrices are meant, and where it writes d beside the sequence length,
the width of the attention scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from scalefit.allocation import flop_counts
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen

__all__ = ["FLOP_CONVENTIONS", "Products"]


class Products(NamedTuple):
    """What the FLOPs of a shape are counted from.

    Attributes:
        N: parameters of ``6N``.
        active: all parameters, of experts those that a token meets.
        matmul: parameters in matrix products of a token, output layer included.
        blocks: those of them in blocks.
        layers: blocks.
        width: of the residual stream.
        heads: query heads of a block.
        attention: width of the scores of a block: heads times head size, or, where those of keys
            and values differ, their mean.
        seq: tokens per sequence.
        vocab: entries of the vocabulary.
        like_gemstones: whether blocks are those that ``gemstones`` counts.
    """

    N: float
    active: float
    matmul: float
    blocks: float
    layers: int
    width: int
    heads: int
    attention: float
    seq: int
    vocab: int
    like_gemstones: bool


def _matmul(of: Products) -> float:
    """6 N_matmul + 12 l s a

    Every matrix product of the shape: its matrices, those of experts that a token meets, router,
    output layer, and attention scores of the whole sequence.
    """
    return flop_counts.palm(of.matmul, of.layers, of.attention, of.seq)


def _matmul_causal(of: Products) -> float:
    """6 N_matmul + 6 l (s + 1) a

    The same with the attention scores of a token and those before it alone, half of the sequence.
    """
    return flop_counts.porian(of.matmul, of.layers, of.attention, of.seq + 1)


def _six_n(of: Products) -> float:
    """6 N

    Two FLOPs forward and four backward for each parameter.
    """
    return 6.0 * of.N


def _kaplan(of: Products) -> float:
    """6 N_blocks + 6 l s a

    Matrices of the blocks, and attention scores as one multiply-add per position pair.
    """
    return flop_counts.porian(of.blocks, of.layers, of.attention, of.seq)


def _chinchilla(of: Products) -> float:
    """6 N_blocks + 3 [l (4 s a + 3 h s) + 4 V d]

    Every product of the blocks, softmax, embedding and output layer as products.
    """
    plain = 4.0 * of.layers * of.width * of.attention
    attention = flop_counts.chinchilla(
        of.layers,
        of.width,
        of.seq,
        of.vocab,
        n_heads=of.heads,
        d_attention=of.attention,
        d_ff=0,
    )
    return attention + 6.0 * (of.blocks - plain)


def _palm(of: Products) -> float:
    """6 N + 12 l s a

    All parameters, and attention scores of the whole sequence.
    """
    return flop_counts.palm(of.active, of.layers, of.attention, of.seq)


def _porian(of: Products) -> float:
    """6 N_matmul + 6 l s a

    Matrices with the output layer, and the causal half of attention.
    """
    return flop_counts.porian(of.matmul, of.layers, of.attention, of.seq)


def _deepseek(of: Products) -> float:
    """6 N_blocks + 12 l s a

    Matrices of the blocks with full attention, and no vocabulary.
    """
    return flop_counts.palm(of.blocks, of.layers, of.attention, of.seq)


def _gemstones(of: Products) -> float:
    """Gated blocks of 4 d, two queries to a key, norms, flash attention, output layer.

    For shapes of that paper alone.
    """
    if not of.like_gemstones:
        raise ArgumentError(
            "convention='gemstones' counts a gated feed-forward of 4 d and heads of 128 with two "
            "queries to a key and value, which this shape does not have",
            argument="convention",
            value="gemstones",
            remedy="Pass convention='matmul', which counts every product of this shape",
        )
    return flop_counts.gemstones(of.layers, of.width, of.seq, of.vocab)


FLOP_CONVENTIONS: Mapping[str, Callable[[Products], float]] = Frozen(
    {
        "matmul": _matmul,
        "matmul_causal": _matmul_causal,
        "6N": _six_n,
        "kaplan": _kaplan,
        "chinchilla": _chinchilla,
        "palm": _palm,
        "porian": _porian,
        "deepseek": _deepseek,
        "gemstones": _gemstones,
    }
)
