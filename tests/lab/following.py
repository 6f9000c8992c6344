"""The lab with a service of PyBal and puppet: doubles of both, and the inventory that says so."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.running import REPOSITORY

if TYPE_CHECKING:
    from lab.running import RunningLab

SERVICE, VIP = "maps", "10.99.0.2:8080"
DIRECTORS = ("lvs1", "lvs2")
DOUBLES = REPOSITORY / "tests" / "doubles"
_PYTHON = "python3 -I -S"
_PYBAL = f"{_PYTHON} /lab/doubles/pybal.py"

_GLOBAL = """\
[global]
bgp = yes
bgp-local-asn = 64600
bgp-peer-address = 10.10.0.254
instrumentation = yes
"""
_SECTION = """\
[maps_8080]
protocol = tcp
ip = 10.99.0.2
port = 8080
scheduler = mh
scheduler-flag = mh-port
config = file:///lab/doubles/pool
depool-threshold = 0.5
tunneling = %maps%
"""
_POOL = "".join(f"{{ 'host': 'web{number}', 'weight': 1, 'enabled': True }}\n" for number in (1, 2, 3))
_WRAPPER = """\
#!/bin/sh
export PUPPET_DOUBLE=/lab/$(ip netns identify $$)/puppet
exec python3 -I -S /lab/doubles/puppet.py "$@"
"""


@dataclass
class PybalSite:
    """The service ``maps`` with two directors whose PyBal follows the catalog by way of puppet."""

    lab: RunningLab
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """More keys of ``[global]``, by director."""

    def furnish(self, **options: object) -> None:
        """Put the doubles in, start them, and let the inventory name them; options are the driver's keys."""
        self._inventory(options)
        self.put("rt", "/lab/doubles/pybal.py", (DOUBLES / "pybal.py").read_text())
        self.put("rt", "/lab/doubles/puppet.py", (DOUBLES / "puppet.py").read_text())
        self.put("rt", "/lab/doubles/pool", _POOL)
        self.put("rt", "/usr/local/sbin/puppet", _WRAPPER)
        self.lab.console("rt", "chmod +x /usr/local/sbin/puppet")
        catalog = self.lab.folder / "inventory" / "services.yaml"
        seen = self.lab.console("rt", f"ls /mnt{catalog} 2>/dev/null || echo {catalog}").strip()
        for host in DIRECTORS:
            more = "".join(f"{key} = {value}\n" for key, value in self.settings.get(host, {}).items())
            self.put(host, f"/lab/{host}/puppet/template", f"{_GLOBAL}{more}\n{_SECTION}")
            target = self.config(host)
            words = f"catalog {seen}\nsite lab\ntarget {target}\n"
            self.put(host, f"/lab/{host}/puppet/settings", words)
            self.puppet(host)
            self.pybal(host, "restart")
        self.wait_until_up()

    def clear(self) -> None:
        """Stop the doubles, and take them out."""
        for host in DIRECTORS:
            self.pybal(host, "stop")
            self.lab.console(host, f"rm -rf /lab/{host}/puppet /lab/{host}/pybal")
        self.lab.console("rt", "rm -rf /lab/doubles /usr/local/sbin/puppet")

    def restart_lies(self, host: str) -> None:
        """Let the inventory name a restart that does nothing, and have little patience with it."""
        self._edit(host, f"{_PYBAL} restart {self.config(host)}", "'true'")

    def restart_works(self, host: str) -> None:
        """Let the inventory name the real one again."""
        self._edit(host, "'true'", f"{_PYBAL} restart {self.config(host)}")

    def _edit(self, host: str, old: str, new: str) -> None:
        directors = self.lab.folder / "inventory" / "directors.yaml"
        head, found, rest = directors.read_text().rpartition(f"host: {host}\n")
        directors.write_text(head + found + rest.replace(f"restart: {old}\n", f"restart: {new}\n"))

    def config(self, host: str) -> str:
        """PyBal's file on a director."""
        return f"/lab/{host}/pybal/pybal.conf"

    def puppet(self, host: str) -> None:
        """Run the agent, as cron would."""
        self.lab.console(host, "mkdir -p $(dirname " + self.config(host) + "); puppet agent --test || :")

    def pybal(self, host: str, verb: str) -> str:
        """Start, stop or restart it; or ask since when it runs."""
        return self.lab.console(host, f"{_PYBAL} {verb} {self.config(host)}")

    def put(self, host: str, path: str, text: str) -> None:
        """Write a file on a host."""
        self.lab.console(host, f"mkdir -p $(dirname {path}); printf %s {shlex.quote(text)} >{path}")

    def table(self, host: str) -> str:
        """The service's lines of the director's table."""
        lines = self.lab.console(host, "ipvsadm -Sn").splitlines()
        return "\n".join(line for line in lines if f"-t {VIP} " in line)

    def wait_until_up(self) -> None:
        """Until each PyBal has a session."""
        one = "until curl -s localhost:9090/metrics | grep -q 'established.*1.0'; do sleep 0.2; done"
        for host in DIRECTORS:
            self.lab.console(host, f"timeout 30 sh -c {shlex.quote(one)}")

    def _inventory(self, options: dict[str, object]) -> None:
        folder = self.lab.folder / "inventory"
        services = folder / "services.yaml"
        head, maps, rest = services.read_text().partition("\n  maps:\n")
        services.write_text(head + maps + rest.replace("class: low-traffic", "class: high-traffic2", 1))
        directors = folder / "directors.yaml"
        entries = "".join(self._entry(host, role, options) for host, role in ROLES.items())
        directors.write_text(f"{directors.read_text()}  high-traffic2:\n{entries}")
        toml = self.lab.folder / "ferryman.toml"
        toml.write_text(f'{toml.read_text()}\n[management]\nagent = "puppet"\ntimeout = 60\n')

    def _entry(self, host: str, role: str, options: dict[str, object]) -> str:
        config = self.config(host)
        source = {"lvs1": 2, "lvs2": 3}[host]
        keys: dict[str, object] = {
            "host": host,
            "role": role,
            "driver": "pybal",
            "config": config,
            "restart": f"{_PYBAL} restart {config}",
            "stop": f"{_PYBAL} stop {config}",
            "start": f"{_PYBAL} start {config}",
            "started": f"{_PYBAL} started {config}",
            "follow_timeout": 0,
            "converge_timeout": 5,
            "traffic_source": f'{{ ipv4: 10.30.0.{source}, ipv6: "fd30::{source}" }}',
        } | options
        lines = [f"{key}: {value}" for key, value in keys.items()]
        return "    - " + "\n      ".join(lines) + "\n"


ROLES = {"lvs1": "primary", "lvs2": "secondary"}
