"""Keepalived: its files are read, edited and reloaded, and read back from the kernel."""
