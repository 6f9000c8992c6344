"""Where runs are kept: one interface, a SQLite file for one control host or etcd for many under it."""

from ferryman.state.base import Close, Liveness, Store
from ferryman.state.records import Lock, LockState, NewRecord, Record, Run, RunRequest
from ferryman.state.sqlite import SqliteStore

__all__ = [
    "Close",
    "Liveness",
    "Lock",
    "LockState",
    "NewRecord",
    "Record",
    "Run",
    "RunRequest",
    "SqliteStore",
    "Store",
]
