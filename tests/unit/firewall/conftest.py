"""The fixture ``service_of`` of the realservers' tests, for the check ``firewall``."""

from unit.realservers.conftest import make_service

__all__ = ["make_service"]
