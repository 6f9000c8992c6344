"""Where runs are kept: one interface, a SQLite file for one control host or etcd for many under it."""

from ferryman.engine.store.base import Close, Life, Store
from ferryman.engine.store.entries import Lock, LockState, Note, Order, Record, RunEntry
from ferryman.engine.store.sqlite import SqliteStore

__all__ = [
    "Close",
    "Life",
    "Lock",
    "LockState",
    "Note",
    "Order",
    "Record",
    "RunEntry",
    "SqliteStore",
    "Store",
]
