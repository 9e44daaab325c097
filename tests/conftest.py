"""Fixtures shared by all tests."""

import os
from pathlib import Path

import jax
import matplotlib
import matplotlib.pyplot as plt
import pytest
import references
from compilations import compilations

matplotlib.use("agg")

# Every test shows that a user who is as strict can call us, too.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Programs of tests run once or twice.
jax.config.update("jax_disable_most_optimizations", True)


# Files by their seconds, the longest first, in one tier or the other. What takes longest begins
# first, so that no process of a parallel run works on when the others have ended.
LONGEST = [
    *(
        "test_examples.py",
        "test_pages.py",
        "test_invariants.py",
        "test_catalogue.py",
        "test_devices.py",
    ),
    *("test_coverage.py", "test_campaign.py", "test_circumstances.py", "test_posterior.py"),
    *("test_remedies.py", "test_farseer.py", "test_branch_bound.py", "test_global.py"),
    *("test_levels.py", "test_compare.py", "test_border.py", "test_l1.py", "test_cli.py"),
    *("test_huber_proofs.py", "test_newton.py", "test_multistart.py", "test_house.py"),
]


# Read by type checkers, and not run.
collect_ignore = ["typed_user.py"]


def pytest_collection_modifyitems(items):
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """pyplot keeps what is drawn until it is closed, and warns when it is much."""
    yield
    plt.close("all")


@pytest.fixture
def optimised():
    """Programs compiled anew, as users' are."""
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real loss tables, named by SCALEFIT_DATA.

    Without the variable the tests of real tables are skipped. With it, a missing file is a failure:
    whoever set the variable wants them run.
    """
    folder = os.environ.get("SCALEFIT_DATA")
    if folder is None:
        pytest.skip("real tables: set SCALEFIT_DATA to the folder that holds them")
    return Path(folder).resolve(strict=True)


@pytest.fixture
def compiled():
    """What XLA has compiled since the test began, an event for each program."""
    with compilations() as events:
        yield events


def pytest_addoption(parser):
    parser.addoption(
        "--write-references",
        action="store_true",
        help="write the rows that the tests record into the table of references of docs/laws.md",
    )


@pytest.fixture(scope="session")
def agrees(request):
    """Asserts that numbers of ours agree with their references, and that docs/laws.md says so.

    ``agrees(law, runs, quantity, ours, reference, rel=..., abs=..., at_most=...)`` compares a
    number, or several of one quantity, and checks the row of the table that says so. With the
    option ``--write-references`` it writes the row instead. A row that no test records any more is
    an error at the end of a run of all tests.
    """
    record = references.Record(request.config.getoption("--write-references"))
    yield record.agrees
    record.close(_everything_ran(request))


def _everything_ran(request):
    """Whether this process ran every test with a reference, and none failed."""
    config = request.config
    some = any(config.getoption(name, None) for name in ("keyword", "markexpr", "deselect", "lf"))
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    alone = not hasattr(config, "workerinput")
    data = "SCALEFIT_DATA" in os.environ
    return whole and alone and data and not some and not request.session.testsfailed
