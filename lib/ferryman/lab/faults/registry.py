"""All faults of the lab, by name."""

from ferryman.lab.faults import (
    access,
    delayed,
    directors,
    filtering,
    firewalls,
    mtu,
    tunnels,
    vip_and_listener,
)

ALL = (
    *filtering.FAULTS,
    *tunnels.FAULTS,
    *firewalls.FAULTS,
    *vip_and_listener.FAULTS,
    *mtu.FAULTS,
    *access.FAULTS,
    *directors.FAULTS,
    *delayed.FAULTS,
)
FAULTS = {fault.name: fault for fault in ALL}
