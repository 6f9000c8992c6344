"""Everything that is looked at on a director before anything is changed, in one round trip.

Its IPVS table, how it reaches each realserver, the MTU of its devices, and the settings of IPVS that matter
to tunnelled traffic. Only the table is needed to go on; what else cannot be read is left out here and
becomes a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.verbs.directors import DirectorState, ReadDirector
from ferryman.ipvs.table import of_service

if TYPE_CHECKING:
    from collections.abc import Container

    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Address, Realserver, Service

DirectorStates = Mapping[str, DirectorState | DoubtError | VerifyError]
"""By director: what was seen, with this service's part of its table, or why it was not."""


def observe_directors(service: Service, hosts: Hosts, *, without_ipvs: Container[str] = ()) -> DirectorStates:
    """Ask every director of the service at once; those without IPVS are not asked for a table."""
    questions = director_questions(service, without_ipvs=without_ipvs)
    return {host: _seen(answer, service) for host, answer in hosts.read_all(questions).items()}


def director_questions(service: Service, *, without_ipvs: Container[str] = ()) -> dict[str, ReadDirector]:
    """What each director of the service is asked, by host."""
    addresses = tuple(address for _, address in addresses_of(service))
    return {
        director.host: ReadDirector(addresses, ipvs=director.host not in without_ipvs)
        for director in service.directors
    }


def addresses_of(service: Service) -> list[tuple[Realserver, Address]]:
    """Each address that directors send the service's outer packets to, with whose it is."""
    families = sorted({virtual.vip.version for virtual in service.virtual_services})
    return [
        (realserver, address)
        for realserver in service.realservers
        for address in (realserver.address, realserver.address6)
        if address is not None and address.version in families
    ]


def _seen(
    answer: DirectorState | DoubtError | VerifyError, service: Service
) -> DirectorState | DoubtError | VerifyError:
    if not isinstance(answer, DirectorState) or answer.table is None:
        return answer
    return replace(answer, table=of_service(answer.table, service))
