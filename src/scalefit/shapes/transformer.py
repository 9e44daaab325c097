"""The shape of a decoder-only transformer, and its parameters and FLOPs by every convention."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import NamedTuple

from scalefit.arguments import choice
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.shapes.fields import NOT_GIVEN, LatentAttention, checked_fields, default_seq
from scalefit.shapes.products import FLOP_CONVENTIONS, Products

__all__ = ["SIZES", "ParameterCounts", "Part", "Transformer"]


class Part(NamedTuple):
    """Parameters of one part of a model.

    Attributes:
        name: of the part, as ``attention``.
        parameters: all of them.
        active: those that a token meets.
        matmul: those in matrix products. Of the output layer all, even where they are those of
            the embedding.
        active_matmul: those in matrix products of a token.
    """

    name: str
    parameters: int
    active: int
    matmul: int
    active_matmul: int


@dataclass(frozen=True)
class ParameterCounts:
    """N by every convention, each exact.

    Attributes:
        total: every parameter; an output layer that shares the embedding once.
        without_embeddings: all but embedding, learned positions and output layer.
        blocks: matrices of the blocks: likewise, without biases and norms (the 12 l d^2 of Kaplan
            et al.).
        matmul: matrices of the blocks and the output layer, which is what matrix products are with
            (Porian et al.).
        active: all but experts that a token does not meet; ``total`` where there are none.
        active_without_embeddings: likewise.
        active_blocks: likewise.
        active_matmul: likewise.
    """

    total: int
    without_embeddings: int
    blocks: int
    matmul: int
    active: int
    active_without_embeddings: int
    active_blocks: int
    active_matmul: int


# Names of the conventions of N.
SIZES = tuple(item.name for item in fields(ParameterCounts))

# How reports call them.
SIZE_WORDS = dict(
    zip(
        SIZES,
        (
            "all",
            "without embeddings and output layer",
            "matrices of the blocks",
            "matrices of the blocks, output layer",
            "all that a token meets",
            "without embeddings, likewise",
            "matrices of the blocks, likewise",
            "and output layer, likewise",
        ),
        strict=True,
    )
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Transformer(Described):
    """The shape of a decoder-only transformer, every parameter of which is counted.

    ``width``, ``layers`` and ``vocab`` are needed. By default it is a Llama: gated feed-forward,
    root-mean-square norms, no biases, rotary positions.

    Attributes:
        width: of the residual stream, d.
        layers: blocks, l.
        vocab: entries of the vocabulary, V, with those that pad it.
        heads: query heads of a block; width over head size unless given. Where neither is, the
            divisor of the width that makes heads nearest to 128 (on which N depends only through
            ``kv_heads`` and ``query_key_norm``).
        head_size: of a query; width over heads unless given.
        kv_heads: key and value heads of a block; ``heads`` unless given.
        feed_forward: hidden width of the feed-forward. Unless given 4 d, and of a gated one 8 d / 3
            rounded up to a multiple of 256, as in Llama.
        gated: whether the feed-forward has a gate, a third matrix (SwiGLU, GeGLU).
        tied: whether the output layer is the embedding.
        experts: routed experts of a layer; 0 for none.
        active_experts: those of them that a token meets.
        shared_experts: further experts that every token meets, of the same hidden width.
        expert_feed_forward: an expert's hidden width; ``feed_forward`` unless given.
        shared_gate: whether a vector gates the shared experts (Qwen-MoE).
        dense_layers: layers that have a feed-forward in place of experts.
        latent: latent attention, in place of ``head_size`` and ``kv_heads``.
        positions: learned positions; 0 for rotary or none.
        seq: tokens of a training sequence, for FLOPs; 2,048 unless given, or all positions if they
            are fewer.
        norm: ``rms`` (a scale), ``layer`` (scale and shift), ``none`` (norms without parameters).
        norms: of a block; 2, but 4 in Gemma 2, 1 where attention and feed-forward are parallel.
        query_key_norm: norm of queries and keys: one for a ``head``, or for ``all`` heads.
        biases: what has biases, of ``qkv``, ``attention_output``, ``feed_forward`` (of experts
            too), ``router``, ``head`` (the output layer).

    Raises:
        ArgumentError: a field is no such number or word, or does not fit another.

    Example:
        >>> llama = Transformer(width=4096, layers=32, vocab=32000)
        >>> f"{llama.parameters.total:,}"
        '6,738,415,616'
        >>> f"{llama.flops_per_token() / (6 * llama.parameters.total):.3f}"
        '1.060'
    """

    width: int
    layers: int
    vocab: int
    heads: int = NOT_GIVEN
    head_size: int = NOT_GIVEN
    kv_heads: int = NOT_GIVEN
    feed_forward: int = NOT_GIVEN
    gated: bool = True
    tied: bool = False
    experts: int = 0
    active_experts: int = NOT_GIVEN
    shared_experts: int = 0
    expert_feed_forward: int = NOT_GIVEN
    shared_gate: bool = False
    dense_layers: int = 0
    latent: LatentAttention | None = None
    positions: int = 0
    seq: int = NOT_GIVEN
    norm: str = "rms"
    norms: int = 2
    query_key_norm: str | None = None
    biases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        for name, value in checked_fields(given).items():
            object.__setattr__(self, name, value)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parameters of each part of the model; parts without any are left out."""
        return tuple(part for part in self._all_parts() if part.parameters or part.matmul)

    @cached_property
    def parameters(self) -> ParameterCounts:
        """N by every convention."""
        embedded = ("embedding", "positions", "output layer")
        inner = [part for part in self.parts if part.name not in embedded]
        return ParameterCounts(
            total=sum(part.parameters for part in self.parts),
            without_embeddings=sum(part.parameters for part in inner),
            blocks=sum(part.matmul for part in inner),
            matmul=sum(part.matmul for part in self.parts),
            active=sum(part.active for part in self.parts),
            active_without_embeddings=sum(part.active for part in inner),
            active_blocks=sum(part.active_matmul for part in inner),
            active_matmul=sum(part.active_matmul for part in self.parts),
        )

    def flops_per_token(self, convention: str = "matmul", *, size: str = "total") -> float:
        """FLOPs of training on one token, forward and backward.

        Args:
            convention: ``matmul``, every matrix product of this shape with full attention scores;
                ``matmul_causal``, with half of them; ``6N``; or one of
                :data:`scalefit.allocation.flop_counts.CONVENTIONS`, of the products that this shape
                has. Of experts those that a token meets count.
            size: the N of ``6N``, a field of :class:`ParameterCounts`.

        Raises:
            ArgumentError: a name is unknown, or ``gemstones`` is asked of another shape.
        """
        choice(convention, "convention", tuple(FLOP_CONVENTIONS))
        choice(size, "size", SIZES)
        return float(FLOP_CONVENTIONS[convention](self._products(size)))

    def _products(self, size: str) -> Products:
        counts = self.parameters
        like_gemstones = (
            self.gated
            and not self.experts
            and self.latent is None
            and self.feed_forward == 4 * self.width
            and self.head_size == 128
            and self.heads * 128 == self.width
            and self.heads == 2 * self.kv_heads
        )
        return Products(
            N=getattr(counts, size),
            active=counts.active,
            matmul=counts.active_matmul,
            blocks=counts.active_blocks,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            attention=self.heads * (self.head_size + self._value_size) / 2,
            seq=self.seq,
            vocab=self.vocab,
            like_gemstones=like_gemstones,
        )

    @property
    def _value_size(self) -> int:
        return self.head_size if self.latent is None else self.latent.value_size

    def _all_parts(self) -> list[Part]:
        table, d = self.vocab * self.width, self.width
        attention = self.layers * self._attention_matrices
        biases = self.layers * (
            ("qkv" in self.biases) * (self.heads + 2 * self.kv_heads) * self.head_size
            + ("attention_output" in self.biases) * d
        )
        head_bias = ("head" in self.biases) * self.vocab
        return [
            Part("embedding", table, table, 0, 0),
            _part("positions", vectors=self.positions * d),
            _part("attention", attention, biases),
            *self._feed_forward_parts(),
            _part("norms", vectors=self._norm_parameters),
            Part(
                "output layer",
                (0 if self.tied else table) + head_bias,
                (0 if self.tied else table) + head_bias,
                table,
                table,
            ),
        ]

    def _feed_forward_parts(self) -> list[Part]:
        """Feed-forwards of dense layers, experts, and what routes tokens to them."""
        dense = self.dense_layers if self.experts else self.layers
        routed, d = self.layers - dense, self.width
        matrices, biases = self._feed_forward(self.feed_forward)
        expert_matrices, expert_biases = self._feed_forward(self.expert_feed_forward)

        def experts(name: str, count: int, active: int) -> Part:
            each, matrices = routed * (expert_matrices + expert_biases), routed * expert_matrices
            return Part(name, count * each, active * each, count * matrices, active * matrices)

        router = routed * (self.experts + self.shared_gate) * d
        return [
            _part("feed-forward", dense * matrices, dense * biases),
            experts("experts", self.experts, self.active_experts),
            experts("shared experts", self.shared_experts, self.shared_experts),
            _part("router", router, routed * ("router" in self.biases) * self.experts),
        ]

    def _feed_forward(self, hidden: int) -> tuple[int, int]:
        """Matrices and biases of one feed-forward."""
        into = 2 if self.gated else 1
        biases = ("feed_forward" in self.biases) * (into * hidden + self.width)
        return (into + 1) * self.width * hidden, biases

    @property
    def _attention_matrices(self) -> int:
        """Of one block."""
        d, h, of = self.width, self.heads, self.latent
        if of is None:
            return 2 * d * self.head_size * (h + self.kv_heads)
        queries = h * (of.nope_size + of.rope_size)
        into = of.query_rank * (d + queries) if of.query_rank else d * queries
        keys = d * (of.key_value_rank + of.rope_size)
        out = of.key_value_rank * h * (of.nope_size + of.value_size)
        return into + keys + out + h * of.value_size * d

    @property
    def _norm_parameters(self) -> int:
        """Norms of the blocks, of queries and keys, and the last one."""
        each = {"rms": 1, "layer": 2, "none": 0}[self.norm]
        within = 0
        if self.query_key_norm is not None:
            heads = 2 if self.query_key_norm == "head" else self.heads + self.kv_heads
            within = heads * self.head_size
        if self.latent is not None:
            within = self.latent.key_value_rank + self.latent.query_rank
        return each * (self.layers * (self.norms * self.width + within) + self.width)

    def describe(self, level: float = 0.95) -> Description:
        """Its parameters by part, and N and FLOPs by every convention.

        Args:
            level: not used, as nothing here is uncertain.
        """
        counts, flops = self.parameters, self.flops_per_token()
        said = f"{shown(counts.total, 'count').value} parameters"
        if counts.active != counts.total:
            said += f", of which a token meets {shown(counts.active, 'count').value}"
        without = shown(counts.without_embeddings, "count").value
        return Description(
            title=f"Transformer of {self.layers} layers and width {self.width:,}",
            headline=(
                f"{said}, {without} without embeddings; {shown(flops, 'flop').value} FLOP per "
                f"token of training, {flops / counts.active:.2f} for each parameter that it meets."
            ),
            facts={"shape": repr(self)},
            tables=[self._by_part(), self._by_size(), self._by_convention()],
        )

    def _by_part(self) -> Table:
        parts = self.parts
        columns = [
            Column("part", [part.name for part in parts], "text"),
            Column("parameters", [part.parameters for part in parts], "integer"),
        ]
        if self.experts:
            columns.append(Column("active", [part.active for part in parts], "integer"))
        return Table(columns, "Parameters of each part", whole=True)

    def _by_size(self) -> Table:
        counts = asdict(self.parameters)
        kept = [name for name in SIZES if self.experts or not name.startswith("active")]
        return Table(
            [
                Column("size", kept, "text"),
                Column("N (params)", [counts[name] for name in kept], "integer"),
                Column("counts", [SIZE_WORDS[name] for name in kept], "text"),
            ],
            "N by convention",
        )

    def _by_convention(self) -> Table:
        products = self._products("active")
        kept = [name for name in FLOP_CONVENTIONS if name != "gemstones" or products.like_gemstones]
        flops = [FLOP_CONVENTIONS[name](products) for name in kept]
        return Table(
            [
                Column("convention", kept, "text"),
                Column("FLOP per token", flops, "flop"),
                Column("over 6N", [item / (6.0 * products.N) for item in flops]),
            ],
            f"FLOPs of training at {self.seq:,} tokens per sequence"
            + ", N of active parameters" * bool(self.experts),
            whole=True,
        )

    def __repr__(self) -> str:
        """A call that builds it, without fields at their default."""
        plain = {item.name: item.default for item in fields(self)}
        kept = {
            name: getattr(self, name)
            for name in plain
            if getattr(self, name) != plain[name] and not (self._implied(name))
        }
        return f"Transformer({', '.join(f'{name}={value!r}' for name, value in kept.items())})"

    def _implied(self, name: str) -> bool:
        """Whether a field need not be said, as others say it."""
        return {
            "head_size": self.latent is not None or self.heads * self.head_size == self.width,
            "kv_heads": self.kv_heads == self.heads,
            "seq": self.seq == default_seq(self.positions),
            "active_experts": not self.experts,
            "expert_feed_forward": self.expert_feed_forward in (0, self.feed_forward),
        }.get(name, False)


def _part(name: str, matrices: int = 0, vectors: int = 0) -> Part:
    """A part that every token meets, of matrices and vectors."""
    return Part(name, matrices + vectors, matrices + vectors, matrices, matrices)
