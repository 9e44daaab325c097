"""Which parameters of a law are linear, and which nonlinear ones each linear term depends on.

A law is separable when it can be written f = f0(theta) + sum_j c_j phi_j(theta). The linear
parameters c are found in two steps. Proposal: the second derivatives of f among them are exactly
zero (automatic differentiation returns structural zeros, not small numbers). Proof: at random c of
both signs f(c) = f(0) + J c to rounding. ``abs`` and ``maximum`` pass the proposal, being piecewise
linear, and fail the proof.

The same second derivatives show which nonlinear parameters each phi_j depends on, by which the
grid is factorised.

A law that branches on its columns may have another structure on another table. Its derivatives are
traced once, and the structure is proved again on every table, in about a millisecond.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import combinations_with_replacement
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.errors import DataError, LawError
from scalefit.frozen import Frozen
from scalefit.laws import BUILTIN
from scalefit.laws.base import Law
from scalefit.problem.probe import BEST, Probe, Range, within
from scalefit.runtime.settings import quiet
from scalefit.tracing.formula import law_error
from scalefit.tracing.operations import Bound, Compiled, Function, Program, trace
from scalefit.tracing.primitives import LOCK
from scalefit.tracing.source_lines import returns_of

__all__ = ["Structure", "structure", "unidentified_error"]

# Values and slopes below this are of ordinary size: their squares, and sums at a thousand times the
# coefficients, are finite as well. Slopes below its inverse are those of a term that underflows.
LARGEST = 1e100

# A true linear law satisfies superposition to a few units in the last place (1e-16 seen); abs and
# maximum miss it by about 2e-2. Anything between would do.
SUPERPOSITION_TOLERANCE = 1e-10
# Numbers this small have lost their digits.
UNDERFLOW = 1e-300

# Columns of the Jacobian closer to proportional than this at random parameters stay so everywhere:
# rounding alone leaves 1e-15 or so.
PROPORTIONAL_TOLERANCE = 1e-12

# Tables whose structure is remembered, for each law.
REMEMBERED = 64


@dataclass(frozen=True)
class Structure:
    """The separable form of a law.

    Attributes:
        linear: names of the linear parameters, in the law's order.
        nonlinear: names of the others, in the law's order.
        depends_on: for each linear parameter, the nonlinear ones its term depends on.
        constant: the linear parameter whose term is one in every row, if any.
        remainder: the nonlinear parameters that f0, the part without linear parameters, depends
            on; None when f0 is identically zero.
        uses: for each parameter, in the law's order, the data columns that its effect depends on.
    """

    linear: tuple[str, ...]
    nonlinear: tuple[str, ...]
    depends_on: tuple[tuple[str, ...], ...]
    constant: str | None
    remainder: tuple[str, ...] | None
    uses: tuple[tuple[str, ...], ...]


def structure(
    law: Law,
    columns: Mapping[str, np.ndarray],
    bounds: Mapping[str, tuple[float, float]] = Frozen({}),
) -> Structure:
    """Separable structure of a law, detected and proved on rows of a table.

    Detected once for a law and a table; equal structures of a law are one object.

    Args:
        law: the law.
        columns: the law's data columns by name, each of shape (rows,), raw units.
        bounds: of the call, by parameter: where the law is examined if it is not finite at enough
            values within its own.

    Raises:
        LawError: two parameters cannot be told apart in any table (as A and B in A * B * N^-a),
            or the law is not finite at ordinary parameter values.
        DataError: a parameter of a built-in law changes nothing on this table.
    """
    ranges = [(*param.bounds(columns), param.kind.spacing) for param in law.params]
    given = [bounds.get(name) for name in law.names]
    narrowed = [within(*item) for item in zip(ranges, given, strict=True)]
    key = _key([*ranges, *narrowed], [columns[name] for name in law.columns])
    known = _FOUND.setdefault(law, OrderedDict())
    found = known.get(key)
    if found is None:
        found = _detect(law, Probe(law, columns, ranges, narrowed))
        # Threads may detect the same at once.
        with LOCK:
            found = next((item for item in known.values() if item == found), found)
            known[key] = found
            if len(known) > REMEMBERED:
                known.popitem(last=False)
    return found


# By law, and by everything that detection looks at.
_FOUND: WeakKeyDictionary[Law, OrderedDict[bytes, Structure]] = WeakKeyDictionary()


def _key(ranges: Sequence[Range], columns: Sequence[np.ndarray]) -> bytes:
    """A digest of the parameters' bounds and of the rows: all that detection depends on."""
    digest = blake2b(repr(ranges).encode(), digest_size=16)
    for values in columns:
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.digest()


def _detect(law: Law, probe: Probe) -> Structure:
    derivatives = _DERIVATIVES.get(law)
    if derivatives is None:
        derivatives = _DERIVATIVES[law] = _traced(law)
    if not isinstance(law.traced, Program):
        # Refused where rows depend on each other.
        law.evaluate(probe.columns, dict(zip(law.names, probe.points[0], strict=True)))
    with quiet():
        here = derivatives.at(probe.columns)
        coupled, gradient = _examined(law, probe, here)
        _refuse_unidentified(law, gradient)
        suspects = _proportional(gradient)
        if suspects.any():
            scattered = derivatives.at(probe.scattered()).gradient(probe.points)
            _refuse_proportional(law, suspects & _proportional(scattered))
        uses = []
        for name in law.columns:
            moved = derivatives.at({**probe.columns, name: 0.9 * probe.columns[name]})
            changed = moved.gradient(probe.points) != gradient
            uses.append(changed.any(axis=(0, 1)))
        linear = _prove(here, probe, _propose(coupled))
        origin = probe.points.copy()
        origin[:, linear] = 0.0
        value, gradient = here.value(origin), here.gradient(origin)
    return _describe(law, linear, coupled, np.stack(uses, axis=1), value, gradient)


def _examined(law: Law, probe: Probe, here: _At) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs of parameters couple, and first derivatives, at points where they can be seen."""
    gradient = here.gradient(probe.points)
    finite, coupled = here.bends(probe.points)
    ordinary = (here.merit(probe.points) == BEST).all() and not _proportional(gradient).any()
    if not (finite and ordinary):
        # Before anything is refused or concluded from a term that vanished, elsewhere as well.
        if probe.settle(here.merit, here.smooth):
            return here.bends(probe.points)[1], here.gradient(probe.points)
        if not (finite and np.isfinite(here.value(probe.points)).all()):
            raise _not_finite(law, probe, here)
    return coupled, gradient


class _Derivatives(NamedTuple):
    """A law, its gradient and its Hessian (pairs a <= b) in all parameters, as programs.

    They take the columns, then the parameters. Derivatives also take a one, the tangent that they
    start from. As a constant it would let the program simplify what is not finite away, such as the
    infinite slope of sqrt(k - k) times 1 - 1.
    """

    value: Function
    gradient: Function
    hessian: Function
    size: int

    def at(self, columns: Mapping[str, np.ndarray]) -> _At:
        """The same on the columns of a table."""
        return _At(self, list(columns.values()))


class _At:
    """Derivatives of a law on given columns, at many parameter values (points, p) at once."""

    def __init__(self, derivatives: _Derivatives, columns: Sequence[np.ndarray]) -> None:
        self._of = derivatives
        self._columns = columns
        self._rows = len(columns[0])

    @cached_property
    def _value(self) -> Bound:
        return self._of.value.bind(*self._columns)

    def _inputs(self, points: np.ndarray) -> list[np.ndarray]:
        return [*points.T[:, :, None], np.ones((1, 1))]

    def value(self, points: np.ndarray) -> np.ndarray:
        """Values, shape (points, rows)."""
        (found,) = self._value(*self._inputs(points)[:-1])
        return np.broadcast_to(found, (len(points), self._rows))

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """First derivatives, shape (points, rows, p)."""
        found = self._of.gradient.bind(*self._columns)(*self._inputs(points))
        shape = len(points), self._rows
        return np.stack([np.broadcast_to(item, shape) for item in found], axis=-1)

    def merit(self, points: np.ndarray) -> np.ndarray:
        """How well a law can be seen at points, (points,): zero where the value or a derivative is
        not finite or is huge in some row, two where every parameter also does something.
        """
        value, slopes = np.abs(self.value(points)), np.abs(self.gradient(points)).max(axis=1)
        # Neither holds of what is not a number.
        tame = (value < LARGEST).all(axis=1) & (slopes < LARGEST).all(axis=1)
        return tame * (1 + (slopes > 1 / LARGEST).all(axis=1))

    def smooth(self, point: np.ndarray) -> bool:
        """Whether all second derivatives at one point are finite."""
        return self.bends(point[None])[0]

    def bends(self, points: np.ndarray) -> tuple[bool, np.ndarray]:
        """Whether all second derivatives are finite, and which are not zero everywhere, (p, p)."""
        hessian = self._of.hessian.bind(*self._columns)
        pairs = list(combinations_with_replacement(range(self._of.size), 2))
        finite, some = True, np.zeros(len(pairs), dtype=bool)
        # One point at a time: hundreds of arrays of all at once would be fresh memory.
        for point in points:
            found = hessian(*self._inputs(point[None]))
            finite &= all(bool(np.isfinite(item).all()) for item in found)
            some |= [bool(np.any(item)) for item in found]
        coupled = np.zeros((self._of.size, self._of.size), dtype=bool)
        coupled[tuple(zip(*pairs, strict=True))] = some
        return finite, coupled | coupled.T


_DERIVATIVES: WeakKeyDictionary[Law, _Derivatives] = WeakKeyDictionary()


def _traced(law: Law) -> _Derivatives:
    """Programs of a law's derivatives, forward twice.

    The second derivatives are those of the gradient's program, in which nothing is computed twice,
    so that their number costs little.
    """
    # Not the law itself, which is what they are kept by.
    function, names, columns = law.formula_read.function, law.names, len(law.columns)
    size = len(names)
    count = columns + size + 1

    def value(*given: Any) -> list[Any]:
        params = dict(zip(names, given[columns:], strict=True))
        return [jnp.asarray(function(*given[:columns], **params))]

    plain = law.traced
    elementwise = isinstance(plain, Program)

    def along(function: Any, place: int, given: Sequence[Any], one: Any) -> list[Any]:
        """Derivatives of what a function returns in one of the parameters."""
        before, (moved, *after) = given[: columns + place], given[columns + place :]
        if isinstance(function, Program):
            # Only what depends on the parameter is differentiated.
            at = function.bind(*before, None, *after, library=jnp)
        else:

            def at(value: Any) -> list[Any]:
                return function(*before, value, *after)

        return jax.jvp(at, (moved,), (one,))[1]

    def gradient(*given: Any) -> list[Any]:
        of = plain if elementwise else value
        return [along(of, place, given[:-1], given[-1])[0] for place in range(size)]

    first = trace(gradient, count) if elementwise else Compiled(gradient, count)

    def hessian(*given: Any) -> list[Any]:
        of = first if elementwise else gradient
        rows = [along(of, place, given, given[-1]) for place in range(size)]
        return [rows[b][a] for a, b in combinations_with_replacement(range(size), 2)]

    second = trace(hessian, count) if elementwise else Compiled(hessian, count)
    return _Derivatives(plain, first, second, size)


def _not_finite(law: Law, probe: Probe, here: _At) -> LawError:
    """The error for a law without a finite value, or finite derivatives, at ordinary parameters."""
    value = here.value(probe.points)
    bad = np.argwhere(~np.isfinite(value))
    point, row = bad[0] if len(bad) else (0, 0)
    given = {name: values[row] for name, values in probe.columns.items()}
    given |= dict(zip(law.names, probe.points[point], strict=True))
    said = ", ".join(f"{name} = {float(item):.5g}" for name, item in given.items())
    what = f"is {value[point, row]:g}" if len(bad) else "has no finite derivatives"
    own = BUILTIN.get(law.name) is not law
    bounds = probe.bounds(here.merit, here.smooth)
    if bounds:
        remedy = f"{'Check the formula, or pass' if own else 'Pass'} bounds={bounds}, within which "
        remedy += "it is finite at enough values"
    elif own:
        remedy = (
            "Check the formula, and narrow the bounds with Annotated[..., Bounds(lower, upper)]"
        )
    else:
        remedy = "Check the columns and their units"
    problem = f"{what} at ordinary values, as {said}"
    return law_error(law.name, returns_of(law.function), problem, remedy)


def unidentified_error(law: Law, name: str) -> LawError | DataError:
    """The error for a parameter that changes no prediction: of a built-in law the table's fault."""
    if BUILTIN.get(law.name) is not law:
        return LawError(
            f"law {law.name!r} does not depend on parameter {name!r} in any row of this table. "
            "Remove the parameter, or fit runs in which it is at work"
        )
    without = [
        other
        for other in BUILTIN.values()
        if other.response == law.response
        and {*other.columns} <= {*law.columns}
        and {*other.names} <= {*law.names} - {name}
    ]
    nearest = max(without, key=lambda other: len(other.names), default=None)
    instead = (
        f"Fit the law without it, scalefit.fit(runs, {nearest.name!r}), or add"
        if nearest
        else "Add"
    )
    return DataError(
        f"the predictions of {law.name!r} do not depend on its parameter {name!r} in any row of "
        "this table",
        remedy=f"{instead} runs in which it is at work",
    )


def _refuse_unidentified(law: Law, gradient: np.ndarray) -> None:
    """Raise when a parameter does nothing."""
    for i, name in enumerate(law.names):
        if not gradient[:, :, i].any():
            raise unidentified_error(law, name)


def _refuse_proportional(law: Law, suspects: np.ndarray) -> None:
    """Raise when two parameters move the law in the same direction at every probe.

    If they only do so on the rows of this table, and not on scattered ones, the table is at fault,
    and the check of the design refuses it.
    """
    for j, i in zip(*np.nonzero(suspects), strict=True):
        raise LawError(
            f"law {law.name!r}: parameters {law.names[j]!r} and {law.names[i]!r} change the "
            "prediction in exactly the same way (as A and B do in A * B * N^-alpha), so no table "
            "can tell them apart. Merge them into one parameter"
        )


def _proportional(gradient: np.ndarray) -> np.ndarray:
    """Which pairs j < i of Jacobian columns are proportional at every probe, shape (p, p)."""
    # Scattered rows may be impossible ones (more unique tokens than tokens).
    gradient = np.where(np.isfinite(gradient).all(axis=-1, keepdims=True), gradient, 0.0)
    norms = np.sqrt((gradient**2).sum(axis=1))
    cosines = np.abs(np.einsum("knp,knq->kpq", gradient, gradient))
    sizes = norms[:, :, None] * norms[:, None, :]
    return np.triu((cosines >= (1 - PROPORTIONAL_TOLERANCE) * sizes).all(axis=0), 1)


def _propose(coupled: np.ndarray) -> list[int]:
    """Greedy maximal set of parameters without second derivatives among themselves."""
    chosen: list[int] = []
    for candidate in range(len(coupled)):
        if not coupled[candidate, [*chosen, candidate]].any():
            chosen.append(candidate)
    return chosen


def _prove(law: _At, probe: Probe, proposed: list[int]) -> list[int]:
    """Keep the proposed parameters that obey superposition, dropping offenders one by one."""
    kept = list(proposed)
    for candidate in proposed:
        if not _superposes(law, probe, [candidate]):
            kept.remove(candidate)
    while kept and not _superposes(law, probe, kept):
        kept.pop()
    return kept


def _superposes(law: _At, probe: Probe, linear: Sequence[int]) -> bool:
    """Whether f(c) = f(0) + sum_j c_j (f(e_j) - f(0)) at random c of both signs."""
    scales = np.array([1.0, -1.0, 1e3, -1e3])
    for point in probe.points:
        weights = probe.rng.uniform(0.1, 2.0, (len(scales), len(linear)))
        weights *= scales[:, None] * probe.rng.choice([-1.0, 1.0], weights.shape)
        # The origin, the units, and the points to be predicted from them.
        rows = np.tile(point, (1 + len(linear) + len(scales), 1))
        rows[:, linear] = np.concatenate([np.zeros((1, len(linear))), np.eye(len(linear)), weights])
        found = law.value(rows)
        start, units, actual = np.split(found, [1, 1 + len(linear)])
        slopes = units - start
        expected = start + weights @ slopes
        size = np.abs(start) + np.abs(weights) @ np.abs(slopes)
        if not np.all(np.abs(actual - expected) <= SUPERPOSITION_TOLERANCE * size + UNDERFLOW):
            return False
    return True


def _describe(
    law: Law,
    linear: Sequence[int],
    coupled: np.ndarray,
    uses: np.ndarray,
    value: np.ndarray,
    gradient: np.ndarray,
) -> Structure:
    """Structure from what couples, and from value and gradient at zero linear parameters."""
    names = law.names
    nonlinear = [i for i in range(len(names)) if i not in linear]
    # Another number than one would have to be carried along wherever a bound is scaled.
    constants = [
        names[j] for j in linear if not coupled[j].any() and (gradient[:, :, j] == 1).all()
    ]
    rest = tuple(names[m] for m in nonlinear if (gradient[:, :, m] != 0).any())
    return Structure(
        linear=tuple(names[j] for j in linear),
        nonlinear=tuple(names[m] for m in nonlinear),
        depends_on=tuple(tuple(names[m] for m in nonlinear if coupled[j, m]) for j in linear),
        constant=constants[0] if constants else None,
        remainder=rest if rest or (value != 0).any() else None,
        uses=tuple(
            tuple(column for column, used in zip(law.columns, row, strict=True) if used)
            for row in uses
        ),
    )
