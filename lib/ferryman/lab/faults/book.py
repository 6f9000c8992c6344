"""All faults of the lab, by name."""

from ferryman.lab.faults import delivery, directors, filtering, firewalls, later, reaching, sizes, tunnels

ALL = (
    *filtering.FAULTS,
    *tunnels.FAULTS,
    *firewalls.FAULTS,
    *delivery.FAULTS,
    *sizes.FAULTS,
    *reaching.FAULTS,
    *directors.FAULTS,
    *later.FAULTS,
)
FAULTS = {fault.name: fault for fault in ALL}
