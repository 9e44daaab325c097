# %% [markdown]
# # From a model's shape to N and FLOPs, and back
# The FLOPs of a shape by several conventions, and the shapes that can be built near an optimum.

# %%

import pandas as pd

import scalefit as sf
from scalefit import shapes

# A shape, by hand or from a configuration of Hugging Face (a dictionary, a path, an object).
llama = shapes.from_config(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
    },
    seq=8192,
)
print(llama)
assert llama.parameters.total == 8_030_261_248

# A table of runs by their shapes: N, FLOPs per token and C are counted, all by one convention.
runs = pd.DataFrame(
    {
        "d_model": [512, 768, 1024],
        "n_layer": [8, 12, 24],
        "n_head": [8, 12, 16],
        "tokens": [2e9, 5e9, 9e9],
    }
)
print(shapes.fill(runs, convention="porian", size="matmul", vocab=50304, gated=False))

# Back: what to build for a budget, and what each choice costs in loss.
fit = sf.published("chinchilla", "besiroglu")
found = shapes.nearest(
    fit,
    1e21,
    vocab=32000,
    head_size=128,
    width_multiple=256,
    layers_multiple=2,
    queries_per_key=4,
    aspect=(60, 130),
)
print(found)
