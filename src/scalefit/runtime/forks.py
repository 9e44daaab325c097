"""Whether this process was forked from one where JAX was running.

Such a process has that one's memory and none of its threads, so that whatever waits for a thread
waits forever. This module needs no JAX: it watches from the first import of scalefit on.
"""

from __future__ import annotations

import os
import sys

__all__ = ["orphaned"]

_orphaned = False


def orphaned() -> bool:
    """Whether compiled programs would wait forever here."""
    return _orphaned


def _remember_fork() -> None:
    global _orphaned
    if "jax" not in sys.modules:
        return
    bridge = sys.modules.get("jax._src.xla_bridge")
    # JAX has no public name for it. Should this one vanish, every forked process is an orphan.
    started = getattr(bridge, "backends_are_initialized", lambda: True)
    _orphaned = _orphaned or bool(started())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_fork)
