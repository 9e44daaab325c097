"""Where to compute: arrays come from the host and go back to it, whatever the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from scalefit.errors import FitError

__all__ = ["on_device"]


@contextmanager
def on_device(device: str | None) -> Iterator[None]:
    """Double precision on a device, within the scope and the calling thread only.

    Args:
        device: a platform (``"cpu"``, ``"gpu"``), one of its devices (``"gpu:1"``), or None for
            JAX's default.

    Raises:
        FitError: there is no such device here.
    """
    if device is None:
        with jax.enable_x64(True):
            yield
        return
    with jax.enable_x64(True), jax.default_device(_find(device)):
        yield


def _find(device: str) -> jax.Device:
    platform, colon, number = str(device).partition(":")
    try:
        # An empty platform is JAX's default one, and a negative number counts from the end.
        if not platform or (colon and not number.isdecimal()):
            raise ValueError(device)
        return jax.local_devices(backend=platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        here = ", ".join(f"{item.platform}:{item.id}" for item in jax.local_devices())
        raise FitError(
            f"there is no device {device!r} here. JAX sees {here}: use one of them, or install the "
            "JAX that supports yours (docs.jax.dev, Installation)"
        ) from error
