"""probe: it asks whom it is told to ask, changes nothing, and leaves nothing open wherever it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import InventoryError, UsageError
from ferryman.testing import Cuts, Harness
from unit.cookbooks.fake_site import FakeSite

if TYPE_CHECKING:
    from ferryman.testing import Scene

NOBODY: dict[str, Any] = {"services": (), "site": "lab", "cluster": None, "nodes": ()}


def scene(cuts: Cuts) -> Scene:
    """Every service of a cluster."""
    return FakeSite(cuts).scene_with("probe.py", NOBODY | {"cluster": "edge"})


def scene_exchange(cuts: Cuts) -> Scene:
    """One service, with whole exchanges."""
    return FakeSite(cuts).scene_with("probe.py", NOBODY | {"services": ("static",), "exchange": True})


def asked(**arguments: object) -> list[tuple[str, str]]:
    """Who was asked for what: realserver and VIP."""
    harness = Harness()
    assert (
        harness.perform(FakeSite(Cuts()).scene_with("probe.py", NOBODY | arguments).plan()).outcome == "done"
    )
    events = [one.event.as_dict() for one in harness.events if one.event.event == "probe"]
    return [(event["host"], event["vip"]) for event in events]


def test_a_service_is_asked_for_at_every_realserver() -> None:
    assert asked(services=("static",)) == [("web1", "10.99.0.3"), ("web2", "10.99.0.3")]


def test_a_cluster_is_asked_for_all_its_services_each_once() -> None:
    others = [(host, vip) for vip in ("10.99.0.3", "10.99.0.2") for host in ("web1", "web2")]
    web = [(host, vip) for vip in ("10.99.0.1", "fd99::1") for host in ("web1", "web2")]
    assert asked(cluster="edge") == others + web
    assert asked(services=("static",), cluster="edge") == others + web


def test_one_host_alone_can_be_asked() -> None:
    assert asked(services=("static",), nodes=("web2",)) == [("web2", "10.99.0.3")]


def test_an_exchange_follows_each_service_s_probes_where_it_is_asked_for() -> None:
    def looks(*, exchange: bool) -> list[str]:
        arguments = NOBODY | {"services": ("static", "web"), "exchange": exchange}
        steps = FakeSite(Cuts()).scene_with("probe.py", arguments).plan().steps
        return [type(step).__name__ for step in steps]

    assert looks(exchange=False) == ["ControlHostCanProbe", *["ProbesAnswered"] * 2]
    assert looks(exchange=True) == ["ControlHostCanProbe", *["ProbesAnswered", "ExchangesCompleted"] * 2]


def test_nobody_to_ask_is_an_error_of_usage() -> None:
    with pytest.raises(UsageError, match="name a service, or a cluster"):
        asked()


def test_an_unknown_cluster_gets_the_nearest_names() -> None:
    with pytest.raises(InventoryError, match="edge"):
        asked(cluster="egde")
