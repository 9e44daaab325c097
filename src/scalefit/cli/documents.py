"""What ``--json`` prints: a document for each result. Their schemas are in :mod:`.schema`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scalefit.cli.translation import in_words, note_in_words

if TYPE_CHECKING:
    import pandas as pd

    from scalefit.allocation.near_optimality import NearOptimal
    from scalefit.allocation.result import Allocation
    from scalefit.approach2.bias_report import BiasReport
    from scalefit.approach2.frontier import PowerLawOptimum
    from scalefit.approach2.isoflop_fit import IsoFlop
    from scalefit.approach2.power_laws import PowerLaw
    from scalefit.data.table import LossTable
    from scalefit.datasets import Dataset
    from scalefit.design.chosen_runs import NextRuns
    from scalefit.design.design_check import DesignCheck
    from scalefit.inference.ensemble import Ensemble
    from scalefit.laws import Law
    from scalefit.results.fit import Fit
    from scalefit.validation.comparison_result import Comparison
    from scalefit.validation.hold_out_result import HoldOut

Document = dict[str, Any]


def answer(result: Any, level: float) -> str:
    """What matters most of a result, in a sentence or two."""
    said: str = in_words(result.describe(level)).headline
    return said


def notes(result: Any) -> list[Document]:
    """Soft problems of a result."""
    return [note_in_words(note).to_document() for note in result.notes]


def records(frame: pd.DataFrame) -> list[Document]:
    """Rows of a table, with its labels as a column where they have a name."""
    import pandas as pd

    whole = frame if frame.index.name is None else frame.reset_index()
    return [
        {str(key): None if value is pd.NA else value for key, value in row.items()}
        for row in whole.to_dict(orient="records")
    ]


def fit(result: Fit) -> Document:
    """A fit, as :meth:`scalefit.Fit.from_json` reads it."""
    found: Document = json.loads(result.to_json())
    return found


def intervals(draws: Ensemble, level: float) -> Document:
    """Intervals of the parameters."""
    return {
        "level": level,
        "method": draws.method,
        "replicates": len(draws),
        "failed": draws.failed,
        "parameters": draws.conf_int(level).to_dict(orient="index"),
        "notes": notes(draws),
    }


def allocation(best: Allocation, level: float) -> Document:
    """Optima, a record for each budget."""
    return {
        "law": best.law,
        "cost": best.cost,
        "unit": best.unit,
        "answer": answer(best, level),
        "budgets": records(best.to_frame(level)),
        "notes": notes(best),
    }


def power_law(found: PowerLaw, level: float) -> Document:
    """A power law of the budget, ``exp(intercept) C^exponent``."""
    low, high = found.interval(level)
    return {
        "exponent": found.exponent,
        "low": low,
        "high": high,
        "intercept": found.intercept,
    }


def isoflop(found: IsoFlop, level: float) -> Document:
    """IsoFLOP sweeps."""
    return {
        "answer": answer(found, level),
        "cost": found.cost,
        "method": found.method,
        "level": level,
        "n_law": power_law(found.n_law, level),
        "d_law": power_law(found.d_law, level),
        "budgets": records(found.to_frame(level)),
        "notes": notes(found),
    }


def bias(found: BiasReport, level: float) -> Document:
    """Approach 2 against the surface."""
    frame = found.to_frame(level)
    frame.index.name = "quantity"
    return {
        "answer": answer(found, level),
        "flops": found.flops,
        "law": found.law,
        "level": level,
        "optimum": records(frame),
        "deadweight": found.deadweight,
        "deadweight_flops": found.deadweight_flops,
        "usd": found.usd,
        "variants": records(found.variants),
        "notes": notes(found),
    }


def comparison(found: Comparison, level: float) -> Document:
    """Laws on held-out runs."""
    return {
        "answer": answer(found, level),
        "best": found.best,
        "level": level,
        "laws": records(found.to_frame(level)),
        "tests": records(found.tests),
        "notes": notes(found),
    }


def holdout(found: HoldOut, level: float) -> Document:
    """A law on held-out runs."""
    return {
        "answer": answer(found, level),
        "scheme": found.scheme,
        "by": found.by,
        "rmse": found.rmse,
        "unit": found.unit,
        "level": level,
        "folds": records(found.folds),
        "runs": records(found.to_frame(level)),
        "coverage": records(found.coverage),
        "notes": notes(found),
    }


def check(found: DesignCheck, level: float) -> Document:
    """What a design identifies."""
    frame = found.to_frame(level)
    frame.index.name = "parameter"
    spans = found.spans.copy()
    spans.index.name = "quantity"
    return {
        "answer": answer(found, level),
        "law": found.law,
        "identifies": found.identifies,
        "noise": found.noise,
        "level": level,
        "parameters": records(frame),
        "ranges": records(spans),
        "notes": notes(found),
    }


def next_runs(found: NextRuns, level: float) -> Document:
    """Runs to make."""
    return {
        "answer": answer(found, level),
        "target": found.target,
        "budget": found.budget,
        "spent": found.spent,
        "unit": found.unit,
        "shrinkage": found.shrinkage,
        "level": level,
        "runs": records(found.to_frame(level)),
        "notes": notes(found),
    }


def law(item: Law, family: str) -> Document:
    """A law: its formula, columns and parameters."""
    meanings = item.meanings
    return {
        "name": item.name,
        "family": family,
        "purpose": item.purpose,
        "formula": item.formula,
        "response": item.response,
        "columns": [{"name": name, "meaning": meanings.get(name, "")} for name in item.columns],
        "parameters": [
            {"name": one.name, "kind": one.kind.name, "meaning": meanings.get(one.name, "")}
            for one in item.params
        ],
        "source": item.source,
        "also_known_as": list(item.also_known_as),
    }


def dataset(item: Dataset) -> Document:
    """A registered table."""
    return {
        "name": item.name,
        "what": item.what,
        "rows": item.rows,
        "unit": item.unit,
        "licence": item.licence,
        "citation": item.citation,
        "url": item.url,
        "columns": dict(item.columns),
        "traps": list(item.traps),
        "download": item.original is not None,
    }


def table(found: LossTable) -> Document:
    """How a table was read."""
    return {
        "rows": len(found),
        "columns": [
            {"name": name, "header": header, "scale": found.scales.get(name, 1.0)}
            for name, header in found.sources.items()
        ],
        "loss_unit": found.loss_unit,
        "dropped": [{"row": item.row, "rule": item.rule} for item in found.dropped],
        "notes": notes(found),
    }


def near_optimal(found: NearOptimal, level: float) -> Document:
    """Sizes that are nearly as good."""
    return {
        "answer": answer(found, level),
        "criterion": found.criterion,
        "budgets": records(found.to_frame(level)),
        "notes": notes(found),
    }


def extrapolated(best: PowerLawOptimum, level: float) -> Document:
    """What power laws of the budget say at budgets."""
    return {
        "answer": answer(best, level),
        "budgets": records(best.to_frame(level)),
        "notes": notes(best),
    }
