"""How many connections from before an edit are left, for a run that looks again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.config import Config
from ferryman.cookbook import Ferry
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.verbs.ipvs import Connections, ConnectionsReading
from ferryman.ipvs.connections import connections
from unit.directors.world import LVS1, WEB

LINE = "TCP 0A1E0002 D431 0A630001 0050 0A0A0015 0050 {} 60\n"
OPEN, OVER = LINE.format("ESTABLISHED"), LINE.format("FIN_WAIT")
ALWAYS = LINE.replace("D431", "D432").format("ESTABLISHED")


def left(reuse_mode: int, *tables: str) -> list[int]:
    """What each look after the one at the edit says."""
    hosts = FakeHosts()
    looks = [ConnectionsReading(frozenset(connections(text)), reuse_mode) for text in tables]
    hosts.answer("lvs1", Connections, *looks)
    ferry = Ferry(Config(file=Path("/nowhere/ferryman.toml"), inventory=Path("/nowhere")), hosts)
    ferry.remember_connections(LVS1, WEB)
    return [ferry.old_connections(LVS1, WEB) for _ in tables[1:]]


def test_a_client_that_uses_the_port_of_an_ended_connection_again_does_not_hold_the_run_up() -> None:
    assert left(3, OPEN + ALWAYS, OVER + ALWAYS, OPEN + ALWAYS) == [1, 1]


def test_a_connection_that_had_ended_before_the_edit_is_none_of_those() -> None:
    assert left(3, OVER + ALWAYS, OPEN + ALWAYS) == [1]
    assert left(1, OVER + ALWAYS, OPEN + ALWAYS) == [2]


@pytest.mark.parametrize("between", [OVER, OPEN])
def test_where_an_ended_connection_may_come_back_as_it_was_it_counts_until_it_has_gone(between: str) -> None:
    assert left(1, OPEN, between, OPEN, "", OPEN) == [1, 1, 0, 0]
