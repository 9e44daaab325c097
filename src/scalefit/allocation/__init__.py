"""Allocation: from a fitted law and a budget to model size and tokens."""

from scalefit.allocation.additive_optimum import best_loss as best_loss
from scalefit.allocation.additive_optimum import best_size as best_size
from scalefit.allocation.additive_optimum import deadweight_share as deadweight_share
from scalefit.allocation.additive_optimum import (
    implied_inference_tokens as implied_inference_tokens,
)
from scalefit.allocation.additive_optimum import least_feasible_size as least_feasible_size
from scalefit.allocation.additive_optimum import least_flops as least_flops
from scalefit.allocation.additive_optimum import overhead as overhead
from scalefit.allocation.additive_optimum import wedge as wedge
from scalefit.allocation.costs import COSTS as COSTS
from scalefit.allocation.costs import Cost as Cost
from scalefit.allocation.costs import cost as cost
from scalefit.allocation.costs import counted as counted
from scalefit.allocation.costs import find_cost as find_cost
from scalefit.allocation.costs import measured as measured
from scalefit.allocation.costs import product as product
from scalefit.allocation.deadweight_compute import Deadweight as Deadweight
from scalefit.allocation.deadweight_compute import deadweight as deadweight
from scalefit.allocation.hardware import HARDWARE as HARDWARE
from scalefit.allocation.hardware import Hardware as Hardware
from scalefit.allocation.hardware import Utilisation as Utilisation
from scalefit.allocation.hardware import usd_per_flop as usd_per_flop
from scalefit.allocation.inference_costs import (
    effective_inference_tokens as effective_inference_tokens,
)
from scalefit.allocation.inference_costs import kinetics as kinetics
from scalefit.allocation.inference_costs import kinetics_flops as kinetics_flops
from scalefit.allocation.inference_costs import lifetime as lifetime
from scalefit.allocation.inference_costs import lifetime_optimum as lifetime_optimum
from scalefit.allocation.inference_costs import lifetime_usd as lifetime_usd
from scalefit.allocation.multiplier import compute_multiplier as compute_multiplier
from scalefit.allocation.near_optimality import NearOptimal as NearOptimal
from scalefit.allocation.near_optimality import near_optimal as near_optimal
from scalefit.allocation.optimum import allocate as allocate
from scalefit.allocation.optimum import optimal as optimal
from scalefit.allocation.result import Allocation as Allocation
