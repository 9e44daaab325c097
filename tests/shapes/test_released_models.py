"""Released models to the last parameter, from their configurations.

Counts are those of the files of weights: the total that Hugging Face reads off a model's
safetensors (``huggingface.co/api/models/NAME``), or what a model's own page or paper states. A
count that comes out to the last of ten or more digits checks the configuration too.
"""

import json

import pytest

import scalefit as sf
from scalefit.shapes import MODEL_TYPES, from_config

HF = "safetensors of"


def plain(kind, width, layers, heads, feed_forward, vocab, **more):
    """A configuration in the names that most model types share."""
    return {
        "model_type": kind,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "vocab_size": vocab,
        **more,
    }


def gpt(kind, width, layers, heads, vocab, **more):
    names = {"n_embd": width, "n_layer": layers, "n_head": heads, "vocab_size": vocab}
    return {"model_type": kind, **names, **more}


def keys(count, size=None):
    return {"num_key_value_heads": count} | ({"head_dim": size} if size else {})


def routed(experts, active, width, shared, dense):
    return {
        "n_routed_experts": experts,
        "num_experts_per_tok": active,
        "moe_intermediate_size": width,
        "n_shared_experts": shared,
        "first_k_dense_replace": dense,
    }


def latent(queries):
    sizes = {"qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
    return {"kv_lora_rank": 512, "q_lora_rank": queries, **sizes}


QWEN_MOE = {
    "num_experts": 60,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 1408,
    "shared_expert_intermediate_size": 5632,
}
QWEN3_MOE = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
FALCON = {"tie_word_embeddings": False, "multi_query": True, "parallel_attn": True, "bias": False}
TIED = {"tie_word_embeddings": True}

# Name, configuration, parameters, where that number is from.
MODELS = [
    ("GPT-2", gpt("gpt2", 768, 12, 12, 50257, n_positions=1024), 124_439_808, f"{HF} gpt2"),
    (
        *("GPT-2 XL", gpt("gpt2", 1600, 48, 25, 50257, n_positions=1024), 1_557_611_200),
        "keras-hub, preset gpt2_extra_large_en",
    ),
    (
        "GPT-Neo 1.3B",
        {
            **{"model_type": "gpt_neo", "hidden_size": 2048, "num_layers": 24, "num_heads": 16},
            **{"vocab_size": 50257, "max_position_embeddings": 2048},
        },
        1_315_575_808,
        "parameters of transformers' model, as hiq prints them",
    ),
    (
        *("GPT-J 6B", gpt("gptj", 4096, 28, 16, 50400, n_positions=2048), 6_050_882_784),
        "parameters of transformers' model of EleutherAI/gpt-j-6b",
    ),
    (
        *("GPT-NeoX 20B", plain("gpt_neox", 6144, 44, 64, 24576, 50432), 20_554_567_680),
        "model card of EleutherAI/gpt-neox-20b",
    ),
    (
        *("Pythia 160M", plain("gpt_neox", 768, 12, 12, 3072, 50304), 162_322_944),
        "model card of EleutherAI/pythia-160m: 85,056,000 and the embeddings",
    ),
    (
        *("Pythia 6.9B", plain("gpt_neox", 4096, 32, 32, 16384, 50432), 6_857_302_016),
        "model card of EleutherAI/pythia-6.9b: 6,444,163,072 and the embeddings",
    ),
    (
        "OPT 125M",
        {
            **{"model_type": "opt", "hidden_size": 768, "num_hidden_layers": 12},
            **{"num_attention_heads": 12, "ffn_dim": 3072, "vocab_size": 50272},
            **{"max_position_embeddings": 2048, "word_embed_proj_dim": 768},
        },
        125_239_296,
        "parameters of transformers' model of facebook/opt-125m",
    ),
    (
        *("Phi-1.5", plain("phi", 2048, 24, 32, 8192, 51200), 1_418_270_720),
        f"{HF} microsoft/phi-1_5",
    ),
    (
        *("Phi-2", plain("phi", 2560, 32, 32, 10240, 51200), 2_779_683_840),
        f"{HF} microsoft/phi-2",
    ),
    (
        *("Phi-3 mini", plain("phi3", 3072, 32, 32, 8192, 32064), 3_821_079_552),
        f"{HF} microsoft/Phi-3-mini-4k-instruct",
    ),
    # Their files hold the output layer beside the embedding.
    (
        *("Falcon 7B", plain("falcon", 4544, 32, 71, None, 65024, **FALCON), 7_217_189_760),
        f"{HF} tiiuae/falcon-7b",
    ),
    (
        "Falcon 180B",
        plain(
            *("falcon", 14848, 80, 232, None, 65024),
            **{**FALCON, "num_kv_heads": 8, "new_decoder_architecture": True},
        ),
        179_522_565_120,
        f"{HF} tiiuae/falcon-180B",
    ),
    (
        *("Llama 2 7B", plain("llama", 4096, 32, 32, 11008, 32000), 6_738_415_616),
        f"{HF} lmsys/vicuna-7b-v1.5, of the same shape",
    ),
    (
        *("Llama 2 70B", plain("llama", 8192, 80, 64, 28672, 32000, **keys(8)), 68_976_648_192),
        f"{HF} meta-llama/Llama-2-70b-hf, without 64 rotary frequencies in each of 80 layers",
    ),
    (
        *("Llama 3 8B", plain("llama", 4096, 32, 32, 14336, 128256, **keys(8)), 8_030_261_248),
        f"{HF} meta-llama/Llama-3.1-8B",
    ),
    (
        *("Llama 3.1 70B", plain("llama", 8192, 80, 64, 28672, 128256, **keys(8))),
        *(70_553_706_496, f"{HF} meta-llama/Llama-3.1-70B"),
    ),
    (
        *("Llama 3.1 405B", plain("llama", 16384, 126, 128, 53248, 128256, **keys(8))),
        *(405_853_388_800, f"{HF} meta-llama/Llama-3.1-405B"),
    ),
    (
        *("SmolLM3 3B", plain("smollm3", 2048, 36, 16, 11008, 128256, **keys(4)), 3_075_098_624),
        f"{HF} HuggingFaceTB/SmolLM3-3B-Base",
    ),
    (
        *("Granite 3.1 8B", plain("granite", 4096, 40, 32, 12800, 49155, **keys(8), **TIED)),
        *(8_170_848_256, f"{HF} ibm-granite/granite-3.1-8b-instruct"),
    ),
    (
        *("Mistral 7B", plain("mistral", 4096, 32, 32, 14336, 32000, **keys(8)), 7_241_732_096),
        f"{HF} mistralai/Mistral-7B-v0.1",
    ),
    (
        "Mixtral 8x7B",
        plain(
            *("mixtral", 4096, 32, 32, 14336, 32000),
            **keys(8),
            **{"num_local_experts": 8, "num_experts_per_tok": 2},
        ),
        46_702_792_704,
        f"{HF} NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO, of the same shape",
    ),
    (
        *("Gemma 2B", plain("gemma", 2048, 18, 8, 16384, 256000, **keys(1, 256)), 2_506_172_416),
        "keras-hub, preset gemma_2b_en",
    ),
    (
        *("Gemma 7B", plain("gemma", 3072, 28, 16, 24576, 256000, **keys(16, 256))),
        *(8_537_680_896, "keras-hub, preset gemma_7b_en"),
    ),
    (
        *("Gemma 2 2B", plain("gemma2", 2304, 26, 8, 9216, 256000, **keys(4, 256))),
        *(2_614_341_888, f"{HF} google/gemma-2-2b-it"),
    ),
    (
        *("Gemma 2 9B", plain("gemma2", 3584, 42, 16, 14336, 256000, **keys(8, 256))),
        *(9_241_705_984, f"{HF} google/gemma-2-9b"),
    ),
    (
        *("Gemma 3 1B", plain("gemma3_text", 1152, 26, 4, 6912, 262144, **keys(1, 256))),
        *(999_885_952, f"{HF} google/gemma-3-1b-it"),
    ),
    (
        *("Qwen2.5 0.5B", plain("qwen2", 896, 24, 14, 4864, 151936, **keys(2), **TIED)),
        *(494_032_768, f"{HF} Qwen/Qwen2.5-0.5B"),
    ),
    (
        *("Qwen2.5 7B", plain("qwen2", 3584, 28, 28, 18944, 152064, **keys(4)), 7_615_616_512),
        f"{HF} Qwen/Qwen2.5-7B",
    ),
    (
        *("Qwen1.5-MoE A2.7B", plain("qwen2_moe", 2048, 24, 16, 5632, 151936, **QWEN_MOE)),
        *(14_315_784_192, f"{HF} Qwen/Qwen1.5-MoE-A2.7B"),
    ),
    (
        *("Qwen3 8B", plain("qwen3", 4096, 36, 32, 12288, 151936, **keys(8, 128))),
        *(8_190_735_360, f"{HF} Qwen/Qwen3-8B"),
    ),
    (
        *(
            "Qwen3 30B-A3B",
            plain("qwen3_moe", 2048, 48, 32, 6144, 151936, **keys(4, 128), **QWEN3_MOE),
        ),
        *(30_532_122_624, f"{HF} Qwen/Qwen3-30B-A3B"),
    ),
    (
        *("OLMo 7B", plain("olmo", 4096, 32, 32, 11008, 50304), 6_888_095_744),
        "parameters of transformers' model of allenai/OLMo-7B-hf",
    ),
    (
        *("OLMo 2 7B", plain("olmo2", 4096, 32, 32, 11008, 100352), 7_298_617_344),
        f"{HF} allenai/OLMo-2-1124-7B",
    ),
    (
        "OLMoE 1B-7B",
        plain(
            *("olmoe", 2048, 16, 16, 1024, 50304), **{"num_experts": 64, "num_experts_per_tok": 8}
        ),
        6_919_161_856,
        f"{HF} allenai/OLMoE-1B-7B-0924",
    ),
    (
        *(
            "DeepSeekMoE 16B",
            plain("deepseek", 2048, 28, 16, 10944, 102400, **routed(64, 6, 1408, 2, 1)),
        ),
        *(16_375_728_128, f"{HF} deepseek-ai/deepseek-moe-16b-base"),
    ),
    (
        "DeepSeek-V2-Lite",
        plain(
            *("deepseek_v2", 2048, 27, 16, 10944, 102400),
            **routed(64, 6, 1408, 2, 1),
            **latent(None),
        ),
        15_706_484_224,
        f"{HF} deepseek-ai/DeepSeek-V2-Lite",
    ),
    (
        "DeepSeek-V2",
        plain(
            *("deepseek_v2", 5120, 60, 128, 12288, 102400),
            **routed(160, 6, 1536, 2, 1),
            **latent(1536),
        ),
        235_741_434_880,
        f"{HF} deepseek-ai/DeepSeek-V2",
    ),
    (
        "DeepSeek-V3",
        plain(
            *("deepseek_v3", 7168, 61, 128, 18432, 129280),
            **routed(256, 8, 2048, 1, 3),
            **latent(1536),
        ),
        671_026_419_200,
        "elements of the 61 layers of deepseek-ai/DeepSeek-V3, scales of its numbers left out",
    ),
]
CONFIGS = {name: config for name, config, *_ in MODELS}


@pytest.mark.parametrize(
    ("config", "parameters"), [pytest.param(row[1], row[2], id=row[0]) for row in MODELS]
)
def test_a_released_model_has_the_parameters_of_its_weights(config, parameters):
    assert from_config(config).parameters.total == parameters


def test_starcoder_has_its_weights_written_out():
    """Of whose file no count was at hand: the shapes of its tensors, one by one."""
    d, f, keys_and_values = 3072, 12288, 2 * 128
    block = 2 * 2 * d + (d * d + d) + 2 * (keys_and_values * d + keys_and_values)
    block += (d * d + d) + (f * d + f) + (d * f + d)
    config = plain("starcoder2", d, 30, 24, f, 49152, **keys(2))
    assert from_config(config).parameters.total == 49152 * d + 30 * block + 2 * d == 3_030_371_328


def test_every_model_type_is_checked():
    assert {config["model_type"] for config in CONFIGS.values()} | {"starcoder2"} == {*MODEL_TYPES}


@pytest.mark.parametrize(
    ("layers", "width", "parameters"),
    [
        (6, 512, 18_915_328),
        (12, 768, 85_056_000),
        (24, 1024, 302_311_424),
        (16, 2048, 805_736_448),
        (24, 2048, 1_208_602_624),
        (32, 2560, 2_517_652_480),
        (32, 4096, 6_444_163_072),
        (36, 5120, 11_327_027_200),
    ],
)
def test_pythia_has_the_parameters_without_embeddings_of_its_paper(layers, width, parameters):
    """Biderman et al. 2023, arXiv 2304.01373, table 1."""
    shape = from_config(plain("gpt_neox", width, layers, 8, 4 * width, 50304))
    assert shape.parameters.without_embeddings == parameters


@pytest.mark.parametrize(
    ("name", "active"),
    [
        # Counted by others, from the shapes of the weights.
        ("DeepSeekMoE 16B", 2_828_650_496),
        ("Qwen3 30B-A3B", 3_353_032_704),
        # Jiang et al. 2024, arXiv 2401.04088: 12.9B; DeepSeek-AI 2024, arXiv 2405.04434: 21B and
        # 2.4B without embeddings; 2412.19437: 37B; Muennighoff et al. 2024, 2409.02060: 1.3B.
        ("Mixtral 8x7B", 12.9e9),
        ("DeepSeek-V2", 21e9),
        ("DeepSeek-V3", 37e9),
        ("OLMoE 1B-7B", 1.3e9),
    ],
)
def test_a_token_meets_the_active_parameters(name, active):
    found = from_config(CONFIGS[name]).parameters.active
    assert found == active if isinstance(active, int) else abs(found / active - 1) < 0.025


def test_the_output_of_deepseek_is_left_out_of_what_its_paper_calls_active():
    found = from_config(CONFIGS["DeepSeek-V2-Lite"]).parameters
    assert 2.4e9 < found.active_matmul < 2.46e9


@pytest.mark.parametrize(
    ("name", "pattern", "dense"),
    [
        ("Qwen3 30B-A3B", {"decoder_sparse_step": 2, "mlp_only_layers": [0, 1, 5, 99]}, 24 + 2),
        ("Qwen3 30B-A3B", {"mlp_only_layers": [3]}, 1),
        ("DeepSeekMoE 16B", {"moe_layer_freq": 3, "first_k_dense_replace": 4}, 28 - 8),
        ("DeepSeekMoE 16B", {"first_k_dense_replace": 0}, 0),
    ],
)
def test_layers_without_experts_are_counted_by_their_pattern(name, pattern, dense):
    assert from_config({**CONFIGS[name], **pattern}).dense_layers == dense


def test_files_folders_and_objects_are_configurations(tmp_path):
    shape = from_config(CONFIGS["OLMoE 1B-7B"])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIGS["OLMoE 1B-7B"]))

    class Held:
        def to_dict(self):
            return CONFIGS["OLMoE 1B-7B"]

    for config in (file, str(file), tmp_path, Held()):
        assert from_config(config) == shape
    assert from_config(tmp_path, seq=4096).seq == 4096


def test_what_a_configuration_lacks_is_said_at_once():
    with pytest.raises(sf.errors.ArgumentError) as caught:
        from_config({"model_type": "mixtral", "hidden_size": 4096, "vocab_size": None})
    for name in (
        *("num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"),
        *("num_local_experts", "num_experts_per_tok"),
    ):
        assert name in str(caught.value)
    with pytest.raises(sf.errors.ArgumentError, match="lacks n_embd or hidden_size, "):
        from_config({"model_type": "gpt2"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "model_type'\\]=None is none of gpt2, .*Transformer\\("),
        ({"model_type": "mamba"}, "'mamba' is none of gpt2"),
        ({"model_type": "gemma3", "text_config": {"a": 1}}, "pass its text_config"),
        (
            {**CONFIGS["Llama 2 7B"], "hidden_size": "4096"},
            "config\\['hidden_size'\\]='4096' is not",
        ),
        ({**CONFIGS["Llama 2 7B"], "mlp_bias": 1}, "config\\['mlp_bias'\\]=1 is not True or False"),
        ({**CONFIGS["Llama 2 7B"], "num_key_value_heads": 3}, "describes no shape: kv_heads=3"),
        ({**CONFIGS["Phi-2"], "qk_layernorm": True}, "qk_layernorm'\\] is True"),
        ({**CONFIGS["OPT 125M"], "word_embed_proj_dim": 512}, "word_embed_proj_dim'\\] is 512"),
        ({**CONFIGS["GPT-2"], "add_cross_attention": True}, "add_cross_attention"),
        (
            {**CONFIGS["Qwen1.5-MoE A2.7B"], "shared_expert_intermediate_size": 5000},
            "Described is shared_expert_intermediate_size=5632",
        ),
        ({**CONFIGS["Qwen3 30B-A3B"], "mlp_only_layers": "01"}, "is not a list of layers"),
        (7, "config=7 is not a mapping"),
        (dict, "is not a mapping"),
        ("no/such/file.json", "is not a file"),
    ],
)
def test_what_no_shape_describes_is_refused(config, message):
    with pytest.raises(sf.errors.ArgumentError, match=message) as caught:
        from_config(config)
    assert caught.value.remedy


def test_files_of_something_else_are_refused(tmp_path):
    for text in ("{", "[1]", '"text"'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(sf.errors.ArgumentError, match="is not a file of"):
            from_config(tmp_path)


@pytest.mark.slow
def test_silent_configurations_have_the_defaults_of_transformers():
    """A configuration with what a shape needs alone is that of the class, with all it says."""
    known = pytest.importorskip("transformers").CONFIG_MAPPING
    needed = {key for config in CONFIGS.values() for key in config}
    optional = {"tie_word_embeddings", "num_key_value_heads", "bias", "parallel_attn"}
    for name in MODEL_TYPES:
        if name == "deepseek":  # Whose class comes with its weights.
            continue
        config = known[name](num_experts_per_tok=2) if "deepseek" in name else known[name]()
        said = config.to_dict()
        kept = {key: value for key, value in said.items() if key in needed - optional}
        if said.get("num_key_value_heads") != said.get("num_attention_heads"):
            kept["num_key_value_heads"] = said.get("num_key_value_heads")
        kept |= {"model_type": name, "ffn_dim": said.get("ffn_dim")}
        kept |= {key: said[key] for key in ("num_local_experts", "head_dim") if key in said}
        assert from_config(config) == from_config(said) == from_config(kept), name
