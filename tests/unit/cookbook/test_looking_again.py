"""Whether what a step made still stands, is back, or can be put back: by its before, and whoever was there.

The director is the fake one that the drivers' own tests have; its table is ipvsadm's, or keepalived's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import Config
from ferryman.cookbook import (
    DirectorConverged,
    DirectorsStayConverged,
    Ferry,
    HostRoutesDown,
    HostRoutesUp,
)
from ferryman.cookbook.memory import key_of
from ferryman.errors import DoubtError, NotFollowedError, RefusedError, UnreachableError, VerifyError
from ferryman.model import Director, Finding, ProbeResult, Role, Verdict
from unit.directors.world import LVS1, RULES, WEB, RealShell, director

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.model import Service

POOL = replace(WEB, realservers=WEB.realservers[:1])
"""The service once web2 has left the pool."""
WEB2 = ("10.10.0.22", "fd10::22")


@dataclass
class Heard:
    """What a step reports."""

    findings: list[Finding] = field(default_factory=list)

    def finding(self, finding: Finding) -> None:
        self.findings.append(finding)

    def probe(self, result: ProbeResult) -> None:
        raise AssertionError(result)

    def told(self, verdict: Verdict) -> list[str]:
        return [str(finding) for finding in self.findings if finding.verdict is verdict]


class QuietFerry(Ferry):
    """Nobody is connected to its directors."""

    def remember_connections(self, *_: object) -> None: ...

    def old_connections(self, *_: object) -> int:
        return 0

    def wait_for_old_connections(self, *_: object) -> int:
        return 0


@pytest.fixture
def shell(tmp_path: Path) -> RealShell:
    return director(tmp_path)


def ferry(shell: RealShell) -> QuietFerry:
    return QuietFerry(Config(file=Path("ferryman.toml")), shell)


def step(shell: RealShell, service: Service = WEB) -> DirectorConverged:
    return DirectorConverged(ferry(shell), service, LVS1)


def up(shell: RealShell, service: Service = WEB) -> HostRoutesUp:
    return HostRoutesUp(ferry(shell), service, LVS1)


def made(change: DirectorConverged | HostRoutesUp) -> Any:  # noqa: ANN401  # a before
    before = json.loads(json.dumps(change.check(Heard())))
    change.do(before)
    change.verify(Heard())
    return before


def there(shell: RealShell) -> list[str]:
    """The addresses that have a host route."""
    file = shell.folder / "routes.json"
    return sorted(load["dst"] for load in json.loads(file.read_text())) if file.exists() else []


def flush(shell: RealShell) -> None:
    """What a reboot does to routes."""
    shell.switch("routes.json", "[]")


class TestHostRoutes:
    def test_one_to_a_realserver_that_has_left_the_pool_goes_too(self, shell: RealShell) -> None:
        before = made(up(shell))
        later = up(shell, POOL)
        assert later.diff_after_undo(before, Heard()) is not None
        (edit,) = later.undo(before)
        assert [one in str(edit.command) for one in WEB2] == [True, True]
        assert there(shell) == []
        assert later.diff_after_undo(before, Heard()) is None
        assert list(later.undo(before)) == [], "nothing is told that did not happen"

    def test_those_that_nobody_put_up_are_not_told_as_removed(self, shell: RealShell) -> None:
        routes = up(shell)
        assert list(routes.undo(routes.check(Heard()))) == []  # type: ignore[arg-type]  # some are needed
        assert shell.writes == []

    def test_they_are_missed_also_once_nothing_is_left_to_flip(self, shell: RealShell) -> None:
        routes = up(shell)
        before = made(routes)
        made(step(shell))
        routes.verify_again(before, Heard())
        flush(shell)
        routes.verify(Heard())
        with pytest.raises(VerifyError, match=r"lvs1: its host routes to 10\.10\.0\.21, .* are gone"):
            routes.verify_again(before, Heard())

    def test_the_step_that_takes_them_away_supersedes_the_one_that_put_them_up(
        self, shell: RealShell
    ) -> None:
        other = replace(LVS1, host="lvs2")
        assert up(shell).superseded_by(HostRoutesDown(ferry(shell), WEB, LVS1))
        assert not up(shell).superseded_by(HostRoutesDown(ferry(shell), WEB, other))
        assert not up(shell).superseded_by(HostRoutesDown(ferry(shell), replace(WEB, name="maps"), LVS1))
        assert not up(shell).superseded_by(step(shell))

    def test_taken_away_they_come_back_for_all_that_had_one(self, shell: RealShell) -> None:
        made(up(shell))
        down = HostRoutesDown(ferry(shell), WEB, LVS1)
        before = down.check(Heard())
        assert isinstance(before, list)
        made(step(shell))
        down.do(before)
        down.verify_again(before, Heard())
        later = HostRoutesDown(ferry(shell), POOL, LVS1)
        assert later.diff_after_undo(before, Heard()) is not None
        (edit,) = later.undo(before)
        assert "10.10.0.22" in str(edit.command)
        assert [one for one in WEB2 if one in there(shell)] == list(WEB2)
        assert later.diff_after_undo(before, Heard()) is None

    @pytest.mark.parametrize("direction", ["rollback", "forward"])
    def test_kept_for_connections_that_have_ended_since_they_are_a_warning_and_strand_nobody(
        self, shell: RealShell, direction: str
    ) -> None:
        """The wait for the connections has an end, and they may be over right after it."""
        routes = up(shell)
        before = made(routes)
        made(step(shell))
        routes.ferry.memory.edited.add(key_of(LVS1, WEB))
        object.__setattr__(routes.ferry, "wait_for_old_connections", lambda *_: 1)
        heard = Heard()
        if direction == "rollback":
            assert list(routes.undo(before)) == []
            assert routes.diff_after_undo(before, heard) is None
        else:
            down = HostRoutesDown(routes.ferry, WEB, LVS1)
            taken = down.check(Heard())
            assert isinstance(taken, list)
            down.do(taken)
            down.verify(heard)
            down.verify_again(taken, Heard())
        assert there(shell) != []
        assert [finding.verdict for finding in heard.findings] == [Verdict.WARN]

    def test_their_effect_is_seen_by_their_marks(self, shell: RealShell) -> None:
        routes = up(shell)
        before = json.loads(json.dumps(routes.check(Heard())))
        assert routes.effect_seen(before, Heard()) is routes.effect_seen(None, Heard()) is None
        made(routes)
        for known in (before, None):
            assert "lvs1: its host routes to 10.10.0.21" in str(routes.effect_seen(known, Heard()))
        left = {"needed": [], "ours": [*before["needed"]]}
        assert routes.effect_seen(left, Heard()) is None, "they were there before"  # type: ignore[arg-type]  # as read

    def test_one_that_stands_in_the_way_of_putting_them_up_again_is_known_beforehand(
        self, shell: RealShell
    ) -> None:
        down = HostRoutesDown(ferry(shell), WEB, LVS1)
        before = down.check(Heard())
        assert isinstance(before, list)
        made(step(shell))
        shell.switch("routes.json", json.dumps([{"dst": "10.10.0.22", "dev": "eth1", "protocol": "static"}]))
        with pytest.raises(RefusedError, match=r"lvs1: 10\.10\.0\.22: has a host route without a next hop"):
            down.require_undoable(before, Heard())


class TestDirector:
    def test_a_destination_added_by_hand_is_left_and_warned_of(self, shell: RealShell) -> None:
        change = step(shell)
        before = made(change)
        theirs = "-a -t 10.99.0.1:80 -r 10.10.0.29:80 -g -w 0\n"
        shell.rules = shell.rules.replace("-A -t 10.99.0.9", f"{theirs}-A -t 10.99.0.9")
        with pytest.raises(AssertionError, match=r"10\.10\.0\.29:80 is Route, wanted Tunnel"):
            stands(change, before)
        assert len(change.undo(before)) == 4
        heard = Heard()
        assert change.diff_after_undo(before, heard) is None
        (warning,) = heard.findings
        assert (warning.check, warning.verdict) == ("changed-by-others", Verdict.WARN)
        assert "10.10.0.29:80 is there (Route), wanted no such destination" in warning.seen
        assert shell.rules == RULES.replace("-A -t 10.99.0.9", f"{theirs}-A -t 10.99.0.9")

    def test_what_health_checks_and_hands_do_beside_it_is_told_and_it_stands(self, shell: RealShell) -> None:
        change = step(shell)
        before = made(change)
        shell.rules = "".join(
            line for line in shell.rules.splitlines(keepends=True) if "10.10.0.22:80" not in line
        )
        (warning,) = stands(change, before)
        assert "web2 (10.10.0.22:80) is not among its destinations" in warning

    def test_a_table_that_was_restored_is_told_with_each_destination(self, shell: RealShell) -> None:
        change = step(shell)
        before = made(change)
        shell.rules = RULES
        with pytest.raises(AssertionError, match=r"lvs1: director-table: .*10\.10\.0\.21:80 is Route"):
            stands(change, before)

    def test_its_effect_is_seen_also_while_it_may_not_be_changed(self, shell: RealShell) -> None:
        change = step(shell)
        before = made(change)
        shell.rules = "".join(
            line for line in shell.rules.splitlines(keepends=True) if "10.10.0.22:80" not in line
        )
        with pytest.raises(RefusedError):
            change.check(Heard())
        assert "lvs1: still in effect: tcp 10.99.0.1:80: 10.10.0.21:80 is Tunnel" in str(
            change.effect_seen(None, Heard())
        )
        assert "wanted Route" in str(change.effect_seen(before, Heard()))
        shell.rules = RULES
        assert change.effect_seen(before, Heard()) is change.effect_seen(None, Heard()) is None

    def test_host_routes_that_were_flushed_are_up_before_a_destination_goes_back(
        self, shell: RealShell
    ) -> None:
        routes, change = up(shell), step(shell)
        change.ferry.memory.with_host_routes |= routes.ferry.memory.with_host_routes
        routes_before, before = made(routes), made(change)
        flush(shell)
        shell.writes.clear()
        shown = [str(edit.command).split(" -t ")[0].split(" via ")[0] for edit in change.undo(before)]
        assert shown == [
            "ip -4 route replace 10.10.0.21/32",
            "ip -6 route replace fd10::21/128",
            "ip -4 route replace 10.10.0.22/32",
            "ip -6 route replace fd10::22/128",
            *["ipvsadm -e"] * 4,
        ]
        assert [verb.name for verb in shell.writes] == ["add-host-routes", "edit-table"]
        routes.undo(routes_before)
        assert there(shell) == []

    def test_nothing_to_edit_back_or_no_step_for_routes_puts_none_up(self, shell: RealShell) -> None:
        change = step(shell)
        before = made(change)
        change.undo(before)
        up(shell).__class__(change.ferry, WEB, LVS1)
        change.undo(before)
        assert there(shell) == []

    def test_routes_that_cannot_be_put_up_keep_no_destination_from_going_back(self, shell: RealShell) -> None:
        routes, change = up(shell), step(shell)
        change.ferry.memory.with_host_routes |= routes.ferry.memory.with_host_routes
        before = made(change)
        tool = shell.folder / "bin" / "ip"
        refusal = "case \"$*\" in *replace*) echo 'not permitted' >&2; exit 2 ;; esac"
        tool.write_text(tool.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{refusal}\n"))
        with pytest.raises((VerifyError, DoubtError)):
            change.undo(before)
        assert shell.rules == RULES
        assert change.diff_after_undo(before, Heard()) is None


def stands(change: DirectorConverged, before: Mapping[str, Any]) -> list[str]:
    """What a second look warns of; an assertion has what it fails for."""
    heard = Heard()
    change.verify_again(dict(before), heard)
    if wrong := heard.told(Verdict.FAIL):
        raise AssertionError("\n".join(wrong))
    return heard.told(Verdict.WARN)


@dataclass
class Kept:
    """A director whose keepalived has the service, and another one, in files of their own."""

    shell: RealShell

    def __post_init__(self) -> None:
        folder = self.shell.folder / "services"
        folder.mkdir()
        self.main, self.own, self.other = (
            self.shell.folder / "keepalived.conf",
            folder / "web.conf",
            folder / "other.conf",
        )
        self.main.write_text(f"include {folder}/*.conf\n")
        for file, servers in ((self.own, ("10.99.0.1", "fd99::1")), (self.other, ("10.99.0.9",))):
            file.write_text("".join(map(self._block, servers)))
        self.step = self.again()

    def again(self) -> DirectorConverged:
        """The step as a new process has it."""
        options = {"config": str(self.main), "reload": f"reload {self.main}", "converge_timeout": 0}
        return DirectorConverged(
            ferry(self.shell), WEB, Director("lvs1", Role.PRIMARY, "keepalived", options)
        )

    def _block(self, vip: str) -> str:
        scheduler, net = ("rr" if vip.endswith("9") else "wrr"), "fd10::2" if ":" in vip else "10.10.0.2"
        reals = "".join(
            f"    real_server {net}{number} 80 {{\n        weight {weight}\n    }}\n"
            for number, weight in ((1, 7),) * vip.endswith("9") or ((1, 1), (2, 3 if "." in vip else 1))
        )
        words = f"    lvs_sched {scheduler}\n    lvs_method DR\n    protocol TCP\n"
        return f"virtual_server {vip} 80 {{\n{words}{reals}}}\n"

    def edit(self, file: Path) -> None:
        """Somebody edits a file, and reloads nothing."""
        file.write_text(file.read_text().replace("lvs_method DR", "lvs_method TUN"))


@pytest.fixture
def kept(shell: RealShell) -> Kept:
    return Kept(shell)


class TestKeepalived:
    def test_an_edit_of_another_service_that_waits_for_a_reload_refuses_before_anything(
        self, kept: Kept
    ) -> None:
        kept.edit(kept.other)
        with pytest.raises(
            RefusedError, match=r"lvs1: .*other\.conf: line 3: .*10\.10\.0\.21:80: it says TUN"
        ):
            kept.step.check(Heard())
        assert kept.shell.writes == []

    def test_one_that_comes_between_check_and_reload_is_named_at_the_end_of_the_rollback(
        self, kept: Kept
    ) -> None:
        before = kept.step.check(Heard())
        assert isinstance(before, dict)
        kept.edit(kept.other)
        kept.step.do(before)
        heard = Heard()
        kept.step.verify(heard)
        assert [finding.check for finding in heard.findings if finding.verdict is Verdict.FAIL] == [
            "other-services"
        ]
        assert kept.step.ferry.memory.verified == {}
        kept.step.undo(before)
        heard = Heard()
        assert kept.step.diff_after_undo(before, heard) is None
        (warning,) = heard.findings
        assert (warning.check, warning.verdict) == ("other-services-changed", Verdict.WARN)
        assert "tcp 10.99.0.9:80: 10.10.0.21:80 is Tunnel, wanted Route" in warning.seen

    def test_a_file_that_was_put_back_under_a_table_that_was_not_does_not_stand(self, kept: Kept) -> None:
        before = made(kept.step)
        text = kept.own.read_text()
        assert stands(kept.step, before) == []
        kept.own.write_text(text + "# new disks on Monday\n")
        (warning,) = stands(kept.step, before)
        assert "web.conf: has edits of someone else" in warning
        kept.own.write_text(text.replace("TUN", "DR"))
        with pytest.raises(AssertionError, match=r"director-files: .*web\.conf: line 3: .*it says DR"):
            stands(kept.step, before)

    def test_our_words_in_a_file_that_others_have_edited_are_not_back(self, kept: Kept) -> None:
        before = made(kept.step)
        kept.own.write_text(kept.own.read_text() + "# new disks on Monday\n")
        kept.shell.rules = RULES
        heard = Heard()
        left = kept.again().diff_after_undo(before, heard)
        assert left is not None
        assert left.startswith("lvs1: still in effect: ")
        assert "web.conf: line 3: virtual_server 10.99.0.1 80: lvs_method: it says TUN" in left
        assert ["edits of someone else" in one for one in heard.told(Verdict.WARN)] == [True]

    def test_a_director_that_lost_destinations_as_it_was_told_to_go_back_is_not_back(
        self, kept: Kept
    ) -> None:
        before = made(kept.step)
        without = RULES.replace("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3\n", "")
        kept.shell.switch("frozen")
        with pytest.raises(NotFollowedError):
            kept.step.undo(before)
        kept.shell.rules = without
        assert "10.10.0.22:80 is missing" in str(kept.step.diff_after_undo(before, Heard()))
        heard = Heard()
        assert kept.again().diff_after_undo(before, heard) is None
        assert "10.10.0.22:80 is missing" in heard.told(Verdict.WARN)[0]


class TestTheWatchOfTables:
    @pytest.fixture
    def change(self, shell: RealShell) -> DirectorConverged:
        change = step(shell)
        made(change)
        return change

    def look(self, change: DirectorConverged) -> list[Finding]:
        heard = Heard()
        DirectorsStayConverged(change.ferry, WEB).look(heard)
        return heard.findings

    def test_a_director_that_was_not_changed_is_not_asked(self, shell: RealShell) -> None:
        assert self.look(step(shell)) == []
        assert shell.reads == []

    def test_one_that_was_is_read_once_and_passes(self, shell: RealShell, change: DirectorConverged) -> None:
        shell.reads.clear()
        (finding,) = self.look(change)
        assert (finding.host, finding.verdict) == ("lvs1", Verdict.PASS)
        assert len(shell.reads) == 1

    def test_one_that_is_not_as_made_fails_and_says_when_it_was(
        self, shell: RealShell, change: DirectorConverged
    ) -> None:
        shell.rules = shell.rules.replace("10.10.0.22:80 -i -w 3 --tun-type ipip", "10.10.0.22:80 -g -w 3")
        (finding,) = self.look(change)
        assert finding.verdict is Verdict.FAIL
        assert finding.seen.startswith(
            "tcp 10.99.0.1:80: 10.10.0.22:80 is Route, wanted Tunnel; it was so at "
        )
        shell.rules = "-A -t 10.99.0.9:80 -s rr\n"
        assert "tcp [fd99::1]:80: not in the table" in self.look(change)[0].seen

    def test_destinations_that_come_and_go_and_weights_are_for_health_checks(
        self, shell: RealShell, change: DirectorConverged
    ) -> None:
        shell.rules = shell.rules.replace("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -i -w 3 --tun-type ipip\n", "")
        shell.rules = shell.rules.replace("-w 1", "-w 0")
        assert self.look(change)[0].verdict is Verdict.PASS

    def test_one_that_is_silent_is_unknown(self, shell: RealShell, change: DirectorConverged) -> None:
        def silent(commands: Mapping[str, Any]) -> dict[str, Any]:
            return {host: UnreachableError(f"{host}: no answer") for host in commands}

        shell.read_all = silent  # type: ignore[method-assign,assignment]  # the cable is out
        assert [one.verdict for one in self.look(change)] == [Verdict.UNKNOWN]

    def test_one_that_is_about_to_be_put_back_is_not_asked_any_more(
        self, shell: RealShell, change: DirectorConverged
    ) -> None:
        before: dict[str, Any] = {"table": [], "files": {}}
        change.undo(before)
        assert self.look(change) == []
        del shell

    def test_what_was_read_while_the_run_turned_back_is_not_told(
        self, shell: RealShell, change: DirectorConverged
    ) -> None:
        def turning_back(verbs: Mapping[str, Any]) -> dict[str, Any]:
            change.ferry.memory.forget(("lvs1", "web"))
            return {host: shell.read(host, verb) for host, verb in verbs.items()}

        shell.read_all = turning_back  # type: ignore[method-assign]  # it happens meanwhile
        shell.rules = RULES
        assert self.look(change) == []
