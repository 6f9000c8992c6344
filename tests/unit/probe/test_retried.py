"""A SYN that had to be sent again is counted: it is what a client would have felt as a second's wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.config import ProbeConfig, WatchConfig
from ferryman.engine.retries import Retries
from ferryman.errors import DoubtError
from ferryman.model import ProbeVerdict
from tools import first_of
from unit.probe.network import SAMPLED, asked, dead, probed, ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from scapy.layers.inet import IP

    from ferryman.errors import FerrymanError
    from unit.probe.network import Network, Replies


def deaf_to(number: int) -> Callable[[IP], Replies]:
    """A realserver that does not hear the first so many SYNs."""
    heard: list[IP] = []

    def behave(syn: IP) -> Replies:
        heard.append(syn)
        return ready(syn) if len(heard) > number else []

    return behave


def test_answers_at_once_took_one_try() -> None:
    [result], _ = probed(*asked(ready), SAMPLED)
    assert (result.tries, result.retried) == (1, 0)


@pytest.mark.parametrize(("deaf", "tries", "retried"), [(1, 2, 1), (3, 2, 3), (4, 2, 4), (8, 3, 4)])
def test_flows_that_were_asked_again_are_counted(deaf: int, tries: int, retried: int) -> None:
    [result], _ = probed(*asked(deaf_to(deaf)), SAMPLED)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert (result.tries, result.retried) == (tries, retried)


def test_silence_took_all_tries_and_is_no_answer_that_came_late() -> None:
    [result], _ = probed(*asked(dead), SAMPLED)
    assert (result.verdict, result.tries, result.retried) == (ProbeVerdict.SILENT, 3, 0)


def test_an_answer_that_only_took_its_time_is_not_one_that_was_lost() -> None:
    """Its SYN is sent again, for the other flows were answered long ago; then the first SYN is answered."""
    taken: list[IP] = []

    def unsteady(syn: IP) -> Replies:
        taken.append(syn)
        return [(0.450 if len(taken) == 1 else 0.120, reply) for _, reply in ready(syn)]

    [result], _ = probed(*asked(unsteady), SAMPLED)
    assert (result.tries, result.retried) == (2, 0)


PERIOD_S, SILENT_S = 5.0, 1.0
TRAFFIC_S = 0.05


def soaked(phase: float, network: Network, behave: Callable[[IP], Replies]) -> FerrymanError | None:
    """The watch's rounds in a soak of the default length, on the network's clock; what they end in."""
    watch, [address] = WatchConfig(), network.realservers
    retries, targets = Retries(watch.retries), asked(ready)[1]

    def silent_now_and_then(syn: IP) -> Replies:
        return [] if (network.clock + phase) % PERIOD_S < SILENT_S else behave(syn)

    network.realservers[address] = silent_now_and_then
    requests_at = watch.every
    while network.clock < watch.soak:
        network.clock += watch.probe_every
        [result], _ = probed(network, targets, ProbeConfig())
        assert result.verdict is ProbeVerdict.ACCEPTED, "its own tries hide it"
        hosts = [result.host] if result.retried else []
        if (error := retries.count("probes", hosts, network.clock)) is not None:
            return error
        if network.clock > requests_at:
            network.clock += TRAFFIC_S
            requests_at = network.clock + watch.every
    return None


@pytest.mark.parametrize("phase", first_of([0.07 + 0.5 * number for number in range(10)], 3))
def test_a_realserver_that_is_silent_for_a_second_in_five_is_noticed_in_every_soak(phase: float) -> None:
    network, _ = asked(ready)
    error = soaked(phase, network, ready)
    assert isinstance(error, DoubtError)
    assert network.clock < 45


def test_one_that_is_always_there_is_not() -> None:
    network, targets = asked(ready)
    for _ in range(60):
        [result], _ = probed(network, targets, ProbeConfig())
        assert result.retried == 0
