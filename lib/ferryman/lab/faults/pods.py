"""What a node's rules make of its pods: who may forge its source, and which policies cut a pod off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import NODES, Fault, Script, always, has_pods

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology

_RAW = "for tool in iptables-legacy ip6tables-legacy; do\n{lines}\ndone"
_MARK = "0x40000/0x40000"
_CALICO = (
    "-N cali-rpf-skip",
    "-N cali-PREROUTING",
    "-A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000",
    f"-A cali-PREROUTING -i cali+ -j MARK --set-xmark {_MARK}",
    f"-A cali-PREROUTING -m mark --mark {_MARK} -j cali-rpf-skip",
    f"-A cali-PREROUTING -m mark --mark {_MARK} -m rpfilter --validmark --invert -j DROP",
    "-I PREROUTING -j cali-PREROUTING",
)
"""What Calico's felix writes into raw: StaticRawPreroutingChain and RPFilter, rules/static.go."""
_UNDO = (
    "-D PREROUTING -j cali-PREROUTING",
    "-F cali-PREROUTING",
    "-X cali-PREROUTING",
    "-F cali-rpf-skip",
    "-X cali-rpf-skip",
)


def _raw(*lines: str, may_fail: bool = False) -> str:
    end = " 2>/dev/null || true" if may_fail else ""
    return _RAW.format(lines="\n".join(f"    $tool -t raw {line}{end}" for line in lines))


_CLEAR = _raw(*_UNDO, may_fail=True)


def _open(lab: Topology, host: Host) -> str:
    """Calico's rules, and what an allowed prefix of the first pod makes of them."""
    pod, *_ = lab.pods_of(host.name)
    rule = f"iptables-legacy -t raw -A cali-rpf-skip -s 10.20.0.0/16 -i {pod.interface} -j ACCEPT"
    return f"{_CLEAR}\n{_raw(*_CALICO)}\n{rule}"


def _policy(*rules: str) -> tuple[Script, Script]:
    """Rules for what is forwarded to a pod, as a policy's effect, and their end; ``{pod}`` is its device."""

    def script(verb: str, end: str = "") -> Script:
        return lambda lab, host: "\n".join(
            f"iptables-legacy {verb} FORWARD {rule.format(pod=pod.interface)}{end}"
            for pod in lab.pods_of(host.name)
            for rule in reversed(rules)
        )

    return script("-I"), script("-D", " 2>/dev/null || true")


def _policies(name: str, description: str, *rules: str) -> Fault:
    put, clear = _policy(*rules)
    return Fault(name, description, NODES, put, clear, has_pods)


FAULTS = (
    Fault(
        "calico-raw-rules",
        "harmless: Calico's own reverse path filter in raw, which is for its pods alone, by a mark",
        NODES,
        always(f"{_CLEAR}\n{_raw(*_CALICO)}"),
        always(_CLEAR),
    ),
    Fault(
        "pod-spoofing-open",
        "one pod of the node may forge its source: a rule in Calico's chain cali-rpf-skip lets it past",
        NODES,
        _open,
        always(_CLEAR),
        has_pods,
    ),
    _policies(
        "policy-drops-icmp",
        "a policy isolates the pods and names TCP alone, as NetworkPolicies do: ICMP to them is dropped",
        "-o {pod} -p icmp -j DROP",
    ),
    _policies(
        "policy-allows-icmp",
        "harmless: a policy isolates the pods but for ICMP and for what the service sends them",
        "-o {pod} -p icmp -j ACCEPT",
        "-o {pod} -p tcp --dport 8443:8444 -j ACCEPT",
        "-o {pod} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-o {pod} -j DROP",
    ),
)
