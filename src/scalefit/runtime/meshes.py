"""A batch over the devices of a mesh.

A batch has an axis of lanes, each a computation of its own. Its lanes are split among the devices,
and every device runs the same program on a block of lanes of one size: what a lane gives does not
depend on how many devices there are, nor on the lanes beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from scalefit.runtime.progress import compiling
from scalefit.runtime.settings import on_device, quiet
from scalefit.runtime.threads import THREADS, in_threads

__all__ = ["callers", "is_host", "lanes_of_block", "mesh_of", "run_lanes"]

# Bytes of one block. On a processor it stays in cache. An accelerator is busy with so many, or with
# a share of its memory where that is less; larger blocks would leave devices of a mesh idle.
PROCESSOR_BYTES = 2**22
DEVICE_BYTES = 2**30
SHARE_OF_DEVICE = 1 / 8

# Programs that are kept, each for its static arguments.
KEPT = 64


def mesh_of(devices: Sequence[jax.Device]) -> Mesh:
    """The mesh of one axis of these devices."""
    return Mesh(np.array(devices), ("lanes",))


def is_host(mesh: Mesh) -> bool:
    """Whether its devices are processors, which share the memory and the cache of the host."""
    return bool(mesh.devices.flat[0].platform == "cpu")


def callers(mesh: Mesh) -> int:
    """Threads that call programs at once: on one processor that is what fills its cores."""
    return THREADS if is_host(mesh) and mesh.size == 1 else 1


def lanes_of_block(mesh: Mesh, each: int, count: int) -> int:
    """Lanes of a block on one device, the same on one device as on many.

    As many as fit into the bytes of a block, one at least; no more than there are, rounded up to a
    power of two, so that batches of like size share a program.

    Args:
        mesh: the devices.
        each: bytes that a lane takes.
        count: lanes of the batch.
    """
    most = min(map(_block_bytes, mesh.devices.flat))
    return min(max(1, most // each), 1 << (count - 1).bit_length())


def _block_bytes(device: jax.Device) -> int:
    if device.platform == "cpu":
        return PROCESSOR_BYTES
    # Devices that do not say have none of it.
    memory = (device.memory_stats() or {}).get("bytes_limit")
    return DEVICE_BYTES if memory is None else min(DEVICE_BYTES, int(memory * SHARE_OF_DEVICE))


def run_lanes(
    program: Callable[..., Any], mesh: Mesh, static: tuple[Hashable, ...], shared: Any, lanes: Any
) -> Any:
    """What a program makes of the lanes of a batch, in numpy arrays.

    Args:
        program: of the static arguments, what is shared, and a block of lanes; returns arrays whose
            first axis is that of the lanes.
        mesh: the devices.
        static: arguments that the program is compiled for.
        shared: arrays that every lane uses.
        lanes: arrays whose first axis is that of the lanes, as many as whole blocks on all devices.
    """
    devices = list(mesh.devices.flat)
    width = len(jax.tree.leaves(lanes)[0]) // len(devices)
    run = _compiled(program, static)

    def one(place: int) -> Any:
        own = slice(place * width, (place + 1) * width)
        mine = jax.tree.map(lambda leaf: leaf[own], lanes)
        with quiet(), on_device(devices[place]):
            with compiling(run, (shared, mine), "the fit"):
                found = run(shared, mine)
            return jax.device_get(found)

    if len(devices) == 1:
        return one(0)
    found = in_threads(one, range(len(devices)), len(devices))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


@lru_cache(maxsize=KEPT)
def _compiled(program: Callable[..., Any], static: tuple[Hashable, ...]) -> Callable[..., Any]:
    """The program of one device, which JAX compiles for each that it is called on.

    Not one for all of a mesh, as by ``jax.shard_map``: XLA simplifies a program for several devices
    before it optimises it, and digits differ from those of one device.
    """

    def block(shared: Any, lanes: Any) -> Any:
        return program(*static, shared, lanes)

    return jax.jit(block)
