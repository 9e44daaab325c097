"""Public tables by name: registered with source, licence and hash, downloaded once, checked."""

from scalefit.datasets.loading import frame, info, list, load
from scalefit.datasets.registry import Dataset, DatasetTable, Original

__all__ = ["Dataset", "DatasetTable", "Original", "frame", "info", "list", "load"]
