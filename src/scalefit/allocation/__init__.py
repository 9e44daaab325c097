"""Allocation: from a fitted law and a budget to model size and tokens."""

from scalefit.allocation.cost import COSTS as COSTS
from scalefit.allocation.cost import Cost as Cost
from scalefit.allocation.cost import cost as cost
from scalefit.allocation.cost import find_cost as find_cost
from scalefit.allocation.cost import product as product
from scalefit.allocation.optimum import Allocation as Allocation
from scalefit.allocation.optimum import allocate as allocate
from scalefit.allocation.optimum import optimal as optimal
