"""Realservers: what is read of them, and every check of it."""
