"""The shape of the house: what is public, who imports whom, what importing costs and changes."""

import ast
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median

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
    if path.stem
    not in (
        "__init__",
        "kinds",
        "relations",
        "signature",
        "pickling",
        "base",
        "factors",
        "law_table",
    )
)

# Left to right: a module imports only from its left (docs/architecture.md has the picture).
FLOW = [
    "errors",
    "frozen",
    "note_codes.code",
    "note_codes.fits",
    "note_codes.tables",
    "note_codes.designs",
    "note_codes.answers",
    "note_codes.draws",
    "note_codes.approach2",
    "note_codes.next_runs",
    "note_codes.diagnosis",
    "note_codes.holdout",
    "note_codes.comparisons",
    "note_codes.skills",
    "note_codes",
    "notes",
    "arguments",
    "calls",
    "version",
    "reporting",
    "reporting.numbers",
    "reporting.description",
    "reporting.render",
    "reporting.described",
    "runtime",
    "runtime.forks",
    "runtime.progress",
    "runtime.settings",
    "runtime.threads",
    "runtime.meshes",
    "tracing",
    "tracing.primitives",
    "tracing.exponentials",
    "tracing.operations",
    "tracing.numpy_calls",
    "tracing.source_lines",
    "tracing.reading",
    "tracing.formula",
    "laws.kinds",
    "laws.relations",
    "laws.signature",
    "laws.pickling",
    "laws.base",
    "laws.factors",
    *FAMILIES,
    "laws.law_table",
    "laws",
    "data",
    "data.files",
    "data.containers",
    "data.limits",
    "data.separated_text",
    "data.json_tables",
    "data.binary_tables",
    "data.readers",
    "data.units",
    "data.text_numbers",
    "data.cells",
    "data.rule_values",
    "data.row_filter",
    "data.column_units",
    "data.column_names",
    "data.column_checks",
    "data.loss_units",
    "data.column_guesses",
    "data.other_laws",
    "data.plain_frames",
    "data.interpretation",
    "data.dropped_rows",
    "data.several_responses",
    "data.table_notes",
    "data.row_labels",
    "data.table_report",
    "data.table",
    "data.subsets",
    "data.trajectories",
    "data.repeated_cells",
    "data.grouping",
    "data.budgets",
    "data.flops_convention",
    "datasets.registry",
    "datasets.parsers",
    "datasets.sources",
    "datasets.loading",
    "datasets",
    "trackers.series",
    "trackers.json_files",
    "trackers.headers",
    "trackers.run_rules",
    "trackers.checkpoints",
    "trackers.tables",
    "trackers.histories",
    "trackers.assembly",
    "trackers.trainer_states",
    "trackers.wandb_folders",
    "trackers.wandb_exports",
    "trackers.event_files",
    "trackers.mlflow_stores",
    "trackers.log_files",
    "trackers",
    "objective",
    "problem",
    "problem.probe",
    "problem.separability",
    "problem.basis",
    "problem.problem",
    "problem.options",
    "problem.prepare",
    "problem.response_groups",
    "results.status",
    "results.domain",
    "results.estimate",
    "results.verdict",
    "results.schema",
    "results.consistency",
    "results.archive",
    "results.parameters",
    "results.diagnostics",
    "results.certificate",
    "results.prediction",
    "results.remembered_columns",
    "results.dependence",
    "results.chi_squared",
    "results.serialization",
    "results.fit_report",
    "results.fit",
    "results.surface",
    "results.literature",
    "results",
    "certification",
    "certification.rounding",
    "certification.intervals",
    "certification.taylor",
    "certification.interval_programs",
    "certification.enclosures",
    "certification.conjugates",
    "certification.row_models",
    "certification.huber_conjugates",
    "certification.losses",
    "certification.nonnegative",
    "certification.boxes",
    "certification.interior_point",
    "certification.relaxation",
    "certification.level_models",
    "certification.level_shares",
    "certification.order",
    "certification.ranges",
    "certification.anchors",
    "certification.proposals",
    "certification.branch_bound",
    "certification.certify",
    "fitting",
    "fitting.model",
    "fitting.linear_solve",
    "fitting.devices",
    "fitting.basis_columns",
    "fitting.normal_equations",
    "fitting.active_sets",
    "fitting.projection",
    "fitting.grid",
    "fitting.ranking",
    "fitting.arrow",
    "fitting.curvature",
    "fitting.drawn",
    "fitting.tables",
    "fitting.scaled_objective",
    "fitting.newton",
    "fitting.derivative_stack",
    "fitting.dense_objective",
    "fitting.level_sums",
    "fitting.level_columns",
    "fitting.level_relaxation",
    "fitting.level_objective",
    "fitting.objective_setup",
    "fitting.end_points",
    "fitting.l1_state",
    "fitting.l1_interior_point",
    "fitting.l1_active_set",
    "fitting.l1",
    "fitting.huber_continuation",
    "fitting.device_scan",
    "fitting.device_polish",
    "fitting.polish",
    "fitting.design_checks",
    "fitting.irls",
    "fitting.restarts",
    "fitting.diagnostics",
    "fitting.engine",
    "fitting.search",
    "fitting.multistart",
    "fitting.known_errors",
    "fitting.prepared_fit",
    "fitting.column_paths",
    "fitting.derivatives",
    "fitting.law_slopes",
    "fitting.proposed_calls",
    "fitting.dependence_notes",
    "fitting.run_notes",
    "fitting.fit_notes",
    "fitting.fitted_rows",
    "fitting.residual_patterns",
    "fitting.outlying_rows",
    "fitting.explaining_columns",
    "fitting.misfit_notes",
    "fitting.judgement",
    "fitting.api",
    "fitting.refits",
    "fitting.landscape",
    "many.reading",
    "many.stacks",
    "many.programs",
    "many.search",
    "many.judging",
    "many.around",
    "many.outlying",
    "many.misfit",
    "many.noting",
    "many.intervals",
    "many.result",
    "many.rows",
    "many.api",
    "many",
    "simulation.designs",
    "simulation.noise",
    "simulation.tables",
    "simulation",
    "inference.fitted_data",
    "inference.subset_fits",
    "inference.run_noise",
    "inference.replicates",
    "inference.draw_files",
    "inference.interval_table",
    "inference.parameter_functions",
    "inference.ensemble",
    "inference.leverage",
    "inference.resampling",
    "inference.replicate_notes",
    "inference.bootstrap",
    "inference.covariance_matrix",
    "inference.covariance",
    "inference.profiled_quantity",
    "inference.profile_path",
    "inference.profile_likelihood",
    "inference.posterior_density",
    "inference.posterior",
    "inference",
    "allocation.flop_counts",
    "allocation.column_functions",
    "allocation.cost_model",
    "allocation.costs",
    "allocation.hardware",
    "allocation.additive_optimum",
    "allocation.inference_costs",
    "allocation.problem_form",
    "allocation.roots",
    "allocation.problem_batch",
    "allocation.token_elimination",
    "allocation.reduced_objective",
    "allocation.size_search",
    "allocation.lattice_search",
    "allocation.solver",
    "allocation.size_range",
    "allocation.optimum_derivatives",
    "allocation.function_checks",
    "allocation.problem_options",
    "allocation.search_ranges",
    "allocation.missing_columns",
    "allocation.problem",
    "allocation.result",
    "allocation.solve",
    "allocation.unit_checks",
    "allocation.refusals",
    "allocation.optimum_notes",
    "allocation.optimum",
    "allocation.optimum_functions",
    "allocation.near_optimality",
    "allocation.deadweight_compute",
    "allocation.paired_draws",
    "allocation.law_roots",
    "allocation.inverse",
    "allocation.column_multiplier",
    "allocation.ranges",
    "allocation.crossings",
    "allocation.multiplier",
    "allocation.simplex_search",
    "allocation.column_derivatives",
    "allocation.mixture_objective",
    "allocation.mixture_options",
    "allocation.mixture_result",
    "allocation.mixture_notes",
    "allocation.mixture_optimum",
    "allocation.law_minima",
    "allocation.optimal_columns",
    "allocation",
    "shapes.fields",
    "shapes.products",
    "shapes.transformer",
    "shapes.huggingface",
    "shapes.columns",
    "shapes.rules",
    "shapes.nearest_shapes",
    "shapes",
    "approach2.power_laws",
    "approach2.parabola",
    "approach2.curve_vertices",
    "approach2.outlier_runs",
    "approach2.sweeps",
    "approach2.run_quality",
    "approach2.cell_outliers",
    "approach2.sweep_vertices",
    "approach2.frontier",
    "approach2.budget_vertices",
    "approach2.isoflop_notes",
    "approach2.isoflop_fit",
    "approach2.envelope_fit",
    "approach2.design_error",
    "approach2.attribution_steps",
    "approach2.attribution",
    "approach2.resamples",
    "approach2.bias_report",
    "approach2.bias_variants",
    "approach2.bias_notes",
    "approach2.comparison",
    "approach2.planned_sweeps",
    "approach2.design_advice",
    "approach2",
    "validation.folds",
    "validation.fold_predictions",
    "validation.targets",
    "validation.left_out_blocks",
    "validation.linearised",
    "validation.residual_trends",
    "validation.smooth_pattern",
    "validation.swings",
    "validation.objective_sensitivity",
    "validation.diagnosis",
    "validation.diagnosis_notes",
    "validation.fit_diagnosis",
    "validation.calibration",
    "validation.predictive",
    "validation.hold_out_result",
    "validation.hold_out_notes",
    "validation.hold_out",
    "validation.candidates",
    "validation.comparison_folds",
    "validation.training_noise",
    "validation.paired_differences",
    "validation.nesting",
    "validation.nested_tests",
    "validation.information_criteria",
    "validation.comparison_result",
    "validation.compare_laws",
    "validation.likelihood_ratio",
    "validation.coefficient_units",
    "validation.published_comparison",
    "validation.compare_published",
    "validation",
    "skills.scores",
    "skills.solver",
    "skills.rotation",
    "skills.latent",
    "skills.families_out",
    "skills.observational",
    "skills",
    "design.sensitivities",
    "design.prior_information",
    "design.criteria",
    "design.exchange",
    "design.run_candidates",
    "design.targets",
    "design.rivals",
    "design.reweighting",
    "design.chosen_runs",
    "design.run_selection",
    "design.replicate_noise",
    "design.expected_errors",
    "design.spans",
    "design.findings",
    "design.design_check",
    "design.check",
    "design",
    "studies.approach3",
    "studies.estimates",
    "studies.study",
    "studies",
    "plot.style",
    "plot.canvas",
    "plot.measured_runs",
    "plot.drawn_lines",
    "plot.line_colours",
    "plot.curve_artists",
    "plot.loss_curves",
    "plot.residual_points",
    "plot.residual_panels",
    "plot.observed_losses",
    "plot.law_predictions",
    "plot.law_errors",
    "plot.loss_surface",
    "plot.four_panels",
    "plot.allocations",
    "plot.projected_error",
    "plot.held_out_errors",
    "plot.isoflop_fans",
    "plot.gap_parts",
    "plot.bias_fans",
    "plot.parameter_pairs",
    "plot.prediction_bands",
    "plot.profile_curve",
    "plot.chosen_runs",
    "plot.diagnosis_panels",
    "plot",
    "documents.content",
    "documents.material",
    "documents.checklist",
    "documents.figures",
    "documents.references",
    "documents.reproduction",
    "documents.sections",
    "documents.html_page",
    "documents.markdown_text",
    "documents.latex_text",
    "documents.result",
    "documents",
    "documents.api",
    "",
    "jobs",
    "jobs.chunks",
    "jobs.config",
    "jobs.parts",
    "jobs.study_job",
    "jobs.fit_many_job",
    "jobs.supervision",
    "jobs.cluster",
    "jobs.run",
    "jobs.commands",
    "cli.exit_codes",
    "cli.completion",
    "cli.options",
    "cli.pairs",
    "cli.checks",
    "cli.places",
    "cli.translation",
    "cli.printing",
    "cli.documents",
    "cli.schema",
    "cli.error_documents",
    "cli.tables",
    "cli.fitted",
    "cli.fit_commands",
    "cli.budget_commands",
    "cli.sweep_commands",
    "cli.judgement_commands",
    "cli.table_commands",
    "cli.lookup_commands",
    "cli.application",
    "cli",
    "__main__",
]


def modules():
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imported(path):
    """Modules of scalefit that a file imports, wherever it does: for types and in functions too."""
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.ImportFrom) and (item.module or "").split(".")[0] == "scalefit":
            base = item.module.removeprefix("scalefit").lstrip(".")
            for alias in item.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                yield inner if inner in FLOW else base
        elif isinstance(item, ast.Import):
            for alias in item.names:
                if alias.name.split(".")[0] == "scalefit":
                    yield alias.name.removeprefix("scalefit").lstrip(".")


def test_every_module_has_its_place_in_the_flow():
    assert {name for name, _ in modules()} == set(FLOW)


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_a_module_imports_only_from_its_left(name, path):
    for other in imported(path):
        assert FLOW.index(other) < FLOW.index(name), f"{name or 'scalefit'} imports {other}"
        assert not {name, other} <= set(FAMILIES), f"{name} imports {other}"


def bodies(path):
    """Lines of every function of a file, without signature and docstring, by name."""
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.FunctionDef):
            first = item.body[0]
            plain = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            body = item.body[1:] if plain else item.body
            if body:
                yield item.name, body[-1].end_lineno - body[0].lineno + 1


def test_functions_and_files_are_small():
    lengths = {(name, item): n for name, path in modules() for item, n in bodies(path)}
    assert {key: n for key, n in lengths.items() if n > 60} == {}
    assert median(lengths.values()) <= 6
    files = {name: len(path.read_text().splitlines()) for name, path in modules()}
    assert {name: n for name, n in files.items() if n > 500} == {}


def test_rooms_lie_side_by_side():
    rooms = [name.split(".")[0] for name in FLOW]
    changes = [room for room, after in pairwise(rooms) if room != after]
    assert len(changes) == len(set(changes))


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.strip()


# Names of scalefit are imported when they are asked for.
EVERYTHING = "import sys, scalefit; [getattr(scalefit, name) for name in scalefit.__all__]"


def test_import_loads_neither_matplotlib_nor_scipy_nor_tqdm_nor_typer_nor_pooch_nor_a_sampler():
    heavy = (
        "('matplotlib', 'scipy', 'tqdm', 'typer', 'blackjax', 'arviz', 'pydantic', 'latex2mathml', "
        "'pooch', 'requests', 'narwhals', 'polars', 'openpyxl', 'wandb', 'tensorboard', 'mlflow', "
        "'transformers', 'yaml')"
    )
    code = f"{EVERYTHING}; print([m for m in {heavy} if m in sys.modules])"
    assert run(code) == "[]"


def test_import_loads_neither_jax_nor_numpy_nor_pandas():
    code = "import sys, scalefit.version; print({'jax', 'numpy', 'pandas'} & set(sys.modules))"
    assert run(code) == "set()"


def test_public_names_are_where_the_type_checker_finds_them():
    """Names are imported when they are asked for; the imports that editors read say the same."""
    typed = next(
        item
        for item in ast.parse((SOURCE / "__init__.py").read_text()).body
        if isinstance(item, ast.If)
    )
    found = {
        alias.name: item.module.removeprefix("scalefit.")
        for item in typed.body
        for alias in item.names
    }
    rooms = {name for name, place in found.items() if place == "scalefit"}
    assert {name: place for name, place in found.items() if name not in rooms} == sf._PLACES
    assert rooms | set(sf._PLACES) == set(sf.__all__)
    assert all(getattr(sf, name) is not None for name in sf.__all__)


def test_names_are_imported_by_many_threads_at_once():
    code = """
import scalefit
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
together = Barrier(len(scalefit.__all__))
def ask(name):
    together.wait()
    return getattr(scalefit, name)
with ThreadPoolExecutor(len(scalefit.__all__)) as pool:
    print(len(list(pool.map(ask, scalefit.__all__))) == len(scalefit.__all__))
"""
    assert run(code) == "True"


def test_a_name_is_absent_or_its_import_fails_as_it_is():
    for name in ("nothing", "a.b", "", "__wrapped__"):
        assert not hasattr(sf, name)
    code = """
import sys, scalefit
sys.modules['scalefit.data.table'] = None
try:
    scalefit.read
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code) == "scalefit.data.table"


def test_import_and_fit_leave_the_users_jax_configuration_alone():
    code = """
import jax, jax.numpy as jnp
before = dict(jax.config.values)
import scalefit as sf
from scalefit.simulation import SURFACES, isoflop_design
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
"""
    assert run(f"{code}{EVERYTHING}; print('quiet')") == "quiet"


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
runs = sf.simulate(sf.simulation.isoflop_design())
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
