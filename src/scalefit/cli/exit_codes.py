"""What the exit code of a command says."""

__all__ = ["BAD_INPUT", "FINE", "NO_FIT", "STOPPED", "UNFINISHED"]

FINE = 0
# A file, column, value, law or option; or nowhere to write to.
BAD_INPUT = 2
# Nothing finite in the bounds, or the optimum was not reached.
NO_FIT = 3
# A job whose process was lost: the same command goes on.
UNFINISHED = 4
# By Ctrl-C, as shells say it.
STOPPED = 130
