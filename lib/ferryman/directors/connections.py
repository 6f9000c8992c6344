"""The connections of one service on one director, and whether one that is over may come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.hosts.verbs.ipvs import Connections
from ferryman.ipvs.connections import reused_anew
from ferryman.ipvs.table import key_of

if TYPE_CHECKING:
    from ferryman.hosts.hosts import Hosts
    from ferryman.ipvs.connections import Connection
    from ferryman.model import Director, Service


def connections_question(service: Service) -> Connections:
    """What asks a director for the service's connections."""
    return Connections(tuple(map(key_of, service.virtual_services)))


def connections_of(hosts: Hosts, director: Director, service: Service) -> tuple[frozenset[Connection], bool]:
    """The service's connections, and whether one that its client has ended may come back in its old way.

    One round trip.

    Raises:
        VerifyError: The table cannot be read, or is not understood.
        DoubtError: The director could not be asked.
    """
    reading = hosts.read(director.host, connections_question(service))
    return reading.connections, not reused_anew(reading.reuse_mode)
