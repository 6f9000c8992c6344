"""Kubeconfig files, read as kubectl reads them: where a cluster is, and as whom it is asked.

Relative paths are relative to the file that they stand in. A key that is not known here may change where or
as whom kubectl asks, so it is an error and not passed over. No error quotes a value: it may be a secret.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ferryman.inventory.document import Unreadable, bytes_of, parse
from ferryman.inventory.problems import nearest
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.trust import untrusted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.inventory.document import Document
    from ferryman.inventory.problems import KeyPath

CLUSTER_KEYS = {
    "server": str,
    "proxy-url": str,
    "tls-server-name": str,
    "insecure-skip-tls-verify": bool,
    "certificate-authority": str,
    "certificate-authority-data": str,
    "disable-compression": bool,
    "extensions": object,
}
USER_KEYS = {
    "token": str,
    "tokenFile": str,
    "username": str,
    "password": str,
    "client-certificate": str,
    "client-certificate-data": str,
    "client-key": str,
    "client-key-data": str,
    "exec": dict,
    "as": str,
    "as-uid": str,
    "as-groups": list,
    "as-user-extra": dict,
    "auth-provider": object,
    "extensions": object,
}
PLUGIN_KEYS = {
    "apiVersion": str,
    "command": str,
    "args": list,
    "env": list,
    "installHint": str,
    "provideClusterInfo": bool,
    "interactiveMode": str,
}
CONTEXT_KEYS = {"cluster": str, "user": str, "namespace": str, "extensions": object}
_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_WORDS = {str: "a text", bool: "true or false", dict: "a mapping", list: "a list"}
_PROXIES = ("http", "https", "socks5")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that says who asks."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    version: str = _EXEC_VERSIONS[0]
    install_hint: str = ""
    wants_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is, and as whom it is asked; secrets are in no ``repr``."""

    server: str
    proxy: str | None = field(default=None, repr=False)
    """None: what the environment says."""
    tls_name: str | None = None
    verifies: bool = True
    authority: bytes | None = None
    """PEM."""
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    plugin: Plugin | None = field(default=None, repr=False)
    as_somebody: tuple[tuple[str, str], ...] = ()
    """The headers of impersonation."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may quote."""
        proxy = urlsplit(self.proxy).password if self.proxy else None
        plugin = tuple(self.plugin.env.values()) if self.plugin else ()
        found = (self.token, proxy, *(self.basic or ()), *plugin)
        return tuple(each for each in found if each)


def access_of(kubeconfig: str | None, context: str | None, server: str | None) -> Access:
    """What kubeconfig files say of a context; ``server`` wins over theirs, and is enough without them.

    ``kubeconfig`` may name several files with colons between, as ``$KUBECONFIG`` does: of two things with the
    same name the first counts.

    Raises:
        ClusterUnreadableError: They cannot be read, or say what is not known; names file, line, key.
    """
    if kubeconfig is None:
        return Access(_server(server or "", "clusters.yaml: api"))
    files = _files(kubeconfig)
    first = files[0]
    named = context or next((name for file in files if (name := file.text("current-context"))), "")
    if not named:
        raise ClusterUnreadableError(
            f"{first.path}: names no current-context; give the cluster's context in clusters.yaml"
        )
    chosen = _entry(files, "contexts", "context", named, CONTEXT_KEYS)
    cluster_name = chosen.value("cluster")
    if not cluster_name:
        raise chosen.error("cluster", "is missing, expected the name of a cluster")
    cluster = _entry(files, "clusters", "cluster", cluster_name, CLUSTER_KEYS)
    user = _entry(files, "users", "user", name, USER_KEYS) if (name := chosen.value("user")) else None
    return _access(cluster, user, server)


def _access(cluster: _Part, user: _Part | None, server: str | None) -> Access:
    insecure = bool(cluster.value("insecure-skip-tls-verify"))
    authority = cluster.content("certificate-authority")
    if insecure and authority is not None:
        raise cluster.error("insecure-skip-tls-verify", "is true beside a certificate-authority: drop one")
    found = Access(
        _server(server or cluster.value("server"), cluster.where("server")),
        _proxy(cluster),
        cluster.value("tls-server-name") or None,
        not insecure,
        authority,
    )
    return _logged_in(found, user) if user is not None else found


def _logged_in(access: Access, user: _Part) -> Access:
    if user.has("auth-provider"):
        raise user.error("auth-provider", "was removed from kubectl (1.26); use exec with the login plugin")
    token = user.value("token") or None
    if user.value("tokenFile"):
        token = user.file("tokenFile").decode("utf-8", "replace").strip()
    basic = (user.value("username") or "", user.value("password") or "")
    if token and any(basic):
        raise user.error("username", "stands beside a token: kubectl takes only one way to log in")
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if (certificate is None) != (key is None):
        missing = "client-key" if key is None else "client-certificate"
        raise user.error(missing, "is missing: a certificate and its key belong together")
    for text, name in ((token, "token"), *((part, "username") for part in basic)):
        if text and not (text.isascii() and text.isprintable()):
            raise user.error(name, "has characters that no HTTP header can have")
    return replace(
        access,
        token=token,
        basic=basic if any(basic) else None,
        certificate=certificate,
        key=key,
        plugin=_plugin(user) if user.has("exec") and not token else None,
        as_somebody=tuple(_impersonation(user)),
    )


def _plugin(user: _Part) -> Plugin:
    plugin = user.below("exec", PLUGIN_KEYS)
    version, command = plugin.value("apiVersion"), plugin.value("command")
    if version not in _EXEC_VERSIONS:
        raise plugin.error("apiVersion", f"is not known, expected {' or '.join(_EXEC_VERSIONS)}")
    if not command:
        raise plugin.error("command", "is missing, expected a program")
    if plugin.value("interactiveMode") == "Always":
        raise plugin.error("interactiveMode", "is Always: it wants to ask somebody, and nobody is there")
    if plugin.value("interactiveMode") not in (None, "", "Never", "IfAvailable"):
        raise plugin.error("interactiveMode", "is not known, expected Never or IfAvailable")
    if "/" in command:
        path = user.folder / command
        if reason := untrusted(path):
            raise plugin.error("command", f"is not trusted: {reason}")
        command = str(path)
    env = {}
    for index, pair in enumerate(plugin.value("env") or ()):
        if not isinstance(pair, dict) or not all(isinstance(pair.get(key), str) for key in ("name", "value")):
            raise plugin.error("env", f"has no {{name, value}} at place {index + 1}")
        env[pair["name"]] = pair["value"]
    hint = plugin.value("installHint") or ""
    return Plugin(command, plugin.texts("args"), env, version, hint, bool(plugin.value("provideClusterInfo")))


def _impersonation(user: _Part) -> list[tuple[str, str]]:
    headers = [("Impersonate-User", user.value("as")), ("Impersonate-Uid", user.value("as-uid"))]
    headers += [("Impersonate-Group", group) for group in user.texts("as-groups")]
    for key, values in (user.value("as-user-extra") or {}).items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise user.error("as-user-extra", "is no mapping of lists of texts")
        headers += [(f"Impersonate-Extra-{key}", value) for value in values]
    found = [(name, value) for name, value in headers if value]
    if found and not user.value("as"):
        raise user.error("as", "is missing beside other keys of impersonation")
    if not all(word.isascii() and word.isprintable() for pair in found for word in pair):
        raise user.error("as", "has characters that no HTTP header can have")
    return found


def _server(url: str | None, where: str) -> str:
    if not url:
        raise ClusterUnreadableError(f"{where}: is missing, expected https://HOST:PORT")
    if not _is_url(url, ("http", "https")):
        raise ClusterUnreadableError(f"{where}: is no URL, expected https://HOST:PORT")
    if "@" in urlsplit(url).netloc:
        raise ClusterUnreadableError(f"{where}: has a user in it; who asks is said below users")
    return url


def _proxy(cluster: _Part) -> str | None:
    url = cluster.value("proxy-url") or None
    if url is not None and not _is_url(url, _PROXIES):
        raise cluster.error("proxy-url", f"is no URL of a proxy, expected one of {', '.join(_PROXIES)}")
    return url


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _File:
    """A kubeconfig file that could be read."""

    path: Path
    document: Document
    values: Mapping[str, Any]

    def error(self, keys: KeyPath, what: str) -> ClusterUnreadableError:
        named = ".".join(str(key) for key in keys)
        return ClusterUnreadableError(f"{self.path}:{self.document.line(keys)}: {named}: {what}")

    def text(self, key: str) -> str:
        value = self.values.get(key) or ""
        if not isinstance(value, str):
            raise self.error((key,), "is no text")
        return value

    def find(self, table: str, key: str, name: str, keys: Mapping[str, type]) -> _Part | None:
        entries = self.values.get(table) or []
        if not isinstance(entries, list):
            raise self.error((table,), "is no list")
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                raise self.error((table, index), f"is no mapping with name and {key}")
            if entry["name"] == name:
                return _Part.of(self, (table, index, key), entry.get(key) or {}, keys)
        return None

    def names(self, table: str) -> list[str]:
        entries = self.values.get(table)
        found = entries if isinstance(entries, list) else []
        return [str(entry.get("name")) for entry in found if isinstance(entry, dict)]


@dataclass(frozen=True, slots=True)
class _Part:
    """A mapping of a kubeconfig, whose keys are all known."""

    owner: _File
    keys: KeyPath
    values: Mapping[str, Any]

    @classmethod
    def of(cls, owner: _File, keys: KeyPath, values: object, known: Mapping[str, type]) -> _Part:
        if not isinstance(values, dict):
            raise owner.error(keys, "is no mapping")
        for key, value in values.items():
            if key not in known:
                hint = "kubectl may ask elsewhere, or as somebody else, for it; ferryman does not know it"
                raise owner.error((*keys, str(key)), f"{hint} ({nearest(str(key), known)})")
            if value is not None and not isinstance(value, known[key]):
                raise owner.error((*keys, key), f"is no {_WORDS[known[key]].removeprefix('a ')}")
        return cls(owner, keys, values)

    @property
    def folder(self) -> Path:
        return self.owner.path.parent

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    def value(self, key: str) -> Any:  # noqa: ANN401  # its type was checked
        return self.values.get(key)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.values.get(key) or []
        if not all(isinstance(each, str) for each in found):
            raise self.error(key, "is no list of texts")
        return tuple(found)

    def below(self, key: str, known: Mapping[str, type]) -> _Part:
        return _Part.of(self.owner, (*self.keys, key), self.values[key], known)

    def where(self, key: str) -> str:
        line = self.owner.document.line((*self.keys, key))
        return f"{self.owner.path}:{line}: {'.'.join(map(str, (*self.keys, key)))}"

    def error(self, key: str, what: str) -> ClusterUnreadableError:
        return ClusterUnreadableError(f"{self.where(key)}: {what}")

    def file(self, key: str) -> bytes:
        """What the file holds that a key names, relative to the kubeconfig's folder."""
        path = self.folder / str(self.values[key])
        if reason := untrusted(path):
            raise self.error(key, f"is not trusted: {reason}")
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no such name is possible"
            raise self.error(key, f"cannot be read: {why}") from None

    def content(self, key: str) -> bytes | None:
        """What stands in ``KEY-data``, else in the file that ``KEY`` names; None without either."""
        if self.value(f"{key}-data"):
            try:
                return base64.b64decode(self.value(f"{key}-data"), validate=True)
            except (binascii.Error, ValueError):
                raise self.error(f"{key}-data", "is not base64") from None
        return self.file(key) if self.value(key) else None


def _entry(files: list[_File], table: str, key: str, name: str, known: Mapping[str, type]) -> _Part:
    parts = (file.find(table, key, name, known) for file in files)
    found = next((part for part in parts if part is not None), None)
    if found is None:
        names = [each for file in files for each in file.names(table)]
        raise ClusterUnreadableError(f"{files[0].path}: {table}: has no {name!r}, {nearest(name, names)}")
    return found


def _files(kubeconfig: str) -> list[_File]:
    paths = [Path(path) for path in kubeconfig.split(":") if path]
    there = [path for path in paths if path.exists()] or paths[:1]
    return [_read(path) for path in there]


def _read(path: Path) -> _File:
    if reason := untrusted(path):
        raise ClusterUnreadableError(f"{path}: is not trusted: {reason}")
    try:
        document = parse(bytes_of(path, str(path)), str(path), depth=1)
        values = document.value(document.root)
    except Unreadable as error:
        problem = error.problems[0]
        # What a parser says of a text quotes it now and then.
        why = problem.message if not problem.line else "is not YAML, or is larger than what is read"
        place = f"{path}:{problem.line}" if problem.line else str(path)
        raise ClusterUnreadableError(f"{place}: {why}") from None
    if not isinstance(values, dict) or document.cuts:
        raise ClusterUnreadableError(f"{path}: is no mapping with clusters, contexts and users")
    return _File(path, document, values)
