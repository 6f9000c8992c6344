"""An exchange that failed is made again while the realserver's counters are watched."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ferryman.diagnosis import exchange_cause_of, exchange_evidence
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.probe.exchange import ExchangeRequest, ExchangeResult, ExchangeTarget, ExchangeVerdict, Stage
from ferryman.realservers.facts import CALLED_INVALID
from unit.diagnosis.test_evidence import CASES, TARGET, WEB

if TYPE_CHECKING:
    from ferryman.diagnosis import ExchangeEvidence

ASKED = ExchangeTarget(TARGET, ExchangeRequest())
INVALID, RESETS = 7, 23
"""What the recorded host has counted when it is read after the exchange."""
LAST = "/proc/net/snmp:Tcp: 1 "
TRACKED = "entries invalid drop\n{0} 00000003 00000000\n{0} 00000004 00000000".format("00000001")
RECORDED = re.sub(
    rf"(?m)^{LAST}.*\n",
    lambda line: line[0] + "".join(f"/proc/net/stat/nf_conntrack:{each}\n" for each in TRACKED.splitlines()),
    (CASES / "lab-web-other-route.txt").read_text().replace("10.10.0.22", "10.10.0.21"),
)


def result(verdict: ExchangeVerdict, host: str = "web1") -> ExchangeResult:
    target = replace(ASKED, target=replace(TARGET, host=host))
    return ExchangeResult(target, verdict, "as it was seen", Stage.REQUEST)


HALF_OPEN, RESET = result(ExchangeVerdict.HALF_OPEN), result(ExchangeVerdict.RESET)


def counted(invalid: int, resets: int) -> Printed:
    """The answer of ``grep -aH ''`` over the files with counters."""
    files = {
        "/proc/net/netstat": "TcpExt: ListenDrops\nTcpExt: 0",
        "/proc/net/dev": "Inter-|\n face |\n ipip0: 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        "/proc/net/snmp": f"Tcp: RtoAlgorithm OutRsts\nTcp: 1 {resets}",
        "/proc/net/stat/nf_conntrack": f"entries invalid drop\n00000001 {invalid:08x} 00000000",
    }
    return Printed("\n".join(f"{path}:{line}" for path, text in files.items() for line in text.splitlines()))


def gathered(
    failed: ExchangeResult, before: Printed, *others: ExchangeResult
) -> tuple[ExchangeEvidence, FakeHosts]:
    hosts = FakeHosts()
    hosts.answer("web1", ReadFacts, Printed(RECORDED))
    hosts.answer("web1", ReadCounters, before)
    (evidence,) = exchange_evidence(WEB, [failed], [failed, *others], hosts, lambda _: [failed])
    return evidence, hosts


def test_what_connection_tracking_calls_invalid_is_counted_on_every_processor() -> None:
    evidence, hosts = gathered(HALF_OPEN, counted(INVALID - 3, RESETS))
    assert [call.verb.name for call in hosts.calls] == ["counters", "facts"]
    assert evidence.grew[CALLED_INVALID] == 3
    found = exchange_cause_of(evidence)
    assert found is not None
    assert (found.cause, "grew by 3" in found.seen) == ("firewall", True)


@pytest.mark.parametrize(("sent", "cause"), [(0, "firewall"), (1, "server")])
def test_a_reset_is_the_server_s_where_its_own_tcp_sent_one(sent: int, cause: str) -> None:
    evidence, _ = gathered(RESET, counted(INVALID, RESETS - sent))
    assert evidence.counted
    found = exchange_cause_of(evidence)
    assert found is not None
    assert found.cause == cause


def test_what_fails_alike_with_every_realserver_is_known_as_that() -> None:
    same, good = (result(verdict, "web2") for verdict in (HALF_OPEN.verdict, ExchangeVerdict.COMPLETED))
    before = counted(INVALID, RESETS)
    assert gathered(HALF_OPEN, before, same)[0].alike
    assert not gathered(HALF_OPEN, before, good)[0].alike
    assert not gathered(HALF_OPEN, before)[0].alike, "one realserver alone is like no other"


def test_a_host_that_cannot_be_asked_leaves_what_the_exchange_itself_says() -> None:
    hosts = FakeHosts()
    hosts.down("web1")
    (evidence,) = exchange_evidence(WEB, [HALF_OPEN], [HALF_OPEN], hosts, lambda _: [HALF_OPEN])
    assert (evidence.counted, evidence.findings, dict(evidence.grew)) == (False, (), {})
    found = exchange_cause_of(evidence)
    assert found is not None
    assert found.cause == "path"
