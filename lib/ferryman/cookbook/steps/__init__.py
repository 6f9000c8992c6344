"""The stock steps: one module for each thing that a runbook looks at or changes."""
