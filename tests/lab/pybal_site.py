"""The lab with a service of PyBal and puppet: doubles of both, and the inventory that says so."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.running import RunningLab

SERVICE, VIP = "maps", "10.99.0.2:8080"
DIRECTORS = ("lvs1", "lvs2")
PROGRAMS = ("pybal.py", "puppet.py")
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
PUPPET = """\
#!/bin/sh
export PUPPET_DOUBLE=/lab/$(ip netns identify $$)/puppet
exec python3 -I -S /lab/doubles/puppet.py "$@"
"""
"""What ``puppet`` is on the lab's directors."""


@dataclass
class PybalSite:
    """The service ``maps`` with two directors whose PyBal follows the catalog by way of puppet."""

    lab: RunningLab
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """More keys of ``[global]``, by director."""

    def provision(self, **options: object) -> None:
        """Put the doubles in, start them, and let the inventory name them; options are the driver's keys."""
        let_follow(self.lab, {host: self._keys(host) | options for host in DIRECTORS}, timeout_s=120)
        catalog = shown_catalog(self.lab)
        lines = [
            *(_written(f"/lab/doubles/{name}", (DOUBLES / name).read_text()) for name in PROGRAMS),
            _written("/lab/doubles/pool", _POOL),
            _written("/usr/local/sbin/puppet", PUPPET),
            "chmod +x /usr/local/sbin/puppet",
        ]
        for host in DIRECTORS:
            more = "".join(f"{key} = {value}\n" for key, value in self.settings.get(host, {}).items())
            folder = f"/lab/{host}/puppet"
            lines += [
                f"rm -rf {folder}",
                _written(f"{folder}/template", f"{_GLOBAL}{more}\n{_SECTION}"),
                f"mkdir -p /lab/{host}/pybal",
                _written(f"{folder}/settings", f"catalog {catalog}\nsite lab\ntarget {self.config(host)}\n"),
                f"ip netns exec {host} puppet agent --test || :",
                f"ip netns exec {host} {_PYBAL} restart {self.config(host)}",
            ]
        self.lab.console("rt", "\n".join([*lines, *map(_until_up, DIRECTORS)]), timeout_s=180)

    def clear(self) -> None:
        """Stop the doubles, and take them out."""
        lines = [
            f"ip netns exec {host} {_PYBAL} stop {self.config(host)}; rm -rf /lab/{host}/pu* /lab/{host}/py*"
            for host in DIRECTORS
        ]
        lines.append("rm -rf /lab/doubles /usr/local/sbin/puppet")
        self.lab.console("rt", "\n".join(lines), timeout_s=180)

    def restart_lies(self, host: str) -> None:
        """Let the inventory name a restart that does nothing, and have little patience with it."""
        self._edit(host, f"{_PYBAL} restart {self.config(host)}", "true")

    def restart_works(self, host: str) -> None:
        """Let the inventory name the command that restarts PyBal again."""
        self._edit(host, "true", f"{_PYBAL} restart {self.config(host)}")

    def _edit(self, host: str, old: str, new: str) -> None:
        directors = self.lab.folder / "inventory" / "directors.yaml"
        head, found, rest = directors.read_text().rpartition(f'host: "{host}"\n')
        directors.write_text(head + found + rest.replace(f'restart: "{old}"\n', f'restart: "{new}"\n'))

    def config(self, host: str) -> str:
        """The path of PyBal's configuration file on a director."""
        return f"/lab/{host}/pybal/pybal.conf"

    def pybal(self, host: str, verb: str) -> None:
        """Start, stop or restart a director's PyBal."""
        self.lab.console(host, f"{_PYBAL} {verb} {self.config(host)}")

    def put(self, host: str, name: str, text: str) -> None:
        """Write a file into the folder of a director's puppet."""
        self.lab.console(host, _written(f"/lab/{host}/puppet/{name}", text))

    def template(self, host: str, old: str, new: str) -> None:
        """Change what puppet writes on a director."""
        text = f"{_GLOBAL}\n{_SECTION}"
        assert old in text
        self.put(host, "template", text.replace(old, new))

    def table(self, host: str) -> str:
        """The service's lines of the director's table."""
        lines = self.lab.console(host, "ipvsadm -Sn").splitlines()
        return "\n".join(line for line in lines if f"-t {VIP} " in line)

    def wait_until_up(self) -> None:
        """Wait until each PyBal has a BGP session."""
        self.lab.console("rt", "\n".join(map(_until_up, DIRECTORS)), timeout_s=180)

    def _keys(self, host: str) -> dict[str, object]:
        config = self.config(host)
        return {
            "driver": "pybal",
            "config": config,
            "restart": f"{_PYBAL} restart {config}",
            "stop": f"{_PYBAL} stop {config}",
            "start": f"{_PYBAL} start {config}",
            "started": f"[ -d /proc/$(cat {config}.pid) ] && stat -c %Y {config}.pid",
            "follow_timeout": 0,
            "converge_timeout": 20,
        }


def shown_catalog(lab: RunningLab) -> str:
    """Move the inventory to where the lab's hosts can read it, and link to it; the catalog's path there."""
    inventory = lab.folder / "inventory"
    shown, there = lab.show(inventory)
    shutil.rmtree(inventory)
    inventory.symlink_to(shown)
    return f"{there}/services.yaml"


def let_follow(lab: RunningLab, keys: Mapping[str, Mapping[str, object]], *, timeout_s: float) -> None:
    """Give the service directors of a class of its own that follow the catalog by puppet: keys by host."""
    folder = lab.folder / "inventory"
    services = folder / "services.yaml"
    head, maps, rest = services.read_text().partition("\n  maps:\n")
    services.write_text(head + maps + rest.replace("class: low-traffic", "class: high-traffic2", 1))
    directors = folder / "directors.yaml"
    entries = "".join(_entry(host, own) for host, own in keys.items())
    directors.write_text(f"{directors.read_text()}  high-traffic2:\n{entries}")
    toml = lab.folder / "ferryman.toml"
    toml.write_text(f'{toml.read_text()}\n[management]\nagent = "puppet"\ntimeout = {timeout_s:g}\n')


def _entry(host: str, own: Mapping[str, object]) -> str:
    role, source = {"lvs1": ("primary", 2), "lvs2": ("secondary", 3)}[host]
    sources = {"ipv4": f"10.30.0.{source}", "ipv6": f"fd30::{source}"}
    keys = {"host": host, "role": role, **own, "traffic_source": sources}
    lines = [f"{key}: {json.dumps(value)}" for key, value in keys.items()]
    return "    - " + "\n      ".join(lines) + "\n"


def _written(path: str, text: str) -> str:
    return f"mkdir -p $(dirname {path}); printf %s {shlex.quote(text)} >{path}"


def _until_up(host: str) -> str:
    established = "until curl -s localhost:9090/metrics | grep -q 'established.*1.0'; do sleep 0.5; done"
    return f"timeout 90 ip netns exec {host} sh -c {shlex.quote(established)}"
