from __future__ import annotations

import errno
import http.client
import ssl
from ipaddress import ip_address

import pytest

from ferryman.model import Verdict, VirtualService
from ferryman.traffic.findings import judge_requests, judge_retries, judge_transfer
from ferryman.traffic.http_request import Result, problem_of

WEB = VirtualService("web", "weblb", "tcp", ip_address("10.99.0.1"), 80, "wrr")
ANSWERED = Result("small", status=200, seconds=0.003)
BIG = 4_194_304


def transfer(result: Result) -> tuple[Verdict, str, str]:
    finding = judge_transfer("lvs1", WEB, result, path="/download", timeout_s=10.0)
    assert finding.check == f"traffic-{result.kind}"
    return finding.verdict, finding.seen, finding.remedy


def test_one_lost_request_in_twenty_fails_and_is_counted_by_kind() -> None:
    results = [ANSWERED] * 17 + [Result("small", "timed out")] * 2 + [Result("small", "refused")]
    finding = judge_requests("lvs1", WEB, results)
    assert finding.verdict is Verdict.FAIL
    assert "17 of 20 requests answered" in finding.seen
    assert finding.seen.endswith("1 refused, 2 timed out")


def test_no_answer_at_all_has_no_times_to_show() -> None:
    finding = judge_requests("lvs1", WEB, [Result("small", "unreachable")] * 3)
    assert finding.seen == "tcp 10.99.0.1:80: 0 of 3 requests answered, 3 unreachable"


def test_a_server_error_is_no_answer_and_not_found_is_one() -> None:
    assert judge_requests("lvs1", WEB, [Result("small", status=503)]).verdict is Verdict.FAIL
    assert judge_requests("lvs1", WEB, [Result("small", status=404)]).verdict is Verdict.PASS


def test_all_answered_says_how_fast() -> None:
    results = [ANSWERED] * 19 + [Result("small", status=200, seconds=0.009)]
    finding = judge_requests("lvs1", WEB, results)
    assert finding.verdict is Verdict.PASS
    assert finding.seen == "tcp 10.99.0.1:80: 20 of 20 requests answered, p50 3 ms, max 9 ms"


def test_a_black_hole_is_a_stall_and_the_remedy_is_the_mss() -> None:
    verdict, seen, remedy = transfer(Result("download", "timed out", 200, 46_080, BIG))
    assert verdict is Verdict.FAIL
    assert seen == "tcp 10.99.0.1:80: download stalled after 46,080 of 4,194,304 bytes for 10 s"
    assert "MSS" in remedy


def test_a_transfer_that_ends_early_fails() -> None:
    verdict, seen, _ = transfer(Result("download", "", 200, 1_000_000, BIG))
    assert verdict is Verdict.FAIL
    assert "ended after 1,000,000 of 4,194,304 bytes" in seen


def test_a_transfer_that_is_reset_says_so_and_blames_no_mss() -> None:
    verdict, seen, remedy = transfer(Result("upload", "reset", None, 0, None))
    assert verdict is Verdict.FAIL
    assert "upload failed after 0 of an unknown number of bytes: reset" in seen
    assert "MSS" not in remedy


@pytest.mark.parametrize(
    "result",
    [
        Result("download", "", 404, 150, 150),
        Result("upload", "", 413, 0, BIG),
        Result("download", "", 200, 612, 612),
    ],
)
def test_a_path_that_moves_nothing_large_proves_nothing(result: Result) -> None:
    verdict, _, remedy = transfer(result)
    assert verdict is Verdict.WARN
    assert f"set traffic.{result.kind} in ferryman.toml" in remedy


def test_a_whole_transfer_passes() -> None:
    assert transfer(Result("upload", "", 200, BIG, BIG, 0.02)) == (
        Verdict.PASS,
        "tcp 10.99.0.1:80: upload of 4,194,304 bytes in 20 ms",
        "",
    )


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError(), "timed out"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "reset"),
        (http.client.RemoteDisconnected(""), "reset"),
        (BrokenPipeError(), "reset"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "unreachable"),
        (ssl.SSLError("wrong version number"), "TLS failed"),
        (http.client.BadStatusLine("x"), "no HTTP answer"),
        (OSError("odd"), "odd"),
    ],
)
def test_each_kind_of_failure_has_its_word(error: Exception, word: str) -> None:
    assert problem_of(error) == word


def test_a_transfer_that_could_not_connect_is_no_black_hole() -> None:
    verdict, seen, remedy = transfer(Result("upload", "timed out", None, 0, BIG, connected=False))
    assert verdict is Verdict.FAIL
    assert "could not connect: timed out" in seen
    assert "MSS" not in remedy


def test_connections_that_came_about_only_when_asked_for_again_are_warned_of_and_counted() -> None:
    assert judge_retries("lvs1", WEB, [ANSWERED] * 3) is None
    again = Result("small", status=200, syns_again=1)
    finding = judge_retries("lvs1", WEB, [ANSWERED] * 18 + [again] * 2)
    assert finding is not None
    assert (finding.check, finding.host, finding.verdict) == ("retried", "lvs1", Verdict.WARN)
    assert "2 of 20 connections came about only when the SYN was sent again" in finding.seen


def test_what_never_came_about_is_a_failure_and_no_retry() -> None:
    assert judge_retries("lvs1", WEB, [Result("small", "timed out", connected=False, syns_again=3)]) is None
