"""The separable form of a law on a table, and what of it is free."""
