"""Hosts behind bastions, against real OpenSSH servers on loopback; no packet leaves the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ferryman.config import SshConfig
from ferryman.errors import ConfigError, UnknownOutcomeError, UnreachableError
from ferryman.hosts import Completed, HostAddress
from ferryman.hosts.ssh import Fleet
from lab.own_sshd import Server, free_port, listener, make_keys, serving, wait_for, whoami
from tools import asks, does

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = "127.0.0.1"
PATIENT_S = 60.0
GIVEN_UP_S = 12.0


@pytest.fixture(name="keys", scope="module")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [make_keys(tmp_path_factory.mktemp("keys") / name) for name in ("bastion", "outer", "rs")]


@dataclass
class Site:
    """A realserver's sshd and two bastions', all known, and fleets that are closed in the end."""

    bastion: Server
    outer: Server
    inner: Server
    known_hosts: Path
    fleets: list[Fleet] = field(default_factory=list)

    def fleet(self, own: dict[str, list[str]] | None = None, **ssh: object) -> Fleet:
        """``own``: the jump hosts that hosts.yaml has for hosts; rs1 to rs9 are all the one realserver."""
        jumps = {name: tuple(hosts) for name, hosts in (own or {}).items()}
        addresses = {
            name: HostAddress(name, HERE, port, jump=jumps.get(name))
            for name, port in (
                ("bastion", self.bastion.port),
                ("outer", self.outer.port),
                *((f"rs{number}", self.inner.port) for number in range(1, 10)),
                ("gone", free_port()),
            )
        }
        settings = {
            "user": whoami(),
            "identity": self.inner.identity,
            "known_hosts": self.known_hosts,
            "command_timeout": 10.0,
            "config": False,
            **ssh,
        }
        made = Fleet(addresses, SshConfig.model_validate(settings))
        self.fleets.append(made)
        return made


@pytest.fixture(name="site")
def a_site(tmp_path: Path, keys: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    servers = [Server(tmp_path / folder.name, free_port()) for folder in keys]
    for server, folder in zip(servers, keys, strict=True):
        server.make(folder)
        (server.folder / "authorized_keys").write_text((keys[2] / "id_ed25519.pub").read_text())
    bastion, outer, inner = servers
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(bastion.known("bastion") + outer.known("outer") + inner.known("rs?"))
    site = Site(bastion, outer, inner, known_hosts)
    with serving(*servers):
        yield site
        for fleet in site.fleets:
            fleet.close()


# --- nothing ran ---


def test_a_bastion_that_is_down_is_named_with_the_host_behind_it(site: Site) -> None:
    site.bastion.stop()
    with pytest.raises(
        UnreachableError,
        match=rf"^rs1: jump host bastion: connect: {HERE} port {site.bastion.port}: Connection refused; noth",
    ):
        site.fleet(jump=["bastion"]).read("rs1", asks("true"))


def test_a_bastion_whose_key_is_unknown_is_refused(site: Site) -> None:
    site.known_hosts.write_text(site.inner.known("rs?"))
    with pytest.raises(UnreachableError, match=r"^rs1: jump host bastion: host key: unknown"):
        site.fleet(jump=["bastion"]).read("rs1", asks("true"))


def test_a_bastion_does_not_vouch_for_the_hosts_behind_it(site: Site) -> None:
    site.known_hosts.write_text(site.bastion.known("bastion"))
    with pytest.raises(UnreachableError, match=r"^rs1: host key: unknown"):
        site.fleet(jump=["bastion"]).read("rs1", asks("true"))


def test_a_bastion_that_lets_nobody_in_is_named(site: Site) -> None:
    (site.bastion.folder / "authorized_keys").write_text("")
    with pytest.raises(UnreachableError, match=r"^rs1: jump host bastion: authenticate: .* not let in"):
        site.fleet(jump=["bastion"]).read("rs1", asks("true"))


def test_a_host_that_is_down_behind_a_bastion_is_unreachable_and_the_bastion_is_sound(site: Site) -> None:
    fleet = site.fleet(jump=["bastion"])
    with pytest.raises(
        UnreachableError,
        match=rf"^gone: connect: {HERE} port \d+, from jump host bastion: Connection refused; nothing ran",
    ):
        fleet.read("gone", asks("true"))
    assert fleet.read("rs1", asks("echo in")).stdout == "in\n"
    assert site.bastion.logins == 1


def test_a_bastion_that_may_not_forward_says_where_that_is_set(site: Site) -> None:
    site.bastion.configure("AllowTcpForwarding no")
    with pytest.raises(
        UnreachableError, match=r"rs1: connect: .*from jump host bastion: .*AllowTcpForwarding"
    ):
        site.fleet(jump=["bastion"]).read("rs1", asks("true"))


def test_one_deadline_counts_for_all_hops(site: Site) -> None:
    with listener() as port:
        site.inner.port = port
        fleet = site.fleet(connect_timeout=1.5, jump=["outer", "bastion"])
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"^rs1: connect: .* no SSH banner came within 1.5 s"):
            fleet.read("rs1", asks("true"))
        assert time.monotonic() - began < GIVEN_UP_S


def test_a_bastion_that_says_nothing_ends_at_the_deadline_for_all_who_wait_for_it(site: Site) -> None:
    with listener() as port:
        site.bastion.port = port
        fleet = site.fleet(connect_timeout=0.5, jump=["bastion"])
        began = time.monotonic()
        answers = fleet.read_all({f"rs{number}": asks("true") for number in range(1, 9)})
        assert time.monotonic() - began < GIVEN_UP_S
        assert all("jump host bastion: connect" in str(answer) for answer in answers.values())


@pytest.mark.parametrize(
    ("common", "own"),
    [
        (["bastion"], {"bastion": ["outer"], "outer": ["bastion"]}),
        (["bastion"], {"bastion": ["bastion"]}),
        (["bastion", "bastion"], {}),
    ],
)
def test_jump_hosts_in_a_circle_are_a_configuration_error(
    site: Site, common: list[str], own: dict[str, list[str]]
) -> None:
    with pytest.raises(ConfigError, match=r"jump: bastion goes through .*: a circle; see ssh.jump"):
        site.fleet(own, jump=common)


def test_a_circle_in_hosts_yaml_is_a_configuration_error_of_the_host(site: Site) -> None:
    fleet = site.fleet({"rs1": ["bastion"], "bastion": ["outer"], "outer": ["bastion"]})
    with pytest.raises(ConfigError, match="rs1 goes through bastion goes through outer goes through bastion"):
        fleet.read("rs1", asks("true"))
    assert fleet.read("rs2", asks("echo in")).stdout == "in\n"


def test_each_host_that_is_refused_behind_a_bastion_gets_its_own_reason(site: Site) -> None:
    """Asked at the same time, half of them of a port where nobody listens, half of a name that is none."""
    addresses = {
        f"host{number}": HostAddress(f"host{number}", "host.invalid" if number % 2 else HERE, free_port())
        for number in range(24)
    } | {"bastion": HostAddress("bastion", HERE, site.bastion.port)}
    settings = {"user": whoami(), "identity": site.inner.identity, "known_hosts": site.known_hosts}
    fleet = Fleet(addresses, SshConfig.model_validate({**settings, "config": False, "jump": ["bastion"]}))
    site.fleets.append(fleet)
    answers = fleet.read_all({name: asks("true") for name in addresses if name != "bastion"})
    for name, answer in answers.items():
        wrong_name = int(name.removeprefix("host")) % 2
        assert ("Connection refused" not in str(answer)) == wrong_name, answer


# --- the outcome is unknown ---


def test_a_bastion_that_dies_under_a_command_leaves_its_outcome_unknown_and_is_named(site: Site) -> None:
    fleet = site.fleet(jump=["bastion"])
    begun = site.inner.folder / "begun"
    seen: list[BaseException] = []

    def ask() -> None:
        try:
            fleet.write("rs1", does(f"touch {begun}; sleep 20", timeout_s=PATIENT_S))
        except UnknownOutcomeError as error:
            seen.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(begun.exists)
    end_sessions(site.bastion)
    site.bastion.stop()
    asking.join()
    assert "outcome unknown: the connection was lost: jump host bastion" in str(seen[0])
    with pytest.raises(UnreachableError, match=r"^rs1: jump host bastion: connect"):
        fleet.read("rs1", asks("true"))
    site.bastion.start()
    assert fleet.read("rs1", asks("echo back")).stdout == "back\n"


# --- it works ---


def test_all_hosts_share_one_connection_to_the_bastion(site: Site) -> None:
    fleet = site.fleet(jump=["bastion"])
    answers = fleet.read_all({f"rs{number}": asks(f"echo {number}") for number in range(1, 10)})
    assert [answer.stdout for answer in answers.values() if isinstance(answer, Completed)] == [
        f"{number}\n" for number in range(1, 10)
    ]
    assert site.bastion.logins == 1
    assert site.inner.logins == 9


def test_megabytes_pass_through_two_bastions_in_their_order(site: Site) -> None:
    fleet = site.fleet(jump=["outer", "bastion"])
    text = "x" * 3_000_000
    assert fleet.read("rs1", asks("cat", text, PATIENT_S)).stdout == text
    assert (site.outer.logins, site.bastion.logins) == (1, 1)


def test_a_bastion_behind_a_jump_host_of_its_own_is_reached_through_it(site: Site) -> None:
    fleet = site.fleet({"bastion": ["outer"]}, jump=["bastion"])
    assert fleet.read("rs1", asks("echo in")).stdout == "in\n"
    assert (site.outer.logins, site.bastion.logins) == (1, 1)


def test_the_bastion_itself_is_reached_without_going_through_it(site: Site) -> None:
    assert site.fleet(jump=["bastion"]).read("bastion", asks("echo in")).stdout == "in\n"
    assert site.bastion.logins == 1


def test_an_empty_list_in_hosts_yaml_switches_it_off_for_the_host(site: Site) -> None:
    fleet = site.fleet({"rs1": []}, jump=["bastion"])
    assert fleet.read("rs1", asks("echo in")).stdout == "in\n"
    assert site.bastion.logins == 0


def test_a_jump_host_may_be_named_with_user_and_port(site: Site) -> None:
    site.known_hosts.write_text(site.known_hosts.read_text() + site.outer.known(HERE))
    fleet = site.fleet(jump=[f"{whoami()}@{HERE}:{site.outer.port}"])
    assert fleet.read("rs1", asks("echo in")).stdout == "in\n"
    assert site.outer.logins == 1


def test_a_connection_to_a_bastion_that_died_is_opened_anew(site: Site) -> None:
    fleet = site.fleet(jump=["bastion"])
    fleet.read("rs1", asks("true"))
    end_sessions(site.bastion)
    assert fleet.write("rs1", does("echo in")).stdout == "in\n"
    assert fleet.write("rs2", does("echo in")).stdout == "in\n"
    assert site.bastion.logins == 2


def test_a_connection_to_a_bastion_that_hangs_is_opened_anew_for_other_hosts(site: Site) -> None:
    fleet = site.fleet(connect_timeout=3.0, jump=["bastion"])
    fleet.read("rs1", asks("true"))
    stopped = sessions(site.bastion)
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    try:
        assert fleet.write("rs2", does("echo in")).stdout == "in\n"
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert site.bastion.logins == 2


def sessions(server: Server) -> list[int]:
    """The processes of an sshd that serve connections: its children, and theirs."""
    assert server.process is not None
    found: list[int] = []
    waiting = [server.process.pid]
    while waiting:
        said = subprocess.run(
            ["pgrep", "-P", str(waiting.pop())], capture_output=True, text=True, check=False
        )
        children = [int(word) for word in said.stdout.split()]
        found += children
        waiting += children
    return found


def end_sessions(server: Server) -> None:
    """Kill what serves its connections, and wait until that is over."""
    for process in sessions(server):
        os.kill(process, signal.SIGKILL)
    wait_for(lambda: not sessions(server))
