"""Shapes: parameters and FLOPs by every convention, defaults, and what is refused."""

import pickle
from dataclasses import replace

import pytest
from border import Row, check

import scalefit as sf
from scalefit.allocation import flop_counts
from scalefit.shapes import SIZES, LatentAttention, Transformer

# Hoffmann et al. 2022, table A9, the first rows: 4 d wide, heads of 64, no gate.
PLAIN = Transformer(width=640, layers=10, vocab=32000, heads=10, gated=False, seq=2048)

# Every product by hand, multiply-adds of a token: 4 experts of which 2 are met, grouped queries.
ROUTED = {
    "width": 8,
    "layers": 2,
    "vocab": 10,
    "heads": 2,
    "kv_heads": 1,
    "feed_forward": 12,
    "experts": 4,
    "active_experts": 2,
    "seq": 16,
}
# Of 2 x 8 x 12 into and 12 x 8 out of an expert.
EXPERT = 288
# 8 x 8 queries, 8 x 4 keys, 8 x 4 values, 8 x 8 out, and 8 x 4 of the router.
REST = 192 + 32


def test_every_product_of_a_routed_shape_is_counted():
    shape = Transformer(**ROUTED)
    counts = shape.parameters
    assert counts.blocks == 2 * (REST + 4 * EXPERT)
    assert counts.active_blocks == 2 * (REST + 2 * EXPERT)
    assert counts.matmul == counts.blocks + 80
    assert counts.active_matmul == counts.active_blocks + 80
    # Norms: two of 8 in each block, and one.
    assert counts.without_embeddings == counts.blocks + 40
    assert counts.total == counts.without_embeddings + 2 * 80
    assert counts.active == counts.total - 2 * 2 * EXPERT
    # A score and a mixing of 2 heads of 4 for each of 16 positions.
    per_token = 2 * (REST + 2 * EXPERT + 16 * 8 + 16 * 8) + 80
    assert shape.flops_per_token() == 6 * per_token
    causal = 2 * (REST + 2 * EXPERT + 2 * 8 * 17 / 2) + 80
    assert shape.flops_per_token("matmul_causal") == 6 * causal
    assert shape.flops_per_token("6N") == 6 * counts.total
    assert shape.flops_per_token("6N", size="active") == 6 * counts.active


def test_the_fields_of_experts_add_what_they_say():
    shape = Transformer(**ROUTED)
    total = shape.parameters.total
    assert replace(shape, dense_layers=1).parameters.total == total - 3 * EXPERT - 32
    assert replace(shape, shared_experts=3).parameters.total == total + 2 * 3 * EXPERT
    gated = replace(shape, shared_experts=1, shared_gate=True)
    assert gated.parameters.total == total + 2 * (EXPERT + 8)
    assert gated.parameters.active == shape.parameters.active + 2 * (EXPERT + 8)
    assert replace(shape, expert_feed_forward=1).parameters.total == total - 2 * 4 * (EXPERT - 24)
    # Of every expert 2 x 12 + 8, of the router one for each expert.
    assert replace(shape, biases=("feed_forward",)).parameters.total == total + 2 * 4 * 32
    assert replace(shape, biases=["router"]).parameters.total == total + 2 * 4
    assert replace(shape, biases=("qkv", "attention_output", "head")).parameters.total == (
        total + 2 * (8 + 4 + 4 + 8) + 10
    )


def test_norms_and_positions_have_the_parameters_of_their_kind():
    shape = Transformer(**ROUTED)
    without = shape.parameters.total - 40
    for fields, norms in (
        ({"norm": "none"}, 0),
        ({"norm": "layer"}, 2 * 40),
        ({"norms": 4}, 2 * 4 * 8 + 8),
        ({"norms": 1, "norm": "layer"}, 2 * (2 * 8 + 8)),
        ({"query_key_norm": "head"}, 40 + 2 * 2 * 4),
        ({"query_key_norm": "all"}, 40 + 2 * (8 + 4)),
        ({"positions": 16}, 40 + 16 * 8),
    ):
        assert replace(shape, **fields).parameters.total == without + norms, fields


def test_latent_attention_has_the_matrices_of_its_definition():
    latent = LatentAttention(key_value_rank=3, query_rank=5, nope_size=2, rope_size=1, value_size=4)
    shape = Transformer(width=8, layers=1, vocab=10, heads=2, feed_forward=12, latent=latent, seq=7)
    # Queries 8 x 5 and 5 x 2 (2 + 1), keys and values 8 x (3 + 1) and 3 x 2 (2 + 4), out 2 x 4 x 8.
    matrices = 40 + 30 + 32 + 36 + 64
    assert shape.parameters.blocks == matrices + EXPERT
    assert shape.parameters.without_embeddings == matrices + EXPERT + 3 * 8 + 3 + 5
    # Scores over 2 heads of 3, mixing over 2 heads of 4.
    assert shape.flops_per_token() == 6 * (matrices + EXPERT + 80 + 7 * (6 + 8))
    direct = replace(latent, query_rank=0)
    other = Transformer(width=8, layers=1, vocab=10, heads=2, feed_forward=12, latent=direct)
    assert other.parameters.blocks == matrices + EXPERT - 70 + 8 * 6


def test_conventions_are_those_of_the_papers_on_their_shapes():
    counts = PLAIN.parameters
    given = {"n_layers": 10, "d_model": 640, "seq": 2048}
    expected = {
        "kaplan": flop_counts.kaplan(**given),
        "chinchilla": flop_counts.chinchilla(**given, vocab=32000, n_heads=10),
        "palm": flop_counts.palm(counts.total, 10, 640, 2048),
        "porian": flop_counts.porian(counts.matmul, **given),
        "deepseek": flop_counts.deepseek(**given),
    }
    found = {name: PLAIN.flops_per_token(name) for name in expected}
    assert found == pytest.approx(expected, rel=1e-15)
    # The ratio that Hoffmann et al. print for it, where vocabulary and its FLOPs are left out.
    blocks = found["chinchilla"] - 3 * 4 * 32000 * 640
    assert round(blocks / (6 * 73e6), 2) == 1.04
    wide = replace(PLAIN, head_size=128, feed_forward=1024)
    a = 1280
    assert wide.flops_per_token("chinchilla") == pytest.approx(
        flop_counts.chinchilla(10, 640, 2048, 32000, n_heads=10, d_attention=a, d_ff=1024)
    )


def test_the_convention_of_the_gemstones_is_for_their_shapes():
    gem = Transformer(
        width=256, layers=80, vocab=50304, heads=2, kv_heads=1, feed_forward=1024, seq=2048
    )
    # The number of the paper's code that flop_counts is checked against.
    assert f"{gem.flops_per_token('gemstones'):.6e}" == "9.967373e+08"
    assert "gemstones" in gem.summary() and "gemstones" not in PLAIN.summary()


@pytest.mark.parametrize(
    ("width", "heads", "feed_forward"),
    # Touvron et al. 2023, arXiv 2302.13971, table 2, and the hidden widths of its code.
    [(4096, 32, 11008), (5120, 40, 13824), (6656, 52, 17920), (8192, 64, 22016)],
)
def test_a_shape_is_a_llama_by_default(width, heads, feed_forward):
    shape = Transformer(width=width, layers=1, vocab=32000)
    assert (shape.heads, shape.head_size, shape.kv_heads) == (heads, 128, heads)
    assert (shape.feed_forward, shape.seq) == (feed_forward, 2048)
    assert Transformer(width=width, layers=1, vocab=1, gated=False).feed_forward == 4 * width
    assert Transformer(width=width, layers=1, vocab=1, head_size=64).heads == 2 * heads


@pytest.mark.parametrize(("width", "heads"), [(768, 6), (320, 2), (200, 2), (100, 1), (127, 1)])
def test_heads_are_near_128_where_none_are_given(width, heads):
    shape = Transformer(width=width, layers=1, vocab=1)
    assert (shape.heads, shape.head_size) == (heads, width // heads)
    assert shape.parameters == replace(shape, heads=width, head_size=1, kv_heads=width).parameters


def test_learned_positions_limit_the_sequence():
    assert Transformer(width=768, layers=1, vocab=1, positions=1024).seq == 1024
    assert Transformer(width=768, layers=1, vocab=1, positions=4096).seq == 2048


def test_a_shape_is_a_value_that_prints_the_call_that_builds_it():
    latent = LatentAttention(key_value_rank=512)
    for shape in (
        PLAIN,
        Transformer(**ROUTED),
        Transformer(width=2048, layers=27, vocab=102400, heads=16, latent=latent, biases=["head"]),
        Transformer(width=896, layers=24, vocab=9, heads=14, kv_heads=2, seq=4096, tied=True),
    ):
        again = eval(repr(shape), {"Transformer": Transformer, "LatentAttention": LatentAttention})
        assert again == shape and hash(again) == hash(shape)
        assert pickle.loads(pickle.dumps(shape)) == shape == replace(shape)
    assert repr(Transformer(width=128, layers=2, vocab=9, heads=1)) == (
        "Transformer(width=128, layers=2, vocab=9, heads=1, feed_forward=512)"
    )


def test_a_report_has_every_part_and_convention():
    text = Transformer(**ROUTED).summary()
    for words in ("experts", "router", "output layer", *SIZES, "matmul_causal", "kaplan"):
        assert words in text
    parts = {part.name: part.parameters for part in Transformer(**ROUTED).parts}
    assert parts == {
        "embedding": 80,
        "attention": 2 * 192,
        "experts": 2 * 4 * EXPERT,
        "router": 2 * 32,
        "norms": 40,
        "output layer": 80,
    }
    assert "active" not in PLAIN.summary()
    for rendered in (PLAIN.to_latex(), PLAIN.to_markdown(), PLAIN._repr_html_()):
        assert "feed-forward" in rendered


def flops(**given):
    return PLAIN.flops_per_token(**given)


SMALL = {"width": 256, "layers": 2, "vocab": 100}
EXPERTS = {**SMALL, "experts": 8, "active_experts": 2}
LATENT = {**SMALL, "heads": 2, "latent": LatentAttention(key_value_rank=8)}

ROWS = [
    Row("no width", Transformer, {**SMALL, "width": 0}, "width"),
    Row("half a layer", Transformer, {**SMALL, "layers": 1.5}, "layers"),
    Row("no vocabulary", Transformer, {**SMALL, "vocab": None}, "vocab"),
    Row("a size of no heads", Transformer, {**SMALL, "head_size": 100}, "head_size"),
    Row("heads that do not divide", Transformer, {**SMALL, "heads": 3}, "heads"),
    Row("text for heads", Transformer, {**SMALL, "heads": "8"}, "heads", {"heads": 8}),
    Row("keys that do not divide", Transformer, {**SMALL, "heads": 4, "kv_heads": 3}, "kv_heads"),
    Row("a gate of 1", Transformer, {**SMALL, "gated": 1}, "gated", {"gated": True}),
    Row("an unknown norm", Transformer, {**SMALL, "norm": "rmsnorm"}, "norm"),
    Row("an unknown norm of keys", Transformer, {**SMALL, "query_key_norm": 1}, "query_key_norm"),
    Row("an unknown bias", Transformer, {**SMALL, "biases": ("key",)}, "biases[0]"),
    Row("biases of True", Transformer, {**SMALL, "biases": True}, "biases"),
    Row("a long sequence", Transformer, {**SMALL, "positions": 10, "seq": 11}, "seq"),
    Row(
        "active without experts",
        Transformer,
        {**SMALL, "active_experts": 2},
        "active_experts",
        EXPERTS,
    ),
    Row(
        "shared without experts",
        Transformer,
        {**SMALL, "shared_experts": 1},
        "shared_experts",
        EXPERTS,
    ),
    Row("a router's bias alone", Transformer, {**SMALL, "biases": ("router",)}, "biases"),
    Row("experts of None", Transformer, {**SMALL, "experts": None}, "experts", {"experts": ...}),
    Row("all experts missing", Transformer, {**SMALL, "experts": 8}, "active_experts"),
    Row("too many active", Transformer, {**EXPERTS, "active_experts": 9}, "active_experts"),
    Row("no layer of experts", Transformer, {**EXPERTS, "dense_layers": 2}, "dense_layers"),
    Row("a gate of nothing", Transformer, {**EXPERTS, "shared_gate": True}, "shared_gate"),
    Row("latent text", Transformer, {**LATENT, "latent": "mla"}, "latent", {"latent": None}),
    Row("latent without heads", Transformer, {**LATENT, "heads": ...}, "heads"),
    Row(
        "latent and a size",
        Transformer,
        {**LATENT, "head_size": 8},
        "head_size",
        {"head_size": ...},
    ),
    Row("latent with biases", Transformer, {**LATENT, "biases": ("qkv", "head")}, "biases"),
    Row("no rank", LatentAttention, {"key_value_rank": 0}, "key_value_rank"),
    Row("an unknown convention", flops, {"convention": "6nd"}, "convention"),
    Row("another's convention", flops, {"convention": "gemstones"}, "convention"),
    Row("an unknown size", flops, {"size": "all"}, "size"),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_nonsense_is_refused_and_mended_as_it_says(row):
    check(row)


def test_the_module_is_public():
    assert sf.shapes.Transformer is Transformer
