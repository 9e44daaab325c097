"""Loss tables: reading, checking, filtering, grouping."""
