from unit.catalog.conftest import alone, world

__all__ = ["alone", "world"]
