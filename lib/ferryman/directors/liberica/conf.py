"""What Liberica's ``config.yaml`` says of virtual servers, and what its forwarding plane is.

Wikimedia's Puppet writes it (``modules/liberica``). Under ``services`` each virtual server has ``ip``,
``port``, ``protocol`` and ``forward_type``. They are found by their addresses, for the names,
``<service>lb_<port>`` and ``<service>lb6_<port>``, say nothing of a label. No scheduler is named: there is
``mh`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import yaml

from ferryman.errors import VerifyError
from ferryman.inventory.yaml_nodes import loaded
from ferryman.model import Forwarding, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.ipvs.table import Table
    from ferryman.model import Address

SCHEDULER = "mh"
"""The only one it has: its Puppet code fails to compile another (``service_from_wmflib.pp``)."""
_FORWARD_TYPES = {"tunnel": Forwarding.TUNNEL, "direct_route": Forwarding.DIRECT}
Key = tuple[Protocol, "Address", int]


@dataclass(frozen=True, slots=True)
class LibericaConf:
    """What one ``config.yaml`` says of the forwarding plane and of each virtual server."""

    plane: str
    """The name of its forwarding plane: ``ipvs`` or ``katran``."""
    forwardings: Mapping[Key, Forwarding]
    """How each virtual server is forwarded, by protocol, address and port."""

    @classmethod
    def read(cls, text: str, where: str) -> LibericaConf:
        """The file with this text.

        Raises:
            VerifyError: It is not understood; the message begins with ``where``.
        """
        try:
            read = loaded(text)
            plane = str(read["fp"]["forwarding_plane"])
            return cls(plane, dict(_service(name, values) for name, values in read["services"].items()))
        except yaml.YAMLError as error:
            raise VerifyError(f"{where}: no YAML: {' '.join(str(error).split())}") from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            wanted = "fp.forwarding_plane, and services with ip, port, protocol and forward_type each"
            raise VerifyError(f"{where}: not understood ({what}), expected {wanted}") from error

    def configured(self, table: Table) -> Table:
        """These virtual servers as a daemon that loads this file makes them; those not in it are omitted."""
        return tuple(
            replace(server.forwarded(self.forwardings[server.key]), scheduler=SCHEDULER)
            for server in table
            if server.key in self.forwardings
        )


def _service(name: str, values: dict[str, Any]) -> tuple[Key, Forwarding]:
    protocol = values.get("protocol", "tcp")
    kind = values["forward_type"]
    if kind not in _FORWARD_TYPES:
        raise ValueError(f"{name}: forward_type is {kind!r}, expected {' or '.join(_FORWARD_TYPES)}")
    key = (cast("Protocol", str(protocol)), ip_address(values["ip"]), int(values["port"]))
    return key, _FORWARD_TYPES[kind]
