"""Make ``scalefit_bytes.csv`` of the results: ``python data/sweep/table.py``.

Every run of the manifests ``main`` and ``target`` that ended is a row, diverged ones too, in the
order of the manifests. The registry of tables learns the SHA-256.
"""

from __future__ import annotations

import hashlib
import json

import pandas as pd
from sweep import HERE, manifest, results

COLUMNS = [
    *("run", "part", "budget", "N", "D", "loss", "seed", "held_out", "status", "N_body"),
    *("width", "layers", "heads", "context", "steps", "batch", "lr", "epochs"),
    *("flops_counted", "flops_measured", "training_loss", "seconds", "device"),
]
DATASETS = HERE.parents[1] / "src" / "scalefit" / "datasets"


def table() -> pd.DataFrame:
    """A row for each run that ended; what lies off the lines is marked as held out."""
    lines = []
    for name in ("main", "target"):
        ended = {line["run"]: line for line in results(HERE / f"{name}.jsonl")}
        lines += [ended[run.run] for run in manifest(HERE / f"{name}.csv") if run.run in ended]
    rows = pd.DataFrame(lines)
    rows["held_out"] = rows["part"].isin(["overtrained", "target"]).astype(int)
    return rows[COLUMNS]


def main() -> None:
    """Write the table, and its number of rows and SHA-256."""
    rows = table()
    content = rows.to_csv(index=False, lineterminator="\n", float_format="%.8g").encode()
    (DATASETS / "scalefit_bytes.csv").write_bytes(content)
    registry = json.loads((DATASETS / "registry.json").read_text(encoding="utf-8"))
    entry = registry["tables"]["scalefit_bytes"]
    entry |= {"rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps(registry, indent=1, ensure_ascii=False) + "\n"
    (DATASETS / "registry.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
