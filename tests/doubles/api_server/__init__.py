"""A double of a Kubernetes API server: real HTTP on loopback, and a cluster in memory behind it.

It is a double because no API server can be had here, and it would want etcd, controllers and kubelets.
What it does as a real one does: pages with ``limit`` and ``continue`` from one snapshot, uid and resource
version, selectors, discovery enough for kubectl, the 400s with the messages of the real one, the subresource
``eviction`` with budgets and preconditions, merge patches with a resource version as a condition, metadata
alone where it is asked for, and the rights of ClusterRoles. What it does not do: watches, other writes,
schemas and defaults (objects are as tests put them), protobuf, tables.

What an eviction or a restart does is told to ``on_evict`` and ``on_restart``, for pods that are real; by
default pods are made again in memory (``controllers.py``)::

    with serving() as server:
        server.node("node1")
        server.workload("Deployment", "shop", ["node1", "node1"])
        server.faults.append(Fault("/pods", times=1, status=500))
        ClusterEntry(api=server.url)
"""

from doubles.api_server.faults import Fault
from doubles.api_server.server import NODES, PODS, SERVICES, SLICES, ApiServer, Asked, serving

__all__ = ["NODES", "PODS", "SERVICES", "SLICES", "ApiServer", "Asked", "Fault", "serving"]
