"""A director that follows the catalog: puppet writes PyBal's file; its tools keep state in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.config import ManagementConfig
from ferryman.directors.pybal.driver import PybalDriver
from ferryman.hosts.verbs.agents import PuppetRun
from ferryman.management import PuppetAgent
from ferryman.model import Director, Role
from tools import does
from unit.directors.world import WEB, RealShell

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = "service::catalog:\n  web:\n    lvs:\n      enabled: true\n{flag}\n  other:\n    port: 80\n"
TEMPLATE = """\
[global]
bgp = yes

[weblb_80]
protocol = tcp
ip = 10.99.0.1
port = 80
scheduler = wrr
tunneling = %web%

[weblb6_80]
ip = fd99::1
port = 80
scheduler = wrr
tunneling = %web% ; as the catalog says

[other_80]
ip = 10.99.0.9
port = 80
scheduler = rr
"""
METRICS = """\
# TYPE pybal_bgp_session_established gauge
pybal_bgp_session_established{local_asn="64600",peer="10.0.0.1"} 1.0
pybal_bgp_session_established{local_asn="64600",peer="10.0.0.2"} 0.0
"""
UP = {"pooled": True, "weight": 1, "up": True, "enabled": True}


@dataclass
class Following:
    """One director, its agent, and the catalog that they follow."""

    shell: RealShell

    def __post_init__(self) -> None:
        self.flip(to_ipip=False)
        settings = f"catalog {self.catalog}\nsite lab\ntarget {self.config}\n"
        self.put("puppet/settings", settings)
        self.put("puppet/template", TEMPLATE)
        for answer, text in (("alerts", "OK - All pools are healthy"), ("metrics", METRICS)):
            self.put(f"http/{answer}", text)
        for pool in ("weblb_80", "weblb6_80"):
            self.put(f"http/{pool}", json.dumps({"web1": UP, "web2": UP}))
        self.shell.write("lvs1", does(f"puppet agent --test; pybal start {self.config}"))
        self.put("restarts", "")
        self.shell.writes.clear()

    @property
    def catalog(self) -> Path:
        """The service catalog's file."""
        return self.shell.folder / "services.yaml"

    @property
    def config(self) -> Path:
        """PyBal's file."""
        return self.shell.folder / "pybal.conf"

    @property
    def restarts(self) -> list[str]:
        """What PyBal was told: start, stop."""
        return (self.shell.folder / "restarts").read_text().split()

    @property
    def agent_runs(self) -> int:
        """How often puppet was run."""
        return sum(isinstance(verb, PuppetRun) for verb in self.shell.writes)

    def put(self, name: str, text: str) -> None:
        """Write one of the director's files."""
        file = self.shell.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def flip(self, *, to_ipip: bool) -> None:
        """Let the catalog say so."""
        flag = "      ipip_encapsulation: [lab]" if to_ipip else ""
        self.catalog.write_text(CATALOG.format(flag=flag))

    def agent(self, **keys: object) -> PuppetAgent:
        """Puppet, without a wait between two runs."""
        config = ManagementConfig.model_validate({"agent": "puppet", **keys})
        return PuppetAgent(config, sleep=lambda _s: None)

    def driver(self, **options: object) -> PybalDriver:
        """The driver of this director."""
        known: dict[str, object] = {
            "config": str(self.config),
            "stop": f"pybal stop {self.config}",
            "start": f"pybal start {self.config}",
            "restart": f"pybal stop {self.config} && pybal start {self.config}",
            "started": f"cat {self.shell.folder / 'started'}",
            "follow_timeout": 0,
            "converge_timeout": 0,
        }
        director = Director("lvs1", Role.PRIMARY, "pybal", known | options)
        return PybalDriver(director, WEB, self.shell, self.agent(), sleep=lambda _s: None)
