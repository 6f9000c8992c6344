"""Looks at DNS servers: how large their answers over UDP are, and whether those arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ferryman.encapsulation import IP_HEADER
from ferryman.engine.steps import Look, Report
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.kubernetes.corefile import NO_LIMIT, bufsizes
from ferryman.model import Finding, Verdict
from ferryman.probe.path_mtu import DnsQuestion, DnsVerdict
from ferryman.probe.path_mtu.dns import query

if TYPE_CHECKING:
    from ferryman.cookbook.context import Ferry
    from ferryman.probe.path_mtu import DnsResult

CHECK = "dns-size"
WANTED_BYTES = 1232
"""What fits every path: 1280 bytes, which IPv6 wants of each link, without headers (DNS flag day 2020)."""
WELCOME = 4096
"""What many resolvers say is welcome."""
WANTED = f"answers over UDP of at most {WANTED_BYTES} bytes"
UDP_HEADER = 8
_LIMIT = f"limit its answers: `bufsize {WANTED_BYTES}` in CoreDNS, `max-udp-size {WANTED_BYTES};` in BIND"
_ARRIVED = (DnsVerdict.WHOLE, DnsVerdict.FRAGMENTED)


@dataclass(frozen=True)
class DnsAnswersFit(Look):
    """DNS answers of {names} for {name} get here over UDP."""

    valid_after_change: ClassVar[bool] = True
    sends_probes: ClassVar[bool] = True
    ferry: Ferry
    servers: tuple[str, ...]
    name: str
    kind: str

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be asked, before anything begins."""
        query(self.name, self.kind, WELCOME, bytes(2))

    @property
    def names(self) -> str:
        """The servers, in words; the first of many."""
        first, *others = self.servers
        return first if not others else f"{first} and {len(others)} more"

    def look(self, report: Report) -> None:
        """Ask with a large size, and where that brings nothing with a small one; a finding for each server.

        A dry run sends nothing and says so.
        """
        if self.ferry.dry_run:
            for host in self.servers:
                report.finding(Finding(CHECK, host, Verdict.SKIP, "not asked in a dry run", WANTED))
            return
        questions = [
            DnsQuestion(host, address, self.name, self.kind, WELCOME)
            for host in self.servers
            for address in self.ferry.addresses(host)
        ]
        results = self.ferry.ask_dns(questions)
        lost = [result.question for result in results if result.verdict not in _ARRIVED]
        again = self.ferry.ask_dns([replace(question, size=WANTED_BYTES) for question in lost])
        small = dict(zip(lost, again, strict=True))
        for result in results:
            path_mtu = self.ferry.memory.path_mtus.get(result.question.server)
            report.finding(judged(result, small.get(result.question), path_mtu))


@dataclass(frozen=True)
class CoreDnsKeepsSmall(Look):
    """CoreDNS of {cluster} keeps its answers over UDP small."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    cluster: str

    def look(self, report: Report) -> None:
        """Read the Corefile of kube-system's ConfigMap ``coredns``; a finding for each server block."""
        wanted = f"bufsize of at most {WANTED_BYTES}"
        try:
            data = self.ferry.cluster(self.cluster).config_map("kube-system", "coredns")
        except ClusterUnreadableError as error:
            report.finding(Finding(CHECK, self.cluster, Verdict.UNKNOWN, str(error), wanted))
            return
        blocks = bufsizes(data.get("Corefile", "")) if data is not None else {}
        if not blocks:
            seen = "kube-system has no ConfigMap coredns with a Corefile"
            report.finding(Finding(CHECK, self.cluster, Verdict.SKIP, seen, wanted))
        for zones, size in blocks.items():
            verdict = Verdict.PASS if size <= WANTED_BYTES else Verdict.WARN
            said = "no bufsize: answers are as large as who asks says is welcome"
            seen = f"CoreDNS, {zones}: {said if size == NO_LIMIT else f'bufsize {size}'}"
            remedy = "" if verdict is Verdict.PASS else _LIMIT
            report.finding(Finding(CHECK, self.cluster, verdict, seen, wanted, remedy))


def judged(result: DnsResult, small: DnsResult | None, path_mtu: int | None) -> Finding:
    """The finding about a server's answer; ``small`` is what came of the same with a small size, if asked."""
    question = result.question
    verdict, said, remedy = Verdict.UNKNOWN, "", ""
    match result.verdict:
        case DnsVerdict.WHOLE | DnsVerdict.FRAGMENTED:
            is_small = result.verdict is DnsVerdict.WHOLE and (result.size or 0) <= WANTED_BYTES
            verdict, remedy = (Verdict.PASS, "") if is_small else (Verdict.WARN, _LIMIT)
            said = f"an answer of {result.size} bytes in {_packets(result.fragments)}"
            said += ", cut off there (TC)" if result.truncated else ""
        case DnsVerdict.REFUSED:
            said = result.detail
        case _:
            lost = result.verdict is DnsVerdict.FRAGMENTS_LOST
            some = f"only {result.fragments} of the fragments of an answer came"
            said = some if lost else result.detail or "no answer"
            if lost or (small is not None and small.verdict is DnsVerdict.WHOLE):
                verdict, remedy = Verdict.FAIL, _LIMIT
    parts = [f"{question.server}: {question}: {said}"]
    if small is not None and small.verdict in _ARRIVED:
        parts.append(f"with bufsize {small.question.size} one of {small.size} bytes comes")
    if path_mtu is not None and result.size is not None:
        most = path_mtu - IP_HEADER[question.server.version] - UDP_HEADER
        parts.append(f"the path takes {most} bytes of an answer in one packet")
    if result.code:
        parts.append(f"response code {result.code}")
    return Finding(CHECK, question.host, verdict, "; ".join(parts), WANTED, remedy)


def _packets(count: int) -> str:
    return "one packet" if count == 1 else f"{count} fragments"
