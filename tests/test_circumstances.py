"""The same numbers under every setting of JAX and numpy, in threads and forks, after interrupts.

Values are compared as hexadecimal: a digit that changes is a failure.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runtime import forks, threads
from scalefit.runtime import settings as scope

RUNS = sf.simulate(sf.simulation.isoflop_design(), noise=0.005)


@sf.law(source="jnp.float32 promotes, and erf_inv is no function of numpy's")
def promoting(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, alpha: sf.laws.Exponent
):
    """E + A N^-alpha + B D^-alpha"""
    one = jnp.float32(1.0) + jax.lax.erf_inv(0.0 * alpha)
    return E + A * N**-alpha + one * B * D**-alpha


@sf.law(source="a sum over no axis that a row could see")
def compiled_law(N, *, E: sf.laws.Offset, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
    """E + A N^-alpha, by a product with the identity"""
    return E + A * jnp.stack([N**-alpha, N]).T @ jnp.array([1.0, 0.0])


def digits(*numbers):
    return [float(number).hex() for number in np.concatenate([np.ravel(item) for item in numbers])]


def values():
    """Numbers of calls that trace, compile or iterate, each in its own way."""
    fit = sf.fit(RUNS)
    draws = sf.bootstrap(fit, RUNS, 8, progress=False)
    profiled = sf.profile(fit, RUNS, sf.allocation.optimum_function(fit, "N", flops=1e24))
    by_user = sf.profile(fit, RUNS, lambda p: p["A"] * jnp.exp(-p["alpha"]))
    other = sf.fit(RUNS, promoting)
    proved = sf.fit(RUNS, robust="none")
    return digits(
        [fit.objective_value, *fit.params.values()],
        draws.params["alpha"],
        [profiled.low, profiled.high, by_user.low, by_user.high],
        [other.objective_value, *other.params.values(), *other.predict(N=[1e9, 2e9], D=2e10)],
        [proved.objective_value, proved.certificate.gap, sf.allocate(draws, 1e24).N],
        draws.apply(lambda p: p["A"] * jnp.exp(-p["alpha"])).draws,
    )


def compiled_values():
    """Numbers of programs that take seconds to compile."""
    device = sf.fit(RUNS, device="cpu")
    draws = sf.posterior(sf.fit(RUNS), RUNS, n_draws=60, chains=2, seed=2**33 + 7)
    rows = sf.fit(RUNS, compiled_law)
    return digits(
        [device.objective_value, *device.params.values()],
        draws.params["alpha"],
        [rows.objective_value, *rows.params.values(), *rows.predict(N=[1e9, 2e9])],
    )


@pytest.fixture(scope="module")
def plain():
    return values()


SCOPES = {
    "double": lambda: jax.enable_x64(True),
    "no jit": jax.disable_jit,
    "nans": lambda: jax.debug_nans(True),
    "infs": lambda: jax.debug_infs(True),
    "bfloat16": lambda: jax.default_matmul_precision("bfloat16"),
    "leaks": jax.checking_leaks,
    "ranks": lambda: jax.numpy_rank_promotion("raise"),
    "types": lambda: jax.numpy_dtype_promotion("strict"),
    "transfers": lambda: jax.transfer_guard("disallow"),
    "keys": lambda: jax.debug_key_reuse(True),
    "other keys": lambda: jax.default_prng_impl("rbg"),
    "numpy raises": lambda: np.errstate(all="raise"),
}


@pytest.mark.parametrize("name", SCOPES)
def test_no_setting_of_a_scope_changes_a_digit(name, plain):
    with SCOPES[name]():
        assert values() == plain


def test_no_setting_is_changed(plain):
    before = dict(jax.config.values), np.geterr(), warnings.filters[:]
    values()
    assert (dict(jax.config.values), np.geterr(), warnings.filters[:]) == before


# Processes: settings that do not exclude each other, together


# Digits are those of programs that are compiled as here.
COMPILED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
PROCESSES = {
    "strict": {
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_TRANSFER_GUARD": "disallow",
        "JAX_DEBUG_INFS": "1",
        "JAX_DEBUG_NANS": "1",
        "JAX_CHECK_TRACER_LEAKS": "1",
        "PYTHONWARNINGS": "error",
        "JAX_PLATFORMS": "cpu",
    },
    "other numbers": {
        "JAX_ENABLE_X64": "1",
        "JAX_DISABLE_JIT": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX_RANDOM_SEED_OFFSET": "7",
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "PYTHONHASHSEED": "77",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    },
}

PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import test_circumstances as tests
print(json.dumps([tests.values(), tests.compiled_values()]))
"""


def in_process(settings, program=PROGRAM):
    found = subprocess.run(
        [sys.executable, "-c", program, json.dumps(sys.path)],
        env=os.environ | COMPILED | settings,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.slow
def test_no_setting_of_a_process_changes_a_digit(plain):
    everything = [plain, compiled_values()]
    for settings in PROCESSES.values():
        assert in_process(settings) == everything


# Threads


def test_what_threads_of_a_batch_find_is_in_order():
    assert threads.in_threads(lambda item: item**2, range(20), 3) == [i**2 for i in range(20)]


def test_an_error_of_one_item_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        threads.in_threads(lambda item: 1 / item, [1, 0], 2)


def wait_for_threads():
    end = time.monotonic() + 60
    while any(item.name.startswith("scalefit") for item in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_of_the_caller_stops_its_threads():
    begun, stopped = [], []

    def work(item):
        begun.append(item)
        try:
            while True:
                threads.checkpoint()
                time.sleep(0.001)
        finally:
            stopped.append(item)

    with pytest.raises(KeyboardInterrupt), interrupted(0.05):
        threads.in_threads(work, range(10), 2)
    wait_for_threads()
    # The two that ran have ended; no other has begun.
    assert sorted(stopped) == sorted(begun) and len(begun) <= 2


class interrupted:  # noqa: N801
    """An interrupt after some seconds, as Ctrl-C sends it."""

    def __init__(self, seconds):
        self.seconds, self.at = seconds, None

    def __enter__(self):
        self.before = signal.signal(signal.SIGALRM, self._raise)
        # Again and again: what is raised while Python collects garbage is dropped.
        signal.setitimer(signal.ITIMER_REAL, self.seconds, 0.5)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)

    def _raise(self, *_):
        self.at = time.monotonic() if self.at is None else self.at
        raise KeyboardInterrupt


def one_power(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, B: sf.laws.Amplitude, alpha: sf.laws.Exponent
):
    """E + A N^-alpha + B D^-alpha"""
    return E + A * N**-alpha + B * D**-alpha


MANY = pd.concat([RUNS] * 20, ignore_index=True)
LONG = {
    "bootstrap": lambda fit: sf.bootstrap(fit, RUNS, 20_000, progress=False),
    # Of as many runs as keep it busy for ten seconds.
    "proof": lambda _: sf.fit(
        MANY.assign(loss=MANY.loss * np.random.default_rng(0).lognormal(0, 0.7, len(MANY))),
        residual="raw",
        delta=0.01,
        certify=10**7,
    ),
    "study": lambda _: sf.studies.simulation_study({"noise": [0.01]}, seeds=2000, progress=False),
    # Of a law that is new each time: what was compiled before is kept.
    "program": lambda _: sf.fit(RUNS, sf.law(source="here")(one_power), device="cpu"),
}


# What is dropped while Python collects garbage, pytest warns of.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "program" else ()) for n in LONG]
)
def test_an_interrupt_is_heard_soon_and_leaves_nothing_behind(name, plain):
    fit = sf.fit(RUNS)
    for seconds in (0.1, 0.4):
        alarm = interrupted(seconds)
        with pytest.raises(KeyboardInterrupt), alarm:
            LONG[name](fit)
        # Milliseconds where nothing else runs.
        assert time.monotonic() - alarm.at < 5
    assert digits([fit.objective_value, *fit.params.values()]) == plain[:6]
    assert digits(sf.bootstrap(fit, RUNS, 8, progress=False).params["alpha"]) == plain[6:14]
    wait_for_threads()


# Forks


FORK = """
import json, os, sys, warnings
sys.path[:0] = json.loads(sys.argv[1])
import test_circumstances as tests
print(json.dumps(tests.by_forks()))
"""


def by_forks():
    """What children find: of a process that ran nothing of JAX's, and of one that did."""

    def child(work):
        read, write = os.pipe()
        with warnings.catch_warnings():
            # Of JAX: that threads and forks do not go together.
            warnings.simplefilter("ignore")
            number = os.fork()
        if not number:
            try:
                found = work()
            except sf.errors.FitError as error:
                found = str(error)
            os.write(write, json.dumps(found).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as file:
            found = file.read()
        os.waitpid(number, 0)
        return json.loads(found)

    def device():
        return digits(sf.fit(RUNS, device="cpu").objective_value)

    def posterior():
        return digits(sf.posterior(sf.fit(RUNS), RUNS, n_draws=4, chains=1).params["alpha"])

    def on_host():
        fit = sf.fit(RUNS)
        draws = sf.bootstrap(fit, RUNS, 8, progress=False)
        sf.allocate(draws, 1e24)
        return digits([fit.objective_value, *fit.params.values()], draws.params["alpha"])

    sf.fit(RUNS)
    early = child(on_host)
    jnp.ones(3) + 1
    late = [
        child(work) for work in (on_host, device, posterior, lambda: sf.fit(RUNS, compiled_law))
    ]
    return early, late


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.timeout(120)
def test_a_forked_process_works_or_says_why_it_cannot(plain):
    early, (host, *refused) = in_process({}, FORK)
    assert early == host == plain[:14]
    for said in refused:
        assert "this process was forked from one in which JAX was running" in said
        assert 'multiprocessing.get_context("spawn")' in said


def test_a_child_of_a_process_without_jax_is_no_orphan(monkeypatch):
    monkeypatch.setattr(forks, "_orphaned", False)
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    forks._remember_fork()
    scope.processor()
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: True)
    forks._remember_fork()
    with pytest.raises(sf.errors.FitError, match=r"forked .* \"spawn\"|forked"):
        scope.processor()
