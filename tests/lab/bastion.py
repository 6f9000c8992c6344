"""The lab's bastion as the only way in: what tests of migrations through it share."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ferryman.lab import topology
from lab.own_sshd import own_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from lab.running import RunningLab

NAME = topology.BASTION.name
DIRECT = f"FORWARD -s {topology.CONTROL_ADDRESSES[0]} -p tcp --dport 22 ! -d {topology.BASTION.address}"
"""SSH from the control host to any host but the bastion."""


@contextmanager
def only_through_the_bastion(lab: RunningLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The key is in an agent alone, and the router drops SSH that does not go to the bastion."""
    public = lab.folder / "ours.pub"
    shutil.copyfile(lab.place.identity.with_suffix(".pub"), public)
    config = lab.folder / "ferryman.toml"
    keys = f'[ssh]\njump = ["{NAME}"]\nidentity = "{public.name}"\n'
    config.write_text(config.read_text().replace("[ssh]\n", keys))
    lab.console("rt", f"iptables-legacy -A {DIRECT} -j DROP")
    try:
        with own_agent(monkeypatch, lab.place.identity):
            yield
    finally:
        lab.console("rt", f"iptables-legacy -D {DIRECT} -j DROP")
