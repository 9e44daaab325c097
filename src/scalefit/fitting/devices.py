"""Where to compute: arrays come from the host and go back to it, whatever the device."""

from __future__ import annotations

from typing import Any

import jax

from scalefit.arguments import shown, text
from scalefit.errors import ArgumentError

__all__ = ["chosen", "named"]

# Its attributes, made at run time, are not typed; they are read here and never set.
CONFIG: Any = jax.config


def chosen(device: str | None, single: bool) -> jax.Device | None:
    """The device whose compiled programs are to run, or None for numpy on the host.

    A single fit is milliseconds of work on the host, and seconds of compiling before that on any
    device: it goes to one only by name. Batches go where JAX would put them, if that is no
    processor.

    Args:
        device: a platform (``"cpu"``, ``"gpu"``), one of its devices (``"gpu:1"``), or None.
        single: whether the work is a single fit.

    Raises:
        ArgumentError: there is no such device here.
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


def _find(device: str) -> jax.Device:
    platform, colon, number = device.partition(":")
    try:
        # An empty platform is JAX's default one, and a negative number counts from the end.
        if not platform or (colon and not number.isdecimal()):
            raise ValueError(device)
        return jax.local_devices(backend=platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        here = ", ".join(f"{item.platform}:{item.id}" for item in jax.local_devices())
        raise ArgumentError(
            f"there is no device {shown(device)} here",
            argument="device",
            value=device,
            remedy=f"JAX sees {here}: use one of them, or install the JAX that supports yours "
            "(docs.jax.dev, Installation)",
        ) from error
