"""Opens the store that a configuration names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.state.foretellings import Foretellings
from ferryman.state.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from ferryman.config import Config
    from ferryman.state.store import Store

SPOOL = Path(".ferryman/spool")
"""Where records wait that could not be written to the cluster, below the folder of ferryman.toml."""
FORETOLD = Path(".ferryman/foretold")
"""Where dry runs keep what they foretold, likewise; with SQLite it is beside the state's file."""

_log = logging.getLogger(__name__)


def open_store(config: Config, *, keep_namespace: bool = False) -> Store:
    """The store that ``state`` names; it is connected to when it is first used.

    With ``keep_namespace`` a cluster is asked from the network namespace that this process is in now, also
    after the process has entered another one.
    """
    if config.sqlite is not None:
        return SqliteStore.at(config.sqlite)
    from ferryman.state.etcd.store import EtcdStore  # noqa: PLC0415  # brings an HTTP client, for few

    cluster = config.etcd_cluster
    assert cluster is not None, "the configuration was checked when it was read"
    if cluster.beyond_this_machine and config.etcd.ca is None:
        _log.warning(
            "%s: the journal goes to %s unencrypted, and what a rollback writes to directors is read "
            "back from there: set etcd.ca, etcd.cert and etcd.key",
            config.file,
            ", ".join(cluster.beyond_this_machine),
        )
    store = (EtcdStore.in_this_namespace if keep_namespace else EtcdStore)(cluster, config.etcd)
    store.spool_folder = config.folder / SPOOL
    return store


def foretellings_of(config: Config) -> Foretellings:
    """Where this control host keeps what dry runs foretold; nothing is made there yet."""
    if config.sqlite is not None:
        return Foretellings(config.sqlite.parent / FORETOLD.name)
    return Foretellings(config.folder / FORETOLD)
