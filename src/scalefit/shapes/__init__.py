"""The shapes of transformers: their parameters and FLOPs, and shapes near an optimal size."""

from scalefit.shapes.columns import SHAPE_COLUMNS, fill
from scalefit.shapes.fields import LatentAttention
from scalefit.shapes.huggingface import MODEL_TYPES, from_config
from scalefit.shapes.nearest_shapes import NearestShapes, nearest
from scalefit.shapes.transformer import SIZES, ParameterCounts, Part, Transformer

__all__ = [
    "MODEL_TYPES",
    "SHAPE_COLUMNS",
    "SIZES",
    "LatentAttention",
    "NearestShapes",
    "ParameterCounts",
    "Part",
    "Transformer",
    "fill",
    "from_config",
    "nearest",
]
