"""Pools of other libraries: the recipes of docs/pools.md, and what their workers bring back."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import joblib
import pytest

import scalefit as sf

PAGE = (Path(__file__).parents[1] / "docs/pools.md").read_text()
FIRST, *RECIPES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
NAMES = ["concurrent", "joblib", "dask", "ray"]

# What one process finds, which knows the law that it sent.
CHECK = """
if __name__ == "__main__":
    import numpy as np
    for law, (fit, draws) in zip(LAWS, found, strict=True):
        here, own = work(law)
        assert fit == here and fit.law is here.law
        assert all(np.array_equal(draws.params[name], own.params[name]) for name in fit.params)
    print("as one process finds it")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "recipe"), [*zip(NAMES, RECIPES, strict=True)], ids=NAMES)
def test_a_recipe_gives_what_one_process_finds(name, recipe, tmp_path):
    assert f"import {name}" in recipe or f"from {name}" in recipe
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    (tmp_path / "recipe.py").write_text("\n".join([FIRST, recipe, CHECK]))
    done = subprocess.run(
        [sys.executable, tmp_path / "recipe.py"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "as one process finds it" in done.stdout


def of_a_worker(seed):
    """The threads of a worker, and what it says of a seed."""
    import os

    import scalefit as sf
    from scalefit.runtime.threads import THREADS

    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.005)
    assert "OPENBLAS_NUM_THREADS" in os.environ
    return THREADS, sf.fit(runs, seed=seed).objective_value


# To be sent with its code: a worker cannot import the module of a test.
of_a_worker.__module__ = "__main__"


@pytest.mark.slow
def test_a_worker_keeps_to_its_threads_and_brings_its_error_whole(monkeypatch):
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.005)
    monkeypatch.setenv("SCALEFIT_THREADS", "3")
    with joblib.Parallel(n_jobs=2) as pool:
        found = pool(joblib.delayed(of_a_worker)(0) for _ in range(2))
        assert found == [(3, sf.fit(runs).objective_value)] * 2
        with pytest.raises(sf.errors.ArgumentError) as caught:
            pool([joblib.delayed(of_a_worker)("x")])
    assert (caught.value.argument, caught.value.value) == ("seed", "x")
