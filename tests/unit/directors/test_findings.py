from __future__ import annotations

from dataclasses import replace

from ferryman.directors import catalog_findings, not_reached
from ferryman.errors import CommandFailedError, UnreachableError
from ferryman.ipvs.listing import parse
from ferryman.model import Verdict
from unit.directors.test_ipvsadm import FLIPPED
from unit.directors.world import LVS1, RULES, WEB, realserver, virtual


def test_a_director_that_cannot_be_asked_is_unknown_and_one_that_says_no_fails() -> None:
    assert not_reached(LVS1, UnreachableError("lvs1: timed out")).verdict is Verdict.UNKNOWN
    assert not_reached(LVS1, CommandFailedError("lvs1: ended with 1")).verdict is Verdict.FAIL


def test_a_table_that_is_as_the_catalog_says_passes_for_each_virtual_service() -> None:
    found = catalog_findings(LVS1, WEB, parse(RULES))
    assert [(finding.check, finding.verdict) for finding in found] == [("ipvs-table", Verdict.PASS)] * 2
    assert found[0].seen == "tcp 10.99.0.1:80: 2 Route, wrr"
    assert found[0].wanted == "Route to 2 destinations, wrr"


def test_a_virtual_service_that_is_missing_fails() -> None:
    found = catalog_findings(LVS1, WEB, parse(RULES)[:1])
    assert [finding.verdict for finding in found] == [Verdict.PASS, Verdict.FAIL]
    assert found[1].seen == "tcp [fd99::1]:80: not in its IPVS table"


def test_the_method_must_be_the_one_that_the_catalog_says() -> None:
    half = RULES.replace("-r 10.10.0.21:80 -g -w 1", "-r 10.10.0.21:80 -i -w 1 --tun-type ipip")
    four, six = catalog_findings(LVS1, WEB, parse(half))
    assert four.verdict is Verdict.FAIL
    assert "1 of 2 destinations Tunnel (10.10.0.21:80), the catalog says Route for lab" in four.seen
    assert six.verdict is Verdict.PASS
    encapsulated = replace(WEB, encapsulated=True)
    assert [
        catalog_finding.verdict for catalog_finding in catalog_findings(LVS1, encapsulated, parse(FLIPPED))
    ] == [Verdict.PASS] * 2


def test_scheduler_flags_and_destinations_are_all_named_in_one_finding() -> None:
    service = replace(
        WEB,
        virtual_services=(virtual("10.99.0.1", 80, "mh", "mh-port"),),
        realservers=(realserver(1), realserver(3)),
    )
    (found,) = catalog_findings(LVS1, service, parse(RULES))
    assert found.verdict is Verdict.FAIL
    for part in ("scheduler wrr, wanted mh", "scheduler flags none, wanted mh-port", "web3", "10.10.0.22:80"):
        assert part in found.seen
    assert found.wanted == "Route to 2 destinations, mh (mh-port)"


def test_the_order_of_scheduler_flags_does_not_matter() -> None:
    service = replace(WEB, virtual_services=(virtual("10.99.0.1", 80, "mh", "mh-port", "mh-fallback"),))
    rules = RULES.replace("-A -t 10.99.0.1:80 -s wrr", "-A -t 10.99.0.1:80 -s mh -b mh-fallback,mh-port")
    assert catalog_findings(LVS1, service, parse(rules))[0].verdict is Verdict.PASS
