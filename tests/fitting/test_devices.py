"""Where a fit is computed: the device that is asked for, with the same results."""

import json
import os
import subprocess
import sys

import jax
import pytest

import scalefit as sf
from scalefit.fitting.batch import refit
from scalefit.fitting.devices import on_device
from scalefit.fitting.search import _rank

CHILD = """
import json
import jax
import scalefit as sf
from scalefit.fitting import search

where = []

class Watched:
    def __init__(self, program):
        self.program = program
    def __call__(self, *args):
        found = self.program(*args)
        where.append(str(*found.value.devices()))
        return found

rank = search._rank
search._rank = Watched(rank)
runs = sf.simulate(sf.isoflop_design(), noise=0.005, seed=1)
found = []
for device in (None, "cpu:1", "cpu:0", None, "cpu:1"):
    fit = sf.fit(runs, "chinchilla_n", device=device)
    found.append({**fit.params, "value": fit.value})
devices = [str(item) for item in jax.local_devices()]
print(json.dumps({"found": found, "where": where, "made": len(rank), "devices": devices}))
"""


def two_devices(cache="off"):
    """What a process with two virtual processors found on each."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        timeout=200,
        env={
            **os.environ,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "SCALEFIT_CACHE": str(cache),
        },
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found):
    first, second = found["devices"]
    assert found["where"] == [first, second, first, first, second]
    assert all(item == found["found"][0] for item in found["found"])
    # One executable for each way of asking: the default, and each device by name.
    assert found["made"] == 3


@pytest.mark.slow
def test_a_device_by_name_gives_the_fit_of_the_default(runs):
    default = sf.fit(runs)
    made = len(_rank)
    for device in ("cpu", "cpu:0"):
        fit = sf.fit(runs, device=device)
        assert dict(fit.params) == dict(default.params)
        assert fit.value == default.value
        assert fit.trust == default.trust
    # Both names are of one device.
    assert len(_rank) == made + 1


@pytest.mark.slow
def test_replicates_take_a_device_too(pose, runs):
    posed = pose(runs, "chinchilla_n")
    losses = runs["loss"].to_numpy()[None]
    one, other = (
        refit(
            posed.problem,
            sf.Objective(),
            posed.settings,
            posed.data,
            observed=losses,
            device=device,
        )
        for device in (None, "cpu:0")
    )
    assert one.value == other.value
    assert one.coefficients.tolist() == other.coefficients.tolist()


@pytest.mark.parametrize(
    "device", ["gpux", "cpu:99", "cpu:x", "cpu:-1", "cpu:", "cpu:0:0", ":0", ""]
)
def test_an_unknown_device_is_refused_with_those_there_are(runs, device):
    with pytest.raises(sf.FitError, match=r"no device .* JAX sees cpu:0"):
        sf.fit(runs, "chinchilla_n", device=device)


@pytest.mark.skipif(
    any(item.platform != "cpu" for item in jax.local_devices()), reason="there is one here"
)
@pytest.mark.parametrize("device", ["gpu", "gpu:0", "tpu"])
def test_an_accelerator_that_is_not_there_is_refused(runs, device):
    with pytest.raises(sf.FitError, match=f"no device {device!r} here. JAX sees cpu:0: use"):
        sf.fit(runs, "chinchilla_n", device=device)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_scope_ends_with_the_fit(device):
    before = jax.config.jax_enable_x64, jax.config.jax_default_device
    with on_device(device):
        assert jax.config.jax_enable_x64
        assert jax.numpy.ones(2).dtype == "float64"
    assert (jax.config.jax_enable_x64, jax.config.jax_default_device) == before


@pytest.mark.slow
def test_two_devices_give_one_answer_each_with_its_own_executables():
    check(two_devices())


@pytest.mark.slow
def test_stored_executables_go_back_to_their_own_device(tmp_path):
    fresh, stored = two_devices(tmp_path), two_devices(tmp_path)
    check(fresh)
    check(stored)
    assert stored["found"] == fresh["found"]
