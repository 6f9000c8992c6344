"""Kubeconfigs are read as kubectl reads them; what is wrong is told by file, line and key, never by value."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import yaml

from doubles.api_server import Fault
from ferryman.inventory import Inventory
from ferryman.inventory.schema import ClusterEntry
from ferryman.kubernetes import transport
from ferryman.kubernetes.api import cluster_client
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.kubernetes.kubeconfig import CLUSTER_KEYS, PLUGIN_KEYS, USER_KEYS, access_of
from unit.http_listener import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doubles.api_server import ApiServer

CASE = Path(__file__).parent / "cases" / "kubeconfig"
SECRET = "hunter2-SECRET"
V1 = "client.authentication.k8s.io/v1"


def written(
    folder: Path,
    cluster: Any = None,  # noqa: ANN401  # wrong values too
    user: Any = None,  # noqa: ANN401  # the same
    name: str = "config",
    **more: object,
) -> Path:
    file = folder / name
    content = {
        "current-context": "c",
        "clusters": [
            {"name": "c", "cluster": {"server": "http://127.0.0.1:1"} if cluster is None else cluster}
        ],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {} if user is None else user}],
        **more,
    }
    file.write_text(yaml.safe_dump(content))
    return file


def refused(file: Path, context: str | None = None) -> str:
    with pytest.raises(ClusterUnreadableError) as error:
        cluster_client(ClusterEntry(kubeconfig=str(file), context=context), True).nodes()  # type: ignore[call-arg]
    return str(error.value).partition("could not list nodes: ")[2]


def nodes(file: Path) -> list[str]:
    entry = ClusterEntry(kubeconfig=str(file))  # type: ignore[call-arg]
    return [node.name for node in cluster_client(entry, True).nodes()]


def plugin(folder: Path, script: str) -> None:
    (folder / "plug").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "plug").chmod(0o755)


def test_the_case_from_the_field_runs_its_plugin_and_asks_through_its_proxy(
    server: ApiServer, tmp_path: Path
) -> None:
    """``./plug`` is in the kubeconfig's folder; nothing listens at the server itself."""
    server.node("node1")
    server.token = "from-the-plugin"
    plugin(tmp_path, 'echo \'{"status": {"token": "from-the-plugin"}}\'')
    (tmp_path / "config").write_text(CASE.read_text().replace('http://127.0.0.1:1"', f'{server.url}"'))
    assert nodes(tmp_path / "config") == ["node1"]
    assert server.asked[0].target == "http://127.0.0.1:16443/api/v1/nodes?limit=500"


def test_a_proxy_that_is_not_there_is_told_and_not_passed_over(server: ApiServer, tmp_path: Path) -> None:
    file = written(tmp_path, {"server": server.url, "proxy-url": "http://127.0.0.1:1"})
    assert refused(file).startswith("ConnectError")
    assert server.asked == []


def test_relative_files_are_in_the_kubeconfigs_folder(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    server.node("node1")
    server.token = "in-a-file"
    (tmp_path / "tok").write_text("in-a-file\n")
    assert nodes(written(tmp_path, {"server": server.url}, {"tokenFile": "tok", "token": "older"})) == [
        "node1"
    ]
    file = written(tmp_path, {"server": server.url}, {"tokenFile": "gone"})
    assert refused(file) == f"{file}:14: users.0.user.tokenFile: cannot be read: No such file or directory"


def test_a_plugin_gets_its_arguments_its_environment_and_what_it_must_know(
    server: ApiServer, tmp_path: Path
) -> None:
    server.node("node1")
    server.token = "a-b-false"
    plugin(
        tmp_path,
        "case $KUBERNETES_EXEC_INFO in *'\"interactive\": false'*) i=false; esac\n"
        'echo "{\\"status\\": {\\"token\\": \\"$1-$WHO-$i\\"}}"',
    )
    exec_ = {
        "apiVersion": V1,
        "command": "./plug",
        "args": ["a"],
        "env": [{"name": "WHO", "value": "b"}],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    assert nodes(written(tmp_path, {"server": server.url}, {"exec": exec_})) == ["node1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"interactiveMode": "Always"}, "exec.interactiveMode: is Always: it wants to ask somebody"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "exec.apiVersion: is not known, expected"),
        ({"command": "./gone", "installHint": "apt-get install plug"}, "gone is not to be found, or cannot"),
        ({"command": "false"}, "the login plugin false returned 1: it said nothing"),
        ({"command": "echo", "args": [SECRET]}, "the login plugin echo said no ExecCredential with a status"),
        ({"command": "echo", "args": ['{"status": {}}']}, "said neither a token nor a certificate"),
    ],
)
def test_a_plugin_that_is_of_no_use_is_told(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    file = written(tmp_path, user={"exec": {"apiVersion": V1, "command": "true", **changes}})
    found = refused(file)
    assert said in found
    assert SECRET not in found


def test_who_acts_as_somebody_else_says_so_to_the_server(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802  # the base class's name
            seen.append(self.headers)
            body = b'{"metadata": {}, "items": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    user = {"token": "t", "as": "ops", "as-groups": ["a", "b"], "as-user-extra": {"why": ["x"]}}
    with listening(Handler) as url:
        assert nodes(written(tmp_path, {"server": url}, user)) == []
    assert seen[0]["Impersonate-User"] == "ops"
    assert seen[0].get_all("Impersonate-Group") == ["a", "b"]
    assert seen[0]["Impersonate-Extra-why"] == "x"
    assert refused(written(tmp_path, user={"as-groups": ["a"]})).endswith(
        "users.0.user.as: is missing beside other keys of impersonation"
    )


def test_several_files_are_one_the_first_wins_and_a_missing_one_is_none(
    server: ApiServer, tmp_path: Path
) -> None:
    server.node("node1")
    server.token = "right"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tok").write_text("right")
    first = written(tmp_path, {"server": server.url}, users=[])
    second = written(tmp_path / "other", {"server": "http://127.0.0.1:1"}, {"tokenFile": "tok"})
    assert nodes(Path(f"{tmp_path}/gone:{first}:{second}")) == ["node1"]
    inventory = Inventory.of_texts({"clusters.yaml": "c: {kubeconfig: 'a:/b'}\n"})
    assert inventory.clusters["c"].kubeconfig == "a:/b"


@contextmanager
def serving_tls(folder: Path, name: str) -> Iterator[str]:
    """A server whose certificate is of that name alone."""
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    pair = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", *kind, *pair, *subject], check=True, capture_output=True)

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802  # the base class's name
            body = b'{"metadata": {}, "items": [{"metadata": {"name": "node1"}}]}'
            body = body if self.path.startswith("/api/v1/nodes") else b'{"metadata": {}, "items": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.server_port}"
        finally:
            listener.shutdown()
            thread.join()


def test_tls_is_verified_by_the_authority_and_the_name_that_are_given(tmp_path: Path) -> None:
    with serving_tls(tmp_path, "inside.example") as url:
        data = base64.b64encode((tmp_path / "cert.pem").read_bytes()).decode()
        sound = {"server": url, "certificate-authority": "cert.pem", "tls-server-name": "inside.example"}
        assert nodes(written(tmp_path, sound)) == ["node1"]
        pair = {"client-certificate": "cert.pem", "client-key": "key.pem"}
        in_text = {**sound, "certificate-authority-data": data}
        assert nodes(written(tmp_path, in_text, pair)) == ["node1"]
        assert nodes(written(tmp_path, {"server": url, "insecure-skip-tls-verify": True})) == ["node1"]
        assert "CERTIFICATE_VERIFY_FAILED" in refused(written(tmp_path, {"server": url}))
        assert "CERTIFICATE_VERIFY_FAILED" in refused(written(tmp_path, {**sound, "tls-server-name": "x"}))
        both = written(tmp_path, {**sound, "insecure-skip-tls-verify": True})
        assert "insecure-skip-tls-verify: is true beside a certificate-authority" in refused(both)


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({"server": "https://a", "proxi-url": "x"}, {}, "clusters.0.cluster.proxi-url: kubectl may ask else"),
        (
            {"server": "https://a"},
            {"impersonate": "x"},
            "users.0.user.impersonate: kubectl may ask elsewhere",
        ),
        ({"server": "https://a"}, {"auth-provider": {"name": "gcp"}}, "was removed from kubectl (1.26); use"),
        ({"server": "https://a"}, {"token": "a", "username": "b"}, "kubectl takes only one way to log in"),
        ({"server": "https://a"}, {"client-key": "k"}, "users.0.user.client-key: cannot be read: No such"),
        ({}, {}, "clusters.0.cluster.server: is missing, expected https://HOST:PORT"),
        ({"server": "https://a", "proxy-url": "ftp://x"}, {}, "proxy-url: is no URL of a proxy, expected"),
    ],
)
def test_what_kubectl_does_otherwise_is_refused_by_name(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], said: str
) -> None:
    file = written(tmp_path, cluster, user)
    found = refused(file)
    assert found.startswith(f"{file}:")
    assert said in found


def test_a_context_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    file = written(tmp_path, **{"current-context": ""})
    assert refused(file) == f"{file}: names no current-context; give the cluster's context in clusters.yaml"
    assert refused(file, "d") == f"{file}: contexts: has no 'd', there is c"


SECRET_KEYS = [
    *(("cluster", key) for key in CLUSTER_KEYS),
    *(("user", key) for key in USER_KEYS),
    *(("exec", key) for key in PLUGIN_KEYS),
]


@pytest.mark.parametrize("wrong", range(8))
@pytest.mark.parametrize(("table", "key"), SECRET_KEYS)
def test_no_error_quotes_a_secret_of_a_kubeconfig(tmp_path: Path, table: str, key: str, wrong: int) -> None:
    value: Any = [
        SECRET,
        [SECRET],
        {"x": SECRET, "name": SECRET},
        [{"name": "X", "value": SECRET}, {"name": "X", "valu": SECRET}],
        f"https://me:{SECRET}@127.0.0.1:1",
        f"http://127.0.0.1:{SECRET}",
        f"{SECRET}\r\n\0é",
        base64.b64encode(f"-----BEGIN PRIVATE KEY-----\n{SECRET}".encode()).decode(),
    ][wrong]
    cluster: dict[str, Any] = {"server": "http://127.0.0.1:1"}
    user: dict[str, Any] = {}
    if table == "cluster":
        cluster[key] = value
    elif table == "user":
        user[key] = value
    else:
        user["exec"] = {"apiVersion": V1, "command": "false", key: value}
    if key in ("command", "installHint"):
        return  # they are for people: which program, and where it is to be had
    found = refused(written(tmp_path, cluster, user))
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-1]
    assert SECRET not in found
    assert encoded not in found


@pytest.mark.parametrize(
    "text",
    [
        f"users: [{{name: u, user: {{token: {SECRET}",
        f"users:\n- token: {SECRET}\n  x: [",
        f"token: *{SECRET}",
        f"token: !!python/name:{SECRET} x",
        f"token: 2026-99-99{SECRET}\n\t{SECRET}: x",
        f"- {SECRET}",
        SECRET,
        f"{SECRET}: x",
        f"clusters: {SECRET}\ncurrent-context: c",
        f"current-context: [{SECRET}]",
        f"current-context: c\ncontexts: [{SECRET}]",
    ],
)
def test_a_broken_kubeconfig_quotes_no_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    assert SECRET not in refused(tmp_path / "config")


def test_a_server_that_repeats_the_token_is_not_repeated(server: ApiServer, tmp_path: Path) -> None:
    server.faults.append(Fault(body=json.dumps({"items": SECRET, "metadata": SECRET}).encode()))
    assert SECRET not in refused(written(tmp_path, {"server": server.url}, {"token": SECRET}))
    assert SECRET not in repr(access_of(str(written(tmp_path, user={"token": SECRET})), None, None))


def test_lists_that_never_end_are_given_up(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_PAGES", 20)
    server.faults.append(Fault(endless="pages"))
    assert refused(written(tmp_path, {"server": server.url})) == "its lists do not end: 20 pages until now"
    assert len(server.asked) == 20


@pytest.mark.parametrize("endless", ["head", "body"])
def test_an_answer_that_never_ends_is_given_up_after_its_time(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endless: Literal["head", "body"]
) -> None:
    monkeypatch.setattr(transport, "WHOLE_S", 0.2)
    server.faults.append(Fault(endless=endless))
    found = refused(written(tmp_path, {"server": server.url}))
    assert found == "its answers did not end within 0.2 seconds"


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_ANSWER"])
def test_an_answer_that_never_ends_is_given_up_after_its_size(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(transport, limit, 5_000)
    server.faults.append(Fault(endless="body"))
    assert "not end: more than 0 MiB" in refused(written(tmp_path, {"server": server.url}))
