"""Asks network-config-analyzer, in a venv of its own, who reaches whom; makes the cases that it judged.

``python -m unit.kubernetes.policies.ask_nca`` makes ``cases/nca-*.json`` anew, in a venv (see ``venv``). What
is printed is read here: for each pair of endpoints the connections that are allowed, ``All connections`` or
cubes of protocols, ports, types and codes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv as virtual
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

from unit.kubernetes.policies.generated import cluster, policies
from unit.kubernetes.policies.kubernetes_pods import traffic_of

VERSION = "network-config-analyzer==2.1.0"
CASES = Path(__file__).with_name("cases")
TRAFFICS = (
    *(f"{protocol} {port}" for protocol in ("TCP", "UDP") for port in (80, 81, 100, 443, 5353, 9999)),
    *("SCTP 80", "ICMP 3/4", "ICMP 3/1", "ICMP 8/0", "ICMP 11/0"),
)
OUTSIDE = ("198.51.100.10", "198.51.100.70", "198.51.100.200", "203.0.113.5", "203.0.113.99", "192.0.2.77")
NAMES = {6: "TCP", 17: "UDP", 132: "SCTP", 1: "ICMP"}
_LINE = re.compile(r"^(\S+) => (\S+) : (.*)$")
_CUBE = re.compile(r"\{([^}]*)\}")
_DIMENSION = re.compile(
    r"(protocols|dst_ports|src_ports|icmp_type|icmp_code):(.*?)(?=,(?:protocols|dst_ports|src_ports|icmp_type|icmp_code):|$)"
)


def venv() -> Path | None:
    """The program ``nca``, installed where it is not yet; None where it cannot be had."""
    given = os.environ.get("FERRYMAN_NCA")
    if given:
        return Path(given)
    home = Path(tempfile.gettempdir()) / f"ferryman-nca-{os.getuid()}"
    program = home / "bin" / "nca"
    if not program.exists():
        virtual.create(home, with_pip=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", VERSION]
        if subprocess.run(pip, check=False, capture_output=True, timeout=170).returncode != 0:
            return None
    return program


def run(program: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parent,
    )
    if "rror" in done.stderr and "=>" not in done.stdout:
        raise AssertionError(done.stderr + done.stdout)
    return done.stdout


def written(folder: Path, name: str, manifests: list[dict[str, Any]]) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    return file


def allowed(program: Path, case: dict[str, Any]) -> dict[str, str]:
    """For each pair, ``1`` or ``0`` for each of ``TRAFFICS``."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        answer = run(
            program,
            *("--connectivity", written(here, "policies", case["policies"])),
            *("-n", written(here, "namespaces", case["namespaces"])),
            *("-p", written(here, "pods", case["pods"])),
            *("-o", "txt_no_fw_rules", "--output_endpoints", "pods"),
        )
    return read(
        answer, [f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in case["pods"]]
    )


def read(answer: str, pods: list[str]) -> dict[str, str]:
    lines = [found.groups() for line in answer.splitlines() if (found := _LINE.match(line))]
    ends = [*pods, *OUTSIDE]
    pairs = [(a, b) for a in ends for b in ends if a != b and not (a in OUTSIDE and b in OUTSIDE)]
    return {
        f"{source} {destination}": "".join(
            "01"[
                any(
                    is_end(left, source) and is_end(right, destination) and is_in(words, text)
                    for left, right, words in lines
                )
            ]
            for text in TRAFFICS
        )
        for source, destination in pairs
    }


def is_end(word: str, end: str) -> bool:
    """Whether what is printed for an end, a pod or a range of addresses, has this one."""
    if end not in OUTSIDE or "/" in word:
        return word == end
    low, _, high = word.partition("-")
    return IPv4Address(low) <= IPv4Address(end) <= IPv4Address(high or low)


def is_in(words: str, text: str) -> bool:
    if words.startswith("All connections"):
        return True
    if words.startswith("All but"):
        return not is_in(words.removeprefix("All but "), text)
    cubes = _CUBE.findall(words)
    assert cubes, words
    return any(is_in_cube(cube, text) for cube in cubes)


def is_in_cube(cube: str, text: str) -> bool:
    traffic = traffic_of(text)
    for name, given in _DIMENSION.findall(cube):
        if name == "protocols":
            if not protocols_have(given, NAMES[traffic.protocol]):
                return False
        elif name == "dst_ports":
            if traffic.port is None or not numbers_have(given, traffic.port):
                return False
        elif name in ("icmp_type", "icmp_code"):
            if traffic.icmp is None or not numbers_have(given, traffic.icmp[name == "icmp_code"]):
                return False
        else:
            raise AssertionError(cube)
    return True


def protocols_have(given: str, name: str) -> bool:
    found = [each.strip() for each in given.split(",")]
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", each) for each in found), given
    return name in found


def numbers_have(given: str, number: int) -> bool:
    for part in re.split(r"[,|]", given):
        low, _, high = part.strip().partition("-")
        if int(low) <= number <= int(high or low):
            return True
    return False


def case_of(seed: int) -> dict[str, Any]:
    """A policy set by its seed; every second one without Calico's policies."""
    namespaces, pods = cluster(seed)
    return {"namespaces": namespaces, "pods": pods, "policies": policies(seed, calico=seed % 2 == 1)}


def main(count: int = 72) -> None:
    program = venv()
    if program is None:
        sys.exit("network-config-analyzer cannot be installed here")
    for seed in range(count):
        case = case_of(seed)
        whole = {
            "judged_by": VERSION,
            "seed": seed,
            **case,
            "traffics": list(TRAFFICS),
            "allowed": allowed(program, case),
        }
        (CASES / f"nca-{seed:03}.json").write_text(json.dumps(whole, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
