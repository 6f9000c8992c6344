"""The hosts of a run: reaching them, reading what is so there, and judging whether they are ready.

``ferryman.hosts.ssh`` has the real thing and is imported only where connections are made; everybody else
types against ``Hosts``.
"""

from ferryman.hosts.hosts import Completed, HostAddress, Hosts

__all__ = ["Completed", "HostAddress", "Hosts"]
