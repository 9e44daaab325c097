"""The code of the page on IsoFLOP sweeps runs, and its numbers are those it states."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

PAGE = Path(__file__).parents[2] / "docs/isoflop.md"


def test_the_code_of_the_page_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(block, names)
    plt.close("all")
    assert names["best"].N.shape == (2,) and names["many"].n_law.exponent.shape == (100,)
    np.testing.assert_allclose(10 ** -names["shift"] - 1, -0.051, atol=5e-4)
    # The two spoiled runs are found by the surface.
    assert names["repaired"].removed.index.to_list() == [10, 11]
    np.testing.assert_allclose(names["repaired"].n_exponent, names["found"].n_exponent, atol=0.02)
