"""Runs the command line for ``python -m ferryman``."""

from ferryman.cli import main

main()
