"""The shape of the house: what is public, who imports whom, what importing costs and changes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scalefit as sf
from scalefit.laws import Amplitude, Exponent, Offset
from scalefit.simulation import isoflop_design

SOURCE = Path(sf.__file__).parent

# Families of laws know of each other nothing.
FAMILIES = sorted(
    f"laws.{path.stem}"
    for path in (SOURCE / "laws").glob("*.py")
    if path.stem not in ("__init__", "kinds", "base", "factors")
)

# Left to right: a module imports only from its left (docs/architecture.md has the picture).
FLOW = [
    "errors",
    "arguments",
    "scope",
    "threads",
    "tracing",
    "numpy_calls",
    "source_lines",
    "formula",
    "laws.kinds",
    "laws.base",
    "laws.factors",
    *FAMILIES,
    "laws",
    "files",
    "archive",
    "units",
    "cells",
    "rules",
    "table",
    "trajectories",
    "groups",
    "objective",
    "separable",
    "basis",
    "domain",
    "report",
    "documents",
    "result",
    "literature",
    "fitting.problem",
    "fitting.model",
    "fitting.linear_solve",
    "fitting.devices",
    "fitting.projection",
    "fitting.grid",
    "fitting.arrow",
    "fitting.newton",
    "fitting.levels",
    "fitting.absolute",
    "fitting.narrowing",
    "fitting.polish",
    "fitting.checks",
    "fitting.irls",
    "fitting.restarts",
    "fitting.evidence",
    "fitting.intervals",
    "fitting.enclosures",
    "fitting.duals",
    "fitting.boxes",
    "fitting.certificate",
    "fitting.multistart",
    "fitting.pipeline",
    "fitting.landscape",
    "fitting",
    "synthetic",
    "uncertainty.estimate",
    "uncertainty.ensemble",
    "uncertainty.ground",
    "uncertainty.slopes",
    "uncertainty.leverage",
    "uncertainty.resampling",
    "uncertainty.curvature",
    "uncertainty.likelihood",
    "uncertainty.sampling",
    "uncertainty",
    "allocation.accounting",
    "allocation.formulas",
    "allocation.costs",
    "allocation.hardware",
    "allocation.waste",
    "allocation.serving",
    "allocation.line",
    "allocation.roots",
    "allocation.reduced",
    "allocation.solver",
    "allocation.question",
    "allocation.answers",
    "allocation.best",
    "allocation.remarks",
    "allocation.optimum",
    "allocation.region",
    "allocation.wasted",
    "allocation.multiple",
    "allocation",
    "isoflops.parabola",
    "isoflops.budgets",
    "isoflops.quality",
    "isoflops.sweep",
    "isoflops.envelope",
    "isoflops.bias",
    "isoflops.attribution",
    "isoflops.verdict",
    "isoflops.advice",
    "isoflops",
    "studies.descent",
    "studies.estimates",
    "studies.simulation",
    "studies",
    "plot.canvas",
    "plot.loss_surface",
    "plot.allocations",
    "plot.projected_error",
    "plot.isoflop_fans",
    "plot.gap_parts",
    "plot.bias_fans",
    "plot.parameter_pairs",
    "plot.prediction_bands",
    "plot.profile_curve",
    "plot",
    "",
    "cli",
    "__main__",
]

PUBLIC = [
    "Allocation",
    "AllocationError",
    "Amplitude",
    "ArgumentError",
    "Bounds",
    "By",
    "Coefficient",
    "Cost",
    "Covariance",
    "DataError",
    "DocumentError",
    "Ensemble",
    "Estimate",
    "Exponent",
    "Fit",
    "FitError",
    "Fraction",
    "IsoFlop",
    "Law",
    "LawError",
    "LossTable",
    "Noise",
    "Note",
    "NoteWarning",
    "Objective",
    "Offset",
    "Profile",
    "SURFACES",
    "ScalefitError",
    "Status",
    "Study",
    "advise",
    "allocate",
    "attribute",
    "bias",
    "bootstrap",
    "compute_multiplier",
    "cost",
    "covariance",
    "deadweight",
    "design_bias",
    "envelope",
    "fit",
    "grid_design",
    "isoflop",
    "isoflop_design",
    "law",
    "near_optimal",
    "optimal",
    "parabola_shift",
    "plot",
    "posterior",
    "profile",
    "published",
    "quality",
    "ratio_design",
    "read",
    "scale_of",
    "simulate",
    "study",
]


def modules():
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imported(path):
    """Modules of scalefit that a file imports when it is run (not for type checking)."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        for item in ast.walk(node) if not isinstance(node, ast.If) else []:
            if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("scalefit"):
                base = item.module.removeprefix("scalefit").lstrip(".")
                for alias in item.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    yield inner if inner in FLOW else base


def test_every_module_has_its_place_in_the_flow():
    assert {name for name, _ in modules()} == set(FLOW)


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_a_module_imports_only_from_its_left(name, path):
    for other in imported(path):
        # The version is read from the package itself when a fit is made.
        if (name, other) == ("fitting.pipeline", ""):
            continue
        assert FLOW.index(other) < FLOW.index(name), f"{name or 'scalefit'} imports {other}"
        assert not {name, other} <= set(FAMILIES), f"{name} imports {other}"


def test_public_names_are_the_ones_listed():
    inner = {
        "allocation",
        "archive",
        "arguments",
        "basis",
        "cli",
        "documents",
        "domain",
        "errors",
        "files",
        "fitting",
        "formula",
        "laws",
        "literature",
        "numpy_calls",
        "objective",
        "report",
        "result",
    }
    inner |= {
        "basis",
        "cells",
        "groups",
        "isoflops",
        "rules",
        "separable",
        "source_lines",
        "studies",
        "synthetic",
        "table",
        "scope",
        "threads",
        "tracing",
        "trajectories",
        "units",
        "uncertainty",
    }
    assert sorted(name for name in dir(sf) if name[0] != "_" and name not in inner) == PUBLIC


def test_public_functions_do_not_shadow_modules():
    for name in PUBLIC:
        if name != "plot":
            assert not (SOURCE / f"{name}.py").exists() and not (SOURCE / name).exists()


def test_every_public_function_and_class_is_documented():
    for name in PUBLIC:
        thing = getattr(sf, name)
        if callable(thing) and name not in ("Amplitude", "Coefficient", "Exponent"):
            assert thing.__doc__, name


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.strip()


def test_import_loads_neither_matplotlib_nor_scipy_nor_tqdm_nor_typer_nor_a_sampler():
    heavy = "('matplotlib', 'scipy', 'tqdm', 'typer', 'blackjax', 'arviz', 'pydantic')"
    assert run(f"import sys, scalefit; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_import_and_fit_leave_the_users_jax_configuration_alone():
    code = """
import jax, jax.numpy as jnp
before = dict(jax.config.values)
import scalefit as sf
fit = sf.fit(sf.simulate(isoflop_design(), noise=0.0))
sf.allocate(fit, 1e22)
assert dict(jax.config.values) == before
assert jnp.ones(1).dtype == 'float32'
print(max(abs(fit.params[k] / v - 1) for k, v in SURFACES['chinchilla'].items()) < 1e-12)
"""
    assert run(code) == "True"


def test_fits_are_the_same_with_x64_on_globally():
    runs = sf.simulate(isoflop_design(), noise=0.01)
    inside = sf.fit(runs)
    with jax.enable_x64(True):
        assert jnp.ones(1).dtype == "float64"
        outside = sf.fit(runs)
    assert inside.params == outside.params


def test_import_opens_no_connection():
    code = """
import socket
def refuse(*a, **k): raise AssertionError('network')
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import scalefit
print('quiet')
"""
    assert run(code) == "quiet"


def test_nothing_is_written_unasked(tmp_path):
    code = """
import os, sys
written = []
def listen(event, arguments):
    if event == 'open' and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(arguments[0])
    elif event in ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.symlink', 'os.link'):
        written.append((event, *arguments))
sys.addaudithook(listen)
import scalefit as sf
runs = sf.simulate(isoflop_design())
fit = sf.fit(runs)
draws = sf.bootstrap(fit, runs, 20, progress=False)
sf.allocate(draws, 1e22)
sf.Fit.from_json(fit.to_json())
print(written)
"""
    # Caches of other packages would go to the home folder, and temporary files to their own.
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "SCALEFIT_CACHE"), str(tmp_path))
    (tmp_path / "checkpoint.tmp").write_bytes(b"theirs")
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=tmp_path,
        env={**os.environ, **folders},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "[]\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["checkpoint.tmp"]


def test_no_fit_compiles_anything(compiled):
    @sf.law(source="a law that nothing has seen")
    def fresh(N, D, *, E: Offset, A: Amplitude, g: Exponent):
        """E + A (N D)^-g"""
        return E + A * (N * D) ** -g

    runs = sf.simulate(isoflop_design(), noise=0.01)
    halves = runs.assign(half=np.arange(len(runs)) % 2)
    sf.fit(runs, fresh)
    sf.fit(runs.iloc[:70], fresh, residual="raw", robust="none")
    sf.fit(runs, fresh, robust="l1")
    sf.fit(runs, fresh, robust="asymmetric", asymmetry=3.0, bounds={"g": (0.1, 1.0)})
    sf.fit(halves, fresh, groups={"A": "half"}, fixed={"E": 1.69})
    assert not compiled
