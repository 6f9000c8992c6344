"""Words for the tests of facts and checks: services, realservers, and hosts as they may be."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.model import Kind, Realserver, Service, VirtualService

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parent / "cases"


@pytest.fixture(name="case")
def read_case() -> Callable[[str], str]:
    """A recorded or composed answer; its first line says which."""
    return lambda name: (CASES / f"{name}.txt").read_text()


@pytest.fixture(name="debian_13")
def a_file_of_debian_13() -> str:
    """What the package linux-sysctl-defaults installs as /usr/lib/sysctl.d/50-default.conf."""
    return (CASES / "debian-13-50-default.conf").read_text()


@pytest.fixture(name="service_of")
def make_service() -> Callable[..., Service]:
    """A service with these VIPs (``192.0.2.1:80``) and realservers."""

    def make(*places: str, realservers: tuple[Realserver, ...] = (), protocol: str = "tcp") -> Service:
        pairs = [place.rsplit(":", 1) for place in places]
        virtual = tuple(
            VirtualService(
                "web", "default", "udp" if protocol == "udp" else "tcp", ip_address(vip), int(port), "wrr"
            )
            for vip, port in pairs
        )
        return Service("web", "lab", False, "low-traffic", False, virtual, realservers, ())

    return make


@pytest.fixture(name="server")
def a_server() -> Realserver:
    """Return a realserver that is a plain server."""
    return Realserver("web1", Kind.SERVER, None, None)


@pytest.fixture(name="node")
def a_node() -> Realserver:
    """Return a realserver that is a Kubernetes node."""
    return Realserver("node1", Kind.KUBERNETES, None, None)
