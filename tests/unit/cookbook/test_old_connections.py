"""How many connections from before an edit are left, for a run that looks again and again."""

from __future__ import annotations

from dataclasses import replace
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


def test_what_does_not_end_is_waited_for_on_all_directors_at_once_and_once_after_an_edit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lvs2, now, waited = replace(LVS1, host="lvs2"), [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    hosts = FakeHosts()
    hosts.answer("*", Connections, ConnectionsReading(frozenset(connections(OPEN)), 3))
    config = Config.model_validate(
        {"file": "/nowhere/f.toml", "inventory": "/nowhere", "directors": {"drain_timeout": 5}}
    )
    ferry = Ferry(config, hosts)
    for director in (lvs2, LVS1):
        ferry.remember_connections(director, WEB)
    assert ferry.wait_on_directors([lvs2, LVS1], WEB) == {"lvs2": 1, "lvs1": 1}
    assert (sum(waited), now) == (4.0, [4.0])
    assert ferry.wait_for_old_connections(lvs2, WEB) == 1
    assert now == [4.0]
    ferry.remember_connections(lvs2, WEB)
    assert ferry.wait_for_old_connections(lvs2, WEB) == 1
    assert now == [8.0]


@pytest.mark.parametrize("between", [OVER, OPEN])
def test_where_an_ended_connection_may_come_back_as_it_was_it_counts_until_it_has_gone(between: str) -> None:
    assert left(1, OPEN, between, OPEN, "", OPEN) == [1, 1, 0, 0]
