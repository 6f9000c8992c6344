"""Edits of YAML text that change the lines of one key and not one other byte."""
