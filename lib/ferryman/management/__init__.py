"""Configuration management: the agents that apply the catalog to directors and realservers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.management.agent import Agent, AgentRun, NoAgent
from ferryman.management.command import AnsiblePull, CommandAgent
from ferryman.management.puppet import PuppetAgent
from ferryman.management.remote_agent import AgentOnHosts, raise_failures

if TYPE_CHECKING:
    from ferryman.config import ManagementConfig

__all__ = [
    "Agent",
    "AgentOnHosts",
    "AgentRun",
    "AnsiblePull",
    "CommandAgent",
    "NoAgent",
    "PuppetAgent",
    "agent_for",
    "raise_failures",
]

_ON_HOSTS: dict[str, type[AgentOnHosts]] = {
    "puppet": PuppetAgent,
    "ansible-pull": AnsiblePull,
    "command": CommandAgent,
}


def agent_for(config: ManagementConfig) -> Agent:
    """The agent that ``[management]`` names; ``NoAgent`` for any other word."""
    kind = _ON_HOSTS.get(config.agent)
    return kind(config) if kind else NoAgent()
