from __future__ import annotations

from ipaddress import ip_address

import pytest

from ferryman.realservers.facts import Listener
from ferryman.realservers.facts.sockets import listeners

HEADER = "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n"


def one(row: str) -> Listener:
    (found,) = listeners(HEADER + row)
    return found


def test_a_table_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="neither"):
        listeners("sh: ss: not found")


def test_an_empty_table_has_nobody_listening() -> None:
    assert listeners(HEADER) == ()


@pytest.mark.parametrize(
    ("row", "v4", "v6"),
    [
        ("tcp LISTEN 0 511 0.0.0.0:80 0.0.0.0:*", True, False),
        ("tcp LISTEN 0 511 [::]:80 [::]:*", False, True),
        ("tcp LISTEN 0 511 *:80 *:*", True, True),
        ("tcp LISTEN 0 511 192.0.2.1:80 0.0.0.0:*", True, False),
        ("tcp LISTEN 0 511 [fd99::1]:80 [::]:*", False, True),
        ("tcp LISTEN 0 511 127.0.0.1:80 0.0.0.0:*", False, False),
        ("tcp LISTEN 0 511 192.0.2.1:81 0.0.0.0:*", False, False),
        ("udp UNCONN 0 0 0.0.0.0:80 0.0.0.0:*", False, False),
    ],
)
def test_a_socket_takes_what_its_address_allows(row: str, v4: bool, v6: bool) -> None:
    found = one(row)
    assert found.takes("tcp", ip_address("192.0.2.1"), 80) is v4
    assert found.takes("tcp", ip_address("fd99::1"), 80) is v6


def test_a_socket_of_one_device_says_so() -> None:
    assert one("tcp LISTEN 0 128 0.0.0.0%eth0:86 0.0.0.0:*").device == "eth0"
    assert one("udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:*").device == "eth0"


def test_the_old_way_of_writing_wildcards_is_told_by_its_ipv6_one() -> None:
    v4, v6 = listeners(f"{HEADER}tcp LISTEN 0 128 *:80 *:*\ntcp LISTEN 0 128 :::22 :::*\n")
    assert (v4.address, v6.address) == (ip_address("0.0.0.0"), None)


def test_the_kernels_own_tables_are_read_where_there_is_no_ss() -> None:
    table = """\
/proc/net/tcp:  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout
/proc/net/tcp:   0: 0100007F:0055 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0  0 70011
/proc/net/tcp:   1: 0100630A:0053 0200000A:1F90 01 00000000:00000000 00:00000000 00000000     0  0 70012
/proc/net/tcp6:   0: 000099FD000000000000000001000000:0054 00000000000000000000000000000000:0000 0A 0:0 0
/proc/net/tcp6:   1: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A 0:0 0
/proc/net/udp:  931: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0  0 70013
"""
    assert listeners(table) == (
        Listener("tcp", ip_address("127.0.0.1"), 85),
        Listener("tcp", ip_address("fd99::1"), 84),
        Listener("tcp", None, 81),
        Listener("udp", ip_address("0.0.0.0"), 53),
    )
