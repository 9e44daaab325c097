"""From a fitted law and a budget to model size and tokens: costs, hardware, closed forms, results.

``scalefit.allocate``, ``near_optimal``, ``deadweight``, ``compute_multiplier``,
``inverse_predict``, ``crossing``, ``optimal_columns`` and ``optimal_mixture`` use them.
"""

from scalefit.allocation.additive_optimum import (
    best_loss,
    best_size,
    deadweight_share,
    implied_inference_tokens,
    least_feasible_size,
    least_flops,
    overhead,
    wedge,
)
from scalefit.allocation.costs import COSTS, Cost, cost, counted, find_cost, measured, product
from scalefit.allocation.crossings import Crossing
from scalefit.allocation.deadweight_compute import Deadweight
from scalefit.allocation.hardware import HARDWARE, Hardware, Utilisation, usd_per_flop
from scalefit.allocation.inference_costs import (
    effective_inference_tokens,
    kinetics,
    kinetics_flops,
    lifetime,
    lifetime_optimum,
    lifetime_usd,
)
from scalefit.allocation.mixture_result import OptimalMixture
from scalefit.allocation.near_optimality import NearOptimal
from scalefit.allocation.optimal_columns import OptimalColumns
from scalefit.allocation.optimum_functions import OptimumFunction, optimum_function
from scalefit.allocation.result import Allocation

__all__ = [
    "COSTS",
    "HARDWARE",
    "Allocation",
    "Cost",
    "Crossing",
    "Deadweight",
    "Hardware",
    "NearOptimal",
    "OptimalColumns",
    "OptimalMixture",
    "OptimumFunction",
    "Utilisation",
    "best_loss",
    "best_size",
    "cost",
    "counted",
    "deadweight_share",
    "effective_inference_tokens",
    "find_cost",
    "implied_inference_tokens",
    "kinetics",
    "kinetics_flops",
    "least_feasible_size",
    "least_flops",
    "lifetime",
    "lifetime_optimum",
    "lifetime_usd",
    "measured",
    "optimum_function",
    "overhead",
    "product",
    "usd_per_flop",
    "wedge",
]
