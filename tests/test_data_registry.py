"""The registry of public tables, and that the tables at hand are the ones it names."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

REGISTRY = json.loads((Path(__file__).parents[1] / "data/registry.json").read_text())["tables"]


@pytest.mark.parametrize("name", REGISTRY)
def test_the_table_at_hand_is_the_one_registered(data_folder, name):
    entry = REGISTRY[name]
    content = (data_folder / entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    frame = pd.read_csv(data_folder / entry["file"])
    assert len(frame) == entry["rows"]
    assert set(entry["columns"]) <= set(frame.columns)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_table_has_source_licence_and_hash(name):
    entry = REGISTRY[name]
    assert entry["source"]["url"].startswith("https://")
    assert entry["source"]["license"]
    assert len(entry["sha256"]) == 64
    assert all(entry["columns"].values())


def test_the_project_holds_no_table():
    folder = Path(__file__).parents[1] / "data"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".md"}
