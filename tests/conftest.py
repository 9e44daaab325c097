"""Fixtures shared by all tests."""

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("agg")

# Tests compile what they test, and leave the cache of whoever runs them alone.
os.environ["SCALEFIT_CACHE"] = "off"


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
