"""The command line, run in this process as a shell would run it."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from scalefit import cli


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def scalefit(*words, given=b""):
    """Run a command.

    Args:
        *words: after ``scalefit``.
        given: on standard input, bytes.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    stdin = io.TextIOWrapper(io.BytesIO(given))
    code = 0
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "stdin", stdin),
        patch.object(sys, "argv", ["scalefit", *map(str, words)]),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
    printed = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return Done(code, *printed)
