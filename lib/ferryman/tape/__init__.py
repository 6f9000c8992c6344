"""Runs as files: what a run asked of the outside world and what it was told, kept, shown and run again."""
