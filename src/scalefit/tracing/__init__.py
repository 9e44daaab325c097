"""Functions of callers and laws, traced: as lists of operations, and refused with their line."""
