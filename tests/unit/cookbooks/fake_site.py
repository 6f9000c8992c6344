"""A fake site in memory, for whole cookbooks: everything outside of a run, and every call to it can be cut.

It has two directors, two realservers, a catalog and three services: ``static``, whose directors have their
table from ipvsadm alone, ``web`` on IPv4 and IPv6, whose directors run keepalived, and ``maps``, whose
directors run PyBal and follow the catalog. What is real: the
inventory's reading, the catalog's edits, the drivers, the steps, the engine. What is imitated: the hosts
(``fake_director``), whose scripts take effect piece by piece, and the catalog's file, kept here. What is
canned: realservers that are ready, and probes, exchanges and requests that are answered. No process, no
network, no sleep.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ferryman.catalog import Catalog
from ferryman.config import Config, DirectorsConfig, ManagementConfig, WatchConfig
from ferryman.cookbook import Ferry, Finding, Verdict, load
from ferryman.hosts.fake import Call, FakeHosts, Reply
from ferryman.inventory import Inventory
from ferryman.model import ProbeResult, ProbeVerdict
from ferryman.probe.exchange import ExchangeResult, ExchangeVerdict, Stage
from ferryman.probe.path_mtu import DnsResult, DnsVerdict, PathMtuResult, PathMtuVerdict
from ferryman.realservers.facts.parse import parse
from ferryman.testing import Cuts, Scene
from unit.cookbooks import third_parties
from unit.cookbooks.fake_director import PYBAL_FILE, PYBAL_TEXT, FakeDirector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.model import Director, Service
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeTarget
    from ferryman.probe.path_mtu import DnsQuestion, PathMtuTarget
    from ferryman.realservers.facts import Facts

TESTS = Path(__file__).parents[2]
COOKBOOKS = TESTS.parent / "cookbooks"
HEALTHY = (TESTS / "unit/realservers/cases/lab-web-healthy.txt").read_text()
"""What a realserver that is ready says of itself; it serves both services."""
DIRECTORS = ("lvs1", "lvs2")

CATALOG = """\
service::catalog:
  static:
    encryption: false
    ip: {lab: {default: 10.99.0.3}}
    lvs:
      class: high-traffic1
      conftool: {cluster: edge, service: static}
      enabled: true
      scheduler: wrr
    port: 8081
    sites: [lab]
    state: production
  maps:
    encryption: false
    ip: {lab: {default: 10.99.0.2}}
    lvs:
      class: high-traffic2
      conftool: {cluster: edge, service: maps}
      enabled: true
      scheduler: wrr
    port: 8080
    sites: [lab]
    state: production
  web:
    encryption: false
    ip: {lab: {weblb: 10.99.0.1, weblb6: fd99::1}}
    lvs:
      class: low-traffic
      conftool: {cluster: edge, service: web}
      enabled: true
      scheduler: wrr
    port: 80
    sites: [lab]
    state: production
"""
REST = {
    "nodes/lab.yaml": "lab: {edge: {web1: [static, maps, web], web2: [static, maps, web]}}",
    "hosts.yaml": """\
web1: {address: 10.10.0.21, address6: "fd10::21"}
web2: {address: 10.10.0.22, address6: "fd10::22"}
lvs1: {address: 10.10.0.11, address6: "fd10::11"}
lvs2: {address: 10.10.0.12, address6: "fd10::12"}
""",
    "directors.yaml": """\
lab:
  high-traffic1:
    - {host: lvs1, role: primary, driver: ipvsadm}
    - {host: lvs2, role: secondary, driver: ipvsadm}
  high-traffic2:
    - &pybal
      host: lvs1
      role: primary
      driver: pybal
      restart: restart-pybal
      drain: 0
      follow_timeout: 0
      converge_timeout: 0
    - {<<: *pybal, host: lvs2, role: secondary}
  low-traffic:
    - &keepalived
      host: lvs1
      role: primary
      driver: keepalived
      service_file: "/etc/keepalived/services/{service}.conf"
      reload: reload keepalived
      converge_timeout: 0
    - {<<: *keepalived, host: lvs2, role: secondary}
""",
}
RULES = """\
-A -t 10.99.0.1:80 -s wrr
-a -t 10.99.0.1:80 -r 10.10.0.21:80 -g -w 1
-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3
-A -t 10.99.0.2:8080 -s wrr
-a -t 10.99.0.2:8080 -r 10.10.0.21:8080 -g -w 1
-a -t 10.99.0.2:8080 -r 10.10.0.22:8080 -g -w 1
-A -t 10.99.0.3:8081 -s wrr
-a -t 10.99.0.3:8081 -r 10.10.0.21:8081 -g -w 1
-a -t 10.99.0.3:8081 -r 10.10.0.22:8081 -g -w 2
-A -t [fd99::1]:80 -s wrr
-a -t [fd99::1]:80 -r [fd10::21]:80 -g -w 1
-a -t [fd99::1]:80 -r [fd10::22]:80 -g -w 1
"""
LIMITS = {("-t 10.99.0.3:8081", "10.10.0.22:8081"): (100, 80)}
KEEPALIVED_FILE = "/etc/keepalived/keepalived.conf"
KEEPALIVED_TEXT = "include /etc/keepalived/services/*.conf\n"
WEB_FILE = "/etc/keepalived/services/web.conf"


WEB_TEXT = """\
virtual_server 10.99.0.1 80 {
    lvs_sched wrr
    lvs_method DR
    protocol TCP
    real_server 10.10.0.21 80 {
        weight 1
    }
    real_server 10.10.0.22 80 {
        weight 3
    }
}
virtual_server fd99::1 80 {
    lvs_sched wrr
    lvs_method DR
    protocol TCP
    real_server fd10::21 80 {
        weight 1
    }
    real_server fd10::22 80 {
        weight 1
    }
}
"""


class FakeSite:
    """Everything there is, as it is now; whoever writes to it directly is somebody else."""

    def __init__(self, cuts: Cuts, *, scripts_tear: bool | None = None) -> None:
        scripts_tear = not cuts.whole_scripts if scripts_tear is None else scripts_tear
        self.cuts = cuts
        self.dry_run = False
        """Whether plans are for dry runs, which count as no process of a run."""
        self.soak_s, self.drain_s = 0.0, 0.0
        self.nodes = REST["nodes/lab.yaml"]
        self.catalog = CATALOG.encode()
        self.directors = {host: self._director(host, scripts_tear=scripts_tear) for host in DIRECTORS}
        self._scripts_tear = scripts_tear
        self._processes = 0

    def scene(self, cookbook: str, service: str) -> Scene:
        """A cookbook, by its file's name, for one of the services."""
        return self.scene_with(cookbook, {"service": service, "site": "lab"})

    def scene_with(self, cookbook: str, arguments: dict[str, Any]) -> Scene:
        """A cookbook with arguments of its own."""
        command = load(COOKBOOKS / cookbook)
        third = third_parties.at(self, cookbook, arguments)
        return Scene(lambda: command.plan(self._ferry(), arguments), lambda: self.state, *third)

    @property
    def state(self) -> dict[str, Any]:
        """What a run may change: the catalog, and each director's table, files and routes."""
        directors = {host: director.state for host, director in self.directors.items()}
        return {"catalog": self.catalog.decode(), "nodes": self.nodes, **directors}

    def answer(self, call: Call) -> Reply:
        """What a host's verb comes to; one that writes can be torn apart between two of its effects."""
        director = self.directors.get(call.host)
        if director is None:
            return self.cuts.call(lambda: _healthy(call.host))
        if call.writes and self._scripts_tear:
            return director.answer(call)
        return self.cuts.call(lambda: director.answer(call))

    def fake_hosts(self) -> FakeHosts:
        """The site's hosts, for one process."""
        hosts = FakeHosts()
        hosts.answer("*", None, self.answer)
        return hosts

    def _director(self, host: str, *, scripts_tear: bool) -> FakeDirector:
        effect = self.cuts.call if scripts_tear else lambda effect: effect()
        sources = (f"10.10.0.1{host[-1]}", f"fd10::1{host[-1]}")
        files = {KEEPALIVED_FILE: KEEPALIVED_TEXT, WEB_FILE: WEB_TEXT, PYBAL_FILE: PYBAL_TEXT}
        files |= third_parties.OTHERS_FILE
        rules = RULES.splitlines()
        return FakeDirector(host, rules, dict(LIMITS), files, effect, sources, catalog=self._catalog_text)

    def _catalog_text(self) -> str:
        return self.catalog.decode()

    def _ferry(self) -> Ferry:
        """What a new process has in its hands; it knows nothing of those before it."""
        self._processes += not self.dry_run
        hosts = self.fake_hosts()
        ferry = FakeFerry(
            CONFIG,
            hosts,
            site=self,
            loaded_inventory=_inventory(self.catalog, self.nodes),
            dry_run=self.dry_run,
            resumed=self._processes > 1,
        )
        return ferry.with_overrides(soak=self.soak_s, drain=self.drain_s)


CONFIG = Config(
    file=Path("ferryman.toml"),
    directors=DirectorsConfig(drain_timeout=0),
    watch=WatchConfig(every=3600, soak=0),
    management=ManagementConfig(agent="command", run=("apply-catalog",)),
)
"""Nobody waits, and the watch never gets to its first round: its calls would come at any moment."""


@cache
def _healthy(host: str) -> Facts:
    """The facts of a realserver that is well."""
    return parse(host, HEALTHY)


@cache
def _inventory(catalog: bytes, nodes: str) -> Inventory:
    """The inventory with this catalog and these nodes, as ferryman reads it from its folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nodes").mkdir()
        (folder / "services.yaml").write_bytes(catalog)
        for file, text in (REST | {"nodes/lab.yaml": nodes}).items():
            (folder / file).write_text(text)
        return Inventory.load(folder)


@cache
def _service(catalog: bytes, nodes: str, name: str, site: str) -> Service:
    """One service as the inventory has it; asked for once, for that starts threads."""
    return _inventory(catalog, nodes).service(name, site)


class FakeCatalog(Catalog):
    """The catalog's file, in memory."""

    def __init__(self, site: FakeSite) -> None:
        super().__init__(Path("inventory/services.yaml"))
        self._site = site

    def text(self) -> bytes:
        return self._site.cuts.call(lambda: self._site.catalog)

    def require_writable(self) -> None:
        """Memory is."""

    def write(self, after: bytes, *, expected: bytes) -> None:
        def effect() -> None:
            if self._as_expected(self._site.catalog, after, expected):
                self._site.catalog = after

        self._site.cuts.call(effect)


@dataclass(frozen=True, eq=False)
class FakeFerry(Ferry):
    """A ferry whose probes and requests are always answered, by nobody."""

    site: FakeSite = field(kw_only=True)

    @cached_property
    def catalog(self) -> Catalog:
        return FakeCatalog(self.site)

    def service(self, name: str, site: str, *, only: Sequence[str] = ()) -> Service:
        whole = _service(self.site.catalog, self.site.nodes, name, site)
        meant = [realserver for realserver in whole.realservers if not only or realserver.host in only]
        return replace(whole, realservers=tuple(meant))

    def need_raw_sockets(self) -> None:
        """There are none, and none are needed."""

    def probe(self, targets: Sequence[Target], *, quick: bool = False) -> list[ProbeResult]:
        accepted = [
            ProbeResult(target.host, target.virtual_service, ProbeVerdict.ACCEPTED) for target in targets
        ]
        return self.site.cuts.call(lambda: accepted)

    def probe_briefly(self, targets: Sequence[Target]) -> list[ProbeResult]:
        silent = [ProbeResult(target.host, target.virtual_service, ProbeVerdict.SILENT) for target in targets]
        return self.site.cuts.call(lambda: silent)

    def exchange(self, service: Service, targets: Sequence[ExchangeTarget]) -> list[ExchangeResult]:
        del service
        completed = [
            ExchangeResult(target, ExchangeVerdict.COMPLETED, "closed", Stage.CLOSED) for target in targets
        ]
        return self.site.cuts.call(lambda: completed)

    def measure_paths(self, targets: Sequence[PathMtuTarget]) -> list[PathMtuResult]:
        larger = [PathMtuResult(target, PathMtuVerdict.LARGER, 1500) for target in targets]
        return self.site.cuts.call(lambda: larger)

    def ask_dns(self, questions: Sequence[DnsQuestion]) -> list[DnsResult]:
        small = [DnsResult(question, DnsVerdict.WHOLE, 500, 1, code=0) for question in questions]
        return self.site.cuts.call(lambda: small)

    def send_requests(self, service: Service, director: Director | None) -> list[Finding]:
        host = director.host if director else "any director"
        answered = Finding("traffic", host, Verdict.PASS, "answered", "every request answered")
        return self.site.cuts.call(lambda: [answered])
