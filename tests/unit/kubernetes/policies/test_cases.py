"""Policy sets that others have judged, kept as data: network-config-analyzer, and policy-assistant's tests.

``ask_nca.py`` makes the former anew. The latter are told here in our own form; their names are those of
``cmd/policy-assistant/test/integration/integration_test.go`` of kubernetes-sigs/network-policy-api.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ferryman.kubernetes.policies.policy_set import PolicySet
from ferryman.kubernetes.policies.values import Answer
from unit.kubernetes.policies.ask_nca import OUTSIDE, allowed, case_of, run, venv, written
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, outside, peers_of, pod_of, traffic_of

CASES = Path(__file__).with_name("cases")
OF_NCA = sorted(CASES.glob("nca-*.json"))
UPSTREAM = yaml.safe_load((CASES / "policy-assistant.yaml").read_text())
ANSWERS = {Answer.ALLOW: "1", Answer.DENY: "0", Answer.UNKNOWN: "?"}


def answers(case: dict[str, Any], pairs: list[str], traffics: list[str]) -> dict[str, str]:
    policies = PolicySet.of(case["policies"], namespaces_of(case["namespaces"]).values())
    assert policies.remarks == ()
    peers = peers_of(case["pods"], case["namespaces"]) | {each: outside(each) for each in OUTSIDE}
    asked = [traffic_of(text) for text in traffics]
    return {
        pair: "".join(ANSWERS[policies.flow(peers[source], peers[end], each).answer] for each in asked)
        for pair in pairs
        for source, end in [pair.split()]
    }


def test_there_are_at_least_sixty() -> None:
    assert len(OF_NCA) >= 60


@pytest.mark.parametrize("file", OF_NCA, ids=lambda file: file.stem)
def test_what_network_config_analyzer_says_is_said_here(file: Path) -> None:
    case = json.loads(file.read_text())
    assert answers(case, list(case["allowed"]), case["traffics"]) == case["allowed"]


@pytest.mark.extended
@pytest.mark.timeout(900)
def test_network_config_analyzer_says_it_of_further_sets() -> None:
    """Seeds beyond those that are kept; with those it has judged more than 120 sets."""
    program = venv()
    if program is None:
        pytest.skip("network-config-analyzer cannot be installed here")
    traffics = json.loads(OF_NCA[0].read_text())["traffics"]
    for seed in range(1000, 1060):
        case = case_of(seed)
        wanted = allowed(program, case)
        assert answers(case, list(wanted), traffics) == wanted, f"seed {seed}"


@pytest.mark.extended
@pytest.mark.timeout(300)
@pytest.mark.parametrize("undone", [False, True])
def test_network_config_analyzer_says_of_the_incident_what_is_said_here(tmp_path: Path, undone: bool) -> None:
    from unit.kubernetes.policies.incident import NAMESPACES, PODS, narrow, wide  # noqa: PLC0415  # beside the test that it is of

    program = venv()
    if program is None:
        pytest.skip("network-config-analyzer cannot be installed here")
    old, new = (wide(), narrow()) if undone else (narrow(), wide())
    namespaces, pods = written(tmp_path, "namespaces", NAMESPACES), written(tmp_path, "pods", PODS)
    answer = run(
        program,
        *("--semantic_diff", written(tmp_path, "new", new), "-b", written(tmp_path, "old", old)),
        *("-n", namespaces, "-p", pods, "-nb", namespaces, "-pb", pods),
    )
    parts = [part.splitlines() for part in answer.split("\n\n") if part.strip()]
    closed = [line for part in parts if part[0].startswith("Removed") for line in part[1:]]
    if undone:
        assert closed
        assert all(line.endswith("conn: {protocols:ICMP}") for line in closed)
    else:
        assert all("calico-kube-controllers" in line for line in closed)
        assert sum(line.endswith("conn: All but {protocols:ICMP}") for line in closed) == 3


@pytest.mark.parametrize("case", UPSTREAM, ids=lambda case: case["name"])
def test_what_policy_assistant_expects_is_said_here(case: dict[str, Any]) -> None:
    namespaces = [{"metadata": {"name": name, "labels": {"ns": name}}} for name in case["namespaces"]]
    pods = []
    for place, namespace in enumerate(case["namespaces"]):
        for count, name in enumerate(case["pods"]):
            pod = pod_of(namespace, name, {"pod": name}, f"10.0.{place}.{count + 1}")
            pod["spec"]["containers"][0]["ports"] = [
                {"name": f"serve-{port}-{protocol.lower()}", "containerPort": port, "protocol": protocol}
                for port in case["ports"]
                for protocol in case["protocols"]
            ]
            pods.append(pod)
    peers = peers_of(pods, namespaces)
    policies = PolicySet.of(case["policies"], namespaces_of(namespaces).values())
    assert policies.remarks == ()
    for direction in ("ingress", "egress"):
        usual, others = case[direction], case.get(f"not_{direction}", [])
        for source in peers:
            for end in peers:
                for port in case["ports"]:
                    for protocol in case["protocols"]:
                        if source == end:
                            continue
                        is_other = f"{source} {end} {protocol} {port}" in others
                        decision = policies.flow(peers[source], peers[end], traffic_of(f"{protocol} {port}"))
                        side = decision.ingress if direction == "ingress" else decision.egress
                        wanted = usual if not is_other else {"allow": "deny", "deny": "allow"}[usual]
                        assert side.answer.value == wanted, (direction, source, end, protocol, port, side)
