"""Batches over the devices of a mesh: the same numbers whatever the mesh."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import scalefit as sf
from scalefit.runtime import meshes

# Bootstraps of weights and of losses, a study, held-out folds, many tables and compiled scans, on
# some devices.
EVERYTHING = """
import json
import jax, numpy as np
jax.config.update("jax_disable_most_optimizations", True)
import scalefit as sf
from scalefit.fitting import engine, grid
from scalefit.fitting.prepared_fit import prepare_fit
from scalefit.fitting.tables import Tables

engine.CALLED_CELLS = 0  # Small grids are scanned by the program, too.
runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.01, seed=1)
fit = sf.fit(runs, certify=False)

DESIGNS = [sf.simulation.isoflop_design(points=points) for points in (3, 4, 5)]
TABLES = [sf.simulate(DESIGNS[i % 3], noise=0.01, seed=i) for i in range(9)]


def numbers(frame):
    return frame.select_dtypes("number").to_numpy()


def scans(mesh, law):
    posed = prepare_fit(sf.LossTable.from_frame(runs), sf.laws.find(law), fit.objective)
    losses = posed.data.response * np.exp(np.random.default_rng(0).normal(0, 0.01, (5, 30)))
    tables = Tables(fit.objective, posed.data, losses)
    axes = grid.axes(posed.problem, posed.settings, 32)
    at = engine.Engine(posed.problem, posed.settings, tables, axes, mesh)
    return np.concatenate([[*item.value, *item.cells.flat] for item in at.rank(np.arange(5), 4)])


def study(mesh):
    settings = {"points": [6], "noise": [0.01, 0.02]}
    options = {"methods": "surface", "residual": "log", "robust": "huber", "progress": False}
    # Of the bootstraps' objective, whose program is there.
    return numbers(sf.studies.simulation_study(settings, 16, devices=mesh, **options).table)


def everything(mesh):
    found = {"grids": scans(mesh, "chinchilla"), "scattered cells": scans(mesh, "kaplan")}
    for method in ("rows", "wild"):
        draws = sf.bootstrap(
            fit, runs, 70, method=method, global_search=0.2, devices=mesh, progress=False
        )
        found[method] = np.stack([*draws.params.values(), draws.replicates.objective_value])
    found["study"] = study(mesh)
    held = sf.holdout(runs, by="C", scheme="groups", intervals=False, devices=mesh)
    found["folds"] = numbers(held.to_frame())
    many = sf.fit_many(TABLES, devices=mesh, intervals=True, progress=False)
    found["many"] = numbers(many.to_frame(0.9)).astype(float)
    return found


devices = np.array(jax.devices())
# Each device compiles: eight of them one batch only.
one, *others = (everything(jax.sharding.Mesh(devices[:n], ("any",))) for n in (1, 2))
others.append({"study": study(jax.sharding.Mesh(devices, ("any",)))})
sizes = {name: int(np.isfinite(values).sum()) for name, values in one.items()}
same = {
    name: [one[name].tobytes() == it[name].tobytes() for it in others if name in it] for name in one
}
print(json.dumps([sizes, same]))
"""


@pytest.mark.slow
def test_numbers_are_the_same_to_the_bit_on_one_device_and_on_several():
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING],
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sizes, same = json.loads(done.stdout)
    assert min(sizes.values()) > 20, sizes
    batches = ("grids", "scattered cells", "rows", "wild", "study", "folds", "many")
    assert same == {name: [True] * (1 + (name == "study")) for name in batches}


RUNS = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.01, seed=1)

DOORS = {
    "fit_many": lambda devices: sf.fit_many([RUNS], devices=devices),
    "bootstrap": lambda devices: sf.bootstrap(sf.fit(RUNS), RUNS, 20, devices=devices),
    "holdout": lambda devices: sf.holdout(RUNS, devices=devices),
    "compare": lambda devices: sf.compare(RUNS, ["chinchilla", "kaplan"], devices=devices),
    "diagnose": lambda devices: sf.diagnose(sf.fit(RUNS), RUNS, devices=devices),
    "study": lambda devices: sf.studies.simulation_study({"points": 6}, 2, devices=devices),
    "estimate": lambda devices: sf.studies.estimate(
        RUNS[["N", "D"]], RUNS["loss"].to_numpy()[None], devices=devices
    ),
}


@pytest.mark.parametrize("devices", ["gpux", "cpu:99", 2, jax.devices()])
@pytest.mark.parametrize("door", DOORS)
def test_devices_that_are_none_are_refused_by_name(door, devices):
    with pytest.raises(sf.errors.ArgumentError, match="devices") as caught:
        DOORS[door](devices)
    assert caught.value.argument == "devices"


class Accelerator:
    """A device that is none here."""

    platform = "gpu"

    def __init__(self, limit):
        self.limit = limit

    def memory_stats(self):
        return None if self.limit is None else {"bytes_limit": self.limit}


class Mesh:
    """Such devices."""

    def __init__(self, *limits):
        self.devices = np.array([Accelerator(limit) for limit in limits])
        self.size = len(limits)


def test_a_block_takes_no_more_than_a_share_of_the_smallest_device():
    blocks = [
        meshes.lanes_of_block(mesh, 2**20, 10**6)
        for mesh in (Mesh(None), Mesh(2**40), Mesh(2**40, 2**30), Mesh(2**20))
    ]
    assert blocks == [1024, 1024, 128, 1]
    # Of few lanes a block is no larger than they are, on however many devices.
    assert meshes.lanes_of_block(Mesh(None, None), 1, 100) == 128
