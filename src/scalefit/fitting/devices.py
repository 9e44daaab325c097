"""Where to compute: arrays come from the host and go back to it, whatever the devices."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Mesh

from scalefit.arguments import shown, text
from scalefit.errors import ArgumentError
from scalefit.runtime.meshes import mesh_of

__all__ = ["Devices", "checked_devices", "chosen", "named"]

Devices = str | Mesh | None
"""Where a batch is computed: ``"all"`` devices of this process, a platform (``"gpu"``), one of its
devices (``"gpu:1"``), a mesh of JAX's, or None."""

# Its attributes, made at run time, are not typed; they are read here and never set.
CONFIG: Any = jax.config


def chosen(devices: Devices, single: bool) -> Mesh | None:
    """The devices whose compiled programs are to run, or None for numpy on the host.

    A single fit is milliseconds of work on the host, and seconds of compiling before that on any
    device: it goes to one only by name. Batches go where JAX would put them, if that is no
    processor.

    Args:
        devices: where to compute.
        single: whether the work is a single fit.

    Raises:
        ArgumentError: there is no such device here.
    """
    if isinstance(devices, Mesh):
        # Whatever its axes are: a batch has one.
        return mesh_of(list(devices.devices.flat))
    default: Any = CONFIG.jax_default_device
    if devices == "all":
        return mesh_of(jax.local_devices())
    if devices is not None:
        return mesh_of([_find(devices, "device" if single else "devices")])
    if single:
        return None
    if default is None or isinstance(default, str):
        default = jax.local_devices(backend=default)[0]
    return None if default.platform == "cpu" else mesh_of([default])


def checked_devices(devices: Any) -> Devices:
    """Where a batch is computed.

    Raises:
        ArgumentError: it is no name and no mesh, there is no such device here, or a mesh has
            devices of another process.
    """
    remedy = "Pass devices='all', 'gpu', a mesh of this process's devices, or leave it out"
    if devices is None:
        return None
    if not isinstance(devices, Mesh):
        name = text(devices, "devices", remedy=remedy)
        if name != "all":
            _find(name, "devices")
        return name
    other = [item for item in devices.devices.flat if item.process_index != jax.process_index()]
    if other:
        raise ArgumentError(
            f"devices is a mesh with {other[0]}, which belongs to another process",
            argument="devices",
            value=devices,
            remedy="Each process computes its own share: pass devices='all', which are its own",
        )
    return devices


def named(device: Any) -> str | None:
    """The name of a device, or None.

    Raises:
        ArgumentError: it is neither.
    """
    remedy = "Pass device='cpu', or leave it out"
    return None if device is None else text(device, "device", remedy=remedy)


def _find(device: str, argument: str) -> jax.Device:
    platform, colon, number = device.partition(":")
    try:
        # An empty platform is JAX's default one, and a negative number counts from the end.
        if not platform or (colon and not number.isdecimal()):
            raise ValueError(device)
        return jax.local_devices(backend=platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        here = [f"{item.platform}:{item.id}" for item in jax.local_devices()]
        raise ArgumentError(
            f"there is no device {shown(device)} here",
            argument=argument,
            value=device,
            remedy=f"JAX sees {', '.join(here)}: use one of them, as {argument}={here[0]!r}, or "
            "install the JAX that supports yours (docs.jax.dev, Installation)",
        ) from error
