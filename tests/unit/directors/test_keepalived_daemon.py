from __future__ import annotations

import pytest

from ferryman.directors.keepalived.daemon import config_id, daemon_blockers, with_snmp
from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.errors import RefusedError
from unit.directors.test_keepalived import DIRECT_TEXT, keepalived
from unit.directors.world import WEB, RealShell

CONFIG = "/etc/keepalived/keepalived.conf"
GOOD = "Keepalived v2.2.7 (01/16,2022)"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("Keepalived v2.2.6 (01/01,2022)", "keepalived v2.2.6 is older than 2.2.7"),
        ("Keepalived v1.3.5 (03/19,2017), git commit v1.3.5-6-g6fa32f2", "is older than 2.2.7"),
        ("sh: 1: keepalived: not found", "`keepalived -v` says 'sh: 1: keepalived: not found': no version"),
        ("", "says '': no version that can be read, wanted 2.2.7 or newer"),
    ],
)
def test_a_version_that_is_too_old_or_unreadable_is_refused(version: str, said: str) -> None:
    (reason,) = daemon_blockers(version, [" keepalived"], CONFIG)
    assert said in reason


@pytest.mark.parametrize("version", [GOOD, "Keepalived v2.2.10", "Keepalived v2.4.3 (07/01,2026)", "v10.0.0"])
def test_a_newer_one_is_taken(version: str) -> None:
    assert daemon_blockers(version, [" keepalived -D"], CONFIG) == []


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("/usr/sbin/keepalived", CONFIG),
        ("keepalived -n -l -D -C -f /srv/k.conf -p /run/k.pid", "/srv/k.conf"),
        ("keepalived -nDf /srv/k.conf", "/srv/k.conf"),
        ("keepalived -f/srv/k.conf --dont-fork", "/srv/k.conf"),
        ("keepalived --use-file=/srv/k.conf", "/srv/k.conf"),
        ("keepalived --use-file /srv/k.conf -f /srv/last.conf", "/srv/last.conf"),
    ],
)
def test_the_file_that_the_process_reads_must_be_the_one_of_directors_yaml(line: str, file: str) -> None:
    assert daemon_blockers(GOOD, [f" {line}"], file) == []
    (reason,) = daemon_blockers(GOOD, [f" {line}"], "/etc/other.conf")
    assert f"keepalived runs with {file}, but config says /etc/other.conf" in reason


@pytest.mark.parametrize(
    ("line", "id_", "snmp"),
    [
        ("keepalived -D", "", False),
        ("keepalived -D --snmp", "", True),
        ("keepalived -nDx -i edge1", "edge1", True),
        ("keepalived --config-id=edge2 --dump-conf", "edge2", False),
        ("keepalived --config-id edge2 -p /run/x.pid -A unix:/run/x", "edge2", False),
        ("keepalived -Diedge3 -x -f /srv/other.conf", "", False),
        ("keepalived --snmp-agent-socket=/run/x", "", False),
    ],
)
def test_the_options_that_change_what_its_files_mean_are_those_of_its_process(
    line: str, id_: str, *, snmp: bool
) -> None:
    assert (config_id([line], CONFIG), with_snmp([line], CONFIG)) == (id_, snmp)


def test_an_id_that_could_not_be_given_to_a_test_is_refused() -> None:
    (reason,) = daemon_blockers(GOOD, [" keepalived -i $(id)"], CONFIG)
    assert "keepalived runs with --config-id $(id): no name" in reason


def test_one_of_several_daemons_is_enough() -> None:
    assert daemon_blockers(GOOD, [" keepalived -P -f /etc/vrrp.conf", " keepalived -C"], CONFIG) == []


@pytest.mark.parametrize("processes", ["", "4026531999 keepalived -f {config}\n"])
def test_a_keepalived_that_does_not_run_in_this_network_namespace_is_refused(
    shell: RealShell, processes: str
) -> None:
    main = shell.folder / "keepalived.conf"
    main.write_text(DIRECT_TEXT)
    shell.switch("processes", processes.format(config=main))
    with pytest.raises(RefusedError, match="lvs1: no keepalived runs in its network namespace"):
        KeepalivedDriver(keepalived((main, main)), WEB, shell).before()


def test_every_reason_is_told_at_once(shell: RealShell) -> None:
    main = shell.folder / "keepalived.conf"
    main.write_text(DIRECT_TEXT)
    shell.switch("version", "Keepalived v2.0.10 (11/12,2018)\n")
    shell.switch("processes", "own keepalived -f /srv/k.conf\n")
    with pytest.raises(RefusedError) as error:
        KeepalivedDriver(keepalived((main, main)), WEB, shell).before()
    assert "lvs1: keepalived v2.0.10 is older than 2.2.7" in str(error.value)
    assert "lvs1: keepalived runs with /srv/k.conf" in str(error.value)
    assert shell.writes == []
