"""Scaling laws fitted globally, exactly and with evidence.

What is called most is here. The rest is in modules that say what they hold: ``laws``, ``datasets``,
``trackers``, ``results``, ``many``, ``inference``, ``allocation``, ``shapes``, ``approach2``,
``validation``, ``skills``, ``design``, ``simulation``, ``studies``, ``plot``, ``documents``,
``errors``.
"""

from scalefit import (
    allocation,
    approach2,
    datasets,
    design,
    documents,
    errors,
    inference,
    laws,
    many,
    plot,
    results,
    shapes,
    simulation,
    skills,
    studies,
    trackers,
    validation,
)
from scalefit.allocation.crossings import crossing
from scalefit.allocation.deadweight_compute import deadweight
from scalefit.allocation.inverse import inverse_predict
from scalefit.allocation.mixture_optimum import optimal_mixture
from scalefit.allocation.multiplier import compute_multiplier
from scalefit.allocation.near_optimality import near_optimal
from scalefit.allocation.optimal_columns import optimal_columns
from scalefit.allocation.optimum import allocate
from scalefit.approach2.comparison import bias
from scalefit.approach2.isoflop_fit import isoflop
from scalefit.data.table import LossTable, read
from scalefit.design.check import check
from scalefit.design.run_selection import next_runs
from scalefit.documents.api import report
from scalefit.errors import ScalefitError
from scalefit.fitting.api import fit
from scalefit.inference.bootstrap import bootstrap
from scalefit.inference.covariance import covariance
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.posterior import posterior
from scalefit.inference.profile_likelihood import profile
from scalefit.laws import Law, law
from scalefit.many.api import fit_many
from scalefit.notes import Note, NoteWarning
from scalefit.results.fit import Fit
from scalefit.results.literature import published
from scalefit.results.status import Status
from scalefit.simulation.tables import simulate
from scalefit.validation.compare_laws import compare
from scalefit.validation.compare_published import compare_published
from scalefit.validation.fit_diagnosis import diagnose
from scalefit.validation.hold_out import holdout
from scalefit.version import __version__ as __version__

__all__ = [
    "Ensemble",
    "Fit",
    "Law",
    "LossTable",
    "Note",
    "NoteWarning",
    "ScalefitError",
    "Status",
    "allocate",
    "allocation",
    "approach2",
    "bias",
    "bootstrap",
    "check",
    "compare",
    "compare_published",
    "compute_multiplier",
    "covariance",
    "crossing",
    "datasets",
    "deadweight",
    "design",
    "diagnose",
    "documents",
    "errors",
    "fit",
    "fit_many",
    "holdout",
    "inference",
    "inverse_predict",
    "isoflop",
    "law",
    "laws",
    "many",
    "near_optimal",
    "next_runs",
    "optimal_columns",
    "optimal_mixture",
    "plot",
    "posterior",
    "profile",
    "published",
    "read",
    "report",
    "results",
    "shapes",
    "simulate",
    "simulation",
    "skills",
    "studies",
    "trackers",
    "validation",
]


# Tab completion sorts by name: what is called shows only if the rest is left out. That is classes,
# which calls return, and modules whose functions are called from here.
_SELDOM_TYPED = {
    *("Ensemble", "Fit", "Law", "LossTable", "Note", "NoteWarning", "ScalefitError", "Status"),
    *("design", "documents", "inference", "many", "results", "validation"),
}


def __dir__() -> list[str]:
    return [*(name for name in __all__ if name not in _SELDOM_TYPED), "__doc__", "__version__"]
