"""Every command on the page of the command line, run in a folder with the tables it names."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import scalefit

import scalefit as sf

ROOT = Path(__file__).parents[1]


def lines(page):
    """Commands of a page, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
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
    found = lines("docs/cli.md")
    assert len(found) > 30
    for line in found:
        done = run(line)
        wrong = "chinchila " in line
        assert (done.code, done.err) == (2 if wrong else 0, ""), line
    assert {"fit.json", "draws.npz", "surface.png", "clean.parquet", "report.html"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.slow
def test_the_commands_of_the_readme_work(tmp_path, monkeypatch):
    runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0").to_frame()
    columns = {"params_m": runs.N / 1e6, "tokens_b": runs.D / 1e9, "val_loss": runs.loss}
    type(runs)(columns).to_csv(tmp_path / "sweep.csv", index=False)
    monkeypatch.chdir(tmp_path)
    found = [line for line in lines("README.md") if line.startswith("scalefit ")]
    assert len(found) == 2
    done = [run(line) for line in found]
    assert [(one.code, one.err) for one in done] == [(0, "")] * 2
    assert "chinchilla_outer predicts the held-out runs" in done[0].out
    assert (tmp_path / "fit.png").exists() and (tmp_path / "fit.html").exists()
