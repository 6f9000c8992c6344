"""``ferryman.toml``: what it may say, and reading it; ``ferryman.configfile`` finds the file."""

from ferryman.config.etcd import EtcdCluster, EtcdConfig, is_loopback
from ferryman.config.load import load
from ferryman.config.tables import (
    CatalogConfig,
    Config,
    DirectorsConfig,
    ManagementConfig,
    OuterSource,
    ProbeConfig,
    SshConfig,
    TrafficConfig,
    TrafficTable,
    WatchConfig,
)

__all__ = [
    "CatalogConfig",
    "Config",
    "DirectorsConfig",
    "EtcdCluster",
    "EtcdConfig",
    "ManagementConfig",
    "OuterSource",
    "ProbeConfig",
    "SshConfig",
    "TrafficConfig",
    "TrafficTable",
    "WatchConfig",
    "is_loopback",
    "load",
]
