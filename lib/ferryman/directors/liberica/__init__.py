"""Liberica: it follows the catalog by itself, and tells over HTTP what it has loaded."""
