"""The fields of a transformer's shape: what each is by default, and what it has to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scalefit.allocation.flop_counts import SEQ
from scalefit.arguments import choice, flag, instance, names, refused, whole
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen

__all__ = [
    "BIASES",
    "NORMS",
    "NOT_GIVEN",
    "QUERY_KEY_NORMS",
    "LatentAttention",
    "checked_fields",
    "default_seq",
]

# Of a field whose default follows from others.
NOT_GIVEN: Any = None

# The head size that a shape without one is nearest to: that of GPT-3, Llama 7B and most since.
HEAD_SIZE = 128
# Touvron et al. 2023, arXiv 2302.13971, code: a gated feed-forward of 8 d / 3, rounded up to this.
GATED_MULTIPLE = 256

MOST = 10**9

BIASES = ("qkv", "attention_output", "feed_forward", "router", "head")
NORMS = ("rms", "layer", "none")
QUERY_KEY_NORMS = ("head", "all")

# Least value, and what to pass, of every field that is one number.
COUNTS: Mapping[str, tuple[int, str]] = Frozen(
    {
        "width": (1, "Pass the width of the residual stream, as width=4096"),
        "layers": (1, "Pass the number of blocks, as layers=32"),
        "vocab": (1, "Pass the entries of the vocabulary, as vocab=32000"),
        "heads": (1, "Pass the query heads of a block, as heads=32"),
        "head_size": (1, "Pass the size of a head, as head_size=128"),
        "kv_heads": (1, "Pass the key and value heads of a block, as kv_heads=8"),
        "feed_forward": (1, "Pass the hidden width of a feed-forward, as feed_forward=11008"),
        "experts": (0, "Pass the routed experts of a layer, as experts=8, or experts=0"),
        "active_experts": (0, "Pass the routed experts that a token meets, as active_experts=2"),
        "shared_experts": (0, "Pass the experts that every token meets, as shared_experts=0"),
        "expert_feed_forward": (0, "Pass an expert's hidden width, as expert_feed_forward=1408"),
        "dense_layers": (0, "Pass the layers without experts, as dense_layers=0"),
        "positions": (0, "Pass the positions that are learned, as positions=1024, or positions=0"),
        "seq": (1, "Pass the tokens of a training sequence, as seq=2048"),
        "norms": (0, "Pass the norms of a block, as norms=2"),
    }
)


# Those whose default follows from others.
FOLLOWING = (
    *("heads", "head_size", "kv_heads", "feed_forward", "seq"),
    *("active_experts", "expert_feed_forward"),
)


@dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: keys and values through one narrow projection.

    Attributes:
        key_value_rank: width of what keys and values are computed from (``kv_lora_rank``).
        query_rank: the same of queries; 0 where they are computed from the residual stream
            (``q_lora_rank``).
        nope_size: of a query's or key's head, the part without positions (``qk_nope_head_dim``).
        rope_size: the part with rotary positions, which all heads' keys share
            (``qk_rope_head_dim``).
        value_size: size of a value's head (``v_head_dim``).

    Raises:
        ArgumentError: one of them is no whole number, or not positive.

    Source:
        DeepSeek-AI 2024, arXiv 2405.04434, section 2.1.
    """

    key_value_rank: int
    query_rank: int = 0
    nope_size: int = 128
    rope_size: int = 64
    value_size: int = 128

    def __post_init__(self) -> None:
        for name, example in (
            ("key_value_rank", 512),
            ("query_rank", 1536),
            ("nope_size", 128),
            ("rope_size", 64),
            ("value_size", 128),
        ):
            least = 0 if name == "query_rank" else 1
            remedy = f"Pass {name}={example}, as DeepSeek-V2 has it"
            found = whole(getattr(self, name), name, least=least, most=MOST, remedy=remedy)
            object.__setattr__(self, name, found)


def checked_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of a shape, checked, and with its default where it is None.

    Args:
        given: the fields by name, None where they are not given.

    Raises:
        ArgumentError: a field is not what it has to be, or does not fit another.
    """
    found = {**given, **_counts(given)}
    found["gated"] = flag(given["gated"], "gated")
    found["tied"] = flag(given["tied"], "tied")
    found["shared_gate"] = flag(given["shared_gate"], "shared_gate")
    choice(given["norm"], "norm", NORMS)
    if given["query_key_norm"] is not None:
        choice(given["query_key_norm"], "query_key_norm", QUERY_KEY_NORMS)
    found["biases"] = _biases(given["biases"])
    _fill_attention(found)
    _fill_feed_forward(found)
    _fill_experts(found)
    if found["seq"] is None:
        found["seq"] = default_seq(found["positions"])
    if found["positions"] and found["seq"] > found["positions"]:
        raise _unfit(
            "seq",
            found["seq"],
            f"exceeds the {found['positions']} positions that are learned",
            f"Pass seq={found['positions']}, or more positions",
        )
    return found


def default_seq(positions: int) -> int:
    """Tokens of a sequence where none are given: that of the FLOP counts, or all positions."""
    return min(SEQ, positions or SEQ)


def _counts(given: Mapping[str, Any]) -> dict[str, int]:
    """The fields that are whole numbers, where they are given."""
    return {
        name: whole(given[name], name, least=least, most=MOST, remedy=remedy)
        for name, (least, remedy) in COUNTS.items()
        if given[name] is not None or name not in FOLLOWING
    }


def _biases(value: Any) -> tuple[str, ...]:
    """Names of what has biases, in one order, each once."""
    remedy = f"Pass the names of what has biases, of {', '.join(BIASES)}, as biases=('qkv',)"
    found = names(value, "biases", remedy=remedy)
    for place, name in enumerate(found):
        choice(name, f"biases[{place}]", BIASES, remedy=remedy)
    return tuple(name for name in BIASES if name in found)


def _unfit(name: str, value: object, problem: str, remedy: str) -> ArgumentError:
    """The error of a field that does not fit another."""
    return ArgumentError(f"{name}={value!r} {problem}", argument=name, value=value, remedy=remedy)


def _fill_attention(found: dict[str, Any]) -> None:
    """Heads and their sizes."""
    width, latent = found["width"], found["latent"]
    if latent is not None:
        _fill_latent(found)
        return
    size = found["head_size"]
    if found["heads"] is None:
        if size is not None and width % size:
            raise _unfit(
                "head_size",
                size,
                f"does not divide the width, {width}, and no heads are given",
                f"Pass head_size={_near_divisor(width, size)}, or the heads too",
            )
        found["heads"] = width // size if size else _near_divisor(width, width / HEAD_SIZE)
    heads = found["heads"]
    if size is None:
        if width % heads:
            raise _unfit(
                "heads",
                heads,
                f"does not divide the width, {width}",
                f"Pass heads={_near_divisor(width, heads)}, or a head_size",
            )
        found["head_size"] = width // heads
    if found["kv_heads"] is None:
        found["kv_heads"] = heads
    kv_heads = found["kv_heads"]
    if heads % kv_heads:
        raise _unfit(
            "kv_heads",
            kv_heads,
            f"does not divide the {heads} query heads",
            f"Pass kv_heads={math.gcd(heads, kv_heads)}",
        )


def _fill_latent(found: dict[str, Any]) -> None:
    """The head size of latent attention, which states it itself."""
    latent = instance(
        found["latent"],
        "latent",
        LatentAttention,
        wanted="latent attention",
        remedy="Pass scalefit.shapes.LatentAttention(key_value_rank=512), or leave latent out",
    )
    if found["heads"] is None:
        raise refused(
            "heads",
            None,
            "the heads of latent attention, whose size says nothing of their number",
            "Pass the query heads of a block, as heads=16",
        )
    says = {
        "head_size": latent.nope_size + latent.rope_size,
        "kv_heads": found["heads"],
        "query_key_norm": None,
    }
    for name, value in says.items():
        if found[name] not in (None, value):
            raise _unfit(
                name, found[name], "is given beside latent, which says it", f"Leave {name} out"
            )
    found |= says
    if "qkv" in found["biases"]:
        raise _unfit(
            "biases",
            found["biases"],
            "names 'qkv', and latent attention has no such biases",
            f"Pass biases={tuple(name for name in found['biases'] if name != 'qkv')}",
        )


def _near_divisor(number: int, wanted: float) -> int:
    """The divisor of a number that is nearest to what is wanted."""
    low = [k for k in range(1, math.isqrt(number) + 1) if number % k == 0]
    return min([*low, *(number // k for k in low)], key=lambda k: abs(math.log(k / wanted)))


def _fill_feed_forward(found: dict[str, Any]) -> None:
    if found["feed_forward"] is None:
        width = found["width"]
        rounded = GATED_MULTIPLE * -(-8 * width // (3 * GATED_MULTIPLE))
        found["feed_forward"] = rounded if found["gated"] else 4 * width


def _fill_experts(found: dict[str, Any]) -> None:
    """Experts: all of their fields, or none."""
    experts, active = found["experts"], found["active_experts"]
    if found["shared_gate"] and not found["shared_experts"]:
        raise _unfit(
            "shared_gate",
            True,
            "is given without shared_experts",
            "Pass shared_gate=False, or the shared experts",
        )
    if not experts:
        for name in ("active_experts", "shared_experts", "expert_feed_forward", "dense_layers"):
            if found[name]:
                raise _unfit(
                    name,
                    found[name],
                    "is given without experts",
                    f"Pass experts={max(8, active or 0)} and active_experts={active or 2}, or "
                    f"leave {name} out",
                )
        if "router" in found["biases"]:
            raise _unfit(
                "biases",
                found["biases"],
                "names 'router', and there are no experts",
                f"Pass biases={tuple(name for name in found['biases'] if name != 'router')}",
            )
        found["active_experts"] = found["expert_feed_forward"] = 0
        return
    if not active or active > experts:
        raise refused(
            "active_experts",
            active,
            f"how many of the {experts} experts a token meets",
            f"Pass active_experts={min(2, experts)}",
        )
    if found["dense_layers"] >= found["layers"]:
        raise _unfit(
            "dense_layers",
            found["dense_layers"],
            f"leaves none of the {found['layers']} layers with experts",
            f"Pass dense_layers={found['layers'] - 1}, or fewer",
        )
    if not found["expert_feed_forward"]:
        found["expert_feed_forward"] = found["feed_forward"]
