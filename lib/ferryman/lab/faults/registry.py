"""The registry of all faults of the lab, by name; a new one goes into ``FAULTS`` of its family's file."""

from ferryman.lab.faults import (
    access,
    after_reboot,
    delayed,
    directors,
    early,
    filtering,
    firewalls,
    mtu,
    pods,
    tunnels,
    vip_and_listener,
)

ALL = (
    *filtering.FAULTS,
    *early.FAULTS,
    *after_reboot.FAULTS,
    *tunnels.FAULTS,
    *firewalls.FAULTS,
    *vip_and_listener.FAULTS,
    *mtu.FAULTS,
    *pods.FAULTS,
    *access.FAULTS,
    *directors.FAULTS,
    *delayed.FAULTS,
)
FAULTS = {fault.name: fault for fault in ALL}
