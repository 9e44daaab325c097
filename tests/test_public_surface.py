"""What is public changes only on purpose, is documented, and describes itself."""

import difflib
import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from surface import FILE, MODULES, REFERENCE, documented, public, surface

import scalefit as sf
from scalefit.objective import Objective

DOCS = REFERENCE.parent
SOURCE = Path(sf.__file__).parent

NAMES = [
    (module, name)
    for module in (sf, *MODULES)
    for name, thing in public(module).items()
    if not inspect.ismodule(thing)
]

# What every result can do.
RESULTS = (
    sf.Fit,
    sf.many.FitMany,
    sf.Ensemble,
    sf.inference.Covariance,
    sf.inference.Estimate,
    sf.inference.Profile,
    sf.allocation.Allocation,
    sf.allocation.Crossing,
    sf.allocation.Deadweight,
    sf.allocation.NearOptimal,
    sf.allocation.OptimalMixture,
    sf.allocation.OptimalColumns,
    sf.shapes.NearestShapes,
    sf.approach2.Advice,
    sf.approach2.Attribution,
    sf.approach2.BiasReport,
    sf.approach2.DesignBias,
    sf.approach2.Envelope,
    sf.approach2.IsoFlop,
    sf.design.NextRuns,
    sf.design.DesignCheck,
    sf.validation.HoldOut,
    sf.studies.Study,
    sf.validation.Diagnosis,
    sf.validation.Comparison,
    sf.validation.PublishedComparison,
    sf.skills.Skills,
    sf.skills.FamiliesOut,
    sf.skills.Components,
)
OF_RESULTS = ("summary", "to_frame", "notes", "_repr_html_", "to_markdown", "to_latex")

# What else is typeset.
TYPESET = (
    sf.Law,
    sf.LossTable,
    sf.datasets.Dataset,
    sf.datasets.DatasetTable,
    Objective,
    sf.shapes.Transformer,
    sf.trackers.Histories,
)


def test_the_public_surface_is_the_stored_one():
    found, stored = surface().splitlines(), FILE.read_text().splitlines()
    changes = "\n".join(difflib.unified_diff(stored, found, lineterm="", n=0))
    assert not changes, f"{changes}\nIf that is meant: python tests/surface.py"


def test_tab_completion_shows_every_call_and_no_class():
    """Completers sort by name, classes first: what is left out is what results and calls hold."""
    shown = {name for name in dir(sf) if not name.startswith("__")}
    assert shown < set(sf.__all__)
    assert {name for name in sf.__all__ if inspect.isfunction(getattr(sf, name))} < shown
    assert not [name for name in shown if inspect.isclass(getattr(sf, name))]
    assert {"laws", "datasets", "plot", "simulation"} < shown
    assert len(shown) < 40


def test_no_function_hides_a_module():
    """Neither in the package nor in a room: importing the one would replace the other."""
    for folder in (SOURCE, *(path.parent for path in SOURCE.glob("*/__init__.py"))):
        room = ".".join(("scalefit", *folder.relative_to(SOURCE).parts))
        names = public(__import__(room, fromlist=["_"]))
        files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
        both = {name for name in names if name in files and not inspect.ismodule(names[name])}
        assert not both, f"{room}: {both}"


@pytest.mark.parametrize(
    ("module", "name"), NAMES, ids=lambda item: getattr(item, "__name__", item)
)
def test_what_is_public_is_documented(module, name):
    thing = getattr(module, name)
    if isinstance(thing, sf.Law):
        assert f"`{name}`<br>" in (DOCS / "laws.md").read_text()
    else:
        listed = any(thing is other for other in documented().values())
        assert listed, f"docs/reference lacks {module.__name__}.{name}"
    # That of the class Law is a property: every law has its own.
    if inspect.isfunction(thing) or (inspect.isclass(thing) and thing is not sf.Law):
        assert thing.__doc__ and thing.__doc__.strip()


def abilities(kind):
    found = {item.name for item in fields(kind)} if is_dataclass(kind) else set()
    return found | set(dir(kind))


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_a_result_describes_itself(kind):
    assert [name for name in OF_RESULTS if name not in abilities(kind)] == []
    for name in ("summary", "to_frame", "to_markdown", "to_latex"):
        assert "level" in inspect.signature(getattr(kind, name)).parameters, name


@pytest.mark.parametrize("kind", TYPESET, ids=lambda kind: kind.__name__)
def test_what_is_no_result_is_typeset_too(kind):
    wanted = ("summary", "_repr_html_", "to_markdown", "to_latex")
    assert [name for name in wanted if name not in abilities(kind)] == []


@pytest.mark.parametrize("name", public(sf.plot))
def test_pictures_have_one_signature(name):
    found = inspect.signature(getattr(sf.plot, name)).parameters.values()
    positional = [item.name for item in found if item.kind is item.POSITIONAL_OR_KEYWORD]
    assert positional in (["result"], ["result", "runs"])
    options = {item.name: item.default for item in found if item.kind is item.KEYWORD_ONLY}
    assert options["ax"] is None
    assert options.get("level", 0.95) == 0.95
