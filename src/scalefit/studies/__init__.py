"""Many simulated tables, each fitted by several methods, against the truth they were drawn from."""

from scalefit.studies.estimates import METHODS as METHODS
from scalefit.studies.estimates import estimate as estimate
from scalefit.studies.study import Study as Study
from scalefit.studies.study import study as study
