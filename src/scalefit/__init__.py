"""Scaling laws fitted globally, exactly and with evidence."""

from importlib.metadata import version as _version

__version__ = _version("scalefit")

from scalefit import plot as plot
from scalefit.allocation import Allocation as Allocation
from scalefit.allocation import Cost as Cost
from scalefit.allocation import allocate as allocate
from scalefit.allocation import compute_multiplier as compute_multiplier
from scalefit.allocation import cost as cost
from scalefit.allocation import deadweight as deadweight
from scalefit.allocation import near_optimal as near_optimal
from scalefit.allocation import optimal as optimal
from scalefit.errors import AllocationError as AllocationError
from scalefit.errors import DataError as DataError
from scalefit.errors import FitError as FitError
from scalefit.errors import LawError as LawError
from scalefit.errors import Note as Note
from scalefit.errors import ScalefitError as ScalefitError
from scalefit.errors import Status as Status
from scalefit.fitting import fit as fit
from scalefit.isoflops import IsoFlop as IsoFlop
from scalefit.isoflops import advise as advise
from scalefit.isoflops import attribute as attribute
from scalefit.isoflops import design_bias as design_bias
from scalefit.isoflops import envelope as envelope
from scalefit.isoflops import isoflop as isoflop
from scalefit.isoflops import parabola_shift as parabola_shift
from scalefit.isoflops import quality as quality
from scalefit.isoflops.verdict import bias as bias
from scalefit.laws import Amplitude as Amplitude
from scalefit.laws import Bounds as Bounds
from scalefit.laws import By as By
from scalefit.laws import Coefficient as Coefficient
from scalefit.laws import Exponent as Exponent
from scalefit.laws import Fraction as Fraction
from scalefit.laws import Law as Law
from scalefit.laws import Offset as Offset
from scalefit.laws import law as law
from scalefit.laws import scale_of as scale_of
from scalefit.literature import published as published
from scalefit.objective import Objective as Objective
from scalefit.result import Fit as Fit
from scalefit.synthetic import SURFACES as SURFACES
from scalefit.synthetic import isoflop_design as isoflop_design
from scalefit.synthetic import simulate as simulate
from scalefit.table import LossTable as LossTable
from scalefit.table import read as read
from scalefit.uncertainty import Covariance as Covariance
from scalefit.uncertainty import Ensemble as Ensemble
from scalefit.uncertainty import Estimate as Estimate
from scalefit.uncertainty import Profile as Profile
from scalefit.uncertainty import bootstrap as bootstrap
from scalefit.uncertainty import covariance as covariance
from scalefit.uncertainty import posterior as posterior
from scalefit.uncertainty import profile as profile
