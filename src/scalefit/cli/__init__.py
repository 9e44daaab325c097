"""The command line: ``scalefit COMMAND``.

It needs neither JAX nor pandas until a command runs: help, version and completion answer at once.
"""

from scalefit.cli.application import app as app
from scalefit.cli.application import main as main

__all__ = ["app", "main"]
