"""Where to compute: arrays come from the host and go back to it, whatever the device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from scalefit.arguments import shown, text
from scalefit.errors import FitError

__all__ = ["THREADS", "chosen", "named", "on_device", "processor", "quiet"]

# Its attributes, made at run time, are not typed; they are read here and never set.
CONFIG: Any = jax.config

MOST_THREADS = 16


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Threads that share the work of a batch on the host.
THREADS = min(MOST_THREADS, _cores())


def chosen(device: str | None, single: bool) -> jax.Device | None:
    """The device whose compiled programs are to run, or None for numpy on the host.

    A single fit is milliseconds of work on the host, and seconds of compiling before that on any
    device: it goes to one only by name. Batches go where JAX would put them, if that is no
    processor.

    Args:
        device: a platform (``"cpu"``, ``"gpu"``), one of its devices (``"gpu:1"``), or None.
        single: whether the work is a single fit.

    Raises:
        FitError: there is no such device here.
    """
    if device is not None:
        return _find(device)
    if single:
        return None
    default: Any = CONFIG.jax_default_device
    if default is None or isinstance(default, str):
        default = jax.local_devices(backend=default)[0]
    return None if default.platform == "cpu" else default


def named(device: Any) -> str | None:
    """The name of a device, or None.

    Raises:
        ArgumentError: it is neither.
    """
    remedy = "Pass device='cpu', or leave it out"
    return None if device is None else text(device, "device", remedy=remedy)


def processor() -> jax.Device:
    """Where compiled programs of the host run, whatever JAX's default is."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS may leave the processor out.
        return jax.local_devices()[0]


def quiet() -> Any:
    """Numpy without warnings: what is not a number is looked for where it matters."""
    return np.errstate(all="ignore")


@contextmanager
def on_device(device: jax.Device) -> Iterator[None]:
    """Double precision on a device, within the scope and thread only."""
    # Nobody debugs without compilation here: one operation at a time, this would take minutes.
    with jax.enable_x64(True), jax.disable_jit(False), jax.default_device(device):
        yield


def _find(device: str) -> jax.Device:
    platform, colon, number = device.partition(":")
    try:
        # An empty platform is JAX's default one, and a negative number counts from the end.
        if not platform or (colon and not number.isdecimal()):
            raise ValueError(device)
        return jax.local_devices(backend=platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        here = ", ".join(f"{item.platform}:{item.id}" for item in jax.local_devices())
        raise FitError(
            f"there is no device {shown(device)} here. JAX sees {here}: use one of them, or "
            "install the JAX that supports yours (docs.jax.dev, Installation)"
        ) from error
