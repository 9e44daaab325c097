"""Documents: a fit and all results of it as one page, one paper's section, one file."""

from scalefit.documents.result import Report as Report

__all__ = ["Report"]
