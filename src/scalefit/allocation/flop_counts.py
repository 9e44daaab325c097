"""FLOPs of training on one token, by the shape of the model and by whose count.

Conventions differ by 10 percent at a billion parameters and by half at ten million: in whether
attention scores, the embedding and the output layer count. Each function is one convention, forward
and backward pass, in FLOP per token; :func:`counted` turns it into a cost of N and D through a
stated rule for the shape. The convention moves fitted exponents: C, N and D of one table must
follow the same one.

Sizes: ``n_layers`` blocks, ``d_model`` residual width, ``seq`` tokens per sequence, ``vocab``
entries, 0 where vocabulary is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scalefit.arguments import number
from scalefit.frozen import Frozen

__all__ = [
    "CONVENTIONS",
    "chinchilla",
    "deepseek",
    "gemstones",
    "kaplan",
    "palm",
    "porian",
    "shape_of",
]

# Width over depth of the models that laws are fitted on is 60 to 130: 89.6 for the 6.8e9 parameters
# of Hoffmann et al., 128 for GPT-3 and Llama 7B. The FLOPs move with its cube root.
ASPECT = 128.0

SEQ = 2048

# Parameters of a block over d^2.
PLAIN = 12.0
GATED = 15.0


def kaplan(n_layers: Any, d_model: Any, seq: Any = SEQ) -> Any:
    """6 (12 l d^2) + 6 l s d

    Parameters without embeddings, and attention scores as one multiply-add per position pair.

    Source:
        Kaplan et al. 2020, arXiv 2001.08361, table 1, three times the forward pass.

    Example:
        >>> f"{kaplan(12, 768, seq=1024):.4g}"
        '5.662e+08'
    """
    return 72.0 * n_layers * d_model**2 + 6.0 * n_layers * seq * d_model


def chinchilla(
    n_layers: Any,
    d_model: Any,
    seq: Any = SEQ,
    vocab: Any = 0,
    *,
    n_heads: Any = None,
    d_attention: Any = None,
    d_ff: Any = None,
) -> Any:
    """3 [l (6 d a + 4 s a + 3 h s + 2 a d + 4 d f) + 4 V d]

    Every product of appendix F: queries, keys and values, scores, softmax, mixing, projection,
    feed-forward, and with ``vocab`` the embedding and the output layer. The ratios to 6 N that the
    paper prints (0.99 to 1.10) are without vocabulary.

    Args:
        n_layers: l, blocks.
        d_model: d, residual width.
        seq: s, tokens per sequence.
        vocab: V, entries; 0 counts the blocks alone.
        n_heads: h; widths of 128 unless given.
        d_attention: a, heads times head size; d unless given.
        d_ff: f, feed-forward width; 4 d unless given.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, appendix F.

    Example:
        >>> flops = chinchilla(10, 640, seq=2048, n_heads=10)
        >>> round(flops / (6 * 73e6), 3)
        1.037
    """
    a = d_model if d_attention is None else d_attention
    h = a / 128.0 if n_heads is None else n_heads
    f = 4.0 * d_model if d_ff is None else d_ff
    attention = 6.0 * d_model * a + 4.0 * seq * a + 3.0 * h * seq + 2.0 * a * d_model
    return 3.0 * (n_layers * (attention + 4.0 * d_model * f) + 4.0 * vocab * d_model)


def palm(N: Any, n_layers: Any, d_attention: Any, seq: Any = SEQ) -> Any:
    """6 N + 12 l s a

    What model FLOPs utilisation is counted in: all parameters, full attention (not its causal
    half), no recomputation.

    Args:
        N: parameters, count.
        n_layers: l, blocks.
        d_attention: a, heads times head size.
        seq: s, tokens per sequence.

    Source:
        Chowdhery et al. 2022, arXiv 2204.02311, appendix B.
    """
    return 6.0 * N + 12.0 * n_layers * d_attention * seq


def porian(N: Any, n_layers: Any, d_model: Any, seq: Any = SEQ) -> Any:
    """6 N + 6 l s d

    All parameters with the output layer, and the causal half of attention.

    Args:
        N: parameters with the output layer, without the input embedding, count.
        n_layers: l, blocks.
        d_model: d, residual width.
        seq: s, tokens per sequence.

    Source:
        Porian et al. 2024, arXiv 2406.19146, code.
    """
    return 6.0 * N + 6.0 * n_layers * d_model * seq


def deepseek(n_layers: Any, d_model: Any, seq: Any = SEQ) -> Any:
    """72 l d^2 + 12 l s d

    Blocks with full attention and no vocabulary: the M of C = M D, in which the paper's sizes are
    counted in place of N.

    Source:
        DeepSeek-AI 2024, arXiv 2401.02954, M = C / D.
    """
    return 72.0 * n_layers * d_model**2 + 12.0 * n_layers * d_model * seq


def gemstones(n_layers: Any, d_model: Any, seq: Any = SEQ, vocab: Any = 50304) -> Any:
    """3 d (7 + 2 V) + l [3 (6 d^2 + r) + 3.5 s (3 d + 3 h) + 3 (24 d^2 + 56 d)]

    Grouped queries (two to a key and value), heads of 128, a gated feed-forward of 4 d, rotary
    positions (r = 5.25 d), norms, causal scores, a flash-attention backward pass of 2.5 forward
    ones, output layer without embedding.

    Source:
        McLeish et al. 2025, arXiv 2502.06857, code.

    Example:
        >>> f"{gemstones(80, 256):.6e}"
        '9.967373e+08'
    """
    heads = d_model / 128.0
    linear = 6.0 * d_model**2 + 3.5 * 1.5 * d_model
    scores = seq * (3.0 * d_model + 3.0 * heads)
    # 6 d f of the gate and 10 f of its function at f = 4 d, residuals 2 d, two norms 14 d.
    forward = 24.0 * d_model**2 + 56.0 * d_model
    blocks = n_layers * (3.0 * linear + 3.5 * scores + 3.0 * forward)
    return blocks + 3.0 * d_model * (7.0 + 2.0 * vocab)


# Name to function, parameters of a block over d^2, source.
CONVENTIONS: Mapping[str, tuple[Callable[..., Any], float, str]] = Frozen(
    {
        "kaplan": (kaplan, PLAIN, "Kaplan et al. 2020, arXiv 2001.08361, table 1"),
        "chinchilla": (chinchilla, PLAIN, "Hoffmann et al. 2022, arXiv 2203.15556, appendix F"),
        "palm": (palm, PLAIN, "Chowdhery et al. 2022, arXiv 2204.02311, appendix B"),
        "porian": (porian, PLAIN, "Porian et al. 2024, arXiv 2406.19146, code"),
        "deepseek": (deepseek, PLAIN, "DeepSeek-AI 2024, arXiv 2401.02954, M = C / D"),
        "gemstones": (gemstones, GATED, "McLeish et al. 2025, arXiv 2502.06857, code"),
    }
)


def shape_of(
    N: Any, *, aspect: float = ASPECT, embedded: float = 0.0, per_layer: float = PLAIN
) -> tuple[Any, Any]:
    """Layers and width of a model of N parameters, neither rounded.

    Solves N = c l d^2 + v d with d = aspect l for the width: one real root, in closed form.

    Args:
        N: parameters, count.
        aspect: d / l, width over depth, the same at every size.
        embedded: v, entries of the vocabulary counted in N: its size where input and output share
            one matrix, twice that where they do not, 0 where N is without embeddings.
        per_layer: c, parameters of a block over d^2: 4 of attention and 8 of a feed-forward of 4 d;
            15 or 16 with a gated one.

    Returns:
        l and d, of the shape of N.

    Raises:
        ArgumentError: the aspect ratio is not positive, or the vocabulary negative.

    Example:
        >>> layers, width = shape_of(12 * 32 * 4096**2, aspect=128)
        >>> round(layers, 6), round(width, 6)
        (32.0, 4096.0)
    """
    aspect = number(aspect, "aspect", above=0, remedy="Pass width over depth, as aspect=128")
    per_layer = number(
        per_layer, "per_layer", above=0, remedy="Pass the parameters of a block, as per_layer=12"
    )
    embedded = number(embedded, "embedded", least=0, remedy="Pass the entries in N, as embedded=0")
    # d^3 + p d = q
    p, q = embedded * aspect / per_layer, N * (aspect / per_layer)
    if p == 0.0:
        d = q ** (1.0 / 3.0)
    else:
        # 2 sqrt(p/3) sinh(arcsinh(x)/3), Viete's form, in plain operators: t is exp(arcsinh(x)/3).
        x = 1.5 * q / p * math.sqrt(3.0 / p)
        t = (x + (x * x + 1.0) ** 0.5) ** (1.0 / 3.0)
        d = math.sqrt(p / 3.0) * (t - 1.0 / t)
    return d / aspect, d
