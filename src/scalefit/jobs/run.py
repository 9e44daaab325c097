"""A job as it is run: each process computes the chunks of its number, whatever the others do."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from scalefit.errors import FitError, ScalefitError
from scalefit.jobs.chunks import Job
from scalefit.jobs.cluster import Place, Shared, join, leave, loss
from scalefit.jobs.config import Cluster
from scalefit.jobs.parts import Folder, require_parquet
from scalefit.jobs.supervision import supervised

__all__ = ["BAD_INPUT", "NO_FIT", "UNFINISHED", "run"]

# Exit codes.
BAD_INPUT, NO_FIT, UNFINISHED, INTERRUPTED = 2, 3, 4, 130

# Seconds between looks at what the other processes have finished.
LOOK = 0.2
# Seconds until a shared folder shows everywhere what was written into it.
SETTLING = 60.0

AGAIN = "start the same command again to finish the rest"


def run(make: Callable[[], Job], output: Path, cluster: Cluster) -> int:
    """Exit code of a job; what there is to say is printed.

    Args:
        make: the job, which may have to be read from files.
        output: folder of the results.
        cluster: the processes that share it.
    """
    found: list[Job] = []

    def prepared() -> int:
        require_parquet()
        found.append(make())
        return 0

    if code := _guarded(prepared):
        return code
    job = found[0]
    folder = Folder(output, job.digest, job.chunks)
    if cluster.alone:
        return _guarded(lambda: _work(job, folder, Place()))
    shared = Shared()

    def work() -> int:
        place = join(cluster)
        shared.tell(place)
        return _work(job, folder, place)

    def ended(number: int, said: str) -> int:
        _say(f"{loss(shared.told(), cluster, number, said)}; {_state(job, folder)}")
        return UNFINISHED

    return supervised(lambda: _guarded(work), ended)


def _work(job: Job, folder: Folder, place: Place) -> int:
    """Exit code of a process that does its share; the first one has the last word."""
    folder.prepare(job.plan)
    _share(job, folder, place)
    if place.processes > 1:
        leave()
    return 0 if place.process else _end(job, folder)


def _share(job: Job, folder: Folder, place: Place) -> None:
    """Compute the chunks of a process that are not there yet."""
    # Imported here: tqdm imports asyncio, which nothing else needs.
    from tqdm.auto import tqdm

    with tqdm(
        total=job.chunks, initial=folder.count(), unit="chunk", disable=place.process > 0
    ) as bar:
        for chunk in range(place.process, job.chunks, place.processes):
            if not folder.finished(chunk):
                _compute(job, folder, chunk)
            bar.update(folder.count() - bar.n)
        while place.process == 0 and bar.n < job.chunks:
            time.sleep(LOOK)
            bar.update(folder.count() - bar.n)


def _compute(job: Job, folder: Folder, chunk: int) -> None:
    try:
        folder.write(chunk, job.compute(chunk))
    except Exception as error:
        error.add_note(f"in chunk {chunk}, {job.named(chunk)}; {_state(job, folder)}")
        raise


def _end(job: Job, folder: Folder) -> int:
    """Say what is there in the end."""
    until = time.monotonic() + SETTLING
    while missing := [chunk for chunk in range(job.chunks) if not folder.finished(chunk)]:
        if time.monotonic() > until:
            _say(f"chunk {missing[0]} is missing; {_state(job, folder)}")
            return UNFINISHED
        time.sleep(LOOK)
    folder.tidy()
    sys.stdout.write(f"{job.summary(folder.read)}\nresults in {folder.path}\n")
    return 0


def _guarded(work: Callable[[], int]) -> int:
    """Exit code of work, its errors printed."""
    try:
        return work()
    except ScalefitError as error:
        _say(" ".join([str(error), *(f"({note})" for note in getattr(error, "__notes__", ()))]))
        return NO_FIT if isinstance(error, FitError) else BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return 1


def _state(job: Job, folder: Folder) -> str:
    return f"{folder.count()} of {job.chunks} chunks are finished and stay valid: {AGAIN}"


def _say(text: str) -> None:
    sys.stderr.write(f"scalefit: {text}\n")
