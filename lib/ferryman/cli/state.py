"""Where a command works, in the lab's namespace if the configuration says so; and its store of runs."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ferryman import configfile
from ferryman.errors import JournalError
from ferryman.state.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.cli.app import App
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
    from ferryman.state.factory import open_store  # noqa: PLC0415  # for lists of runs to go without

    with _closed_after(open_store(config, keep_namespace=keep_namespace)) as store:
        yield store


@contextmanager
def journal_of(app: App) -> Iterator[Store]:
    """The store of runs, for what reads it alone: of the configuration only ``state`` is looked at.

    What else may be wrong there concerns no run that is over. A cluster's store needs all of it, for
    ``[etcd]`` says how it is trusted.
    """
    file = configfile.sqlite_file(configfile.find(app.named_config))
    if file is None:
        with store_of(app.config) as store:
            yield store
    else:
        with _closed_after(SqliteStore.at(file)) as store:
            yield store


@contextmanager
def _closed_after(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        with suppress(JournalError):  # how the run ended is written by then, and must be what is told
            store.close()
