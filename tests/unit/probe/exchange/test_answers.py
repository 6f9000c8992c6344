"""What counts as an answer: HTTP in pieces, lies about lengths, TLS in memory, and who is asked for what."""

from __future__ import annotations

import datetime as dt
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ferryman.config.tables import TrafficConfig
from ferryman.model import Service
from ferryman.probe.exchange import (
    ExchangeRequest,
    ExchangeVerdict,
    Stage,
    exchange_targets,
    requests_of,
)
from ferryman.probe.exchange.http_answer import HEAD_BYTES, HttpAnswer, request_pieces
from ferryman.probe.exchange.tls import TlsError, TlsLayer
from unit.probe.exchange.wire import Site, exchanged, http, target

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
EXPIRY = NOW + dt.timedelta(days=3)
SECURE = ExchangeRequest(tls=True, path="/healthz", host="web.example.org")


def read(answer: bytes, *, piece: int = 100_000, method: str = "GET", end: bool = True) -> HttpAnswer:
    found = HttpAnswer(method)
    for at in range(0, len(answer), piece):
        found.feed(answer[at : at + piece])
    if end:
        found.end()
    return found


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "the connection was closed without a byte of an answer"),
        (
            b"HTTP/1.1 200 OK\r\nServer: a",
            "the connection was closed in the middle of the head: HTTP/1.1 200 OK",
        ),
        (b"HTTP/2 200\r\n\r\n", "the answer's first line is no status line: HTTP/2 200"),
        (b"HTTP/1.1 999 no\r\n\r\n", "the answer's first line is no status line: HTTP/1.1 999 no"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "closed 6 bytes before the end of the answer"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "the connection was closed before the last chunk of the answer",
        ),
    ],
)
@pytest.mark.parametrize("piece", [1, 100_000])
def test_what_is_no_whole_answer_is_told_in_a_sentence(answer: bytes, problem: str, piece: int) -> None:
    assert problem in read(answer, piece=piece).problem


def test_what_is_no_http_is_quoted_and_cannot_move_the_cursor() -> None:
    assert read(b"\x1b]52;c;x\x07\r\nmore").problem == "what came is no HTTP: \\x1b]52;c;x\\x07"
    assert read(b"SSH-2.0-OpenSSH\r\n", piece=1).problem == "what came is no HTTP: S"


def test_a_head_without_end_is_given_up() -> None:
    found = read(b"HTTP/1.1 200 OK\r\n" + b"a" * HEAD_BYTES, end=False)
    assert found.problem == "the head of the answer has no end within 65536 bytes"


def test_interim_answers_without_end_cost_no_depth() -> None:
    found = read(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + b"HTTP/1.1 204 No\r\n\r\n")
    assert (found.status, found.is_complete) == (204, True)


@pytest.mark.parametrize(
    ("answer", "method"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET"),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "GET"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\ncontent-length:0\r\n\r\n", "POST"),
        (b"HTTP/1.0 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "GET"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET"),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_a_whole_answer_is_known_without_the_end_of_the_connection(
    answer: bytes, method: str, piece: int
) -> None:
    found = read(answer, piece=piece, method=method, end=False)
    assert (found.is_complete, found.problem) == (True, "")


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    found = read(b"HTTP/1.1 200 OK\r\n\r\nabc", end=False)
    assert not found.is_complete
    found.end()
    assert found.is_complete


@pytest.mark.parametrize("full", [536, 1400, 1440, 1460])
def test_a_request_is_padded_to_two_full_size_segments_and_stays_one_request(full: int) -> None:
    head, padding, end = request_pieces(ExchangeRequest(), target().target.virtual_service, full)
    assert len(padding) == 2 * full
    assert len(head + padding + end) < 4096
    assert (head + padding + end).count(b"\r\n\r\n") == 1


def test_a_path_cannot_bring_lines_of_its_own() -> None:
    request = ExchangeRequest(path="/a b\r\nX: y\u00e4", host="web\r\nEvil: 1")
    head, *_ = request_pieces(request, target().target.virtual_service, 1440)
    assert head.startswith(b"GET /a%20b%0D%0AX:%20y%C3%A4 HTTP/1.1\r\nHost: web%0D%0AEvil:%201\r\n")


def test_an_upload_that_fills_segments_by_itself_is_not_padded() -> None:
    head, body = request_pieces(
        ExchangeRequest(method="POST", body_bytes=9000), target().target.virtual_service, 1440
    )
    assert b"Content-Length: 9000\r\n" in head
    assert len(body) == 9000


def service(encryption: bool = False, *paths: str) -> Service:
    return Service("web", "lab", encryption, "high-traffic1", False, (), (), (), paths)


def test_traffic_paths_are_asked_where_there_are_any_else_the_probes_own_else_none() -> None:
    traffic = TrafficConfig(download="/big", upload="/up", upload_bytes=10_000_000)
    assert requests_of(service(True, "/healthz"), traffic) == [
        ExchangeRequest(tls=True, path="/big"),
        ExchangeRequest(tls=True, method="POST", path="/up", body_bytes=32_768),
    ]
    assert requests_of(service(False, "/healthz"), TrafficConfig()) == [ExchangeRequest(path="/healthz")]
    assert requests_of(service(), TrafficConfig()) == [ExchangeRequest("connect")]


def test_each_target_is_asked_each_request() -> None:
    targets = [target().target, target(6).target]
    requests = [ExchangeRequest(), ExchangeRequest("connect")]
    assert [(each.target, each.request) for each in exchange_targets(targets, requests)] == [
        (asked, request) for asked in targets for request in requests
    ]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with an escape sequence in its subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web\x1b[2J.example.org")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(EXPIRY)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "web.pem"
    plain, form = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    encoding = serialization.Encoding.PEM
    file.write_bytes(key.private_bytes(encoding, form, plain) + certificate.public_bytes(encoding))
    return file


class TlsServer:
    """The answering side of TLS for a ``Site``: all bytes that came, to all bytes to be sent."""

    def __init__(self, pem: Path, *, answers: bool = True) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._seen, self._said, self._request, self._answers = 0, b"", b"", answers
        self._is_answered = False
        self.whole: bytes | None = None

    def __call__(self, stream: bytes) -> bytes | None:
        self._in.write(stream[self._seen :])
        self._seen = len(stream)
        try:
            self._tls.do_handshake()
            while True:
                self._request += self._tls.read()
        except ssl.SSLWantReadError:
            pass
        answer = http(self._request) if self._answers else None
        if answer is not None and not self._is_answered:
            self._is_answered = True
            self._tls.write(answer)
        self._said += self._out.read()
        return self._said


@pytest.mark.parametrize(("version", "mss"), [(4, 1440), (6, 1400)])
def test_a_request_over_tls_is_answered_and_the_certificate_is_told_not_judged(
    pem: Path, version: int, mss: int
) -> None:
    site = Site(each_connection=lambda: TlsServer(pem), mss=mss, closes=False)
    result, _ = exchanged(site, version=version, request=SECURE)
    assert (result.verdict, result.status) == (ExchangeVerdict.COMPLETED, 200), result.detail
    assert result.tls is not None
    assert (result.tls.version, result.tls.subject, result.tls.not_after) == (
        "TLSv1.3",
        "CN=web\\x1b[2J.example.org",
        EXPIRY,
    )
    assert result.largest_up == mss
    assert result.tls_ms is not None


def test_a_tls_handshake_is_enough_where_nothing_is_asked(pem: Path) -> None:
    site = Site(each_connection=lambda: TlsServer(pem), closes=False)
    result, _ = exchanged(site, request=ExchangeRequest("connect", tls=True))
    assert (result.verdict, result.detail.split(";")[0]) == (
        ExchangeVerdict.COMPLETED,
        "the TLS handshake was completed, TLSv1.3",
    )


def test_a_server_that_speaks_no_tls_gives_a_bad_answer() -> None:
    site = Site(lambda stream: b"HTTP/1.1 400 Bad Request\r\n\r\n" if stream else None)
    result, _ = exchanged(site, request=SECURE)
    assert (result.verdict, result.stage) == (ExchangeVerdict.BAD_ANSWER, Stage.TLS)
    assert result.detail == "TLS failed: wrong version number"


def test_a_connection_that_is_closed_in_the_handshake_is_a_bad_answer() -> None:
    result, _ = exchanged(Site(lambda stream: b"" if stream else None), request=SECURE)
    assert (result.verdict, result.detail) == (
        ExchangeVerdict.BAD_ANSWER,
        "the connection was closed in the middle of the TLS handshake",
    )


def test_a_server_that_hangs_in_the_handshake_is_silent() -> None:
    result, _ = exchanged(Site(), request=SECURE)
    assert (result.verdict, result.stage) == (ExchangeVerdict.SILENT, Stage.TLS)
    assert "the beginning of the TLS handshake, and did not finish it" in result.detail


def test_a_server_that_hangs_behind_the_handshake_is_silent(pem: Path) -> None:
    site = Site(each_connection=lambda: TlsServer(pem, answers=False), closes=False)
    result, _ = exchanged(site, request=SECURE)
    assert (result.verdict, result.stage) == (ExchangeVerdict.SILENT, Stage.ANSWER)


def test_a_certificate_flight_that_is_lost_for_its_size_is_lost_on_the_way_here(pem: Path) -> None:
    site = Site(each_connection=lambda: TlsServer(pem), closes=False)
    site.down = lambda segment: [0.001] if len(segment.payload) <= 520 else []
    result, _ = exchanged(site, request=SECURE)
    assert (result.verdict, result.stage) == (ExchangeVerdict.DOWN_LOST, Stage.TLS), result.detail


def test_a_name_that_cannot_be_sent_is_left_out() -> None:
    assert TlsLayer("a" * 300).to_send() == b""


def test_garbage_in_tls_is_an_error_of_its_own() -> None:
    layer = TlsLayer(str(ip_address("10.0.0.1")))
    layer.handshake()
    layer.came(b"\x00" * 50)
    with pytest.raises(TlsError):
        layer.handshake()
