"""Is a realserver ready for encapsulated packets? Settings read over SSH, judged one by one.

Settings explain why a probe fails and what breaks at the next reboot; whether packets get through is for the
probe to say. A check is a function of the service, the realserver and its facts that yields findings; its
docstring has the rule and where the rule comes from. A new one is a file here, and a line of
``registry.CHECKS``.
"""

from ferryman.realservers.checks.registry import CHECKS, realserver_checks, service_readiness

__all__ = ["CHECKS", "realserver_checks", "service_readiness"]
