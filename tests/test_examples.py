"""Examples run as they stand; the README says what it does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What each example says when it has run to its end.
SAYS = {
    "quickstart": "D/N at 1e14 FLOP: 147 bytes",
    "own_law": "good: interacting describes these runs",
    "groups": "eff, fitted",
    "several_responses": "alpha of both",
    "lifetime": "were best for serving",
    "allocation": "experts",
    "diagnose": "the budget that moves it most: 1e+20",
    "catalogue": "alpha_D: 0.10",
    "search": "The optimum is global to",
    "study": "approach2",
    "uncertainty": "95 %",
    "one_column": "They cross once within",
    "mixture": "a percent more of code would lower the loss",
    "learning_rate": "no_inner_optimum: the loss is least at an end of lr",
    "own_table": "nearer to the runs in counts",
    "trackers": "mid_schedule: 2 of 75 losses",
    "safely": "left out, each under its rule",
    "next_runs": "ends of the interval of N*: 2.22 times apart",
    "report": "Of 50 rows 10 were left out: 10 fail `C > 2e17`.",
    "check": "scalefit.allocate refuses a fit to these runs",
    "holdout": "decades beyond its training",
    "shape": "Shapes near the optimum of chinchilla",
    "compare": "chosen: chinchilla_outer",
    "schedules": "WSD, last 10 % ends lowest",
    "own_sweep": "overtrained, chinchilla_outer: Predicts 10 runs",
    "many_tables": "in the median of 79 tables",
    "pool": "4 tasks by two processes, as by one",
    "skills": "f-70b is predicted to 0.0",
    "recipes": "they cross at",
    "downstream": "7B by two steps: 0.8",
    "reinforcement": "the true reward peaks at d = 4.7",
    "test_time": "coverage of 90 % takes",
}


@pytest.mark.slow
@pytest.mark.parametrize("example", SAYS)
def test_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SAYS[example] in run(ROOT / f"examples/{example}.py")


# The same of those that read public tables.
ON_PUBLIC_TABLES = {
    "llama3": "Approach 2 asks for 58% more tokens",
    "precision": "P* at 1e20 FLOP: 4.7 bits",
}


@pytest.mark.slow
@pytest.mark.parametrize("example", ON_PUBLIC_TABLES)
def test_examples_on_public_tables_run(example, data_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert ON_PUBLIC_TABLES[example] in run(ROOT / f"examples/{example}.py")


@pytest.mark.slow
@pytest.mark.parametrize("example", ["chinchilla_points", *ON_PUBLIC_TABLES])
def test_examples_say_what_is_missing_without_a_network(example, tmp_path, monkeypatch):
    for variable in ("SCALEFIT_DATA", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SCALEFIT_CACHE", str(tmp_path))
    # A port that nothing answers on.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, ROOT / f"examples/{example}.py"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "could not be downloaded" in done.stderr and "SCALEFIT_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sweep_s_pilot_is_that_of_its_records():
    lines = (ROOT / "data/sweep/pilot.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    script = (ROOT / "examples/own_sweep.py").read_text()
    shown = script.partition('PILOT = """N,D,loss\n')[2].partition('\n"""')[0].splitlines()
    assert shown == [f"{run['N']},{run['D']},{run['loss']:.5f}" for run in records]


@pytest.mark.slow
def test_bias_runs_and_draws(tmp_path):
    out = run(ROOT / "examples/bias.py", tmp_path)
    assert "exponent of N*: true 0.3628" in out
    for name in ("bias.png", "bias_parts.png"):
        assert (tmp_path / name).stat().st_size > 10_000


def test_every_example_is_run():
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert examples == {*SAYS, *ON_PUBLIC_TABLES, "chinchilla_points", "bias"}


@pytest.mark.slow
def test_chinchilla_points_run_on_the_original_file(data_folder, tmp_path, monkeypatch):
    (tmp_path / "originals").symlink_to(data_folder / "originals")
    monkeypatch.setenv("SCALEFIT_DATA", str(tmp_path))
    out = run(ROOT / "examples/chinchilla_points.py", tmp_path)
    assert "240 rows" in out and "245 rows" in out
    assert (tmp_path / "chinchilla_points.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_command_line_fits_allocates_and_draws_the_chinchilla_points(data_folder, tmp_path):
    out = run(
        "-m",
        "scalefit",
        "fit",
        data_folder / "chinchilla_epoch.csv",
        "--flops",
        "1e24",
        "--plot",
        tmp_path / "out.png",
    )
    assert "245" in out and "outliers_dominate" in out
    assert (tmp_path / "out.png").stat().st_size > 10_000


def blocks(language, page="README.md"):
    text = (ROOT / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_ci_runs_the_readmes_test_command():
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    (tests,) = (line for line in commands if "pytest" in line)
    assert tests in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=str)
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    for target in targets:
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
