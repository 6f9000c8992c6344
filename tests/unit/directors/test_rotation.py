"""Whether directors still send a realserver connections is told of those whose tables are known."""

from __future__ import annotations

from ipaddress import IPv4Address

from ferryman.directors import DirectorState, DirectorStates, out_of_rotation
from ferryman.errors import UnreachableError
from ferryman.ipvs.table import Destination, VirtualServer
from ferryman.model import Forwarding, VirtualService

VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
WEB1, WEB2 = IPv4Address("10.10.0.21"), IPv4Address("10.10.0.22")


def director(**weights: int) -> DirectorState:
    addresses = {"web1": WEB1, "web2": WEB2}
    destinations = tuple(
        Destination(addresses[name], 80, Forwarding.DIRECT, weight) for name, weight in weights.items()
    )
    return DirectorState((VirtualServer("tcp", VIRTUAL.vip, 80, "wrr", destinations=destinations),))


def test_nothing_is_said_where_every_director_sends_it_its_share() -> None:
    assert not out_of_rotation(VIRTUAL, WEB1, {"lvs1": director(web1=1, web2=1)})


def test_a_weight_of_0_and_a_table_without_it_are_named_with_their_directors() -> None:
    states = {name: director(web1=0, web2=1) for name in ("lvs1", "lvs2")} | {"lvs3": director(web2=1)}
    assert (
        out_of_rotation(VIRTUAL, WEB1, states)
        == "lvs3 without it in the table, lvs1 and lvs2 with its weight at 0"
    )


def test_nothing_is_said_of_a_director_that_is_silent_or_has_no_such_service() -> None:
    states: DirectorStates = {
        "lvs1": UnreachableError("lvs1: timed out"),
        "lvs2": DirectorState(None),
        "lvs3": DirectorState(()),
    }
    assert not out_of_rotation(VIRTUAL, WEB1, states)
