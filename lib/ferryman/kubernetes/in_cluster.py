"""How a pod reaches the API server of its own cluster: by the service account that Kubernetes gave it.

The token is read anew for each login, because it is replaced every hour or so.
"""

from __future__ import annotations

import os
from pathlib import Path

from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.kubernetes.kubeconfig import Access

IN_CLUSTER = "in-cluster"
"""What clusters.yaml says as ``api`` of the cluster that this is a pod of."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MOST = 1 << 20
"""Bytes of a token, or of certificates."""


def in_cluster_access() -> Access:
    """Where the API server is, and as whom it is asked.

    Raises:
        ClusterUnreadableError: This is no pod, or one without a service account.
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{each}", "") for each in ("HOST", "PORT"))
    if not host or not port.isdecimal():
        raise ClusterUnreadableError(
            "clusters.yaml: api: is in-cluster, and this is no pod of a cluster: KUBERNETES_SERVICE_HOST and"
            " KUBERNETES_SERVICE_PORT are not set; give a kubeconfig here"
        )
    token = _content("token").decode("utf-8", "replace").strip()
    if not token or not (token.isascii() and token.isprintable()):
        raise ClusterUnreadableError(f"{ACCOUNT / 'token'}: is no token that an HTTP header can have")
    address = f"[{host}]" if ":" in host else host
    return Access(f"https://{address}:{port}", authority=_content("ca.crt"), token=token)


def _content(name: str) -> bytes:
    path = ACCOUNT / name
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise ClusterUnreadableError(
            f"{path}: cannot be read: {error.strerror}; clusters.yaml says in-cluster, so the pod needs a"
            " service account (automountServiceAccountToken)"
        ) from None
