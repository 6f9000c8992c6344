"""Who else may be at work on a fake site while a cookbook runs, and what of the site is the cookbook's own.

Each writes what one person, or a reboot, might. Most are at work on ``lvs2``, the secondary, which is
changed first and put back last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferryman.testing import OwnPart, ThirdParty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from unit.cookbooks.fake_director import FakeDirector
    from unit.cookbooks.fake_site import FakeSite

LATER, FIRST = "lvs1", "lvs2"
VIPS = {
    "static": ("10.99.0.3:8081",),
    "maps": ("10.99.0.2:8080",),
    "web": ("10.99.0.1:80", "[fd99::1]:80"),
}
OTHER = {"static": "maps", "maps": "static", "web": "static"}
"""For each service: one that is not its run's business."""
WEB_FILE = "/etc/keepalived/services/web.conf"
PYBAL_FILE = "/etc/pybal/pybal.conf"
OTHER_FILE = "/etc/keepalived/services/other.conf"
OTHERS_FILE = {
    OTHER_FILE: """\
virtual_server 10.99.0.3 8081 {
    lvs_sched wrr
    lvs_method DR
    protocol TCP
    real_server 10.10.0.21 8081 {
        weight 1
    }
    real_server 10.10.0.22 8081 {
        weight 2
    }
}
"""
}
"""Another service's, which keepalived reloads together with the service's own."""
CATALOG = ("services.yaml", "catalog")
POOL = "web2: [static, maps, web]"


@dataclass(frozen=True)
class Words:
    """How the old and the new of a change are written: as patterns for what is there, and both texts."""

    rule: Callable[[str, Sequence[str]], str | None]
    """What of a line of the table is in a change's hands, for the service's virtual services."""
    old: str
    new: str
    catalog: str
    """Of the catalog: what says the new."""
    file: str
    """Of a director's file: what says the new."""
    files: tuple[str, str]
    """The old and the new word there."""


def _method(line: str, vips: Sequence[str]) -> str | None:
    found = re.match(r"-a -t (\S+) -r \S+ (-[gi]) ", line)
    return found[2] if found and found[1] in vips else None


def _schedule(line: str, vips: Sequence[str]) -> str | None:
    found = re.match(r"-A -t (\S+) (.+)", line)
    return found[2] if found and found[1] in vips else None


TUNNELLED = Words(_method, "-g", "-i", r"\n +ipip_encapsulation: .+", r"lvs_method TUN", ("DR", "TUN"))
RESCHEDULED = Words(_schedule, "-s wrr", "-s mh -b mh-port", r"scheduler: mh", r"lvs_sched mh", ("wrr", "mh"))


def at(site: FakeSite, cookbook: str, arguments: dict[str, Any]) -> tuple[Sequence[ThirdParty], OwnPart]:
    """Who else is at work there, and what is the own part of a run of this cookbook."""
    service = arguments.get("service", "static")
    if cookbook not in {"migrate.py", "scheduler/migrate.py"}:
        nothing = OwnPart(tuple, tuple, lambda: site.state)
        return tuple(_anybody(site, service)), nothing
    own = _Own(site, service, RESCHEDULED if "scheduler" in cookbook else TUNNELLED)
    parties = [*_anybody(site, service), *_meddlers(site, own)]
    return tuple(parties), OwnPart(own.in_place, own.missing, own.rest)


class _Own:
    """What of a site is the own part of a run that moves one service."""

    def __init__(self, site: FakeSite, service: str, words: Words) -> None:
        self.site, self.service, self.words = site, service, words
        self.vips = VIPS[service]
        self.catalog = site.catalog
        self.rules = {host: list(director.rules) for host, director in site.directors.items()}

    @property
    def file(self) -> str | None:
        """The file of a director that says how the service is forwarded."""
        return {"web": WEB_FILE, "maps": PYBAL_FILE}.get(self.service)

    def in_place(self) -> set[str]:
        said = {f"services.yaml: {self.service} is new"} if self._catalog_is_new else set[str]()
        for host, director in self.site.directors.items():
            said |= {
                f"{host}: {what} {word}" for what, word in self._said(director) if word != self.words.old
            }
            said |= {f"{host}: {path} is new" for path, is_new in self._files(director) if is_new}
            said |= {f"{host}: a host route to {route['dst']}" for route in director.routes}
        return said

    def missing(self) -> set[str]:
        said = set[str]() if self._catalog_is_new else {f"services.yaml: {self.service} is old"}
        for host, director in self.site.directors.items():
            said |= {
                f"{host}: {what} {word}" for what, word in self._said(director) if word != self.words.new
            }
            said |= {f"{host}: {path} is old" for path, is_new in self._files(director) if not is_new}
            said |= {f"{host}: a host route to {route['dst']}" for route in director.routes}
        return said

    def rest(self) -> object:
        """Everything, with each word that is the change's own taken out."""
        catalog = self.site.catalog.decode()
        if self.words is TUNNELLED:
            catalog = re.sub(self.words.catalog, "", catalog)
        else:
            catalog = re.sub(r"\n +scheduler(_flag)?: .+", "", catalog)
        return [catalog, self.site.nodes, *map(self._rest, self.site.directors.values())]

    def _rest(self, director: FakeDirector) -> object:
        # A rollback has to reload, whatever of other services waits for one by then; that is told.
        ours = {line for line, _ in self._ours(director)} | set(_waiting(director))
        rules = [self._without(line) if line in ours else line for line in director.rules]
        files = {path: text for path, text in director.files.items() if path != self.file}
        if self.file:
            files[self.file] = _neutral(director.files[self.file])
        return rules, dict(director.limits), files

    def _without(self, line: str) -> str:
        if line.startswith("-a "):
            return re.sub(r" (-g|-i) ", " ", line).removesuffix(" --tun-type ipip")
        return line.partition(" -s ")[0]

    @property
    def _catalog_is_new(self) -> bool:
        return re.search(self.words.catalog, self.site.catalog.decode()) is not None

    def _ours(self, director: FakeDirector) -> list[tuple[str, str]]:
        words = ((line, self.words.rule(line, self.vips)) for line in director.rules)
        return [(line, word) for line, word in words if word is not None]

    def _said(self, director: FakeDirector) -> Iterator[tuple[str, str]]:
        """For each entry: which it is, whatever its weight, and the word that counts."""
        for line, word in self._ours(director):
            yield f"{' '.join(line.split()[2 : 5 if line.startswith('-a ') else 3])} {word}", word

    def _files(self, director: FakeDirector) -> Iterator[tuple[str, bool]]:
        if self.file is None:
            return
        text = director.files[self.file]
        if self.file == PYBAL_FILE:
            yield self.file, "tunneling = True" in text
        else:
            for block in text.split("virtual_server ")[1:]:
                yield f"{self.file}: {block.split()[0]}", re.search(self.words.file, block) is not None


def _waiting(director: FakeDirector) -> list[str]:
    """The entries of the other service, where an edit of its file waits, or waited, for a reload."""
    edited = director.files[OTHER_FILE] != OTHERS_FILE[OTHER_FILE]
    return [line for line in director.rules if edited and line.startswith(f"-a -t {VIPS['static'][0]} ")]


def _neutral(text: str) -> str:
    return re.sub(r"lvs_method \S+|lvs_sched \S+|tunneling = \S+|\n *mh-port", "", text)


def _anybody(site: FakeSite, service: str) -> Iterator[ThirdParty]:
    """Who may be at work whatever the cookbook is."""

    def note() -> None:
        site.catalog += b"# tidy up in spring\n"

    def weight() -> None:
        first.rules = [
            re.sub(r" -w \d+", " -w 9", line) if "-r 10.10.0.22:" in line else line for line in first.rules
        ]

    def take_out() -> None:
        first.rules = [line for line in first.rules if f"-a -t {vip} -r 10.10.0.22:" not in line]

    def others() -> None:
        other = f"-a -t {VIPS[OTHER[service]][0]} "
        first.rules = [
            line.replace(" -g ", " -i ") + " --tun-type ipip" if line.startswith(other) else line
            for line in first.rules
        ]

    def pool() -> None:
        site.nodes = site.nodes.replace(f", {POOL}", "")

    first, vip = site.directors[FIRST], VIPS[service][0]
    yield ThirdParty("writes a note into the catalog", CATALOG, note)
    yield ThirdParty("changes a weight on lvs2", (FIRST,), weight)
    yield ThirdParty("takes a destination out on lvs2", (FIRST,), take_out)
    yield ThirdParty("moves another service's entry on lvs2", (FIRST,), others)
    yield ThirdParty("takes web2 out of the pool", ("web2", "10.10.0.22"), pool)


def _meddlers(site: FakeSite, own: _Own) -> Iterator[ThirdParty]:
    """Who does what the change does, or takes it back."""

    def stale() -> None:
        site.catalog = own.catalog

    def reboot(host: str) -> None:
        site.directors[host].rules = list(own.rules[host])
        site.directors[host].routes = []

    def flush() -> None:
        first.routes = []

    def forward() -> None:
        first.rules = [_forward(line, own) for line in first.rules]
        if own.file:
            first.files[own.file] = _new_text(first.files[own.file], own)
            first._running = dict(first.files)

    def add(option: str, tail: str) -> None:
        port = own.vips[0].rpartition(":")[2]
        line = f"-a -t {own.vips[0]} -r 10.10.0.29:{port} {option} -w 0{tail}"
        place = max(n for n, rule in enumerate(first.rules) if f"-a -t {own.vips[0]} " in rule)
        if line not in first.rules:
            first.rules.insert(place + 1, line)

    first = site.directors[FIRST]
    yield ThirdParty("puts a stale copy of the catalog back", CATALOG, stale)
    yield ThirdParty("reboots lvs2", (FIRST,), lambda: reboot(FIRST))
    yield ThirdParty("reboots lvs1", (LATER,), lambda: reboot(LATER))
    yield ThirdParty("flushes routes on lvs2", (FIRST,), flush)
    yield ThirdParty("makes the change on lvs2 by hand", (FIRST,), forward)
    if (
        own.words is TUNNELLED and own.file != PYBAL_FILE
    ):  # PyBal's table is PyBal's: its restart makes it anew
        yield ThirdParty("adds a destination on lvs2, weight 0", (FIRST,), lambda: add("-g", ""))
        tail = " --tun-type ipip"
        yield ThirdParty("adds a tunnelled one on lvs2, weight 0", (FIRST,), lambda: add("-i", tail))
    if own.file == WEB_FILE:
        yield from _at_the_file(first, own)


def _at_the_file(first: FakeDirector, own: _Own) -> Iterator[ThirdParty]:
    """Who edits a director's file by hand, and reloads nothing."""

    def note() -> None:
        first.files[WEB_FILE] += "# new disks on Monday\n"

    def word() -> None:
        text, (old, new) = first.files[WEB_FILE], own.words.files
        there, instead = (new, old) if re.search(own.words.file, text) else (old, new)
        first.files[WEB_FILE] = re.sub(rf"(lvs_method|lvs_sched) {there}\b", rf"\1 {instead}", text)

    def other() -> None:
        first.files[OTHER_FILE] = first.files[OTHER_FILE].replace("DR", "TUN")

    yield ThirdParty("edits another service's file on lvs2", (FIRST,), other)
    yield ThirdParty("writes a note into lvs2's file", (FIRST,), note)
    yield ThirdParty("edits the word in lvs2's file", (FIRST,), word)


def _forward(line: str, own: _Own) -> str:
    word = own.words.rule(line, own.vips)
    if word != own.words.old:
        return line
    if own.words is TUNNELLED:
        return line.replace(" -g ", " -i ") + " --tun-type ipip"
    return line.replace(own.words.old, own.words.new)


def _new_text(text: str, own: _Own) -> str:
    old, new = own.words.files
    text = text.replace("tunneling = False", "tunneling = True")
    return re.sub(
        rf"^( *)(lvs_method|lvs_sched) {old}$",
        lambda found: f"{found[1]}{found[2]} {new}" + (f"\n{found[1]}mh-port" if new == "mh" else ""),
        text,
        flags=re.MULTILINE,
    )
