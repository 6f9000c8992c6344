"""A member whose database has reached its quota: a run goes back, and the message's own commands cure it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import JournalError
from ferryman.testing import Cut, Cuts
from lab.etcd.cluster import Cluster, require_etcd
from lab.etcd.hosts import OLD, ControlHosts, plan, world
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.etcd.cluster import Member

QUOTA_BYTES = 4 * 1024 * 1024
LOOKS_FIRST, LOOKS_BETWEEN = 1, 6
MOST_PUTS = 100


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member with little room."""
    require_etcd()
    require_tool("etcdctl", package="etcd-client")
    folder = tmp_path_factory.mktemp("quota")
    with Cluster(folder, size=1, flags=[f"--quota-backend-bytes={QUOTA_BYTES}"]) as cluster:
        yield cluster


def fill(member: Member) -> None:
    """Write the same key until the member takes no more: each version of it stays."""
    key = base64.b64encode(b"/somebody-elses").decode()
    value = base64.b64encode(bytes(512 * 1024)).decode()
    for _ in range(MOST_PUTS):
        try:
            member.ask("POST", "/v3/kv/put", {"key": key, "value": value})
        except OSError as error:
            assert "database space exceeded" in str(error)  # noqa: PT017  # it is what is waited for
            return
    raise AssertionError("the quota was never reached")


def cure(member: Member) -> None:
    """What the message says, with the real tool."""

    def etcdctl(*words: str) -> str:
        command = ["etcdctl", f"--endpoints=http://{member.endpoint}", *words]
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        )
        return done.stdout

    [status] = json.loads(etcdctl("endpoint", "status", "--write-out=json"))
    etcdctl("compaction", str(status["Status"]["header"]["revision"]))
    etcdctl("defrag")
    etcdctl("alarm", "disarm")


def test_a_run_that_meets_it_between_two_changes_goes_back_and_another_host_closes_it_after_the_cure(
    small: Cluster,
) -> None:
    with ControlHosts(small) as hosts:
        [member] = small.members
        fake = world(Cuts(Cut(LOOKS_BETWEEN, "before", lambda: fill(member))))

        result = hosts.perform(plan(fake), "one")

        assert (result.outcome, fake.values) == ("rolled-back", OLD)
        assert re.search("alarm NOSPACE.*compaction.*defrag.*alarm disarm", result.reason)
        assert (
            f"so the run is still open there: when it can be written again, ferryman rollback {result.run}"
            in (result.reason)
        )
        assert hosts.locked == {"web": result.run}
        with pytest.raises(JournalError, match="alarm NOSPACE"):
            hosts.perform(plan(world()), "two")

        cure(member)
        small.end_leases()

        assert hosts.recover(plan(fake), "rollback", "two").outcome == "rolled-back"
        assert (hosts.locked, fake.values) == ({}, OLD)


def test_a_run_that_meets_it_before_the_first_change_changes_nothing(small: Cluster) -> None:
    with ControlHosts(small) as hosts:
        [member] = small.members
        fake = world(Cuts(Cut(LOOKS_FIRST, "before", lambda: fill(member))))

        result = hosts.perform(plan(fake), "one")

        assert (result.outcome, result.exit_code, fake.values) == ("error", 2, OLD)
        assert "nothing was changed" in result.reason
        assert "alarm NOSPACE" in result.reason
