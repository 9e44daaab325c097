"""The public surface of the library as text: names, signatures, methods and fields."""

import ast
import importlib
import inspect
import re
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import scalefit as sf

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("public_surface.txt")
REFERENCE = ROOT / "docs/reference"
MODULES = [thing for name in sf.__all__ if inspect.ismodule(thing := getattr(sf, name))]


def public(module: ModuleType) -> dict[str, Any]:
    """What a module offers: what ``__all__`` lists, or what it re-exports and defines."""
    names = getattr(module, "__all__", None) or [
        name
        for item in ast.parse(Path(str(module.__file__)).read_text()).body
        for name in _exported(item)
        if not name.startswith("_")
    ]
    return {name: getattr(module, name) for name in sorted(names)}


def _exported(item: ast.stmt) -> list[str]:
    match item:
        case ast.ImportFrom(names=found):
            return [alias.name for alias in found if alias.asname == alias.name]
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
    return []


def resolved(path: str) -> Any:
    """The object of a dotted path, as ``scalefit.objective.Objective``."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(path)


def documented() -> dict[str, Any]:
    """Every object of the reference, by its path."""
    text = "\n".join(page.read_text() for page in sorted(REFERENCE.glob("*.md")))
    paths = re.findall(r"^::: (\S+)", text, flags=re.MULTILINE)
    return {path: resolved(path) for path in paths}


def _signature(function: Any) -> str:
    """Parameters and defaults, without annotations."""
    try:
        found = inspect.signature(function)
    except ValueError:
        return "(...)"
    plain = [item.replace(annotation=item.empty) for item in found.parameters.values()]
    text = str(found.replace(parameters=plain, return_annotation=found.empty))
    return re.sub(r"<function (\w+) at 0x\w+>", r"\1", text)


def _members(kind: type) -> list[str]:
    """Fields, properties and methods of a class of the library, with those that it inherits."""
    found = {}
    if is_dataclass(kind):
        found |= {item.name: item.name for item in fields(kind) if not item.name.startswith("_")}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("scalefit"):
            continue
        for name, member in vars(base).items():
            inner = getattr(member, "__func__", member)
            if name.startswith("_") and name != "_repr_html_":
                continue
            if inspect.isfunction(inner):
                found[name] = name + _signature(inner)
            elif not name.startswith("_") and name not in found:
                found[name] = name
    return [found[name] for name in sorted(found)]


def lines(path: str, thing: Any) -> list[str]:
    """One public object: a line, and one for each member of a class."""
    if inspect.isclass(thing):
        bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
        members = list(thing.__members__) if issubclass(thing, Enum) else _members(thing)
        return [f"class {path}({bases})", *(f"    {member}" for member in members)]
    if inspect.isfunction(thing):
        return [path + _signature(thing)]
    if isinstance(thing, sf.Law):
        return [f"{path}({', '.join(thing.columns)}, *, {', '.join(thing.names)})"]
    return [f"{path}: {type(thing).__name__}"]


def surface() -> str:
    """All of it: the top, the public modules, and what else the reference documents."""
    things = {f"scalefit.{name}": thing for name, thing in public(sf).items()}
    for module in MODULES:
        things |= {f"{module.__name__}.{name}": thing for name, thing in public(module).items()}
    things |= documented()
    found, paths = [], {}
    for path, thing in sorted(things.items(), key=lambda item: (item[0].count("."), item[0])):
        first = paths.setdefault(id(thing), path)
        found.append(lines(path, thing) if first == path else [f"{path} is {first}"])
    return "".join(f"{line}\n" for item in sorted(found) for line in item)


if __name__ == "__main__":
    FILE.write_text(surface())
