"""The hosts of a run: reaching them, and running commands there that read or write.

``ferryman.hosts.ssh`` has the real thing and is imported only where connections are made; everybody else
types against ``Hosts``.
"""

from ferryman.hosts.completed import Completed
from ferryman.hosts.hosts import HostAddress, Hosts

__all__ = ["Completed", "HostAddress", "Hosts"]
