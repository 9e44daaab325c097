"""Where in its source a function failed, and how to write the line so that JAX can trace it.

The traceback of an error says which expression was being computed. ``math.exp``, ``float`` or an
``if`` need the number in a traced value, which has none. Each has a counterpart in JAX that needs
none, and the line is rewritten with that.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import math
import site
import sysconfig
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scalefit.tracing.numpy_calls import NoCounterpart, Value, counterpart

__all__ = ["LOOPS", "REFUSES", "Place", "Rewriting", "place_of", "returns_of"]

# math's functions that jax.numpy has under another name.
MATH = {"pow": "power", "fabs": "abs", "dist": "", "fsum": "sum", "prod": "prod"}
# Those that jax.scipy.special has.
MATH_SPECIAL = {"lgamma": "gammaln", "gamma": "gamma", "erf": "erf", "erfc": "erfc"}
# Names that jax.numpy and jax.scipy.special are given where the function has none for them.
ALIASES = {"jax.numpy": "jnp", "jax.scipy.special": "special"}

# Statements that need a truth value, and choose between no values.
LOOPS = "a while of Python's"
REFUSES = "a check of values"


class Place(NamedTuple):
    """An expression in the source of a function.

    Attributes:
        file: its file, or what stands for it (``<string>``).
        line: number of the line.
        text: the line; empty where there is no source.
        names: values of names there.
        above: the syntax from the expression outwards; empty where it was not found.
    """

    file: str
    line: int
    text: str
    names: Mapping[str, Any]
    above: tuple[ast.AST, ...]

    def __str__(self) -> str:
        return f'File "{self.file}", line {self.line}' + (
            f":\n    {self.text}" if self.text else ""
        )


def place_of(error: BaseException, function: Callable[..., Any]) -> Place | None:
    """Where an error left the code of a function, or of those it calls that no library holds.

    Args:
        error: the error, with its traceback.
        function: the function that was called.

    Returns:
        The last such place; None where the traceback has none.
    """
    own = _code_of(function)
    found: TracebackType | None = None
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file == getattr(own, "co_filename", None) or not _in_library(file):
            found = step
        step = step.tb_next
    return None if found is None else _place(found)


def returns_of(function: Callable[..., Any]) -> Place | None:
    """The one ``return`` of a function, or else its first line."""
    code = _code_of(function)
    if code is None:
        return None
    file, line = code.co_filename, code.co_firstlineno
    tree = _parsed(file, getattr(function, "__globals__", {}))
    for node in ast.walk(tree) if tree is not None else ():
        first = min(
            (item.lineno for item in getattr(node, "decorator_list", ())),
            default=getattr(node, "lineno", 0),
        )
        if isinstance(node, ast.FunctionDef) and first == line:
            returns = [item for item in ast.walk(node) if isinstance(item, ast.Return)]
            line = returns[0].lineno if len(returns) == 1 else node.lineno
            break
    return Place(file, line, _line(file, line), {}, ())


def _code_of(function: Callable[..., Any]) -> Any:
    return getattr(inspect.unwrap(function), "__code__", None)


@cache
def _libraries() -> tuple[str, ...]:
    own = str(Path(__file__).parent)
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    return (own, *installed, *(sysconfig.get_path(name) for name in ("stdlib", "purelib")))


def _in_library(file: str) -> bool:
    return file.startswith(_libraries()) or file.startswith("<frozen")


def _line(file: str, line: int) -> str:
    return linecache.getline(file, line).strip()


def _parsed(file: str, names: Mapping[str, Any]) -> ast.Module | None:
    linecache.checkcache(file)
    try:
        return ast.parse("".join(linecache.getlines(file, dict(names))))
    except (SyntaxError, ValueError):
        return None


def _place(step: TracebackType) -> Place:
    frame = step.tb_frame
    file = frame.f_code.co_filename
    tree = _parsed(file, frame.f_globals)
    spans = list(frame.f_code.co_positions())
    span = spans[step.tb_lasti // 2] if step.tb_lasti // 2 < len(spans) else (None,) * 4
    above = _above(tree, span) if tree is not None and None not in span else ()
    return Place(file, step.tb_lineno, _line(file, step.tb_lineno), _names(frame), above)


def _names(frame: FrameType) -> dict[str, Any]:
    return {**vars(builtins), **frame.f_globals, **frame.f_locals}


def _above(tree: ast.Module, span: tuple[Any, ...]) -> tuple[ast.AST, ...]:
    """The expression that spans these lines and columns, and what holds it, outwards."""
    first, last, start, end = span

    def reach(node: ast.AST, held: tuple[ast.AST, ...]) -> tuple[ast.AST, ...]:
        here = (node, *held)
        for child in ast.iter_child_nodes(node):
            line = getattr(child, "lineno", None)
            if line is None:
                if found := reach(child, here):
                    return found
                continue
            low = (line, getattr(child, "col_offset", 0))
            high = (getattr(child, "end_lineno", line), getattr(child, "end_col_offset", 0))
            if low == (first, start) and high == (last, end):
                return (child, *here)
            if low <= (first, start) and (last, end) <= high and (found := reach(child, here)):
                return found
        return ()

    return reach(tree, ())


# How a place is written for JAX


class Rewriting:
    """A statement rewritten so that it needs neither the number nor the truth of a traced value."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.imports: dict[str, str] = {}
        self.statements = [item for item in place.above if isinstance(item, ast.stmt)]

    def rewritten(self) -> tuple[str, str] | None:
        """What needs a value, in words, and the statement that does not; empty if none is known.

        Returns:
            None where the place is not in the source.
        """
        if not self.place.above:
            return None
        node, *above = self.place.above
        for outer, inner in zip([node, *above], [None, node, *above], strict=False):
            if isinstance(outer, ast.Call) and inner is None:
                return self._of_call(outer)
            if isinstance(outer, ast.IfExp) and inner is outer.test:
                return "an if of Python's", self._with(outer, self._chosen(outer))
            if isinstance(outer, ast.If) and inner is outer.test:
                if isinstance(outer.body[0], ast.Raise):
                    return REFUSES, ""
                return "an if of Python's", self._branch(outer)
            if isinstance(outer, ast.While) and inner is outer.test:
                return LOOPS, ""
            if isinstance(outer, ast.Assert):
                return REFUSES, ""
            if isinstance(outer, ast.stmt | ast.comprehension):
                break
        return self._of_truth(node, above)

    def code(self, statement: str) -> str:
        """A statement below the imports that it needs."""
        lines = [
            f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}"
            if name == module.rpartition(".")[2]
            else f"import {module} as {name}"
            for module, name in self.imports.items()
        ]
        return "\n".join(f"    {line}" for line in [*lines, *statement.splitlines()])

    def _module(self, module: str) -> str:
        for name, value in self.place.names.items():
            if isinstance(value, ModuleType) and value.__name__ == module:
                return name
        self.imports[module] = ALIASES[module]
        return ALIASES[module]

    def _jnp(self, name: str, *args: ast.expr) -> ast.expr:
        return _call(f"{self._module('jax.numpy')}.{name}", args)

    def _value(self, node: ast.expr) -> Any:
        """What a name stands for, or a name in a module; None where that is not known."""
        if isinstance(node, ast.Name):
            return self.place.names.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self._value(node.value)
            return getattr(base, node.attr, None) if isinstance(base, ModuleType) else None
        return None

    def _spelled(self, function: ast.expr) -> str:
        """JAX's function for one of math's, numpy's or SciPy's, as it is called."""
        value = self._value(function)
        name = getattr(value, "__name__", "")
        if value is not None and getattr(math, name, None) is value:
            module = "jax.scipy.special" if name in MATH_SPECIAL else "jax.numpy"
            name = MATH_SPECIAL.get(name, MATH.get(name, name))
            if module == "jax.numpy" and not hasattr(jnp, name or "?"):
                return ""
        elif value is np.array:
            module = "jax.numpy"
        else:
            try:
                module, found = counterpart(value)
            except NoCounterpart:
                return ""
            name = found.__name__
        return f"{self._module(module)}.{name}"

    def _of_call(self, call: ast.Call) -> tuple[str, str] | None:
        value, args = self._value(call.func), call.args
        spoken = ast.unparse(call.func)
        one = args[0] if len(args) == 1 and not call.keywords else None
        if value in (float, np.float64, complex) and one is not None:
            return f"{spoken}()", self._with(call, one)
        if value is int and one is not None:
            return f"{spoken}()", self._with(call, self._jnp("trunc", one))
        if value is bool and one is not None:
            return f"{spoken}()", self._with(call, self._condition(one))
        if value in (max, min) and len(args) > 1 and not call.keywords:
            name = "maximum" if value is max else "minimum"
            most = args[0]
            for arg in args[1:]:
                most = self._jnp(name, most, arg)
            return f"{spoken}() of Python's", self._with(call, most)
        if value is math.log and len(args) == 2:
            over = ast.BinOp(self._jnp("log", args[0]), ast.Div(), self._jnp("log", args[1]))
            return f"{spoken}()", self._with(call, over)
        found = self._spelled(call.func)
        return f"{spoken}()", self._with(call, _call(found, args, call.keywords)) if found else ""

    def _of_truth(self, node: ast.AST, above: list[ast.AST]) -> tuple[str, str] | None:
        whole = [item for item in (node, *above) if isinstance(item, ast.expr)]
        for item in reversed(whole):
            if isinstance(item, ast.BoolOp):
                word = "and" if isinstance(item.op, ast.And) else "or"
                return f"an {word} of Python's", self._with(item, self._condition(item))
            if isinstance(item, ast.UnaryOp) and isinstance(item.op, ast.Not):
                return "a not of Python's", self._with(item, self._condition(item))
            if isinstance(item, ast.Compare) and len(item.ops) > 1:
                return "a chain of comparisons", self._with(item, self._condition(item))
        return None

    def _condition(self, node: ast.expr) -> ast.expr:
        """A condition by element: and, or, not as &, |, ~; a chain of comparisons as several."""
        match node:
            case ast.BoolOp(op=op, values=values):
                joined = self._condition(values[0])
                joiner: ast.operator = ast.BitAnd() if isinstance(op, ast.And) else ast.BitOr()
                for value in values[1:]:
                    joined = ast.BinOp(joined, joiner, self._condition(value))
                return joined
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ast.UnaryOp(ast.Invert(), self._condition(operand))
            case ast.Compare(left=left, ops=ops, comparators=right) if len(ops) > 1:
                pairs = [
                    ast.Compare(first, [op], [second])
                    for first, op, second in zip([left, *right], ops, right, strict=False)
                ]
                joined = pairs[0]
                for pair in pairs[1:]:
                    joined = ast.BinOp(joined, ast.BitAnd(), pair)
                return joined
            case _:
                return node

    def _chosen(self, node: ast.expr) -> ast.expr:
        """X if c else Y as a choice by element, those within it too."""
        if not isinstance(node, ast.IfExp):
            return node
        return self._jnp(
            "where",
            self._condition(node.test),
            self._chosen(node.body),
            self._chosen(node.orelse),
        )

    def _branch(self, node: ast.If) -> str:
        """An if statement whose sides return, or set one name, as one statement."""
        after = self._after(node)
        returned = self._returned(node, after)
        if returned is not None:
            return self._unparsed(ast.Return(returned))
        if len(node.body) != 1 or len(node.orelse) > 1:
            return ""
        one, two = _set(node.body[0]), _set(node.orelse[0]) if node.orelse else None
        if one is None or (node.orelse and (two is None or two[0] != one[0])):
            return ""
        name, value = one
        otherwise = ast.Name(name) if two is None else two[1]
        chosen = self._jnp("where", self._condition(node.test), self._chosen(value), otherwise)
        return self._unparsed(ast.Assign([ast.Name(name)], chosen))

    def _after(self, node: ast.stmt) -> ast.stmt | None:
        """The statement that follows another in the same block."""
        holder = self.place.above[self.place.above.index(node) + 1]
        for block in ("body", "orelse"):
            statements = getattr(holder, block, [])
            if node in statements and node is not statements[-1]:
                following: ast.stmt = statements[statements.index(node) + 1]
                return following
        return None

    def _returned(self, node: ast.stmt | None, after: ast.stmt | None) -> ast.expr | None:
        """What a statement returns, as one expression; None where it is not as simple as that."""
        if isinstance(node, ast.Return):
            return None if node.value is None else self._chosen(node.value)
        if not isinstance(node, ast.If) or len(node.body) != 1 or len(node.orelse) > 1:
            return None
        one = self._returned(node.body[0], None)
        two = self._returned(node.orelse[0] if node.orelse else after, after)
        if one is None or two is None:
            return None
        return self._jnp("where", self._condition(node.test), one, two)

    def _with(self, old: ast.AST, new: ast.expr) -> str:
        """The statement of the place with one expression in place of another."""
        if not self.statements:
            return ""

        class Replace(ast.NodeTransformer):
            def visit(self, node: ast.AST) -> Any:
                return new if node is old else self.generic_visit(node)

        statement = self.statements[0]
        # Of a statement that holds others, the expression alone.
        return self._unparsed(new if hasattr(statement, "body") else Replace().visit(statement))

    def _unparsed(self, node: ast.AST) -> str:
        """A statement as text, with JAX's functions in it for math's and numpy's."""
        outer = self

        class Spell(ast.NodeTransformer):
            def visit_Call(self, call: ast.Call) -> Any:
                self.generic_visit(call)
                if any(outer._is_traced(arg) for arg in call.args):
                    found = outer._spelled(call.func)
                    return _call(found, call.args, call.keywords) if found else call
                return call

        return ast.unparse(ast.fix_missing_locations(Spell().visit(node)))

    def _is_traced(self, node: ast.AST) -> bool:
        """Whether an expression has to do with a traced value, as far as names tell."""
        names = (item.id for item in ast.walk(node) if isinstance(item, ast.Name))
        return any(
            isinstance(self.place.names.get(name), jax.core.Tracer | Value) for name in names
        )


def _set(statement: ast.stmt) -> tuple[str, ast.expr] | None:
    """The one name that a statement sets, and to what."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
            return name, ast.BinOp(ast.Name(name), op, value)
    return None


def _call(name: str, args: Any, keywords: Any = ()) -> ast.expr:
    return ast.Call(ast.parse(name, mode="eval").body, list(args), list(keywords))
