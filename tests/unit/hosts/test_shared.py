"""The readings of one moment are shared; none is older than the moment, a write or a wait."""

from __future__ import annotations

import threading
from ipaddress import ip_address
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ferryman import retry, waits
from ferryman.errors import UnknownOutcomeError, UnreachableError, VerifyError, WorldChangedError
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.shared import SharedReadings, read_back
from ferryman.hosts.verbs.ipvs import Connections, EditTable, IpvsTable
from ferryman.hosts.verbs.keepalived import KeepalivedRead, KeepalivedReading
from ferryman.hosts.verbs.realservers import ReadCounters
from ferryman.ipvs.listing import read_table
from tools import asks, does
from unit.directors.world import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.hosts.fake import Call
    from ferryman.hosts.verbs import ReadVerb

A: ReadVerb[Any] = asks("a")
B: ReadVerb[Any] = asks("b")
C: ReadVerb[Any] = asks("c")
TABLE = read_table(RULES)


@pytest.fixture
def fake() -> FakeHosts:
    """Hosts that answer each question with the number of its asking, counted by verb and host."""
    hosts, counts = FakeHosts(), dict[tuple[str, str], Any]()

    def answer(call: Call) -> str:
        number = counts.setdefault((call.host, call.verb.shown), count(1))
        return f"{call.host} {call.verb.shown} {next(number)}"

    hosts.answer("*", None, answer)
    return hosts


@pytest.fixture
def hosts(fake: FakeHosts) -> SharedReadings:
    return SharedReadings(fake)


def commands(fake: FakeHosts) -> list[str]:
    return [f"{host}: {', '.join(verb.shown for verb in verbs)}" for host, verbs in fake.commands]


def test_outside_of_a_moment_everything_is_asked_each_time(hosts: SharedReadings, fake: FakeHosts) -> None:
    assert [hosts.read("lvs1", A), hosts.read("lvs1", A)] == ["lvs1 a 1", "lvs1 a 2"]
    assert commands(fake) == ["lvs1: a", "lvs1: a"]


def test_what_was_said_beforehand_is_asked_together_and_once(hosts: SharedReadings, fake: FakeHosts) -> None:
    hosts.begin([("lvs1", A), ("lvs2", A), ("lvs1", B), ("lvs1", A)])
    assert commands(fake) == []
    assert [hosts.read("lvs1", A), hosts.read("lvs1", B), hosts.read("lvs2", A)] == [
        "lvs1 a 1",
        "lvs1 b 1",
        "lvs2 a 1",
    ]
    assert hosts.read_all({"lvs1": A, "lvs2": A}) == {"lvs1": "lvs1 a 1", "lvs2": "lvs2 a 1"}
    assert commands(fake) == ["lvs1: a, b", "lvs2: a"]


def test_what_nobody_said_beforehand_is_asked_anew_each_time(hosts: SharedReadings) -> None:
    hosts.begin([("lvs1", A)])
    assert [hosts.read("lvs1", C), hosts.read("lvs1", C)] == ["lvs1 c 1", "lvs1 c 2"]
    assert hosts.read("lvs2", A) == "lvs2 a 1"
    assert hosts.read("lvs2", A) == "lvs2 a 2"


def test_the_next_moment_begins_with_nothing(hosts: SharedReadings) -> None:
    hosts.begin([("lvs1", A)])
    assert hosts.read("lvs1", A) == "lvs1 a 1"
    hosts.begin([("lvs1", A)])
    assert hosts.read("lvs1", A) == "lvs1 a 2"
    hosts.end()
    assert hosts.read("lvs1", A) == "lvs1 a 3"


@pytest.mark.parametrize("host", ["lvs1", "lvs2"])
def test_after_a_write_on_any_host_everything_is_asked_anew(hosts: SharedReadings, host: str) -> None:
    hosts.begin([("lvs1", A), ("lvs2", A)])
    assert hosts.read("lvs1", A) == "lvs1 a 1"
    hosts.write(host, does("x"))
    assert [hosts.read("lvs1", A), hosts.read("lvs2", A)] == ["lvs1 a 2", "lvs2 a 2"]


def test_after_a_write_that_failed_too(hosts: SharedReadings, fake: FakeHosts) -> None:
    fake.answer("lvs1", does("x"), UnknownOutcomeError("lvs1: lost"))
    hosts.begin([("lvs1", A)])
    hosts.read("lvs1", A)
    hosts.read_back("lvs1", [A])
    with pytest.raises(UnknownOutcomeError):
        hosts.write("lvs1", does("x"))
    assert hosts.read("lvs1", A) == "lvs1 a 2"


def test_after_a_write_of_another_thread_too(hosts: SharedReadings) -> None:
    hosts.begin([("lvs1", A)])
    hosts.read("lvs1", A)
    in_thread(lambda: hosts.write("lvs2", does("x")))
    assert hosts.read("lvs1", A) == "lvs1 a 2"


@pytest.mark.parametrize(
    "let_time_pass",
    [
        lambda: waits.sleep(0),
        lambda: retry.poll_until(lambda: 0, bool, within_s=0.001, every_s=0.0, sleep=lambda _: None),
    ],
    ids=["sleep", "poll"],
)
def test_after_a_wait_everything_is_asked_anew_and_together(
    hosts: SharedReadings, fake: FakeHosts, let_time_pass: Callable[[], object]
) -> None:
    hosts.begin([("lvs1", A), ("lvs2", A)])
    hosts.read("lvs1", A)
    let_time_pass()
    assert [hosts.read("lvs1", A), hosts.read("lvs2", A)] == ["lvs1 a 2", "lvs2 a 2"]
    assert commands(fake) == ["lvs1: a", "lvs2: a"] * 2


def test_another_threads_wait_ends_nothing_and_another_thread_asks_for_itself(hosts: SharedReadings) -> None:
    hosts.begin([("lvs1", A)])
    hosts.read("lvs1", A)
    seen: list[str] = []

    def wait_and_read() -> None:
        waits.sleep(0)
        seen.append(hosts.read("lvs1", A))

    in_thread(wait_and_read)
    assert seen == ["lvs1 a 2"]
    assert hosts.read("lvs1", A) == "lvs1 a 1"


def test_what_is_read_back_goes_with_the_write_and_is_known_then(
    hosts: SharedReadings, fake: FakeHosts
) -> None:
    hosts.begin([("lvs1", A), ("lvs1", C), ("lvs2", A)])
    hosts.read("lvs1", A)
    hosts.read_back("lvs1", [A, B])
    hosts.write("lvs1", does("x"))
    assert [hosts.read("lvs1", A), hosts.read("lvs1", B)] == ["lvs1 a 2", "lvs1 b 1"]
    assert hosts.read("lvs1", C) == "lvs1 c 2"
    assert commands(fake) == ["lvs1: a, c", "lvs2: a", "lvs1: x, a, b", "lvs1: c"]


def test_what_is_read_back_is_read_again_together_after_a_wait(
    hosts: SharedReadings, fake: FakeHosts
) -> None:
    hosts.begin([("lvs1", C)])
    hosts.read_back("lvs1", [A, B])
    hosts.write("lvs1", does("x"))
    waits.sleep(0)
    assert hosts.read("lvs1", B) == "lvs1 b 2"
    assert commands(fake) == ["lvs1: x, a, b", "lvs1: a, b"]


def test_reading_back_ends_with_the_moment(hosts: SharedReadings, fake: FakeHosts) -> None:
    hosts.begin([])
    hosts.read_back("lvs1", [A])
    hosts.begin([])
    hosts.write("lvs1", does("x"))
    hosts.end()
    hosts.read_back("lvs1", [A])
    hosts.write("lvs1", does("x"))
    assert commands(fake) == ["lvs1: x", "lvs1: x"]


def test_an_error_is_shared_as_any_answer_is(hosts: SharedReadings, fake: FakeHosts) -> None:
    fake.answer("lvs1", B, VerifyError("lvs1: no"))
    fake.down("lvs2")
    hosts.begin([("lvs1", A), ("lvs1", B), ("lvs2", A)])
    assert hosts.read("lvs1", A) == "lvs1 a 1"
    for _ in range(2):
        with pytest.raises(VerifyError, match="lvs1: no"):
            hosts.read("lvs1", B)
        with pytest.raises(UnreachableError):
            hosts.read("lvs2", A)
    assert commands(fake) == ["lvs1: a, b", "lvs2: a"]


def test_an_error_of_any_kind_is_its_own_question_s_alone(hosts: SharedReadings, fake: FakeHosts) -> None:
    fake.answer("lvs1", B, WorldChangedError("lvs1: another file"))
    hosts.begin([("lvs1", B), ("lvs1", A)])
    assert hosts.read("lvs1", A) == "lvs1 a 1"
    with pytest.raises(WorldChangedError):
        hosts.read("lvs1", B)
    assert commands(fake) == ["lvs1: b, a"]


def test_a_table_that_comes_with_another_answer_is_not_asked_for(fake: FakeHosts) -> None:
    question = KeepalivedRead("/k.conf")
    fake.answer("lvs1", question, KeepalivedReading(TABLE, "", (), {}))
    hosts = SharedReadings(fake)
    hosts.begin([("lvs1", IpvsTable()), ("lvs1", question)])
    assert hosts.read("lvs1", IpvsTable()) == TABLE
    assert commands(fake) == ["lvs1: keepalived-read"]


def test_a_table_that_would_have_come_with_another_answer_is_asked_for_when_that_failed(
    fake: FakeHosts,
) -> None:
    fake.answer("lvs1", KeepalivedRead, VerifyError("lvs1: no keepalived"))
    fake.answer("lvs1", IpvsTable, TABLE)
    hosts = SharedReadings(fake)
    hosts.begin([("lvs1", IpvsTable()), ("lvs1", KeepalivedRead("/k.conf"))])
    assert hosts.read("lvs1", IpvsTable()) == TABLE


def test_a_write_that_reads_the_table_back_itself_is_not_followed_by_that_question(fake: FakeHosts) -> None:
    fake.answer("lvs1", EditTable, TABLE)
    fake.answer("lvs1", Connections, "connections")
    hosts = SharedReadings(fake)
    hosts.begin([])
    read_back(hosts, "lvs1", IpvsTable(), Connections((("tcp", ip_address("10.99.0.1"), 80),)))
    hosts.write("lvs1", EditTable((), ()))
    assert hosts.read("lvs1", IpvsTable()) == TABLE
    assert commands(fake) == ["lvs1: edit-table, connections"]


def test_counters_that_are_read_before_and_after_are_two_readings(fake: FakeHosts) -> None:
    fake.answer("web1", ReadCounters, {"drops": 1}, {"drops": 2})
    hosts = SharedReadings(fake)
    hosts.begin([("lvs1", A)])
    assert [hosts.read("web1", ReadCounters()) for _ in range(2)] == [{"drops": 1}, {"drops": 2}]


def test_what_comes_right_behind_is_asked_with_it_and_shared(hosts: SharedReadings, fake: FakeHosts) -> None:
    hosts.begin([("lvs1", A)], [("lvs1", B), ("lvs2", B)])
    hosts.read("lvs1", A)
    hosts.begin([("lvs1", B), ("lvs2", B)], continues=True)
    assert [hosts.read("lvs1", B), hosts.read("lvs2", B)] == ["lvs1 b 1", "lvs2 b 1"]
    assert commands(fake) == ["lvs1: a, b", "lvs2: b"]


def test_after_a_wait_what_comes_behind_is_not_asked_again_with_it_nor_shared(
    hosts: SharedReadings, fake: FakeHosts
) -> None:
    hosts.begin([("lvs1", A)], [("lvs1", B)])
    hosts.read("lvs1", A)
    waits.sleep(0)
    hosts.read("lvs1", A)
    waits.sleep(0)
    hosts.begin([("lvs1", B)], continues=True)
    assert hosts.read("lvs1", B) == "lvs1 b 2"
    assert commands(fake) == ["lvs1: a, b", "lvs1: a", "lvs1: b"]


def test_what_would_write_is_asked_by_nobody_though_a_step_names_it(
    hosts: SharedReadings, fake: FakeHosts
) -> None:
    hosts.begin([("lvs1", does("x")), ("lvs1", A)])  # type: ignore[list-item]  # the type checker says so too
    hosts.read("lvs1", A)
    assert commands(fake) == ["lvs1: a"]


def test_hosts_that_share_nothing_are_asked_nothing_more(fake: FakeHosts) -> None:
    read_back(fake, "lvs1", A)
    fake.write("lvs1", does("x"))
    assert commands(fake) == ["lvs1: x"]


def in_thread(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
