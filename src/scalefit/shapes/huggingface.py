"""Shapes from Hugging Face configurations: a function for each model type that is known.

Fields that old configurations leave out have the default of the model type's class in
``transformers``. What a shape cannot describe is refused, so that no parameter is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalefit.arguments import answered, file_path, flag, mapping, refused, shown, whole
from scalefit.calls import checked_call
from scalefit.errors import ArgumentError, listed
from scalefit.frozen import Frozen
from scalefit.shapes.fields import MOST, LatentAttention
from scalefit.shapes.transformer import Transformer

__all__ = ["MODEL_TYPES", "from_config"]

CONFIG = (
    "Pass a dictionary, the path of a config.json or of its folder, or an object with to_dict()"
)
BY_HAND = (
    "state the shape by hand: scalefit.shapes.Transformer(width=4096, layers=32, vocab=32000), "
    "with what else it has"
)


class Config:
    """A configuration that remembers what it lacks.

    Args:
        fields: the configuration.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.missing: list[str] = []

    def count(self, *keys: str) -> int:
        """A whole number that a shape needs, under the first of its names that is there."""
        for key in keys:
            if self.fields.get(key) is not None:
                return self._whole(key)
        self.missing.append(" or ".join(keys))
        return 1

    def maybe(self, key: str, default: Any = None) -> Any:
        """A whole number that may be absent or null."""
        return default if self.fields.get(key) is None else self._whole(key)

    def _whole(self, key: str) -> int:
        name = f"config[{key!r}]"
        remedy = f"Correct {key} in the configuration"
        return whole(self.fields[key], name, least=0, most=MOST, remedy=remedy)

    def flag(self, key: str, default: bool) -> bool:
        """A truth value."""
        value = self.fields.get(key)
        remedy = f"Correct {key} in the configuration"
        return default if value is None else flag(value, f"config[{key!r}]", remedy=remedy)

    def only(self, key: str, wanted: Any) -> None:
        """Refuse a configuration whose field has another value than a shape can describe."""
        value = self.fields.get(key, wanted)
        if value is not None and (type(value) is not type(wanted) or value != wanted):
            raise ArgumentError(
                f"config[{key!r}] is {shown(value)}, and such a model is not described here",
                argument="config",
                value=value,
                remedy=f"Described is {key}={wanted!r}. Else {BY_HAND}",
            )

    def dense_layers(self, layers: int) -> int:
        """Layers without experts, of Qwen's configurations."""
        step = max(self.maybe("decoder_sparse_step", 1), 1)
        said = self.fields.get("mlp_only_layers")
        said = () if said is None else said
        remedy = "Correct mlp_only_layers in the configuration"
        if not isinstance(said, list | tuple):
            raise refused("config['mlp_only_layers']", said, "a list of layers", remedy)
        dense = {
            whole(item, f"config['mlp_only_layers'][{place}]", least=0, remedy=remedy)
            for place, item in enumerate(said)
        }
        routed = layers // step - sum(i < layers and (i + 1) % step == 0 for i in dense)
        return layers - routed


def _plain(config: Config) -> dict[str, Any]:
    """What most configurations say under the same names."""
    return {
        "width": config.count("hidden_size"),
        "layers": config.count("num_hidden_layers"),
        "heads": config.count("num_attention_heads"),
        "feed_forward": config.count("intermediate_size"),
        "vocab": config.count("vocab_size"),
        "kv_heads": config.maybe("num_key_value_heads"),
        "head_size": config.maybe("head_dim"),
        "tied": config.flag("tie_word_embeddings", False),
    }


def _attention_biases(config: Config) -> tuple[str, ...]:
    return ("qkv", "attention_output") if config.flag("attention_bias", False) else ()


EVERYWHERE = ("qkv", "attention_output", "feed_forward")


def _gpt(config: Config) -> dict[str, Any]:
    width = config.count("n_embd", "hidden_size")
    return {
        "width": width,
        "layers": config.count("n_layer", "num_hidden_layers"),
        "heads": config.count("n_head", "num_attention_heads"),
        "feed_forward": config.maybe("n_inner", 4 * width),
        "vocab": config.count("vocab_size"),
        "gated": False,
        "norm": "layer",
    }


def _gpt2(config: Config) -> dict[str, Any]:
    config.only("add_cross_attention", False)
    return {
        **_gpt(config),
        "positions": config.count("n_positions", "max_position_embeddings"),
        "tied": config.flag("tie_word_embeddings", True),
        "biases": EVERYWHERE,
    }


def _gptj(config: Config) -> dict[str, Any]:
    tied = config.flag("tie_word_embeddings", False)
    return {**_gpt(config), "norms": 1, "tied": tied, "biases": ("feed_forward", "head")}


def _gpt_neo(config: Config) -> dict[str, Any]:
    width = config.count("hidden_size")
    return {
        "width": width,
        "layers": config.count("num_layers", "num_hidden_layers"),
        "heads": config.count("num_heads", "num_attention_heads"),
        "feed_forward": config.maybe("intermediate_size", 4 * width),
        "vocab": config.count("vocab_size"),
        "positions": config.count("max_position_embeddings"),
        "gated": False,
        "tied": config.flag("tie_word_embeddings", True),
        "norm": "layer",
        "biases": ("attention_output", "feed_forward"),
    }


def _gpt_neox(config: Config) -> dict[str, Any]:
    biases = EVERYWHERE if config.flag("attention_bias", True) else ("feed_forward",)
    return {**_plain(config), "gated": False, "norm": "layer", "biases": biases}


def _opt(config: Config) -> dict[str, Any]:
    width = config.count("hidden_size")
    config.only("word_embed_proj_dim", width)
    config.only("do_layer_norm_before", True)
    config.only("_remove_final_layer_norm", False)
    return {
        "width": width,
        "layers": config.count("num_hidden_layers"),
        "heads": config.count("num_attention_heads"),
        "feed_forward": config.count("ffn_dim"),
        "vocab": config.count("vocab_size"),
        # Two more than it says: the padding's, and one that is never used.
        "positions": config.count("max_position_embeddings") + 2,
        "gated": False,
        "tied": config.flag("tie_word_embeddings", True),
        "norm": "layer" if config.flag("layer_norm_elementwise_affine", True) else "none",
        "biases": EVERYWHERE if config.flag("enable_bias", True) else (),
    }


def _phi(config: Config) -> dict[str, Any]:
    config.only("qk_layernorm", False)
    shape = {"gated": False, "norm": "layer", "norms": 1, "biases": (*EVERYWHERE, "head")}
    return {**_plain(config), **shape}


def _falcon(config: Config) -> dict[str, Any]:
    width = config.count("hidden_size")
    heads = config.count("num_attention_heads", "n_head")
    newer = config.flag("new_decoder_architecture", False)
    one_key = config.flag("multi_query", True)
    grouped = config.maybe("num_kv_heads", heads)
    norms = config.maybe("num_ln_in_parallel_attn", 2 if newer else 1)
    return {
        "width": width,
        "layers": config.count("num_hidden_layers", "n_layer"),
        "heads": heads,
        "kv_heads": grouped if newer else 1 if one_key else heads,
        "feed_forward": config.maybe("ffn_hidden_size", 4 * width),
        "vocab": config.count("vocab_size"),
        "gated": False,
        "tied": config.flag("tie_word_embeddings", True),
        "norm": "layer",
        "norms": norms if config.flag("parallel_attn", True) else 2,
        "biases": EVERYWHERE if config.flag("bias", False) else (),
    }


def _starcoder2(config: Config) -> dict[str, Any]:
    return {
        **_plain(config),
        "gated": False,
        "tied": config.flag("tie_word_embeddings", True),
        "norm": "layer",
        "biases": EVERYWHERE if config.flag("use_bias", True) else (),
    }


def _llama(config: Config) -> dict[str, Any]:
    more = ("feed_forward",) if config.flag("mlp_bias", False) else ()
    return {**_plain(config), "biases": (*_attention_biases(config), *more)}


def _smollm3(config: Config) -> dict[str, Any]:
    return {**_llama(config), "tied": config.flag("tie_word_embeddings", True)}


def _mixtral(config: Config) -> dict[str, Any]:
    return {
        **_plain(config),
        "experts": config.count("num_local_experts"),
        "active_experts": config.count("num_experts_per_tok"),
    }


def _gemma(config: Config) -> dict[str, Any]:
    return {
        **_plain(config),
        "head_size": config.count("head_dim"),
        "tied": config.flag("tie_word_embeddings", True),
        "biases": _attention_biases(config),
    }


def _gemma2(config: Config) -> dict[str, Any]:
    return {**_gemma(config), "norms": 4}


def _gemma3(config: Config) -> dict[str, Any]:
    return {**_gemma2(config), "query_key_norm": "head"}


def _qwen2(config: Config) -> dict[str, Any]:
    return {**_plain(config), "biases": ("qkv",)}


def _qwen3(config: Config) -> dict[str, Any]:
    size = config.maybe("head_dim", 128)
    biases = _attention_biases(config)
    return {**_plain(config), "head_size": size, "query_key_norm": "head", "biases": biases}


def _qwen_experts(config: Config, layers: int) -> dict[str, Any]:
    return {
        "experts": config.count("num_experts", "num_local_experts"),
        "active_experts": config.count("num_experts_per_tok"),
        "expert_feed_forward": config.count("moe_intermediate_size"),
        "dense_layers": config.dense_layers(layers),
    }


def _qwen2_moe(config: Config) -> dict[str, Any]:
    found = _plain(config)
    found |= _qwen_experts(config, found["layers"])
    shared = config.count("shared_expert_intermediate_size")
    each = max(found["expert_feed_forward"], 1)
    if not config.missing:
        # Described as so many experts of the routed ones' width.
        config.only("shared_expert_intermediate_size", each * max(round(shared / each), 1))
    biases = ("qkv",) if config.flag("qkv_bias", True) else ()
    return {**found, "shared_experts": shared // each, "shared_gate": True, "biases": biases}


def _qwen3_moe(config: Config) -> dict[str, Any]:
    # Its class has no head size, and its models state one.
    found = {**_plain(config), "query_key_norm": "head", "biases": _attention_biases(config)}
    return {**found, **_qwen_experts(config, found["layers"])}


def _olmo(config: Config) -> dict[str, Any]:
    return {**_plain(config), "norm": "none", "biases": _attention_biases(config)}


def _olmo2(config: Config) -> dict[str, Any]:
    return {**_plain(config), "query_key_norm": "all", "biases": _attention_biases(config)}


def _olmoe(config: Config) -> dict[str, Any]:
    return {
        **_olmo2(config),
        "experts": config.count("num_experts"),
        "active_experts": config.count("num_experts_per_tok"),
    }


def _deepseek(config: Config) -> dict[str, Any]:
    """DeepSeekMoE 16B, and DeepSeek LLM where there are no experts."""
    found = {**_plain(config), "biases": _attention_biases(config)}
    if config.fields.get("n_routed_experts") is None:
        return found
    layers, first = found["layers"], config.maybe("first_k_dense_replace", 0)
    every = max(config.maybe("moe_layer_freq", 1), 1)
    # Of those from the first on, every so many have experts, counted from layer 0.
    routed = max(-(-layers // every) - -(-first // every), 0)
    return {
        **found,
        "experts": config.count("n_routed_experts"),
        "active_experts": config.count("num_experts_per_tok"),
        "shared_experts": config.maybe("n_shared_experts", 0),
        "expert_feed_forward": config.count("moe_intermediate_size"),
        "dense_layers": layers - routed,
    }


def _deepseek_v2(config: Config) -> dict[str, Any]:
    config.only("attention_bias", False)
    config.only("mlp_bias", False)
    latent = LatentAttention(
        key_value_rank=config.count("kv_lora_rank"),
        query_rank=config.maybe("q_lora_rank", 0),
        nope_size=config.count("qk_nope_head_dim"),
        rope_size=config.count("qk_rope_head_dim"),
        value_size=config.count("v_head_dim"),
    )
    return {**_deepseek(config), "latent": latent, "head_size": None, "kv_heads": None}


def _deepseek_v3(config: Config) -> dict[str, Any]:
    return {**_deepseek_v2(config), "biases": ("router",)}


FAMILIES: Mapping[str, Callable[[Config], dict[str, Any]]] = Frozen(
    {
        "gpt2": _gpt2,
        "gpt_neo": _gpt_neo,
        "gptj": _gptj,
        "gpt_neox": _gpt_neox,
        "opt": _opt,
        "phi": _phi,
        "phi3": _plain,
        "falcon": _falcon,
        "starcoder2": _starcoder2,
        "llama": _llama,
        "smollm3": _smollm3,
        "granite": _llama,
        "mistral": _plain,
        "mixtral": _mixtral,
        "gemma": _gemma,
        "gemma2": _gemma2,
        "gemma3_text": _gemma3,
        "qwen2": _qwen2,
        "qwen2_moe": _qwen2_moe,
        "qwen3": _qwen3,
        "qwen3_moe": _qwen3_moe,
        "olmo": _olmo,
        "olmo2": _olmo2,
        "olmoe": _olmoe,
        "deepseek": _deepseek,
        "deepseek_v2": _deepseek_v2,
        "deepseek_v3": _deepseek_v3,
    }
)

MODEL_TYPES = tuple(FAMILIES)


@checked_call()
def from_config(config: Any, *, seq: int | None = None) -> Transformer:
    """The shape that a Hugging Face configuration describes.

    Every parameter of the language model is counted, with the vocabulary as it is padded there.
    Layers that only predict further tokens (``num_nextn_predict_layers``) are no part of it.

    Args:
        config: a dictionary, the path of a ``config.json`` or of the folder that it is in, or an
            object with ``to_dict()``, as the configurations of ``transformers``.
        seq: tokens of a training sequence. A configuration says how many a model can take, not how
            many it is trained on: 2,048 unless given.

    Raises:
        ArgumentError: it is none of these, the model type is not known, fields are missing (all
            are named), or one has a value that a shape does not describe.

    Source:
        The classes of ``transformers`` for each model type.

    Example:
        >>> config = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12,
        ...           "n_positions": 1024, "vocab_size": 50257}
        >>> f"{from_config(config).parameters.total:,}"
        '124,439,808'
    """
    fields = _fields(config)
    name = fields.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        inner = fields.get("text_config")
        hint = "pass its text_config, config['text_config'], or " if inner else ""
        raise ArgumentError(
            f"config['model_type']={shown(name)} is none of {', '.join(MODEL_TYPES)}",
            argument="config",
            value=name,
            remedy=f"Correct it, {hint}{BY_HAND}",
        )
    read = Config(fields)
    found = FAMILIES[name](read)
    if read.missing:
        raise ArgumentError(
            f"config of model type {name!r} lacks {listed(list(dict.fromkeys(read.missing)))}",
            argument="config",
            value=config,
            remedy=f"Add them to the configuration, or {BY_HAND}",
        )
    if seq is not None:
        found["seq"] = seq
    try:
        return Transformer(**found)
    except ArgumentError as error:
        if error.argument == "seq":
            raise
        raise ArgumentError(
            f"config of model type {name!r} describes no shape: {error}",
            argument="config",
            value=config,
            remedy="Correct the configuration",
        ) from error


def _fields(config: Any) -> Mapping[str, Any]:
    """The fields of a configuration, whatever holds them."""
    if isinstance(config, str | os.PathLike):
        return _from_file(file_path(config, "config", remedy=CONFIG))
    convert = getattr(config, "to_dict", None)
    if not isinstance(config, type) and callable(convert):
        config = answered(convert, "config", remedy=CONFIG)
    return mapping(config, "config", remedy=CONFIG)


def _from_file(path: Path) -> Mapping[str, Any]:
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise refused("config", os.fspath(path), "a file", CONFIG)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise refused("config", os.fspath(path), "a file of JSON", CONFIG) from error
    if not isinstance(found, dict):
        raise refused("config", os.fspath(path), "a file of one JSON object", CONFIG)
    return found
