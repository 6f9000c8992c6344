"""The fleet against a real OpenSSH server, on loopback; no packet leaves the machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import (
    ArgumentError,
    ConfigError,
    DryRunError,
    UnknownOutcomeError,
    UnreachableError,
    WorldChangedError,
)
from ferryman.hosts import Completed
from ferryman.hosts.verbs.keepalived_trial import KeepalivedTrial
from ferryman.hosts.verbs.routes import ReadHostRoutes
from lab.own_sshd import Server, free_port, listener, make_keys, own_agent, relay, serving, wait_for
from tools import asks, does

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PATIENT_S = 90.0
"""For what must not end at its own deadline, however slow the machine is."""
GIVEN_UP_S = 12.0
"""Ten seconds more than the deadlines of a test; paramiko's own are 15 seconds and more."""
CONCURRENCY = 16


@pytest.fixture(name="keys", scope="module")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(name="server")
def a_server(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = Server(tmp_path, free_port())
    server.make(keys)
    with serving(server):
        yield server


# --- nothing ran ---


def test_an_unknown_host_key_is_refused_and_the_message_says_how_to_verify_it(server: Server) -> None:
    server.known_hosts.write_text("# empty\n")
    with pytest.raises(UnreachableError) as caught:
        server.fleet().read("rs1", asks("true"))
    message = str(caught.value)
    assert f"rs1: host key: unknown: no line of {server.known_hosts} has [rs1]:{server.port}" in message
    assert "ssh-keygen -lf" in message
    assert "SHA256:" in message


def test_a_changed_host_key_is_refused_and_names_the_line(server: Server) -> None:
    server.trust("id_ed25519")
    with pytest.raises(UnreachableError) as caught:
        server.fleet().read("rs1", asks("true"))
    message = str(caught.value)
    assert "rs1: host key: it changed" in message
    assert f"{server.known_hosts}:2 has ssh-ed25519" in message
    assert f"ssh-keygen -f {server.known_hosts} -R '[rs1]:{server.port}'" in message


def test_the_kind_of_key_that_is_known_is_the_one_asked_for(server: Server) -> None:
    server.trust("host_rsa")
    assert server.fleet().read("rs1", asks("echo in")).stdout == "in\n"


@pytest.mark.parametrize("ciphers", ["aes256-ctr", "aes256-ctr,aes128-gcm@openssh.com"])
def test_gcm_is_spoken_where_the_host_has_it_and_another_cipher_where_not(
    server: Server, ciphers: str
) -> None:
    server.stop()
    with (server.folder / "sshd_config").open("a") as config:
        config.write(f"Ciphers {ciphers}\n")
    server.start()
    fleet = server.fleet()
    assert fleet.read("rs1", asks("echo in")).stdout == "in\n"
    transport = fleet._connections["rs1"]._transport
    assert transport is not None
    assert transport.local_cipher == ciphers.rpartition(",")[2]


def test_a_key_known_under_the_address_alone_is_good(server: Server) -> None:
    server.trust("host_ed25519", name="127.0.0.1")
    assert server.fleet().read("rs1", asks("echo in")).stdout == "in\n"


def test_a_port_that_takes_tcp_and_says_nothing_ends_at_the_connect_deadline(server: Server) -> None:
    with (
        listener() as server.port,
        pytest.raises(UnreachableError, match=r"takes TCP, but no SSH banner came within 0.5 s"),
    ):
        server.fleet(connect_timeout=0.5).read("rs1", asks("true"))


@pytest.mark.parametrize("size", [1, 20, 60, 600, 1120, 1200, 1280, 1400, 1800, 2200, 2600, 3000, 3400])
def test_a_server_that_goes_silent_after_any_number_of_bytes_ends_at_a_deadline(
    server: Server, size: int
) -> None:
    with listener(lambda connection: relay(connection, server.port, size)) as port:
        server.known_hosts.write_text(server.known_hosts.read_text().replace(str(server.port), str(port)))
        fleet = server.fleet(connect_timeout=1.0, port=port)
        began = time.monotonic()
        with pytest.raises((UnreachableError, UnknownOutcomeError)):
            fleet.read("rs1", asks("head -c 4000 /dev/zero", timeout_s=1.0))
        assert time.monotonic() - began < GIVEN_UP_S
        fleet.close()


def test_a_server_that_hangs_up_after_its_banner_leaves_no_timer_behind(server: Server) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-brief\r\n")
        connection.shutdown(socket.SHUT_RDWR)

    with (
        listener(serve) as server.port,
        pytest.raises(UnreachableError, match=r"no key exchange came: .*nothing ran there"),
    ):
        server.fleet(connect_timeout=30.0).read("rs1", asks("true"))


def test_a_port_that_speaks_something_else_is_named(server: Server) -> None:
    with (
        listener(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server.port,
        pytest.raises(UnreachableError, match=r"rs1: connect: .*no SSH banner came"),
    ):
        server.fleet(connect_timeout=1.0).read("rs1", asks("true"))


def test_a_host_that_is_down_is_unreachable_in_the_phase_connect(server: Server) -> None:
    server.stop()
    with pytest.raises(UnreachableError, match=rf"rs1: connect: 127.0.0.1 port {server.port}: .*refused"):
        server.fleet().read("rs1", asks("true"))


def test_a_name_that_cannot_be_resolved_is_unreachable_in_the_phase_resolve(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    fleet = server.fleet()
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableError, match=r"nosuch: resolve: nosuch: Name or service not known; give"):
        fleet.read("nosuch", asks("true"))


def test_a_resolver_that_does_not_answer_ends_at_the_connect_deadline(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    fleet = server.fleet(connect_timeout=0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer.wait() and [])
    with pytest.raises(UnreachableError, match=r"slow: resolve: slow: no answer within 0.3 s"):
        fleet.read("slow", asks("true"))
    answer.set()
    wait_for(lambda: not any(thread.name == "ferryman-within" for thread in threading.enumerate()))


def test_a_key_that_the_host_does_not_know_is_refused_in_the_phase_authenticate(server: Server) -> None:
    (server.folder / "authorized_keys").write_text("")
    with pytest.raises(UnreachableError, match=r"rs1: authenticate: .* was not let in \(.*id_ed25519"):
        server.fleet().read("rs1", asks("true"))


def test_an_agents_key_lets_in_where_the_file_is_encrypted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_agent(monkeypatch, server.identity):
        command = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(server.identity)]
        subprocess.run(command, check=True)
        assert server.fleet().read("rs1", asks("echo in")).stdout == "in\n"


def test_an_encrypted_key_without_an_agent_is_a_configuration_error(server: Server) -> None:
    command = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(server.identity)]
    subprocess.run(command, check=True)
    with pytest.raises(ConfigError, match=r"id_ed25519: is encrypted.*ssh-add"):
        server.fleet()


def test_more_sessions_than_the_host_allows_are_refused_and_break_no_other(server: Server) -> None:
    fleet = server.fleet()
    fleet.read("rs1", asks("true"))
    folder = server.folder / "held"
    folder.mkdir()
    hold = f"touch {folder}/$$; until [ -e {folder}/release ]; do sleep 0.05; done"
    held = [
        threading.Thread(target=fleet.read, args=("rs1", asks(hold, timeout_s=PATIENT_S))) for _ in range(4)
    ]
    for thread in held:
        thread.start()
    wait_for(lambda: len(list(folder.iterdir())) == len(held))
    with pytest.raises(UnreachableError, match="rs1: run: the host refused another session"):
        fleet.read("rs1", asks("true"))
    (folder / "release").touch()
    for thread in held:
        thread.join()

    def is_let_in_again() -> bool:
        with suppress(UnreachableError):  # sshd counts a session for a moment after it has ended
            return fleet.read("rs1", asks("echo still")).stdout == "still\n"
        return False

    wait_for(is_let_in_again)


# --- the outcome is unknown ---


def test_a_slow_command_ends_at_its_deadline(server: Server) -> None:
    with pytest.raises(UnknownOutcomeError, match=r"no end within 0.5 s; it may still be running there"):
        server.fleet().read("rs1", asks("sleep 20", timeout_s=0.5))


def test_a_command_that_keeps_printing_ends_at_its_deadline(server: Server) -> None:
    with pytest.raises(UnknownOutcomeError, match=r"no end within 0.5 s"):
        server.fleet().read("rs1", asks("while :; do echo y; sleep 0.05; done", timeout_s=0.5))


def test_the_connection_serves_on_after_a_deadline(server: Server) -> None:
    fleet = server.fleet()
    with pytest.raises(UnknownOutcomeError):
        fleet.read("rs1", asks("sleep 5", timeout_s=0.3))
    assert fleet.read("rs1", asks("echo on")).stdout == "on\n"


def test_a_connection_that_dies_under_a_command_leaves_its_outcome_unknown(server: Server) -> None:
    with pytest.raises(UnknownOutcomeError, match="outcome unknown: the connection was lost"):
        server.fleet().write("rs1", does("kill -9 $PPID; sleep 5"))


def test_a_command_killed_by_a_signal_leaves_its_outcome_unknown(server: Server) -> None:
    with pytest.raises(UnknownOutcomeError, match="ended without a status"):
        server.fleet().write("rs1", does("kill -9 $$"))


# --- it works ---


def test_status_and_both_outputs_come_back(server: Server) -> None:
    done = server.fleet().read("rs1", asks("echo out; echo err >&2; exit 3"))
    assert done == Completed("rs1", "echo out; echo err >&2; exit 3", 3, "out\n", "err\n")


def test_megabytes_on_both_outputs_at_once_do_not_stop_it(server: Server) -> None:
    lines = (
        "i=0; while [ $i -lt 100 ]; do head -c 80000 /dev/zero; head -c 80000 /dev/zero >&2; i=$((i+1)); done"
    )
    done = server.fleet().read("rs1", asks(lines))
    assert (len(done.stdout), len(done.stderr)) == (8_000_000, 8_000_000)


def test_megabytes_in_and_out_at_once_do_not_stop_it(server: Server) -> None:
    text = "x" * 6_000_000
    assert server.fleet().read("rs1", asks("cat", given=text)).stdout == text


def test_input_that_nobody_reads_does_not_hold_the_command(server: Server) -> None:
    assert server.fleet().read("rs1", asks("exec 0<&-; exit 4", given="x" * 6_000_000)).status == 4


def test_a_command_without_input_sees_its_end(server: Server) -> None:
    assert server.fleet().read("rs1", asks("cat; echo end")).stdout == "end\n"


def test_a_daemon_that_holds_the_output_open_does_not_hide_the_status(server: Server) -> None:
    done = server.fleet().read("rs1", asks("sleep 60 & echo started", timeout_s=5))
    assert (done.status, done.stdout) == (0, "started\n")


def test_bytes_that_are_not_utf8_survive_the_way_there_and_back(server: Server) -> None:
    fleet = server.fleet()
    latin = fleet.read("rs1", asks("printf 'M\\374nchen'")).stdout
    assert fleet.read("rs1", asks("od -An -tx1", given=latin)).stdout == " 4d fc 6e 63 68 65 6e\n"


def test_one_connection_serves_all_commands(server: Server) -> None:
    fleet = server.fleet()
    first, second = (fleet.read("rs1", asks("echo $PPID")).stdout for _ in range(2))
    assert first == second


def test_a_kept_connection_that_died_is_opened_anew(server: Server) -> None:
    fleet = server.fleet()
    before = fleet.read("rs1", asks("echo $PPID")).stdout.strip()
    subprocess.run(["kill", "-9", before], check=True)
    time.sleep(0.3)
    after = fleet.write("rs1", does("echo $PPID")).stdout.strip()
    assert after != before


def test_a_kept_connection_that_hangs_is_opened_anew(server: Server) -> None:
    fleet = server.fleet(connect_timeout=1.0)
    before = fleet.read("rs1", asks("echo $PPID")).stdout.strip()
    subprocess.run(["kill", "-STOP", before], check=True)
    after = fleet.write("rs1", does("echo $PPID")).stdout.strip()
    subprocess.run(["kill", "-KILL", before], check=True)
    assert after != before


def test_fifty_hosts_are_read_in_parallel_and_one_that_is_down_spoils_none(server: Server) -> None:
    """Each command waits until as many have begun as may run at a time; one after another would never end."""
    kind, blob = (server.folder / "host_ed25519.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"[rs*]:{server.port} {kind} {blob}\n")
    fleet = server.fleet(
        hosts=50, connect_timeout=PATIENT_S, command_timeout=PATIENT_S, concurrency=CONCURRENCY
    )
    folder = server.folder / "begun"
    folder.mkdir()
    others = f"until [ $(ls {folder} | wc -l) -ge {CONCURRENCY} ]; do sleep 0.2; done"
    commands = {
        f"rs{number}": f"touch {folder}/{number}; {others}; echo {number}" for number in range(1, 51)
    } | {"gone": "true"}
    answers = fleet.read_all({host: asks(text) for host, text in commands.items()})
    assert list(answers) == list(commands)
    assert isinstance(answers.pop("gone"), UnreachableError)
    assert [answer.stdout for answer in answers.values() if isinstance(answer, Completed)] == [
        f"{number}\n" for number in range(1, 51)
    ]


def test_what_a_host_is_asked_together_is_one_command_with_an_answer_for_each(server: Server) -> None:
    kind, blob = (server.folder / "host_ed25519.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"[rs*]:{server.port} {kind} {blob}\n")
    fleet = server.fleet(hosts=2)
    shells = asks("echo $PPID; ps -o ppid= -p $PPID")
    questions = {
        "rs1": [shells, asks("exit 3"), shells, asks("cat", given="b")],
        "gone": [asks("true")] * 2,
        "rs2": [asks("cat")],
    }
    answers = fleet.read_together(questions)
    assert list(answers) == list(questions)
    assert [answer.status for answer in answers["rs1"]] == [0, 3, 0, 0]
    assert [answer.stdout for answer in answers["rs1"]][1::2] == ["", "b"]
    assert answers["rs1"][0].stdout.split()[1] == answers["rs1"][2].stdout.split()[1]
    assert [type(answer) for answer in answers["gone"]] == [UnreachableError] * 2
    assert [answer.stdout for answer in answers["rs2"]] == [""]


def test_what_is_read_behind_a_write_sees_what_it_has_written(server: Server) -> None:
    mark = server.folder / "written"
    fleet = server.fleet()
    done, (seen, failed) = fleet.write_and_read(
        "rs1", does(f"echo new >{mark}"), [asks(f"cat {mark}"), asks("exit 1")]
    )
    assert (done.status, seen.stdout, failed.status) == (0, "new\n", 1)


def test_together_with_others_a_dry_run_does_not_write_either(server: Server) -> None:
    mark = server.folder / "written"
    fleet = server.fleet(dry_run=True)
    with pytest.raises(DryRunError, match="rs1: a dry run tried to run 'touch "):
        fleet.write_and_read("rs1", does(f"touch {mark}"), [asks("true")])
    for verbs in ([does(f"touch {mark}")], [asks("true"), does(f"touch {mark}")]):
        with pytest.raises(TypeError, match="writes, and was to be read"):
            fleet.read_together({"rs1": verbs})  # type: ignore[dict-item]  # the type checker says so too
    with pytest.raises(TypeError, match="writes, and was to be read"):
        server.fleet().write_and_read("rs1", does("true"), [does(f"touch {mark}")])  # type: ignore[list-item]  # too
    assert not mark.exists()


def test_a_verb_that_no_host_takes_spoils_no_other_that_is_asked_with_it(server: Server) -> None:
    fleet = server.fleet()
    too_long = ReadHostRoutes(tuple(ip_address(number) for number in range(1 << 24, (1 << 24) + 5000)))
    no, yes = fleet.read_together({"rs1": [too_long, asks("echo b")]})["rs1"]
    assert isinstance(no, ArgumentError)
    assert yes.stdout == "b\n"


def test_a_file_that_is_another_one_spoils_no_other_answer(server: Server) -> None:
    file = server.folder / "web.conf"
    file.write_text("theirs")
    trial = KeepalivedTrial("/nowhere/k.conf", {str(file): "old"}, {str(file): "new"})
    changed, other = server.fleet().read_together({"rs1": [trial, asks("echo b")]})["rs1"]
    assert isinstance(changed, WorldChangedError)
    assert other.stdout == "b\n"


def test_more_than_one_line_takes_is_asked_in_several(server: Server) -> None:
    fleet = server.fleet()
    questions = [asks(f"wc -c # {'x' * 50_000}", given="y" * number) for number in (1, 2, 3)]
    answers = fleet.read_together({"rs1": questions})["rs1"]
    assert [answer.stdout.strip() for answer in answers] == ["1", "2", "3"]


def test_whoever_is_interrupted_does_not_wait_for_what_was_asked_together(server: Server) -> None:
    fleet = server.fleet()
    began = server.folder / "began"

    def interrupt() -> None:
        wait_for(began.exists)
        os.kill(os.getpid(), signal.SIGINT)

    until_it_goes = asks(f"touch {began}; while test -e {began}; do sleep 0.1; done")
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        fleet.read_together({"rs1": [until_it_goes, asks("true")]})
    began.unlink()
    assert any(thread.name.startswith("ferryman-ssh_") for thread in threading.enumerate())


def test_what_ran_together_when_the_connection_died_has_an_outcome_that_is_not_known(server: Server) -> None:
    fleet = server.fleet()
    dying = does("kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $PPID))")
    with pytest.raises(UnknownOutcomeError, match="outcome unknown"):
        fleet.write_and_read("rs1", dying, [asks("sleep 5")])


def test_a_dry_run_reads_and_refuses_to_write(server: Server) -> None:
    mark = server.folder / "written"
    fleet = server.fleet(dry_run=True)
    assert fleet.read("rs1", asks("echo in")).stdout == "in\n"
    with pytest.raises(DryRunError, match="rs1: a dry run tried to run 'touch "):
        fleet.write("rs1", does(f"touch {mark}"))
    assert not mark.exists()


def test_closing_twice_is_harmless_and_a_closed_fleet_reaches_nobody(server: Server) -> None:
    fleet = server.fleet()
    fleet.read("rs1", asks("true"))
    fleet.close()
    fleet.close()
    with pytest.raises(UnreachableError, match="the fleet was closed"):
        fleet.read("rs1", asks("true"))


def test_closing_ends_a_command_that_still_runs(server: Server) -> None:
    fleet = server.fleet()
    begun = server.folder / "begun"
    seen: list[BaseException] = []

    def ask() -> None:
        try:
            fleet.read("rs1", asks(f"touch {begun}; sleep 60", timeout_s=PATIENT_S))
        except UnknownOutcomeError as error:
            seen.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(begun.exists)
    fleet.close()
    asking.join()
    assert "the connection was lost" in str(seen[0])
