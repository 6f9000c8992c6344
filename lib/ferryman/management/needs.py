"""What the user on a host without root must be allowed there for configuration management."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.hosts.helper.needs import Allowed, literal
from ferryman.management import AgentOnHosts, AnsiblePull, PuppetAgent, agent_for
from ferryman.management.command import checkout_folder

if TYPE_CHECKING:
    from ferryman.config import ManagementConfig
    from ferryman.hosts.helper.needs import Needs


def agent_needs(config: ManagementConfig) -> Needs:
    """What running the agent needs; nothing where there is none."""
    agent = agent_for(config)
    if not isinstance(agent, AgentOnHosts):
        return {}
    run = Allowed((_words(agent.argv),))
    if isinstance(agent, PuppetAgent):
        return {"puppet-state": Allowed(), "puppet-run": run}
    needs: dict[str, Allowed] = {"agent-run": run}
    if config.revision:
        needs["agent-revision"] = Allowed((_words(config.revision),))
    elif isinstance(agent, AnsiblePull):
        folder = checkout_folder(config.run)
        needs["checkout-revision"] = Allowed(files=(folder,) if folder else ())
    return needs


def _words(argv: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(literal, argv))
