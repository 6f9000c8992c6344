"""PyBal: it is restarted to follow the catalog, and what it serves is read from its files and its console."""
