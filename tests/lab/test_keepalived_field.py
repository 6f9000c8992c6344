"""keepalived as people run it: texts that its own test complains of, and weights that move by themselves.

Both directors get the configuration; whole runs of the command go there and back. The texts are those of the
lab's own service web, with what the field's configurations have beside them: the lab's has three realservers
and two families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman import retry
from ferryman.directors import SetForwarding, differences
from ferryman.errors import RefusedError, WorldChangedError
from ferryman.lab.daemons import keepalived_command
from ferryman.model import Forwarding
from lab.migration import DIRECTORS, catalog, events, findings, world
from tools import asks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.director_client import DirectorClients, LabHosts
    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

TUNNEL = SetForwarding(Forwarding.TUNNEL)
CONFIG, WEB = "/etc/keepalived/keepalived.conf", "/etc/keepalived/services/web.conf"
SCRIPT = "/run/load-weight"
"""In a folder of root: keepalived runs no script that others could replace, and here /usr is nobody's."""
SETTLED_S = 60.0
RETIRED = "    vrrp_garp_interval 0\n    vrrp_gna_interval 0\n"
"""The head of the configuration that Debian and RHEL hand out: no interval may be 0 by now."""
DYNAMIC = f"MISC_CHECK {{\n misc_path {SCRIPT}\n misc_timeout 3\n misc_dynamic\n warmup 0\n }}\n"
LOAD_WEIGHT = (
    "#!/bin/sh\n# a weight that changes all the time, as the load does\nexit $((3 + $(date +%s) % 9))\n"
)


@pytest.fixture(autouse=True)
def as_it_was(lab: RunningLab) -> Iterator[None]:
    """keepalived's files are put back on both directors after each test, and then the world is as before."""
    before = world(lab)
    for host in DIRECTORS:
        lab.console(host, f"rm -rf /run/kept-{host}; cp -a /etc/keepalived /run/kept-{host}")
    yield
    for host in DIRECTORS:
        lab.console(host, f"rm -rf /etc/keepalived/* {SCRIPT}; cp -a /run/kept-{host}/. /etc/keepalived/")
        lab.console(
            host, f"kill -TERM $(cat /run/keepalived-{host}.pid); sleep 1; {keepalived_command(host)}"
        )
    assert retry.poll_until(lambda: world(lab), lambda now: now == before, within_s=SETTLED_S) == before


def put(lab: RunningLab, host: str, path: str, text: str) -> None:
    lab.console(host, f"cat >{path} <<'END'\n{text}END\n")


def reload(lab: RunningLab, host: str) -> None:
    lab.console(host, f"kill -HUP $(cat /run/keepalived-{host}.pid)")


def with_complaints(lab: RunningLab, host: str) -> None:
    """A configuration that runs, and that ``keepalived -t`` ends with 5 for."""
    main = lab.console(host, f"cat {CONFIG}")
    put(lab, host, CONFIG, main.replace("global_defs {\n", f"global_defs {{\n{RETIRED}"))
    web = lab.console(host, f"cat {WEB}").replace("protocol TCP", "protocol TCP\n    nat_mask 255.255.255.0")
    put(lab, host, WEB, web.replace("connect_timeout 4", "connect_timeout 4\n            nb_get_retry 3"))
    reload(lab, host)


def with_moving_weight(lab: RunningLab, host: str) -> None:
    """A configuration in which the weight of web1 is what a script says."""
    put(lab, host, SCRIPT, LOAD_WEIGHT)
    lab.console(host, f"chmod 755 {SCRIPT}; chown root:root {SCRIPT}")
    main = lab.console(host, f"cat {CONFIG}")
    put(
        lab,
        host,
        CONFIG,
        main.replace("global_defs {\n", "global_defs {\n    script_user root\n    enable_script_security\n"),
    )
    web = lab.console(host, f"cat {WEB}")
    assert DYNAMIC not in web
    first, _, rest = web.partition("TCP_CHECK {")
    put(
        lab,
        host,
        WEB,
        f"{first}{DYNAMIC}{rest.partition('}')[2].lstrip()}".replace("delay_loop 3", "delay_loop 1"),
    )
    reload(lab, host)
    moved = retry.poll_until(
        lambda: lab.console(host, "ipvsadm -Sn"),
        lambda text: "-r 10.10.0.21:80 -g -w 1\n" not in text,
        within_s=SETTLED_S,
    )
    assert "-r 10.10.0.21:80 -g -w 1\n" not in moved, "the script does not run"


def test_a_text_that_already_fails_its_own_test_is_told_of_and_migrates_there_and_back(
    lab: RunningLab,
) -> None:
    for host in DIRECTORS:
        with_complaints(lab, host)
    before = world(lab)
    for command in ("check", "migrate"):
        dry = ["--dry-run"] if command == "migrate" else []
        done = lab.ferryman("--output", "json", command, "web", "--site", "lab", *dry)
        assert done.returncode == 0, done.stderr
        told = {f["host"]: f["seen"] for f in findings(done, "warn") if f["check"] == "keepalived-test"}
        assert told.keys() == set(DIRECTORS)
        for seen in told.values():
            assert f"keepalived -t -f {CONFIG} ends with 5 before anything is edited: " in seen
            assert "vrrp_garp_interval '0' is invalid" in seen
            assert f"({WEB}: Line 6) Unknown keyword 'nat_mask'" in seen.replace(": line", ": Line")
    assert world(lab) == before, "a dry run and a check change nothing"
    done = lab.ferryman("--output", "json", "migrate", "web", "--site", "lab", "--yes")
    assert done.returncode == 0, done.stderr
    back = lab.ferryman("rollback", events(done)[-1]["run"])
    assert back.returncode == 0, back.stderr
    assert world(lab) == before


def test_an_edit_that_keepalived_would_not_take_is_refused_before_the_catalog_is_touched(
    lab: RunningLab,
) -> None:
    for host in DIRECTORS:
        with_complaints(lab, host)
    lab.console("lvs2", f"sed -i 's/lvs_method DR/lvs_method DR \\/\\/ direct/' {WEB}")
    then = catalog(lab).read_bytes()
    for more in (["--dry-run"], ["--yes"]):
        done = lab.ferryman("migrate", "web", "--site", "lab", *more)
        assert done.returncode == 3, done.stderr
        assert f"lvs2: {WEB}: line 4: lvs_method DR // direct: " in done.stderr + done.stdout
        assert "// is not a comment in keepalived: use # or !" in " ".join(
            (done.stderr + done.stdout).split()
        )
    assert catalog(lab).read_bytes() == then


def test_weights_that_move_by_themselves_hinder_neither_a_migration_nor_its_rollback(lab: RunningLab) -> None:
    for host in DIRECTORS:
        with_moving_weight(lab, host)
    texts = {host: lab.console(host, f"cat {WEB}") for host in DIRECTORS}
    done = lab.ferryman("--output", "json", "migrate", "web", "--site", "lab", "--yes")
    assert done.returncode == 0, done.stderr
    for host in DIRECTORS:
        assert "-r 10.10.0.21:80 -i -w " in lab.console(host, "ipvsadm -Sn")
    assert not [f for f in findings(done, "warn") if f["check"] == "changed-by-others"]
    back = lab.ferryman("--output", "json", "rollback", events(done)[-1]["run"])
    assert back.returncode == 0, back.stderr
    assert not [f for f in findings(back, "warn") if f["check"] == "changed-by-others"]
    assert {host: lab.console(host, f"cat {WEB}") for host in DIRECTORS} == texts
    for host in DIRECTORS:
        assert "-r 10.10.0.21:80 -g -w " in lab.console(host, "ipvsadm -Sn")


def test_a_weight_set_by_hand_beside_one_that_moves_is_somebody_s_interference(
    lab: RunningLab, hosts: LabHosts, director_client: DirectorClients
) -> None:
    with_moving_weight(lab, "lvs1")
    driver = director_client("web").driver
    before = driver.before(TUNNEL)
    hosts.read("lvs1", asks("ipvsadm -e -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 7")).checked()
    with pytest.raises(WorldChangedError, match=r"10\.10\.0\.22:80: weight 7, wanted 1"):
        driver.apply(before, TUNNEL)
    hosts.read("lvs1", asks("ipvsadm -e -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 1")).checked()
    driver.apply(before, TUNNEL)
    driver.restore(before, TUNNEL)
    assert driver.before(TUNNEL) == before


def test_a_script_that_fails_takes_its_realserver_out_and_nothing_is_begun(
    lab: RunningLab, director_client: DirectorClients
) -> None:
    with_moving_weight(lab, "lvs1")
    put(lab, "lvs1", SCRIPT, "#!/bin/sh\nexit 1\n")
    driver = director_client("web").driver

    def refusal() -> str:
        try:
            driver.before(TUNNEL)
        except RefusedError as error:
            return str(error)
        return ""

    assert "is not among its destinations" in retry.poll_until(refusal, bool, within_s=SETTLED_S)


def test_a_virtual_server_without_a_port_is_left_alone_beside_one_that_is_edited(
    lab: RunningLab, director_client: DirectorClients
) -> None:
    vip = "10.99.0.77"
    portless = (
        f"virtual_server {vip} {{\n lvs_sched rr\n lvs_method DR\n persistence_timeout 60\n protocol TCP\n"
        " real_server 10.10.0.21 {\n weight 1\n }\n}\n"
    )
    put(lab, "lvs1", WEB, portless + lab.console("lvs1", f"cat {WEB}"))
    reload(lab, "lvs1")
    named = f"-A -t {vip}:0 -s rr -p 60"
    wait = retry.poll_until(
        lambda: lab.console("lvs1", "ipvsadm -Sn"), lambda text: named in text, within_s=SETTLED_S
    )
    assert named in wait
    driver = director_client("web").driver
    before = driver.before(TUNNEL)
    driver.apply(before, TUNNEL)
    assert differences(driver.wanted(before, TUNNEL), driver.read()) == []
    assert f"-a -t {vip}:0 -r 10.10.0.21:0 -g" in lab.console("lvs1", "ipvsadm -Sn")
    assert portless in lab.console("lvs1", f"cat {WEB}")
    driver.restore(before, TUNNEL)
    assert driver.before(TUNNEL) == before
