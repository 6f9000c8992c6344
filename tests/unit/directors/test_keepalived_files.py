"""Includes followed by the director's own shell, on files of this machine."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.directors.keepalived.files import holders
from ferryman.directors.keepalived.text import TextError
from ferryman.errors import CommandFailedError, DoubtError, RefusedError, VerifyError, WorldChangedError
from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.keepalived import KeepalivedRead
from unit.directors.field import config_of, configuration, director_with
from unit.directors.test_ipvsadm import FLIPPED
from unit.directors.test_keepalived import DIRECT_TEXT, TUNNEL, TUNNEL_TEXT, keepalived
from unit.directors.world import RULES, WEB, RealShell

if TYPE_CHECKING:
    from pathlib import Path

ONE, SIX = DIRECT_TEXT.split("virtual_server fd99::1")
SIX = f"virtual_server fd99::1{SIX}"


def put(shell: RealShell, path: str, text: str) -> Path:
    file = shell.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def found(shell: RealShell, main: str) -> list[str]:
    """The files that hold the service, by their paths in the folder."""
    config = put(shell, "keepalived.conf", main)
    files = shell.read("lvs1", KeepalivedRead(str(config))).files
    values = {path: {"text": file.text, "mode": file.mode} for path, file in files.items()}
    held = holders(str(config), values, WEB.virtual_services)
    return [path.removeprefix(f"{shell.folder}/") for path in held]


@pytest.mark.parametrize(
    ("file", "include"),
    [
        ("web.conf", "include web.conf"),
        ("services/web.conf", "include services/*.conf"),
        ("services/web.conf", "\tincludea   services/[v-x]*.con?   # all of them"),
        ("services/web.conf", "includer services/{maps,web}.conf"),
        ("services/web.conf", "include services/{a,w{a,e}b}.{txt,conf}\r"),
        ("some folder/web.conf", "include some folder/*.conf"),
        ("services/web.conf", "global_defs {\n    include services/*.conf\n}"),
    ],
)
def test_the_file_is_found_by_keepalived_s_own_rules(shell: RealShell, file: str, include: str) -> None:
    put(shell, file, DIRECT_TEXT)
    assert found(shell, f"global_defs {{\n}}\n{include}\n") == [file]


def test_an_absolute_include_and_one_that_counts_from_the_folder_of_its_file(shell: RealShell) -> None:
    put(shell, "sites/here/web.conf", ONE)
    put(shell, "sites/here/list.conf", "include web.conf\nincludew ../six.conf\ninclude list.conf\n")
    put(shell, "sites/six.conf", SIX)
    held = found(shell, f"include {shell.folder}/sites/*/list.conf\n")
    assert held == ["sites/here/../six.conf", "sites/here/web.conf"]


def test_a_link_counts_from_where_the_link_is(shell: RealShell) -> None:
    put(shell, "far/away/list.conf", "include web.conf\n")
    put(shell, "far/away/web.conf", "bogus\n")
    put(shell, "web.conf", DIRECT_TEXT)
    (shell.folder / "list.conf").symlink_to(shell.folder / "far/away/list.conf")
    assert found(shell, "include list.conf\n") == ["web.conf"]


def test_the_main_file_may_hold_it_itself(shell: RealShell) -> None:
    assert found(shell, f"include *.none\n{DIRECT_TEXT}") == ["keepalived.conf"]


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("", "keepalived.conf: no virtual_server 10.99.0.1 80 (tcp) in it, nor in what it includes"),
        ("! include web.conf\n", "no virtual_server 10.99.0.1 80 (tcp)"),
        ("include runs.conf\n", "no virtual_server 10.99.0.1 80 (tcp)"),
        ("include web.conf extra\n", "no virtual_server 10.99.0.1 80 (tcp)"),
        ('include "web.conf"\n', "no virtual_server 10.99.0.1 80 (tcp)"),
        (f"include web.conf\n{SIX}", "2 virtual_server fd99::1 80 (tcp), wanted one: "),
        ("include web.conf\n@^lvs9 include again.conf\n", "again.conf: line 1, "),
        ("@lvs1 include web.conf\n", "counts on some directors only, by "),
        ("$D=web\ninclude ${D}.conf\n", "line 2: include ${D}.conf: cannot be followed"),
        ("include {deep/web,web}.conf\n", "line 1: include {deep/web,web}.conf: cannot be followed"),
        ("include web.conf\ninclude bad.conf\n", "bad.conf: line 1: a brace closes that was never opened"),
        ("virtual_server group web {\n}\n", "one may be it: "),
        ("virtual_server fwmark 7 {\n}\n", "keepalived.conf: line 1: virtual_server fwmark 7"),
        ("$V=10.99.0.1\nvirtual_server $V 80 {\n}\n", "line 2: virtual_server $V 80"),
        ("$WEB= \\\n a\n$WEB\n", "line 3: $WEB"),
        ("~SEQ(N, 1, 3) $WEB\n", "line 1: ~SEQ(N, 1, 3) $WEB"),
    ],
)
def test_what_is_not_found_or_cannot_be_followed_is_refused_by_file_and_line(
    shell: RealShell, main: str, said: str
) -> None:
    put(shell, "web.conf", DIRECT_TEXT)
    put(shell, "again.conf", SIX)
    put(shell, "bad.conf", "}\n")
    put(shell, "runs.conf", DIRECT_TEXT).chmod(0o755)
    with pytest.raises(TextError) as error:
        found(shell, main)
    assert said in str(error.value)


def test_a_conditional_block_is_found_and_not_edited(shell: RealShell) -> None:
    put(shell, "keepalived.conf", DIRECT_TEXT.replace("virtual_server fd99", "@lvs1 virtual_server fd99"))
    driver = followed(shell)
    with pytest.raises(RefusedError, match=r"line 12: @lvs1 virtual_server fd99::1 80: conditional blocks"):
        driver.edits(driver.before(), TUNNEL)


def test_includes_that_grow_for_ever_are_left(shell: RealShell) -> None:
    (shell.folder / "deep").mkdir()
    with pytest.raises(CommandFailedError, match="nested more than 20 deep"):
        found(shell, "include deep/../keepalived.conf\n")


def test_a_file_that_is_not_there_is_named(shell: RealShell) -> None:
    with pytest.raises(CommandFailedError, match=r"keepalived\.conf"):
        followed(shell).before()


def test_a_file_that_grows_while_it_is_read_is_refused() -> None:
    content = base64.b64encode(DIRECT_TEXT.encode()).decode()
    printed = f"{RULES}==\n==\nversion==\nrunning==\n640 7 /etc/web.conf\n==\n{content}"
    with pytest.raises(VerifyError, match=r"lvs1: /etc/web\.conf: changed while being read; begin again"):
        KeepalivedRead("/etc/web.conf").value(Completed("lvs1", "", 0, printed, ""))


def followed(shell: RealShell) -> KeepalivedDriver:
    """The driver of a director whose service_file is not named."""
    main = shell.folder / "keepalived.conf"
    director = keepalived((main, main))
    del director.options["service_file"]  # type: ignore[attr-defined]  # it is a dict here
    return KeepalivedDriver(director, WEB, shell, sleep=lambda _s: None)


@pytest.fixture
def both(shell: RealShell) -> tuple[Path, Path]:
    """Return the paths of two files: the service for IPv4 stands in the first, for IPv6 in the second."""
    services = shell.folder / "services"
    put(shell, "keepalived.conf", f"include {services}/*.conf\n")
    return put(shell, "services/one.conf", ONE), put(shell, "services/six.conf", SIX)


def test_a_service_in_two_files_goes_there_and_back(shell: RealShell, both: tuple[Path, Path]) -> None:
    driver = followed(shell)
    before = driver.before()
    assert list(before["files"]) == [str(file) for file in both]
    assert [edit.target for edit in driver.edits(before, TUNNEL) if edit.diff] == [
        f"lvs1:{file}" for file in both
    ]
    driver.apply(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == TUNNEL_TEXT
    assert shell.rules == FLIPPED
    assert len(shell.writes) == 1
    driver.restore(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == DIRECT_TEXT
    assert driver.before() == before


def test_what_one_of_two_files_is_refused_for_changes_neither(
    shell: RealShell, both: tuple[Path, Path]
) -> None:
    driver = followed(shell)
    before = driver.before()
    put(shell, "services/zz.conf", "bogus 1\n")
    with pytest.raises(VerifyError, match="Unknown keyword 'bogus'"):
        driver.apply(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == DIRECT_TEXT


def test_a_second_file_that_cannot_be_replaced_puts_the_first_one_back(
    shell: RealShell, both: tuple[Path, Path]
) -> None:
    driver = followed(shell)
    before = driver.before()
    mv = shell.folder / "bin" / "mv"
    mv.write_text(
        '#!/bin/sh\ncase "$3 $4" in *.old*) ;; */six.conf) echo "disk full" >&2; exit 1 ;; esac\n'
        'exec /bin/mv "$@"\n'
    )
    mv.chmod(0o755)
    with pytest.raises(VerifyError, match=r"all was put back, nothing was reloaded: disk full"):
        driver.apply(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == DIRECT_TEXT
    assert sorted(path.name for path in both[0].parent.iterdir()) == ["one.conf", "six.conf"]
    assert not (shell.folder / "reloads").exists()


def test_half_of_two_files_replaced_is_completed_or_put_back(
    shell: RealShell, both: tuple[Path, Path]
) -> None:
    driver = followed(shell)
    before = driver.before()
    both[0].write_text(both[0].read_text().replace("DR", "TUN"))
    driver.apply(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == TUNNEL_TEXT
    both[0].write_text(ONE)
    driver.restore(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == DIRECT_TEXT
    assert shell.rules == RULES


def test_the_file_that_someone_else_changed_is_named_and_neither_is_touched(
    shell: RealShell, both: tuple[Path, Path]
) -> None:
    driver = followed(shell)
    before = driver.before()
    both[1].write_text(SIX.replace("weight 1", "weight 7"))
    with pytest.raises(WorldChangedError, match=r"services/six\.conf: someone else changed it"):
        driver.apply(before, TUNNEL)
    assert both[0].read_text() == ONE


def reload_makes(shell: RealShell, rules: str) -> None:
    """Have a reload lead to this table, whatever the files say."""
    put(shell, "bin/reload", f"#!/bin/sh\ncat >\"$FAKE_DIRECTOR/rules\" <<'EOF'\n{rules}EOF\n")


def test_a_table_that_followed_in_part_is_a_doubt_and_one_that_went_elsewhere_is_not(
    shell: RealShell, both: tuple[Path, Path]
) -> None:
    driver = followed(shell)
    before = driver.before()
    half = RULES.replace("10.10.0.21:80 -g -w 1", "10.10.0.21:80 -i -w 1 --tun-type ipip")
    reload_makes(shell, half)
    with pytest.raises(DoubtError) as error:
        driver.apply(before, TUNNEL)
    assert str(error.value).count("is Route, wanted Tunnel") == 3
    reload_makes(shell, half.replace("-r 10.10.0.22:80 -g", "-r 10.10.0.22:80 -m"))
    with pytest.raises(VerifyError, match=r"10\.10\.0\.22:80 is Masq, wanted Tunnel"):
        driver.apply(before, TUNNEL)


def test_a_virtual_server_that_keepalived_loses_in_a_reload_is_told_and_the_files_go_back(
    shell: RealShell, both: tuple[Path, Path]
) -> None:
    driver = followed(shell)
    before = driver.before()
    reload_makes(shell, "-A -t 10.99.0.9:80 -s rr\n")
    with pytest.raises(VerifyError, match=r"tcp \[fd99::1\]:80: not in the table"):
        driver.apply(before, TUNNEL)
    with pytest.raises(VerifyError, match=r"put back, but: tcp \[fd99::1\]:80: not in the table"):
        driver.restore(before, TUNNEL)
    assert "".join(file.read_text() for file in both) == DIRECT_TEXT


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("port", ["", " 0"])
def test_a_block_without_a_port_is_named_as_the_one_that_takes_the_services_traffic(
    shell: RealShell, port: str, *, named: bool
) -> None:
    text = configuration("portless").replace("10.99.0.1 {", f"10.99.0.1{port} {{")
    shell.rules = RULES.replace(
        "-A -t 10.99.0.1:80 -s wrr\n", "-A -t 10.99.0.1:0 -s rr -p 60\n-A -t 10.99.0.2:80 -s rr\n"
    ).replace("-t 10.99.0.1:80 -r 10.10.0.2", "-t 10.99.0.2:80 -r 10.10.0.2")
    options = {"service_file": str(config_of(shell))} if named else {}
    with pytest.raises(RefusedError) as refusal:
        director_with(shell, text, **options).before(TUNNEL)
    taken = f"line 1: virtual_server 10.99.0.1{port} has no port and takes the traffic of every port"
    assert taken in str(refusal.value)
    assert shell.writes == []
