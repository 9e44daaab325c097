"""The shapes of transformers: their parameters and FLOPs."""

from scalefit.shapes.fields import LatentAttention
from scalefit.shapes.huggingface import MODEL_TYPES, from_config
from scalefit.shapes.transformer import SIZES, ParameterCounts, Part, Transformer

__all__ = [
    "MODEL_TYPES",
    "SIZES",
    "LatentAttention",
    "ParameterCounts",
    "Part",
    "Transformer",
    "from_config",
]
