"""Compiled programs: made ahead of time in threads of their own, kept in memory and on disk.

Compiling takes seconds and a fit takes milliseconds, so that a short process is nearly all
compilation. ``jax.jit`` compiles when a function is first called, one function after the other, and
cannot put the result away. Here a program can be begun before it is needed, and the executable
itself is kept (docs/adr/0007): a later process neither traces, lowers nor compiles.

Nothing reads or writes JAX's own persistent cache, whose state is one for the whole process. Where
the user has set that one up, it is used as for any other program, and ours is not.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
from jaxlib import xla_client
from jaxlib.version import __version__ as jaxlib_version

from scalefit.fitting.problem import Problem
from scalefit.fitting.store import Store
from scalefit.laws import BUILTIN

__all__ = ["Program", "compiled"]

Result = TypeVar("Result")

# Executables held by each program, the least recently used out first. Linux gives a process 65,530
# memory maps, an executable takes about 240 of them, and a compiler that finds none left crashes.
MOST_HELD = 24

# Its attributes, made at run time, are not typed; they are read here and never set.
CONFIG: Any = jax.config


def compiled(returns: type[Result]) -> Callable[[Callable[..., Result]], Program[Result]]:
    """Decorator that makes a :class:`Program` of a function of a problem and of arrays.

    Args:
        returns: the named tuple of arrays that the function returns.
    """
    return lambda function: Program(function, returns)


class Program(Generic[Result]):
    """A function of a problem and of arrays, compiled once for each problem and set of shapes.

    Everything is compiled in double precision, whatever scope the caller is in.
    """

    def __init__(self, function: Callable[..., Result], returns: type[Result]) -> None:
        self.function = function
        self.returns = returns
        self._held: OrderedDict[Any, Future[Callable[..., Result]]] = OrderedDict()
        self._made = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of executables made so far, those that are no longer held included."""
        return self._made

    def __call__(self, problem: Problem, *arrays: Any) -> Result:
        """The function's value, on the device."""
        executable = self._executable(problem, arrays).result()
        # An executable cannot run otherwise, even where somebody debugs without compilation.
        with jax.enable_x64(True), jax.disable_jit(False):
            return executable(*arrays)

    def begin(self, problem: Problem, *arrays: Any) -> None:
        """Have the executable for arrays of these shapes made meanwhile."""
        self._executable(problem, arrays)

    def _executable(
        self, problem: Problem, arrays: tuple[Any, ...]
    ) -> Future[Callable[..., Result]]:
        leaves, tree = jax.tree.flatten(arrays)
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        device = CONFIG.jax_default_device
        key = (problem, tree, shapes, device)
        with self._lock:
            made = self._held.get(key)
            if made is not None:
                self._held.move_to_end(key)
                return made
            made = self._held[key] = Future()
            self._made += 1
            if len(self._held) > MOST_HELD:
                self._held.popitem(last=False)
        outline: Any = jax.ShapeDtypeStruct
        blank = jax.tree.unflatten(tree, [outline(*shape) for shape in shapes])
        what = (problem, blank, device)
        threading.Thread(target=self._fulfil, args=(made, key, what), name="scalefit").start()
        return made

    def _fulfil(self, made: Future[Callable[..., Result]], key: Any, what: tuple[Any, ...]) -> None:
        """Make an executable, in a thread of its own.

        A new thread starts from JAX's process-wide configuration: no scope that the caller happens
        to be in (a mesh, a matmul precision, disabled compilation) enters the executable.
        """
        problem, arrays, device = what
        try:
            with jax.enable_x64(True), jax.disable_jit(False), jax.default_device(device):
                made.set_result(self._make(problem, arrays))
        except BaseException as error:  # handed to whoever waits; the next caller tries again
            with self._lock:
                self._held.pop(key, None)
                self._made -= 1
            made.set_exception(error)

    def _make(self, problem: Problem, arrays: Any) -> Callable[..., Result]:
        """The executable from the store, or a new one, left there for the next process."""
        # Arrays that go unused stay arguments: a stored executable takes every one.
        function = jax.jit(partial(self.function, problem), keep_unused=True)
        store = _store()
        if store is None:
            return function.lower(*arrays).compile()
        lowered = None
        if BUILTIN.get(problem.law.name) is problem.law:
            identity = repr(problem)
        else:
            # The function behind a user's law cannot be compared; what it lowers to can. Callbacks
            # are lowered to addresses of this process.
            lowered = function.lower(*arrays)
            identity = lowered.as_text()
            if "callback" in identity:
                return lowered.compile()
        parts = (_environment(), self.function.__qualname__, identity, jax.tree.flatten(arrays))
        key = hashlib.sha256(repr(parts).encode()).hexdigest()
        saved = store.get(key)
        if saved is not None:
            try:
                return self._loaded(saved, _device())
            except Exception:  # whatever XLA makes of bytes that it cannot use
                store.drop(key)
        made = (lowered or function.lower(*arrays)).compile()
        # Not every executable can be saved, nor do all versions of jaxlib do it like this.
        with suppress(Exception):
            executable: Any = made.runtime_executable()
            store.put(key, _device().client.serialize_executable(executable))
        return made

    def _loaded(self, saved: bytes, device: Any) -> Callable[..., Result]:
        """An executable from the bytes that XLA writes: machine code and its interface, no pickle.

        What ``jax.experimental.serialize_executable`` offers is the same wrapped in a pickle.
        """
        devices: Any = xla_client.DeviceList((device,))
        executable = device.client.deserialize_executable(saved, devices, None)

        def run(*arrays: Any) -> Result:
            placed = [
                leaf if isinstance(leaf, jax.Array) else jax.device_put(leaf, device)
                for leaf in jax.tree.leaves(arrays)
            ]
            results = executable.execute_sharded(placed)
            return self.returns(
                *(item[0] for item in results.disassemble_into_single_device_arrays())
            )

        return run


def _device() -> Any:
    """The device that new arrays are put on."""
    chosen = CONFIG.jax_default_device
    if chosen is None or isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return chosen


def _store() -> Store | None:
    """The store to use now, if any."""
    # The user's own cache, or their wish for none, comes first.
    if CONFIG.jax_compilation_cache_dir or not CONFIG.jax_enable_compilation_cache:
        return None
    # What tells two machines apart is known here for processors only.
    if _device().platform != "cpu" or not _sources():
        return None
    return Store.of_user()


def _environment() -> tuple[Any, ...]:
    """Everything but the problem that an executable depends on."""
    plain = (int, float, str, type(None))
    options = {name: value for name, value in CONFIG.values.items() if isinstance(value, plain)}
    return (
        _sources(),
        _processor(),
        sys.implementation.cache_tag,
        jax.__version__,
        jaxlib_version,
        str(_device()),
        os.environ.get("XLA_FLAGS", ""),
        sorted(options.items()),
    )


@cache
def _sources() -> str:
    """Digest of this package's code, empty where it cannot be read.

    Its version would do for a release, and not for a checkout.
    """
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    try:
        paths = sorted(root.rglob("*.py"))
        for path in paths:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest() if paths else ""


@cache
def _processor() -> tuple[str, ...]:
    """What machine code depends on: a home folder may be shared between unlike machines."""
    found = [platform.system(), platform.machine(), platform.processor()]
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                name = line.split(":")[0].strip()
                if name in ("model name", "flags", "Features", "CPU part"):
                    found.append(line)
                if not line.strip():  # the other cores say the same
                    break
    except OSError:  # elsewhere the three above have to do
        pass
    return tuple(found)
