from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ferryman.directors import Connection, old_left, still_open
from ferryman.errors import VerifyError
from ferryman.hosts.verbs import ipvs
from ferryman.hosts.verbs.ipvs import Connections
from ferryman.ipvs.connections import connections as parse
from ferryman.ipvs.table import key_of
from ferryman.testing.shell import run_here
from unit.directors.world import WEB

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A1E0002 D431 0A630001 0050 0A0A0015 0050 ESTABLISHED     899
TCP 0A1E0002 D432 0A630001 0050 0A0A0016 0050 FIN_WAIT        119
TCP 0A1E0002 D433 0A630001 01BB 0A0A0015 01BB ESTABLISHED     899
UDP 0A1E0002 D434 0A630001 0050 0A0A0015 0050 UDP             299
TCP fd30:0000:0000:0000:0000:0000:0000:0002 D435 fd99:0000:0000:0000:0000:0000:0000:0001 0050 \
fd10:0000:0000:0000:0000:0000:0000:0015 0050 SYN_RECV         59
"""


def test_a_line_that_is_not_understood_is_named() -> None:
    with pytest.raises(VerifyError, match=r"lvs1: /proc/net/ip_vs_conn: 'TCP nonsense' is not understood"):
        parse("TCP nonsense\n", "lvs1")


def test_both_families_are_read_and_the_header_is_passed_over() -> None:
    found = [str(connection) for connection in parse(TABLE)]
    assert len(found) == 5
    assert found[0] == "TCP 10.30.0.2:54321 -> 10.99.0.1:80 -> 10.10.0.21:80"
    assert found[4] == "TCP [fd30::2]:54325 -> [fd99::1]:80 -> [fd10::15]:80"


def test_the_director_sends_only_this_services_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ip_vs_conn"
    file.write_text(TABLE)
    here = Connections.script.replace(ipvs.CONNECTIONS, str(file))
    monkeypatch.setattr(Connections, "script", here)
    verb = Connections(tuple(map(key_of, WEB.virtual_services)))
    found = verb.value(run_here(verb)).connections
    assert {connection.client_port for connection in found} == {54321, 54322, 54325}


def test_those_that_are_gone_and_those_that_came_later_do_not_count() -> None:
    then = parse(TABLE)
    newcomer = replace(then[0], client_port=1)
    assert old_left(then, [then[0], newcomer]) == 1
    assert old_left(then, []) == 0


def test_a_connection_that_is_over_does_not_come_back_as_old_when_its_port_is_used_again() -> None:
    then = parse(TABLE)[:2]
    assert [connection.state for connection in then] == ["ESTABLISHED", "FIN_WAIT"]
    left = still_open(then, then)
    assert left == {then[0]}
    again = [then[0], replace(then[1], state="ESTABLISHED")]
    assert old_left(then, again) == 2
    assert still_open(left, again) == {then[0]}


def test_a_connection_that_only_lingers_is_kept_where_it_may_come_back_as_it_was() -> None:
    then = parse(TABLE)[:2]
    assert still_open(then, then, closing=True) == set(then)


def test_the_same_client_on_another_realserver_is_another_connection() -> None:
    then = parse(TABLE)[:1]
    assert old_left(then, [replace(then[0], destination=parse(TABLE)[1].destination)]) == 0


def test_a_connection_that_has_ended_counts_only_when_asked() -> None:
    then = parse(TABLE)[:1]
    ended = [replace(then[0], state="TIME_WAIT")]
    assert old_left(then, ended) == 0
    assert old_left(then, ended, closing=True) == 1


def test_a_handshake_that_nobody_answers_counts_only_while_it_may_still_be_answered() -> None:
    then = [replace(parse(TABLE)[0], state="SYN_RECV")]
    assert old_left(then, then) == 1
    assert old_left(then, then, shaking_hands=False) == 0
    assert old_left(then, [replace(then[0], state="ESTABLISHED")], shaking_hands=False) == 1


def test_the_state_is_no_part_of_which_connection_it_is() -> None:
    closed = parse(TABLE)[0]
    assert {closed, replace(closed, state="CLOSE")} == {closed}
    assert isinstance(closed, Connection)
