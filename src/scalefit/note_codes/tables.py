"""Notes of a table as it is read: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "units": Code(
        "warning",
        "N, D or C are not in raw counts, with the likely unit "
        "([units](tables.md#units-of-counts)); carried to every answer",
        'pass the units that the note prints, as `N=("params", 1e9)`',
    ),
    "loss_unit": Code(
        "warning",
        "losses above 12, which exceed those of a uniform guess in nats per token, or a header "
        "that names a perplexity",
        '`loss_unit="perplexity"`; leave diverged runs out',
    ),
    "text_numbers": Code(
        "info",
        "text was read as numbers: 70M, 1.4B, 10,072,747, 3,36 ([text](tables.md#numbers-as-text))",
        "nothing, if the example in the note is right",
    ),
    "header_unit": Code(
        "info",
        "a header names a unit, as `params_b`, and its numbers were multiplied by it",
        "nothing, if the unit in the note is right; else name the column and its unit, as "
        '`N=("params_b", 1.0)`',
    ),
    "unit_mismatch": Code(
        "warning",
        "a size or a number of tokens is 1e5 times that of the largest run, or below a "
        "thousandth of the smallest: it is in another unit than the table",
        "pass numbers in the unit of the table, or fit a table in counts",
    ),
    "dataset": Code(
        "info",
        "what to know of a public table before it is fitted ([datasets](datasets.md))",
        "read it; `scalefit.datasets.info` says the rest",
    ),
    "ambiguous_column": Code(
        None,
        "an optional quantity could be several columns; none was taken",
        "name the column, as `C=`",
    ),
    "column_replaced": Code(
        "info",
        "a column of the table has the name of a quantity that another one was given for; "
        "it is left out",
        "rename it before, if it is needed",
    ),
    "duplicate_rows": Code(
        "info",
        "rows repeat exactly",
        "drop them if they are copies",
    ),
    "mid_schedule": Code(
        "warning",
        "a loss of a tracked run is from before the end of its learning-rate schedule",
        "leave the run out, or train it to the end",
    ),
    "run_end_unknown": Code(
        "info",
        "nothing says whether tracked runs have come to their end",
        "pass the steps that they were to have, as `planned=`",
    ),
    "records_replaced": Code(
        "info",
        "a tracked run went back to an earlier step; what it recorded from there on counts",
        "nothing, where it resumed from a checkpoint",
    ),
    "run_names_repeat": Code(
        "info",
        "tracked runs share a name; what tells them apart is added to it",
        "nothing, or other names",
    ),
    "runs_unmatched": Code(
        "info",
        "runs without an entry in a configuration that is joined, or entries without a run",
        "name the entries as the column `run` does",
    ),
    "binned_history": Code(
        "warning",
        "points of an exported chart are averages over several records",
        "export the history, by `run.scan_history()` of Weights & Biases",
    ),
    "not_read": Code(
        "warning",
        "files that a tracker left could not be read, or hold no record",
        "restore them, or do without",
    ),
}
