"""Ferryman: moves load-balanced services to IPIP encapsulation, and back when anything is wrong."""

__version__ = "0.1.0"
