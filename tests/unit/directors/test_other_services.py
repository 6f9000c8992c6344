"""The other services of a director, before and after a change to one of them."""

from __future__ import annotations

import pytest

from ferryman.directors import others_findings, others_not_restored
from ferryman.ipvs.listing import parse
from ferryman.ipvs.table import of_others
from ferryman.model import Verdict
from unit.directors.world import RULES, WEB

OTHER = "10.99.0.9:80"


def test_only_what_is_not_the_services_own_is_compared() -> None:
    table = parse(RULES)
    assert [str(of_other) for of_other in of_others(table, WEB)] == [f"tcp {OTHER}"]


def test_untouched_services_pass() -> None:
    (finding,) = others_findings("lvs1", parse(RULES), parse(RULES))
    assert (finding.verdict, finding.seen) == (
        Verdict.PASS,
        "3 virtual servers of other services are untouched",
    )


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        (f"-a -t {OTHER} -r 10.10.0.21:80 -g", f"-a -t {OTHER} -r 10.10.0.21:80 -i", "wanted Route"),
        (f"-A -t {OTHER} -s rr", f"-A -t {OTHER} -s wrr", "scheduler wrr, wanted rr"),
        (f"-A -t {OTHER} -s rr", f"-A -t {OTHER} -s rr -p 300", "options -p 300"),
        (OTHER, "10.99.0.8:80", f"tcp {OTHER} is gone; tcp 10.99.0.8:80 is new"),
    ],
)
def test_what_health_checks_do_not_do_fails(old: str, new: str, seen: str) -> None:
    (finding,) = others_findings("lvs1", parse(RULES), parse(RULES.replace(old, new)))
    assert finding.verdict is Verdict.FAIL
    assert seen in finding.seen
    assert "configuration" in finding.remedy


def test_what_health_checks_do_is_a_warning() -> None:
    weighed = RULES.replace("-w 7", "-w 0")
    (finding,) = others_findings("lvs1", parse(RULES), parse(weighed))
    assert finding.verdict is Verdict.WARN
    assert finding.seen == f"tcp {OTHER}: 10.10.0.21:80 has weight 0, had 7"
    out = RULES.replace(f"-a -t {OTHER} -r 10.10.0.21:80 -g -w 7\n", "")
    assert others_findings("lvs1", parse(RULES), parse(out))[0].seen.endswith("10.10.0.21:80 is out")
    assert others_findings("lvs1", parse(out), parse(RULES))[0].seen.endswith("10.10.0.21:80 is in")


def test_at_the_end_of_a_rollback_what_a_reload_may_have_done_to_others_is_a_warning_of_its_own() -> None:
    changed = RULES.replace(f"-A -t {OTHER} -s rr", f"-A -t {OTHER} -s wrr")
    (finding,) = others_not_restored("lvs1", parse(RULES), parse(changed.replace("-w 7", "-w 0")))
    assert (finding.check, finding.verdict) == ("other-services-changed", Verdict.WARN)
    assert f"tcp {OTHER}: scheduler wrr, wanted rr" in finding.seen
    assert others_not_restored("lvs1", parse(RULES), parse(RULES.replace("-w 7", "-w 0"))) == []
