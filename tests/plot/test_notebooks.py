"""Pictures in a notebook."""

import os
import subprocess
import sys

import pytest

DRAWN = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("from scalefit.plot.style import picture")
shell.run_cell("drawn = picture(lambda: __import__('matplotlib.pyplot').pyplot.figure())")
shell.run_cell("figure = drawn()")
import matplotlib
assert matplotlib.is_interactive()
"""


@pytest.mark.slow
def test_every_picture_of_a_notebook_is_shown_and_not_the_first_alone():
    pytest.importorskip("matplotlib_inline")
    done = subprocess.run(
        [sys.executable, "-c", DRAWN],
        env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
