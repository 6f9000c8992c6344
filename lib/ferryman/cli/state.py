"""Where a command works, in the lab's namespace if the configuration says so; and its store of runs."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ferryman.errors import JournalError
from ferryman.state.factory import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.config import Config
    from ferryman.state import Store


def enter_lab(config: Config) -> Config:
    """With ``lab = true`` this process enters the lab's control namespace: nothing it sends gets out.

    Raises:
        LabError: The lab is not up.
    """
    if not config.lab:
        return config
    from ferryman import lab  # noqa: PLC0415  # only where there is one

    access = lab.enter(lab.LabPaths.of(config.folder))
    own = {"identity": access.identity, "known_hosts": access.known_hosts, "config": False}
    unset = {name: value for name, value in own.items() if getattr(config.ssh, name) is None}
    return config.model_copy(update={"ssh": config.ssh.model_copy(update=unset)})


@contextmanager
def store_of(config: Config) -> Iterator[Store]:
    """The store that ``state`` names; opened before the lab is entered.

    With ``lab = true`` a cluster on this machine's loopback is this machine's own, and asked from outside the
    lab; any other address is the lab's, and never asked from anywhere else.
    """
    keep_namespace = False
    if config.lab and config.etcd_cluster is not None:
        keep_namespace = not config.etcd_cluster.beyond_this_machine
        if not keep_namespace:
            enter_lab(config)
    store = open_store(config, keep_namespace=keep_namespace)
    try:
        yield store
    finally:
        with suppress(JournalError):  # how the run ended is written by then, and must be what is told
            store.close()
