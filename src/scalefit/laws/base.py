"""Laws are plain functions.

A law is written as a JAX-traceable function: data columns positional, parameters keyword-only and
annotated with a kind. :func:`law` reads that signature once and returns a frozen :class:`Law`,
still callable like the function. Nothing is registered and nothing is guessed.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, reduce
from typing import Any, overload

import jax
import numpy as np
import pandas as pd

from scalefit.arguments import refused, shown, text
from scalefit.errors import DataError, LawError, listed
from scalefit.laws.kinds import Domain
from scalefit.laws.pickling import code_travels, received, sent
from scalefit.laws.relations import RELATION, Relation, quoted
from scalefit.laws.signature import Param, meanings, read_signature, require_function
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.runtime.settings import on_device, processor, quiet
from scalefit.tracing.formula import Formula, coupled, formula_of, refusal
from scalefit.tracing.numpy_calls import Value, held, released
from scalefit.tracing.operations import Function, Program

__all__ = ["Law", "Param", "law"]

# Options of fit: columns are passed as keywords too, so no column may have one of these names.
OPTIONS = {
    *("runs", "law", "residual", "robust", "delta", "asymmetry", "sigma", "fixed", "bounds"),
    *("tied", "groups", "seed", "certify", "device", "keep", "missing", "loss_unit"),
    *("bytes_per_token", "responses", "progress"),
}

KNOWN_AS = 'Give a list of texts, as also_known_as=["learning curves (1712.00409)"]'

# Relative difference above which a row's value depends on the rows beside it.
SAME_ROW = 1e-9


@dataclass(frozen=True, eq=False)
class Law(Described):
    """A parametric loss surface.

    Calling it evaluates the plain function. Two laws are the same only if they are the same
    object: the function cannot be compared. A law is pickled as a function is: by reference to its
    module, and by cloudpickle with its code where it has none that can be imported. A copy of it
    is the law itself, and so is what comes back from another process.

    Attributes:
        function: the function as written.
        name: the function's name.
        columns: names of the data columns it takes, in order.
        params: its parameters, in order.
        source: where the form comes from (paper, equation), or who wrote it.
        response: name of the column it predicts.
        latex: the formula in LaTeX's mathematics, without dollar signs; empty where none was given.
        domains: values that columns and the response can have, by name, where they are declared.
        relations: what holds between columns in every row.
        maker: function and arguments that make the law, where it has no name in a module.
        also_known_as: other names of it, and other papers and uses that fit under its formula.
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
    maker: tuple[Callable[..., Law], tuple[Any, ...]] | None = None
    also_known_as: tuple[str, ...] = ()
    # A cache that lives as long as the law: programs of its terms. Made with it, since threads may
    # ask for it at once.
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __copy__(self) -> Law:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Law:
        return self

    def __reduce__(self) -> tuple[Callable[..., Law], tuple[Any, ...]]:
        if self.maker is not None:
            return self.maker
        module = getattr(self.function, "__module__", None) or "?"
        path = getattr(self.function, "__qualname__", self.name)
        try:
            found = law_at(module, path)
        except LawError:
            found = None
        # Other processes have another __main__.
        if (found is not self or module == "__main__") and code_travels():
            given = tuple(getattr(self, item.name) for item in fields(self) if item.init)
            return received, (Law, sent(self, self.memo), given)
        if found is not self:
            raise LawError(
                f"law {self.name!r} cannot be pickled: module {module!r} has no law {path!r}, and "
                "laws are pickled by reference, as functions are. Define it with @scalefit.law at "
                "the top of a module that can be imported, or send it by joblib, Dask or Ray "
                "(cloudpickle), which take the code"
            )
        return law_at, (module, path)

    def __call__(self, *columns: Any, **params: Any) -> Any:
        """The function itself, in the caller's precision; traceable by JAX.

        Raises:
            LawError: JAX traces the call, and the function is not a formula.
        """
        given = [*columns, *params.values()]
        if any(isinstance(item, Value) for item in given):
            # Called from a law that is written with numpy's functions.
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
    def meanings(self) -> dict[str, str]:
        """What each column and parameter is, as the docstring says it, by name."""
        return meanings(self.function)

    def to_frame(self) -> pd.DataFrame:
        """A row for each parameter: kind, bounds (of a scale, in multiples) and meaning."""
        said = self.meanings
        rows = {
            param.name: (param.kind.name, param.kind.lower, param.kind.upper, said.get(param.name))
            for param in self.params
        }
        names = ["kind", "lower", "upper", "meaning"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=names)

    def describe(self, level: float = 0.95) -> Description:
        """The formula, what its columns and parameters are, and where it is from."""
        said = self.meanings
        domains = [self.domains.get(name) for name in self.columns]
        columns = [
            Column("column", self.columns, "text"),
            Column("meaning", [said.get(name, "") for name in self.columns], "text"),
            Column("values", [item.rule("x") if item else "" for item in domains], "text"),
        ]
        kinds = [
            f"{item.kind.name} by {' and '.join(item.by)}" if item.by else item.kind.name
            for item in self.params
        ]
        params = [
            Column("parameter", self.names, "name"),
            Column("kind", kinds, "text"),
            Column("meaning", [said.get(name, "") for name in self.names], "text"),
        ]
        return Description(
            f"Law {self.name}",
            self.purpose.replace("``", ""),
            self.formula,
            self.latex,
            facts={
                "predicts": self._ruled(self.response),
                "in every row": ", ".join(item.rule for item in self.relations),
                "source": self.source,
                "also known as": "; ".join(self.also_known_as),
            },
            tables=[Table(columns), Table(params)],
        )

    def _ruled(self, name: str) -> str:
        """A column or the response, as the rule on its values where it has one."""
        return self.domains[name].rule(name) if name in self.domains else name

    @property
    def rules(self) -> tuple[str, ...]:
        """What holds in every row: values of columns and of the response, then relations."""
        declared = [name for name in (*self.columns, self.response) if name in self.domains]
        own = [self.domains[name].rule(quoted(name)) for name in declared]
        return (*own, *(relation.rule for relation in self.relations))

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
        """Refuse a law whose value in a row depends on the other rows."""
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

    def check(
        self,
        columns: Mapping[str, Any],
        rows: Sequence[object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Refuse values of columns, or of the response, that the law does not describe.

        Args:
            columns: values by name, of some or all of the law's columns and its response.
            rows: labels of the rows of a table, where they are one's.
            headers: what the table calls a column, where that is not its name.

        Raises:
            DataError: a value is outside its column's domain, or a relation does not hold.
        """
        for name, domain in self.domains.items():
            if name in columns and not (inside := domain.holds(columns[name])).all():
                values, rule = {name: columns[name]}, domain.rule(quoted(name))
                header = (headers or {}).get(name, name)
                percent = _percent(domain, name, columns[name], None if rows is None else header)
                raise self._refusal(rule, values, ~inside, rows, percent)
        for relation in self.relations:
            if set(relation.columns) <= set(columns):
                values = {name: columns[name] for name in relation.columns}
                if not (holds := relation.holds(values)).all():
                    raise self._refusal(relation.rule, values, ~holds, rows)

    def _refusal(
        self,
        rule: str,
        values: Mapping[str, Any],
        bad: np.ndarray,
        rows: Sequence[object] | None,
        remedy: str = "",
    ) -> DataError:
        """The error for columns that break a rule, with the first value and all rows."""
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
            remedy=remedy or f"Check the column and its unit{leave}",
        )

    @cached_property
    def formula_read(self) -> Formula:
        """The function as JAX traces it, once.

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


def law_at(module: str, path: str) -> Law:
    """The law of a name in a module.

    Args:
        module: where it is defined.
        path: its qualified name there.

    Raises:
        LawError: there is none.
    """
    found: Any
    try:
        found = reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError):
        found = None
    if not isinstance(found, Law):
        raise LawError(
            f"module {module!r} has no law {path!r}. Import the module that defines it, with the "
            "law at its top"
        )
    return found


@overload
def law(function: Callable[..., Any]) -> Law: ...


@overload
def law(
    *,
    source: str | None = None,
    response: str = "loss",
    latex: str = "",
    relations: Sequence[Relation] = (),
    also_known_as: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Law]: ...


def law(
    function: Any = None,
    *,
    source: str | None = None,
    response: str = "loss",
    latex: str = "",
    relations: Sequence[Relation] = (),
    also_known_as: Sequence[str] = (),
) -> Any:
    """Decorator that turns a plain function into a :class:`Law`: ``@law`` or ``@law(source=...)``.

    The function may be written with ``jax.numpy`` or with ``numpy``. The law is traced when it
    is first used; a function that is not a formula of one row is refused then, with its line.

    Args:
        function: the function, where the decorator stands alone.
        source: where the form comes from: paper and equation; by default the function's own place.
        response: name of the column the law predicts.
        latex: the formula in LaTeX's mathematics, without dollar signs, for reports and plots.
        relations: what holds between columns in every row; values of one column are declared where
            it is annotated, with a :class:`Domain`, and those of the response as what the function
            returns, ``-> Share``.
        also_known_as: other names of the law, and papers and uses of the same formula, that
            :func:`scalefit.laws.search` finds it by.

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
    if isinstance(also_known_as, str) or not isinstance(also_known_as, Sequence):
        raise refused("also_known_as", also_known_as, "a list of names", KNOWN_AS)
    for place, known in enumerate(also_known_as):
        text(known, f"also_known_as[{place}]", remedy=KNOWN_AS)

    def decorate(function: Callable[..., Any]) -> Law:
        require_function(function)
        columns, params, domains = read_signature(function)
        name, returned = function.__name__, domains.pop("return", None)
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
            domains if returned is None else domains | {response: returned},
            tuple(relations),
            also_known_as=tuple(also_known_as),
        )

    return decorate if function is None else decorate(function)


def _percent(domain: Domain, name: str, values: Any, header: str | None) -> str:
    """What to do about a column of percentages where shares belong; empty if it is none of these.

    Args:
        domain: of the column.
        name: of the column.
        values: its values.
        header: what a table calls it; None where it is no table's.
    """
    values = np.asarray(values, dtype=np.float64)
    inner = values[np.isfinite(values) & (values != 0)]
    # One value of 30 among shares is a mistake of its own, and so are sums of shares.
    large = np.count_nonzero(inner > 1) >= min(2, inner.size) and inner.max(initial=0.0) > 2
    if domain.upper != 1.0 or not large or not domain.holds(values / 100).all():
        return ""
    if header is None:
        return f"Divide percentages by 100, as {name}={inner[np.argmax(inner > 1)] / 100:g}"
    return (
        "Divide percentages by 100: "
        f"runs.assign(**{{{header!r}: runs[{header!r}] / 100}}) in place of runs"
    )
