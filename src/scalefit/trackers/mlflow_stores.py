"""Stores of MLflow: databases and folders of runs, with the whole history of their metrics."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from scalefit.arguments import text
from scalefit.data.files import first_line, named
from scalefit.data.limits import MOST_BYTES
from scalefit.data.text_numbers import PLAIN
from scalefit.errors import DataError, MissingExtraError, listed
from scalefit.trackers.assembly import assembled
from scalefit.trackers.histories import Histories
from scalefit.trackers.json_files import existing, quiet
from scalefit.trackers.series import TrackedRun

__all__ = ["mlflow"]

SQLITE = "sqlite:///"
# Without it MLflow 3 refuses to read a folder of runs.
ALLOW_FOLDERS = "MLFLOW_ALLOW_FILE_STORE"
ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]+:", re.IGNORECASE)


def mlflow(uri: Any, experiment: str | None = None) -> Histories:
    """Training runs of a tracking store of MLflow.

    A database or a folder that is not there yet, or has no runs, is refused instead of made. A
    database is read from a copy, since MLflow brings what it opens to its own version.

    Args:
        uri: ``sqlite:///mlflow.db``, the path of that file, the path of a folder ``mlruns``, or the
            address of a tracking server.
        experiment: name of one experiment; by default all.

    Returns:
        The histories. Parameters are those of the runs, as numbers where they read as such, and
        their tags as ``tags/...``. The state is MLflow's, lower case.

    Raises:
        ArgumentError: the experiment is no name.
        DataError: there is no such store or experiment, or no run in it; MLflow cannot read it.
        MissingExtraError: MLflow is not installed.
    """
    if experiment is not None:
        text(experiment, "experiment", remedy="Pass the name of an experiment, or experiment=None")
    address = _address(uri)
    if not address.startswith(SQLITE):
        return assembled(_opened(address, experiment, address), address)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copied = Path(folder, "mlflow.db")
        _copy(Path(address.removeprefix(SQLITE)), copied)
        return assembled(_opened(f"{SQLITE}{copied}", experiment, address), address)


def _opened(address: str, experiment: str | None, name: str) -> list[TrackedRun]:
    """The runs of a store.

    Args:
        address: where MLflow finds it.
        experiment: name of one experiment; None for all.
        name: what the caller called it.
    """
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingExtraError(
            "a store of MLflow is read by the package mlflow-skinny, which is not installed",
            extra="mlflow",
        ) from error
    with _folders_allowed(), quiet("mlflow"), warnings.catch_warnings():
        # Of what MLflow itself imports.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return _runs(MlflowClient(tracking_uri=address), experiment, name)
        except DataError:
            raise
        except ImportError as error:
            raise MissingExtraError(
                f"the store {name} needs a package that is not installed ({first_line(error)})",
                extra="mlflow",
            ) from error
        except Exception as error:  # Of MLflow, of its database, of what parses its files.
            raise DataError(
                f"MLflow cannot read the store {name} ({first_line(error).strip()[:200]})",
                remedy="Check the address, or export the runs by MLflow itself",
            ) from error


def _address(uri: Any) -> str:
    """The address of a store that is there."""
    if isinstance(uri, str) and ADDRESS.match(uri) and not uri.startswith((SQLITE, "file:")):
        return uri
    given = os.fspath(uri) if isinstance(uri, os.PathLike) else uri
    if isinstance(given, str):
        if given.startswith("file:"):
            given = unquote(re.sub(r"^file:(//)?(?=/)", "", given))
        given = given.removeprefix(SQLITE)
    place = existing(given, "uri").resolve()
    if place.is_file():
        return f"{SQLITE}{place}"
    # Each experiment is a folder with a file of this name.
    if not next(place.glob("*/meta.yaml"), None):
        raise DataError(
            f"the folder {named(place)} is no store of MLflow",
            remedy="Give the folder mlruns, or the file mlflow.db",
        )
    return place.as_uri()


def _copy(file: Path, to: Path) -> None:
    """Copy a database of MLflow, with what is in its journal."""
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise DataError(
            f"{named(file)} is {size / 2**20:.4g} MiB, more than is copied",
            remedy="Run mlflow server on it, and give the address of the server",
        )
    try:
        with (
            closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database,
            closing(sqlite3.connect(to)) as copied,
        ):
            (count,) = database.execute("SELECT count(*) FROM experiments").fetchone()
            database.backup(copied)
    except sqlite3.Error as error:
        raise DataError(
            f"{named(file)} is no database of MLflow ({first_line(error)})",
            remedy="Give the folder mlruns, or the file mlflow.db",
        ) from error
    if not count:
        raise DataError(f"{named(file)} holds no experiment", remedy="Give another store")


@contextmanager
def _folders_allowed() -> Iterator[None]:
    """While a store is read, MLflow reads folders too."""
    before = os.environ.get(ALLOW_FOLDERS)
    os.environ[ALLOW_FOLDERS] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ALLOW_FOLDERS]
        else:
            os.environ[ALLOW_FOLDERS] = before


def _runs(client: Any, experiment: str | None, name: str) -> list[TrackedRun]:
    """All runs of an experiment, or of all."""
    known = {item.name: item.experiment_id for item in _paged(client.search_experiments)}
    if experiment is not None and experiment not in known:
        raise DataError(
            f"the store {name} has no experiment {experiment!r}",
            remedy=f"Experiments: {listed(list(known))}",
        )
    wanted = list(known.values()) if experiment is None else [known[experiment]]
    order = ["attributes.start_time ASC"]
    runs = _paged(lambda **page: client.search_runs(wanted, order_by=order, **page))
    found = [_run(client, run) for run in runs]
    if not found:
        raise DataError(f"the store {name} holds no run", remedy="Name another experiment or store")
    return found


def _paged(search: Callable[..., Any]) -> Iterator[Any]:
    """All that a search finds, page by page."""
    page = search()
    while True:
        yield from page
        if not page.token:
            return
        page = search(page_token=page.token)


def _run(client: Any, run: Any) -> TrackedRun:
    """One run with its whole history."""
    config: dict[str, Any] = {key: _value(value) for key, value in run.data.params.items()}
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    config |= {f"tags/{key}": _value(value) for key, value in tags.items()}
    series = {}
    for metric in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, metric)
        # Databases return records in no order; what was logged later counts.
        points = sorted(points, key=lambda point: (point.timestamp, point.step))
        steps = np.array([point.step for point in points], dtype=np.float64)
        values = np.array([point.value for point in points], dtype=np.float64)
        series[metric] = (steps, np.where(np.isnan(values), np.inf, values))
    name = run.info.run_name or run.info.run_id
    return TrackedRun(name, series, config, run.info.status.lower(), run.info.run_id)


def _value(value: str) -> float | str:
    """A parameter, which MLflow keeps as text."""
    return float(value) if PLAIN.fullmatch(value) else value
