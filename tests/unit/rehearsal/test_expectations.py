"""What a scenario expects, compared with an end: a failure says what was expected and what was seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.model import VirtualService
from ferryman.rehearsal import expectations, world
from ferryman.rehearsal.expectations import Ending, compare
from ferryman.rehearsal.schema import Expect
from ferryman.rehearsal.world import World

if TYPE_CHECKING:
    from ferryman.rehearsal.results import Step

STATIC = VirtualService("static", "default", "tcp", ip_address("10.99.0.3"), 8081, "wrr")
OTHER = "-A -t 10.99.0.9:80 -s wrr\n-a -t 10.99.0.9:80 -r 10.10.0.21:80 -g -w 1\n"


def table(*methods: str) -> str:
    """A director's table with one destination of the service for each method."""
    lines = [
        f"-a -t 10.99.0.3:8081 -r 10.10.0.2{number}:8081 {method} -w 1"
        for number, method in enumerate(methods, start=1)
    ]
    return "\n".join(["-A -t 10.99.0.3:8081 -s wrr", *lines]) + "\n" + OTHER


def lab(lvs1: str, lvs2: str, catalog: bytes = b"direct") -> World:
    tables = {"lvs1": lvs1, "lvs2": lvs2}
    return World(tables, tables, catalog)


OLD, NEW = lab(table("-g"), table("-g")), lab(table("-i"), table("-i"), b"ipip")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen stays as it is: nothing is waited for."""
    monkeypatch.setattr(expectations, "SETTLED_S", 0.0)


def ending(now: World = OLD, **more: Any) -> Ending:  # noqa: ANN401
    given: dict[str, Any] = {
        "codes": [0],
        "events": [],
        "before": OLD,
        "look": lambda: now,
        "services": (STATIC,),
        "catalog_form": now.catalog.decode,
    }
    return Ending(**(given | more))


def steps(of: Ending, **expected: Any) -> list[Step]:  # noqa: ANN401
    return list(compare(Expect.model_validate({"exit": of.codes[-1], **expected}), of))[1:]


def failure(of: Ending, **expected: Any) -> str:  # noqa: ANN401
    """The one step that failed, in words."""
    failed = [step for step in steps(of, **expected) if step.failed]
    assert len(failed) == 1
    return str(failed[0])


def finding(check: str, host: str, verdict: str) -> dict[str, Any]:
    return {"event": "finding", "check": check, "host": host, "verdict": verdict, "seen": "it is 1"}


def finished(outcome: str, reason: str) -> dict[str, Any]:
    return {"event": "run-finished", "outcome": outcome, "reason": reason}


def change(kind: str, target: str, *, applied: bool = True) -> dict[str, Any]:
    return {"event": "change", "kind": kind, "target": target, "applied": applied}


def test_another_exit_code_is_told_with_the_reason_of_the_run() -> None:
    of = ending(codes=[4], events=[finished("rolled-back", "web3 dropped it")])
    step = next(compare(Expect.model_validate({"exit": 0}), of))
    assert str(step) == "FAILED expect exit: expected 0; seen 4 (web3 dropped it)"


def test_of_several_commands_one_code_is_the_last_ones_and_the_others_end_well() -> None:
    assert not next(compare(Expect.model_validate({"exit": 3}), ending(codes=[0, 3]))).failed
    assert next(compare(Expect.model_validate({"exit": 3}), ending(codes=[4, 3]))).failed
    assert not next(compare(Expect.model_validate({"exit": [4, 3]}), ending(codes=[4, 3]))).failed


def test_a_run_that_came_to_no_end_has_no_outcome() -> None:
    assert "seen no run came to its end" in failure(ending(), outcome="done")


def test_a_finding_is_met_by_check_host_and_verdict() -> None:
    of = ending(events=[finding("rp-filter", "web3", "fail"), finding("rp-filter", "web1", "pass")])
    assert not steps(of, findings=[{"check": "rp-filter", "host": "web3"}])[0].failed
    assert not steps(of, findings=[{"check": "rp-filter", "verdict": "pass"}])[0].failed
    said = failure(of, findings=[{"check": "rp-filter", "host": "web1"}])
    assert "expected rp-filter on web1: warn or fail or unknown" in said
    assert "rp-filter on web3: fail (it is 1); rp-filter on web1: pass (it is 1)" in said
    assert "rp-filter on web3: fail" in failure(of, findings=[{"check": "pod-mtu"}])


def test_changes_are_exactly_those_that_are_expected() -> None:
    made = [
        change("catalog", "/tmp/services.yaml"),
        change("director", "lvs2"),
        change("director", "lvs2: /etc/x"),
    ]
    of = ending(events=[*made, change("director", "lvs1", applied=False)])
    wanted = [{"kind": "catalog"}, {"kind": "director", "on": "lvs2"}]
    assert not steps(of, changes=wanted)[0].failed
    assert "expected none; seen catalog, director lvs2" in failure(of, changes="none")
    assert "seen catalog, director lvs2" in failure(of, changes=wanted[:1])
    assert failure(of, changes=[*wanted, {"kind": "director", "on": "lvs1"}])


def test_all_old_is_everything_as_it_was_and_the_lines_that_differ_are_told() -> None:
    assert not steps(ending(OLD), end="all old")[0].failed
    said = failure(ending(lab(table("-g"), table("-i"))), end="all old")
    assert "lvs2: --a -t 10.99.0.3:8081 -r 10.10.0.21:8081 -g -w 1" in said
    assert "services.yaml: -direct" in failure(ending(replace(OLD, catalog=b"ipip")), end="all old")


def test_all_new_is_every_director_and_the_catalog_and_no_other_service() -> None:
    assert not steps(ending(NEW), end="all new")[0].failed
    assert "lvs2: direct" in failure(ending(lab(table("-i"), table("-g"), b"ipip")), end="all new")
    assert "catalog: direct" in failure(ending(lab(table("-i"), table("-i"))), end="all new")
    meddled = table("-i").replace(":80 -s wrr", ":80 -s rr")
    assert "other services: changed" in failure(ending(lab(table("-i"), meddled, b"ipip")), end="all new")


def test_a_table_names_each_host_and_those_it_leaves_out_are_not_looked_at() -> None:
    of = ending(lab(table("-g", "-i"), OTHER))
    assert not steps(of, end={"lvs1": "mixed", "lvs2": "none", "catalog": "direct"})[0].failed
    assert not steps(of, end={"lvs1": "mixed"})[0].failed
    assert "expected lvs1: direct; seen lvs1: mixed" in failure(of, end={"lvs1": "direct"})


def test_the_end_is_looked_at_again_until_it_is_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "SETTLED_S", 60.0)
    worlds = iter([NEW, OLD])
    assert not steps(ending(look=lambda: next(worlds)), end="all old")[0].failed


FORETOLD = {"event": "foretold", "dry_run": "r", "age_seconds": 1, "differences": []}
OTHERWISE = {"difference": "not-made", "title": "a step", "target": "lvs1", "foretold": "x", "found": ""}


def test_a_run_goes_as_foretold_where_it_was_compared_and_nothing_differs() -> None:
    assert not steps(ending(events=[FORETOLD]), as_foretold=True)[0].failed
    assert "no run was compared" in failure(ending(events=[]), as_foretold=True)
    different = {**FORETOLD, "differences": [OTHERWISE]}
    assert "a step: foretold x, found nothing" in failure(ending(events=[different]), as_foretold=True)


def test_lost_requests_are_counted_and_a_load_that_got_no_answer_is_no_proof() -> None:
    lost = {"answered": 98, "lost": 2, "losses": {"timed out": 2}}
    assert "expected 1 at most; seen 2 of 100 (2 timed out)" in failure(
        ending(requests=lost), lost_requests=1
    )
    assert not steps(ending(requests=lost), lost_requests=2)[0].failed
    assert failure(ending(requests={"answered": 0, "lost": 0, "losses": {}}), lost_requests=0)


def test_a_destination_that_a_health_check_took_out_is_not_flipped() -> None:
    assert world.is_flipped(OLD, NEW)
    assert not world.is_flipped(lab(table("-g", "-g"), table("-g")), OLD)
    assert not world.is_flipped(OLD, OLD)
