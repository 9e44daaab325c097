"""What a caller passes as a table, as a plain DataFrame whose headers are all different."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from scalefit.arguments import file_path
from scalefit.data.containers import refuse_repeated_labels, to_pandas
from scalefit.data.readers import read_frame
from scalefit.errors import DataError

__all__ = ["plain_frame"]


def plain_frame(frame: Any) -> pd.DataFrame:
    """A table, or a file of one, as a plain DataFrame with one level of headers, all different.

    Raises:
        ArgumentError: it is none.
        DataError: it has no rows, or headers of several levels or that repeat.
    """
    if isinstance(frame, str | os.PathLike):
        frame = read_frame(
            file_path(frame, "runs", remedy="Pass the path of a table, as 'runs.csv'")
        )
    frame = to_pandas(frame)
    if frame.empty:
        lacking = "columns" if len(frame) else "rows"
        raise DataError(
            f"the table has no {lacking}", remedy="Check the file or the query behind it"
        )
    if isinstance(frame.columns, pd.MultiIndex):
        if frame.columns.nlevels > 1:
            raise DataError(
                f"the table has headers of {frame.columns.nlevels} levels, such as "
                f"{frame.columns[0]}",
                remedy="Leave one, as frame.droplevel(0, axis=1)",
            )
        frame = frame.set_axis(frame.columns.get_level_values(0), axis=1)
    refuse_repeated_labels(frame)
    return frame
