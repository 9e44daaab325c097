"""The shapes of transformers: their parameters and FLOPs."""

from scalefit.shapes.columns import SHAPE_COLUMNS, fill
from scalefit.shapes.fields import LatentAttention
from scalefit.shapes.huggingface import MODEL_TYPES, from_config
from scalefit.shapes.transformer import SIZES, ParameterCounts, Part, Transformer

__all__ = [
    "MODEL_TYPES",
    "SHAPE_COLUMNS",
    "SIZES",
    "LatentAttention",
    "ParameterCounts",
    "Part",
    "Transformer",
    "fill",
    "from_config",
]
