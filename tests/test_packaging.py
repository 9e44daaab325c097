"""One version everywhere, and what packages declare."""

import re
import tomllib
from pathlib import Path

import yaml

import scalefit as sf

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_version_is_the_same_everywhere():
    heading = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    version, day = heading.groups()
    assert PROJECT["version"] == sf.__version__ == version == CITATION["version"]
    # A release has a day, in both.
    assert str(CITATION.get("date-released", "unreleased")) == day


def test_the_citation_says_what_the_package_says():
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert CITATION["authors"] == PROJECT["authors"]


def test_every_extra_of_users_is_tested():
    extras = {*PROJECT["optional-dependencies"]} - {"test", "docs", "bench", "release"}
    (own,) = (need for need in PROJECT["optional-dependencies"]["test"] if "scalefit[" in need)
    assert extras == {*own.removeprefix("scalefit[").removesuffix("]").split(",")}
