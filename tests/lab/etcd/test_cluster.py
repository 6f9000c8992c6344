"""The cluster that the other tests stand on is a real one, and breaks as told."""

from __future__ import annotations

import http.client
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lab.etcd.certificates import Authority
from lab.etcd.cluster import CLIENT_PORT
from lab.etcd.proxy import Cutting

if TYPE_CHECKING:
    from pathlib import Path

    from lab.etcd.cluster import Cluster
    from lab.etcd.proxy import Network

KEY, OLD, NEW = "a2V5", "b2xk", "bmV3"
"""key, old, new: in base64, as the gateway wants them."""
SHORT_S = 0.3


def read(host: str, timeout_s: float = 5.0) -> int:
    """The status that a member's version page comes with."""
    with closing(http.client.HTTPConnection(host, timeout=timeout_s)) as connection:
        connection.request("GET", "/version")
        return connection.getresponse().status


def test_a_killed_leader_is_replaced_and_what_was_written_stays(etcd: Cluster) -> None:
    old = etcd.leader()
    old.ask("POST", "/v3/kv/put", {"key": KEY, "value": OLD})
    old.kill()

    new = etcd.leader()

    assert new is not old
    assert new.ask("POST", "/v3/kv/range", {"key": KEY})["kvs"][0]["value"] == OLD


def test_a_member_that_is_started_again_learns_what_it_missed(etcd: Cluster) -> None:
    etcd.leader().ask("POST", "/v3/kv/put", {"key": KEY, "value": OLD})
    killed = etcd.leader()
    killed.kill()
    etcd.leader().ask("POST", "/v3/kv/put", {"key": KEY, "value": NEW})

    etcd.heal()

    assert killed.ask("POST", "/v3/kv/range", {"key": KEY})["kvs"][0]["value"] == NEW


def test_a_frozen_leader_is_replaced_and_follows_when_it_thaws(etcd: Cluster) -> None:
    old = etcd.leader()
    old.freeze()
    new = etcd.leader()
    assert new is not old

    etcd.heal()

    assert etcd.leader() is not old


def test_a_test_gets_it_without_what_others_wrote(etcd: Cluster) -> None:
    etcd.leader().ask("POST", "/v3/kv/put", {"key": KEY, "value": OLD})

    etcd.clear()

    assert "kvs" not in etcd.leader().ask("POST", "/v3/kv/range", {"key": KEY})


def test_a_silent_network_answers_nothing_until_it_heals(proxied: Network) -> None:
    assert read(proxied.endpoints[0]) == 200
    proxied.cut()
    with pytest.raises(TimeoutError):
        read(proxied.endpoints[0], SHORT_S)

    proxied.heal()

    assert read(proxied.endpoints[0]) == 200


def test_a_network_without_answers_still_carries_what_is_asked(etcd: Cluster, proxied: Network) -> None:
    proxied.cut(Cutting.NO_ANSWERS)
    with closing(http.client.HTTPConnection(proxied.endpoints[0], timeout=SHORT_S)) as connection:
        connection.request("POST", "/v3/kv/put", body=f'{{"key": "{KEY}", "value": "{NEW}"}}')
        with pytest.raises(TimeoutError):
            connection.getresponse()

    assert etcd.leader().ask("POST", "/v3/kv/range", {"key": KEY})["kvs"][0]["value"] == NEW


def test_a_reset_network_breaks_connections_old_and_new(proxied: Network) -> None:
    with closing(http.client.HTTPConnection(proxied.endpoints[0], timeout=5)) as connection:
        connection.request("GET", "/version")
        connection.getresponse().read()
        proxied.cut(Cutting.RESET)

        with pytest.raises(ConnectionError):
            ask_again(connection)
        with pytest.raises(ConnectionError):
            read(proxied.endpoints[0])


def test_whoever_shows_no_certificate_is_refused(guarded: Cluster) -> None:
    assert guarded.leader().is_healthy()
    assert guarded.authority is not None
    anonymous = ssl.create_default_context(cafile=guarded.authority.ca)

    with pytest.raises(ssl.SSLError, match=r"certificate required|bad certificate"):
        greet(guarded, anonymous)


def test_whoever_shows_a_certificate_of_another_authority_is_refused(
    guarded: Cluster, tmp_path: Path
) -> None:
    assert guarded.authority is not None
    anonymous = ssl.create_default_context(cafile=guarded.authority.ca)
    forged = Authority(tmp_path, "forger").issue("client")
    anonymous.load_cert_chain(forged.certificate, forged.key)

    with pytest.raises((ssl.SSLError, ConnectionError)):
        greet(guarded, anonymous)


def ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/version")
    connection.getresponse()


def greet(cluster: Cluster, context: ssl.SSLContext) -> None:
    address = cluster.members[0].address
    with closing(http.client.HTTPSConnection(address, CLIENT_PORT, timeout=5, context=context)) as connection:
        connection.request("GET", "/version")
        connection.getresponse()
