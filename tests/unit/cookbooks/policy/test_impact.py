"""policy impact: a change that closes what is open is refused, and one that closes nothing is not."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ferryman.errors import UsageError
from ferryman.testing import Cuts, Harness
from unit.cookbooks.policy.policy_world import cluster, played
from unit.kubernetes.policies.incident import allow_all_icmp

if TYPE_CHECKING:
    from ferryman.testing import Scene

NOTHING: dict[str, Any] = {"files": (), "cluster": "prod", "remove": (), "staged": ()}


@cache
def incident_file() -> str:
    """The policy of the incident as it was, in a file that stays while the tests run."""
    folder = Path(tempfile.mkdtemp(prefix="ferryman-policy-"))
    atexit.register(shutil.rmtree, folder)
    return written(folder, allow_all_icmp("name != 'kube-system'"))


def scene(cuts: Cuts) -> Scene:
    """A file that says what the cluster says already."""
    return impact(cuts, files=(incident_file(),))


def impact(cuts: Cuts, **arguments: object) -> Scene:
    return played("policy/impact.py", NOTHING | arguments, cluster(cuts))


def written(folder: Path, *manifests: dict[str, Any]) -> str:
    file = folder / "change.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    return str(file)


def test_the_change_of_the_incident_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, allow_all_icmp("all()"))
    harness = Harness()
    ending = harness.perform(impact(Cuts(), files=(file,)).plan())
    assert (ending.outcome, ending.exit_code) == ("refused", 3)
    assert "calico-kube-controllers loses everything but ICMP from everybody (ingress)" in ending.reason


def test_a_change_that_closes_nothing_is_not(tmp_path: Path) -> None:
    file = written(tmp_path, allow_all_icmp("name != 'kube-system'"))
    ending = Harness().perform(impact(Cuts(), files=(file,)).plan())
    assert (ending.outcome, ending.exit_code) == ("done", 0)


def test_without_a_change_there_is_nothing_to_judge() -> None:
    with pytest.raises(UsageError, match="name a FILE, --delete or --staged"):
        impact(Cuts()).plan()


def test_a_file_that_is_no_manifest_stops_it_before_the_cluster_is_asked(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("kind: [")
    with pytest.raises(UsageError, match=r"x\.yaml:2"):
        impact(Cuts(), files=(str(tmp_path / "x.yaml"),)).plan()
