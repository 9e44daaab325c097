"""Laws are plain functions.

A law is written as a JAX-traceable function: data columns positional, parameters keyword-only and
annotated with a kind. :func:`law` reads that signature once and returns a frozen :class:`Law`,
still callable like the function. Nothing is registered and nothing is guessed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_type_hints

import jax.numpy as jnp
import numpy as np

from scalefit.errors import DataError, LawError, listed
from scalefit.laws.kinds import Bounds, By, Domain, Kind, Relation
from scalefit.scope import on_device, processor
from scalefit.tracing import Function, Program, trace

__all__ = ["Law", "Param", "law"]


@dataclass(frozen=True)
class Param:
    """One parameter of a law: its name, its kind, and the columns it differs by, if any."""

    name: str
    kind: Kind
    by: tuple[str, ...] = ()

    def bounds(self, columns: Mapping[str, np.ndarray]) -> tuple[float, float]:
        """Bounds in the parameter's own unit, given the data columns of a table.

        Raises:
            DataError: the kind is a scale of a column that is not positive everywhere.
        """
        kind = self.kind
        if kind.column is None:
            return kind.lower, kind.upper
        values = columns[kind.column]
        if kind.per:
            # A column that does not change has no slope: what is wrong is said of the design.
            width = float(values.max() - values.min()) or 1.0
            return kind.lower / width, kind.upper / width
        if not np.all(values > 0):
            raise DataError(
                f"parameter {self.name!r} is a scale of column {kind.column!r}, "
                f"whose smallest value is {values.min():g}",
                column=kind.column,
                remedy="A scale needs a positive column: shift the column, or give the parameter "
                "explicit bounds with Annotated[..., Bounds(lower, upper)]",
            )
        return kind.lower * float(values.min()), kind.upper * float(values.max())


@dataclass(frozen=True, eq=False)
class Law:
    """A parametric loss surface.

    Calling it evaluates the plain function. Two laws are the same only if they are the same
    object: the function cannot be compared.

    Attributes:
        function: the function as written.
        name: the function's name.
        columns: names of the data columns it takes, in order.
        params: its parameters, in order.
        source: where the form comes from (paper, equation), or who wrote it.
        response: name of the column it predicts.
        latex: the formula in LaTeX's mathematics, without dollar signs; empty where none was given.
        domains: values that columns can have, by column, where they are declared.
        relations: what holds between columns in every row.
    """

    function: Callable[..., Any]
    name: str
    columns: tuple[str, ...]
    params: tuple[Param, ...]
    source: str
    response: str = "loss"
    latex: str = ""
    domains: Mapping[str, Domain] = field(default_factory=dict)
    relations: tuple[Relation, ...] = ()

    def __call__(self, *columns: Any, **params: Any) -> Any:
        """The function itself, in the caller's precision; traceable by JAX."""
        return self.function(*columns, **params)

    def __repr__(self) -> str:
        inside = ", ".join([*self.columns, "*", *self.names])
        return f"<law {self.name}({inside}): {self.formula}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in order."""
        return tuple(param.name for param in self.params)

    @property
    def formula(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.function) or self.name).splitlines()[0]

    @property
    def purpose(self) -> str:
        """What the law is for: the line after the formula in the docstring; empty if there is none.

        A built-in law has one sentence there, on a line of its own.
        """
        after = (inspect.getdoc(self.function) or "").splitlines()[2:3]
        return "" if not after or after[0].endswith(":") else after[0]

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """Documentation of the function as written."""
        return inspect.getdoc(self.function)

    def evaluate(self, columns: Mapping[str, Any], params: Mapping[str, Any]) -> np.ndarray:
        """Prediction in float64 on the host, whatever the caller's JAX configuration.

        Args:
            columns: the law's data columns by name, broadcastable, raw units.
            params: every parameter by name, a number or one of the columns' broadcast shape.

        Returns:
            Predicted response, float64, of the broadcast shape.
        """
        arrays = [np.asarray(columns[name], dtype=np.float64) for name in self.columns]
        values = {name: np.asarray(params[name], dtype=np.float64)[()] for name in self.names}
        shape = np.broadcast_shapes(*(np.shape(item) for item in [*arrays, *values.values()]))
        program = self.traced
        if isinstance(program, Program):
            with np.errstate(all="ignore"):
                value = program(*arrays, *values.values())[0]
            return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
        with on_device(processor()):
            value = self.function(*np.broadcast_arrays(*arrays), **values)
            return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)

    def check(self, columns: Mapping[str, Any], rows: Sequence[object] | None = None) -> None:
        """Refuse values of columns that the law does not describe.

        Args:
            columns: values of columns by name, some or all of the law's.
            rows: labels of the rows of a table, where they are one's.

        Raises:
            DataError: a value is outside its column's domain, or a relation does not hold.
        """
        for name, domain in self.domains.items():
            if name in columns and not (inside := domain.holds(columns[name])).all():
                values = {name: columns[name]}
                raise self._refusal(domain.rule(_quoted(name)), values, ~inside, rows)
        for relation in self.relations:
            if set(relation.columns) <= set(columns):
                values = {name: columns[name] for name in relation.columns}
                holds = np.asarray(relation.holds(*map(np.asarray, values.values())))
                if not holds.all():
                    raise self._refusal(relation.rule, values, ~holds, rows)

    def _refusal(
        self,
        rule: str,
        values: Mapping[str, Any],
        bad: np.ndarray,
        rows: Sequence[object] | None,
    ) -> DataError:
        """What is said of columns where they break a rule, in the order of the rows."""
        spread = np.broadcast_arrays(*values.values(), bad)[:-1]
        first = tuple(np.argwhere(bad)[0])
        said = ", ".join(
            f"{name} = {np.asarray(item, dtype=np.float64)[first]:g}"
            for name, item in zip(values, spread, strict=True)
        )
        labels = [] if rows is None else [rows[int(i)] for i in np.flatnonzero(bad)]
        many = f" ({len(labels)} such rows: {listed(labels)})" if len(labels) > 1 else ""
        where = f" in row {labels[0]}{many}" if labels else ""
        leave = f", or leave the rows out with keep='{rule}'" if labels else ""
        return DataError(
            f"{said}{where} is outside what {self.name!r} describes: {rule}",
            column=next(iter(values)),
            rows=labels,
            remedy=f"Check the column and its unit{leave}",
        )

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What was made of the law once and is kept as long as it: programs of its terms."""
        return {}

    @cached_property
    def traced(self) -> Function | None:
        """The function traced on columns, then parameters, in order; None where JAX cannot."""
        columns = len(self.columns)

        def plain(*given: Any) -> list[Any]:
            params = dict(zip(self.names, given[columns:], strict=True))
            return [jnp.asarray(self.function(*given[:columns], **params))]

        try:
            return trace(plain, columns + len(self.params), columns)
        except Exception:  # whatever a function does that is not JAX's: it is run as it stands
            return None


def law(
    *, source: str, response: str = "loss", latex: str = "", relations: Sequence[Relation] = ()
) -> Callable[[Callable[..., Any]], Law]:
    """Decorator that turns a plain function into a :class:`Law`.

    Args:
        source: where the form comes from: paper and equation, or "my notebook".
        response: name of the column the law predicts.
        latex: the formula in LaTeX's mathematics, without dollar signs, for reports and plots.
        relations: what holds between columns in every row; values of one column are declared where
            it is annotated, with a :class:`Domain`.

    Raises:
        LawError: the signature is not "columns positional, parameters keyword-only, each
            parameter annotated with a kind", or a relation reads a column that it lacks.

    Example:
        >>> import scalefit as sf
        >>> @sf.law(source="an example")
        ... def saturating(D, *, E: sf.Offset, B: sf.Amplitude, beta: sf.Exponent):
        ...     "E + B D^-beta"
        ...     return E + B * D**-beta
        >>> saturating
        <law saturating(D, *, E, B, beta): E + B D^-beta>
        >>> round(saturating(1e9, E=1.7, B=400.0, beta=0.28), 3)
        2.908
    """

    def decorate(function: Callable[..., Any]) -> Law:
        columns, params, domains = _read_signature(function)
        for relation in relations:
            if not set(relation.columns) <= set(columns):
                raise LawError(
                    f"law {function.__name__!r}: the relation {relation.rule!r} reads "
                    f"{', '.join(relation.columns)}, but its columns are {', '.join(columns)}"
                )
        return Law(
            function,
            function.__name__,
            columns,
            params,
            source,
            response,
            latex,
            domains,
            tuple(relations),
        )

    return decorate


def _quoted(column: str) -> str:
    """A column as a rule names it."""
    return column if column.isidentifier() else f"`{column}`"


def _read_signature(
    function: Callable[..., Any],
) -> tuple[tuple[str, ...], tuple[Param, ...], dict[str, Domain]]:
    name = function.__name__
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise LawError(
            f"law {name!r}: annotation {error.name!r} cannot be resolved. Import the kind at the "
            "top level of the module or notebook that defines the law"
        ) from error
    columns: list[str] = []
    params: list[Param] = []
    domains: dict[str, Domain] = {}
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD):
            columns.append(argument.name)
            for item in getattr(hints.get(argument.name), "__metadata__", ()):
                if isinstance(item, Domain):
                    domains[argument.name] = item
        elif argument.kind is argument.KEYWORD_ONLY:
            kind = _read_kind(name, argument.name, hints)
            params.append(Param(argument.name, kind, _read_by(argument.name, hints)))
        else:
            raise LawError(
                f"law {name!r}: {argument} is variadic. Write every column and parameter out"
            )
    if not columns or not params:
        raise LawError(
            f"law {name!r} needs at least one data column (positional) and one parameter "
            "(keyword-only): def mine(N, D, *, E: Offset, ...). Put a bare * between them"
        )
    for param in params:
        if param.kind.column is not None and param.kind.column not in columns:
            raise LawError(
                f"law {name!r}: {param.name} is a {param.kind.name} of "
                f"{param.kind.column!r}, which is not one of its columns ({', '.join(columns)})"
            )
    return tuple(columns), tuple(params), domains


def _read_by(param: str, hints: Mapping[str, Any]) -> tuple[str, ...]:
    metadata = getattr(hints.get(param), "__metadata__", ())
    return tuple(column for item in metadata if isinstance(item, By) for column in item.columns)


def _read_kind(law_name: str, param: str, hints: Mapping[str, Any]) -> Kind:
    metadata = getattr(hints.get(param), "__metadata__", ())
    kinds = [item for item in metadata if isinstance(item, Kind)]
    if len(kinds) != 1:
        raise LawError(
            f"law {law_name!r}: parameter {param!r} has {'several kinds' if kinds else 'no kind'}. "
            "Annotate it with one of Offset, Amplitude, Coefficient, Exponent, Fraction or "
            "Annotated[Array, scale_of('N')]"
        )
    (kind,) = kinds
    for bounds in (item for item in metadata if isinstance(item, Bounds)):
        kind = kind.narrowed(bounds)
    if math.isnan(kind.lower) or math.isnan(kind.upper) or not kind.lower < kind.upper:
        raise LawError(
            f"law {law_name!r}: parameter {param!r} has empty bounds ({kind.lower}, {kind.upper})"
        )
    if kind.spacing == "log" and kind.lower <= 0:
        raise LawError(
            f"law {law_name!r}: {kind.name} {param!r} is searched in the logarithm, so its lower "
            f"bound must be positive, not {kind.lower:g}. Declare a number free in sign "
            f"Annotated[Coefficient, Bounds({kind.lower:g}, {kind.upper:g})]"
        )
    return kind
