"""The processes of a cluster, which JAX brings together, and what is said when one is lost."""

from __future__ import annotations

import mmap
import re
import signal
import struct
from typing import NamedTuple

import jax

from scalefit.data.files import first_line
from scalefit.errors import ArgumentError
from scalefit.jobs.config import Cluster

__all__ = ["Place", "Shared", "join", "leave", "loss"]

# Seconds that a process waits for the others to end: as long as they may take.
PATIENCE = 10**7

LOST = re.compile(
    r"stopped sending heartbeats\):\s+(?:\S*task:)?(\d+)|Task (?:\S*task:)?(\d+) heartbeat timeout"
)


class Place(NamedTuple):
    """A process among others: its number, and how many they are."""

    process: int = 0
    processes: int = 1

    def __str__(self) -> str:
        return f"process {self.process} of {self.processes}"


class Shared:
    """A place that a process tells the one that watches it; none before it has one."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def tell(self, place: Place) -> None:
        """Store a place."""
        self._memory[:] = struct.pack("ii", *place)

    def told(self) -> Place | None:
        """The place that was stored."""
        place = Place(*struct.unpack("ii", self._memory[:]))
        return place if place.processes else None


def join(cluster: Cluster) -> Place:
    """Wait until all processes are there.

    Raises:
        ArgumentError: it is not known who they are.
    """
    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.processes,
            cluster.process,
            # Named processes are what they are named, whatever else the environment says.
            cluster_detection_method=None if cluster.automatic else "deactivate",
            heartbeat_timeout_seconds=cluster.heartbeat,
            initialization_timeout=cluster.start,
            shutdown_timeout_seconds=PATIENCE,
        )
        # Devices of all processes are counted together: a process without work would be missed.
        jax.local_devices()
    except (RuntimeError, ValueError, TypeError) as error:
        raise ArgumentError(
            f"the processes cannot be brought together ({first_line(error).rstrip('.')})",
            argument="cluster",
            value=cluster,
            remedy="Give --coordinator HOST:PORT, a free port, --processes N and --process I "
            "in each, or --distributed under SLURM, Open MPI or Kubernetes",
        ) from error
    return Place(jax.process_index(), jax.process_count())


def leave() -> None:
    """Wait until all processes have done their share."""
    jax.distributed.shutdown()  # type: ignore[no-untyped-call]


def loss(place: Place | None, cluster: Cluster, number: int, said: str) -> str:
    """What ended a process, in a sentence.

    Args:
        place: of the process, if it got that far.
        cluster: as it was asked for.
        number: of the signal.
        said: what JAX said last.
    """
    found = LOST.search(said)
    if not re.search(r"coordination_service|client\.h", said):
        return f"{place or 'this process'} was ended by {signal.Signals(number).name}"
    if place is None:
        return (
            f"the processes did not come together within {cluster.start} s: is process 0 running, "
            f"and can its address {cluster.coordinator or ''} be reached from here?"
        )
    if found:
        return f"process {found[1] or found[2]} of {place.processes} was lost"
    # It may have gone because it lost another one.
    return f"process 0 of {place.processes}, which coordinates, has gone: see what it says"
