"""A director's own keys are read with their type, or refused by the name of their entry."""

from __future__ import annotations

import pytest

from ferryman.directors.options import Options
from ferryman.errors import ConfigError
from ferryman.model import Director, Role, Service

SERVICE = Service(
    name="web",
    site="lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(),
    realservers=(),
    directors=(),
)


def seconds(value: object) -> float:
    director = Director("lvs1", Role.PRIMARY, "ipvsadm", options={"converge_timeout": value})
    return Options(director, SERVICE).seconds("converge_timeout", 30.0)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), -1, 86_401, 10**400, True, "30", None]
)
def test_seconds_are_finite_and_a_day_at_most(value: object) -> None:
    with pytest.raises(ConfigError, match=r"directors.yaml: lab: low-traffic: lvs1: converge_timeout: is"):
        seconds(value)


@pytest.mark.parametrize("value", [0, 0.5, 86_400])
def test_seconds_in_that_range_are_taken(value: float) -> None:
    assert seconds(value) == value
