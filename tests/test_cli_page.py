"""Every command on the page of the command line, run in a folder with the tables it names."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import scalefit

import scalefit as sf

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"


def lines():
    """Commands of the page, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def run(line):
    """A line of the page: commands joined by pipes, of which the first may be ``cat FILE``."""
    given = b""
    for command in line.split(" | "):
        program, *words = shlex.split(command)
        if program == "cat":
            given = Path(words[0]).read_bytes()
            continue
        assert program == "scalefit"
        done = scalefit(*words, given=given)
        given = done.out.encode()
    return done


def tables(folder):
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.004, seed=3)
    runs[["N", "D", "loss"]].to_csv(folder / "runs.csv", index=False)
    other = {"params_b": runs["N"] / 1e9, "tokens_seen": runs["D"], "loss": runs["loss"]}
    type(runs)(other).to_csv(folder / "other.csv", index=False)
    better = runs["loss"] - 20 * runs["N"] ** -0.34
    kinds = np.where(runs.index % 2, "fp8", "bf16")
    mixed = runs.assign(format=kinds, loss=runs["loss"].where(kinds == "fp8", better))
    mixed.to_csv(folder / "formats.csv", index=False)
    runs.assign(run=runs.index // 2).to_csv(folder / "curves.csv", index=False)


@pytest.mark.slow
def test_every_line_of_the_page_works(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = lines()
    assert len(found) > 30
    for line in found:
        done = run(line)
        wrong = "chinchila " in line
        assert (done.code, done.err) == (2 if wrong else 0, ""), line
    assert {"fit.json", "draws.npz", "surface.png", "clean.parquet", "report.html"} <= {
        path.name for path in tmp_path.iterdir()
    }
