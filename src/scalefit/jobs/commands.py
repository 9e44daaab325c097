"""Commands of jobs: ``scalefit study CONFIG`` and ``scalefit fit-many CONFIG``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scalefit.jobs.chunks import Job

__all__ = ["register"]

Config = Annotated[Path, typer.Argument(help="File in TOML that says what to compute.")]
Output = Annotated[str | None, typer.Option(help="Folder of the results, instead of [run] output.")]
Coordinator = Annotated[
    str | None, typer.Option(help="HOST:PORT of process 0, where several processes share it.")
]
Processes = Annotated[int | None, typer.Option(help="How many processes share it.")]
Process = Annotated[int | None, typer.Option(help="Which of them this is, from 0.")]
Distributed = Annotated[
    bool, typer.Option("--distributed", help="Ask SLURM, Open MPI or Kubernetes for the three.")
]
Heartbeat = Annotated[
    int | None, typer.Option(help="Seconds after which a silent process is lost; 10 by default.")
]


def register(app: typer.Typer, panel: str | None = None) -> None:
    """Add the commands to an application.

    Args:
        app: the application.
        panel: heading of its help that they stand under.
    """
    app.command("study", short_help="Run a simulation study.", rich_help_panel=panel)(study)
    app.command("fit-many", short_help="Fit a law to many tables.", rich_help_panel=panel)(fit_many)


def study(
    config: Config,
    output: Output = None,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    distributed: Distributed = False,
    heartbeat: Heartbeat = None,
) -> None:
    """Run a simulation study from a file, in chunks that processes share."""
    # pydantic is imported only where it is needed.
    from scalefit.jobs.config import StudyFile, read_config
    from scalefit.jobs.study_job import study_job

    options = _options(output, coordinator, processes, process, distributed, heartbeat)
    given = read_config(config, StudyFile, options)
    _run(lambda: study_job(given.study, given.run.chunk), config, given)


def fit_many(
    config: Config,
    output: Output = None,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    distributed: Distributed = False,
    heartbeat: Heartbeat = None,
) -> None:
    """Fit a law to many tables from a file, in chunks that processes share."""
    from scalefit.jobs.config import FitManyFile, read_config
    from scalefit.jobs.fit_many_job import fit_many_job

    options = _options(output, coordinator, processes, process, distributed, heartbeat)
    given = read_config(config, FitManyFile, options)
    _run(lambda: fit_many_job(given.fit_many, given.run.chunk, config.parent), config, given)


def _options(
    output: str | None,
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    distributed: bool,
    heartbeat: int | None,
) -> dict[str, dict[str, Any]]:
    """Options by the table and the key that they stand for."""
    cluster = {
        "coordinator": coordinator,
        "processes": processes,
        "process": process,
        "automatic": distributed or None,
        "heartbeat": heartbeat,
    }
    # A folder of the command line is where the shell means it.
    return {"run": {"output": output and str(Path(output).absolute())}, "cluster": cluster}


def _run(make: Callable[[], Job], config: Path, given: Any) -> None:
    from scalefit.jobs.run import run

    raise typer.Exit(run(make, config.parent / given.run.output, given.cluster))
