"""Configuration management: how what the catalog says reaches a director or a realserver."""

from ferryman.management.agent import Agent, AgentRun, Itself

__all__ = ["Agent", "AgentRun", "Itself"]
