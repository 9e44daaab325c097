"""What long calls show while they run: on a terminal, in a notebook, and nowhere else."""

import inspect
import io
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr

import pytest
import tqdm

import scalefit as sf
from scalefit.runtime import progress
from scalefit.runtime.progress import compiling, counting, with_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.01)


def said_by(call, terminal=True, **options):
    """What a call writes to standard error."""
    with redirect_stderr(Terminal() if terminal else io.StringIO()) as written:
        call(**options)
    return written.getvalue()


class Program:
    """Stands for one by ``jax.jit``."""


@with_progress
def inner(*, progress=True):
    with counting("polishing", 20, "starts") as stage:
        stage.update(7)
        time.sleep(0.1)


@with_progress
def outer(*, program, progress=True):
    with compiling(program, [1.0], "the sampler"):
        time.sleep(0.1)
    with counting("fitting", 3, "laws") as stage:
        stage.update()
        with compiling(program, [1.0], "the sampler"):
            inner()


def test_a_call_says_what_it_counts_and_what_it_compiles_and_leaves_nothing():
    said = said_by(outer, program=Program())
    compiled, counted = "outer: compiling the sampler, once [", "outer: fitting, polishing 7/20:"
    assert counted in said[said.index(compiled) :]
    assert "| 1/3 laws [" in said
    # Compiled once, and the inner call has no line of its own.
    assert "compiling" not in said[said.index(counted) :]
    assert "inner" not in said
    *_, last, end = said.split("\r")
    assert (last.strip(), end) == ("", "")


def test_nothing_is_shown_off_a_terminal_nor_unasked_nor_of_a_short_call(monkeypatch):
    assert said_by(inner)
    assert said_by(inner, terminal=False) == ""
    assert said_by(inner, progress=False) == ""
    monkeypatch.setattr(progress, "DELAY", 10.0)
    began = time.monotonic()
    assert said_by(inner) == ""
    assert time.monotonic() - began < 5


class Broken(Terminal):
    def write(self, text):
        raise OSError("the terminal is gone")


class Writer:
    def write(self, text):
        pass


@pytest.mark.parametrize("stream", [None, Writer(), Terminal(), Broken()])
def test_a_call_succeeds_whatever_standard_error_is_and_leaves_no_thread(monkeypatch, stream):
    monkeypatch.setattr(tqdm.tqdm, "monitor", None)
    monkeypatch.setattr(threading, "excepthook", lambda given: complaints.append(given))
    complaints, before = [], threading.enumerate()
    with redirect_stderr(stream):
        inner()
    assert complaints == []
    assert threading.enumerate() == before
    # Held by a thread that is gone, the lock would stop whoever uses tqdm next, and cannot be
    # released here.
    tqdm.tqdm.get_lock().acquire(False)
    tqdm.tqdm.get_lock().release()


def test_nothing_is_shown_where_standard_error_is_closed(tmp_path):
    with (tmp_path / "closed").open("w") as closed:
        pass
    with redirect_stderr(closed):
        inner()


def test_every_long_call_takes_progress_in_the_same_way():
    calls = {
        getattr(module, name)
        for module in (sf, sf.skills, sf.studies)
        for name in module.__all__
        if "progress" in getattr(inspect.unwrap(getattr(module, name)), "__annotations__", {})
    }
    assert {sf.fit, sf.bootstrap, sf.posterior, sf.compare, sf.holdout, sf.fit_many} < calls
    for call in calls:
        options = inspect.signature(call).parameters
        assert options["progress"].kind is inspect.Parameter.KEYWORD_ONLY
        assert options["progress"].default is True
        needed = {
            name: None
            for name, item in options.items()
            if item.default is item.empty
            and item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
        }
        with pytest.raises(sf.errors.ArgumentError, match="progress=1 is not True or False"):
            call(**needed, progress=1)


@pytest.mark.slow
def test_a_notebook_without_widgets_shows_no_red_box(tmp_path):
    """Import, fit, draws and a long call: no output on standard error, and a line that goes."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = """
import nbformat
from nbclient import NotebookClient
cells = [
    "import sys; sys.modules['ipywidgets'] = None",
    "import scalefit as sf; runs = sf.simulate(sf.simulation.isoflop_design()); sf.fit(runs)",
    "from scalefit.runtime import progress; progress.DELAY = progress.EVERY = 0.01",
    "sf.bootstrap(sf.fit(runs), runs, 3000)",
]
cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
book, said = nbformat.v4.new_notebook(cells=cells), []
class Client(NotebookClient):
    def process_message(self, message, cell, index):
        if message["msg_type"] == "update_display_data":
            said.append(message["content"]["data"]["text/plain"])
        return super().process_message(message, cell, index)
Client(book, timeout=200, kernel_name="python3").execute()
outputs = [item for cell in book.cells for item in cell.outputs]
lines = [item.data["text/html"] for item in outputs if item.output_type == "display_data"]
print({item.output_type for item in outputs} == {"execute_result", "display_data"})
print(any("3,000 refits" in line for line in said), said[-1] == "", set(lines) == {""})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, cwd=tmp_path
    )
    assert done.stdout.split() == ["True"] * 4, done.stdout + done.stderr
