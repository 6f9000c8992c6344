"""The prober's sockets without CAP_NET_ADMIN, as in a user namespace, where nobody has it for them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tools import require_tool, skip_or_fail

BEGINNING = """
import json, socket, struct, subprocess, sys
from ferryman.probe import sockets

def ip(words):
    subprocess.run(["ip", *words.split()], check=True)

def packet(number, destination):
    ends = socket.inet_aton("127.0.0.1") + socket.inet_aton(destination)
    header = struct.pack("!BBHHHBBH8s", 0x45, 0, 40, 0, 0, 64, 6, 0, ends)
    return header + struct.pack("!HHIIHHHH", 9, 20000, number, 0, 0x5002, 1024, 0, 0)

sockets.RECEIVE_BUFFER = sockets.SEND_BUFFER = 32768
"""
RECEIVING = """
ip("link set lo up")
receivers, senders = sockets.Receivers(4), sockets.Senders(4)
receivers.listen([20000], answers=int(sys.argv[1]))
for number in range(300):
    senders.send(packet(number, "127.0.0.1"), "127.0.0.1")
found = [packet[24:28].hex() for each in receivers.sockets for packet, _ in receivers.receive(each)]
print(json.dumps([len(receivers.sockets), len(found), len(set(found)), receivers.lost()]))
"""
SENDING = """
sockets.MOST_SOCKETS = int(sys.argv[1])
ip("link add ours type veth peer name theirs")
ip("address add 10.9.0.1/16 dev ours")
ip("link set ours up")
ip("link set theirs up")
senders, sent = sockets.Senders(4), 0
try:
    for host in range(200):
        senders.send(packet(host, f"10.9.1.{host}"), f"10.9.1.{host}")
        sent += 1
except BlockingIOError:
    pass
print(json.dumps(sent))
"""
INSIDE = ["unshare", "--user", "--map-root-user", "--net"]


@pytest.fixture(autouse=True)
def needs() -> None:
    require_tool("unshare", "ip", package="util-linux, iproute2")
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("this user may not make user namespaces")


def outcome(program: str, argument: int) -> Any:  # noqa: ANN401  # what the program prints
    done = subprocess.run(
        [*INSIDE, sys.executable, "-c", BEGINNING + program, str(argument)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_more_answers_than_one_buffer_takes_are_received_by_several_sockets_each_once() -> None:
    sockets, found, different, lost = outcome(RECEIVING, 300)
    assert sockets > 1
    assert (found, different, lost) == (300, 300, 0)


@pytest.mark.parametrize("answers", [1, 10])
def test_few_answers_need_one_socket_and_what_it_has_no_room_for_is_counted(answers: int) -> None:
    sockets, found, _, lost = outcome(RECEIVING, answers)
    assert sockets == 1
    assert lost > 0
    assert found + lost == 300


def test_what_waits_for_hosts_that_are_not_there_holds_up_no_other_packet() -> None:
    assert outcome(SENDING, 1) < 200
    assert outcome(SENDING, 32) == 200
