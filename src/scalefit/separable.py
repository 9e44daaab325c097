"""Which parameters of a law are linear, and which nonlinear ones each linear term sees.

A law is separable when it can be written f = f0(theta) + sum_j c_j phi_j(theta). The linear
parameters c are found in two steps. Proposal: the second derivatives of f among them are exactly
zero (automatic differentiation returns structural zeros, not small numbers). Proof: at random c of
both signs f(c) = f(0) + J c to rounding. ``abs`` and ``maximum`` pass the proposal, being piecewise
linear, and fail the proof.

The same second derivatives say which nonlinear parameters each phi_j depends on, which is what
lets the grid be factorised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.errors import LawError
from scalefit.laws import chinchilla, chinchilla_d, chinchilla_n, chinchilla_tied
from scalefit.laws.base import Law

__all__ = ["Structure", "basis", "idle_error", "structure"]

# Random points at which derivatives are taken. One would do for analytic laws; several catch a law
# that branches on a parameter.
PROBES = 4
# Enough rows that a term at work in few of them (repeated data, a rare domain) is seen.
PROBE_ROWS = 1024

# A true linear law satisfies superposition to a few units in the last place (1e-16 seen); abs and
# maximum miss it by about 2e-2. Anything between would do.
SUPERPOSITION_TOLERANCE = 1e-10

# Columns of the Jacobian closer to proportional than this at random parameters stay so everywhere:
# rounding alone leaves 1e-15 or so.
PROPORTIONAL_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Structure:
    """The separable form of a law.

    Attributes:
        linear: names of the linear parameters, in the law's order.
        nonlinear: names of the others, in the law's order.
        sees: for each linear parameter, the nonlinear ones its term depends on.
        constant: the linear parameter whose term is one in every row, if any.
        remainder: the nonlinear parameters that f0, the part without linear parameters, depends
            on; None when f0 is identically zero.
        uses: for each parameter, in the law's order, the data columns that its effect depends on.
    """

    linear: tuple[str, ...]
    nonlinear: tuple[str, ...]
    sees: tuple[tuple[str, ...], ...]
    constant: str | None
    remainder: tuple[str, ...] | None
    uses: tuple[tuple[str, ...], ...]


def basis(law: Callable[..., Any], structure: Structure, name: str) -> Callable[..., jax.Array]:
    """The function phi_j(columns, theta) multiplying linear parameter ``name``.

    It is the derivative of the law in that direction, which for a linear parameter is exact and
    which leaves the other terms out of the traced program.
    """

    def phi(columns: Sequence[Any], theta: Mapping[str, Any]) -> jax.Array:
        zeros = {other: jnp.zeros(()) for other in structure.linear if other != name}

        def along(value: jax.Array) -> jax.Array:
            return jnp.asarray(law(*columns, **zeros, **theta, **{name: value}))

        _, tangent = jax.jvp(along, (jnp.zeros(()),), (jnp.ones(()),))
        return jnp.asarray(tangent)

    return phi


def remainder(law: Callable[..., Any], structure: Structure) -> Callable[..., jax.Array]:
    """The function f0(columns, theta): the law with every linear parameter at zero."""

    def f0(columns: Sequence[Any], theta: Mapping[str, Any]) -> jax.Array:
        zeros = {name: jnp.zeros(()) for name in structure.linear}
        return jnp.asarray(law(*columns, **zeros, **theta))

    return f0


def structure(law: Law, columns: Mapping[str, np.ndarray]) -> Structure:
    """Separable structure of a law, detected and proved on rows of a table.

    Detected once per law object, and looked up for some built-in laws; the rows only supply
    plausible values.

    Args:
        law: the law.
        columns: the law's data columns by name, each of shape (rows,), raw units.

    Raises:
        LawError: two parameters cannot be told apart in any table (as A and B in A * B * N^-a),
            or the law is not finite at ordinary parameter values.
    """
    if law not in _FOUND:
        _FOUND[law] = _detect(law, _Probe(law, columns))
    return _FOUND[law]


# What detection finds on the laws most used: it takes a third of a second, a large part of a short
# process. The tests detect each afresh and compare; a law may be left out.
PROVED = {
    chinchilla: Structure(
        linear=("E", "A", "B"),
        nonlinear=("alpha", "beta"),
        sees=((), ("alpha",), ("beta",)),
        constant="E",
        remainder=None,
        uses=((), ("N",), ("D",), ("N",), ("D",)),
    ),
    chinchilla_tied: Structure(
        linear=("E", "A", "B"),
        nonlinear=("alpha",),
        sees=((), ("alpha",), ("alpha",)),
        constant="E",
        remainder=None,
        uses=((), ("N",), ("D",), ("N", "D")),
    ),
    chinchilla_n: Structure(
        linear=("E", "A"),
        nonlinear=("alpha",),
        sees=((), ("alpha",)),
        constant="E",
        remainder=None,
        uses=((), ("N",), ("N",)),
    ),
    chinchilla_d: Structure(
        linear=("E", "B"),
        nonlinear=("beta",),
        sees=((), ("beta",)),
        constant="E",
        remainder=None,
        uses=((), ("D",), ("D",)),
    ),
}

_FOUND: WeakKeyDictionary[Law, Structure] = WeakKeyDictionary(PROVED)


class _Probe:
    """Rows and parameter values at which a law is examined."""

    def __init__(self, law: Law, columns: Mapping[str, np.ndarray]) -> None:
        self.rng = np.random.default_rng(0)
        rows = len(next(iter(columns.values())))
        chosen = self.rng.choice(rows, size=min(rows, PROBE_ROWS), replace=False)
        self.columns = {name: columns[name][chosen] for name in law.columns}
        ranges = [(*param.bounds(columns), param.kind.spacing) for param in law.params]
        self.points = np.array(
            [[_plausible(self.rng, *item) for item in ranges] for _ in range(PROBES)]
        )

    def scattered(self) -> dict[str, np.ndarray]:
        """The columns without what ties them: constant ones spread, others in another order."""
        rng = np.random.default_rng(1)
        return {
            name: rng.permutation(values) * rng.uniform(0.7, 1.0, len(values))
            for name, values in self.columns.items()
        }


def _plausible(rng: np.random.Generator, lower: float, upper: float, spacing: str) -> float:
    """A generic value inside bounds that may be infinite."""
    if not np.isfinite(lower):
        lower, upper = (-3.0, 3.0) if not np.isfinite(upper) else (upper - 3.0, upper)
    elif not np.isfinite(upper):
        lower, upper = lower + 0.5, lower + 3.0
    elif spacing == "log":
        # The inner half of the logarithmic range: ends may overflow (N^5).
        low, high = np.log(lower), np.log(upper)
        return float(np.exp(rng.uniform(0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high)))
    return float(rng.uniform(lower, upper))


def _detect(law: Law, probe: _Probe) -> Structure:
    with jax.enable_x64(True):
        derivatives = _derivatives(law)
        value, gradient, hessian = derivatives(probe.columns, probe.points)
        if not (np.isfinite(value).all() and np.isfinite(hessian).all()):
            example = dict(zip(law.names, probe.points[0].round(4).tolist(), strict=True))
            raise LawError(
                f"law {law.name!r} is not finite at ordinary parameter values, for example "
                f"{example}. Check the formula and narrow the bounds with "
                "Annotated[..., Bounds(lower, upper)]"
            )
        _refuse_idle(law, gradient)
        _refuse_proportional(law, gradient, derivatives(probe.scattered(), probe.points)[1])
        uses = []
        for name in law.columns:
            moved = {**probe.columns, name: 0.9 * probe.columns[name]}
            changed = derivatives(moved, probe.points)[1] != gradient
            uses.append(changed.any(axis=(0, 1)))
        # (parameter, parameter): is there any probe and row with a nonzero second derivative?
        coupled = (hessian != 0).any(axis=(0, 1))
        linear = _prove(law, probe, _propose(coupled))
        origin = probe.points.copy()
        origin[:, linear] = 0.0
        value, gradient, _ = derivatives(probe.columns, origin)
    return _describe(law, linear, coupled, np.stack(uses, axis=1), value, gradient)


def _derivatives(law: Law) -> Callable[[Mapping[str, np.ndarray], np.ndarray], list[np.ndarray]]:
    """Value (probes, rows), gradient (probes, rows, p), Hessian (probes, rows, p, p)."""

    def all_three(columns: Sequence[Any], vector: jax.Array) -> tuple[Any, Any, Any]:
        def predict(vector: jax.Array) -> jax.Array:
            value = law(*columns, **dict(zip(law.names, vector, strict=True)))
            return jnp.broadcast_to(value, columns[0].shape)

        slope = jax.jacfwd(predict)
        # Forward twice: a handful of parameters, and half the compile time of jax.hessian.
        return predict(vector), slope(vector), jax.jacfwd(slope)(vector)

    compiled = jax.jit(jax.vmap(all_three, (None, 0)))
    return lambda columns, points: [
        np.asarray(item) for item in compiled(tuple(columns.values()), points)
    ]


def idle_error(law: Law, name: str) -> LawError:
    """What is said of a parameter that does nothing in a table."""
    return LawError(
        f"law {law.name!r} does not depend on parameter {name!r} in any row of this table. Remove "
        "the parameter, or fit runs in which it is at work"
    )


def _refuse_idle(law: Law, gradient: np.ndarray) -> None:
    """Raise when a parameter does nothing."""
    for i, name in enumerate(law.names):
        if not gradient[:, :, i].any():
            raise idle_error(law, name)


def _refuse_proportional(law: Law, gradient: np.ndarray, scattered: np.ndarray) -> None:
    """Raise when two parameters move the law in the same direction at every probe.

    If they only do so on the rows of this table, and not on scattered ones, the table is at fault:
    that is for the check of the design to say.
    """
    suspects = _proportional(gradient) & _proportional(scattered)
    for j, i in zip(*np.nonzero(np.triu(suspects, 1)), strict=True):
        raise LawError(
            f"law {law.name!r}: parameters {law.names[j]!r} and {law.names[i]!r} change the "
            "prediction in exactly the same way (as A and B do in A * B * N^-alpha), so no table "
            "can tell them apart. Merge them into one parameter"
        )


def _proportional(gradient: np.ndarray) -> np.ndarray:
    """Which pairs of Jacobian columns are proportional at every probe, shape (p, p)."""
    # Scattered rows may be impossible ones (more unique tokens than tokens).
    gradient = np.where(np.isfinite(gradient).all(axis=-1, keepdims=True), gradient, 0.0)
    norms = np.sqrt((gradient**2).sum(axis=1))
    cosines = np.abs(np.einsum("knp,knq->kpq", gradient, gradient))
    sizes = norms[:, :, None] * norms[:, None, :]
    return (cosines >= (1 - PROPORTIONAL_TOLERANCE) * sizes).all(axis=0)


def _propose(coupled: np.ndarray) -> list[int]:
    """Greedy maximal set of parameters without second derivatives among themselves."""
    chosen: list[int] = []
    for candidate in range(len(coupled)):
        if not coupled[candidate, [*chosen, candidate]].any():
            chosen.append(candidate)
    return chosen


def _prove(law: Law, probe: _Probe, proposed: list[int]) -> list[int]:
    """Keep the proposed parameters that obey superposition, dropping offenders one by one."""
    kept = list(proposed)
    for candidate in proposed:
        if not _superposes(law, probe, [candidate]):
            kept.remove(candidate)
    while kept and not _superposes(law, probe, kept):
        kept.pop()
    return kept


def _superposes(law: Law, probe: _Probe, linear: Sequence[int]) -> bool:
    """Whether f(c) = f(0) + sum_j c_j (f(e_j) - f(0)) at random c of both signs."""
    scales = np.array([1.0, -1.0, 1e3, -1e3])
    for point in probe.points:
        origin = point.copy()
        origin[list(linear)] = 0.0
        start = _predict(law, probe, origin)
        slopes = []
        for j in linear:
            unit = origin.copy()
            unit[j] = 1.0
            slopes.append(_predict(law, probe, unit) - start)
        for scale in scales:
            weights = scale * probe.rng.uniform(0.1, 2.0, len(linear))
            weights *= probe.rng.choice([-1.0, 1.0], len(linear))
            moved = origin.copy()
            moved[list(linear)] = weights
            terms = [weight * slope for weight, slope in zip(weights, slopes, strict=True)]
            expected = start + sum(terms)
            size = np.abs(start) + sum(np.abs(term) for term in terms)
            actual = _predict(law, probe, moved)
            if not np.all(np.abs(actual - expected) <= SUPERPOSITION_TOLERANCE * size):
                return False
    return True


def _predict(law: Law, probe: _Probe, vector: np.ndarray) -> np.ndarray:
    return law.evaluate(probe.columns, dict(zip(law.names, vector.tolist(), strict=True)))


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
        sees=tuple(tuple(names[m] for m in nonlinear if coupled[j, m]) for j in linear),
        constant=constants[0] if constants else None,
        remainder=rest if rest or (value != 0).any() else None,
        uses=tuple(
            tuple(column for column, used in zip(law.columns, row, strict=True) if used)
            for row in uses
        ),
    )
