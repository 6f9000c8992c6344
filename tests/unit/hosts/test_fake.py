from __future__ import annotations

import pytest

from ferryman.errors import DryRunError, UnknownOutcomeError, UnreachableError
from ferryman.hosts import Completed
from ferryman.hosts.fake import Call, FakeHosts
from ferryman.hosts.script import script


def test_a_dry_run_refuses_writes_and_runs_none() -> None:
    hosts = FakeHosts(dry_run=True)
    hosts.script("lvs1", ".*", "ok")
    assert hosts.read("lvs1", "cat x").stdout == "ok"
    with pytest.raises(DryRunError, match="lvs1: a dry run tried to run 'rm x'"):
        hosts.write("lvs1", "rm x")
    assert [call.command for call in hosts.calls] == ["cat x"]


def test_a_command_without_a_script_fails_the_test_that_asked() -> None:
    with pytest.raises(AssertionError, match="lvs1: no script for 'uptime'"):
        FakeHosts().read("lvs1", "uptime")


def test_a_host_that_is_down_raises_and_answers_again_once_it_is_up() -> None:
    hosts = FakeHosts()
    hosts.script("*", "uptime", "up")
    hosts.down("web1")
    answers = hosts.read_all({"web1": "uptime", "web2": "uptime"})
    assert isinstance(answers["web1"], UnreachableError)
    assert isinstance(answers["web2"], Completed)
    hosts.up("web1")
    assert hosts.read("web1", "uptime").stdout == "up"


def test_a_reply_may_be_an_error_or_a_status_or_a_whole_result() -> None:
    hosts = FakeHosts()
    whole = Completed("lvs1", "c", 3, "o", "e")
    hosts.script("lvs1", "^a$", UnknownOutcomeError("lvs1: run: lost"))
    hosts.script("lvs1", "^b$", 5)
    hosts.script("lvs1", "^c$", whole)
    with pytest.raises(UnknownOutcomeError):
        hosts.write("lvs1", "a")
    assert hosts.read("lvs1", "b").status == 5
    assert hosts.read("lvs1", "c") is whole


def test_replies_come_in_turn_and_the_last_one_stays() -> None:
    hosts = FakeHosts()
    hosts.script("lvs1", "date", "1", "2")
    assert [hosts.read("lvs1", "date").stdout for _ in range(3)] == ["1", "2", "2"]


@script
def uptime_of(person: str) -> str:
    return f"uptime --of {person}"


def test_what_is_asked_is_the_function_and_its_arguments_whatever_the_text() -> None:
    hosts = FakeHosts()
    hosts.script("lvs1", uptime_of, lambda call: str(call.arguments["person"]))
    assert hosts.read("lvs1", uptime_of("admin")).stdout == "admin"
    assert hosts.calls[0].command == "uptime --of admin"
    with pytest.raises(AssertionError, match="no script for 'uptime --of admin'"):
        hosts.read("lvs1", str(uptime_of("admin")))


def test_the_newest_script_wins_and_a_reply_may_keep_state() -> None:
    hosts, table = FakeHosts(), []

    def add(call: Call) -> str:
        table.append(call.stdin)
        return ""

    hosts.script("lvs1", "ipvsadm", "old")
    hosts.script("lvs1", "ipvsadm -R", add)
    hosts.script("lvs1", "ipvsadm -S", lambda _: "\n".join(table))
    hosts.write("lvs1", "ipvsadm -R", stdin="-A -t 192.0.2.1:80")
    assert hosts.read("lvs1", "ipvsadm -Sn").stdout == "-A -t 192.0.2.1:80"
    assert hosts.written() == hosts.written("lvs1") == ["ipvsadm -R"]
    assert hosts.written("lvs2") == []
