"""``ferryman probe`` on the lab: one service, a whole cluster, a node that is fenced off from the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.migration import events, findings

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from lab.running import RunningLab

pytestmark = pytest.mark.lab


def probed(lab: RunningLab, *words: str) -> CompletedProcess[str]:
    return lab.ferryman("--output", "json", "probe", *words, "--site", "lab")


def asked(done: CompletedProcess[str]) -> set[tuple[str, str]]:
    return {(event["host"], event["vip"]) for event in events(done) if event["event"] == "probe"}


def test_a_whole_cluster_answers_on_every_vip(lab: RunningLab) -> None:
    done = probed(lab, "--cluster", "edge")
    assert done.returncode == 0, done.stderr
    vips = {"10.99.0.1", "fd99::1", "10.99.0.2", "10.99.0.3", "10.99.0.5"}
    assert asked(done) == {(host, vip) for host in ("web1", "web2", "web3") for vip in vips}


def test_a_node_that_is_fenced_off_from_the_pool_can_be_looked_at(lab: RunningLab) -> None:
    nodes = lab.folder / "inventory" / "nodes" / "lab.yaml"
    pool = [line for line in nodes.read_text().splitlines() if "web3" not in line]
    nodes.write_text("\n".join(pool))
    assert asked(probed(lab, "static")) == {("web1", "10.99.0.3"), ("web2", "10.99.0.3")}
    fenced = probed(lab, "static", "--only-node", "web3")
    assert fenced.returncode == 0, fenced.stderr
    assert asked(fenced) == {("web3", "10.99.0.3")}


def test_a_node_that_is_not_set_up_for_the_service_is_named_with_the_cause(lab: RunningLab) -> None:
    lab.put("vip-missing", "web3")
    done = probed(lab, "static", "--only-node", "web3")
    assert done.returncode == 3, done.stderr
    (failed,) = [finding for finding in findings(done, "fail") if finding["check"] == "probe"]
    assert failed["host"] == "web3"
    assert "cause: vip" in failed["seen"]


def test_a_node_that_is_fenced_off_is_tried_with_a_whole_exchange_and_its_hung_server_is_named(
    lab: RunningLab,
) -> None:
    nodes = lab.folder / "inventory" / "nodes" / "lab.yaml"
    pool = [line for line in nodes.read_text().splitlines() if "web3" not in line]
    nodes.write_text("\n".join(pool))
    fenced = "web", "--only-node", "web3", "--exchange"

    def exchanged(verdict: str) -> list[str]:
        found = [each for each in findings(done, verdict) if each["check"] == "exchange"]
        assert {each["host"] for each in found} == {"web3"}
        return [each["seen"] for each in found]

    done = probed(lab, *fenced)
    assert done.returncode == 0, done.stderr
    assert len(exchanged("pass")) == 2, "one of each family"
    assert all("POST /upload: HTTP 200" in seen for seen in exchanged("pass"))
    lab.put("listener-hung", "web3")
    done = probed(lab, *fenced)
    assert done.returncode == 3, done.stderr
    assert asked(done) == {("web3", "10.99.0.1"), ("web3", "fd99::1")}, "its SYNs are answered all the same"
    assert all("silent; cause: server" in seen for seen in exchanged("fail"))


def test_a_dry_run_sends_nothing(lab: RunningLab) -> None:
    done = probed(lab, "static", "--exchange", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert asked(done) == set()
    assert {finding["verdict"] for finding in findings(done, "pass", "warn", "fail", "unknown", "skip")} == {
        "skip"
    }
