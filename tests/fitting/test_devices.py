"""Where a fit is computed: the same iteration on the host and as a program for a device."""

from functools import partial

import jax
import numpy as np
import pytest
from jax import export

import scalefit as sf
from scalefit.fitting import device_polish, device_scan, engine, polish, tables
from scalefit.fitting.devices import chosen
from scalefit.fitting.grid import Candidates
from scalefit.fitting.multistart import refit
from scalefit.runtime import meshes
from scalefit.runtime.meshes import mesh_of
from scalefit.runtime.settings import on_device, processor

CASES = {
    "huber": ("chinchilla", {}),
    "squares": ("chinchilla", {"robust": "none"}),
    "raw": ("chinchilla", {"residual": "raw"}),
    "asymmetric": ("chinchilla", {"residual": "relative", "robust": "asymmetric"}),
    "absolute": ("chinchilla", {"robust": "l1"}),
    "fixed A": ("chinchilla", {"fixed": {"A": 400.0}}),
    "bounded A": ("chinchilla", {"bounds": {"A": (100.0, 380.0)}}),
    "tied": ("chinchilla", {"tied": [("alpha", "beta")]}),
    "grouped": ("chinchilla", {"groups": {"A": "format"}}),
    "one axis": ("chinchilla_n", {}),
    "scattered": ("kaplan", {"robust": "none"}),
}
FAST = ("huber",)


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c in FAST else pytest.mark.slow) for c in CASES]
)
def test_a_program_for_a_device_finds_what_the_host_finds(runs, case):
    law, options = CASES[case]
    labelled = runs.assign(format=np.array(list("abc"))[np.arange(len(runs)) % 3])
    host, device = (sf.fit(labelled, law, device=d, **options) for d in (None, "cpu"))
    assert device.objective_value == pytest.approx(host.objective_value, rel=1e-12)
    for name, value in host.params.items():
        assert device.params[name] == pytest.approx(value, rel=1e-8)
    assert device.status is host.status
    assert device.diagnostics.at_bound == host.diagnostics.at_bound
    assert device.diagnostics.basins == host.diagnostics.basins


@pytest.mark.slow
def test_an_optimised_program_finds_it_too(runs, optimised):
    test_a_program_for_a_device_finds_what_the_host_finds(runs, "huber")


@pytest.mark.slow
def test_replicates_take_a_device_too(pose, runs, monkeypatch):
    # Three at once: the last chunk is filled up.
    monkeypatch.setattr(meshes, "PROCESSOR_BYTES", 3 * 8 * 128 * device_polish.NUMBERS_PER_ROW)
    posed = pose(runs)
    weight = np.random.default_rng(2).multinomial(75, np.full(75, 1 / 75), 7).astype(float)
    one, other = (
        refit(
            posed.problem,
            sf.objective.Objective(),
            posed.settings,
            posed.data,
            weight=weight,
            points=16,
            devices=device,
        )
        for device in (None, "cpu")
    )
    np.testing.assert_allclose(other.value, one.value, rtol=1e-11)
    np.testing.assert_allclose(other.coordinates, one.coordinates, rtol=1e-8)
    np.testing.assert_array_equal(other.basins, one.basins)


@pytest.mark.slow
def test_a_device_keeps_the_limit_of_iterations(pose, runs):
    posed = pose(runs)
    given = tables.Tables(sf.objective.Objective(), posed.data)
    starts = posed.solve(np.log([[0.3, 4.0], [0.5, 0.2]]))
    for mesh in (None, mesh_of(jax.devices("cpu"))):
        polisher = polish.Polisher(posed.problem, posed.settings, given, mesh)
        found = polisher(np.zeros(2, dtype=int), starts, most=3)
        assert found.iterations.tolist() == [3, 3]


@pytest.mark.parametrize("options", [{}, {"groups": {"A": "format"}}], ids=["plain", "grouped"])
@pytest.mark.parametrize("absolute", [False, True])
def test_every_program_can_be_lowered_for_cuda(pose, runs, options, absolute):
    """Without one here; and it calls nothing that only a host has."""
    labelled = runs.assign(format=np.array(list("abc"))[np.arange(len(runs)) % 3])
    posed = pose(labelled, robust="l1" if absolute else "huber", **options)
    data, how = tables.padded(posed.data), posed.data.measure
    starts, k, q = 5, len(posed.problem.owners), len(posed.problem.nonlinear)
    arrays = tuple(np.ones((starts, 128)) for _ in range(3))
    numbers = (how.delta, how.asymmetry, how.factor)
    shared = (data, posed.settings, numbers, np.int64(100))
    state = device_polish._before(starts, k + q)
    lanes = (arrays, np.zeros((starts, q)), np.ones((starts, k)), state)
    static = (posed.problem, how.residual, absolute, True)
    programs = [
        (jax.jit(partial(device_polish.polished_block, *static)), (shared, lanes)),
        (
            jax.jit(partial(device_scan.scanned_block, posed.problem, True)),
            ((data, posed.settings, posed.axes(16)), arrays),
        ),
    ]
    with jax.enable_x64(True):
        for program, arguments in programs:
            exported = export.export(program, platforms=["cuda"])(*arguments)
            assert exported.platforms == ("cuda",)
            text = exported.mlir_module()
            assert "f64" in text
            # Custom calls are LAPACK's, or a host's: neither compiles everywhere.
            assert "custom_call" not in text


def test_a_single_fit_stays_on_the_host_unless_a_device_is_named():
    assert chosen(None, single=True) is None
    cpu = mesh_of(jax.devices("cpu")[:1])
    assert chosen("cpu", single=True) == chosen("cpu:0", single=False) == cpu
    default = chosen(None, single=False)
    (place,) = jax.numpy.zeros(()).devices()
    assert default == (None if place.platform == "cpu" else mesh_of([place]))


@pytest.mark.parametrize("device", ["gpux", "cpu:99", "cpu:x", "cpu:-1", "cpu:", "cpu:0:0", ":0"])
def test_an_unknown_device_is_refused_with_those_there_are(runs, device):
    with pytest.raises(sf.errors.ArgumentError, match=r"no device .* JAX sees cpu:0"):
        sf.fit(runs, "chinchilla_n", device=device)


@pytest.mark.skipif(
    any(item.platform != "cpu" for item in jax.local_devices()), reason="there is one here"
)
@pytest.mark.parametrize("device", ["gpu", "gpu:0", "tpu"])
def test_an_accelerator_that_is_not_there_is_refused(runs, device):
    with pytest.raises(
        sf.errors.ArgumentError, match=f"no device {device!r} here. JAX sees cpu:0: use"
    ):
        sf.fit(runs, "chinchilla_n", device=device)


def test_a_jax_without_a_processor_computes_where_it_can(monkeypatch):
    (here, *_), listed = jax.local_devices(), jax.local_devices

    def without(backend=None):
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return listed()

    monkeypatch.setattr(jax, "local_devices", without)
    assert processor() == here


def test_the_scope_ends_with_the_fit():
    before = jax.config.jax_enable_x64, jax.config.jax_default_device
    with on_device(jax.devices("cpu")[0]):
        assert jax.config.jax_enable_x64
        assert jax.numpy.ones(2).dtype == "float64"
    assert (jax.config.jax_enable_x64, jax.config.jax_default_device) == before


def test_a_large_grid_is_scanned_by_a_program_on_the_host_too(pose, runs, monkeypatch):
    run, places = device_scan.run_lanes, []

    def watched(program, mesh, *given):
        places.extend(mesh.devices.flat)
        return run(program, mesh, *given)

    monkeypatch.setattr(engine, "COMPILED_CELLS", 100)
    monkeypatch.setattr(device_scan, "run_lanes", watched)
    fit = sf.fit(runs, residual="raw", robust="none")
    # Also where JAX's own default is an accelerator: a single fit goes to one only by name.
    assert places == [jax.devices("cpu")[0]]
    monkeypatch.undo()
    same = sf.fit(runs, residual="raw", robust="none")
    assert fit.objective_value == pytest.approx(same.objective_value, rel=1e-13)
    assert fit.diagnostics.basins == same.diagnostics.basins


def test_starts_without_a_table_of_their_own_share_it(pose, runs):
    posed = pose(runs)
    found = posed.solve(np.log([[0.3, 0.3], [0.5, 0.2]]))
    assert isinstance(found, Candidates)
    end = posed.polish(found)
    np.testing.assert_allclose(end.value, end.value[0], rtol=1e-12)
