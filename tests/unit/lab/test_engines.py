"""Which kernel a lab runs on, and what is said when it cannot."""

from __future__ import annotations

import pytest

from ferryman.errors import LabError
from ferryman.lab import engines

ABSENT = ["the module ipip", "the module ip_vs"]


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "missing_for_netns", list)


@pytest.fixture
def unable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "missing_for_netns", lambda: ABSENT)


def test_the_machines_own_kernel_is_refused_with_all_that_it_lacks(unable: None) -> None:
    with pytest.raises(LabError, match=r"it wants the module ipip, the module ip_vs; use --engine guest"):
        engines.choose("netns")


def test_without_choice_the_machines_own_kernel_is_taken_where_it_is_able(able: None) -> None:
    assert engines.choose("auto") == "netns"
    assert engines.choose("netns") == "netns"
    assert engines.choose("guest") == "guest"


def test_without_choice_the_guest_is_taken_elsewhere(unable: None) -> None:
    assert engines.choose("auto") == "guest"


def test_a_user_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert engines.missing_for_netns() == ["root"]


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    there = set(engines.PACKAGES) - {"keepalived", "linux.uml"}
    monkeypatch.setattr("shutil.which", lambda name, path: name if name in there else None)
    with pytest.raises(LabError) as refused:
        engines.require_programs("guest")
    assert "linux.uml (package user-mode-linux), keepalived (package keepalived)" in str(refused.value)
    assert "make setup-lab" in str(refused.value)
    with pytest.raises(LabError, match=r"not installed: keepalived \(package keepalived\); "):
        engines.require_programs("netns")


def test_a_machine_without_user_namespaces_is_told_where_they_are_switched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        engines, "_unprivileged", lambda: ["sh", "-c", "echo unshare: not permitted >&2; exit 1", "--"]
    )
    with pytest.raises(LabError, match=r"\(unshare: not permitted\); see sysctl user.max_user_namespaces"):
        engines.require_namespaces("guest")
    engines.require_namespaces("netns")


def test_root_gives_its_rights_up_for_the_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert engines._unprivileged()[:3] == ["setpriv", "--reuid=65534", "--regid=65534"]
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert engines._unprivileged() == []
