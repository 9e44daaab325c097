"""What XLA compiles: the listeners of older versions of JAX cannot be taken away again."""

from contextlib import contextmanager

import jax

LISTS = []


@contextmanager
def compilations():
    """A list that gets the event of each program that XLA compiles within the block."""
    LISTS.append([])
    try:
        yield LISTS[-1]
    finally:
        LISTS.pop()


def _listen(event, *_, **__):
    if LISTS and "backend_compile" in event:
        LISTS[-1].append(event)


jax.monitoring.register_event_duration_secs_listener(_listen)
