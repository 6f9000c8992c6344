from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.directors import SetForwarding, SetScheduler, driver_for
from ferryman.directors.liberica.driver import LibericaDriver
from ferryman.directors.liberica.status import Status
from ferryman.errors import ConfigError, DoubtError, NotFollowedError, RefusedError, VerifyError
from ferryman.management import Agent, AgentRun
from ferryman.model import Forwarding, Verdict
from unit.directors.world import LVS1, RULES, WEB, RealShell
from unit.directors.world import director as director_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ferryman.hosts.hosts import Hosts

TUNNEL, DIRECT = SetForwarding(Forwarding.TUNNEL), SetForwarding(Forwarding.DIRECT)
MH = replace(
    WEB,
    virtual_services=tuple(
        replace(virtual_service, scheduler="mh") for virtual_service in WEB.virtual_services
    ),
)
BEFORE = RULES.replace("-s wrr", "-s mh")
FLIPPED = BEFORE.replace("-g -w 1", "-i -w 1 --tun-type ipip").replace("-g -w 3", "-i -w 3 --tun-type ipip")
SKEW_S = 600
"""How far the director's clock is ahead of this one."""

CONFIG = """\
---
fp:
  log_level: info
  forwarding_plane: {plane}
services:
  weblb_80:
    forward_type: {kind}
    depool_threshold: 0.5
    ip: 10.99.0.1
    port: 80
    protocol: tcp
  weblb6_80:
    forward_type: {kind}
    depool_threshold: 0.5
    ip: fd99::1
    port: 80
    protocol: tcp
"""

TOOLS = {
    "date": '[ "$1" = +%s ] || exit 9\nslept=$(cat "$FAKE_DIRECTOR/slept" 2>/dev/null | wc -l)\n'
    f"echo $(($(/bin/date +%s) + {SKEW_S} + slept))\n",
    "sleep": '[ "$1" = 1 ] || exit 9\necho >>"$FAKE_DIRECTOR/slept"\n',
    "curl": "for url; do :; done\ncase $url in\n*:3003/*) file=cp ;;\n*) file=bgp ;;\nesac\n"
    'if [ -e "$FAKE_DIRECTOR/silent-$file" ]; then echo "curl: (7) Failed to connect" >&2; exit 7; fi\n'
    'cat "$FAKE_DIRECTOR/$file"\n',
    "reload-liberica": """cd "$FAKE_DIRECTOR"
echo reload >>reloads
[ ! -e unit-failed ] || { echo "Unit liberica-cp.service not found" >&2; exit 5; }
[ ! -e deaf ] || exit 0
name=liberica_cp_configuration_reload_timestamp_seconds
told() { echo "$name{result=\\"$1\\"} $(date +%s)" >>cp; }
if grep -q bogus config.yaml; then told error; exit 0; fi
told ok
[ ! -e lying ] || exit 0
kind=$(sed -n 's/ *forward_type: //p' config.yaml | head -1)
case $kind in tunnel) to=-i tunnel=' --tun-type ipip' ;; *) to=-g tunnel='' ;; esac
[ ! -e half ] || half='/10.10.0.21/'
sed -Ei "/-t (10.99.0.1|\\\\[fd99::1\\\\]):/{${half:-} s/ -[gi] -w ([0-9]+).*/ $to -w \\\\1$tunnel/}" rules
""",
}
BGP = """\
# HELP bgp_peer_state State of the BGP session with peer and its administrative state
# TYPE bgp_peer_state gauge
bgp_peer_state{admin_state="UP",peer="10.0.0.1",session_state="ESTABLISHED"} 1
bgp_peer_state{admin_state="UP",peer="10.0.0.2",session_state="ACTIVE"} 1
bgp_routes_advertised{peer="10.0.0.1",route_family="ipv4-unicast"} 12
"""


def there(folder: Path) -> float:
    """What time it is on the director; its sleep takes no time, and moves its clock."""
    slept = folder / "slept"
    return time.time() + SKEW_S + (len(slept.read_text().splitlines()) if slept.exists() else 0)


@dataclass
class Puppet(Agent):
    """Writes the file as the catalog says; ``kind`` is what the catalog says."""

    folder: Path
    kind: str = "tunnel"
    plane: str = "ipvs"
    more: str = ""
    runs: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        return "puppet agent"

    def converge(self, hosts: Hosts, names: Sequence[str], *, revision: str = "") -> Mapping[str, AgentRun]:
        self.runs += names
        self.write()
        return {name: AgentRun(name) for name in names}

    def write(self, ago_s: float = 0.0) -> None:
        file = self.folder / "config.yaml"
        file.write_text(CONFIG.format(kind=self.kind, plane=self.plane) + self.more)
        when = there(self.folder) - ago_s
        os.utime(file, (when, when))


@pytest.fixture
def shell(tmp_path: Path) -> RealShell:
    made = director_of(tmp_path)
    made.rules = BEFORE
    for name, text in TOOLS.items():
        tool = tmp_path / "bin" / name
        tool.write_text(f"#!/bin/sh\n{text}")
        tool.chmod(0o755)
    (tmp_path / "bgp").write_text(BGP)
    reloaded(made, "ok", ago_s=1000)
    return made


@pytest.fixture
def puppet(tmp_path: Path) -> Puppet:
    agent = Puppet(tmp_path, kind="direct_route")
    agent.write(ago_s=2000)
    agent.kind = "tunnel"
    return agent


def reloaded(shell: RealShell, result: str, *, ago_s: float = 0.0) -> None:
    """Add a sample as Go prints it: the file is read for its latest."""
    value = f"{int(there(shell.folder) - ago_s) / 1e9!r}e+09"
    with (shell.folder / "cp").open("a") as file:
        file.write(f'liberica_cp_configuration_reload_timestamp_seconds{{result="{result}"}} {value}\n')


def driver(director: RealShell, agent: Agent, service: Any = MH, **keys: Any) -> LibericaDriver:  # noqa: ANN401  # as in the file
    options = {
        "config": str(director.folder / "config.yaml"),
        "reload": "reload-liberica",
        "converge_timeout": 0,
        "follow_timeout": 0,
        **keys,
    }
    entry = replace(LVS1, driver="liberica", options=options)
    made = driver_for(entry, service, director, agent)
    assert isinstance(made, LibericaDriver)
    made._sleep = lambda _: None
    return made


def reloads(shell: RealShell) -> int:
    file = shell.folder / "reloads"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_the_flip_and_the_rollback_with_a_clock_that_is_ten_minutes_off(
    shell: RealShell, puppet: Puppet
) -> None:
    liberica = driver(shell, puppet, converge_timeout=5)
    before = liberica.before()
    assert not liberica.already(before, TUNNEL)
    liberica.apply(before, TUNNEL)
    assert shell.rules == FLIPPED
    assert liberica.already(liberica.before(), TUNNEL)
    puppet.kind = "direct_route"
    liberica.restore(before, TUNNEL)
    assert shell.rules == BEFORE
    assert liberica.before() == before
    assert reloads(shell) == 2


def test_what_is_so_already_is_neither_run_nor_reloaded(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet, converge_timeout=5)
    before = liberica.before()
    liberica.restore(before, TUNNEL)
    assert (puppet.runs, reloads(shell)) == ([], 0)
    liberica.apply(before, TUNNEL)
    liberica.apply(before, TUNNEL)
    assert (puppet.runs, reloads(shell)) == (["lvs1"], 1)


def test_a_configuration_that_is_refused_is_told_with_its_time_and_the_rollback_mends_it(
    shell: RealShell, puppet: Puppet
) -> None:
    liberica = driver(shell, puppet, converge_timeout=5)
    before = liberica.before()
    puppet.more = "  # bogus\n"
    with pytest.raises(VerifyError, match=r"liberica-cp refused .*config.yaml at 20.*goes on as before"):
        liberica.apply(before, TUNNEL)
    assert shell.rules == BEFORE
    puppet.kind, puppet.more = "direct_route", ""
    liberica.restore(before, TUNNEL)
    assert liberica.before() == before


def test_a_refused_configuration_of_somebody_else_stops_the_plan(shell: RealShell, puppet: Puppet) -> None:
    reloaded(shell, "error", ago_s=100)
    with pytest.raises(RefusedError, match=r"lvs1: liberica-cp refused .*config.yaml at 20.* runs an older"):
        driver(shell, puppet).before()


def test_a_reload_that_nobody_heard_is_not_followed(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet)
    before = liberica.before()
    shell.switch("deaf")
    with pytest.raises(
        NotFollowedError, match=r"'reload-liberica' ran, but .* liberica-cp still says that it loaded"
    ):
        liberica.apply(before, TUNNEL)
    assert shell.rules == BEFORE


def test_a_reload_that_lies_is_found_out_by_the_kernels_table(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet)
    before = liberica.before()
    shell.switch("lying")
    with pytest.raises(DoubtError, match=r"10.10.0.21:80 is Route, wanted Tunnel"):
        liberica.apply(before, TUNNEL)


def test_each_destination_that_did_not_follow_is_named(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet)
    before = liberica.before()
    shell.switch("half")
    with pytest.raises(DoubtError) as told:
        liberica.apply(before, TUNNEL)
    assert "10.10.0.22:80 is Route, wanted Tunnel" in str(told.value)
    assert "10.10.0.21:80" not in str(told.value)


def test_a_reload_command_that_fails_is_a_failure(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet)
    before = liberica.before()
    shell.switch("unit-failed")
    with pytest.raises(VerifyError, match=r"Unit liberica-cp\.service not found"):
        liberica.apply(before, TUNNEL)


def test_a_file_that_does_not_follow_the_catalog_is_never_reloaded(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet)
    before = liberica.before()
    puppet.kind = "direct_route"
    with pytest.raises(VerifyError, match=r"config.yaml: .*although 'puppet agent' ran"):
        liberica.apply(before, TUNNEL)
    assert reloads(shell) == 0


@pytest.mark.parametrize(
    ("bgp", "said"),
    [
        (BGP.replace("ESTABLISHED", "IDLE"), "no BGP session is established"),
        (BGP.replace('"UP"', '"DOWN"'), "no BGP session is established"),
        (BGP.replace(" 12\n", " 0\n"), "no route is advertised"),
        ("", "no BGP session is established"),
    ],
)
def test_a_director_that_gets_no_traffic_is_not_changed(
    shell: RealShell, puppet: Puppet, bgp: str, said: str
) -> None:
    (shell.folder / "bgp").write_text(bgp)
    with pytest.raises(RefusedError, match=said):
        driver(shell, puppet).before()


def test_metrics_that_are_silent_never_count_as_loaded(shell: RealShell, puppet: Puppet) -> None:
    liberica = driver(shell, puppet)
    before = liberica.before()
    shell.switch("silent-cp")
    with pytest.raises(
        DoubtError, match=r"3003/metrics does not say when liberica-cp loaded its file \(curl: \(7\)"
    ):
        liberica.apply(before, DIRECT)


def test_a_process_that_began_after_the_file_was_written_has_read_it(
    shell: RealShell, puppet: Puppet
) -> None:
    (shell.folder / "cp").write_text(
        f"process_start_time_seconds {int(there(shell.folder) - 500) / 1e9!r}e+09\n"
    )
    puppet.kind = "direct_route"
    puppet.write(ago_s=800)
    liberica = driver(shell, puppet)
    assert liberica.already(liberica.before(), DIRECT)
    puppet.write(ago_s=100)
    assert not liberica.already(liberica.before(), DIRECT)


def test_in_the_same_second_nobody_knows_so_it_counts_as_not_loaded() -> None:
    def account(second: str) -> Status:
        reload = f'liberica_cp_configuration_reload_timestamp_seconds{{result="ok"}} {second}'
        return Status.of({"cp": reload, "written": "1764201234"})

    assert not account("1.764201234e+09").is_fresh
    assert account("1.764201235e+09").is_fresh


def test_somebody_elses_pending_change_is_not_made_by_the_way(shell: RealShell, puppet: Puppet) -> None:
    other = CONFIG.format(kind="tunnel", plane="ipvs").split("services:\n")[1]
    puppet.more = (
        other.replace("weblb", "otherlb").replace("10.99.0.1", "10.99.0.9").partition("  otherlb6")[0]
    )
    puppet.kind = "direct_route"
    puppet.write(ago_s=10)
    with pytest.raises(RefusedError, match=r"a change that is not in the kernel yet.*10.99.0.9:80"):
        driver(shell, puppet).before()


def test_a_scheduler_that_liberica_does_not_have_is_said_with_the_command_that_helps(
    shell: RealShell, puppet: Puppet
) -> None:
    liberica = driver(shell, puppet, service=WEB)
    before = liberica.before()
    with pytest.raises(RefusedError, match=r"ferryman scheduler migrate web --site lab --to mh"):
        liberica.already(before, TUNNEL)
    assert liberica.already(before, SetScheduler("mh"))
    with pytest.raises(RefusedError, match="web is to have rr"):
        liberica.already(before, SetScheduler("rr"))


def test_a_plane_that_there_is_not_is_a_configuration_error(shell: RealShell, puppet: Puppet) -> None:
    with pytest.raises(ConfigError, match=r"lvs1: plane: is 'nft', expected ipvs or katran"):
        driver(shell, puppet, plane="nft")


def test_another_plane_than_directors_yaml_says_is_refused(shell: RealShell, puppet: Puppet) -> None:
    with pytest.raises(RefusedError, match=r"forwarding_plane is ipvs, directors.yaml says katran"):
        driver(shell, puppet, plane="katran").before()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [", "no YAML"),
        ("fp: {}\n", "not understood .*KeyError: 'forwarding_plane'"),
        (
            CONFIG.format(kind="gue", plane="ipvs"),
            "weblb_80: forward_type is 'gue', expected tunnel or direct_route",
        ),
        (CONFIG.format(kind="tunnel", plane="ipvs").replace("    port: 80\n", ""), "KeyError: 'port'"),
    ],
)
def test_a_file_that_is_not_understood_is_told_and_nothing_is_changed(
    shell: RealShell, puppet: Puppet, text: str, said: str
) -> None:
    (shell.folder / "config.yaml").write_text(text)
    with pytest.raises(VerifyError, match=f"lvs1: .*config.yaml: .*{said}"):
        driver(shell, puppet).before()


class TestOverKatran:
    """There is no IPVS table."""

    @pytest.fixture
    def puppet(self, shell: RealShell) -> Puppet:
        (shell.folder / "bin" / "ipvsadm").unlink()
        agent = Puppet(shell.folder, kind="direct_route", plane="katran")
        agent.write(ago_s=2000)
        agent.kind = "tunnel"
        return agent

    @pytest.fixture
    def liberica(self, shell: RealShell, puppet: Puppet) -> LibericaDriver:
        return driver(shell, puppet, plane="katran", converge_timeout=5)

    def test_the_plan_says_that_there_is_no_rollback(self, liberica: LibericaDriver) -> None:
        assert "katran" in str(liberica.irreversible_reason(TUNNEL))
        assert liberica.irreversible_reason(SetScheduler("mh")) is None
        with pytest.raises(RefusedError, match="katran, which has no direct routing"):
            liberica.already(liberica.before(), DIRECT)

    def test_what_is_loaded_is_what_was_reached(self, liberica: LibericaDriver) -> None:
        tunnelled = replace(MH, encapsulated=True)
        before = liberica.before()
        assert [finding.verdict for finding in liberica.findings(tunnelled, liberica.read())] == [
            Verdict.FAIL
        ]
        liberica.apply(before, TUNNEL)
        assert liberica.already(liberica.before(), TUNNEL)
        assert [finding.verdict for finding in liberica.findings(tunnelled, liberica.read())] == [
            Verdict.PASS
        ]

    def test_once_reloaded_it_cannot_be_put_back_whatever_its_file_says(
        self, liberica: LibericaDriver, puppet: Puppet
    ) -> None:
        before = liberica.before()
        liberica.apply(before, TUNNEL)
        for _ in range(2):
            with pytest.raises(
                VerifyError, match=r"not reversible: .*by hand: let the catalog say IPIP again"
            ):
                liberica.restore(before, TUNNEL)
            assert liberica.before() != before
            puppet.kind = "direct_route"
            puppet.write()

    def test_a_file_that_was_not_loaded_is_put_back(
        self, shell: RealShell, liberica: LibericaDriver, puppet: Puppet
    ) -> None:
        before = liberica.before()
        shell.switch("unit-failed")
        with pytest.raises(VerifyError):
            liberica.apply(before, TUNNEL)
        puppet.kind = "direct_route"
        liberica.restore(before, TUNNEL)
        assert liberica.before()["table"] == before["table"]

    def test_a_control_plane_that_is_silent_is_a_doubt_during_a_rollback(
        self, shell: RealShell, liberica: LibericaDriver
    ) -> None:
        before = liberica.before()
        liberica.apply(before, TUNNEL)
        shell.switch("silent-cp")
        with pytest.raises(DoubtError, match="whether it has been reloaded is not known"):
            liberica.restore(before, TUNNEL)

    def test_a_file_with_a_change_of_somebody_else_stops_the_plan(
        self, liberica: LibericaDriver, puppet: Puppet
    ) -> None:
        puppet.kind = "direct_route"
        puppet.write(ago_s=10)
        found = liberica.findings(MH, liberica.read())
        assert [(finding.verdict, finding.remedy.partition(" first")[0]) for finding in found] == [
            (Verdict.FAIL, "finish what was begun there")
        ]
