"""The store that a configuration names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.state.sqlite import SqliteStore

if TYPE_CHECKING:
    from ferryman.config import Config
    from ferryman.state.base import Store

SPOOL = Path(".ferryman/spool")
"""Where records wait that the cluster could not be told, in the folder of ferryman.toml."""

_log = logging.getLogger(__name__)


def open_store(config: Config, *, stay: bool = False) -> Store:
    """The store in ``state``; it is reached for when it is first used.

    With ``stay`` a cluster is asked from the network namespace that this process is in now, wherever it goes.
    """
    if config.sqlite is not None:
        return SqliteStore.at(config.sqlite)
    from ferryman.state.etcd import EtcdStore  # noqa: PLC0415  # brings an HTTP client, for few

    cluster = config.etcd_cluster
    assert cluster is not None, "the configuration was checked when it was read"
    if cluster.beyond_this_machine and config.etcd.ca is None:
        _log.warning(
            "%s: the journal goes to %s unencrypted, and what rollback puts on directors comes back from "
            "there: set etcd.ca, etcd.cert and etcd.key",
            config.file,
            ", ".join(cluster.beyond_this_machine),
        )
    store = (EtcdStore.staying if stay else EtcdStore)(cluster, config.etcd)
    store.spool_folder = config.folder / SPOOL
    return store
