"""Settings of JAX and numpy under which scalefit traces, compiles and runs.

The caller's own settings, of the process or of a scope, stay as they are. They can neither break a
call nor change a digit of its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from scalefit.errors import FitError
from scalefit.runtime.forks import orphaned

__all__ = ["on_device", "own_settings", "processor", "quiet"]


def quiet() -> np.errstate:
    """Numpy without warnings: code checks for NaN where it matters."""
    return np.errstate(all="ignore")


@contextmanager
def own_settings() -> Iterator[None]:
    """Double precision, and JAX's other settings as we need them, in the scope and thread only."""
    with (
        jax.enable_x64(True),
        # Without compilation, one operation at a time, compiled programs would take minutes.
        jax.disable_jit(False),
        # Ranks are numpy's to promote, since the same lines run under numpy; so are the types of
        # BlackJAX, and of a law that multiplies by jnp.float32(2).
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        # NaN is checked for where it matters.
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.debug_key_reuse(False),
        jax.check_tracer_leaks(False),
        jax.transfer_guard("allow"),
        jax.default_matmul_precision("highest"),
        # Which random numbers follow from a key.
        jax.threefry_partitionable(True),
    ):
        yield


@contextmanager
def on_device(device: jax.Device) -> Iterator[None]:
    """:func:`own_settings`, compiled for a device and run there.

    Raises:
        FitError: the process was forked from one where JAX was running.
    """
    _refuse_fork()
    with own_settings(), jax.default_device(device):
        yield


def processor() -> jax.Device:
    """Where compiled programs of the host run, whatever JAX's default is."""
    _refuse_fork()
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS may leave the processor out.
        return jax.local_devices()[0]


def _refuse_fork() -> None:
    """Raise where a compiled program would wait forever.

    Raises:
        FitError: the process was forked from one where JAX was running.
    """
    if orphaned():
        raise FitError(
            "this process was forked from one in which JAX was running, and has none of its "
            "threads: a compiled program would wait for them forever. Start processes afresh, as "
            'multiprocessing.get_context("spawn") and "forkserver" do. Single fits, bootstraps and '
            "allocations that compile nothing work here as well"
        )
