"""The store of one control host: a SQLite file, its tables, and what becomes of its files."""
