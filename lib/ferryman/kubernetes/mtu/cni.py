"""Who owns a node's CNI configuration, and which MTU it really gives new pods."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.pods import CNI_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.realservers.facts.pods import CniFile, CniState, NodePods

CHECK = "cni-configuration"
CALICO_CONFIG = ("kube-system", "calico-config")
"""The ConfigMap in which Calico's manifest and charts keep ``veth_mtu`` and the configuration to install."""


def cni_findings(reading: NodePods, limit: int, chart: Mapping[str, str] | None) -> Iterator[Finding]:
    """What gives a node's new pods their MTU, and whether it is small enough.

    ``chart`` is Calico's ConfigMap: what it says has no effect where something else owns the file.
    """
    host, cni = reading.host, reading.cni
    wanted = f"new pods get {limit} bytes at most"
    if isinstance(cni, Unknown):
        yield Finding(CHECK, host, Verdict.UNKNOWN, cni.reason, wanted, f"look by hand: ls {CNI_FOLDER}")
        return
    if cni.folders:
        seen = f"the runtime reads {', '.join(cni.folders)}, which was not looked at"
        yield Finding(CHECK, host, Verdict.WARN, seen, wanted, "look there by hand")
        return
    used = cni.used
    if used is None:
        yield Finding(CHECK, host, Verdict.WARN, f"no configuration in {CNI_FOLDER}", wanted, "look why")
        return
    seen = f"{_says(used, cni)}; {owned_by(used, cni)}{_others(cni)}"
    if not used.valid:
        yield Finding(CHECK, host, Verdict.WARN, seen, wanted, f"repair {used.path}")
        return
    mtu = cni.new_mtu
    verdict = Verdict.PASS if mtu is not None and mtu <= limit else Verdict.WARN
    remedy = "" if verdict is Verdict.PASS else f"set its mtu to {limit}, where {_where(used)}"
    yield Finding(CHECK, host, verdict, seen, wanted, remedy)
    told = _chart_mtu(chart)
    if told is not None and mtu is not None and told != mtu:
        yield Finding(
            CHECK,
            host,
            Verdict.WARN,
            f"{'/'.join(CALICO_CONFIG)} says veth_mtu {told}, and the node uses {mtu} of {used.path}:"
            " the former has no effect here",
            "one place that says it",
            f"change it where {_where(used)}",
        )


def _says(used: CniFile, cni: CniState) -> str:
    if not used.valid:
        return f"{used.path}, the first by name, is no valid configuration"
    if used.mtu is not None:
        return f"{used.path}, the first by name, gives new pods {used.mtu} bytes"
    if cni.new_mtu is not None:
        return f"{used.path} leaves it to Calico, whose felix says {cni.new_mtu} (/var/lib/calico/mtu)"
    return f"{used.path}, the first by name, names no mtu"


def owned_by(used: CniFile, cni: CniState) -> str:
    """Who writes the file, as far as the node tells."""
    if used.writers:
        return f"it is owned by {' and '.join(dict.fromkeys(used.writers))}"
    manages = f"CALICO_MANAGE_CNI is {cni.manages} there" if cni.manages else ""
    if "calico" in used.plugins and cni.manages.lower() != "false":
        hint = f" ({manages})" if manages else ""
        return f"no package and no Puppet claims it: Calico's install-cni writes it{hint}"
    return f"nobody claims it{f', and {manages}' if manages else ''}"


def _others(cni: CniState) -> str:
    others = [file.path.rpartition("/")[2] for file in cni.files[1:]]
    return f"; not used: {', '.join(others[:5])}" if others else ""


def _where(used: CniFile) -> str:
    return f"{used.writers[0]} has it" if used.writers else "Calico manages it (veth_mtu, or Installation)"


def _chart_mtu(chart: Mapping[str, str] | None) -> int | None:
    """What Calico's ConfigMap says; 0 is automatic."""
    if chart is None:
        return None
    told = chart.get("veth_mtu", "").strip()
    if re.fullmatch(r"[1-9]\d{2,4}", told):
        return int(told)
    try:
        plugins = json.loads(chart.get("cni_network_config", "")).get("plugins", [])
        return max(int(plugin["mtu"]) for plugin in plugins if str(plugin.get("mtu", "")).isdigit()) or None
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None
