"""Shapes of models: configurations, arguments and tables that describe none; names of datasets."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

import scalefit as sf
from campaign.calls import VALUES
from campaign.files import FOLDER, one_of
from campaign.inputs import NONSENSE, tamper
from campaign.judge import Outcome, tried, unmodified
from scalefit.shapes import MODEL_TYPES, SHAPE_COLUMNS, SIZES, LatentAttention, Transformer

# What some model type or other needs.
CONFIG: Mapping[str, Any] = {
    **{"hidden_size": 512, "n_embd": 512, "num_hidden_layers": 4, "n_layer": 4, "num_layers": 4},
    **{"num_attention_heads": 8, "n_head": 8, "num_heads": 8, "num_key_value_heads": 4},
    **{"intermediate_size": 1024, "ffn_dim": 2048, "vocab_size": 5000, "head_dim": 64},
    **{"max_position_embeddings": 2048, "n_positions": 2048, "tie_word_embeddings": False},
    **{"num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2},
    **{"moe_intermediate_size": 256, "shared_expert_intermediate_size": 512, "kv_lora_rank": 64},
    **{"qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "q_lora_rank": 96},
    **{"n_shared_experts": 1, "first_k_dense_replace": 1, "attention_bias": False},
}
SHAPE: Mapping[str, Any] = {
    **{"width": 512, "layers": 4, "vocab": 5000, "heads": 8, "kv_heads": 4, "feed_forward": 1024},
    **{"gated": True, "tied": False, "experts": 4, "active_experts": 2, "shared_experts": 1},
    **{"expert_feed_forward": 256, "dense_layers": 1, "positions": 0, "seq": 1024, "norm": "rms"},
    **{"norms": 2, "biases": ("qkv",), "query_key_norm": None, "latent": None, "head_size": 64},
    "shared_gate": False,
}
PLAUSIBLE: tuple[Any, ...] = (
    *(0, 1, 2, 3, 7, 64, 100, 128, 4096, 10**6, 10**9, 10**9 + 1, np.int64(8), 8.0, np.float64(64)),
    *(True, False, "rms", "layer", "none", "head", ("qkv", "router"), ["head"], None),
    LatentAttention(key_value_rank=16),
)


def shapes(seed: int) -> Outcome:
    """Shapes: counted exactly, and written as they are read; of nonsense, refused by name."""
    rng = np.random.default_rng([seed, 25])
    kinds = (from_config, from_config, transformer, transformer, fill, fill, named)
    return kinds[seed % len(kinds)](seed, rng)


def from_config(seed: int, rng: np.random.Generator) -> Outcome:
    """A configuration of Hugging Face, sound or changed; as a dict, an object or a file."""
    config: Any = {"model_type": str(rng.choice(MODEL_TYPES)), **CONFIG}
    sound = rng.random() < 0.2
    for _ in range(0 if sound else rng.integers(1, 4)):
        if rng.random() < 0.3:
            tamper(rng, config)
        elif rng.random() < 0.5:
            config[one_of(rng, *CONFIG)] = one_of(rng, *PLAUSIBLE)
        else:
            config[one_of(rng, "model_type", *CONFIG)] = VALUES[one_of(rng, *VALUES)]
    given, way = config, one_of(rng, "dict", "dict", "object", "file", "folder", "cut")
    if way in ("file", "folder", "cut"):
        try:
            text = json.dumps(config)
        except (TypeError, ValueError):
            text, way = json.dumps({**CONFIG, "model_type": "llama"}), "cut"
        text = text[: rng.integers(len(text))] if way == "cut" else text
        given = FOLDER() / "config.json"
        given.write_text(text)
        given = FOLDER() if way == "folder" else given
    elif way == "object":
        given = type("Config", (), {"to_dict": lambda _: config})()
    seq = one_of(rng, None, None, 1024, 0, -1, "x", 2.5)
    known = repr_of(config)
    outcome = tried(
        "shapes", seed, ("config", way), lambda: counted(sf.shapes.from_config(given, seq=seq))
    )
    if repr_of(config) != known:
        outcome.faults.append("the configuration was modified")
    honest = sound and config["model_type"] in ("llama", "mistral", "qwen3")
    if honest and seq in (None, 1024) and way != "cut" and outcome.refusal:
        outcome.faults.append(f"an honest configuration was refused: {outcome.refusal[:120]}")
    outcome.answer = None
    return outcome


def repr_of(value: Any) -> str:
    """A text to be compared, of whatever has one."""
    try:
        return repr(value)
    except Exception:  # Its own.
        return ""


def counted(shape: Transformer) -> Transformer:
    """A shape, with its counts checked: whole numbers, its parts, and the call that it is."""
    counts = {name: getattr(shape.parameters, name) for name in SIZES}
    if any(type(count) is not int or count < 0 for count in counts.values()):
        raise AssertionError(f"counts of {counts}")
    if counts["total"] != sum(part.parameters for part in shape.parts) or counts["total"] <= 0:
        raise AssertionError(f"{counts['total']} is not the sum of the parts")
    if counts["active"] > counts["total"] or counts["without_embeddings"] > counts["total"]:
        raise AssertionError(f"a part is more than the whole: {counts}")
    again = eval(repr(shape), {"Transformer": Transformer, "LatentAttention": LatentAttention})
    if again != shape:
        raise AssertionError(f"{shape!r} makes another")
    if not 0 < shape.flops_per_token() < float("inf"):
        raise AssertionError(f"FLOPs of {shape.flops_per_token()}")
    shape.summary(), shape._repr_html_()
    return shape


def transformer(seed: int, rng: np.random.Generator) -> Outcome:
    """A shape of fields of which some are others."""
    names = list(SHAPE)
    kept = [name for name in names if name in ("width", "layers", "vocab") or rng.random() < 0.4]
    given = {name: SHAPE[name] for name in kept}
    for _ in range(rng.integers(0, 4)):
        value = one_of(rng, *PLAUSIBLE) if rng.random() < 0.7 else VALUES[one_of(rng, *VALUES)]
        given[one_of(rng, *names)] = value
    if rng.random() < 0.1:
        given.pop(one_of(rng, *given))
    options: dict[str, Any] = {}
    if rng.random() < 0.3:
        options["convention"] = one_of(rng, "6N", "matmul_causal", "gemstones", *VALUES.values())
    if rng.random() < 0.3:
        options["size"] = one_of(rng, *SIZES, *VALUES.values())

    def call() -> Transformer:
        shape = counted(Transformer(**given))
        if options:
            shape.flops_per_token(**options)
        return shape

    lacking = {"width", "layers", "vocab"} - set(given)
    if lacking:
        # Python's own refusal.
        given = {**given, **dict.fromkeys(lacking)}
    outcome = tried("shapes", seed, ("transformer", *given), call)
    outcome.answer = None
    return outcome


def fill(seed: int, rng: np.random.Generator) -> Outcome:
    """A table of shapes, sound or not: the N of each row's shape, or refused."""
    rows = int(rng.integers(1, 8))
    columns: dict[str, list[Any]] = {}
    same: dict[str, Any] = {}
    for name in ("width", "layers", "vocab", "heads", "feed_forward", "tied", "seq"):
        way = rng.random()
        values = {
            "width": rng.integers(1, 40, rows) * 64,
            "layers": rng.integers(1, 30, rows),
            "vocab": rng.integers(1000, 90000, rows),
            "heads": rng.choice([1, 2, 4, 8, 16, 32, 64], rows),
            "feed_forward": rng.integers(1, 9000, rows),
            "tied": rng.random(rows) < 0.5,
            "seq": rng.integers(1, 9000, rows),
        }[name].tolist()
        if way < 0.6:
            alias = one_of(rng, *SHAPE_COLUMNS[name])
            columns[one_of(rng, alias, alias.upper(), alias.replace("_", " "))] = values
        elif way < 0.8 and name != "tied":
            columns[f"my {name}"] = values
            same[name] = f"my {name}"
        elif name in ("width", "layers", "vocab") or way < 0.9:
            same[name] = values[0]
    if rng.random() < 0.6:
        columns["tokens"] = rng.integers(10**6, 10**12, rows).astype(float).tolist()
    sound = {name: list(values) for name, values in columns.items()}
    frame: Any = pd.DataFrame(columns, index=range(rows)).astype(object)
    harm = rng.random() < 0.5
    for _ in range(rng.integers(1, 4) if harm and len(frame.columns) else 0):
        header = one_of(rng, *frame.columns)
        values = list(frame[header])
        values[rng.integers(rows)] = one_of(
            rng, *NONSENSE, *PLAUSIBLE, "1,024", "32k", np.nan, 10**19
        )
        frame[header] = pd.Series(values, dtype=object)
    if harm and rng.random() < 0.3:
        same[one_of(rng, *SHAPE, "x", "size", "tokens")] = VALUES[one_of(rng, *VALUES)]
    if not harm and rng.random() < 0.5:
        frame = one_of(
            rng, frame.infer_objects(), sound, pl.DataFrame(sound), frame.to_dict("records")
        )
    before = copy.deepcopy(frame) if isinstance(frame, pd.DataFrame) else None
    outcome = tried(
        "shapes",
        seed,
        ("fill", "changed" if harm else "", *same),
        lambda: sf.shapes.fill(frame, **same),
    )
    if before is not None:
        unmodified(outcome, before, frame)
    if outcome.answer is not None:
        outcome.faults += miscounted(outcome.answer, same)
    outcome.answer = None
    return outcome


def miscounted(found: pd.DataFrame, same: Mapping[str, Any]) -> list[str]:
    """Faults where a row's N is not that of its shape alone."""
    headers = {
        name: header
        for name, aliases in SHAPE_COLUMNS.items()
        for header in found.columns
        if name not in same and str(header).lower().replace(" ", "_") in aliases
    }
    headers |= {
        name: header
        for name, header in same.items()
        if isinstance(header, str) and name in SHAPE_COLUMNS and header in found
    }
    constant = {name: value for name, value in same.items() if name not in headers}
    constant = {name: value for name, value in constant.items() if name in SHAPE}
    for place in range(len(found)):
        cells = {name: found[header].iloc[place] for name, header in headers.items()}
        if any(isinstance(cell, str) for cell in cells.values()):
            # Text is read as it is in any table.
            continue
        fields = {
            name: bool(x) if name in ("tied", "gated") else int(x) for name, x in cells.items()
        }
        counts = Transformer(**fields, **constant).parameters
        if int(found["N"].iloc[place]) != counts.total and counts.total < 2**53:
            return [f"N of row {place} is {found['N'].iloc[place]}, of its shape {counts.total}"]
    return []


def named(seed: int, rng: np.random.Generator) -> Outcome:
    """Datasets by names that are none, and files of datasets that are others."""
    known = list(sf.datasets.list())
    name = one_of(rng, *known)
    function: Callable[..., Any] = one_of(
        rng, sf.datasets.load, sf.datasets.frame, sf.datasets.info
    )
    value = one_of(
        rng,
        name,
        name.upper(),
        f" {name}",
        name[:-1],
        f"../{name}",
        f"{name}.csv",
        "",
        *VALUES.values(),
    )
    options: dict[str, Any] = {}
    if function is sf.datasets.load and rng.random() < 0.5:
        options[one_of(rng, "keep", "missing", "loss_unit", "N", "x")] = VALUES[
            one_of(rng, *VALUES)
        ]
    folder = Path(mkdtemp(dir=FOLDER()))
    file = sf.datasets.info(name).file
    (folder / file).write_bytes(one_of(rng, b"", b"N,D,loss\n1,2,3\n", b"\0" * 100))
    before = {key: os.environ.get(key) for key in ("SCALEFIT_DATA", "SCALEFIT_BENCH")}
    # Every table that is no file there is one of no table: nothing is downloaded.
    for other in known:
        if sf.datasets.info(other).file != file:
            (folder / sf.datasets.info(other).file).write_bytes(b"x")
    os.environ |= dict.fromkeys(before, str(folder))
    try:
        outcome = tried(
            "shapes", seed, ("dataset", function.__name__), lambda: function(value, **options)
        )
    finally:
        for key, kept in before.items():
            os.environ.pop(key)
            os.environ |= {} if kept is None else {key: kept}
    if function is not sf.datasets.info and outcome.answer is not None:
        outcome.faults.append("a file that is not the registered one was read")
    if function is sf.datasets.info and outcome.refusal and value is name:
        outcome.faults.append("a known table was refused")
    outcome.answer = None
    return outcome
