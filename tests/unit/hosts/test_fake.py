from __future__ import annotations

import pytest

from ferryman.errors import CommandFailedError, DryRunError, UnknownOutcomeError, UnreachableError
from ferryman.hosts.fake import Call, FakeHosts, Printed
from ferryman.hosts.verbs.agents import AgentRevision
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.keepalived import KeepalivedWrite
from ferryman.hosts.verbs.realservers import ReadCounters
from tools import does

RELOAD = KeepalivedWrite("/etc/keepalived/keepalived.conf", "reload", {}, {})


def test_a_dry_run_refuses_writes_and_runs_none() -> None:
    hosts = FakeHosts(dry_run=True)
    hosts.answer("lvs1", None, {"drops": 1})
    assert hosts.read("lvs1", ReadCounters()) == {"drops": 1}
    with pytest.raises(DryRunError, match="lvs1: a dry run tried to run 'rm x'"):
        hosts.write("lvs1", does("rm x"))
    assert [call.verb for call in hosts.calls] == [ReadCounters()]


def test_a_verb_of_the_other_kind_is_a_bug_of_who_asks() -> None:
    hosts = FakeHosts()
    hosts.answer("lvs1", None, None)
    with pytest.raises(TypeError, match="take-over writes"):
        hosts.read("lvs1", TakeOver())  # type: ignore[arg-type]  # the type checker says so too
    with pytest.raises(TypeError, match="counters reads"):
        hosts.write("lvs1", ReadCounters())  # type: ignore[arg-type]  # the type checker says so too
    assert hosts.calls == []


def test_a_verb_without_an_answer_fails_the_test_that_asked() -> None:
    with pytest.raises(AssertionError, match="lvs1: no answer for 'counters'"):
        FakeHosts().read("lvs1", ReadCounters())


def test_a_host_that_is_down_raises_and_answers_again_once_it_is_up() -> None:
    hosts = FakeHosts()
    hosts.answer("*", ReadCounters, {})
    hosts.down("web1")
    answers = hosts.read_all({"web1": ReadCounters(), "web2": ReadCounters()})
    assert isinstance(answers["web1"], UnreachableError)
    assert answers["web2"] == {}
    hosts.up("web1")
    assert hosts.read("web1", ReadCounters()) == {}


def test_each_question_of_several_is_a_call_and_all_of_them_are_one_command() -> None:
    hosts = FakeHosts()
    hosts.answer("*", ReadCounters, {})
    hosts.answer("lvs1", TakeOver, None)
    hosts.down("web2")
    answers = hosts.read_together({"web1": [ReadCounters(), ReadCounters()], "web2": [ReadCounters()]})
    assert answers["web1"] == [{}, {}]
    assert isinstance(answers["web2"][0], UnreachableError)
    assert hosts.write_and_read("lvs1", TakeOver(), [ReadCounters()]) == (None, [{}])
    assert len(hosts.calls) == 5
    assert [(host, len(verbs)) for host, verbs in hosts.commands] == [("web1", 2), ("web2", 1), ("lvs1", 2)]


def test_a_reply_may_be_a_value_an_error_or_what_the_script_prints() -> None:
    hosts = FakeHosts()
    hosts.answer("lvs1", AgentRevision(("a",)), UnknownOutcomeError("lvs1: run: lost"))
    hosts.answer("lvs1", AgentRevision(("b",)), Printed(stderr="no", status=5))
    hosts.answer("lvs1", AgentRevision(("c",)), Printed("printed"))
    hosts.answer("lvs1", AgentRevision(("d",)), "a value")
    with pytest.raises(UnknownOutcomeError):
        hosts.read("lvs1", AgentRevision(("a",)))
    with pytest.raises(CommandFailedError, match="lvs1: 'b' ended with status 5: no"):
        hosts.read("lvs1", AgentRevision(("b",)))
    assert [hosts.read("lvs1", AgentRevision((word,))) for word in "cd"] == ["printed", "a value"]


def test_an_error_of_one_host_stands_in_its_place_among_all() -> None:
    hosts = FakeHosts()
    hosts.answer("*", AgentRevision, "c0ffee")
    hosts.answer("web2", AgentRevision, Printed(status=1))
    answers = hosts.read_all(dict.fromkeys(("web1", "web2"), AgentRevision(("git", "log"))))
    assert answers["web1"] == "c0ffee"
    assert isinstance(answers["web2"], CommandFailedError)


def test_replies_come_in_turn_and_the_last_one_stays() -> None:
    hosts = FakeHosts()
    hosts.answer("lvs1", ReadCounters, {"n": 1}, {"n": 2})
    assert [hosts.read("lvs1", ReadCounters())["n"] for _ in range(3)] == [1, 2, 2]


def test_the_newest_answer_wins_and_a_reply_may_keep_state() -> None:
    hosts, table = FakeHosts(), []

    def add(call: Call) -> None:
        table.append(call.verb.stdin)

    hosts.answer("lvs1", None, "old")
    hosts.answer("lvs1", lambda verb: not verb.reads, add)
    hosts.write("lvs1", does("ipvsadm -R", given="-A -t 192.0.2.1:80"))
    assert table == ["-A -t 192.0.2.1:80"]
    assert hosts.read("lvs1", AgentRevision(("git", "log"))) == "old"
    assert hosts.written() == hosts.written("lvs1") == [does("ipvsadm -R", given="-A -t 192.0.2.1:80")]
    assert hosts.written("lvs2") == []
