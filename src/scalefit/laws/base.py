"""Laws are plain functions.

A law is written as a JAX-traceable function: data columns positional, parameters keyword-only and
annotated with a kind. :func:`law` reads that signature once and returns a frozen :class:`Law`,
still callable like the function. Nothing is registered and nothing is guessed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import jax
import numpy as np

from scalefit.arguments import refused, shown, text
from scalefit.errors import DataError, LawError, listed
from scalefit.laws.kinds import Bounds, By, Domain, Kind, Relation
from scalefit.runtime.settings import on_device, processor, quiet
from scalefit.tracing.formula import Formula, coupled, formula_of, refusal
from scalefit.tracing.numpy_calls import Value, held, released
from scalefit.tracing.operations import Function, Program

__all__ = ["Law", "Param", "law"]

# Options of fit, beside which headers of columns are passed by name.
OPTIONS = {
    *("runs", "law", "residual", "robust", "delta", "asymmetry", "fixed", "bounds", "tied"),
    *("groups", "seed", "certify", "device", "keep", "missing"),
}

# How a parameter is annotated, in messages.
KINDS = "Offset, Amplitude, Coefficient, Exponent, Fraction or Annotated[Array, scale_of('N')]"

RELATION = 'Write it as Relation("U <= D", ("U", "D"), lambda U, D: U <= D)'

# The value of a row agrees to rounding however many rows are beside it, or depends on them.
SAME_ROW = 1e-9


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
        """The function itself, in the caller's precision; traceable by JAX.

        Raises:
            LawError: JAX traces it, and it is no formula.
        """
        given = [*columns, *params.values()]
        if any(isinstance(item, Value) for item in given):
            # In a law that is written with numpy's functions.
            return held(self(*released(columns), **released(params)))
        if any(isinstance(item, jax.core.Tracer) for item in given):
            return self.formula_read.function(*columns, **params)
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

        Raises:
            LawError: the function is no formula of one row.
        """
        arrays = [np.asarray(columns[name], dtype=np.float64) for name in self.columns]
        values = {name: np.asarray(params[name], dtype=np.float64)[()] for name in self.names}
        shape = np.broadcast_shapes(*(np.shape(item) for item in [*arrays, *values.values()]))
        if isinstance(self.traced, Program):
            with quiet():
                value = self.traced(*arrays, *values.values())[0]
            return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
        arrays = list(np.broadcast_arrays(*arrays))
        found = self._as_it_stands(arrays, values)
        if not self.memo.get("rows apart"):
            self._require_rows_apart(arrays, values, found)
        return np.broadcast_to(found, shape)

    def _as_it_stands(self, arrays: Sequence[Any], values: Mapping[str, Any]) -> np.ndarray:
        with on_device(processor()), quiet():
            try:
                return np.asarray(self.function(*arrays, **values), dtype=np.float64)
            except Exception as error:
                raise refusal(self.name, self.function, error) from error

    def _require_rows_apart(
        self, arrays: Sequence[Any], values: Mapping[str, Any], found: np.ndarray
    ) -> None:
        """Refuse a law that gives a row another value where there are fewer rows beside it."""
        rows = arrays[0].shape
        if len(rows) != 1 or rows[0] < 2 or any(np.ndim(item) for item in values.values()):
            return
        middle = rows[0] // 2
        halves = [[item[:middle] for item in arrays], [item[middle:] for item in arrays]]
        apart = np.concatenate(
            [np.broadcast_to(self._as_it_stands(half, values), half[0].shape) for half in halves]
        )
        whole = np.broadcast_to(found, rows)
        if not np.allclose(apart, whole, rtol=SAME_ROW, atol=0.0, equal_nan=True):
            raise coupled(self.name, self.function)
        self.memo["rows apart"] = bool(np.isfinite(whole).all())

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
    def formula_read(self) -> Formula:
        """The function as JAX has it, read the first time it is asked for.

        Raises:
            LawError: the function is no formula.
        """
        return formula_of(self.name, self.function, len(self.columns), self.names)

    @property
    def traced(self) -> Function:
        """The function traced on columns, then parameters, in order.

        Raises:
            LawError: the function is no formula.
        """
        return self.formula_read.program


@overload
def law(function: Callable[..., Any], /) -> Law: ...


@overload
def law(
    *,
    source: str | None = None,
    response: str = "loss",
    latex: str = "",
    relations: Sequence[Relation] = (),
) -> Callable[[Callable[..., Any]], Law]: ...


def law(
    function: Any = None,
    /,
    *,
    source: str | None = None,
    response: str = "loss",
    latex: str = "",
    relations: Sequence[Relation] = (),
) -> Any:
    """Decorator that turns a plain function into a :class:`Law`: ``@law`` or ``@law(source=...)``.

    The function may be written with ``jax.numpy`` or with ``numpy``. It is read as a formula when
    the law is first used; what is no formula of one row is refused then, with the line.

    Args:
        function: the function, where the decorator stands alone.
        source: where the form comes from: paper and equation; by default the function's own place.
        response: name of the column the law predicts.
        latex: the formula in LaTeX's mathematics, without dollar signs, for reports and plots.
        relations: what holds between columns in every row; values of one column are declared where
            it is annotated, with a :class:`Domain`.

    Raises:
        LawError: the signature is not "columns positional, parameters keyword-only, each
            parameter annotated with a kind", or a relation reads a column that it lacks.
        ArgumentError: an argument is of a wrong type.

    Example:
        >>> import scalefit as sf
        >>> @sf.law
        ... def saturating(D, *, E: sf.laws.Offset, B: sf.laws.Amplitude, beta: sf.laws.Exponent):
        ...     "E + B D^-beta"
        ...     return E + B * D**-beta
        >>> saturating
        <law saturating(D, *, E, B, beta): E + B D^-beta>
        >>> round(saturating(1e9, E=1.7, B=400.0, beta=0.28), 3)
        2.908
    """
    if isinstance(function, str):
        raise LawError(
            f"law takes its source by keyword. Write @scalefit.law(source={shown(function)})"
        )
    if source is not None:
        remedy = 'Write @scalefit.law(source="a paper and equation"), or @scalefit.law alone'
        text(source, "source", remedy=remedy)
    text(response, "response", remedy='Name the column that the law predicts, as response="loss"')
    if not (isinstance(latex, str) and not latex):
        text(latex, "latex", remedy="Give the formula as text, or leave it out")
    if not isinstance(relations, Sequence):
        raise refused("relations", relations, "a list of Relation", RELATION)
    for place, relation in enumerate(relations):
        if not isinstance(relation, Relation):
            raise refused(f"relations[{place}]", relation, "a Relation", RELATION)

    def decorate(function: Callable[..., Any]) -> Law:
        _require_function(function)
        columns, params, domains = _read_signature(function)
        name = function.__name__
        if response in columns:
            raise LawError(
                f"law {name!r} predicts {response!r}, which is one of its columns. Leave the "
                'column out, or name what is predicted, as law(source="...", response="accuracy")'
            )
        for column in {*columns, response} & OPTIONS:
            raise LawError(
                f"law {name!r}: the column {column!r} has the name of an option of fit, so that "
                f"its header could not be given. Call it {column}_ in the law, and say "
                f"{column}_={column!r} where the table has it"
            )
        for relation in relations:
            if not set(relation.columns) <= set(columns):
                raise LawError(
                    f"law {name!r}: the relation {relation.rule!r} reads "
                    f"{', '.join(relation.columns)}, but its columns are {', '.join(columns)}"
                )
        return Law(
            function,
            name,
            columns,
            params,
            f"{function.__module__}.{function.__qualname__}" if source is None else source,
            response,
            latex,
            domains,
            tuple(relations),
        )

    return decorate if function is None else decorate(function)


def _quoted(column: str) -> str:
    """A column as a rule names it."""
    return column if column.isidentifier() else f"`{column}`"


def _require_function(function: Any) -> None:
    """Refuse what is no plain function of columns and parameters."""
    example = "def mine(N, D, *, E: Offset, A: Amplitude, alpha: Exponent)"
    name = getattr(function, "__name__", None)
    if not callable(function) or isinstance(function, type) or not isinstance(name, str):
        raise LawError(f"{shown(function)} is not a plain function. Write one, as {example}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise LawError(f"law {name!r} is an async function. Write it with def alone: {example}")
    if inspect.isgeneratorfunction(function):
        raise LawError(f"law {name!r} yields. Return the predicted value instead")
    try:
        inspect.signature(function)
    except ValueError as error:
        raise LawError(f"{name!r} has no signature to read. Write a function: {example}") from error


def _read_signature(
    function: Callable[..., Any],
) -> tuple[tuple[str, ...], tuple[Param, ...], dict[str, Domain]]:
    name = function.__name__
    hints = _annotations(function)
    columns: list[str] = []
    params: list[Param] = []
    domains: dict[str, Domain] = {}
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise LawError(
                f"law {name!r}: {argument} is variadic. Write every column and parameter out"
            )
        if argument.default is not argument.empty:
            raise LawError(
                f"law {name!r}: {argument.name} has the default {shown(argument.default)}, which "
                "a fit would not use. Leave it out; a parameter is held at a value with "
                "fit(..., fixed={...})"
            )
        if argument.kind is argument.KEYWORD_ONLY:
            kind = _read_kind(name, argument.name, hints)
            params.append(Param(argument.name, kind, _read_by(argument.name, hints)))
            continue
        if argument.name in ("self", "cls"):
            raise LawError(
                f"law {name!r} is a method: {argument.name!r} would be a column. Write it as a "
                "function outside of the class"
            )
        columns.append(argument.name)
        for item in _metadata(hints, argument.name):
            if isinstance(item, Domain):
                domains[argument.name] = item
            elif isinstance(item, Kind):
                raise LawError(
                    f"law {name!r}: {argument.name} is annotated as a parameter ({item.name}), but "
                    "stands among the columns. Put a bare * before the parameters: "
                    "def mine(N, D, *, E: Offset, ...)"
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


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations by argument, those that are text resolved."""
    try:
        return inspect.get_annotations(inspect.unwrap(function), eval_str=True)
    except NameError as error:
        raise LawError(
            f"law {function.__name__!r}: annotation {error.name!r} cannot be resolved. Import the "
            "kind at the top level of the module or notebook that defines the law"
        ) from error
    except Exception as error:  # Whatever evaluating an annotation's text raises.
        raise LawError(
            f"law {function.__name__!r}: an annotation cannot be resolved ({error}). Annotate "
            f"each parameter with its kind: {KINDS}"
        ) from error


def _metadata(hints: Mapping[str, Any], argument: str) -> tuple[Any, ...]:
    """What is annotated, a kind or domain that stands alone too."""
    hint = hints.get(argument)
    return (hint,) if isinstance(hint, Kind | Domain) else getattr(hint, "__metadata__", ())


def _read_by(param: str, hints: Mapping[str, Any]) -> tuple[str, ...]:
    items = _metadata(hints, param)
    return tuple(column for item in items if isinstance(item, By) for column in item.columns)


def _read_kind(law_name: str, param: str, hints: Mapping[str, Any]) -> Kind:
    metadata = _metadata(hints, param)
    kinds = [item for item in metadata if isinstance(item, Kind)]
    if len(kinds) != 1:
        raise LawError(
            f"law {law_name!r}: parameter {param!r} has {'several kinds' if kinds else 'no kind'}. "
            f"Annotate it with one of {KINDS}"
        )
    for item in metadata:
        if not isinstance(item, Kind | Bounds | By):
            raise LawError(
                f"law {law_name!r}: parameter {param!r} is annotated with {shown(item)}, which is "
                'nothing of a parameter. Write Bounds(lower, upper), or By("format")'
            )
    (kind,) = kinds
    for bounds in (item for item in metadata if isinstance(item, Bounds)):
        kind = kind.narrowed(bounds)
    if not kind.lower < kind.upper:
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
