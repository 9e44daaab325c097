"""The settings and threads under which everything runs."""
