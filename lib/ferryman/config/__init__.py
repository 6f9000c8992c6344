"""``ferryman.toml``: what it may say, and reading it; ``ferryman.configfile`` finds the file."""

from typing import TYPE_CHECKING

from ferryman.lazy import lazy_names

if TYPE_CHECKING:
    from ferryman.config.etcd import EtcdCluster, EtcdConfig, is_loopback
    from ferryman.config.read import load
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
else:
    __getattr__ = lazy_names(
        __name__,
        when_named={
            "ferryman.config.etcd": ["EtcdCluster", "EtcdConfig", "is_loopback"],
            "ferryman.config.read": ["load"],
            "ferryman.config.tables": [
                "CatalogConfig",
                "Config",
                "DirectorsConfig",
                "ManagementConfig",
                "OuterSource",
                "ProbeConfig",
                "SshConfig",
                "TrafficConfig",
                "TrafficTable",
                "WatchConfig",
            ],
        },
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
