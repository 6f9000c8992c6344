"""How directors choose a realserver for a new connection."""
