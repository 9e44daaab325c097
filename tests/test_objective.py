"""The table of penalties, and what an objective says of itself."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf
from scalefit.objective import (
    PENALTIES,
    Objective,
    evaluate,
    measure,
    typical_residual,
    value_of_residual,
)


@pytest.mark.parametrize("robust", PENALTIES)
@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
def test_an_objective_describes_itself(residual, robust):
    objective = Objective(residual, robust)
    assert objective.formula in " ".join(str(objective).split())
    assert residual in objective.describe().headline
    assert f"`{objective.formula}`" in objective.to_markdown()
    assert objective.latex in objective.to_latex() and r"\sum_i" in objective.latex
    assert dict(objective.to_frame().iloc[0]) == vars(objective)
    assert pickle.loads(pickle.dumps(objective)) == objective


@pytest.mark.parametrize("robust", PENALTIES)
@pytest.mark.parametrize("size", [1e-4, 0.3])
def test_a_typical_residual_is_the_inverse_of_its_value(robust, size):
    objective, weight = Objective("relative", robust, delta=0.01), np.array([1.0, 2.0, 0.5])
    delta = measure(objective).delta
    value = value_of_residual(objective, size, weight, 1.0, delta)
    assert typical_residual(objective, value, weight, 1.0, delta) == pytest.approx(size, rel=1e-12)
    # Twice the sum of penalties, above the surface.
    found = evaluate(objective, np.ones(3), np.full(3, 1 - size), weight)[0]
    doubled = 1.0 if objective.penalty.absolute else 2.0 / objective.penalty.factor
    assert value == pytest.approx(doubled * found, rel=1e-12)


def test_no_module_but_the_objectives_own_depends_on_the_name_of_a_penalty():
    source = Path(sf.__file__).parent
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute)
            assert not (named and node.left.attr == "robust"), f"{path.name}, line {node.lineno}"
