"""The settings and threads under which everything runs, and what is shown meanwhile."""
