"""Verbs of a user without root: a real sshd, a real sudo, and the helper as it is printed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import (
    ArgumentError,
    BusyError,
    DryRunError,
    UnknownOutcomeError,
    UnreachableError,
)
from ferryman.hosts.helper import render
from ferryman.hosts.helper.needs import Allowed
from ferryman.hosts.verbs.agents import AgentRevision
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.hosts.verbs.sudo import HELPER
from lab.own_sshd import free_port, serving
from lab.own_sudo import HOST, USER, SudoServer
from tools import asks, does, require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEEDS = {"facts": Allowed(), "take-over": Allowed(), "agent-run": Allowed((("id", "-u"),))}
ID = AgentRevision(("id", "-u"))
LISTED = (("id", "-u"), ("sh", "{script}"), ("head", "-c", "{number}", "/dev/zero"))
COMMANDS = render.commands({"agent-revision": Allowed(LISTED)})


@pytest.fixture(name="keys", scope="module")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_tool("sshd", package="openssh-server")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("id_ed25519", "host_ed25519", "host_rsa"):
        command = ["ssh-keygen", "-q", "-t", name.split("_")[1], "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture(name="server")
def a_server(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SudoServer]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = SudoServer(tmp_path, free_port())
    server.make(keys)
    with serving(server):
        server.as_root(f"mkdir /etc/ferryman; echo '{COMMANDS}' >/etc/ferryman/commands")
        yield server


def why_not(server: SudoServer, **needs: Allowed) -> str:
    """What the first verb is refused with."""
    fleet = server.without_root(needs_of=lambda _: needs or NEEDS)
    with pytest.raises(UnreachableError) as caught:
        fleet.read(HOST, ReadFacts())
    assert "nothing ran there" in str(caught.value)
    return str(caught.value)


def test_what_needs_root_runs_as_root_and_what_does_not_as_the_user(server: SudoServer) -> None:
    fleet = server.without_root()

    assert fleet.read(HOST, ID) == "0\n"
    assert fleet.read(HOST, ReadCounters())


def test_facts_that_root_alone_may_read_are_read(server: SudoServer) -> None:
    facts = server.without_root(needs_of=lambda _: {"facts": Allowed()}).read(HOST, ReadFacts())

    assert facts.host == HOST


def test_what_is_asked_together_is_one_command_of_which_each_verb_asks_sudo_for_itself(
    server: SudoServer,
) -> None:
    fleet = server.without_root()
    refused = AgentRevision(("id", "-n"))
    facts, own, counters, no, again = fleet.read_together(
        {HOST: [ReadFacts(), ID, ReadCounters(), refused, ID]}
    )[HOST]

    assert facts.host == HOST
    assert (own, again) == ("0\n", "0\n")
    assert counters
    assert isinstance(no, UnreachableError)
    assert "does not allow" in str(no)


def test_a_write_and_what_is_read_behind_it_go_through_sudo_together(server: SudoServer) -> None:
    fleet = server.without_root()
    fleet.fence("run", 1, [HOST])
    assert fleet.write_and_read(HOST, TakeOver(), [ID]) == (None, ["0\n"])


def test_an_operators_command_that_root_has_not_listed_is_refused(server: SudoServer) -> None:
    with pytest.raises(UnreachableError) as caught:
        server.without_root().read(HOST, AgentRevision(("cat", "/etc/shadow")))

    assert '/etc/ferryman/commands does not allow ["cat", "/etc/shadow"] for agent-revision' in str(
        caught.value
    )
    assert f"ferryman host-helper --commands {HOST}" in str(caught.value)


def test_what_will_be_needed_is_asked_before_anything_is_read(server: SudoServer) -> None:
    message = why_not(server)

    assert '/etc/ferryman/commands has no ["id", "-u"] in commands of agent-run' in message


@pytest.mark.parametrize("text", ["echo x", "touch /run/x"])
def test_no_text_of_sh_reaches_root(server: SudoServer, text: str) -> None:
    fleet = server.without_root()
    with pytest.raises(UnreachableError, match="does not allow"):
        fleet.read(HOST, asks(text))
    with pytest.raises(UnreachableError, match="does not allow"):
        fleet.write(HOST, does(text))


# --- what holds for root holds here ---


def test_a_dry_run_writes_nothing(server: SudoServer) -> None:
    with pytest.raises(DryRunError):
        server.without_root(dry_run=True).write(HOST, TakeOver())

    assert server.as_root("ls -d /run/ferryman || :") == ""


def test_the_fence_stands_in_the_helper_under_root(server: SudoServer) -> None:
    earlier, later = server.without_root(), server.without_root()
    assert earlier.fence("run1", 1, [HOST]) == {}
    assert later.fence("run1", 2, [HOST]) == {}

    with pytest.raises(BusyError, match="run1 was resumed by another process"):
        earlier.write(HOST, TakeOver())
    later.write(HOST, TakeOver())
    assert server.as_root("stat -c %U /run/ferryman/*; cat /run/ferryman/*") == "root\n2\n"


def test_the_fence_is_the_one_of_root_who_logs_in(server: SudoServer) -> None:
    fleet = server.without_root()
    fleet.fence("run1", 1, [HOST])
    server.as_root(f"echo 2 >/run/ferryman/run1.{HOST}")

    with pytest.raises(BusyError):
        fleet.write(HOST, TakeOver())


def test_more_than_the_limit_is_cut_off(server: SudoServer) -> None:
    with pytest.raises(UnknownOutcomeError, match="longer than the 1048576 bytes"):
        server.without_root().read(HOST, AgentRevision(("head", "-c", "9000000", "/dev/zero")))


def test_a_deadline_is_a_deadline(server: SudoServer) -> None:
    server.as_root("echo 'sleep 30' >/run/slow")
    with pytest.raises(UnknownOutcomeError, match="no end within 1 s"):
        server.without_root(command_timeout=1).read(HOST, AgentRevision(("sh", "/run/slow")))


def test_a_request_that_is_too_long_is_not_sent(server: SudoServer) -> None:
    with pytest.raises(ArgumentError, match="nothing was sent"):
        server.without_root().write(HOST, does("true", given="x" * (9 << 20)))


def test_noise_of_sudo_and_of_start_up_files_does_no_harm(server: SudoServer) -> None:
    server.as_root(
        "echo 'echo noise; echo noise >&2' >/home/ferry/.profile; cp /home/ferry/.profile /etc/profile"
    )
    server.sudoers(
        *render.sudoers(USER, "realserver").splitlines(),
        'Defaults lecture=always, lecture_file="/etc/hostname"',
        "Defaults log_output",
    )

    fleet = server.without_root(needs_of=lambda _: {"facts": Allowed()})
    assert fleet.read(HOST, ID) == "0\n"


# --- what is missing ---


def test_no_sudo(server: SudoServer) -> None:
    server.as_root("mount --bind /dev/null /usr/bin/sudo")

    assert "rs1: sudo is not installed there; install it" in why_not(server)


def test_a_password_is_wanted_for_everything(server: SudoServer) -> None:
    server.sudoers(f"{USER} ALL=(ALL) ALL")

    message = why_not(server)
    assert f"{USER} ALL=(root) NOPASSWD: /usr/local/sbin/ferryman-host-helper facts" in message
    assert "without a password" in message


def test_a_password_is_wanted_for_one_verb(server: SudoServer) -> None:
    server.sudoers(
        f"{USER} ALL=(root) NOPASSWD: {HELPER} take-over, {HELPER} agent-run",
        f"{USER} ALL=(root) PASSWD: {HELPER} facts",
    )

    message = why_not(server, **{"facts": Allowed(), "take-over": Allowed()})
    assert f"sudo wants {USER}'s password for facts; the line in its sudoers must say NOPASSWD" in message


def test_one_verb_that_is_not_allowed_is_named_with_its_line_before_anything_runs(server: SudoServer) -> None:
    server.sudoers(render.sudoers_line(USER, "facts"))

    message = why_not(server, **{"facts": Allowed(), "take-over": Allowed()})
    assert f"its sudoers lack: {USER} ALL=(root) NOPASSWD: {HELPER} take-over; nothing ran" in message
    assert f"{HELPER} facts" not in message


def test_a_user_whom_sudo_does_not_know(server: SudoServer) -> None:
    server.sudoers("Defaults env_reset")

    assert f"its sudoers lack: {USER} ALL=(root) NOPASSWD: {HELPER} facts" in why_not(server)


def test_no_helper(server: SudoServer) -> None:
    server.as_root(f"rm {HELPER}")

    assert f"rs1: {HELPER} is not there; print it with: ferryman host-helper" in why_not(server)


def test_a_helper_of_another_version(server: SudoServer) -> None:
    server.as_root(f"sed -i 's/{render.version()}/0123456789abcdef/' {HELPER}")

    message = why_not(server)
    assert "is of another version than this ferryman (this is 0123456789abcdef, and" in message
    assert "print it with: ferryman host-helper" in message


@pytest.mark.parametrize(
    "spoilt",
    ["chown ferry {}", "chmod g+w {}", "chmod o+w {}", "chmod 777 /usr/local/sbin", "chown ferry /usr/local"],
)
def test_a_helper_that_others_could_write(server: SudoServer, spoilt: str) -> None:
    server.as_root(spoilt.format(HELPER))

    message = why_not(server)
    assert f"{HELPER} cannot be trusted: /usr/local" in message
    assert "may be written by others than root" in message


def test_a_list_that_others_could_write_allows_nothing(server: SudoServer) -> None:
    server.as_root("chmod o+w /etc/ferryman/commands")

    with pytest.raises(UnreachableError, match="/etc/ferryman/commands may be written by others than root"):
        server.without_root().read(HOST, ID)


def test_sudo_wants_a_terminal(server: SudoServer) -> None:
    server.sudoers("Defaults requiretty", render.sudoers_line(USER, "facts"))

    assert f"put this line into its sudoers: Defaults:{USER} !requiretty" in why_not(server)


def test_the_lines_that_are_printed_do_without_a_terminal(server: SudoServer) -> None:
    server.sudoers("Defaults requiretty", *render.sudoers(USER, "realserver").splitlines())

    assert server.without_root(needs_of=lambda _: {"facts": Allowed()}).read(HOST, ID) == "0\n"


def test_a_line_that_is_lost_in_the_middle_of_a_run_is_told_at_the_verb(server: SudoServer) -> None:
    fleet = server.without_root()
    assert fleet.read(HOST, ID) == "0\n"
    server.sudoers(render.sudoers_line(USER, "facts"))

    with pytest.raises(UnreachableError, match=rf"its sudoers lack: {USER} .* agent-revision; nothing ran"):
        fleet.read(HOST, ID)


def test_one_verb_in_sudoers_is_one_verb(server: SudoServer) -> None:
    server.sudoers(render.sudoers_line(USER, "facts"))
    server.without_root(needs_of=lambda _: {"facts": Allowed()}).read(HOST, ReadFacts())

    for words in ("take-over", "facts take-over", "facts --", ""):
        refused = subprocess.run(
            ["nsenter", "--mount", "--target", str(server.process.pid if server.process else 0), "setpriv",
             "--reuid", "4711", "--regid", "4711", "--clear-groups", "sudo", "-n", HELPER, *words.split()],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert refused.returncode == 1
        assert "ferryman" not in refused.stdout
