"""The store that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.engine.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from ferryman.config import Config
    from ferryman.engine.store.base import Store


def open_store(config: Config) -> Store:
    """The store in ``state``; it is reached for when it is first used."""
    if config.sqlite is not None:
        return SqliteStore.at(config.sqlite)
    from ferryman.engine.store.etcd import EtcdStore  # noqa: PLC0415  # brings an HTTP client, for few

    assert config.etcd_cluster is not None, "the configuration was checked when it was read"
    return EtcdStore(config.etcd_cluster, config.etcd)
