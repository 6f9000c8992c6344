"""The lab with a service of Liberica and puppet: doubles of both, and the inventory that says so."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.pybal_site import DIRECTORS, DOUBLES, PUPPET, VIP, let_follow, shown_catalog

if TYPE_CHECKING:
    from lab.running import RunningLab

_LIBERICA = "python3 -I -S /lab/doubles/liberica.py"
_TEMPLATE = """\
---
fp:
  log_level: info
  forwarding_plane: {plane}
services:
  mapslb_8080:
    forward_type: %maps:tunnel:direct_route%
    depool_threshold: {threshold}
    cluster: edge
    service: maps
    ip: 10.99.0.2
    port: 8080
    protocol: tcp
"""


@dataclass
class LibericaSite:
    """The service ``maps`` with two directors whose Liberica follows the catalog by way of puppet."""

    lab: RunningLab
    plane: str = "ipvs"

    def provision(self, **options: object) -> None:
        """Put the doubles in, start them, and let the inventory name them; options are the driver's keys."""
        let_follow(self.lab, {host: self._keys(host) | options for host in DIRECTORS}, timeout_s=60)
        for double in ("liberica", "puppet"):
            self.put("rt", f"/lab/doubles/{double}.py", (DOUBLES / f"{double}.py").read_text())
        self.put("rt", "/usr/local/sbin/puppet", PUPPET)
        self.lab.console("rt", "chmod +x /usr/local/sbin/puppet")
        catalog = shown_catalog(self.lab)
        for host in DIRECTORS:
            self.template(host)
            words = f"catalog {catalog}\nsite lab\ntarget {self.config(host)}\n"
            self.put(host, f"/lab/{host}/puppet/settings", words)
            self.puppet(host)
            # Times are whole seconds: a file loaded in the second of its writing counts as not loaded.
            self.lab.console(host, f"sleep 1; {_LIBERICA} start {self.config(host)}; {_UNTIL_UP}")

    def clear(self) -> None:
        """Stop the doubles, and take them out; whatever they did to the table is put back."""
        direct = f"s/^-a \\(-t {VIP} -r [^ ]*\\) -i \\(-w [0-9]*\\).*/-e \\1 -g \\2/p"
        for host in DIRECTORS:
            stop = f"{_LIBERICA} stop {self.config(host)}; ipvsadm -Sn | sed -n '{direct}' | ipvsadm -R"
            self.lab.console(host, f"{stop}; rm -rf /lab/{host}/puppet /lab/{host}/liberica")
        self.lab.console("rt", "rm -rf /lab/doubles /usr/local/sbin/puppet")

    def config(self, host: str) -> str:
        """The path of Liberica's configuration file on a director."""
        return f"/lab/{host}/liberica/config.yaml"

    def template(self, host: str, threshold: str = "0.5") -> None:
        """What puppet writes on a director; a threshold that is no number is refused by Liberica alone."""
        text = _TEMPLATE.format(plane=self.plane, threshold=threshold)
        self.put(host, f"/lab/{host}/puppet/template", text)

    def trouble(self, host: str, name: str, text: str = "") -> None:
        """Put a trouble of the double in; ``tests/doubles/liberica.py`` names them."""
        self.put(host, f"{self.config(host)}.{name}", text)

    def clear_troubles(self, host: str) -> None:
        """Take every trouble out of a director's double."""
        self.lab.console(host, f"cd $(dirname {self.config(host)}) && rm -f *.deaf *.lying *.stuck *.idle")

    def puppet(self, host: str) -> None:
        """Run a director's configuration agent, as a timer would."""
        self.lab.console(host, f"mkdir -p $(dirname {self.config(host)}); puppet agent --test || :")

    def put(self, host: str, path: str, text: str) -> None:
        """Write a file on a host, and make its folder."""
        self.lab.console(host, f"mkdir -p $(dirname {path}); printf %s {shlex.quote(text)} >{path}")

    def methods(self, host: str) -> str:
        """``-g`` or ``-i`` of each destination of the service, in their order."""
        lines = self.lab.console(host, "ipvsadm -Sn").splitlines()
        return " ".join(line.split()[5] for line in lines if line.startswith(f"-a -t {VIP} "))

    def _keys(self, host: str) -> dict[str, object]:
        return {
            "driver": "liberica",
            "plane": self.plane,
            "config": self.config(host),
            "reload": f"{_LIBERICA} reload {self.config(host)}",
            "follow_timeout": 0,
            "converge_timeout": 8,
        }


_UP = "curl -s localhost:3010/metrics | grep -q ESTABLISHED"
_UNTIL_UP = f"timeout 30 sh -c 'until {_UP}; do sleep 0.2; done'"
