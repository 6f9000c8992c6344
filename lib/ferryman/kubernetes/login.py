"""A kubeconfig's login plugin (``exec``), run as kubectl runs it; and what it says of who asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.redaction import redacted

if TYPE_CHECKING:
    from ferryman.kubernetes.kubeconfig import Access, Plugin

PLUGIN_S = 30.0
"""Seconds that a plugin has; it may want a browser, and nobody is there."""
_SHOWN = 300


def logged_in(access: Access) -> Access:
    """The same access, with what its plugin says; without a plugin as it is.

    Raises:
        ClusterUnreadableError: The plugin is missing, failed, did not end, or said nothing of use.
    """
    plugin = access.plugin
    if plugin is None:
        return access
    status = _said(plugin, _run(plugin, access))
    token = status.get("token")
    certificate, key = (status.get(name) for name in ("clientCertificateData", "clientKeyData"))
    if not (isinstance(token, str) or (isinstance(certificate, str) and isinstance(key, str))):
        raise _error(plugin, "said neither a token nor a certificate with its key")
    if isinstance(certificate, str) and isinstance(key, str):
        access = replace(access, certificate=certificate.encode(), key=key.encode())
    return replace(access, token=token.strip()) if isinstance(token, str) else access


def _run(plugin: Plugin, access: Access) -> bytes:
    cluster = {"server": access.server} if plugin.wants_cluster else None
    spec = {"interactive": False, **({"cluster": cluster} if cluster else {})}
    info = {"apiVersion": plugin.version, "kind": "ExecCredential", "spec": spec}
    environment = {**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    program = shutil.which(plugin.command, path=environment.get("PATH"))
    if program is None:
        hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
        raise _error(plugin, f"is not to be found, or cannot be executed{hint}")
    try:
        with subprocess.Popen(
            [program, *plugin.args],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=PLUGIN_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise _error(plugin, f"did not end within {PLUGIN_S:g} seconds, and was ended") from None
    except OSError as error:
        raise _error(plugin, f"cannot be run: {error.strerror}") from None
    if process.returncode != 0:
        words = " ".join(redacted(err.decode("utf-8", "replace")).split())[:_SHOWN] or "it said nothing"
        raise _error(plugin, f"returned {process.returncode}: {words}")
    return out


def _said(plugin: Plugin, out: bytes) -> dict[str, Any]:
    try:
        status = json.loads(out)["status"]
    except (ValueError, LookupError, TypeError, RecursionError):
        status = None
    if not isinstance(status, dict):
        raise _error(plugin, "said no ExecCredential with a status")
    return status


def _error(plugin: Plugin, what: str) -> ClusterUnreadableError:
    return ClusterUnreadableError(f"the login plugin {plugin.command} {what}")
