"""Runs plans of looks and changes: journal, locks, rehearsal, the way back. Knows nothing about IPIP."""
