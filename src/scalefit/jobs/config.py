"""Files that say what a job is, in TOML: every key with its type.

pydantic takes a tenth of a second to import: this module is imported only where a job is run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from scalefit.arguments import shown
from scalefit.data.files import named, open_regular, reason
from scalefit.errors import ArgumentError, DataError

__all__ = [
    "Cluster",
    "FitManyFile",
    "FitManyTable",
    "Run",
    "StudyFile",
    "StudyTable",
    "read_config",
]

File = TypeVar("File", bound=BaseModel)

Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True)


class Run(_Table):
    """Where results go, and how many tables make a chunk."""

    output: Text
    chunk: Count | None = None


class Cluster(_Table):
    """The processes that share a job, as :func:`jax.distributed.initialize` takes them."""

    coordinator: Text | None = None
    processes: Count | None = None
    process: Number | None = None
    automatic: bool = False
    # Seconds. Shorter ones end runs whose host was only busy.
    heartbeat: Annotated[int, Field(ge=3)] = 10
    start: Count = 300

    @property
    def alone(self) -> bool:
        """Whether one process does it all."""
        return (
            not self.automatic and (self.coordinator, self.processes, self.process) == (None,) * 3
        )


class StudyTable(_Table):
    """Arguments of :func:`scalefit.studies.simulation_study`."""

    settings: Annotated[dict[str, Any], Field(min_length=1)]
    seeds: Count | Annotated[list[Number], Field(min_length=1)] = 256
    methods: Texts = ["surface", "approach2"]
    design: Literal["isoflop", "grid", "ratio"] = "isoflop"
    flops: float | None = None
    residual: str = "raw"
    robust: str = "none"
    delta: float = 1e-3
    slow_seeds: Count = 16
    devices: str | None = None


class FitManyTable(_Table):
    """Arguments of :func:`scalefit.fit_many`, and the files that hold the tables."""

    tables: Text | Texts
    by: Text | Texts | None = None
    level: Annotated[float, Field(gt=0, lt=1)] | None = None
    law: str = "chinchilla"
    residual: str = "log"
    robust: str = "huber"
    delta: float = 1e-3
    asymmetry: float = 10.0
    sigma: float | Text | None = None
    fixed: dict[str, float] = {}
    bounds: dict[str, Pair] = {}
    tied: list[Annotated[list[Text], Field(min_length=2)]] = []
    keep: list[Text] = []
    missing: str = "raise"
    loss_unit: str | None = None
    bytes_per_token: float | None = None
    devices: str | None = None
    columns: dict[str, Text | list[Any]] = {}


class StudyFile(_Table):
    """What ``scalefit study`` reads."""

    study: StudyTable
    run: Run
    cluster: Cluster = Cluster()


class FitManyFile(_Table):
    """What ``scalefit fit-many`` reads."""

    fit_many: FitManyTable
    run: Run
    cluster: Cluster = Cluster()


def read_config(path: Path, kind: type[File], options: Mapping[str, Mapping[str, Any]]) -> File:
    """A checked file.

    Args:
        path: of a file in TOML.
        kind: what it holds.
        options: of the command line, by table; None where not given. They take the place of keys.

    Raises:
        DataError: it cannot be read, or is no TOML.
        ArgumentError: a key that is unknown or missing, or a value that is not of its type.
    """
    try:
        with open_regular(path) as file:
            data = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{named(path)} cannot be read as TOML ({reason(error)})",
            remedy="See Large jobs in the documentation for whole files",
        ) from error
    for table, given in options.items():
        found = data.setdefault(table, {})
        if isinstance(found, dict):
            found.update({key: value for key, value in given.items() if value is not None})
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as error:
        raise _refused(path, kind, error.errors(include_url=False)[0]) from None


def _refused(path: Path, kind: type[BaseModel], error: Any) -> ArgumentError:
    """What pydantic found, as a sentence with the key and its value."""
    # Of a key with several types, the place ends in the one that was tried.
    keys = [key for key in error["loc"] if isinstance(key, int) or str(key).isidentifier()]
    where = ".".join(map(str, keys))
    known = _known(kind, keys[:-1])
    if error["type"] == "extra_forbidden":
        problem, remedy = f"{where} is no key", f"Known here: {', '.join(known)}"
    elif error["type"] == "missing":
        problem, remedy = f"{where} is missing", "Add it: see Large jobs in the documentation"
    else:
        should = error["msg"].removeprefix("Input should be ")
        problem = f"{where} = {shown(error['input'])} should be {should}"
        remedy = "Correct it: see Large jobs in the documentation"
    return ArgumentError(
        f"{named(path)}: {problem}", argument=where, value=error["input"], remedy=remedy
    )


def _known(kind: type[BaseModel], keys: list[Any]) -> list[str]:
    """Keys of the table at this place."""
    for key in keys:
        field = kind.model_fields.get(str(key))
        if field is None or not isinstance(field.annotation, type):
            break
        kind = field.annotation
    return list(kind.model_fields)
