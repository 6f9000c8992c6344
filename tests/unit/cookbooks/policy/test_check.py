"""policy check: it says which pods ICMP does not reach, and stands in nobody's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.testing import Cuts, Harness
from unit.cookbooks.policy.policy_world import cluster, played

if TYPE_CHECKING:
    from ferryman.testing import FakeCluster, Scene

ARGUMENTS = {"service": "dns", "site": "lab"}


def scene(cuts: Cuts) -> Scene:
    """A service whose pods a policy closes to ICMP."""
    return of(cluster(cuts))


def of(there: FakeCluster) -> Scene:
    return played("policy/check.py", ARGUMENTS, there)


def findings(harness: Harness) -> list[tuple[str, str]]:
    events = [each.event.as_dict() for each in harness.events if each.event.event == "finding"]
    return [(event["verdict"], event["seen"].partition(" (")[0]) for event in events]


def test_pods_that_are_cut_off_from_icmp_are_a_warning_and_block_nothing() -> None:
    harness = Harness()
    assert harness.perform(scene(Cuts()).plan()).outcome == "done"
    assert findings(harness) == [("warn", "ICMP fragmentation needed to kube-system/Deployment/coredns")]


def test_a_cluster_that_cannot_be_read_is_no_pass() -> None:
    there = cluster(Cuts())
    there.fail("policies", ClusterUnreadableError("the API server of prod could not be asked"))
    ending = Harness().perform(of(there).plan())
    assert ending.outcome == "refused"
    assert "could not be asked" in ending.reason
