"""keepalived's traps, sprung on the real one: what it does, and what the driver makes of it.

The first half needs no driver: a virtual server of the tests' own shows how keepalived behaves, which is what
the driver's rules rest on. Where a newer keepalived gives a behaviour up, a test turns red: the rule may go.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ferryman import retry
from ferryman.directors import SetForwarding, differences
from ferryman.errors import DoubtError, RefusedError, VerifyError
from ferryman.inventory import Inventory
from ferryman.lab.daemons import keepalived_command
from ferryman.model import Forwarding
from lab.director_client import DirectorClient, LabHosts
from lab.test_directors import kernel
from tools import asks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

pytestmark = pytest.mark.lab

TUNNEL = SetForwarding(Forwarding.TUNNEL)
SERVICES = "/etc/keepalived/services"
WEB = f"{SERVICES}/web.conf"
TRAP = f"{SERVICES}/zz-trap.conf"
RELOAD = "kill -HUP $(cat /run/keepalived-lvs1.pid)"
SETTLED_S = 60.0
"""Seconds in which keepalived has done what it is going to do, on a machine that is busy."""
CHECK = "TCP_CHECK { connect_ip 10.10.0.11\n connect_port 22\n connect_timeout 1\n warmup 0\n }"
"""Asks the director's own sshd, so that a test can make it fail."""
FAIL = "INPUT -s 10.10.0.11 -d 10.10.0.11 -p tcp --dport 22 -j REJECT --reject-with tcp-reset"


@pytest.fixture(autouse=True)
def as_it_was(lab: RunningLab, hosts: LabHosts) -> Iterator[None]:
    """keepalived's files are put back after each test, and then the kernel is as it was."""
    before = kernel(hosts, "lvs1")
    lab.console("lvs1", "rm -rf /run/kept; cp -a /etc/keepalived /run/kept")
    yield
    back = "rm -rf /etc/keepalived/*; cp -a /run/kept/. /etc/keepalived/"
    lab.console("lvs1", f"diff -r /run/kept /etc/keepalived || {{ {back}; {RELOAD}; }}")

    def now() -> str:
        return kernel(hosts, "lvs1")

    assert retry.poll_until(now, lambda text: text == before, within_s=SETTLED_S) == before


@dataclass
class Trap:
    """A virtual server of the tests' own, and one that is new in each reload: it says that it is over."""

    hosts: LabHosts
    reloads: int = 0

    def load(self, general: str, reals: str) -> str:
        """Write both, reload, and wait until keepalived has finished; the lines of the virtual server."""
        self.reloads += 1
        text = (
            "virtual_server 10.99.0.77 80 {\n lvs_sched rr\n protocol TCP\n delay_loop 1\n"
            f"{general}\n{reals}\n}}\n"
            f"virtual_server 10.99.0.78 {self.reloads} {{\n lvs_sched rr\n lvs_method DR\n protocol TCP\n"
            f" real_server 10.10.0.21 {self.reloads} {{\n weight 1\n }}\n}}\n"
        )
        self.hosts.read("lvs1", asks(f"cat >{TRAP} && keepalived -t && {RELOAD}", given=text)).checked()
        return self.wait(f"-t 10.99.0.78:{self.reloads} -r ")

    def lines(self) -> str:
        """The kernel's table lines of both services."""
        rules = self.hosts.read("lvs1", asks("ipvsadm -Sn")).checked().stdout
        return "".join(line for line in rules.splitlines(keepends=True) if " 10.99.0.7" in line)

    def wait(self, wanted: str, *, there: bool = True) -> str:
        """The lines, once something is among them, or is not."""
        seen = retry.poll_until(self.lines, lambda text: (wanted in text) is there, within_s=SETTLED_S)
        assert (wanted in seen) is there, seen
        return seen


@pytest.fixture
def trap(hosts: LabHosts) -> Trap:
    return Trap(hosts)


def real(number: int, inside: str = "") -> str:
    return f" real_server 10.10.0.{number} 80 {{\n weight 1\n {inside}\n }}"


@contextmanager
def failing(lab: RunningLab) -> Iterator[None]:
    """Make the health check of a realserver fail while the block runs."""
    lab.console("lvs1", f"iptables-legacy -A {FAIL}")
    try:
        yield
    finally:
        lab.console("lvs1", f"iptables-legacy -D {FAIL}")


def test_a_sorry_server_at_work_keeps_its_method_whatever_the_new_configuration_says(
    lab: RunningLab, trap: Trap
) -> None:
    with failing(lab):
        trap.load("lvs_method DR\n sorry_server 10.10.0.23 80", real(21, CHECK))
        trap.wait("-r 10.10.0.23:80 -g")
        seen = trap.load("lvs_method TUN\n sorry_server 10.10.0.23 80", real(21, CHECK))
        assert "-r 10.10.0.23:80 -g" in seen


def test_a_destination_deleted_by_hand_comes_back_with_no_reload_but_one_that_changes_its_method(
    hosts: LabHosts, trap: Trap
) -> None:
    trap.load("lvs_method DR", f"{real(21)}\n{real(22)}")
    hosts.read("lvs1", asks("ipvsadm -d -t 10.99.0.77:80 -r 10.10.0.21:80")).checked()
    assert "-t 10.99.0.77:80 -r 10.10.0.21:80" not in trap.load("lvs_method DR", f"{real(21)}\n{real(22)}")
    assert "-r 10.10.0.21:80 -i" in trap.load("lvs_method TUN", f"{real(21)}\n{real(22)}")


def test_a_virtual_server_deleted_by_hand_does_not_come_back_with_a_reload(
    hosts: LabHosts, trap: Trap
) -> None:
    trap.load("lvs_method DR", real(21))
    hosts.read("lvs1", asks("ipvsadm -D -t 10.99.0.77:80")).checked()
    assert "10.99.0.77" not in trap.load("lvs_method TUN", real(21))


def test_a_failed_realserver_is_put_back_to_work_by_a_reload_that_changes_its_method(
    lab: RunningLab, trap: Trap
) -> None:
    """This is why the driver begins nothing while a destination is missing."""
    trap.load("lvs_method DR", f"{real(21, CHECK)}\n{real(22)}")
    with failing(lab):
        trap.wait("-t 10.99.0.77:80 -r 10.10.0.21:80", there=False)
        unchanged = trap.load("lvs_method DR", f"{real(21, CHECK)}\n{real(22)}")
        assert "-t 10.99.0.77:80 -r 10.10.0.21:80" not in unchanged
        changed = trap.load("lvs_method TUN", f"{real(21, CHECK)}\n{real(22)}")
        assert "-t 10.99.0.77:80 -r 10.10.0.21:80 -i -w 1" in changed


def test_a_quiescent_realserver_is_put_back_to_work_by_a_reload_that_changes_its_method(
    lab: RunningLab, trap: Trap
) -> None:
    """This is why the driver begins nothing while a destination has another weight than its file says."""
    quiescent = real(21, f"inhibit_on_failure\n {CHECK}")
    trap.load("lvs_method DR", f"{quiescent}\n{real(22)}")
    with failing(lab):
        trap.wait("-r 10.10.0.21:80 -g -w 0")
        assert "-r 10.10.0.21:80 -i -w 1" in trap.load("lvs_method TUN", f"{quiescent}\n{real(22)}")


def test_a_weight_and_a_persistence_are_applied_by_a_reload(trap: Trap) -> None:
    trap.load("lvs_method DR", real(21))
    seen = trap.load("lvs_method DR\n persistence_timeout 60", real(21).replace("weight 1", "weight 5"))
    assert "-t 10.99.0.77:80 -s rr -p 60" in seen
    assert "-r 10.10.0.21:80 -g -w 5" in seen


def test_a_realservers_own_method_counts_before_that_of_its_virtual_server(trap: Trap) -> None:
    seen = trap.load("lvs_method DR", f"{real(21, 'lvs_method TUN')}\n{real(22)}")
    assert "-r 10.10.0.21:80 -i" in seen
    assert "-r 10.10.0.22:80 -g" in seen


BLOCK = "virtual_server 10.99.0.77 80 {\n lvs_sched rr\n lvs_method DR\n protocol TCP\n" + real(21) + "\n}\n"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (BLOCK, 0, ""),
        (BLOCK * 2, 0, ""),
        (BLOCK.replace("DR", "DR\n sorry_server 10.10.0.21 80"), 0, ""),
        (BLOCK.replace("DR", "TUN type ipip"), 0, ""),
        (BLOCK.replace("DR", "TUN\n tun_type ipip"), 5, "Unknown keyword 'tun_type'"),
        (BLOCK.replace("DR", "TUN type ipip csum"), 5, ""),
        (BLOCK.replace("lvs_method DR", ""), 5, "no forwarding method set, setting default NAT"),
        (BLOCK.replace("protocol TCP", ""), 5, "no protocol set - defaulting to UDP"),
        ("include zz-none.conf extra\ninclude /etc/$X/y\n", 0, "Config files missing 'zz-none.conf extra'"),
    ],
)
def test_what_its_own_test_of_a_configuration_takes_and_refuses(
    hosts: LabHosts, text: str, status: int, said: str
) -> None:
    """A block that is there twice and a sorry server that is a realserver pass: the driver looks itself."""
    done = hosts.read("lvs1", asks(f"cat >{TRAP}; keepalived -t", given=text))
    assert (done.status, said in done.stderr) == (status, True), done.stderr


def test_a_restart_empties_the_table_which_a_reload_does_not(
    lab: RunningLab, hosts: LabHosts, trap: Trap
) -> None:
    trap.load("lvs_method DR", real(21))
    lab.console("lvs1", "kill -TERM $(cat /run/keepalived-lvs1.pid)")
    assert trap.wait("10.99.0.7", there=False) == ""
    lab.console("lvs1", f"rm {TRAP}; {keepalived_command('lvs1')}")


@pytest.fixture
def web(lab: RunningLab, hosts: LabHosts) -> DirectorClient:
    """The service web on lvs1, waited for no longer than three seconds, its file not named."""
    service = Inventory.load(lab.folder / "inventory").service("web", "lab")
    (director,) = (director for director in service.directors if director.host == "lvs1")
    options = {key: value for key, value in director.options.items() if key != "service_file"}
    return DirectorClient(service, replace(director, options={**options, "converge_timeout": 20}), hosts)


def with_options(web: DirectorClient, **options: object) -> DirectorClient:
    return replace(web, director=replace(web.director, options={**web.director.options, **options}))


def put(hosts: LabHosts, path: str, text: str) -> None:
    hosts.read("lvs1", asks(f"mkdir -p $(dirname {path}); cat >{path}", given=text)).checked()


def text_of(hosts: LabHosts, path: str) -> str:
    return hosts.read("lvs1", asks(f"cat {path}")).checked().stdout


def test_the_file_of_a_service_is_found_through_the_include(web: DirectorClient) -> None:
    before = web.driver.before()
    assert list(before["files"]) == [WEB]
    web.driver.apply(before, TUNNEL)
    assert differences(web.driver.wanted(before, TUNNEL), web.driver.read()) == []
    web.driver.restore(before, TUNNEL)
    assert web.driver.before() == before


def test_a_service_in_two_files_is_flipped_and_put_back_in_both(hosts: LabHosts, web: DirectorClient) -> None:
    four, six = text_of(hosts, WEB).split("virtual_server fd99")
    put(hosts, "/etc/keepalived/more/six.conf", f"virtual_server fd99{six}")
    put(hosts, WEB, f"{four}\ninclude ../{{more,less}}/s?x.conf  # keepalived goes on from this folder\n")
    before = web.driver.before()
    assert list(before["files"]) == [f"{SERVICES}/../more/six.conf", WEB]
    web.driver.apply(before, TUNNEL)
    assert differences(web.driver.wanted(before, TUNNEL), web.driver.read()) == []
    assert "lvs_method TUN" in text_of(hosts, "/etc/keepalived/more/six.conf")
    web.driver.restore(before, TUNNEL)
    assert web.driver.before() == before
    assert "\n." not in hosts.read("lvs1", asks(f"ls -A {SERVICES} /etc/keepalived/more")).checked().stdout


def test_a_syntax_error_in_one_of_two_files_changes_neither(hosts: LabHosts, web: DirectorClient) -> None:
    four, six = text_of(hosts, WEB).split("virtual_server fd99")
    put(hosts, "/etc/keepalived/more/six.conf", f"virtual_server fd99{six}")
    put(hosts, WEB, f"{four}\ninclude ../more/*.conf\n")
    before = web.driver.before()
    put(hosts, f"{SERVICES}/zz-broken.conf", "virtual_server 10.99.0.99 { lvs_sched")
    with pytest.raises(VerifyError, match="does not accept the new configuration; nothing was changed"):
        web.driver.apply(before, TUNNEL)
    hosts.read("lvs1", asks(f"rm {SERVICES}/zz-broken.conf")).checked()
    assert web.driver.before() == before


def test_a_keyword_that_keepalived_does_not_know_changes_nothing(
    hosts: LabHosts, web: DirectorClient
) -> None:
    put(hosts, WEB, text_of(hosts, WEB).replace("    lvs_method DR", "    tun_type ipip\n    lvs_method DR"))
    before = web.driver.before()
    with pytest.raises(VerifyError, match=r"(?s)nothing was changed.*Unknown keyword 'tun_type'"):
        web.driver.apply(before, TUNNEL)
    assert web.driver.before() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    lvs_method DR", "    lvs_method TUN type gre", "has another tunnel than IPIP: --tun-type gre"),
        ("    lvs_method DR", "    lvs_method NAT", "is masqueraded"),
    ],
)
def test_another_tunnel_or_masquerading_is_refused_as_the_kernel_has_it(
    hosts: LabHosts, web: DirectorClient, old: str, new: str, said: str
) -> None:
    put(hosts, WEB, text_of(hosts, WEB).replace(old, new))
    hosts.read("lvs1", asks(RELOAD)).checked()

    def refusal() -> str:
        try:
            web.driver.before()
        except RefusedError as error:
            return str(error)
        return ""

    assert said in retry.poll_until(refusal, lambda text: said in text, within_s=SETTLED_S)


def test_a_reload_that_reaches_nobody_is_a_doubt_with_each_destination_named(web: DirectorClient) -> None:
    before = web.driver.before()
    for lie in ("true", "kill -HUP $(cat /run/keepalived-lvs2.pid)"):
        lied = with_options(web, reload=lie, converge_timeout=2)
        with pytest.raises(DoubtError) as error:
            lied.driver.apply(before, TUNNEL)
        assert str(error.value).count("is Route, wanted Tunnel") == 6
        lied.driver.restore(before, TUNNEL)
        assert web.driver.before() == before


def test_a_keepalived_that_runs_with_another_file_is_refused(hosts: LabHosts, web: DirectorClient) -> None:
    hosts.read("lvs1", asks("cp /etc/keepalived/keepalived.conf /etc/keepalived/other.conf")).checked()
    with pytest.raises(
        RefusedError,
        match=r"runs with /etc/keepalived/keepalived.conf, but config says /etc/keepalived/other.conf",
    ):
        with_options(web, config="/etc/keepalived/other.conf").driver.before()


def test_a_quiescent_realserver_is_refused_before_anything(
    lab: RunningLab, hosts: LabHosts, web: DirectorClient
) -> None:
    inhibited = text_of(hosts, WEB).replace("weight 1\n", "weight 1\n inhibit_on_failure\n")
    put(
        hosts,
        WEB,
        inhibited.replace(
            "connect_timeout 4", CHECK.splitlines()[0].partition("{ ")[2] + "\n connect_port 22"
        ),
    )
    hosts.read("lvs1", asks(RELOAD)).checked()
    with failing(lab), pytest.raises(RefusedError, match=r"has weight 0, and 1 in .*web\.conf: its health"):
        retry.poll_until(web.driver.before, lambda _: False, within_s=SETTLED_S)
    # A reload that takes the check away from one that has failed would leave it at 0 for good.
    healthy = retry.poll_until(
        lambda: kernel(hosts, "lvs1"), lambda text: " -w 0" not in text, within_s=SETTLED_S
    )
    assert " -w 0" not in healthy


def test_a_destination_deleted_by_hand_is_refused_before_anything(
    hosts: LabHosts, web: DirectorClient
) -> None:
    named = "-t 10.99.0.1:80 -r 10.10.0.21:80"
    hosts.read("lvs1", asks(f"ipvsadm -d {named}")).checked()
    with pytest.raises(RefusedError, match=r"web1 \(10\.10\.0\.21:80\) is not among its destinations"):
        web.driver.before()
    hosts.read("lvs1", asks(f"ipvsadm -a {named} -g -w 1")).checked()
    assert web.driver.before()


def test_a_virtual_server_that_goes_with_the_reload_is_told_and_the_file_goes_back(
    hosts: LabHosts, web: DirectorClient
) -> None:
    before = web.driver.before()
    kept = hosts.read("lvs1", asks("ipvsadm -Sn | grep -F -- '-t 10.99.0.1:80 '")).checked().stdout
    meddling = with_options(web, reload=f"ipvsadm -D -t 10.99.0.1:80; {RELOAD}", converge_timeout=5)
    try:
        with pytest.raises(VerifyError, match=r"tcp 10\.99\.0\.1:80: not in the table"):
            meddling.driver.apply(before, TUNNEL)
        with pytest.raises(VerifyError, match=r"put back, but: tcp 10\.99\.0\.1:80: not in the table"):
            web.driver.restore(before, TUNNEL)
    finally:
        hosts.read("lvs1", asks("ipvsadm -R", given=kept)).checked()
    assert web.driver.before() == before
