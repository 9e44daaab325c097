"""The quantity that is profiled: a parameter, or a function of parameters with its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.arguments import refused, shown
from scalefit.errors import ArgumentError
from scalefit.inference.fitted_data import FittedData
from scalefit.inference.parameter_functions import EXAMPLE, called
from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet
from scalefit.tracing.operations import Function, trace

__all__ = ["TRACEABLE", "Quantity", "QuantityFunction", "read_quantity"]

TRACEABLE = (
    "JAX differentiates it: write it with jax.numpy, of free parameters and without if or float, "
    f"as quantity={EXAMPLE}"
)


class Quantity(NamedTuple):
    """What is profiled.

    Attributes:
        name: of the quantity.
        logarithmic: whether it is followed in its logarithm.
        function: of the parameters; None where the quantity is a parameter.
    """

    name: str
    logarithmic: bool
    function: Callable[..., Any] | None


def read_quantity(fit: Fit, quantity: str | Callable[..., Any]) -> Quantity:
    """The quantity that a caller named, or passed as a function.

    Raises:
        ArgumentError: there is no such parameter, or it is fixed.
    """
    if callable(quantity):
        name = getattr(quantity, "__name__", "quantity")
        # A function with the name of a parameter is another quantity than that parameter.
        label = "quantity" if name == "<lambda>" or name in fit.params else name
        return Quantity(label, bool(getattr(quantity, "logarithmic", False)), quantity)
    if not isinstance(quantity, str) or quantity not in fit.params:
        raise refused(
            "quantity",
            quantity,
            "a parameter of this fit",
            f"Pass one of {', '.join(fit.params)}, or a function of them, as quantity={EXAMPLE}",
        )
    if quantity in fit.fixed:
        raise ArgumentError(
            f"quantity={quantity!r} is fixed at {fit.params[quantity]:g}: nothing varies with it",
            argument="quantity",
            value=quantity,
            remedy="Free it and fit again",
        )
    kind = {param.name: param.kind for param in fit.law.params}[quantity.partition("[")[0]]
    logarithmic = kind.spacing == "log" or (kind.name == "amplitude" and fit.params[quantity] > 0)
    return Quantity(quantity, logarithmic, None)


def _derivatives(
    function: Callable[..., Any],
    names: tuple[tuple[str, ...], ...],
    fixed: Mapping[str, float],
) -> tuple[Function, Function]:
    """A function's value and gradient, and its Hessian, as operations on the free parameters."""
    count = len(names)

    def value(*natural: Any) -> Any:
        params: dict[str, Any] = dict(fixed)
        for number, group in zip(natural, names, strict=True):
            params.update(dict.fromkeys(group, number))
        found = called(function, params, remedy=TRACEABLE, name="quantity")
        try:
            number = jnp.asarray(found, dtype=jnp.float64)
            if number.shape:
                found = f"an array of shape {number.shape}"
                raise ValueError(found)
        except Exception as error:  # Whatever JAX says of what is no number.
            raise ArgumentError(
                f"quantity={shown(function)} returns {shown(found)}, no single number",
                argument="quantity",
                value=function,
                remedy=f"Return one, as quantity={EXAMPLE}",
            ) from error
        return number

    def along(*natural: Any, axis: int) -> Any:
        return jax.jvp(value, natural, _unit(count, axis))[1]

    def first(*natural: Any) -> list[Any]:
        return [value(*natural), *(along(*natural, axis=i) for i in range(count))]

    def second(*natural: Any) -> list[Any]:
        pairs = combinations_with_replacement(range(count), 2)
        return [jax.jvp(partial(along, axis=i), natural, _unit(count, j))[1] for i, j in pairs]

    return trace(first, count), trace(second, count)


def _unit(count: int, axis: int) -> tuple[Any, ...]:
    return tuple(jnp.ones(()) if i == axis else jnp.zeros(()) for i in range(count))


class QuantityFunction:
    """A quantity as a function of the free parameters in raw units, with its derivatives.

    Where the quantity is followed in its logarithm, they are those of the logarithm.
    """

    def __init__(self, fitted: FittedData, quantity: Quantity) -> None:
        self.logarithmic = quantity.logarithmic
        self.place: int | None = None
        self.fitted = fitted
        self._names = tuple(map(tuple, fitted.prepared.problem.names))
        self._differentiated: Any = getattr(quantity.function, "differentiated", None)
        if quantity.function is None:
            # A parameter is its own derivative.
            (self.place,) = (i for i, group in enumerate(self._names) if quantity.name in group)
        elif self._differentiated is None:
            # Traced anew each time: a user's function may read what changes between calls.
            self._first, self._second = _derivatives(
                quantity.function, self._names, fitted.fit.fixed
            )

    def _own(self, natural: np.ndarray, order: int) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient and Hessian of a function that gives its own, in the free parameters."""
        law = self.fitted.fit.law.names
        params = dict(self.fitted.fit.fixed)
        for number, group in zip(natural, self._names, strict=True):
            params.update(dict.fromkeys(group, float(number)))
        value, gradient, hessian = self._differentiated([params[name] for name in law], order)
        # Tied parameters move together.
        together = np.array([[name in group for name in law] for group in self._names], dtype=float)
        curved = together @ hessian @ together.T if order > 1 else hessian
        return value, together @ gradient, curved

    def gradient(self, natural: np.ndarray) -> tuple[float, np.ndarray]:
        """Value, and derivative in each parameter, shape (p,)."""
        if self.place is not None:
            value, slope = natural[self.place], np.eye(len(natural))[self.place]
        elif self._differentiated is not None:
            value, slope, _ = self._own(natural, 1)
        else:
            with quiet():
                value, *slopes = (float(item) for item in self._first.bind(*natural)())
            slope = np.array(slopes)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (
                (float(np.log(value)), slope / value) if self.logarithmic else (float(value), slope)
            )

    def hessian(self, natural: np.ndarray) -> np.ndarray:
        """Second derivative, shape (p, p)."""
        size = len(natural)
        own = np.zeros((size, size))
        if self._differentiated is not None:
            own = self._own(natural, 2)[2]
        elif self.place is None:
            pairs = combinations_with_replacement(range(size), 2)
            with quiet():
                found = self._second.bind(*natural)()
            for (i, j), item in zip(pairs, found, strict=True):
                own[i, j] = own[j, i] = item
        if not self.logarithmic:
            return own
        value, slope = self.gradient(natural)
        return own / np.exp(value) - np.outer(slope, slope)
