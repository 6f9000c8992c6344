"""Kubernetes, as far as it matters to realservers that are its nodes: what their state is. Only reads."""

from ferryman.kubernetes.nodes import NodeStates, node_states
from ferryman.kubernetes.spoofing import spoofing_findings

__all__ = ["NodeStates", "node_states", "spoofing_findings"]
