"""Fits in several threads at once: equal results, no standstill, and JAX as the user left it."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.multistart import refit
from scalefit.fitting.prepared_fit import prepare_fit
from scalefit.runtime import threads

RUNS = {
    seed: sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=seed) for seed in range(4)
}

# Tables and objectives, none like another.
WORK = [
    (0, {}),
    (1, {"robust": "none"}),
    (2, {"residual": "raw"}),
    (3, {"residual": "raw", "robust": "none"}),
    (0, {"residual": "relative", "delta": 1e-2}),
    (1, {"bounds": {"alpha": (0.5, 1.0)}}),
    (2, {"robust": "asymmetric", "asymmetry": 3.0}),
]


def fitted(work):
    seed, options = work
    fit = sf.fit(RUNS[seed], **options)
    return dict(fit.params), fit.objective_value, fit.diagnostics, fit.certificate, fit.notes


def test_threads_find_what_one_thread_finds():
    alone = [fitted(work) for work in WORK]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(fitted, WORK * 4))
    assert together == alone * 4


def fresh():
    """Laws that nothing has traced: a formula, one by numpy, one that sums over arrays."""

    def product(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, g: sf.laws.Exponent):
        """E + A (N D)^-g"""
        return E + A * (N * D) ** -g

    def of_tokens(D, *, E: sf.laws.Offset, B: sf.laws.Amplitude, beta: sf.laws.Exponent):
        """E + B D^-beta"""
        return E + B * np.exp(-beta * np.log(D))

    def stacked(N, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
        """E + A N^-alpha, by a product with the identity"""
        return E + A * jnp.stack([N**-alpha, N]).T @ jnp.array([1.0, 0.0])

    return [sf.law(source="new")(function) for function in (product, of_tokens, stacked)]


def test_threads_that_start_with_laws_at_once_find_what_one_finds():
    ready = threading.Barrier(6)

    def work(item):
        law, seed = item
        ready.wait()
        return sf.fit(RUNS[seed], law)

    # Two threads for each law, which change places as often as they can.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(work, [(law, seed) for law in fresh() for seed in (0, 1)]))
    finally:
        sys.setswitchinterval(before)
    alone = [sf.fit(RUNS[seed], law) for law in fresh() for seed in (0, 1)]
    for fit, other in zip(together, alone, strict=True):
        assert dict(fit.params) == dict(other.params)
        assert fit.diagnostics == other.diagnostics and fit.notes == other.notes


@pytest.mark.parametrize("given", ["0", "-2", "2.5", "many"])
def test_a_number_of_threads_that_is_none_is_refused_by_name(monkeypatch, given):
    monkeypatch.setenv("SCALEFIT_THREADS", given)
    with pytest.raises(sf.errors.ArgumentError, match="environment variable SCALEFIT_THREADS"):
        threads._threads()


def test_a_process_may_be_told_its_threads(monkeypatch):
    monkeypatch.setenv("SCALEFIT_THREADS", " 3 ")
    assert threads._threads() == 3
    monkeypatch.setenv("SCALEFIT_THREADS", "")
    monkeypatch.setattr(threads, "_cores", lambda: 100)
    assert threads._threads() == threads.MOST_THREADS


def test_an_error_in_one_thread_leaves_the_other_alone():
    def work(item):
        try:
            return fitted(item)
        except sf.errors.ArgumentError as error:
            return type(error)

    items = [(0, {}), (0, {"device": "nowhere"})] * 6
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, items))
    assert found[::2] == [fitted((0, {}))] * 6
    assert found[1::2] == [sf.errors.ArgumentError] * 6


def test_a_users_own_jax_in_another_thread_stays_in_its_precision():
    stop = threading.Event()
    seen = set()

    def own():
        while not stop.is_set():
            seen.add((str(jnp.ones(3).dtype), str(jax.jit(lambda x: x + 1.5)(1).dtype)))

    before = str(jnp.ones(3).dtype), str(jax.jit(lambda x: x + 1.5)(1).dtype)
    worker = threading.Thread(target=own)
    worker.start()
    try:
        for work in WORK:
            fitted(work)
    finally:
        stop.set()
        worker.join()
    assert seen == {before}


def test_fits_leave_the_configuration_as_it_was():
    before = dict(jax.config.values)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fitted, WORK))
    sf.fit(RUNS[0], device="cpu")
    assert dict(jax.config.values) == before


USERS = """
import json, threading
import jax
jax.config.update("jax_enable_x64", {x64})
jax.config.update("jax_default_device", jax.devices("cpu")[0])
jax.config.update("jax_compilation_cache_dir", {folder!r})
jax.config.update("jax_default_matmul_precision", "float32")
before = dict(jax.config.values)
import scalefit as sf
assert dict(jax.config.values) == before, "import"
runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=1)
found = []
def work(device):
    found.append(sf.fit(runs, "chinchilla_n", device=device).objective_value)
threads = [threading.Thread(target=work, args=(device,)) for device in (None, "cpu")]
for thread in threads: thread.start()
for thread in threads: thread.join()
work(None)
assert dict(jax.config.values) == before, "fit"
assert jax.numpy.ones(2).dtype == ("float64" if {x64} else "float32")
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("x64", [False, True])
def test_a_users_configuration_is_what_it_was(tmp_path, x64):
    done = subprocess.run(
        [sys.executable, "-c", USERS.format(x64=x64, folder=str(tmp_path))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)
    # The program of a device sums in another order.
    assert others == pytest.approx([first] * 2, rel=1e-13)
    assert first == sf.fit(RUNS[1], "chinchilla_n").objective_value


def everything(seed):
    """Each way through the engine: a grid, groups, scattered points, a proof, replicates."""
    runs, objective = RUNS[seed], sf.objective.Objective()
    split = runs.assign(kind=np.where(np.arange(len(runs)) % 2, "a", "b"))
    law = sf.laws.find("chinchilla")
    table = sf.LossTable.from_frame(runs)
    posed = prepare_fit(table, law, objective)
    weight = np.random.default_rng(seed).multinomial(75, np.full(75, 1 / 75), 8).astype(float)
    found = refit(posed.problem, objective, posed.settings, posed.data, weight=weight)
    proved = sf.fit(runs, residual="raw", certify=True)
    assert proved.certificate, proved.certificate.reason
    return [
        sf.fit(runs).objective_value,
        sf.fit(split, groups={"A": "kind"}).objective_value,
        sf.fit(runs, "kaplan").objective_value,
        proved.objective_value,
        proved.certificate.boxes,
        *found.value.tolist(),
    ]


# Of a standstill it prints the stacks, and ends the process, whose threads nothing else would.
@pytest.mark.slow
@pytest.mark.timeout(300, method="thread")
def test_the_whole_engine_in_two_threads_finds_what_it_finds_alone():
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(everything, (0, 1) * 3))
    assert together == [everything(0), everything(1)] * 3
