"""``python -m scalefit``: the command line."""

from scalefit.cli import main

main()
