"""What can be put wrong in the lab, each by name: how it is put in, and how it is taken out again.

    put(paths, "rp-filter-strict", "web1")
    clear(paths)

Faults go in through the console, so one that shuts a host's own sshd can be taken out again. Some only look
wrong: a check that stops at one raises a false alarm.
"""

from ferryman.lab.faults.fault import Fault
from ferryman.lab.faults.inject import ActiveFault, active, clear, put
from ferryman.lab.faults.registry import ALL, FAULTS

__all__ = ["ALL", "FAULTS", "ActiveFault", "Fault", "active", "clear", "put"]
