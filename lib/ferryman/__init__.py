"""Ferryman: takes load-balanced services across to IPIP encapsulation, and back when anything is wrong."""

__version__ = "0.1.0"
