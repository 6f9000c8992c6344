"""Kubernetes, as far as it matters to realservers that are its nodes: what their state is. Only reads."""

from ferryman.kubernetes.nodes import NodeStates, node_states

__all__ = ["NodeStates", "node_states"]
